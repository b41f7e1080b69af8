#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read etcd's members, and judge what the cluster is after a step."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_info
short_description: etcd's members, health and quorum
version_added: 0.1.0
description:
  - Asks the member on this node who belongs to the cluster, and every member how it is, through the JSON gateway.
  - The gate C(etcd_healthy). With O(leaving), the gate C(quorum_after_step) as well; it is computed for the state in
    which this node's member is away.
  - Needs nothing but Python's standard library.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
  - mixedversion.kubernetes._run.etcd
options:
  leaving:
    description: Whether a step that takes this node's member away is to be judged.
    type: bool
    default: false
  allow_outage:
    description: Whether an outage may be spent where one is certain, with one or two members.
    type: bool
    default: false
  minimum_version:
    description: With it the gate C(etcd_stepped), which wants every member at this version or later.
    type: str
"""

EXAMPLES = r"""
- name: Read etcd
  mixedversion.kubernetes.etcd_info:
"""

RETURN = r"""
cluster_id:
  description: etcd's cluster id.
  returned: success
  type: str
local:
  description: Name of the member on this node.
  returned: success
  type: str
leader:
  description: Name of the leader.
  returned: success
  type: str
members:
  description: One entry a member; version, sizes and indexes are empty or zero for one that does not answer.
  returned: success
  type: list
  elements: dict
gates:
  description: The verdicts.
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _gate, _version


def quorum_gate(cluster: _etcd.Cluster, allow_outage: bool) -> _gate.Gate:
    """KubeadmControlPlane's rule: count the members that are left, and healthy, when this one is away."""
    left = [m for m in cluster.voters if m.id != cluster.local_id and m.status and not m.status.errors]
    gate = _gate.Gate(
        id="quorum_after_step",
        verdict=_gate.PASSED,
        observed=f"{len(left)} of {len(cluster.voters)} voting members are left while {cluster.local.label} is away",
        expected=f"{cluster.quorum} or more",
        acceptable=False,
    )
    if len(left) >= cluster.quorum:
        return gate
    if len(cluster.voters) >= 3:
        gate.verdict = _gate.FAILED
        gate.next_action = "Bring the missing member back first; with three or more members this can't be accepted."
    elif allow_outage:
        gate.verdict = _gate.SKIPPED
        gate.reason = f"control_plane_allow_outage: with {len(cluster.voters)} members an outage is certain"
    else:
        gate.verdict = _gate.FAILED
        gate.next_action = (
            "With one or two members an outage is certain: set control_plane_allow_outage: true to spend it."
        )
    return gate


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _etcd.OPTIONS,
            {
                "leaving": {"type": "bool", "default": False},
                "allow_outage": {"type": "bool", "default": False},
                "minimum_version": {"type": "str"},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    healthy = _gate.Gate(
        id="etcd_healthy",
        node=params["node"],
        verdict=_gate.PASSED,
        observed="",
        expected="every member answers, votes, and names one leader; no alarms",
        next_action="Mend the member named (its log, its disk, its way to the others) before anything is upgraded.",
    )
    try:
        cluster = _etcd.Gateway.from_params(params).cluster()
    except (_etcd.EtcdError, ValueError, KeyError) as error:
        healthy.verdict, healthy.observed = _gate.FAILED, f"etcd can't be asked: {error}"
        module.exit_json(changed=False, gates=[healthy.dump()], cluster_id="", local="", leader="", members=[])
    troubles = cluster.troubles()
    leader = next((m.label for m in cluster.members if {m.id} == cluster.leaders), "")
    healthy.verdict = _gate.FAILED if troubles else _gate.PASSED
    versions = ", ".join(f"{m.label} {m.status.version}" for m in cluster.members if m.status)
    healthy.observed = (
        "; ".join(troubles) or f"{len(cluster.members)} members ({versions}), leader {leader}, lag {cluster.lag()}"
    )
    gates = [healthy]
    if params["leaving"]:
        gates.append(quorum_gate(cluster, params["allow_outage"]))
        gates[-1].node = params["node"]
    if params["minimum_version"]:
        wanted = _version.parse(params["minimum_version"])
        old = [
            f"{m.label} {m.status.version}"
            for m in cluster.members
            if m.status and _version.parse(m.status.version) < wanted
        ]
        gates.append(
            _gate.Gate(
                id="etcd_stepped",
                node=params["node"],
                verdict=_gate.FAILED if old else _gate.PASSED,
                observed=", ".join(old) or versions,
                expected=f"every member at {wanted} or later",
                next_action="Read etcd's log on the node named and start the playbook again.",
            )
        )
    module.exit_json(
        changed=False,
        gates=[gate.dump() for gate in gates],
        cluster_id=cluster.local.status.cluster_id if cluster.local.status else "",
        local=cluster.local.label,
        leader=leader,
        members=[
            {
                "name": m.label,
                "id": m.id,
                "client_urls": list(m.client_urls),
                "learner": m.learner,
                "version": m.status.version if m.status else "",
                "size_bytes": m.status.size_bytes if m.status else 0,
                "applied_index": m.status.applied_index if m.status else 0,
                "storage_version": m.status.storage_version if m.status else "",
                "error": m.error,
            }
            for m in cluster.members
        ],
    )


if __name__ == "__main__":
    main()
