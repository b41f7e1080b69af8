# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import datetime
import socket

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _leases,
    _metrics,
    _proxy,
    _views,
)
from ansible_collections.mixedversion.kubernetes.plugins.modules import proxy_info


@pytest.fixture
def leases(recorded):
    return _leases.parse_list(recorded("leases.json"))


def host(name, hostname, address="", advertised=""):
    return {"name": name, "hostname": hostname, "address": address, "advertised": advertised}


INVENTORY = [host("node1", "cp1"), host("node2", "cp2"), host("node3", "cp3")]


def test_each_host_is_a_server(leases):
    hosts, troubles = proxy_info.match(INVENTORY, leases)
    assert [(h.name, h.lease.hostname, h.address) for h in hosts] == [
        ("node1", "cp1", "10.89.0.11:6443"),
        ("node2", "cp2", "10.89.0.12:6443"),
        ("node3", "cp3", "10.89.0.13:6443"),
    ]
    assert troubles == []


def test_a_server_that_is_no_host_and_a_host_that_is_no_server(leases):
    hosts, troubles = proxy_info.match([*INVENTORY[:2], host("node4", "cp4")], leases)
    assert troubles == [
        "node4 (host name cp4) has no identity Lease, so no server runs there",
        "the server cp3 is not in the inventory",
    ]
    # It is told all the same: a server without a Lease has a state too, and a host name that is too long makes one.
    assert [(h.name, h.lease, h.address) for h in hosts][-1] == ("node4", None, "")


def test_a_lease_left_behind_is_told_from_a_server_nobody_named(leases):
    renewed = leases[0].renewed
    with socket.socket() as listening, socket.socket() as closed:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        closed.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (listening, closed)]
        answering, silent = (dataclasses.replace(leases[2], address=address) for address in addresses)
        unknown = dataclasses.replace(leases[2], address="")
        later = renewed + datetime.timedelta(hours=1)
        inventory = INVENTORY[:2]
        assert proxy_info.left_behind(inventory, [*leases[:2], silent], later) == [silent]
        # Not renewed, but alive; renewed just now; or nobody knows where to ask.
        assert proxy_info.left_behind(inventory, [*leases[:2], answering], later) == []
        assert proxy_info.left_behind(inventory, [*leases[:2], silent], renewed) == []
        assert proxy_info.left_behind(inventory, [*leases[:2], unknown], later) == []
        # A host of the inventory is never given up.
        assert proxy_info.left_behind(INVENTORY, [*leases[:2], silent], later) == []
    assert proxy_info.match(inventory, [*leases[:2], silent], [silent])[1] == []


def test_two_hosts_with_one_name(leases):
    twins = [host("node1", "cp1", advertised="10.89.0.11:6443"), host("twin", "cp1", advertised="10.89.0.14:6443")]
    hosts, troubles = proxy_info.match([*twins, *INVENTORY[1:]], leases)
    assert troubles == ["twin is a second host for the server cp1, beside node1"]
    # The Lease's address is that of one of the two, so it is taken for neither.
    assert [h.address for h in hosts[:2]] == ["10.89.0.11:6443", "10.89.0.14:6443"]


@pytest.mark.parametrize(
    ("announced", "address", "advertised", "taken", "trouble"),
    [
        ("10.0.0.1:6443", "", "", "10.0.0.1:6443", False),
        ("10.0.0.1:6443", "", "10.0.0.9:6443", "10.0.0.1:6443", False),
        ("10.0.0.1:6443", "127.0.0.1:16443", "10.0.0.9:6443", "127.0.0.1:16443", False),
        ("", "", "10.0.0.9:6443", "10.0.0.9:6443", False),
        ("", "", "", "", True),
    ],
)
def test_where_a_server_is_reached(announced, address, advertised, taken, trouble):
    lease = _leases.Lease("apiserver-x", "cp1", "apiserver-x_1", announced, None)
    (found,), troubles = proxy_info.match([host("cp1", "cp1", address, advertised)], [lease])
    assert found.address == taken
    assert bool(troubles) is trouble


@pytest.fixture
def ways():
    """An address that answers, another one, and one that refuses."""
    with socket.socket() as first, socket.socket() as second, socket.socket() as closed:
        for sock in (first, second, closed):
            sock.bind(("127.0.0.1", 0))
        first.listen()
        second.listen()
        yield [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (first, second, closed)]


