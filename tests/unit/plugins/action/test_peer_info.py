# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.action import peer_info

NOW = datetime.datetime.now(datetime.timezone.utc)
APISERVER = "kubernetes.default.svc"


class Case:
    """One pair: what the node found, its files, and what the peer trusts."""

    def __init__(self, pki):
        self.pki = pki
        self.ca = pki.authority("kubernetes")
        self.front_proxy_ca = pki.authority("front-proxy-ca")
        self.serving = pki.certificate(self.ca, "kube-apiserver", names=[APISERVER, "10.96.0.1"])
        self.client = pki.certificate(self.front_proxy_ca, "front-proxy-client", usage="client")
        self.given = {"requestheader_ca": self.front_proxy_ca.pem, "allowed_names": ["front-proxy-client"]}
        self.peer = {
            "name": "cp2",
            "address": "10.0.0.2:6443",
            "stage": "done",
            "kind": "",
            "error": "",
            "status": 200,
            "verify_code": 0,
        }

    def found(self, kind, **changes):
        self.peer.update(kind=kind, **changes)

    def judged(self):
        self.peer.setdefault("pem", self.serving.pem)
        peer_info.judge(self.peer, self.ca.pem, self.client.pem, self.given, NOW)
        return self.peer

    def told(self):
        return peer_info.explain(
            self.judged(),
            {"path": "/pki/ca.crt", "pem": self.ca.pem},
            {"path": "/pki/client.crt", "pem": self.client.pem},
            self.given,
            NOW,
        )


@pytest.fixture
def case(pki):
    return Case(pki)


def test_a_good_pair(case):
    peer = case.judged()
    assert peer["names"] == [APISERVER, "10.96.0.1"]
    assert peer["expires"].endswith("Z")
    assert peer["chains"] is True
    assert peer["client_certificate"] == {"accepted": True, "why": ""}
    assert case.told() is None


def test_nothing_came_back(case):
    case.found("filtered", pem="", stage="tcp", error="nothing answers", status=0)
    peer = case.judged()
    assert (peer["names"], peer["expires"], peer["chains"]) == ([], "", None)
    assert case.told() is None


def test_without_the_peers_ca_nobody_can_tell(case):
    case.given = {"requestheader_ca": "", "allowed_names": []}
    assert case.judged()["client_certificate"] == {"accepted": None, "why": ""}
    assert case.told() is None


def refused(case, **kwargs):
    case.serving = case.pki.certificate(kwargs.pop("by", case.ca), "kube-apiserver", **kwargs)
    case.found("certificate", stage="tls", error="certificate verify failed", status=0)
    return case.told()


def test_a_serving_certificate_of_another_ca(case):
    observed, action = refused(case, by=case.pki.authority("other"), names=[APISERVER])
    assert "not to be trusted by /pki/ca.crt: it was issued by CN=other; there is CN=kubernetes" in observed
    assert "--peer-ca-file" in action
    assert case.peer["chains"] is False


def test_a_serving_certificate_without_the_name(case):
    observed, action = refused(case, names=["cp2", "10.0.0.2"])
    assert "has cp2, 10.0.0.2, but not kubernetes.default.svc" in observed
    assert "kubernetes.default.svc" in action
    assert case.peer["chains"] is True
    assert case.peer["names"] == ["cp2", "10.0.0.2"]


def test_a_serving_certificate_that_ended(case):
    observed, action = refused(case, names=[APISERVER], ended=True)
    assert f"ended {case.serving.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC" in observed
    assert "Renew" in action
    assert case.peer["chains"] is True


def test_everything_wrong_is_named_the_ca_first(case):
    observed, action = refused(case, by=case.pki.authority("other"), names=["cp2"], ended=True)
    assert observed.index("not to be trusted") < observed.index("ended") < observed.index("but not kubernetes")
    assert "--peer-ca-file" in action


def test_a_certificate_refused_for_another_reason_keeps_the_nodes_words(case):
    assert refused(case, names=[APISERVER]) is None


def forbidden(case):
    case.found("forbidden", error="it answers 401: Unauthorized", status=401)
    observed, action = case.told()
    assert observed.startswith("done: 10.0.0.2:6443: it answers 401: Unauthorized. cp2 does not accept")
    assert "/pki/client.crt" in observed
    return observed, action


def test_a_front_proxy_whose_name_is_not_allowed(case):
    case.given["allowed_names"] = ["other", "third"]
    observed, action = forbidden(case)
    assert "its CN front-proxy-client is not among the allowed names other, third" in observed
    assert "--requestheader-allowed-names of cp2" in action
    assert case.peer["client_certificate"]["accepted"] is False


def test_a_front_proxy_that_ended(case):
    case.client = case.pki.certificate(case.front_proxy_ca, "front-proxy-client", ended=True)
    observed, action = forbidden(case)
    assert ": it ended " in observed
    assert "Renew" in action


def test_a_front_proxy_of_another_ca(case):
    case.given["requestheader_ca"] = case.pki.authority("front-proxy-ca").pem
    observed, action = forbidden(case)
    assert "a CA of that name is there, but with another key" in observed
    assert "--requestheader-client-ca-file" in action


def test_an_accepted_front_proxy_without_the_right_to_discovery(case):
    words = 'it answers 403: forbidden: User "system:apiserver" cannot get path "/apis"'
    case.found("forbidden", error=words, status=403)
    observed, action = case.told()
    assert observed.endswith("The front proxy's certificate was accepted")
    assert "system:discovery" in action


def test_a_200_to_the_certificates_own_name_is_no_pass(case):
    # Where clients and front proxies have one CA, a front proxy that is not accepted is a client like any other.
    case.given["allowed_names"] = ["other"]
    observed, dummy = case.told()
    assert "its CN front-proxy-client is not among the allowed names other" in observed


def test_a_200_outweighs_the_controllers_clock(case):
    case.client = case.pki.certificate(case.front_proxy_ca, "front-proxy-client", ended=True)
    assert case.told() is None
