# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What all servers say they serve, read at one moment, over connections that stay open from look to look.

What can be seen of the exclusions: every CRD and APIService there is now, as all servers share them. What cannot: a
group-version whose last CRD or APIService went within the last five minutes, which each server goes on leaving out for
that long, from its own memory. Nothing lists it. But the server learnt of the deletion from its own watch cache, and
that cache answers what it still holds (:meth:`Reader.deletions`): with the time for a CRD, without it for an
APIService; nothing from before the server's last start, which the server itself does not remember either; and of a
cluster that changes its CRDs a hundred times in five minutes, only the last hundred changes.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import math
import time
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _leases,
    _registrations,
    _watch,
)

_LEASES = f"{_leases.LIST_PATH}?{_leases.LIST_QUERY}"
_ACCEPT_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
#: Long enough for a server that answers at all, short enough to ask again and again one that is gone.
_ADDRESS_TIMEOUT = 2.0
#: Seconds for which the registrations are taken as they were, if no server's discovery has changed: the metadata of
#: thousands of CRDs weighs megabytes, and what makes a difference to proxying shows in some server's discovery.
_REGISTERED_FRESH = 2.0

Deletions = t.Mapping[str, t.Sequence[_registrations.Deletion]]


@dataclasses.dataclass(frozen=True)
class StaleLease:
    """A Lease that its owner does not renew. ``age_seconds`` is infinite if it never did.

    ``answers`` is None if its address was not tried. ``taken_by`` is the host name of a server that does renew its
    Lease, at the same address.
    """

    lease: _leases.Lease
    age_seconds: float
    answers: bool | None
    taken_by: str = ""

    @property
    def dead(self) -> bool:
        """Whether its server is gone, and not only slow to renew."""
        return self.answers is False or bool(self.taken_by)

    def __str__(self) -> str:
        name = self.lease.hostname or self.lease.name
        if self.taken_by:
            why = f"its address {self.lease.address} is now that of {self.taken_by}"
        elif self.answers is None:
            why = f"its address {self.lease.address or 'is not told, and'} was not tried"
        else:
            why = f"{self.lease.address} {'still answers' if self.answers else 'does not answer'}"
        # The moment, not the age: these words are shown anew whenever they change.
        renewed = (
            f"last renewed at {self.lease.renewed:%Y-%m-%d %H:%M:%S} UTC" if self.lease.renewed else "never renewed"
        )
        return f"the Lease of {name} was {renewed}, and {why}"

    def dump(self) -> dict[str, t.Any]:
        return {
            "lease": self.lease.name,
            "hostname": self.lease.hostname,
            "address": self.lease.address,
            "age_seconds": round(self.age_seconds, 3) if math.isfinite(self.age_seconds) else None,
            "answers": self.answers,
            "taken_by": self.taken_by,
            "dead": self.dead,
        }


@dataclasses.dataclass(frozen=True)
class Look:
    """One moment: the servers' views, what is never proxied, which Leases there are, and who could not be asked.

    ``now`` is the time by the clock of the server that listed the Leases; None if none could.
    """

    views: t.Mapping[str, _discovery.ServerView]
    excluded: frozenset[_discovery.GroupVersion]
    leases: tuple[_leases.Lease, ...]
    errors: t.Mapping[str, _api.ApiError]
    registered: _registrations.Registered = dataclasses.field(default_factory=_registrations.Registered)
    stale: tuple[StaleLease, ...] = ()
    now: datetime.datetime | None = None


