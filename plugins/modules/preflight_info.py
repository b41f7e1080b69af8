#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judge, before anything is changed, whether the upgrade can go through; and say what it has to do."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_info
short_description: Judge whether an upgrade can go through, and what it has to do
version_added: 0.1.0
description:
  - Holds the servers, Nodes and etcd members as they are against the target version.
  - Gates C(version_hop), C(version_skew), C(servers_ready), C(feature_gates), C(component_flags), C(nodes_ready),
    C(etcd_version), C(etcd_flags), C(kubeadm_config); and of what the nodes hold C(disk_space), C(images), C(packages),
    C(load_balancer), C(component_endpoints), C(manifest_drift), C(patches_present); and C(certificates_valid) and
    C(clock_skew), which are judged on the controller.
  - With O(job=proxy) only those that a change of the servers' flags depends on, and C(proxy_enabled).
  - A check that breaks is a failed gate of its own and hides no other.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  job:
    description: What is to be done, an upgrade, or only a change of the proxy's flags.
    type: str
    choices: [upgrade, proxy]
    default: upgrade
  version:
    description: The target; required with O(job=upgrade).
    type: str
  proxy_state:
    description: How the proxy shall be afterwards.
    type: str
    choices: [present, absent]
    default: present
  driver:
    description: How the control plane is run.
    type: str
    choices: [kubeadm, systemd]
    required: true
  proxies:
    description: What M(mixedversion.kubernetes.proxy_info) returned.
    type: list
    elements: dict
    required: true
  nodes:
    description: What M(mixedversion.kubernetes.node_info) returned for each node, with its C(name).
    type: list
    elements: dict
    required: true
  etcd_members:
    description: What M(mixedversion.kubernetes.etcd_info) returned.
    type: list
    elements: dict
    required: true
  etcd_step:
    description: The version by which etcd can be stepped; empty if it can't.
    type: str
    default: ""
  kubelets:
    description: Whether the nodes have kubelets that belong to the job.
    type: bool
    default: true
  etcd_step_image:
    description: The image by which etcd is stepped with O(driver=kubeadm), known by name where a manifest has it.
    type: str
    default: ""
  kubeadm_binaries:
    description: How the target's kubeadm comes to the nodes; with V(none) it must be there.
    type: str
    choices: [package, binary, none]
    default: none
  binaries_directory:
    description:
      - Folder on the controller with the target's binaries.
      - They are asked there, with C(--help) and C(--version) alone, which of today's flags and gates they would refuse.
    type: str
    default: ""
  patches_directory:
    description: The folder on the nodes with kubeadm's patches.
    type: str
    default: ""
  controller:
    description: What the controller's part of this module found of those binaries. Not for users.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Judge what stands in the way of v1.37.2
  mixedversion.kubernetes.preflight_info:
    kubeconfig: admin.conf
    version: v1.37.2
    driver: kubeadm
    proxies: "{{ proxy.proxies }}"
    nodes: "{{ nodes }}"
    etcd_members: "{{ etcd.members }}"
"""

RETURN = r"""
work:
  description: By node, whether etcd is to be stepped, the proxy enabled, the control plane and the kubelet upgraded.
  returned: always
  type: dict
gates:
  description: A verdict for each check.
  returned: always
  type: list
  elements: dict
