# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import http.client
import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _tls

pytestmark = pytest.mark.node

#: A host that is none of the recorded cluster's, and the one that its first member is on.
ELSEWHERE = _etcd.Host(frozenset(["192.0.2.1"]), False)
ON_CP1 = _etcd.Host(frozenset(["192.0.2.1", "10.89.0.11"]), True)

HOSTS = {"127.0.0.1": "cp1", "10.89.0.11": "cp1", "10.89.0.12": "cp2", "10.89.0.13": "cp3"}


@pytest.fixture
def down():
    """Names of the members that refuse connections."""
    return set()


@pytest.fixture
def hanging():
    """Names of the members whose linearizable reads do not end."""
    return set()


@pytest.fixture
def stores(recorded):
    """What each member answers when it is to hash its store."""
    return {
        "cp1": recorded("etcd-hashkv-v3.6.14.json"),
        "cp2": recorded("etcd-hashkv-v3.7.0.json"),
        "cp3": recorded("etcd-hashkv-v3.7.0.json"),
    }


@pytest.fixture
def asked():
    """Members and revisions whose hash was asked for."""
    return []


@pytest.fixture
def grpc_only():
    """Names of the members whose client port closes a connection that speaks HTTP, as that of k3s does."""
    return set()


@pytest.fixture
def gateway(monkeypatch, recorded, down, hanging, stores, asked, grpc_only):
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
            self.port = port

        def request(self, method, path, body, headers):
            if self.name in grpc_only and self.port == 2379:
                raise http.client.RemoteDisconnected("Remote end closed connection without response")
            if self.name in down:
                raise ConnectionRefusedError("refused")
            if path == "/v3/kv/range" and self.name in hanging:
                raise TimeoutError("timed out")
            if path == "/v3/maintenance/hashkv":
                asked.append((self.name, json.loads(body)["revision"]))
            documents = {
                "/v3/maintenance/status": lambda: recorded(f"etcd-status-{self.name}.json"),
                "/v3/cluster/member/list": lambda: recorded("etcd-members.json"),
                "/v3/maintenance/hashkv": lambda: stores[self.name],
                "/v3/kv/range": dict,
            }
            self.answer = Answer(documents[path]())

        def getresponse(self):
            return self.answer

        def close(self):
            pass

    monkeypatch.setattr(_tls, "verifying", lambda ca_file: Context())
    monkeypatch.setattr(http.client, "HTTPSConnection", Connection)
    return lambda endpoint="https://10.89.0.11:2379": _etcd.Gateway(endpoint, "ca", "cert", "key")


@pytest.fixture
def cluster(gateway):
    return lambda host=ON_CP1: gateway().cluster(host)


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


def test_the_member_here_is_known_by_its_address_whichever_answers(gateway):
    found = gateway("https://10.89.0.12:2379").cluster(ON_CP1)
    assert found.local.name == "cp1"


def test_who_was_asked_is_asked_there_if_its_client_urls_take_grpc_only(gateway, grpc_only):
    grpc_only.update(["cp1", "cp2"])
    found = gateway("https://127.0.0.1:2382").cluster(ON_CP1)
    assert [(m.name, m.url) for m in found.members if m.status] == [
        ("cp1", "https://127.0.0.1:2382"),
        ("cp3", "https://10.89.0.13:2379"),
    ]
    assert found.members[1].error.startswith("https://10.89.0.12:2379/")


def test_an_endpoint_that_leads_to_another_member_tells_nothing_of_this_one(gateway, grpc_only, monkeypatch):
    """As that of a load balancer does, which may choose another one each time."""
    grpc_only.add("cp1")
    found = gateway("https://10.89.0.13:2379")._member({"ID": "1", "name": "cp1", "clientURLs": []}, "1")
    assert found.status is None


def test_external_etcd_has_no_member_here(cluster):
    found = cluster(ELSEWHERE)
    assert (found.local, found.local_id, len(found.left())) == (None, "", 3)


@pytest.mark.parametrize(("runs", "local"), [(True, "1"), (False, "")])
def test_who_answers_on_loopback_is_here_if_etcd_runs_here(gateway, monkeypatch, runs, local):
    monkeypatch.setattr(_etcd, "is_loopback", lambda url: True)
    members = (_etcd.Member("1", "a", ("https://10.0.0.1:2379",), False, None, ""),)
    assert gateway()._here(members, "1", _etcd.Host(frozenset(), runs)) == local


def test_a_member_that_runs_here_and_is_not_found_is_not_counted_as_staying(gateway):
    behind_nat = _etcd.Host(frozenset(["192.0.2.1"]), True)
    with pytest.raises(_etcd.EtcdError, match="control_plane_etcd_endpoint"):
        gateway("https://10.89.0.12:2379").cluster(behind_nat)


def test_urls_that_lead_here():
    host = _etcd.Host(frozenset(["192.0.2.1", "fd00::2"]), True)
    assert host.has(["https://192.0.2.9:2380", "https://[fd00::2]:2379"])
    assert not host.has(["https://192.0.2.9:2380", "https://nowhere.invalid:2379"])
    assert _etcd.is_loopback("https://127.0.0.2:2379")
    assert not _etcd.is_loopback("https://192.0.2.1:2379")


def test_two_leaders_are_trouble(cluster):
    assert with_status(cluster(), "cp2", leader_id="42").troubles() == ["members name 2 leaders"]


def test_no_leader_is_trouble(cluster):
    assert with_status(cluster(), "cp2", leader_id="0").troubles() == ["members name 1 leaders"]


def test_two_terms_are_trouble(cluster):
    assert with_status(cluster(), "cp2", raft_term=5).troubles() == ["members are at the terms 4, 5"]