class Reader:
    """Reads again and again; a document that did not change is answered by 304 and not parsed twice.

    With *cluster*, the address of a Lease that is not renewed is tried.
    """

    def __init__(self, servers: t.Mapping[str, _api.Server], cluster: _api.Cluster | None = None) -> None:
        self.servers = servers
        self._cluster = cluster
        self._views: dict[str, _discovery.ServerView] = {}
        self._registered = _registrations.Registered()
        self._known: tuple[dict[str, str], dict[str, str]] | None = None
        self._listed = -math.inf

    def look(self) -> Look:
        answers = _api.at_once({name: self._of(name, server) for name, server in self.servers.items()})
        errors: dict[str, _api.ApiError] = {}
        for name, answer in answers.items():
            if isinstance(answer, _api.ApiError):
                errors[name] = answer
                self._views.pop(name, None)
            elif answer is not None:
                self._views[name] = answer
                self._listed = -math.inf
        asked = next((server for name, server in self.servers.items() if name not in errors), None)
        leases: tuple[_leases.Lease, ...] = ()
        stale: tuple[StaleLease, ...] = ()
        now = None
        if asked is not None:
            try:
                leases, now = self._shared(asked)
                stale = self._stale(leases, now)
            except _api.ApiError as error:
                errors[asked.name] = error
        return Look(dict(self._views), self._registered.excluded, leases, errors, self._registered, stale, now)

    def deletions(self, names: t.Iterable[str]) -> Deletions:
        """For each server named: the group-versions it may leave out though nothing holds them now.

        A server that can't be asked, or that the caller may not watch, has none.
        """
        paths = (_registrations.CRDS, _registrations.APISERVICES)
        names = list(names)
        answers = _api.at_once(
            {
                f"{name} {path}": functools.partial(_watch.history, self.servers[name], path)
                for name in names
                for path in paths
            }
        )
        found: dict[str, list[_registrations.Deletion]] = {}
        for name in names:
            crds, apiservices = (
                [] if isinstance(answer, _api.ApiError) else answer
                for answer in (answers[f"{name} {path}"] for path in paths)
            )
            found[name] = _registrations.deletions(crds, apiservices, self._registered.excluded)
        return found

    def _of(self, name: str, server: _api.Server) -> t.Callable[[], _discovery.ServerView | None]:
        def read() -> _discovery.ServerView | None:
            own, own_changed = server.get_cached("/apis", _discovery.ACCEPT_NOPEER)
            merged, merged_changed = server.get_cached("/apis", _discovery.ACCEPT_MERGED)
            if name in self._views and not own_changed and not merged_changed:
                return None
            return _parse(server, own, merged)

        return read

    def _shared(self, server: _api.Server) -> tuple[tuple[_leases.Lease, ...], datetime.datetime]:
        """What lies in etcd and is the same whoever is asked: the Leases, and what is registered if it may be old.

        The metadata alone tells of a change, and a list of CRDs with their schemas may weigh tens of megabytes.
        """
        begun = time.monotonic()
        work = {"leases": functools.partial(_api.read, server, _LEASES)}
        if begun - self._listed > _REGISTERED_FRESH:
            work["crds"] = functools.partial(_api.read, server, _registrations.CRDS, _ACCEPT_METADATA)
            work["apiservices"] = functools.partial(_api.read, server, _registrations.APISERVICES, _ACCEPT_METADATA)
        answers = _api.at_once(work)
        for answer in answers.values():
            if isinstance(answer, _api.ApiError):
                raise answer
        got = t.cast("dict[str, _api.Answer]", answers)
        if "crds" in got:
            known = (_versions(got["crds"].json()), _versions(got["apiservices"].json()))
            if known != self._known:
                self._registered = _registrations.Registered(
                    _registrations.parse_crds(server.get(_registrations.CRDS)),
                    _registrations.parse_apiservices(server.get(_registrations.APISERVICES)),
                )
                self._known = known
            self._listed = begun
        leases = tuple(_leases.parse_list(got["leases"].json()))
        return leases, got["leases"].date

    def _stale(self, leases: t.Sequence[_leases.Lease], now: datetime.datetime) -> tuple[StaleLease, ...]:
        fresh = {lease.address: lease for lease in leases if lease.age_seconds(now) <= _leases.FRESH_SECONDS}
        found = []
        for lease in leases:
            age = lease.age_seconds(now)
            if age > _leases.FRESH_SECONDS:
                taken = fresh.get(lease.address) if lease.address else None
                found.append(StaleLease(lease, age, self._answers(lease), taken.hostname if taken else ""))
        return tuple(found)

    def _answers(self, lease: _leases.Lease) -> bool | None:
        if self._cluster is None or not lease.address:
            return None
        try:
            self._cluster.server(_api.Target(lease.hostname or lease.name, lease.address)).request(
                "GET", "/version", timeout=_ADDRESS_TIMEOUT
            )
        except _api.ApiError:
            return False
        return True


def _versions(document: t.Mapping[str, t.Any]) -> dict[str, str]:
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in document.get("items") or []}


def _parse(server: _api.Server, own: _api.Answer, merged: _api.Answer) -> _discovery.ServerView:
    try:
        document = own.json()
        return _discovery.ServerView(
            _discovery.parse(document),
            _discovery.parse(merged.json()),
            _discovery.parse_kinds(document),
            _discovery.parse_freshness(document),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _api.ApiError(server.name, "/apis", own.status, f"aggregated discovery can't be read: {error}") from error
