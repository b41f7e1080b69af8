# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Aggregated discovery of ``/apis`` as sets, compared the way the servers themselves compare it.

Sources: KEP-4020; k8s.io/apiserver ``pkg/endpoints/discovery/aggregated`` (profiles, merging),
``pkg/util/peerproxy/gv_exclusion_manager.go`` (what is never proxied).
"""

from __future__ import annotations

import dataclasses
import typing as t

ACCEPT_MERGED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
ACCEPT_NOPEER = ACCEPT_MERGED + ";profile=nopeer"


class GroupVersion(t.NamedTuple):
    """A group-version under ``/apis``."""

    group: str
    version: str

    def __str__(self) -> str:
        return f"{self.group}/{self.version}"


class Resource(t.NamedTuple):
    """A group/version/resource: what the proxy routes by."""

    group: str
    version: str
    resource: str

    def __str__(self) -> str:
        return f"{self.group}/{self.version}/{self.resource}"

    @property
    def group_version(self) -> GroupVersion:
        return GroupVersion(self.group, self.version)

    @property
    def path(self) -> str:
        """The path that lists it over all namespaces."""
        return f"/apis/{self.group}/{self.version}/{self.resource}"


# What one server's document says: each resource with the verbs it offers.
Resources = dict[Resource, frozenset[str]]


def parse(document: t.Mapping[str, t.Any]) -> Resources:
    """Read an ``APIGroupDiscoveryList``; a :class:`ValueError` says what was answered instead."""
    if document.get("kind") != "APIGroupDiscoveryList":
        raise ValueError(f"expected an APIGroupDiscoveryList, got {document.get('kind') or 'no kind at all'}")
    found: Resources = {}
    for item in document.get("items") or []:
        group = item["metadata"]["name"]
        for version in item.get("versions") or []:
            for resource in version.get("resources") or []:
                key = Resource(group, version["version"], resource["resource"])
                found[key] = frozenset(resource.get("verbs") or [])
    return found


def excluded_by_crds(document: t.Mapping[str, t.Any]) -> set[GroupVersion]:
    """Every group-version of a CustomResourceDefinitionList, served or not: the servers ask no further either."""
    return {
        GroupVersion(item["spec"]["group"], version["name"])
        for item in document.get("items") or []
        for version in item["spec"].get("versions") or []
    }


def excluded_by_apiservices(document: t.Mapping[str, t.Any]) -> set[GroupVersion]:
    """The group-versions of an APIServiceList that an aggregated API server serves (``spec.service`` is set)."""
    return {
        GroupVersion(item["spec"].get("group", ""), item["spec"].get("version", ""))
        for item in document.get("items") or []
        if item["spec"].get("service")
    }


@dataclasses.dataclass(frozen=True)
class ServerView:
    """One server's two answers: what it serves itself, and what it says that the cluster serves."""

    own: Resources
    merged: Resources


@dataclasses.dataclass(frozen=True)
class Difference:
    """A resource that some servers have (``capable``) and the others lack (``lacking``)."""

    resource: Resource
    verbs: frozenset[str]
    capable: tuple[str, ...]
    lacking: tuple[str, ...]

    @property
    def listable(self) -> bool:
        return "list" in self.verbs


def without(resources: Resources, excluded: t.AbstractSet[GroupVersion]) -> Resources:
    """*resources* less everything in a group-version that is never proxied."""
    return {key: verbs for key, verbs in resources.items() if key.group_version not in excluded}


def missing(views: t.Mapping[str, ServerView], excluded: t.AbstractSet[GroupVersion]) -> dict[str, list[Resource]]:
    """What each server's merged discovery lacks of the union of all servers' own; empty lists mean convergence."""
    union: set[Resource] = set()
    for view in views.values():
        union.update(without(view.own, excluded))
    return {name: sorted(union.difference(view.merged)) for name, view in views.items()}


def differences(views: t.Mapping[str, ServerView], excluded: t.AbstractSet[GroupVersion]) -> list[Difference]:
    """Every resource that at least one server serves itself and at least one other does not."""
    verbs: dict[Resource, frozenset[str]] = {}
    for view in views.values():
        for key, offered in without(view.own, excluded).items():
            verbs[key] = verbs.get(key, frozenset()) | offered
    result = []
    for key in sorted(verbs):
        capable = tuple(name for name, view in views.items() if key in view.own)
        lacking = tuple(name for name, view in views.items() if key not in view.own)
        if lacking:
            result.append(Difference(key, verbs[key], capable, lacking))
    return result
