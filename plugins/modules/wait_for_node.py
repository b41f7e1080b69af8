#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait until Nodes are Ready, with the kubelet wanted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_node
short_description: Wait until Nodes are Ready
version_added: 0.1.0
description:
  - Reads the Nodes until each has the condition Ready true, its kubelet renews its Lease in C(kube-node-lease), and its
    kubelet reports O(version) if that is given.
  - A kubelet whose server is away can't renew. When it has not for the controller manager's
    C(--node-monitor-grace-period) (50 seconds by default), the Node is not Ready until the kubelet has reported again.
    C(kubeadm upgrade) ends with an error where a control plane Node is not Ready (its check
    C(ControlPlaneNodesReady)), and waits for none. So a Ready that is about to be taken back is not good enough.
  - The gate C(nodes_ready) while the job runs.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  hostnames:
    description: The label C(kubernetes.io/hostname) of each Node.
    type: list
    elements: str
    required: true
  version:
    description: The version each kubelet shall report. Left out, any will do.
    type: str
"""

EXAMPLES = r"""
- name: Wait for the kubelet of cp1
  mixedversion.kubernetes.wait_for_node:
    kubeconfig: admin.conf
    hostnames: [cp1]
    version: v1.37.2
"""

RETURN = r"""
gates:
  description: The verdict on C(nodes_ready).
  returned: always
  type: list
  elements: dict
"""

import typing as t
import urllib.parse

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _leases, _version

LABEL = _leases.LABEL_HOSTNAME
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def trouble(item: dict[str, t.Any], version: str | None) -> str:
    """What a Node lacks; empty if nothing."""
    status = item["status"]
    kubelet = status["nodeInfo"]["kubeletVersion"]
    if version and _version.parse(kubelet) != _version.parse(version):
        return f"kubelet {kubelet}"
    ready = next((c for c in status.get("conditions") or [] if c["type"] == "Ready"), {"status": "Unknown"})
    return "" if ready["status"] == "True" else f"kubelet {kubelet}, not Ready: {ready.get('message', '')}"


def silence(server: _api.Server, item: dict[str, t.Any], renewals: _leases.Renewals) -> str:
    """Since when a kubelet has not renewed its Lease, if that is longer ago than two of its renewals; else empty.

    Source: k8s.io/kubernetes ``pkg/kubelet/kubelet.go`` (``nodeLeaseRenewIntervalFraction``, a quarter).
    """
    answer = _api.read(server, f"{LEASES}/{item['metadata']['name']}")
    document = answer.json()
    lease = _leases.parse(document)
    if renewals.fresh(lease, answer.date, document["spec"]["leaseDurationSeconds"] / 2):
        return ""
    # The moment, not the age: these words are shown anew whenever they change.
    return f"its kubelet renewed its Lease last {f'at {lease.renewed:%H:%M:%S} UTC' if lease.renewed else 'never'}"


def look(
    server: _api.Server, hostnames: t.Sequence[str], version: str | None, renewals: _leases.Renewals
) -> _gate.Sample:
    selector = urllib.parse.quote(f"{LABEL} in ({','.join(hostnames)})")
    try:
        items = server.get(f"/api/v1/nodes?labelSelector={selector}").get("items") or []
        found = [item["metadata"]["labels"][LABEL] for item in items]
        troubles = [
            f"{found.count(hostname)} Nodes have the label {LABEL}={hostname}"
            for hostname in hostnames
            if found.count(hostname) != 1
        ]
        for hostname, item in zip(found, items):
            words = trouble(item, version) or silence(server, item, renewals)
            if words:
                troubles.append(f"{hostname}: {words}")
    except _api.ApiError as error:
        return _gate.Sample(False, str(error))
    if troubles:
        return _gate.Sample(False, "; ".join(troubles))
    kubelets = sorted({item["status"]["nodeInfo"]["kubeletVersion"] for item in items}, key=_version.parse)
    return _gate.Sample(True, f"{', '.join(hostnames)}: kubelet {' and '.join(kubelets)}, Ready")


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {"hostnames": {"type": "list", "elements": "str", "required": True}, "version": {"type": "str"}},
        ),
        supports_check_mode=True,
    )
    params = module.params
    wanted = f"kubelet {params['version']}, " if params["version"] else ""
    server = _api.connect(module).endpoint
    renewals = _leases.Renewals()
    waited = _gate.wait(lambda: look(server, params["hostnames"], params["version"], renewals), params)
    if waited.pending:
        module.exit_json(**_gate.pending(waited))
    gate = _gate.Gate(
        id="nodes_ready",
        node=params["node"],
        verdict=_gate.FAILED if waited.timed_out else _gate.PASSED,
        observed=waited.sample.progress,
        expected=f"{wanted}Ready, its Lease renewed",
        next_action="Read journalctl -u kubelet on the node named, mend it and start the playbook again.",
        elapsed_seconds=waited.elapsed_seconds,
        samples=waited.samples,
    )
    module.exit_json(changed=False, gates=[gate.dump()])


if __name__ == "__main__":
    main()
