# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import types

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _gate_action


def risk(id_, reason="known"):
    return {"id": id_, "reason": reason}


def test_reasons_by_gate():
    assert _gate_action.accepted([risk("webhooks"), risk("images", "later")]) == {
        "webhooks": "known",
        "images": "later",
    }


@pytest.mark.parametrize(
    ("risks", "words"),
    [
        ([risk("webhooks"), risk("luck")], "names luck, which is no gate. Known gates: .*webhooks"),
        ([risk("backup_verified")], "backup_verified, which can't be accepted"),
        ([risk("quorum_after_step")], "control_plane_allow_outage"),
        ([risk("lock")], "Lease mixedversion-kubernetes"),
        ([risk("webhooks", " ")], "expected an id and a reason"),
        ([{"id": "webhooks"}], "expected an id and a reason"),
        ([risk("webhooks"), risk("webhooks", "again")], "names webhooks twice"),
    ],
)
def test_what_cannot_be_meant_is_refused(risks, words):
    with pytest.raises(AnsibleActionFail, match=words):
        _gate_action.accepted(risks)


@pytest.mark.parametrize("verdict", ["failed", "unproven"])
def test_an_accepted_gate_keeps_what_was_observed(verdict):
    gate = {"id": "webhooks", "verdict": verdict, "observed": "two of them", "reason": ""}
    found = _gate_action.GateAction._accept(gate, {"webhooks": "known"})
    assert (found["verdict"], found["observed"], found["reason"]) == ("accepted", "two of them", "known")
    assert found["accepted_by"]


def test_whoever_has_no_name_accepts_by_number(monkeypatch):
    """As in a container that is started as some number."""

    def nobody():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(_gate_action.getpass, "getuser", nobody)
    monkeypatch.setattr(_gate_action.os, "getuid", lambda: 12345)
    gate = {"id": "webhooks", "verdict": "failed", "reason": ""}
    assert _gate_action.GateAction._accept(gate, {"webhooks": "known"})["accepted_by"] == "uid 12345"


@pytest.mark.parametrize(
    "gate",
    [
        {"id": "webhooks", "verdict": "passed"},
        {"id": "images", "verdict": "failed"},
        {"id": "webhooks", "verdict": "failed", "acceptable": False},
    ],
)
def test_what_holds_or_is_not_accepted_stays(gate):
    verdict = gate["verdict"]
    found = _gate_action.GateAction._accept(gate, {"webhooks": "known"})
    assert (found["verdict"], found["accepted_by"]) == (verdict, None)


class Waiting(_gate_action.GateAction):
    """An action whose module answers what *answers* has, in turn; an exception among them is raised."""

    def __init__(self, *answers, timeout=60.0):
        self._answers = list(answers)
        self._task = types.SimpleNamespace(delegate_to=None)
        self._display = types.SimpleNamespace(display=lambda text: None)
        self.slices = []
        self.arguments = {"node": "cp1", "timeout": timeout}

    def _once(self, arguments, task_vars):
        self.slices.append(dict(arguments["slice"]))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def wait(self):
        return self._wait(self.arguments, {})


PENDING = {"pending": True, "progress": "started", "samples": 1, "memory": {"attached": False}}
LOST = AnsibleConnectionFailure("Connection timed out")


@pytest.fixture(autouse=True)
def no_pause_between_two_tries(monkeypatch):
    monkeypatch.setattr(_gate_action, "RECONNECT_SECONDS", 0.0)


def test_a_node_that_comes_back_is_looked_at_again():
    waiting = Waiting(PENDING, LOST, LOST, {"exit_code": 0})
    assert waiting.wait() == {"exit_code": 0}
    # Nothing is begun anew: what the module knew comes back to it.
    assert [known["memory"] for known in waiting.slices[1:]] == [{"attached": False}] * 3


def test_a_node_that_does_not_come_back_in_time_is_lost():
    with pytest.raises(AnsibleConnectionFailure):
        Waiting(PENDING, LOST, timeout=0.0).wait()


def test_a_node_that_was_never_reached_is_lost_at_once():
    with pytest.raises(AnsibleConnectionFailure):
        Waiting(LOST, {"exit_code": 0}).wait()


def test_a_worker_whose_playbook_has_ended_goes_no_further(monkeypatch):
    parents = iter([100, 100, 1])
    monkeypatch.setattr(_gate_action.os, "getppid", lambda: next(parents))
    with pytest.raises(AnsibleActionFail, match="has ended"):
        Waiting(PENDING, {"exit_code": 0}).wait()
