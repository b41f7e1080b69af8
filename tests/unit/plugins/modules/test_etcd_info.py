# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd
from ansible_collections.mixedversion.kubernetes.plugins.modules import etcd_info, etcd_leader

pytestmark = pytest.mark.node


def member(number, version="3.6.14", answers=True, **changes):
    status = _etcd.Status(
        cluster_id="7",
        member_id=str(number),
        leader_id="1",
        version=version,
        raft_term=4,
        raft_index=100,
        applied_index=100 - number,
        revision=50,
        size_bytes=10,
        in_use_bytes=10,
        quota_bytes=100,
        learner=False,
        storage_version="3.6.0",
        errors=(),
    )
    found = _etcd.Member(
        str(number), f"cp{number}", (f"https://10.0.0.{number}:2379",), False, status if answers else None, ""
    )
    inner = {name: value for name, value in changes.items() if hasattr(status, name) and name != "learner"}
    outer = {name: value for name, value in changes.items() if name not in inner}
    if inner:
        found = dataclasses.replace(found, status=dataclasses.replace(status, **inner))
    return dataclasses.replace(found, **outer)


def cluster(count, local="1", **changed):
    """*count* members; those named ``cp2=...`` are made anew with what is given for them."""
    return _etcd.Cluster(local, tuple(member(n, **changed.get(f"cp{n}", {})) for n in range(1, count + 1)))


DOWN = {"answers": False}
SLOW = {"read_seconds": 2.5}
BEHIND = {"applied_index": -1000}


@pytest.mark.parametrize(
    ("count", "local", "changed", "verdict", "left"),
    [
        (3, "1", {}, "passed", "2 of 3"),
        (3, "1", {"cp2": DOWN}, "failed", "1 of 3"),
        (3, "1", {"cp2": SLOW}, "failed", "1 of 3"),
        (3, "1", {"cp2": BEHIND}, "failed", "1 of 3"),
        (3, "1", {"cp2": {"errors": ("memberID:3 alarm:CORRUPT",)}}, "failed", "1 of 3"),
        # What this node's member is like does not matter, as it is the one that goes.
        (3, "1", {"cp1": SLOW}, "passed", "2 of 3"),
        (3, "1", {"cp1": DOWN}, "passed", "2 of 3"),
        (4, "1", {}, "passed", "3 of 4"),
        (4, "1", {"cp4": DOWN}, "failed", "2 of 4"),
        (5, "1", {"cp4": DOWN}, "passed", "3 of 5"),
        (5, "1", {"cp4": DOWN, "cp5": SLOW}, "failed", "2 of 5"),
        # A learner is no voter: it neither counts nor raises what is needed.
        (4, "1", {"cp4": {"learner": True}}, "passed", "2 of 3"),
        # External etcd: the node takes none away.
        (3, "", {"cp2": DOWN}, "passed", "2 of 3"),
        (3, "", {"cp2": DOWN, "cp3": SLOW}, "failed", "1 of 3"),
        (1, "", {}, "passed", "1 of 1"),
        (2, "", {"cp1": DOWN}, "failed", "1 of 2"),
        (1, "1", {}, "failed", "0 of 1"),
        (2, "1", {}, "failed", "1 of 2"),
    ],
)
def test_quorum_after_the_step(count, local, changed, verdict, left):
    gate = etcd_info.quorum_gate(cluster(count, local, **changed), allow_outage=False)
    assert (gate.verdict, gate.acceptable) == (verdict, False)
    assert gate.observed.startswith(left)
    assert bool(gate.next_action) == (verdict == "failed")


def test_who_is_missing_is_named():
    gate = etcd_info.quorum_gate(cluster(3, cp2=DOWN), allow_outage=False)
    assert gate.observed == "1 of 3 voting members are left and whole while cp1 is away; not cp2"


