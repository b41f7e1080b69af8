# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad states of what nodes hold, each with the gate of the preflight that must say so.

What can't be had on a lab is judged in the unit tests: a skewed clock (the containers share one), and a load balancer
that is shown to ask for readiness (the lab's own is no process of its nodes).
"""

from __future__ import annotations

import contextlib
import functools
import json
import shlex
import time
import typing as t

import yaml
from _breakages import CA_CONFIGURATION
from _common import OUT
from _lab import Lab, until
from _preflight import Case

NODE = "cp1"
OTHER = "cp2"
SYSTEMD = "/etc/systemd/system"
MANIFESTS = "/etc/kubernetes/manifests"
PATCHES = "/etc/kubernetes/patches"
#: A folder on the controller that has not all that a run brings.
INCOMPLETE = OUT / "preflight-binaries"
#: A kubeconfig that leads to one server.
DIRECT = OUT / "preflight-direct.conf"


# Certificates


def ended(lab: Lab, host: str, ca: str, key: str, path: str) -> None:
    """A client certificate at *path* for that key, of that CA, which ended last year."""
    year = time.gmtime().tm_year - 1
    folder = "/tmp/evidence-ca"
    lab.sh(
        host,
        f"rm -rf {folder}; mkdir {folder}; cat >{folder}/openssl.cnf; touch {folder}/index.txt;"
        f" openssl rand -hex 8 >{folder}/serial;"
        f" openssl req -new -key {key} -subj /CN=evidence -out {folder}/x.csr;"
        f" openssl ca -batch -notext -config {folder}/openssl.cnf -cert {ca}.crt -keyfile {ca}.key"
        f" -startdate {year}0101000000Z -enddate {year}1231000000Z -in {folder}/x.csr -out {path} 2>{folder}/log"
        f" || {{ cat {folder}/log >&2; exit 1; }}; rm -r {folder}",
        stdin=CA_CONFIGURATION,
    )


@contextlib.contextmanager
def etcd_certificate_ended(lab: Lab) -> t.Iterator[None]:
    path = "/etc/kubernetes/pki/etcd/healthcheck-client"
    with lab.kept(NODE, f"{path}.crt"):
        ended(lab, NODE, "/etc/kubernetes/pki/etcd/ca", f"{path}.key", f"{path}.crt")
        yield


@contextlib.contextmanager
def kubeconfig_certificate_ended(lab: Lab) -> t.Iterator[None]:
    """The scheduler goes on with the one that it read at its start; it ends at the next."""
    path = "/etc/kubernetes/scheduler.conf"
    with lab.kept(NODE, path):
        lab.sh(NODE, "openssl genrsa -out /tmp/evidence.key 2048 2>/dev/null")
        ended(lab, NODE, "/etc/kubernetes/pki/ca", "/tmp/evidence.key", "/tmp/evidence.crt")
        lab.sh(
            NODE,
            f'sed -i "s#client-certificate-data: .*#client-certificate-data: $(base64 -w0 /tmp/evidence.crt)#" {path}',
        )
        lab.sh(NODE, "rm /tmp/evidence.key /tmp/evidence.crt")
        yield


# Settings


@contextlib.contextmanager
def server_gate(lab: Lab) -> t.Iterator[None]:
    with lab.flags(NODE, {"feature-gates": "SidecarContainers=true"}):
        yield


@contextlib.contextmanager
def unit_flag(lab: Lab, component: str, flag: str) -> t.Iterator[None]:
    """A component with one flag more, really running with it."""
    unit = f"{SYSTEMD}/{component}.service"

    def restart() -> None:
        lab.sh(NODE, f"systemctl daemon-reload; systemctl restart {component}")
        until(
            f"{component} runs",
            lambda: lab.sh(NODE, f"systemctl is-active {component}", check=False).strip() == "active",
        )

    try:
        with lab.kept(NODE, unit):
            lab.sh(NODE, f"sed -i 's#^ExecStart=\\S*{component}#& {flag}#' {unit}")
            restart()
            yield
    finally:
        restart()


@contextlib.contextmanager
def controller_manager_flag(lab: Lab) -> t.Iterator[None]:
    with unit_flag(lab, "kube-controller-manager", "--concurrent-service-syncs=2"):
        yield


@contextlib.contextmanager
def kubelet_gate(lab: Lab) -> t.Iterator[None]:
    """In its file: it would not come up again with it after the upgrade."""
    path = "/var/lib/kubelet/config.yaml"
    with lab.kept(NODE, path):
        lab.sh(
            NODE, f"sed -i 's/^featureGates:/&\\n  SidecarContainers: true/' {path}; grep -q SidecarContainers {path}"
        )
        yield


# Servers and members that are away


@contextlib.contextmanager
def stopped(lab: Lab, *units: str) -> t.Iterator[None]:
    """Components killed, not stopped: an API server in an orderly end waits a minute for its clients' watches."""
    names = " ".join(units)
    lab.sh(OTHER, f"systemctl kill --signal=KILL --kill-whom=main {names}; systemctl stop {names}")
    try:
        yield
    finally:
        lab.sh(OTHER, f"systemctl start {names}")
        for host in lab.hosts:
            until(f"{host} ready again", functools.partial(lab.ready, host))


def server_stopped(lab: Lab) -> t.ContextManager[None]:
    # What wants the server starts it again when it is started itself.
    return stopped(lab, "kube-controller-manager", "kube-scheduler", "kube-apiserver")


def member_stopped(lab: Lab) -> t.ContextManager[None]:
    return stopped(lab, "etcd")


@contextlib.contextmanager
def no_way_in(lab: Lab) -> t.Iterator[None]:
    """A node that refuses SSH, connections that are kept open included."""
    rule = "INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset"
    lab.sh(OTHER, f"iptables -w -I {rule}")
    try:
        yield
    finally:
        lab.sh(OTHER, f"iptables -w -D {rule}")


@contextlib.contextmanager
def etcd_flag(lab: Lab) -> t.Iterator[None]:
    """Which etcd 3.6 takes with a warning, and 3.7 does not."""
    with unit_flag(lab, "etcd", "--experimental-corrupt-check-time=1h"):
        until(f"{NODE} ready", lambda: lab.ready(NODE))
        yield
    until(f"{NODE} ready", lambda: lab.ready(NODE))


# Where components and clients go


@contextlib.contextmanager
def scheduler_elsewhere(lab: Lab) -> t.Iterator[None]:
    path = "/etc/kubernetes/scheduler.conf"
    with lab.kept(NODE, path):
        lab.sh(NODE, f"sed -i 's#server: .*#server: https://{lab.client.server}#' {path}")
        yield


@contextlib.contextmanager
def one_server_for_all(lab: Lab) -> t.Iterator[None]:
    document = yaml.safe_load((lab.folder / "admin.conf").read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://{lab.address(NODE)}"
    DIRECT.parent.mkdir(parents=True, exist_ok=True)
    DIRECT.touch(mode=0o600)
    DIRECT.write_text(yaml.safe_dump(document))
    try:
        yield
    finally:
        DIRECT.unlink()


# Space


@contextlib.contextmanager
def small(lab: Lab, options: str) -> t.Iterator[None]:
    """/etc/kubernetes as a file system of its own, with the same files. What is open stays open."""
    folder = "/etc/kubernetes"
    lab.sh(
        NODE,
        f"rm -rf /root/kubernetes; cp -a {folder} /root/kubernetes; mount -t tmpfs -o {options} tmpfs {folder};"
        f" cp -a /root/kubernetes/. {folder}/",
    )
    try:
        yield
    finally:
        lab.sh(NODE, f"umount --lazy {folder}; rm -r /root/kubernetes")


@contextlib.contextmanager
def little_space(lab: Lab) -> t.Iterator[None]:
    with small(lab, "size=64m"):
        yield


@contextlib.contextmanager
def few_inodes(lab: Lab) -> t.Iterator[None]:
    with small(lab, "size=8g,nr_inodes=500"):
        yield


# Binaries, packages and images


@contextlib.contextmanager
def binaries_missing(lab: Lab) -> t.Iterator[None]:
    INCOMPLETE.mkdir(parents=True, exist_ok=True)
    source = lab.variables["control_plane_binaries_directory"]
    for name in ("kube-apiserver", "kube-controller-manager", "kubeadm", "kubelet"):
        (INCOMPLETE / name).symlink_to(f"{source}/{name}")
    try:
        yield
    finally:
        for path in INCOMPLETE.iterdir():
            path.unlink()
        INCOMPLETE.rmdir()


@contextlib.contextmanager
def package_not_held(lab: Lab) -> t.Iterator[None]:
    """As the package would have left it: the lab's own binaries come from no package."""
    entry = "\nPackage: kubelet\nStatus: install ok installed\nVersion: 1.36.4-1.1\n"
    with lab.kept(NODE, "/var/lib/dpkg/status"):
        lab.sh(NODE, "cat >>/var/lib/dpkg/status", stdin=entry)
        yield


@contextlib.contextmanager
def image_missing(lab: Lab) -> t.Iterator[None]:
    image = f"registry.k8s.io/kube-scheduler:{lab.target}"
    ctr = "ctr --namespace k8s.io images"
    lab.sh(NODE, f"{ctr} tag {image} evidence/kept:1; {ctr} rm {image}")
    try:
        yield
    finally:
        lab.sh(NODE, f"{ctr} tag evidence/kept:1 {image}; {ctr} rm evidence/kept:1")


# kubeadm


@contextlib.contextmanager
def configured(lab: Lab, change: t.Callable[[dict[str, t.Any]], None]) -> t.Iterator[None]:
    """Another ClusterConfiguration in kubeadm-config, for a while."""
    command = "-n kube-system get configmap kubeadm-config -o json"
    before = json.loads(lab.kubectl(command))["data"]["ClusterConfiguration"]

    def write(text: str) -> None:
        patch = json.dumps({"data": {"ClusterConfiguration": text}})
        lab.kubectl(f"-n kube-system patch configmap kubeadm-config --type=merge --patch {shlex.quote(patch)}")

    document = yaml.safe_load(before)
    change(document)
    write(yaml.safe_dump(document))
    try:
        yield
    finally:
        write(before)


@contextlib.contextmanager
def kubeadm_gate(lab: Lab) -> t.Iterator[None]:
    with configured(lab, lambda document: document.update(featureGates={"NodeLocalCRISocket": True})):
        yield


@contextlib.contextmanager
def kubeadm_api(lab: Lab) -> t.Iterator[None]:
    with configured(lab, lambda document: document.update(apiVersion="kubeadm.k8s.io/v1beta3")):
        yield


@contextlib.contextmanager
def manifest_edited(lab: Lab) -> t.Iterator[None]:
    """A flag that somebody put into the manifest by hand; the scheduler is started anew with it."""
    path = f"{MANIFESTS}/kube-scheduler.yaml"
    with lab.kept(NODE, path):
        lab.sh(NODE, f"sed -i 's/^    - --leader-elect=true/&\\n    - --v=2/' {path}")
        yield


@contextlib.contextmanager
def not_rendered(lab: Lab) -> t.Iterator[None]:
    extra = [{"name": "v", "value": "2"}]
    with configured(lab, lambda document: document.update(scheduler={"extraArgs": extra})):
        yield


@contextlib.contextmanager
def patches_on_one(lab: Lab) -> t.Iterator[None]:
    lab.sh(NODE, f"mkdir -p {PATCHES}; echo 'spec: {{}}' >{PATCHES}/kube-scheduler.yaml")
    try:
        yield
    finally:
        lab.sh(NODE, f"rm -r {PATCHES}")


@contextlib.contextmanager
def patches_differ(lab: Lab) -> t.Iterator[None]:
    for host in lab.hosts:
        lab.sh(host, f"mkdir -p {PATCHES}; echo 'spec: {{}} # {host}' >{PATCHES}/kube-scheduler.yaml")
    try:
        yield
    finally:
        for host in lab.hosts:
            lab.sh(host, f"rm -r {PATCHES}")


WITH_PATCHES = {"control_plane_kubeadm_patches": PATCHES}

CASES: tuple[Case, ...] = (
    Case("certificates_valid/etcd", etcd_certificate_ended, ("etcd/healthcheck-client.crt ended", NODE)),
    Case("certificates_valid/kubeconfig", kubeconfig_certificate_ended, ("/etc/kubernetes/scheduler.conf ended", NODE)),
    Case("feature_gates/removed", server_gate, (f"{NODE}: kube-apiserver: SidecarContainers=true", "removed")),
    Case(
        "component_flags/removed",
        controller_manager_flag,
        (f"{NODE}: kube-controller-manager: --concurrent-service-syncs", "removed"),
    ),
    Case("servers_ready", server_stopped, (f"{OTHER}", "refused")),
    Case("etcd_healthy", member_stopped, (f"{OTHER} does not answer",)),
    Case(
        "etcd_version",
        contextlib.nullcontext,
        ("3.6.8", "control_plane_etcd_step_image"),
        variables={"control_plane_etcd_step_binary": "", "control_plane_etcd_step_image": ""},
    ),
    Case("etcd_flags", etcd_flag, (f"experimental-corrupt-check-time ({NODE}: {SYSTEMD}/etcd.service)",)),
    # Units without kubelets have no Nodes: that gate is about the way in alone, and skipped when it is there.
    Case("nodes_ready/no_way_in", no_way_in, (f"{OTHER} can't be reached",), after="skipped"),
    Case("component_endpoints", scheduler_elsewhere, (f"{NODE}: kube-scheduler goes to https://",)),
    Case(
        "load_balancer/one_server",
        one_server_for_all,
        (f"is the server {NODE} itself",),
        severity="warning",
        variables={"control_plane_kubeconfig": str(DIRECT)},
        # The lab's load balancer is no process of its nodes, so nobody can read what it asks.
        after="unproven",
    ),
    Case("disk_space", little_space, ("MiB free at /etc/kubernetes", NODE)),
    Case("disk_space/inodes", few_inodes, ("inodes free at /etc/kubernetes", NODE)),
    Case(
        "packages",
        binaries_missing,
        ("kube-scheduler is not there",),
        variables={"control_plane_binaries_directory": str(INCOMPLETE)},
    ),
    Case(
        "packages/kubeadm",
        binaries_missing,
        ("kubectl is not there",),
        driver="kubeadm",
        variables={"control_plane_binaries_directory": str(INCOMPLETE)},
    ),
    Case(
        "packages/none_on_the_nodes",
        contextlib.nullcontext,
        ("kubeadm v1", "kubelet v1"),
        driver="kubeadm",
        variables={"control_plane_kubeadm_binaries": "none"},
    ),
    Case("packages/not_held", package_not_held, ("a package that is not held",), severity="warning", driver="kubeadm"),
    Case("images", image_missing, ("to be pulled", "kube-scheduler:"), severity="warning", driver="kubeadm"),
    Case("feature_gates/kubelet", kubelet_gate, (f"{NODE}: kubelet: SidecarContainers=true",), driver="kubeadm"),
    Case("kubeadm_config/gate", kubeadm_gate, ("featureGates.NodeLocalCRISocket",), driver="kubeadm"),
    Case("kubeadm_config/v1beta3", kubeadm_api, ("v1beta3", "kubeadm config migrate"), driver="kubeadm"),
    Case("manifest_drift", manifest_edited, (f"{NODE}: kube-scheduler has --v",), driver="kubeadm"),
    Case(
        "manifest_drift/not_rendered",
        not_rendered,
        ("--v, which its manifest lacks",),
        severity="warning",
        driver="kubeadm",
    ),
    Case(
        "patches_present",
        patches_on_one,
        (f"no {PATCHES}", OTHER),
        driver="kubeadm",
        variables=WITH_PATCHES,
        after="skipped",
    ),
    Case(
        "patches_present/differ",
        patches_differ,
        ("not the same on every node",),
        severity="warning",
        driver="kubeadm",
        variables=WITH_PATCHES,
        after="skipped",
    ),
)
