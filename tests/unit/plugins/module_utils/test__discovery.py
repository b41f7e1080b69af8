# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _discovery

NEW_IN_1_37 = [
    "certificates.k8s.io/v1/clustertrustbundles",
    "certificates.k8s.io/v1/podcertificaterequests",
    "resource.k8s.io/v1/devicetaintrules",
    "storagemigration.k8s.io/v1/storageversionmigrations",
]


@pytest.fixture
def views(recorded):
    return {
        name: _discovery.ServerView(
            _discovery.parse(recorded(f"apis-{version}-nopeer.json")),
            _discovery.parse(recorded(f"apis-{version}-merged.json")),
        )
        for name, version in (("old", "v1.36.4"), ("new", "v1.37.2"))
    }


def test_parse_reads_resources_and_verbs(recorded):
    found = _discovery.parse(recorded("apis-v1.36.4-nopeer.json"))
    assert {"list", "create"} <= found[_discovery.Resource("apps", "v1", "deployments")]


def test_parse_refuses_another_document():
    with pytest.raises(ValueError, match="got APIGroupList"):
        _discovery.parse({"kind": "APIGroupList"})
    with pytest.raises(ValueError, match="no kind at all"):
        _discovery.parse({})


def test_the_core_group_has_no_name():
    # As /api has it.
    resource = {"resource": "pods", "scope": "Namespaced", "responseKind": {"kind": "Pod"}, "verbs": ["list"]}
    items = [{"metadata": {}, "versions": [{"version": "v1", "resources": [resource]}]}]
    document = {"kind": "APIGroupDiscoveryList", "items": items}
    pods = _discovery.Resource("", "v1", "pods")
    assert _discovery.parse(document) == {pods: frozenset(["list"])}
    assert _discovery.parse_kinds(document) == {pods: _discovery.Kind("Pod", True)}
    assert _discovery.parse_freshness(document) == {pods.group_version: "Current"}


def test_differences_are_the_four_known_ones(views):
    found = _discovery.differences(views, frozenset())
    assert [str(difference.resource) for difference in found] == NEW_IN_1_37
    assert {(difference.capable, difference.lacking) for difference in found} == {(("new",), ("old",))}
    assert all(difference.listable for difference in found)


def test_converged_servers_miss_nothing(views):
    assert _discovery.missing(views, frozenset()) == {"old": [], "new": []}


def test_a_merged_answer_without_the_peers_is_missing_them(views):
    alone = {**views, "old": _discovery.ServerView(views["old"].own, views["old"].own)}
    found = _discovery.missing(alone, frozenset())
    assert [str(resource) for resource in found["old"]] == NEW_IN_1_37
    assert found["new"] == []


def test_a_crd_in_a_built_in_group_does_not_hide_the_group(views):
    found = _discovery.differences(views, {_discovery.GroupVersion("certificates.k8s.io", "v9")})
    assert [str(difference.resource) for difference in found] == NEW_IN_1_37


def test_what_an_exclusion_hides_is_found_unless_explained(views):
    excluded = {_discovery.GroupVersion("certificates.k8s.io", "v1")}
    found = _discovery.hidden(views, excluded, lambda resource: resource.resource == "clustertrustbundles")
    assert [str(difference.resource) for difference in found] == NEW_IN_1_37[1:2]
    assert _discovery.hidden(views, frozenset(), lambda resource: False) == []


def test_what_no_server_serves_is_surplus(views):
    only_old = {"old": views["old"]}
    assert [str(resource) for resource in _discovery.surplus(only_old, frozenset())["old"]] == NEW_IN_1_37
    excluded = {_discovery.GroupVersion("certificates.k8s.io", "v1")}
    assert [str(resource) for resource in _discovery.surplus(only_old, excluded)["old"]] == NEW_IN_1_37[2:]
    assert _discovery.surplus(views, frozenset()) == {"old": [], "new": []}


def test_an_excluded_group_version_is_neither_different_nor_missing(views):
    excluded = {_discovery.GroupVersion("certificates.k8s.io", "v1")}
    alone = {**views, "old": _discovery.ServerView(views["old"].own, views["old"].own)}
    assert [str(difference.resource) for difference in _discovery.differences(views, excluded)] == NEW_IN_1_37[2:]
    assert [str(resource) for resource in _discovery.missing(alone, excluded)["old"]] == NEW_IN_1_37[2:]
