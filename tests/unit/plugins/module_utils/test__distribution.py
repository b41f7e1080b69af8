# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _distribution, _node
from ansible_collections.mixedversion.kubernetes.plugins.modules import backup_pack

pytestmark = pytest.mark.node

# As k3s' and rke2's documentation writes such files.
SETTINGS = """\
write-kubeconfig-mode: "0644"
tls-san:
  - "k3s.example.org"   # the load balancer
node-ip: 192.0.2.21,fd00::21
kube-apiserver-arg:
  - "peer-ca-file=/var/lib/rancher/k3s/server/tls/server-ca.crt"
  - audit-log-maxage=30
data-dir: /srv/k3s  # on its own disk
"""
MORE = 'kube-apiserver-arg+:\n- "feature-gates=Some=true"\nhttps-listen-port: 7443\n'
# The top of the file that both write for the etcd they start.
ETCD = """\
advertise-client-urls: https://192.0.2.21:2379
client-transport-security:
  cert-file: /var/lib/rancher/k3s/server/tls/etcd/server-client.crt
data-dir: /var/lib/rancher/k3s/server/db/etcd
listen-client-http-urls: https://127.0.0.1:2382
listen-client-urls: https://127.0.0.1:2379,https://192.0.2.21:2379
"""


def test_settings_are_read_from_lists_and_lines():
    assert _distribution.setting(SETTINGS, "tls-san") == "k3s.example.org"
    assert _distribution.setting(SETTINGS, "data-dir") == "/srv/k3s"
    assert _distribution.setting(SETTINGS, "write-kubeconfig-mode") == "0644"
    assert _distribution.setting(SETTINGS, "cluster-init") == ""
    assert (
        _distribution.setting("tls-san: [a.example.org, b.example.org]\n", "tls-san") == "a.example.org,b.example.org"
    )


def test_the_last_file_wins_and_one_with_a_plus_adds():
    assert _distribution.extra_flags(SETTINGS + MORE) == {
        "peer-ca-file": "/var/lib/rancher/k3s/server/tls/server-ca.crt",
        "audit-log-maxage": "30",
        "feature-gates": "Some=true",
    }


def test_the_servers_flags_are_told_from_outside():
    flags = _distribution.Distribution("k3s", "/srv/k3s").apiserver_flags(SETTINGS + MORE)
    assert flags["tls-cert-file"] == "/srv/k3s/server/tls/serving-kube-apiserver.crt"
    assert flags["requestheader-allowed-names"] == "system:auth-proxy"
    assert (flags["advertise-address"], flags["secure-port"]) == ("192.0.2.21", "7443")
    assert flags["peer-ca-file"] == "/var/lib/rancher/k3s/server/tls/server-ca.crt"
    assert "advertise-address" not in _distribution.Distribution("k3s", "/srv/k3s").apiserver_flags("")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A server's data folder, and no process and no other files anywhere."""
    (tmp_path / "server" / "tls" / "etcd").mkdir(parents=True)
    (tmp_path / "server" / "token").write_text("secret")
    (tmp_path / "server" / "db" / "etcd").mkdir(parents=True)
    (tmp_path / "server" / "db" / "etcd" / "config").write_text(ETCD)
    monkeypatch.setattr(_node, "running", lambda name: None)
    monkeypatch.setattr(_node, "MANIFESTS", str(tmp_path / "none"))
    monkeypatch.setattr(
        _distribution, "configuration", lambda name: f"data-dir: {tmp_path}\n" if name == "rke2" else ""
    )
    return tmp_path


def test_etcd_is_asked_at_the_port_that_takes_more_than_grpc(data):
    found = _distribution.Distribution("k3s", str(data))
    assert found.etcd()["endpoint"] == "https://127.0.0.1:2382"
    assert found.etcd()["cert_file"] == f"{data}/server/tls/etcd/client.crt"
    (data / "server" / "db" / "etcd" / "config").write_text(ETCD.replace("listen-client-http-urls", "other"))
    assert found.etcd()["endpoint"] == "https://127.0.0.1:2379"


def test_without_an_etcd_of_its_own_there_is_no_endpoint(data):
    (data / "server" / "db" / "etcd" / "config").unlink()
    os.rmdir(data / "server" / "db" / "etcd")
    assert _distribution.Distribution("k3s", str(data)).etcd()["endpoint"] == ""


def test_one_that_is_stopped_is_known_by_its_files(data):
    assert _distribution.find() == _distribution.Distribution("rke2", str(data))


def test_one_that_another_control_plane_took_the_place_of_is_none(data, monkeypatch):
    command = ["kube-apiserver", "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt"]
    monkeypatch.setattr(_node, "running", lambda name: (7, command) if name == "kube-apiserver" else None)
    assert _distribution.find() is None
    own = ["kube-apiserver", f"--tls-cert-file={data}/server/tls/serving-kube-apiserver.crt"]
    monkeypatch.setattr(_node, "running", lambda name: (7, own) if name == "kube-apiserver" else None)
    assert _distribution.find() == _distribution.Distribution("rke2", str(data))


@pytest.mark.parametrize(
    ("processes", "name"),
    [
        ({"k3s server": (7, ["/usr/local/bin/k3s server"])}, "k3s"),
        ({"k3s": (7, ["/usr/local/bin/k3s", "server"])}, "k3s"),
        ({"rke2": (7, ["/usr/local/bin/rke2", "server"])}, "rke2"),
        ({"k3s": (7, ["/usr/local/bin/k3s", "agent"])}, ""),
    ],
)
def test_one_that_runs_is_known_by_its_process(monkeypatch, tmp_path, processes, name):
    monkeypatch.setattr(_node, "running", processes.get)
    monkeypatch.setattr(_distribution, "configuration", lambda name: f"data-dir: {tmp_path}\n")
    found = _distribution.find()
    assert (found.name if found else "") == name


def test_its_backup_has_the_token_and_not_etcds_data(data, tmp_path):
    roots, left_out = backup_pack.folders()
    assert roots == [f"{data}/server"]
    assert left_out == f"{data}/server/db"
    assert not backup_pack.outside(f"{data}/server/token", roots)
