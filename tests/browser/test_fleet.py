# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a fleet in a real browser."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _fleet, _html, _run
from ansible_collections.mixedversion.kubernetes.tests.browser.conftest import FIXTURES, HOSTILE, Shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two clusters that succeeded, one that a gate stopped, and one that left nothing but hostile words."""
    root = tmp_path_factory.mktemp("fleet")
    for name, kind in {"north": "verify", "south": "upgrade-stopped", "west": "verify"}.items():
        place = root / name / "reports" / "run"
        place.mkdir(parents=True)
        report = json.loads((FIXTURES / f"{kind}.json").read_text(encoding="utf-8"))
        (place / "report.json").write_text(json.dumps(report))
        (place / "report.html").write_text(_html.render(report))
    (root / "lost").mkdir()
    (root / "lost" / "stdout").write_text(HOSTILE.encode("utf-8", "replace").decode())
    return root


@pytest.fixture
def show(browser, folder):
    fleet = _fleet.build(_fleet.gather(str(folder)), "0.1.0")
    path = folder / "fleet.html"
    _run.write_atomically(str(path), _fleet.html(fleet))
    contexts = []

    def open_(width=1280, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **options))
        return Shown(contexts[-1], path, fleet)

    yield open_
    for context in contexts:
        context.close()


def test_the_verdict_comes_first_and_every_cluster_is_there(show):
    shown = show()
    assert "2 of 4 succeeded" in shown.page.locator("h1").inner_text()
    assert "lost, south" in shown.page.locator(".verdict").inner_text()
    rows = shown.cells("clusters")
    assert [row[0].split()[0] for row in rows] == ["lost", "south", "north", "west"]
    assert [row[1].split(maxsplit=1)[1] for row in rows] == ["no report", "stopped", "succeeded", "succeeded"]
    cards = " ".join(shown.page.locator(".card").all_inner_texts())
    assert "convergence" in cards and "onerror=alert(1)" in cards
    assert shown.troubles == []


def test_a_link_leads_to_the_report_of_the_cluster(show):
    shown = show()
    shown.page.get_by_role("link", name="Report of south").click()
    shown.page.wait_for_url("**/south/reports/run/report.html")
    assert shown.page.locator("h1").inner_text().endswith("stopped")


def test_the_filter_shows_one_result(show):
    shown = show()
    shown.page.locator("#clusters-verdict").select_option("=succeeded")
    assert [bool(row) for row in shown.cells("clusters")] == [False, False, True, True]
    assert shown.page.locator("#clusters [role=status]").inner_text() == "2 of 4 clusters shown"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_and_it_fits(show, scheme, width):
    shown = show(width=width, color_scheme=scheme)
    assert shown.overflow() == 0
    shown.page.evaluate(AXE_SCRIPT)
    found = shown.page.evaluate("axe.run().then(r => ({rules: r.passes.length, violations: r.violations}))")
    assert found["rules"] > 15
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
