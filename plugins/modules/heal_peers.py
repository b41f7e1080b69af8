#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make servers fetch a peer they have not learned of, and take away the Leases of dead ones."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_peers
short_description: Heal stale peers and dead Leases
version_added: 0.1.0
description:
  - A server that could not reach a peer waits twice as long before each further try, so the peer stays unknown for as
    long again, or longer, after the way was opened. Only an event on its Lease makes the others fetch at once.
  - Where a server's merged discovery still lacks what a peer serves itself after O(patience), this module changes the
    holder of that peer's Lease and takes the change back as soon as the discovery is whole. The peer stays listed
    all the while, and nothing is restarted.
  - A holder change makes every server fetch all peers anew and drop those that it can't fetch. So nothing is patched
    unless O(peers) shows every ordered pair of the servers in O(leases) to be open.
  - A Lease in O(dead_leases) is deleted only if it is still not renewed and nothing answers as that server any more.
  - Waits for the proof that it helped. In check mode nothing is written.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  leases:
    description: Name of each live server's identity Lease, by the server's name. Only these servers are looked at.
    type: dict
    required: true
  peers:
    description: What M(mixedversion.kubernetes.peer_info) returned just now, by the name of the node it ran on.
    type: dict
    required: true
  heal_stale:
    description: Whether stale peers are healed. If not, only O(dead_leases) are dealt with.
    type: bool
    default: true
  dead_leases:
    description: Names of the Leases to delete.
    type: list
    elements: str
    default: []
  patience:
    description: Seconds that a server may take to learn of its peers by itself before a Lease is patched.
    type: float
    default: 5.0
  heal_timeout:
    description: Seconds after which a patch is taken to have had no effect.
    type: float
    default: 20.0
"""

EXAMPLES = r"""
- name: Heal stale peers
  mixedversion.kubernetes.heal_peers:
    kubeconfig: admin.conf
    leases:
      cp1: apiserver-eqt674mfxb4j56mrjjkoe7b7ii
      cp2: apiserver-wd3jxrvsoydbu3vwwtnxnnmpuy
    peers:
      cp1: "{{ hostvars.cp1.peers.peers }}"
      cp2: "{{ hostvars.cp2.peers.peers }}"
"""

RETURN = r"""
healed:
  description: What was healed.
  returned: always
  type: list
  elements: dict
  contains:
    server: {description: "The server that lacked a peer; empty for a deleted Lease.", type: str, returned: always}
    peer: {description: The peer it lacked., type: str, returned: always}
    lease: {description: The Lease that was changed or deleted., type: str, returned: always}
    kind: {description: "V(holder_change) or V(lease_deleted).", type: str, returned: always}
    detected_seconds: {description: From the start to the patch; patience is part of it., type: float, returned: always}
    healed_seconds: {description: From the patch to the proof that it helped., type: float, returned: always}
reason:
  description: Why something was left as it is; empty if nothing was.
  returned: always
  type: str
findings:
  description: What was healed, and what was not though everything was there for it, as findings.
  returned: always
  type: list
  elements: dict
"""

import datetime
import functools
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _gate,
    _holders,
    _leases,
    _metrics,
    _views,
)

#: From one look to the next while a holder is changed, seconds; it shall be changed for no longer than it must.
LOOK_INTERVAL = 0.05

Stale = _holders.Stale
Entry = dict[str, t.Any]


def not_proven(names: t.Sequence[str], peers: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]]) -> str:
    """Which ordered pair is not proven open, in words; empty if each is."""
    for source in names:
        entries = {entry["name"]: entry for entry in peers.get(source) or []}
        for peer in names:
            if peer == source:
                continue
            if peer not in entries:
                return f"the way from {source} to {peer} was not tried"
            if entries[peer]["error"]:
                return f"the way from {source} to {peer} is not open: {entries[peer]['error']}"
    return ""


def judge(look: _views.Look, known_stale: t.Collection[tuple[str, str]] | None = None) -> _gate.Sample:
    """Whether every server knows its peers; of *known_stale* only, if given."""
    if look.errors:
        return _gate.Sample(False, "; ".join(str(error) for error in look.errors.values()))
    found = _holders.stale(look)
    left = [pair for pair in found if known_stale is None or pair in known_stale]
    words = ", ".join(f"{name} lacks {len(found[name, peer])} of {peer}" for name, peer in left)
    return _gate.Sample(not left, words or f"all {len(look.views)} servers know their peers", data=found)


def next_lease(found: t.Collection[tuple[str, str]]) -> str:
    """Whose Lease to change: the peer's that most servers lack. Its owner ignores it, so it helps the others only."""
    peers = [peer for dummy, peer in found]
    return max(dict.fromkeys(peers), key=peers.count)


