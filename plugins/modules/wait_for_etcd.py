#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait until this node's etcd member is back and has caught up."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_etcd
short_description: Wait until this node's etcd member is back and has caught up
version_added: 0.1.0
description:
  - Asks until the member on this node has the version wanted, every member answers, in time, and names one leader, no
    alarm is raised, and the slowest applied index is at most 1000 raft entries behind the newest. The gate
    C(etcd_member_caught_up).
  - Where this node has no member, as with external etcd, the others are waited for and the version is not judged.
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
  version:
    description: The version the member on this node shall have; any if left out.
    type: str
"""

EXAMPLES = r"""
- name: Wait for this node's etcd
  mixedversion.kubernetes.wait_for_etcd:
    version: 3.7.0
"""

RETURN = r"""
gates:
  description: The verdict on C(etcd_member_caught_up).
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _gate, _version


def look(gateway: _etcd.Gateway, host: _etcd.Host, version: str | None) -> _gate.Sample:
    try:
        cluster = gateway.cluster(host)
    except _etcd.EtcdError as error:
        return _gate.Sample(False, f"etcd does not answer ({error})")
    local = cluster.local
    if version and local and local.status and _version.parse(local.status.version) != _version.parse(version):
        return _gate.Sample(False, f"etcd {local.status.version}")
    if version and local is None and _etcd.is_loopback(gateway.endpoint):
        return _gate.Sample(False, "which of the members is this node's is not known yet")
    troubles = cluster.troubles()
    if troubles:
        return _gate.Sample(False, "; ".join(troubles))
    here = f"etcd {local.status.version}" if local and local.status else "no member here"
    return _gate.Sample(True, f"{here}, {len(cluster.members)} members, one leader, lag {cluster.lag()}")


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(_etcd.OPTIONS, {"version": {"type": "str"}}), supports_check_mode=True
    )
    params = module.params
    try:
        gateway = _etcd.Gateway.from_params(params)
    except _etcd.EtcdError as error:
        module.fail_json(msg=str(error))
    # Whether an etcd runs here is asked each time: it may be about to start.
    waited = _gate.wait(lambda: look(gateway, _etcd.Host.read(), params["version"]), params, _gate.AT_ONCE)
    if waited.pending:
        module.exit_json(**_gate.pending(waited))
    gate = _gate.Gate(
        id="etcd_member_caught_up",
        node=params["node"],
        verdict=_gate.FAILED if waited.timed_out else _gate.PASSED,
        observed=waited.sample.progress,
        expected=f"{params['version'] or 'any version'}; every member answers, in time; one leader; "
        f"lag {_etcd.MAX_LAG} or less",
        next_action="Read etcd's log on this node, mend it and start the playbook again.",
        elapsed_seconds=waited.elapsed_seconds,
        samples=waited.samples,
    )
    module.exit_json(changed=False, gates=[gate.dump()])


if __name__ == "__main__":
    main()
