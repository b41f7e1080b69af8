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
    excluded = _discovery.excluded_by_crds(
        {"items": [{"spec": {"group": "certificates.k8s.io", "versions": [{"name": "v9", "served": True}]}}]}
    )
    found = _discovery.differences(views, excluded)
    assert [str(difference.resource) for difference in found] == NEW_IN_1_37


def test_an_excluded_group_version_is_neither_different_nor_missing(views):
    excluded = {_discovery.GroupVersion("certificates.k8s.io", "v1")}
    alone = {**views, "old": _discovery.ServerView(views["old"].own, views["old"].own)}
    assert [str(difference.resource) for difference in _discovery.differences(views, excluded)] == NEW_IN_1_37[2:]
    assert [str(resource) for resource in _discovery.missing(alone, excluded)["old"]] == NEW_IN_1_37[2:]


def test_crds_exclude_each_version_served_or_not():
    versions = [{"name": "v1", "served": True}, {"name": "v1beta1", "served": False}]
    assert _discovery.excluded_by_crds({"items": [{"spec": {"group": "example.org", "versions": versions}}]}) == {
        _discovery.GroupVersion("example.org", "v1"),
        _discovery.GroupVersion("example.org", "v1beta1"),
    }


def test_only_apiservices_with_a_service_exclude():
    document = {
        "items": [
            {"spec": {"group": "apps", "version": "v1"}},
            {"spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"name": "metrics"}}},
        ]
    }
    assert _discovery.excluded_by_apiservices(document) == {_discovery.GroupVersion("metrics.k8s.io", "v1beta1")}
