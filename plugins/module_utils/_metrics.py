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
CACHE_HITS = "aggregator_discovery_peer_aggregated_cache_hits_total"
CACHE_MISSES = "aggregator_discovery_peer_aggregated_cache_misses_total"
REQUESTS = "apiserver_request_total"
GATE = "UnknownVersionInteroperabilityProxy"
#: Every counter of the proxy. Absent: it never moved, or (1.35) this server does not have it.
COUNTERS = (REROUTED, PROXY_ERRORS, SYNC_ERRORS, NOPEER_REQUESTS, CACHE_HITS, CACHE_MISSES)


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


def labelled(samples: t.Iterable[Sample]) -> bool:
    """Whether this server's reroute counter tells what was rerouted. Up to 1.35 it has the label ``code`` alone.

    A server that rerouted nothing yet has no such series at all, and counts as one that labels.
    """
    return all("group" in sample.labels for sample in samples if sample.name == REROUTED)


def fetched(samples: t.Collection[Sample], code: str = "200") -> float:
    """How often this server asked a peer for its discovery and was answered *code*: two a peer and fetch of all.

    Where :func:`labelled` is false these can't be told from reroutes of requests, so all of *code* are returned.
    """
    if not labelled(samples):
        return total(samples, REROUTED, code=code)
    return total(samples, REROUTED, code=code, group="", version="", resource="")


def fetch_codes(samples: t.Collection[Sample]) -> dict[str, float]:
    """The same for every code there is, each that was counted at least once."""
    codes = sorted({sample.labels.get("code", "") for sample in samples if sample.name == REROUTED})
    counts = {code: fetched(samples, code) for code in codes}
    return {code: count for code, count in counts.items() if count}


def rerouted(samples: t.Collection[Sample], group: str, version: str, resource: str, code: str = "200") -> float:
    """How many requests for a resource this server handed to a peer and got *code* for.

    Where :func:`labelled` is false they can't be told from other resources' or from fetches of discovery, so all of
    *code* are returned. That is a bound from above: a delta of it may be too high, never too low.
    """
    if not labelled(samples):
        return total(samples, REROUTED, code=code)
    return total(samples, REROUTED, code=code, group=group, version=version, resource=resource)
