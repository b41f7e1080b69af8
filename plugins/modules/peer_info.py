#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From one node to every peer: the way a server would go to proxy a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: peer_info
short_description: Whether this node's server can reach and be trusted by every peer
version_added: 0.1.0
description:
  - Goes the way a proxying server goes, from its node, with its files. TCP, then TLS under the server name
    C(kubernetes.default.svc) verified against the peer CA, then one authenticated request with the front proxy's
    client certificate, as the user the servers fetch each other's discovery as.
  - All peers at once, so that O(connect_timeout) bounds the whole, whatever the peers do or leave undone. The gate
    C(peers_reachable), one verdict a peer.
  - Needs nothing but Python's standard library on the node. The certificates it meets go back to the controller, which
    judges them.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  peers:
    description: The servers to reach.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name in results.
        type: str
        required: true
      address:
        description:
          - The host and port the peer advertises to its peers. An IPv6 address with a port stands in brackets.
        type: str
        required: true
      requestheader_ca:
        description:
          - PEM text of the peer's C(--requestheader-client-ca-file), by which the controller judges whether the peer
            accepts the front proxy's certificate.
        type: str
        default: ""
      allowed_names:
        description: The peer's C(--requestheader-allowed-names). Empty, as for the peer, means any name.
        type: list
        elements: str
        default: []
  ca_file:
    description: The CA this node's server verifies its peers with, its C(--peer-ca-file).
    type: path
    default: /etc/kubernetes/pki/ca.crt
  cert_file:
    description: The front proxy's client certificate, C(--proxy-client-cert-file).
    type: path
    default: /etc/kubernetes/pki/front-proxy-client.crt
  key_file:
    description: Its key, C(--proxy-client-key-file).
    type: path
    default: /etc/kubernetes/pki/front-proxy-client.key
  connect_timeout:
    description: Seconds for all steps together, to all peers at once.
    type: float
    default: 5.0
notes:
  - TLS is always verified. Where verification refuses a peer's certificate, a second handshake that does not verify
    reads it, so that it can be named; nothing is sent over that one, and nothing it yields is trusted.
"""

EXAMPLES = r"""
- name: Reach the peers
  mixedversion.kubernetes.peer_info:
    peers:
      - name: cp2
        address: 192.0.2.12:6443
      - name: cp3
        address: "[2001:db8::13]:6443"
        requestheader_ca: "{{ lookup('ansible.builtin.file', 'front-proxy-ca.crt') }}"
        allowed_names: [front-proxy-client]
"""

RETURN = r"""
peers:
  description: One entry a peer.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The peer., type: str, returned: always}
    address: {description: Where it was looked for., type: str, returned: always}
    stage: {description: "How far it went: V(tcp), V(tls), V(request) or V(done).", type: str, returned: always}
    kind:
      description:
        - What stopped it. V(refused), V(filtered) (no answer to the first packet in time), V(unreachable) (no route, no
          such host or name), V(timeout) (no answer after that), V(certificate), V(protocol) (it closes the connection,
          or talks no TLS or no HTTP), V(forbidden) (401 or 403) or V(http) (another answer than 200).
        - Empty if nothing did.
      type: str
      returned: always
    error: {description: The same in words., type: str, returned: always}
    status: {description: HTTP status of the authenticated request., type: int, returned: always}
    seconds: {description: "TCP, TLS and the request together, as far as it went.", type: float, returned: always}
    pem:
      description: The peer's serving certificate as it was presented, also when it was refused; empty if none came.
      type: str
      returned: always
    verify_code:
      description: OpenSSL's code for why the certificate was refused; 0 if it was not.
      type: int
      returned: always
    names: {description: DNS names and IP addresses in that certificate., type: list, elements: str, returned: always}
    expires: {description: "When it ends, RFC 3339 UTC; empty if none came.", type: str, returned: always}
    chains: {description: "Whether a CA in O(ca_file) signed it; null if none came.", type: bool, returned: always}
    client_certificate:
      description:
        - Whether the peer accepts the front proxy's certificate, by O(peers[].requestheader_ca) and
          O(peers[].allowed_names).
      type: dict
      returned: always
      contains:
        accepted: {description: True or false; null without a CA to judge by., type: bool, returned: always}
        why: {description: The reason it is not., type: str, returned: always}
ca:
  description: The peer CA's file and the certificates in it.
  returned: always
  type: dict
  contains:
    path: {description: The file., type: str, returned: always}
    pem: {description: The certificates in it., type: str, returned: always}
