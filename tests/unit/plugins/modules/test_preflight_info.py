# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.modules import preflight_info

#: Of a node whose etcd is a static pod.
OF_KUBEADM = {"etcd": "3.6.8"}


def params(target="v1.37.2", versions=("v1.36.4",), etcd=(), step=""):
    return {
        "version": target,
        "proxies": [{"name": f"cp{n}", "version": version} for n, version in enumerate(versions, 1)],
        "nodes": [{"name": f"cp{n}", "etcd_member": f"cp{n}", "components": OF_KUBEADM} for n in range(1, 4)],
        "driver": "kubeadm",
        "etcd_members": [{"name": f"cp{n}", "version": version} for n, version in enumerate(etcd, 1)],
        "etcd_step": step,
        "away": [],
    }


@pytest.mark.parametrize(
    ("target", "etcd", "step", "verdict"),
    [
        ("v1.37.2", ("3.6.8", "3.6.14"), "", "failed"),
        ("v1.37.2", ("3.6.8", "3.6.14"), "3.6.14", "passed"),
        ("v1.37.2", ("3.6.8",), "3.6.10", "failed"),
        ("v1.37.2", ("3.6.11", "3.7.0"), "", "passed"),
        ("v1.36.9", ("3.6.8",), "", "passed"),
    ],
)
def test_etcd_version(target, etcd, step, verdict):
    gate = preflight_info.etcd_version(params(target, etcd=etcd, step=step))
    assert gate.verdict == verdict
    assert bool(gate.next_action) == (verdict == "failed")


@pytest.mark.parametrize(
    ("here", "etcd", "verdict", "words"),
    [
        # External etcd: nothing here brings it 3.7.
        ((), ("3.6.8",), "passed", ""),
        # One member on a host of its own can't be stepped.
        (("cp1",), ("3.6.14", "3.6.8"), "failed", "by hand where it is not on a node of this group: cp2"),
        (("cp1",), ("3.6.8", "3.6.14"), "passed", ""),
    ],
)
def test_etcd_version_of_members_elsewhere(here, etcd, verdict, words):
    given = params(etcd=etcd, step="3.6.14")
    given["nodes"] = [{"name": "cp1", "etcd_member": name, "components": OF_KUBEADM} for name in here or [""]]
    gate = preflight_info.etcd_version(given)
    assert gate.verdict == verdict
    assert words in gate.next_action


def upgrade(components, etcd="3.6.8", driver="kubeadm"):
    """What there is to do on a node with these *components* and a member of this version."""
    given = {
        **params(etcd=(etcd,), step="3.6.14"),
        "job": "upgrade",
        "proxy_state": "present",
        "driver": driver,
        "kubelets": True,
        "proxies": [{"name": "cp1", "state": "on", "version": "v1.36.4"}],
        "nodes": [{"name": "cp1", "etcd_member": "cp1", "components": components}],
    }
    return given, preflight_info.work(given, {"cp1": "v1.36.4"})["cp1"]


@pytest.mark.parametrize(("driver", "steps"), [("kubeadm", False), ("systemd", True)])
def test_with_kubeadm_a_member_that_is_no_pod_of_its_own_is_left_alone(driver, steps):
    """As kubespray has it on its hosts, which kubeadm takes for external etcd."""
    given, todo = upgrade({"kube-apiserver": "v1.36.4", "etcd": ""}, driver=driver)
    assert todo == {"etcd_step": steps, "proxy": False, "control_plane": True, "kubelet": True}
    gate = preflight_info.etcd_version(given)
    assert gate.verdict == "passed"
    assert ("does not touch etcd" in gate.expected) is not steps


def test_a_version_that_can_t_be_read_is_told_and_is_not_nothing_to_do():
    with pytest.raises(ValueError, match="abcdef") as error:
        upgrade({"kube-apiserver": "abcdef", "etcd": "3.6.8"})
    gate = preflight_info.unplanned(error.value)
    assert (gate.id, gate.verdict, gate.acceptable) == ("version_skew", "failed", False)
    assert "'abcdef' is not a full version" in gate.observed


def test_the_driver_custom_steps_no_member():
    gate = preflight_info.etcd_version({**params(etcd=("3.6.8",)), "driver": "custom"})
    assert gate.verdict == "failed"
    assert "by your own means" in gate.next_action


def test_a_member_may_be_on_a_node_that_can_t_be_reached():
    given = params(etcd=("3.6.8", "3.6.8"), step="3.6.14")
    given["nodes"] = [{"name": "cp1", "etcd_member": "cp1", "components": OF_KUBEADM}]
    given["away"] = [{"name": "cp2", "why": "No route to host"}]
    gate = preflight_info.etcd_version(given)
    assert gate.verdict == "unproven"
    assert "can't be reached" in gate.next_action


def test_mixed_minors_are_told():
    given = params(etcd=("3.6.14", "3.7.0"))
    for member in given["etcd_members"]:
        member["storage_version"] = "3.6.0"
    assert (
        preflight_info.etcd_version(given).observed == "cp1 3.6.14, cp2 3.7.0; minors 3.6 and 3.7 mixed; storage 3.6.0"
    )


def test_a_node_that_can_t_be_reached_is_named_and_not_to_be_accepted():
    (gate,) = preflight_info.away({"away": [{"name": "cp2", "why": "No route\r\nto host\n"}]})
    assert (gate.id, gate.verdict, gate.node, gate.acceptable) == ("nodes_ready", "failed", "cp2", False)
    assert gate.observed == "cp2 can't be reached: No route to host"
    assert preflight_info.away({"away": []}) == []


MANIFEST = "/etc/kubernetes/manifests/etcd.yaml"


