# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The report as one HTML page that needs nothing but itself.

Whatever a server or a user said stands in it, so Jinja2 escapes every value, and the page's own policy lets the browser
load nothing and run no script but the one whose hash it names.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import os
import re
import typing as t

import jinja2
import markupsafe
from ansible import constants

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import (
    _availability,
    _availability_svg,
    _markdown,
    _verdicts,
)

_TEMPLATE = "_report.html.j2"


class Look(t.NamedTuple):
    """The class of the style sheet, and the letter."""

    tone: str
    mark: str


#: What a verdict or a result looks like: a tone, and a mark so that colour is not all that tells it.
_LOOKS = {
    "passed": Look("good", "✓"),
    "succeeded": Look("good", "✓"),
    "failed": Look("bad", "✕"),
    "unproven": Look("bad", "?"),
    "no_report": Look("bad", "?"),
    "interrupted": Look("bad", "✕"),
    "stopped": Look("warn", "!"),
    "accepted": Look("warn", "!"),
}
_PLAIN = Look("plain", "\N{EN DASH}")
#: The worst first.
_TONES = ("bad", "warn", "good", "plain")
#: A bar of the time line is at least this wide, in percent, so that a short phase can be seen.
_LEAST = 0.6


def page(template: str, **variables: t.Any) -> str:
    """One HTML document from a template of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__))),
        # Each task is a process of its own, and a report is written many times: compiled once, in Ansible's own folder,
        # whose constant is made at run time, unseen by mypy.
        bytecode_cache=jinja2.FileSystemBytecodeCache(constants.DEFAULT_LOCAL_TMP),  # type: ignore[attr-defined]
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters.update(duration=duration, when=when, look=look, breakable=_breakable, hash=_hash)
    return f"{environment.get_template(template).render(**variables)}\n"


def render(report: t.Mapping[str, t.Any]) -> str:
    """The whole report as one HTML document."""
    gates = report["gates"]
    picture = _availability_svg.render(report) if report["availability"] else ""
    return page(
        _TEMPLATE,
        **report,
        seconds=_availability.took(report["run"]),
        broken=_verdicts.broken(gates),
        warnings=[gate for gate in gates if gate["severity"] == "warning" and gate["verdict"] not in _verdicts.HOLDS],
        accepted=[gate for gate in gates if gate["verdict"] == "accepted"],
        counts={
            "gates": collections.Counter(gate["verdict"] for gate in gates),
            "nodes": collections.Counter(gate["node"] for gate in gates),
            "probes": collections.Counter(probe["verdict"] for probe in report["probes"]),
            "vias": collections.Counter(probe["via"] for probe in report["probes"]),
        },
        losses=[
            (entry["target"], part)
            for entry in report["availability"]
            for part in entry["by_phase"]
            if part["failed"] or part["retries"] or part["unavailable_seconds"]
        ],
        weighed=_weighed(gates),
        to_do=_to_do(report),
        remaining=_verdicts.remaining(report["findings"]),
        holds=_verdicts.HOLDS,
        groups=_groups(report),
        kinds=_markdown.kinds,
        # Made by another template that escapes what it is given.
        picture=markupsafe.Markup(picture),
    )


def look(verdict: str) -> Look:
    """Tone and mark of a verdict or a result."""
    return _LOOKS.get(verdict, _PLAIN)


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: 0.4 s, 12 s, 3 min 5 s, 1 h 2 min."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def when(text: str | None) -> str:
    """A report's time without its fractions."""
    return f"{text[:10]} {text[11:19]} UTC" if text else ""


def _breakable(name: str) -> markupsafe.Markup:
    """A name that a line may end in, behind each of its parts; escaped."""
    return markupsafe.Markup("<wbr>").join(re.split(r"(?<=[/._])", name))


def _hash(script: str) -> str:
    """A script's source as a Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _weighed(gates: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, int]:
    """How many gates came to what, the worst first; a warning that fails is told apart, as it stops nothing."""
    found: dict[tuple[int, str], int] = {}
    for gate in gates:
        warns = gate["severity"] == "warning" and gate["verdict"] not in _verdicts.HOLDS
        words = gate["verdict"] + (" as a warning only" if warns else "")
        key = (_TONES.index("warn" if warns else look(gate["verdict"]).tone), words)
        found[key] = found.get(key, 0) + 1
    return {words: found[rank, words] for rank, words in sorted(found)}


def _to_do(report: t.Mapping[str, t.Any]) -> list[str]:
    """What to do next: first what the gate says that stopped the run, then how to go on."""
    run = report["run"]
    stopped = _verdicts.broken(report["gates"])[:1] if run["failed_gate"] else []
    actions = [*(gate["next_action"] for gate in stopped), run["next_action"]]
    return list(dict.fromkeys(action for action in actions if action))


def _groups(report: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The phases of the cluster as a whole and of each node, each with its place in the whole time, in percent."""
    found = [{"name": "", "phases": report["phases"], "changed": False}, *report["nodes"]]
    phases = [phase for group in found for phase in group["phases"]]
    begins = [_availability.epoch(phase["started"]) for phase in phases]
    begun = min(begins, default=0.0)
    whole = max((b + (p["elapsed_seconds"] or 0) for b, p in zip(begins, phases)), default=0.0) - begun
    scale = 100 / max(whole, 0.001)

    def placed(phase: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        width = max((phase["elapsed_seconds"] or 0) * scale, _LEAST)
        left = (_availability.epoch(phase["started"]) - begun) * scale
        return {**phase, "left": round(min(left, 100 - width), 2), "width": round(width, 2)}

    return [{**group, "phases": [placed(phase) for phase in group["phases"]]} for group in found if group["phases"]]
