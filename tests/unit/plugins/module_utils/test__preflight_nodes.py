# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging what nodes hold. The manifests are as kubeadm 1.35 and 1.36 render them."""

from __future__ import annotations

import types

import pytest
import yaml

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _node,
    _node_facts,
    _preflight_nodes,
)

STEP_IMAGE = "registry.k8s.io/etcd:3.6.14-0"


def node(name="cp1", **facts):
    return {
        "name": name,
        "settings": {},
        "refused": {},
        "components": {},
        "manifests": {},
        "kubeconfigs": [],
        "images": [],
        "packages": {"installed": {}, "held": []},
        "patches": None,
        "balancers": [],
        "addresses": [],
        "apiserver_flags": {},
        **facts,
    }


def params(*nodes, **more):
    return {
        "job": "upgrade",
        "version": "v1.37.2",
        "driver": "kubeadm",
        "proxies": [
            {"name": one["name"], "version": "v1.36.4", "address": f"192.0.2.1{n}:6443"}
            for n, one in enumerate(nodes, 1)
        ],
        "nodes": list(nodes),
        "controller": {},
        "kubeadm_binaries": "none",
        "binaries_directory": "",
        "patches_directory": "",
        "etcd_step_image": STEP_IMAGE,
        **more,
    }


def config(**fields):
    document = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kubernetesVersion": "v1.36.4", **fields}
    return lambda: {"data": {"ClusterConfiguration": yaml.safe_dump(document)}}


# Gates and flags


def runs(gates=None, flags=(), component="kube-apiserver", version="v1.36.4"):
    return {
        "settings": {component: {"gates": gates or {}, "flags": list(flags)}},
        "components": {component: version},
    }


REFUSED = {"flags": {"gone": True, "there": False}, "gates": {"Gone=true": "removed", "There=true": ""}}
ASKED = {"controller": {"refused": {"kube-apiserver": REFUSED}}}


@pytest.mark.parametrize(
    ("facts", "more", "verdict", "words"),
    [
        (
            runs({"SidecarContainers": "true"}),
            {},
            "failed",
            "cp1: kube-apiserver: SidecarContainers=true (removed in 1.37)",
        ),
        (runs({"OpenAPIEnums": "true"}), {}, "passed", "none that v1.37.2 refuses"),
        (
            runs({"Gone": "true"}),
            {"controller": {"refused": {"kube-apiserver": REFUSED}}},
            "failed",
            "Gone=true (removed)",
        ),
        (runs({"There": "true"}), {"controller": {"refused": {"kube-apiserver": REFUSED}}}, "passed", ""),
        # The binary was not asked about this value, so the table has the word.
        (
            runs({"SidecarContainers": "true"}),
            ASKED,
            "failed",
            "removed in 1.37",
        ),
        # A binary on the node that is the target.
        (
            {**runs({"Gone": "true"}, component="kubelet"), "refused": {"kubelet": {"version": "v1.37.2", **REFUSED}}},
            {},
            "failed",
            "kubelet: Gone=true (removed)",
        ),
        # One that is another version says nothing about the target.
        (
            {**runs({"Gone": "true"}, component="kubelet"), "refused": {"kubelet": {"version": "v1.36.9", **REFUSED}}},
            {},
            "passed",
            "",
        ),
        # No table, no binary: never guessed.
        (runs({"Any": "true"}, version="v1.37.2"), {"version": "v1.38.0"}, "unproven", "kube-apiserver's Any"),
        (runs({}, version="v1.37.2"), {"version": "v1.38.0"}, "passed", ""),
    ],
)
def test_feature_gates(facts, more, verdict, words):
    gate = _preflight_nodes.feature_gates(params(node(**facts), **more), config())
    assert gate.verdict == verdict
    assert words in gate.observed
    assert bool(gate.next_action) == (verdict != "passed")


