# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One convergence gate on real servers with many CRDs: time, memory, and what crosses the network.

What a gate takes is its own figure, three good samples in a row; beside it what one sample moves where nothing changed
(each server answers 304) and where everything has to be read.
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import time

from _common import ROOT, Results
from _lab import Lab, NotAsWanted, lab_of, log_of, say, until
from _peers import module

CRDS = (100, 1000, 5000)
BATCH = 250
ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


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
    status, text = lab.client.ask(lab.address(host), "/apis", {"Accept": ACCEPT}, timeout=30.0)
    return len(re.findall(r'"resource":"things', text)) if status == 200 else 0


def sample(lab: Lab, again: bool) -> int:
    """How many bytes the servers' discovery is, merged and their own; *again*: with the ETag of the time before."""
    moved = 0
    for host in lab.hosts:
        for accept in (ACCEPT, f"{ACCEPT};profile=nopeer"):
            connection = lab.client.connect(lab.address(host), 30.0)
            connection.request("GET", "/apis", headers={"Accept": accept})
            first = connection.getresponse()
            size, tag = len(first.read()), first.headers.get("ETag", "")
            if again:
                connection.request("GET", "/apis", headers={"Accept": accept, "If-None-Match": tag})
                second = connection.getresponse()
                size = len(second.read())
                if second.status != 304:
                    raise NotAsWanted(f"{host} answered {second.status} though nothing had changed")
            moved += size
            connection.close()
    return moved


def gate(lab: Lab, what: str) -> tuple[float, float]:
    """Seconds by the gate's own figure, and the most memory of any process that asked, in MiB."""
    begun = time.monotonic()
    with log_of(f"bench-scale-{what}").open("w+") as out:
        done = subprocess.run(module(lab, "wait_for_convergence"), cwd=ROOT, stdout=out, stderr=out, check=False)
        out.seek(0)
        text = out.read()
    if done.returncode:
        raise NotAsWanted(f"not converged: {text[-300:]}")
    result = json.loads(text[text.index("{") :])
    say(f"{what}: {time.monotonic() - begun:.1f} s with Ansible around it")
    # Of all children so far: a bound that only grows, and the last one asked most.
    return float(result["gates"][0]["elapsed_seconds"]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def run(results: Results, pairs: int) -> None:
    nodes = int(os.environ.get("NODES", "3"))
    with lab_of("bench-scale", nodes) as lab:
        lab.settle()
        before = 0
        for number in CRDS:
            say(f"{number} CRDs")
            grow(lab, before, number)
            before = number
            made = [gate(lab, f"{nodes}-{number}-{turn}") for turn in range(pairs)]
            key = f"scale/{nodes}x{number}"
            results.figure(f"{key}/gate_seconds", statistics.median(seconds for seconds, dummy in made))
            results.figure(f"{key}/peak_memory_mib", max(memory for dummy, memory in made))
            results.figure(f"{key}/kibibytes_a_sample", sample(lab, again=False) / 1024)
            results.figure(f"{key}/kibibytes_a_sample_unchanged", sample(lab, again=True) / 1024)
            results.case(key, "converged", f"{len(made)} of {pairs} times", len(made) == pairs)
