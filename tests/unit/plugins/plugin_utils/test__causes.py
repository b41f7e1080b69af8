# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each cause by one thing broken in a healthy cluster of facts; and what is no cause, told apart from it."""

from __future__ import annotations

import copy
import datetime
import pathlib
import re

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _leases
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _causes, _evidence, _verdicts

ROOT = pathlib.Path(__file__).parents[4]
PKI = "/etc/kubernetes/pki"
NAMES = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
FLAGS = {
    "secure-port": "6443",
    "client-ca-file": f"{PKI}/ca.crt",
    "tls-cert-file": f"{PKI}/apiserver.crt",
    "peer-ca-file": f"{PKI}/ca.crt",
    "proxy-client-cert-file": f"{PKI}/front-proxy-client.crt",
    "requestheader-client-ca-file": f"{PKI}/front-proxy-ca.crt",
    "requestheader-allowed-names": "front-proxy-client",
}


class Cluster:
    """Facts of a healthy cluster, to break one thing of."""

    def __init__(self, pki, count=3):
        self.pki = pki
        self.ca, self.front_ca = pki.authority("kubernetes"), pki.authority("front-proxy-ca")
        self.now = datetime.datetime.now(datetime.timezone.utc)
        self.names = [f"cp{number}" for number in range(1, count + 1)]
        self.nodes, self.proxies, self.leases, self.serving = {}, {}, [], {}
        self.untried = {}
        for number, name in enumerate(self.names, 11):
            address = f"10.89.0.{number}"
            serving = pki.certificate(self.ca, "kube-apiserver", names=[*NAMES, name, address])
            client = pki.certificate(self.front_ca, "front-proxy-client", usage="client")
            self.serving[name] = serving
            self.nodes[name] = {
                "name": name,
                "hostname": name,
                "addresses": [address],
                "apiserver_flags": {"advertise-address": address, **FLAGS},
                "components": {"kube-apiserver": "v1.36.4"},
                "clock": self.now.timestamp(),
                "controller_clock": [self.now.timestamp() - 0.2, self.now.timestamp() + 0.2],
                "certificates": [
                    {"role": "serving", "path": f"{PKI}/apiserver.crt", "pem": serving.pem},
                    {"role": "front_proxy_client", "path": f"{PKI}/front-proxy-client.crt", "pem": client.pem},
                    {"role": "peer_ca", "path": f"{PKI}/ca.crt", "pem": self.ca.pem},
                    {"role": "client_ca", "path": f"{PKI}/ca.crt", "pem": self.ca.pem},
                    {"role": "requestheader_ca", "path": f"{PKI}/front-proxy-ca.crt", "pem": self.front_ca.pem},
                ],
            }
            lease = _leases.server_id(name)
            self.proxies[name] = {
                "name": name,
                "hostname": name,
                "address": f"{address}:6443",
                "lease": lease,
                "lease_address": f"{address}:6443",
                "version": "v1.36.4",
                "emulated_version": "1.36",
                "ready": True,
                "unready": [],
                "gate": True,
                "hook": True,
                "flags": dict(FLAGS),
                "state": "on",
                "counters": [],
                "error": "",
            }
            self.leases.append(self.lease(name, f"{address}:6443"))
        self.peers = {source: {peer: self.open(peer) for peer in self.names} for source in self.names}
        self.seen = {
            "leases": self.leases,
            "stale": [],
            "crds": [],
            "apiservices": [],
            "discovery": {"words": ""},
            "addresses": {
                name: {"certificates": [_evidence.fingerprint(found.certificate)] * 6, "starts": [], "error": ""}
                for name, found in self.serving.items()
            },
            "errors": {},
        }

    @staticmethod
    def lease(hostname, address, **more):
        found = {"name": _leases.server_id(hostname), "hostname": hostname, "address": address}
        return {**found, "age_seconds": 4.0, "started_seconds": 900.0, "answers": None, "words": "", **more}

    def open(self, peer):
        found = {"name": peer, "address": self.proxies[peer]["address"], "stage": "done", "kind": "", "error": ""}
        return {**found, "status": 200, "seconds": 0.004, "pem": self.serving[peer].pem, "chains": True}

    def certificate(self, name, role):
        return next(found for found in self.nodes[name]["certificates"] if found["role"] == role)

    def flag(self, name, **flags):
        """A flag as the process and /flagz have it; none takes it out."""
        for flag, value in flags.items():
            for found in (self.nodes[name]["apiserver_flags"], self.proxies[name]["flags"]):
                found.pop(flag.replace("_", "-"), None)
                if value is not None:
                    found[flag.replace("_", "-")] = value

    def cut(self, source, peer, kind, stage="tcp", **more):
        words = {"filtered": "nothing answers the first packet", "refused": "it refuses connections"}
        self.peers[source][peer].update(stage=stage, kind=kind, error=words.get(kind, kind), status=0, pem="")
        self.peers[source][peer].update(chains=None, **more)

    def answered(self, source, peer, status, words):
        self.peers[source][peer].update(kind="forbidden", error=f"it answers {status}: {words}", status=status)

    def down(self, name):
        """The server does not run: its own node is refused as everybody else is."""
        for source in self.names:
            self.cut(source, name, "refused")
        self.proxies[name].update(error=f"no answer from {name}", gate=False, hook=False, ready=False, state="impaired")

    def lacks(self, name, peer):
        self.seen["stale"].append({"server": name, "peer": peer, "resources": ["a.k8s.io/v1/as", "b.k8s.io/v1/bs"]})

    def facts(self):
        return _evidence.Facts(
            hosts=self.names,
            nodes=self.nodes,
            proxies=self.proxies,
            peers=self.peers,
            leases=[],
            seen=self.seen,
            untried=self.untried,
            now=self.now,
        )

    def found(self):
        return _causes.judge(self.facts())

    def told(self):
        return [(finding.cause, finding.server, finding.peer, finding.root) for finding in self.found()]

    def notes(self):
        return _causes.notes(self.facts(), self.found())


