#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait until the controller manager and the scheduler have a leader that renews."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_leases
short_description: Wait until controller manager and scheduler are led
version_added: 0.1.0
description:
  - Reads the leader election Leases C(kube-controller-manager) and C(kube-scheduler) until each has a holder and was
    renewed a short while ago, by the server's own clock. The gate C(leases_fresh).
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
"""

EXAMPLES = r"""
- name: Wait until controller manager and scheduler are led
  mixedversion.kubernetes.wait_for_leases:
    kubeconfig: admin.conf
"""

RETURN = r"""
gates:
  description: The verdict on C(leases_fresh).
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _leases

COMPONENTS = ("kube-controller-manager", "kube-scheduler")
#: client-go's default lease duration: an older renewal means that nobody leads.
FRESH_SECONDS = 15.0


def look(server: _api.Server, renewals: _leases.Renewals) -> _gate.Sample:
    words, passed = [], True
    for component in COMPONENTS:
        path = f"{_leases.LIST_PATH}/{component}"
        try:
            answer = server.request("GET", path)
        except _api.ApiError as error:
            return _gate.Sample(False, str(error))
        if answer.status != 200:
            return _gate.Sample(False, f"{component}: {answer.status} {answer.words}")
        lease = _leases.parse(answer.json())
        led = bool(lease.holder) and renewals.fresh(lease, answer.date, FRESH_SECONDS)
        passed = passed and led
        words.append(f"{component} is {'led by ' + lease.holder.partition('_')[0] if led else 'not led'}")
    return _gate.Sample(passed, ", ".join(words))


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=_gate.argument_spec(_api.argument_spec()), supports_check_mode=True)
    params = module.params
    server = _api.connect(module).endpoint
    renewals = _leases.Renewals()
    waited = _gate.wait(lambda: look(server, renewals), params)
    if waited.pending:
        module.exit_json(**_gate.pending(waited))
    gate = _gate.Gate(
        id="leases_fresh",
        node=params["node"],
        verdict=_gate.FAILED if waited.timed_out else _gate.PASSED,
        observed=waited.sample.progress,
        expected=f"each was renewed within {FRESH_SECONDS:.0f} s",
        next_action="Read the logs of the component that is not led; then start the playbook again.",
        elapsed_seconds=waited.elapsed_seconds,
        samples=waited.samples,
    )
    module.exit_json(changed=False, gates=[gate.dump()])


if __name__ == "__main__":
    main()
