# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Snapshots of etcd: taken from a member, written so that only a proven one gets its name, and checked.

Source: etcd ``api/etcdserverpb/rpc.proto`` (SnapshotResponse), ``server/etcdserver/api/v3rpc/maintenance.go`` (the
SHA-256 comes after the database, in a message of its own), ``client/v3/snapshot`` (the file is all blobs in a row).
Seen on etcd 3.6 and 3.7: one JSON object a line, of 32 KiB each; ``remaining_bytes`` is left out of the database's last
message and of the SHA-256. Without the gateway the client port answers 404 to every path of it.
"""

from __future__ import annotations

import binascii
import contextlib
import dataclasses
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import stat
import sys
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _node

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

#: The SHA-256 that etcd appends to a snapshot, over all that precedes it.
TRAILER_BYTES = 32
#: A bbolt file is made of pages, and every page size is a multiple of this.
BLOCK_BYTES = 512
#: For one read, not for the whole stream: etcd sends without a pause, however large its database.
READ_TIMEOUT = 30.0
#: Many messages a read, and yet little memory.
PIECE_BYTES = 1 << 18
#: etcd's messages are 44 KB. Without a bound one endless line would fill the memory.
MAX_LINE_BYTES = 1 << 23
#: Kept free beside the snapshot; etcd itself may live on the same disk.
SPARE_BYTES = 1 << 26


@dataclasses.dataclass(frozen=True)
class Check:
    """What a snapshot file says of itself. ``trouble`` is empty when its own checksum holds."""

    size_bytes: int
    sha256: str
    trouble: str


@dataclasses.dataclass(frozen=True)
class Live:
    """The member that a snapshot comes from, just before it is begun."""

    cluster_id: str
    revision: int
    size_bytes: int
    etcd_version: str
    storage_version: str


def check(path: str) -> Check:
    """Hash the file in one pass and hold it against the SHA-256 that etcd appended to it."""
    body, tail, size = hashlib.sha256(), b"", 0
    with open(path, "rb", buffering=0) as file:
        while True:
            piece = file.read(1 << 20)
            if not piece:
                break
            size += len(piece)
            held = tail + piece
            tail = held[-TRAILER_BYTES:]
            body.update(held[:-TRAILER_BYTES])
    whole = body.copy()
    whole.update(tail)
    trouble = ""
    if size % BLOCK_BYTES != TRAILER_BYTES:
        trouble = (
            f"its size, {size} bytes, is not whole blocks and a SHA-256; it is cut short or has something appended"
        )
    elif body.digest() != tail:
        trouble = "its content does not have the SHA-256 that etcd wrote at its end"
    return Check(size, whole.hexdigest(), trouble)


class FromGateway:
    """A member's JSON gateway."""

    def __init__(self, gateway: _etcd.Gateway) -> None:
        self._gateway = gateway

    def live(self) -> Live:
        status = self._gateway.status()
        return Live(status.cluster_id, status.revision, status.size_bytes, status.version, status.storage_version)

    def save(self, path: str) -> None:
        """Stream the snapshot to the new file *path*, which only its owner can read, and sync it."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb", buffering=1 << 20) as file:
            for blob in self._blobs():
                file.write(blob)
            file.flush()
            os.fsync(file.fileno())

    def _blobs(self) -> t.Iterator[bytes]:
        """The snapshot's bytes as they come.

        An error in the middle comes with status 200, as a line of its own. A member that dies leaves bytes to come.
        """
        endpoint = self._gateway.endpoint
        connection = self._gateway.connect(READ_TIMEOUT)
        remaining, rest = -1, b""
        try:
            connection.request("POST", "/v3/maintenance/snapshot", "{}", {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise _etcd.EtcdError(f"{endpoint}: a snapshot was refused: {response.status} {response.read(200)!r}")
            while True:
                # Not line by line: http.client takes the end of a broken stream for the end of the last line.
                piece = response.read(PIECE_BYTES)
                if not piece:
                    break
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    raise _etcd.EtcdError(f"{endpoint}: the snapshot has a line of more than {MAX_LINE_BYTES} bytes")
                for line in lines:
                    frame = json.loads(line)
                    if "error" in frame:
                        words = frame["error"].get("message") or frame["error"]
                        raise _etcd.EtcdError(f"{endpoint}: the snapshot broke off: {words}")
                    result = frame["result"]
                    remaining = int(result.get("remaining_bytes", 0))
                    yield binascii.a2b_base64(result.get("blob", ""))
        except http.client.IncompleteRead as error:
            raise _etcd.EtcdError(
                f"{endpoint}: the member went away in the middle of the snapshot, with {remaining} bytes still to come"
            ) from error
        except (OSError, http.client.HTTPException, ValueError, KeyError, AttributeError, TypeError) as error:
            raise _etcd.EtcdError(f"{endpoint}: the snapshot can't be read: {type(error).__name__} {error}") from error
        finally:
            connection.close()
        if remaining != 0 or rest:
            raise _etcd.EtcdError(f"{endpoint}: the snapshot ended with {max(remaining, 0)} bytes still to come")


class FromEtcdctl:
    """The same through etcdctl, where a member has its gateway switched off."""

    def __init__(self, etcdctl: str, params: t.Mapping[str, t.Any], module: AnsibleModule) -> None:
        self._module = module
        self._endpoint = params["endpoint"]
        self._command = [
            etcdctl,
            f"--endpoints={params['endpoint']}",
            f"--cacert={params['ca_file']}",
            f"--cert={params['cert_file']}",
            f"--key={params['key_file']}",
            # It ends by itself then, whatever became of us.
            f"--command-timeout={max(1, int(params['timeout']))}s",
        ]

    def live(self) -> Live:
        text = self._run("--write-out=json", "endpoint", "status")
        try:
            status = json.loads(text)[0]["Status"]
            return Live(
                cluster_id=str(status["header"]["cluster_id"]),
                revision=int(status["header"].get("revision", 0)),
                size_bytes=int(status["dbSize"]),
                etcd_version=status["version"],
                storage_version=status.get("storageVersion", ""),
            )
        except (ValueError, LookupError, TypeError) as error:
            raise _etcd.EtcdError(f"{self._command[0]} tells no status of {self._endpoint}: {text[:200]}") from error

    def save(self, path: str) -> None:
        """Let etcdctl write it. What it says and how it ends proves nothing: the file is checked as any other."""
        self._run("snapshot", "save", path)
        os.chmod(path, 0o600)
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _run(self, *arguments: str) -> str:
        # etcdctl refuses an option that its environment names as well; an empty value is none.
        environment = {name: "" for name in os.environ if name.startswith("ETCDCTL_")}
        code, text, words = self._module.run_command(
            [*self._command, *arguments], environ_update=environment, handle_exceptions=False
        )
        if code:
            raise _etcd.EtcdError(f"{self._command[0]} {' '.join(arguments)} ended with {code}: {words.strip()[-500:]}")
        return str(text)


Source = t.Union[FromGateway, FromEtcdctl]


def source(params: t.Mapping[str, t.Any], module: AnsibleModule) -> Source:
    """The member's gateway, or etcdctl where it has none."""
    gateway = _etcd.Gateway.from_params(params)
    connection = gateway.connect(_etcd.TIMEOUT)
    try:
        connection.request("POST", "/v3/maintenance/status", "{}", {"Content-Type": "application/json"})
        off = connection.getresponse().status == 404
    except (OSError, http.client.HTTPException) as error:
        raise _etcd.EtcdError(f"{gateway.endpoint}: {error}") from error
    finally:
        connection.close()
    if not off:
        return FromGateway(gateway)
    etcdctl = params["etcdctl"] or _etcdctl()
    if not etcdctl:
        raise _etcd.EtcdError(
            f"{gateway.endpoint} has its JSON gateway switched off (--enable-grpc-gateway=false), and no etcdctl was "
            "found on this node"
        )
    if not _node.usable(etcdctl):
        raise _etcd.EtcdError(f"{etcdctl} is no command that can be run")
    return FromEtcdctl(etcdctl, params, module)


