#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait until a node's kubelet has the version wanted and its Node is Ready."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_node
short_description: Wait until a Node is Ready with the kubelet wanted
version_added: 0.1.0
description:
  - Reads the Node until its kubelet reports O(version) and its condition Ready is true.
  - The gate C(nodes_ready) of one node.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  hostname:
    description: The label C(kubernetes.io/hostname) of the Node.
    type: str
    required: true
  version:
    description: The version the kubelet shall report.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Wait for the kubelet of cp1
  mixedversion.kubernetes.wait_for_node:
    kubeconfig: admin.conf
    hostname: cp1
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _version


def look(server: _api.Server, hostname: str, version: str) -> _gate.Sample:
    try:
        items = server.get(f"/api/v1/nodes?labelSelector=kubernetes.io%2Fhostname%3D{hostname}").get("items") or []
    except _api.ApiError as error:
        return _gate.Sample(False, str(error))
    if len(items) != 1:
        return _gate.Sample(False, f"{len(items)} Nodes have the label kubernetes.io/hostname={hostname}")
    status = items[0]["status"]
    kubelet = status["nodeInfo"]["kubeletVersion"]
    ready = next((c for c in status.get("conditions") or [] if c["type"] == "Ready"), {"status": "Unknown"})
    if _version.parse(kubelet) != _version.parse(version):
        return _gate.Sample(False, f"kubelet {kubelet}")
    if ready["status"] != "True":
        return _gate.Sample(False, f"kubelet {kubelet}, not Ready: {ready.get('message', '')}")
    return _gate.Sample(True, f"kubelet {kubelet}, Ready")


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {"hostname": {"type": "str", "required": True}, "version": {"type": "str", "required": True}},
        ),
        supports_check_mode=True,
    )
    params = module.params
    server = _api.connect(module).endpoint
    waited = _gate.wait(lambda: look(server, params["hostname"], params["version"]), params)
    if waited.pending:
        module.exit_json(**_gate.pending(waited))
    gate = _gate.Gate(
        id="nodes_ready",
        node=params["node"],
        verdict=_gate.FAILED if waited.timed_out else _gate.PASSED,
        observed=waited.sample.progress,
        expected=f"kubelet {params['version']}, Ready",
        next_action="Read journalctl -u kubelet on the node, mend it and start the playbook again.",
        elapsed_seconds=waited.elapsed_seconds,
        samples=waited.samples,
    )
    module.exit_json(changed=False, gates=[gate.dump()])


if __name__ == "__main__":
    main()
