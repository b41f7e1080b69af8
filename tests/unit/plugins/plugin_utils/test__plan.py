# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _plan, _plan_steps

TARGET = "v1.37.2"
NAMES = ("cp1", "cp2", "cp3")
FLAG = {"flags": {"peer-ca-file": "/pki/ca.crt"}, "gates": {}}
NO_FLAG = {"flags": {"peer-ca-file": None}, "gates": {}}
NEEDS = {"etcd_step": True, "proxy": True, "control_plane": True, "kubelet": False}


def proxy(name, version="v1.36.4", state="gate_only", emulated="1.36"):
    address = f"10.0.0.{name[-1]}:6443"
    return {"name": name, "address": address, "version": version, "emulated_version": emulated, "state": state}


def node(name, version="v1.36.4"):
    components = dict.fromkeys(_plan_steps.SERVERS, version)
    return {"name": name, "etcd_member": name, "components": {**components, "etcd": "3.6.8"}}


def facts(**more):
    base = {
        "cluster": {"name": "kube_control_plane", "uid": "u-1"},
        "target": TARGET,
        "driver": "systemd",
        "order": ["cp1", "cp2", "cp3"],
        "nodes": [node(name) for name in NAMES],
        "proxies": [proxy(name) for name in NAMES],
        "etcd": {"members": [{"name": name, "version": "3.6.8"} for name in NAMES], "leader": "cp3"},
        "work": {name: dict(NEEDS) for name in NAMES},
        "proxy": {name: {"wanted": FLAG, "former": NO_FLAG} for name in NAMES},
        "etcd_step": "3.6.14",
        "etcd_target": "3.7.0",
        "settings": {"allow_outage": False},
        "accepted_risks": [],
        "dead_leases": [],
    }
    return {**base, **more}


def moved(*names, **more):
    """The same cluster after the control plane of *names* was upgraded, and all were prepared."""
    members = [{"name": name, "version": "3.7.0" if name in names else "3.6.14"} for name in NAMES]
    return facts(
        nodes=[node(name, TARGET if name in names else "v1.36.4") for name in NAMES],
        proxies=[
            proxy(name, TARGET if name in names else "v1.36.4", "on", "1.37" if name in names else "1.36")
            for name in NAMES
        ],
        etcd={"members": members, "leader": "cp3"},
        work={
            name: {"etcd_step": False, "proxy": False, "control_plane": name not in names, "kubelet": False}
            for name in NAMES
        },
        **more,
    )


def phases(plan):
    return [(step["phase"], step["node"]) for step in plan["steps"]]


def test_the_steps_are_those_of_the_playbook_in_its_order():
    each = ["health and quorum", "driver step", "gates"]
    assert phases(_plan.make(facts())) == [
        ("backup", ""),
        ("fetch images and binaries", ""),
        *[(phase, name) for name in NAMES for phase in ("step etcd", "enable the proxy")],
        ("prove the peers", ""),
        *[(phase, name) for name in NAMES for phase in each],
        ("final verification", ""),
    ]


def test_kubelets_come_after_all_control_planes():
    work = {name: {**NEEDS, "kubelet": True} for name in NAMES}
    found = phases(_plan.make(facts(work=work, driver="kubeadm", settings={"kubeadm_binaries": "binary"})))
    assert found[-4:] == [("kubelet", "cp1"), ("kubelet", "cp2"), ("kubelet", "cp3"), ("final verification", "")]
    assert found.index(("gates", "cp3")) < found.index(("kubelet", "cp1"))


def test_hooks_and_a_drain_are_steps_where_they_are_wanted():
    work = {name: {"kubelet": True} for name in NAMES}
    hooks = {"before_run": ["a.yml"], "before_node": ["b.yml"], "after_drain": ["c.yml"], "notify": ["d.yml"]}
    plan = _plan.make(facts(work=work, driver="kubeadm", settings={"hooks": hooks, "drain": True}))
    assert phases(plan)[:8] == [
        ("backup", ""),
        ("before_run hooks", ""),
        ("prove the peers", ""),
        ("before_node hooks", "cp1"),
        ("drain", "cp1"),
        ("after_drain hooks", "cp1"),
        ("kubelet", "cp1"),
        ("after_node hooks", "cp1"),
    ]
    assert step(plan, "before_run hooks", "")["does"] == ["run a.yml", "notify"]


def test_nothing_to_do_is_an_empty_plan():
    assert _plan.make(moved(*NAMES))["steps"] == []


def test_the_order_is_the_one_of_the_run():
    found = phases(_plan.make(facts(order=["cp2", "cp3", "cp1"])))
    assert [name for phase, name in found if phase == "driver step"] == ["cp2", "cp3", "cp1"]


def step(plan, phase, name):
    return next(one for one in plan["steps"] if (one["phase"], one["node"]) == (phase, name))


