# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import pathlib
import xml.etree.ElementTree

import jsonschema
import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _meter_folder
from ansible_collections.mixedversion.kubernetes.plugins.modules import availability_info
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import (
    _availability,
    _availability_svg,
    _markdown,
    _run,
)

ROOT = pathlib.Path(__file__).parents[4]
ID = "20261124T003000Z-ab12"
#: 2026-11-24T00:30:00Z
BEGUN = 1795480200.0


def tally(requests=10, **more):
    return {"requests": requests, "slowest": 0.01, **more}


def line(second, seconds=1.0, **targets):
    named = {name.replace("_", " "): told for name, told in targets.items()}
    return {"at": BEGUN + second, "seconds": seconds, "targets": named}


@pytest.fixture
def lines():
    """Twenty seconds: the load balancer hangs from 5.5 to 8.25 and loses a connection at 12; cp1 is away from 15 on."""
    found = [line(second, load_balancer=tally(), cp1=tally()) for second in range(20)]
    found[6]["targets"]["load balancer"] = tally(0)
    found[7]["targets"]["load balancer"] = tally(
        1, failed={"timeout": 1}, messages={"timeout": "no answer"}, slowest=2.0, down=[[BEGUN + 5.5, None]]
    )
    found[8]["targets"]["load balancer"] = tally(7, down=[[BEGUN + 5.5, BEGUN + 8.25]])
    found[12]["targets"]["load balancer"] = tally(retried={"reset": 1})
    found[15]["targets"]["cp1"] = tally(failed={"refused": 10}, down=[[BEGUN + 15.0, None]])
    for second in range(16, 20):
        found[second]["targets"]["cp1"] = tally(failed={"refused": 10})
    return found


def events():
    def at(second, event, **more):
        return {"at": f"2026-11-24T00:30:{second:02}.000Z", "event": event, **more}

    return [
        at(0, "run_started", playbook="upgrade", target="v1.37.2", check_mode=False, collection="0.1.0", resumes=None),
        at(1, "phase", node="", name="backup"),
        at(1, "nodes", nodes=["cp1"]),
        at(7, "phase", node="cp1", name="driver step"),
        at(14, "phase", node="cp1", name="gates"),
    ]


@pytest.fixture
def run(tmp_path, lines):
    """A run's folder as a killed controller leaves it: the meter's last line was not written to its end."""
    directory = tmp_path / ID
    (directory / "availability").mkdir(parents=True)
    (directory / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events()))
    text = "".join(json.dumps(entry) + "\n" for entry in lines) + '{"at": 17'
    (directory / "availability" / "servers.jsonl").write_text(text)
    return _run.Run(str(directory))


def by_target(report):
    return {entry["target"]: entry for entry in report["availability"]}


def test_what_each_target_came_to(run):
    seen = by_target(run.report())
    assert list(seen) == ["load balancer", "cp1"]
    balancer, server = seen["load balancer"], seen["cp1"]
    assert (balancer["requests"], balancer["failed"], balancer["failures"]) == (178, 1, {"timeout": 1})
    assert balancer["messages"] == {"timeout": "no answer"}
    assert balancer["retries"] == {"reset": 1}
    assert (balancer["unavailable_seconds"], balancer["longest_gap_seconds"]) == (2.75, 2.75)
    assert balancer["slowest_seconds"] == 2.0
    # What has not come back yet is away until the end of what is known.
    assert (server["failed"], server["unavailable_seconds"], server["failures"]) == (50, 5.0, {"refused": 50})


def test_a_gap_is_shared_by_the_phases_it_lies_in(run):
    phases = {(part["node"], part["phase"]): part for part in by_target(run.report())["load balancer"]["by_phase"]}
    assert list(phases) == [("", ""), ("", "backup"), ("cp1", "driver step"), ("cp1", "gates")]
    assert phases["", "backup"]["unavailable_seconds"] == 1.5
    assert phases["cp1", "driver step"]["unavailable_seconds"] == 1.25
    assert (phases["", "backup"]["failed"], phases["cp1", "driver step"]["failed"]) == (0, 1)
    assert phases["cp1", "gates"]["unavailable_seconds"] == 0
    assert sum(part["requests"] for part in phases.values()) == 178


def test_the_series_is_long_where_nothing_is_wrong(run):
    series = by_target(run.report())["load balancer"]["series"]
    assert [(part["seconds"], part["failed"], part["retried"]) for part in series] == [
        (5.0, 0, 0),
        (1.0, 0, 0),
        (1.0, 0, 0),
        (1.0, 1, 0),
        (1.0, 0, 0),
        (3.0, 0, 0),
        (1.0, 0, 1),
        (7.0, 0, 0),
    ]
    assert series[0]["at"] == "2026-11-24T00:30:00.000Z"
    assert sum(part["unavailable_seconds"] for part in series) == 2.75


