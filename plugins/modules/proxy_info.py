#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask every server directly what it is and how its Mixed Version Proxy stands."""

from __future__ import annotations

DOCUMENTATION = r"""
module: proxy_info
short_description: How the Mixed Version Proxy stands on every API server
version_added: 0.1.0
description:
  - Asks every server of a cluster directly, all at the same time, for its version, its readiness, the gate
    C(UnknownVersionInteroperabilityProxy), the hooks of its proxy, its effective flags, the proxy's counters and its
    discovery; and reads its identity Lease.
  - From these it derives for each server one state with its reason, and which peers it is known to know.
  - With O(inventory), each host is mapped to exactly one server, which is the gate C(inventory_matches_servers).
  - Works with Kubernetes 1.35, 1.36 and 1.37. Some counters and hooks are named otherwise, or missing, on 1.35.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  inventory:
    description: The hosts that shall be the cluster's servers.
    type: list
    elements: dict
    suboptions:
      name:
        description: The host's name in the inventory.
        type: str
        required: true
      hostname:
        description: The host name as the server's process sees it; by it the Lease is found.
        type: str
        required: true
      address:
        description: Where the server is reached, if its Lease does not say or the controller takes another way.
        type: str
        default: ""
      certificate:
        description:
          - The serving certificate that lies on the node, PEM. What O(inventory[].address) is answered by must show it;
            a load balancer shows that of whichever server it chose.
        type: str
        default: ""
      advertised:
        description:
          - Where the server is reached by its own flags, C(--advertise-address) and C(--secure-port).
          - Used where O(inventory[].address) is empty and the Lease tells no address, as while the gate is off.
        type: str
        default: ""
      hints:
        description:
          - Where the server might be reached as well, such as by kubespray's C(access_ip) and C(ip), the best first.
          - Used where O(inventory[].address) is empty and nothing answers at the address that the server itself
            announces, as where it is known by another address outside of its network.
          - What answers must show O(inventory[].certificate) too.
        type: list
        elements: str
        default: []
  process_flags:
    description:
      - Flags of each server's process, by the server's name, as M(mixedversion.kubernetes.node_info) returns them.
      - Used for a server that does not serve C(/flagz), as 1.35, or does not let this user read it.
    type: dict
    default: {}
  expect:
    description: How every server's proxy shall be; each is then judged by the gate C(proxy_enabled).
    type: str
    choices: [present, absent]
"""

EXAMPLES = r"""
- name: See how the proxy stands
  mixedversion.kubernetes.proxy_info:
    kubeconfig: /etc/kubernetes/admin.conf
  register: proxy

- name: Have it on everywhere
  ansible.builtin.assert:
    that: item.state == 'on'
    fail_msg: "{{ item.name }}: {{ item.state }}, {{ item.reason }}"
  loop: "{{ proxy.proxies }}"
"""