def test_a_hint_is_taken_where_the_announced_address_does_not_answer(ways):
    answers, other, refuses = ways
    hosts = [
        proxy_info.Host(name, name, None, address) for name, address in (("a", answers), ("b", refuses), ("c", ""))
    ]
    inventory = [
        {**host("a", "a"), "hints": [other]},
        {**host("b", "b"), "hints": [refuses, other, answers]},
        {**host("c", "c"), "hints": [other]},
    ]
    assert [h.address for h in proxy_info.reached(hosts, inventory)] == [answers, other, other]
    # What the user names is what is used; and where nothing answers, the server's own word is.
    given = [{**host("b", "b", refuses), "hints": [other]}]
    assert [h.address for h in proxy_info.reached(hosts[1:2], given)] == [refuses]
    assert [h.address for h in proxy_info.reached(hosts[1:2], [{**host("b", "b"), "hints": [refuses]}])] == [refuses]


def test_what_answers_at_a_hint_has_to_be_the_hosts_own_server(ways, monkeypatch):
    answers, other, refuses = ways

    class Asked:
        def server(self, target):
            asked.append((target.name, target.address))
            return self

        def certificate_sum(self, timeout):
            return "of another server"

    asked = []
    monkeypatch.setattr(proxy_info.ssl, "PEM_cert_to_DER_cert", lambda pem: pem.encode())
    inventory = [{**host(name, name), "certificate": "pem", "hints": [other]} for name in ("a", "b")]
    hosts = [proxy_info.Host("a", "a", None, answers), proxy_info.Host("b", "b", None, refuses)]
    troubles = proxy_info.strangers(Asked(), inventory, proxy_info.reached(hosts, inventory))
    assert set(asked) == {("b", other)}
    assert troubles[0].startswith(f"{other}, given for b, shows another server's certificate")


def test_a_hint_makes_up_for_a_lease_without_an_address():
    lease = _leases.Lease("apiserver-x", "cp1", "apiserver-x_1", "", None)
    dummy, troubles = proxy_info.match([{**host("cp1", "cp1"), "hints": ["192.0.2.1:6443"]}], [lease])
    assert troubles == []


def test_without_an_inventory_the_names_are_those_of_the_option_servers(leases):
    servers = [
        {"name": "cp2", "address": "203.0.113.2:6443"},
        {"name": "node3", "address": "https://10.89.0.13:6443"},
    ]
    hosts = proxy_info.by_leases(servers, leases)
    assert [(h.name, h.hostname, h.address) for h in hosts] == [
        ("cp1", "cp1", "10.89.0.11:6443"),
        ("cp2", "cp2", "203.0.113.2:6443"),
        ("node3", "cp3", "https://10.89.0.13:6443"),
    ]


def test_a_server_that_has_taken_its_lease_away_is_still_one_of_them(leases):
    """As after a stop in order: it is told, and it is not ready."""
    servers = [{"name": f"node{n}", "address": f"10.89.0.1{n}:6443", "lease": ""} for n in (1, 2, 3)]
    hosts = proxy_info.by_leases(servers, leases[:2])
    assert [(h.name, h.address, h.lease is None) for h in hosts] == [
        ("node1", "10.89.0.11:6443", False),
        ("node2", "10.89.0.12:6443", False),
        ("node3", "10.89.0.13:6443", True),
    ]


@pytest.fixture
def found(recorded):
    names = (_metrics.FEATURE_ENABLED, *_metrics.COUNTERS)
    return proxy_info.Look(
        version="v1.36.4",
        emulated_version="1.36",
        ready=True,
        lines=[f"[+]poststarthook/{_proxy.HOOK} ok", f"[+]poststarthook/{_proxy.GATE_HOOK} ok"],
        samples=_metrics.parse(recorded("metrics-v1.36.4.txt"), names),
        flags={"peer-ca-file": "/etc/kubernetes/pki/ca.crt"},
    )


@pytest.fixture
def cp1(leases):
    return proxy_info.Host("cp1", "cp1", leases[0], leases[0].address)


def test_describe(cp1, found):
    entry = proxy_info.describe(cp1, found, 2, {"peer-ca-file": "/other"})
    assert (entry["state"], entry["gate"], entry["hook"], entry["error"]) == ("on", True, True, "")
    assert "66 fetches" in entry["reason"]
    assert (entry["flags"], entry["flags_source"]) == ({"peer-ca-file": "/etc/kubernetes/pki/ca.crt"}, "flagz")


