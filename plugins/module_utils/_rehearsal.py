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


class Child:
    """A program in the scratch folder that does not outlive the module, its words in a file there.

    The module's own way of running a command waits for its end and knows no time limit.
    """

    def __init__(self, command: t.Sequence[str], folder: str) -> None:
        self._log = os.path.join(folder, f"{os.path.basename(command[0])}.log")
        self.code: int | None = None
        self._pid = os.fork()
        if self._pid == 0:
            try:
                # Source: prctl(2), PR_SET_PDEATHSIG: a killed module takes it along.
                ctypes.CDLL(None).prctl(1, signal.SIGKILL)
                os.chdir(folder)
                log = os.open(self._log, os.O_WRONLY | os.O_CREAT, 0o600)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.execve(command[0], list(command), {"PATH": os.environ.get("PATH", "")})
            finally:
                os._exit(127)

    def ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        return self.code is not None

    def kill(self) -> None:
        if not self.ended():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def words(self) -> str:
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read().strip()[-400:]


def restore(command: t.Sequence[str], folder: str, ends: float) -> None:
    child = Child(command, folder)
    try:
        while not child.ended():
            if time.monotonic() >= ends:
                raise RehearsalError("etcdutl did not end in time")
            # Looked at rather than waited for, as it has to end in time.
            time.sleep(0.05)
    finally:
        child.kill()
    if child.code:
        raise RehearsalError(f"etcdutl could not restore it: {child.words()}")


def rehearse(params: t.Mapping[str, t.Any], folder: str) -> dict[str, t.Any]:
    """What the restored store counts, after at most ``timeout`` seconds."""
    ends = time.monotonic() + params["timeout"]
    etcdutl = os.path.abspath(params["etcdutl"])
    etcd = os.path.abspath(params["etcd"] or os.path.join(os.path.dirname(etcdutl), "etcd"))
    one = ["--name=rehearsal", f"--initial-cluster=rehearsal={NOWHERE}", f"--initial-advertise-peer-urls={NOWHERE}"]
    restore([etcdutl, "snapshot", "restore", os.path.abspath(params["path"]), *one, "--data-dir=data"], folder, ends)
    child = Child(
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
        folder,
    )
    try:
        client = os.path.join(folder, CLIENT)
        revision = int(wait_for(client, child, ends)["header"]["revision"])
        found = {
            "total_keys": count(client, PREFIX),
            "resources": {name: count(client, f"{PREFIX}{name}/") for name in RESOURCES},
            "revision": revision,
            "hash": int(post(client, "/v3/maintenance/hashkv", {"revision": str(revision)})["hash"]),
        }
    finally:
        child.kill()
    if not found["total_keys"]:
        raise RehearsalError(f"it was restored and serves, but has no key below {PREFIX}")
    return found


def wait_for(client: str, child: Child, ends: float) -> dict[str, t.Any]:
    """The status of the throw-away etcd, once it leads itself."""
    while time.monotonic() < ends:
        if child.ended():
            raise RehearsalError(f"etcd ended with exit code {child.code}: {child.words()}")
        with contextlib.suppress(OSError, http.client.HTTPException, RehearsalError):
            status = post(client, "/v3/maintenance/status", {})
            if status.get("leader", "0") != "0":
                return status
        # etcd tells nobody that it serves: it has to be asked.
        time.sleep(0.1)
    raise RehearsalError("etcd did not serve the restored snapshot in time")


def sweep(directory: str) -> None:
    """Remove what rehearsals left whose process was killed; the process id stands in the folder's name."""
    for name in os.listdir(directory):
        match = re.match(rf"{SCRATCH}(\d+)-", name)
        path = os.path.join(directory, name)
        if match and not os.path.exists(f"/proc/{match[1]}") and os.lstat(path).st_uid == os.getuid():
            shutil.rmtree(path, ignore_errors=True)
