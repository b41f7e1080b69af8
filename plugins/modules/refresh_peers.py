#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make every server fetch its peers' discovery anew, and prove that it did."""

from __future__ import annotations

DOCUMENTATION = r"""
module: refresh_peers
short_description: Prove that every server can fetch every peer's discovery
version_added: 0.1.0
description:
  - Equal versions always converge, so before the first node is upgraded another proof is needed that the peers can
    really be asked.
  - A change of an identity Lease's holder makes every other server fetch C(/api) and C(/apis) from each of its peers;
    the server whose Lease it is ignores it (k8s.io/apiserver C(pkg/util/peerproxy/peer_discovery.go)).
  - This module changes the holder of two servers' Leases, one after the other, and takes each change back. After each
    of the four, every server but the Lease's owner must have counted exactly 2 x (N-1) fetches answered 200, and no
    sync error. Two Leases, so that every server is shown to fetch. The gate C(peers_fetched).
  - A server that has just started is no peer until it has written its address to etcd, once it is ready, and the
    others' own retries go on for some time after that; one that is busy may write it anew too late (every 10 s, for
    15 s). So a count with a sync error or with more fetches is made anew, for 15 s at most. A whole one is needed.
  - The peers stay listed all the while, and the servers go on working.
  - A server of 1.35 counts what it reroutes by status alone and no sync errors. There the count of 200 must rise by as
    much, and those of 401, 403 and 5xx not at all.
  - In check mode nothing is written. The verdict is then C(skipped), with what the counters let one infer; or
    C(failed), where a server was answered too seldom since its start to know all of its peers.
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
    description: Name of each server's identity Lease, by the server's name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Prove that the peers fetch each other's discovery
  mixedversion.kubernetes.refresh_peers:
    kubeconfig: admin.conf
    leases:
      cp1: apiserver-eqt674mfxb4j56mrjjkoe7b7ii
      cp2: apiserver-wd3jxrvsoydbu3vwwtnxnnmpuy
"""

RETURN = r"""
gates:
  description: The verdict on C(peers_fetched).
  returned: always
  type: list
  elements: dict
"""

import dataclasses
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _holders, _metrics

#: For how many seconds a disturbed count is made anew. A peer's address outlives its server for 15 s and is written
#: every 10 (k8s.io/kubernetes ``pkg/controlplane/apiserver/peer.go``).
SETTLE = 15.0
#: The seconds between two such counts: each makes every server fetch from all of its peers.
PAUSE = 1.0
NEXT_ACTION = (
    "Read the log of the server with too few fetches for errors syncing peer discovery, check its way to each peer, "
    "and start the playbook again."
)

Counts = dict[str, tuple[float, float]]


def errors_in(samples: list[_metrics.Sample]) -> float:
    """Fetches of a peer's discovery that failed, since the server started.

    1.35 has no count of them, but counts what it rerouted by status; these are what a fetch comes to that a peer, or
    the way to it, refuses. What users get from a peer (404, 409) is not among them.
    """
    if _metrics.labelled(samples):
        return _metrics.total(samples, _metrics.SYNC_ERRORS)
    return sum(
        count for code, count in _metrics.fetch_codes(samples).items() if code in ("401", "403") or code >= "500"
    )


def count(servers: t.Mapping[str, _api.Server]) -> Counts:
    """For each server: discovery fetches answered 200, and sync errors, since it started."""

    def of(server: _api.Server) -> t.Callable[[], tuple[float, float]]:
        def read() -> tuple[float, float]:
            samples = _metrics.parse(server.get_text("/metrics"), (_metrics.REROUTED, _metrics.SYNC_ERRORS))
            return _metrics.fetched(samples), errors_in(samples)

        return read

    answers = _api.at_once({name: of(server) for name, server in servers.items()})
    for answer in answers.values():
        if isinstance(answer, _api.ApiError):
            raise answer
    return t.cast(Counts, answers)


def judge(before: Counts, after: Counts, wanted: int) -> _gate.Sample:
    """Whether every server has fetched what it had to since *before*; too many fetches or an error end the wait.

    The sample's data is whether to count anew: a retry of an earlier fetch may have fallen into this count.
    """
    words, passed, final, again = [], True, False, False
    for name, (fetched, errors) in after.items():
        delta, new_errors = fetched - before[name][0], errors - before[name][1]
        words.append(f"{name} {delta:.0f}" + (f" and {new_errors:.0f} sync errors" if new_errors else ""))
        passed = passed and delta == wanted and not new_errors
        again = again or delta > wanted or new_errors > 0
        final = final or again or fetched < before[name][0]
    told = f"fetches answered 200: {', '.join(words)} (of {wanted} each)"
    return _gate.Sample(passed, told, final=final, data=again)


