# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Aggregated discovery of ``/apis`` as sets, compared the way the servers themselves compare it.

Sources: KEP-4020; k8s.io/apiserver ``pkg/endpoints/discovery/aggregated`` (profiles, merging, freshness).
What is never proxied, hence *excluded* here, is told by ``_registrations``.
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

    def path_in(self, namespace: str) -> str:
        """The path that lists it in one namespace."""
        return f"/apis/{self.group}/{self.version}/namespaces/{namespace}/{self.resource}"


class Kind(t.NamedTuple):
    """What an object of a resource is called, and where it lives."""

    name: str
    namespaced: bool


# What one server's document says: each resource with the verbs it offers.
Resources = dict[Resource, frozenset[str]]
#: What a server says of a group-version that it knows to be up to date; the other word is ``Stale``.
CURRENT = "Current"


def parse(document: t.Mapping[str, t.Any]) -> Resources:
    """Read an ``APIGroupDiscoveryList``; a :class:`ValueError` says what was answered instead."""
    if document.get("kind") != "APIGroupDiscoveryList":
        raise ValueError(f"expected an APIGroupDiscoveryList, got {document.get('kind') or 'no kind at all'}")
    found: Resources = {}
    for item in document.get("items") or []:
        # The core group, under /api, has no name.
        group = item["metadata"].get("name", "")
        for version in item.get("versions") or []:
            for resource in version.get("resources") or []:
                key = Resource(group, version["version"], resource["resource"])
                found[key] = frozenset(resource.get("verbs") or [])
    return found


def parse_kinds(document: t.Mapping[str, t.Any]) -> dict[Resource, Kind]:
    """The kind of each resource of an ``APIGroupDiscoveryList``."""
    return {
        Resource(item["metadata"].get("name", ""), version["version"], resource["resource"]): Kind(
            (resource.get("responseKind") or {}).get("kind", ""), resource.get("scope") == "Namespaced"
        )
        for item in document.get("items") or []
        for version in item.get("versions") or []
        for resource in version.get("resources") or []
    }


def parse_freshness(document: t.Mapping[str, t.Any]) -> dict[GroupVersion, str]:
    """Each group-version of an ``APIGroupDiscoveryList``, those without resources included: Current or Stale."""
    return {
        GroupVersion(item["metadata"].get("name", ""), version["version"]): version.get("freshness") or CURRENT
        for item in document.get("items") or []
        for version in item.get("versions") or []
    }


@dataclasses.dataclass(frozen=True)
class ServerView:
    """One server's two answers: what it serves itself, and what it says that the cluster serves."""

    own: Resources
    merged: Resources
    kinds: t.Mapping[Resource, Kind] = dataclasses.field(default_factory=dict)
    freshness: t.Mapping[GroupVersion, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Difference:
    """A resource that some servers have (``capable``) and the others lack (``lacking``)."""

    resource: Resource
    verbs: frozenset[str]
    capable: tuple[str, ...]
    lacking: tuple[str, ...]
    kind: Kind | None = None

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


def surplus(views: t.Mapping[str, ServerView], excluded: t.AbstractSet[GroupVersion]) -> dict[str, list[Resource]]:
    """What each server's merged discovery has that no server serves itself: it remembers a peer as it was."""
    union = {resource for view in views.values() for resource in view.own}
    return {name: sorted(set(without(view.merged, excluded)) - union) for name, view in views.items()}


def differences(views: t.Mapping[str, ServerView], excluded: t.AbstractSet[GroupVersion]) -> list[Difference]:
    """Every resource that at least one server serves itself and at least one other does not."""
    return [difference for difference in _all_differences(views) if difference.resource.group_version not in excluded]


def hidden(
    views: t.Mapping[str, ServerView],
    excluded: t.AbstractSet[GroupVersion],
    explained: t.Callable[[Resource], bool],
) -> list[Difference]:
    """Differences in an excluded group-version that are not the CRD's or the aggregated server's own (*explained*).

    A server serves such a resource itself and another one lacks it, yet nothing will ever be proxied: the CRD that
    holds the group-version hides it. (A built-in resource under the very name of the CRD's can't be told from it.)
    """
    return [
        difference
        for difference in _all_differences(views)
        if difference.resource.group_version in excluded and not explained(difference.resource)
    ]


def some(resources: t.Sequence[str]) -> str:
    """The first two by name."""
    return f"{', '.join(resources[:2])}{', ...' if len(resources) > 2 else ''}"


def _all_differences(views: t.Mapping[str, ServerView]) -> list[Difference]:
    verbs: dict[Resource, frozenset[str]] = {}
    kinds: dict[Resource, Kind] = {}
    for view in views.values():
        kinds.update(view.kinds)
        for key, offered in view.own.items():
            verbs[key] = verbs.get(key, frozenset()) | offered
    result = []
    for key in sorted(verbs):
        capable = tuple(name for name, view in views.items() if key in view.own)
        lacking = tuple(name for name, view in views.items() if key not in view.own)
        if lacking:
            result.append(Difference(key, verbs[key], capable, lacking, kinds.get(key)))
    return result
