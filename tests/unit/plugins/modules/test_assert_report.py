# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.modules import assert_report

REPORT = {
    "probes": [{"verdict": "passed"}, {"verdict": "failed"}],
    "backup": {"verified": True, "path": "/backups/" + "x" * 200},
    "availability": [{"target": "load balancer", "failed": 0}],
}


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("backup.verified", ""),
        ("length(probes[?verdict == 'passed']) > `0`", ""),
        ("availability[?target == 'load balancer'].failed | [0] == `0`", ""),
        # What would be true to somebody, and to a probe's expect, is not true itself.
        ("length(probes)", "'length(probes)' comes to 2"),
        ("probes[?verdict == 'passed']", """"probes[?verdict == 'passed']" comes to [{"verdict": "passed"}]"""),
        ("backup.proven", "'backup.proven' comes to null"),
        ("backup.verified == 'true'", """"backup.verified == 'true'" comes to false"""),
        ("length(backup.verified)", "can't be worked out: length() was given a value of type boolean"),
    ],
)
def test_an_assertion_is_true_or_says_what_it_comes_to(expression, fault):
    found = assert_report.fault(expression, REPORT)
    assert found == fault or (fault.startswith("can't") and found.endswith(fault))


def test_a_long_value_is_cut():
    assert len(assert_report.fault("backup.path", REPORT)) < 120
