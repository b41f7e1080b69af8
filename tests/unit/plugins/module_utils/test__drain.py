# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _drain


def pod(name, owner="ReplicaSet", phase="Running", mirror=False, volumes=()):
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": f"uid-{name}",
            "annotations": {_drain.MIRROR: "x"} if mirror else {},
            "ownerReferences": [{"kind": owner, "name": "o", "controller": True}] if owner else [],
        },
        "spec": {"volumes": list(volumes)},
        "status": {"phase": phase},
    }


SCRATCH = {"name": "scratch", "emptyDir": {}}
PODS = [
    pod("web"),
    pod("agent", owner="DaemonSet", volumes=[SCRATCH]),
    pod("etcd-cp1", owner="Node", mirror=True),
    pod("done", owner="", phase="Succeeded", volumes=[SCRATCH]),
]


def test_static_pods_and_those_of_daemonsets_stay_and_ended_ones_have_nothing_to_lose():
    found = _drain.sort(PODS, delete_emptydir_data=False, force=False)
    assert [pod["metadata"]["name"] for pod in found.evict] == ["web", "done"]
    assert found.left_words == "1 of DaemonSets, 1 static"
    assert found.refused == []


@pytest.mark.parametrize(
    ("lost", "options", "refused"),
    [
        (pod("by-hand", owner=""), {}, ["default/by-hand has no controller that would make it anew"]),
        (pod("by-hand", owner=""), {"force": True}, []),
        (pod("cache", volumes=[SCRATCH]), {}, ["default/cache would lose its emptyDir scratch"]),
        (pod("cache", volumes=[SCRATCH]), {"delete_emptydir_data": True}, []),
        # One permission is not the other.
        (pod("both", owner="", volumes=[SCRATCH]), {"force": True}, ["default/both would lose its emptyDir scratch"]),
    ],
)
def test_what_would_be_lost_is_refused_by_name(lost, options, refused):
    found = _drain.sort([lost], **{"delete_emptydir_data": False, "force": False, **options})
    assert found.refused == refused
    assert found.evict == [lost]


def answer(status, body=None, **headers):
    return _api.Answer(status, json.dumps(body or {}).encode(), {k.replace("_", "-"): v for k, v in headers.items()})


def test_a_budget_is_named_and_its_time_heeded(recorded):
    put = _drain.read(answer(429, recorded("eviction-429.json"), Retry_After="10"))
    assert (put.taken, put.retry) == (False, 10.0)
    assert put.words == "The disruption budget web needs 2 healthy pods and has 2 currently"


@pytest.mark.parametrize(
    ("status", "message", "taken", "retry", "words"),
    [
        (201, "", True, 0.0, ""),
        (404, "pods not found", True, 0.0, ""),
        # Another pod by this name.
        (409, "the UID in the precondition does not match", True, 0.0, ""),
        (429, "too many requests", False, 5.0, "too many requests"),
        (
            403,
            'User "x" cannot create resource "pods/eviction" in API group "" in the namespace "shop"',
            False,
            0.0,
            "the right to create pods/eviction in the API group core in the namespace shop is missing for the user x",
        ),
        (403, "denied by a webhook", False, 5.0, "denied by a webhook"),
        (
            500,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            False,
            0.0,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ),
        (503, "etcd is away", False, 5.0, "the server answered 503: etcd is away"),
        (422, "no", False, 0.0, "the server answered 422: no"),
    ],
)
def test_answers_to_an_eviction(status, message, taken, retry, words):
    put = _drain.read(answer(status, {"kind": "Status", "message": message}))
    assert (put.taken, put.retry, put.words) == (taken, retry, words)


class Server:
    """Holds one Node, as the API does: a patch of an old version of it is a conflict."""

    name = "api"

    def __init__(self, node, conflicts=0):
        self.node = node
        self.conflicts = conflicts
        self.patches = []

    def get(self, path):
        return self.node

    def send(self, method, path, body, content_type):
        self.patches.append(body)
        if self.conflicts:
            self.conflicts -= 1
            self.node = {**self.node, "metadata": {**self.node["metadata"], "resourceVersion": "2"}}
            raise _api.ApiError("api", path, 409, "the object has been modified")
        return self.node


def node(unschedulable=False, by=""):
    return {
        "metadata": {"name": "cp1", "resourceVersion": "1", "annotations": {_drain.ANNOTATION: by} if by else {}},
        "spec": {"unschedulable": True} if unschedulable else {},
    }


def test_a_cordon_is_marked_and_a_newer_version_of_the_node_is_read():
    server = Server(node(), conflicts=1)
    changed, dummy = _drain.set_schedulable(server, node(), False, "run-1", False)
    assert changed
    assert [patch["metadata"]["resourceVersion"] for patch in server.patches] == ["1", "2"]
    assert server.patches[-1]["spec"] == {"unschedulable": True}
    assert server.patches[-1]["metadata"]["annotations"] == {_drain.ANNOTATION: "run-1"}


def test_a_conflict_without_end_is_an_error():
    server = Server(node(), conflicts=100)
    with pytest.raises(_api.ApiError, match="modified"):
        _drain.set_schedulable(server, node(), False, "run-1", False)


@pytest.mark.parametrize(
    ("there", "wanted", "holders", "changed"),
    [
        (node(unschedulable=True), False, (), False),
        (node(), True, (), False),
        # Somebody else's cordon is not ours to take back.
        (node(unschedulable=True), True, (), False),
        (node(unschedulable=True, by="run-1"), True, (), True),
        (node(unschedulable=True, by="run-1"), True, ("run-1",), True),
        (node(unschedulable=True, by="run-1"), True, ("run-2",), False),
        # Taken back by hand: only the mark is left.
        (node(by="run-1"), True, (), True),
    ],
)
def test_whose_cordon_is_taken_back(there, wanted, holders, changed):
    for dry_run in (True, False):
        server = Server(there)
        assert _drain.set_schedulable(server, there, wanted, "run-3", dry_run, holders)[0] is changed
        assert bool(server.patches) is (changed and not dry_run)


def test_what_holds_pods_is_told_once():
    held = [("a/web-2", "budget web"), ("a/web-1", "budget web"), ("a/web-3", "budget web"), ("a/web-4", "budget web")]
    assert _drain.held_words([*held, ("a/db", "budget db")]) == [
        "held: a/db (budget db)",
        "held: a/web-1, a/web-2, a/web-3 and 1 more (budget web)",
    ]