"""

import functools
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _etcd_flags,
    _gate,
    _metrics,
    _preflight_nodes,
    _version,
)

ETCD_BEFORE_3_7 = _etcd_flags.BEFORE_3_7
RELEASE_WITH_ETCD_3_7 = _etcd_flags.RELEASE_WITH_3_7
#: The kubelet may be this many minors older than the servers (Kubernetes' version skew policy).
KUBELET_SKEW = 3

#: The gate is alpha, and the proxy works as it does later.
RELEASE_WITH_ALPHA_GATE = (1, 35)

Params = t.Mapping[str, t.Any]


def version_hop(params: Params) -> _gate.Gate:
    target = _version.parse(params["version"])
    versions = {p["name"]: _version.parse(p["version"]) for p in params["proxies"] if p["version"]}
    oldest, newest = min(versions.values()), max(versions.values())
    gate = _gate.Gate(
        id="version_hop",
        verdict=_gate.PASSED,
        observed=f"{', '.join(f'{name} {version}' for name, version in versions.items())}; target {target}",
        expected="a target that is not older than any server, and at most one minor newer than the oldest",
    )
    hops = _version.minors_between(oldest, target)
    if target < newest:
        gate.verdict = _gate.FAILED
        gate.next_action = f"Name {newest} or later; a control plane is not downgraded."
    elif hops > 1:
        gate.verdict = _gate.FAILED
        gate.next_action = (
            f"Upgrade to the newest patch of {oldest.major}.{oldest.minor + 1} first; no minor may be skipped."
        )
    return gate


def servers_ready(params: Params) -> _gate.Gate:
    troubles = [
        p["error"] or f"{p['name']}: not ready, {', '.join(p['unready'])}" for p in params["proxies"] if not p["ready"]
    ]
    return _gate.Gate(
        id="servers_ready",
        verdict=_gate.FAILED if troubles else _gate.PASSED,
        observed="; ".join(troubles) or f"{len(params['proxies'])} servers ready",
        expected="every server answers /readyz with 200 at its own address",
        next_action="Mend the server named; an upgrade starts from a control plane that is whole.",
    )


def feature_gates(params: Params) -> _gate.Gate:
    """Alpha, off, and to be switched on together with the flag at 1.35; on by default from 1.36."""
    off = {p["name"]: p["version"] for p in params["proxies"] if not p["error"] and not p["gate"]}
    alpha = [name for name, version in off.items() if release(version) == RELEASE_WITH_ALPHA_GATE]
    gate = _gate.Gate(
        id="feature_gates",
        verdict=_gate.FAILED if len(alpha) < len(off) else _gate.PASSED,
        observed=f"{_metrics.GATE} is {'off on ' + ', '.join(off) if off else 'on everywhere'}",
        expected=f"{_metrics.GATE} on, the default from 1.36; at 1.35 it is switched on together with the flag",
    )
    if any(release(version) < RELEASE_WITH_ALPHA_GATE for version in off.values()):
        gate.next_action = "Upgrade to 1.35 first; before, the proxy does not compare discovery."
    elif gate.verdict == _gate.FAILED:
        gate.next_action = "Take it out of --feature-gates, or raise --emulated-version, on the server named."
    return gate


def component_flags(params: Params) -> _gate.Gate:
    """Flags that a server ignores without a word, though somebody meant something by them."""
    pair = ("peer-advertise-ip", "peer-advertise-port")
    half = [
        f"{node['name']} has --{flag} without --{other}"
        for node in params["nodes"]
        for flag, other in (pair, pair[::-1])
        if flag in node["apiserver_flags"] and other not in node["apiserver_flags"]
    ]
    return _gate.Gate(
        id="component_flags",
        verdict=_gate.FAILED if half else _gate.PASSED,
        observed="; ".join(half) or "both or none everywhere",
        expected=f"--{pair[0]} and --{pair[1]} together or not at all: a server ignores one alone",
        next_action="Set the other one as well, or take the one out, on the server named.",
    )


def release(version: str) -> tuple[int, int]:
    found = _version.parse(version)
    return found.major, found.minor


def proxy_enabled(params: Params) -> _gate.Gate:
    """Without the proxy, a request for what only the newer servers have depends on where it lands."""
    versions = {p["name"]: p["version"] for p in params["proxies"]}
    mixed = len(set(versions.values())) > 1
    return _gate.Gate(
        id="proxy_enabled",
        verdict=_gate.FAILED if mixed else _gate.PASSED,
        observed=", ".join(f"{name} {version or 'unknown'}" for name, version in versions.items()),
        expected="one version on all servers before the proxy is taken out",
        next_action="Bring all servers to one version first, or accept proxy_enabled by name.",
    )


def etcd_version(params: Params) -> _gate.Gate:
    """Whether every member may meet etcd 3.7. Members on other hosts can't be stepped from here."""
    target = _version.parse(params["version"])
    members = params["etcd_members"]
    here = {node.get("etcd_member") for node in params["nodes"]} - {None, ""}
    old = [m for m in members if m["version"] and _version.parse(m["version"]) < ETCD_BEFORE_3_7]
    minors = sorted({m["version"].rpartition(".")[0] for m in members if m["version"]})
    storages = sorted({m.get("storage_version") for m in members} - {None, ""})
    gate = _gate.Gate(
        id="etcd_version",
        verdict=_gate.PASSED,
        observed=", ".join(f"{m['name']} {m['version'] or 'unknown'}" for m in members)
        + (f"; minors {' and '.join(minors)} mixed" if len(minors) > 1 else "")
        + (f"; storage {', '.join(storages)}" if storages else ""),
        expected=f"every member at {ETCD_BEFORE_3_7} or later before etcd 3.7 comes, or a way to step it there",
    )
    if (target.major, target.minor) < RELEASE_WITH_ETCD_3_7:
        gate.expected = "any: this target brings no new minor of etcd"
    elif not here:
        gate.expected = "any: no member is on these nodes, so this upgrade does not touch etcd"
    elif any(not m["version"] for m in members):
        gate.verdict = _gate.UNPROVEN
        gate.next_action = "Make the member that does not answer reachable from its peers' nodes."
    elif any(m["name"] not in here for m in old):
        gate.verdict = _gate.FAILED
        elsewhere = ", ".join(m["name"] for m in old if m["name"] not in here)
        gate.next_action = f"Upgrade etcd by hand where it is not on a node of this group: {elsewhere}."
    elif old and params["etcd_step"]:
        gate.observed += f"; {len(old)} to be stepped to {params['etcd_step']} first"
        if _version.parse(params["etcd_step"]) < ETCD_BEFORE_3_7:
            gate.verdict = _gate.FAILED
            gate.next_action = f"Set control_plane_etcd_step_image to an image of {ETCD_BEFORE_3_7} or a later 3.6."
    elif old:
        gate.verdict = _gate.FAILED
        gate.next_action = (
            "Set control_plane_etcd_step_image (or, with the driver systemd, control_plane_etcd_step_binary), "
            "or accept etcd_version."
        )
    return gate