def test_gates_in_kubeadm_config_are_the_targets_too():
    document = config(controllerManager={"extraArgs": [{"name": "feature-gates", "value": "SidecarContainers=true"}]})
    gate = _preflight_nodes.feature_gates(params(node()), document)
    assert gate.observed == "kubeadm-config: kube-controller-manager: SidecarContainers=true (removed in 1.37)"


def test_feature_gates_that_are_given_twice_add_up():
    pairs = [{"name": "feature-gates", "value": value} for value in ("SidecarContainers=true", "OpenAPIEnums=true")]
    gate = _preflight_nodes.feature_gates(params(node()), config(scheduler={"extraArgs": pairs}))
    assert gate.observed == "kubeadm-config: kube-scheduler: SidecarContainers=true (removed in 1.37)"


def test_an_image_whose_tag_is_no_version_breaks_no_check():
    gate = _preflight_nodes.feature_gates(
        params(node(**runs({"SidecarContainers": "true"}, version="latest"))), config()
    )
    assert (gate.verdict, "removed in 1.37" in gate.observed) == ("failed", True)


@pytest.mark.parametrize(
    ("facts", "more", "verdict", "words"),
    [
        (
            runs(flags=["concurrent-service-syncs"], component="kube-controller-manager"),
            {},
            "failed",
            "kube-controller-manager: --concurrent-service-syncs (removed in 1.37)",
        ),
        (runs(flags=["gone"]), ASKED, "failed", "--gone (removed)"),
        (runs(flags=["there"]), ASKED, "passed", ""),
        (runs(flags=["audit-log-path"], version="v1.37.2"), {"version": "v1.38.0"}, "unproven", "--audit-log-path"),
        # What kubeadm or this collection sets, its own target has.
        (runs(flags=["etcd-servers", "peer-ca-file"], version="v1.37.2"), {"version": "v1.38.0"}, "passed", ""),
    ],
)
def test_component_flags(facts, more, verdict, words):
    gate = _preflight_nodes.component_flags(params(node(**facts), **more), config())
    assert gate.verdict == verdict
    assert words in gate.observed


def test_one_trouble_of_several_nodes_is_told_once():
    facts = runs({"SidecarContainers": "true"})
    gate = _preflight_nodes.feature_gates(params(node(**facts), node("cp2", **facts)), config())
    assert gate.observed == "cp1, cp2: kube-apiserver: SidecarContainers=true (removed in 1.37)"


# kubeadm


@pytest.mark.parametrize(
    ("fields", "verdict", "words"),
    [
        ({}, "passed", "kubeadm.k8s.io/v1beta4"),
        ({"featureGates": {"NodeLocalCRISocket": True}}, "failed", "featureGates.NodeLocalCRISocket"),
        ({"featureGates": {"RootlessControlPlane": True}}, "passed", "RootlessControlPlane"),
        ({"apiVersion": "kubeadm.k8s.io/v1beta3"}, "failed", "v1beta3, which kubeadm v1.37.2 no longer reads"),
    ],
)
def test_kubeadm_config(fields, verdict, words):
    gate = _preflight_nodes.kubeadm_config(params(node()), config(**fields))
    assert gate.verdict == verdict
    assert words in gate.observed


def test_kubeadm_gates_of_a_target_that_nobody_knows():
    given = params(node(), version="v1.38.0")
    gate = _preflight_nodes.kubeadm_config(given, config(featureGates={"RootlessControlPlane": True}))
    assert gate.verdict == "unproven"
    assert _preflight_nodes.kubeadm_config(given, config()).verdict == "passed"


def test_kubeadm_config_for_a_change_of_flags_only():
    given = {**params(node()), "job": "proxy"}
    assert _preflight_nodes.kubeadm_config(given, config(featureGates={"PublicKeysECDSA": True})).verdict == "passed"


def test_kubeadm_config_without_its_document():
    assert _preflight_nodes.kubeadm_config(params(node()), lambda: {"data": {}}).verdict == "failed"
    assert _preflight_nodes.kubeadm_config(params(node(), driver="systemd"), dict).verdict == "skipped"


def patches(**files):
    return {"files": files, "flags": {}, "paths": {}}


