# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/monitoring names exists on real servers. Whether the rules are right is for promtool to say."""

from __future__ import annotations

import re

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.mixedversion.kubernetes.tests.tools import promql

RULES = {rule.get("alert") or rule["record"]: rule for rule in promql.rules()}
ALERTS = {name: rule for name, rule in RULES.items() if "alert" in rule}


def series(text):
    return [(one.name, one.labels) for family in text_string_to_metric_families(text) for one in family.samples]


@pytest.fixture
def samples(recorded):
    """/metrics and /metrics/slis of one server of a lab at 1.36.4 with the proxy on, cut to the families named here."""
    found = series(recorded("monitoring-v1.36.4.txt"))
    shown = {name for name, dummy in found}
    return found + [(name, labels) for name, labels in promql.ONCE_COUNTED.items() if name not in shown]


def test_the_counters_have_the_same_labels_a_minor_later(recorded, samples):
    old, new = dict(samples), dict(series(recorded("metrics-v1.37.2.txt")))
    common = {name for name in set(old) & set(new) if name != "kubernetes_feature_enabled"}
    assert {"apiserver_rerouted_request_total", "apiserver_peer_discovery_sync_errors_total"} <= common
    assert {name: set(new[name]) for name in common} == {name: set(old[name]) for name in common}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_names_what_servers_have(name, samples):
    assert promql.unknown(promql.parse(RULES[name]["expr"]), samples) == []


@pytest.mark.parametrize("name", promql.dashboard_queries())
def test_a_query_of_the_dashboard_names_what_servers_have(name, samples):
    assert promql.unknown(promql.parse(promql.dashboard_queries()[name]), samples) == []


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_to_do(name):
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert re.search(r"\bmixedversion\.kubernetes\.(verify|diagnose|proxy)\b", alert["annotations"]["runbook"])


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tested_both_ways(name):
    tests = yaml.safe_load((promql.MONITORING / "rules_test.yaml").read_text())["tests"]
    fires, quiet = set(), set()
    for test in tests:
        for case in test.get("alert_rule_test", []):
            (fires if case["exp_alerts"] else quiet).add(case["alertname"])
        for case in test.get("promql_expr_test", []):
            for selector in promql.parse(case["expr"]).selectors:
                if selector.matchers.get("alertstate") == ("=", "firing"):
                    (fires if case["exp_samples"] else quiet).add(selector.matchers["alertname"][1])
    assert name in fires
    assert name in quiet


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_told_in_the_readme(name):
    assert f"`{name}`" in (promql.MONITORING / "README.md").read_text()


def test_panels_do_not_overlap():
    taken = set()
    identities = set()
    for panel in promql.dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        identities.add(panel["id"])
    assert len(identities) == len(promql.dashboard()["panels"])


def test_the_dashboard_is_bound_to_no_data_source():
    sources = [panel["datasource"] for panel in promql.dashboard()["panels"]]
    sources += [target["datasource"] for panel in promql.dashboard()["panels"] for target in panel["targets"]]
    assert {source["uid"] for source in sources} == {"${datasource}"}


# The reader of names must itself be able to find something wrong.
SERIES = [("requests_total", {"code": "200", "name": "a"}), ("requests_total", {"code": "503", "name": "b"})]


def test_names_that_are_there():
    text = 'sum by (code, server) (rate(requests_total{code=~"5..",name="a"}[5m] offset 5m)) / on (instance) up > 2'
    assert promql.unknown(promql.parse(text), SERIES) == []


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("rate(request_total[5m])", "no server has a metric request_total"),
        ('requests_total{verb="GET"}', "requests_total has no label verb"),
        ('requests_total{name="c"}', "requests_total never has name=c"),
        ("sum by (verb) (requests_total)", "no series here has a label verb"),
        ("requests_total and on (verb) up", "no series here has a label verb"),
        ("sum(requests_total) by (verb)", "no series here has a label verb"),
    ],
)
def test_names_that_are_not(text, trouble):
    assert promql.unknown(promql.parse(text), SERIES) == [trouble]