def infer(counts: Counts, wanted: int) -> tuple[bool, str]:
    """What the counters say that nobody moved: whether each server may know all of its peers, and the words for it.

    A server that knows them all has fetched from each, so it was answered *wanted* times or more. Less than that is
    proof that it does not; as much is none that it does, as it may be one peer's answers again and again.
    """
    possible = all(fetched >= wanted for fetched, dummy in counts.values())
    words = [
        f"{name} {fetched:.0f}{f' and {errors:.0f} errors' if errors else ''}"
        + ("" if fetched >= wanted else f", so it does not know all of its peers ({wanted} at least are needed)")
        for name, (fetched, errors) in counts.items()
    ]
    return possible, f"fetches answered 200 since start: {', '.join(words)}"


def change(
    servers: t.Mapping[str, _api.Server], owner: str, lease: str, holder: str, params: t.Mapping[str, t.Any]
) -> _gate.Waited:
    """One change of a holder, and the wait until every server but its owner has fetched what it must."""
    wanted = _holders.FETCHES_PER_PEER * (len(servers) - 1)
    others = {name: server for name, server in servers.items() if name != owner}
    before = count(others)
    _holders.set_holder(servers[owner], lease, holder)
    return _gate.wait(lambda: judge(before, count(others), wanted), {**params, "slice": None, "stable_samples": 1})


def prove(
    servers: t.Mapping[str, _api.Server], leases: t.Mapping[str, str], params: t.Mapping[str, t.Any]
) -> _gate.Waited:
    """Change the holder of two Leases and take it back; the holders are put back whatever happens.

    Each change is counted, also where a count is made anew: one that is not would fall into the next count.
    """
    samples, begun = 0, time.monotonic()
    for owner in list(servers)[:2]:
        lease = leases[owner]
        holder = current = _holders.take_back(servers[owner], lease)
        whole, since = 0, time.monotonic()
        try:
            while whole < 2 or current != holder:
                current = holder + _holders.MARK if current == holder else holder
                waited = change(servers, owner, lease, current, params)
                samples += waited.samples
                whole = whole + 1 if waited.sample.passed else 0
                if whole:
                    continue
                if not waited.sample.data or time.monotonic() - since >= SETTLE:
                    break
                time.sleep(PAUSE)
        finally:
            _holders.set_holder(servers[owner], lease, holder)
        if not waited.sample.passed:
            break
    return dataclasses.replace(waited, samples=samples, elapsed_seconds=time.monotonic() - begun)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(_api.argument_spec(), {"leases": {"type": "dict", "required": True}}),
        supports_check_mode=True,
    )
    params = module.params
    cluster = _api.connect(module)
    wanted = "2 x (N-1) fetches answered 200 on every other server after each holder change, and no sync error"
    gate = _gate.Gate("peers_fetched", _gate.PASSED, "", wanted, node=params["node"])
    try:
        servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster)}
        if len(servers) == 1:
            gate.verdict, gate.observed = _gate.NOT_EXERCISED, "one server has no peers"
        elif module.check_mode:
            possible, gate.observed = infer(count(servers), _holders.FETCHES_PER_PEER * (len(servers) - 1))
            if possible:
                gate.verdict = _gate.SKIPPED
                gate.reason = "the proof changes a Lease, and check mode writes nothing; what is observed is inferred"
            else:
                gate.verdict = _gate.FAILED
                gate.next_action = NEXT_ACTION
        else:
            waited = prove(servers, params["leases"], params)
            gate.observed, gate.samples = waited.sample.progress, waited.samples
            gate.elapsed_seconds = round(waited.elapsed_seconds, 3)
            if not waited.sample.passed:
                gate.verdict = _gate.FAILED
                gate.next_action = NEXT_ACTION
    except _api.ApiError as error:
        module.fail_json(
            msg=f"The proof could not be made: {error}. The Lease's holder was put back if it was changed."
        )
    module.exit_json(changed=gate.samples > 1 and not module.check_mode, gates=[gate.dump()])


if __name__ == "__main__":
    main()