RETURN = r"""
cluster_uid:
  description: The uid of the namespace C(kube-system), by which clusters are told apart.
  returned: always
  type: str
proxies:
  description: One entry a server.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: "Name in the inventory, else the host name of the Lease.", type: str, returned: always}
    hostname: {description: Host name of the Lease., type: str, returned: always}
    address: {description: "Host and port; empty if nothing tells it.", type: str, returned: always}
    lease: {description: "Name of the identity Lease; empty if there is none.", type: str, returned: always}
    holder: {description: "Holder of the Lease; another one each time the server starts.", type: str, returned: always}
    lease_age_seconds:
      description: Seconds since the Lease was renewed, by the clock of the server that was asked for it.
      type: float
      returned: always
    lease_address:
      description: The address the Lease announces; empty while the gate is off. Peers do not read it.
      type: str
      returned: always
    version: {description: "The binary's version, from C(/version).", type: str, returned: always}
    emulated_version: {description: The minor whose API it serves., type: str, returned: always}
    ready: {description: Whether C(/readyz) answers 200., type: bool, returned: always}
    unready: {description: The lines of C(/readyz) that fail., type: list, elements: str, returned: always}
    gate: {description: Whether the feature gate is on., type: bool, returned: always}
    hook: {description: Whether the proxy's start hook is there and ok., type: bool, returned: always}
    hooks:
      description: "The proxy's start hooks that are there, each V(ok) or V(failed)."
      type: dict
      returned: always
    flags: {description: The flags in force that matter to the proxy., type: dict, returned: always}
    flags_source:
      description: V(flagz) if the server told them, V(process) if they are O(process_flags), else empty.
      type: str
      returned: always
    peers:
      description:
        - Each other server, and whether this one is known to know it. No API lists a server's peers, so this is
          inferred from what its discovery adds to what it serves itself.
        - RV(proxies[].peers[].known) is null where nothing tells, as between servers that serve the same.
      type: list
      elements: dict
      returned: always
      contains:
        name: {description: The other server., type: str, returned: always}
        known: {description: "True, false or null.", type: bool, returned: always}
        evidence: {description: What it is inferred from., type: str, returned: always}
    state:
      description: V(off), V(gate_only) (gate on, proxy inert), V(on) or V(impaired).
      type: str
      returned: always
    reason: {description: Why it is in that state., type: str, returned: always}
    counters:
      description: The proxy's counters since the server started, one entry a series. Absent ones never moved.
      type: list
      elements: dict
      returned: always
      contains:
        name: {description: Name of the counter., type: str, returned: always}
        labels: {description: Labels and their values., type: dict, returned: always}
        value: {description: The count., type: float, returned: always}
    error:
      description: Why the server could not be asked, or its counters not be read; empty when they could.
      type: str
      returned: always
dead_leases:
  description: Leases of servers that are gone, no host of O(inventory), not renewed and not answering.
  returned: when O(inventory) is given
  type: list
  elements: str
gates:
  description: The verdicts on C(inventory_matches_servers) and C(proxy_enabled).
  returned: when O(inventory) or O(expect) is given
  type: list
  elements: dict
"""

import concurrent.futures
import dataclasses
import datetime
import functools
import hashlib
import ssl
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _gate,
    _holders,
    _leases,
    _metrics,
    _proxy,
    _views,
)

#: A Lease that was never renewed is as old as time itself; no number of seconds is infinite in JSON.
NEVER = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)


#: New connections to an address that may be a load balancer's; it would have to choose one server each time.
CONNECTIONS = 6


@dataclasses.dataclass(frozen=True)
class Host:
    """A server as it is expected: its names, its Lease if it has one, and where it is reached, if that is known."""

    name: str
    hostname: str
    lease: _leases.Lease | None
    address: str


@dataclasses.dataclass(frozen=True)
class Look:
    """What one server answered. ``samples`` and ``flags`` are none where this user may not read them."""

    version: str
    emulated_version: str
    ready: bool
    lines: list[str]
    samples: list[_metrics.Sample] | None
    flags: dict[str, str] | None
    error: str = ""


def look(server: _api.Server) -> Look:
    """Everything one server tells about itself, but for its discovery."""
    version = server.get("/version")
    ready = server.request("GET", "/readyz?verbose")
    if ready.status in (401, 403):
        raise _api.ApiError(server.name, "/readyz", ready.status, ready.words)
    samples, error = None, ""
    try:
        samples = _metrics.parse(server.get_text("/metrics"), (_metrics.FEATURE_ENABLED, *_metrics.COUNTERS))
    except _api.ApiError as unread:
        # Without the right to read them the hooks still tell whether the gate is on and the proxy built.
        if unread.status not in (401, 403):
            raise
        error = str(unread)
    major, minor = version.get("emulationMajor"), version.get("emulationMinor")
    return Look(
        version=version["gitVersion"],
        emulated_version=f"{major}.{minor}" if major else f"{version['major']}.{version['minor'].rstrip('+')}",
        ready=ready.status == 200,
        lines=ready.body.decode(errors="replace").splitlines(),
        samples=samples,
        flags=flagz(server),
        error=error,
    )


def flagz(server: _api.Server) -> dict[str, str] | None:
    """The flags in force; none where they are not served (404), not in this form (406) or not to this user (403)."""
    answer = server.request("GET", "/flagz", headers={"Accept": _proxy.FLAGZ_ACCEPT})
    try:
        return _proxy.parse_flagz(answer.json()) if answer.status == 200 else None
    except ValueError:
        return None


