# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's etcd members: how they are, and what may ail one of them."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
import typing as t

from _lab import PKI, Lab, NotAsWanted

#: Seconds by which each sync of the slow disk comes later.
SLOW_SECONDS = 4
ETCDCTL = (
    f"etcdctl --cacert={PKI}/etcd/ca.crt --cert={PKI}/apiserver-etcd-client.crt --key={PKI}/apiserver-etcd-client.key"
)


def statuses(lab: Lab, node: str = "") -> list[dict[str, t.Any]]:
    """Every answering member's status, as etcdctl has it."""
    node = node or next(iter(lab.hosts))
    text = lab.sh(node, f"{ETCDCTL} endpoint status --cluster -w json 2>/dev/null || true")
    return [entry["Status"] for entry in json.loads(text or "[]")]


def well(lab: Lab) -> bool:
    found = statuses(lab)
    leaders = {status.get("leader") for status in found}
    return len(found) == len(lab.hosts) and len(leaders) == 1 and 0 not in leaders and None not in leaders


@contextlib.contextmanager
def stopped(lab: Lab, host: str) -> t.Iterator[str]:
    lab.sh(host, "systemctl stop etcd")
    try:
        yield f"{host}'s etcd is stopped"
    finally:
        lab.sh(host, "systemctl start etcd")


@contextlib.contextmanager
def paused(lab: Lab, host: str) -> t.Iterator[str]:
    """It takes connections and answers nothing."""
    lab.sh(host, "systemctl kill --signal=STOP --kill-whom=main etcd")
    try:
        yield f"{host}'s etcd is paused"
    finally:
        lab.sh(host, "systemctl kill --signal=CONT --kill-whom=main etcd")


@contextlib.contextmanager
def slow(lab: Lab, host: str) -> t.Iterator[str]:
    """Each sync of its log takes seconds: the process is traced, and its calls held up."""
    if not shutil.which("strace"):
        subprocess.run(["apt-get", "-qq", "install", "strace"], check=True, capture_output=True)
    pid = host_pid(lab, host, "etcd")
    delay = f"fdatasync,fsync:delay_enter={SLOW_SECONDS * 1_000_000}"
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-p", pid, "-e", "trace=fdatasync,fsync", "-e", f"inject={delay}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        begun = time.monotonic()
        lab.sh(host, f"{ETCDCTL} --command-timeout=60s put evidence-slow x >/dev/null", check=False)
        seconds = time.monotonic() - begun
        if tracer.poll() is not None or seconds < SLOW_SECONDS / 2:
            words = tracer.stderr.read()[:200] if tracer.poll() is not None and tracer.stderr else ""
            raise NotAsWanted(f"{host}'s disk is not slow, a write took {seconds:.1f} s {words}")
        yield f"each sync on {host} takes {SLOW_SECONDS} s more; a write through it took {seconds:.1f} s"
    finally:
        tracer.terminate()
        tracer.wait()
        lab.sh(host, f"{ETCDCTL} del evidence-slow >/dev/null", check=False)


def host_pid(lab: Lab, host: str, unit: str) -> str:
    """The process id, as this machine sees it, of a unit's main process in a node."""
    inside = lab.sh(host, f"systemctl show --property=MainPID --value {unit}").strip()
    command = ["podman", "inspect", "--format={{.State.Pid}}", f"{lab.name}-{host}"]
    first = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    namespace = os.readlink(f"/proc/{first}/ns/pid")
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            ids = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()
            if ids[-1] == inside and os.readlink(status.with_name("ns") / "pid") == namespace:
                return status.parent.name
    raise NotAsWanted(f"the process {inside} of {host} was not found on this machine")
