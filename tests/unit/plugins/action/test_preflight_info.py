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
    (first,) = preflight_info.certificates_valid([{"name": "cp1", "certificates": certificates}], NOW)
    return first


def test_valid_certificates(pki, ca):
    serving = pki.certificate(ca, "kube-apiserver", names=["kubernetes.default.svc"])
    found = gate(("serving", serving.pem), ("client_ca", ca.pem))
    assert (found["verdict"], found["observed"].partition(",")[0]) == ("passed", "2 certificates")


def test_a_file_with_two_roles_is_counted_once(ca):
    entry = {"path": "/pki/ca.crt", "role": "client_ca", "pem": ca.pem}
    node = {"name": "cp1", "certificates": [entry, {**entry, "role": "peer_ca"}]}
    assert preflight_info.certificates_valid([node], NOW)[0]["observed"].startswith("1 certificates")


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


@pytest.mark.parametrize(
    ("role", "path", "flags", "severities"),
    [
        # Nobody verifies it unless told by which CA.
        ("kubelet_serving", "/var/lib/kubelet/pki/kubelet.crt", {}, ["warning"]),
        ("kubelet_serving", "/var/lib/kubelet/pki/kubelet.crt", {"kubelet-certificate-authority": "x"}, ["blocking"]),
        ("kubeconfig_client", "/etc/kubernetes/super-admin.conf", {}, ["warning"]),
        ("kubeconfig_client", "/etc/kubernetes/admin.conf", {}, ["blocking"]),
        ("kubelet_client", "/var/lib/kubelet/pki/kubelet-client-current.pem", {}, ["blocking"]),
    ],
)
def test_what_an_ended_certificate_stops(pki, ca, role, path, flags, severities):
    ended = {"path": path, "role": role, "pem": pki.certificate(ca, "x", ended=True).pem}
    node = {"name": "cp1", "certificates": [ended], "apiserver_flags": flags}
    found = preflight_info.certificates_valid([node], NOW)
    assert [one["severity"] for one in found if one["verdict"] == "failed"] == severities
    assert f"cp1: {path} ended" in found[-1]["observed"]


@pytest.mark.parametrize(
    ("clocks", "verdict", "words"),
    [
        ({"cp1": 100.5, "cp2": 101.0}, "passed", "2 clocks"),
        ({"cp1": 130.0, "cp2": 101.0}, "failed", "the clock of cp1 is 29.0 s ahead of the controller's"),
        ({"cp1": 30.0, "cp2": 30.2}, "failed", "it is the controller's that is off"),
        ({"cp1": 100.5, "cp2": None}, "unproven", "the clock of cp2 was not read"),
    ],
)
def test_clock_skew(clocks, verdict, words):
    nodes = [{"name": name, "clock": clock, "controller_clock": [100.0, 101.0]} for name, clock in clocks.items()]
    found = preflight_info.clock_skew(nodes, NOW)
    assert (found["verdict"], found["severity"]) == (verdict, "warning")
    assert words in found["observed"]


@pytest.fixture
def binaries(tmp_path):
    """Programs that tell a version, as those in the folder do."""

    def write(**versions):
        for name, version in versions.items():
            path = tmp_path / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\necho Kubernetes {version}\n")
            path.chmod(0o755)
        return str(tmp_path)

    return write


SETTINGS = {"kube-apiserver": {"flags": ["one"], "gates": {"One": "true"}}}


def arguments(directory, driver="systemd", **more):
    nodes = [{"name": "cp1", "settings": SETTINGS}]
    return {"driver": driver, "version": "v1.37.2", "nodes": nodes, "binaries_directory": directory, **more}


def test_binaries_of_the_target_are_asked(binaries):
    directory = binaries(kube_apiserver="v1.37.2", kube_scheduler="v1.36.4")
    found = preflight_info.of_controller(arguments(directory))
    assert found["binaries"] == {"kube-apiserver": "v1.37.2", "kube-scheduler": "v1.36.4"}
    # This one takes everything, an impossible gate too: so it has not judged gates.
    assert found["refused"] == {"kube-apiserver": {"flags": {"one": False}, "gates": None}}
    assert found["wanted"] == ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]


def test_a_binary_for_another_platform_is_there_and_says_nothing(tmp_path):
    (tmp_path / "kubeadm").write_bytes(b"\xcf\xfa\xed\xfe")
    (tmp_path / "kubeadm").chmod(0o755)
    found = preflight_info.of_controller(arguments(str(tmp_path), "kubeadm", kubeadm_binaries="binary"))
    assert (found["binaries"], found["refused"]) == ({"kubeadm": ""}, {})
    assert found["wanted"] == ["kubeadm", "kubelet", "kubectl"]


def test_a_binary_that_hangs_is_asked_once(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight_info, "ASKED", 0.5)
    path = tmp_path / "kube-apiserver"
    version = 'case "$*" in --version) echo Kubernetes v1.37.2; exit;; esac'
    path.write_text(f"#!/bin/sh\n{version}\necho asked >>{tmp_path}/asked\nexec sleep 60\n")
    path.chmod(0o755)
    found = preflight_info.of_controller(arguments(str(tmp_path)))
    assert (tmp_path / "asked").read_text() == "asked\n"
    # What it would refuse is looked up then, as of any that can't be asked.
    assert (found["binaries"], found["refused"]) == ({"kube-apiserver": "v1.37.2"}, {})


def test_without_a_folder_nothing_is_asked():
    found = preflight_info.of_controller(arguments("", "kubeadm", kubeadm_binaries="none"))
    assert found == {"wanted": [], "binaries": {}, "refused": {}}
