# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Gates: what was observed, what was expected, what to do next; and waiting for one to hold.

A module cannot print while it runs. So a waiting module samples until its state has changed, returns that state
as ``progress`` and is started again by its action plug-in, which prints it. One such start is a slice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

PASSED = "passed"
FAILED = "failed"
NOT_EXERCISED = "not_exercised"
UNPROVEN = "unproven"
SKIPPED = "skipped"

BLOCKING = "blocking"
WARNING = "warning"

#: Seconds that a new state has to last before it is told. To be started again takes a module a second, and what comes
#: about meanwhile is noticed only after that; a server that starts has states of a second.
LASTING = 2.0
#: For what runs on a node: the controller bears that the connection is lost as soon as it has been told a state.
AT_ONCE = 0.0


@dataclasses.dataclass
class Gate:
    """One verdict, shaped as the report wants it. Times are seconds."""

    id: str
    verdict: str
    observed: str
    expected: str
    next_action: str = ""
    node: str = ""
    peer: str = ""
    severity: str = BLOCKING
    reason: str = ""
    elapsed_seconds: float = 0.0
    samples: int = 1
    acceptable: bool = True

    @contextlib.contextmanager
    def judged(self, *failures: type[Exception]) -> t.Iterator[None]:
        """Time what the verdict rests on; one of *failures* is what a failed gate observed."""
        begun = time.monotonic()
        try:
            yield
        except failures as error:
            self.verdict, self.observed = FAILED, str(error)
        self.elapsed_seconds = round(time.monotonic() - begun, 3)

    def dump(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One look. ``progress`` is the state in a few words; ``final`` ends the waiting whatever ``passed`` says."""

    passed: bool
    progress: str
    final: bool = False
    data: t.Any = None


@dataclasses.dataclass(frozen=True)
class Waited:
    """What waiting came to. ``pending`` means: start me again, the state changed and somebody may want to read it."""

    sample: Sample
    pending: bool
    timed_out: bool
    samples: int
    elapsed_seconds: float


# The options every module of both action groups has; the action plug-in acts on all but the last one.
RUN_OPTIONS: dict[str, dict[str, t.Any]] = {
    "run_directory": {"type": "path"},
    "accepted_risks": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"id": {"type": "str", "required": True}, "reason": {"type": "str", "required": True}},
    },
    "defer": {"type": "bool", "default": False},
    "node": {"type": "str", "default": ""},
    "timeout": {"type": "float", "default": 180.0},
    "interval": {"type": "float", "default": 0.25},
    "stable_samples": {"type": "int", "default": 3},
    "slice": {
        "type": "dict",
        "options": {
            "progress": {"type": "str", "default": ""},
            "elapsed_seconds": {"type": "float", "default": 0.0},
            "samples": {"type": "int", "default": 0},
            "memory": {"type": "dict", "default": {}},
        },
    },
}


def argument_spec(*parts: t.Mapping[str, dict[str, t.Any]]) -> dict[str, dict[str, t.Any]]:
    """The options of a module: those every module has, and *parts*."""
    spec = dict(RUN_OPTIONS)
    for part in parts:
        spec.update(part)
    return spec


def wait(look: t.Callable[[], Sample], params: t.Mapping[str, t.Any], lasting: float = LASTING) -> Waited:
    """Look each ``interval`` until ``stable_samples`` looks in a row passed, or ``timeout`` is over.

    Samples in a row are counted anew in each slice, as nobody looked in between two of them. A slice ends with a state
    that is another one than the slice began with for *lasting* seconds.
    """
    known = params["slice"] or {"progress": None, "elapsed_seconds": 0.0, "samples": 0}
    started = time.monotonic()
    samples = known["samples"]
    in_a_row = 0
    changed: float | None = None
    while True:
        begun = time.monotonic()
        sample = look()
        samples += 1
        in_a_row = in_a_row + 1 if sample.passed else 0
        elapsed = known["elapsed_seconds"] + time.monotonic() - started
        if sample.final or in_a_row >= params["stable_samples"]:
            return Waited(sample, False, False, samples, elapsed)
        if elapsed >= params["timeout"]:
            return Waited(sample, False, True, samples, elapsed)
        if params["slice"]:
            if sample.passed or sample.progress == known["progress"]:
                changed = None
            elif changed is None:
                changed = begun
            if changed is not None and time.monotonic() - changed >= lasting:
                return Waited(sample, True, False, samples, elapsed)
        # The interval is a bound on the load this puts on the servers, not a guess at when the state will hold.
        time.sleep(max(0.0, params["interval"] - (time.monotonic() - begun)))


def pending(waited: Waited, memory: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    """What a module returns to be started again. ``memory`` comes back to it in ``slice.memory``."""
    return {
        "changed": False,
        "pending": True,
        "progress": waited.sample.progress,
        "samples": waited.samples,
        "memory": memory or {},
    }