def fetches(servers: t.Mapping[str, _api.Server]) -> dict[str, float]:
    """How many documents of its peers' discovery each server has fetched since it started."""

    def of(server: _api.Server) -> t.Callable[[], float]:
        return lambda: _metrics.fetched(_metrics.parse(server.get_text("/metrics"), (_metrics.REROUTED,)))

    answers = _api.at_once({name: of(server) for name, server in servers.items()})
    for answer in answers.values():
        if isinstance(answer, _api.ApiError):
            raise answer
    return t.cast("dict[str, float]", answers)


def heal(
    servers: t.Mapping[str, _api.Server],
    leases: t.Mapping[str, str],
    reader: _views.Reader,
    found: Stale,
    params: t.Mapping[str, t.Any],
) -> tuple[list[dict[str, t.Any]], Stale]:
    """Change one peer's holder after the other until no server lacks anything; what was healed, and what was not.

    *found* takes in what comes to light meanwhile.
    """
    known = found
    healed: list[dict[str, t.Any]] = []
    settings = {**params, "slice": None, "timeout": params["heal_timeout"], "interval": LOOK_INTERVAL}
    tried: set[str] = set()
    while found and next_lease(found) not in tried:
        peer = next_lease(found)
        tried.add(peer)
        # The owner does not heed its own Lease; all others fetch all of their peers.
        helped = {pair for pair in found if pair[0] != peer}
        others = {name: servers[name] for name, dummy in helped}
        with _holders.changed(servers[peer], leases[peer]):
            patched = time.monotonic()
            waited = _gate.wait(functools.partial(look_again, reader, helped), {**settings, "stable_samples": 1})
            seconds = round(time.monotonic() - patched, 3)
            before = fetches(others)
        if waited.timed_out:
            return healed, found
        # The holder's coming back makes them fetch once more, and what they know now must outlast that.
        wanted = {name: count + _holders.FETCHES_PER_PEER * (len(servers) - 1) for name, count in before.items()}
        waited = _gate.wait(functools.partial(look_again, reader, helped, others, wanted), settings)
        left: Stale = waited.sample.data if waited.sample.data is not None else found
        known.update((pair, resources) for pair, resources in left.items() if pair not in known)
        healed += [
            {"server": name, "peer": of, "lease": leases[peer], "kind": "holder_change", "healed_seconds": seconds}
            for name, of in sorted(helped - set(left))
        ]
        if waited.timed_out:
            return healed, left
        found = left
    return healed, found


def look_again(
    reader: _views.Reader,
    helped: t.Collection[tuple[str, str]],
    servers: t.Mapping[str, _api.Server] | None = None,
    wanted: t.Mapping[str, float] | None = None,
) -> _gate.Sample:
    """Whether *helped* know their peers, and have fetched as often as is *wanted*."""
    sample = judge(reader.look(), helped)
    if not sample.passed or servers is None or wanted is None:
        return sample
    late = [name for name, count in fetches(servers).items() if count < wanted[name]]
    return _gate.Sample(
        not late, f"{', '.join(late)} is to fetch once more" if late else sample.progress, data=sample.data
    )


def why_kept(lease: _leases.Lease, all_leases: t.Sequence[_leases.Lease], now: datetime.datetime) -> str:
    """Why a Lease is not taken for a dead server's; empty if it is."""
    age = lease.age_seconds(now)
    if age <= _leases.FRESH_SECONDS:
        return f"it was renewed {age:.0f} s ago"
    if not lease.address:
        return "it tells no address, so nobody can say that its server does not answer"
    heirs = [
        found.hostname
        for found in all_leases
        if found.name != lease.name
        and found.address == lease.address
        and found.age_seconds(now) <= _leases.FRESH_SECONDS
    ]
    # The host has another name now; then what answers there is the other Lease's server.
    answers, words = _holders.knock(lease.address)
    return words if answers and not heirs else ""


def delete_dead(
    server: _api.Server, names: t.Sequence[str], spared: t.Collection[str], check_mode: bool
) -> tuple[list[Entry], list[Entry], list[str]]:
    """Delete each Lease that is still dead: what was healed, the findings, and why others were kept."""
    items, now = _holders.read_list(server)
    objects = {item["metadata"]["name"]: item for item in items}
    leases = [_leases.parse(item) for item in items]
    healed, findings, kept = [], [], []
    for lease in leases:
        if lease.name not in names:
            continue
        why = "it is a live server's" if lease.name in spared else why_kept(lease, leases, now)
        if not why and check_mode:
            why = "check mode writes nothing"
        begun = time.monotonic()
        if not why:
            metadata = objects[lease.name]["metadata"]
            # Its owner might write it just now; then this is refused, which is right.
            only = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
            server.send("DELETE", _holders.path(lease.name), {"preconditions": only})
            if lease.name in [item["metadata"]["name"] for item in _holders.read_list(server)[0]]:
                why = "it is there again, so its owner lives"
        if why:
            kept.append(f"the Lease {lease.name} was kept: {why}")
            continue
        who = lease.hostname or lease.name
        seconds = round(time.monotonic() - begun, 3)
        healed.append(
            {"server": "", "peer": who, "lease": lease.name, "kind": "lease_deleted", "healed_seconds": seconds}
        )
        evidence = (
            f"the Lease {lease.name} of {who} ({lease.address}) was not renewed for {lease.age_seconds(now):.0f} s and "
            "its server did not answer; it was deleted and is gone"
        )
        findings.append(finding("dead_lease", who, "", evidence))
    return healed, findings, kept


