# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.modules import refresh_peers

BEFORE = {"cp2": (10.0, 1.0), "cp3": (20.0, 0.0)}


@pytest.mark.parametrize(
    ("cp2", "cp3", "passed", "final", "again"),
    [
        ((14.0, 1.0), (24.0, 0.0), True, False, False),
        ((14.0, 1.0), (22.0, 0.0), False, False, False),
        # Too many and no error: somebody else's fetches, so count anew.
        ((16.0, 1.0), (24.0, 0.0), False, True, True),
        # A sync error is never taken for a disturbance.
        ((14.0, 2.0), (24.0, 0.0), False, True, False),
        ((16.0, 2.0), (24.0, 0.0), False, True, False),
        # A counter that fell: the server was started anew.
        ((2.0, 1.0), (24.0, 0.0), False, True, False),
    ],
)
def test_judge(cp2, cp3, passed, final, again):
    sample = refresh_peers.judge(BEFORE, {"cp2": cp2, "cp3": cp3}, 4)
    assert (sample.passed, sample.final, sample.data) == (passed, final, again)


def test_judge_tells_each_server():
    sample = refresh_peers.judge(BEFORE, {"cp2": (13.0, 3.0), "cp3": (24.0, 0.0)}, 4)
    assert sample.progress == "fetches answered 200: cp2 3 and 2 sync errors, cp3 4 (of 4 each)"
