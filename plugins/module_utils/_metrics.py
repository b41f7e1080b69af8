# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The few counters of an API server that tell what its proxy did.

Sources: k8s.io/apiserver ``pkg/util/peerproxy/metrics/metrics.go``, ``pkg/endpoints/metrics/metrics.go``.
Parsing is prometheus_client's; an API server prints thousands of series, so the lines wanted are picked first.
"""

from __future__ import annotations

import dataclasses
import typing as t

FEATURE_ENABLED = "kubernetes_feature_enabled"
REROUTED = "apiserver_rerouted_request_total"
SYNC_ERRORS = "apiserver_peer_discovery_sync_errors_total"
PROXY_ERRORS = "apiserver_peer_proxy_errors_total"
NOPEER_REQUESTS = "aggregator_discovery_nopeer_requests_total"
REQUESTS = "apiserver_request_total"
GATE = "UnknownVersionInteroperabilityProxy"


@dataclasses.dataclass(frozen=True)
class Sample:
    """One series at one moment."""

    name: str
    labels: t.Mapping[str, str]
    value: float


def parse(text: str, names: t.Collection[str]) -> list[Sample]:
    """The series of *names* in an exposition text. An absent series is a counter that never moved."""
    from prometheus_client.parser import text_string_to_metric_families

    prefixes = tuple(f"{name}{{" for name in names) + tuple(f"{name} " for name in names)
    wanted = "".join(line + "\n" for line in text.splitlines() if line.startswith(prefixes))
    return [
        Sample(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(wanted)
        for sample in family.samples
        # A counter without its TYPE line is parsed as a gauge named like itself, which is what is wanted here.
        if sample.name in names
    ]


def total(samples: t.Iterable[Sample], series: str, /, **labels: str) -> float:
    """The sum over the samples of *series* that carry *labels*."""
    return sum(
        sample.value
        for sample in samples
        if sample.name == series and all(sample.labels.get(key) == value for key, value in labels.items())
    )
