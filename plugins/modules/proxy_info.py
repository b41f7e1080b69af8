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
  - Asks every server of a cluster directly for its version, its readiness, the gate
    C(UnknownVersionInteroperabilityProxy), the hook that shows a configured proxy, and the proxy's counters; and reads
    its identity Lease.
  - With O(inventory), each host is mapped to exactly one server, which is the gate C(inventory_matches_servers).
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
"""

EXAMPLES = r"""
- name: See how the proxy stands
  mixedversion.kubernetes.proxy_info:
    kubeconfig: /etc/kubernetes/admin.conf
  register: proxy
"""

RETURN = r"""
proxies:
  description: One entry a server.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: "Name in the inventory, else the host name of the Lease.", type: str, returned: always}
    hostname: {description: Host name of the Lease., type: str, returned: always}
    address: {description: Host and port., type: str, returned: always}
    lease: {description: Name of the identity Lease., type: str, returned: always}
    holder: {description: "Holder of the Lease; another one each time the server starts.", type: str, returned: always}
    version: {description: "The binary's version, from C(/version).", type: str, returned: always}
    emulated_version: {description: The minor whose API it serves., type: str, returned: always}
    ready: {description: Whether C(/readyz) answers 200., type: bool, returned: always}
    gate: {description: Whether the feature gate is on., type: bool, returned: always}
    hook: {description: Whether the proxy's start hook is there and ok., type: bool, returned: always}
    state:
      description: V(off), V(gate_only) (gate on, proxy inert), V(on) or V(impaired).
      type: str
      returned: always
    reason: {description: Why it is in that state., type: str, returned: always}
    counters: {description: The proxy's counters since the server started., type: dict, returned: always}
    error: {description: "Why the server could not be asked; empty when it could.", type: str, returned: always}
gates:
  description: The verdict on C(inventory_matches_servers).
  returned: when O(inventory) is given
  type: list
  elements: dict
"""

import functools
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _leases, _metrics

HOOK = "poststarthook/mixed-version-proxy-handler"
COUNTERS = (_metrics.REROUTED, _metrics.SYNC_ERRORS, _metrics.PROXY_ERRORS, _metrics.NOPEER_REQUESTS)


def look(server: _api.Server) -> dict[str, t.Any]:
    """Everything one server tells about itself."""
    version = server.get("/version")
    ready = server.request("GET", "/readyz?verbose")
    lines = ready.body.decode(errors="replace").splitlines()
    samples = _metrics.parse(server.get_text("/metrics"), (_metrics.FEATURE_ENABLED, *COUNTERS))
    gate = _metrics.total(samples, _metrics.FEATURE_ENABLED, name=_metrics.GATE) == 1
    hook = any(line.startswith(f"[+]{HOOK} ") for line in lines)
    broken = any(line.startswith(f"[-]{HOOK} ") for line in lines)
    if broken:
        state, reason = "impaired", f"the hook {HOOK} fails"
    elif hook:
        state, reason = "on", f"the hook {HOOK} is ok"
    elif gate:
        state, reason = "gate_only", "the gate is on, but without --peer-ca-file the server has no proxy"
    else:
        state, reason = "off", "the gate is off"
    major, minor = version.get("emulationMajor"), version.get("emulationMinor")
    return {
        "version": version["gitVersion"],
        "emulated_version": f"{major}.{minor}" if major else f"{version['major']}.{version['minor'].rstrip('+')}",
        "ready": ready.status == 200,
        "unready": [line for line in lines if line.startswith("[-]")],
        "gate": gate,
        "hook": hook,
        "state": state,
        "reason": reason,
        "counters": {name: _metrics.total(samples, name) for name in COUNTERS},
        "error": "",
    }


def nothing(error: str) -> dict[str, t.Any]:
    """The same shape, for a server that could not be asked."""
    return {
        "version": "",
        "emulated_version": "",
        "ready": False,
        "unready": [],
        "gate": False,
        "hook": False,
        "state": "impaired",
        "reason": error,
        "counters": {},
        "error": error,
    }


def match(inventory: list[dict[str, str]], leases: list[_leases.Lease]) -> tuple[dict[str, _leases.Lease], list[str]]:
    """Map each host to its Lease, and name everything that does not fit."""
    found: dict[str, _leases.Lease] = {}
    troubles = []
    by_hostname = {lease.hostname: lease for lease in leases}
    for host in inventory:
        lease = by_hostname.get(host["hostname"])
        if lease is None:
            troubles.append(
                f"{host['name']} (host name {host['hostname']}) has no identity Lease, so no server runs there"
            )
        elif lease.name in [other.name for other in found.values()]:
            troubles.append(f"{host['name']} is a second host for the server {lease.hostname}")
        else:
            found[host["name"]] = lease
            if not (host["address"] or lease.address):
                troubles.append(
                    f"{host['name']}: its Lease tells no address; set control_plane_api_address for this host"
                )
    known = {host["hostname"] for host in inventory}
    troubles += [
        f"the server {lease.hostname or lease.name} is not in the inventory"
        for lease in leases
        if lease.hostname not in known
    ]
    return found, troubles


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
                    },
                }
            },
        ),
        supports_check_mode=True,
    )
    cluster = _api.connect(module)
    inventory = module.params["inventory"]
    try:
        leases = cluster.leases()
        uid = cluster.endpoint.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    except _api.ApiError as error:
        module.fail_json(
            msg=f"The cluster can't be asked: {error}. Expected an answer with the kubeconfig "
            f"{module.params['kubeconfig'] or 'found by default'}. Check it with kubectl get --raw /version."
        )
    result: dict[str, t.Any] = {"changed": False, "cluster_uid": uid}
    if inventory is not None:
        matched, troubles = match(inventory, leases)
        addresses = {host["name"]: host["address"] for host in inventory}
        gate = _gate.Gate(
            id="inventory_matches_servers",
            verdict=_gate.FAILED if troubles else _gate.PASSED,
            observed="; ".join(troubles) or f"{len(matched)} hosts, {len(leases)} servers: " + ", ".join(matched),
            expected="each host of the group is exactly one server, and each server is a host of the group",
            next_action="Correct the inventory's group, or wait until the server named has started (its Lease in "
            "kube-system shows it); remove the Lease of a server that is gone for good.",
        )
        result["gates"] = [gate.dump()]
    else:
        matched, addresses = {lease.hostname or lease.name: lease for lease in leases}, {}
    for server in module.params["servers"] or []:
        addresses[server["name"]] = server["address"]
    asked = {
        name: _api.Target(name, addresses.get(name) or lease.address)
        for name, lease in matched.items()
        if addresses.get(name) or lease.address
    }
    answers = _api.at_once({name: functools.partial(look, cluster.server(target)) for name, target in asked.items()})
    proxies = []
    for name, lease in matched.items():
        answer = answers.get(name) or nothing("its Lease tells no address")
        proxies.append(
            {
                "name": name,
                "hostname": lease.hostname,
                "address": asked[name].address if name in asked else "",
                "lease": lease.name,
                "holder": lease.holder,
                **(nothing(str(answer)) if isinstance(answer, _api.ApiError) else answer),
            }
        )
    module.exit_json(proxies=proxies, **result)


if __name__ == "__main__":
    main()
