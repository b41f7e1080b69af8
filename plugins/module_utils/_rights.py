# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Which right is missing, read from the words of a 403; and how long to doubt it.

Source: k8s.io/apiserver ``pkg/endpoints/handlers/responsewriters/errors.go`` (``forbiddenMessage``).
"""

from __future__ import annotations

import dataclasses
import re
import time
import typing as t

#: How long what usually settles by itself may take, in seconds: a server that starts answers 403 before it has read its
#: roles, and serves a CRD a moment after the others.
SETTLE = 10.0
#: Whom a server takes a caller for whose identity it could not establish.
ANONYMOUS = "system:anonymous"

_RESOURCE = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_PATH = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) path "(?P<path>[^"]*)"')


@dataclasses.dataclass(frozen=True)
class Right:
    """What a user may not do. Either ``resource`` (with ``group``, ``""`` being the core group) or ``path`` is set."""

    user: str
    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            what = self.path
        else:
            what = f"{self.resource} in the API group {self.group or 'core'}"
            if self.namespace:
                what += f" in the namespace {self.namespace}"
        return f"the right to {self.verb} {what} is missing for the user {self.user}"


def missing(words: str) -> Right | None:
    """The right that a 403 says is missing; None if it says something else, as an admission plug-in does."""
    found = _RESOURCE.search(words)
    if found:
        return Right(
            found["user"], found["verb"], found["group"], found["resource"], namespace=found["namespace"] or ""
        )
    found = _PATH.search(words)
    return Right(found["user"], found["verb"], path=found["path"]) if found else None


def explain(words: str) -> str:
    """The right that is missing, else the server's words as they came."""
    right = missing(words)
    return str(right) if right else f"forbidden: {words}"


class Patience:
    """Knows for how long a state has lasted that usually settles by itself, from one slice of a wait to the next.

    *memory* is what :attr:`memory` was in the slice before. Of a short *timeout* half is left to what settles.
    """

    def __init__(self, memory: t.Mapping[str, t.Any] | None, timeout: float) -> None:
        self._since: float | None = (memory or {}).get("since")
        self._seconds = min(SETTLE, timeout / 2)

    @property
    def memory(self) -> dict[str, t.Any]:
        return {"since": self._since}

    def over(self, settles: bool) -> bool:
        """Whether it is not worth waiting for, be it because nothing settles or because it has not for too long."""
        if not settles:
            self._since = None
            return True
        # A time of the host this runs on, as it has to outlive the process.
        self._since = self._since or time.time()
        return time.time() - self._since >= self._seconds
