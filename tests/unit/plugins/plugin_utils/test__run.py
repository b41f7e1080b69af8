# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import json
import os
import pathlib

import jsonschema
import pytest

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run, _verdicts

ROOT = pathlib.Path(__file__).parents[4]
ID = "20261124T003000Z-ab12"
#: Above the highest process id that Linux gives.
NO_PROCESS = 2**22 + 1


def at(seconds, event, **more):
    return {"at": f"2026-11-24T00:30:{seconds:02}.000Z", "event": event, **more}


def gate(seconds, gate_id, verdict="passed", node="", severity="blocking"):
    told = {"observed": "o", "expected": "e", "next_action": "Mend it.", "accepted_by": None, "reason": ""}
    more = {"id": gate_id, "node": node, "peer": "", "severity": severity, "verdict": verdict}
    return at(seconds, "gate", elapsed_seconds=0.5, samples=1, **more, **told)


def server(name, version):
    more = {"emulated_version": "1.36", "state": "on", "holder": "h"}
    return {"name": name, "address": "10.0.0.1:6443", "version": version, **more}


@pytest.fixture
def events():
    backup = {"path": "/b", "sha256": "0" * 64, "size_bytes": 1, "revision": 2, "cluster_id": "3"}
    return [
        at(0, "run_started", playbook="upgrade", target="v1.37.2", check_mode=False, collection="0.1.0", resumes=None),
        at(0, "phase", node="", name="preflight"),
        at(1, "cluster", name="lab", uid="u"),
        at(1, "nodes", nodes=["cp1", "cp2"]),
        at(1, "servers", servers=[server("cp1", "v1.36.4"), server("cp2", "v1.36.10")]),
        gate(2, "version_hop"),
        at(3, "backup", backup={**backup, "verified": True, "copies": []}),
        at(5, "phase", node="cp1", name="step"),
        at(6, "changed", node="cp1", what="binary"),
        gate(7, "server_is_target", "accepted", "cp1"),
        at(8, "phase_done", node="cp1"),
        at(9, "servers", servers=[server("cp1", "v1.37.2")]),
    ]


def check(report):
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(report)
    return report


def test_a_running_report(events):
    report = check(_run.build(ID, events))
    run = report["run"]
    assert (run["result"], run["finished"], run["failed_gate"]) == ("running", None, None)
    first, second = report["cluster"]["servers"]
    assert (first["version_before"], first["version_after"]) == ("v1.36.4", "v1.37.2")
    assert (second["version_before"], second["version_after"]) == ("v1.36.10", "v1.36.10")
    assert [(node["name"], node["order"], node["changed"]) for node in report["nodes"]] == [
        ("cp1", 1, True),
        ("cp2", 2, False),
    ]
    (phase,) = report["nodes"][0]["phases"]
    assert (phase["elapsed_seconds"], phase["changed"], phase["verdict"]) == (3.0, True, "accepted")
    assert report["backup"]["verified"]


def test_the_version_before_is_the_oldest_by_number(events):
    events[4]["servers"] = [server("cp1", "v1.36.10"), server("cp2", "v1.36.4"), server("cp3", "")]
    assert _run.build(ID, events)["cluster"]["version_before"] == "v1.36.4"


def test_a_failed_report_names_gate_node_and_action(events):
    events += [gate(10, "convergence", "failed", "cp1"), gate(11, "lock", "failed")]
    run = check(_run.build(ID, [*events, at(12, "run_finished", result="failed")]))["run"]
    assert (run["result"], run["failed_gate"], run["failed_node"]) == ("failed", "convergence", "cp1")
    assert run["next_action"] == "Mend it."


def test_a_run_that_was_to_stop_failed_at_no_gate(events):
    finished = at(12, "run_finished", result="stopped", node="", next_action="Go on.")
    run = check(_run.build(ID, [*events, finished]))["run"]
    assert (run["result"], run["failed_gate"], run["next_action"]) == ("stopped", None, "Go on.")


