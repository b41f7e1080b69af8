# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/troubleshooting.md is what diagnose knows."""

from __future__ import annotations

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _causes, _verdicts
from ansible_collections.mixedversion.kubernetes.tests.tools import troubleshooting


def test_the_page_is_what_the_table_makes_of_it():
    assert troubleshooting.PAGE.read_text(encoding="utf-8") == troubleshooting.page(), (
        "python tests/tools/troubleshooting.py writes it anew"
    )


def test_every_cause_has_a_symptom():
    named = {name for dummy, dummy_shown, names in troubleshooting.SYMPTOMS for name in names}
    assert named == {judge.__name__ for judge in _causes.JUDGES}


def test_warnings_are_told_as_such():
    told = {name for name, cause in troubleshooting.causes().items() if cause["upgrade"] == "warns"}
    assert told == _verdicts.WARNINGS