@pytest.fixture
def cluster(pki):
    return Cluster(pki)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_healthy_cluster_has_nothing(pki, count):
    cluster = Cluster(pki, count)
    assert (cluster.told(), cluster.notes()) == ([], [])


def test_one_server_needs_no_proxy(pki):
    cluster = Cluster(pki, 1)
    cluster.flag("cp1", peer_ca_file=None)
    cluster.proxies["cp1"].update(gate=False, hook=False, state="off")
    assert (cluster.told(), cluster.notes()) == ([], [])


# The gate and the flag


def test_gate_off_is_before_the_flag_that_it_refuses(cluster):
    cluster.flag("cp2", feature_gates="UnknownVersionInteroperabilityProxy=false", peer_ca_file=None)
    cluster.proxies["cp2"].update(gate=False, hook=False, state="off")
    assert cluster.told() == [("gate_off", "cp2", "", True), ("flag_missing", "cp2", "", False)]
    finding = cluster.found()[0]
    assert "--feature-gates=UnknownVersionInteroperabilityProxy=false" in finding.evidence
    assert finding.next_action.startswith("Take UnknownVersionInteroperabilityProxy=false out")


def test_a_gate_that_is_off_by_default_is_not_to_be_taken_out(cluster):
    cluster.flag("cp2", feature_gates="SomethingElse=false", peer_ca_file=None)
    cluster.proxies["cp2"].update(gate=False, hook=False, state="off", version="v1.35.4", emulated_version="1.35")
    finding = cluster.found()[0]
    assert finding.cause == "gate_off"
    assert finding.next_action.startswith("Set --feature-gates=UnknownVersionInteroperabilityProxy=true and")


