# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import collections
import contextlib
import http.server
import json
import os
import socket
import ssl
import struct
import threading
import time

import pytest

kubernetes = pytest.importorskip("kubernetes", reason="nodes have no client of the API")

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _meter, _meter_folder  # noqa: E402

TIMEOUT = 0.5


class Endpoint:
    """An HTTPS server on loopback that does with each request what was set for it, and answers 200 after that."""

    def __init__(self, folder, pki):
        authority = pki.authority("ca")
        issued = pki.certificate(authority, "server", names=["127.0.0.1"])
        for name, text in (("ca.crt", authority.pem), ("tls.crt", issued.pem), ("tls.key", issued.key_pem)):
            (folder / name).write_text(text)
        self.ca = str(folder / "ca.crt")
        self.todo: collections.deque[object] = collections.deque()
        self.connections = 0
        self.let_go = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                outer.connections += 1
                super().setup()

            def do_GET(self):
                what = outer.todo.popleft() if outer.todo else 200
                if what == "hang":
                    outer.let_go.wait(10)
                    self.close_connection = True
                elif what == "reset":
                    # No farewell: whatever was sent is thrown away, as by a process that was killed.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                elif what == "close":
                    self.close_connection = True
                else:
                    text = b'{"message": "why not"}'
                    self.send_response(what)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            def log_message(self, *args):
                pass

            def finish(self):
                with contextlib.suppress(OSError):
                    super().finish()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *dummy: None
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def reader(self, ca=None):
        configuration = kubernetes.client.Configuration()
        configuration.host = f"https://127.0.0.1:{self.server.server_port}"
        configuration.ssl_ca_cert = ca or self.ca
        return _api.Server("cp1", configuration)

    def stop(self):
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def endpoint(tmp_path, pki):
    served = Endpoint(tmp_path, pki)
    yield served
    if served.thread.is_alive():
        served.stop()


def ask(server):
    result = _meter.ask(server, "/api/v1/namespaces/kube-system", TIMEOUT)
    return result.failed, result.first


def test_answers_come_over_one_connection(endpoint):
    server = endpoint.reader()
    assert [ask(server) for dummy in range(3)] == [("", "")] * 3
    assert endpoint.connections == 1


@pytest.mark.parametrize(("status", "kind"), [(404, "404"), (429, "429"), (403, "4xx"), (500, "5xx"), (503, "5xx")])
def test_a_status_is_not_asked_for_again(endpoint, status, kind):
    endpoint.todo.append(status)
    server = endpoint.reader()
    assert [ask(server), ask(server)] == [(kind, ""), ("", "")]


@pytest.mark.parametrize("lost", ["reset", "close"])
def test_a_lost_connection_is_tried_once_more(endpoint, lost):
    server = endpoint.reader()
    assert ask(server) == ("", "")
    endpoint.todo.append(lost)
    assert ask(server) == ("", "reset")
    assert endpoint.connections == 2


def test_a_connection_lost_twice_has_failed(endpoint):
    endpoint.todo.extend(["reset", "reset"])
    server = endpoint.reader()
    assert [ask(server), ask(server)] == [("reset", "reset"), ("", "")]


def test_what_hangs_is_given_up_and_not_asked_for_again(endpoint):
    endpoint.todo.append("hang")
    server = endpoint.reader()
    assert ask(server) == ("timeout", "")
    assert ask(server) == ("", "")
    assert endpoint.connections == 2


def test_where_nothing_listens_it_is_refused(endpoint):
    server = endpoint.reader()
    endpoint.stop()
    assert ask(server) == ("refused", "refused")


def test_a_certificate_of_another_authority_is_no_lost_connection(endpoint, tmp_path, pki):
    other = tmp_path / "other.crt"
    other.write_text(pki.authority("another").pem)
    assert ask(endpoint.reader(str(other))) == ("tls", "")


def target(server):
    return _meter.Target("cp1", server, "/", 0.01, TIMEOUT)


