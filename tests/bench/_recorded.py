# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that give the answers which real ones gave: to the same path and Accept the same, with ETag and 304.

Leases are renewed whenever they are read, as those of a server that lives. Nothing else changes, so that they stand for
servers at rest only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.server
import multiprocessing
import pathlib
import re
import shutil
import ssl
import threading
import typing as t

from _common import Client
from _lab import PKI, Lab

_RENEWED = re.compile(rb'"renewTime": ?"[^"]*"')


@dataclasses.dataclass
class Answer:
    status: int
    kind: str
    etag: str
    body: bytes


Answers = dict[tuple[str, str, str], Answer]


class Server(http.server.ThreadingHTTPServer):
    """One of them. With *ask* whatever it has no answer for is asked of the real one, and kept."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, certificate: pathlib.Path, answers: Answers, ask: t.Callable[[str, str, str], Answer] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.ask = answers, ask
        #: Requests answered, and the bytes of their bodies; counted in whichever process serves.
        self.moved = multiprocessing.get_context("fork").Array("q", 2)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # By the thread of each connection, not by the one that accepts.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A client that looks at the certificate only, and goes, is none."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        key = (self.command, self.path, self.headers.get("Accept", ""))
        if self.server.ask:
            self.server.answers[key] = self.server.ask(*key)
        told = self.server.answers.get(key, Answer(501, "text/plain", "", f"not recorded: {key}".encode()))
        same = bool(told.etag) and self.headers.get("If-None-Match") == told.etag
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
        body = b"" if same else _RENEWED.sub(f'"renewTime":"{now}"'.encode(), told.body)
        self.send_response(304 if same else told.status)
        self.send_header("Content-Type", told.kind)
        if told.etag:
            self.send_header("ETag", told.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        with self.server.moved:
            self.server.moved[0] += 1
            self.server.moved[1] += len(body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

    def log_message(self, format: str, *args: t.Any) -> None:
        """Nobody reads it."""


def asker(client: Client, address: str) -> t.Callable[[str, str, str], Answer]:
    """Asks a real server; only reads are passed on."""

    def ask(method: str, path: str, accept: str) -> Answer:
        if method != "GET":
            return Answer(501, "text/plain", "", f"{method} is not recorded".encode())
        connection = client.connect(address, 30.0)
        try:
            connection.request(method, path, headers={"Accept": accept})
            got = connection.getresponse()
            kind, etag = got.headers.get("Content-Type", ""), got.headers.get("ETag", "")
            return Answer(got.status, kind, etag, got.read())
        finally:
            connection.close()

    return ask


@dataclasses.dataclass
class Replayed:
    """By node the address to ask at."""

    addresses: dict[str, str]
    servers: t.Sequence[Server]

    def moved(self) -> tuple[int, int]:
        """Requests and bytes of bodies, of all servers so far."""
        requests, size = zip(*(server.moved for server in self.servers))
        return sum(requests), sum(size)


def private(path: pathlib.Path, text: str) -> pathlib.Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def prepared(lab: Lab, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """An empty folder with the administrator's kubeconfig; and by node its server's certificate with its key there.

    Whoever answers for a server needs these.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    private(folder / "admin.conf", (lab.folder / "admin.conf").read_text())
    both = f"cat {PKI}/apiserver.crt {PKI}/apiserver.key"
    return {node: private(folder / f"{node}.pem", lab.sh(node, both)) for node in lab.hosts}


@contextlib.contextmanager
def recording(
    lab: Lab, certificates: t.Mapping[str, pathlib.Path]
) -> t.Iterator[tuple[dict[str, str], dict[str, Answers]]]:
    """By node the addresses to ask at, and the answers as they come in."""
    answers: dict[str, Answers] = {node: {} for node in certificates}
    servers = {
        node: Server(path, answers[node], asker(lab.client, lab.address(node))) for node, path in certificates.items()
    }
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {node: server.address for node, server in servers.items()}, answers
    for server in servers.values():
        server.shutdown()


@contextlib.contextmanager
def replaying(certificates: t.Mapping[str, pathlib.Path], answers: t.Mapping[str, Answers]) -> t.Iterator[Replayed]:
    """The same in a process of its own, which is not among what is clocked."""
    servers = {node: Server(path, answers[node]) for node, path in certificates.items()}
    # Forked, so that they go on with the sockets that are there.
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(list(servers.values()),), daemon=True)
    process.start()
    try:
        yield Replayed({node: server.address for node, server in servers.items()}, list(servers.values()))
    finally:
        process.terminate()
        process.join()
        for server in servers.values():
            server.server_close()


def _serve(servers: t.Sequence[Server]) -> None:
    others = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for other in others:
        other.start()
    for other in others:
        other.join()
