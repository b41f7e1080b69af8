# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _discovery, _metrics
from ansible_collections.mixedversion.kubernetes.plugins.modules import probe_requests

RESOURCE = _discovery.Resource("resource.k8s.io", "v1", "devicetaintrules")


def metrics(old, cp2, cp3):
    """The counters as the servers print them: reroutes of the old one, lists of the two capable ones."""
    labels = 'group="resource.k8s.io",resource="devicetaintrules",version="v1"'
    names = (_metrics.REROUTED, _metrics.REQUESTS)
    return {
        "cp1": _metrics.parse(f'{_metrics.REROUTED}{{code="200",{labels}}} {old}\n', names),
        "cp2": _metrics.parse(f'{_metrics.REQUESTS}{{code="200",verb="LIST",{labels}}} {cp2}\n', names),
        "cp3": _metrics.parse(f'{_metrics.REQUESTS}{{code="200",verb="LIST",{labels}}} {cp3}\n', names),
    }


@pytest.fixture
def probe():
    difference = _discovery.Difference(RESOURCE, frozenset(["list"]), ("cp2", "cp3"), ("cp1",))
    return probe_requests.Probe(difference, "cp1", "new_only", status_local=404, status_proxied=200, requests=8, sent=8)


def test_recorded_counters(recorded):
    names = (_metrics.REROUTED, _metrics.REQUESTS)
    found = {
        "old": _metrics.parse(recorded("metrics-v1.36.4.txt"), names),
        "new": _metrics.parse(recorded("metrics-v1.37.2.txt"), names),
    }
    assert probe_requests.rerouted(found, "old", RESOURCE) == 8
    assert probe_requests.rerouted(found, "new", RESOURCE) == 0
    assert probe_requests.served(found, "new", RESOURCE) == 16


def test_a_clean_round_with_each_peer_passes(probe):
    probe_requests.account(probe, metrics(10, 5, 5), metrics(18, 8, 10))
    assert probe.verdict() == "passed"
    told = probe.dump()
    assert (told["attribution"], told["served_by"], told["rerouted_delta"]) == ("exact", ["cp2", "cp3"], 8)


def test_a_capable_peer_never_seen_is_unproven(probe):
    probe_requests.account(probe, metrics(0, 0, 0), metrics(8, 8, 0))
    assert probe.verdict() == "unproven"
    assert "no clean round showed that cp3 served any of 8 requests" in probe.explain()


def test_the_other_peer_may_come_in_a_later_round(probe):
    probe_requests.account(probe, metrics(0, 0, 0), metrics(8, 8, 0))
    probe_requests.account(probe, metrics(8, 8, 0), metrics(16, 8, 8))
    assert (probe.verdict(), probe.clean_rounds) == ("passed", 2)


def test_busy_rounds_only_are_inferred(probe):
    probe_requests.account(probe, metrics(0, 0, 0), metrics(8, 100, 90))
    assert probe.verdict() == "passed"
    assert (probe.busy_rounds, probe.clean_rounds) == (1, 0)
    assert (probe.dump()["attribution"], probe.dump()["served_by"]) == ("inferred", ["cp2", "cp3"])


def test_a_busy_round_does_not_add_to_a_clean_one(probe):
    probe_requests.account(probe, metrics(0, 0, 0), metrics(8, 8, 0))
    probe_requests.account(probe, metrics(8, 8, 0), metrics(16, 20, 9))
    assert probe.verdict() == "unproven"


def test_others_requests_in_a_round_are_no_clean_round(probe):
    probe_requests.account(probe, metrics(0, 0, 0), metrics(8, 8, 1))
    assert (probe.clean_rounds, probe.busy_rounds, probe.served_by) == (0, 1, set())


def test_no_rerouted_request_counted_fails(probe):
    probe_requests.account(probe, metrics(8, 0, 0), metrics(8, 4, 4))
    assert probe.verdict() == "failed"
    assert "without a count of a rerouted request" in probe.explain()


@pytest.mark.parametrize(
    ("local", "proxied", "verdict"),
    [(404, 403, "unproven"), (403, 0, "unproven"), (404, 503, "failed"), (200, 0, "failed")],
)
def test_other_answers(probe, local, proxied, verdict):
    probe.status_local, probe.status_proxied, probe.words = local, proxied, "the server's words"
    probe_requests.account(probe, metrics(0, 0, 0), metrics(8, 4, 4))
    assert probe.verdict() == verdict
    assert "the server's words" in probe.explain()


def test_what_cannot_be_listed_is_unproven(probe):
    probe.difference = _discovery.Difference(RESOURCE, frozenset(["create"]), ("cp2",), ("cp1",))
    assert probe.verdict() == "unproven"
