# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of a large etcd by the module and by `etcdctl snapshot save`, in turn, on a lab's first node."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import statistics
import subprocess
import threading
import time
import typing as t

from _common import ROOT
from _lab import PKI, Lab, NotAsWanted, say
from _members import ETCDCTL

FIRST = "cp1"
VALUE_BYTES = 2560
SNAPSHOT = "/var/lib/evidence/snapshot.db"


@dataclasses.dataclass(frozen=True)
class Pair:
    #: Seconds each took.
    ours: float
    etcdctl: float
    #: The most memory that a process of the module had, in MiB.
    peak: float
    size: int
    #: What etcdutl says of ours.
    status: str


def pair(lab: Lab) -> Pair:
    lab.sh(FIRST, "rm -rf /var/lib/evidence; mkdir -m 0700 /var/lib/evidence")
    seconds, peak = snapshot(lab)
    size = int(lab.sh(FIRST, f"stat -c %s {SNAPSHOT}"))
    status = lab.sh(FIRST, f"etcdutl -w json snapshot status {SNAPSHOT}").strip()
    lab.sh(FIRST, f"rm {SNAPSHOT}")
    took = lab.sh(
        FIRST,
        f"time=$(date +%s.%N); {ETCDCTL} snapshot save {SNAPSHOT} >/dev/null 2>&1; echo $(date +%s.%N) $time",
        timeout=600,
    ).split()
    found = Pair(seconds, float(took[0]) - float(took[1]), peak, size, status)
    say(f"ours {found.ours:.1f} s, peak {peak:.1f} MiB; etcdctl {found.etcdctl:.1f} s; {size / 1e6:.0f} MB")
    return found


def figures(pairs: t.Sequence[Pair]) -> dict[str, float]:
    megabytes = pairs[-1].size / 1e6
    return {
        "snapshot_mb": megabytes,
        "ours_mb_per_second": megabytes / statistics.median(one.ours for one in pairs),
        "etcdctl_mb_per_second": megabytes / statistics.median(one.etcdctl for one in pairs),
        "time_ratio": statistics.median(one.ours / one.etcdctl for one in pairs),
        "peak_memory_mib": max(one.peak for one in pairs),
    }


def fill(lab: Lab, keys: int) -> None:
    """The same keys each time, so that more of them add to those that are there."""
    say(f"{keys} keys of {VALUE_BYTES} bytes are written")
    program = pathlib.Path(__file__).with_name("_etcd_load.py").read_text()
    begun = time.monotonic()
    tls = f"{PKI}/etcd/ca.crt {PKI}/apiserver-etcd-client.crt {PKI}/apiserver-etcd-client.key"
    words = f"https://127.0.0.1:2379 {tls} {keys} {VALUE_BYTES}"
    lab.sh(FIRST, f"cat >/tmp/load.py; python3 /tmp/load.py {words} >/dev/null", stdin=program, timeout=1800)
    say(f"written in {time.monotonic() - begun:.0f} s")


def snapshot(lab: Lab) -> tuple[float, float]:
    """One snapshot by the module: seconds by its own gate, and the most memory any of its processes had, in MiB."""
    peak = 0.0
    done = threading.Event()

    def look() -> None:
        nonlocal peak
        while not done.wait(0.02):
            for status in pathlib.Path("/proc").glob("[0-9]*/status"):
                with contextlib.suppress(OSError):
                    if b"etcd_snapshot" in status.with_name("cmdline").read_bytes():
                        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
                        # On the node alone: the controller's own processes have the name in their arguments too.
                        # One that is just ending has no memory any more.
                        if len(fields["NSpid"].split()) > 1 and "VmHWM" in fields:
                            peak = max(peak, int(fields["VmHWM"].split()[0]) / 1024)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    arguments = json.dumps({"path": SNAPSHOT, "timeout": 600})
    run = subprocess.run(
        ["ansible", FIRST, "-i", str(lab.inventory), "-m", "mixedversion.kubernetes.etcd_snapshot", "-a", arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    done.set()
    watcher.join()
    if run.returncode or not peak:
        raise NotAsWanted(f"no snapshot, or its process was not seen: {run.stdout[-300:]}")
    result = json.loads(run.stdout[run.stdout.index("{") :])
    return float(result["gates"][0]["elapsed_seconds"]), peak
