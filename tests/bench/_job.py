# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole upgrade of one kubeadm lab, by three ways in turn, each from the same state.

By hand (by_hand.sh), by a plain playbook (plain.yml), and by ours with every gate, backup and proof. The lab is
prepared before: every server has the CA of its peers, etcd is stepped; a lab's nodes have every image. Between two
upgrades it is put back to that state: data, manifests and programs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import typing as t
from unittest import mock

from _clock import Spent, clocked
from _common import ROOT, Results
from _faults import at_target
from _faults_meter import step_etcd
from _lab import Lab, NotAsWanted, lab_of, log_of, say

HERE = pathlib.Path(__file__).resolve().parent


def by_hand(lab: Lab, log: pathlib.Path) -> None:
    variables = lab.variables
    options = f"-i {variables['ansible_ssh_private_key_file']} {variables['ansible_ssh_common_args']}"
    ignored = ",".join(variables["control_plane_kubeadm_ignored_preflight_errors"])
    words = [options, lab.target, variables["control_plane_binaries_directory"], ignored, *lab.hosts.values()]
    with log.open("w") as out:
        subprocess.run([HERE / "by_hand.sh", *words], stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=True)


def plain(lab: Lab, log: pathlib.Path) -> None:
    folder = lab.sh(next(iter(lab.hosts)), "dirname $(command -v kubeadm)").strip()
    words = ["ansible-playbook", HERE / "plain.yml", "-i", lab.inventory, "-e", f"bench_programs={folder}"]
    with log.open("w") as out:
        subprocess.run(words, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=True)


def ours(lab: Lab, dummy_log: pathlib.Path) -> None:
    run = lab.play("upgrade")
    if run.code:
        raise NotAsWanted(f"the upgrade ended with {run.code}: {run.stopped_by}")
    phases = run.report["phases"] + [phase for node in run.report["nodes"] for phase in node["phases"]]
    spent: dict[str, float] = {}
    for phase in phases:
        spent[phase["name"]] = spent.get(phase["name"], 0.0) + phase["elapsed_seconds"]
    say(", ".join(f"{name} {seconds:.1f} s" for name, seconds in spent.items()))
    PHASES.append(spent)


PHASES: list[dict[str, float]] = []
WAYS: dict[str, t.Callable[[Lab, pathlib.Path], None]] = {"by_hand": by_hand, "plain": plain, "ours": ours}


@contextlib.contextmanager
def counted() -> t.Iterator[t.Callable[[], int]]:
    """How many times ssh, scp and sftp are called: each is a way to a node and back, also on a shared connection."""
    with tempfile.TemporaryDirectory() as folder:
        calls = pathlib.Path(folder, "calls")
        calls.touch()
        for name in ("ssh", "scp", "sftp"):
            path = pathlib.Path(folder, name)
            # Ansible asks ssh once in each process what it can do, and no node.
            path.write_text(
                f'#!/bin/sh\n[ "$*" = "-o ControlPersist" ] || printf . >>{calls}\nexec {shutil.which(name)} "$@"\n'
            )
            path.chmod(0o755)
        with mock.patch.dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}"):
            yield lambda: calls.stat().st_size


@dataclasses.dataclass
class Took(Spent):
    calls: int = 0


def measured(lab: Lab, way: str, number: int) -> Took:
    with counted() as calls, clocked() as spent:
        WAYS[way](lab, log_of(f"bench-{way}-{number}"))
        made = calls()
    moved = at_target(lab)
    if moved != list(lab.hosts):
        raise NotAsWanted(f"{way}: at the target are {', '.join(moved) or 'none'}, expected all")
    say(f"{way}: {spent.seconds:.0f} s, {spent.cpu:.0f} CPU seconds on the controller, {made} calls of ssh")
    return Took(spent.seconds, spent.cpu, made)


def told(results: Results, took: t.Mapping[str, t.Sequence[Took]]) -> None:
    for way, values in took.items():
        if values:
            seconds = [one.seconds for one in values]
            results.figure(f"job/{way}/seconds", statistics.median(seconds))
            results.figure(f"job/{way}/seconds/least", min(seconds))
            results.figure(f"job/{way}/seconds/most", max(seconds))
            results.figure(f"job/{way}/controller_cpu_seconds", statistics.median(one.cpu for one in values))
            results.figure(f"job/{way}/calls_of_ssh", statistics.median(one.calls for one in values))


def turned(ways: list[str], by: int) -> list[str]:
    by %= len(ways)
    return ways[by:] + ways[:by]


def run(results: Results, pairs: int) -> None:
    took: dict[str, list[Took]] = {way: [] for way in WAYS}
    with lab_of("bench-job", 3, driver="kubeadm") as lab:
        step_etcd(lab)
        lab.keep()
        for number in range(1, pairs + 1):
            # Another one begins each time: what the machine has in its caches by then helps no way in particular.
            for way in turned(list(WAYS), number - 1):
                lab.as_new()
                lab.settle()
                took[way].append(measured(lab, way, number))
                told(results, took)
    for name in dict.fromkeys(name for spent in PHASES for name in spent):
        results.figure(
            f"job/ours/{name.replace(' ', '_')}", statistics.median(spent.get(name, 0.0) for spent in PHASES)
        )
    for other in ("by_hand", "plain"):
        ratios = [mine.seconds / theirs.seconds for mine, theirs in zip(took["ours"], took[other])]
        results.figure(f"job/ours_to_{other}", statistics.median(ratios))
        results.figure(f"job/ours_to_{other}/least", min(ratios))
        results.figure(f"job/ours_to_{other}/most", max(ratios))
    results.figure("job/pairs", pairs)
    results.case("job", "all at the target, each time", f"{pairs} times by each of {', '.join(WAYS)}", True)
