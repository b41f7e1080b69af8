# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a case of the fault matrix is."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from _common import Reader
    from _lab import Lab, Run


#: Seconds.
GAP = 5.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    #: What was seen, in a sentence.
    happened: str
    #: Whether the cluster served throughout, by a reader through the load balancer with one retry on connection loss:
    #: never GAP seconds without an answer. A server that loses its etcd keeps what it was asked until it is found out.
    served: bool
    #: Whether the run that came after it finished: all servers at the target, or the roll-back did what it promises.
    finished: bool
    #: Whether what must hold held.
    passed: bool


@dataclasses.dataclass(frozen=True)
class Fault:
    #: "killed/driver step", "rollback/bad flag" ...
    id: str
    #: Does all of it on a lab that is whole at the old version, and may leave it in any state.
    run: t.Callable[[Lab], Outcome]
    driver: str = "systemd"


def resumes(run: Run) -> str:
    """Which run it goes on from, as the end of a sentence."""
    earlier = run.report.get("run", {}).get("resumes")
    return f", resumes {earlier}" if earlier else ""


def reads(reader: Reader) -> str:
    failed = sum(number for status, number in reader.count(0).items() if status != 200)
    return f"{failed} of {len(reader.answers)} reads failed, longest gap {reader.gap():.1f} s"
