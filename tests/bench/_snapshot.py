# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of some sizes by the module and by `etcdctl snapshot save`, in turn: throughput and memory."""

from __future__ import annotations

from _common import Results
from _lab import lab_of
from _snapshots import VALUE_BYTES, figures, fill, pair

#: Megabytes of values; etcd's own keep is about half as much again. 2 GB is etcd's quota.
SIZES = (10, 100, 1200)


def run(results: Results, pairs: int) -> None:
    with lab_of("bench-snapshot", 3) as lab:
        for megabytes in SIZES:
            fill(lab, megabytes * 1_000_000 // VALUE_BYTES)
            made = [pair(lab) for dummy in range(pairs)]
            for name, value in figures(made).items():
                results.figure(f"snapshot/{megabytes}/{name}", value)
            whole = all('"totalKey"' in one.status for one in made)
            results.case(f"snapshot/{megabytes}", "etcdutl accepts ours", made[-1].status, whole)
