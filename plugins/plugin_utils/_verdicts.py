# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Which verdicts let a run go on, and which findings stand in its way."""

from __future__ import annotations

import typing as t

#: Verdicts that let a run go on.
HOLDS = frozenset(["passed", "not_exercised", "accepted", "skipped"])
#: Causes that diagnose warns of: the proxy does not carry what they are about, so nothing stops for them.
WARNINGS = frozenset(["crd_not_established", "apiservice_unavailable", "clock_skew"])


def broken(gates: t.Iterable[t.Mapping[str, t.Any]]) -> list[t.Mapping[str, t.Any]]:
    """The blocking gates that do not hold."""
    return [gate for gate in gates if gate["severity"] == "blocking" and gate["verdict"] not in HOLDS]


def remaining(found: t.Iterable[t.Mapping[str, t.Any]]) -> list[t.Mapping[str, t.Any]]:
    """The findings that still stand in the way: neither repaired nor a warning only."""
    return [finding for finding in found if not finding["repaired"] and finding["cause"] not in WARNINGS]
