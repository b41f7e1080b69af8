# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One gate with many CRDs: time, memory, and what crosses the network.

On real servers, one of them of the target, convergence (three good samples in a row) and the probes, each by its own
figure; the probes before that as well, while the servers still make the schemas. Then, the lab being gone, convergence
of more servers than fit the machine, which `_recorded` answers for with what the real ones answered; it counts what the
first sample moves, and one where nothing has changed.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import time
import typing as t

import _recorded
from _common import ROOT, Results
from _lab import Lab, NotAsWanted, lab_of, log_of, or_left_out, say, until
from _peers import module
from _reaction import DISCOVERY

FOLDER = ROOT / "build" / "bench" / "scale"
#: Three servers of this size can't make the schemas of 5,000 on two cores; one can (NODES=1).
CRDS = "100 1000"
#: The machine's load, of a minute, by which the servers have made the schemas of what they have been given.
AT_REST = 2.5
#: Seconds that probes may take while they have not.
BUSY_TIMEOUT = 600
#: How many servers are answered for.
SERVERS = (3, 5, 7)
#: Good samples in a row, as in a run.
SAMPLES = 3
BATCH = 250


def crd(number: int) -> dict[str, object]:
    """Ten kinds to a group, as operators have them."""
    group, which = f"g{number // 10:04}.bench.example", number % 10
    names = {"plural": f"things{which}", "singular": f"thing{which}", "kind": f"Thing{which}"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": names,
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def grow(lab: Lab, since: int, number: int) -> None:
    for first in range(since, number, BATCH):
        items = [crd(one) for one in range(first, min(first + BATCH, number))]
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        # Without asking for the schemas: they are made anew for each CRD, which a server of many has no time for.
        lab.kubectl("create --validate=false -f -", stdin=document)
    for host in lab.hosts:
        until(
            f"{host} serves {number} CRDs",
            lambda host=host: served(lab, host) >= number,
            timeout=600,
            interval=1,
        )


def served(lab: Lab, host: str) -> int:
    status, text = lab.client.ask(lab.address(host), "/apis", DISCOVERY, timeout=30.0)
    return len(re.findall(r'"resource":"things', text)) if status == 200 else 0


def gate(lab: Lab, name: str, what: str, **arguments: t.Any) -> tuple[float, float]:
    """Seconds by the gate's own figure, and the most memory of any process that asked, in MiB."""
    begun = time.monotonic()
    with log_of(f"bench-scale-{name}-{what}").open("w+") as out:
        done = subprocess.run(module(lab, name, **arguments), cwd=ROOT, stdout=out, stderr=out, check=False)
        out.seek(0)
        text = out.read()
    if done.returncode:
        raise NotAsWanted(f"{name}: {text[-300:]}")
    (found,) = json.loads(text[text.index("{") :])["gates"]
    if found["verdict"] != "passed":
        raise NotAsWanted(f"{name} {found['verdict']}: {found['observed'][:300]}")
    say(f"{name}, {what}: {found['elapsed_seconds']:.2f} s, {time.monotonic() - begun:.1f} s with Ansible around it")
    # Of all children so far: a bound that only grows, and the last one asked most.
    return float(found["elapsed_seconds"]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def real(results: Results, lab: Lab, number: int, times: int) -> None:
    key = f"scale/{len(lab.hosts)}x{number}"
    memory = 0.0
    gates = [("wait_for_convergence", "gate_seconds"), ("probe_requests", "probes_seconds")]
    # A server by itself differs from nobody, and there is nothing to probe.
    for name, figure in gates if len(lab.hosts) > 1 else gates[:1]:
        took = []
        for turn in range(times):
            seconds, memory = gate(lab, name, f"{len(lab.hosts)}x{number}-{turn}")
            took.append(seconds)
        results.figure(f"{key}/{figure}", statistics.median(took))
    results.figure(f"{key}/peak_memory_mib", memory)
    results.case(key, "each gate passed", f"each, {times} times", True)


def recorded(
    results: Results,
    lab: Lab,
    number: int,
    times: int,
    certificates: t.Mapping[str, pathlib.Path],
    answers: t.Mapping[str, _recorded.Answers],
) -> None:
    """The convergence gate with as many servers as wanted, each with the answers of one that was there."""
    for count in SERVERS:
        who = {f"server{index + 1}": node for index, node in zip(range(count), itertools.cycle(answers))}
        key = f"scale/recorded_{count}x{number}"
        with _recorded.replaying(
            {name: certificates[node] for name, node in who.items()},
            {name: answers[node] for name, node in who.items()},
        ) as replayed:
            asked = [replay(lab, replayed, f"{count}x{number}-{turn}", SAMPLES) for turn in range(times)]
            first = replay(lab, replayed, f"{count}x{number}-first", 1)
        more = SAMPLES - 1
        results.figure(f"{key}/gate_seconds", statistics.median(one.seconds for one in asked))
        results.figure(f"{key}/requests_first_sample", first.requests)
        results.figure(f"{key}/kibibytes_first_sample", first.size / 1024)
        results.figure(f"{key}/requests_a_sample_unchanged", (asked[0].requests - first.requests) / more)
        results.figure(f"{key}/kibibytes_a_sample_unchanged", (asked[0].size - first.size) / more / 1024)


class Asked(t.NamedTuple):
    """Seconds, requests and bytes of one gate."""

    seconds: float
    requests: int
    size: int


def replay(lab: Lab, replayed: _recorded.Replayed, what: str, samples: int) -> Asked:
    before = replayed.moved()
    seconds, dummy = gate(
        lab,
        "wait_for_convergence",
        f"recorded-{what}",
        addresses=replayed.addresses,
        kubeconfig=str(FOLDER / "admin.conf"),
        stable_samples=samples,
    )
    after = replayed.moved()
    return Asked(seconds, after[0] - before[0], after[1] - before[1])


def run(results: Results, times: int) -> None:
    nodes = int(os.environ.get("NODES", "3"))
    kept: dict[int, dict[str, _recorded.Answers]] = {}
    with lab_of("bench-scale", nodes) as lab:
        # One server of the target, so that there is something to probe.
        lab.switch(next(iter(lab.hosts)), lab.target)
        lab.settle()
        certificates = _recorded.prepared(lab, FOLDER)
        before = 0
        for number in map(int, os.environ.get("CRDS", CRDS).split()):
            say(f"{number} CRDs")
            grow(lab, before, number)
            before = number
            if nodes > 1:
                with or_left_out(results, f"scale/{nodes}x{number}/while_busy"):
                    seconds, dummy = gate(lab, "probe_requests", f"{nodes}x{number}-busy", timeout=BUSY_TIMEOUT)
                    results.figure(f"scale/{nodes}x{number}/probes_while_busy_seconds", seconds)
            until("the servers have made all schemas", lambda: os.getloadavg()[0] < AT_REST, timeout=1800, interval=5)
            with or_left_out(results, f"scale/{nodes}x{number}"):
                real(results, lab, number, times)
            with _recorded.recording(lab, certificates) as (addresses, kept[number]):
                gate(lab, "wait_for_convergence", f"{nodes}x{number}-record", addresses=addresses)
    # Nothing else runs by then.
    for number, answers in kept.items():
        recorded(results, lab, number, times, certificates, answers)