client:
  description: The file of the front proxy's certificate and the certificates in it.
  returned: always
  type: dict
  contains:
    path: {description: The file., type: str, returned: always}
    pem: {description: The certificates in it., type: str, returned: always}
gates:
  description: A verdict on C(peers_reachable) for each peer.
  returned: always
  type: list
  elements: dict
"""

import errno
import functools
import http.client
import io
import ipaddress
import json
import queue
import re
import select
import socket
import ssl
import threading
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _tls

SERVER_NAME = "kubernetes.default.svc"
#: The identity under which servers fetch their peers' discovery (k8s.io/apiserver pkg/util/peerproxy). The connection
#: ends with the answer, so that the end of the bytes is the end of it.
REQUEST = (
    f"GET /apis HTTP/1.1\r\nHost: {SERVER_NAME}\r\nAccept: application/json\r\nConnection: close\r\n"
    "X-Remote-User: system:apiserver\r\nX-Remote-Group: system:authenticated\r\n\r\n"
).encode()
#: The list of groups has some kilobytes. More than this is no such list.
MOST_BYTES = 4 * 1024 * 1024
#: A resolver does not heed our deadline; its thread is left to itself this many seconds after it.
GRACE = 0.5
#: What did not happen, by the stage it was waited for in.
NOT_DONE = {
    "tcp": "its name was not resolved",
    "tls": "it took the connection, but did not complete the TLS handshake",
    "request": "it completed the TLS handshake, but not its answer to the request",
}
#: The step that a stage ended in. A request that was answered, but not with 200, is done too.
STEPS = {"tcp": "tcp", "tls": "tls", "request": "request", "done": "request"}
NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL)


class Stop(Exception):
    """The way to a peer ends here. ``kind`` is one of RETURN's."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


class Late(Exception):
    """The deadline is over."""