@pytest.mark.parametrize(
    ("flags", "version", "on"),
    [
        ({}, "v1.36.4", True),
        ({}, "v1.35.4", False),
        ({}, "", None),
        ({"feature-gates": "A=true,UnknownVersionInteroperabilityProxy=true"}, "v1.35.4", True),
        ({"feature-gates": "kube:UnknownVersionInteroperabilityProxy=false"}, "v1.37.2", False),
    ],
)
def test_the_gate_by_flags(flags, version, on):
    assert _causes.gate_by_flags(flags, version) is on


def test_a_server_that_refuses_to_start_for_its_gate(cluster):
    cluster.flag("cp2", feature_gates="UnknownVersionInteroperabilityProxy=false")
    cluster.down("cp2")
    assert cluster.told() == [("gate_off", "cp2", "", True)]
    assert cluster.found()[0].confidence == "likely"


def test_flag_missing(cluster):
    cluster.flag("cp3", peer_ca_file=None)
    cluster.proxies["cp3"].update(hook=False, state="gate_only")
    cluster.lacks("cp3", "cp1")
    assert cluster.told() == [("flag_missing", "cp3", "", True)]


# Certificates


def test_one_peer_ca_that_signed_nobody(cluster, pki):
    other = pki.authority("kubernetes")
    cluster.certificate("cp2", "peer_ca")["pem"] = other.pem
    for peer in ("cp1", "cp3"):
        cluster.peers["cp2"][peer].update(
            stage="tls", kind="certificate", error="unable to get local issuer certificate", status=0, chains=False
        )
    assert cluster.told() == [("peer_ca_mismatch", "cp2", "", True)]
    evidence = cluster.found()[0].evidence
    assert f"sha256 {_evidence.fingerprint(other.certificate)[:12]}" in evidence
    assert "cp1, cp3 show (issuer CN=kubernetes)" in evidence
    assert cluster.notes() == []


def test_one_serving_certificate_of_another_ca(cluster, pki):
    other = pki.certificate(pki.authority("elsewhere"), "kube-apiserver", names=NAMES)
    cluster.certificate("cp2", "serving")["pem"] = other.pem
    for source in ("cp1", "cp3"):
        cluster.peers[source]["cp2"].update(
            stage="tls", kind="certificate", error="unable to get local issuer", status=0, chains=False, pem=other.pem
        )
    assert cluster.told() == [("peer_ca_mismatch", "cp2", "", True)]
    assert "issuer CN=elsewhere" in cluster.found()[0].evidence
    assert "--tls-cert-file of cp2" in cluster.found()[0].next_action


def test_a_ca_that_is_no_peer_ca_proves_nothing(cluster):
    cluster.flag("cp2", peer_ca_file=None)
    cluster.proxies["cp2"].update(hook=False, state="gate_only")
    cluster.peers["cp2"]["cp1"].update(stage="tls", kind="certificate", error="e", status=0, chains=False)
    assert [finding.cause for finding in cluster.found()] == ["flag_missing"]


def test_serving_name_missing(cluster, pki):
    without = pki.certificate(cluster.ca, "kube-apiserver", names=["kubernetes", "cp1"])
    cluster.certificate("cp1", "serving")["pem"] = without.pem
    for source in cluster.names:
        cluster.peers[source]["cp1"].update(
            stage="tls", kind="certificate", error="Hostname mismatch", status=0, pem=without.pem
        )
    cluster.proxies["cp1"].update(error="hostname mismatch", gate=False, hook=False, ready=False, state="impaired")
    assert cluster.told() == [("serving_name_missing", "cp1", "", True)]
    assert "kubernetes, cp1, not for kubernetes.default.svc" in cluster.found()[0].evidence
    assert cluster.notes() == []


def test_front_proxy_expired(cluster, pki):
    old = pki.certificate(cluster.front_ca, "front-proxy-client", ended=True)
    cluster.certificate("cp2", "front_proxy_client")["pem"] = old.pem
    for peer in ("cp1", "cp3"):
        cluster.answered("cp2", peer, 401, "Unauthorized")
    assert cluster.told() == [("front_proxy_expired", "cp2", "", True)]
    finding = cluster.found()[0]
    assert re.search(
        r"front-proxy-client.crt on cp2 .* ended \d{4}-\d\d-\d\d \d\d:\d\d UTC; answered 401 by cp1, cp3",
        finding.evidence,
    )
    assert finding.confidence == "certain"


