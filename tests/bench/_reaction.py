# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a gate takes to notice that what it waits for has come about.

One old server of a mixed lab is started anew while the gate waits for it. When the thing has really come about a reader
of this command tells, which asks that server alone, READ seconds apart; when the gate noticed, the server's audit log:
the last thing that the gate asked of it, with one good sample being enough. The difference can't be smaller than what
the gate's round of all servers takes.

convergence    the server's merged discovery has what only the new server serves
server         the server answers /readyz with 200
"""

from __future__ import annotations

import json
import statistics
import subprocess
import threading
import time
import typing as t

from _common import ROOT, Results, epoch
from _lab import Lab, NotAsWanted, lab_of, log_of, say
from _peers import module

READ = 0.02
#: What 1.37 serves and 1.36 does not.
GROUP, VERSION = "storagemigration.k8s.io", "v1"
DISCOVERY = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
OLD = "cp2"


def converged(lab: Lab) -> bool:
    status, text = lab.ask(OLD, "/apis", DISCOVERY)
    groups = json.loads(text)["items"] if status == 200 else []
    return any(
        group["metadata"]["name"] == GROUP and any(version["version"] == VERSION for version in group["versions"])
        for group in groups
    )


def ready(lab: Lab) -> bool:
    return lab.ask(OLD, "/readyz")[0] == 200


def waits(lab: Lab) -> dict[str, tuple[t.Callable[[Lab], bool], list[str]]]:
    lease = lab.lease_of(OLD)["metadata"]["name"]
    return {
        "convergence": (converged, module(lab, "wait_for_convergence", stable_samples=1)),
        "server": (ready, module(lab, "wait_for_server", stable_samples=1, server=OLD, lease=lease, proxy=True)),
    }


def measured(lab: Lab, name: str, number: int) -> dict[str, float]:
    holds, words = waits(lab)[name]
    lab.sh(OLD, "systemctl stop kube-apiserver")
    came: list[float] = []
    done = threading.Event()

    def read() -> None:
        while not done.wait(READ):
            if holds(lab):
                came.append(time.time())
                return

    began = time.time()
    log = log_of(f"bench-reaction-{name}-{number}")
    with log.open("w") as out:
        process = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        # It has to be at its waiting by then, which it is as soon as it has said so.
        while "no answer" not in log.read_text() and process.poll() is None:
            time.sleep(0.2)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        lab.sh(OLD, "systemctl start --no-block kube-apiserver")
        code = process.wait(timeout=180)
    reader.join(timeout=10)
    done.set()
    moments = asked(lab, OLD, began)
    if code or not came or not moments:
        raise NotAsWanted(f"{name}: exit code {code}, came about: {came}, {len(moments)} requests")
    seconds = moments[-1] - moments[0]
    found = {"seconds": moments[-1] - came[0], "requests_a_second": len(moments) / seconds if seconds else 0.0}
    say(f"{name}: noticed after {found['seconds']:.2f} s, {found['requests_a_second']:.1f} requests a second")
    lab.settle()
    return found


def asked(lab: Lab, host: str, since: float) -> list[float]:
    """When the module's requests were answered; it is the only client with this name here."""
    return sorted(
        epoch(event["stageTimestamp"])
        for event in lab.audit(host, since)
        if event.get("userAgent", "").startswith("python-urllib3") and event.get("stage") == "ResponseComplete"
    )


def run(results: Results, pairs: int) -> None:
    with lab_of("bench-reaction", 3) as lab:
        lab.settle()
        lab.switch("cp1", lab.target)
        lab.settle()
        for name in ("convergence", "server"):
            made = [measured(lab, name, number) for number in range(pairs)]
            seconds = [one["seconds"] for one in made]
            results.figure(f"reaction/{name}/median_seconds", statistics.median(seconds))
            results.figure(f"reaction/{name}/worst_seconds", max(seconds))
            rates = [one["requests_a_second"] for one in made]
            results.figure(f"reaction/{name}/requests_a_second_and_server", statistics.median(rates))
            results.case(f"reaction/{name}", "noticed each time", f"{len(made)} of {pairs} times", len(made) == pairs)
