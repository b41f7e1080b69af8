# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _discovery, _leases, _views
from ansible_collections.mixedversion.kubernetes.plugins.modules import soak


@pytest.fixture
def whole(recorded):
    """Two servers that know each other's discovery, and the Leases of three."""
    views = {
        name: _discovery.ServerView(
            _discovery.parse(recorded(f"apis-{version}-nopeer.json")),
            _discovery.parse(recorded(f"apis-{version}-merged.json")),
        )
        for name, version in (("cp1", "v1.37.2"), ("cp2", "v1.36.4"))
    }
    return _views.Look(views, frozenset(), tuple(_leases.parse_list(recorded("leases.json"))), {})


@pytest.fixture
def leases(whole):
    return {lease.hostname: lease.name for lease in whole.leases}


def test_a_whole_control_plane(whole, leases):
    holders = {}
    assert soak.judge(whole, {}, leases, holders) == ("", "")
    assert holders == {lease.hostname: lease.holder for lease in whole.leases}
    assert soak.judge(whole, {}, leases, holders) == ("", "")


def test_a_server_that_was_started_anew_is_named(whole, leases):
    first = whole.leases[0]
    holders = {first.hostname: "the process before"}
    assert soak.judge(whole, {}, leases, holders) == ("servers_ready", f"{first.hostname} was started anew")


def test_a_lease_that_is_gone_or_old(whole, leases):
    first, *others = whole.leases
    gone = dataclasses.replace(whole, leases=tuple(others))
    assert soak.judge(gone, {}, leases, {}) == ("servers_ready", f"the Lease of {first.hostname} is gone")
    stale = dataclasses.replace(whole, stale=(_views.StaleLease(first, 50.0, None),))
    gate_id, words = soak.judge(stale, {}, leases, {})
    assert gate_id == "servers_ready"
    assert words.startswith(f"the Lease of {first.hostname} was last renewed at")


def test_a_server_that_is_not_ready_is_told_once(whole, leases):
    error = _api.ApiError("cp1", "/apis", 0, "connection refused")
    broken = dataclasses.replace(whole, errors={"cp1": error})
    words = "cp1 does not answer (connection refused)"
    assert soak.judge(broken, {"cp1": words}, leases, {}) == ("servers_ready", words)
    assert soak.judge(broken, {}, leases, {}) == ("servers_ready", str(error))


def test_lost_convergence_is_a_gate_of_its_own(whole, leases):
    old = whole.views["cp2"].own
    apart = dataclasses.replace(whole, views={**whole.views, "cp2": _discovery.ServerView(old, old)})
    gate_id, words = soak.judge(apart, {}, leases, {})
    assert gate_id == "convergence"
    assert words.startswith("cp2 lacks 4 (certificates.k8s.io/v1/clustertrustbundles")
