# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Restoring a snapshot into a throw-away etcd that nobody else can reach, and counting what it holds."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import typing as t

PREFIX = "/registry/"
#: Below the prefix, as every API server stores them: counted one by one, as a person may know how many there should be.
RESOURCES = ("namespaces", "configmaps", "secrets", "serviceaccounts", "pods", "deployments", "leases")
#: The names of the sockets; etcd takes a host and a port where a URL has them, and makes them in its working folder.
CLIENT, PEER = "client:1", "peer:1"
NOWHERE = "http://localhost:1"
SCRATCH = "mixedversion-rehearsal-"


class RehearsalError(Exception):
    """The snapshot could not be restored, or what was restored does not serve."""


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def post(path: str, method: str, body: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    connection = SocketConnection(path, 30.0)
    try:
        connection.request("POST", method, json.dumps(body))
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise RehearsalError(f"the restored etcd answered {method} with {response.status}")
    return dict(json.loads(text))


def after(prefix: str) -> str:
    """The first key behind all that begin with *prefix*."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def count(path: str, prefix: str) -> int:
    first, end = (base64.b64encode(text.encode()).decode() for text in (prefix, after(prefix)))
    return int(post(path, "/v3/kv/range", {"key": first, "range_end": end, "count_only": True}).get("count", 0))


def die_with_parent() -> None:
    """In the child: a killed module takes its etcd with it. Source: prctl(2), PR_SET_PDEATHSIG."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def run(command: t.Sequence[str], folder: str, ends: float) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=max(0.1, ends - time.monotonic()),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RehearsalError("etcdutl did not end in time") from error
    if done.returncode:
        raise RehearsalError(f"etcdutl could not restore it: {done.stderr.decode(errors='replace').strip()[-400:]}")


def rehearse(params: t.Mapping[str, t.Any], folder: str) -> dict[str, t.Any]:
    """What the restored store counts, after at most ``timeout`` seconds."""
    ends = time.monotonic() + params["timeout"]
    etcdutl = os.path.abspath(params["etcdutl"])
    etcd = os.path.abspath(params["etcd"] or os.path.join(os.path.dirname(etcdutl), "etcd"))
    one = ["--name=rehearsal", f"--initial-cluster=rehearsal={NOWHERE}", f"--initial-advertise-peer-urls={NOWHERE}"]
    run(
        [etcdutl, "snapshot", "restore", os.path.abspath(params["path"]), *one, "--data-dir=data"],
        folder,
        ends,
    )
    with open(os.path.join(folder, "log"), "wb") as log:
        process = subprocess.Popen(
            [
                etcd,
                *one,
                "--data-dir=data",
                f"--listen-client-urls=unix://{CLIENT}",
                f"--advertise-client-urls={NOWHERE}",
                f"--listen-peer-urls=unix://{PEER}",
                "--unsafe-no-fsync",
                "--quota-backend-bytes=17179869184",
            ],
            cwd=folder,
            env={"PATH": os.environ.get("PATH", "")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )
    try:
        client = os.path.join(folder, CLIENT)
        status = wait_for(client, process, ends, os.path.join(folder, "log"))
        revision = int(status["header"]["revision"])
        found = {
            "total_keys": count(client, PREFIX),
            "resources": {name: count(client, f"{PREFIX}{name}/") for name in RESOURCES},
            "revision": revision,
            "hash": int(post(client, "/v3/maintenance/hashkv", {"revision": str(revision)})["hash"]),
        }
    finally:
        process.kill()
        process.wait()
    if not found["total_keys"]:
        raise RehearsalError(f"it was restored and serves, but has no key below {PREFIX}")
    return found


def wait_for(client: str, process: subprocess.Popen[bytes], ends: float, log: str) -> dict[str, t.Any]:
    """The status of the throw-away etcd, once it leads itself."""
    while time.monotonic() < ends:
        if process.poll() is not None:
            with open(log, encoding="utf-8", errors="replace") as file:
                words = file.read()[-400:]
            raise RehearsalError(f"etcd ended with exit code {process.returncode}: {words}")
        with contextlib.suppress(OSError, http.client.HTTPException, RehearsalError):
            status = post(client, "/v3/maintenance/status", {})
            if status.get("leader", "0") != "0":
                return status
        time.sleep(0.1)
    raise RehearsalError("etcd did not serve the restored snapshot in time")


def sweep(directory: str) -> None:
    """Remove what rehearsals left whose process was killed; the process id stands in the folder's name."""
    for name in os.listdir(directory):
        match = re.match(rf"{SCRATCH}(\d+)-", name)
        path = os.path.join(directory, name)
        if match and not os.path.exists(f"/proc/{match[1]}") and os.lstat(path).st_uid == os.getuid():
            shutil.rmtree(path, ignore_errors=True)
