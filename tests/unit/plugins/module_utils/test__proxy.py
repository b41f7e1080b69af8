# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _discovery, _leases, _metrics, _proxy

OK = {_proxy.HOOK: "ok", _proxy.GATE_HOOK: "ok"}
FLAG = {"peer-ca-file": "/etc/kubernetes/pki/ca.crt"}
LEASE = _leases.Lease("apiserver-x", "cp1", "apiserver-x_1", "10.0.0.1:6443", None)
REROUTED = _metrics.REROUTED


def counted(*series):
    """Samples as a server prints them: label sets with a count."""
    text = "".join(f"{REROUTED}{{{labels}}} {value}\n" for labels, value in series)
    return _metrics.parse(text, (REROUTED,))


FETCH = 'code="%s",group="",resource="",version=""'
ANSWERED = counted((FETCH % "200", 4))


def facts(**changes):
    known = {
        "gate": True,
        "hooks": OK,
        "flags": FLAG,
        "emulated": "1.36",
        "lease": LEASE,
        "others": 2,
        "samples": ANSWERED,
    }
    return _proxy.Facts(**{**known, **changes})


NO_HOOK = {_proxy.GATE_HOOK: "ok"}


@pytest.mark.parametrize(
    ("given", "state", "reason"),
    [
        (facts(), "on", "4 fetches of discovery answered 200"),
        (facts(samples=[]), "on", "no fetch of a peer's discovery answered 200"),
        (facts(others=0, samples=[]), "on", "there are no peers"),
        (facts(samples=counted(('code="200"', 9), ('code="503"', 2))), "on", "9 fetches and proxied requests"),
        (facts(samples=counted((FETCH % "503", 8), (FETCH % "200", 2))), "on", "2 fetches of discovery"),
        (facts(hooks=NO_HOOK, flags={}), "gate_only", "without --peer-ca-file"),
        (facts(gate=False, hooks={}, flags={}, emulated="1.35"), "off", "the default of 1.35"),
        (
            facts(gate=False, hooks={}, flags={"feature-gates": f"A=true,{_metrics.GATE}=false"}),
            "off",
            "--feature-gates",
        ),
        (facts(gate=False, hooks={}, flags={}), "off", "the gate is off"),
        (facts(hooks={**OK, _proxy.HOOK: "failed"}), "impaired", "the hook mixed-version-proxy-handler fails"),
        (facts(hooks={**OK, "peer-discovery-cache-sync": "failed"}), "impaired", "peer-discovery-cache-sync fails"),
        (facts(hooks=NO_HOOK), "impaired", "the hook mixed-version-proxy-handler is missing"),
        (facts(lease=None), "impaired", "no identity Lease"),
        (facts(lease=_leases.Lease("a", "cp1", "a_1", "", None)), "impaired", "announces no address"),
        (facts(samples=counted((FETCH % "403", 6))), "impaired", "6 with 403"),
        (facts(samples=counted((FETCH % "401", 2), (FETCH % "503", 4))), "impaired", "2 with 401, 4 with 503"),
        (facts(samples=counted(('code="503"', 4))), "impaired", "4 with 503"),
        # Requests that a peer refused say nothing of discovery.
        (facts(samples=counted(('code="403",group="a.io",resource="as",version="v1"', 3))), "on", "no fetch"),
    ],
)
def test_state(given, state, reason):
    found, why = _proxy.state(given)
    assert (found, reason in why) == (state, True), why


def test_hooks_of_interest_are_picked():
    text = "[+]ping ok\n[+]poststarthook/mixed-version-proxy-handler ok\n[+]poststarthook/start-informers ok\n"
    text += "[-]poststarthook/peer-discovery-workers failed: reason withheld\n"
    assert _proxy.hooks(text) == {"mixed-version-proxy-handler": "ok", "peer-discovery-workers": "failed"}


def test_effective_flags_have_values_and_no_brackets():
    flags = {"requestheader-allowed-names": "[a,b]", "peer-advertise-ip": "", "secure-port": 6443, "token-file": "x"}
    assert _proxy.effective(flags) == {"requestheader-allowed-names": "a,b", "secure-port": "6443"}


@pytest.mark.parametrize(
    ("version", "flags"),
    [
        ("v1.36.4", {}),
        (
            "v1.37.2",
            {
                "feature-gates": "ComponentStatusz=true,UnknownVersionInteroperabilityProxy=true",
                "emulated-version": "1.36",
                "runtime-config": "batch/v1=true,storagemigration.k8s.io/v1beta1=false",
                "peer-advertise-ip": "10.89.1.13",
                "peer-advertise-port": "6443",
                "advertise-address": "10.89.1.13",
            },
        ),
    ],
)
def test_recorded_flags(recorded, version, flags):
    always = {
        "peer-ca-file": "/etc/kubernetes/pki/ca.crt",
        "proxy-client-cert-file": "/etc/kubernetes/pki/front-proxy-client.crt",
        "proxy-client-key-file": "/etc/kubernetes/pki/front-proxy-client.key",
        "requestheader-client-ca-file": "/etc/kubernetes/pki/front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "client-ca-file": "/etc/kubernetes/pki/ca.crt",
        "tls-cert-file": "/etc/kubernetes/pki/apiserver.crt",
        "advertise-address": "10.89.1.12",
        "bind-address": "0.0.0.0",
        "secure-port": "6443",
    }
    assert _proxy.parse_flagz(recorded(f"flagz-{version}.json")) == {**always, **flags}


