# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders as a fleet's runs and ansible-runner leave them, gathered."""

from __future__ import annotations

import json
import pathlib
import re

import jsonschema
import pytest

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _fleet

ROOT = pathlib.Path(__file__).parents[4]
SCHEMA = json.loads((ROOT / "docs" / "fleet.schema.json").read_text(encoding="utf-8"))
RECAP = "\nPLAY RECAP *****\ncp1 : ok=3 failed=1\n"


@pytest.fixture
def leave(tmp_path, recorded):
    """Leaves what one cluster's run left."""

    def put(name, report=None, *, rc=None, stdout="", run="20261124T003000Z-ab12", text=None, **changed):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        if rc is not None:
            (folder / "rc").write_text(str(rc))
        (folder / "stdout").write_text(stdout)
        if report or text is not None:
            place = folder / "reports" / run
            place.mkdir(parents=True)
            if report:
                told = recorded(f"reports/{report}.json")
                told["run"].update(changed)
                text = json.dumps(told)
            (place / "report.json").write_text(text)
            (place / "report.html").write_text("")

    return put


def gathered(tmp_path, *expected):
    clusters = _fleet.gather(str(tmp_path), expected)
    fleet = _fleet.build(clusters, "0.1.0")
    jsonschema.Draft202012Validator(SCHEMA).validate(fleet)
    return fleet, {cluster["name"]: cluster for cluster in clusters}


def test_what_each_report_says(tmp_path, leave):
    leave("a", "verify", rc=0)
    leave("b", "upgrade-stopped", rc=2)
    fleet, found = gathered(tmp_path)
    assert [cluster["name"] for cluster in fleet["clusters"]] == ["b", "a"]
    assert fleet["succeeded"] == 1
    assert found["a"]["servers"][0] == {"name": "cp1", "version": "v1.37.2", "proxy": "on"}
    assert found["a"]["report"] == "a/reports/20261124T003000Z-ab12/report.html"
    assert (found["b"]["failed_gate"], found["b"]["failed_node"]) == ("convergence", "cp2")
    assert found["b"]["observed"]
    assert found["b"]["last_words"] == []


def test_without_a_report_nothing_has_succeeded(tmp_path, leave):
    leave("silent", rc=0)
    leave("loud", rc=4, stdout=f"PLAY [x]\n\n\x1b[0;31mfatal: [cp1]: UNREACHABLE!\x1b[0m\n{RECAP}")
    fleet, found = gathered(tmp_path, "loud", "lost")
    assert {name: cluster["result"] for name, cluster in found.items()} == dict.fromkeys(
        ("loud", "lost", "silent"), "no_report"
    )
    assert fleet["succeeded"] == 0
    assert (found["loud"]["exit_code"], found["lost"]["exit_code"]) == (4, None)
    assert found["loud"]["last_words"] == ["PLAY [x]", "fatal: [cp1]: UNREACHABLE!"]
    assert "did not end, or what it left did not come back" in found["lost"]["next_action"]


@pytest.mark.parametrize(
    ("result", "rc", "expected"),
    [
        ("succeeded", None, "succeeded"),
        ("succeeded", 1, "failed"),
        ("running", -9, "interrupted"),
        ("running", None, "running"),
        ("failed", 0, "failed"),
    ],
)
def test_report_and_exit_code_have_to_agree(tmp_path, leave, result, rc, expected):
    leave("a", "verify", rc=rc, result=result)
    assert gathered(tmp_path)[1]["a"]["result"] == expected


def test_the_newest_report_counts(tmp_path, leave):
    leave("a", "verify", rc=0, run="20261125T000000Z-0000", started="2026-11-25T00:00:00Z", result="failed")
    leave("a", "verify", rc=0, run="20261124T000000Z-0000", started="2026-11-24T00:00:00Z")
    assert gathered(tmp_path)[1]["a"]["result"] == "failed"


@pytest.mark.parametrize("text", ["", "[]", '{"run": {}}', "\x00"])
def test_what_is_no_report_is_not_taken_for_one(tmp_path, leave, text):
    leave("a", rc=0, text=text)
    cluster = gathered(tmp_path)[1]["a"]
    assert cluster["result"] == "no_report"
    assert "is no report that can be read" in cluster["last_words"][-1]


def test_the_pages_name_every_cluster_and_let_nothing_in(tmp_path, leave):
    hostile = "<script>alert(1)</script>"
    leave("a&b", "verify", rc=0)
    leave("javascript:alert(1)", "verify", rc=0)
    leave("c", rc=1, stdout=f"{hostile} | x\n")
    fleet = gathered(tmp_path)[0]
    html = _fleet.html(fleet)
    assert hostile not in html
    assert "2 of 3 succeeded" in html
    assert "1 of 3 clusters did not succeed: c." in html
    assert sorted(re.findall(r'href="([^#"]+)"', html)) == [
        "a%26b/reports/20261124T003000Z-ab12/report.html",
        "javascript%3Aalert%281%29/reports/20261124T003000Z-ab12/report.html",
    ]
    lines = _fleet.markdown(fleet).splitlines()
    assert lines[0] == "# Fleet verify: 2 of 3 clusters succeeded"
    assert len(lines) == 4 + 3