def test_what_differs():
    plan = _plan.make(facts())
    assert step(plan, "step etcd", "cp1")["changes"] == [{"what": "etcd", "from": "3.6.8", "to": "3.6.14"}]
    assert step(plan, "enable the proxy", "cp1")["changes"] == [
        {"what": "kube-apiserver --peer-ca-file", "from": "not set", "to": "/pki/ca.crt"}
    ]
    # etcd moves on from where the step has brought it.
    assert _plan.told(step(plan, "driver step", "cp1")["changes"]) == (
        "etcd 3.6.14 -> 3.7.0; kube-apiserver, kube-controller-manager, kube-scheduler v1.36.4 -> v1.37.2"
    )


def test_an_etcd_that_nobody_can_tell_yet_is_said_and_not_guessed():
    changes = step(_plan.make(facts(etcd_target=None)), "driver step", "cp1")["changes"]
    assert changes[0] == {"what": "etcd", "from": "3.6.14", "to": "not known yet"}


def test_an_etcd_that_stays_is_no_change_and_not_away():
    found = step(_plan.make(facts(etcd_target="")), "driver step", "cp1")
    assert "etcd" not in _plan.told(found["changes"])
    assert "etcd member" not in [away["what"] for away in found["unavailable"]]


def small(count):
    names = NAMES[:count]
    return facts(
        order=list(names),
        nodes=[node(name) for name in names],
        proxies=[proxy(name) for name in names],
        etcd={"members": [{"name": name, "version": "3.6.8"} for name in names], "leader": "cp1"},
        work={name: dict(NEEDS) for name in names},
    )


@pytest.mark.parametrize(("count", "whole"), [(1, True), (2, True), (3, False)])
def test_an_outage_of_the_whole_with_one_or_two_members(count, whole):
    plan = _plan.make(small(count))
    assert any(away["whole"] for away in step(plan, "driver step", "cp1")["unavailable"]) is whole


def test_external_etcd_is_neither_touched_nor_away():
    nodes = [{**node(name), "etcd_member": ""} for name in NAMES]
    work = {name: {**NEEDS, "etcd_step": False} for name in NAMES}
    found = step(_plan.make(facts(nodes=nodes, work=work)), "driver step", "cp1")
    assert "etcd" not in _plan.told(found["changes"])
    assert [away["what"] for away in found["unavailable"]] == ["API server", "controller manager and scheduler"]


# The hash


def test_the_hash_is_the_same_for_the_same():
    assert _plan.make(facts())["hash"] == _plan.make(copy.deepcopy(facts()))["hash"]
    # Whoever is asked first is no part of it.
    assert _plan.make(facts(proxies=[proxy(name) for name in reversed(NAMES)]))["hash"] == _plan.make(facts())["hash"]


@pytest.mark.parametrize(
    "more",
    [
        {"target": "v1.37.1"},
        {"driver": "kubeadm"},
        {"order": ["cp2", "cp1", "cp3"]},
        {"cluster": {"name": "kube_control_plane", "uid": "u-2"}},
        {"settings": {"allow_outage": True}},
        {"accepted_risks": [{"id": "etcd_version", "reason": "known"}]},
        {"proxies": [proxy("cp1", "v1.36.5"), proxy("cp2"), proxy("cp3")]},
        {"etcd_target": "3.7.1"},
        {"work": {**{name: dict(NEEDS) for name in NAMES}, "cp1": {**NEEDS, "proxy": False}}},
    ],
)
def test_the_hash_changes_with_what_matters(more):
    assert _plan.make(facts(**more))["hash"] != _plan.make(facts())["hash"]


def test_the_hash_does_not_change_with_what_does_not():
    plan = _plan.make(facts())
    assert _plan.make(facts(dead_leases=["apiserver-x"]))["hash"] == plan["hash"]
    # A proxy that is on and does not work now is a matter of its gates.
    on = [proxy(name, state="on") for name in NAMES]
    impaired = [proxy("cp1", state="impaired"), *on[1:]]
    assert _plan.make(facts(proxies=on))["hash"] == _plan.make(facts(proxies=impaired))["hash"]
    plan.update(made={"at": "now"}, obstacles=[{"id": "x"}], cluster={"name": "other", "uid": "u-1"})
    assert _plan.digest(plan) == plan["hash"]


# The file


def test_a_file_is_read_back():
    plan = _plan.make(facts())
    assert _plan.read(json.dumps(plan)) == plan


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Expecting property name"),
        ("[]", "no plan.json"),
        ('{"hash": "x"}', "no plan.json"),
        ('{"schema_version": 2}', "schema_version is 2, expected 1"),
    ],
)
def test_what_is_no_plan_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        _plan.read(text)


def test_a_plan_that_was_edited_is_refused():
    plan = _plan.make(facts())
    plan["servers"][0]["version"] = "v1.36.3"
    with pytest.raises(ValueError, match="its content has the hash"):
        _plan.read(json.dumps(plan))


