# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Cordoning a Node and evicting its pods, and which pods an eviction is for.

Which pods are left alone, refused or evicted is as kubectl drain has it (k8s.io/kubectl ``pkg/drain/filters.go``). The
answers to an eviction: k8s.io/kubernetes ``pkg/registry/core/pod/storage/eviction.go``.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _rights

#: By whom a Node was cordoned: a run's id. It outlives a killed run, and tells our cordon from anybody else's.
ANNOTATION = "mixedversion.kubernetes/cordoned-by"
MIRROR = "kubernetes.io/config.mirror"
MERGE_PATCH = "application/merge-patch+json"
#: Seconds until an eviction is tried again that was put off without a word on when.
RETRY_SECONDS = 5.0
#: The kubelet writes the Node's status all the time, and each write makes a new version of it.
TRIES = 5
#: How many pods a line of progress names.
NAMED = 3

Pod = t.Mapping[str, t.Any]
Node = dict[str, t.Any]


def name(pod: Pod) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def manager(pod: Pod) -> str:
    """The kind of the controller that would make the pod anew; empty if there is none."""
    owners = pod["metadata"].get("ownerReferences") or []
    return str(next((owner["kind"] for owner in owners if owner.get("controller")), ""))


@dataclasses.dataclass
class Sorted:
    """The pods of a node: those to evict, those left alone (by what they are), and why some are refused."""

    evict: list[Pod] = dataclasses.field(default_factory=list)
    left: dict[str, int] = dataclasses.field(default_factory=dict)
    refused: list[str] = dataclasses.field(default_factory=list)

    @property
    def left_words(self) -> str:
        return ", ".join(f"{number} {what}" for what, number in sorted(self.left.items())) or "none"


def sort(pods: t.Iterable[Pod], delete_emptydir_data: bool, force: bool) -> Sorted:
    """What becomes of each pod. One that has ended has nothing to lose, whosever it is."""
    found = Sorted()
    for pod in pods:
        if MIRROR in (pod["metadata"].get("annotations") or {}):
            found.left["static"] = found.left.get("static", 0) + 1
            continue
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            if manager(pod) == "DaemonSet":
                found.left["of DaemonSets"] = found.left.get("of DaemonSets", 0) + 1
                continue
            if not manager(pod) and not force:
                found.refused.append(f"{name(pod)} has no controller that would make it anew")
            volumes = [volume["name"] for volume in pod["spec"].get("volumes") or [] if "emptyDir" in volume]
            if volumes and not delete_emptydir_data:
                found.refused.append(f"{name(pod)} would lose its emptyDir {', '.join(volumes)}")
        found.evict.append(pod)
    return found


@dataclasses.dataclass(frozen=True)
class Put:
    """What the server made of an eviction: taken, put off until ``retry`` seconds are over, or refused for good."""

    taken: bool = False
    retry: float = 0.0
    words: str = ""


def read(answer: _api.Answer) -> Put:
    """An answer to an eviction. A 429 names the budget that holds the pod and says when to ask again."""
    if 200 <= answer.status <= 299 or answer.status in (404, 409):
        # Gone already, or another pod by the same name now.
        return Put(taken=True)
    words = "; ".join(causes(answer)) or answer.words
    if answer.status == 429:
        try:
            return Put(retry=float(answer.headers.get("Retry-After") or RETRY_SECONDS), words=words)
        except ValueError:
            return Put(retry=RETRY_SECONDS, words=words)
    if answer.status == 403 and not _rights.missing(answer.words):
        # An admission plug-in, as in a namespace that is being deleted with all that is in it.
        return Put(retry=RETRY_SECONDS, words=words)
    if answer.status == 403:
        return Put(words=_rights.explain(answer.words))
    if answer.status == 500 and "more than one PodDisruptionBudget" in answer.words:
        return Put(words=words)
    if answer.status >= 500:
        return Put(retry=RETRY_SECONDS, words=f"the server answered {answer.status}: {words}")
    return Put(words=f"the server answered {answer.status}: {words}")


def causes(answer: _api.Answer) -> list[str]:
    try:
        found = (answer.json().get("details") or {}).get("causes") or []
    except (ValueError, AttributeError):
        return []
    return [cause["message"] for cause in found if cause.get("reason") == "DisruptionBudget" and cause.get("message")]


def evict(server: _api.Server, pod: Pod) -> Put:
    """Ask for one pod's eviction: this very pod's, and with the time that it wants for its end."""
    metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": metadata,
        "deleteOptions": {"preconditions": {"uid": pod["metadata"]["uid"]}},
    }
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    try:
        return read(server.request("POST", path, body=body))
    except _api.ApiError as error:
        return Put(retry=RETRY_SECONDS, words=error.words)


def node_of(server: _api.Server, hostname: str) -> Node:
    path = f"/api/v1/nodes?labelSelector=kubernetes.io%2Fhostname%3D{hostname}"
    items = server.get(path).get("items") or []
    if len(items) != 1:
        raise _api.ApiError(
            server.name, path, 0, f"{len(items)} Nodes have the label kubernetes.io/hostname={hostname}"
        )
    return dict(items[0])


