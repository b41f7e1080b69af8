#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Name what is wrong with the Mixed Version Proxy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose_info
short_description: Name what is wrong with the Mixed Version Proxy
version_added: 0.1.0
description:
  - Takes what the other readers gathered of nodes, servers and ways between them, reads what only the API tells, and
    names each cause that it finds, with evidence, confidence and next action; the root before what follows from it.
  - Reads every server's discovery, the identity Leases, CustomResourceDefinitions, APIServices, and the binding
    C(system:discovery); connects anew to each server's address to see whether one server or several answer there; and
    connects to the address of a Lease that nobody renews.
  - Nothing that can't be read ends it; RV(notes) says what was not judged.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  hosts:
    description: Names of all hosts of the control plane, those included that could not be read.
    type: list
    elements: str
    default: []
  nodes:
    description:
      - What M(mixedversion.kubernetes.node_info) returned for each node, with its C(name); a node that can't be reached
        is left out.
    type: list
    elements: dict
    default: []
  proxies:
    description: What M(mixedversion.kubernetes.proxy_info) returned.
    type: list
    elements: dict
    default: []
  peers:
    description:
      - What M(mixedversion.kubernetes.peer_info) returned, by the name of the node it ran on.
      - An entry of a node for itself tells a server that is down from one that can't be reached.
    type: dict
    default: {}
  untried:
    description: For each node on which M(mixedversion.kubernetes.peer_info) could not run, why not.
    type: dict
    default: {}
  leases:
    description: Names of further Leases that shall be there, beside those of O(nodes) and O(proxies).
    type: list
    elements: str
    default: []
  patience:
    description: Seconds that a peer just started, or a new CRD, has to come by itself before it is named.
    type: float
    default: 5.0
"""

EXAMPLES = r"""
- name: Name what is wrong
  mixedversion.kubernetes.diagnose_info:
    kubeconfig: admin.conf
    proxies: "{{ proxy.proxies }}"
    peers:
      cp1: "{{ peers_of_cp1.peers }}"
  register: diagnosis
"""

RETURN = r"""
findings:
  description: One entry a cause, roots first, warnings last.
  returned: always
  type: list
  elements: dict
  contains:
    cause: {description: What is wrong; docs/causes.md has them all., type: str, returned: always}
    server: {description: "The server it is about; empty for the cluster as a whole.", type: str, returned: always}
    peer: {description: The peer it is about., type: str, returned: always}
    evidence: {description: What was seen., type: str, returned: always}
    confidence: {description: "V(certain), V(likely) or V(possible).", type: str, returned: always}
    root: {description: Whether it stands by itself; else it follows from another., type: bool, returned: always}
    next_action: {description: What to do., type: str, returned: always}
    repaired: {description: Whether it was repaired., type: bool, returned: always}
notes:
  description: What was not judged, and what is wrong but no cause of the proxy's, such as a server that is down.
  returned: always
  type: list
  elements: str
dead_leases:
  description: Names of the Leases that M(mixedversion.kubernetes.heal_peers) may delete.
  returned: always
  type: list
  elements: str
live_leases:
  description: Name of the Lease of each server that answers, by the server's name.
  returned: always
  type: dict
seen:
  description: What this module read.
  returned: always
  type: dict
