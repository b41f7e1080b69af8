# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often what is asked, and whether what changed is seen, with recorded answers."""

from __future__ import annotations

import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _discovery, _registrations, _views

DATE = {"Date": "Tue, 24 Nov 2026 06:00:00 GMT"}


class Server:
    """Answers what was recorded; ``changed`` once more in full after the first time, ``crds`` as they are now."""

    def __init__(self, recorded):
        self.name = "cp1"
        self.documents = {
            _discovery.ACCEPT_NOPEER: recorded("apis-v1.37.2-nopeer.json"),
            _discovery.ACCEPT_MERGED: recorded("apis-v1.37.2-merged.json"),
        }
        self.leases = recorded("leases.json")
        self.crds = recorded("crds-v1.37.2.json")
        self.changed = True
        self.asked = []

    def get_cached(self, dummy_path, accept):
        changed, self.changed = self.changed, self.changed and accept == _discovery.ACCEPT_NOPEER
        return _api.Answer(200, json.dumps(self.documents[accept]).encode(), {}), changed

    def request(self, dummy_method, path, headers):
        self.asked.append(path)
        document = {_registrations.CRDS: self.crds, _registrations.APISERVICES: {"items": []}}.get(path, self.leases)
        return _api.Answer(200, json.dumps(document).encode(), DATE)

    def get(self, path):
        self.asked.append(f"whole {path}")
        return self.crds if path == _registrations.CRDS else {"items": []}

    def lists(self):
        """How often the CRDs' metadata, and then the CRDs, were listed since the last time."""
        found = (self.asked.count(_registrations.CRDS), self.asked.count(f"whole {_registrations.CRDS}"))
        self.asked.clear()
        return found


@pytest.fixture
def server(recorded):
    return Server(recorded)


@pytest.fixture
def reader(server):
    return _views.Reader({"cp1": server})


def test_what_is_registered_is_listed_once_while_no_discovery_changes(server, reader):
    names = {crd.name for crd in reader.look().registered.crds}
    assert (len(names), server.lists()) == (3, (1, 1))
    for dummy in range(3):
        assert {crd.name for crd in reader.look().registered.crds} == names
    assert server.lists() == (0, 0)


def test_a_crd_that_is_gone_is_seen_with_the_change_of_discovery(server, reader):
    reader.look()
    gone = server.crds["items"].pop()["metadata"]["name"]
    server.changed = True
    assert gone not in {crd.name for crd in reader.look().registered.crds}
    assert server.lists() == (2, 2)


def test_a_crd_that_nobody_serves_is_seen_after_a_while(server, reader, monkeypatch):
    reader.look()
    gone = server.crds["items"].pop()["metadata"]["name"]
    monkeypatch.setattr(_views, "_REGISTERED_FRESH", -1.0)
    assert gone not in {crd.name for crd in reader.look().registered.crds}


def test_leases_are_read_at_each_look(server, reader):
    assert len(reader.look().leases) == 3
    server.leases["items"].pop()
    assert len(reader.look().leases) == 2
