# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What a node holds that an upgrade may stumble over, read with the standard library alone.

What may hold a secret does not leave the node: of flags the names go, and a fingerprint of each value, enough to say
whether it is the one expected; of certificates the public part.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import json
import os
import re
import shutil
import socket
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _flags, _node, _refused

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

#: Whose flags and gates the target has to take.
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
STATIC_PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
#: Whose kubeconfig is read, with the flag that names it and kubeadm's place.
KUBECONFIGS = {
    "kubelet": "/etc/kubernetes/kubelet.conf",
    "kube-controller-manager": "/etc/kubernetes/controller-manager.conf",
    "kube-scheduler": "/etc/kubernetes/scheduler.conf",
}
ADMINS = ("/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf")
DPKG_STATUS = "/var/lib/dpkg/status"
PACKAGES = ("kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools")
#: Where dnf and yum keep what they are not to touch.
VERSION_LOCKS = (
    "/etc/dnf/versionlock.toml",
    "/etc/dnf/plugins/versionlock.list",
    "/etc/yum/pluginconf.d/versionlock.list",
)


def text_of(path: str) -> str:
    """A file's text; empty if it is no file, or none that can be read."""
    try:
        return _node.read(path)
    except (OSError, UnicodeDecodeError):
        return ""


def fingerprint(value: str) -> str:
    """Enough of a sum to tell whether a value is the one expected."""
    return hashlib.sha256(value.encode()).hexdigest()[:16]


# Flags and feature gates

#: The top level's ``featureGates`` in YAML, in braces on its line or indented below it; and a gate in it.
_GATES_BLOCK = re.compile(r"^featureGates:[^\S\n]*(\{.*?\})?[^\S\n]*\n((?:[^\S\n]+\S.*\n|\s*#.*\n)*)", re.MULTILINE)
_GATE = re.compile(r"""["']?(\w+)["']?:[^\S\n]*["']?(true|false)""")


def command(name: str) -> tuple[str, list[str]]:
    """The root folder that a component sees, and its arguments; kubeadm's manifest while it does not run."""
    process = _node.running(name)
    if process:
        return f"/proc/{process[0]}/root", process[1]
    return "", _node.manifest_command(text_of(f"{_node.MANIFESTS}/{name}.yaml"))


def gates_of_file(text: str) -> dict[str, str]:
    """The top level's ``featureGates`` of a component's configuration file, YAML or JSON."""
    try:
        document = json.loads(text)
    except ValueError:
        block = _GATES_BLOCK.search(text + "\n")
        return dict(_GATE.findall((block[1] or "") + block[2])) if block else {}
    found = document.get("featureGates") if isinstance(document, dict) else None
    return {name: str(value).lower() for name, value in (found or {}).items()}


def gates_of_flags(arguments: t.Iterable[str]) -> dict[str, str]:
    """All ``--feature-gates`` together: each occurrence adds to those before. A gate may carry ``kube:`` before it."""
    values = [value for name, value in _node.flag_pairs(arguments) if name == "feature-gates"]
    text = _flags.with_gates(values, {}) or ""
    pairs = (item.partition("=") for item in text.split(",") if item)
    return {name.rpartition(":")[2]: value for name, dummy, value in pairs}


def components() -> dict[str, dict[str, t.Any]]:
    """By component the names of its flags, and its feature gates with their values."""
    found = {}
    for name in COMPONENTS:
        root, arguments = command(name)
        flags = _node.flags(arguments)
        if not flags:
            continue
        file = flags.get("config", "")
        gates = gates_of_file(text_of(root + file)) if file.startswith("/") else {}
        gates.update(gates_of_flags(arguments))
        found[name] = {"flags": sorted(set(flags) - {_flags.FEATURE_GATES}), "gates": gates}
    return found


def refused(
    module: AnsibleModule, found: t.Mapping[str, t.Mapping[str, t.Any]], paths: t.Mapping[str, str]
) -> dict[str, dict[str, t.Any]]:
    """What binaries on this node that are another version than what runs would not take of today's settings."""
    told = {}

    def run(arguments: list[str]) -> tuple[int, str]:
        code, text, words = module.run_command(arguments)
        return code, text + words

    for name in set(found) & set(paths):
        version, running = _node.binary_version(module, paths[name]), _node.running_version(module, name)
        if version and running and version != running:
            told[name] = {
                "version": version,
                "flags": _refused.flags(run, paths[name], found[name]["flags"]),
                "gates": _refused.gates(run, paths[name], [f"{gate}={v}" for gate, v in found[name]["gates"].items()]),
            }
    return told


