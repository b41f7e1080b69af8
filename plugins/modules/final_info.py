#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judge, after the last node, whether the control plane is of one version."""

from __future__ import annotations

DOCUMENTATION = r"""
module: final_info
short_description: Whether the whole control plane has the target version
version_added: 0.1.0
description:
  - Holds every server, and the kubelets of the control plane's Nodes, against the target. Kubelets of other Nodes are
    named with their versions; they are not part of the job. The gate C(final_versions).
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  version:
    description: The target.
    type: str
    required: true
  proxies:
    description: What M(mixedversion.kubernetes.proxy_info) returned.
    type: list
    elements: dict
    required: true
  hostnames:
    description: What the labels C(kubernetes.io/hostname) of the control plane's Nodes have.
    type: list
    elements: str
    required: true
  kubelets:
    description: Whether the nodes have kubelets that belong to the job.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Judge the result
  mixedversion.kubernetes.final_info:
    kubeconfig: admin.conf
    version: v1.37.2
    proxies: "{{ proxy.proxies }}"
    hostnames: [cp1, cp2, cp3]
"""

RETURN = r"""
other_kubelets:
  description: Version of each kubelet that is not part of the job, by Node.
  returned: always
  type: dict
gates:
  description: The verdict on C(final_versions).
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _leases, _version


def kubelets(
    items: t.Iterable[t.Mapping[str, t.Any]], hostnames: t.Sequence[str], target: str
) -> tuple[list[str], dict[str, str]]:
    """What is not as it is to be of the Nodes of *hostnames*; and the kubelets of all others, by Node."""
    wrong, others, seen = [], {}, set()
    for item in items:
        kubelet = item["status"]["nodeInfo"]["kubeletVersion"]
        hostname = (item["metadata"].get("labels") or {}).get(_leases.LABEL_HOSTNAME)
        seen.add(hostname)
        if hostname not in hostnames:
            others[item["metadata"]["name"]] = kubelet
        elif kubelet != target:
            wrong.append(f"the kubelet of {item['metadata']['name']} is {kubelet}")
    wrong += [f"no Node has the label {_leases.LABEL_HOSTNAME}={name}" for name in hostnames if name not in seen]
    return wrong, others


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "version": {"type": "str", "required": True},
                "proxies": {"type": "list", "elements": "dict", "required": True},
                "hostnames": {"type": "list", "elements": "str", "required": True},
                "kubelets": {"type": "bool", "default": True},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    target = _version.parse(params["version"])
    server = _api.connect(module).endpoint
    wrong = [
        f"{p['name']} serves {p['version'] or p['error']}" for p in params["proxies"] if p["version"] != str(target)
    ]
    wrong += [f"{p['name']} is not ready" for p in params["proxies"] if not p["ready"]]
    others: dict[str, str] = {}
    if params["kubelets"]:
        try:
            items = server.get("/api/v1/nodes").get("items") or []
            behind, others = kubelets(items, params["hostnames"], str(target))
            wrong += behind
        except _api.ApiError as error:
            wrong.append(f"the Nodes can't be read: {error}")
    observed = "; ".join(wrong) or f"{len(params['proxies'])} servers {target}"
    if params["kubelets"] and not wrong:
        observed += f", {len(params['hostnames'])} kubelets {target}"
    if others:
        observed += (
            f"; other kubelets, out of scope: {', '.join(f'{name} {version}' for name, version in others.items())}"
        )
    gate = _gate.Gate(
        id="final_versions",
        verdict=_gate.FAILED if wrong else _gate.PASSED,
        observed=observed,
        expected=f"every server, and every control plane kubelet, is {target}",
        next_action="Start the playbook again; it goes on with what is left.",
    )
    module.exit_json(changed=False, gates=[gate.dump()], other_kubelets=others)


if __name__ == "__main__":
    main()
