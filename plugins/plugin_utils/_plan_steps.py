# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The steps of an upgrade in the order in which the playbook takes them, and what is not available meanwhile.

Phases are named as the report names them, so that what an earlier run took tells what this one may take.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _version

SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
UNKNOWN = "not known yet"
#: A phase of some runs only, as servers die without being asked; no plan hangs on it.
DEAD_LEASES = "remove dead Leases"
#: Where a user who wants to be told is told.
NOTIFIED = ("before_run", "after_node")


class Facts(t.TypedDict):
    """What a plan is made of, as the readers returned it."""

    cluster: dict[str, str]
    target: str
    driver: str
    order: list[str]
    nodes: list[dict[str, t.Any]]
    proxies: list[dict[str, t.Any]]
    etcd: dict[str, t.Any]
    work: dict[str, dict[str, bool]]
    #: By node: ``wanted`` and ``former``, each with ``flags`` and ``gates``.
    proxy: dict[str, dict[str, t.Any]]
    etcd_step: str
    #: The etcd that the target brings; empty: none, None: nobody can tell before the target's kubeadm is there.
    etcd_target: str | None
    settings: dict[str, t.Any]
    accepted_risks: list[dict[str, t.Any]]
    dead_leases: list[str]


def change(what: str, before: t.Any, after: t.Any) -> dict[str, str]:
    return {"what": what, "from": _said(before), "to": _said(after)}


def _said(value: t.Any) -> str:
    return "not set" if value is None or value == "" else str(value).lower() if isinstance(value, bool) else str(value)


# Steps


def steps(facts: Facts) -> list[dict[str, t.Any]]:
    """What the playbook would do, phase by phase; empty if nothing is to be done."""
    work = {node: facts["work"].get(node, {}) for node in facts["order"]}
    if not any(any(needs.values()) for needs in work.values()):
        return []
    nodes = {node["name"]: node for node in facts["nodes"]}
    found = [_step("backup", "", _backup(facts)), *_hooks(facts, "before_run")]
    if facts["dead_leases"]:
        found.append(_step(DEAD_LEASES, "", [f"delete the Lease {name}" for name in facts["dead_leases"]]))
    found += _fetch(facts, work)
    for name in facts["order"]:
        if work[name].get("etcd_step"):
            found += _between_hooks(facts, name, [_etcd_step(facts, nodes[name])])
        if work[name].get("proxy"):
            found += _between_hooks(facts, name, [_proxy(facts, nodes[name])])
    found.append(_step("prove the peers", "", _peers(facts)))
    for name in facts["order"]:
        if work[name].get("control_plane"):
            stepped = bool(work[name].get("etcd_step"))
            found += _between_hooks(facts, name, _control_plane(facts, nodes[name], stepped))
    for name in facts["order"]:
        if work[name].get("kubelet"):
            found += _between_hooks(facts, name, [*_drain(facts, name), _kubelet(facts, nodes[name])])
    found += [_step("final verification", "", _final(facts)), *_hooks(facts, "after_run")]
    return [{"number": number, **step} for number, step in enumerate(found, 1)]


def _step(
    phase: str,
    node: str,
    does: t.Sequence[str],
    changes: t.Sequence[dict[str, str]] = (),
    unavailable: t.Sequence[dict[str, t.Any]] = (),
) -> dict[str, t.Any]:
    return {
        "phase": phase,
        "node": node,
        "does": list(does),
        "changes": [entry for entry in changes if entry["from"] != entry["to"]],
        "unavailable": list(unavailable),
        "estimated_seconds": None,
    }


def _hooks(facts: Facts, point: str, node: str = "") -> list[dict[str, t.Any]]:
    """The user's own tasks at a point; a notification alone makes the phase as well."""
    hooks = facts["settings"].get("hooks", {})
    does = [f"run {file}" for file in hooks.get(point, [])]
    if hooks.get("notify") and point in NOTIFIED:
        does.append("notify")
    return [_step(f"{point} hooks", node, does)] if does else []


def _tasks(facts: Facts, point: str) -> list[str]:
    """The user's own tasks at a point of the driver custom."""
    return [f"run {file}" for file in facts["settings"].get("custom", {}).get(point, [])]


