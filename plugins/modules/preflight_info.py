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
    C(etcd_version), C(etcd_flags), C(kubeadm_config).
  - Of what the API tells, C(removed_apis), C(deprecated_apis), C(crd_stored_versions), C(webhooks), C(apiservices),
    C(disruption_budgets), C(pending_csrs), C(rights) and C(kubelet_client_binding).
  - Of what the nodes hold, C(disk_space), C(images), C(packages), C(load_balancer), C(component_endpoints),
    C(manifest_drift) and C(patches_present); and C(certificates_valid) and C(clock_skew), which are judged on the
    controller.
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
    choices: [kubeadm, systemd, custom]
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
  away:
    description: Nodes that could not be reached, each with its C(name) and C(why). None of them is in O(nodes).
    type: list
    elements: dict
    default: []
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
  drain:
    description: Whether the nodes are to be drained, so that what keeps Pods from being evicted blocks.
    type: bool
    default: false
  write_probes:
    description:
      - Whether admission is tried with dry-run creates, and the rights to write are asked by access reviews. Both are
        writes to an audit log, though nothing is stored.
    type: bool
    default: false
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
  kubespray:
    description:
      - By node, what kubespray's own inventory says of the proxy's flag. Empty where the inventory is not kubespray's.
      - C(extra_args) are the names in C(kube_kubeadm_apiserver_extra_args), C(feature_gates) the values in
        C(kube_apiserver_feature_gates), C(needs_gate) whether the server's release has the gate off by default, and
        C(peer_ca_file) what the flag is to be.
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
proxied:
  description:
    - What the servers serve themselves now, held against what the target serves by default. Empty with O(job=proxy),
      and where RV(work) is.
    - What CRDs and aggregated API servers serve is never proxied.
  returned: always
  type: dict
  contains:
    source:
      description: V(table) where a shipped table has the pair of versions, else V(unknown); nothing is guessed.
      type: str
    reason:
      description: Why it is unknown, or what the table can't know.
      type: str
    new:
      description: Resources, as group, version and name, that the target serves and a server of today does not.
      type: list
      elements: str
    removed:
      description: Resources that a server of today serves and the target does not.
      type: list
      elements: str
kubelets:
  description: By node, the version of the kubelet that runs; none where no kubelets belong to the job.
  returned: always
  type: dict
kubespray:
  description: The lines that kubespray's own inventory lacks.
  returned: always
  type: list
  elements: str
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
    _kubespray,
    _metrics,
    _preflight_cluster,
    _preflight_nodes,
    _version,
)

ETCD_BEFORE_3_7 = _etcd_flags.BEFORE_3_7
RELEASE_WITH_ETCD_3_7 = _etcd_flags.RELEASE_WITH_3_7

#: The gate is alpha, and the proxy works as it does later.
RELEASE_WITH_ALPHA_GATE = (1, 35)

Params = t.Mapping[str, t.Any]


def away(params: Params) -> list[_gate.Gate]:
    """Nobody can step a node that can't be reached, nor know what is on it: not to be accepted."""
    return [
        _gate.Gate(
            "nodes_ready",
            _gate.FAILED,
            f"{node['name']} can't be reached: {' '.join(node['why'].split())}",
            "every node of the control plane can be reached",
            "Mend the way to it (address, user, key, the node itself). What else is judged leaves it out.",
            node=node["name"],
            acceptable=False,
        )
        for node in params["away"]
    ]


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


def member_of(params: Params, node: t.Mapping[str, t.Any]) -> str:
    """The etcd member that this driver can step on *node*; with kubeadm, an etcd of another making is none."""
    own = params["driver"] != "kubeadm" or node["components"].get("etcd")
    return str(node.get("etcd_member") or "") if own else ""


def etcd_version(params: Params) -> _gate.Gate:
    """Whether every member may meet etcd 3.7. Members on other hosts can't be stepped from here."""
    target = _version.parse(params["version"])
    members = params["etcd_members"]
    here = {member_of(params, node) for node in params["nodes"]} - {""}
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
    elif any(m["name"] not in here for m in old) and params["away"]:
        gate.verdict = _gate.UNPROVEN
        gate.next_action = "Mend the way to the nodes that can't be reached: which member is on which is not known."
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
            f"Bring these members to {ETCD_BEFORE_3_7} or a later 3.6 by your own means, or accept etcd_version."
            if params["driver"] == "custom"
            else "Set control_plane_etcd_step_image (or, with the driver systemd, control_plane_etcd_step_binary), "
            "or accept etcd_version."
        )
    return gate


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
        extra = _preflight_nodes.extra_arguments(_preflight_nodes.configuration(document()))["etcd"]
        configured = [name for name in extra if _etcd_flags.removed(name)]
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


