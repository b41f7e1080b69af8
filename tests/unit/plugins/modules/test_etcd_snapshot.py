# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.modules import etcd_snapshot

pytestmark = pytest.mark.node

MIB = 2**20


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [
        (0, 500, ""),
        (49, 500, ""),
        (50, 500, "snapshot: 50 of 500 MiB"),
        (99, 500, "snapshot: 50 of 500 MiB"),
        (125, 500, "snapshot: 100 of 500 MiB"),
        (499, 500, "snapshot: 450 of 500 MiB"),
        (500, 500, "snapshot: 500 MiB written, being read back"),
        (600, 500, "snapshot: 500 MiB written, being read back"),
        (90, 99, ""),
        (99, 99, ""),
        (0, 0, ""),
    ],
)
def test_a_line_each_tenth_and_none_for_a_small_one(done, total, words):
    assert etcd_snapshot.progress(done * MIB, total * MIB) == words
