# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The report's availability as a picture: time from left to right, a row for each target, the run's phases above."""

from __future__ import annotations

import typing as t

import jinja2

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _availability

#: Pixels: what lies left and right of the rows, a row, what lies above them.
LEFT, WIDTH, RIGHT, ROW, TOP = 190, 640, 170, 26, 58
#: What a second is at least, so that one failed request can be seen.
LEAST = 2.0
#: Roughly what a letter takes; a name that does not fit is left to the tooltip.
LETTER = 6.2
#: Distances of the marks of the time axis, in seconds.
TICKS = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)

_TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{ width }} {{ height }}" \
width="{{ width }}" height="{{ height }}" \
role="img" aria-label="{{ title }}">
<title>{{ title }}</title>
<style>
text { font: 12px sans-serif; fill: #1f2328 }
.small { font-size: 10px; fill: #59636e }
.band { fill: #818b98; fill-opacity: .10 }
.line { stroke: #818b98; stroke-opacity: .35 }
.well { fill: #2da44e; fill-opacity: .45 }
.retried { fill: #bf8700 }
.down { fill: #cf222e }
@media screen and (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.well { fill: #3fb950 }
.retried { fill: #d29922 }
.down { fill: #ff7b72 }
}
</style>
{% for band in bands %}
<g><title>{{ band.title }}</title>
<rect x="{{ band.x }}" y="{{ band.y }}" width="{{ band.width }}" height="{{ band.height }}" \
{% if band.shaded %}class="band"{% else %}fill="none" pointer-events="all"{% endif %}/>
{% if band.words %}
<text x="{{ band.x + 3 }}" y="{{ band.y + 12 }}"{% if band.small %} class="small"{% endif %}>{{ band.words }}</text>
{% endif %}
</g>
{% endfor %}
{% for tick in ticks %}
<line class="line" x1="{{ tick.x }}" y1="{{ top }}" x2="{{ tick.x }}" y2="{{ bottom }}"/>
<text class="small" x="{{ tick.x }}" y="{{ bottom + 14 }}" text-anchor="middle">{{ tick.words }}</text>
{% endfor %}
{% for row in rows %}
<text x="{{ left - 8 }}" y="{{ row.y + 16 }}" text-anchor="end">{{ row.words }}</text>
{% for part in row.parts %}
<rect class="{{ part.state }}" x="{{ part.x }}" y="{{ row.y + 5 }}" width="{{ part.width }}" \
height="{{ part.height }}">\
<title>{{ part.title }}</title></rect>
{% endfor %}
<text class="small" x="{{ right + 8 }}" y="{{ row.y + 16 }}">{{ row.result }}</text>
{% endfor %}
<text class="small" x="{{ left }}" y="{{ bottom + 32 }}">\
green: answered; amber: answered at the second try; red: not answered. Minutes since {{ started }}.</text>
</svg>
"""


def render(report: t.Mapping[str, t.Any]) -> str:
    """The picture of a report that has any availability, as the text of an SVG file."""
    seen = report["availability"]
    stretches = [stretch for entry in seen for stretch in entry["series"]]
    begun = min(_availability.epoch(stretch["at"]) for stretch in stretches)
    ended = max(_availability.epoch(stretch["at"]) + stretch["seconds"] for stretch in stretches)
    scale = WIDTH / max(ended - begun, 1.0)

    def x(moment: float) -> float:
        return float(round(LEFT + (min(max(moment, begun), ended) - begun) * scale, 1))

    bottom = TOP + ROW * len(seen)
    step = next((tick for tick in TICKS if (ended - begun) / tick <= 12), TICKS[-1])
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=True)
    picture = environment.from_string(_TEMPLATE).render(
        title=f"Availability of the control plane in run {report['run']['id']}",
        width=LEFT + WIDTH + RIGHT,
        height=bottom + 42,
        left=LEFT,
        right=LEFT + WIDTH,
        top=TOP,
        bottom=bottom,
        started=min(stretch["at"] for stretch in stretches),
        bands=_bands(report, ended, bottom, x),
        ticks=[
            {"x": x(begun + number * step), "words": f"{round(number * step / 60, 2):g}"}
            for number in range(int((ended - begun) / step) + 1)
        ],
        rows=[
            {
                "y": TOP + ROW * number,
                "words": _short(entry["target"]),
                "parts": [_part(stretch, scale, x) for stretch in entry["series"]],
                "result": f"{entry['failed']} failed, {entry['unavailable_seconds']:.1f} s"
                if entry["failed"]
                else "0 failed",
            }
            for number, entry in enumerate(seen)
        ],
    )
    return f"{picture}\n"


def _part(stretch: t.Mapping[str, t.Any], scale: float, x: t.Callable[[float], float]) -> dict[str, t.Any]:
    """A stretch as a bar; what failed is drawn higher, so that colour is not all that tells it."""
    state = "down" if stretch["unavailable_seconds"] else "retried" if stretch["retried"] else "well"
    begun = _availability.epoch(stretch["at"])
    return {
        "state": state,
        "x": x(begun),
        "width": round(max(stretch["seconds"] * scale, LEAST if state != "well" else 0.1), 1),
        "height": ROW - 10 if state != "well" else ROW - 18,
        "title": f"{stretch['at']}, {stretch['seconds']:g} s: {stretch['failed']} of {stretch['requests']} failed, "
        f"{stretch['retried']} at the second try, no answer for {stretch['unavailable_seconds']:g} s",
    }


def _bands(
    report: t.Mapping[str, t.Any], ended: float, bottom: float, x: t.Callable[[float], float]
) -> list[dict[str, t.Any]]:
    """The phases, and above each row of one node's phases the node."""
    phases = _availability.phases(report)
    ends = [phase.begun for phase in phases[1:]] + [ended]
    bands: list[dict[str, t.Any]] = []
    nodes: list[tuple[float, float, str]] = []
    for number, (phase, end) in enumerate(zip(phases, ends)):
        begun, node, name = phase.begun, phase.node, phase.name
        if x(end) <= x(begun):
            continue
        title = f"{node + ': ' if node else ''}{name}"
        bands.append(_band(x(begun), x(end), 34, bottom - 34, title, name, shaded=number % 2 == 1, small=True))
        if nodes and nodes[-1][2] == node:
            nodes[-1] = (nodes[-1][0], end, node)
        else:
            nodes.append((begun, end, node))
    for begun, end, node in nodes:
        # A pixel less, so that two nodes in a row are told apart.
        bands.append(_band(x(begun), x(end) - 1, 14, 16, node or "the cluster", node, shaded=bool(node), small=False))
    return bands


def _band(
    begin: float, end: float, y: float, height: float, title: str, words: str, *, shaded: bool, small: bool
) -> dict[str, t.Any]:
    width = round(end - begin, 1)
    fits = len(words) * LETTER * (0.85 if small else 1.0) + 6 <= width
    return {
        "x": begin,
        "y": y,
        "width": width,
        "height": height,
        "title": title,
        "words": words if fits else "",
        "shaded": shaded,
        "small": small,
    }


def _short(name: str) -> str:
    """What fits left of the rows: of a resource its name without group and version."""
    return name if len(name) <= 28 else name.split(" ")[0] + " " + name.rsplit("/", 1)[-1][:22]