def test_recorded_hooks(recorded):
    assert _proxy.hooks(recorded("readyz-v1.36.4.txt")) == {
        "mixed-version-proxy-handler": "ok",
        "peer-endpoint-reconciler-controller": "ok",
        "local-discovery-cache-sync": "ok",
        "peer-discovery-workers": "ok",
    }


def test_the_hooks_of_1_35(recorded):
    assert _proxy.hooks(recorded("readyz-v1.35.4.txt")) == {
        "mixed-version-proxy-handler": "ok",
        "peer-endpoint-reconciler-controller": "ok",
        "local-discovery-cache-sync": "ok",
        "peer-discovery-cache-sync": "ok",
    }


def test_a_server_that_started_while_its_peers_were_out_of_reach(recorded):
    # Recorded after a start with the way to both peers refused (503), then open but without system:discovery (403).
    samples = _metrics.parse(recorded("metrics-v1.36.4-peers-refused.txt"), _metrics.COUNTERS)
    state, reason = _proxy.state(facts(samples=samples))
    assert state == "impaired"
    assert reason.endswith("22 with 403, 88 with 503")


@pytest.mark.parametrize("document", [None, [], {}, {"kind": "Status"}, {"kind": "Flagz"}])
def test_what_is_no_flagz_is_refused(document):
    with pytest.raises(ValueError, match="Flagz"):
        _proxy.parse_flagz(document)


@pytest.fixture
def old(recorded):
    own, merged = (_discovery.parse(recorded(f"apis-v1.36.4-{kind}.json")) for kind in ("nopeer", "merged"))
    return _discovery.ServerView(own, merged)


@pytest.fixture
def new(recorded):
    own, merged = (_discovery.parse(recorded(f"apis-v1.37.2-{kind}.json")) for kind in ("nopeer", "merged"))
    return _discovery.ServerView(own, merged)


def known(server, views, peers=None, excluded=frozenset()):
    peers = peers or [name for name in views if name != server]
    return {p["name"]: (p["known"], p["evidence"]) for p in _proxy.known_peers(server, peers, views, excluded, "COUNT")}


def test_a_peer_that_alone_serves_what_is_merged_is_known(old, new):
    found = known("a", {"a": old, "b": old, "c": new})
    assert found["c"][0] is True
    assert "certificates.k8s.io/v1/clustertrustbundles and 3 more" in found["c"][1]


def test_a_peer_that_serves_nothing_else_is_told_by_counters_alone(old, new):
    assert known("a", {"a": old, "b": old, "c": new})["b"] == (None, "b serves nothing that a lacks; COUNT")


def test_of_several_capable_peers_no_one_is_known_for_certain(old, new):
    found = known("a", {"a": old, "b": new, "c": new})
    assert {name: word for name, (word, dummy) in found.items()} == {"b": None, "c": None}
    assert "at least one of b, c" in found["b"][1]


def test_a_peer_whose_resources_are_not_merged_is_not_known(old, new):
    blind = _discovery.ServerView(old.own, old.own)
    found = known("a", {"a": blind, "b": new, "c": new})
    assert [found["b"][0], found["c"][0]] == [False, False]
    assert "lacks certificates.k8s.io/v1/clustertrustbundles" in found["b"][1]


def test_a_peer_known_as_it_was_before_is_out_of_date(old, new):
    resource = _discovery.Resource("storagemigration.k8s.io", "v1", "storageversionmigrations")
    behind = _discovery.ServerView(old.own, {k: v for k, v in old.merged.items() if k != resource})
    word, evidence = known("a", {"a": behind, "c": new})["c"]
    assert word is False
    assert str(resource) in evidence
    assert evidence.endswith("out of date")


def test_what_is_excluded_tells_nothing(old, new):
    excluded = {resource.group_version for resource in set(new.own) - set(old.own)}
    assert known("a", {"a": old, "c": new}, excluded=excluded)["c"][0] is None


def test_a_server_that_could_not_be_read_might_serve_anything(old, new):
    found = known("a", {"a": old, "c": new}, peers=["b", "c"])
    assert found["b"] == (None, "the discovery of b could not be read")
    assert found["c"][0] is None
    assert "at least one of c, b" in found["c"][1]


def test_a_server_whose_own_discovery_could_not_be_read(new):
    assert known("a", {"c": new}, peers=["c"])["c"] == (None, "the discovery of a could not be read")


def test_counters_are_the_proxys_alone(recorded):
    samples = _metrics.parse(recorded("metrics-v1.36.4.txt"), (*_metrics.COUNTERS, _metrics.FEATURE_ENABLED))
    found = _proxy.counters(samples)
    assert {entry["name"] for entry in found} == {REROUTED, _metrics.SYNC_ERRORS, _metrics.NOPEER_REQUESTS}
    assert {"name": _metrics.SYNC_ERRORS, "labels": {"type": "hostport_resolution"}, "value": 19.0} in found
