# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.action import driver_step

WANTED = ["lock", "peers_fetched", "quorum_after_step"]


def gate(gate_id, node="", verdict="passed", severity="blocking"):
    return {"event": "gate", "id": gate_id, "node": node, "verdict": verdict, "severity": severity}


def step(node, hop):
    return {"event": "step", "node": node, "name": "x", "hop": hop}


@pytest.fixture
def first():
    return [gate("lock"), gate("peers_fetched"), gate("quorum_after_step", "cp1")]


def test_all_there(first):
    assert driver_step.lacking(first, "cp1", WANTED) == []


def test_an_empty_journal_lacks_everything():
    assert driver_step.lacking([], "cp1", WANTED) == WANTED


def test_evidence_of_another_node_is_none(first):
    assert driver_step.lacking(first, "cp2", WANTED) == ["quorum_after_step"]


def test_the_last_verdict_counts(first):
    failed = gate("quorum_after_step", "cp1", "failed")
    assert driver_step.lacking([*first, failed], "cp1", WANTED) == ["quorum_after_step"]
    assert driver_step.lacking([failed, *first], "cp1", WANTED) == []


def test_a_warning_beside_a_gate_that_held_stops_no_step(first):
    events = [*first, step("cp1", True), gate("quorum_after_step", "cp2")]
    events += [gate("server_is_target", "cp1"), gate("convergence"), gate("requests_proxied")]
    events += [gate("convergence", verdict="failed", severity="warning")]
    assert driver_step.lacking(events, "cp2", WANTED) == []


@pytest.mark.parametrize(
    ("verdict", "held"), [("accepted", True), ("skipped", True), ("not_exercised", True), ("unproven", False)]
)
def test_verdicts(first, verdict, held):
    events = [*first, gate("lock", verdict=verdict)]
    assert driver_step.lacking(events, "cp1", WANTED) == ([] if held else ["lock"])


def test_after_a_hop_elsewhere_its_evidence_is_wanted(first):
    events = [*first, step("cp1", True), gate("quorum_after_step", "cp2")]
    assert driver_step.lacking(events, "cp2", WANTED) == [
        "server_is_target after the step on cp1",
        "convergence after the step on cp1",
        "requests_proxied after the step on cp1",
    ]
    events += [gate("server_is_target", "cp1"), gate("convergence"), gate("requests_proxied", verdict="not_exercised")]
    assert driver_step.lacking(events, "cp2", WANTED) == []


def test_evidence_from_before_the_hop_elsewhere_is_stale(first):
    between = [gate("server_is_target", "cp1"), gate("convergence"), gate("requests_proxied")]
    events = [*first, gate("quorum_after_step", "cp2"), *between, step("cp1", True)]
    assert driver_step.lacking(events, "cp2", WANTED) == [
        "quorum_after_step",
        "server_is_target after the step on cp1",
        "convergence after the step on cp1",
        "requests_proxied after the step on cp1",
    ]


def test_after_a_preparation_elsewhere_the_server_suffices(first):
    events = [*first, step("cp1", False), gate("quorum_after_step", "cp2")]
    assert driver_step.lacking(events, "cp2", WANTED) == ["server_is_target after the step on cp1"]
    assert driver_step.lacking([*events, gate("server_is_target", "cp2")], "cp2", WANTED) != []
    assert driver_step.lacking([*events, gate("server_is_target", "cp1")], "cp2", WANTED) == []


def test_a_step_on_the_same_node_asks_for_nothing_more(first):
    assert driver_step.lacking([*first, step("cp1", True)], "cp1", WANTED) == []
