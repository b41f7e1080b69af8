# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page in a real browser: what a reader sees, can reach and is kept from."""

from __future__ import annotations

import pytest
from axe_playwright_python.base import AXE_SCRIPT


def plain(text):
    """A text as a page shows it: spaces joined, and what UTF-8 can't hold replaced."""
    return " ".join(str(text).encode("utf-8", "replace").decode().split())


def visible(shown, selector):
    return [plain(one.inner_text()) for one in shown.page.locator(selector).all() if one.is_visible()]


def seen(shown, table):
    return [[plain(cell) for cell in row] for row in shown.cells(table)]


def test_the_verdict_comes_first_and_nothing_goes_wrong(show, kind):
    shown = show(kind)
    run = shown.report["run"]
    (heading,) = visible(shown, "h1")
    assert heading.endswith(run["result"])
    (verdict,) = visible(shown, ".verdict")
    for words in (run["failed_gate"], run["next_action"]):
        assert plain(words or "") in verdict
    # It is on the first screen, whatever follows.
    box = shown.page.locator(".verdict > p").first.bounding_box()
    assert kind == "hostile" or box["y"] + box["height"] < 800
    assert shown.troubles == []


def test_every_gate_and_probe_is_there(show, kind):
    shown = show(kind)
    gates, probes = seen(shown, "gates"), seen(shown, "probes")
    assert len(gates) == len(shown.report["gates"])
    for row, gate in zip(gates, shown.report["gates"]):
        assert row[0].startswith(plain(gate["id"]))
        assert gate["verdict"].replace("_", " ") in row[1]
        assert plain(gate["reason"]) in row[1]
        assert row[2] == plain((gate["node"] or "the cluster") + (f" to {gate['peer']}" if gate["peer"] else ""))
        assert row[3] == plain(gate["observed"])
        assert row[4].startswith(plain(gate["expected"]))
    assert len(probes) == len(shown.report["probes"])
    for row, probe in zip(probes, shown.report["probes"]):
        assert plain(probe["resource"]) in row[0]
        assert probe["verdict"].replace("_", " ") in row[1]
        assert row[2] == plain(probe["via"])
        assert row[4].startswith(plain(", ".join(probe["served_by"]) or "nobody"))


def test_what_stands_in_the_way_and_what_was_accepted_is_told_in_full(show, kind):
    shown = show(kind)
    told = {part: " ".join(visible(shown, f"#{part} .card")) for part in ("obstacles", "accepted", "findings")}
    for gate in shown.report["gates"]:
        if gate["verdict"] == "accepted":
            fields, part = ("accepted_by", "reason", "observed"), "accepted"
        elif gate["verdict"] in ("failed", "unproven") and gate["severity"] == "blocking":
            fields, part = ("observed", "expected", "next_action"), "obstacles"
        else:
            continue
        assert all(plain(gate[field]) in told[part] for field in ("id", *fields))
    for finding in shown.report["findings"]:
        assert all(plain(finding[field]) in told["findings"] for field in ("cause", "evidence", "next_action"))


def test_the_time_line_has_every_phase(show, kind):
    shown = show(kind)
    rows = [row for row in seen(shown, "time") if len(row) > 1]
    report = shown.report
    phases = [phase for part in (report, *report["nodes"]) for phase in part["phases"]]
    assert [row[0] for row in rows] == [plain(phase["name"]) for phase in phases]
    bars = shown.page.evaluate("[...document.querySelectorAll('.bar rect')].map(r => r.getBoundingClientRect().width)")
    assert all(width > 1 for width in bars)
    assert shown.page.locator("#availability svg").is_visible() == bool(report["availability"])


def test_it_fits_a_phone(show, kind):
    shown = show(kind, width=360)
    assert shown.overflow() == 0
    # What is wider than the window is inside something that scrolls by itself, and the keyboard gets there.
    boxes = shown.page.evaluate(
        "[...document.querySelectorAll('.scroll')].map(b => [b.tabIndex, b.getBoundingClientRect().width])"
    )
    assert all(index == 0 and width <= 360 for index, width in boxes)


def test_it_is_readable_without_its_script(show, kind):
    shown = show(kind, java_script_enabled=False)
    assert len(seen(shown, "gates")) == len(shown.report["gates"])
    assert all(seen(shown, "gates")) and all(seen(shown, "probes"))
    assert visible(shown, "form") == []


def test_print_shows_everything(show, kind):
    shown = show(kind, color_scheme="dark")
    for search in shown.page.locator("input[type=search]").all():
        search.fill("a word that is nowhere")
    assert not any(seen(shown, "gates"))
    # A4 less its margins.
    shown.page.set_viewport_size({"width": 688, "height": 1000})
    shown.page.emulate_media(media="print", color_scheme="dark")
    assert all(seen(shown, "gates")) and all(seen(shown, "probes"))
    assert visible(shown, "form, nav, button, select, input") == []
    assert shown.overflow() == 0
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.page.pdf().startswith(b"%PDF")


