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
    components, the free space where an upgrade writes, the public certificates, the clock and the addresses.
  - Reads as well what an upgrade may stumble over, which M(mixedversion.kubernetes.preflight_info) judges.
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
    description: Whether the components are static pods of a kubelet, units of systemd, or run in the user's own way.
    type: str
    choices: [kubeadm, systemd, custom]
    required: true
  etcd_data_directory:
    description: etcd's data folder on this node; as its process has it if left out.
    type: path
  patches_directory:
    description: The folder with kubeadm's patches, if there shall be one.
    type: path
"""

EXAMPLES = r"""
- name: Read the node
  mixedversion.kubernetes.node_info:
    driver: kubeadm
  register: node
"""

RETURN = r"""
hostname:
  description: The host name as a process on the node sees it, and so the one of its API server's Lease.
  returned: always
  type: str
node_hostname:
  description:
    - What the label C(kubernetes.io/hostname) of its Node is, the kubelet's C(--hostname-override), or the host name in
      lower case.
  returned: always
  type: str
distribution:
  description: V(k3s) or V(rke2) if one of them runs the node, else empty.
  returned: always
  type: str
distribution_directory:
  description: Its data folder; empty if it is none of them.
  returned: always
  type: str
apiserver_flags:
  description: The API server's flags that say where files and peers are. No others, as a flag might hold a secret.
  returned: always
  type: dict
etcd:
  description:
    - Endpoint, CA, certificate and key by which the API server reaches etcd, and etcd's data folder on this node.
    - Of several endpoints the one on this node, or the first if none is.
    - Of k3s and rke2 the one that etcd has for anything but gRPC; empty if they keep their data elsewhere.
  returned: always
  type: dict
etcd_removed_flags:
  description: etcd's settings that etcd 3.7 no longer has.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The flag's name., type: str, returned: always}
    how: {description: "V(flag), V(environment) or V(file).", type: str, returned: always}
    where: {description: The file that it is in., type: str, returned: always}
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
  contains:
    path: {description: The folder., type: str, returned: always}
    free_bytes: {description: What others than root may still use., type: int, returned: always}
    inodes: {description: How many files it may hold; 0 where there is no bound., type: int, returned: always}
    free_inodes: {description: How many more files., type: int, returned: always}
settings:
  description:
    - By component, the names of the flags that it runs with, without a value, as that might be a secret; and its
      feature gates, of its flags and of its configuration file.
  returned: always
  type: dict
refused:
  description:
    - By component whose binary here is another version than what runs, that version, and which of today's flags and
      gates it does not take. C(gates) is none where the binary can't be asked about them.
  returned: always
  type: dict
manifests:
  description:
    - By static pod its image, its flags with a fingerprint of each value, its feature gates, and the paths it mounts.
      Empty but with O(driver=kubeadm).
  returned: always
  type: dict