def test_one_gap_lasts_from_the_first_failure_to_the_next_answer(endpoint):
    endpoint.todo.extend([200, 503, "hang", 200, 200])
    asked = target(endpoint.reader())
    before = time.time()
    for dummy in range(5):
        asked.once()
    told = asked.take().dump()
    assert (told["requests"], told["failed"], "retried" in told) == (5, {"5xx": 1, "timeout": 1}, False)
    (since, until), (begun, ended) = told["down"]
    assert until is None
    assert begun == since
    assert before <= since
    assert told["messages"]["5xx"] == "503 why not"
    assert "no answer in time" in told["messages"]["timeout"]
    # It spans the request that hung, and the next.
    assert ended - begun >= TIMEOUT
    assert told["slowest"] >= TIMEOUT


def test_what_the_second_try_brought_is_told_apart(endpoint):
    endpoint.todo.extend([200, "reset", 200])
    asked = target(endpoint.reader())
    for dummy in range(2):
        asked.once()
    told = asked.take().dump()
    assert (told["requests"], told["retried"]) == (2, {"reset": 1})
    assert "failed" not in told
    assert "down" not in told
    # What was taken is not told again.
    assert asked.take().dump() == {"requests": 0, "slowest": 0.0}


def test_one_that_hangs_stops_no_other(endpoint, tmp_path, pki):
    """Until the one that hangs was let go, the other is asked many times; both are in the file at the end."""
    beside = tmp_path / "beside"
    beside.mkdir()
    well = Endpoint(beside, pki)
    endpoint.todo.append("hang")
    hung = _meter.Target("cp1", endpoint.reader(), "/", 0.01, 5.0)
    other = _meter.Target("cp2", well.reader(), "/", 0.01, 5.0)
    asked = []

    def goes_on():
        asked.append(None)
        if len(asked) == 4:
            endpoint.let_go.set()
        return len(asked) < 6

    file = tmp_path / "servers.jsonl"
    _meter.Meter(str(file), [hung, other]).run(goes_on)
    well.stop()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    counted = {name: sum(line["targets"][name]["requests"] for line in lines) for name in ("cp1", "cp2")}
    assert counted["cp2"] > 5
    assert counted["cp1"] > 0
    assert all(line["seconds"] > 0 and line["at"] > 0 for line in lines)


def journal(folder, pid):
    folder.mkdir()
    (folder / "journal.jsonl").write_text(
        json.dumps({"at": "2026-11-24T00:30:00Z", "event": "run_started", "pid": pid})
    )
    return _meter_folder.Folder.of(str(folder))


def test_on_the_controller_it_goes_on_as_long_as_the_run(tmp_path):
    folder = journal(tmp_path / "run", os.getpid())
    assert folder.path == str(tmp_path / "run" / "availability")
    folder.make()
    assert folder.goes_on(patience=0)
    folder.stop()
    assert not folder.goes_on(patience=0)
    # Above the highest process id that Linux gives.
    gone = journal(tmp_path / "gone", 2**22 + 1)
    gone.make()
    assert not gone.goes_on(patience=3600)


def test_elsewhere_it_goes_on_as_long_as_somebody_asks(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = _meter_folder.Folder.of("/no/such/reports/20261124T003000Z-ab12")
    assert folder.path == str(tmp_path / ".ansible" / "mixedversion-kubernetes" / "20261124T003000Z-ab12")
    assert not folder.local
    assert not folder.goes_on(patience=3600)
    folder.make()
    assert folder.goes_on(patience=3600)
    old = time.time() - 7200
    os.utime(os.path.join(folder.path, "alive"), (old, old))
    assert not folder.goes_on(patience=3600)
    folder.touch()
    assert folder.goes_on(patience=3600)


def test_who_writes_holds_the_file(endpoint, tmp_path):
    folder = journal(tmp_path / "run", os.getpid())
    folder.make()
    seen = []

    def goes_on():
        seen.append(folder.running())
        return len(seen) < 2

    _meter.Meter(folder.file("servers"), [target(endpoint.reader())]).run(goes_on)
    assert seen[0] == ["servers"]
    assert folder.running() == []
    assert folder.names() == ["servers"]
