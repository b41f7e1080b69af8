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
