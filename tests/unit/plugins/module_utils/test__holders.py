# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _discovery, _holders, _views

HOLDER = "apiserver-x_6ff1b0f5"


class Lease:
    """An API server as far as one Lease goes: a merge patch of its holder is kept."""

    def __init__(self, holder):
        self.holder = holder
        self.all = [holder]

    def get(self, path):
        return {"metadata": {"name": path.rpartition("/")[2]}, "spec": {"holderIdentity": self.holder}}

    def send(self, method, path, body, content_type):
        assert (method, content_type) == ("PATCH", "application/merge-patch+json")
        self.holder = body["spec"]["holderIdentity"]
        self.all.append(self.holder)


@pytest.mark.parametrize("marks", [0, 1, 2])
def test_marks_come_off(marks):
    assert _holders.own(HOLDER + marks * _holders.MARK) == HOLDER


def test_a_holder_is_changed_and_changed_back():
    server = Lease(HOLDER)
    with _holders.changed(server, "apiserver-x"):
        assert server.holder != HOLDER
    assert server.holder == HOLDER


def test_a_holder_comes_back_whatever_happens():
    server = Lease(HOLDER)
    with pytest.raises(KeyError), _holders.changed(server, "apiserver-x"):
        raise KeyError
    assert server.holder == HOLDER


def test_what_a_killed_run_left_is_taken_back_first():
    server = Lease(HOLDER + _holders.MARK)
    with _holders.changed(server, "apiserver-x"):
        pass
    # Otherwise the change to the marked holder would be none, and nobody would fetch.
    assert server.all == [HOLDER + _holders.MARK, HOLDER, HOLDER + _holders.MARK, HOLDER]


def view(own, merged):
    def resources(names):
        return {_discovery.Resource("g", "v1", name): frozenset(["list"]) for name in names}

    return _discovery.ServerView(resources(own), resources(merged))


def test_stale_names_each_peer_that_serves_what_is_lacked():
    look = _views.Look({"cp1": view("ab", "ab"), "cp2": view("a", "a"), "cp3": view("ab", "ab")}, frozenset(), (), {})
    assert _holders.stale(look) == {("cp2", "cp1"): ["g/v1/b"], ("cp2", "cp3"): ["g/v1/b"]}


def test_what_is_never_proxied_is_not_stale():
    look = _views.Look(
        {"cp1": view("ab", "ab"), "cp2": view("a", "a")}, frozenset([_discovery.GroupVersion("g", "v1")]), (), {}
    )
    assert _holders.stale(look) == {}


def test_knock():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        assert _holders.knock(address)[0] is False
        listening.listen()
        assert _holders.knock(address)[0] is True
    assert _holders.knock("") == (None, "it tells no address")