def _between_hooks(facts: Facts, node: str, found: t.Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    return [*_hooks(facts, "before_node", node), *found, *_hooks(facts, "after_node", node)]


def _drain(facts: Facts, node: str) -> list[dict[str, t.Any]]:
    if not facts["settings"].get("drain"):
        return []
    away = {
        "what": "room for pods",
        "why": "the node is cordoned and emptied until its kubelet is back",
        "whole": False,
    }
    drain = _step("drain", node, ["cordon the node", "evict what can run elsewhere"], (), [away])
    return [*_hooks(facts, "before_drain", node), drain, *_hooks(facts, "after_drain", node)]


def _backup(facts: Facts) -> list[str]:
    return [
        "hold the lock, the Lease mixedversion-kubernetes in kube-system",
        "take a snapshot of etcd and prove it",
        "pack each node's /etc/kubernetes and what lies elsewhere"
        + (", and kubeadm's configuration" if facts["driver"] == "kubeadm" else ""),
        "keep it on the controller, with its copies, and remove what is too old",
    ]


def _fetch(facts: Facts, work: t.Mapping[str, t.Mapping[str, bool]]) -> list[dict[str, t.Any]]:
    """On all nodes at once, before the first of them is touched."""
    kubeadm, custom = facts["driver"] == "kubeadm", facts["driver"] == "custom"
    images: list[str] = []
    binaries: list[str] = []
    stepped = [name for name in facts["order"] if work[name].get("etcd_step")]
    moved = [name for name in facts["order"] if work[name].get("control_plane")]
    if stepped:
        (images if kubeadm else binaries).append(f"etcd {facts['etcd_step']} on {', '.join(stepped)}")
    if moved and kubeadm:
        images.append(f"{facts['target']} on {', '.join(moved)}")
    if moved and not custom and (not kubeadm or facts["settings"].get("kubeadm_binaries") == "binary"):
        binaries.append(f"{facts['target']} on {', '.join(moved)}")
    if moved and kubeadm and facts["settings"].get("kubeadm_binaries") == "package":
        does = [f"configure the repository of {facts['target']} and download its packages on {', '.join(moved)}"]
    else:
        does = []
    does += [f"have the images of {what}" for what in images] + [f"bring the binaries of {what}" for what in binaries]
    does += _tasks(facts, "fetch") if moved else []
    return [_step("fetch images and binaries", "", does)] if does else []


def _health(facts: Facts, node: t.Mapping[str, t.Any]) -> list[str]:
    """Before everything that restarts a member or a server."""
    member = node.get("etcd_member") or ""
    found = ["have every server ready"]
    if member:
        now = facts["etcd"].get("leader") == member
        found.append("have etcd's quorum without this member")
        found.append("let another member lead" + (", as this one does now" if now else " if this one leads by then"))
    return found


def _etcd_step(facts: Facts, node: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    kubeadm = facts["driver"] == "kubeadm"
    does = [
        *_health(facts, node),
        "switch the image in the manifest of etcd" if kubeadm else "switch the binary of etcd and restart etcd.service",
        "wait for the member and for the server",
    ]
    changes = [change("etcd", _member_version(facts, node), facts["etcd_step"])]
    return _step("step etcd", node["name"], does, changes, _member_away(facts, node))


def _proxy(facts: Facts, node: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    kubeadm = facts["driver"] == "kubeadm"
    does = [
        *_health(facts, node),
        *(["keep the flags in kubeadm-config"] if kubeadm else []),
        *(
            ["set the flags in the manifest of kube-apiserver; the kubelet restarts it"]
            if kubeadm
            else _tasks(facts, "flags") or ["the flags are to be set by control_plane_custom_flags, which is not set"]
            if facts["driver"] == "custom"
            else ["set the flags in a drop-in of kube-apiserver.service and restart it"]
        ),
        "wait for the server and for convergence; if it does not come, give it its former flags and stop",
    ]
    proxy = facts["proxy"][node["name"]]
    changes = [
        change(f"kube-apiserver {prefix}{name}", proxy["former"][kind].get(name), value)
        for kind, prefix in (("flags", "--"), ("gates", "--feature-gates "))
        for name, value in proxy["wanted"][kind].items()
    ]
    return _step("enable the proxy", node["name"], does, changes, _server_away(facts))


def _peers(facts: Facts) -> list[str]:
    if len(facts["proxies"]) < 2:
        return ["nothing to prove, as there is one server"]
    return [
        "reach every peer from every node, with the servers' own certificates",
        "have every server fetch from its peers: change the holder of Leases, count the fetches, and change it back",
    ]


def _control_plane(facts: Facts, node: t.Mapping[str, t.Any], stepped: bool) -> list[dict[str, t.Any]]:
    name, target = node["name"], facts["target"]
    kubeadm = facts["driver"] == "kubeadm"
    brings = facts["settings"].get("kubeadm_binaries") in ("binary", "package")
    before = facts["etcd_step"] if stepped else _member_version(facts, node)
    after = facts["etcd_target"]
    changes = [change(component, node["components"].get(component), target) for component in SERVERS]
    # What is not known is told, once, and only where this step may touch the member.
    touches = bool(node.get("etcd_member")) and (after is None or after not in ("", before))
    if touches:
        changes.insert(0, change("etcd", before, UNKNOWN if after is None else after))
    if kubeadm and brings:
        changes.insert(0, change("kubeadm", node["components"].get("kubeadm"), target))
    if kubeadm:
        does = ["switch kubeadm"] if brings else []
        does += ["run kubeadm upgrade (apply, or node once kubeadm-config names the target)"]
    elif facts["driver"] == "custom":
        does = _tasks(facts, "step")
    else:
        does = ["switch etcd's binary and restart it; wait for the member"] if touches else []
        does += [
            "switch kube-apiserver's binary and restart it; wait for the server",
            "switch kube-controller-manager's and kube-scheduler's binaries and restart them",
        ]
    away = [*(_member_away(facts, node) if touches else []), *_server_away(facts)]
    away.append(
        {
            "what": "controller manager and scheduler",
            "why": "they restart; those of another node lead" if len(facts["proxies"]) > 1 else "they restart",
            "whole": False,
        }
    )
    gates = [
        "the server is the target, and another process",
        *(["etcd's member caught up"] if node.get("etcd_member") else []),
        *(["peers reached both ways, stale ones healed"] if len(facts["proxies"]) > 1 else []),
        "discovery converged",
        "proxied reads proven",
        "controller manager and scheduler led",
        *(["the user's probes"] if facts["settings"].get("probes") else []),
        *([f"watch it for {facts['settings']['soak']} s"] if facts["settings"].get("soak") else []),
    ]
    return [
        _step("health and quorum", name, _health(facts, node)),
        _step("driver step", name, does, changes, away),
        _step("gates", name, gates),
    ]


def _kubelet(facts: Facts, node: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    brings = facts["settings"].get("kubeadm_binaries") in ("binary", "package")
    does = [
        *_health(facts, node),
        *(["switch kubelet and kubectl"] if brings and facts["driver"] == "kubeadm" else []),
        *(_tasks(facts, "kubelet") if facts["driver"] == "custom" else ["restart the kubelet"]),
        "wait for the Node, the server, etcd's member and convergence",
    ]
    away = [
        {
            "what": "API server and etcd member",
            "why": "a kubelet may start its static pods anew",
            "whole": len(facts["proxies"]) == 1 or any(away["whole"] for away in _member_away(facts, node)),
        }
    ]
    # The kubelet that runs, not the file: that one may be the target's already.
    changes = [change("kubelet", node.get("kubelet_version") or node["components"].get("kubelet"), facts["target"])]
    return _step("kubelet", node["name"], does, changes, away)


def _final(facts: Facts) -> list[str]:
    alpha = any(p["version"] and _version.parse(p["version"])[:2] < (1, 36) for p in facts["proxies"])
    found = ["every server's proxy on", "the same version everywhere", "discovery converged", "nothing left to prove"]
    if facts["driver"] == "kubeadm" and alpha and _version.parse(facts["target"])[:2] >= (1, 36):
        found.append("take the gate that 1.35 needed out of kubeadm-config")
    if facts["settings"].get("assertions"):
        found.append("the user's assertions on the report")
    return [*found, "give the lock back"]


def _member_version(facts: Facts, node: t.Mapping[str, t.Any]) -> str:
    members = {member["name"]: member["version"] for member in facts["etcd"].get("members", [])}
    return str(members.get(node.get("etcd_member") or "", ""))


# Unavailability


def _member_away(facts: Facts, node: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    if not node.get("etcd_member"):
        return []
    members = len(facts["etcd"].get("members", []))
    if members <= 2:
        why = f"it restarts, and with {members} of {members} members needed no write and no fresh read is answered"
    else:
        why = f"it restarts; the other {members - 1} of {members} have quorum"
    found = [{"what": "etcd member", "why": why, "whole": members <= 2}]
    if members > 2:
        found.append(
            {
                "what": "API server",
                "why": "its requests hang until its own etcd member is back",
                "whole": len(facts["proxies"]) == 1,
            }
        )
    if facts["etcd"].get("leader") == node.get("etcd_member") and members > 1:
        found.append(
            {"what": "every write", "why": "it waits while etcd's leader moves away from here", "whole": False}
        )
    return found


def _server_away(facts: Facts) -> list[dict[str, t.Any]]:
    alone = len(facts["proxies"]) == 1
    why = "and is the only one" if alone else "a load balancer that asks /readyz leaves it out meanwhile"
    return [{"what": "API server", "why": f"it restarts, {why}", "whole": alone}]