def test_a_warning_fails_nothing(events):
    events += [gate(10, "clock_skew", "failed", severity="warning"), at(12, "run_finished", result="succeeded")]
    run = check(_run.build(ID, events))["run"]
    assert (run["result"], run["failed_gate"], run["next_action"]) == ("succeeded", None, None)


def finding(seconds, cause="stale_peer", **more):
    told = {"server": "cp2", "peer": "cp1", "evidence": "e", "confidence": "certain", "root": True}
    return at(seconds, "finding", **{"cause": cause, "next_action": "n", "repaired": False, **told, **more})


def test_findings_are_told_roots_first(events):
    events += [finding(10, root=False), finding(10, "peer_filtered")]
    assert [found["cause"] for found in check(_run.build(ID, events))["findings"]] == ["peer_filtered", "stale_peer"]


def test_a_repair_takes_the_place_of_what_was_found(events):
    events += [finding(10), finding(10, peer="cp3"), finding(11, repaired=True, evidence="healed", next_action="None")]
    found = check(_run.build(ID, events))["findings"]
    assert [(one["peer"], one["repaired"], one["evidence"]) for one in found] == [
        ("cp1", True, "healed"),
        ("cp3", False, "e"),
    ]
    assert [one["peer"] for one in _verdicts.remaining(found)] == ["cp3"]


def test_what_was_only_warned_of_does_not_remain():
    found = [finding(1, cause) for cause in ("clock_skew", "crd_not_established", "apiservice_unavailable", "gate_off")]
    assert [one["cause"] for one in _verdicts.remaining(found)] == ["gate_off"]


@pytest.mark.parametrize(
    ("server", "peer", "words"),
    [("cp1", "cp2", "x on cp1 to cp2"), ("cp1", "", "x on cp1"), ("", "", "x")],
)
def test_a_finding_in_words(server, peer, words):
    assert _run.finding_words(finding(1, "x", server=server, peer=peer)) == words


def test_the_report_of_an_empty_journal():
    assert _run.build(ID, [])["run"]["result"] == "running"


def test_changes(events):
    assert _run.changes([]) == "Nothing was changed."
    events += [at(9, "changed", node="", what="lock"), at(9, "changed", node="cp1", what="image")]
    assert _run.changes(events) == "Changed so far: cp1: binary, image; the cluster: lock."


def start(folder, **more):
    return _run.start(str(folder), {"playbook": "upgrade", "target": "v1.37.2", "check_mode": False, **more})


def test_a_new_run_is_the_latest(tmp_path):
    run = start(tmp_path / "reports")
    assert os.readlink(tmp_path / "reports" / "latest") == run.id
    assert check(run.write())["run"]["resumes"] is None
    assert json.loads((pathlib.Path(run.directory) / "report.json").read_text())["run"]["id"] == run.id


def test_a_dead_run_is_closed_as_interrupted_and_resumed(tmp_path):
    dead = start(tmp_path, pid=NO_PROCESS)
    following = start(tmp_path)
    told = check(dead.report())["run"]
    assert (told["result"], told["next_action"]) == ("interrupted", "Start the playbook again.")
    assert "interrupted" in (pathlib.Path(dead.directory) / "report.md").read_text()
    assert following.report()["run"]["resumes"] == dead.id


def test_a_living_run_is_left_alone(tmp_path):
    living = start(tmp_path, pid=os.getpid())
    following = start(tmp_path)
    assert living.report()["run"]["result"] == "running"
    # Its lock is not taken from it.
    assert _run.resumed(following) == []


@pytest.mark.parametrize(("hours", "result"), [(1, "running"), (3, "interrupted")])
def test_a_run_of_another_container_of_this_name_is_one_of_another_host(tmp_path, hours, result):
    """Its process has its number there, and what has that number here is another one or none."""
    at_last = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=hours)
    other = start(tmp_path, pid=NO_PROCESS, process_space="pid:[1]", at=at_last.isoformat())
    start(tmp_path)
    assert other.report()["run"]["result"] == result


