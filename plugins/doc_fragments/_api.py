# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Options of the modules that talk to the API servers."""

from __future__ import annotations


class ModuleDocFragment:
    """Named as kubernetes.core names them, so that what a user knows holds."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig on the host where the module runs.
      - Without it E(K8S_AUTH_KUBECONFIG), E(KUBECONFIG) and C(~/.kube/config) are tried, in this order.
    type: path
  context:
    description: The kubeconfig's context to use. Without it E(K8S_AUTH_CONTEXT), then the current one.
    type: str
  host:
    description: URL of the API, instead of a kubeconfig. Without it E(K8S_AUTH_HOST).
    type: str
  api_key:
    description: Bearer token. Without it E(K8S_AUTH_API_KEY).
    type: str
  ca_cert:
    description: Path of the CA that the servers' certificates are verified against. Without it E(K8S_AUTH_SSL_CA_CERT).
    type: path
    aliases: [ssl_ca_cert]
  client_cert:
    description: Path of a client certificate. Without it E(K8S_AUTH_CERT_FILE).
    type: path
    aliases: [cert_file]
  client_key:
    description: Path of the client certificate's key. Without it E(K8S_AUTH_KEY_FILE).
    type: path
    aliases: [key_file]
  tls_server_name:
    description:
      - The name that every server's certificate is verified against when it is reached at its own address.
      - The default is the name by which the servers verify each other.
    type: str
    default: kubernetes.default.svc
  servers:
    description:
      - The servers to ask, each at its own address, never through a load balancer.
      - Without it, the servers that announce an address in their identity Lease.
    type: list
    elements: dict
    suboptions:
      name:
        description: The name the server has in results; the inventory's name of its node.
        type: str
        required: true
      address:
        description: Host and port, V(192.0.2.11:6443), or a URL.
        type: str
        required: true
      lease:
        description: Name of its identity Lease, where the server is to be known by that.
        type: str
        default: ""
requirements:
  - kubernetes
notes:
  - TLS is always verified; a kubeconfig that switches verification off is refused.
"""
