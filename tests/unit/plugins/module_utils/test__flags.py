# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _flags

pytestmark = pytest.mark.node


@pytest.mark.parametrize(
    ("values", "gates", "expected"),
    [
        ([], {"A": True}, "A=true"),
        (["B=false"], {"A": True}, "B=false,A=true"),
        # Every occurrence of the flag adds to the map.
        (["B=false", "C=true"], {"A": True}, "B=false,C=true,A=true"),
        (["A=false, B=true"], {"A": True}, "A=true,B=true"),
        (["A=true,B=true"], {"A": None}, "B=true"),
        (["A=true"], {"A": None}, None),
        (["B=true"], {"A": None}, "B=true"),
    ],
)
def test_gates_are_merged(values, gates, expected):
    assert _flags.with_gates(values, gates) == expected


def test_wanted_flags():
    present = [("v", "2"), ("feature-gates", "B=true")]
    params = {"flags": {"peer-ca-file": "/ca.crt", "v": None, "n": 5}, "feature_gates": {"A": True}}
    assert _flags.wanted(params, present) == {
        "peer-ca-file": "/ca.crt",
        "v": None,
        "n": "5",
        "feature-gates": "B=true,A=true",
    }
    # No gate named: the flag is not touched.
    assert _flags.wanted({"flags": {}, "feature_gates": {}}, present) == {}
