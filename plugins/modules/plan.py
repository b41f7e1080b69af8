#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make the plan of an upgrade, and hold one that was agreed against it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Make the plan of an upgrade, and hold one that was agreed against it
version_added: 0.1.0
description:
  - Works on the controller only, in check mode as well. Takes what the readers returned and asks nobody.
  - With O(write=true) C(plan.json) and C(plan.md) are put beside the run's report, and the plan is printed.
  - With O(file) it fails where the plan of that file no longer holds, and says field by field what changed.
  - A plan that an earlier run began to carry out holds for the run that resumes it, as long as each server, etcd member
    and step is as the plan found it or as the plan leaves it.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.controller
options:
  state:
    description: Read the plan of O(file) only, or make the plan.
    type: str
    choices: [read, made]
    default: made
  file:
    description: A C(plan.json) that must still hold.
    type: path
  target:
    description: The target version.
    type: str
    required: true
  driver:
    description: How the control plane is run.
    type: str
    required: true
  run_directory:
    description: The run's folder, as M(mixedversion.kubernetes.report) returned it. Wanted with O(state=made).
    type: path
  write:
    description: Whether the plan is written and printed.
    type: bool
    default: false
  cluster:
    description: Name and uid of the cluster.
    type: dict
    default: {}
  order:
    description: The nodes in the order of the run.
    type: list
    elements: str
    default: []
  nodes:
    description: What M(mixedversion.kubernetes.node_info) returned for each node, with its C(name).
    type: list
    elements: dict
    default: []
  proxies:
    description: What M(mixedversion.kubernetes.proxy_info) returned.
    type: list
    elements: dict
    default: []
  dead_leases:
    description: The same module's Leases of dead servers, as far as they are to be removed.
    type: list
    elements: str
    default: []
  etcd:
    description: The C(members) and the C(leader) that M(mixedversion.kubernetes.etcd_info) returned.
    type: dict
    default: {}
  etcd_step:
    description: The version by which etcd is stepped.
    type: str
    default: ""
  etcd_target:
    description: The etcd that the target brings; empty if it leaves etcd alone. Left out where nobody can tell yet.
    type: str
  work:
    description: What each node needs, as M(mixedversion.kubernetes.preflight_info) returned it.
    type: dict
    default: {}
  proxy:
    description: By node, C(wanted) and C(former), each with the server's C(flags) and C(gates).
    type: dict
    default: {}
  settings:
    description: The user's settings that change what is done.
    type: dict
    default: {}
  accepted_risks:
    description: Gates that may fail, each with the reason.
    type: list
    elements: dict
    default: []
  proxied:
    description: What M(mixedversion.kubernetes.preflight_info) returned by this name.
    type: dict
  kubeadm_diffs:
    description: By node, what C(kubeadm upgrade diff) printed, or the reason why it was not asked.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Read the plan that was agreed, before anything else
  mixedversion.kubernetes.plan:
    state: read
    file: control-plane/reports/latest/plan.json
    target: v1.37.2
    driver: kubeadm
"""

RETURN = r"""
hash:
  description: SHA-256 over what matters of the plan that the run follows; empty without one.
  returned: always
  type: str
order:
  description: The nodes in the order of the plan.
  returned: always
  type: list
  elements: str
steps:
  description: The plan's steps.
  returned: with O(state=made)
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

_DICTS: dict[str, t.Any] = {"type": "list", "elements": "dict", "default": []}
_STRINGS: dict[str, t.Any] = {"type": "list", "elements": "str", "default": []}
_DICT: dict[str, t.Any] = {"type": "dict", "default": {}}

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["read", "made"], "default": "made"},
    "file": {"type": "path"},
    "target": {"type": "str", "required": True},
    "driver": {"type": "str", "required": True},
    "run_directory": {"type": "path"},
    "write": {"type": "bool", "default": False},
    "cluster": _DICT,
    "order": _STRINGS,
    "nodes": _DICTS,
    "proxies": _DICTS,
    "dead_leases": _STRINGS,
    "etcd": _DICT,
    "etcd_step": {"type": "str", "default": ""},
    "etcd_target": {"type": "str"},
    "work": _DICT,
    "proxy": _DICT,
    "settings": _DICT,
    "accepted_risks": _DICTS,
    "proxied": {"type": "dict"},
    "kubeadm_diffs": _DICTS,
}


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.fail_json(msg="plan works on the controller, through its action plug-in.")


if __name__ == "__main__":
    main()