def endpoint(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``, ``[v6]:port`` or a URL; without a port, that of a bare address, it is 6443."""
    rest = (address.partition("://")[2] or address).partition("/")[0]
    match = re.match(r"^\[([^\]]+)\](?::(\d+))?$", rest) or re.match(r"^([^:]+)(?::(\d+))?$", rest)
    if match:
        host, port = match[1], int(match[2] or 6443)
    else:
        host, port = str(ipaddress.IPv6Address(rest)), 6443
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no port")
    return host, port


def contexts(ca_file: str, cert_file: str, key_file: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """One that verifies as an API server does; and one that does not, for nothing but to read a certificate."""
    verifying = _tls.verifying(ca_file)
    verifying.hostname_checks_common_name = False
    verifying.load_cert_chain(cert_file, key_file)
    reading = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # What does not verify is to be named: its certificate is read, and no request goes this way.
    reading.check_hostname = False
    reading.verify_mode = ssl.CERT_NONE
    return verifying, reading


class Way:
    """The way to one peer, step by step. All steps share one deadline, so bytes that drip do not prolong it."""

    def __init__(self, address: str, deadline: float) -> None:
        self.address = address
        self.deadline = deadline
        self.stage = "tcp"
        self.pem = ""

    def left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Late
        return left

    def wait(self, sock: socket.socket, events: int) -> None:
        poll = select.poll()
        poll.register(sock, events)
        if not poll.poll(self.left() * 1000):
            raise Late

    def ready(self, sock: ssl.SSLSocket, call: t.Callable[[], t.Any]) -> t.Any:
        """Do what a TLS socket that never blocks can do only when bytes have come or gone."""
        while True:
            # Where bytes come one by one nothing is ever waited for in vain, so the deadline is looked at here too.
            self.left()
            try:
                return call()
            except ssl.SSLWantReadError:
                self.wait(sock, select.POLLIN)
            except ssl.SSLWantWriteError:
                self.wait(sock, select.POLLOUT)

    def connect(self) -> socket.socket:
        """A TCP connection to the first of the peer's addresses that takes one."""
        host, port = endpoint(self.address)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise Stop("unreachable", f"the name {host} can't be resolved: {error}") from error
        stop: Exception = Late()
        for tried, (family, kind, protocol, dummy, target) in enumerate(found):
            sock = socket.socket(family, kind, protocol)
            # No more than its share, so that one address that is filtered leaves time for the next.
            sock.settimeout(self.left() / (len(found) - tried))
            try:
                sock.connect(target)
                sock.setblocking(False)
                return sock
            except socket.timeout:
                stop = Stop("filtered", "nothing answers the first packet: packets are dropped, or the host is down")
            except ConnectionRefusedError:
                stop = Stop("refused", "it refuses connections: nothing listens there, or a firewall rejects them")
            except OSError as error:
                kind_of = "unreachable" if error.errno in NO_ROUTE else "protocol"
                stop = Stop(kind_of, f"there is no way to it: {error.strerror or error}")
            sock.close()
        raise stop

    def handshake(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """TLS with the name the servers call each other by; leaves the certificate that the peer presented."""
        raw = self.connect()
        self.stage = "tls"
        try:
            sock = context.wrap_socket(raw, server_hostname=SERVER_NAME, do_handshake_on_connect=False)
        except OSError:
            raw.close()
            raise
        try:
            self.ready(sock, sock.do_handshake)
        except BaseException:
            sock.close()
            raise
        self.pem = ssl.DER_cert_to_PEM_cert(sock.getpeercert(binary_form=True) or b"")
        return sock

    def request(self, sock: ssl.SSLSocket) -> tuple[int, bytes]:
        """Status and body of the one request."""
        self.stage = "request"
        sent = 0
        while sent < len(REQUEST):
            sent += self.ready(sock, functools.partial(sock.send, REQUEST[sent:]))
        answer = bytearray()
        while len(answer) < MOST_BYTES:
            part = self.ready(sock, lambda: sock.recv(65536))
            if not part:
                break
            answer += part
        response = http.client.HTTPResponse(t.cast(socket.socket, Recorded(bytes(answer))))
        response.begin()
        return response.status, response.read()


class Recorded:
    """Bytes that were received already, for the parser, which wants to read them from a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *dummy: t.Any, **dummies: t.Any) -> io.BytesIO:
        return io.BytesIO(self._data)


def words(body: bytes) -> str:
    """What the peer said in one line: the message of its Status, or its text."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    message = document.get("message") if isinstance(document, dict) else None
    return " ".join(str(message or body.decode(errors="replace")).split())[:300]


def go(way: Way, verifying: ssl.SSLContext, reading: ssl.SSLContext) -> tuple[str, str, int, int]:
    """All steps. Kind, error, status and the code of a refused certificate."""
    try:
        sock = way.handshake(verifying)
        try:
            status, body = way.request(sock)
        finally:
            sock.close()
        way.stage = "done"
        if status == 200:
            return "", "", status, 0
        return "forbidden" if status in (401, 403) else "http", f"it answers {status}: {words(body)}", status, 0
    except ssl.SSLCertVerificationError as error:
        refused = error
    except Stop as error:
        return error.kind, str(error), 0, 0
    except Late:
        return "timeout", "", 0, 0
    except ssl.SSLError as error:
        return "protocol", f"it does not speak TLS as an API server does: {error.reason or error}", 0, 0
    except (OSError, http.client.HTTPException, ValueError) as error:
        return "protocol", f"it ends the connection, or answers no HTTP: {error or type(error).__name__}", 0, 0
    # TLS gives a certificate that verification refused to nobody, yet it must be seen to say what is wrong with it.
    # So shake hands once more without verifying, take the public certificate, send nothing, and trust nothing of it.
    try:
        way.handshake(reading).close()
    except (Stop, Late, OSError, ValueError):
        way.pem = ""
    way.stage = "tls"
    return "certificate", refused.verify_message, 0, refused.verify_code


def reach(
    peers: t.Sequence[t.Mapping[str, t.Any]], verifying: ssl.SSLContext, reading: ssl.SSLContext, timeout: float
) -> list[dict[str, t.Any]]:
    """Go to all peers at once; what has not come back *timeout* and GRACE seconds later is told as it stands then."""
    begun = time.monotonic()
    ways = [Way(peer["address"], begun + timeout) for peer in peers]
    came: queue.Queue[tuple[int, tuple[str, str, int, int], float]] = queue.Queue()

    def start(number: int) -> None:
        came.put((number, go(ways[number], verifying, reading), time.monotonic() - begun))

    # Not a pool of threads: Python would wait for those at its end, however long a resolver takes.
    for number in range(len(ways)):
        threading.Thread(target=start, args=(number,), daemon=True).start()
    ends: dict[int, tuple[tuple[str, str, int, int], float]] = {}
    while len(ends) < len(ways):
        try:
            number, end, seconds = came.get(timeout=max(0.0, begun + timeout + GRACE - time.monotonic()))
        except queue.Empty:
            break
        ends[number] = (end, seconds)
    result = []
    for number, (peer, way) in enumerate(zip(peers, ways)):
        (kind, error, status, code), seconds = ends.get(number, (("timeout", "", 0, 0), time.monotonic() - begun))
        if kind == "timeout":
            error = f"{NOT_DONE[way.stage]} within {timeout:g} s"
        result.append(
            {
                "name": peer["name"],
                "address": peer["address"],
                "stage": way.stage,
                "kind": kind,
                "error": error,
                "status": status,
                "seconds": round(seconds, 4),
                "pem": way.pem,
                "verify_code": code,
            }
        )
    return result


def gate(node: str, peer: t.Mapping[str, t.Any]) -> _gate.Gate:
    """The verdict on the way to one peer; the controller makes it more exact where certificates tell more."""
    actions = {
        "refused": "Start the API server there, open its port, or correct --peer-advertise-ip and -port of the peer.",
        "filtered": "Open the way between the two nodes, or correct --peer-advertise-ip and -port of the peer.",
        "unreachable": "Mend the route or the name, or correct --peer-advertise-ip and -port of the peer.",
        "timeout": "Look at the load of the peer's node, and at what may lie between the two (a proxy, a small MTU).",
        "certificate": "Compare --peer-ca-file with the peer's serving certificate and its names.",
        "protocol": "See what listens at that address; expected is the peer's API server itself.",
        "forbidden": "Compare the front proxy's certificate with the peer's --requestheader flags.",
        "http": "Read the peer's log for the request to /apis.",
    }
    return _gate.Gate(
        id="peers_reachable",
        node=node,
        peer=peer["name"],
        verdict=_gate.FAILED if peer["kind"] else _gate.PASSED,
        observed=f"{STEPS[peer['stage']]}: {peer['address']}: {peer['error']}"
        if peer["kind"]
        else f"200 in {peer['seconds'] * 1000:.0f} ms",
        expected=f"TCP, TLS as {SERVER_NAME}, and 200 to the front proxy's certificate",
        next_action=actions.get(peer["kind"], ""),
        elapsed_seconds=peer["seconds"],
    )


def read(path: str) -> str:
    """The certificates in a file, without a key that may lie beside them."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    return "".join(f"{pem}\n" for pem in found)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "peers": {
                    "type": "list",
                    "elements": "dict",
                    "required": True,
                    "options": {
                        "name": {"type": "str", "required": True},
                        "address": {"type": "str", "required": True},
                        "requestheader_ca": {"type": "str", "default": ""},
                        "allowed_names": {"type": "list", "elements": "str", "default": []},
                    },
                },
                "ca_file": {"type": "path", "default": "/etc/kubernetes/pki/ca.crt"},
                "cert_file": {"type": "path", "default": "/etc/kubernetes/pki/front-proxy-client.crt"},
                "key_file": {"type": "path", "default": "/etc/kubernetes/pki/front-proxy-client.key"},
                "connect_timeout": {"type": "float", "default": 5.0},
            }
        ),
        supports_check_mode=True,
    )
    params = module.params
    if params["connect_timeout"] <= 0:
        module.fail_json(msg=f"connect_timeout is {params['connect_timeout']:g}, expected some seconds. Set it so.")
    for peer in params["peers"]:
        try:
            endpoint(peer["address"])
        except ValueError as error:
            module.fail_json(
                msg=f"{peer['address']!r} is no address of {peer['name']}: {error}. "
                "Expected host:port, or [address]:port for IPv6. Nothing was asked."
            )
    try:
        verifying, reading = contexts(params["ca_file"], params["cert_file"], params["key_file"])
        ca, client = ({"path": params[file], "pem": read(params[file])} for file in ("ca_file", "cert_file"))
    except (OSError, ssl.SSLError) as error:
        module.fail_json(
            msg="The files this node's server would use can't be loaded (CA {ca_file}, certificate {cert_file}, key "
            "{key_file}): ".format(**params)
            + f"{error}. Expected PEM files, the key that of the certificate. "
            "Name those of the server's flags --peer-ca-file, --proxy-client-cert-file and --proxy-client-key-file."
        )
    peers = reach(params["peers"], verifying, reading, params["connect_timeout"])
    gates = [gate(params["node"], peer).dump() for peer in peers]
    module.exit_json(changed=False, peers=peers, ca=ca, client=client, gates=gates)


if __name__ == "__main__":
    main()
