# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Healing, against servers in memory."""

from __future__ import annotations

import datetime
import socket

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _holders,
    _leases,
    _views,
)
from ansible_collections.mixedversion.kubernetes.plugins.modules import heal_peers
from ansible_collections.mixedversion.kubernetes.tests.tools.plane import NOW, Plane

PARAMS = {"slice": None, "stable_samples": 1, "interval": 0.0, "heal_timeout": 0.0}


def heal(plane, **params):
    servers = plane.servers
    reader = _views.Reader(servers)
    leases = {name: f"apiserver-{name}" for name in servers}
    found = heal_peers.judge(reader.look()).data
    return heal_peers.heal(servers, leases, reader, found, {**PARAMS, **params})


def test_a_stale_peer_is_known_after_its_holder_was_changed_and_changed_back():
    plane = Plane({"cp1": {"a", "b"}, "cp2": {"a"}, "cp3": {"a"}})
    plane.known["cp3"] = {"cp1", "cp2"}
    (done,), left = heal(plane)
    assert (done["server"], done["peer"], done["lease"], done["kind"]) == (
        "cp2",
        "cp1",
        "apiserver-cp1",
        "holder_change",
    )
    assert left == {}
    assert plane.known["cp2"] == {"cp1", "cp3"}
    assert plane.holders == [("cp1", "apiserver-cp1_1_mixedversion"), ("cp1", "apiserver-cp1_1")]


def test_one_change_heals_all_that_lack_the_peer():
    plane = Plane({"cp1": {"a", "b"}, "cp2": {"a"}, "cp3": {"a"}})
    done, left = heal(plane)
    assert ([(entry["server"], entry["peer"]) for entry in done], left) == ([("cp2", "cp1"), ("cp3", "cp1")], {})
    assert len(plane.holders) == 2


def test_what_comes_to_light_while_it_heals_is_told_as_well():
    """A server is started anew while another one's Lease is changed, and knows nobody."""

    class Restarting(Plane):
        def changed(self, owner):
            super().changed(owner)
            if owner == "cp1" and self.known["cp1"]:
                self.known["cp1"] = set()

    plane = Restarting({"cp1": {"a", "b"}, "cp2": {"a", "c"}})
    plane.known["cp1"] = {"cp2"}
    servers = plane.servers
    reader = _views.Reader(servers)
    found = heal_peers.judge(reader.look()).data
    assert set(found) == {("cp2", "cp1")}
    done, left = heal_peers.heal(servers, {name: f"apiserver-{name}" for name in servers}, reader, found, PARAMS)
    assert [(entry["server"], entry["peer"]) for entry in done] == [("cp2", "cp1"), ("cp1", "cp2")]
    told = heal_peers.stale_findings(done, found, left, 20.0)
    assert [(one["server"], one["peer"], one["repaired"]) for one in told] == [
        ("cp2", "cp1", True),
        ("cp1", "cp2", True),
    ]


def test_two_that_lack_each_other_need_a_change_each():
    plane = Plane({"cp1": {"a", "b"}, "cp2": {"a", "c"}})
    done, left = heal(plane)
    assert ({(entry["server"], entry["peer"]) for entry in done}, left) == ({("cp1", "cp2"), ("cp2", "cp1")}, {})
    assert sorted(name for name, holder in plane.holders if holder.endswith(_holders.MARK)) == ["cp1", "cp2"]


def test_what_does_not_help_is_told_and_the_holder_is_put_back():
    plane = Plane({"cp1": {"a", "b"}, "cp2": {"a"}})
    plane.deaf = {"cp2"}
    done, left = heal(plane)
    assert (done, left) == ([], {("cp2", "cp1"): ["g/v1/b"]})
    assert plane.leases["cp1"]["spec"]["holderIdentity"] == "apiserver-cp1_1"


@pytest.mark.parametrize(
    ("found", "peer"),
    [([("cp2", "cp1")], "cp1"), ([("cp1", "cp3"), ("cp2", "cp1"), ("cp3", "cp1")], "cp1")],
)
def test_the_peer_that_most_lack_is_first(found, peer):
    assert heal_peers.next_lease(found) == peer


def test_a_server_that_can_not_be_asked_is_not_taken_for_one_that_knows():
    look = _views.Look({}, frozenset(), (), {"cp1": _api.ApiError("cp1", "/apis", 0, "no answer")})
    sample = heal_peers.judge(look)
    assert (sample.passed, sample.data) == (False, None)


