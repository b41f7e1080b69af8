# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Against real sockets: what the kernel and OpenSSL say is what has to be told apart."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.modules import peer_info

pytestmark = pytest.mark.node

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
FORBIDDEN_WORDS = 'forbidden: User "system:apiserver" cannot get path "/apis"'


def answer(status, body):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@contextlib.contextmanager
def listening(serve=None, family=socket.AF_INET):
    """A peer: *serve* gets each connection, until it returns. Without it connections are taken and left alone."""
    over = threading.Event()
    with socket.socket(family) as server:
        server.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        server.listen(16)

        def accept():
            while not over.is_set():
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    serve(connection, over)

        thread = threading.Thread(target=accept, daemon=True)
        if serve:
            thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            if serve:
                thread.join()


def reach(address, contexts=None, timeout=5.0):
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    peers = [{"name": "cp2", "address": address}]
    return peer_info.reach(peers, *(contexts or (plain, plain)), timeout)[0]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1:6443", ("10.0.0.1", 6443)),
        ("10.0.0.1", ("10.0.0.1", 6443)),
        ("https://10.0.0.1:8443/", ("10.0.0.1", 8443)),
        ("cp2.example.org:443", ("cp2.example.org", 443)),
        ("[fd00::1]:6443", ("fd00::1", 6443)),
        ("[fd00::1]", ("fd00::1", 6443)),
        ("fd00::1", ("fd00::1", 6443)),
    ],
)
def test_endpoint(address, expected):
    assert peer_info.endpoint(address) == expected


@pytest.mark.parametrize("address", ["", "a:b", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:70000", "[fd00::1", ":6443"])
def test_what_is_no_endpoint_is_refused(address):
    with pytest.raises(ValueError):
        peer_info.endpoint(address)


def test_a_closed_port_refuses():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        found = reach(f"127.0.0.1:{sock.getsockname()[1]}")
    assert (found["stage"], found["kind"]) == ("tcp", "refused")


def test_a_first_packet_without_an_answer_is_filtered():
    # A full queue has the kernel drop what else arrives: no answer at all, as from a firewall that drops.
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):
            found = reach("{}:{}".format(*server.getsockname()), timeout=0.3)
    assert (found["stage"], found["kind"]) == ("tcp", "filtered")


def test_an_address_without_a_route_is_unreachable():
    # The kernel makes no TCP connection to the broadcast address, whatever its routes are.
    found = reach("255.255.255.255:6443")
    assert (found["stage"], found["kind"]) == ("tcp", "unreachable")


def test_a_name_that_can_not_be_is_unreachable():
    found = reach(f"{'x' * 64}.invalid:6443")
    assert (found["stage"], found["kind"]) == ("tcp", "unreachable")
    assert "can't be resolved" in found["error"]


def test_a_peer_that_takes_the_connection_and_is_silent_is_late():
    with listening() as port:
        found = reach(f"127.0.0.1:{port}", timeout=0.3)
    assert (found["stage"], found["kind"]) == ("tls", "timeout")
    assert "within 0.3 s" in found["error"]


def test_bytes_that_drip_do_not_move_the_deadline():
    def drip(connection, over):
        # The head of a TLS record of 16 KiB, then a byte now and then: enough for any time-out of a single read.
        connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
        for dummy in range(100):
            connection.sendall(b"\0")
            over.wait(0.01)

    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with listening(drip) as port:
        # In this thread, so that it is the way itself that ends, and nobody who gives up waiting for it.
        way = peer_info.Way(f"127.0.0.1:{port}", time.monotonic() + 0.3)
        kind, *dummy = peer_info.go(way, plain, plain)
    # Once the peer has dripped all it has it hangs up, which would be another kind.
    assert (way.stage, kind) == ("tls", "timeout")


def test_a_resolver_that_is_slow_is_not_waited_for(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *dummy, **dummies: over.wait() and [])
    found = reach("cp2.example.org:6443", timeout=0.1)
    over.set()
    assert (found["stage"], found["kind"]) == ("tcp", "timeout")
    assert "name was not resolved" in found["error"]


def test_one_late_peer_does_not_hide_the_others():
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with listening() as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = [silent] * 5 + [closed.getsockname()[1]]
        peers = [{"name": f"cp{number}", "address": f"127.0.0.1:{port}"} for number, port in enumerate(ports)]
        found = peer_info.reach(peers, plain, plain, 1.5)
    assert [peer["kind"] for peer in found] == ["timeout"] * 5 + ["refused"]
    assert [peer["name"] for peer in found] == [peer["name"] for peer in peers]


def test_an_address_that_is_no_server_of_tls():
    def talk(connection, over):
        connection.recv(1)
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)

    with listening(talk) as port:
        found = reach(f"127.0.0.1:{port}")
    assert (found["stage"], found["kind"]) == ("tls", "protocol")


def test_a_peer_that_hangs_up():
    with listening(lambda connection, over: None) as port:
        found = reach(f"127.0.0.1:{port}")
    assert (found["stage"], found["kind"]) == ("tls", "protocol")


class Cluster:
    """Files as a node has them, and peers that serve TLS with certificates of the same CA or of another."""

    def __init__(self, pki, folder):
        self.pki, self.folder = pki, folder
        self.ca = pki.authority("kubernetes")
        self.client = pki.certificate(self.ca, "front-proxy-client", usage="client")
        self.paths = [
            self.file("ca.crt", self.ca.pem),
            self.file("client.crt", self.client.pem),
            self.file("client.key", self.client.key_pem),
        ]
        self.received = b""

    def file(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    @contextlib.contextmanager
    def peer(self, answer=OK, by=None, ended=False, names=("kubernetes.default.svc",)):
        issued = self.pki.certificate(by or self.ca, "kube-apiserver", names=names, ended=ended)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("serving.crt", issued.pem), self.file("serving.key", issued.key_pem))
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=self.ca.pem)

        def serve(connection, over):
            with context.wrap_socket(connection, server_side=True) as secure:
                received = secure.recv(65536)
                self.received += received
                if received:
                    self.subject = secure.getpeercert()["subject"]
                if answer is None:
                    over.wait()
                else:
                    secure.sendall(answer)

        with listening(serve) as port:
            yield f"127.0.0.1:{port}", issued

    def reach(self, address, timeout=5.0):
        return reach(address, peer_info.contexts(*self.paths), timeout)