def configured_etcd_flags(document: t.Mapping[str, t.Any]) -> list[str]:
    """Names of etcd's extra arguments in kubeadm-config: a list of names and values, up to v1beta3 a map."""
    # It comes with the client; a node, where other modules run, has none.
    import yaml

    configuration = yaml.safe_load(document.get("data", {}).get("ClusterConfiguration", "")) or {}
    extra = ((configuration.get("etcd") or {}).get("local") or {}).get("extraArgs") or {}
    return [item["name"] for item in extra] if isinstance(extra, list) else list(extra)


def etcd_flags(params: Params, document: t.Callable[[], t.Mapping[str, t.Any]]) -> list[_gate.Gate]:
    """What etcd 3.7 does not start with; and, as a warning, what it would leave unheeded.

    kubeadm writes etcd's manifest anew from kubeadm-config with the target, so there kubeadm-config decides.
    """
    target = _version.parse(params["version"])
    gate = _gate.Gate("etcd_flags", _gate.PASSED, "", "no setting that etcd 3.7 has removed")
    if (target.major, target.minor) < RELEASE_WITH_ETCD_3_7:
        gate.expected, gate.observed = "any: this target brings no new minor of etcd", "not looked at"
        return [gate]
    kubeadm = params["driver"] == "kubeadm"
    settings = [(node["name"], setting) for node in params["nodes"] for setting in node["etcd_removed_flags"]]
    refused = [(s["name"], f"{node}: {s['where']}") for node, s in settings if s["how"] == _etcd_flags.FLAG]
    unheeded = [(s["name"], f"{node}: {s['where']}") for node, s in settings if s["how"] != _etcd_flags.FLAG]
    if kubeadm:
        where = "kubeadm-config: etcd.local.extraArgs"
        configured = [name for name in configured_etcd_flags(document()) if _etcd_flags.removed(name)]
        unheeded += [found for found in refused if found[0] not in configured]
        refused = [(name, where) for name in configured] + [found for found in refused if found[0] in configured]
    gate.observed = told(refused) or f"none that stops it on {len(params['nodes'])} nodes"
    if refused:
        gate.verdict = _gate.FAILED
        gate.next_action = replacements(refused)
    if not unheeded:
        return [gate]
    warning = _gate.Gate(
        id="etcd_flags",
        verdict=_gate.FAILED,
        severity=_gate.WARNING,
        observed=f"{told(unheeded)}; etcd 3.7 starts {'without it' if len(unheeded) == 1 else 'without them'}",
        expected=gate.expected,
        next_action=replacements(unheeded),
    )
    return [gate, warning]


