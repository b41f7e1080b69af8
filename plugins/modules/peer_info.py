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
  - All peers at once, so that the time-out bounds the whole. The gate C(peers_reachable), one verdict a peer.
  - Needs nothing but Python's standard library.
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
        description: The host and port the peer advertises to its peers.
        type: str
        required: true
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
    description: Seconds for each peer, all steps together.
    type: float
    default: 5.0
"""

EXAMPLES = r"""
- name: Reach the peers
  mixedversion.kubernetes.peer_info:
    peers:
      - name: cp2
        address: 192.0.2.12:6443
"""

RETURN = r"""
peers:
  description: One entry a peer.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The peer., type: str, returned: always}
    stage: {description: "How far it went: V(tcp), V(tls), V(request) or V(done).", type: str, returned: always}
    error: {description: What stopped it., type: str, returned: always}
    status: {description: HTTP status of the authenticated request., type: int, returned: always}
    seconds: {description: Round trip of the request., type: float, returned: always}
gates:
  description: A verdict on C(peers_reachable) for each peer.
  returned: always
  type: list
  elements: dict
"""

import concurrent.futures
import http.client
import socket
import ssl
import time
import typing as t
import urllib.parse

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate

SERVER_NAME = "kubernetes.default.svc"
#: The identity under which servers fetch their peers' discovery (k8s.io/apiserver pkg/util/peerproxy).
HEADERS = {
    "Host": SERVER_NAME,
    "Accept": "application/json",
    "X-Remote-User": "system:apiserver",
    "X-Remote-Group": "system:authenticated",
}


class NamedConnection(http.client.HTTPSConnection):
    """To an address, verified under another name; as the servers do it."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(host, port, context=context, timeout=timeout)
        self._named_context = context
        self.stage = "tcp"

    def connect(self) -> None:
        raw = socket.create_connection((self.host, self.port), self.timeout)
        self.stage = "tls"
        self.sock = self._named_context.wrap_socket(raw, server_hostname=SERVER_NAME)
        self.stage = "request"


def reach(peer: t.Mapping[str, str], context: ssl.SSLContext, timeout: float) -> dict[str, t.Any]:
    """All steps to one peer, each named as it is reached."""
    parts = urllib.parse.urlsplit(f"//{peer['address'].partition('://')[2] or peer['address']}")
    connection = NamedConnection(parts.hostname or "", parts.port or 6443, context, timeout)
    found: dict[str, t.Any] = {"name": peer["name"], "stage": "tcp", "error": "", "status": 0, "seconds": 0.0}
    begun = time.monotonic()
    try:
        connection.request("GET", "/apis", headers=HEADERS)
        response = connection.getresponse()
        body = response.read()
        found.update(stage="done", status=response.status, seconds=round(time.monotonic() - begun, 4))
        if response.status != 200:
            found["error"] = f"answers {response.status}: {body[:200].decode(errors='replace')}"
    except ConnectionRefusedError:
        found.update(stage=connection.stage, error=f"{peer['address']} refuses connections")
    except (socket.timeout, TimeoutError):
        what = (
            "the packets are dropped on the way, or the host is down"
            if connection.stage == "tcp"
            else "it does not answer"
        )
        found.update(stage=connection.stage, error=f"no answer from {peer['address']} in {timeout:g} s: {what}")
    except (OSError, http.client.HTTPException) as error:
        found.update(stage=connection.stage, error=f"{peer['address']}: {error}")
    finally:
        connection.close()
    return found


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
    try:
        context = ssl.create_default_context(cafile=params["ca_file"])
        context.load_cert_chain(params["cert_file"], params["key_file"])
    except (OSError, ssl.SSLError) as error:
        module.fail_json(
            msg=f"The files this server would use can't be loaded ({params['ca_file']}, {params['cert_file']}): {error}"
        )
    peers = []
    if params["peers"]:
        with concurrent.futures.ThreadPoolExecutor(max_workers=len(params["peers"])) as pool:
            peers = list(pool.map(lambda peer: reach(peer, context, params["connect_timeout"]), params["peers"]))
    gates = [
        _gate.Gate(
            id="peers_reachable",
            node=params["node"],
            peer=peer["name"],
            verdict=_gate.FAILED if peer["error"] else _gate.PASSED,
            observed=f"{peer['stage']}: {peer['error']}"
            if peer["error"]
            else f"200 in {peer['seconds'] * 1000:.0f} ms",
            expected=f"TCP, TLS as {SERVER_NAME}, and 200 to the front proxy's certificate",
            next_action={
                "tcp": "Open the way between the two nodes, or correct --peer-advertise-ip and -port.",
                "tls": "Compare --peer-ca-file with the peer's serving certificate and its names.",
            }.get(peer["stage"], "Compare the front proxy's certificate with the peer's --requestheader flags."),
            elapsed_seconds=peer["seconds"],
        ).dump()
        for peer in peers
    ]
    module.exit_json(changed=False, peers=peers, gates=gates)


if __name__ == "__main__":
    main()