@pytest.mark.parametrize(
    ("nodes", "verdicts", "words"),
    [
        ([patches(a="1", b="2"), patches(a="1", b="2")], ["passed"], "2 files on 2 nodes"),
        ([patches(a="1"), None], ["failed"], "cp2: no /patches"),
        ([patches(a="1", b="2"), patches(a="1")], ["failed"], "cp2: no b"),
        ([patches(), patches()], ["failed"], "cp1, cp2: nothing in /patches"),
        ([patches(a="1"), patches(a="2")], ["passed", "failed"], "not the same on every node: a"),
    ],
)
def test_patches_present(nodes, verdicts, words):
    given = params(*(node(f"cp{n}", patches=one) for n, one in enumerate(nodes, 1)), patches_directory="/patches")
    gates = _preflight_nodes.patches_present(given)
    assert [gate.verdict for gate in gates] == verdicts
    assert words in gates[-1].observed
    assert [gate.severity for gate in gates[1:]] == ["warning"] * (len(gates) - 1)


def test_patches_that_are_not_wanted():
    assert _preflight_nodes.patches_present(params(node()))[0].verdict == "skipped"


@pytest.fixture
def live(recorded):
    """A static pod of node_info's, of a manifest that kubeadm wrote, with some arguments more or less."""

    def read(name, *more, without=(), image=None, mount=None):
        text = recorded(f"{name}.yaml")
        arguments = [one for one in [*_node.manifest_command(text), *more] if one.partition("=")[0] not in without]
        return {
            "image": image or _node.manifest_image(text),
            "flags": {flag: _node_facts.fingerprint(value) for flag, value in _node.flags(arguments).items()},
            "gates": _node_facts.gates_of_flags(arguments),
            "paths": [*_node_facts.host_paths(text), *([mount] if mount else [])],
        }

    return read


#: What the recorded manifest of the API server was rendered from.
AUDIT = {
    "audit-policy-file": "/etc/kubernetes/audit-policy.yaml",
    "audit-log-path": "/var/log/kubernetes/audit.log",
    "audit-log-maxage": "0",
    "audit-log-maxbackup": "0",
    "audit-log-maxsize": "4096",
    "peer-ca-file": "/etc/kubernetes/pki/ca.crt",
}
MEMBERS = "https://10.0.0.1:2379,https://10.0.0.2:2379"
VOLUMES = [{"hostPath": "/etc/kubernetes/audit-policy.yaml"}, {"hostPath": "/var/log/kubernetes"}]


def api_server(extra=None, **fields):
    pairs = AUDIT if extra is None else extra
    return {
        "etcd": {"local": {"dataDir": "/var/lib/etcd"}},
        "apiServer": {"extraArgs": [{"name": k, "value": v} for k, v in pairs.items()], "extraVolumes": VOLUMES},
        **fields,
    }


def drifted(live_manifests, fields, **facts):
    return _preflight_nodes.manifest_drift(params(node(manifests=live_manifests, **facts)), config(**fields))


@pytest.mark.parametrize("name", ["kube-apiserver", "kube-controller-manager"])
def test_what_kubeadm_rendered_is_no_drift(live, name):
    (gate,) = drifted({name: live(name)}, api_server())
    assert (gate.verdict, gate.observed) == ("passed", "nothing on 1 nodes that a re-render loses")


def test_the_map_of_v1beta3_is_read_as_well(live):
    fields = {**api_server(), "apiServer": {"extraArgs": AUDIT, "extraVolumes": VOLUMES}}
    assert drifted({"kube-apiserver": live("kube-apiserver")}, fields)[0].verdict == "passed"


