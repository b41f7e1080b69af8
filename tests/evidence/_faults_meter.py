# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients of the load balancer get: the bare kubeadm procedure beside ours, both counted by our own meter.

One lab, prepared once: every server has the CA of its peers, etcd is stepped. Each way begins from there: data,
manifests and programs are put back before it. A third way is ours with servers that know every member of etcd. The
meter is the module that an upgrade starts for itself, here started by hand from before the first command to after the
last one. Ten requests a second, each of a client that tries once more where its connection is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import typing as t

import yaml
from _common import ROOT, Results
from _faults import at_target
from _lab import Lab, NotAsWanted, lab_of, log_of, or_left_out, say, until

sys.path.insert(0, str(ROOT / "build" / "collections"))

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _meter_folder
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _availability, _run

ETCD_PKI = "/etc/kubernetes/pki/etcd"
KEPT = ("requests", "failed", "unavailable_seconds", "longest_gap_seconds", "slowest_seconds")


@contextlib.contextmanager
def metered(lab: Lab, what: str) -> t.Iterator[_run.Run]:
    """The meter counts as long as this lasts; what it counted is in the run's folder."""
    run = _run.start(
        str(lab.out / "meter"), {"playbook": "", "target": lab.target, "check_mode": False, "pid": os.getpid()}
    )
    folder = _meter_folder.Folder.of(run.directory)
    options = {"kubeconfig": str(lab.folder / "admin.conf"), "run_directory": run.directory}
    with log_of(f"meter-{what}").open("w") as log:
        process = subprocess.Popen(
            ["ansible", "localhost", "-m", "mixedversion.kubernetes.meter_availability", "-a", json.dumps(options)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            until("the meter counts", lambda: _availability.read(run.directory) or process.poll() is not None)
            if process.poll() is not None:
                raise NotAsWanted(f"the meter ended at once, see {log.name}")
            yield run
        finally:
            if process.poll() is None:
                folder.stop()
                process.wait(timeout=30)
    run.append({"event": "run_finished", "result": "succeeded"})
    run.write()


def counted(run: _run.Run) -> dict[str, float]:
    """What came of the load balancer's requests."""
    balancer = next(entry for entry in run.report()["availability"] if entry["target"] == _meter_folder.LOAD_BALANCER)
    say(f"{_meter_folder.LOAD_BALANCER}: {_availability.told(balancer)}")
    found: dict[str, float] = {key: balancer[key] for key in KEPT}
    found["answered_at_the_second_try"] = sum(balancer["retries"].values())
    return found


def copy(lab: Lab, host: str, *names: str) -> None:
    """The target's programs onto a node, as a package manager would put them there."""
    for name in names:
        source = f"{lab.variables['control_plane_binaries_directory']}/{name}"
        subprocess.run(["podman", "cp", source, f"{lab.name}-{host}:/usr/bin/.{name}"], check=True, capture_output=True)
        where = lab.sh(host, f"command -v {name}").strip()
        lab.sh(host, f"chmod 0755 /usr/bin/.{name}; mv /usr/bin/.{name} {where}")


def step_etcd(lab: Lab) -> None:
    """Every member to the version that may meet 3.7, as an upgrade prepares it: by the image in its manifest alone.

    A lab made with that version has it in kubeadm's configuration, and kubeadm then never brings a newer one.
    """
    image = lab.variables["control_plane_etcd_step_image"]
    version = image.rpartition(":")[2].partition("-")[0]
    keys = (
        f"--cacert {ETCD_PKI}/ca.crt --cert {ETCD_PKI}/healthcheck-client.crt --key {ETCD_PKI}/healthcheck-client.key"
    )
    for host in lab.hosts:
        say(f"{host}: etcd {version}")
        lab.sh(host, f"sed -i 's#image: .*/etcd:.*#image: {image}#' /etc/kubernetes/manifests/etcd.yaml")
        ask = f"curl -sS -m 3 {keys} https://127.0.0.1:2379/version"
        until(f"{host} runs etcd {version}", lambda h=host, a=ask: f'"{version}"' in lab.sh(h, a, check=False), 300, 1)
        until(f"{host} ready", lambda h=host: lab.ready(h), 300, 1)


def know_all_members(lab: Lab) -> None:
    """Every server asks whichever member answers, not its own node's alone: kubeadm's `apiServer.extraArgs`."""
    servers = ",".join(f"https://{address}:2379" for address in lab.hosts.values())
    config = json.loads(lab.kubectl("-n kube-system get configmap kubeadm-config -o json"))
    cluster = yaml.safe_load(config["data"]["ClusterConfiguration"])
    cluster["apiServer"].setdefault("extraArgs", []).append({"name": "etcd-servers", "value": servers})
    config["data"]["ClusterConfiguration"] = yaml.safe_dump(cluster)
    lab.kubectl("replace --filename=-", stdin=json.dumps(config))
    for host in lab.hosts:
        say(f"{host}: --etcd-servers={servers}")
        lab.sh(
            host,
            f"sed -i 's#--etcd-servers=.*#--etcd-servers={servers}#' /etc/kubernetes/manifests/kube-apiserver.yaml",
        )
        until(f"{host} asks every member", lambda h=host: servers in lab.running(h), 300, 1)
        until(f"{host} ready", lambda h=host: lab.ready(h), 300, 1)


def bare(lab: Lab) -> None:
    """kubernetes.io, "Upgrading kubeadm clusters", node by node. Nothing runs on the nodes that a drain would move."""
    ignored = ",".join(lab.variables["control_plane_kubeadm_ignored_preflight_errors"])
    for number, host in enumerate(lab.hosts):
        copy(lab, host, "kubeadm")
        what = f"apply {lab.target} --yes" if number == 0 else "node"
        say(f"{host}: kubeadm upgrade {what}")
        lab.sh(host, f"kubeadm upgrade {what} --ignore-preflight-errors={ignored}", timeout=1200)
        copy(lab, host, "kubelet", "kubectl")
        lab.sh(host, "systemctl daemon-reload; systemctl restart kubelet")
        # More than the page asks for, but nobody goes on while a server is away.
        until(f"{host} serves {lab.target}", lambda host=host: lab.ready(host) and lab.version(host) == lab.target, 300)


def ours(lab: Lab) -> None:
    run = lab.play("upgrade")
    if run.code:
        raise NotAsWanted(f"the upgrade ended with {run.code}: {run.stopped_by}")


#: By name, what is made ready for a way on the lab, if anything, and the upgrade itself.
WAYS: dict[str, tuple[t.Callable[[Lab], None] | None, t.Callable[[Lab], None]]] = {
    "bare": (None, bare),
    "ours": (None, ours),
    "ours_all_members": (know_all_members, ours),
}


def counted_by(lab: Lab, results: Results, way: str) -> None:
    prepare, upgrade = WAYS[way]
    if prepare:
        prepare(lab)
    lab.settle()
    with metered(lab, way) as counting:
        begun = time.monotonic()
        upgrade(lab)
        seconds = time.monotonic() - begun
    found = counted(counting)
    for key, value in {"seconds": seconds, **found}.items():
        results.figure(f"availability/{way}/{key}", value)
    words = f"{found['failed']:.0f} of {found['requests']:.0f} failed"
    results.case(f"availability/{way}", "all at the target", words, at_target(lab) == list(lab.hosts))


def run(results: Results) -> None:
    """Three quarters of an hour: one lab, upgraded once by each way."""
    ids = [f"availability/{way}" for way in WAYS if results.wants(f"availability/{way}")]
    with or_left_out(results, *ids), lab_of("faults-meter", 3, driver="kubeadm") as lab:
        step_etcd(lab)
        lab.keep()
        for id_ in ids:
            with or_left_out(results, id_):
                lab.as_new()
                counted_by(lab, results, id_.rpartition("/")[2])
    failed = {way: results.figures.get(f"availability/{way}/failed") for way in WAYS}
    if None in failed.values():
        results.left_out("availability/compared", f"failed requests, by way: {failed}")
        return
    told = ", ".join(f"{number:.0f} with {way}" for way, number in failed.items())
    results.case("availability/compared", "0 with ours, and never more than bare", told, failed["ours"] == 0)
    all_members = failed["ours_all_members"]
    results.case("availability/compared_all_members", "0 with ours_all_members", told, all_members == 0)
