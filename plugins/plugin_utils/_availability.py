# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""From what a run's meters wrote, second by second, to what the report says of the API's availability.

The lines are those that ``module_utils/_meter.py`` writes. A target is unavailable from the moment when the first of
some failed requests in a row was sent to the moment when the next one was answered; that is one gap.
"""

from __future__ import annotations

import bisect
import dataclasses
import datetime
import json
import os
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _meter_folder

#: The series of one target has no more stretches than this; seconds are joined until it has not.
MOST_STRETCHES = 300
#: How long a stretch in which something failed may be, in seconds; the next where there would be too many.
WIDTHS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

Line = t.Mapping[str, t.Any]
#: From and until, as epoch seconds.
Gap = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Phase:
    """What the run was about, from ``begun`` (epoch seconds) until the next phase begins. ``node`` is empty for all."""

    node: str
    name: str
    begun: float


def _folder(run_directory: str) -> _meter_folder.Folder:
    return _meter_folder.Folder(os.path.join(run_directory, _meter_folder.FOLDER))


def read(run_directory: str) -> list[Line]:
    """What the run's meters wrote, oldest first. A line cut off, the last that a dead one wrote, is left out."""
    folder = _folder(run_directory)
    lines: list[Line] = []
    for name in folder.names():
        with open(folder.file(name), encoding="utf-8") as file:
            lines += _parse(file.read().splitlines())
    return sorted(lines, key=lambda line: float(line["at"]))


def sizes(run_directory: str) -> dict[str, int]:
    """By meter how many bytes of what it wrote are here."""
    folder = _folder(run_directory)
    return {name: os.path.getsize(folder.file(name)) for name in folder.names()}


def add(run_directory: str, news: t.Mapping[str, str]) -> None:
    """Add what meters on another host wrote since *sizes* was asked."""
    folder = _folder(run_directory)
    for name, text in news.items():
        os.makedirs(folder.path, mode=0o755, exist_ok=True)
        # A meter's name is no path, whatever another host says.
        with open(folder.file(os.path.basename(name)), "a", encoding="utf-8") as file:
            file.write(text)


def _parse(texts: t.Iterable[str]) -> list[Line]:
    found: list[Line] = []
    for text in texts:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "at" in line and "targets" in line:
            found.append(line)
    return found


def phases(report: t.Mapping[str, t.Any]) -> list[Phase]:
    """All phases of a report, in the order in which they began."""
    found = [Phase("", phase["name"], epoch(phase["started"])) for phase in report["phases"]]
    for node in report["nodes"]:
        found += [Phase(node["name"], phase["name"], epoch(phase["started"])) for phase in node["phases"]]
    return sorted(found, key=lambda phase: phase.begun)


def summarise(lines: t.Sequence[Line], during: t.Sequence[Phase]) -> list[dict[str, t.Any]]:
    """One entry a target, the load balancer first: the report's ``availability``."""
    names = list(dict.fromkeys(name for line in lines for name in line["targets"]))
    names.sort(key=lambda name: name != _meter_folder.LOAD_BALANCER)
    return [_Target(name, lines).dump(during) for name in names]


def judge(
    availability: t.Sequence[t.Mapping[str, t.Any]], limit: float, node: str, ended: t.Collection[str]
) -> _gate.Gate:
    """Whether the load balancer's clients had an answer for all but *limit* seconds of the run.

    *ended* are the meters that had ended before the run told them to.
    """
    gate = _gate.Gate(
        id="availability_budget",
        node=node,
        verdict=_gate.UNPROVEN,
        observed="nothing was counted: no meter of this run wrote anything",
        expected=f"no answer through the load balancer for at most {limit:g} s of this run "
        "(control_plane_max_unavailable_seconds)",
        next_action="Read when it was in the report's availability; where the load balancer sent requests to a server "
        "that was leaving, mend its checks (docs/availability.md). The next run counts anew and goes on from here.",
    )
    for entry in availability:
        if entry["target"] == _meter_folder.LOAD_BALANCER and entry["requests"]:
            gate.verdict = _gate.PASSED if entry["unavailable_seconds"] <= limit else _gate.FAILED
            gate.observed = told(entry)
            gate.samples = entry["requests"]
            if gate.verdict == _gate.PASSED and _meter_folder.SERVERS in ended:
                gate.verdict = _gate.UNPROVEN
                gate.observed += "; then the meter ended before it was told to, and nothing was counted since"
                gate.next_action = (
                    "Find what ended it (memory, disk, a pause of longer than twice control_plane_step_timeout with "
                    "control_plane_api_host) and start the playbook again. The next run counts anew."
                )
    return gate


def told(entry: t.Mapping[str, t.Any]) -> str:
    """What was seen of one target, in a line."""
    kinds = ", ".join(f"{number} {kind}" for kind, number in entry["failures"].items())
    retried = sum(entry["retries"].values())
    words = f"{entry['failed']} of {entry['requests']} requests failed" + (f" ({kinds})" if kinds else "")
    if retried:
        words += f", {retried} were answered at the second try"
    if entry["failed"]:
        words += f"; no answer for {entry['unavailable_seconds']:.1f} s, {entry['longest_gap_seconds']:.1f} s at a time"
    return words


