# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _leases,
    _registrations,
    _views,
)
from ansible_collections.mixedversion.kubernetes.plugins.modules import wait_for_convergence

MIGRATION = _discovery.GroupVersion("storagemigration.k8s.io", "v1")


@pytest.fixture
def converged(recorded):
    return {
        name: _discovery.ServerView(
            _discovery.parse(recorded(f"apis-{version}-nopeer.json")),
            _discovery.parse(recorded(f"apis-{version}-merged.json")),
        )
        for name, version in (("cp1", "v1.37.2"), ("cp2", "v1.36.4"))
    }


@pytest.fixture
def apart(converged):
    """The old server does not know its peer."""
    old = converged["cp2"].own
    return {**converged, "cp2": _discovery.ServerView(old, old)}


@pytest.fixture
def leases(recorded):
    return tuple(_leases.parse_list(recorded("leases.json")))


def look(views, leases=(), **more):
    return _views.Look(views, more.pop("excluded", frozenset()), leases, more.pop("errors", {}), **more)


def names(leases):
    return [lease.name for lease in leases]


def test_converged_servers_pass(converged, leases):
    verdict = wait_for_convergence.judge(look(converged, leases), names(leases), {})
    assert (verdict.holds, verdict.settles) == (True, False)
    assert verdict.words == "all 2 servers know all 55 resources"


def test_what_a_server_lacks_is_named(apart):
    verdict = wait_for_convergence.judge(look(apart), None, {})
    assert not verdict.holds
    assert verdict.words.startswith(
        "1 of 2 converged; cp2 lacks 4 (certificates.k8s.io/v1/clustertrustbundles, "
        "certificates.k8s.io/v1/podcertificaterequests, ...)"
    )


def deletion(at):
    return _registrations.Deletion(MIGRATION, "the CRD x was deleted", at)


def test_the_grace_period_of_a_deleted_crd_is_named_and_does_not_pass(apart):
    at = datetime.datetime(2026, 11, 24, 6, tzinfo=datetime.timezone.utc)
    now = at + datetime.timedelta(minutes=2)
    verdict = wait_for_convergence.judge(look(apart, now=now), None, {"cp2": [deletion(at)]})
    assert not verdict.holds
    assert "cp2: storagemigration.k8s.io/v1 is left out of proxying since the CRD x was deleted, until 06:05" in (
        verdict.words
    )


def test_a_grace_period_that_is_over_explains_nothing(apart):
    at = datetime.datetime(2026, 11, 24, 6, tzinfo=datetime.timezone.utc)
    now = at + datetime.timedelta(minutes=6)
    verdict = wait_for_convergence.judge(look(apart, now=now), None, {"cp2": [deletion(at)]})
    assert "left out" not in verdict.words


def test_a_deletion_in_another_group_version_explains_nothing(apart):
    other = _registrations.Deletion(_discovery.GroupVersion("example.org", "v1"), "the CRD x was deleted", None)
    assert "left out" not in wait_for_convergence.judge(look(apart), None, {"cp2": [other]}).words


def test_a_missing_right_is_named_and_may_settle(converged):
    words = 'forbidden: User "bob" cannot get path "/apis"'
    error = _api.ApiError("cp2", "/apis", 403, words)
    verdict = wait_for_convergence.judge(look(converged, errors={"cp2": error}), None, {})
    assert (verdict.holds, verdict.settles) == (False, True)
    assert verdict.words == "cp2: the right to get /apis is missing for the user bob"


def test_a_server_that_does_not_answer_is_waited_for(converged):
    error = _api.ApiError("cp2", "/apis", 0, "no answer from cp2")
    verdict = wait_for_convergence.judge(look(converged, errors={"cp2": error}), None, {})
    assert (verdict.holds, verdict.settles, verdict.words) == (False, False, "cp2: no answer from cp2")


def test_a_server_that_only_lags_with_a_crd_is_waited_for_a_while(converged):
    crd = _registrations.Crd(
        "widgets.example.org",
        "example.org",
        "widgets",
        {"v1": True},
        {kind: _registrations.Condition("True") for kind in ("NamesAccepted", "Established")},
    )
    found = look(converged, registered=_registrations.Registered(crds=(crd,)))
    verdict = wait_for_convergence.judge(found, None, {})
    assert (verdict.holds, verdict.settles) == (True, True)
    assert verdict.words.endswith("; 1 registrations of CRDs and APIServices do not hold")


def test_a_crd_that_never_gets_its_name_is_not_waited_for(converged):
    crd = _registrations.Crd("widgets.example.org", "example.org", "widgets", {"v1": True}, {})
    found = look(converged, registered=_registrations.Registered(crds=(crd,)))
    verdict = wait_for_convergence.judge(found, None, {})
    assert (verdict.holds, verdict.settles) == (True, False)
    gate = wait_for_convergence.warning(_registrations.troubles(found.registered, found.views), "cp1")
    assert (gate.id, gate.severity, gate.verdict) == ("convergence", "warning", "failed")
    assert "widgets.example.org: NamesAccepted is not set" in gate.observed


def test_a_server_that_the_inventory_lacks_is_told_from_a_dead_one(converged, leases):
    others = names(leases)[1:]
    verdict = wait_for_convergence.judge(look(converged, leases), others, {})
    assert verdict.words == f"a Lease of {leases[0].hostname}, which renews it and is not in the inventory"
    stale = (_views.StaleLease(leases[0], 300.0, answers=False),)
    verdict = wait_for_convergence.judge(look(converged, leases, stale=stale), others, {})
    assert not verdict.holds
    assert verdict.words.startswith(
        f"a server that is gone left its Lease behind: the Lease of {leases[0].hostname} was last renewed at "
    )
    assert verdict.words.endswith(f"and {leases[0].address} does not answer")


def test_a_dead_lease_at_an_address_that_another_server_has_now(leases):
    stale = _views.StaleLease(leases[0], 300.0, answers=True, taken_by="cp9")
    assert stale.dead
    assert str(stale).endswith(f"its address {leases[0].address} is now that of cp9")


def test_a_slow_renewal_of_an_expected_server_stops_nothing(converged, leases):
    stale = (_views.StaleLease(leases[0], 40.0, answers=True),)
    verdict = wait_for_convergence.judge(look(converged, leases, stale=stale), names(leases), {})
    assert verdict.holds


def test_without_expected_leases_a_dead_one_is_told_and_stops_nothing(converged, leases):
    stale = (_views.StaleLease(leases[0], 300.0, answers=False),)
    verdict = wait_for_convergence.judge(look(converged, leases, stale=stale), None, {})
    assert verdict.holds
    assert "does not answer" in verdict.words


def test_expected_leases_that_are_missing_are_counted(converged, leases):
    verdict = wait_for_convergence.judge(look(converged, leases[:1]), names(leases), {})
    assert (verdict.holds, verdict.words) == (False, f"{len(leases) - 1} expected Leases are missing")


def test_the_next_action_for_a_dead_lease_is_its_deletion(converged, leases):
    stale = (_views.StaleLease(leases[0], 300.0, answers=False),)
    assert "Delete the Lease" in wait_for_convergence.next_action(look(converged, leases, stale=stale), "failed")
    assert "right" in wait_for_convergence.next_action(look(converged, leases, stale=stale), "unproven")
    assert "Delete" not in wait_for_convergence.next_action(look(converged, leases), "failed")