@pytest.mark.parametrize(
    ("more", "without", "words"),
    [
        (("--goaway-chance=0.01",), (), "kube-apiserver has --goaway-chance"),
        (("--authorization-mode=Node,RBAC,Webhook",), (), "kube-apiserver has another --authorization-mode"),
        (("--audit-log-maxsize=1",), (), "kube-apiserver has another --audit-log-maxsize"),
        ((f"--etcd-servers={MEMBERS}",), (), "kube-apiserver has another --etcd-servers"),
        (("--feature-gates=OpenAPIEnums=false",), (), "kube-apiserver has the feature gate OpenAPIEnums=false"),
    ],
)
def test_what_a_re_render_loses(live, more, without, words):
    (gate,) = drifted({"kube-apiserver": live("kube-apiserver", *more, without=without)}, api_server())
    assert (gate.verdict, gate.severity, gate.observed) == ("failed", "blocking", f"cp1: {words}")


@pytest.mark.parametrize(
    ("servers", "extra", "etcd"),
    [
        (MEMBERS, {"etcd-servers": MEMBERS}, {}),
        ("https://[::1]:2379", {}, {}),
        (MEMBERS, {}, {"etcd": {"external": {"endpoints": MEMBERS.split(",")}}}),
    ],
    ids=["every member by extraArgs", "IPv6", "external"],
)
def test_members_that_a_re_render_keeps(live, servers, extra, etcd):
    manifests = {"kube-apiserver": live("kube-apiserver", f"--etcd-servers={servers}")}
    assert drifted(manifests, api_server({**AUDIT, **extra}, **etcd))[0].verdict == "passed"


def test_a_mount_that_a_re_render_loses(live):
    (gate,) = drifted({"kube-apiserver": live("kube-apiserver", mount="/etc/tracing.yaml")}, api_server())
    assert gate.observed == "cp1: kube-apiserver mounts /etc/tracing.yaml"


def test_the_proxys_flag_in_the_manifest_alone_would_be_lost(live):
    extra = {name: value for name, value in AUDIT.items() if name != "peer-ca-file"}
    (gate,) = drifted({"kube-apiserver": live("kube-apiserver")}, api_server(extra))
    assert gate.observed == "cp1: kube-apiserver has --peer-ca-file"


def test_what_a_patch_speaks_of_is_kept(live):
    manifests = {"kube-apiserver": live("kube-apiserver", "--goaway-chance=0.01", mount="/etc/tracing.yaml")}
    name = "kube-apiserver0+json.yaml"
    patch = {"files": {name: "x"}, "flags": {name: ["goaway-chance"]}, "paths": {name: ["/etc/tracing.yaml"]}}
    assert drifted(manifests, api_server(), patches=patch)[0].verdict == "passed"
    other = "kube-scheduler0+json.yaml"
    patch = {"files": {other: "x"}, "flags": {other: ["goaway-chance"]}, "paths": {other: []}}
    assert drifted(manifests, api_server(), patches=patch)[0].verdict == "failed"


def test_our_own_leavings_are_no_drift(live):
    manifests = {
        "kube-apiserver": live("kube-apiserver", "--feature-gates=UnknownVersionInteroperabilityProxy=true"),
        "etcd": live("etcd", image=STEP_IMAGE),
    }
    (gate,) = drifted(manifests, api_server())
    assert gate.verdict == "passed"
    assert f"etcd's image {STEP_IMAGE}, to which it was stepped" in gate.observed
    assert "UnknownVersionInteroperabilityProxy, which 1.35 needs" in gate.observed


def test_what_is_not_rendered_yet_is_a_warning(live):
    fields = api_server({**AUDIT, "goaway-chance": "0.01"})
    gates = drifted({"kube-apiserver": live("kube-apiserver")}, fields)
    assert [(gate.verdict, gate.severity) for gate in gates] == [("passed", "blocking"), ("failed", "warning")]
    assert "kubeadm-config gives kube-apiserver --goaway-chance, which its manifest lacks" in gates[1].observed


def test_an_image_of_another_repository_is_a_warning(live):
    manifests = {"kube-apiserver": live("kube-apiserver", image="mirror.example.org/kube-apiserver:v1.36.4")}
    assert drifted(manifests, api_server())[1].severity == "warning"
    assert len(drifted(manifests, api_server(imageRepository="mirror.example.org"))) == 1


# Images and packages

