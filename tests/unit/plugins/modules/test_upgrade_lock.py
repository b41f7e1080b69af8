# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import email.utils
import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api
from ansible_collections.mixedversion.kubernetes.plugins.modules import upgrade_lock

NOW = datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc)
DURATION = 600
STEP = {"node": "cp2", "unit": "mixedversion-kubeadm-upgrade.service"}


def claim(holder="ours", resumes=(), steps=()):
    return upgrade_lock.Claim(holder, list(resumes), f"host of {holder}, process 7", list(steps), DURATION)


def held(by="theirs", seconds_ago=0):
    then = NOW - datetime.timedelta(seconds=seconds_ago)
    lease = upgrade_lock.wanted(claim(by), then, None)
    lease["metadata"].update(resourceVersion="41", uid="u")
    return lease


def taken(lease, **more):
    return upgrade_lock.take(claim(**more), lease, NOW)


def test_a_free_lock_is_taken_and_says_by_whom():
    lease = taken(None).lease
    assert lease["spec"]["holderIdentity"] == "ours"
    assert lease["spec"]["leaseDurationSeconds"] == DURATION
    assert lease["metadata"]["annotations"] == {upgrade_lock.ANNOTATION: "host of ours, process 7"}
    assert "resourceVersion" not in lease["metadata"]


def test_a_held_lock_is_not_taken_and_its_holder_is_named():
    verdict = taken(held(seconds_ago=DURATION - 1))
    assert verdict.lease is None
    assert "run theirs on host of theirs, process 7 (since 2026-11-24T11:50:01" in verdict.observed
    assert "in 1 s" in verdict.next_action


def test_a_lock_expires_by_the_duration_that_it_bears():
    lease = held(seconds_ago=DURATION + 1)
    verdict = taken(lease)
    assert verdict.lease["spec"]["holderIdentity"] == "ours"
    assert verdict.lease["spec"]["leaseTransitions"] == 1
    assert verdict.lease["metadata"]["resourceVersion"] == "41"
    lease["spec"]["leaseDurationSeconds"] = 10 * DURATION
    assert taken(lease).lease is None


def test_a_lease_that_was_never_renewed_is_free():
    lease = held()
    lease["spec"]["renewTime"] = None
    assert taken(lease).lease is not None


def test_a_resumed_run_s_lock_is_taken_at_once():
    verdict = taken(held(), resumes=["theirs"])
    assert verdict.lease["spec"]["acquireTime"] == upgrade_lock.stamp(NOW)
    assert "goes on from" in verdict.observed


def test_its_own_lock_is_renewed_and_keeps_the_time_of_its_taking():
    lease = held("ours", seconds_ago=300)
    for verdict in (taken(lease), upgrade_lock.renew(claim(), lease, NOW)):
        assert verdict.lease["spec"]["acquireTime"] == lease["spec"]["acquireTime"]
        assert verdict.lease["spec"]["renewTime"] == upgrade_lock.stamp(NOW)
        assert verdict.lease["spec"]["leaseTransitions"] == 0


@pytest.mark.parametrize(
    ("lease", "resumes"),
    [(held(seconds_ago=DURATION + 1), []), (held(), ["theirs"]), (None, []), (held("ours"), [])],
    ids=["stale", "resumed", "free", "ours"],
)
def test_no_lock_beside_another_run_s_step(lease, resumes):
    verdict = taken(lease, resumes=resumes, steps=[{**STEP, "run_id": "third"}])
    assert verdict.lease is None
    assert "mixedversion-kubeadm-upgrade.service of run third on cp2" in verdict.observed


def test_a_step_of_nobody_known_is_another_run_s():
    assert "an unknown run on cp2" in taken(None, steps=[{**STEP, "run_id": ""}]).observed


def test_a_resumed_run_s_step_is_no_other_s():
    assert taken(held(), resumes=["theirs"], steps=[{**STEP, "run_id": "theirs"}]).lease is not None


def test_a_stale_holder_s_step_keeps_its_lock():
    assert taken(held(seconds_ago=DURATION + 1), steps=[{**STEP, "run_id": "theirs"}]).lease is None


def test_an_expired_lock_that_nobody_took_is_still_ours():
    assert upgrade_lock.renew(claim(), held("ours", seconds_ago=10 * DURATION), NOW).lease is not None


@pytest.mark.parametrize(("lease", "words"), [(held(), "run theirs on host"), (None, "is gone")])
def test_a_lost_lock_is_not_renewed(lease, words):
    verdict = upgrade_lock.renew(claim(), lease, NOW)
    assert verdict.lease is None
    assert "lost" in verdict.observed and words in verdict.observed


class Server:
    """An API server that keeps one Lease; *faults* are the statuses of its next answers, 200 for the true one."""

    name = "cp1"

    def __init__(self, lease=None, faults=()):
        self.lease = lease
        self.faults = list(faults)
        self.now = NOW
        self.wrote = []

    def request(self, method, path, **dummy):
        status = self.faults.pop(0) if self.faults else 200
        if status == 0:
            raise _api.ApiError(self.name, path, 0, "no answer")
        if status != 200:
            return _api.Answer(status, b'{"message": "not now"}', {})
        headers = {"Date": email.utils.format_datetime(self.now, usegmt=True)}
        return _api.Answer(200 if self.lease else 404, json.dumps(self.lease or {}).encode(), headers)

    def send(self, method, path, body):
        status = self.faults.pop(0) if self.faults else 200
        if status != 200:
            raise _api.ApiError(self.name, path, status, "refused")
        self.wrote.append((method, path))
        self.lease = body


def looked(server, judge=upgrade_lock.take, **more):
    return upgrade_lock.look(server, claim(**more), judge)


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_what_may_pass_is_waited_for(status):
    server = Server(faults=[status])
    assert not looked(server).final
    assert looked(server).passed


def test_what_does_not_pass_is_told_at_once():
    with pytest.raises(_api.ApiError):
        looked(Server(faults=[403]))


def test_of_two_at_once_one_has_it():
    server = Server()
    assert looked(server).passed
    # The second had read that there is none, and was refused.
    server.faults = [200, 409]
    server.lease, lease = None, server.lease
    assert not looked(server, holder="second").final
    server.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": "1"}}
    server.lease["spec"]["renewTime"] = upgrade_lock.stamp(NOW)
    sample = looked(server, holder="second")
    assert sample.final and not sample.passed


def test_a_lock_expires_by_the_servers_clock():
    """Whatever the controller's is: of two controllers one may be hours ahead."""
    server = Server(held())
    sample = looked(server)
    assert sample.final and not sample.passed
    server.now += datetime.timedelta(seconds=2 * DURATION)
    assert looked(server).passed
    assert server.lease["spec"]["renewTime"] == upgrade_lock.stamp(server.now)


def test_a_write_whose_answer_got_lost_counts():
    lease = held("ours")
    lease["spec"]["renewTime"] = upgrade_lock.stamp(NOW)
    server = Server(lease, faults=[200, 409])
    assert not looked(server).final
    assert looked(server).passed


@pytest.mark.parametrize(("holder", "released"), [("ours", True), ("a dead run's", True), ("theirs", False)])
def test_only_its_own_lock_and_what_it_inherited_is_given_back(holder, released):
    server = Server(held(holder))
    sample = upgrade_lock.release(server, ["ours", "a dead run's"])
    assert (sample.data, [method for method, dummy in server.wrote]) == (released, ["DELETE"] if released else [])
