# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _markdown, _run


def test_no_text_breaks_out_of_its_cell():
    gate = {"event": "gate", "at": "2026-11-24T00:30:00Z", "id": "lock", "node": "cp1", "peer": "", "reason": ""}
    gate.update(severity="blocking", verdict="failed", observed="a | b\nc", expected="e", next_action="n")
    text = _markdown.render(_run.build("20261124T003000Z-ab12", [gate]))
    assert "| lock | cp1 | failed | a \\| b c | e |" in text.splitlines()


def test_row():
    assert _markdown.row(1, "x|y", None) == "| 1 | x\\|y | None |"


def finding(**more):
    told = {"cause": "stale_peer", "server": "cp2", "peer": "cp1", "evidence": "e|f", "confidence": "certain"}
    return {"event": "finding", "at": "2026-11-24T00:30:00Z", **told, "root": True, "next_action": "n", **more}


def test_findings_have_a_table():
    events = [finding(repaired=True), finding(server="cp3", repaired=False, root=False)]
    lines = _markdown.render(_run.build("20261124T003000Z-ab12", events)).splitlines()
    assert "| stale_peer (repaired) | cp2 to cp1 | certain | e\\|f | n |" in lines
    assert "| stale_peer (follows) | cp3 to cp1 | certain | e\\|f | n |" in lines


def test_a_diagnosis_says_that_it_found_nothing():
    begun = {"event": "run_started", "at": "2026-11-24T00:30:00Z", "playbook": "diagnose", "target": ""}
    text = _markdown.render(_run.build("20261124T003000Z-ab12", [begun]))
    assert "# Control plane diagnose: running" in text
    assert "## Findings\n\nNone.\n" in text
    assert "Proxied reads" not in text
