# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What all servers say they serve, read at one moment, over connections that stay open from look to look."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _discovery, _leases

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


@dataclasses.dataclass(frozen=True)
class Look:
    """One moment: the servers' views, what is never proxied, which Leases there are, and who could not be asked."""

    views: t.Mapping[str, _discovery.ServerView]
    excluded: frozenset[_discovery.GroupVersion]
    leases: tuple[_leases.Lease, ...]
    errors: t.Mapping[str, _api.ApiError]


class Reader:
    """Reads again and again; a document that did not change is answered by 304 and not parsed twice."""

    def __init__(self, servers: t.Mapping[str, _api.Server]) -> None:
        self.servers = servers
        self._views: dict[str, _discovery.ServerView] = {}
        self._excluded: frozenset[_discovery.GroupVersion] = frozenset()

    def look(self) -> Look:
        answers = _api.at_once({name: self._of(name, server) for name, server in self.servers.items()})
        errors: dict[str, _api.ApiError] = {}
        changed = False
        for name, answer in answers.items():
            if isinstance(answer, _api.ApiError):
                errors[name] = answer
                self._views.pop(name, None)
            elif answer is not None:
                self._views[name] = answer
                changed = True
        asked = next((server for name, server in self.servers.items() if name not in errors), None)
        leases: tuple[_leases.Lease, ...] = ()
        if asked is not None:
            try:
                # A CRD or an APIService that comes or goes shows in discovery, so its ETag says when to ask again.
                if changed:
                    self._excluded = self._exclusions(asked)
                leases = tuple(_leases.parse_list(asked.get(f"{_leases.LIST_PATH}?{_leases.LIST_QUERY}")))
            except _api.ApiError as error:
                errors[asked.name] = error
        return Look(dict(self._views), self._excluded, leases, errors)

    def _of(self, name: str, server: _api.Server) -> t.Callable[[], _discovery.ServerView | None]:
        def read() -> _discovery.ServerView | None:
            own, own_changed = server.get_cached("/apis", _discovery.ACCEPT_NOPEER)
            merged, merged_changed = server.get_cached("/apis", _discovery.ACCEPT_MERGED)
            if name in self._views and not own_changed and not merged_changed:
                return None
            return _discovery.ServerView(_parse(server, own), _parse(server, merged))

        return read

    @staticmethod
    def _exclusions(server: _api.Server) -> frozenset[_discovery.GroupVersion]:
        crds = _discovery.excluded_by_crds(server.get(_CRDS))
        return frozenset(crds | _discovery.excluded_by_apiservices(server.get(_APISERVICES)))


def _parse(server: _api.Server, answer: _api.Answer) -> _discovery.Resources:
    try:
        return _discovery.parse(answer.json())
    except (ValueError, KeyError, TypeError) as error:
        raise _api.ApiError(
            server.name, "/apis", answer.status, f"aggregated discovery can't be read: {error}"
        ) from error
