# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _watch


def test_a_silent_stream_has_no_events():
    assert _watch.parse(b"") == []
    assert _watch.error([]) == ""


def test_events_come_one_a_line():
    body = b'{"type":"ADDED","object":{"kind":"Job"}}\n{"type":"BOOKMARK","object":{}}\n'
    assert [event["type"] for event in _watch.parse(body)] == ["ADDED", "BOOKMARK"]


@pytest.mark.parametrize(
    "body", [b'{"type":"ADDED","object":{', b"<html>", b'{"kind":"JobList","items":[]}\n', b"[]\n"]
)
def test_anything_else_is_no_stream(body):
    with pytest.raises(ValueError):
        _watch.parse(body)


def test_an_error_event_is_told():
    body = b'{"type":"ERROR","object":{"kind":"Status","message":"too old resource version: 1 (42)","code":410}}\n'
    assert _watch.error(_watch.parse(body)) == "too old resource version: 1 (42)"


def test_a_server_tells_where_its_memory_begins(recorded):
    told = _watch.error(_watch.parse(recorded("watch-too-old-v1.36.4.txt").encode()))
    assert _watch._TOO_OLD.search(told)[1] == "415"
