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
  - Where the member on this node leads, leadership goes to the healthy voting member that is furthest ahead, and the
    module waits until every member names it.
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
  description: Name of the member that leads now.
  returned: success
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _gate


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=_gate.argument_spec(_etcd.OPTIONS), supports_check_mode=True)
    params = module.params
    try:
        gateway = _etcd.Gateway.from_params(params)
        cluster = gateway.cluster()
        leader = next((m for m in cluster.members if {m.id} == cluster.leaders), None)
        if leader is None:
            module.fail_json(
                msg=f"Members name several leaders or none: {'; '.join(cluster.troubles())}. Nothing was changed."
            )
        others = [m for m in cluster.voters if m.id != cluster.local_id and m.status and not m.status.errors]
        if leader.id != cluster.local_id or not others:
            module.exit_json(changed=False, leader=leader.label)
        heir = max(others, key=lambda m: m.status.applied_index if m.status else 0)
        if not module.check_mode:
            gateway.move_leader(heir.id)
            whole = {**params, "slice": None}
            waited = _gate.wait(lambda: look(gateway, heir.id), whole)
            if waited.timed_out:
                module.fail_json(msg=f"Leadership was given to {heir.label}, but {waited.sample.progress}.")
    except _etcd.EtcdError as error:
        module.fail_json(msg=f"etcd can't be asked: {error}")
    module.exit_json(changed=True, leader=heir.label)


def look(gateway: _etcd.Gateway, heir: str) -> _gate.Sample:
    """Whether every member names the heir."""
    cluster = gateway.cluster()
    return _gate.Sample(cluster.leaders == {heir}, f"members name {', '.join(sorted(cluster.leaders))} as leader")


if __name__ == "__main__":
    main()