# Whether it holds


def against(planned, now, half_done=False):
    return [str(entry) for entry in _plan.standing(_plan.make(planned), _plan.make(now), half_done)]


def test_an_unchanged_cluster_holds():
    assert against(facts(), facts()) == []


def test_each_field_is_told_old_and_new():
    now = facts(
        proxies=[proxy("cp1", "v1.36.5"), proxy("cp2"), proxy("cp3")],
        accepted_risks=[{"id": "etcd_version", "reason": "known"}],
        settings={"allow_outage": True},
    )
    assert against(facts(), now) == [
        "server cp1 version: planned v1.36.4, now v1.36.5",
        "setting allow_outage: planned false, now true",
        "accepted risk etcd_version: planned not there, now known",
    ]


def test_another_order_is_told_once():
    assert against(facts(), facts(order=["cp2", "cp1", "cp3"])) == [
        "order: planned cp1, cp2, cp3, now cp2, cp1, cp3",
    ]


def test_a_step_that_is_gone_or_new_is_told():
    work = {name: dict(NEEDS) for name in NAMES}
    work["cp1"]["proxy"] = False
    words = "kube-apiserver --peer-ca-file not set -> /pki/ca.crt"
    assert against(facts(), facts(work=work)) == [f"step enable the proxy on cp1: planned {words}, now not there"]
    assert against(facts(work=work), facts()) == [f"step enable the proxy on cp1: planned not there, now {words}"]


def test_half_done_by_others_does_not_hold():
    assert "server cp1 version: planned v1.36.4, now v1.37.2" in against(facts(), moved("cp1"))


@pytest.mark.parametrize("names", [(), ("cp1",), ("cp1", "cp2"), ("cp2",)])
def test_half_done_by_a_run_that_is_resumed_holds(names):
    assert against(facts(), moved(*names), half_done=True) == []


def test_half_done_with_etcd_that_was_not_known_holds():
    assert against(facts(etcd_target=None), moved("cp1", etcd_target="3.7.0"), half_done=True) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"proxies": [proxy("cp1", "v1.37.1", "on", "1.37"), proxy("cp2"), proxy("cp3")]}, "server cp1 version"),
        ({"proxies": [proxy("cp1", "v1.37.2", "off", "1.37"), proxy("cp2"), proxy("cp3")]}, None),
        ({"settings": {"allow_outage": True}}, "setting allow_outage"),
        ({"accepted_risks": [{"id": "lock", "reason": "r"}]}, "accepted risk lock"),
        ({"order": ["cp2", "cp1", "cp3"]}, "order"),
        (
            {"etcd": {"members": [{"name": name, "version": "3.7.9"} for name in NAMES], "leader": ""}},
            "etcd member cp1",
        ),
        ({"work": {name: {"kubelet": True} for name in NAMES}}, "step kubelet on cp1: planned not there"),
    ],
)
def test_half_done_holds_for_nothing_that_the_plan_does_not_do(change, words):
    found = against(facts(), {**moved("cp1"), **change}, half_done=True)
    if words is None:
        assert found == []
    else:
        assert any(entry.startswith(words) for entry in found), found


def test_with_the_driver_custom_the_users_files_are_the_steps():
    files = {"step": ["step.yml"], "flags": ["flags.yml"], "fetch": ["fetch.yml"], "kubelet": ["kubelet.yml"]}
    work = {name: {**NEEDS, "etcd_step": False, "kubelet": True} for name in NAMES}
    plan = _plan.make(facts(driver="custom", work=work, settings={"custom": files}, etcd_target=None))
    does = {step["phase"]: step["does"] for step in plan["steps"]}
    assert does["fetch images and binaries"] == ["run fetch.yml"]
    assert "run flags.yml" in does["enable the proxy"]
    assert does["driver step"] == ["run step.yml"]
    assert "run kubelet.yml" in does["kubelet"]
    assert "restart the kubelet" not in does["kubelet"]
    without = _plan.make(facts(driver="custom", work=work, settings={"custom": {}}, etcd_target=None))
    assert "fetch images and binaries" not in [phase for phase, node in phases(without)]
    assert without["hash"] != plan["hash"]


def test_packages_are_downloaded_before_and_installed_in_their_steps():
    work = {name: {**NEEDS, "kubelet": True} for name in NAMES}
    plan = _plan.make(facts(driver="kubeadm", work=work, settings={"kubeadm_binaries": "package"}))
    does = {step["phase"]: step["does"] for step in plan["steps"]}
    assert does["fetch images and binaries"][0].startswith(f"configure the repository of {TARGET} and download")
    assert not [words for words in does["fetch images and binaries"] if words.startswith("bring")]
    assert does["driver step"][0] == "switch kubeadm"
    assert "switch kubelet and kubectl" in does["kubelet"]
