# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import collections
import copy
import re
import xml.etree.ElementTree as ET

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _junit, _run

ID = "20261124T003000Z-ab12"
REPORTS = ["upgrade-succeeded", "upgrade-stopped", "upgrade-accepted", "verify", "diagnose"]

#: What Jenkins' junit-10.xsd allows of that which is written here: by element its attributes and its children.
STRUCTURE = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
        {"properties", "testcase"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, {"failure", "error", "skipped", "system-out"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}


def check(report):
    """The document of a report, once it is known to be one that every reader of JUnit takes."""
    root = ET.fromstring(_junit.render(report).encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = STRUCTURE[element.tag]
        assert set(element.attrib) == attributes
        assert {child.tag for child in element} <= children
        assert re.fullmatch(r"\d+\.\d{3}", element.get("time", "0.000"))
    for parent in [root, *root.findall("testsuite")]:
        for key, tag in {"tests": "testcase", "failures": "failure", "errors": "error"}.items():
            assert int(parent.get(key)) == len(list(parent.iter(tag)))
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert [case for case, number in collections.Counter(cases).items() if number > 1] == []
    return root


def cases(root, suite):
    return {case.get("name"): case for case in root.findall(f"testsuite[@name='{suite}']/testcase")}


def failing(root):
    return [case.get("name") for case in root.iter("testcase") if {"failure", "error"} & {e.tag for e in case}]


@pytest.mark.parametrize("name", REPORTS)
def test_every_gate_probe_and_finding_is_a_case(recorded, name):
    report = recorded(f"reports/{name}.json")
    root = check(report)
    expected = 1 + len(report["gates"]) + len(report["probes"]) + len(report["findings"])
    assert len(list(root.iter("testcase"))) == expected


def test_a_run_that_succeeded_fails_nothing(recorded):
    root = check(recorded("reports/upgrade-succeeded.json"))
    assert failing(root) == []
    # A warning that failed says so all the same.
    told = cases(root, "gates of cp3")["clock_skew"].findtext("system-out")
    assert "verdict: failed, a warning only" in told and "observed: 2.8 s behind the controller" in told
    skipped = cases(root, "gates of the cluster")["load_balancer"].find("skipped")
    assert (skipped.get("type"), skipped.get("message")) == ("skipped", "there is none")
    not_exercised = cases(root, "gates of cp3")["requests_proxied"].find("skipped")
    assert not_exercised.get("message").startswith("all servers serve the same resources")
    properties = {one.get("name"): one.get("value") for one in root.iter("property")}
    assert properties["version_target"] == "v1.37.2"
    assert properties["load balancer: failed"] == "0"


def test_a_gate_that_failed_says_what_to_do(recorded):
    root = check(recorded("reports/upgrade-stopped.json"))
    # The gate held on cp1, so that on cp2 is its first there.
    assert failing(root) == ["upgrade", "convergence"]
    failure = cases(root, "gates of cp2")["convergence"].find("failure")
    assert failure.get("type") == "failed"
    assert failure.get("message").startswith("cp1 does not see what cp2 serves")
    assert re.search(r"^expected: each server's .*\nnext action: Look whether cp1 reaches cp2", failure.text, re.M)


def test_an_accepted_gate_passes_and_says_why(recorded):
    root = check(recorded("reports/upgrade-accepted.json"))
    assert failing(root) == []
    told = cases(root, "gates of the cluster")["etcd_version"].findtext("system-out")
    assert "accepted by: alice\nreason: CHG-4711" in told


def test_findings_fail_where_diagnose_does(recorded):
    root = check(recorded("reports/diagnose.json"))
    assert failing(root) == ["diagnose", "peer_filtered on cp3 to cp1", "stale_peer on cp3 to cp1"]
    assert "repaired" in cases(root, "findings")["stale_peer on cp2 to cp1"].findtext("system-out")


def test_a_probe_fails_unless_its_gate_was_accepted(recorded):
    report = recorded("reports/upgrade-succeeded.json")
    probe = report["probes"][0]
    probe.update(verdict="failed", status_proxied=503)
    gate = next(gate for gate in report["gates"] if gate["id"] == "requests_proxied")
    gate.update(verdict="failed", next_action="Let them reach each other.")
    failure = next(case for case in check(report).iter("testcase") if case.get("name") == failing(check(report))[-1])
    assert failure.get("name").startswith(f"{probe['group']}/v1/{probe['resource']} list via {probe['via']}")
    assert "503 proxied" in failure.find("failure").get("message")
    assert "next action: Let them reach each other." in failure.findtext("failure")

    gate.update(verdict="accepted", accepted_by="alice", reason="it is known")
    root = check(report)
    assert failing(root) == []
    accepted = next(iter(cases(root, "probes").values()))
    assert "verdict: failed" in accepted.findtext("system-out")
    assert "reason: it is known" in accepted.findtext("system-out")


def test_unproven_fails(recorded):
    report = recorded("reports/verify.json")
    report["gates"][0]["verdict"] = "unproven"
    assert cases(check(report), "gates of the cluster")["convergence"].find("failure").get("type") == "unproven"


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        ({}, "error"),
        ({"result": "interrupted"}, "error"),
        ({"result": "failed"}, "failure"),
        ({"result": "stopped"}, "system-out"),
        ({"result": "succeeded"}, "system-out"),
    ],
)
def test_a_run_that_did_not_end_well_is_not_green(ended, outcome):
    at = "2026-11-24T00:30:00.000Z"
    events = [{"at": at, "event": "run_started", "playbook": "upgrade", "target": "v1.37.2"}]
    if ended:
        events.append({"at": at, "event": "run_finished", **ended})
    root = check(_run.build(ID, events))
    assert [element.tag for element in cases(root, "run")["upgrade"]] == [outcome]


def test_what_no_document_can_hold_is_replaced(recorded):
    report = copy.deepcopy(recorded("reports/upgrade-stopped.json"))
    hostile = "\x00\x1b[31m \ud800 \ufffe ]]> <x a='\"'> & \U0001f600\nnext"
    for gate in report["gates"]:
        gate.update(id=f"{gate['id']}{hostile}", node=hostile, observed=hostile, reason=hostile)
    root = check(report)
    failure = next(root.iter("failure"))
    assert "\ufffd\ufffd[31m \ufffd \ufffd ]]> <x a='\"'> & \U0001f600" in "".join(failure.itertext()) + str(
        [one.get("message") for one in root.iter("failure")]
    ).replace("\\'", "'")
