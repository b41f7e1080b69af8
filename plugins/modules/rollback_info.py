#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what would become of a node that is put back, and whether that is safe."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback_info
short_description: Tell whether a node may be put back to what it was before its step
version_added: 0.1.0
description:
  - Holds what M(mixedversion.kubernetes.former_state) kept of this node against what is there now, and judges by etcd's
    versions, by those of all servers, and by what is still at work on the node.
  - Where this node's etcd member is to be started anew, the gate C(quorum_after_step) says whether the others bear it.
  - Needs nothing but Python's standard library, and no API.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
  - mixedversion.kubernetes._run.etcd
options:
  driver:
    description: Whether the components are static pods of a kubelet, units of systemd, or run in the user's own way.
    type: str
    choices: [kubeadm, systemd, custom]
    required: true
  servers:
    description: The versions of all servers by name, empty for one that is not ready.
    type: dict
    default: {}
  endpoints:
    description: Client URLs of other etcd members, asked where O(endpoint) does not answer.
    type: list
    elements: str
    default: []
  allow_outage:
    description: Whether one or two members may lose their quorum meanwhile.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Know whether the node can be put back
  mixedversion.kubernetes.rollback_info:
    driver: systemd
    servers: {cp1: "", cp2: v1.36.4, cp3: v1.36.4}
"""

RETURN = r"""
kept:
  description: What was kept, but for the files; empty if nothing was.
  returned: always
  type: dict
components:
  description: What becomes of each component.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The component., type: str, returned: always}
    before: {description: Its version before the step., type: str, returned: always}
    now: {description: The version that would start now; empty if nothing tells one., type: str, returned: always}
    action: {description: "V(back), V(same) or V(stays).", type: str, returned: always}
    why: {description: Why it stays., type: str, returned: always}
back:
  description: Names of the components that are to be put back.
  returned: always
  type: list
  elements: str
refusals:
  description: Why the node must not be put back; empty if it may be.
  returned: always
  type: list
  elements: str
at_work:
  description: A step's unit that has not ended on this node; empty if there is none.
  returned: always
  type: str
left:
  description: In a sentence what the step left of the node.
  returned: always
  type: str
etcd_version:
  description: The version that this node's member has once the node is put back; empty if it has none here.
  returned: always
  type: str
gates:
  description: The verdict on C(quorum_after_step), where this node's member is to be started anew.
  returned: always
  type: list
  elements: dict
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _etcd,
    _former,
    _gate,
    _node,
    _rollback,
)

NOTHING = _etcd.Cluster("", ())


def cluster(params: t.Mapping[str, t.Any]) -> _etcd.Cluster:
    """etcd's members as the first that answers tells them; none if no one does."""
    try:
        gateway = _etcd.Gateway.from_params(params)
    except _etcd.EtcdError:
        return NOTHING
    host = _etcd.Host.read()
    for url in dict.fromkeys([params["endpoint"], *params["endpoints"]]):
        try:
            return gateway.at(url).cluster(host)
        except _etcd.EtcdError:
            continue
    return NOTHING


def component(module: AnsibleModule, kept: _former.State, name: str) -> _rollback.Component:
    """What is there now of one component, held against what was kept."""
    before = kept.versions.get(name, "")
    now = _former.version_now(module, kept.driver, name, kept.paths)
    known = {file.path for file in kept.of(name)}
    differs = any(file.differs for file in kept.of(name))
    differs |= any(path not in known for path in _former.paths_of(module, kept.driver, name))
    other_binary = name in kept.paths and now != before
    runs = True
    if kept.driver == "custom":
        now = _node.running_version(module, name)
        runs = now == before
    elif kept.driver == "systemd":
        running = _node.running_version(module, name)
        runs, now = running == before, now if now != before else running or now
    elif name == _former.KUBELET:
        runs = _node.running(name) is not None
    return _rollback.Component(
        name,
        before,
        now,
        differs or other_binary or not runs,
        not other_binary or os.path.exists(_node.kept_binary(name, before)),
    )


def quorum(found: _etcd.Cluster, restarts: bool, allow_outage: bool) -> _gate.Gate:
    """Whether the others bear it that this node's member is started anew; one that does not answer is no loss."""
    local = found.local
    gate = _gate.Gate(
        id="quorum_after_step",
        verdict=_gate.PASSED,
        observed=f"{len(found.left())} of {len(found.voters)} voting members are left and whole without this node's",
        expected=f"{found.quorum} or more, or a member here that is away already",
        acceptable=False,
    )
    if not restarts:
        gate.verdict, gate.reason = _gate.SKIPPED, "this node's member is not touched"
    elif local is not None and (local.status is None or not found.sound(local)):
        gate.observed += "; it is not whole now"
    elif len(found.left()) < found.quorum and len(found.voters) < 3 and allow_outage:
        gate.verdict = _gate.SKIPPED
        gate.reason = f"control_plane_allow_outage: with {len(found.voters)} members an outage is certain"
    elif len(found.left()) < found.quorum:
        gate.verdict = _gate.FAILED
        gate.next_action = "Bring the missing member back first; then start the playbook rollback."
    return gate


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _etcd.OPTIONS,
            {
                "driver": {"type": "str", "choices": ["kubeadm", "systemd", "custom"], "required": True},
                "servers": {"type": "dict", "default": {}},
                "endpoints": {"type": "list", "elements": "str", "default": []},
                "allow_outage": {"type": "bool", "default": False},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    try:
        kept = _former.load()
    except _former.FormerError as error:
        module.fail_json(msg=f"{error}. Nothing was changed. Put the node back by hand from the run's backup.")
    if kept is None:
        module.exit_json(
            changed=False, kept={}, components=[], back=[], refusals=[], at_work="", left="", etcd_version="", gates=[]
        )
    found = cluster(params)
    busy = next((step["unit"] for step in _node.active_steps(module)), "")
    components = [component(module, kept, name) for name in _former.components(kept.driver)]
    flags = _node.flags(_node.command("kube-apiserver"))
    decision = _rollback.decide(
        components,
        kept.target,
        _rollback.Etcd(
            {member.label: status.version for member, status in found.answers},
            found.storage_versions,
            found.local.label if found.local else "",
            found.downgrade,
        ),
        {name: str(version or "") for name, version in params["servers"].items()},
        flags.get("min-compatibility-version", "").rpartition("=")[2],
        busy,
    )
    etcd = next(part for part in decision.parts if part.name == _rollback.ETCD)
    gates = []
    if decision.anything and not decision.refusals:
        gate = quorum(found, etcd.action == _rollback.BACK, params["allow_outage"])
        gate.node = params["node"]
        gates.append(gate.dump())
    stays = etcd.action == _rollback.STAYS
    module.exit_json(
        changed=False,
        kept=kept.told(),
        components=[part.dump() for part in decision.parts],
        back=[part.name for part in decision.parts if part.action == _rollback.BACK],
        refusals=list(decision.refusals),
        at_work=busy,
        left=_rollback.left(kept.driver, decision.parts),
        etcd_version=(etcd.now if stays else etcd.before).lstrip("v"),
        gates=gates,
    )


if __name__ == "__main__":
    main()