def _etcdctl() -> str:
    """The etcdctl of this node; or the one beside the running etcd, in its container, which runs outside as well."""
    found = shutil.which("etcdctl", path=os.environ.get("PATH", os.defpath) + ":/usr/local/bin:/opt/bin")
    process = _node.running("etcd")
    if found or not process:
        return found or ""
    folder = os.path.dirname(process[1][0]) if os.path.isabs(process[1][0]) else "/usr/local/bin"
    inside = f"/proc/{process[0]}/root{folder}/etcdctl"
    return inside if _node.usable(inside) else ""


class Job:
    """One snapshot being written to *path*, by this process or by one that it left behind.

    Whoever writes holds a lock on the folder, so that it is known whether it still lives, and none meets a second.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = os.path.dirname(path)
        self._part = f"{path}.part"
        #: etcdctl has a temporary name of its own.
        self._parts = (self._part, f"{self._part}.part")
        self._result = f"{path}.result"
        self._lock = -1

    def claim(self) -> None:
        """Make the folder, or see that it is a private one; lock it; and remove what a killed writer left in it."""
        if not os.path.isabs(self.path) or os.path.isdir(self.path):
            raise _etcd.EtcdError(f"{self.path} is not the absolute path of a file")
        with contextlib.suppress(FileExistsError):
            os.makedirs(self.folder, mode=0o700)
        found = os.stat(self.folder)
        if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid():
            raise _etcd.EtcdError(
                f"others can look into {self.folder} (mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}); "
                "a snapshot holds every Secret: name a folder that is not there yet, or one with mode 0700"
            )
        self._lock = self._locked()
        if self._lock < 0:
            raise _etcd.EtcdError(f"another snapshot is just being written to {self.folder}; wait until it has ended")
        self.clean()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._result)

    def room(self, size_bytes: int) -> None:
        """Refuse to begin where the snapshot would not fit."""
        free, wanted = shutil.disk_usage(self.folder).free, size_bytes + size_bytes // 10 + SPARE_BYTES
        if free < wanted:
            raise _etcd.EtcdError(
                f"{free // 2**20} MiB free at {self.folder}, {wanted // 2**20} MiB wanted for a database of "
                f"{size_bytes // 2**20} MiB"
            )

    def write(self, origin: Source, timeout: float) -> Check:
        """Write, sync, read back and rename. Whatever happens, no part of a snapshot is left behind.

        It is read back after the sync, with the cache emptied of it, so that what is hashed is what the disk gives:
        that the right bytes came says nothing of what was stored.
        """
        before = signal.signal(signal.SIGALRM, _too_late)
        signal.setitimer(signal.ITIMER_REAL, timeout)
        try:
            origin.save(self._part)
            handle = os.open(self._part, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)
            found = check(self._part)
            if found.trouble:
                raise _etcd.EtcdError(f"the snapshot is not whole: {found.trouble}")
            os.replace(self._part, self.path)
            _node.sync_directory(self.folder)
            return found
        except TimeoutOver as error:
            raise _etcd.EtcdError(f"the snapshot was not complete after {timeout:.0f} s") from error
        except OSError as error:
            raise _etcd.EtcdError(f"{self._part} can't be written: {error}") from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self.clean()

    def leave(self, origin: Source, timeout: float) -> None:
        """Have it written by a process that outlives this one, and that ends with the stream or after *timeout*."""
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            os.close(self._lock)
            self._lock = -1
            return
        try:
            os.setsid()
            if os.fork() == 0:
                # Whoever started the module waits for the end of its output, which this process must not hold open.
                null = os.open(os.devnull, os.O_RDWR)
                for number in range(3):
                    os.dup2(null, number)
                signal.signal(signal.SIGTERM, _told_to_end)
                self._tell(origin, timeout)
        finally:
            # Not by an exception nor by exit: what the module's starter cleans up at its end is not ours to clean up.
            os._exit(0)

    def _tell(self, origin: Source, timeout: float) -> None:
        try:
            told: dict[str, t.Any] = dataclasses.asdict(self.write(origin, timeout))
        except Exception as error:
            told = {"trouble": str(error) or repr(error)}
        _node.replace(self._result, json.dumps(told), 0o600)

    def result(self) -> Check | None:
        """What came of the writer that was left behind; None while it is at work."""
        # The lock first: a writer tells its result before it lets go of it.
        lock = self._locked()
        if lock < 0:
            return None
        try:
            text = _node.read(self._result)
            if not text:
                self.clean()
                return Check(0, "", "the process that wrote the snapshot was killed")
            os.unlink(self._result)
            told = json.loads(text)
            return Check(told.get("size_bytes", 0), told.get("sha256", ""), told["trouble"])
        finally:
            os.close(lock)

    def written(self) -> int:
        """Bytes that lie there so far."""
        return max((os.stat(part).st_size for part in self._parts if os.path.exists(part)), default=0)

    def clean(self) -> None:
        for part in self._parts:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)

    def _locked(self) -> int:
        """A handle that holds the folder's lock; -1 if another one does."""
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return -1
        return handle


class TimeoutOver(Exception):
    """The whole time-out is over; no OSError, so that nothing on the way takes it for the network's."""


def _told_to_end(*dummy: t.Any) -> t.NoReturn:
    """Not at once, so that no part of a snapshot is left behind."""
    raise SystemExit


def _too_late(*dummy: t.Any) -> t.NoReturn:
    raise TimeoutOver
