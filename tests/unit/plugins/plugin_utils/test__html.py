# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said of the page without a browser; tests/browser opens it in one."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _html, _run

ID = "20261124T003000Z-ab12"
REPORTS = ["upgrade-succeeded", "upgrade-stopped", "upgrade-accepted", "verify", "diagnose"]
HOSTILE = "</script></svg><img src=x onerror=alert(1)>\"' onfocus=alert(1) autofocus {{ 7 * 7 }} & \x00"


class Page(html.parser.HTMLParser):
    """The elements of a page, their attributes and its texts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.headings = set(), set(), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _value in attrs}
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_data(self, data):
        self.texts.append(data)


def spoil(value, key=""):
    """Every text of a report that is no time and none of a few words, made hostile."""
    if isinstance(value, dict):
        return {name: spoil(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [spoil(item, key) for item in value]
    fixed = key in ("severity", "verdict", "result", "playbook", "started", "finished", "at")
    return f"{value}{HOSTILE}" if value and isinstance(value, str) and not fixed else value


@pytest.mark.parametrize("name", REPORTS)
def test_no_text_becomes_markup(recorded, name):
    report = recorded(f"reports/{name}.json")
    plain, spoilt = Page(_html.render(report)), Page(_html.render(spoil(report)))
    assert spoilt.tags == plain.tags
    assert spoilt.attributes == plain.attributes
    assert not any(name.startswith("on") for name in spoilt.attributes)
    assert "img" not in spoilt.tags
    # It is still there, as text.
    assert any("onerror=alert(1)" in text and "{{ 7 * 7 }}" in text for text in spoilt.texts)


@pytest.mark.parametrize("name", REPORTS)
def test_it_names_nothing_to_load(recorded, name):
    text = _html.render(recorded(f"reports/{name}.json"))
    page = Page(text)
    assert not {"src", "action", "style", "srcset", "poster"} & page.attributes
    assert not {"link", "iframe", "img", "base", "object"} & page.tags
    assert not re.search(r"@import|url\(", text)
    assert re.findall(r'href="[^#]', text) == []


def test_its_policy_names_its_one_script(recorded):
    text = _html.render(recorded("reports/verify.json"))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'" in text


@pytest.mark.parametrize("name", REPORTS)
def test_no_level_of_headings_is_left_out(recorded, name):
    levels = Page(_html.render(recorded(f"reports/{name}.json"))).headings
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - former <= 1 for former, later in zip(levels, levels[1:]))


def words(text):
    return " ".join("".join(Page(text).texts).split())


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ({}, "It had not ended when this page was written"),
        ({"result": "interrupted"}, "What ran it ended before it could close the report."),
        ({"result": "failed", "node": "cp1"}, "It failed on cp1."),
        ({"result": "stopped", "next_action": "Start again."}, "It stopped where it was asked to"),
        ({"result": "succeeded"}, "It did what it was to do."),
    ],
)
def test_every_way_to_end_is_told(ended, expected):
    at = "2026-11-24T00:30:00.000Z"
    events = [{"at": at, "event": "run_started", "playbook": "upgrade", "target": "v1.37.2"}]
    if ended:
        events.append({"at": at, "event": "run_finished", **ended})
    text = words(_html.render(_run.build(ID, events)))
    assert expected in text
    assert ended.get("result", "running") in text
    assert ended.get("next_action", "") in text


def test_a_run_without_any_event_has_a_page():
    assert "running" in words(_html.render(_run.build(ID, [])))


def test_a_gate_that_stopped_the_run_says_first_what_to_do(recorded):
    report = recorded("reports/upgrade-stopped.json")
    text = words(_html.render(report))
    (gate,) = [gate for gate in report["gates"] if gate["id"] == "convergence" and gate["verdict"] == "failed"]
    assert "The gate convergence does not hold on cp2." in text
    assert f"What to do next {gate['next_action']} {report['run']['next_action']}" in text
    # A warning that fails is no gate that fails.
    assert "1 failed, 2 failed as a warning only" in text


def test_a_warning_of_diagnose_does_not_stand_in_the_way(recorded):
    text = words(_html.render(recorded("reports/diagnose.json")))
    assert "2 of 4 findings stand in the way." in text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (3725, "1 h 2 min")],
)
def test_durations_are_said_as_people_do(seconds, expected):
    assert _html.duration(seconds) == expected