def test_requestheader_ca_differs_on_one_node(cluster, pki):
    own = pki.authority("front-proxy-ca")
    cluster.certificate("cp1", "requestheader_ca")["pem"] = own.pem
    cluster.certificate("cp1", "front_proxy_client")["pem"] = pki.certificate(own, "front-proxy-client").pem
    for other in ("cp2", "cp3"):
        cluster.answered("cp1", other, 401, "Unauthorized")
        cluster.answered(other, "cp1", 401, "Unauthorized")
    assert cluster.told() == [("requestheader_ca_differs", "cp1", "", True)]
    evidence = cluster.found()[0].evidence
    assert (
        f"front-proxy-ca.crt on cp1 (CN=front-proxy-ca, sha256 {_evidence.fingerprint(own.certificate)[:12]})"
        in evidence
    )
    assert "so for 4 pairs of cp1; answered 401" in evidence


def test_a_bundle_with_both_front_proxy_cas_is_fine(cluster, pki):
    new = pki.authority("front-proxy-ca")
    for name in cluster.names:
        cluster.certificate(name, "requestheader_ca")["pem"] = cluster.front_ca.pem + new.pem
    cluster.certificate("cp1", "front_proxy_client")["pem"] = pki.certificate(new, "front-proxy-client").pem
    assert cluster.told() == []


def test_front_proxy_name_not_allowed(cluster, pki):
    cluster.certificate("cp2", "front_proxy_client")["pem"] = pki.certificate(cluster.front_ca, "other-proxy").pem
    for peer in ("cp1", "cp3"):
        cluster.answered("cp2", peer, 401, "Unauthorized")
    assert cluster.told() == [("front_proxy_name_not_allowed", "cp2", "", True)]
    assert "common name other-proxy; cp1, cp3 has --requestheader-allowed-names=front-proxy-client" in (
        cluster.found()[0].evidence
    )


def test_an_answer_to_the_wrong_identity_is_no_pass(cluster, pki):
    """One CA for all: the name is not allowed, and the certificate then counts as a client's own."""
    cluster.certificate("cp2", "front_proxy_client")["pem"] = pki.certificate(cluster.front_ca, "other-proxy").pem
    assert cluster.told() == [("front_proxy_name_not_allowed", "cp2", "", True)]
    assert cluster.found()[0].confidence == "likely"


@pytest.mark.parametrize(
    ("given", "names"), [("", []), ("a", ["a"]), ("[a b]", ["a", "b"]), ("a,b", ["a", "b"]), ('"a"', ["a"])]
)
def test_allowed_names(given, names):
    assert _causes.allowed_names({"requestheader-allowed-names": given}) == names


def test_no_allowed_names_allow_any(cluster, pki):
    for name in cluster.names:
        cluster.flag(name, requestheader_allowed_names=None)
    cluster.certificate("cp2", "front_proxy_client")["pem"] = pki.certificate(cluster.front_ca, "other-proxy").pem
    assert cluster.told() == []


# The way


@pytest.mark.parametrize(("kind", "cause"), [("filtered", "peer_filtered"), ("refused", "peer_refused")])
def test_one_way_closed(cluster, kind, cause):
    cluster.cut("cp2", "cp1", kind)
    assert cluster.told() == [(cause, "cp2", "cp1", True)]
    finding = cluster.found()[0]
    assert "from cp2 to cp1 (10.89.0.11:6443)" in finding.evidence
    assert "on cp1 itself it is reached" in finding.evidence
    assert cluster.notes() == []


def test_a_way_closed_to_one_from_all_is_about_that_one(cluster):
    for source in ("cp1", "cp2"):
        cluster.cut(source, "cp3", "filtered")
    assert cluster.told() == [("peer_filtered", "cp3", "", True)]