kubeconfigs:
  description: Where kubelet, controller manager and scheduler find the API.
  returned: always
  type: list
  elements: dict
  contains:
    component: {description: Whose it is., type: str, returned: always}
    path: {description: The file., type: str, returned: always}
    server: {description: The URL in it., type: str, returned: always}
    local: {description: Whether that is this node's own server., type: bool, returned: always}
images:
  description: What the container runtime has; none if it can't be asked, or with another O(driver) than V(kubeadm).
  returned: always
  type: list
  elements: str
packages:
  description: Versions of Kubernetes' packages (C(installed)), and those that are held or locked (C(held)).
  returned: always
  type: dict
patches:
  description:
    - The SHA-256 of each file in O(patches_directory) (C(files)), and by file which flags and which paths it speaks of.
    - None if there is no such folder, or it was not asked for.
  returned: always
  type: dict
balancers:
  description: Load balancers of the API that run on this node.
  returned: always
  type: list
  elements: dict
  contains:
    kind: {description: "V(haproxy), V(nginx), V(keepalived) or V(kube-vip).", type: str, returned: always}
    path: {description: Its configuration., type: str, returned: always}
    readiness: {description: Whether it asks for readiness; none if unknown., type: bool, returned: always}
    words: {description: What it does instead., type: str, returned: always}
certificates:
  description: The public certificates and CAs of the control plane, one entry a role and file.
  returned: always
  type: list
  elements: dict
  contains:
    path: {description: The file., type: str, returned: always}
    role:
      description:
        - V(serving), V(front_proxy_client), V(peer_ca), V(requestheader_ca), V(client_ca), V(apiserver_kubelet_client),
          V(etcd_client), V(etcd_ca), V(etcd_server), V(etcd_peer), V(etcd_peer_ca), V(etcd_healthcheck_client),
          V(kubelet_client), V(kubelet_serving), or, of a kubeconfig, V(kubeconfig_client).
      type: str
      returned: always
    pem:
      description: The whole bundle where the role is a CA, else the first certificate, the leaf.
      type: str
      returned: always
active_steps:
  description: The driver steps that are active on the node, whichever run started them.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The step's name., type: str, returned: always}
    unit: {description: Its unit., type: str, returned: always}
    run_id: {description: The run that started it; empty if it does not say., type: str, returned: always}
clock:
  description: Seconds since 1970 by the node's clock, when the module ended.
  returned: always
  type: float
controller_clock:
  description: The controller's clock just before and just after it, seconds since 1970.
  returned: always
  type: list
  elements: float
addresses:
  description: The node's own IP addresses, loopback and link-local ones left out.
  returned: always
  type: list
  elements: str
"""

import os
import re
import shutil
import socket
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _distribution,
    _etcd,
    _etcd_flags,
    _gate,
    _node,
    _node_facts,
    _proxy,
    _version,
)

SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
TOOLS = ("kubeadm", "kubelet", "kubectl")
#: Flags of the API server that are worth knowing: those of its proxy, and where its etcd is; never a secret.
FLAGS = (
    *_proxy.FLAGS,
    "etcd-servers",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
    "kubelet-certificate-authority",
    "kubelet-client-certificate",
)
#: The API server's flags that name a file of certificates, and the role of what is in it.
APISERVER_CERTIFICATES = {
    "tls-cert-file": "serving",
    "proxy-client-cert-file": "front_proxy_client",
    "peer-ca-file": "peer_ca",
    "requestheader-client-ca-file": "requestheader_ca",
    "client-ca-file": "client_ca",
    "etcd-certfile": "etcd_client",
    "etcd-cafile": "etcd_ca",
    "kubelet-client-certificate": "apiserver_kubelet_client",
}
#: The same for etcd, with the places kubeadm has, for a node whose etcd does not run now.
ETCD_CERTIFICATES = {
    "cert-file": ("etcd_server", "/etc/kubernetes/pki/etcd/server.crt"),
    "peer-cert-file": ("etcd_peer", "/etc/kubernetes/pki/etcd/peer.crt"),
    "peer-trusted-ca-file": ("etcd_peer_ca", "/etc/kubernetes/pki/etcd/ca.crt"),
}
#: Files that no flag names: kubeadm's, and the kubelet's own. It serves with the first of two that there is.
PLAIN_CERTIFICATES = {
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt": "etcd_healthcheck_client",
    "/var/lib/kubelet/pki/kubelet-client-current.pem": "kubelet_client",
}
KUBELET_SERVING = ("/var/lib/kubelet/pki/kubelet-server-current.pem", "/var/lib/kubelet/pki/kubelet.crt")


def apiserver_flags(distribution: _distribution.Distribution | None) -> dict[str, str]:
    """Those of :data:`FLAGS`; with a distribution also those that its own process does not show."""
    found = _node.flags(_node.command("kube-apiserver"))
    if distribution:
        found = {**distribution.apiserver_flags(_distribution.configuration(distribution.name)), **found}
    return {name: found[name] for name in FLAGS if name in found}


def component_versions(module: AnsibleModule, paths: t.Mapping[str, str], distribution: str) -> dict[str, str]:
    """By image tag, binary or process, as the driver has them; a distribution holds them all in its own."""
    if distribution:
        path = shutil.which(distribution, path=_node.SEARCH_PATH)
        return {distribution: _node.binary_version(module, path) if path else ""}
    found = {}
    for name in SERVERS:
        if module.params["driver"] == "kubeadm":
            tag = _version.image_tag(_node.manifest_image(_node.read(f"{_node.MANIFESTS}/{name}.yaml")))
            found[name] = tag if name != "etcd" else tag.partition("-")[0]
        elif module.params["driver"] == "custom":
            # Wherever the files lie: of what runs, the process tells.
            found[name] = _node.running_version(module, name)
        else:
            found[name] = _node.binary_version(module, paths[name]) if name in paths else ""
    return found


def binaries(driver: str) -> dict[str, str]:
    """Paths of the binaries that this node runs or has."""
    found = {}
    for name in {"kubeadm": TOOLS, "systemd": SERVERS}.get(driver, ()):
        process = _node.running(name) if driver == "systemd" else None
        path = process[1][0] if process and os.path.isabs(process[1][0]) else shutil.which(name, path=_node.SEARCH_PATH)
        if path:
            found[name] = path
    return found


def free(path: str) -> dict[str, t.Any] | None:
    if not os.path.isdir(path):
        return None
    status = os.statvfs(path)
    return {
        "path": path,
        "free_bytes": status.f_bavail * status.f_frsize,
        "inodes": status.f_files,
        "free_inodes": status.f_favail,
    }


def public(path: str, bundle: bool) -> str:
    """The certificates in a file, or the first one. A kubelet's file holds its key too, which stays here."""
    try:
        text = _node.read(path)
    except (OSError, UnicodeDecodeError):
        return ""
    return "".join(blocks(text)) if bundle else first(text)


def blocks(text: str) -> list[str]:
    """The certificates in a PEM text."""
    found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    return [f"{pem}\n" for pem in found]


def first(text: str) -> str:
    """The first certificate of a PEM text, and nothing else of it."""
    return "".join(blocks(text)[:1])


def certificates(
    apiserver: t.Mapping[str, str], etcd: t.Mapping[str, str], kubeconfigs: t.Iterable[str]
) -> list[dict[str, str]]:
    """The public certificates that an upgrade or a peer needs: of flags, of the kubelet, and in kubeconfigs."""
    files = [(role, apiserver.get(flag, "")) for flag, role in APISERVER_CERTIFICATES.items()]
    files += [(role, etcd.get(flag, path)) for flag, (role, path) in ETCD_CERTIFICATES.items()]
    files += [(role, path) for path, role in PLAIN_CERTIFICATES.items()]
    files += [("kubelet_serving", path) for path in KUBELET_SERVING if os.path.exists(path)][:1]
    found = [{"path": path, "role": role, "pem": public(path, role.endswith("_ca"))} for role, path in files if path]
    for path in kubeconfigs:
        text = _node_facts.text_of(path)
        named = _node_facts.setting(text, "client-certificate")
        pem = public(named, False) if named else first(_node_facts.client_certificate(text))
        if named not in {entry["path"] for entry in found}:
            found.append({"path": path, "role": "kubeconfig_client", "pem": pem})
    return [entry for entry in found if entry["pem"]]


def endpoint(servers: str) -> str:
    """Of the API server's etcd servers the one on this node, else the first: kubespray gives each node all."""
    urls = [url.strip() for url in servers.split(",") if url.strip()] or ["https://127.0.0.1:2379"]
    host = _etcd.Host(frozenset(_node.addresses()), False)
    return next((url for url in urls if _etcd.is_loopback(url) or host.has([url])), urls[0])


def etcd_settings(process: tuple[int, list[str]] | None) -> list[tuple[str, dict[str, str], str]]:
    """What the etcd of this node was told, a kind at a time, what wins last; of a manifest if it does not run."""
    if process is None:
        path = f"{_node.MANIFESTS}/etcd.yaml"
        return [(_etcd_flags.FLAG, _node.flags(_node.manifest_command(_node.read(path))), path)]
    flags = _node.flags(process[1])
    variables = _etcd_flags.of_environment(_node.environment(process[0]))
    file = flags.get("config-file") or variables.get("config-file") or ""
    # With a file, etcd reads nothing else.
    if file:
        return [(_etcd_flags.FLAG, flags, ""), (_etcd_flags.FILE, _etcd_flags.of_file(_node.read(file)), file)]
    return [(_etcd_flags.ENVIRONMENT, variables, ""), (_etcd_flags.FLAG, flags, "")]


def removed_flags(
    settings: t.Iterable[tuple[str, dict[str, str], str]], texts: t.Mapping[str, str]
) -> list[dict[str, str]]:
    """Those that etcd 3.7 does not have, each with the file it is in."""
    return [
        _etcd_flags.Setting(name, how, where or _etcd_flags.place(name, how, texts)).dump()
        for how, values, where in settings
        for name in values
        if _etcd_flags.removed(name)
    ]


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "driver": {"type": "str", "choices": ["kubeadm", "systemd", "custom"], "required": True},
                "etcd_data_directory": {"type": "path"},
                "patches_directory": {"type": "path"},
            }
        ),
        supports_check_mode=True,
    )
    driver = module.params["driver"]
    distribution = _distribution.find()
    found = apiserver_flags(distribution)
    paths = binaries(driver)
    settings = _distribution.etcd_settings(distribution) if distribution else etcd_settings(_node.running("etcd"))
    etcd_flags = {name: value for dummy, values, dummy2 in settings for name, value in values.items()}
    data = module.params["etcd_data_directory"] or etcd_flags.get("data-dir", "/var/lib/etcd")
    if driver == "kubeadm":
        manifest = f"{_node.MANIFESTS}/etcd.yaml"
        texts = {manifest: _node.read(manifest)}
    else:
        texts = {path: _node.read(path) for path in _node.unit_files(module, "etcd.service")}
    components = component_versions(module, paths, distribution.name if distribution else "")
    if "kubelet" in paths:
        components["kubelet"] = _node.binary_version(module, paths["kubelet"])
    for tool in ("kubeadm", "kubectl"):
        if tool in paths:
            components[tool] = _node.binary_version(module, paths[tool])
    advertised, port = found.get("advertise-address", ""), found.get("secure-port", "6443")
    kubeconfigs = _node_facts.kubeconfigs(advertised, port)
    settings_now = _node_facts.components()
    patches = module.params["patches_directory"]
    module.exit_json(
        changed=False,
        hostname=socket.gethostname(),
        node_hostname=_node.node_hostname(),
        distribution=distribution.name if distribution else "",
        distribution_directory=distribution.data if distribution else "",
        apiserver_flags=found,
        etcd=distribution.etcd()
        if distribution
        else {
            "endpoint": endpoint(found.get("etcd-servers", "")),
            "ca_file": found.get("etcd-cafile", "/etc/kubernetes/pki/etcd/ca.crt"),
            "cert_file": found.get("etcd-certfile", "/etc/kubernetes/pki/apiserver-etcd-client.crt"),
            "key_file": found.get("etcd-keyfile", "/etc/kubernetes/pki/apiserver-etcd-client.key"),
            "data_directory": data,
        },
        etcd_removed_flags=removed_flags(settings, texts),
        etcd_bytes=_node.folder_bytes(data),
        components=components,
        paths=paths,
        disks=[disk for disk in map(free, ("/etc/kubernetes", data, "/var/lib")) if disk],
        certificates=certificates(found, etcd_flags, [*(entry["path"] for entry in kubeconfigs), *_node_facts.ADMINS]),
        settings=settings_now,
        refused=_node_facts.refused(module, settings_now, paths),
        manifests=_node_facts.manifests() if driver == "kubeadm" else {},
        kubeconfigs=kubeconfigs,
        images=_node_facts.images(module) if driver == "kubeadm" else None,
        packages=_node_facts.packages(module),
        patches=_node_facts.patches(patches) if patches else None,
        balancers=_node_facts.balancers(port),
        active_steps=_node.active_steps(module),
        clock=time.time(),
        addresses=_node.addresses(),
    )


if __name__ == "__main__":
    main()