class _Target:
    """One target's seconds and gaps."""

    def __init__(self, name: str, lines: t.Sequence[Line]) -> None:
        self.name = name
        self._lines = [line for line in lines if name in line["targets"]]
        self.gaps = _gaps(name, self._lines)

    def dump(self, during: t.Sequence[Phase]) -> dict[str, t.Any]:
        return {"target": self.name, **self._count(self._lines), "by_phase": self._by(during), "series": self._series()}

    def _count(self, lines: t.Sequence[Line], since: float = 0.0, until: float = float("inf")) -> dict[str, t.Any]:
        tallies = [line["targets"][self.name] for line in lines]
        failures, retries = _sum(tallies, "failed"), _sum(tallies, "retried")
        parts = _within(self.gaps, since, until)
        return {
            "requests": sum(tally["requests"] for tally in tallies),
            "failed": sum(failures.values()),
            "failures": failures,
            # Of each kind the first; a meter of an earlier version kept none.
            "messages": {
                kind: message for tally in reversed(tallies) for kind, message in tally.get("messages", {}).items()
            },
            "retries": retries,
            "unavailable_seconds": round(sum(parts), 3),
            "longest_gap_seconds": round(max(parts, default=0.0), 3),
            "slowest_seconds": max((float(tally["slowest"]) for tally in tallies), default=0.0),
        }

    def _by(self, during: t.Sequence[Phase]) -> list[dict[str, t.Any]]:
        """By node and phase, both empty before the first. What a node comes to twice under one name is two entries."""
        begins = [phase.begun for phase in during]
        lines: dict[int, list[Line]] = {}
        for line in self._lines:
            # What was counted over a second belongs to where most of it lies.
            lines.setdefault(bisect.bisect_right(begins, line["at"] + line["seconds"] / 2) - 1, []).append(line)
        # An answer that was waited for is counted when it failed: where nothing was, a gap may have been.
        for number in range(-1, len(during)):
            since, until = _bounds(begins, number)
            if number not in lines and _within(self.gaps, since, until):
                lines[number] = []
        return [
            {
                "node": during[number].node if number >= 0 else "",
                "phase": during[number].name if number >= 0 else "",
                **self._count(found, *_bounds(begins, number)),
            }
            for number, found in sorted(lines.items())
        ]

    def _series(self) -> list[dict[str, t.Any]]:
        for width in WIDTHS:
            stretches = self._stretches(width)
            if len(stretches) <= MOST_STRETCHES:
                break
        return [
            {
                "at": _text(group[0]["at"]),
                "seconds": round(group[-1]["at"] + group[-1]["seconds"] - group[0]["at"], 3),
                **{
                    key: value
                    for key, value in self._count(group, group[0]["at"], group[-1]["at"] + group[-1]["seconds"]).items()
                    if key in ("requests", "failed", "unavailable_seconds")
                },
                "retried": sum(_sum([line["targets"][self.name] for line in group], "retried").values()),
            }
            for group in stretches
        ]

    def _stretches(self, width: float) -> list[list[Line]]:
        """Lines that belong together: as long as nothing is wrong, or for *width* seconds."""
        groups: list[list[Line]] = []
        well = True
        for line in self._lines:
            since, until = line["at"], line["at"] + line["seconds"]
            now = not (line["targets"][self.name].get("retried") or _within(self.gaps, since, until))
            # A hole in the record, as where a meter was started anew, ends a stretch.
            follows = groups and since - (groups[-1][-1]["at"] + groups[-1][-1]["seconds"]) < 1
            if follows and now == well and (now or until - groups[-1][0]["at"] <= width + 0.5):
                groups[-1].append(line)
            else:
                groups.append([line])
            well = now
        return groups


def _gaps(name: str, lines: t.Sequence[Line]) -> list[Gap]:
    """From and until; one that is open ends with what is known."""
    found: dict[float, float] = {}
    for line in lines:
        end = line["at"] + line["seconds"]
        for since, until in line["targets"][name].get("down", []):
            found[since] = end if until is None else until
    last = max((line["at"] + line["seconds"] for line in lines), default=0.0)
    closed = {since for line in lines for since, until in line["targets"][name].get("down", []) if until is not None}
    return [(since, until if since in closed else last) for since, until in sorted(found.items())]


def _within(gaps: t.Iterable[Gap], since: float, until: float) -> list[float]:
    """For how long each of *gaps* lies between two moments, if it does."""
    parts = [min(end, until) - max(begin, since) for begin, end in gaps]
    return [part for part in parts if part > 0]


def _bounds(begins: t.Sequence[float], number: int) -> tuple[float, float]:
    return (
        begins[number] if number >= 0 else 0.0,
        begins[number + 1] if number + 1 < len(begins) else float("inf"),
    )


def _sum(tallies: t.Iterable[t.Mapping[str, t.Any]], key: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for tally in tallies:
        for kind, number in tally.get(key, {}).items():
            total[kind] = total.get(kind, 0) + number
    return dict(sorted(total.items()))


def epoch(text: str) -> float:
    """A report's time as epoch seconds."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def took(run: t.Mapping[str, t.Any]) -> float:
    """For how many seconds a report's run lasted; 0.0 while it has not ended."""
    return epoch(run["finished"]) - epoch(run["started"]) if run["started"] and run["finished"] else 0.0


def _text(moment: float) -> str:
    utc = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