@pytest.mark.parametrize(
    ("process", "source"), [({"peer-ca-file": "/other", "etcd-servers": "x"}, "process"), ({}, "")]
)
def test_where_flags_are_not_served_the_process_tells(cp1, found, process, source):
    closed = dataclasses.replace(found, flags=None)
    entry = proxy_info.describe(cp1, closed, 2, process)
    assert entry["flags_source"] == source
    assert entry["flags"] == ({"peer-ca-file": "/other"} if process else {})


def test_a_server_that_can_not_be_asked_has_the_same_shape(cp1, found):
    error = _api.ApiError("cp1", "/metrics", 403, 'User "viewer" cannot get path "/metrics"')
    entry = proxy_info.describe(cp1, error, 2, {})
    assert entry.keys() == proxy_info.describe(cp1, found, 2, {}).keys()
    assert (entry["state"], entry["counters"]) == ("impaired", [])
    assert "/metrics answered 403" in entry["error"]


@pytest.mark.parametrize(("lines", "gate", "state"), [(2, True, "on"), (0, False, "off")])
def test_without_counters_the_hooks_tell(cp1, found, lines, gate, state):
    blind = dataclasses.replace(found, samples=None, flags=None, lines=found.lines[:lines], error="cp1: 403")
    entry = proxy_info.describe(cp1, blind, 2, {})
    assert (entry["state"], entry["gate"], entry["counters"], entry["error"]) == (state, gate, [], "cp1: 403")
    if state == "on":
        assert entry["reason"].endswith("its counters could not be read")


def seen(recorded, errors=None):
    own = _discovery.parse(recorded("apis-v1.36.4-nopeer.json"))
    new = _discovery.parse(recorded("apis-v1.37.2-nopeer.json"))
    views = {"cp1": _discovery.ServerView(own, new), "cp2": _discovery.ServerView(new, new)}
    return _views.Look(views, frozenset(), (), errors or {})


def test_known_peers(cp1, found, recorded):
    (peer,) = proxy_info.known_peers(cp1, ["cp2"], found, seen(recorded))
    assert (peer["name"], peer["known"]) == ("cp2", True)


def test_a_server_without_a_proxy_knows_no_peer(cp1, found, recorded):
    inert = dataclasses.replace(found, lines=[f"[+]poststarthook/{_proxy.GATE_HOOK} ok"])
    (peer,) = proxy_info.known_peers(cp1, ["cp2"], inert, seen(recorded))
    assert peer == {"name": "cp2", "known": False, "evidence": "cp1 has no proxy"}


def test_without_the_exclusions_nothing_is_inferred(cp1, found, recorded):
    forbidden = _api.ApiError("cp1", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", 403, "forbidden")
    (peer,) = proxy_info.known_peers(cp1, ["cp2"], found, seen(recorded, {"cp1": forbidden}))
    assert peer["known"] is None
    assert "customresourcedefinitions answered 403" in peer["evidence"]


def test_leases_that_can_not_be_listed_do_not_matter_to_that(cp1, found, recorded):
    forbidden = _api.ApiError("cp1", _leases.LIST_PATH, 403, "forbidden")
    (peer,) = proxy_info.known_peers(cp1, ["cp2"], found, seen(recorded, {"cp1": forbidden}))
    assert peer["known"] is True


@pytest.mark.parametrize(
    ("state", "present", "servers", "verdict", "action"),
    [
        ("on", True, 2, "passed", ""),
        ("gate_only", True, 2, "failed", "kubernetes.proxy does that"),
        ("off", True, 2, "failed", "kubernetes.proxy does that"),
        ("impaired", True, 2, "failed", "diagnose"),
        # One server has no peers, and nothing to proxy.
        ("gate_only", True, 1, "not_exercised", ""),
        ("on", False, 2, "failed", "control_plane_proxy_state=absent"),
        ("gate_only", False, 2, "passed", ""),
        ("off", False, 2, "passed", ""),
        ("impaired", False, 2, "failed", "diagnose"),
    ],
)
def test_proxy_enabled(state, present, servers, verdict, action):
    found = [{"name": f"cp{n}", "state": state, "reason": "why", "error": ""} for n in range(servers)]
    gates = proxy_info.judge(found, present)
    assert [gate.node for gate in gates] == ["cp0", "cp1"][:servers]
    assert {gate.verdict for gate in gates} == {verdict}
    assert all(action in gate.next_action and bool(action) == bool(gate.next_action) for gate in gates)