def test_what_is_unknown_behind_a_closed_way_follows(cluster):
    cluster.cut("cp2", "cp1", "refused")
    cluster.lacks("cp2", "cp1")
    assert cluster.told() == [("peer_refused", "cp2", "cp1", True), ("stale_peer", "cp2", "cp1", False)]


def test_a_server_that_is_down_is_no_cause(cluster):
    cluster.down("cp3")
    assert cluster.told() == []
    (note,) = cluster.notes()
    assert note.startswith("cp3 is down: it refuses connections.")


def test_a_server_that_ended_since_it_was_asked_is_no_cause(cluster):
    for source in cluster.names:
        cluster.cut(source, "cp3", "refused")
    assert cluster.told() == []
    assert [note[:15] for note in cluster.notes()] == ["cp3 is down: it"]


def test_a_server_that_listens_elsewhere_is_not_down(cluster):
    for source in cluster.names:
        cluster.cut(source, "cp3", "refused", address="10.89.1.13:6443")
    assert cluster.told() == [("peer_refused", "cp3", "", True)]
    assert "not even on cp3 itself is it reached, cp3 answers the API's reader" in cluster.found()[0].evidence


def test_a_host_that_is_down_is_no_cause(cluster):
    del cluster.nodes["cp3"], cluster.peers["cp3"]
    for source in ("cp1", "cp2"):
        cluster.cut(source, "cp3", "filtered")
    cluster.proxies["cp3"].update(error="no connection in time", gate=False, hook=False, ready=False, state="impaired")
    assert cluster.told() == []
    assert [note.partition(" ")[0] for note in cluster.notes()] == ["cp3", "cp3"]


def test_a_server_that_drops_its_own_packets_is_not_down(cluster):
    for source in cluster.names:
        cluster.cut(source, "cp3", "filtered")
    cluster.proxies["cp3"].update(error="no connection in time", gate=False, hook=False, ready=False, state="impaired")
    assert cluster.told() == [("peer_filtered", "cp3", "", True)]
    assert "not even on cp3 itself" in cluster.found()[0].evidence


def test_a_server_that_is_not_ready_is_no_cause(cluster):
    cluster.proxies["cp3"].update(ready=False, unready=["[-]etcd failed"])
    assert (cluster.told(), cluster.notes()) == ([], ["cp3 is not ready: [-]etcd failed."])


def test_a_way_that_ends_otherwise_is_told(cluster):
    cluster.peers["cp1"]["cp2"].update(kind="http", error="it answers 503: starting", status=503)
    assert cluster.told() == []
    assert cluster.notes() == ["cp1 does not get through to cp2: done: it answers 503: starting."]


def test_a_node_whose_files_can_not_be_loaded_is_told(cluster):
    del cluster.peers["cp2"]
    cluster.untried["cp2"] = "no such file"
    assert (cluster.told(), cluster.notes()) == ([], ["No way was tried from cp2: no such file"])


# What is advertised


@pytest.mark.parametrize(("flag", "value"), [("peer_advertise_ip", "10.89.0.201"), ("peer_advertise_port", "7443")])
def test_advertise_incomplete(cluster, flag, value):
    cluster.flag("cp1", **{flag: value})
    assert cluster.told() == [("advertise_incomplete", "cp1", "", True)]
    assert "is announced as 10.89.0.11:6443" in cluster.found()[0].evidence


def test_advertise_unreachable(cluster):
    cluster.flag("cp1", peer_advertise_ip="10.89.0.202", peer_advertise_port="6443")
    cluster.proxies["cp1"]["lease_address"] = "10.89.0.202:6443"
    for source in cluster.names:
        cluster.cut(source, "cp1", "filtered", address="10.89.0.202:6443")
    cluster.lacks("cp2", "cp1")
    assert cluster.told() == [("advertise_unreachable", "cp1", "", True), ("stale_peer", "cp2", "cp1", False)]
    assert "--peer-advertise-ip=10.89.0.202 and --peer-advertise-port=6443" in cluster.found()[0].evidence
    assert cluster.notes() == []


