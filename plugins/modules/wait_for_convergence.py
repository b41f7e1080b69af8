#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait until every server knows what all servers serve."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_convergence
short_description: Wait until every server's merged discovery covers all servers' own
version_added: 0.1.0
description:
  - For every server, the merged aggregated discovery of C(/apis) must contain the union of what all servers say they
    serve themselves (C(profile=nopeer)), as sets of group, version and resource.
  - Group-versions of CRDs and of aggregated API servers are left out, as the servers never proxy them.
  - The identity Leases must be exactly O(leases), O(stable_samples) times in a row. The gate C(convergence).
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  leases:
    description: Names of the identity Leases that shall be there, no more and no less; not looked at if left out.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Wait until every server knows what its peers serve
  mixedversion.kubernetes.wait_for_convergence:
    kubeconfig: admin.conf
    timeout: 180
"""

RETURN = r"""
resources:
  description: How many resources each server serves itself (C(own)) and in all (C(merged)), exclusions left out.
  returned: always
  type: dict
differences:
  description: Each resource that some servers serve themselves and others do not.
  returned: always
  type: list
  elements: dict
gates:
  description: The verdict on C(convergence).
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _discovery, _gate, _views


def judge(look: _views.Look, expected_leases: list[str] | None) -> _gate.Sample:
    """Whether this one look shows convergence, and in a few words what it shows."""
    if look.errors:
        return _gate.Sample(False, "; ".join(str(error) for error in look.errors.values()), data=look)
    if expected_leases is not None:
        there = {lease.name: lease.hostname or lease.name for lease in look.leases}
        gone = sorted(set(expected_leases) - set(there))
        extra = sorted(there[name] for name in set(there) - set(expected_leases))
        if gone or extra:
            words = [f"{len(gone)} expected Leases are missing"] if gone else []
            words += [f"a Lease of {name}, which is not in the inventory" for name in extra]
            return _gate.Sample(False, ", ".join(words), data=look)
    missing = {name: found for name, found in _discovery.missing(look.views, look.excluded).items() if found}
    if missing:
        words = [
            f"{name} lacks {len(found)} ({', '.join(map(str, found[:2]))}{', ...' if len(found) > 2 else ''})"
            for name, found in missing.items()
        ]
        return _gate.Sample(
            False, "; ".join([f"{len(look.views) - len(missing)} of {len(look.views)} converged", *words]), data=look
        )
    union = {resource for view in look.views.values() for resource in _discovery.without(view.own, look.excluded)}
    return _gate.Sample(True, f"all {len(look.views)} servers know all {len(union)} resources", data=look)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(_api.argument_spec(), {"leases": {"type": "list", "elements": "str"}}),
        supports_check_mode=True,
    )
    params = module.params
    cluster = _api.connect(module)
    try:
        servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster)}
    except _api.ApiError as error:
        module.fail_json(msg=str(error))
    reader = _views.Reader(servers)
    waited = _gate.wait(lambda: judge(reader.look(), params["leases"]), params)
    if waited.pending:
        module.exit_json(**_gate.pending(waited))
    look: _views.Look = waited.sample.data
    gate = _gate.Gate(
        id="convergence",
        node=params["node"],
        verdict=_gate.FAILED if waited.timed_out else _gate.PASSED,
        observed=waited.sample.progress,
        expected="every server's merged discovery covers all servers' own, "
        f"{params['stable_samples']} samples in a row",
        next_action="Check that the server named reaches its peers and that its log shows no errors syncing peer "
        "discovery; then start the playbook again.",
        elapsed_seconds=waited.elapsed_seconds,
        samples=waited.samples,
    )
    module.exit_json(
        changed=False,
        gates=[gate.dump()],
        resources={
            name: {
                "own": len(_discovery.without(view.own, look.excluded)),
                "merged": len(_discovery.without(view.merged, look.excluded)),
            }
            for name, view in look.views.items()
        },
        differences=[
            {
                "resource": str(d.resource),
                "capable": list(d.capable),
                "lacking": list(d.lacking),
                "listable": d.listable,
            }
            for d in _discovery.differences(look.views, look.excluded)
        ],
    )


if __name__ == "__main__":
    main()
