# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three clusters of one inventory: each verified by a worker of ansible-runner, and all by the playbook fleet.

The workers are processes of this machine, each with a folder and a home of its own; the way to them is a pipe instead
of the page's SSH, and then Receptor.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t

import _receptor
import yaml
from _common import OUT, ROOT, Results, end
from _lab import Lab, NotAsWanted, lab_of, or_left_out, say

sys.path.insert(0, str(ROOT / "build" / "collections"))

from ansible_collections.mixedversion.kubernetes.tests.tools import pages

PAGE = ROOT / "docs" / "fleets.md"
#: As the page calls them.
CLUSTERS = ("north", "south", "west")
CASES = tuple(f"fleets/{name}" for name in ("three_workers", "lost_workers", "receptor", "playbook", "plan", "plans"))


def commands(beginning: str) -> list[str]:
    """Those of the page that begin so, in its order."""
    return [one.text for one in pages.commands(PAGE) if one.text.startswith(beginning)]


def block(words: str) -> str:
    """The one example in YAML of the page that has these words."""
    (found,) = [one.text for one in pages.blocks(PAGE) if one.language == "yaml" and words in one.text]
    return found


def environment(home: pathlib.Path) -> dict[str, str]:
    """That in which ansible-runner is installed, with nothing of this user's settings."""
    home.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_", "MAKE"))}
    path = f"{ROOT / 'build' / 'venv' / 'package' / 'bin'}{os.pathsep}{kept['PATH']}"
    own = {"HOME": str(home), "PATH": path, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections")}
    return {**kept, **own, "ANSIBLE_NOCOLOR": "true"}


def inventory(labs: t.Mapping[str, Lab]) -> dict[str, t.Any]:
    """One inventory of all labs, each as the page has a cluster."""
    found = {}
    for name, lab in labs.items():
        group = yaml.safe_load(lab.inventory.read_text())["kube_control_plane"]
        hosts = {f"{name}-{host}": variables for host, variables in group["hosts"].items()}
        plane = f"{name}_control_plane"
        variables = {**group["vars"], "control_plane_group": plane}
        if name == CLUSTERS[0]:
            # A plan of one server stops there without it: what stands in the way differs by cluster.
            variables["control_plane_allow_outage"] = True
        found[name] = {"children": {plane: {"hosts": hosts}}, "vars": variables}
    return found


def ended(running: subprocess.Popen[bytes]) -> int:
    """Its exit code; whatever ends this ends it."""
    try:
        return running.wait()
    finally:
        end(running)


def start(line: str, work: pathlib.Path, home: pathlib.Path, log: pathlib.Path) -> subprocess.Popen[bytes]:
    """A line of a shell in *work*, that goes on."""
    say(line)
    with log.open("ab") as out:
        return subprocess.Popen(
            ["bash", "-c", line],
            cwd=work,
            env={**environment(home), "PWD": str(work)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


def gathered(folder: pathlib.Path) -> dict[str, str]:
    """By cluster what the fleet's own file says of it."""
    path = folder / "fleet.json"
    if not path.is_file():
        raise NotAsWanted(f"nothing was gathered in {folder.name}")
    fleet = json.loads(path.read_text())
    if not (folder / "fleet.html").is_file():
        raise NotAsWanted("there is no page")
    return {
        cluster["name"]: cluster["result"] for cluster in sorted(fleet["clusters"], key=lambda one: str(one["name"]))
    }


def gather(work: pathlib.Path, log: pathlib.Path) -> tuple[int, dict[str, str]]:
    """The page's playbook of three lines: its exit code, and by cluster what it found."""
    code = ended(start("ansible-playbook gather.yml", work, work / "home", log))
    return code, gathered(work / "results" / "artifacts")


def each(results: Results, way: str, for_north: str, work: pathlib.Path, log: pathlib.Path) -> None:
    """The line of one cluster for all of them at once, timed."""
    begun = time.monotonic()
    running = [start(for_north.replace("north", name), work, work / f"home-{name}", log) for name in CLUSTERS]
    codes = [ended(one) for one in running]
    results.figure(f"fleets/{way}_seconds", time.monotonic() - begun)
    say(f"exit codes of process: {codes}")


def by_workers(results: Results, labs: t.Mapping[str, Lab], work: pathlib.Path, log: pathlib.Path) -> None:
    """transmit, worker and process for each cluster at once, then the page's playbook of three lines."""
    for name, text in {
        "inventory/hosts.yml": yaml.safe_dump(inventory(labs)),
        "env/extravars": block("AWX_ISOLATED_DATA_DIR"),
        # ansible-runner wants the folder, even for a playbook of a collection.
        "project/.keep": "",
    }.items():
        path = work / "fleet" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (work / "gather.yml").write_text(block("fleet_report"))
    for_north, dummy = commands("ansible-runner transmit fleet")
    line = for_north.replace("ssh worker1 ", "")
    each(results, "workers", line, work, log)
    results.case("fleets/three_workers", (0, dict.fromkeys(CLUSTERS, "succeeded")), gather(work, log))

    # Of one the worker dies before it says anything, of another nothing ever comes.
    kept = work / "kept"
    (work / "results").rename(kept)
    shutil.copytree(kept / "artifacts" / "north", work / "results" / "artifacts" / "north", symlinks=True)
    ended(start(line.replace("ansible-runner worker", "false").replace("north", "south"), work, work / "home", log))
    code, observed = gather(work, log)
    wanted = {"north": "succeeded", "south": "no_report", "west": "no_report"}
    results.case("fleets/lost_workers", f"not 0, {wanted}", f"{code}, {observed}", code != 0 and observed == wanted)


def by_receptor(results: Results, work: pathlib.Path, log: pathlib.Path) -> None:
    """The page's other line for each cluster at once, each by a worker of its own, and the same gathering."""
    shutil.rmtree(work / "results")
    dummy, for_north = commands("ansible-runner transmit fleet")
    with _receptor.mesh(work / "mesh", [f"{name}-worker" for name in CLUSTERS], environment) as control:
        line = for_north.replace("/run/receptor/receptor.sock", str(control)).replace("worker1", "north-worker")
        each(results, "receptor", line, work, log)
    results.case("fleets/receptor", (0, dict.fromkeys(CLUSTERS, "succeeded")), gather(work, log))


def by_playbook(results: Results, work: pathlib.Path, log: pathlib.Path) -> None:
    """The page's two lines with the same inventory, all clusters at once on this machine: verify, and plan."""
    lines = commands("ansible-playbook mixedversion.kubernetes.fleet ")
    names = [f"{name}_control_plane" for name in CLUSTERS]
    wanted = {
        "playbook": (0, dict.fromkeys(names, "succeeded")),
        "plan": (2, {names[0]: "succeeded", names[1]: "stopped", names[2]: "stopped"}),
    }
    latest = work / "control-plane" / "fleet" / "latest"
    for name, line in zip(wanted, lines, strict=True):
        begun = time.monotonic()
        code = ended(start(line.replace("inventory.yml", "fleet/inventory/hosts.yml"), work, work / "home", log))
        results.figure(f"fleets/{name}_seconds", time.monotonic() - begun)
        results.case(f"fleets/{name}", wanted[name], (code, gathered(latest)))
    results.case("fleets/plans", names, sorted(path.parts[-4] for path in latest.glob("*/reports/latest/plan.md")))


def run(results: Results) -> None:
    """Labs of one server each: what a fleet adds is between clusters."""
    log = OUT / "people-fleets.log"
    log.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(or_left_out(results, *CASES))
        labs = {name: stack.enter_context(lab_of(f"fleet-{name}", 1)) for name in CLUSTERS}
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleets-")))
        by_workers(results, labs, work, log)
        by_receptor(results, work, log)
        by_playbook(results, work, log)
