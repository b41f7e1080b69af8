# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.action import preflight_info

NOW = datetime.datetime.now(datetime.timezone.utc)


@pytest.fixture
def ca(pki):
    return pki.authority("kubernetes")


def gate(*found):
    certificates = [{"path": f"/pki/{role}.crt", "role": role, "pem": pem} for role, pem in found]
    return preflight_info.certificates_valid([{"name": "cp1", "certificates": certificates}], NOW)


def test_valid_certificates(pki, ca):
    serving = pki.certificate(ca, "kube-apiserver", names=["kubernetes.default.svc"])
    found = gate(("serving", serving.pem), ("client_ca", ca.pem))
    assert (found["verdict"], found["observed"].partition(",")[0]) == ("passed", "2 certificates")


def test_a_file_with_two_roles_is_counted_once(ca):
    entry = {"path": "/pki/ca.crt", "role": "client_ca", "pem": ca.pem}
    node = {"name": "cp1", "certificates": [entry, {**entry, "role": "peer_ca"}]}
    assert preflight_info.certificates_valid([node], NOW)["observed"].startswith("1 certificates")


@pytest.mark.parametrize(
    ("role", "kwargs", "words"),
    [
        ("serving", {"names": ["kubernetes"]}, "cp1: /pki/serving.crt lacks the name kubernetes.default.svc"),
        ("etcd_peer", {"ended": True}, "cp1: /pki/etcd_peer.crt ended"),
        ("etcd_client", {"not_yet": True}, "cp1: /pki/etcd_client.crt begins"),
    ],
)
def test_a_certificate_that_does_not_do(pki, ca, role, kwargs, words):
    found = gate((role, pki.certificate(ca, "x", **kwargs).pem))
    assert found["verdict"] == "failed"
    assert found["observed"].startswith(words)


def test_one_ca_of_a_bundle_may_have_ended(pki, ca):
    ended = pki.authority("old", ended=True)
    assert gate(("client_ca", ended.pem + ca.pem))["verdict"] == "passed"
    assert gate(("client_ca", ended.pem))["verdict"] == "failed"


def test_what_is_no_certificate():
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert gate(("serving", broken))["verdict"] == "failed"
