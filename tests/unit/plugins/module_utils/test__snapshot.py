# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Against a recorded snapshot, and a server of rare answers on a real socket: no real etcd gives them on demand."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import random
import resource
import socket
import ssl
import stat
import subprocess
import threading

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _snapshot

pytestmark = pytest.mark.node

FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures"
#: Of an etcd 3.7.0 with 500 keys of random bytes.
WHOLE = gzip.decompress((FIXTURES / "snapshot-v3.7.0.db.gz").read_bytes())
SHA256 = "a3e49b874cd7da0bb676bd37763f175b7a373b070cddcf64f0842a210c7bbbcc"
#: `etcdctl -w json endpoint status` of the same etcd.
STATUS = (
    '[{"Endpoint":"https://127.0.0.1:23850","Status":{"header":{"cluster_id":12070821515228786365,'
    '"member_id":13866939779391656422,"revision":5,"raft_term":2},"version":"3.7.0","dbSize":90112,'
    '"leader":13866939779391656422,"raftIndex":8,"raftTerm":2,"raftAppliedIndex":8,"dbSizeInUse":90112,'
    '"storageVersion":"3.7.0","dbSizeQuota":4000000000,"downgradeInfo":{}}}]'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


# A file


def check(tmp_path, content):
    path = tmp_path / "snapshot.db"
    path.write_bytes(content)
    return _snapshot.check(str(path))


def test_a_recorded_snapshot_is_whole(tmp_path):
    assert check(tmp_path, WHOLE) == _snapshot.Check(len(WHOLE), SHA256, "")
    assert hashlib.sha256(WHOLE).hexdigest() == SHA256


@pytest.mark.parametrize("blocks", [1, 2047, 2048, 2049, 4096])
def test_sizes_around_those_of_a_read(tmp_path, blocks):
    body = bytes(512 * blocks)
    content = body + hashlib.sha256(body).digest()
    assert check(tmp_path, content) == _snapshot.Check(len(content), hashlib.sha256(content).hexdigest(), "")


@pytest.mark.parametrize("content", [b"", bytes(32), bytes(512), bytes(544), b"no snapshot"])
def test_no_snapshot_at_all(tmp_path, content):
    assert check(tmp_path, content).trouble


def corrupted(source):
    """One random corruption: a flipped bit, an end cut off, something appended, or a page of zeros."""
    content = bytearray(WHOLE)
    kind = source.choice(["flip", "truncate", "append", "zero"])
    if kind == "flip":
        content[source.randrange(len(content))] ^= 1 << source.randrange(8)
    elif kind == "truncate":
        del content[source.choice([source.randrange(len(content)), len(content) - 512 * source.randrange(1, 100)]) :]
    elif kind == "append":
        more = source.choice([source.randrange(1, 9999), 512 * source.randrange(1, 9)])
        content += source.choice([bytes(more), source.getrandbits(8 * more).to_bytes(more, "big")])
    else:
        first = 4096 * source.randrange(len(content) // 4096)
        content[first : first + 4096] = bytes(4096)
    return kind, bytes(content)


def test_a_thousand_corruptions_are_detected(tmp_path):
    source = random.Random(5)
    accepted, kinds = [], {}
    while sum(kinds.values()) < 1000:
        kind, content = corrupted(source)
        if content == WHOLE:
            continue  # The page was one of zeros.
        kinds[kind] = kinds.get(kind, 0) + 1
        if not check(tmp_path, content).trouble:
            accepted.append((kind, sum(kinds.values())))
    assert accepted == []
    assert min(kinds.values()) > 150


# A stream


def frames(content=WHOLE, spaced=False):
    """What etcd sends: a line for each 32 KiB of the database, and one for the SHA-256."""
    pieces = [content[i : i + 32768] for i in range(0, len(content) - 32, 32768)]
    pieces[-1] = content[32768 * (len(pieces) - 1) : -32]
    left = len(content) - 32
    lines = []
    for piece in [*pieces, content[-32:]]:
        left = max(0, left - len(piece))
        result = {"remaining_bytes": str(left)} if left else {}
        result.update(blob=base64.b64encode(piece).decode(), version="3.7.0")
        lines.append(json.dumps({"result": result}, separators=(", " if spaced else ",", ":")).encode() + b"\n")
    return lines


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text), text)