def test_flags_that_the_server_does_not_heed_are_no_cause(cluster):
    # As 1.36.4 and 1.37.2 do: both flags are taken, and the Lease tells --advertise-address.
    cluster.flag("cp1", peer_advertise_ip="10.89.0.202", peer_advertise_port="6443")
    assert (cluster.told(), cluster.notes()) == ([], [])
    cluster.cut("cp2", "cp1", "filtered")
    assert cluster.told() == [("peer_filtered", "cp2", "cp1", True)]


def test_an_advertised_address_that_is_the_nodes_own_is_only_cut_off(cluster):
    cluster.flag("cp1", peer_advertise_ip="10.89.0.11", peer_advertise_port="6443")
    cluster.cut("cp2", "cp1", "filtered")
    assert cluster.told() == [("peer_filtered", "cp2", "cp1", True)]


def test_an_advertised_address_where_another_server_answers(cluster):
    cluster.flag("cp1", peer_advertise_ip="10.89.0.250", peer_advertise_port="6443")
    cluster.proxies["cp1"]["lease_address"] = "10.89.0.250:6443"
    elsewhere = cluster.pki.certificate(cluster.pki.authority("elsewhere"), "other", names=["other"])
    for source in cluster.names:
        cluster.peers[source]["cp1"].update(
            stage="tls",
            kind="certificate",
            error="unable to get local issuer",
            chains=False,
            pem=elsewhere.pem,
            status=0,
        )
    assert cluster.told() == [("advertise_unreachable", "cp1", "", True)]


# Names and Leases


def test_duplicate_hostname(cluster):
    cluster.nodes["cp3"]["hostname"] = "cp2"
    cluster.proxies["cp3"].update(hostname="cp2", lease=_leases.server_id("cp2"))
    del cluster.leases[2]
    cluster.lacks("cp2", "cp3")
    assert cluster.told() == [("duplicate_hostname", "cp3", "cp2", True), ("stale_peer", "cp2", "cp3", False)]
    assert _leases.server_id("cp2") in cluster.found()[0].evidence


def test_one_machine_named_twice_is_a_note(cluster):
    cluster.nodes["cp3"].update(hostname="cp2", addresses=["10.89.0.12"])
    cluster.proxies["cp3"].update(lease=_leases.server_id("cp2"))
    del cluster.leases[2]
    assert cluster.told() == []
    assert cluster.notes() == ["cp3 and cp2 are one machine; name it once in the inventory."]


def test_hostname_too_long(cluster):
    long = "c" * 64
    cluster.nodes["cp2"]["hostname"] = long
    cluster.proxies["cp2"].update(hostname=long, lease="", lease_address="")
    del cluster.leases[1]
    assert cluster.told() == [("hostname_too_long", "cp2", "", True)]
    assert f"{long} has 64 bytes" in cluster.found()[0].evidence
    assert cluster.notes() == []
    cluster.nodes["cp2"]["hostname"] = "c" * 63
    assert cluster.told() == []


def test_dead_lease(cluster):
    dead = cluster.lease("cp9", "10.89.0.19:6443", age_seconds=80.0, answers=False, words="it does not answer: refused")
    cluster.leases.append(dead)
    assert cluster.told() == [("dead_lease", "cp9", "", True)]
    finding = cluster.found()[0]
    assert "was not renewed for 80 s" in finding.evidence
    assert finding.confidence == "certain"
    assert _causes.safe_to_delete(cluster.facts()) == [dead["name"]]


def test_a_dead_lease_on_a_living_nodes_address_is_that_of_another_server(cluster):
    cluster.leases.append(cluster.lease("cp9", "10.89.0.13:7443", age_seconds=80.0, answers=False))
    assert cluster.told() == [("dead_lease", "cp9", "", True)]


