# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The preflight's gates on what the nodes hold: their settings, files, images and packages against the target.

*params* are the options of M(mixedversion.kubernetes.preflight_info); its ``nodes`` are what node_info returned. Its
``controller`` is what the action plug-in found of the target's binaries on the controller:
``{"binaries": {name: version}, "refused": {component: {"flags": [...], "gates": {name: reason} or None}}, "images":
{name: tag}}``; what was not asked for or could not be run is not in it.
"""

from __future__ import annotations

import collections
import contextlib
import ipaddress
import typing as t
import urllib.parse

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _etcd_flags,
    _gate,
    _node_facts,
    _proxy,
    _refused,
    _removed,
    _version,
)

Params = t.Mapping[str, t.Any]
Node = t.Mapping[str, t.Any]
Document = t.Callable[[], t.Mapping[str, t.Any]]
Check = t.Callable[[], t.Union[_gate.Gate, "list[_gate.Gate]"]]

#: By node, or ``kubeadm-config``, and component its flags (names) and gates (names with values).
Given = dict[str, dict[str, dict[str, t.Any]]]

#: Manifests, certificates, binaries and logs, beside the copy of etcd's data that kubeadm makes.
SPARE_BYTES = 512 * 1024 * 1024
#: The layers of a handful of images, and what the former ones leave.
SPARE_INODES = 4096
PROXY_GATE = "UnknownVersionInteroperabilityProxy"
#: Flags that this collection sets itself, or that kubeadm gives a kubelet: every target that it can go to has them.
KNOWN_FLAGS = frozenset(
    [*_proxy.FLAGS, "config", "kubeconfig", "bootstrap-kubeconfig", "container-runtime-endpoint", "hostname-override"]
)
#: The first release whose kubeadm reads v1beta4 alone.
RELEASE_WITHOUT_V1BETA3 = (1, 37)

#: What kubeadm 1.35, 1.36 and 1.37 write into the manifests by themselves, with the value where it is always the same.
PKI = "/etc/kubernetes/pki"
RENDERED: dict[str, dict[str, str | None]] = {
    "kube-apiserver": {
        "advertise-address": None,
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "client-ca-file": f"{PKI}/ca.crt",
        "enable-admission-plugins": "NodeRestriction",
        "enable-bootstrap-token-auth": "true",
        "etcd-cafile": None,
        "etcd-certfile": None,
        "etcd-keyfile": None,
        "etcd-servers": None,
        "kubelet-client-certificate": f"{PKI}/apiserver-kubelet-client.crt",
        "kubelet-client-key": f"{PKI}/apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
        "proxy-client-cert-file": f"{PKI}/front-proxy-client.crt",
        "proxy-client-key-file": f"{PKI}/front-proxy-client.key",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-client-ca-file": f"{PKI}/front-proxy-ca.crt",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "secure-port": None,
        "service-account-issuer": None,
        "service-account-key-file": f"{PKI}/sa.pub",
        "service-account-signing-key-file": f"{PKI}/sa.key",
        "service-cluster-ip-range": None,
        "tls-cert-file": f"{PKI}/apiserver.crt",
        "tls-private-key-file": f"{PKI}/apiserver.key",
    },
    "kube-controller-manager": {
        "allocate-node-cidrs": "true",
        "authentication-kubeconfig": "/etc/kubernetes/controller-manager.conf",
        "authorization-kubeconfig": "/etc/kubernetes/controller-manager.conf",
        "bind-address": "127.0.0.1",
        "client-ca-file": f"{PKI}/ca.crt",
        "cluster-cidr": None,
        "cluster-name": None,
        "cluster-signing-cert-file": None,
        "cluster-signing-key-file": None,
        "controllers": "*,bootstrapsigner,tokencleaner",
        "kubeconfig": "/etc/kubernetes/controller-manager.conf",
        "leader-elect": "true",
        "requestheader-client-ca-file": f"{PKI}/front-proxy-ca.crt",
        "root-ca-file": f"{PKI}/ca.crt",
        "service-account-private-key-file": f"{PKI}/sa.key",
        "service-cluster-ip-range": None,
        "use-service-account-credentials": "true",
    },
    "kube-scheduler": {
        "authentication-kubeconfig": "/etc/kubernetes/scheduler.conf",
        "authorization-kubeconfig": "/etc/kubernetes/scheduler.conf",
        "bind-address": "127.0.0.1",
        "kubeconfig": "/etc/kubernetes/scheduler.conf",
        "leader-elect": "true",
    },
    "etcd": {
        "advertise-client-urls": None,
        "cert-file": f"{PKI}/etcd/server.crt",
        "client-cert-auth": "true",
        "data-dir": None,
        "experimental-initial-corrupt-check": "true",
        "experimental-watch-progress-notify-interval": "5s",
        "initial-advertise-peer-urls": None,
        "initial-cluster": None,
        "initial-cluster-state": None,
        "key-file": f"{PKI}/etcd/server.key",
        "listen-client-urls": None,
        "listen-metrics-urls": None,
        "listen-peer-urls": None,
        "name": None,
        "peer-cert-file": f"{PKI}/etcd/peer.crt",
        "peer-client-cert-auth": "true",
        "peer-key-file": f"{PKI}/etcd/peer.key",
        "peer-trusted-ca-file": f"{PKI}/etcd/ca.crt",
        "snapshot-count": "10000",
        "trusted-ca-file": f"{PKI}/etcd/ca.crt",
        "watch-progress-notify-interval": "5s",
    },
}
RENDERED_GATES = {"etcd": {"InitialCorruptCheck": "true"}}
#: What kubeadm mounts by itself, where the node has it.
RENDERED_PATHS = frozenset(
    [
        PKI,
        f"{PKI}/etcd",
        "/etc/ssl/certs",
        "/etc/ca-certificates",
        "/etc/pki",
        "/etc/pki/ca-trust",
        "/etc/pki/tls/certs",
        "/usr/local/share/ca-certificates",
        "/usr/share/ca-certificates",
        "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
        "/etc/kubernetes/controller-manager.conf",
        "/etc/kubernetes/scheduler.conf",
    ]
)


def skipped(gate_id: str, observed: str, reason: str) -> _gate.Gate:
    return _gate.Gate(gate_id, _gate.SKIPPED, observed, "", reason=reason)


def hop(params: Params) -> bool:
    """Whether the target is another minor than some server's."""
    target = _version.parse(params["version"])
    versions = [_version.parse(proxy["version"]) for proxy in params["proxies"] if proxy["version"]]
    return any(_version.minors_between(version, target) for version in versions)


