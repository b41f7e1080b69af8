# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What some work took: seconds, and CPU seconds of the processes that it started and waited for."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import time
import typing as t


@dataclasses.dataclass
class Spent:
    seconds: float = 0.0
    cpu: float = 0.0


@contextlib.contextmanager
def clocked() -> t.Iterator[Spent]:
    """Filled as the block ends. The labs' nodes are containers, no children of this process."""
    spent, cpu, begun = Spent(), _cpu(), time.monotonic()
    yield spent
    spent.seconds, spent.cpu = time.monotonic() - begun, _cpu() - cpu


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