def test_a_term_that_changes_between_two_looks_is_told(cluster):
    before = cluster()
    after = before
    for name in ("cp1", "cp2", "cp3"):
        after = with_status(after, name, raft_term=5)
    assert after.troubles() == []
    assert "from 4 to 5 between two looks" in after.changes(before)[0]
    assert before.changes(before) == []


def test_a_member_whose_reads_do_not_end_is_slow_and_not_counted_on(cluster, hanging):
    hanging.add("cp3")
    found = cluster()
    assert [m.name for m in found.members if m.slow] == ["cp3"]
    assert found.troubles()[0].startswith("cp3 is slow (its disk, or its way to the leader): ")
    assert [m.name for m in found.left()] == ["cp2"]


def test_a_member_far_behind_is_not_counted_on(cluster):
    found = with_status(cluster(), "cp3", applied_index=100)
    assert found.troubles() == ["cp3 is 6813 raft entries behind"]
    assert [m.name for m in found.left()] == ["cp2"]


def test_a_full_quota_is_trouble(cluster):
    full = with_status(cluster(), "cp2", size_bytes=2040109466, quota_bytes=2147483648)
    assert full.troubles() == ["cp2 has used 95% of its quota of 2048 MiB"]
    assert with_status(cluster(), "cp2", size_bytes=2040109000, quota_bytes=2147483648).troubles() == []
    assert with_status(cluster(), "cp2", size_bytes=2040109466, quota_bytes=0).troubles() == []


def status_of(recorded, monkeypatch, name):
    gateway = _etcd.Gateway.__new__(_etcd.Gateway)
    monkeypatch.setattr(gateway, "post", lambda path: recorded(name), raising=False)
    return gateway.status()


def test_a_recorded_alarm_is_of_the_member_it_names_whoever_tells_it(recorded, monkeypatch, cluster):
    status = status_of(recorded, monkeypatch, "etcd-status-alarm-v3.6.14.json")
    assert (status.alarms, status.other_errors) == ({("18146781559975630087", "NOSPACE")}, [])
    # As 3.6 and 3.7 print it.
    errors = ("memberID:14002831613428674577 alarm:NOSPACE",)
    spaced = ("memberID:14002831613428674577  alarm:NOSPACE",)
    found = with_status(with_status(cluster(), "cp1", errors=errors), "cp2", errors=spaced)
    assert found.troubles() == ["alarm NOSPACE on cp3"]
    assert [m.name for m in found.left()] == ["cp2"]


def test_other_errors_are_trouble(cluster):
    found = with_status(cluster(), "cp2", errors=("etcdserver: no leader",))
    assert found.troubles() == ["cp2: etcdserver: no leader"]
    assert [m.name for m in found.left()] == ["cp3"]


def test_a_recorded_downgrade_is_trouble(recorded, monkeypatch, cluster):
    status = status_of(recorded, monkeypatch, "etcd-status-downgrade-v3.7.0.json")
    assert status.downgrade == "3.6.0"
    assert with_status(cluster(), "cp2", downgrade="3.6.0").troubles() == ["a downgrade to 3.6.0 is under way"]


def test_two_minors_have_one_hash(gateway, cluster, asked):
    hashes = gateway().hashes(cluster())
    assert (hashes.equal, hashes.troubles()) == (True, [])
    # The revision that the slowest of the three has.
    assert asked == [("cp1", "4738"), ("cp2", "4738"), ("cp3", "4738")]


def test_another_hash_is_trouble_that_names_the_members(gateway, cluster, stores):
    stores["cp3"]["hash"] = 1
    hashes = gateway().hashes(cluster())
    assert hashes.equal is False
    assert hashes.troubles() == [
        "members differ in what they store at revision 4738: cp1 7d84d666, cp2 7d84d666, cp3 00000001"
    ]


def test_hashes_of_different_compactions_are_not_compared(gateway, cluster, stores, asked):
    stores["cp3"].update(hash=1, compact_revision="4000")
    hashes = gateway().hashes(cluster())
    assert (hashes.equal, len(asked)) == (None, 3 * _etcd.HASH_TRIES)
    assert "compacted at different revisions" in hashes.troubles()[0]


def test_a_large_store_is_not_hashed(gateway, cluster, asked):
    hashes = gateway().hashes(with_status(cluster(), "cp2", in_use_bytes=_etcd.HASH_BYTES + 1))
    assert (hashes.equal, hashes.troubles(), asked) == (None, [], [])
    assert "larger than 2 GiB" in hashes.reason


def test_a_learner_is_trouble_and_no_voter(cluster):
    found = cluster()
    members = (*found.members, dataclasses.replace(found.members[0], id="9", name="cp4", learner=True))
    found = dataclasses.replace(found, members=members)
    assert (found.quorum, len(found.voters)) == (2, 3)
    assert found.troubles() == ["cp4 is a learner"]


@pytest.mark.parametrize(("voters", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_quorum(voters, quorum):
    members = tuple(_etcd.Member(str(n), f"cp{n}", (), False, None, "") for n in range(voters))
    assert _etcd.Cluster("0", members).quorum == quorum


def test_lag_is_between_the_newest_and_the_slowest(cluster):
    found = with_status(cluster(), "cp1", raft_index=900, applied_index=900)
    found = with_status(found, "cp2", raft_index=1000, applied_index=995)
    found = with_status(found, "cp3", raft_index=990, applied_index=890)
    assert found.lag() == 110


def test_lag_of_nobody():
    assert _etcd.Cluster("0", (_etcd.Member("0", "cp1", (), False, None, "down"),)).lag() == 0


def test_only_https():
    with pytest.raises(_etcd.EtcdError, match="no https URL"):
        _etcd.Gateway("http://127.0.0.1:2379", "ca", "cert", "key")