def work(params: Params, kubelets: t.Mapping[str, str]) -> dict[str, dict[str, bool]]:
    """What each node needs, from what it runs now; *kubelets* are the versions of :func:`running_kubelets`."""
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
        member = etcd.get(member_of(params, node), "")
        behind = [
            component
            for component, found in node["components"].items()
            if component.startswith("kube-") and component != "kubelet" and found and _version.parse(found) != target
        ]
        result[name] = {
            "etcd_step": stepping and bool(member) and _version.parse(member) < ETCD_BEFORE_3_7,
            "proxy": proxy[name],
            "control_plane": bool(behind) or not version or _version.parse(version) != target,
            "kubelet": bool(params["kubelets"]) and _version.parse(kubelets.get(name) or params["version"]) != target,
        }
    return result


def running_kubelets(params: Params, items: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, str]:
    """The version of each node's kubelet, as its Node tells it."""
    told = _preflight_cluster.by_hostname(items)
    return {
        node["name"]: told[node["node_hostname"]]["status"]["nodeInfo"]["kubeletVersion"]
        for node in params["nodes"]
        if node["node_hostname"] in told
    }


def unplanned(error: Exception) -> _gate.Gate:
    """Nothing to do would be the plan otherwise, though nobody knows what there is to do."""
    return _gate.Gate(
        id="version_skew",
        verdict=_gate.FAILED,
        observed=f"what is to be done can't be told: {error}",
        expected="every server, component, member and kubelet of these nodes has a full version",
        next_action="Give the image or program named a tag or version such as v1.36.4, and start again.",
        acceptable=False,
    )


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
                "driver": {"type": "str", "choices": ["kubeadm", "systemd", "custom"], "required": True},
                "proxies": dicts,
                "nodes": dicts,
                "away": {"type": "list", "elements": "dict", "default": []},
                "etcd_members": dicts,
                "etcd_step": {"type": "str", "default": ""},
                "kubelets": {"type": "bool", "default": True},
                "etcd_step_image": {"type": "str", "default": ""},
                "kubeadm_binaries": {"type": "str", "choices": ["package", "binary", "none"], "default": "none"},
                "drain": {"type": "bool", "default": False},
                "write_probes": {"type": "bool", "default": False},
                "binaries_directory": {"type": "str", "default": ""},
                "patches_directory": {"type": "str", "default": ""},
                "controller": {"type": "dict", "default": {}},
                "kubespray": {"type": "dict", "default": {}},
            },
        ),
        required_if=[("job", "upgrade", ["version"])],
        supports_check_mode=True,
    )
    params = module.params
    cluster = _preflight_cluster.Reading(_api.connect(module), params)
    server = cluster.endpoint

    @functools.cache
    def document() -> dict[str, t.Any]:
        return dict(server.get("/api/v1/namespaces/kube-system/configmaps/kubeadm-config"))

    checks: dict[str, t.Callable[[], _gate.Gate | list[_gate.Gate]]] = {
        **_preflight_cluster.checks(cluster),
        "servers_ready": lambda: servers_ready(params),
        "kubeadm_config": lambda: _preflight_nodes.kubeadm_config(params, document),
        "component_flags": lambda: component_flags(params),
    }
    if params["proxy_state"] == "present":
        checks["feature_gates"] = lambda: feature_gates(params)
    else:
        checks["proxy_enabled"] = lambda: proxy_enabled(params)
    if params["job"] == "upgrade":
        checks["etcd_version"] = lambda: etcd_version(params)
        checks["etcd_flags"] = lambda: etcd_flags(params, document)
        checks.update(_preflight_nodes.checks(params, document, server))
    gates = [gate for name, check in checks.items() for gate in guarded(name.partition("/")[0], check)]
    gates += away(params)
    if params["kubespray"]:
        gates += guarded("manifest_drift", lambda: _kubespray.gate(params["kubespray"], params["proxy_state"]))
    kubelets: dict[str, str] = {}
    todo: dict[str, dict[str, bool]] = {}
    proxied: t.Mapping[str, t.Any] = {}
    try:
        kubelets = running_kubelets(params, cluster.nodes if params["kubelets"] else [])
        todo = work(params, kubelets)
        if params["job"] == "upgrade":
            proxied = cluster.foretold
    except _api.ApiError:
        # The gates above have said what can't be read; without it nothing is planned.
        pass
    except (ValueError, KeyError) as error:
        gates.append(unplanned(error))
    kubespray = _kubespray.lines(params["kubespray"]) if params["proxy_state"] == "present" else []
    module.exit_json(
        changed=False,
        gates=[gate.dump() for gate in gates],
        work=todo,
        proxied=proxied,
        kubelets=kubelets,
        kubespray=kubespray,
    )


if __name__ == "__main__":
    main()