def describe(host: Host, found: Look | _api.ApiError, others: int, process: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """One entry of ``proxies``, but for the peers and what the Lease alone tells."""
    flags, source = _proxy.effective(process), "process" if process else ""
    if isinstance(found, _api.ApiError):
        return {
            "version": "",
            "emulated_version": "",
            "ready": False,
            "unready": [],
            "gate": False,
            "hook": False,
            "hooks": {},
            "flags": flags,
            "flags_source": source,
            "state": _proxy.IMPAIRED,
            "reason": str(found),
            "counters": [],
            "error": str(found),
        }
    if found.flags is not None:
        flags, source = found.flags, "flagz"
    hooks = _proxy.hooks("\n".join(found.lines))
    gate = _proxy.GATE_HOOK in hooks
    if found.samples is not None:
        gate = _metrics.total(found.samples, _metrics.FEATURE_ENABLED, name=_metrics.GATE) == 1
    state, reason = _proxy.state(
        _proxy.Facts(gate, hooks, flags, found.emulated_version, host.lease, others, found.samples)
    )
    return {
        "version": found.version,
        "emulated_version": found.emulated_version,
        "ready": found.ready,
        "unready": [line for line in found.lines if line.startswith("[-]")],
        "gate": gate,
        "hook": hooks.get(_proxy.HOOK) == "ok",
        "hooks": hooks,
        "flags": flags,
        "flags_source": source,
        "state": state,
        "reason": reason,
        "counters": _proxy.counters(found.samples or ()),
        "error": found.error,
    }


def match(
    inventory: t.Sequence[t.Mapping[str, t.Any]],
    leases: t.Sequence[_leases.Lease],
    dead: t.Sequence[_leases.Lease] = (),
) -> tuple[list[Host], list[str]]:
    """Map each host to its Lease, and name everything that does not fit; what a dead server left behind does."""
    hosts = []
    troubles = []
    by_hostname = {lease.hostname: lease for lease in leases}
    seen: dict[str, str] = {}
    for item in inventory:
        name, hostname, lease = item["name"], item["hostname"], by_hostname.get(item["hostname"])
        announced = lease.address if lease else ""
        if lease is None:
            troubles.append(f"{name} (host name {hostname}) has no identity Lease, so no server runs there")
        elif hostname in seen:
            troubles.append(f"{name} is a second host for the server {hostname}, beside {seen[hostname]}")
        if sum(other["hostname"] == hostname for other in inventory) > 1:
            # They overwrite each other's Lease: its address is that of one of them, nobody knows of which.
            address = item["address"] or item["advertised"] or announced
        else:
            address = item["address"] or announced or item["advertised"]
        if lease and not (address or item.get("hints")):
            troubles.append(f"{name}: its Lease tells no address; set control_plane_api_address for this host")
        seen.setdefault(hostname, name)
        hosts.append(Host(name, hostname, lease, address))
    troubles += [
        f"the server {lease.hostname or lease.name} is not in the inventory"
        for lease in leases
        if lease.hostname not in seen and lease not in dead
    ]
    return hosts, troubles


def reached(hosts: t.Sequence[Host], inventory: t.Sequence[t.Mapping[str, t.Any]]) -> list[Host]:
    """The hosts, by a hint where nothing answers at the address that the server announces and something does there."""
    hints = {item["name"]: item.get("hints") or [] for item in inventory if not item["address"]}

    def choose(host: Host) -> Host:
        ways = list(dict.fromkeys(filter(None, [host.address, *hints.get(host.name, [])])))
        # Where nothing answers at any of them, as behind a proxy of the kubeconfig, the server's own word counts.
        way = next((way for way in ways if len(ways) == 1 or _holders.knock(way)[0]), ways[0] if ways else "")
        return dataclasses.replace(host, address=way)

    found = _api.at_once({host.name: functools.partial(choose, host) for host in hosts})
    return [t.cast(Host, found[host.name]) for host in hosts]


def strangers(
    cluster: _api.Cluster, inventory: t.Sequence[t.Mapping[str, t.Any]], hosts: t.Sequence[Host] = ()
) -> list[str]:
    """Addresses given by hand, or taken from a hint of *hosts*, that lead elsewhere than to the host's own server."""
    ways = {host.name: host.address for host in hosts}
    asked = {}
    for item in inventory:
        way = item["address"] or (ways.get(item["name"]) if ways.get(item["name"]) in (item.get("hints") or []) else "")
        if way and item["certificate"]:
            asked[item["name"]] = {**item, "address": way}

    def shown(name: str) -> set[str]:
        server = cluster.server(_api.Target(name, asked[name]["address"]))
        return {server.certificate_sum(_holders.CONNECT_TIMEOUT) for dummy in range(CONNECTIONS)}

    troubles = []
    for name, found in _api.at_once({name: functools.partial(shown, name) for name in asked}).items():
        own = hashlib.sha256(ssl.PEM_cert_to_DER_cert(asked[name]["certificate"])).hexdigest()
        # Who does not answer, or is not to be trusted, is told of by whoever asks it something.
        if not isinstance(found, _api.ApiError) and found != {own}:
            troubles.append(
                f"{asked[name]['address']}, given for {name}, shows another server's certificate than that on {name} "
                f"(in {CONNECTIONS} connections), as a load balancer does"
            )
    return troubles


def by_leases(servers: t.Sequence[t.Mapping[str, str]], leases: t.Sequence[_leases.Lease]) -> list[Host]:
    """The servers as their Leases tell, under the name and the address that the option ``servers`` has for them.

    One of ``servers`` without a Lease is there as well, and not ready: a server that stops in order takes it away.
    """
    hosts = []
    for lease in leases:
        hostname = lease.hostname or lease.name
        given = next((s for s in servers if lease.name == s.get("lease") or s["name"] == hostname), None) or next(
            (s for s in servers if lease.address and s["address"].rpartition("://")[2] == lease.address), None
        )
        name, address = (given["name"], given["address"]) if given else (hostname, lease.address)
        hosts.append(Host(name, hostname, lease, address))
    known = {host.name for host in hosts}
    return hosts + [Host(s["name"], s["name"], None, s["address"]) for s in servers if s["name"] not in known]


def left_behind(
    inventory: t.Sequence[t.Mapping[str, str]], leases: t.Sequence[_leases.Lease], now: datetime.datetime
) -> list[_leases.Lease]:
    """Leases of no host of the inventory that nobody renews, and at whose address nothing answers."""
    hostnames = {item["hostname"] for item in inventory}
    strange = [lease for lease in leases if lease.hostname not in hostnames]
    old = [lease for lease in strange if lease.age_seconds(now) > _leases.FRESH_SECONDS]
    return [lease for lease in old if _holders.knock(lease.address)[0] is False]


def ask(hosts: t.Sequence[Host], cluster: _api.Cluster) -> tuple[dict[str, Look | _api.ApiError], _views.Look]:
    """All servers at once, and their discovery beside it."""
    servers = {host.name: cluster.server(_api.Target(host.name, host.address)) for host in hosts if host.address}
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        views = pool.submit(_views.Reader(servers).look)
        found = _api.at_once({name: functools.partial(look, server) for name, server in servers.items()})
        return found, views.result()


def known_peers(
    host: Host, others: t.Sequence[str], found: Look | _api.ApiError, seen: _views.Look
) -> list[dict[str, t.Any]]:
    """Which of the *others* this server knows."""
    # Its own discovery was read, yet something about it was not: what is never proxied, so nothing can be compared.
    unread = [e for name, e in seen.errors.items() if name in seen.views and _leases.LIST_PATH not in e.path]
    known, evidence = None, ""
    if isinstance(found, _api.ApiError):
        evidence = str(found)
    elif _proxy.HOOK not in _proxy.hooks("\n".join(found.lines)):
        known, evidence = False, f"{host.name} has no proxy"
    elif unread:
        evidence = f"what is never proxied could not be read: {unread[0]}"
    else:
        return _proxy.known_peers(host.name, others, seen.views, seen.excluded, _proxy.fetches(found.samples))
    return [{"name": other, "known": known, "evidence": evidence} for other in others]


def judge(proxies: t.Sequence[t.Mapping[str, t.Any]], present: bool) -> list[_gate.Gate]:
    """The gate C(proxy_enabled), one verdict a server."""
    gates = []
    for proxy in proxies:
        holds = (proxy["state"] == _proxy.ON) if present else (proxy["state"] in (_proxy.OFF, _proxy.GATE_ONLY))
        gate = _gate.Gate(
            id="proxy_enabled",
            verdict=_gate.PASSED if holds else _gate.FAILED,
            node=proxy["name"],
            observed=f"{proxy['state']}: {proxy['reason']}",
            expected="gate, --peer-ca-file and hook, so that the proxy is on" if present else "no proxy",
        )
        if not holds and present and len(proxies) == 1 and not proxy["error"]:
            gate.verdict = _gate.NOT_EXERCISED
        elif not holds and proxy["state"] == _proxy.IMPAIRED:
            gate.next_action = "ansible-playbook mixedversion.kubernetes.diagnose names the cause."
        elif not holds:
            state = "" if present else " -e control_plane_proxy_state=absent"
            gate.next_action = f"ansible-playbook mixedversion.kubernetes.proxy{state} does that, a server at a time."
        gates.append(gate)
    return gates


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "inventory": {
                    "type": "list",
                    "elements": "dict",
                    "options": {
                        "name": {"type": "str", "required": True},
                        "hostname": {"type": "str", "required": True},
                        "address": {"type": "str", "default": ""},
                        "advertised": {"type": "str", "default": ""},
                        "certificate": {"type": "str", "default": ""},
                        "hints": {"type": "list", "elements": "str", "default": []},
                    },
                },
                "process_flags": {"type": "dict", "default": {}},
                "expect": {"type": "str", "choices": ["present", "absent"]},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    cluster = _api.connect(module)
    try:
        items, now = _holders.read_list(cluster.endpoint)
        leases = _leases.parse_list({"items": items})
        uid = cluster.endpoint.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    except _api.ApiError as error:
        module.fail_json(
            msg=f"The cluster can't be asked: {error}. Expected an answer with the kubeconfig "
            f"{params['kubeconfig'] or 'found by default'}. Check it with kubectl get --raw /version."
        )
    result: dict[str, t.Any] = {"changed": False, "cluster_uid": uid}
    if params["inventory"] is not None:
        given = {server["name"]: server["address"] for server in params["servers"] or []}
        inventory = [{**item, "address": given.get(item["name"]) or item["address"]} for item in params["inventory"]]
        dead = left_behind(inventory, leases, now)
        hosts, troubles = match(inventory, leases, dead)
        hosts = reached(hosts, inventory)
        troubles += strangers(cluster, inventory, hosts)
        result["dead_leases"] = [lease.name for lease in dead]
        gate = _gate.Gate(
            id="inventory_matches_servers",
            verdict=_gate.FAILED if troubles else _gate.PASSED,
            observed="; ".join(troubles)
            or f"{len(hosts)} hosts, {len(leases) - len(dead)} servers: "
            + ", ".join(host.name for host in hosts)
            + "".join(f"; {lease.hostname or lease.name} is gone and left its Lease behind" for lease in dead),
            expected="each host of the group is exactly one server, and each server is a host of the group",
            next_action="Correct the inventory's group, or wait until the server named has started (its Lease in "
            "kube-system shows it); remove the Lease of a server that is gone for good.",
        )
        result["gates"] = [gate.dump()]
    else:
        hosts = by_leases(params["servers"] or [], leases)
    found, seen = ask(hosts, cluster)
    proxies = []
    for host in hosts:
        nowhere = _api.ApiError(host.name, "", 0, "nothing tells its address: no option does, nor does a Lease")
        answer = found.get(host.name, nowhere)
        others = [other.name for other in hosts if other is not host]
        lease = host.lease
        proxies.append(
            {
                "name": host.name,
                "hostname": host.hostname,
                "address": host.address,
                "lease": lease.name if lease else "",
                "holder": lease.holder if lease else "",
                "lease_age_seconds": max(0.0, (now - (lease.renewed or NEVER)).total_seconds()) if lease else 0.0,
                "lease_address": lease.address if lease else "",
                **describe(host, answer, len(others), params["process_flags"].get(host.name) or {}),
                "peers": known_peers(host, others, answer, seen),
            }
        )
    if params["expect"]:
        result.setdefault("gates", []).extend(gate.dump() for gate in judge(proxies, params["expect"] == "present"))
    module.exit_json(proxies=proxies, **result)


if __name__ == "__main__":
    main()