TAGS = {"etcd": "3.7.0-0", "pause": "3.10.2"}
NEEDED = [
    *(f"registry.k8s.io/kube-{name}:v1.37.2" for name in ("apiserver", "controller-manager", "scheduler")),
    "registry.k8s.io/pause:3.10.2",
    "registry.k8s.io/etcd:3.7.0-0",
]


@pytest.mark.parametrize(
    ("there", "verdict", "severity", "words"),
    [
        (NEEDED, "passed", "blocking", "all 5 on 1 nodes"),
        (NEEDED[:-1], "failed", "warning", "to be pulled before each node's step: cp1: registry.k8s.io/etcd:3.7.0-0"),
        (None, "failed", "blocking", "no tool on cp1"),
    ],
)
@pytest.mark.parametrize("tags", [TAGS, None])
def test_images(there, verdict, severity, words, tags):
    given = params(node(images=there), controller={"images": tags} if tags else {})
    gate = _preflight_nodes.images(given, config(etcd={"local": {}}))
    assert (gate.verdict, gate.severity) == (verdict, severity)
    assert words in gate.observed
    assert ("shipped table" in gate.observed) == (tags is None and there is not None)


def test_images_as_kubeadm_config_names_them():
    fields = {"imageRepository": "mirror.example.org/k8s", "etcd": {"local": {"imageTag": "3.6.14-0"}}}
    needed = _preflight_nodes.needed_images(params(node()), fields)
    assert "mirror.example.org/k8s/etcd:3.6.14-0" in needed
    assert "mirror.example.org/k8s/kube-scheduler:v1.37.2" in needed
    external = _preflight_nodes.needed_images(params(node()), {"etcd": {"external": {}}})
    assert not any("/etcd:" in image for image in external)


@pytest.mark.parametrize(
    ("etcd", "target", "step", "needed"),
    [
        ("3.6.8", "v1.37.2", STEP_IMAGE, True),
        ("3.6.8", "v1.37.2", "", False),
        ("3.6.11", "v1.37.2", STEP_IMAGE, False),
        ("3.6.8", "v1.36.9", STEP_IMAGE, False),
        ("", "v1.37.2", STEP_IMAGE, False),
    ],
)
def test_the_image_that_etcd_is_stepped_by(etcd, target, step, needed):
    given = params(node(components={"etcd": etcd}), version=target, etcd_step_image=step)
    assert (STEP_IMAGE in _preflight_nodes.needed_images(given, {"etcd": {"local": {}}})) is needed


def test_images_of_a_target_that_nobody_knows():
    given = params(node(images=["registry.k8s.io/kube-apiserver:v1.38.0"]), version="v1.38.0")
    given["nodes"][0]["images"] = [f"registry.k8s.io/{n}:v1.38.0" for n in _node_facts.STATIC_PODS if n != "etcd"]
    gate = _preflight_nodes.images(given, config(etcd={"local": {}}))
    assert (gate.verdict, gate.severity) == ("unproven", "warning")


TOOLS = {"kubeadm": "v1.37.2", "kubelet": "v1.37.2", "kubectl": "v1.37.2"}


@pytest.mark.parametrize(
    ("facts", "verdicts", "words"),
    [
        ({"components": TOOLS}, ["passed"], "on 1 nodes"),
        ({"components": {**TOOLS, "kubelet": "v1.36.4"}}, ["failed"], "cp1: kubelet v1.36.4"),
        ({"components": {"kubeadm": "v1.37.2", "kubelet": "v1.37.2"}}, ["failed"], "kubectl is not there"),
        (
            {
                "components": {**TOOLS, "kubelet": "v1.36.4"},
                "packages": {"installed": {"kubelet": "1.36.4-1.1"}, "held": ["kubelet"]},
            },
            ["failed", "failed"],
            "cp1: kubelet is held",
        ),
        (
            {"components": TOOLS, "packages": {"installed": {"kubelet": "1.37.2-1.1"}, "held": ["kubelet"]}},
            ["passed", "passed"],
            "cp1: kubelet is held",
        ),
    ],
)
def test_packages_that_shall_be_on_the_nodes(facts, verdicts, words):
    gates = _preflight_nodes.packages(params(node(**facts)))
    assert [gate.verdict for gate in gates] == verdicts
    assert words in gates[-1].observed