@pytest.mark.parametrize(("hours", "result"), [(1, "running"), (3, "interrupted")])
def test_a_run_of_another_host_is_dead_once_it_was_silent_for_as_long_as_a_lock_lasts(tmp_path, hours, result):
    at_last = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=hours)
    elsewhere = start(tmp_path, pid=NO_PROCESS, host="elsewhere.invalid", at=at_last.isoformat())
    following = start(tmp_path)
    assert elsewhere.report()["run"]["result"] == result
    assert _run.resumed(following) == ([elsewhere.id] if result == "interrupted" else [])


def test_a_run_that_stopped_early_does_not_hide_the_one_that_left_a_lock(tmp_path):
    dead = start(tmp_path, pid=NO_PROCESS)
    stopped = start(tmp_path)
    stopped.append({"event": "run_finished", "result": "stopped"})
    assert _run.resumed(start(tmp_path)) == [stopped.id, dead.id]


@pytest.mark.parametrize(
    "more",
    [{"target": "v1.37.3"}, {"check_mode": True}, {"playbook": "verify"}, {"result": "succeeded"}],
    ids=["target", "check", "playbook", "done"],
)
def test_nothing_to_resume(tmp_path, more):
    result = more.pop("result", "failed")
    start(tmp_path, **more).append({"event": "run_finished", "result": result})
    assert start(tmp_path).report()["run"]["resumes"] is None


def test_what_ran_in_between_does_not_hide_the_run_to_resume(tmp_path):
    failed = start(tmp_path)
    failed.append({"event": "run_finished", "result": "failed"})
    for more in ({"playbook": "verify", "target": ""}, {"check_mode": True}):
        start(tmp_path, **more).append({"event": "run_finished", "result": "succeeded"})
    assert start(tmp_path).report()["run"]["resumes"] == failed.id


def test_a_line_cut_off_at_the_end_is_left_out(tmp_path):
    run = start(tmp_path)
    run.append({"event": "phase", "node": "", "name": "x"})
    path = pathlib.Path(run.journal)
    path.write_text(path.read_text()[:-20])
    assert [event["event"] for event in run.events()] == ["run_started"]


@pytest.mark.parametrize(
    "content",
    [b'{"event": "run_st\n{"event": "phase"}\n', b"\x00\xff\xfe\n" * 3, b"[]\n", b"7\n", b'{"event": 1, "at": "x"}\n'],
    ids=["cut", "binary", "list", "number", "no event"],
)
def test_a_broken_line_is_an_error_that_says_what_to_do(tmp_path, content):
    run = start(tmp_path)
    pathlib.Path(run.journal).write_bytes(content)
    with pytest.raises(_run.JournalError, match=r"line 1 is no event of a run .* Nothing was changed") as error:
        start(tmp_path)
    assert run.id in str(error.value)
    # What only reads is not kept from it.
    assert start(tmp_path, playbook="verify").report()["run"]["result"] == "running"


def test_a_journal_that_lost_its_content_is_an_error_where_it_had_some(tmp_path):
    run = start(tmp_path)
    pathlib.Path(run.journal).write_bytes(b"")
    # Killed before it could say anything: it had done nothing.
    assert start(tmp_path, playbook="proxy").report()["run"]["resumes"] is None
    run.write()
    with pytest.raises(_run.JournalError, match="it has no event"):
        start(tmp_path)


def test_a_run_whose_first_line_is_broken_is_not_taken_for_an_old_one(tmp_path):
    old = start(tmp_path)
    old.append({"event": "run_finished", "result": "failed"})
    broken = tmp_path / "29991124T003000Z-ab12"
    broken.mkdir()
    (broken / "journal.jsonl").write_bytes(b"garbage\n")
    assert [run.id for run in _run.runs(str(tmp_path))] == [broken.name, old.id]
    with pytest.raises(_run.JournalError):
        start(tmp_path)