def test_a_lease_that_a_renamed_host_left_follows(cluster):
    cluster.nodes["cp3"]["hostname"] = "cp2"
    cluster.proxies["cp3"].update(hostname="cp2", lease=_leases.server_id("cp2"))
    cluster.leases[2].update(age_seconds=80.0, answers=True, words="something answers")
    assert cluster.told() == [("duplicate_hostname", "cp3", "cp2", True), ("dead_lease", "cp3", "", False)]


def test_the_old_lease_of_a_host_that_can_not_be_read_is_kept(cluster):
    """Nobody knows that host's name, so the Lease may be its own."""
    del cluster.nodes["cp3"], cluster.peers["cp3"], cluster.proxies["cp3"]
    cluster.leases[2]["age_seconds"] = 80.0
    assert [(finding.cause, finding.confidence) for finding in cluster.found()] == [("dead_lease", "possible")]
    assert _causes.safe_to_delete(cluster.facts()) == []
    # Asked for under the inventory's name, which no Lease has.
    cluster.proxies["cp3"] = {**cluster.proxies["cp1"], "name": "cp3", "lease": "", "address": "", "error": "nowhere"}
    assert _causes.safe_to_delete(cluster.facts()) == []


def test_the_old_lease_of_a_server_that_is_down_is_not_dead(cluster):
    cluster.down("cp3")
    cluster.leases[2]["age_seconds"] = 80.0
    assert cluster.told() == []


def test_a_living_server_beside_the_inventory_is_a_note(cluster):
    cluster.leases.append(cluster.lease("cp9", "10.89.0.19:6443"))
    assert cluster.told() == []
    assert [note[:14] for note in cluster.notes()] == ["The server cp9"]


# What servers know of each other


def test_stale_peer(cluster):
    cluster.lacks("cp2", "cp1")
    cluster.proxies["cp2"]["counters"] = [
        {"name": "apiserver_peer_discovery_sync_errors_total", "labels": {"type": "fetch_discovery"}, "value": 15.0}
    ]
    assert cluster.told() == [("stale_peer", "cp2", "cp1", True)]
    finding = cluster.found()[0]
    assert finding.evidence == (
        "the merged discovery of cp2 lacks 2 that cp1 serves itself (a.k8s.io/v1/as, b.k8s.io/v1/bs); the way from cp2 "
        "to cp1 is open (4 ms); 15 failed fetches since cp2 started"
    )
    assert finding.confidence == "certain"


def test_a_peer_that_has_just_started_is_only_possibly_stale(cluster):
    cluster.lacks("cp2", "cp1")
    cluster.leases[0]["started_seconds"] = 20.0
    assert [finding.confidence for finding in cluster.found()] == ["possible"]


# The cluster


def test_discovery_forbidden(cluster):
    words = 'forbidden: User "system:apiserver" cannot get path "/apis"'
    for source in cluster.names:
        for peer in cluster.names:
            cluster.answered(source, peer, 403, words)
    cluster.seen["discovery"]["words"] = "there is no ClusterRoleBinding system:discovery"
    cluster.lacks("cp2", "cp1")
    assert cluster.told() == [("discovery_forbidden", "", "", True), ("stale_peer", "cp2", "cp1", False)]
    evidence = cluster.found()[0].evidence
    assert "there is no ClusterRoleBinding system:discovery" in evidence
    assert words in evidence
    assert cluster.notes() == []


def test_another_binding_may_do_as_well(cluster):
    cluster.seen["discovery"]["words"] = "there is no ClusterRoleBinding system:discovery"
    assert cluster.told() == []


def test_a_binding_that_may_not_be_read_does_not_matter_where_peers_are_answered(cluster):
    cluster.seen["errors"] = {"the binding system:discovery": "403", "crds": "403"}
    assert cluster.notes() == ["Not judged, crds: 403."]


def test_warnings_come_last_and_do_not_remain(cluster):
    cluster.seen["crds"] = [{"name": "gadgets.example.org", "words": "KindConflict: already in use"}]
    cluster.seen["apiservices"] = [{"name": "v1.example.org", "words": "ServiceNotFound"}]
    cluster.lacks("cp2", "cp1")
    found = [finding.dump() for finding in cluster.found()]
    assert [finding["cause"] for finding in found] == ["stale_peer", "crd_not_established", "apiservice_unavailable"]
    assert [finding["cause"] for finding in _verdicts.remaining(found)] == ["stale_peer"]


