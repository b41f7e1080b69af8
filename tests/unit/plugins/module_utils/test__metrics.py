# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _metrics


@pytest.fixture
def old(recorded):
    names = (_metrics.REROUTED, _metrics.SYNC_ERRORS, _metrics.NOPEER_REQUESTS, _metrics.FEATURE_ENABLED)
    return _metrics.parse(recorded("metrics-v1.36.4.txt"), names)


def test_total_sums_the_series_with_the_labels(old):
    resource = {"group": "storagemigration.k8s.io", "version": "v1", "resource": "storageversionmigrations"}
    assert _metrics.total(old, _metrics.REROUTED, code="200", **resource) == 792
    assert _metrics.total(old, _metrics.REROUTED, code="503", **resource) == 0
    assert _metrics.total(old, _metrics.REROUTED) == 66 + 8 + 9 + 8 + 792


def test_discovery_fetches_are_told_from_requests_by_empty_labels(old):
    assert _metrics.total(old, _metrics.REROUTED, group="", version="", resource="") == 66


def test_a_series_without_labels(old):
    assert _metrics.total(old, _metrics.NOPEER_REQUESTS) == 81


def test_the_gate_is_on(old):
    assert _metrics.total(old, _metrics.FEATURE_ENABLED, name=_metrics.GATE) == 1


def test_an_absent_series_never_moved(recorded):
    samples = _metrics.parse(recorded("metrics-v1.37.2.txt"), (_metrics.PROXY_ERRORS,))
    assert samples == []
    assert _metrics.total(samples, _metrics.PROXY_ERRORS) == 0


def test_only_whole_names_are_picked():
    text = f"{_metrics.REQUESTS}_other 5\n{_metrics.REQUESTS} 2\n"
    assert [sample.value for sample in _metrics.parse(text, (_metrics.REQUESTS,))] == [2.0]


RESOURCE = ("storagemigration.k8s.io", "v1", "storageversionmigrations")


def test_fetches_and_reroutes_are_told_apart(old):
    assert _metrics.labelled(old)
    assert _metrics.fetched(old) == 66
    assert _metrics.fetch_codes(old) == {"200": 66}
    assert _metrics.rerouted(old, *RESOURCE) == 792
    assert _metrics.rerouted(old, *RESOURCE, code="503") == 0


def test_with_the_code_alone_the_total_bounds_both():
    text = f'{_metrics.REROUTED}{{code="200"}} 9\n{_metrics.REROUTED}{{code="503"}} 2\n{_metrics.REQUESTS} 5\n'
    samples = _metrics.parse(text, (_metrics.REROUTED, _metrics.REQUESTS))
    assert not _metrics.labelled(samples)
    assert _metrics.fetched(samples) == _metrics.rerouted(samples, *RESOURCE) == 9
    assert _metrics.fetched(samples, "503") == _metrics.rerouted(samples, *RESOURCE, code="503") == 2
    assert _metrics.fetch_codes(samples) == {"200": 9, "503": 2}


def test_1_35_counts_by_the_code_alone(recorded):
    text = recorded("metrics-v1.35.4.txt")
    samples = _metrics.parse(text, (*_metrics.COUNTERS, _metrics.FEATURE_ENABLED))
    assert not _metrics.labelled(samples)
    assert _metrics.fetch_codes(samples) == {"200": 122}
    assert _metrics.total(samples, _metrics.FEATURE_ENABLED, name=_metrics.GATE) == 1
    # It has no counter of failed fetches.
    assert not [sample for sample in samples if sample.name == _metrics.SYNC_ERRORS]


def test_a_server_that_rerouted_nothing_counts_as_labelled():
    assert _metrics.labelled([])
    assert _metrics.fetched([]) == _metrics.rerouted([], *RESOURCE) == 0
    assert _metrics.fetch_codes([]) == {}


def test_a_code_counted_for_resources_alone_is_no_fetch():
    text = f'{_metrics.REROUTED}{{code="503",group="a.io",resource="as",version="v1"}} 3\n'
    assert _metrics.fetch_codes(_metrics.parse(text, (_metrics.REROUTED,))) == {}