def test_a_later_process_of_the_same_number_is_not_the_run(tmp_path):
    dead = start(tmp_path, pid=os.getpid())
    path = pathlib.Path(dead.journal)
    first = json.loads(path.read_text())
    assert first["process"]
    path.write_text(json.dumps({**first, "process": "of another boot"}) + "\n")
    start(tmp_path)
    assert dead.report()["run"]["result"] == "interrupted"


def test_a_run_of_another_host_may_be_silent_for_as_long_as_its_lock_lasts(tmp_path):
    at_last = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=3)
    more = {"host": "elsewhere.invalid", "at": at_last.isoformat()}
    elsewhere = start(tmp_path, pid=NO_PROCESS, **more)
    elsewhere.append({"event": "lock", "seconds": 4 * 3600, **more})
    start(tmp_path)
    assert elsewhere.report()["run"]["result"] == "running"


# What an unfinished run before this one leaves


def phase(name, node):
    return {"event": "phase", "node": node, "name": name}


def hop(*nodes, half_way=""):
    done = [event for node in nodes for event in (phase("driver step", node), {"event": "phase_done", "node": node})]
    return [*done, *([phase("driver step", half_way), phase("gates", half_way)] if half_way else [])]


def unfinished(folder, *events, uid="u", result="failed", **more):
    run = start(folder, **more)
    run.append({"event": "cluster", "name": "lab", "uid": uid, "revision": 100}, *events)
    run.append({"event": "run_finished", "result": result})
    return run


NODES = ["cp1", "cp2", "cp3"]
OLD = {node: ["v1.36.4"] for node in NODES}
ON_CP1 = {**OLD, "cp1": ["v1.37.2"]}


def test_how_far_the_nodes_came():
    events = [phase("driver step", "cp1"), {"event": "phase_done", "node": "cp1"}, phase("enable the proxy", "cp3")]
    events += [{"event": "phase_done", "node": "cp3"}, phase("driver step", "cp2"), phase("kubelet", "cp1")]
    assert _run.standing(events) == {
        "cp1": {"control_plane": "done", "kubelet": "half_way"},
        "cp2": {"control_plane": "half_way"},
    }


def test_a_node_is_half_way_until_its_roll_back_has_come_to_its_end():
    events = [phase("driver step", "cp1"), phase("gates", "cp1"), phase("roll back", "cp1")]
    # It was refused, or failed: nobody has proven what the node is now.
    assert _run.standing(events) == {"cp1": {"control_plane": "half_way"}}
    events.append({"event": "phase_done", "node": "cp1"})
    assert _run.standing(events) == {}


def test_nothing_stands_in_the_way_of_going_on(tmp_path):
    unfinished(tmp_path, *hop("cp1", half_way="cp2"))
    run = start(tmp_path)
    assert _run.refusal(run, "u", NODES, ON_CP1) == ""
    assert _run.standing(_run.inherited_events(run)) == {
        "cp1": {"control_plane": "done"},
        "cp2": {"control_plane": "half_way"},
    }


@pytest.mark.parametrize(
    ("more", "uid", "nodes", "words"),
    [
        ({}, "other", NODES, "of another cluster. Its uid is u, that of this cluster is other"),
        ({"target": "v1.37.3"}, "u", NODES, "v1.37.2 is on cp1; this run is to v1.37.3"),
        ({}, "u", ["cp1", "cp3"], "left cp2 half-way, which the inventory no longer has"),
    ],
    ids=["cluster", "target", "inventory"],
)
def test_refused_before_anything_is_changed(tmp_path, more, uid, nodes, words):
    before = unfinished(tmp_path, *hop("cp1", half_way="cp2"))
    run = start(tmp_path, **more)
    said = _run.refusal(run, uid, nodes, ON_CP1)
    assert words in said and before.id in said and "Nothing was changed." in said
    # A run that was refused does not hide the one for which it was.
    run.append({"event": "run_finished", "result": "failed"})
    assert words in _run.refusal(start(tmp_path, **more), uid, nodes, ON_CP1)


