# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail

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
