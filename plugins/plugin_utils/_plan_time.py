# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""How long an upgrade may take, by what earlier runs took."""

from __future__ import annotations

import itertools
import statistics
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _plan_steps, _run

#: Phases that only tell how long they take when they changed something.
CHANGING = frozenset(["step etcd", "enable the proxy", "driver step", "kubelet"])
#: How many earlier runs are looked at; an old one tells of other machines.
RUNS = 5


def estimate(
    found: t.Sequence[t.Mapping[str, t.Any]], earlier: t.Iterable[_run.Run], uid: str, driver: str
) -> dict[str, t.Any]:
    """Seconds by phase from earlier upgrades with this driver: of this cluster, else of others whose reports lie there.

    Nothing is guessed: a phase that no earlier run went through has no time, and then the whole has none.
    """
    ours: list[tuple[str, dict[str, list[float]]]] = []
    others: list[tuple[str, dict[str, list[float]]]] = []
    for run in earlier:
        try:
            events = run.events()
        except _run.JournalError:
            continue
        if not any(event["event"] == "plan" and event["driver"] == driver for event in events):
            continue
        report = _run.build(run.id, events)
        told = report["run"]
        if told["playbook"] != "upgrade" or told["check_mode"] or told["result"] != "succeeded":
            continue
        if any(node["changed"] for node in report["nodes"]):
            (ours if report["cluster"]["uid"] == uid else others).append((run.id, _spent(report)))
    used = (ours or others)[:RUNS]
    seconds: dict[str, list[float]] = {}
    for dummy, spent in used:
        for phase, values in spent.items():
            seconds.setdefault(phase, []).extend(values)
    by_phase = {phase: round(statistics.median(values), 1) for phase, values in seconds.items()}
    wanted = [step["phase"] for step in found if step["phase"] != _plan_steps.DEAD_LEASES]
    without = sorted({phase for phase in wanted if phase not in by_phase})
    reason = "" if ours else "of another cluster" if used else "no earlier run"
    return {
        "seconds": None if without or not wanted else round(sum(by_phase[phase] for phase in wanted), 1),
        "runs": [id_ for id_, dummy in used],
        "reason": reason,
        "without": without if used else [],
        "by_phase": {phase: by_phase[phase] for phase in sorted(set(wanted)) if phase in by_phase},
    }


def remaining(events: t.Sequence[_run.Event]) -> float | None:
    """Seconds from the phase that has just begun to the end of the plan; None where a phase has no time, or no plan."""
    plans = [number for number, event in enumerate(events) if event["event"] == "plan"]
    begun = [event for event in events[plans[-1] :] if event["event"] == "phase"] if plans else []
    if not begun:
        return None
    now = (begun[-1]["name"], begun[-1]["node"])
    rest = itertools.dropwhile(lambda step: (step["phase"], step["node"]) != now, events[plans[-1]]["steps"])
    times = [step.get("estimated_seconds") for step in rest]
    return sum(times) if times and None not in times else None


def _spent(report: t.Mapping[str, t.Any]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for phase in [*report["phases"], *(phase for node in report["nodes"] for phase in node["phases"])]:
        if phase["changed"] or phase["name"] not in CHANGING:
            found.setdefault(phase["name"], []).append(phase["elapsed_seconds"] or 0.0)
    return found
