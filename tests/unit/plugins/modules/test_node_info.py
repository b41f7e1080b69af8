# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import subprocess

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node
from ansible_collections.mixedversion.kubernetes.plugins.modules import node_info

pytestmark = pytest.mark.node

FIRST = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
SECOND = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN EC PRIVATE KEY-----\nCCCC\n-----END EC PRIVATE KEY-----\n"

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
     |-- 198.51.100.4
        /31 link UNICAST
        /32 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 192.0.2.2
        /32 host LOCAL
"""
IF_INET6 = """\
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
fd000000000000000000000000000002 04 40 00 82     eth0
"""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "cp1.example.org"),
        (["/usr/bin/kubelet", "--config=/x"], "cp1.example.org"),
        (["/usr/bin/kubelet", "--hostname-override=CP-One", "--v=2"], "cp-one"),
        (["/usr/bin/kubelet", "--hostname-override", "cp-one", "--v", "2"], "cp-one"),
    ],
)
def test_a_node_has_the_label_that_its_kubelet_gives_it(monkeypatch, arguments, name):
    monkeypatch.setattr(_node, "command", lambda component: arguments if component == "kubelet" else [])
    monkeypatch.setattr(_node.socket, "gethostname", lambda: "CP1.example.org")
    assert _node.node_hostname() == name


def test_a_process_in_a_network_of_its_own_is_not_the_nodes(monkeypatch):
    name = "etcd-under-test"
    with subprocess.Popen([name, "60"], executable="/bin/sleep") as pod:
        try:
            with subprocess.Popen([name, "61"], executable="/bin/sleep") as own:
                try:
                    assert _node.running(name) == (pod.pid, [name, "60"])
                    real = _node.network
                    monkeypatch.setattr(
                        _node, "network", lambda process: "net:[1]" if str(process) == str(pod.pid) else real(process)
                    )
                    assert _node.running(name) == (own.pid, [name, "61"])
                finally:
                    own.kill()
            assert _node.running(name) is None
        finally:
            pod.kill()


def test_own_addresses():
    assert _node.local_addresses(FIB_TRIE, IF_INET6) == ["192.0.2.2", "198.51.100.4", "fd00::2"]


def test_a_kernel_without_ipv6():
    assert _node.local_addresses(FIB_TRIE, "") == ["192.0.2.2", "198.51.100.4"]


@pytest.fixture
def file(tmp_path):
    def write(name, content):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(tmp_path / name)

    return write


def test_of_a_chain_the_leaf_and_of_a_ca_the_bundle(file):
    path = file("x.pem", f"subject=CN = x\n{KEY}{FIRST}{SECOND}")
    assert node_info.public(path, bundle=False) == FIRST
    assert node_info.public(path, bundle=True) == FIRST + SECOND


@pytest.mark.parametrize("content", ["", KEY, b"\x30\x82\x01\xff\xfe"])
def test_a_file_without_certificates(file, content):
    assert node_info.public(file("x.pem", content), bundle=True) == ""


def test_a_file_that_can_not_be_read(tmp_path):
    assert node_info.public(str(tmp_path), bundle=True) == ""
    assert node_info.public(str(tmp_path / "none"), bundle=True) == ""


def test_certificates_have_the_roles_of_the_flags_that_name_them(file):
    ca = file("ca.crt", FIRST + SECOND)
    apiserver = {
        "tls-cert-file": file("serving.crt", FIRST),
        "proxy-client-cert-file": file("proxy.crt", SECOND),
        "client-ca-file": ca,
        "peer-ca-file": ca,
        "requestheader-client-ca-file": "/nowhere/front-proxy-ca.crt",
    }
    found = node_info.certificates(apiserver, {"peer-cert-file": file("peer.crt", FIRST)}, [])
    told = {entry["role"]: (entry["path"].rpartition("/")[2], entry["pem"]) for entry in found}
    # What else this machine may have at kubeadm's and the kubelet's own places is not this test's.
    assert {role: told[role] for role in ("serving", "front_proxy_client", "peer_ca", "client_ca", "etcd_peer")} == {
        "serving": ("serving.crt", FIRST),
        "front_proxy_client": ("proxy.crt", SECOND),
        "peer_ca": ("ca.crt", FIRST + SECOND),
        "client_ca": ("ca.crt", FIRST + SECOND),
        "etcd_peer": ("peer.crt", FIRST),
    }
    assert "requestheader_ca" not in told


def test_etcd_started_by_flags_and_variables(monkeypatch):
    monkeypatch.setattr(node_info._node, "environment", lambda process: {"ETCD_DATA_DIR": "/a", "ETCD_NAME": "cp1"})
    settings = node_info.etcd_settings((1, ["etcd", "--data-dir=/b", "--experimental-memory-mlock"]))
    assert [(how, sorted(values)) for how, values, dummy in settings] == [
        ("environment", ["data-dir", "name"]),
        ("flag", ["data-dir", "experimental-memory-mlock"]),
    ]
    assert node_info.removed_flags(settings, {"/etc/x.service": "etcd --experimental-memory-mlock"}) == [
        {"name": "experimental-memory-mlock", "how": "flag", "where": "/etc/x.service"}
    ]


def test_etcd_started_by_a_file(monkeypatch, file):
    path = file("etcd.yml", "data-dir: /c\nexperimental-corrupt-check-time: 1h\n")
    monkeypatch.setattr(node_info._node, "environment", lambda process: {"ETCD_DATA_DIR": "/a"})
    settings = node_info.etcd_settings((1, ["etcd", f"--config-file={path}"]))
    assert node_info.removed_flags(settings, {}) == [
        {"name": "experimental-corrupt-check-time", "how": "file", "where": path}
    ]
    assert settings[-1][1]["data-dir"] == "/c"


@pytest.mark.parametrize(
    ("servers", "chosen"),
    [
        ("https://192.0.2.9:2379,https://192.0.2.1:2379", "https://192.0.2.1:2379"),
        ("https://192.0.2.9:2379,https://127.0.0.1:2379", "https://127.0.0.1:2379"),
        ("https://192.0.2.8:2379,https://192.0.2.9:2379", "https://192.0.2.8:2379"),
        ("", "https://127.0.0.1:2379"),
    ],
)
def test_the_endpoint_is_the_one_on_this_node(monkeypatch, servers, chosen):
    monkeypatch.setattr(node_info._node, "addresses", lambda: ["192.0.2.1"])
    assert node_info.endpoint(servers) == chosen


def kubeconfig(user):
    return f"clusters:\n- cluster:\n    server: https://192.0.2.1:6443\nusers:\n- user:\n    {user}\n"


def test_certificates_inside_kubeconfigs(file):
    embedded = file(
        "admin.conf", kubeconfig(f"client-certificate-data: {base64.b64encode((KEY + FIRST).encode()).decode()}")
    )
    named = file("kubelet.conf", kubeconfig(f"client-certificate: {file('current.pem', KEY + SECOND)}"))
    token = file("token.conf", kubeconfig("token: abc"))
    found = node_info.certificates({}, {}, [embedded, named, token, "/nowhere/x.conf"])
    told = {entry["path"]: entry["pem"] for entry in found if entry["role"] == "kubeconfig_client"}
    assert told == {embedded: FIRST, named: SECOND}


def test_a_certificate_that_a_kubeconfig_and_a_flag_name_is_told_once(file):
    path = file("serving.crt", FIRST)
    named = file("x.conf", kubeconfig(f"client-certificate: {path}"))
    found = node_info.certificates({"tls-cert-file": path}, {}, [named])
    assert [entry["role"] for entry in found if entry["path"] in (path, named)] == ["serving"]


UNITS = """Id=mixedversion-kubeadm-upgrade.service
Description=mixedversion.kubernetes driver step of run 20261124T003000Z-ab12
ActiveState=active

Id=mixedversion-restart-etcd.service
Description=/bin/sh -c something
ActiveState=activating

Id=mixedversion-done.service
Description=mixedversion.kubernetes driver step of run 20261124T003000Z-ab12
ActiveState=inactive
"""


def test_active_steps_say_whose_they_are():
    assert [(step["name"], step["run_id"]) for step in _node.shown_steps(UNITS)] == [
        ("kubeadm-upgrade", "20261124T003000Z-ab12"),
        ("restart-etcd", ""),
    ]
    assert _node.shown_steps("") == []