@pytest.mark.parametrize("playbook", ["upgrade", "rollback"])
def test_what_is_settled_stands_in_nobody_s_way(tmp_path, playbook):
    unfinished(tmp_path, *hop("cp1", half_way="cp2"))
    unfinished(tmp_path, playbook=playbook, result="succeeded")
    assert _run.refusal(start(tmp_path, target="v1.37.3"), "other", ["cp1"], ON_CP1) == ""


def test_another_target_that_no_node_has_stands_in_nobody_s_way(tmp_path):
    unfinished(tmp_path, *hop(half_way="cp1"))
    assert _run.refusal(start(tmp_path, target="v1.37.3"), "u", NODES, OLD) == ""


def test_a_run_that_only_prepared_stands_in_nobody_s_way(tmp_path):
    unfinished(tmp_path, phase("enable the proxy", "cp1"), {"event": "changed", "node": "cp1", "what": "flags"})
    assert _run.refusal(start(tmp_path, target="v1.37.3"), "other", ["cp2"], OLD) == ""


@pytest.mark.parametrize(
    ("how", "versions", "words"),
    [
        ("done", ["v1.36.4", "v1.37.2"], "the journal has it done with v1.37.2, and it has v1.36.4, v1.37.2"),
        ("done", ["v1.37.2"], None),
        ("half_way", ["v1.36.4", "v1.37.2"], None),
        ("half_way", ["v1.37.2"], "the journal leaves it half-way, and all of its components are v1.37.2"),
        ("half_way", ["v1.36.4"], "the journal leaves it half-way, and it still has v1.36.4"),
    ],
)
def test_where_journal_and_cluster_differ(how, versions, words):
    found = _run.differences({"cp1": {"control_plane": how}}, "v1.37.2", {"cp1": versions})
    assert found.get("cp1") == words


BACKUP = {"path": "/b/snapshot.db", "sha256": "0" * 64, "revision": 120, "verified": True}


def test_a_backup_is_inherited_and_judged_by_the_first_start(tmp_path):
    unfinished(tmp_path, {"event": "backup", "backup": BACKUP})
    second = start(tmp_path)
    second.append({"event": "cluster", "name": "lab", "uid": "u", "revision": 500})
    second.append({"event": "run_finished", "result": "failed"})
    assert _run.inherited_backup(_run.inherited_events(start(tmp_path))) == {**BACKUP, "live_revision": 100}


def test_there_is_nothing_to_inherit_of_a_run_that_backed_nothing_up(tmp_path):
    unfinished(tmp_path)
    assert _run.inherited_backup(_run.inherited_events(start(tmp_path))) == {}


def test_a_run_goes_on_after_a_cut_off_line(tmp_path):
    dead = start(tmp_path, pid=NO_PROCESS)
    dead.append({"event": "phase", "node": "", "name": "x"})
    path = pathlib.Path(dead.journal)
    path.write_text(path.read_text()[:-20])
    start(tmp_path)
    assert dead.report()["run"]["result"] == "interrupted"


def test_a_roll_back_takes_up_the_lock_of_the_upgrade_that_died(tmp_path):
    dead = start(tmp_path, pid=NO_PROCESS)
    back = start(tmp_path, playbook="rollback", target="")
    assert _run.resumed(back) == [dead.id]
    # One that failed in its turn is taken up by either, and its lock with it.
    back.append({"event": "run_finished", "result": "failed"})
    again = start(tmp_path, playbook="rollback", target="")
    assert _run.resumed(again) == [back.id, dead.id]
    again.append({"event": "run_finished", "result": "failed"})
    assert _run.resumed(start(tmp_path)) == [again.id, back.id, dead.id]


def test_an_upgrade_goes_on_from_the_upgrade_before_a_roll_back_that_succeeded(tmp_path):
    failed = start(tmp_path)
    failed.append({"event": "run_finished", "result": "failed"})
    start(tmp_path, playbook="rollback", target="").append({"event": "run_finished", "result": "succeeded"})
    assert _run.resumed(start(tmp_path)) == [failed.id]
    # Nothing of it is a proxy run's.
    assert _run.resumed(start(tmp_path, playbook="proxy", target="")) == []
