# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Identity Leases as peers heed them: changing a holder and taking it back, and telling the living from the dead.

A server fetches its peers' discovery when a Lease comes, goes, or gets another ``spec.holderIdentity``, and at no
other time (k8s.io/apiserver ``pkg/util/peerproxy/peerproxy.go``). So a change of the holder makes every server but the
Lease's owner fetch from all of its peers. The owner goes on renewing and leaves the holder as it is.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import socket
import typing as t
import urllib.parse

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _discovery, _leases, _views

#: /api and /apis.
FETCHES_PER_PEER = 2
#: To an address that may be nobody's, seconds.
CONNECT_TIMEOUT = 3.0
#: (server, peer) and the resources that the peer serves itself and the server's merged discovery lacks.
Stale = dict[tuple[str, str], list[str]]

#: Appended to the holder, so that a change left behind by a killed run is recognised and taken back.
MARK = "_mixedversion"


def own(holder: str) -> str:
    """The holder as its server wrote it, without any mark of ours."""
    while holder.endswith(MARK):
        holder = holder[: -len(MARK)]
    return holder


def path(lease: str) -> str:
    """Where a Lease is read and written."""
    return f"{_leases.LIST_PATH}/{lease}"


def set_holder(server: _api.Server, lease: str, holder: str) -> None:
    """Write the holder alone; the rest of the Lease stays its owner's."""
    server.send("PATCH", path(lease), {"spec": {"holderIdentity": holder}}, content_type="application/merge-patch+json")


def take_back(server: _api.Server, lease: str) -> str:
    """The Lease's own holder; a mark that a killed run left behind is taken off first."""
    found = _leases.parse(server.get(path(lease))).holder
    holder = own(found)
    if found != holder:
        set_holder(server, lease, holder)
    return holder


@contextlib.contextmanager
def changed(server: _api.Server, lease: str) -> t.Iterator[str]:
    """The holder is another one inside of this block, and its own again after it, whatever happens."""
    holder = take_back(server, lease)
    try:
        set_holder(server, lease, holder + MARK)
        yield holder
    finally:
        set_holder(server, lease, holder)


def read_list(server: _api.Server) -> tuple[list[dict[str, t.Any]], datetime.datetime]:
    """Every identity Lease as an object, and the time by the server's own clock."""
    answer = server.request("GET", f"{_leases.LIST_PATH}?{_leases.LIST_QUERY}")
    if answer.status != 200:
        raise _api.ApiError(server.name, _leases.LIST_PATH, answer.status, answer.words)
    try:
        now = email.utils.parsedate_to_datetime(answer.headers.get("Date") or "")
    except (TypeError, ValueError):
        now = datetime.datetime.now(datetime.timezone.utc)
    return list(answer.json().get("items") or []), now


def knock(address: str) -> tuple[bool | None, str]:
    """Whether anything takes a connection at a Lease's address, and that in words."""
    parts = urllib.parse.urlsplit(f"//{address}")
    if not parts.hostname:
        return None, "it tells no address"
    try:
        socket.create_connection((parts.hostname, parts.port or 443), CONNECT_TIMEOUT).close()
    except OSError as error:
        return False, f"{address} does not answer: {error}"
    return True, f"something answers at {address}"


def stale(look: _views.Look) -> Stale:
    """For each server and peer: what the server ought to have learned of the peer, and has not."""
    found: Stale = {}
    for name, resources in _discovery.missing(look.views, look.excluded).items():
        for peer, view in look.views.items():
            of_peer = [str(resource) for resource in resources if resource in view.own]
            if peer != name and of_peer:
                found[name, peer] = of_peer
    return found
