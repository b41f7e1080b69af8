# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import pathlib

import jsonschema
import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.mixedversion.kubernetes.plugins.action import plan as action
from ansible_collections.mixedversion.kubernetes.plugins.modules.plan import ARGUMENT_SPEC
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _plan_text, _plan_time, _run

ROOT = pathlib.Path(__file__).parents[4]
TARGET = "v1.37.2"


def schema(name):
    return jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / name).read_text(encoding="utf-8")))


def arguments(version="v1.36.4", **more):
    """What the role hands over for one server whose control plane is behind."""
    server = {"name": "cp1", "address": "10.0.0.1:6443", "version": version, "emulated_version": "1.36", "state": "on"}
    defaults = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
    return {
        **defaults,
        "target": TARGET,
        "driver": "systemd",
        "cluster": {"name": "masters", "uid": "u-1"},
        "order": ["cp1"],
        "nodes": [{"name": "cp1", "etcd_member": "cp1", "components": {"kube-apiserver": version}}],
        "proxies": [server],
        "etcd": {"members": [{"name": "cp1", "version": "3.6.14"}], "leader": "cp1"},
        "etcd_target": "",
        "work": {"cp1": {"etcd_step": False, "proxy": False, "control_plane": version != TARGET, "kubelet": False}},
        "settings": {"allow_outage": True},
        **more,
    }


@pytest.fixture
def runs(tmp_path):
    """Starts runs of `upgrade` in one report folder, as the report's action does."""

    def start(*events, playbook="upgrade"):
        # No process of that id: what is not closed is dead to the next one.
        run = _run.start(str(tmp_path), {"playbook": playbook, "target": TARGET, "check_mode": False, "pid": 2**22 + 1})
        run.append(*events)
        return run

    return start


def gate(id_, verdict, severity="blocking", node=""):
    told = {"observed": f"saw {id_}", "expected": "e", "next_action": "Mend it.", "accepted_by": None, "reason": ""}
    more = {"elapsed_seconds": 0.1, "samples": 1}
    return {
        "event": "gate",
        "id": id_,
        "verdict": verdict,
        "severity": severity,
        "node": node,
        "peer": "",
        **told,
        **more,
    }


def test_the_whole_plan_is_as_the_schema_has_it(runs):
    run = runs(gate("webhooks", "failed", "warning"), gate("version_hop", "failed"), gate("etcd_version", "accepted"))
    risks = [{"id": "etcd_version", "reason": "known"}, {"id": "images", "reason": "later"}]
    diff = {"node": "cp1", "text": "+    - --a=https://u:p@h/\n+      value: secret\n", "reason": ""}
    plan = action.make(arguments(accepted_risks=risks, kubeadm_diffs=[diff]), run)
    schema("plan.schema.json").validate(plan)
    # Blocking ones first, and what an acceptance covers now.
    assert [entry["id"] for entry in plan["obstacles"]] == ["version_hop", "webhooks"]
    assert plan["state"] == "blocked"
    assert [risk["observed"] for risk in plan["accepted_risks"]] == [["saw etcd_version"], []]
    assert plan["kubeadm_diff"][0]["text"] == "+    - --a=https://***@h/\n+      value: ***"
    for text in (_plan_text.terminal(plan), _plan_text.markdown(plan)):
        assert "secret" not in text
        for words in (
            "version_hop",
            "etcd_version",
            "saw etcd_version",
            "driver step",
            "v1.36.4 -> v1.37.2",
            plan["hash"],
        ):
            assert words in text
        assert "no earlier run" in text
        assert "the whole api" in text.lower()


def test_kubeadms_diff_without_its_chatter(recorded):
    found = action.kubeadm_diff({"node": "cp1", "text": recorded("kubeadm-upgrade-diff-v1.37.2.txt"), "reason": ""})
    assert found["text"].startswith("--- /etc/kubernetes/manifests/")
    assert found["text"].count("+++ new manifest") == 3
    assert "upload-config" not in found["text"]
    assert action.kubeadm_diff({"node": "cp1", "text": "[upgrade/diff] x\n", "reason": ""})["reason"] == "no difference"


def test_a_warning_alone_blocks_nothing(runs):
    plan = action.make(arguments(), runs(gate("webhooks", "unproven", "warning")))
    assert (plan["state"], len(plan["obstacles"])) == ("ready", 1)


def test_nothing_to_do(runs):
    plan = action.make(arguments(TARGET), runs())
    schema("plan.schema.json").validate(plan)
    assert (plan["state"], plan["steps"]) == ("nothing_to_do", [])
    assert "nothing to do" in _plan_text.terminal(plan)


def test_its_files_and_the_report_have_the_same_hash(runs):
    run = runs()
    plan = action.make(arguments(), run)
    action.write(plan, run.directory)
    run.append({"event": "plan", "hash": plan["hash"], "driver": "systemd"})
    report = run.write()
    schema("report.schema.json").validate(report)
    written = json.loads(pathlib.Path(run.directory, "plan.json").read_text(encoding="utf-8"))
    assert report["run"]["plan_hash"] == plan["hash"] == written["hash"]
    assert sorted(os.listdir(run.directory)) == [
        "journal.jsonl",
        "plan.json",
        "plan.md",
        "report.html",
        "report.json",
        "report.md",
        "report.xml",
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target": "v1.37.1"}, "is for the target v1.37.2, expected v1.37.1"),
        ({"driver": "kubeadm"}, "is for the driver systemd, expected kubeadm"),
        ({"file": "/nonexistent/plan.json"}, "/nonexistent/plan.json can't be used"),
    ],
)
def test_a_plan_for_something_else_is_refused(runs, more, words):
    run = runs()
    action.write(action.make(arguments(), run), run.directory)
    with pytest.raises(AnsibleActionFail, match=words):
        action.agreed_plan({"file": f"{run.directory}/plan.json", "target": TARGET, "driver": "systemd", **more})


