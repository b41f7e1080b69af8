# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Streams of watch events, and the little of the past that a server's watch cache still knows.

Source: k8s.io/apiserver ``pkg/storage/cacher/watch_cache.go`` (``getAllEventsSinceLocked``).
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api

Event = dict[str, t.Any]

#: A watch whose end the server sets itself, so that the whole stream can be read.
SECONDS = 1
#: What a server answers to a watch from before its memory; in brackets where its memory begins.
_TOO_OLD = re.compile(r"too old resource version: \d+ \((\d+)\)")


def parse(body: bytes) -> list[Event]:
    """The events of a stream read to its end, none if it was silent; a :class:`ValueError` if it is no such stream."""
    events = []
    for line in body.splitlines():
        if not line.strip():
            continue
        event = json.loads(line)
        if not isinstance(event, dict) or not isinstance(event.get("type"), str) or "object" not in event:
            raise ValueError(f"expected a watch event, got {line[:80]!r}")
        events.append(event)
    return events


def error(events: t.Sequence[Event]) -> str:
    """What an event of the type ERROR says; empty if there is none."""
    for event in events:
        if event["type"] == "ERROR":
            return str(event["object"].get("message") or event["object"])
    return ""


def history(server: _api.Server, path: str) -> list[Event]:
    """The events of *path* that the server's watch cache still holds, oldest first.

    It holds those since the server started, but of a kind that changes much only the last hundred or so. The first
    request asks from the beginning of all time and is told where the memory begins; the second asks from there.
    """
    start = 1
    for dummy in range(2):
        query = f"{path}?watch=true&resourceVersion={start}&timeoutSeconds={SECONDS}"
        answer = server.request("GET", query)
        if answer.status != 200:
            raise _api.ApiError(server.name, path, answer.status, answer.words)
        try:
            events = parse(answer.body)
        except ValueError as malformed:
            raise _api.ApiError(server.name, path, answer.status, str(malformed)) from malformed
        too_old = _TOO_OLD.search(error(events))
        if not too_old:
            break
        start = int(too_old[1])
    return [event for event in events if event["type"] in ("ADDED", "MODIFIED", "DELETED")]
