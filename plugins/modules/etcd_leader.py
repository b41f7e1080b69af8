#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Move etcd's leadership off this node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_leader
short_description: Move etcd's leadership away from this node
version_added: 0.1.0
description:
  - Where the member on this node leads, leadership goes to the voting member that is furthest ahead, of those that
    answer, in time, and of which no alarm is raised. The module waits until every member names it.
  - Nothing is done where this node has no member, or the only one; and nothing where no other member is whole, as the
    gate C(quorum_after_step) of M(mixedversion.kubernetes.etcd_info) then decides.
  - Needs nothing but Python's standard library.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
  - mixedversion.kubernetes._run.etcd
"""

EXAMPLES = r"""
- name: Lead from elsewhere
  mixedversion.kubernetes.etcd_leader:
"""

RETURN = r"""
leader:
  description: Name of the member that leads now; in check mode, that would lead.
  returned: success
  type: str
previous:
  description: Name of the member that led before.
  returned: success
  type: str
term:
  description: The raft term in which all members name it.
  returned: success
  type: int
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _gate


def heir(cluster: _etcd.Cluster) -> _etcd.Member | None:
    """Who shall lead instead of this node's member; nobody if it does not lead, or no other is whole."""
    if cluster.leader is None or cluster.leader.id != cluster.local_id:
        return None
    return max(cluster.left(), key=lambda m: m.status.applied_index if m.status else 0, default=None)


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=_gate.argument_spec(_etcd.OPTIONS), supports_check_mode=True)
    params = module.params
    try:
        gateway = _etcd.Gateway.from_params(params)
        host = _etcd.Host.read()
        cluster = gateway.cluster(host)
        leader = cluster.leader
        if leader is None:
            module.fail_json(
                msg=f"Members name several leaders or none: {'; '.join(cluster.troubles())}. Nothing was changed. "
                "Mend the member named, then start the playbook again."
            )
        before = {"previous": leader.label, "term": max(cluster.terms)}
        chosen = heir(cluster)
        if chosen is None:
            module.exit_json(changed=False, leader=leader.label, **before)
        if module.check_mode:
            module.exit_json(changed=True, leader=chosen.label, **before)
        # Only the leader itself can be asked, and it is the one on this node, whatever the endpoint leads to.
        gateway.at(leader.url).move_leader(chosen.id)
        waited = _gate.wait(lambda: look(gateway, host, chosen), {**params, "slice": None})
    except _etcd.EtcdError as error:
        module.fail_json(msg=f"etcd can't be asked: {error}. Read its log on this node.")
    if waited.timed_out:
        module.fail_json(
            msg=f"Leadership was given to {chosen.label}, but {waited.sample.progress} after "
            f"{waited.elapsed_seconds:.0f} s. This node was not touched. Read etcd's log there."
        )
    module.exit_json(changed=True, leader=chosen.label, previous=leader.label, term=waited.sample.data)


def look(gateway: _etcd.Gateway, host: _etcd.Host, chosen: _etcd.Member) -> _gate.Sample:
    """Whether every member answers and names the chosen one."""
    try:
        cluster = gateway.cluster(host)
    except _etcd.EtcdError as error:
        return _gate.Sample(False, str(error))
    silent = [member.label for member in cluster.members if not member.status]
    labels = {member.id: member.label for member in cluster.members}
    named = ", ".join(sorted(labels.get(each, "none") for each in cluster.leaders))
    progress = f"members name {named} as leader" + (f", and {', '.join(silent)} does not answer" if silent else "")
    # A member that is down names nobody; the gate on quorum has counted it out already.
    return _gate.Sample(cluster.leaders == {chosen.id}, progress, data=max(cluster.terms, default=0))


if __name__ == "__main__":
    main()
