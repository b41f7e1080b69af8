# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same wait, asked the way others ask: until a server that is away is back, and every server has the same to offer.

One server of a lab is stopped; the question is put; AWAY seconds later the server is started. What counts is the time
from that start to the verdict, the CPU seconds on the controller until then, and the requests that the servers'
audit logs have of it.

ours        mixedversion.kubernetes.wait_for_convergence, one task, three good samples in a row
kubectl     a loop of the shell: /readyz of each server, and what `kubectl api-resources` lists of each, until all agree
k8s_info    kubernetes.core.k8s_info with `until`, an APIService at each server; says nothing of what it serves
uri         kubespray's way (roles/kubernetes/control-plane, /healthz with `until`): each server, again and again
"""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import threading
import time
import typing as t
import zipfile

import yaml
from _clock import clocked
from _common import CACHE, ROOT, Results
from _lab import Lab, NotAsWanted, lab_of, log_of, say

AWAY = 20.0
BENCH = ROOT / "build" / "bench"
#: Where `make package` keeps the package that holds kubernetes.core.
AWX = CACHE / "awx"


def ours(lab: Lab) -> list[str]:
    return module(lab, "wait_for_convergence")


def module(lab: Lab, name: str, addresses: t.Mapping[str, str] | None = None, **arguments: object) -> list[str]:
    """One of ours, with the defaults of a run; asking the lab's servers, or others by name at *addresses*."""
    addresses = addresses or {host: lab.address(host) for host in lab.hosts}
    servers = [{"name": host, "address": address} for host, address in addresses.items()]
    arguments = {"kubeconfig": str(lab.folder / "admin.conf"), "servers": servers, "timeout": 120, **arguments}
    return ["ansible", "localhost", "-m", f"mixedversion.kubernetes.{name}", "-a", json.dumps(arguments)]


def kubectl(lab: Lab) -> list[str]:
    program = f"{lab.variables['control_plane_binaries_directory']}/kubectl --kubeconfig={lab.folder}/admin.conf"
    tls = "--tls-server-name=kubernetes.default.svc --request-timeout=5s"
    servers = " ".join(f"https://{lab.address(host)}" for host in lab.hosts)
    return [
        "bash",
        "-c",
        f"""for server in {servers}; do
              until {program} {tls} --server=$server get --raw /readyz; do sleep 1; done
            done
            until [ "$(for server in {servers}; do
              {program} {tls} --server=$server api-resources --cached=false --no-headers --output=name | sort | md5sum
            done | sort -u | wc -l)" = 1 ]; do sleep 1; done""",
    ]


def k8s_info(lab: Lab) -> list[str]:
    core = BENCH / "collections"
    if not (core / "ansible_collections" / "kubernetes").exists():
        wheels = sorted(AWX.glob("ansible-*.whl"))
        if not wheels:
            raise NotAsWanted("kubernetes.core is not here; `make package` fetches the package that holds it")
        with zipfile.ZipFile(wheels[-1]) as wheel:
            names = [name for name in wheel.namelist() if name.startswith("ansible_collections/kubernetes/core/")]
            wheel.extractall(core, names)
    task = {
        "kubernetes.core.k8s_info": {
            "kubeconfig": str(lab.folder / "admin.conf"),
            "host": "https://{{ item }}",
            "api_version": "apiregistration.k8s.io/v1",
            "kind": "APIService",
        }
    }
    return play(lab, "k8s_info", task, "asked.resources | default([]) | length > 0")


def uri(lab: Lab) -> list[str]:
    ca = BENCH / "ca.crt"
    BENCH.mkdir(parents=True, exist_ok=True)
    ca.write_text(lab.sh(next(iter(lab.hosts)), "cat /etc/kubernetes/pki/ca.crt"))
    task = {"ansible.builtin.uri": {"url": "https://{{ item }}/healthz", "ca_path": str(ca)}}
    return play(lab, "uri", task, "asked.status | default(0) == 200")


def play(lab: Lab, name: str, task: dict[str, t.Any], until: str) -> list[str]:
    task |= {"loop": [lab.address(host) for host in lab.hosts], "register": "asked", "until": until}
    task |= {"name": "Wait", "retries": 120, "delay": 1}
    path = BENCH / f"{name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump([{"name": "Wait", "hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    return ["ansible-playbook", str(path)]


WAYS: dict[str, t.Callable[[Lab], list[str]]] = {"ours": ours, "kubectl": kubectl, "k8s_info": k8s_info, "uri": uri}


def measured(lab: Lab, way: str, number: int) -> dict[str, float]:
    words = WAYS[way](lab)
    away = list(lab.hosts)[1]
    lab.sh(away, "systemctl stop kube-apiserver")
    began, started = time.time(), []
    timer = threading.Timer(AWAY, lambda: (lab.sh(away, "systemctl start kube-apiserver"), started.append(time.time())))
    timer.start()
    paths = f"{BENCH / 'collections'}:{os.environ['ANSIBLE_COLLECTIONS_PATH']}"
    with log_of(f"bench-peers-{way}-{number}").open("w") as out, clocked() as spent:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": paths},
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    ended = time.time()
    timer.join()
    if done.returncode or not started or ended < started[0]:
        raise NotAsWanted(f"{way} ended with {done.returncode}: {shlex.join(words)[:200]}")
    requests = sum(
        event["user"]["username"] == "kubernetes-admin" and bool(event.get("userAgent"))
        for host in lab.hosts
        for event in lab.audit(host, began)
    )
    found = {"seconds_after_start": ended - started[0], "cpu_seconds": spent.cpu, "requests": float(requests)}
    say(f"{way}: " + ", ".join(f"{value:.1f} {key}" for key, value in found.items()))
    lab.settle()
    return found


def run(results: Results, pairs: int) -> None:
    took: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS if results.wants(f"peers/{way}")}
    with lab_of("bench-peers", 3) as lab:
        lab.settle()
        for number in range(1, pairs + 1):
            for way in took:
                try:
                    took[way].append(measured(lab, way, number))
                except NotAsWanted as error:
                    results.left_out(f"peers/{way}", str(error))
    for way, values in took.items():
        for key in values[0] if values else ():
            results.figure(f"peers/{way}/{key}", statistics.median(value[key] for value in values))
        if values:
            results.case(f"peers/{way}", "a verdict", f"{len(values)} verdicts", len(values) == pairs)
