# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of several kinds as files, and a Chromium to open them in."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import typing as t

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _html, _run

FIXTURES = pathlib.Path(__file__).parents[1] / "unit" / "fixtures" / "reports"
RECORDED = sorted(path.stem for path in FIXTURES.glob("*.json"))
KINDS = [*RECORDED, "running", "hostile", "big"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a ``kind`` is run with each."""
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", KINDS)


#: What a server, a user or a log may say, and a word that no line holds.
HOSTILE = (
    "</script></style></title></svg><script>alert(1)</script><img src=https://192.0.2.1/x onerror=alert(1)>"
    "\"' onfocus=alert(1) autofocus x='`&amp;<!-- {{ 7 * 7 }} {% raw %} \ud800\u202e " + "W" * 300
)
#: Fields that hold one of a few words or a time, which no server words.
_FIXED = {"severity", "verdict", "result", "playbook", "kind", "direction", "attribution", "confidence"}
_FIXED |= {"proxy_before", "proxy_after", "started", "finished", "at"}


def _spoil(value: t.Any, key: str = "") -> t.Any:
    if isinstance(value, dict):
        return {name: _spoil(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_spoil(item, key) for item in value]
    return f"{value} {HOSTILE}" if isinstance(value, str) and key not in _FIXED else value


def _read(name: str) -> dict[str, t.Any]:
    return dict(json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8")))


def _report(kind: str) -> dict[str, t.Any]:
    if kind in RECORDED:
        return _read(kind)
    if kind == "running":
        begun = {"event": "run_started", "at": "2026-11-24T00:30:00.000Z", "playbook": "upgrade", "target": "v1.37.2"}
        return _run.build("20261124T003000Z-ab12", [begun])
    report = _read("upgrade-stopped")
    if kind == "hostile":
        report["findings"] = _read("diagnose")["findings"]
        report["gates"] += [gate for gate in _read("upgrade-accepted")["gates"] if gate["verdict"] == "accepted"]
        return dict(_spoil(report))
    report = _read("upgrade-succeeded")
    report["gates"] = [copy.deepcopy(gate) for _number in range(4) for gate in report["gates"]]
    report["probes"] = [copy.deepcopy(probe) for _number in range(10) for probe in report["probes"]]
    return report


class Shown:
    """A report in a window of the browser, and all that went wrong in it."""

    def __init__(self, context: BrowserContext, path: pathlib.Path, report: dict[str, t.Any]) -> None:
        self.report = report
        self.troubles: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.troubles.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self._asked(request.url, path.as_uri()))
        self.page.goto(path.as_uri())

    def _asked(self, url: str, own: str) -> None:
        if url.partition("#")[0] != own:
            self.troubles.append(f"request: {url}")

    def cells(self, table: str) -> list[list[str]]:
        """By row of a table's body the texts of the cells that a reader can see; of a row that is hidden none."""
        return self.page.evaluate(
            """table => [...document.querySelectorAll(`#${table}-table tbody tr`)].map(row => [...row.cells]
               .filter(cell => cell.checkVisibility() && cell.getBoundingClientRect().height > 0)
               .map(cell => cell.innerText))""",
            table,
        )

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.fixture(scope="session")
def browser() -> t.Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"])
        print(f"Chromium {browser.version}")
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> t.Callable[[str], tuple[pathlib.Path, dict[str, t.Any]]]:
    """The page of a kind of report, written as a run writes it; and the report."""
    folder = tmp_path_factory.mktemp("reports")
    made: dict[str, dict[str, t.Any]] = {}

    def write(kind: str) -> tuple[pathlib.Path, dict[str, t.Any]]:
        path = folder / f"{kind}.html"
        if kind not in made:
            made[kind] = _report(kind)
            _run.write_atomically(str(path), _html.render(made[kind]))
        return path, made[kind]

    return write


@pytest.fixture
def show(
    browser: Browser, written: t.Callable[[str], tuple[pathlib.Path, dict[str, t.Any]]]
) -> t.Iterator[t.Callable[..., Shown]]:
    """Opens a kind of report; further arguments are those of a browser's context."""
    contexts: list[BrowserContext] = []

    def open_(kind: str, width: int = 1280, **options: t.Any) -> Shown:
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **options))
        return Shown(contexts[-1], *written(kind))

    yield open_
    for context in contexts:
        context.close()
