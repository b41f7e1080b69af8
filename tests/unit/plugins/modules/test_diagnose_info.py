# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api
from ansible_collections.mixedversion.kubernetes.plugins.modules import diagnose_info

#: As kube-apiserver writes them when it starts (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).
BINDING = {
    "metadata": {"name": "system:discovery"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:discovery"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}],
}
URLS = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/readyz", "/version"]
ROLE = {"metadata": {"name": "system:discovery"}, "rules": [{"nonResourceURLs": URLS, "verbs": ["get"]}]}


def condition(kind, status, **more):
    return {"metadata": {"name": "x"}, "status": {"conditions": [{"type": kind, "status": status, **more}]}}


def test_conditions():
    documents = [
        condition("Established", "True"),
        condition("Established", "False", reason="NotAccepted", message="not all names are accepted"),
        condition("Established", "Unknown"),
        {"metadata": {"name": "new"}, "status": {}},
    ]
    assert diagnose_info.lacking({"items": documents}, "Established") == [
        {"name": "x", "words": "NotAccepted: not all names are accepted"},
        {"name": "x", "words": "Established is Unknown"},
        {"name": "new", "words": "it has no condition Established yet"},
    ]
    assert diagnose_info.lacking({"items": None}, "Established") == []


def altered(document, **changes):
    return {**copy.deepcopy(document), **changes}


@pytest.mark.parametrize(
    ("binding", "role", "words"),
    [
        (BINDING, ROLE, ""),
        (None, ROLE, "there is no ClusterRoleBinding system:discovery"),
        (altered(BINDING, subjects=[]), ROLE, "is for nobody, not for system:authenticated"),
        (altered(BINDING, subjects=[{"name": "me"}]), ROLE, "is for me, not for system:authenticated"),
        (altered(BINDING, roleRef={"name": "view"}), ROLE, "gives the role view"),
        (BINDING, None, "there is no ClusterRole system:discovery"),
        (BINDING, altered(ROLE, rules=[]), "does not allow get of /api and /apis"),
        (
            BINDING,
            altered(ROLE, rules=[{"nonResourceURLs": ["/api"], "verbs": ["get"]}]),
            "does not allow get of /apis",
        ),
        (BINDING, altered(ROLE, rules=[{"nonResourceURLs": ["*"], "verbs": ["*"]}]), ""),
    ],
)
def test_the_binding_for_discovery(binding, role, words):
    told = diagnose_info.binding_words(binding, role)
    assert told.endswith(words) and bool(told) == bool(words)


class Listing:
    name = "cp1"

    def __init__(self, document, date, status=200):
        self.answer = _api.Answer(status, json.dumps(document).encode(), {"Date": date})

    def request(self, method, path):
        return self.answer


def test_leases_are_as_old_as_the_servers_clock_says(recorded):
    """Recorded: renewed at 02:29:38 and 02:29:32."""
    found = diagnose_info.read_leases(Listing(recorded("leases.json"), "Tue, 24 Nov 2026 02:30:12 GMT"))
    ages = {lease["hostname"]: round(lease["age_seconds"]) for lease in found}
    assert (ages["cp3"], ages["cp2"]) == (34, 40)
    assert found[0]["address"] == "10.89.0.13:6443"
    assert round(found[0]["started_seconds"]) == 55


def test_leases_that_may_not_be_listed():
    with pytest.raises(_api.ApiError, match="403: no right"):
        diagnose_info.read_leases(Listing({"message": "no right"}, "", 403))


def reading(params=None):
    class NoCluster:
        endpoint = None

    return diagnose_info.Reading(
        NoCluster(), {"proxies": [], "nodes": [], "patience": 0.0, "interval": 0.0, **(params or {})}
    )


def test_one_part_that_can_not_be_read_hides_no_other():
    found = reading()

    def refused():
        raise _api.ApiError("cp1", "/x", 403, "no right")

    assert found.part("crds", refused, ["otherwise"]) == ["otherwise"]
    assert found.part("leases", lambda: ["a"], []) == ["a"]
    assert found.errors == {"crds": "cp1: /x answered 403: no right"}
    # What could be read at last is not told as an error.
    found.part("crds", lambda: [], [])
    assert found.errors == {}


def test_only_servers_that_answered_are_asked_again():
    proxies = [{"name": "cp1", "address": "a:1", "error": ""}, {"name": "cp2", "address": "b:1", "error": "refused"}]

    class Cluster:
        endpoint = None

        def server(self, target):
            return target

    found = diagnose_info.Reading(Cluster(), {"proxies": proxies, "nodes": []})
    assert list(found.targets) == ["cp1"]
