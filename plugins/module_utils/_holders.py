# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Changing an identity Lease's holder, and taking the change back.

A server fetches its peers' discovery when a Lease comes, goes, or gets another ``spec.holderIdentity``, and at no
other time (k8s.io/apiserver ``pkg/util/peerproxy/peerproxy.go``). So a change of the holder makes every server but the
Lease's owner fetch from all of its peers. The owner goes on renewing and leaves the holder as it is.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _leases

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