def finding(cause: str, server: str, peer: str, evidence: str, next_action: str = "") -> Entry:
    """A finding; without a next action it is one that was repaired."""
    return {
        "cause": cause,
        "server": server,
        "peer": peer,
        "evidence": evidence,
        "confidence": "certain",
        "root": True,
        "next_action": next_action or "None; it was repaired.",
        "repaired": not next_action,
    }


def stale_findings(healed: t.Iterable[Entry], found: Stale, left: Stale, heal_timeout: float) -> list[Entry]:
    told = []
    for entry in healed:
        resources = found[entry["server"], entry["peer"]]
        evidence = (
            f"{entry['server']} lacked {len(resources)} of what {entry['peer']} serves ({_discovery.some(resources)}); "
            f"it knew them {entry['healed_seconds']:.3f} s after the holder of {entry['lease']} was changed, and still "
            "when that was taken back"
        )
        told.append(finding("stale_peer", entry["server"], entry["peer"], evidence))
    for (name, peer), resources in left.items():
        evidence = (
            f"{name} lacks {len(resources)} that {peer} serves itself ({_discovery.some(resources)}), every way is "
            f"open, and a change of a Lease's holder did not help within {heal_timeout:g} s; the holder was put back"
        )
        action = f"Read the log of kube-apiserver on {name} for errors syncing peer discovery, and restart it."
        told.append(finding("stale_peer", name, peer, evidence, action))
    return told


def connect(module: AnsibleModule) -> dict[str, _api.Server]:
    """The live servers; a failure of the module if the address of one is not known."""
    leases = module.params["leases"]
    cluster = _api.connect(module)
    servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster) if target.name in leases}
    unknown = sorted(set(leases) - set(servers))
    if unknown or not servers:
        module.fail_json(
            msg=f"No address is known of {', '.join(unknown) or 'any server'}. Expected each server of leases to be "
            "among servers, or to tell its address by Lease. Nothing was changed. Name it in the option servers."
        )
    return servers


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "leases": {"type": "dict", "required": True},
                "peers": {"type": "dict", "required": True},
                "heal_stale": {"type": "bool", "default": True},
                "dead_leases": {"type": "list", "elements": "str", "default": []},
                "patience": {"type": "float", "default": 5.0},
                "heal_timeout": {"type": "float", "default": 20.0},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    leases: dict[str, str] = params["leases"]
    healed: list[Entry] = []
    findings: list[Entry] = []
    reasons: list[str] = []
    try:
        servers = connect(module)
        reader = _views.Reader(servers)
        settings = {**params, "timeout": params["patience"], "stable_samples": 1}
        waited = _gate.wait(lambda: judge(reader.look(), None if params["heal_stale"] else ()), settings)
        if waited.pending:
            module.exit_json(**_gate.pending(waited))
        found: Stale = (waited.sample.data or {}) if params["heal_stale"] else {}
        barred = not_proven(list(servers), params["peers"]) if found else ""
        if waited.sample.data is None:
            reasons.append(f"whether a peer is stale could not be told: {waited.sample.progress}")
        elif barred:
            reasons.append(f"{waited.sample.progress}, and no Lease was changed for that, as {barred}")
        elif found and module.check_mode:
            reasons.append(f"{waited.sample.progress}, and check mode writes nothing")
        elif found:
            healed, left = heal(servers, leases, reader, found, params)
            findings = stale_findings(healed, found, left, params["heal_timeout"])
        if params["dead_leases"]:
            server = next(iter(servers.values()))
            more, told, kept = delete_dead(server, params["dead_leases"], list(leases.values()), module.check_mode)
            healed, findings, reasons = healed + more, findings + told, reasons + kept
    except _api.ApiError as error:
        module.fail_json(
            msg=f"Healing stopped: {error}. Expected every live server to answer. A holder that was changed was put "
            "back. Mend what the message names and start again.",
            healed=healed,
            findings=findings,
        )
    for entry in healed:
        entry["detected_seconds"] = round(waited.elapsed_seconds, 3)
    module.exit_json(changed=bool(healed), healed=healed, reason="; ".join(reasons), findings=findings)


if __name__ == "__main__":
    main()
