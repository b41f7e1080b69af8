#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cordon and drain a Node, or take it back into service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
short_description: Cordon and drain a Node, or take it back into service
version_added: 0.1.0
description:
  - Cordons the Node and evicts its pods by the API's own eviction, so that disruption budgets hold. A pod that a budget
    holds is asked for again when the server said to, until O(timeout) is over; the budget is named meanwhile.
  - Static pods and those of DaemonSets stay. A pod without a controller, or with an C(emptyDir), is refused by name
    before anything is touched, unless O(force) or O(delete_emptydir_data) says otherwise; pods that have ended are not.
  - The Node bears the annotation C(mixedversion.kubernetes/cordoned-by). Only what bears it is taken back into service;
    a Node that somebody else cordoned is drained and stays cordoned.
  - A drain that does not come to its end takes the Node back into service at once. Evicted pods are elsewhere then.
  - The gate C(disruption_budgets) of one node. In check mode pods are read and refused, and nothing is written.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  hostname:
    description: The label C(kubernetes.io/hostname) of the Node.
    type: str
    required: true
  state:
    description: Empty of pods and cordoned, or taken back into service.
    type: str
    choices: [drained, schedulable]
    default: drained
  holder:
    description: Id of the run, for the annotation. Wanted with O(state=drained).
    type: str
  holders:
    description: With O(state=schedulable), the runs whose cordon is taken back. Any run's if empty.
    type: list
    elements: str
    default: []
  delete_emptydir_data:
    description: Whether pods with an C(emptyDir) are evicted, which loses what is in it.
    type: bool
    default: false
  force:
    description: Whether pods without a controller are evicted, which nobody makes anew.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Drain cp1
  mixedversion.kubernetes.drain:
    kubeconfig: admin.conf
    hostname: cp1
    holder: by-hand
    timeout: 600
    interval: 1

- name: Take cp1 back into service
  mixedversion.kubernetes.drain:
    kubeconfig: admin.conf
    hostname: cp1
    state: schedulable
"""

RETURN = r"""
gates:
  description: The verdict on C(disruption_budgets).
  returned: with O(state=drained)
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _drain, _gate, _rights

RIGHT = "Give the kubeconfig's user the rights in docs/rbac/drain.yaml, then start the playbook again."
POD = (
    "Give the budget room, move or delete the pod named, or set control_plane_drain_timeout, "
    "control_plane_drain_delete_emptydir_data or control_plane_drain_force; then start the playbook again."
)


def put_back(server: _api.Server, hostname: str) -> str:
    """Take a Node back into service whose drain failed; in words."""
    try:
        _drain.set_schedulable(server, _drain.node_of(server, hostname), True, "", False)
    except _api.ApiError as error:
        return f"the Node stays cordoned: {error}"
    return "the Node was taken back into service"


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "hostname": {"type": "str", "required": True},
                "state": {"type": "str", "choices": ["drained", "schedulable"], "default": "drained"},
                "holder": {"type": "str"},
                "holders": {"type": "list", "elements": "str", "default": []},
                "delete_emptydir_data": {"type": "bool", "default": False},
                "force": {"type": "bool", "default": False},
            },
        ),
        required_if=[("state", "drained", ["holder"])],
        supports_check_mode=True,
    )
    params = module.params
    server = _api.connect(module).endpoint
    if params["state"] == "schedulable":
        try:
            node = _drain.node_of(server, params["hostname"])
            changed, node = _drain.set_schedulable(server, node, True, "", module.check_mode, params["holders"])
        except _api.ApiError as error:
            words = _rights.explain(error.words) if error.status == 403 else error.words
            module.fail_json(
                msg=f"The Node of {params['hostname']} can't be taken back into service: {words}. "
                "Mend that and start again, or run kubectl uncordon."
            )
        module.exit_json(changed=changed)
    drainer = _drain.Drainer(server, params, module.check_mode)
    waited = _gate.wait(drainer.look, params)
    if waited.pending:
        module.exit_json(**_gate.pending(waited, drainer.memory))
    passed = waited.sample.passed
    observed = waited.sample.progress
    if waited.timed_out:
        observed = f"after {params['timeout']:.0f} s {observed}"
    if not passed and drainer.memory["ours"]:
        observed += f"; {put_back(server, params['hostname'])}"
    gate = _gate.Gate(
        id="disruption_budgets",
        node=params["node"],
        verdict=_gate.PASSED if passed else _gate.FAILED,
        observed=observed,
        expected="every pod but static ones and those of DaemonSets can be evicted"
        + (f" within {params['timeout']:.0f} s" if waited.timed_out else ""),
        next_action=RIGHT if "the right to " in observed else POD,
        elapsed_seconds=waited.elapsed_seconds,
        samples=waited.samples,
    )
    module.exit_json(changed=passed, gates=[gate.dump()])


if __name__ == "__main__":
    main()
