# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _metrics
from ansible_collections.mixedversion.kubernetes.plugins.modules import refresh_peers
from ansible_collections.mixedversion.kubernetes.tests.tools.plane import Plane

SERVES = {name: {"a"} for name in ("cp1", "cp2", "cp3")}
BEFORE = {"cp2": (10.0, 1.0), "cp3": (20.0, 0.0)}


@pytest.mark.parametrize(
    ("cp2", "cp3", "passed", "final", "again"),
    [
        ((14.0, 1.0), (24.0, 0.0), True, False, False),
        ((14.0, 1.0), (22.0, 0.0), False, False, False),
        # Too many, or a sync error: perhaps a retry of an earlier fetch, so count anew.
        ((16.0, 1.0), (24.0, 0.0), False, True, True),
        ((14.0, 2.0), (24.0, 0.0), False, True, True),
        ((16.0, 2.0), (24.0, 0.0), False, True, True),
        # A counter that fell: the server was started anew.
        ((2.0, 1.0), (24.0, 0.0), False, True, False),
    ],
)
def test_judge(cp2, cp3, passed, final, again):
    sample = refresh_peers.judge(BEFORE, {"cp2": cp2, "cp3": cp3}, 4)
    assert (sample.passed, sample.final, sample.data) == (passed, final, again)


def prove(plane):
    params = {"slice": None, "timeout": 5.0, "interval": 0.0}
    return refresh_peers.prove(plane.servers, {name: f"apiserver-{name}" for name in plane.servers}, params)


def holders(plane):
    return {lease["spec"]["holderIdentity"] for lease in plane.leases.values()}


@pytest.mark.parametrize("failing", [0, 1, 4])
def test_what_fails_for_a_moment_is_counted_anew_until_a_whole_count(monkeypatch, failing):
    monkeypatch.setattr(refresh_peers, "PAUSE", 0.0)
    plane = Plane(SERVES, failing)
    waited = prove(plane)
    assert waited.sample.passed
    assert waited.sample.progress == "fetches answered 200: cp1 4, cp3 4 (of 4 each)"
    assert holders(plane) == {"apiserver-cp1_1", "apiserver-cp2_1", "apiserver-cp3_1"}


def test_what_goes_on_failing_does_not_pass(monkeypatch):
    monkeypatch.setattr(refresh_peers, "PAUSE", 0.0)
    monkeypatch.setattr(refresh_peers, "SETTLE", 0.05)
    plane = Plane(SERVES, failing=10**9)
    waited = prove(plane)
    assert not waited.sample.passed
    assert "cp2 2 and 1 sync errors" in waited.sample.progress
    assert holders(plane) == {"apiserver-cp1_1", "apiserver-cp2_1", "apiserver-cp3_1"}


def test_judge_tells_each_server():
    sample = refresh_peers.judge(BEFORE, {"cp2": (13.0, 3.0), "cp3": (24.0, 0.0)}, 4)
    assert sample.progress == "fetches answered 200: cp2 3 and 2 sync errors, cp3 4 (of 4 each)"


def test_enough_answers_since_start_prove_nothing_but_too_few_do():
    assert refresh_peers.infer(BEFORE, 4) == (True, "fetches answered 200 since start: cp2 10 and 1 errors, cp3 20")
    possible, words = refresh_peers.infer({"cp2": (2.0, 0.0), "cp3": (20.0, 0.0)}, 4)
    assert not possible
    assert words == (
        "fetches answered 200 since start: cp2 2, so it does not know all of its peers (4 at least are needed), cp3 20"
    )


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ('apiserver_rerouted_request_total{code="200"} 8\n', 0),
        ('apiserver_rerouted_request_total{code="404"} 8\n', 0),
        ('apiserver_rerouted_request_total{code="401"} 1\napiserver_rerouted_request_total{code="503"} 2\n', 3),
        # A server that labels counts sync errors, and what users got is no business of this proof.
        ('apiserver_rerouted_request_total{code="503",group="a",resource="b",version="v1"} 2\n', 0),
        ('apiserver_peer_discovery_sync_errors_total{type="fetch_discovery"} 5\n', 5),
    ],
)
def test_errors(text, errors):
    names = (_metrics.REROUTED, _metrics.SYNC_ERRORS)
    assert refresh_peers.errors_in(_metrics.parse(text, names)) == errors