def test_only_what_was_stale_is_waited_for():
    def view(own, merged):
        def resources(names):
            return {_discovery.Resource("g", "v1", name): frozenset() for name in names}

        return _discovery.ServerView(resources(own), resources(merged))

    look = _views.Look({"cp1": view("ab", "ab"), "cp2": view("a", "a")}, frozenset(), (), {})
    assert not heal_peers.judge(look).passed
    assert heal_peers.judge(look, {("cp3", "cp1")}).passed
    assert heal_peers.judge(look).progress == "cp2 lacks 1 of cp1"


# What must be proven first


def entries(**errors):
    return [{"name": name, "error": error} for name, error in errors.items()]


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        ({"cp1": entries(cp2=""), "cp2": entries(cp1="")}, ""),
        # What a node says of itself proves no pair, and harms none.
        ({"cp1": entries(cp1="refused", cp2=""), "cp2": entries(cp1="")}, ""),
        ({"cp1": entries(cp2="refused"), "cp2": entries(cp1="")}, "the way from cp1 to cp2 is not open: refused"),
        ({"cp1": entries(cp2="")}, "the way from cp2 to cp1 was not tried"),
        ({"cp1": entries(cp2=""), "cp2": []}, "the way from cp2 to cp1 was not tried"),
    ],
)
def test_every_ordered_pair_must_be_open(peers, words):
    assert heal_peers.not_proven(["cp1", "cp2"], peers) == words


# Dead Leases


@pytest.fixture
def closed():
    """An address where nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def answering():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def with_old(address, age=80):
    """A plane of one server, and the Lease of one that is not among them."""
    plane = Plane({"cp1": {"a"}, "cp9": {"a"}})
    del plane.serves["cp9"]
    plane.leases["cp9"]["metadata"]["annotations"][_leases.ANNOTATION_ADDRESS] = address
    plane.leases["cp9"]["spec"]["renewTime"] = (NOW - datetime.timedelta(seconds=age)).isoformat()
    return plane


def delete(plane, names=("apiserver-cp9",), check_mode=False):
    return heal_peers.delete_dead(plane.servers["cp1"], list(names), ["apiserver-cp1"], check_mode)


def test_a_dead_lease_is_deleted(closed):
    plane = with_old(closed)
    (healed,), (finding,), kept = delete(plane)
    assert (healed["kind"], healed["lease"], healed["peer"]) == ("lease_deleted", "apiserver-cp9", "cp9")
    assert (finding["cause"], finding["server"], finding["repaired"]) == ("dead_lease", "cp9", True)
    assert (kept, list(plane.leases)) == ([], ["cp1"])


def test_check_mode_deletes_nothing(closed):
    plane = with_old(closed)
    assert delete(plane, check_mode=True) == ([], [], ["the Lease apiserver-cp9 was kept: check mode writes nothing"])
    assert list(plane.leases) == ["cp1", "cp9"]


def test_a_lease_that_is_renewed_is_kept(closed):
    plane = with_old(closed, age=9)
    assert "apiserver-cp9 was kept: it was renewed" in delete(plane)[2][0]
    assert list(plane.leases) == ["cp1", "cp9"]


def test_a_lease_whose_server_answers_is_kept(answering):
    plane = with_old(answering)
    assert delete(plane)[2] == [f"the Lease apiserver-cp9 was kept: something answers at {answering}"]
    assert list(plane.leases) == ["cp1", "cp9"]


def test_what_answers_may_be_the_same_host_under_another_name(answering):
    plane = with_old(answering)
    plane.leases["cp1"]["metadata"]["annotations"][_leases.ANNOTATION_ADDRESS] = answering
    assert len(delete(plane)[0]) == 1


def test_a_lease_without_an_address_is_kept():
    assert "it tells no address" in delete(with_old(""))[2][0]


def test_a_live_servers_lease_is_kept(closed):
    plane = with_old(closed)
    assert delete(plane, ["apiserver-cp1"])[2] == ["the Lease apiserver-cp1 was kept: it is a live server's"]


def test_a_lease_that_is_gone_already_is_no_change(closed):
    assert delete(with_old(closed), ["apiserver-gone"]) == ([], [], [])