# Half done


def followed(digest):
    return {"event": "plan", "hash": digest, "driver": "systemd"}


def test_a_plan_holds_for_the_run_that_resumes_it(runs):
    planned = action.make(arguments(), runs(playbook="plan"))
    runs(followed(planned["hash"]), gate("lock", "passed"))
    resumed = runs()
    assert action.carried_out(resumed, planned["hash"])
    assert not action.carried_out(resumed, "0" * 64)


def test_a_run_that_never_held_the_lock_carried_nothing_out(runs):
    planned = action.make(arguments(), runs(playbook="plan"))
    runs(followed(planned["hash"]))
    assert not action.carried_out(runs(), planned["hash"])


def test_what_no_longer_holds_stops_the_run_and_is_told(runs):
    planned = action.make(arguments(), runs(playbook="plan"))
    run = runs()
    action.hold(planned, action.make(arguments(), run), run, "plan.json")
    with pytest.raises(AnsibleActionFail) as caught:
        action.hold(planned, action.make(arguments("v1.36.5"), run), run, "plan.json")
    assert "server cp1 version: planned v1.36.4, now v1.36.5" in str(caught.value)
    assert "Nothing was changed." in str(caught.value)
    assert run.events()[-1]["event"] == "stopping"


# Time


def phase(name, node, seconds, end, changed=False):
    found = [
        {"event": "phase", "name": name, "node": node, "at": f"2026-11-24T00:{seconds // 60:02}:{seconds % 60:02}.000Z"}
    ]
    if changed:
        found.append({"event": "changed", "node": node, "what": "x", "at": found[0]["at"]})
    return [*found, {"event": "phase_done", "node": node, "at": f"2026-11-24T00:{end // 60:02}:{end % 60:02}.000Z"}]


def earlier(runs, uid, step_seconds, *more):
    times = [("backup", "", 0, 4), ("prove the peers", "", 4, 6), ("fetch images and binaries", "cp1", 6, 16)]
    times += [("health and quorum", "cp1", 16, 17), ("gates", "cp1", 17, 20), ("final verification", "", 20, 21)]
    events = [event for name, node, start, end in times for event in phase(name, node, start, end)]
    return runs(
        followed("0" * 64),
        {"event": "cluster", "name": "masters", "uid": uid},
        {"event": "nodes", "nodes": ["cp1"]},
        *events,
        *phase("driver step", "cp1", 21, 21 + step_seconds, changed=True),
        *more,
        {"event": "run_finished", "result": "succeeded"},
    )


def test_nothing_is_guessed(runs):
    estimate = action.make(arguments(), runs(playbook="plan"))["estimate"]
    assert estimate == {"seconds": None, "runs": [], "reason": "no earlier run", "without": []}


def test_the_time_comes_from_this_clusters_runs_if_there_are_any(runs):
    earlier(runs, "u-2", 1000)
    assert action.make(arguments(), runs(playbook="plan"))["estimate"]["reason"] == "of another cluster"
    ours = earlier(runs, "u-1", 40)
    plan = action.make(arguments(), runs(playbook="plan"))
    assert (plan["estimate"]["seconds"], plan["estimate"]["runs"]) == (61.0, [ours.id])
    assert {step["phase"]: step["estimated_seconds"] for step in plan["steps"]}["driver step"] == 40.0


def test_a_phase_that_no_run_went_through_has_no_time_and_so_the_whole_has_none(runs):
    earlier(runs, "u-1", 40)
    work = {"cp1": {"etcd_step": False, "proxy": True, "control_plane": True, "kubelet": False}}
    proxy = {"cp1": {"wanted": {"flags": {}, "gates": {}}, "former": {"flags": {}, "gates": {}}}}
    estimate = action.make(arguments(work=work, proxy=proxy), runs(playbook="plan"))["estimate"]
    assert (estimate["seconds"], estimate["without"]) == (None, ["enable the proxy"])


def test_what_remains_is_told_from_the_phase_that_has_just_begun(runs):
    steps = [("backup", "", 4.0), ("driver step", "cp1", 40.0), ("gates", "cp1", 3.0), ("driver step", "cp2", 40.0)]
    plan = {"event": "plan", "hash": "0" * 64, "driver": "kubeadm"}
    plan["steps"] = [dict(zip(("phase", "node", "estimated_seconds"), step)) for step in steps]
    begun = [{"event": "phase", "name": name, "node": node} for name, node, dummy in steps]
    # What came before the plan is none of its steps.
    run = runs({"event": "phase", "name": "preflight", "node": ""}, plan)
    assert _plan_time.remaining(run.events()) is None
    left = []
    for event in begun:
        run.append(event)
        left.append(_plan_time.remaining(run.events()))
    assert left == [87.0, 83.0, 43.0, 40.0]
    plan["steps"][2]["estimated_seconds"] = None
    assert [_plan_time.remaining(runs(plan, *begun[:n]).events()) for n in (1, 3, 4)] == [None, None, 40.0]
    # A phase that the plan does not have tells nothing.
    assert _plan_time.remaining(runs(plan, {"event": "phase", "name": "drain", "node": "cp9"}).events()) is None
