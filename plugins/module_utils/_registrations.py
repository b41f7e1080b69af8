# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What CRDs and aggregated API servers serve: never proxied, so compared by registration and condition.

Both kinds of object lie in etcd, so every server sees the same ones with the same conditions. Whether a server acts on
them is its own affair: its own discovery shows the resources of a CRD once its handlers are there, and shows the
group-version of an APIService as current only while it reaches the server behind it itself.

Sources: k8s.io/kubernetes ``pkg/controlplane/apiserver/aggregator.go`` (``crdExtractor``, ``apiServiceExtractor``),
k8s.io/apiextensions-apiserver ``pkg/apiserver/customresource_discovery_controller.go``, k8s.io/kube-aggregator
``pkg/apiserver/handler_discovery.go`` (freshness), k8s.io/apiserver ``pkg/util/peerproxy/gv_exclusion_manager.go``.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _discovery, _leases

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
#: How long a server goes on leaving a group-version out after its last CRD or APIService is gone.
GRACE = datetime.timedelta(minutes=5)

CRD = "CustomResourceDefinition"
APISERVICE = "APIService"
#: The condition of ours beside the objects' own: a server shows in its own discovery what is registered.
SERVED = "Served"


@dataclasses.dataclass(frozen=True)
class Condition:
    """One of an object's own conditions."""

    status: str
    reason: str = ""
    message: str = ""

    @property
    def words(self) -> str:
        return f"{self.status}" + (f" ({self.reason}: {self.message})" if self.reason or self.message else "")


@dataclasses.dataclass(frozen=True)
class Crd:
    """A CustomResourceDefinition: each version, and whether it shall be served."""

    name: str
    group: str
    plural: str
    versions: t.Mapping[str, bool]
    conditions: t.Mapping[str, Condition]

    @property
    def group_versions(self) -> set[_discovery.GroupVersion]:
        return {_discovery.GroupVersion(self.group, version) for version in self.versions}


@dataclasses.dataclass(frozen=True)
class ApiService:
    """An APIService; ``service`` is ``namespace/name`` of an aggregated one, empty for what the server has itself."""

    name: str
    group_version: _discovery.GroupVersion
    service: str
    conditions: t.Mapping[str, Condition]


@dataclasses.dataclass(frozen=True)
class Registered:
    """All CRDs, and the APIServices with a service, at one moment."""

    crds: tuple[Crd, ...] = ()
    apiservices: tuple[ApiService, ...] = ()

    @property
    def excluded(self) -> frozenset[_discovery.GroupVersion]:
        """The group-versions that no server proxies, or takes from a peer's discovery, because of these."""
        found = {service.group_version for service in self.apiservices}
        for crd in self.crds:
            found |= crd.group_versions
        return frozenset(found)

    def holders(self, group_version: _discovery.GroupVersion) -> str:
        """By which objects a group-version is held, in words; empty if by none."""
        crds = [f"the CRD {crd.name}" for crd in self.crds if group_version in crd.group_versions]
        services = [
            f"the APIService {service.name}" for service in self.apiservices if service.group_version == group_version
        ]
        return " and ".join(crds + services)

    def explains(self, resource: _discovery.Resource) -> bool:
        """Whether it is one of these that serves *resource*, and not a server by itself in the same group-version."""
        if any(service.group_version == resource.group_version for service in self.apiservices):
            return True
        return any(
            resource.group_version in crd.group_versions and resource.resource == crd.plural for crd in self.crds
        )


@dataclasses.dataclass(frozen=True)
class Trouble:
    """A registration that does not hold: which condition, and for which servers it was seen not to."""

    kind: str
    name: str
    condition: str
    servers: tuple[str, ...]
    message: str

    @property
    def settles(self) -> bool:
        """Whether a server may just be some seconds behind."""
        return self.condition == SERVED

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.message}"

    def dump(self) -> dict[str, t.Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "condition": self.condition,
            "servers": list(self.servers),
            "message": self.message,
        }


@dataclasses.dataclass(frozen=True)
class Deletion:
    """A group-version that its last CRD or APIService left; ``at`` is None where nothing tells when."""

    group_version: _discovery.GroupVersion
    what: str
    at: datetime.datetime | None

    def over(self, now: datetime.datetime | None) -> bool:
        """Whether the servers' grace period is certainly over."""
        return self.at is not None and now is not None and now > self.at + GRACE

    def __str__(self) -> str:
        if self.at is None:
            until = "for 5 minutes after that; nothing tells when it was"
        else:
            until = f"until {(self.at + GRACE).strftime('%H:%M:%S')} UTC, 5 minutes after that"
        return f"{self.group_version} is left out of proxying since {self.what}, {until}"


def _conditions(item: t.Mapping[str, t.Any]) -> dict[str, Condition]:
    return {
        condition["type"]: Condition(
            condition.get("status", ""), condition.get("reason") or "", condition.get("message") or ""
        )
        for condition in (item.get("status") or {}).get("conditions") or []
    }