@pytest.mark.parametrize(
    ("binaries", "verdict", "words"),
    [
        (TOOLS, "passed", "all there"),
        ({**TOOLS, "kubelet": "v1.36.4"}, "failed", "kubelet v1.36.4"),
        ({"kubeadm": "v1.37.2", "kubelet": "v1.37.2"}, "failed", "kubectl is not there"),
        # For another platform.
        ({**TOOLS, "kubectl": ""}, "passed", "kubectl can't be run here"),
    ],
)
def test_binaries_that_the_run_brings(binaries, verdict, words):
    controller = {"wanted": ["kubeadm", "kubelet", "kubectl"], "binaries": binaries}
    given = params(node(), kubeadm_binaries="binary", binaries_directory="/binaries", controller=controller)
    (gate,) = _preflight_nodes.packages(given)
    assert gate.verdict == verdict
    assert words in gate.observed


def test_a_package_that_would_undo_the_switch():
    controller = {"wanted": list(TOOLS), "binaries": TOOLS}
    facts = {"packages": {"installed": {"kubelet": "1.36.4-1.1", "kubectl": "1.36.4-1.1"}, "held": ["kubectl"]}}
    dummy, warning = _preflight_nodes.packages(params(node(**facts), kubeadm_binaries="binary", controller=controller))
    assert (warning.verdict, warning.severity) == ("failed", "warning")
    assert "kubelet 1.36.4-1.1 is a package that is not held" in warning.observed
    assert "kubectl" not in warning.observed


# Space


@pytest.mark.parametrize(
    ("short", "inodes", "free", "words"),
    [
        (0, 100000, 50000, "enough on 1 nodes"),
        (2**20, 100000, 50000, "cp1: 511 MiB free at /var, 512 wanted"),
        (0, 100000, 100, "cp1: 100 inodes free at /var, 4096 wanted"),
        # Without a bound none are free either.
        (0, 0, 0, "enough on 1 nodes"),
    ],
)
def test_disk_space(short, inodes, free, words):
    room = _preflight_nodes.SPARE_BYTES + 4096 - short
    disk = {"path": "/var", "free_bytes": room, "inodes": inodes, "free_inodes": free}
    gate = _preflight_nodes.disk_space(params(node(etcd_bytes=4096, disks=[disk])))
    assert gate.observed == words
    assert gate.verdict == ("passed" if words.startswith("enough") else "failed")


# Endpoints


def goes(component, local):
    return {"component": component, "path": "/x", "server": "https://192.0.2.1:6443", "local": local}


@pytest.mark.parametrize(
    ("found", "target", "verdict", "words"),
    [
        ([goes("kube-scheduler", True)], "v1.37.2", "passed", "go to their own server"),
        ([goes("kube-scheduler", False)], "v1.37.2", "failed", "cp1: kube-scheduler goes to https://192.0.2.1:6443"),
        ([goes("kube-scheduler", False)], "v1.36.9", "passed", "within one minor that is no matter"),
        ([goes("kubelet", False)], "v1.37.2", "passed", "kubelet goes to https://192.0.2.1:6443, which is right"),
    ],
)
def test_component_endpoints(found, target, verdict, words):
    gate = _preflight_nodes.component_endpoints(params(node(kubeconfigs=found), version=target))
    assert gate.verdict == verdict
    assert words in gate.observed


def endpoint(url, status=200):
    def request(method, path):
        if not status:
            raise _api.ApiError("kubeconfig's server", path, 0, "no answer")
        return types.SimpleNamespace(status=status)

    return types.SimpleNamespace(host=url, request=request)


def balancer(readiness):
    return {"kind": "haproxy", "path": "/etc/haproxy/haproxy.cfg", "readiness": readiness, "words": "so it is"}