def manifests() -> dict[str, dict[str, t.Any]]:
    """By static pod its image, its flags as fingerprints, its gates, and the paths of the node that it mounts."""
    found = {}
    for name in STATIC_PODS:
        text = text_of(f"{_node.MANIFESTS}/{name}.yaml")
        if text:
            arguments = _node.manifest_command(text)
            found[name] = {
                "image": _node.manifest_image(text),
                "flags": {flag: fingerprint(value) for flag, value in _node.flags(arguments).items()},
                "gates": gates_of_flags(arguments),
                "paths": host_paths(text),
            }
    return found


def host_paths(text: str) -> list[str]:
    """The node's paths that a static pod's manifest mounts, as kubeadm writes them: the path is the first key."""
    return re.findall(r"""^\s+(?:- )?hostPath:\n\s+path:\s*["']?([^\s"']+)""", text, re.MULTILINE)


# kubeconfigs


def setting(text: str, name: str) -> str:
    """A key's value in a kubeconfig of one cluster and one user, as Kubernetes' tools write it."""
    match = re.search(rf"""^\s*(?:- )?{re.escape(name)}:\s*["']?([^\s"']+)""", text, re.MULTILINE)
    return match[1] if match else ""


def client_certificate(text: str) -> str:
    """The public certificate inside a kubeconfig; empty if there is none, or only the path of one."""
    try:
        return base64.b64decode(setting(text, "client-certificate-data")).decode()
    except (binascii.Error, ValueError):
        return ""


def is_local(server: str, advertised: str, port: str) -> bool:
    """Whether a kubeconfig's server is this node's own API server: its own address and port, or loopback and its port.

    By the address it advertises, not by the node's others: a virtual address may lie here for the moment.
    """
    host, dummy, given = server.partition("://")[2].partition("/")[0].rpartition(":")
    if not host:
        host, given = given, "443"
    if given != port:
        return False
    addresses = resolved(host.strip("[]"))
    own = resolved(advertised) if advertised else set(_node.addresses())
    return bool(addresses) and all(ipaddress.ip_address(one).is_loopback or one in own for one in addresses)