def cordoned_by(node: Node) -> str:
    return str((node["metadata"].get("annotations") or {}).get(ANNOTATION, ""))


def set_schedulable(
    server: _api.Server, node: Node, wanted: bool, holder: str, dry_run: bool, holders: t.Sequence[str] = ()
) -> tuple[bool, Node]:
    """Cordon a Node that nobody cordoned, or take back the cordon of a run; whether there was anything to do.

    *holders* are the runs whose cordons are taken back, all if empty. Nobody else's cordon is touched.
    """
    for attempt in range(TRIES):
        by = cordoned_by(node)
        if wanted and (not by or (holders and by not in holders)):
            return False, node
        if not wanted and node["spec"].get("unschedulable"):
            return False, node
        if dry_run:
            return True, node
        metadata = {
            "resourceVersion": node["metadata"]["resourceVersion"],
            "annotations": {ANNOTATION: None if wanted else holder},
        }
        patch = {"metadata": metadata, "spec": {"unschedulable": None if wanted else True}}
        try:
            path = f"/api/v1/nodes/{node['metadata']['name']}"
            return True, dict(server.send("PATCH", path, patch, content_type=MERGE_PATCH))
        except _api.ApiError as error:
            if error.status != 409 or attempt == TRIES - 1:
                raise
            node = dict(server.get(path))
    raise AssertionError("not reached")


def held_words(held: t.Iterable[t.Sequence[str]]) -> list[str]:
    """What holds pods, each reason once with the pods it holds. *held* are pairs of a pod's name and the reason."""
    by_reason: dict[str, list[str]] = {}
    for pod, reason in sorted(map(tuple, held)):
        by_reason.setdefault(reason, []).append(pod)
    return [
        f"held: {', '.join(pods[:NAMED])}{f' and {len(pods) - NAMED} more' if len(pods) > NAMED else ''} ({reason})"
        for reason, pods in by_reason.items()
    ]


class Drainer:
    """Looks at a Node's pods, evicts what is due, and knows from slice to slice what was put off and until when."""

    def __init__(self, server: _api.Server, params: t.Mapping[str, t.Any], dry_run: bool) -> None:
        self._server = server
        self._params = params
        self._dry_run = dry_run
        self.memory: dict[str, t.Any] = {"pods": None, "ours": False, "evicted": [], "retry": {}, "held": {}}
        self.memory.update((params["slice"] or {}).get("memory") or {})

    def pods(self, node: Node) -> Sorted:
        path = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node['metadata']['name']}"
        return sort(
            self._server.get(path).get("items") or [], self._params["delete_emptydir_data"], self._params["force"]
        )

    def look(self) -> _gate.Sample:
        """One look, and what is due at it. Nothing is touched where a pod is refused."""
        try:
            node = node_of(self._server, self._params["hostname"])
            pods = self.pods(node)
            if self.memory["pods"] is None:
                if pods.refused:
                    return _gate.Sample(False, "; ".join(pods.refused), final=True)
                if self._dry_run:
                    words = f"{len(pods.evict)} pods to evict; left alone: {pods.left_words}"
                    return _gate.Sample(True, words, final=True)
                dummy, node = set_schedulable(self._server, node, False, self._params["holder"], False)
                self.memory["ours"] = bool(cordoned_by(node))
                pods = self.pods(node)
                self.memory["pods"] = [pod["metadata"]["uid"] for pod in pods.evict]
        except _api.ApiError as error:
            words = f"{error.server}: {_rights.explain(error.words)}" if error.status == 403 else str(error)
            return _gate.Sample(False, words, final=error.status == 403)
        # What comes to a cordoned node goes around the scheduler, and would come again: it is not waited for.
        came = len(pods.evict)
        pods.evict = [pod for pod in pods.evict if pod["metadata"]["uid"] in self.memory["pods"]]
        return self._work(pods, came - len(pods.evict))

    def _work(self, pods: Sorted, came: int) -> _gate.Sample:
        evicted, retry, held = self.memory["evicted"], self.memory["retry"], self.memory["held"]
        for pod in pods.evict:
            uid = pod["metadata"]["uid"]
            # Of the host this runs on, as it has to outlive the process.
            due = uid not in evicted and retry.get(uid, 0.0) <= time.time()
            if not due or pod["metadata"].get("deletionTimestamp"):
                continue
            put = evict(self._server, pod)
            if put.taken:
                evicted.append(uid)
                held.pop(uid, None)
            elif put.retry:
                retry[uid], held[uid] = time.time() + put.retry, [name(pod), put.words]
            else:
                return _gate.Sample(False, f"{name(pod)} can't be evicted: {put.words}", final=True)
        there = {pod["metadata"]["uid"] for pod in pods.evict}
        for uid in set(held) - there:
            del held[uid]
        gone = len(set(evicted) - there)
        if not there:
            if came:
                pods.left["that came since"] = came
            return _gate.Sample(True, f"{gone} pods evicted; left alone: {pods.left_words}", final=True)
        ending = len(there) - len(held)
        return _gate.Sample(
            False,
            "; ".join([f"{gone} pods gone", *([f"{ending} ending"] if ending else []), *held_words(held.values())]),
        )
