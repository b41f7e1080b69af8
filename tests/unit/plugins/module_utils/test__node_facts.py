# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node_facts

pytestmark = pytest.mark.node

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KUBECONFIG = f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: QUFBQQ==
    server: https://192.0.2.1:6443
  name: kubernetes
users:
- name: system:kube-scheduler
  user:
    client-certificate-data: {base64.b64encode(CERTIFICATE.encode()).decode()}
    client-key-data: S0VZ
"""


@pytest.mark.parametrize(
    ("text", "gates"),
    [
        ("a: b\nfeatureGates:\n  One: true\n  # why\n  Two: false\nmode: iptables\n", {"One": "true", "Two": "false"}),
        ("featureGates: {One: true, Two: false}\n", {"One": "true", "Two": "false"}),
        ('{"featureGates": {"One": true}}', {"One": "true"}),
        ("featureGates:\nmode: iptables\nFalse: true\n", {}),
        ("nested:\n  featureGates:\n    One: true\n", {}),
        ("", {}),
    ],
)
def test_gates_of_a_configuration_file(text, gates):
    assert _node_facts.gates_of_file(text) == gates


def test_gates_of_flags_add_up():
    arguments = ["--feature-gates=One=true,Two=false", "--v=2", "--feature-gates=kube:Two=true"]
    assert _node_facts.gates_of_flags(arguments) == {"One": "true", "Two": "true"}
    # A value may be a word of its own.
    arguments = ["kubelet", "--feature-gates", "One=true", "--v", "2"]
    assert _node_facts.gates_of_flags(arguments) == {"One": "true"}


def test_a_manifest_tells_flags_without_their_values(recorded, monkeypatch):
    texts = {"kube-controller-manager": recorded("kube-controller-manager.yaml")}
    monkeypatch.setattr(_node_facts, "text_of", lambda path: texts.get(path.rpartition("/")[2].partition(".")[0], ""))
    found = _node_facts.manifests()
    assert list(found) == ["kube-controller-manager"]
    manifest = found["kube-controller-manager"]
    assert manifest["image"] == "registry.k8s.io/kube-controller-manager:v1.35.4"
    assert manifest["flags"]["cluster-name"] == _node_facts.fingerprint("kubernetes")
    assert "kubernetes" not in manifest["flags"].values()
    assert "/usr/libexec/kubernetes/kubelet-plugins/volume/exec" in manifest["paths"]
    assert len(manifest["paths"]) == 7


def test_of_a_kubeconfig_the_server_and_the_public_certificate():
    assert _node_facts.setting(KUBECONFIG, "server") == "https://192.0.2.1:6443"
    assert _node_facts.client_certificate(KUBECONFIG) == CERTIFICATE
    assert _node_facts.client_certificate("users: []\n") == ""
    assert _node_facts.setting("    client-certificate: /var/lib/x.pem\n", "client-certificate") == "/var/lib/x.pem"


@pytest.mark.parametrize(
    ("server", "local"),
    [
        ("https://192.0.2.11:6443", True),
        ("https://127.0.0.1:6443", True),
        ("https://[::1]:6443", True),
        ("https://localhost:6443", True),
        # A load balancer on the node itself.
        ("https://127.0.0.1:8443", False),
        ("https://192.0.2.1:6443", False),
        ("https://192.0.2.11", False),
        ("https://nothing.invalid:6443", False),
    ],
)
def test_whose_server_it_is(server, local):
    assert _node_facts.is_local(server, "192.0.2.11", "6443") is local


def test_packages_that_dpkg_holds():
    text = (
        "Package: kubeadm\nStatus: hold ok installed\nVersion: 1.36.4-1.1\n\n"
        "Package: kubelet\nStatus: install ok installed\nVersion: 1.36.4-1.1\n\n"
        "Package: kubectl\nStatus: deinstall ok config-files\nVersion: 1.30.0-1.1\n\n"
        "Package: bash\nStatus: hold ok installed\nVersion: 5.2\n"
    )
    assert _node_facts.dpkg_packages(text) == ({"kubeadm": "1.36.4-1.1", "kubelet": "1.36.4-1.1"}, ["kubeadm"])


@pytest.mark.parametrize(
    ("text", "locked"),
    [
        ("# Added lock on Mon\nkubelet-0:1.36.4-150500.1.1.*\nkubectl-0:1.36.4*\n", ["kubectl", "kubelet"]),
        ('[[packages]]\nname = "kubeadm"\n', ["kubeadm"]),
        ("0:kubeadm-1.36.4-150500.1.1.*\n", ["kubeadm"]),
        ("#kubeadm-1.36.4\nbash-5.2\n", []),
    ],
)
def test_packages_that_dnf_locks(text, locked):
    assert _node_facts.locked_packages([text]) == locked


def test_patches(tmp_path):
    (tmp_path / "kube-apiserver0+json.yaml").write_text(
        '[{"op": "add", "value": "--audit-log-path=/var/log/audit.log"}]'
    )
    (tmp_path / "etcd.yaml").write_text("spec: {}\n")
    found = _node_facts.patches(str(tmp_path))
    assert sorted(found["files"]) == ["etcd.yaml", "kube-apiserver0+json.yaml"]
    assert found["flags"]["kube-apiserver0+json.yaml"] == ["audit-log-path"]
    assert _node_facts.patches(str(tmp_path / "none")) is None


HAPROXY = """\
backend apiserver
  option httpchk {path}
  default-server check check-ssl verify none
  server cp1 192.0.2.11:6443
"""
SERVERS = "backend x\n  server cp1 192.0.2.11:6443 {check}\n"
NGINX = "stream {{\n  upstream kube_apiserver {{\n    server 192.0.2.11:6443;\n  }}\n{more}}}\n"


@pytest.mark.parametrize(
    ("text", "readiness", "words"),
    [
        (HAPROXY.format(path="GET /readyz"), True, "/readyz"),
        (HAPROXY.format(path="GET /healthz"), False, "it asks /healthz"),
        (HAPROXY.format(path="\n  http-check send meth GET uri /readyz"), True, "/readyz"),
        (SERVERS.format(check="check"), False, "only opens a connection"),
        (SERVERS.format(check="# check"), False, "checks nothing"),
        (SERVERS.format(check="check").replace("6443", "80"), None, ""),
    ],
)
def test_haproxy(text, readiness, words):
    found = _node_facts.haproxy(text, "6443")
    assert found[0] is readiness
    assert words in found[1]
    assert bool(found[1]) == bool(words)


def test_nginx():
    assert _node_facts.nginx(NGINX.format(more=""), "6443") == (
        False,
        "it notices only that a server takes no connections",
    )
    assert _node_facts.nginx(NGINX.format(more="  server { health_check; }\n  health_check;\n"), "6443")[0] is None
    assert _node_facts.nginx("http {}\n", "6443") == (None, "")


def test_keepalived(tmp_path):
    (tmp_path / "check.sh").write_text("curl https://localhost:6443/readyz\n")
    assert _node_facts.keepalived(str(tmp_path), 'vrrp_script c {\n  script "/check.sh"\n}\n')[0] is True
    assert _node_facts.keepalived(str(tmp_path), 'vrrp_script c {\n  script "/other.sh"\n}\n')[0] is False
    assert _node_facts.keepalived(str(tmp_path), "") == (None, "")