def told(settings: t.Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({where})" for name, where in settings)


def replacements(settings: t.Iterable[tuple[str, str]]) -> str:
    """What to do about each setting, named once. Etcd 3.6 knows the new names too, so it can be done at once."""
    names = sorted({name for name, dummy in settings})
    words = [
        f"--{name} by {_etcd_flags.instead(name)}" if _etcd_flags.instead(name) else f"--{name} by nothing"
        for name in names
    ]
    return f"Replace in the file named, which etcd 3.6 takes already: {', '.join(words)}."


Items = t.Sequence[t.Mapping[str, t.Any]]


def nodes_ready(params: Params, items: Items) -> _gate.Gate:
    """Readiness of this inventory's Nodes."""
    by_hostname = {item["metadata"].get("labels", {}).get("kubernetes.io/hostname"): item for item in items}
    unready = []
    for node in params["nodes"]:
        item = by_hostname.get(node["hostname"])
        conditions = item["status"].get("conditions", []) if item else []
        if item is None:
            unready.append(f"{node['name']} has no Node")
        elif not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            unready.append(f"{node['name']} is not Ready")
    return _gate.Gate(
        id="nodes_ready",
        verdict=_gate.FAILED if unready else _gate.PASSED,
        observed="; ".join(unready) or f"{len(params['nodes'])} control plane Nodes Ready",
        expected="every control plane Node is Ready",
        next_action="Read the kubelet's log on the node named and mend it.",
    )


def version_skew(params: Params, items: Items) -> _gate.Gate:
    """The skew of every kubelet there is, workers' too."""
    target = _version.parse(params["version"])
    skewed = []
    for item in items:
        kubelet = _version.parse(item["status"]["nodeInfo"]["kubeletVersion"])
        if kubelet > target or _version.minors_between(kubelet, target) > KUBELET_SKEW:
            skewed.append(f"kubelet of {item['metadata']['name']} is {kubelet}")
    return _gate.Gate(
        id="version_skew",
        verdict=_gate.FAILED if skewed else _gate.PASSED,
        observed="; ".join(skewed) or f"{len(items)} kubelets within {KUBELET_SKEW} minors of {target}",
        expected=f"no kubelet newer than {target}, none more than {KUBELET_SKEW} minors older",
        next_action="Upgrade the kubelets named first, or name a target that fits them.",
    )


def of_nodes(
    gate_id: str,
    judge: t.Callable[[Params, Items], _gate.Gate],
    params: Params,
    items: t.Callable[[], Items],
) -> _gate.Gate:
    """A gate over Node objects, which only kubelets make."""
    if params["kubelets"]:
        return judge(params, items())
    reason = "the driver systemd runs the components without kubelets"
    return _gate.Gate(gate_id, _gate.SKIPPED, "no kubelets belong to this job", "", reason=reason)


def work(params: Params, items: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, dict[str, bool]]:
    """What each node needs, from what it runs now."""
    kubelets = {
        item["metadata"].get("labels", {}).get("kubernetes.io/hostname"): item["status"]["nodeInfo"]["kubeletVersion"]
        for item in items
    }
    proxies = {p["name"]: p for p in params["proxies"]}
    without = ("off", "gate_only")
    proxy = {
        name: (p["state"] in without) if params["proxy_state"] == "present" else (p["state"] not in without)
        for name, p in proxies.items()
    }
    if params["job"] == "proxy":
        return {
            node["name"]: {"etcd_step": False, "proxy": proxy[node["name"]], "control_plane": False, "kubelet": False}
            for node in params["nodes"]
        }
    target = _version.parse(params["version"])
    hop = any(_version.minors_between(_version.parse(p["version"]), target) for p in params["proxies"] if p["version"])
    stepping = hop and (target.major, target.minor) >= RELEASE_WITH_ETCD_3_7 and bool(params["etcd_step"])
    etcd = {m["name"]: m["version"] for m in params["etcd_members"]}
    result = {}
    for node in params["nodes"]:
        name = node["name"]
        version = proxies[name]["version"]
        member = etcd.get(node["etcd_member"], "")
        behind = [
            component
            for component, found in node["components"].items()
            if component.startswith("kube-") and component != "kubelet" and found and _version.parse(found) != target
        ]
        result[name] = {
            "etcd_step": stepping and bool(member) and _version.parse(member) < ETCD_BEFORE_3_7,
            "proxy": proxy[name],
            "control_plane": bool(behind) or not version or _version.parse(version) != target,
            "kubelet": bool(params["kubelets"])
            and _version.parse(kubelets.get(node["hostname"]) or params["version"]) != target,
        }
    return result


def guarded(gate_id: str, check: t.Callable[[], _gate.Gate | list[_gate.Gate]]) -> list[_gate.Gate]:
    """Run one check; what it raises is a failed gate, so that it hides no other."""
    begun = time.monotonic()
    try:
        checked = check()
        gates = checked if isinstance(checked, list) else [checked]
    except Exception as error:  # pylint: disable=broad-except
        gate = _gate.Gate(
            gate_id, _gate.FAILED, f"the check broke: {type(error).__name__}: {error}", "the check can be made"
        )
        gate.next_action = "Mend what the message names (an unreachable server, a missing right) and start again."
        gates = [gate]
    for gate in gates:
        gate.elapsed_seconds = round(time.monotonic() - begun, 3)
    return gates


def main() -> t.NoReturn:
    dicts = {"type": "list", "elements": "dict", "required": True}
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "job": {"type": "str", "choices": ["upgrade", "proxy"], "default": "upgrade"},
                "version": {"type": "str"},
                "proxy_state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                "driver": {"type": "str", "choices": ["kubeadm", "systemd"], "required": True},
                "proxies": dicts,
                "nodes": dicts,
                "etcd_members": dicts,
                "etcd_step": {"type": "str", "default": ""},
                "kubelets": {"type": "bool", "default": True},
                "etcd_step_image": {"type": "str", "default": ""},
                "kubeadm_binaries": {"type": "str", "choices": ["package", "binary", "none"], "default": "none"},
                "binaries_directory": {"type": "str", "default": ""},
                "patches_directory": {"type": "str", "default": ""},
                "controller": {"type": "dict", "default": {}},
            },
        ),
        required_if=[("job", "upgrade", ["version"])],
        supports_check_mode=True,
    )
    params = module.params
    server = _api.connect(module).endpoint

    @functools.cache
    def items() -> list[dict[str, t.Any]]:
        return list(server.get("/api/v1/nodes").get("items") or [])

    @functools.cache
    def document() -> dict[str, t.Any]:
        return dict(server.get("/api/v1/namespaces/kube-system/configmaps/kubeadm-config"))

    checks: dict[str, t.Callable[[], _gate.Gate | list[_gate.Gate]]] = {
        "servers_ready": lambda: servers_ready(params),
        "nodes_ready": lambda: of_nodes("nodes_ready", nodes_ready, params, items),
        "kubeadm_config": lambda: _preflight_nodes.kubeadm_config(params, document),
        "component_flags": lambda: component_flags(params),
    }
    if params["proxy_state"] == "present":
        checks["feature_gates"] = lambda: feature_gates(params)
    else:
        checks["proxy_enabled"] = lambda: proxy_enabled(params)
    if params["job"] == "upgrade":
        checks["version_hop"] = lambda: version_hop(params)
        checks["version_skew"] = lambda: of_nodes("version_skew", version_skew, params, items)
        checks["etcd_version"] = lambda: etcd_version(params)
        checks["etcd_flags"] = lambda: etcd_flags(params, document)
        checks.update(_preflight_nodes.checks(params, document, server))
    gates = [gate for name, check in checks.items() for gate in guarded(name.partition("/")[0], check)]
    try:
        todo = work(params, items() if params["kubelets"] else [])
    except (_api.ApiError, ValueError, KeyError):
        # The gates above have said what can't be read; without it nothing is planned.
        todo = {}
    # Blocking ones first: that is what a reader looks for.
    gates.sort(key=lambda gate: (gate.verdict != _gate.FAILED, gate.severity != _gate.BLOCKING))
    module.exit_json(changed=False, gates=[gate.dump() for gate in gates], work=todo)


if __name__ == "__main__":
    main()