"""

import functools
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _gate,
    _holders,
    _leases,
    _metrics,
    _views,
)

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
DISCOVERY = "system:discovery"
AUTHENTICATED = "system:authenticated"
#: What a server asks its peers for.
FETCHED = ("/api", "/apis")
#: New connections to each address: that a load balancer leads all of them to one of three servers is past chance.
CONNECTIONS = 6
START_TIME = "process_start_time_seconds"

R = t.TypeVar("R")


def untrue(item: t.Mapping[str, t.Any], condition: str) -> str:
    """Why a condition does not hold; empty if it does."""
    for found in item.get("status", {}).get("conditions") or []:
        if found["type"] == condition:
            if found["status"] == "True":
                return ""
            words = ": ".join(str(found[key]) for key in ("reason", "message") if found.get(key))
            return words or f"{condition} is {found['status']}"
    return f"it has no condition {condition} yet"


def lacking(document: t.Mapping[str, t.Any], condition: str) -> list[dict[str, str]]:
    """The objects of a list of which a condition does not hold."""
    return [
        {"name": item["metadata"]["name"], "words": words}
        for item in document.get("items") or []
        for words in [untrue(item, condition)]
        if words
    ]


def binding_words(binding: t.Mapping[str, t.Any] | None, role: t.Mapping[str, t.Any] | None) -> str:
    """What is wrong with the binding by which servers may fetch each other's discovery; empty if nothing is."""
    if binding is None:
        return f"there is no ClusterRoleBinding {DISCOVERY}"
    if binding.get("roleRef", {}).get("name") != DISCOVERY:
        return f"the ClusterRoleBinding {DISCOVERY} gives the role {binding.get('roleRef', {}).get('name')}"
    subjects = [subject.get("name", "") for subject in binding.get("subjects") or []]
    if AUTHENTICATED not in subjects:
        return f"the ClusterRoleBinding {DISCOVERY} is for {', '.join(subjects) or 'nobody'}, not for {AUTHENTICATED}"
    if role is None:
        return f"there is no ClusterRole {DISCOVERY}"
    allowed = {
        url
        for rule in role.get("rules") or []
        if {"get", "*"} & set(rule.get("verbs") or [])
        for url in rule.get("nonResourceURLs") or []
    }
    closed = [url for url in FETCHED if not {url, "*", "/*"} & allowed]
    return f"the ClusterRole {DISCOVERY} does not allow get of {' and '.join(closed)}" if closed else ""


def read_leases(server: _api.Server) -> list[dict[str, t.Any]]:
    """Every identity Lease, with its age by the server's own clock."""
    items, now = _holders.read_list(server)
    found = []
    for item in items:
        lease = _leases.parse(item)
        created = _leases.parse_time(item["metadata"].get("creationTimestamp"))
        found.append(
            {
                "name": lease.name,
                "hostname": lease.hostname,
                "holder": lease.holder,
                "address": lease.address,
                # A Lease never renewed is as old as anything; JSON knows no infinity.
                "age_seconds": min(max(lease.age_seconds(now), 0.0), 1e9),
                "started_seconds": (now - created).total_seconds() if created else 1e9,
                "answers": None,
                "words": "",
            }
        )
    return found


def one_read(server: _api.Server, path: str) -> dict[str, t.Any] | None:
    """One object; ``None`` if there is none of that name."""
    try:
        return dict(server.get(path))
    except _api.ApiError as error:
        if error.status == 404:
            return None
        raise


def who_answers(cluster: _api.Cluster, target: _api.Target, shared: bool) -> dict[str, t.Any]:
    """What tells one server from another, over new connections: certificates, or start times where all share one."""
    found: dict[str, t.Any] = {"certificates": [], "starts": [], "error": ""}
    for dummy in range(CONNECTIONS):
        server = cluster.server(target)
        try:
            if shared:
                samples = _metrics.parse(server.get_text("/metrics"), (START_TIME,))
                found["starts"].append(_metrics.total(samples, START_TIME))
            else:
                found["certificates"].append(server.certificate_sum(_holders.CONNECT_TIMEOUT))
        except _api.ApiError as error:
            found["error"] = str(error)
            break
    return found