def stream(*lines):
    return HEAD + b"".join(map(chunk, lines))


def plain(status, body):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Plain:
    """A gateway without TLS, for a Python that has nothing to make certificates with."""

    def __init__(self, port):
        self.endpoint, self._port = f"http://127.0.0.1:{port}", port

    def connect(self, timeout):
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)


@pytest.fixture
def tls(request, tmp_path):
    """The server's TLS context and the options for its client; None where no certificate can be made."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        return None
    pki = request.getfixturevalue("pki")
    authority = pki.authority("ca")
    issued = pki.certificate(authority, "etcd", names=["127.0.0.1"])
    files = {"ca_file": authority.pem, "cert_file": issued.pem, "key_file": issued.key_pem}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    options = {name: str(tmp_path / name) for name in files}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=options["ca_file"])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(options["cert_file"], options["key_file"])
    return context, options


@pytest.fixture
def member(tls):
    """A function that starts a member which answers everything with the same bytes, and returns its gateway.

    After them it closes the connection, or leaves it open if ``silent``.
    """
    with contextlib.ExitStack() as stack:
        over = threading.Event()

        def answer(connection, content, silent):
            with contextlib.suppress(OSError), connection:
                secured = tls[0].wrap_socket(connection, server_side=True) if tls else connection
                with secured:
                    text = b""
                    while b"\r\n\r\n{}" not in text:
                        text += secured.recv(65536)
                    secured.sendall(content)
                    if silent:
                        over.wait()

        def start(content, silent=False):
            server = stack.enter_context(socket.socket())
            server.bind(("127.0.0.1", 0))
            server.listen(4)

            def serve():
                with contextlib.suppress(OSError):
                    while True:
                        connection = server.accept()[0]
                        threading.Thread(target=answer, args=(connection, content, silent), daemon=True).start()

            stack.callback(server.shutdown, socket.SHUT_RDWR)
            threading.Thread(target=serve, daemon=True).start()
            port = server.getsockname()[1]
            if not tls:
                return Plain(port)
            return _etcd.Gateway.from_params({"endpoint": f"https://127.0.0.1:{port}", **tls[1]})

        stack.callback(over.set)
        yield start


@pytest.fixture
def job(tmp_path):
    found = _snapshot.Job(str(tmp_path / "private" / "snapshot.db"))
    found.claim()
    return found


def left(job):
    return sorted(os.listdir(job.folder))


@pytest.mark.parametrize("spaced", [False, True])
def test_a_whole_stream(member, job, spaced):
    found = job.write(_snapshot.FromGateway(member(stream(*frames(spaced=spaced)) + END)), 60)
    assert found == _snapshot.Check(len(WHOLE), SHA256, "")
    assert pathlib.Path(job.path).read_bytes() == WHOLE
    assert stat.S_IMODE(os.stat(job.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(job.folder).st_mode) == 0o700
    assert left(job) == ["snapshot.db"]


FIRST, SECOND, *REST = frames()
ERROR = b'{"error":{"code":8,"message":"etcdserver: no space","details":[]}}\n'
FLIPPED = bytearray(WHOLE)
FLIPPED[40000] ^= 1
BROKEN = {
    "ends early": (stream(FIRST) + END, "ended with 57344 bytes still to come"),
    "ends in a line": (stream(FIRST, SECOND, *REST[:-1], REST[-1][:-9]) + END, "ended with 0 bytes still to come"),
    "closed between two chunks": (stream(FIRST, SECOND), "went away in the middle of the snapshot, with"),
    "closed in a chunk": (stream(FIRST, SECOND)[:-5000], "went away in the middle of the snapshot, with"),
    "nothing": (HEAD + END, "ended with 0 bytes still to come"),
    "no SHA-256": (stream(FIRST, SECOND, *REST[:-1]) + END, "not whole: its size, 90112 bytes"),
    "a line left out": (stream(FIRST, *REST) + END, "does not have the SHA-256"),
    "a line sent twice": (stream(FIRST, SECOND, SECOND, *REST) + END, "does not have the SHA-256"),
    "a flipped byte": (stream(*frames(bytes(FLIPPED))) + END, "does not have the SHA-256"),
    "an error in the middle": (stream(FIRST, ERROR) + END, "broke off: etcdserver: no space"),
    "no JSON": (stream(FIRST, b"<html>\n") + END, "can't be read: JSONDecodeError"),
    "another JSON": (stream(FIRST, b"[1]\n") + END, "can't be read: TypeError"),
    "no base64": (stream(FIRST, b'{"result":{"blob":"abcde"}}\n') + END, "can't be read: Error"),
    "refused": (plain(403, "{}"), "a snapshot was refused: 403"),
    "no HTTP": (b"\x15\x03\x01", "can't be read: BadStatusLine"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_leaves_nothing(member, job, name):
    content, words = BROKEN[name]
    with pytest.raises(_etcd.EtcdError, match=words):
        job.write(_snapshot.FromGateway(member(content)), 60)
    assert left(job) == []


def test_a_line_without_end_does_not_fill_the_memory(member, job, monkeypatch):
    monkeypatch.setattr(_snapshot, "MAX_LINE_BYTES", 100_000)
    with pytest.raises(_etcd.EtcdError, match="a line of more than 100000 bytes"):
        job.write(_snapshot.FromGateway(member(stream(b"x" * 600_000), silent=True)), 60)
    assert left(job) == []


def test_a_member_that_falls_silent(member, job, monkeypatch):
    monkeypatch.setattr(_snapshot, "READ_TIMEOUT", 0.2)
    with pytest.raises(_etcd.EtcdError, match="timed out"):
        job.write(_snapshot.FromGateway(member(stream(FIRST), silent=True)), 60)
    assert left(job) == []


def test_the_whole_time_out(member, job):
    with pytest.raises(_etcd.EtcdError, match="not complete after 0 s"):
        job.write(_snapshot.FromGateway(member(stream(FIRST), silent=True)), 0.2)
    assert left(job) == []


def test_a_full_disk(member, job):
    gateway = member(stream(*frames()) + END)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(_etcd.EtcdError, match=r"can't be written: .*File too large"):
            job.write(_snapshot.FromGateway(gateway), 60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(job) == []


def test_an_earlier_snapshot_stays_when_a_new_one_fails(member, job):
    pathlib.Path(job.path).write_bytes(WHOLE)
    with pytest.raises(_etcd.EtcdError):
        job.write(_snapshot.FromGateway(member(stream(FIRST) + END)), 60)
    assert pathlib.Path(job.path).read_bytes() == WHOLE


# The folder


def test_too_little_room(job):
    with pytest.raises(_etcd.EtcdError, match=r"MiB free at .*, \d+ MiB wanted for a database of 1048576 MiB"):
        job.room(1 << 40)
    job.room(0)


def test_a_folder_that_others_can_look_into(tmp_path):
    tmp_path.chmod(0o755)
    with pytest.raises(_etcd.EtcdError, match=r"others can look into .* 0755"):
        _snapshot.Job(str(tmp_path / "snapshot.db")).claim()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("path", ["snapshot.db", "/", "/tmp"])
def test_what_is_no_file_of_its_own(path):
    with pytest.raises(_etcd.EtcdError, match="not the absolute path of a file"):
        _snapshot.Job(path).claim()


def test_a_second_writer_is_refused(job):
    part = pathlib.Path(f"{job.path}.part")
    part.write_bytes(b"half")
    with pytest.raises(_etcd.EtcdError, match="another snapshot is just being written"):
        _snapshot.Job(job.path).claim()
    assert part.read_bytes() == b"half"


def test_what_a_killed_writer_left_is_removed(tmp_path):
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    for name in ("snapshot.db.part", "snapshot.db.part.part", "snapshot.db.result"):
        (folder / name).write_bytes(b"half")
    found = _snapshot.Job(str(folder / "snapshot.db"))
    found.claim()
    assert left(found) == []


# The writer that is left behind

# The module itself has one thread; here it is the server's threads that Python warns of.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def result(job):
    while True:
        found = job.result()
        if found:
            return found
        os.sched_yield()


@forks
def test_left_behind_it_tells_its_result(member, job):
    job.leave(_snapshot.FromGateway(member(stream(*frames()) + END)), 60)
    assert result(job) == _snapshot.Check(len(WHOLE), SHA256, "")
    assert left(job) == ["snapshot.db"]
    assert pathlib.Path(job.path).read_bytes() == WHOLE


@forks
def test_left_behind_it_tells_its_trouble(member, job):
    job.leave(_snapshot.FromGateway(member(stream(FIRST, ERROR) + END)), 60)
    assert "etcdserver: no space" in result(job).trouble
    assert left(job) == []


@forks
def test_left_behind_it_ends_by_itself(member, job):
    job.leave(_snapshot.FromGateway(member(stream(FIRST), silent=True)), 0.2)
    assert "not complete after" in result(job).trouble
    assert left(job) == []


def test_left_behind_and_killed(tmp_path, job):
    pathlib.Path(f"{job.path}.part").write_bytes(b"half")
    assert job.result() is None, "its lock is held"
    os.close(job._lock)
    assert "was killed" in job.result().trouble
    assert left(job) == []


# etcdctl


class Module:
    """Runs commands as the module does, without its arguments."""

    def run_command(self, command, environ_update, handle_exceptions):
        environment = {**os.environ, **environ_update}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def etcdctl(tmp_path, monkeypatch):
    """A function that makes a stand-in for etcdctl: it tells the recorded status, and saves what it is given."""
    monkeypatch.setenv("ETCDCTL_ENDPOINTS", "https://another:2379")
    options = {"endpoint": "https://127.0.0.1:2379", "ca_file": "ca", "cert_file": "crt", "key_file": "key"}
    options["timeout"] = 60.0

    def make(content, code=0):
        (tmp_path / "content").write_bytes(content)
        script = tmp_path / "etcdctl"
        script.write_text(
            "#!/bin/sh\n"
            '[ -z "$ETCDCTL_ENDPOINTS" ] || exit 9\n'
            f"case \"$*\" in *status*) echo '{STATUS}' ;; *) for last; do :; done; "
            f'cat {tmp_path}/content >"$last"; echo broken >&2; exit {code} ;; esac\n'
        )
        script.chmod(0o700)
        return _snapshot.FromEtcdctl(str(script), options, Module())

    return make


def test_through_etcdctl(etcdctl, job):
    origin = etcdctl(WHOLE)
    assert origin.live() == _snapshot.Live("12070821515228786365", 5, 90112, "3.7.0", "3.7.0")
    assert job.write(origin, 60) == _snapshot.Check(len(WHOLE), SHA256, "")
    assert stat.S_IMODE(os.stat(job.path).st_mode) == 0o600
    assert left(job) == ["snapshot.db"]


def test_etcdctls_exit_code_proves_nothing(etcdctl, job):
    with pytest.raises(_etcd.EtcdError, match="is not whole"):
        job.write(etcdctl(WHOLE[:-32]), 60)
    assert left(job) == []


def test_etcdctl_fails(etcdctl, job):
    with pytest.raises(_etcd.EtcdError, match="ended with 3: broken"):
        job.write(etcdctl(WHOLE, code=3), 60)
    assert left(job) == []


def test_a_gateway_that_is_off_needs_etcdctl(member, tls, etcdctl, tmp_path, monkeypatch):
    if not tls:
        pytest.skip("no certificate can be made here")
    params = {"endpoint": member(plain(404, "404 page not found\n")).endpoint, **tls[1], "etcdctl": ""}
    monkeypatch.setattr(_snapshot, "_etcdctl", lambda: "")
    with pytest.raises(_etcd.EtcdError, match=r"gateway switched off .* no etcdctl was found"):
        _snapshot.source(params, Module())
    with pytest.raises(_etcd.EtcdError, match="/nowhere/etcdctl is no command"):
        _snapshot.source({**params, "etcdctl": "/nowhere/etcdctl"}, Module())
    etcdctl(WHOLE)
    params.update(etcdctl=str(tmp_path / "etcdctl"), timeout=60.0)
    assert isinstance(_snapshot.source(params, Module()), _snapshot.FromEtcdctl)


def test_a_gateway_that_is_on(member, tls):
    if not tls:
        pytest.skip("no certificate can be made here")
    params = {"endpoint": member(plain(200, "{}")).endpoint, **tls[1], "etcdctl": "/nowhere/etcdctl"}
    assert isinstance(_snapshot.source(params, Module()), _snapshot.FromGateway)