def resolved(host: str) -> set[str]:
    """The addresses of a host name or an address; none if it has none."""
    try:
        return {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return set()


def kubeconfigs(advertised: str, port: str) -> list[dict[str, t.Any]]:
    """Where the node's own components find the API, each by the kubeconfig it was started with."""
    found = []
    for name, usual in KUBECONFIGS.items():
        root, arguments = command(name)
        path = _node.flags(arguments).get("kubeconfig", usual)
        server = setting(text_of(root + path if root else path), "server")
        if server:
            found.append(
                {"component": name, "path": path, "server": server, "local": is_local(server, advertised, port)}
            )
    return found


# Images and packages


def images(module: AnsibleModule) -> list[str] | None:
    """The names of the images that the container runtime has; none if there is no tool to ask it by."""
    crictl, ctr = (shutil.which(name, path=_node.SEARCH_PATH) for name in ("crictl", "ctr"))
    if crictl:
        code, text, dummy = module.run_command([crictl, "images", "-o", "json"])
        if not code:
            found = json.loads(text or "{}").get("images", [])
            return sorted(tag for image in found for tag in image.get("repoTags", []))
    if ctr:
        code, text, dummy = module.run_command([ctr, "--namespace", "k8s.io", "images", "list", "-q"])
        if not code:
            return sorted(name for name in text.split() if not name.startswith("sha256:"))
    return None


def dpkg_packages(text: str) -> tuple[dict[str, str], list[str]]:
    """Of dpkg's status file the versions of the packages that matter, and which of them are held."""
    installed, held = {}, []
    for entry in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", entry, re.MULTILINE))
        if fields.get("Package") in PACKAGES and fields.get("Status", "").endswith(" installed"):
            installed[fields["Package"]] = fields.get("Version", "")
            if fields["Status"].startswith("hold "):
                held.append(fields["Package"])
    return installed, sorted(held)


def locked_packages(texts: t.Iterable[str]) -> list[str]:
    """The packages that dnf's or yum's version lock names; comments and exclusions aside."""
    lines = [line.strip() for text in texts for line in text.splitlines()]
    wanted = "|".join(PACKAGES)
    pattern = re.compile(rf"""^(?:\d+:|name\s*=\s*["'])?({wanted})(?:["']|-\d|-0:)""")
    return sorted({match[1] for match in map(pattern.match, lines) if match})


def packages(module: AnsibleModule) -> dict[str, t.Any]:
    """What the node's package manager knows of Kubernetes' packages."""
    status = text_of(DPKG_STATUS)
    if status:
        installed, held = dpkg_packages(status)
        return {"installed": installed, "held": held}
    installed = {}
    if shutil.which("rpm"):
        # rpm ends with 1 if one of them is not installed, and has told the others by then.
        query = ["rpm", "-q", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n", *PACKAGES]
        dummy, words, dummy2 = module.run_command(query)
        installed = dict(line.split(" ", 1) for line in words.splitlines() if line.split(" ")[0] in PACKAGES)
    return {"installed": installed, "held": locked_packages(map(text_of, VERSION_LOCKS))}


# kubeadm's patches


def patches(directory: str) -> dict[str, t.Any] | None:
    """The files of a folder with kubeadm's patches, and which flags and paths they speak of; none without a folder."""
    if not os.path.isdir(directory):
        return None
    files, texts = {}, {}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                content = file.read()
            files[name] = hashlib.sha256(content).hexdigest()
            texts[name] = content.decode(errors="replace")
    return {
        "files": files,
        "flags": {name: sorted(set(re.findall(r"--([\w.-]+)", text))) for name, text in texts.items()},
        "paths": {name: sorted(set(re.findall(r"""["'\s](/[\w./-]+)""", text))) for name, text in texts.items()},
    }


# Load balancers


def balancers(port: str) -> list[dict[str, t.Any]]:
    """The load balancers of the API that run on this node, and whether they ask the servers for their readiness.

    ``readiness`` is true or false where the configuration says so, and none where it can't be said.
    """
    found = []
    for kind, (root, arguments) in processes("haproxy", "nginx:", "kube-vip", "keepalived").items():
        if kind == "haproxy":
            paths = [value for name, value in zip(arguments, arguments[1:]) if name == "-f"]
            found += [balancer(kind, path, haproxy(text_of(root + path), port)) for path in paths]
        elif kind == "nginx:":
            path = "/etc/nginx/nginx.conf"
            found.append(balancer("nginx", path, nginx(text_of(root + path), port)))
        elif kind == "keepalived":
            path = "/etc/keepalived/keepalived.conf"
            found.append(balancer(kind, path, keepalived(root, text_of(root + path))))
        else:
            found.append(balancer(kind, "", (None, "its address follows its own Lease, not the server's readiness")))
    return [entry for entry in found if entry["words"]]


def balancer(kind: str, path: str, told: tuple[bool | None, str]) -> dict[str, t.Any]:
    return {"kind": kind, "path": path, "readiness": told[0], "words": told[1]}


def processes(*names: str) -> dict[str, tuple[str, list[str]]]:
    """By name the root folder and the arguments of a process; several workers of one program count once."""
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                arguments = file.read().decode(errors="replace").rstrip("\0").replace("\0", " ").split()
        except OSError:
            continue
        name = os.path.basename(arguments[0]) if arguments else ""
        if name in names:
            found.setdefault(name, (f"/proc/{entry}/root", arguments))
    return found


def haproxy(text: str, port: str) -> tuple[bool | None, str]:
    """What haproxy's configuration says; no words if it does not serve the API's port."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    servers = [line for line in lines if line.startswith(("server ", "default-server ", "server-template "))]
    if not any(re.search(rf":{port}\b", line) for line in servers):
        return None, ""
    asked = [line for line in lines if line.startswith(("option httpchk", "http-check send", "http-check connect"))]
    if not any(re.search(r"\bcheck\b", line) for line in servers):
        return False, "it checks nothing"
    if any("/readyz" in line for line in asked):
        return True, "it asks /readyz"
    path = re.search(r"\s(/\S+)", " ".join(asked))
    return False, f"it asks {path[1]}, which is no readiness" if path else "it only opens a connection"


def nginx(text: str, port: str) -> tuple[bool | None, str]:
    """nginx's stream module learns of a bad server by failed connections alone; the commercial one can ask."""
    if not re.search(rf"^\s*server\s+\S+:{port}\b", text, re.MULTILINE):
        return None, ""
    if re.search(r"^\s*health_check\b", text, re.MULTILINE):
        return None, "it has health checks, of which this can't say what they ask"
    return False, "it notices only that a server takes no connections"


def keepalived(root: str, text: str) -> tuple[bool | None, str]:
    """keepalived moves an address by what its script says."""
    if not text:
        return None, ""
    scripts = re.findall(r"""^\s*script\s+["']?([^\s"']+)""", text, re.MULTILINE)
    said = text + "".join(text_of(root + path) for path in scripts if path.startswith("/"))
    if "/readyz" in said:
        return True, "its script asks /readyz"
    return False, "its script does not ask /readyz" if scripts else "it has no script that asks the server"