def test_dark_is_dark(show):
    colours = {}
    for scheme in ("light", "dark"):
        page = show("verify", color_scheme=scheme).page
        colours[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing(show, kind, scheme, width):
    shown = show(kind, width=width, color_scheme=scheme)
    shown.page.evaluate(AXE_SCRIPT)
    # That of a big one takes a minute, and its colours are those of the others.
    options = {"rules": {"color-contrast": {"enabled": kind != "big"}}}
    found = shown.page.evaluate(
        "options => axe.run(options).then(r => ({rules: r.passes.length, violations: r.violations}))", options
    )
    assert found["rules"] > 20
    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found["violations"]] == []


def focused(shown):
    return shown.page.evaluate("document.activeElement.id")


def tab_to(shown, name):
    for _press in range(60):
        if focused(shown) == name:
            return
        shown.page.keyboard.press("Tab")
    raise AssertionError(f"no way to {name} by Tab")


def test_the_filters_work_by_keyboard(show):
    shown = show("upgrade-stopped")
    gates = shown.report["gates"]
    status = shown.page.locator("#gates [role=status]")

    def is_shown(wanted):
        rows = seen(shown, "gates")
        assert [bool(row) for row in rows] == [bool(wanted(gate)) for gate in gates]
        assert status.inner_text() == f"{sum(map(bool, rows))} of {len(gates)} gates shown"

    is_shown(lambda gate: True)
    tab_to(shown, "gates-verdict")
    shown.page.keyboard.type("failed")
    is_shown(lambda gate: gate["verdict"] == "failed")
    tab_to(shown, "gates-node")
    shown.page.keyboard.type("cp2")
    is_shown(lambda gate: gate["verdict"] == "failed" and gate["node"] == "cp2")
    tab_to(shown, "gates-text")
    shown.page.keyboard.type("No such words")
    is_shown(lambda gate: False)
    # Enter in the field does nothing, and the button behind it shows all again.
    shown.page.keyboard.press("Enter")
    is_shown(lambda gate: False)
    shown.page.keyboard.press("Tab")
    shown.page.keyboard.press("Enter")
    status.filter(has_text=f"{len(gates)} of").wait_for()
    is_shown(lambda gate: True)
    tab_to(shown, "probes-text")
    shown.page.keyboard.type("CP3 devicetaintrules")
    assert [bool(row) for row in seen(shown, "probes")] == [
        probe["via"] == "cp3" and probe["resource"] == "devicetaintrules" for probe in shown.report["probes"]
    ]
    assert shown.troubles == []


def test_a_filter_takes_a_hostile_name_for_a_name(show):
    shown = show("hostile")
    gates = shown.report["gates"]
    shown.page.locator("#gates-node").select_option(index=2)
    node = list(dict.fromkeys(gate["node"] for gate in gates))[1]
    assert [bool(row) for row in seen(shown, "gates")] == [gate["node"] == node for gate in gates]
    assert shown.troubles == []


def test_what_has_the_focus_can_be_seen(show):
    shown = show("upgrade-stopped")
    shown.page.keyboard.press("Tab")
    assert plain(shown.page.evaluate("document.activeElement.innerText")) == "Skip to the report"
    assert shown.page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    shown.page.keyboard.press("Enter")
    assert focused(shown) == "main"
    tab_to(shown, "gates-verdict")
    assert shown.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_its_policy_lets_nothing_out_and_nothing_run(show):
    """As if a text had got through the escaping after all."""
    shown = show("verify")
    sent = []
    shown.page.route("https://**", lambda route: (sent.append(route.request.url), route.abort()))
    shown.page.evaluate(
        """() => {
          window.refused = new Set();
          document.addEventListener("securitypolicyviolation", event => window.refused.add(event.effectiveDirective));
          document.body.insertAdjacentHTML("beforeend", `<img src="https://192.0.2.1/x.png">
            <link rel="stylesheet" href="https://192.0.2.1/x.css"><iframe src="https://192.0.2.1/"></iframe>
            <a id="bad" href="#main" onclick="alert(1)">x</a>`);
          const script = document.createElement("script");
          script.textContent = "alert(2)";
          document.body.append(script);
          document.getElementById("bad").click();
          fetch("https://192.0.2.1/").catch(() => {});
        }"""
    )
    for directive in ("img-src", "style-src-elem", "frame-src", "script-src-attr", "script-src-elem", "connect-src"):
        shown.page.wait_for_function("directive => window.refused.has(directive)", arg=directive, timeout=5000)
    # That it refused stands on its console, and as requests that were not sent.
    assert sent == []
    assert [trouble for trouble in shown.troubles if trouble.startswith(("dialog", "error"))] == []
