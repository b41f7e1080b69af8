# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import http.client
import json
import ssl

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd

pytestmark = pytest.mark.node

HOSTS = {"10.89.0.11": "cp1", "10.89.0.12": "cp2", "10.89.0.13": "cp3"}


@pytest.fixture
def down():
    """Names of the members that refuse connections."""
    return set()


@pytest.fixture
def cluster(monkeypatch, recorded, down):
    """The recorded cluster through the gateway; only the network below it is not there."""

    class Context:
        def load_cert_chain(self, *files):
            pass

    class Answer:
        status = 200

        def __init__(self, document):
            self.read = json.dumps(document).encode

    class Connection:
        def __init__(self, host, port, timeout, context):
            self.name = HOSTS[host]

        def request(self, method, path, body, headers):
            if self.name in down:
                raise ConnectionRefusedError("refused")
            documents = {
                "/v3/maintenance/status": f"etcd-status-{self.name}.json",
                "/v3/cluster/member/list": "etcd-members.json",
                "/v3/maintenance/alarm": "etcd-alarms.json",
            }
            self.answer = Answer(recorded(documents[path]))

        def getresponse(self):
            return self.answer

        def close(self):
            pass

    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: Context())
    monkeypatch.setattr(http.client, "HTTPSConnection", Connection)
    return lambda: _etcd.Gateway("https://10.89.0.11:2379", "ca", "cert", "key").cluster()


def with_status(cluster, name, **changes):
    """The cluster with one member's status changed."""
    members = tuple(
        dataclasses.replace(m, status=dataclasses.replace(m.status, **changes)) if m.name == name else m
        for m in cluster.members
    )
    return dataclasses.replace(cluster, members=members)


def test_a_recorded_cluster_is_healthy(cluster):
    found = cluster()
    assert [(m.name, m.status.version) for m in found.members] == [
        ("cp1", "3.6.14"),
        ("cp2", "3.7.0"),
        ("cp3", "3.7.0"),
    ]
    assert (found.local.name, found.quorum, len(found.leaders)) == ("cp1", 2, 1)
    assert found.troubles() == []


def test_a_member_that_is_down(cluster, down):
    down.add("cp3")
    found = cluster()
    assert len(found.troubles()) == 1
    assert found.troubles()[0].startswith("cp3 does not answer: ")
    assert found.quorum == 2


def test_two_leaders_are_trouble(cluster):
    assert with_status(cluster(), "cp2", leader_id="42").troubles() == ["members name 2 leaders"]


def test_no_leader_is_trouble(cluster):
    assert with_status(cluster(), "cp2", leader_id="0").troubles() == ["members name 1 leaders"]


def test_alarms_and_a_members_errors_are_trouble(cluster):
    found = dataclasses.replace(with_status(cluster(), "cp1", errors=("broken",)), alarms=("NOSPACE on 1",))
    assert found.troubles() == ["alarm NOSPACE on 1", "cp1: broken"]


def test_a_learner_is_trouble_and_no_voter(cluster):
    found = cluster()
    members = (*found.members, dataclasses.replace(found.members[0], id="9", name="cp4", learner=True))
    found = dataclasses.replace(found, members=members)
    assert (found.quorum, len(found.voters)) == (2, 3)
    assert found.troubles() == ["cp4 is a learner"]


@pytest.mark.parametrize(("voters", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_quorum(voters, quorum):
    members = tuple(_etcd.Member(str(n), f"cp{n}", (), False, None, "") for n in range(voters))
    assert _etcd.Cluster("0", members, ()).quorum == quorum


def test_lag_is_between_the_newest_and_the_slowest(cluster):
    found = with_status(cluster(), "cp1", raft_index=900, applied_index=900)
    found = with_status(found, "cp2", raft_index=1000, applied_index=995)
    found = with_status(found, "cp3", raft_index=990, applied_index=890)
    assert found.lag() == 110


def test_lag_of_nobody():
    assert _etcd.Cluster("0", (_etcd.Member("0", "cp1", (), False, None, "down"),), ()).lag() == 0


def test_only_https():
    with pytest.raises(_etcd.EtcdError, match="no https URL"):
        _etcd.Gateway("http://127.0.0.1:2379", "ca", "cert", "key")