@pytest.mark.parametrize(
    ("count", "local", "verdict"), [(1, "1", "skipped"), (2, "1", "skipped"), (3, "1", "failed"), (2, "", "failed")]
)
def test_an_outage_may_be_spent_only_where_it_is_certain(count, local, verdict):
    changed = {"cp2": DOWN} if count == 3 or not local else {}
    gate = etcd_info.quorum_gate(cluster(count, local, **changed), allow_outage=True)
    assert gate.verdict == verdict
    assert bool(gate.reason) == (verdict == "skipped")


def test_no_cluster_has_no_quorum():
    assert etcd_info.quorum_gate(etcd_info.NOTHING, allow_outage=True).verdict == "failed"


@pytest.mark.parametrize(("size", "warns"), [(79, False), (80, True), (94, True)])
def test_a_high_quota_warns(size, warns):
    gate = etcd_info.quota_gate(cluster(3, cp3={"size_bytes": size}))
    assert bool(gate) == warns
    if gate:
        assert (gate.id, gate.verdict, gate.severity) == ("etcd_healthy", "failed", "warning")
        assert gate.observed == f"used of the quota: cp3 {size}%"


@pytest.mark.parametrize(("version", "verdict"), [("3.6.10", "failed"), ("3.6.11", "passed"), ("3.7.0", "passed")])
def test_stepped(version, verdict):
    gate = etcd_info.stepped_gate(cluster(3, cp2={"version": version}), "3.6.11")
    assert gate.verdict == verdict


class Looks:
    """A gateway that sees one cluster after another."""

    def __init__(self, *clusters):
        self.clusters = list(clusters)

    def cluster(self, host):
        return self.clusters.pop(0)


def test_a_sick_cluster_is_looked_at_once_and_a_whole_one_twice():
    sick = Looks(cluster(3, cp2=DOWN), cluster(3))
    assert etcd_info.look(sick, 0)[1] == ["cp2 does not answer: "]
    assert len(sick.clusters) == 1
    whole = Looks(cluster(3), cluster(3))
    assert etcd_info.look(whole, 0) == (cluster(3), [])
    assert whole.clusters == []


def test_what_is_slow_at_the_second_look_is_slow():
    assert "cp2 is slow" in etcd_info.look(Looks(cluster(3), cluster(3, cp2=SLOW)), 0)[1][0]


def test_what_is_told():
    mixed = cluster(3, cp3={"version": "3.7.0"})
    hashes = _etcd.Hashes(50, {"cp1": 1, "cp2": 1, "cp3": 1})
    assert etcd_info.words(mixed, hashes) == (
        "3 members (cp1 3.6.14, cp2 3.6.14, cp3 3.7.0, minors 3.6 and 3.7 mixed, storage 3.6.0), leader cp1, "
        "term 4, lag 3, one hash at revision 50"
    )
    facts = etcd_info.facts(mixed, hashes)
    assert (facts["term"], facts["lag"], facts["quota"], facts["in_use"], facts["downgrade"]) == (4, 3, 100, 10, "")
    assert facts["hash"] == {"revision": 50, "hashes": hashes.by_member, "equal": True, "reason": ""}


def test_nothing_is_told_of_nobody():
    facts = etcd_info.facts(etcd_info.NOTHING, _etcd.Hashes(0, {}, "hashes not compared", tried=False))
    assert (facts["leader"], facts["local"], facts["members"], facts["hash"]["equal"]) == ("", "", [], None)


@pytest.mark.parametrize(
    ("local", "changed", "heir"),
    [
        # The furthest ahead of those that can be counted on.
        ("1", {}, "cp2"),
        ("1", {"cp2": SLOW}, "cp3"),
        ("1", {"cp2": DOWN}, "cp3"),
        ("1", {"cp2": {"errors": ("memberID:2 alarm:NOSPACE",)}}, "cp3"),
        ("1", {"cp2": {"learner": True}}, "cp3"),
        ("1", {"cp2": SLOW, "cp3": BEHIND}, None),
        ("2", {}, None),
        ("", {}, None),
    ],
)
def test_who_leads_instead(local, changed, heir):
    chosen = etcd_leader.heir(cluster(3, local, **changed))
    assert (chosen.name if chosen else None) == heir
