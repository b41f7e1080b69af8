# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""k3s and rke2: recognised, and where they keep what a kubeadm cluster has below /etc/kubernetes.

Source: k3s-io/k3s ``pkg/daemons/control/server.go`` and ``deps/deps.go`` (the API server's files), ``pkg/etcd/etcd.go``
(etcd's), ``pkg/cli/server/server.go`` (the process shows no arguments, as they may hold secrets); rke2 builds on it.
"""

from __future__ import annotations

import dataclasses
import os
import re

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd_flags, _node

NAMES = ("k3s", "rke2")
#: The API server's flags that name a file, as both always set them; in the folder ``server/tls``.
_APISERVER = {
    "tls-cert-file": "serving-kube-apiserver.crt",
    "proxy-client-cert-file": "client-auth-proxy.crt",
    "proxy-client-key-file": "client-auth-proxy.key",
    "requestheader-client-ca-file": "request-header-ca.crt",
    "client-ca-file": "client-ca.crt",
    "etcd-cafile": "etcd/server-ca.crt",
    "etcd-certfile": "etcd/client.crt",
    "etcd-keyfile": "etcd/client.key",
}
_ALLOWED_NAME = "system:auth-proxy"
#: Also in ``server/tls``.
_ETCD_CERTIFICATES = {"cert-file": "etcd/server-client.crt", "peer-cert-file": "etcd/peer-server-client.crt"}


@dataclasses.dataclass(frozen=True)
class Distribution:
    """What runs this node: its name, and its data folder."""

    name: str
    data: str

    @property
    def server(self) -> str:
        return f"{self.data}/server"

    @property
    def etcd_data(self) -> str:
        return f"{self.server}/db/etcd"

    @property
    def kept(self) -> list[str]:
        """What a backup of the node is made of: settings, certificates, and the token without which none is read."""
        return [path for path in (f"/etc/rancher/{self.name}", self.server) if os.path.isdir(path)]

    @property
    def left_out(self) -> str:
        """etcd's data and the snapshots of its own."""
        return f"{self.server}/db"

    def apiserver_flags(self, settings: str) -> dict[str, str]:
        """The flags by which the API server is started, as far as they can be told from outside of it."""
        flags = {flag: f"{self.server}/tls/{name}" for flag, name in _APISERVER.items()}
        flags["requestheader-allowed-names"] = _ALLOWED_NAME
        address = setting(settings, "advertise-address") or setting(settings, "node-ip")
        if address:
            flags["advertise-address"] = address.partition(",")[0]
            flags["secure-port"] = setting(settings, "https-listen-port") or "6443"
        flags.update(extra_flags(settings))
        return flags

    def etcd_flags(self) -> dict[str, str]:
        flags = {flag: f"{self.server}/tls/{name}" for flag, name in _ETCD_CERTIFICATES.items()}
        return {**flags, "data-dir": self.etcd_data}

    def etcd(self) -> dict[str, str]:
        """How etcd on this node is asked; no endpoint where the cluster's data is in another database.

        Its client port takes gRPC only; the port for anything else is on loopback, so each node's is asked there.
        """
        if not os.path.isdir(self.etcd_data):
            return {"endpoint": "", "ca_file": "", "cert_file": "", "key_file": "", "data_directory": ""}
        text = _node.read(f"{self.etcd_data}/config")
        urls = _etcd_flags.of_file(text).get("listen-client-http-urls") or "https://127.0.0.1:2379"
        tls = f"{self.server}/tls"
        return {
            "endpoint": urls.partition(",")[0],
            "ca_file": f"{tls}/{_APISERVER['etcd-cafile']}",
            "cert_file": f"{tls}/{_APISERVER['etcd-certfile']}",
            "key_file": f"{tls}/{_APISERVER['etcd-keyfile']}",
            "data_directory": self.etcd_data,
        }


def find() -> Distribution | None:
    """The distribution that runs this node, or would if it were not stopped."""
    for name in NAMES:
        data = setting(configuration(name), "data-dir") or f"/var/lib/rancher/{name}"
        found = Distribution(name, data.rstrip("/"))
        if serves(name) or stopped(found):
            return found
    return None


def stopped(found: Distribution) -> bool:
    """Whether its files are there, and no other's server: a node may have been set up anew."""
    if not os.path.isdir(f"{found.server}/tls"):
        return False
    serving = _node.flags(_node.command("kube-apiserver")).get("tls-cert-file", "")
    return not serving or serving.startswith(f"{found.server}/")


def serves(name: str) -> bool:
    """Whether ``k3s server`` runs: so the process calls itself, in one word; before that, and rke2's, in two."""
    if _node.running(f"{name} server"):
        return True
    process = _node.running(name)
    return bool(process and process[1][1:2] == ["server"])


def configuration(name: str) -> str:
    """The text of its configuration files, in the order in which they are read; what comes last wins."""
    folder = f"/etc/rancher/{name}/config.yaml.d"
    more = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    files = [f"/etc/rancher/{name}/config.yaml", *(f"{folder}/{file}" for file in more if file.endswith(".yaml"))]
    return "\n".join(_node.read(path) for path in files)


def setting(text: str, name: str) -> str:
    """A plain value at the top of its configuration, a list's values with commas between them; empty if not there."""
    values = _values(text, name)
    return ",".join(values[-1]) if values else ""


def extra_flags(text: str) -> dict[str, str]:
    """What ``kube-apiserver-arg`` adds."""
    given = [value for values in _values(text, "kube-apiserver-arg") for value in values]
    return _node.flags(f"--{value.lstrip('-')}" for value in given)


def _values(text: str, name: str) -> list[list[str]]:
    """Each time that a key stands at the top: its values. Nodes have no parser of YAML, and nothing nested is asked."""
    found = []
    for match in re.finditer(rf"^{re.escape(name)}\+?:[ \t]*(.*)\n?((?:[ \t]*-[ \t]+.*\n?)*)", text, re.MULTILINE):
        inline = match[1].partition(" #")[0].strip().strip("[]")
        items = re.findall(r"^[ \t]*-[ \t]+(.*)$", match[2], re.MULTILINE) or inline.split(",")
        found.append([item.partition(" #")[0].strip().strip("'\"") for item in items if item.strip()])
    return found


def etcd_settings(found: Distribution) -> list[tuple[str, dict[str, str], str]]:
    """As :func:`node_info.etcd_settings`: what etcd was told, how, and the file it is in."""
    path = f"{found.etcd_data}/config"
    return [(_etcd_flags.FILE, {**_etcd_flags.of_file(_node.read(path)), **found.etcd_flags()}, path)]