def parse_crds(document: t.Mapping[str, t.Any]) -> tuple[Crd, ...]:
    """Read a CustomResourceDefinitionList."""
    return tuple(_crd(item) for item in document.get("items") or [])


def _crd(item: t.Mapping[str, t.Any]) -> Crd:
    spec = item["spec"]
    return Crd(
        name=item["metadata"]["name"],
        group=spec["group"],
        plural=spec["names"]["plural"],
        versions={version["name"]: bool(version.get("served")) for version in spec.get("versions") or []},
        conditions=_conditions(item),
    )


def parse_apiservices(document: t.Mapping[str, t.Any]) -> tuple[ApiService, ...]:
    """Read an APIServiceList; those that a server answers itself are left out."""
    return tuple(_apiservice(item) for item in document.get("items") or [] if item["spec"].get("service"))


def _apiservice(item: t.Mapping[str, t.Any]) -> ApiService:
    spec = item["spec"]
    service = spec.get("service") or {}
    return ApiService(
        name=item["metadata"]["name"],
        group_version=_discovery.GroupVersion(spec.get("group", ""), spec.get("version", "")),
        service=f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "",
        conditions=_conditions(item),
    )


def troubles(registered: Registered, views: t.Mapping[str, _discovery.ServerView]) -> list[Trouble]:
    """Every registration that does not hold, by the objects' conditions and by each server's own discovery."""
    found: list[Trouble] = []
    for crd in registered.crds:
        found += _crd_troubles(crd, views)
    for service in registered.apiservices:
        found += _apiservice_troubles(service, views)
    return found


def _crd_troubles(crd: Crd, views: t.Mapping[str, _discovery.ServerView]) -> list[Trouble]:
    for kind in ("NamesAccepted", "Established"):
        condition = crd.conditions.get(kind, Condition("not set"))
        if condition.status != "True":
            return [Trouble(CRD, crd.name, kind, tuple(views), f"{kind} is {condition.words}")]
    found = []
    for version, served in crd.versions.items():
        resource = _discovery.Resource(crd.group, version, crd.plural)
        behind = tuple(name for name, view in views.items() if resource not in view.own)
        if served and behind:
            found.append(
                Trouble(CRD, crd.name, SERVED, behind, f"{version} is Established, but not served by {words(behind)}")
            )
    return found


def _apiservice_troubles(service: ApiService, views: t.Mapping[str, _discovery.ServerView]) -> list[Trouble]:
    behind = tuple(
        name
        for name, view in views.items()
        if view.freshness.get(service.group_version, "missing") != _discovery.CURRENT
    )
    condition = service.conditions.get("Available", Condition("not set"))
    if condition.status != "True":
        told = f"Available is {condition.words}"
        if behind:
            told += f"; {words(behind)} can't reach {service.service}"
        return [Trouble(APISERVICE, service.name, "Available", behind or tuple(views), told)]
    if behind:
        told = f"Available, but {words(behind)} can't reach {service.service}"
        return [Trouble(APISERVICE, service.name, SERVED, behind, told)]
    return []


def words(names: t.Sequence[str]) -> str:
    """``cp1``, ``cp1 and cp2``, ``cp1, cp2 and cp3``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def deletions(
    crd_events: t.Iterable[t.Mapping[str, t.Any]],
    apiservice_events: t.Iterable[t.Mapping[str, t.Any]],
    excluded: t.AbstractSet[_discovery.GroupVersion],
) -> list[Deletion]:
    """What the servers may still leave out though nothing holds it now: replayed from watch events, oldest first.

    A CRD tells when its deletion was asked for, and an update of an object when it was; an APIService that is gone
    tells nothing, as it goes without a trace in its last state.
    """
    found: dict[_discovery.GroupVersion, Deletion] = {}
    for label, events in (("CRD", crd_events), ("APIService", apiservice_events)):
        known: dict[str, set[_discovery.GroupVersion]] = {}
        for event in events:
            item = event["object"]
            name = item["metadata"]["name"]
            held = _held(label, item)
            left = held if event["type"] == "DELETED" else known.get(name, set()) - held
            known[name] = set() if event["type"] == "DELETED" else held
            for group_version in left:
                done = "was deleted" if event["type"] == "DELETED" else "dropped it"
                found[group_version] = Deletion(group_version, f"the {label} {name} {done}", _left_at(event))
    return [deletion for group_version, deletion in sorted(found.items()) if group_version not in excluded]


def _held(label: str, item: t.Mapping[str, t.Any]) -> set[_discovery.GroupVersion]:
    if label == "CRD":
        return _crd(item).group_versions
    service = _apiservice(item)
    return {service.group_version} if service.service else set()


def _left_at(event: t.Mapping[str, t.Any]) -> datetime.datetime | None:
    metadata = event["object"]["metadata"]
    if event["type"] == "DELETED":
        return _leases.parse_time(metadata.get("deletionTimestamp"))
    times = [entry["time"] for entry in metadata.get("managedFields") or [] if entry.get("time")]
    return _leases.parse_time(max(times)) if times else None