@pytest.fixture
def cluster(pki, tmp_path):
    return Cluster(pki, tmp_path)


@pytest.mark.parametrize("answered", [OK, CHUNKED])
def test_the_whole_way(cluster, answered):
    with cluster.peer(answered) as (address, issued):
        found = cluster.reach(address)
    assert (found["stage"], found["kind"], found["error"], found["status"]) == ("done", "", "", 200)
    assert found["pem"].split() == issued.pem.split()
    assert found["verify_code"] == 0
    assert cluster.received == peer_info.REQUEST
    assert cluster.subject == ((("commonName", "front-proxy-client"),),)


def test_over_ipv6(cluster):
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
            port = sock.getsockname()[1]
    except OSError:
        pytest.skip("there is no IPv6 here")
    assert cluster.reach(f"[::1]:{port}")["kind"] == "refused"


def test_a_certificate_of_another_ca_comes_back(cluster, pki):
    with cluster.peer(by=pki.authority("other")) as (address, issued):
        found = cluster.reach(address)
    assert (found["stage"], found["kind"], found["status"]) == ("tls", "certificate", 0)
    assert found["pem"].split() == issued.pem.split()
    # The connection that does not verify sends nothing.
    assert cluster.received == b""


@pytest.mark.parametrize(
    ("given", "code"),
    [({"names": ["kubernetes.default", "10.96.0.1"]}, 62), ({"names": ()}, 62), ({"ended": True}, 10)],
)
def test_a_certificate_that_is_refused_for_itself_comes_back(cluster, given, code):
    with cluster.peer(**given) as (address, issued):
        found = cluster.reach(address)
    assert (found["stage"], found["kind"], found["verify_code"]) == ("tls", "certificate", code)
    assert found["pem"].split() == issued.pem.split()
    assert cluster.received == b""


def test_a_ca_below_another_is_a_peer_ca_too(cluster, pki):
    below = pki.authority("below", by=cluster.ca)
    cluster.paths[0] = cluster.file("ca.crt", below.pem)
    with cluster.peer(by=below) as (address, dummy):
        assert cluster.reach(address)["stage"] == "done"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, json.dumps({"kind": "Status", "message": "Unauthorized"}), "forbidden", "it answers 401: Unauthorized"),
        (403, json.dumps({"message": FORBIDDEN_WORDS}), "forbidden", f"it answers 403: {FORBIDDEN_WORDS}"),
        (503, "no\nback-end", "http", "it answers 503: no back-end"),
    ],
)
def test_another_answer_than_200(cluster, status, body, kind, words):
    with cluster.peer(answer(status, body)) as (address, dummy):
        found = cluster.reach(address)
    assert (found["stage"], found["kind"], found["error"], found["status"]) == ("done", kind, words, status)


def test_an_answer_that_does_not_come(cluster):
    with cluster.peer(None) as (address, issued):
        found = cluster.reach(address, timeout=0.5)
    assert (found["stage"], found["kind"]) == ("request", "timeout")
    assert found["pem"].split() == issued.pem.split()


def test_an_answer_that_is_no_http(cluster):
    with cluster.peer(b"hello\r\n") as (address, dummy):
        assert cluster.reach(address)["kind"] == "protocol"


def test_the_gate_says_what_to_do(cluster):
    with cluster.peer(answer(401, "{}")) as (address, dummy):
        gate = peer_info.gate("cp1", cluster.reach(address))
    assert (gate.verdict, gate.node, gate.peer) == ("failed", "cp1", "cp2")
    assert gate.observed == f"request: {address}: it answers 401: {{}}"
    assert gate.next_action
    with cluster.peer() as (address, dummy):
        gate = peer_info.gate("cp1", cluster.reach(address))
    assert (gate.verdict, gate.next_action) == ("passed", "")


def test_a_key_beside_a_certificate_stays_where_it_is(cluster):
    both = cluster.file("both.pem", cluster.client.key_pem + cluster.client.pem + cluster.ca.pem)
    assert peer_info.read(both) == cluster.client.pem + cluster.ca.pem