VIP = "https://192.0.2.1:6443"


@pytest.mark.parametrize(
    ("url", "status", "found", "verdict", "severity", "words"),
    [
        (VIP, 200, [balancer(True)], "passed", "warning", "haproxy: so it is (/etc/haproxy/haproxy.cfg)"),
        (VIP, 200, [balancer(False)], "failed", "warning", "so it is"),
        (VIP, 200, [balancer(True), balancer(None)], "unproven", "warning", "so it is"),
        # Nothing is known of how it checks: never passed.
        (VIP, 200, [], "unproven", "warning", "it is no process of these nodes"),
        # What runs on the nodes for others is not what the kubeconfig leads to.
        ("https://192.0.2.99:6443", 200, [balancer(True)], "unproven", "warning", "it is no process of these nodes"),
        (VIP, 0, [balancer(True)], "failed", "blocking", "no answer"),
        (VIP, 503, [], "failed", "blocking", "answers 503"),
        ("https://192.0.2.12:6443", 200, [balancer(True)], "failed", "warning", "is the server cp2 itself"),
    ],
)
def test_load_balancer(url, status, found, verdict, severity, words):
    given = params(node(balancers=found, addresses=["192.0.2.11", "192.0.2.1"]), node("cp2"))
    gate = _preflight_nodes.load_balancer(given, endpoint(url, status))
    assert (gate.verdict, gate.severity) == (verdict, severity)
    assert words in gate.observed


def test_a_single_server_needs_no_load_balancer():
    gate = _preflight_nodes.load_balancer(params(node()), endpoint("https://192.0.2.11:6443"))
    assert (gate.verdict, gate.observed) == ("passed", "https://192.0.2.11:6443 answers, and is the only server")


@pytest.mark.parametrize("gate_id", ["images", "manifest_drift", "patches_present"])
def test_what_systemd_does_not_have_is_skipped_with_the_reason(gate_id):
    checks = _preflight_nodes.checks(params(node(), driver="systemd"), dict, endpoint(VIP))
    found = checks[gate_id]()
    gate = found[0] if isinstance(found, list) else found
    assert (gate.id, gate.verdict) == (gate_id, "skipped")
    assert gate.reason


def test_what_the_users_own_tasks_bring_is_not_looked_for():
    gates = _preflight_nodes.packages(params(node(), driver="custom", kubeadm_binaries="binary"))
    assert [(gate.id, gate.verdict) for gate in gates] == [("packages", "skipped")]


INSTALLED = {"installed": {"kubeadm": "1.36.4-1.1", "kubelet": "1.36.4-1.1"}, "held": ["kubelet"]}
FOUND = {"kubeadm": "1.37.2-1.1", "kubelet": "1.37.2-1.1"}


@pytest.mark.parametrize(
    ("installed", "offer", "verdict", "words"),
    [
        (INSTALLED, {}, "passed", "kubeadm 1.37.2-1.1, kubelet 1.37.2-1.1 for 1 nodes"),
        (
            INSTALLED,
            {"packages": {**FOUND, "kubelet": ""}, "seen": {"kubelet": ["1.37.1-1.1"]}},
            "failed",
            "cp1: no kubelet v1.37.2 in https://example.com/, seen 1.37.1-1.1",
        ),
        (INSTALLED, {"trouble": "apt-get ended with 100", "packages": {}}, "failed", "cp1: apt-get ended with 100"),
        (
            {"installed": {"kubeadm": "1.36.4-1.1"}, "held": []},
            {},
            "failed",
            "cp1: kubelet is not installed as a package",
        ),
    ],
)
def test_packages_that_the_run_installs(installed, offer, verdict, words):
    offered = {"trouble": "", "packages": FOUND, "seen": {}, "repository": "https://example.com/", **offer}
    facts = {"packages": installed, "offered_packages": offered}
    # What is held is no matter: it is held again.
    (gate,) = _preflight_nodes.packages(params(node(**facts), kubeadm_binaries="package"))
    assert gate.verdict == verdict
    assert words in gate.observed
