# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _leases


def test_server_id_of_a_known_hostname():
    assert _leases.server_id("minikube") == "apiserver-eqt674mfxb4j56mrjjkoe7b7ii"


def test_recorded_leases_are_named_by_their_hostnames(recorded):
    leases = _leases.parse_list(recorded("leases.json"))
    assert [lease.hostname for lease in leases] == ["cp1", "cp2", "cp3"]
    for lease in leases:
        assert lease.name == _leases.server_id(lease.hostname)
        assert lease.holder.startswith(lease.name + "_")
    assert [lease.address for lease in leases] == ["10.89.0.11:6443", "10.89.0.12:6443", "10.89.0.13:6443"]


def test_age_is_measured_by_the_given_clock():
    lease = _leases.parse({"spec": {"renewTime": "2026-11-24T02:29:38.482127Z"}})
    now = datetime.datetime(2026, 11, 24, 2, 30, 8, 482127, tzinfo=datetime.timezone.utc)
    assert lease.age_seconds(now) == 30.0


def test_a_lease_without_anything_is_never_fresh():
    lease = _leases.parse({"metadata": {"name": "x", "annotations": None, "labels": None}, "spec": {}})
    assert (lease.hostname, lease.holder, lease.address) == ("", "", "")
    assert lease.age_seconds(datetime.datetime.now(datetime.timezone.utc)) == float("inf")


@pytest.mark.parametrize("document", [{}, {"items": None}])
def test_an_empty_list(document):
    assert _leases.parse_list(document) == []


def renewed(at, name="kube-scheduler"):
    return _leases.parse({"metadata": {"name": name}, "spec": {"renewTime": f"2026-11-24T{at}.000000Z"}})


def test_a_lease_is_fresh_by_the_clocks_until_a_renewal_is_seen():
    now = datetime.datetime(2026, 11, 24, 10, 0, 0, tzinfo=datetime.timezone.utc)
    renewals = _leases.Renewals()
    # By its own clock half a minute ago, or in half a minute: it may have ended since.
    assert not renewals.fresh(renewed("09:59:30"), now, 15.0)
    assert not renewals.fresh(renewed("10:00:30", "other"), now, 15.0)
    assert renewals.fresh(renewed("09:59:50", "third"), now, 15.0)
    # A clock that is behind, or ahead, goes on all the same.
    assert renewals.fresh(renewed("09:59:32"), now, 15.0)
    assert renewals.fresh(renewed("10:00:32", "other"), now, 15.0)
    assert renewals.fresh(renewed("09:59:32"), now, 15.0)


def test_a_renewal_that_was_seen_grows_old(monkeypatch):
    now = datetime.datetime(2026, 11, 24, 10, 0, 0, tzinfo=datetime.timezone.utc)
    clock = [100.0]
    monkeypatch.setattr(_leases.time, "monotonic", lambda: clock[0])
    renewals = _leases.Renewals()
    renewals.fresh(renewed("09:59:30"), now, 15.0)
    assert renewals.fresh(renewed("09:59:32"), now, 15.0)
    clock[0] += 15.5
    assert not renewals.fresh(renewed("09:59:32"), now, 15.0)
    assert renewals.fresh(renewed("09:59:34"), now, 15.0)