def by_node(troubles: t.Mapping[str, t.Iterable[str]]) -> str:
    """Each trouble once, with the nodes that have it: three nodes mostly have the same."""
    nodes: dict[str, list[str]] = collections.defaultdict(list)
    for name, told in troubles.items():
        for trouble in told:
            nodes[trouble].append(name)
    return "; ".join(f"{', '.join(names)}: {trouble}" for trouble, names in nodes.items())


# Feature gates and flags that the target does not take


class Settings(t.NamedTuple):
    """What the target does not take, in words by node; and components that nobody could be asked about."""

    troubles: dict[str, list[str]]
    unknown: list[str]


def configured(params: Params, document: Document) -> dict[str, dict[str, str]]:
    """By component the extra arguments in kubeadm-config, of which kubeadm renders the manifests anew."""
    return extra_arguments(configuration(document())) if params["driver"] == "kubeadm" else {}


def configuration(document: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The ClusterConfiguration in kubeadm-config."""
    # It comes with the client; a node, where other modules run, has none.
    import yaml

    return dict(yaml.safe_load(document.get("data", {}).get("ClusterConfiguration", "")) or {})


def extra_arguments(config: t.Mapping[str, t.Any]) -> dict[str, dict[str, str]]:
    """By static pod its extraArgs: a list of names and values, up to v1beta3 a map."""
    found: dict[str, dict[str, str]] = {}
    for component, part in parts(config).items():
        extra = part.get("extraArgs") or {}
        pairs = [(item["name"], item["value"]) for item in extra] if isinstance(extra, list) else extra.items()
        found[component] = {str(name): str(value) for name, value in pairs}
        # Of feature gates each occurrence adds to those before, of other flags the last one wins.
        gates = [str(value) for name, value in pairs if name == "feature-gates"]
        if gates:
            found[component]["feature-gates"] = ",".join(gates)
    return found


def parts(config: t.Mapping[str, t.Any]) -> dict[str, t.Mapping[str, t.Any]]:
    """By static pod its part of the ClusterConfiguration."""
    return {
        "kube-apiserver": config.get("apiServer") or {},
        "kube-controller-manager": config.get("controllerManager") or {},
        "kube-scheduler": config.get("scheduler") or {},
        "etcd": (config.get("etcd") or {}).get("local") or {},
    }


def settings(params: Params, extra: t.Mapping[str, t.Mapping[str, str]]) -> Given:
    """By node and component the flags and gates that the target will be given, those of kubeadm-config among them."""
    found: Given = {}
    for node in params["nodes"]:
        found[node["name"]] = {component: dict(of) for component, of in node["settings"].items()}
    for component, arguments in extra.items():
        if component in _node_facts.COMPONENTS:
            gates = arguments.get("feature-gates", "")
            found.setdefault("kubeadm-config", {})[component] = {
                "flags": sorted(set(arguments) - {"feature-gates"}),
                "gates": _node_facts.gates_of_flags([f"--feature-gates={gates}"]),
            }
    return found


def oldest(params: Params, component: str) -> str:
    """The oldest version of a component on the nodes; that of the oldest server where none is known."""
    found = [number(node["components"].get(component, "")) for node in params["nodes"]]
    known = [version for version in found if version]
    known = known or [_version.parse(proxy["version"]) for proxy in params["proxies"] if proxy["version"]]
    return str(min(known))


def number(text: str) -> _version.Version | None:
    """A version; none if it is none, as the tag of an image may be anything."""
    try:
        return _version.parse(text)
    except ValueError:
        return None


def answers(params: Params, component: str) -> list[t.Mapping[str, t.Any]]:
    """What binaries of the target that are at hand say of a component's settings: the controller's, and the nodes'."""
    told = params["controller"].get("refused", {}).get(component)
    found = [node["refused"].get(component) for node in params["nodes"]]
    mine = [one for one in found if one and _version.parse(one["version"]) == _version.parse(params["version"])]
    return [told, *mine] if told else mine


def refused_gates(params: Params, given: Given) -> Settings:
    result = Settings({}, [])
    for name, components in given.items():
        for component, of in components.items():
            told = {gate: state for one in answers(params, component) for gate, state in (one["gates"] or {}).items()}
            for gate, value in of["gates"].items():
                why = told.get(f"{gate}={value}")
                if why is None:
                    why = _refused.table_gate(oldest(params, component), params["version"], gate, value)
                if why:
                    result.troubles.setdefault(name, []).append(f"{component}: {gate}={value} ({why})")
                elif why is None:
                    result.unknown.append(f"{component}'s {gate}")
    return result


def refused_flags(params: Params, given: Given) -> Settings:
    result = Settings({}, [])
    for name, components in given.items():
        for component, of in components.items():
            told = {flag: state for one in answers(params, component) for flag, state in one["flags"].items()}
            for flag in of["flags"]:
                why = {True: "removed", False: "", None: None}[told.get(flag)]
                if why is None:
                    why = _refused.table_flag(component, oldest(params, component), params["version"], flag)
                if why:
                    result.troubles.setdefault(name, []).append(f"{component}: --{flag} ({why})")
                elif why is None and flag not in KNOWN_FLAGS and flag not in RENDERED.get(component, {}):
                    result.unknown.append(f"{component}'s --{flag}")
    return result


def judged(gate_id: str, what: str, result: Settings, params: Params) -> _gate.Gate:
    """A gate over what the target does not take."""
    target = params["version"]
    expected = f"no {what} that {target} does not start with"
    gate = _gate.Gate(gate_id, _gate.PASSED, f"none that {target} refuses", expected)
    if result.unknown:
        gate.verdict = _gate.UNPROVEN
        gate.observed = f"nothing here knows whether {target} takes {', '.join(sorted(set(result.unknown)))}"
        gate.next_action = (
            f"Have the target's binaries in control_plane_binaries_directory (they are asked), or compare its {what}s "
            f"with the changelog and accept {gate_id}."
        )
    if result.troubles:
        gate.verdict = _gate.FAILED
        gate.observed = by_node(result.troubles)
        gate.next_action = (
            f"Take the {what} out where it is named (unit, manifest, configuration file, and kubeadm-config with the "
            "driver kubeadm) and restart the component; the old version works without it."
        )
    return gate


def feature_gates(params: Params, document: Document) -> _gate.Gate:
    """Gates that the target has removed or locked: with one of them a component ends at its start."""
    given = settings(params, configured(params, document))
    return judged("feature_gates", "feature gate", refused_gates(params, given), params)


def component_flags(params: Params, document: Document) -> _gate.Gate:
    given = settings(params, configured(params, document))
    return judged("component_flags", "flag", refused_flags(params, given), params)


# kubeadm


def kubeadm_config(params: Params, document: Document) -> _gate.Gate:
    """kubeadm's configuration in the cluster, and what in it the target's kubeadm does not take."""
    gate = _gate.Gate("kubeadm_config", _gate.PASSED, "it is there", "kubeadm-config in kube-system can be read")
    if params["driver"] != "kubeadm":
        return skipped("kubeadm_config", "not read", "the driver is not kubeadm")
    config = configuration(document())
    if not config:
        gate.observed = "it has no ClusterConfiguration"
        gate.verdict, gate.next_action = _gate.FAILED, "Upload it with kubeadm init phase upload-config kubeadm."
        return gate
    if params["job"] != "upgrade":
        return gate
    gate.expected = f"kubeadm-config in kube-system, with nothing that kubeadm {params['version']} does not take"
    target = _version.parse(params["version"])
    recorded = str(config.get("kubernetesVersion", "")) or oldest(params, "kube-apiserver")
    api = str(config.get("apiVersion", ""))
    gates = sorted(config.get("featureGates") or {})
    releases = _refused.releases(recorded, params["version"])
    gone = {name for release in releases or [] for name in _removed.KUBEADM_GATES[release]}
    troubles = [f"featureGates.{name}, which kubeadm {target} no longer knows" for name in gates if name in gone]
    if (target.major, target.minor) >= RELEASE_WITHOUT_V1BETA3 and api.endswith("/v1beta3"):
        troubles.append(f"{api}, which kubeadm {target} no longer reads")
    gate.observed = f"{api or 'no apiVersion'}, {', '.join(gates) or 'no feature gates'}"
    if troubles:
        gate.verdict, gate.observed = _gate.FAILED, f"it has {' and '.join(troubles)}"
        gate.next_action = (
            "Take the gates out of it (kubectl -n kube-system edit configmap kubeadm-config); "
            "bring v1beta3 to v1beta4 by kubeadm config migrate of today's version."
        )
    elif gates and releases is None:
        gate.verdict = _gate.UNPROVEN
        gate.observed += f"; nothing here knows the gates of kubeadm {params['version']}"
        gate.next_action = "Compare them with kubeadm's documentation of that version, and accept kubeadm_config."
    return gate


def patches_present(params: Params) -> list[_gate.Gate]:
    """kubeadm does not remember its patches: a node without them is rendered without them, and nobody hears of it."""
    directory = params["patches_directory"]
    if params["driver"] != "kubeadm":
        return [skipped("patches_present", "no patches", "the driver is not kubeadm")]
    if not directory:
        return [skipped("patches_present", "no patches", "control_plane_kubeadm_patches is not set")]
    gate = _gate.Gate("patches_present", _gate.PASSED, "", f"{directory} on every node, with the same files")
    files = {node["name"]: (node["patches"] or {}).get("files") for node in params["nodes"]}
    every = sorted({name for found in files.values() for name in found or {}})
    troubles = {
        node: [f"no {directory}"] if found is None else [f"no {name}" for name in every if name not in found]
        for node, found in files.items()
    }
    if not every and not any(troubles.values()):
        troubles = {node: [f"nothing in {directory}"] for node in files}
    gate.observed = by_node(troubles) or f"{len(every)} files on {len(files)} nodes"
    if any(troubles.values()):
        gate.verdict = _gate.FAILED
        gate.next_action = "Copy the folder to the nodes named, or unset control_plane_kubeadm_patches."
        return [gate]
    unlike = [name for name in every if len({found[name] for found in files.values() if found}) > 1]
    if not unlike:
        return [gate]
    warning = _gate.Gate(
        id="patches_present",
        verdict=_gate.FAILED,
        severity=_gate.WARNING,
        observed=f"not the same on every node: {', '.join(unlike)}",
        expected=gate.expected,
        next_action="Make sure that this is meant, as for an address of the node's own.",
    )
    return [gate, warning]


def manifest_drift(params: Params, document: Document) -> list[_gate.Gate]:
    """What somebody changed in the manifests by hand: kubeadm writes them anew from kubeadm-config, and it is gone.

    Compared are flags, feature gates, mounted paths and images' repositories. What a patch in the folder speaks of is
    taken for kept.
    """
    if params["driver"] != "kubeadm":
        reason = "the driver is not kubeadm, which alone writes manifests anew"
        return [skipped("manifest_drift", "no manifests", reason)]
    config = configuration(document())
    lost: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    ours: dict[str, list[str]] = {}
    for node in params["nodes"]:
        name = node["name"]
        for component, live in node["manifests"].items():
            found = drift(component, live, config, kept(node, component), params["etcd_step_image"])
            lost.setdefault(name, []).extend(found.lost)
            notes.setdefault(name, []).extend(found.notes)
            ours.setdefault(name, []).extend(found.ours)
    gate = _gate.Gate(
        id="manifest_drift",
        verdict=_gate.FAILED if any(lost.values()) else _gate.PASSED,
        observed=by_node(lost) or f"nothing on {len(params['nodes'])} nodes that a re-render loses",
        expected="no flag, gate or mount in the manifests that kubeadm-config does not have",
        next_action="Put it into kubeadm-config (extraArgs, extraVolumes; kubectl -n kube-system edit configmap "
        "kubeadm-config) or into a patch in control_plane_kubeadm_patches, or take it out of the manifest.",
    )
    if any(ours.values()):
        gate.observed += f". This collection's own: {by_node(ours)}"
    if not any(notes.values()):
        return [gate]
    warning = _gate.Gate(
        id="manifest_drift",
        verdict=_gate.FAILED,
        severity=_gate.WARNING,
        observed=by_node(notes),
        expected="manifests as kubeadm-config has them",
        next_action="Know that the upgrade brings this about; correct kubeadm-config if it is not meant.",
    )
    return [gate, warning]


class Drift(t.NamedTuple):
    """What a re-render loses, what else it changes, and what this collection left there, in words."""

    lost: list[str]
    notes: list[str]
    ours: list[str]


def kept(node: Node, component: str) -> dict[str, set[str]]:
    """The flags and paths that a patch for a component speaks of."""
    patches = node["patches"] or {"flags": {}, "paths": {}}
    return {
        what: {item for file, items in patches[what].items() if file.startswith(component) for item in items}
        for what in ("flags", "paths")
    }


def drift(
    component: str,
    live: t.Mapping[str, t.Any],
    config: t.Mapping[str, t.Any],
    patched: t.Mapping[str, set[str]],
    step_image: str,
) -> Drift:
    found = Drift([], [], [])
    part = parts(config)[component]
    extra = extra_arguments(config)[component]
    # By flag, what kubeadm may write there; nothing where that is each node's own.
    rendered = {flag: [value] if value else [] for flag, value in RENDERED[component].items()}
    if "etcd-servers" in rendered:
        rendered["etcd-servers"] = etcd_servers(config)
    rendered.update({flag: [value] for flag, value in extra.items()})
    for flag, value in live["flags"].items():
        if flag == "feature-gates" or flag in patched["flags"]:
            continue
        if flag not in rendered:
            found.lost.append(f"{component} has --{flag}")
        elif rendered[flag] and value not in map(_node_facts.fingerprint, rendered[flag]):
            found.lost.append(f"{component} has another --{flag}")
    found.notes.extend(
        f"kubeadm-config gives {component} --{flag}, which its manifest lacks"
        for flag in extra
        if flag not in live["flags"]
    )
    gates = {
        **RENDERED_GATES.get(component, {}),
        **_node_facts.gates_of_flags([f"--feature-gates={extra.get('feature-gates', '')}"]),
    }
    for gate, state in live["gates"].items():
        if gates.get(gate) == state or "feature-gates" in patched["flags"]:
            continue
        if gate == PROXY_GATE:
            found.ours.append(f"{component}'s gate {gate}, which 1.35 needs")
        else:
            found.lost.append(f"{component} has the feature gate {gate}={state}")
    volumes = {str(volume.get("hostPath", "")) for volume in part.get("extraVolumes") or []}
    mine = {*RENDERED_PATHS, *volumes, str(part.get("dataDir") or "/var/lib/etcd"), *patched["paths"]}
    found.lost.extend(f"{component} mounts {path}" for path in live["paths"] if path not in mine)
    repository = str(part.get("imageRepository") or config.get("imageRepository") or "registry.k8s.io")
    if component == "etcd" and live["image"] == step_image:
        found.ours.append(f"etcd's image {live['image']}, to which it was stepped")
    elif live["image"].rpartition("/")[0] != repository:
        found.notes.append(f"{component} has the image {live['image']}, kubeadm-config the repository {repository}")
    return found


def etcd_servers(config: t.Mapping[str, t.Any]) -> list[str]:
    """What kubeadm writes as the API server's: its own node's member, by IPv4 or IPv6, or all of an external etcd."""
    external = (config.get("etcd") or {}).get("external")
    if external:
        return [",".join(external.get("endpoints") or [])]
    return ["https://127.0.0.1:2379", "https://[::1]:2379"]


def images(params: Params, document: Document) -> _gate.Gate:
    """Read only: what each node has of the target's images, and what the run would pull."""
    gate = _gate.Gate("images", _gate.PASSED, "", "each image of the target is on each node, or can be pulled")
    if params["driver"] != "kubeadm":
        return skipped("images", "no images", "the driver is not kubeadm, and its components are no containers")
    blind = [node["name"] for node in params["nodes"] if node["images"] is None]
    if blind:
        gate.verdict = _gate.FAILED
        gate.observed = f"no tool on {', '.join(blind)} answers which images there are"
        gate.next_action = "Install cri-tools (crictl) there, or make its configuration point at the container runtime."
        return gate
    config = configuration(document())
    needed = needed_images(params, config)
    missing = {node["name"]: [image for image in needed if image not in node["images"]] for node in params["nodes"]}
    told = "" if "images" in params["controller"] else "; etcd's and the pause image's version by the shipped table"
    gate.observed = f"all {len(needed)} on {len(missing)} nodes{told}"
    if not any("/etcd:" in image for image in needed) and "local" in (config.get("etcd") or {}):
        gate.verdict, gate.severity = _gate.UNPROVEN, _gate.WARNING
        gate.observed = f"nothing here knows which etcd kubeadm {params['version']} brings"
        gate.next_action = "Have the target's kubeadm in control_plane_binaries_directory; it is asked."
    if any(missing.values()):
        gate.verdict, gate.severity = _gate.FAILED, _gate.WARNING
        gate.observed = f"to be pulled before each node's step: {by_node(missing)}{told}"
        gate.next_action = "Make sure that the nodes reach the registry, or import the images now."
    return gate


def needed_images(params: Params, config: t.Mapping[str, t.Any]) -> list[str]:
    """The static pods' images of the target, and the one that etcd is stepped by."""
    target = _version.parse(params["version"])
    repository = str(config.get("imageRepository") or "registry.k8s.io")
    tags = params["controller"].get("images") or _removed.IMAGES.get(target.release, {})
    needed = [f"{repository}/{name}:{target}" for name in _node_facts.STATIC_PODS if name != "etcd"]
    if "pause" in tags:
        needed.append(f"{repository}/pause:{tags['pause']}")
    local = (config.get("etcd") or {}).get("local")
    if local is not None and (local.get("imageTag") or "etcd" in tags):
        needed.append(f"{local.get('imageRepository') or repository}/etcd:{local.get('imageTag') or tags['etcd']}")
    members = [number(node["components"].get("etcd", "")) for node in params["nodes"]]
    old = any(version and version < _etcd_flags.BEFORE_3_7 for version in members)
    if old and params["etcd_step_image"] and hop(params) and target[:2] >= _etcd_flags.RELEASE_WITH_3_7:
        needed.append(params["etcd_step_image"])
    return needed


def packages(params: Params) -> list[_gate.Gate]:
    """Whether the target's binaries are where the run takes them from; and what a package manager would do to them."""
    target = _version.parse(params["version"])
    gate = _gate.Gate("packages", _gate.PASSED, "", "")
    bad = False
    if params["driver"] == "custom":
        gate = skipped("packages", "not looked for", "the user's own tasks bring what the step needs")
    elif params["driver"] == "kubeadm" and params["kubeadm_binaries"] == "package":
        gate, bad = offered_packages(params)
    elif params["driver"] == "kubeadm" and params["kubeadm_binaries"] == "none":
        gate.expected = f"kubeadm, kubelet and kubectl of {target} on every node"
        troubles = {
            node["name"]: [
                f"{name} {found or 'is not there'}"
                for name in ("kubeadm", "kubelet", "kubectl")
                for found in [node["components"].get(name, "")]
                if not found or _version.parse(found) != target
            ]
            for node in params["nodes"]
        }
        gate.observed = by_node(troubles) or f"on {len(troubles)} nodes"
        gate.next_action = (
            f"Install them in version {target}, the kubelet without a restart, or set control_plane_kubeadm_binaries."
        )
        bad = any(troubles.values())
    else:
        wanted = params["controller"].get("wanted", [])
        folder = params["binaries_directory"] or "a folder on the controller"
        gate.expected = f"{', '.join(wanted)} of {target} in {folder}"
        binaries = params["controller"].get("binaries", {})
        # One for another platform is there and can't be run here; its node will say of what version it is.
        there = {name: version for name, version in binaries.items() if version is not None}
        wrong = [
            f"{name} {there.get(name) or 'is not there'}"
            for name in wanted
            if name not in there or (there[name] and _version.parse(there[name]) != target)
        ]
        mute = [name for name in wanted if there.get(name) == ""]
        gate.observed = "; ".join(wrong) or (f"there, but {', '.join(mute)} can't be run here" if mute else "all there")
        gate.next_action = f"Set control_plane_binaries_directory to a folder on the controller with those of {target}."
        bad = bool(wrong)
    if bad:
        gate.verdict = _gate.FAILED
    return [gate, *package_managers(params, bad)]


def offered_packages(params: Params) -> tuple[_gate.Gate, bool]:
    """Whether each node's package manager can have the exact packages that the run would install."""
    target = _version.parse(params["version"])
    troubles: dict[str, list[str]] = {}
    exact: dict[str, str] = {}
    # One that --limit leaves out was not asked.
    for node in params["nodes"]:
        if "offered_packages" not in node:
            continue
        offer = node["offered_packages"]
        installed = node["packages"]["installed"]
        told = [f"{name} is not installed as a package" for name in ("kubeadm", "kubelet") if name not in installed]
        if offer["trouble"]:
            told.append(offer["trouble"])
        else:
            where = offer["repository"] or "what is configured"
            told += [
                f"no {name} {target} in {where}, seen {', '.join(offer['seen'].get(name, [])[:5]) or 'none'}"
                for name, version in offer["packages"].items()
                if not version
            ]
        troubles[node["name"]] = told
        exact.update(
            {f"{name} {version}": offer["repository"] for name, version in offer["packages"].items() if version}
        )
    gate = _gate.Gate(
        "packages", _gate.PASSED, "", f"kubeadm and kubelet are packages, and {target} of each can be had"
    )
    gate.observed = by_node(troubles) or f"{', '.join(sorted(exact))} for {len(troubles)} nodes"
    gate.next_action = (
        "Make the repository reachable or name another one (control_plane_kubeadm_package_repository, "
        "control_plane_kubeadm_package_key), or bring the target by control_plane_kubeadm_binaries binary or none."
    )
    return gate, any(troubles.values())


def package_managers(params: Params, bad: bool) -> list[_gate.Gate]:
    """What apt or dnf knows of these packages: held is good while binaries are switched beside it."""
    held = {node["name"]: [f"{name} is held" for name in node["packages"]["held"]] for node in params["nodes"]}
    switched = params["kubeadm_binaries"] == "binary" and params["driver"] == "kubeadm"
    loose = {
        node["name"]: [
            f"{name} {version} is a package that is not held, so its next update undoes the switch of the binary"
            for name, version in node["packages"]["installed"].items()
            if switched and name in ("kubeadm", "kubelet", "kubectl") and name not in node["packages"]["held"]
        ]
        for node in params["nodes"]
    }
    told = by_node(held if bad or not any(loose.values()) else loose)
    # Packages that the run itself installs it holds again as they were.
    if not told or params["kubeadm_binaries"] == "package":
        return []
    gate = _gate.Gate("packages", _gate.FAILED, told, "no package manager in the way", severity=_gate.WARNING)
    if any(loose.values()) and not bad:
        gate.next_action = "Hold them (apt-mark hold, dnf versionlock add) before the run."
    elif bad:
        gate.next_action = (
            "Release the hold (apt-mark unhold, dnf versionlock delete) to install the target's, then hold them again."
        )
    else:
        # Nothing is installed by this run, so a hold stops nothing.
        gate.verdict = _gate.PASSED
    return [gate]


# Space


def disk_space(params: Params) -> _gate.Gate:
    """kubeadm copies etcd's data below /etc/kubernetes/tmp; the rest writes binaries, images and manifests."""
    tight = {
        node["name"]: [
            *(
                f"{disk['free_bytes'] // 2**20} MiB free at {disk['path']}, {wanted // 2**20} wanted"
                for disk in node["disks"]
                for wanted in [node["etcd_bytes"] + SPARE_BYTES]
                if disk["free_bytes"] < wanted
            ),
            *(
                f"{disk['free_inodes']} inodes free at {disk['path']}, {SPARE_INODES} wanted"
                for disk in node["disks"]
                if disk["inodes"] and disk["free_inodes"] < SPARE_INODES
            ),
        ]
        for node in params["nodes"]
    }
    return _gate.Gate(
        id="disk_space",
        verdict=_gate.FAILED if any(tight.values()) else _gate.PASSED,
        observed=by_node(tight) or f"enough on {len(params['nodes'])} nodes",
        expected=f"room for a copy of etcd's data and {SPARE_BYTES // 2**20} MiB, and {SPARE_INODES} inodes",
        next_action="Free some space there; kubeadm's old copies in /etc/kubernetes/tmp are a place to look.",
    )


# Where components find the API


def component_endpoints(params: Params) -> _gate.Gate:
    """Controller manager and scheduler move with their node's server; elsewhere they may meet an older one.

    Kubernetes' version skew policy wants them no newer than any server that they reach. Kubelets move after all
    servers, so they may go anywhere.
    """
    away: dict[str, list[str]] = {}
    kubelets: dict[str, list[str]] = {}
    for node in params["nodes"]:
        for found in node["kubeconfigs"]:
            if not found["local"]:
                told = kubelets if found["component"] == "kubelet" else away
                told.setdefault(node["name"], []).append(f"{found['component']} goes to {found['server']}")
    gate = _gate.Gate(
        id="component_endpoints",
        verdict=_gate.FAILED if away and hop(params) else _gate.PASSED,
        observed=by_node(away) or f"those of {len(params['nodes'])} nodes go to their own server",
        expected="controller manager and scheduler go to the server of their own node, with which they are upgraded; "
        "elsewhere they would have to wait for the last server",
    )
    if gate.verdict == _gate.FAILED:
        gate.next_action = (
            "Point the kubeconfig named at the node's own address (with kubeadm: kubeadm init phase kubeconfig "
            "controller-manager, and scheduler, with --control-plane-endpoint unset) and restart the component."
        )
    elif away:
        gate.observed += "; within one minor that is no matter"
    if kubelets:
        gate.observed += f"; {by_node(kubelets)}, which is right, as kubelets are upgraded after all servers"
    return gate


def load_balancer(params: Params, endpoint: _api.Server) -> _gate.Gate:
    """Whether what clients use leaves out a server that is going down, as far as it can be seen by reading.

    Nothing is taken out of service to see it: where no configuration can be read that says so, it is unproven.
    """
    gate = _gate.Gate(
        id="load_balancer",
        verdict=_gate.PASSED,
        observed="",
        expected="the kubeconfig's server answers /readyz, and is a load balancer that asks each server's /readyz",
    )
    url = endpoint.host
    try:
        answer = endpoint.request("GET", "/readyz")
        trouble = "" if answer.status == 200 else f"{url} answers {answer.status} to /readyz"
    except _api.ApiError as error:
        trouble = str(error)
    if trouble:
        gate.verdict, gate.observed = _gate.FAILED, trouble
        gate.next_action = "Mend the load balancer or the server behind it, or set control_plane_kubeconfig."
        return gate
    if len(params["proxies"]) == 1:
        gate.observed = f"{url} answers, and is the only server"
        return gate
    gate.severity = _gate.WARNING
    owner = server_of(url, params["proxies"])
    if owner:
        gate.verdict, gate.observed = _gate.FAILED, f"{url} is the server {owner} itself"
        gate.next_action = f"Give clients a load balancer's address; this one has no API while {owner} is upgraded."
        return gate
    # A balancer on a node is that of the kubeconfig only if the address is there.
    where = addresses_of(url)
    here = [node for node in params["nodes"] if where & set(node["addresses"])]
    found = [one for node in here for one in node["balancers"]]
    words = sorted({f"{one['kind']}: {one['words']}" + (f" ({one['path']})" if one["path"] else "") for one in found})
    gate.observed = f"{url} answers; " + ("; ".join(words) or "it is no process of these nodes, so it can't be read")
    kinds = [one["readiness"] for one in found]
    if False in kinds:
        gate.verdict = _gate.FAILED
        gate.next_action = "Let it ask /readyz of each server over HTTPS every second or two; it tells first."
    elif None in kinds or not kinds:
        gate.verdict = _gate.UNPROVEN
        gate.next_action = "See to it that it asks /readyz of each server over HTTPS, not /healthz or the port alone."
    return gate


def server_of(url: str, proxies: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """The server whose own address a URL leads to; empty if it is none's."""
    own = {address_of(proxy["address"]): str(proxy["name"]) for proxy in proxies if proxy.get("address")}
    names = {own.get((address, address_of(url)[1]), "") for address in addresses_of(url)}
    return names.pop() if len(names) == 1 else ""


def addresses_of(url: str) -> set[str]:
    """The addresses that a URL's host has, as they are known here."""
    return _node_facts.resolved(urllib.parse.urlsplit(url).hostname or "")


def address_of(address: str) -> tuple[str, int]:
    """``192.0.2.1:6443`` or ``https://[fd00::1]:6443`` as an address and a port."""
    parts_ = urllib.parse.urlsplit(address if "://" in address else f"https://{address}")
    host = parts_.hostname or ""
    with contextlib.suppress(ValueError):
        host = str(ipaddress.ip_address(host))
    return host, parts_.port or 443


def checks(params: Params, document: Document, endpoint: _api.Server) -> dict[str, Check]:
    """The gates of this file that an upgrade needs, by id, with a variant behind a slash where others judge it as well.

    Certificates and clocks are judged on the controller.
    """
    return {
        "disk_space": lambda: disk_space(params),
        "images": lambda: images(params, document),
        "packages": lambda: packages(params),
        "load_balancer": lambda: load_balancer(params, endpoint),
        "component_endpoints": lambda: component_endpoints(params),
        "manifest_drift": lambda: manifest_drift(params, document),
        "patches_present": lambda: patches_present(params),
        "feature_gates/removed": lambda: feature_gates(params, document),
        "component_flags/removed": lambda: component_flags(params, document),
    }
