# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`verify` over many clusters by the playbook fleet: clusters per minute, CPU seconds and memory of the controller.

Recorded is a verify of one real cluster of three servers. Then each of many clusters is that one again: its servers are
answered for by `_recorded`, its nodes by `recorded_ssh`. All that the controller does is done, but for ssh's own work.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import threading
import typing as t
from unittest import mock

import _recorded
import yaml
from _clock import clocked
from _common import ROOT, Results, playbook
from _lab import Lab, NotAsWanted, lab_of, log_of, say

FOLDER = ROOT / "build" / "bench" / "fleet"
SSH = ROOT / "tests" / "bench" / "recorded_ssh"
#: The cluster that is recorded; `recorded_ssh` puts the others' names in its place.
FIRST = "c000"
SIZES = "10x10 50x10 50x50 200x10 200x50"


class Least(threading.Thread):
    """The least memory that the machine had left, in MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.begun = self.least = self._left()
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.5):
            self.least = min(self.least, self._left())

    @staticmethod
    def _left() -> float:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 1024


def write_inventory(
    clusters: t.Sequence[str], lab: t.Mapping[str, t.Any], addresses: t.Mapping[str, str]
) -> pathlib.Path:
    """One inventory of clusters that are all the lab whose group *lab* is; and the kubeconfig, at the first address."""
    found: dict[str, t.Any] = {}
    for cluster in clusters:
        hosts = {
            f"{cluster}-{node}": {
                **variables,
                "ansible_ssh_extra_args": f"-o HostKeyAlias={cluster}-{node}",
                "control_plane_api_address": addresses[node],
            }
            for node, variables in lab["hosts"].items()
        }
        found[cluster] = {"hosts": hosts, "vars": {"control_plane_group": cluster}}
    own = {"ansible_ssh_executable": str(SSH), "control_plane_kubeconfig": str(FOLDER / "kubeconfig")}
    path = FOLDER / "inventory.json"
    path.write_text(json.dumps({"all": {"children": found, "vars": {**lab["vars"], **own}}}))
    config = yaml.safe_load((FOLDER / "admin.conf").read_text())
    config["clusters"][0]["cluster"] |= {
        "server": f"https://{next(iter(addresses.values()))}",
        "tls-server-name": "kubernetes.default.svc",
    }
    (FOLDER / "kubeconfig").write_text(yaml.safe_dump(config))
    return path


def record(lab: Lab) -> tuple[dict[str, t.Any], dict[str, pathlib.Path], dict[str, _recorded.Answers]]:
    """The lab's group, by node its serving certificate with its key, and by node its server's answers to a verify."""
    certificates = _recorded.prepared(lab, FOLDER)
    _recorded.private(FOLDER / "kubeconfig", "")
    group = yaml.safe_load(lab.inventory.read_text())["kube_control_plane"]
    with _recorded.recording(lab, certificates) as (addresses, answers):
        inventory = write_inventory([FIRST], group, addresses)
        with mock.patch.dict(os.environ, RECORDED=str(FOLDER), RECORDING="1"):
            code, output, dummy = playbook(
                "verify",
                f"--inventory={inventory}",
                f"--extra-vars=control_plane_report_directory={FOLDER / 'reports'}",
                log=log_of("bench-fleet-record"),
            )
    if code:
        raise NotAsWanted(f"the verify that is recorded failed: {output.strip()[-300:]}")
    say(
        f"recorded: {sum(map(len, answers.values()))} answers of servers, {len(list(FOLDER.glob('*.mixed*')))} of nodes"
    )
    return group, certificates, answers


def measure(results: Results, number: int, forks: int, inventory: pathlib.Path) -> None:
    key = f"fleet/{number}_clusters_{forks}_forks"
    memory = Least()
    memory.start()
    command = ["ansible-playbook", "mixedversion.kubernetes.fleet", f"--inventory={inventory}", f"--forks={forks}"]
    command.append(f"--extra-vars=control_plane_fleet_directory={FOLDER / 'fleets'}")
    recorded = {**os.environ, "RECORDED": str(FOLDER)}
    with log_of(f"bench-{key.replace('/', '-')}").open("w") as out, clocked() as spent:
        code = subprocess.run(
            command, cwd=ROOT, env=recorded, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
        ).returncode
    memory.done.set()
    fleet = json.loads((FOLDER / "fleets" / "latest" / "fleet.json").read_text())
    results.figure(f"{key}/clusters_per_minute", number / spent.seconds * 60)
    results.figure(f"{key}/cpu_seconds_per_cluster", spent.cpu / number)
    results.figure(f"{key}/memory_mib", memory.begun - memory.least)
    results.case(key, f"exit code 0, {number} succeeded", f"exit code {code}, {fleet['succeeded']} succeeded")


def run(results: Results) -> None:
    with lab_of("bench-fleet", 3) as lab:
        lab.settle()
        group, certificates, answers = record(lab)
    with _recorded.replaying(certificates, answers) as replayed:
        for size in os.environ.get("CLUSTERS", SIZES).split():
            number, forks = (int(word) for word in size.split("x"))
            say(f"{number} clusters, {forks} forks")
            inventory = write_inventory([f"c{one:03}" for one in range(number)], group, replayed.addresses)
            measure(results, number, forks, inventory)
