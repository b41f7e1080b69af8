#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read what a control plane node runs and where its files are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: What a control plane node runs, and where its files are
version_added: 0.1.0
description:
  - Reads the arguments of the running API server (or, while it does not run, of its manifest), the versions of the
    components, the free space where an upgrade writes, and the public certificates.
  - Needs nothing but Python's standard library.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  driver:
    description: Whether the components are static pods of a kubelet or units of systemd.
    type: str
    choices: [kubeadm, systemd]
    required: true
"""

EXAMPLES = r"""
- name: Read the node
  mixedversion.kubernetes.node_info:
    driver: kubeadm
  register: node
"""

RETURN = r"""
hostname:
  description: The host name as a process on the node sees it.
  returned: always
  type: str
apiserver_flags:
  description: The API server's flags that say where files and peers are. No others, as a flag might hold a secret.
  returned: always
  type: dict
etcd:
  description: Endpoint, CA, certificate and key by which the API server reaches etcd.
  returned: always
  type: dict
etcd_bytes:
  description: Size of the files in etcd's data folder.
  returned: always
  type: int
components:
  description: Version of each component, from its image's tag or its binary; empty if unknown.
  returned: always
  type: dict
paths:
  description: Where each component's binary lies.
  returned: always
  type: dict
disks:
  description: Free space where an upgrade writes.
  returned: always
  type: list
  elements: dict
certificates:
  description: Paths and PEM texts of public certificates.
  returned: always
  type: list
  elements: dict
"""

import os
import shutil
import socket
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _node

SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
TOOLS = ("kubeadm", "kubelet", "kubectl")
#: Flags of the API server that are worth knowing; paths, names and addresses, never a secret.
FLAGS = (
    "advertise-address",
    "secure-port",
    "client-ca-file",
    "tls-cert-file",
    "etcd-servers",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
    "peer-ca-file",
    "peer-advertise-ip",
    "peer-advertise-port",
    "proxy-client-cert-file",
    "proxy-client-key-file",
    "requestheader-client-ca-file",
    "requestheader-allowed-names",
    "feature-gates",
)


def apiserver_flags() -> dict[str, str]:
    process = _node.running("kube-apiserver")
    if process:
        found = _node.flags(process[1])
    else:
        found = _node.flags(_node.manifest_command(_node.read(f"{_node.MANIFESTS}/kube-apiserver.yaml")))
    return {name: found[name] for name in FLAGS if name in found}


def component_versions(module: AnsibleModule, paths: t.Mapping[str, str]) -> dict[str, str]:
    """By image tag where a kubelet runs them, by the binary otherwise."""
    found = {}
    for name in SERVERS:
        if module.params["driver"] == "kubeadm":
            tag = _node.manifest_image(_node.read(f"{_node.MANIFESTS}/{name}.yaml")).rpartition(":")[2]
            found[name] = tag if name != "etcd" else tag.partition("-")[0]
        else:
            found[name] = _node.binary_version(module, paths[name]) if name in paths else ""
    return found


def binaries(driver: str) -> dict[str, str]:
    """Paths of the binaries that this node runs or has."""
    found = {}
    for name in TOOLS if driver == "kubeadm" else SERVERS:
        process = _node.running(name) if driver == "systemd" else None
        path = process[1][0] if process and os.path.isabs(process[1][0]) else shutil.which(name, path=SEARCH_PATH)
        if path:
            found[name] = path
    return found


SEARCH_PATH = "/usr/bin:/usr/local/bin:/opt/bin:/usr/sbin:/usr/local/sbin:/bin"


def folder_bytes(path: str) -> int:
    total = 0
    for folder, dummy, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                # etcd removes its old files while we look.
                continue
    return total


def free(path: str) -> dict[str, t.Any] | None:
    if not os.path.isdir(path):
        return None
    status = os.statvfs(path)
    return {"path": path, "free_bytes": status.f_bavail * status.f_frsize, "free_inodes": status.f_favail}


def certificates(found: t.Mapping[str, str]) -> list[dict[str, str]]:
    """The public certificates that an upgrade or a peer needs; a kubelet's file holds its key too, which stays here."""
    paths = [
        found.get(name, "") for name in ("tls-cert-file", "etcd-certfile", "proxy-client-cert-file", "client-ca-file")
    ]
    paths += ["/etc/kubernetes/pki/etcd/server.crt", "/etc/kubernetes/pki/etcd/peer.crt"]
    paths += ["/var/lib/kubelet/pki/kubelet-client-current.pem"]
    result = []
    for path in paths:
        text = _node.read(path) if path else ""
        start = text.find("-----BEGIN CERTIFICATE-----")
        end = text.find("-----END CERTIFICATE-----", start)
        if start >= 0 and end > start:
            result.append({"path": path, "pem": text[start:end] + "-----END CERTIFICATE-----\n"})
    return result


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {"driver": {"type": "str", "choices": ["kubeadm", "systemd"], "required": True}}
        ),
        supports_check_mode=True,
    )
    driver = module.params["driver"]
    found = apiserver_flags()
    paths = binaries(driver)
    process = _node.running("etcd")
    data = _node.flags(process[1]).get("data-dir", "/var/lib/etcd") if process else "/var/lib/etcd"
    components = component_versions(module, paths)
    if "kubelet" in paths:
        components["kubelet"] = _node.binary_version(module, paths["kubelet"])
    if "kubeadm" in paths:
        components["kubeadm"] = _node.binary_version(module, paths["kubeadm"])
    module.exit_json(
        changed=False,
        hostname=socket.gethostname(),
        apiserver_flags=found,
        etcd={
            "endpoint": found.get("etcd-servers", "https://127.0.0.1:2379").split(",")[0],
            "ca_file": found.get("etcd-cafile", "/etc/kubernetes/pki/etcd/ca.crt"),
            "cert_file": found.get("etcd-certfile", "/etc/kubernetes/pki/apiserver-etcd-client.crt"),
            "key_file": found.get("etcd-keyfile", "/etc/kubernetes/pki/apiserver-etcd-client.key"),
        },
        etcd_bytes=folder_bytes(data),
        components=components,
        paths=paths,
        disks=[disk for disk in map(free, ("/etc/kubernetes", data, "/var/lib")) if disk],
        certificates=certificates(found),
    )


if __name__ == "__main__":
    main()