class Reading:
    """What only the API tells. Each part is read by itself, so that what one lacks the right for hides no other."""

    def __init__(self, cluster: _api.Cluster, params: t.Mapping[str, t.Any]) -> None:
        self.cluster = cluster
        self.params = params
        self.errors: dict[str, str] = {}
        self.targets = {
            proxy["name"]: _api.Target(proxy["name"], proxy["address"])
            for proxy in params["proxies"]
            if proxy.get("address") and not proxy.get("error")
        }
        servers = {name: cluster.server(target) for name, target in self.targets.items()}
        self.views = _views.Reader(servers)
        # Any server tells what is the cluster's; the kubeconfig's own endpoint may be the one that is broken.
        self.server = next(iter(servers.values()), cluster.endpoint)

    def part(self, name: str, read: t.Callable[[], R], otherwise: R) -> R:
        try:
            found = read()
        except (_api.ApiError, KeyError, TypeError, ValueError) as error:
            self.errors[name] = str(error)
            return otherwise
        self.errors.pop(name, None)
        return found

    def discovery(self) -> dict[str, str]:
        binding = one_read(self.server, f"{RBAC}/clusterrolebindings/{DISCOVERY}")
        role = one_read(self.server, f"{RBAC}/clusterroles/{DISCOVERY}")
        return {"words": binding_words(binding, role)}

    def stale(self) -> list[dict[str, t.Any]]:
        look = self.views.look()
        for name, error in look.errors.items():
            self.errors[f"discovery of {name}"] = str(error)
        return [
            {"server": name, "peer": peer, "resources": resources}
            for (name, peer), resources in _holders.stale(look).items()
        ]

    def unsettled(self) -> dict[str, list[dict[str, t.Any]]]:
        """What may just be on its way: a peer's discovery, a CRD that was made a moment ago."""
        work: dict[str, t.Callable[[], list[dict[str, t.Any]]]] = {
            "stale": lambda: self.part("discovery", self.stale, []),
            "crds": lambda: self.part("crds", lambda: list(lacking(self.server.get(CRDS), "Established")), []),
            "apiservices": lambda: self.part(
                "apiservices", lambda: list(lacking(self.server.get(APISERVICES), "Available")), []
            ),
        }
        found = _api.at_once(work)
        return t.cast("dict[str, list[dict[str, t.Any]]]", found)

    def leases(self) -> list[dict[str, t.Any]]:
        found = read_leases(self.server)
        old = [lease for lease in found if lease["age_seconds"] > _leases.FRESH_SECONDS]
        answers = _api.at_once({lease["name"]: functools.partial(_holders.knock, lease["address"]) for lease in old})
        for lease in old:
            lease["answers"], lease["words"] = t.cast("tuple[bool | None, str]", answers[lease["name"]])
        return found

    def addresses(self) -> dict[str, t.Any]:
        pems = [
            found["pem"]
            for node in self.params["nodes"]
            for found in node.get("certificates") or []
            if found.get("role") == "serving"
        ]
        shared = len(pems) < len(self.params["nodes"]) or len(set(pems)) < len(pems)
        work = {
            name: functools.partial(who_answers, self.cluster, target, shared) for name, target in self.targets.items()
        }
        return dict(_api.at_once(work))

    def everything(self) -> dict[str, t.Any]:
        started = time.monotonic()
        none: list[dict[str, t.Any]] = []
        seen: dict[str, t.Any] = {
            "leases": self.part("leases", self.leases, none),
            "discovery": self.part("the binding system:discovery", self.discovery, {"words": ""}),
            "addresses": self.addresses(),
        }
        found = self.unsettled()
        while any(found.values()) and time.monotonic() - started < self.params["patience"]:
            # Bounds the load; what is looked for comes by itself or not at all.
            time.sleep(max(self.params["interval"], 0.05))
            found = self.unsettled()
        return {**seen, **found, "errors": self.errors}


def main() -> t.NoReturn:
    dicts: dict[str, t.Any] = {"type": "list", "elements": "dict", "default": []}
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "hosts": {"type": "list", "elements": "str", "default": []},
                "nodes": dicts,
                "proxies": dicts,
                "peers": {"type": "dict", "default": {}},
                "untried": {"type": "dict", "default": {}},
                "leases": {"type": "list", "elements": "str", "default": []},
                "patience": {"type": "float", "default": 5.0},
            },
        ),
        supports_check_mode=True,
    )
    seen = Reading(_api.connect(module), module.params).everything()
    # The action plug-in judges: certificates need cryptography, which only the controller is sure to have.
    module.exit_json(changed=False, seen=seen)


if __name__ == "__main__":
    main()