# Addresses


def test_an_address_that_leads_to_several(cluster):
    marks = [cluster.seen["addresses"][name]["certificates"][0] for name in cluster.names]
    cluster.seen["addresses"]["cp2"]["certificates"] = marks * 2
    assert cluster.told() == [("address_is_load_balancer", "cp2", "", True)]
    assert "met 3 certificates, of cp1, cp2, cp3" in cluster.found()[0].evidence


def test_an_address_that_leads_to_another(cluster):
    cluster.seen["addresses"]["cp2"] = copy.deepcopy(cluster.seen["addresses"]["cp1"])
    assert cluster.told() == [("address_is_load_balancer", "cp2", "", True)]


def test_one_address_for_two(cluster):
    cluster.proxies["cp2"]["address"] = cluster.proxies["cp1"]["address"]
    assert [told[:2] for told in cluster.told()] == [
        ("address_is_load_balancer", "cp1"),
        ("address_is_load_balancer", "cp2"),
    ]


def test_servers_that_share_a_certificate_are_told_by_when_they_started(cluster):
    for name in cluster.names:
        cluster.certificate(name, "serving")["pem"] = cluster.serving["cp1"].pem
        cluster.seen["addresses"][name] = {"certificates": [], "starts": [100.0] * 6, "error": ""}
    assert cluster.told() == []
    cluster.seen["addresses"]["cp3"]["starts"] = [100.0, 200.0, 100.0]
    assert cluster.told() == [("address_is_load_balancer", "cp3", "", True)]


def test_what_a_load_balancer_answered_is_not_held_against_the_server(cluster):
    cluster.seen["addresses"]["cp2"]["certificates"] = [
        cluster.seen["addresses"][name]["certificates"][0] for name in cluster.names
    ]
    cluster.flag("cp2", peer_ca_file=None)
    cluster.proxies["cp2"].update(hook=False, state="gate_only")
    cluster.lacks("cp1", "cp2")
    assert cluster.told() == [
        ("address_is_load_balancer", "cp2", "", True),
        ("flag_missing", "cp2", "", False),
        ("stale_peer", "cp1", "cp2", False),
    ]


# Clocks


def test_one_clock_ahead(cluster):
    cluster.nodes["cp2"]["clock"] += 30
    assert cluster.told() == [("clock_skew", "cp2", "", True)]
    assert cluster.found()[0].evidence == "the clock of cp2 is 29.8 s ahead of the controller's"


def test_the_time_that_reading_took_is_no_skew(cluster):
    cluster.nodes["cp2"]["clock"] += 2.1
    assert cluster.told() == []


def test_the_controllers_clock_behind_all(cluster):
    for node in cluster.nodes.values():
        node["clock"] += 30
    assert cluster.told() == [("clock_skew", "", "", True)]


# The whole


def test_roots_come_first(cluster):
    cluster.lacks("cp2", "cp1")
    cluster.cut("cp2", "cp1", "filtered")
    cluster.flag("cp3", peer_ca_file=None)
    cluster.proxies["cp3"].update(hook=False, state="gate_only")
    assert [told[0] for told in cluster.told()] == ["flag_missing", "peer_filtered", "stale_peer"]


def test_facts_that_are_all_missing_end_nothing():
    facts = _evidence.Facts([], {}, {}, {}, [], {}, {}, datetime.datetime.now(datetime.timezone.utc))
    assert (_causes.judge(facts), _causes.notes(facts, [])) == ([], [])


def test_every_cause_has_a_judge_and_a_line_in_the_documentation():
    judges = [judge.__name__ for judge in _causes.JUDGES]
    assert len(judges) == 20
    text = (ROOT / "docs" / "causes.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == judges
