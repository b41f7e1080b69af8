# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/example, made by the report's own code from what a run of the molecule scenario kubeadm left.

usage: example_report.py             writes docs/example anew
       example_report.py html FILE   the page for people, for the site
"""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "build" / "collections"))

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _availability_svg, _html, _markdown

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests" / "unit" / "fixtures" / "reports" / "upgrade-kubeadm-lab.json"
FOLDER = ROOT / "docs" / "example"


def report() -> dict[str, t.Any]:
    recorded: dict[str, t.Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return recorded


def files() -> dict[str, str]:
    return {"report.md": _markdown.render(report()), "availability.svg": _availability_svg.render(report())}


def main() -> None:
    if sys.argv[1:2] == ["html"]:
        pathlib.Path(sys.argv[2]).write_text(_html.render(report()), encoding="utf-8")
        return
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