def test_a_series_is_bounded():
    long = [line(second, cp1=tally(failed={"5xx": 10}, down=[[BEGUN, None]])) for second in range(4000)]
    (entry,) = _availability.summarise(long, [])
    assert 100 < len(entry["series"]) <= _availability.MOST_STRETCHES
    assert sum(part["failed"] for part in entry["series"]) == 40000
    assert round(sum(part["unavailable_seconds"] for part in entry["series"])) == 4000


def test_the_report_fits_its_schema_and_is_drawn(run):
    report = run.write()
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(report)
    folder = pathlib.Path(run.directory)
    picture = xml.etree.ElementTree.fromstring((folder / "availability.svg").read_text())
    texts = ["".join(found.itertext()) for found in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"load balancer", "cp1", "1 failed, 2.8 s", "driver step"} <= set(texts)
    kinds = [found.get("class") for found in picture.iter("{http://www.w3.org/2000/svg}rect")]
    # Of the load balancer four seconds, of cp1 five; and one that a second try brought.
    assert (kinds.count("down"), kinds.count("retried")) == (9, 1)
    told = (folder / "report.md").read_text()
    assert "![What clients got, over time](availability.svg)" in told
    assert (
        "| load balancer | 178 | 1 | 1 | 2.8 | 2.8 | 1 timeout: no answer (first tries: 1 reset) |" in told.splitlines()
    )
    assert (
        "| load balancer | cp1 | driver step | 58 | 1 | 1 | 1.2 | 1.2 | 1 timeout: no answer (first tries: 1 reset) |"
        in told
    )


def test_without_a_meter_there_is_nothing_of_it(tmp_path):
    run = _run.start(str(tmp_path), {"playbook": "plan", "target": "v1.37.2", "check_mode": False})
    assert run.write()["availability"] == []
    assert not (pathlib.Path(run.directory) / "availability.svg").exists()
    assert "Availability" not in _markdown.render(run.report())


def test_names_are_escaped_in_the_picture(lines):
    report = _run.build(ID, events())
    report["nodes"][0]["name"] = "<cp1 & co>"
    report["availability"] = _availability.summarise(lines, _availability.phases(report))
    xml.etree.ElementTree.fromstring(_availability_svg.render(report))


def test_what_another_host_counted_is_brought_line_by_line(tmp_path, lines):
    there = _meter_folder.Folder(str(tmp_path / "there"))
    there.make()
    here = str(tmp_path / "here")
    texts = [json.dumps(entry) + "\n" for entry in lines]
    with open(there.file("servers"), "w", encoding="utf-8") as file:
        for part in ("".join(texts[:9]), texts[9][:20], texts[9][20:], "".join(texts[10:])):
            file.write(part)
            file.flush()
            _availability.add(here, availability_info.news(there, _availability.sizes(here)))
    assert _availability.read(here) == lines


@pytest.mark.parametrize(("limit", "verdict"), [(2.75, "passed"), (2.7, "failed"), (0.0, "failed")])
def test_the_budget_is_the_load_balancers(lines, limit, verdict):
    gate = _availability.judge(_availability.summarise(lines, []), limit, "cp1", [])
    assert (gate.id, gate.verdict, gate.node) == ("availability_budget", verdict, "cp1")
    assert gate.observed == (
        "1 of 178 requests failed (1 timeout), 1 were answered at the second try; no answer for 2.8 s, 2.8 s at a time"
    )


def test_what_a_meter_that_died_did_not_count_is_not_within_a_budget(lines):
    seen = _availability.summarise(lines, [])
    gate = _availability.judge(seen, 60.0, "", ["proxied", "servers"])
    assert gate.verdict == "unproven"
    assert gate.observed.endswith("then the meter ended before it was told to, and nothing was counted since")
    assert _availability.judge(seen, 60.0, "", ["proxied"]).verdict == "passed"
    # Too much is too much.
    assert _availability.judge(seen, 0.0, "", ["servers"]).verdict == "failed"


def test_what_nobody_counted_is_not_within_a_budget(lines):
    assert _availability.judge([], 60.0, "", []).verdict == "unproven"
    servers_only = [entry for entry in _availability.summarise(lines, []) if entry["target"] == "cp1"]
    assert _availability.judge(servers_only, 60.0, "", []).verdict == "unproven"
