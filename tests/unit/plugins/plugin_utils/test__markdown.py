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
