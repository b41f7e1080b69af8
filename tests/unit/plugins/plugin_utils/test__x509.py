# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _x509

NOW = datetime.datetime.now(datetime.timezone.utc)


@pytest.fixture
def ca(pki):
    return pki.authority("kubernetes")


def test_names_are_dns_names_and_addresses(pki, ca):
    issued = pki.certificate(ca, "kube-apiserver", names=["kubernetes.default.svc", "10.96.0.1", "fd00::1"])
    assert _x509.names(issued.certificate) == ["kubernetes.default.svc", "10.96.0.1", "fd00::1"]


@pytest.mark.parametrize(
    ("names", "wanted", "has"),
    [
        (["kubernetes.default.svc"], "kubernetes.default.svc", True),
        (["Kubernetes.Default.SVC"], "kubernetes.default.svc", True),
        (["*.default.svc"], "kubernetes.default.svc", True),
        (["*.svc"], "kubernetes.default.svc", False),
        (["kubernetes.default"], "kubernetes.default.svc", False),
        ([], "kubernetes.default.svc", False),
        (["fd00::1"], "fd00:0::1", True),
        (["10.0.0.1"], "10.0.0.2", False),
    ],
)
def test_has_name(pki, ca, names, wanted, has):
    # The CN is no name that counts, whatever it says.
    assert _x509.has_name(pki.certificate(ca, wanted, names=names).certificate, wanted) is has


def test_validity(pki, ca):
    good = pki.certificate(ca, "x").certificate
    assert _x509.validity(good, NOW) == ""
    assert _x509.validity(good, NOW, datetime.timedelta(days=101)).startswith("ends ")
    assert _x509.validity(pki.certificate(ca, "x", ended=True).certificate, NOW).startswith("ended ")
    assert _x509.validity(pki.certificate(ca, "x", not_yet=True).certificate, NOW).startswith("begins ")


def test_expires_is_rfc_3339(pki, ca):
    certificate = pki.certificate(ca, "x").certificate
    told = datetime.datetime.strptime(_x509.expires(certificate), "%Y-%m-%dT%H:%M:%SZ")
    assert told == certificate.not_valid_after_utc.replace(tzinfo=None)


def test_a_ca_that_ended_does_not_outweigh_its_renewal(pki):
    old = pki.authority("front-proxy-ca", ended=True)
    renewed = pki.authority("front-proxy-ca", key_of=old)
    leaf = pki.certificate(old, "front-proxy-client").certificate
    for bundle in ([old, renewed], [renewed, old]):
        assert _x509.unsigned(leaf, [one.certificate for one in bundle], NOW) == ""
    assert "front-proxy-ca, ended" in _x509.unsigned(leaf, [old.certificate], NOW)


def test_an_intermediate_that_comes_with_it_will_do(pki, ca):
    below = pki.authority("below", by=ca)
    deeper = pki.authority("deeper", by=below)
    leaf = pki.certificate(deeper, "front-proxy-client").certificate
    bundle, between = [ca.certificate], [below.certificate, deeper.certificate]
    assert _x509.refusal(leaf, bundle, [], NOW, between) is None
    for few in ([], [below.certificate], [deeper.certificate]):
        assert _x509.refusal(leaf, bundle, [], NOW, few).kind == "unsigned"
    gone = pki.authority("deeper", by=below, ended=True, key_of=deeper)
    refused = _x509.refusal(leaf, bundle, [], NOW, [below.certificate, gone.certificate])
    assert refused.kind == "unsigned" and "CN=deeper, ended" in refused.why


def test_any_ca_of_a_bundle_will_do(pki, ca):
    bundle = _x509.load_all(pki.authority("other").pem + ca.pem)
    assert _x509.unsigned(pki.certificate(ca, "x").certificate, bundle, NOW) == ""


def test_a_ca_below_another_ends_a_chain_too(pki, ca):
    below = pki.authority("below", by=ca)
    assert _x509.unsigned(pki.certificate(below, "x").certificate, [below.certificate], NOW) == ""


def test_another_ca_is_named_with_what_is_there(pki, ca):
    told = _x509.unsigned(pki.certificate(ca, "x").certificate, [pki.authority("other").certificate], NOW)
    assert told == "it was issued by CN=kubernetes; there is CN=other"


def test_a_ca_of_the_same_name_is_not_the_same_ca(pki, ca):
    told = _x509.unsigned(pki.certificate(ca, "x").certificate, [pki.authority("kubernetes").certificate], NOW)
    assert told == "it was issued by CN=kubernetes; a CA of that name is there, but with another key"


def test_a_ca_that_ended(pki):
    ended = pki.authority("kubernetes", ended=True)
    told = _x509.unsigned(pki.certificate(ended, "x").certificate, [ended.certificate], NOW)
    assert told.startswith("the CA that signed it, CN=kubernetes, ended ")


@pytest.mark.parametrize("pem", ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_loads_as_none(pem):
    assert _x509.load_all(pem) == []


@pytest.mark.parametrize(
    ("kwargs", "allowed", "kind", "why"),
    [
        ({"usage": "client"}, ["front-proxy-client"], None, None),
        ({}, ["other", "front-proxy-client"], None, None),
        ({"usage": "client"}, [], None, None),
        ({"usage": "client"}, ["other", "third"], "name", "CN front-proxy-client is not among the allowed names other"),
        ({"ended": True}, ["front-proxy-client"], "expired", "it ended "),
        ({"not_yet": True}, ["front-proxy-client"], "expired", "it begins "),
        ({"usage": "server"}, ["front-proxy-client"], "usage", "client authentication"),
    ],
)
def test_refusal_of_a_front_proxy(pki, ca, kwargs, allowed, kind, why):
    certificate = pki.certificate(ca, "front-proxy-client", **kwargs).certificate
    refused = _x509.refusal(certificate, [ca.certificate], allowed, NOW)
    assert (refused and refused.kind) == kind
    assert why is None or why in refused.why


def test_refusal_of_a_front_proxy_of_another_ca(pki, ca):
    certificate = pki.certificate(pki.authority("front-proxy-ca"), "front-proxy-client").certificate
    refused = _x509.refusal(certificate, [ca.certificate], ["front-proxy-client"], NOW)
    assert refused.kind == "unsigned"