def flags(driver, settings, target="v1.37.2"):
    nodes = [{"name": "cp1", "etcd_removed_flags": [{"name": n, "how": h, "where": w} for n, h, w in settings]}]
    return {"version": target, "driver": driver, "nodes": nodes}


def kubeadm_config(extra):
    return lambda: {"data": {"ClusterConfiguration": f"kind: ClusterConfiguration\netcd:\n  local:\n{extra}"}}


LIST = "    extraArgs:\n    - {name: experimental-corrupt-check-time, value: 1h}\n"
MAP = "    extraArgs:\n      experimental-corrupt-check-time: 1h\n      heartbeat-interval: '250'\n"
NONE = "    dataDir: /var/lib/etcd\n"
CORRUPT = ("experimental-corrupt-check-time", "flag", MANIFEST)


@pytest.mark.parametrize(
    ("extra", "settings", "verdicts", "words"),
    [
        (NONE, [], ["passed"], "none that stops it"),
        (LIST, [CORRUPT], ["failed"], "kubeadm-config: etcd.local.extraArgs"),
        (MAP, [CORRUPT], ["failed"], f"cp1: {MANIFEST}"),
        # kubeadm writes the manifest anew, so what is in it alone goes away.
        (NONE, [CORRUPT], ["passed", "failed"], "none that stops it on 1 nodes"),
    ],
)
def test_etcd_flags_of_kubeadm(extra, settings, verdicts, words):
    gates = preflight_info.etcd_flags(flags("kubeadm", settings), kubeadm_config(extra))
    assert [gate.verdict for gate in gates] == verdicts
    assert words in gates[0].observed
    assert [gate.severity for gate in gates[1:]] == ["warning"] * (len(gates) - 1)
    renamed = "--experimental-corrupt-check-time by --corrupt-check-time"
    assert (renamed in gates[-1].next_action) == bool(settings)


UNIT = "/etc/systemd/system/etcd.service"


@pytest.mark.parametrize(
    ("how", "verdicts"), [("flag", ["failed"]), ("environment", ["passed", "failed"]), ("file", ["passed", "failed"])]
)
def test_etcd_flags_of_a_unit(how, verdicts):
    gates = preflight_info.etcd_flags(flags("systemd", [("discovery", how, UNIT)]), dict)
    assert [gate.verdict for gate in gates] == verdicts
    assert f"discovery (cp1: {UNIT})" in gates[-1].observed
    assert "--discovery by nothing" in gates[-1].next_action


def test_a_target_without_etcd_3_7_takes_every_flag():
    (gate,) = preflight_info.etcd_flags(flags("systemd", [("discovery", "flag", UNIT)], "v1.36.9"), dict)
    assert gate.verdict == "passed"


def test_a_check_that_breaks_is_a_failed_gate():
    (gate,) = preflight_info.guarded("etcd_version", lambda: preflight_info.etcd_version(params("latest")))
    assert (gate.id, gate.verdict) == ("etcd_version", "failed")
    assert "'latest' is not a full version" in gate.observed
    assert gate.next_action


@pytest.mark.parametrize(
    ("flags", "verdict"),
    [
        ({}, "passed"),
        ({"peer-advertise-ip": "10.0.0.1", "peer-advertise-port": "6443"}, "passed"),
        ({"peer-advertise-ip": "10.0.0.1"}, "failed"),
        ({"peer-advertise-port": "6443"}, "failed"),
    ],
)
def test_component_flags(flags, verdict):
    gate = preflight_info.component_flags({"nodes": [{"name": "cp1", "apiserver_flags": flags}]})
    assert gate.verdict == verdict
    assert ("without" in gate.observed) == (verdict == "failed")


def proxies(**by_version):
    return {
        "proxies": [
            {"name": f"cp{n}", "version": "v" + version.replace("_", "."), "gate": gate, "error": ""}
            for n, (version, gate) in enumerate(by_version.items(), 1)
        ]
    }


@pytest.mark.parametrize(
    ("given", "verdict", "action"),
    [
        ({"1_36_4": True, "1_37_2": True}, "passed", ""),
        ({"1_36_4": False}, "failed", "--feature-gates"),
        # Alpha at 1.35: the run switches it on together with the flag.
        ({"1_35_4": False, "1_36_4": True}, "passed", ""),
        ({"1_35_4": False, "1_36_4": False}, "failed", "--feature-gates"),
        ({"1_34_9": False}, "failed", "Upgrade to 1.35 first"),
    ],
)
def test_feature_gates(given, verdict, action):
    gate = preflight_info.feature_gates(proxies(**given))
    assert gate.verdict == verdict
    assert action in gate.next_action


@pytest.mark.parametrize(
    ("given", "verdict"), [({"1_36_4": True}, "passed"), ({"1_36_4": True, "1_37_2": True}, "failed")]
)
def test_the_proxy_is_not_taken_out_of_mixed_versions(given, verdict):
    gate = preflight_info.proxy_enabled(proxies(**given))
    assert (gate.id, gate.verdict) == ("proxy_enabled", verdict)


@pytest.mark.parametrize(
    ("state", "wanted", "changes"),
    [
        ("on", "present", False),
        ("gate_only", "present", True),
        ("off", "present", True),
        ("impaired", "present", False),
        ("on", "absent", True),
        ("impaired", "absent", True),
        ("gate_only", "absent", False),
    ],
)
def test_the_work_of_a_proxy_job(state, wanted, changes):
    given = {
        "job": "proxy",
        "proxy_state": wanted,
        "proxies": [{"name": "cp1", "state": state}],
        "nodes": [{"name": "cp1"}],
    }
    assert preflight_info.work(given, {})["cp1"] == {
        "etcd_step": False,
        "proxy": changes,
        "control_plane": False,
        "kubelet": False,
    }
