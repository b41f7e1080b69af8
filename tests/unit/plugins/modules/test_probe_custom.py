# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _discovery
from ansible_collections.mixedversion.kubernetes.plugins.modules import probe_custom

KINDS = {
    _discovery.Resource("apps", "v1", "deployments"): _discovery.Kind("Deployment", True),
    _discovery.Resource("storage.k8s.io", "v1", "storageclasses"): _discovery.Kind("StorageClass", False),
    _discovery.Resource("", "v1", "configmaps"): _discovery.Kind("ConfigMap", True),
}


def options(**given):
    return dict.fromkeys(probe_custom.OPTIONS) | {"name": "coredns", "via": "each"} | given


def resolved(**given):
    return probe_custom.resolve(probe_custom.read(options(**given)), KINDS).path


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"path": "/readyz?verbose"}, "/readyz?verbose"),
        (
            {"api_version": "apps/v1", "kind": "Deployment", "namespace": "kube-system"},
            "/apis/apps/v1/namespaces/kube-system/deployments/coredns",
        ),
        (
            {"api_version": "storage.k8s.io/v1", "kind": "StorageClass"},
            "/apis/storage.k8s.io/v1/storageclasses/coredns",
        ),
        ({"api_version": "v1", "kind": "ConfigMap", "namespace": "a"}, "/api/v1/namespaces/a/configmaps/coredns"),
    ],
)
def test_the_path_that_is_asked(given, path):
    assert resolved(**given) == path


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "needs either path, or api_version and kind"),
        ({"path": "/readyz", "kind": "Deployment", "api_version": "apps/v1"}, "needs either path"),
        ({"path": "readyz"}, "expected an absolute one"),
        ({"path": "//elsewhere.example.org/"}, "expected an absolute one"),
        ({"path": "/a b"}, "expected an absolute one"),
        ({"path": "/a\r\nHost: b"}, "expected an absolute one"),
        ({"kind": "Deployment"}, "needs api_version"),
        ({"api_version": "apps/v1"}, "needs api_version"),
        ({"api_version": "apps/v1/x", "kind": "Deployment"}, "needs api_version"),
        ({"namespace": "a"}, "needs api_version"),
        ({"api_version": "apps/v1", "kind": "Deployment", "name": "the dns server"}, "no object can be called so"),
        ({"api_version": "apps/v1", "kind": "Deployment", "namespace": "../a"}, "is no namespace"),
        ({"api_version": "apps/v1", "kind": "Deployment"}, "Deployment needs a namespace"),
        (
            {"api_version": "storage.k8s.io/v1", "kind": "StorageClass", "namespace": "a"},
            "StorageClass has no namespace",
        ),
        ({"api_version": "apps/v2", "kind": "Deployment"}, "no server knows the kind Deployment in apps/v2"),
        ({"path": "/readyz", "expect": "items[?"}, "expect is no JMESPath expression"),
    ],
)
def test_a_probe_that_cannot_be_meant(given, told):
    with pytest.raises(probe_custom.BadProbe, match=told):
        resolved(**given)


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/apis/apps/v1/deployments?limit=1", "apps/v1/deployments"),
        ("/apis/apps/v1/namespaces/a/deployments/b", "apps/v1/deployments"),
        ("/api/v1/namespaces/a/pods", "/v1/pods"),
        ("/api/v1/namespaces/a", "/v1/namespaces"),
        ("/api/v1/namespaces", "/v1/namespaces"),
        ("/apis/apps/v1", None),
        ("/readyz", None),
    ],
)
def test_the_resource_a_path_is_of(path, resource):
    found = probe_custom.read(options(path=path)).resource()
    assert (str(found) if found else None) == resource


def judged(expect=None, status=200, body=None):
    answer = probe_custom.Answer(probe_custom.read(options(path="/x", expect=expect)), "cp1")
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    probe_custom.judge(answer, _api.Answer(status, data, {}))
    return answer


DEPLOYMENT = {"status": {"readyReplicas": 2}, "spec": {"paused": False, "replicas": 0, "note": ""}, "items": []}


@pytest.mark.parametrize(
    ("expect", "verdict"),
    [
        (None, "passed"),
        ("status.readyReplicas", "passed"),
        ("status.readyReplicas == `2`", "passed"),
        ("status.readyReplicas > `2`", "failed"),
        ("status.missing", "failed"),
        ("spec.paused", "failed"),
        ("spec.replicas", "failed"),
        ("spec.note", "failed"),
        ("items", "failed"),
        ("length(items)", "failed"),
        ("length(nothing)", "failed"),
        ("unknown_function(items)", "failed"),
    ],
)
def test_what_is_expected_must_come_to_something_true(expect, verdict):
    assert judged(expect, body=DEPLOYMENT).verdict == verdict


def test_an_answer_that_is_no_json():
    assert judged(body=b"ok").verdict == "passed"
    assert judged("status", body=b"ok").observed == "200, but it is no JSON, so nothing can be expected of it"


def test_nothing_of_the_answer_is_told():
    secret = {"data": {"password": "aHVudGVyMg"}}
    for expect in ("abs(data.password)", "data.password == 'hunter3'", "contains(data, data.password)", "data.other"):
        told = judged(expect, body=secret)
        assert told.verdict == "failed"
        assert "aHVudGVyMg" not in told.observed
        assert "hunter3" not in told.observed


def test_a_missing_right_is_unproven():
    words = 'secrets is forbidden: User "bob" cannot get resource "secrets" in API group "" in the namespace "a"'
    answer = judged(status=403, body={"message": words})
    assert (answer.verdict, answer.observed) == (
        "unproven",
        "the right to get secrets in the API group core in the namespace a is missing for the user bob",
    )


def test_another_answer_fails_with_the_servers_words():
    answer = judged(status=503, body=b"error trying to reach service: refused\n")
    assert (answer.verdict, answer.observed) == ("failed", "503: error trying to reach service: refused")


@pytest.mark.parametrize(
    ("versions", "each", "old", "new"),
    [
        ({"cp1": "v1.37.2", "cp2": "v1.36.4"}, ["cp1", "cp2"], ["cp2"], ["cp1"]),
        ({"cp1": "v1.36.4", "cp2": "v1.36.4"}, ["cp1", "cp2"], [], ["cp1", "cp2"]),
    ],
)
def test_which_servers_are_asked(versions, each, old, new):
    assert [probe_custom.chosen(via, versions) for via in ("each", "old", "new")] == [each, old, new]


def test_a_peer_is_named_only_where_it_is_the_only_one():
    probe = probe_custom.read(options(path="/apis/a/v1/b"))
    answer = probe_custom.Answer(probe, "cp1", status=200, verdict="passed", status_local=404, rerouted=1.0)
    resource = probe.resource()
    assert probe_custom.report(answer, resource, ["cp2"], "new_only")["served_by"] == ["cp2"]
    assert probe_custom.report(answer, resource, ["cp2", "cp3"], "new_only")["served_by"] == []
