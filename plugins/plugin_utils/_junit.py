# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The report as JUnit's XML, which every CI shows: a test case for the run, and one a gate, a probe and a finding.

A case fails where the run does: a warning, an accepted risk and a repaired finding say in ``system-out`` what was seen.
Elements and attributes are those that Jenkins' schema (junit-10.xsd) has, which GitLab and GitHub's actions read too.
"""

from __future__ import annotations

import collections
import re
import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _availability, _verdicts

#: What no XML document may hold, not even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: The gate that judges a probe, by the probe's kind.
_JUDGE = {"custom": "user_probes"}
_OTHER_JUDGE = "requests_proxied"

Entry = t.Mapping[str, t.Any]


class _Case:
    """A test case. ``told`` is what there is to say of it whatever came out."""

    def __init__(self, name: str, seconds: float = 0.0, **told: t.Any) -> None:
        self.name = name
        self.seconds = seconds
        self.told = told
        self.outcome = ""
        self.kind = ""
        self.message = ""

    def ends(self, outcome: str, kind: str, message: str) -> _Case:
        """*outcome* is the element: failure, error or skipped."""
        self.outcome, self.kind, self.message = outcome, kind, message
        return self

    @property
    def words(self) -> str:
        return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in self.told.items() if value)

    def write(self, suite: ET.Element, classname: str, name: str) -> None:
        case = ET.SubElement(suite, "testcase", _attributes(classname=classname, name=name, time=_time(self.seconds)))
        if self.outcome:
            ended = ET.SubElement(case, self.outcome, _attributes(type=self.kind, message=self.message))
            ended.text = _text(self.words)
        elif self.words:
            ET.SubElement(case, "system-out").text = _text(self.words)


def render(report: Entry) -> str:
    """The whole report as one XML document."""
    run = report["run"]
    suites: dict[str, list[_Case]] = {"run": [_run_case(report)]}
    for gate in report["gates"]:
        suites.setdefault(f"gates of {gate['node'] or 'the cluster'}", []).append(_gate_case(gate))
    for probe in report["probes"]:
        suites.setdefault("probes", []).append(_probe_case(probe, report["gates"]))
    remaining = _verdicts.remaining(report["findings"])
    for finding in report["findings"]:
        suites.setdefault("findings", []).append(_finding_case(finding, open_=finding in remaining))

    root = ET.Element("testsuites")
    total: collections.Counter[str] = collections.Counter()
    for name, cases in suites.items():
        counts = collections.Counter(case.outcome for case in cases)
        numbers = {"tests": len(cases), "failures": counts["failure"], "errors": counts["error"]}
        total.update(numbers)
        seconds = sum(case.seconds for case in cases)
        more = {"skipped": counts["skipped"], "time": _time(seconds), "timestamp": run["started"][:19]}
        suite = ET.SubElement(root, "testsuite", _attributes(name=name, **numbers, **more))
        if name == "run":
            properties = ET.SubElement(suite, "properties")
            for key, value in _properties(report).items():
                ET.SubElement(properties, "property", _attributes(name=key, value=value))
        seen: collections.Counter[str] = collections.Counter()
        for case in cases:
            seen[case.name] += 1
            # One that was judged again is a case of its own: a CI takes cases of one name for one case.
            again = f" ({seen[case.name]})" if seen[case.name] > 1 else ""
            case.write(suite, f"{run['playbook'] or 'upgrade'}.{name.replace('.', '_')}", case.name + again)
    root.attrib.update(_attributes(name=f"{run['playbook']} {run['id']}", time=_time(_availability.took(run)), **total))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document.decode() + "\n"


def _run_case(report: Entry) -> _Case:
    run = report["run"]
    case = _Case(
        run["playbook"] or "upgrade",
        _availability.took(run),
        result=run["result"],
        failed_gate=run["failed_gate"],
        failed_node=run["failed_node"],
        next_action=run["next_action"],
    )
    if run["result"] in ("running", "interrupted"):
        return case.ends("error", run["result"], "It did not come to its end.")
    # One that stopped where it was asked to has failed nothing.
    if run["result"] == "failed" or run["failed_gate"]:
        return case.ends(
            "failure", run["result"], run["result"] + (f" at {run['failed_gate']}" if run["failed_gate"] else "")
        )
    return case


def _gate_case(gate: Entry) -> _Case:
    case = _Case(
        gate["id"] + (f" to {gate['peer']}" if gate["peer"] else ""),
        gate["elapsed_seconds"],
        verdict=gate["verdict"] + (", a warning only" if gate["severity"] == "warning" else ""),
        accepted_by=gate["accepted_by"],
        reason=gate["reason"],
        observed=gate["observed"],
        expected=gate["expected"],
        next_action=gate["next_action"] if gate["verdict"] not in _verdicts.HOLDS else "",
    )
    if _verdicts.broken([gate]):
        return case.ends("failure", gate["verdict"], gate["observed"])
    if gate["verdict"] in ("skipped", "not_exercised"):
        return case.ends("skipped", gate["verdict"], gate["reason"] or gate["observed"])
    return case


def _probe_case(probe: Entry, gates: t.Sequence[Entry]) -> _Case:
    resource = "/".join(part for part in (probe["group"], probe["version"], probe["resource"]) if part)
    judges = [gate for gate in gates if gate["id"] == _JUDGE.get(probe["kind"], _OTHER_JUDGE)]
    accepted = next((gate for gate in judges if gate["verdict"] == "accepted"), None)
    case = _Case(
        f"{resource} {probe['kind']} via {probe['via']}",
        probe["elapsed_seconds"],
        verdict=probe["verdict"],
        observed=f"{probe['status_local'] or 'nothing'} locally, {probe['status_proxied'] or 'nothing'} proxied, "
        f"{probe['requests']} requests, {probe['rerouted_delta']:g} rerouted, "
        f"served by {', '.join(probe['served_by']) or 'nobody'} ({probe['attribution']})",
    )
    if probe["verdict"] in ("failed", "unproven"):
        if accepted and not _verdicts.broken(judges):
            case.told |= {"accepted_by": accepted["accepted_by"], "reason": accepted["reason"]}
            return case
        case.told |= {
            "expected": "404 locally and an answer of each capable peer through the proxy",
            "next_action": next((gate["next_action"] for gate in _verdicts.broken(judges)), ""),
        }
        return case.ends("failure", probe["verdict"], case.told["observed"])
    if probe["verdict"] in ("skipped", "not_exercised"):
        return case.ends("skipped", probe["verdict"], case.told["observed"])
    return case


def _finding_case(finding: Entry, *, open_: bool) -> _Case:
    where = finding["server"] + (f" to {finding['peer']}" if finding["peer"] else "")
    case = _Case(
        finding["cause"] + (f" on {where}" if where else ""),
        verdict="repaired" if finding["repaired"] else "found" if finding["root"] else "follows from another",
        observed=finding["evidence"],
        confidence=finding["confidence"],
        next_action=finding["next_action"],
    )
    return case.ends("failure", finding["cause"], finding["evidence"]) if open_ else case


def _properties(report: Entry) -> dict[str, t.Any]:
    run, cluster, backup = report["run"], report["cluster"], report["backup"]
    found = {
        "run": run["id"],
        "resumes": run["resumes"],
        "playbook": run["playbook"],
        "check_mode": run["check_mode"],
        "result": run["result"],
        "cluster": cluster["name"],
        "cluster_uid": cluster["uid"],
        "version_before": cluster["version_before"],
        "version_target": cluster["version_target"],
        "backup": backup["path"] if backup else "",
        "backup_verified": backup["verified"] if backup else "",
        **report["versions"],
    }
    for entry in report["availability"]:
        for key in ("requests", "failed", "unavailable_seconds"):
            found[f"{entry['target']}: {key}"] = entry[key]
    return {key: value for key, value in found.items() if value not in ("", None)}


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"


def _text(value: t.Any) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))


def _attributes(**values: t.Any) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items()}
