#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hold a run's report against expressions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: assert_report
short_description: Hold a run's report against expressions
version_added: 0.1.0
description:
  - Works out each JMESPath expression on the report of a run, as C(report.json) has it so far. The gate
    C(user_probes) is passed if each comes to C(true); anything else, a number or a list too, is not true.
  - An expression that can't be parsed fails the task before any is worked out.
  - The report comes from the controller; the expressions are worked out where the module runs.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  assertions:
    description: JMESPath expressions over the report, whose fields C(docs/report.schema.json) describes.
    type: list
    elements: str
    required: true
  report:
    description: The report; that of O(run_directory) if left out.
    type: dict
  validate_only:
    description: Looks at the expressions as they are written, so that a wrong one is known before a long job.
    type: bool
    default: false
requirements:
  - jmespath
"""

EXAMPLES = r"""
- name: Have proxied reads proven, and not just nothing to prove
  mixedversion.kubernetes.assert_report:
    run_directory: "{{ run.run_directory }}"
    assertions:
      - length(probes[?verdict == 'passed']) > `0`
      - length(gates[?verdict == 'accepted']) == `0`
      - max(availability[?target == 'load balancer'].unavailable_seconds) < `5`
  delegate_to: localhost
"""

RETURN = r"""
gates:
  description: The verdict on C(user_probes).
  returned: always
  type: list
  elements: dict
"""

import json
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _expressions, _gate

#: Characters of a value that are told; a list of the report's may be long.
TOLD = 80


def fault(expression: str, report: t.Mapping[str, t.Any]) -> str:
    """Why *expression* is not true of *report*; empty if it is."""
    try:
        value = _expressions.search(expression, report)
    except _expressions.Unfit as error:
        return f"{expression!r} {error}"
    if value is True:
        return ""
    words = json.dumps(value)
    return f"{expression!r} comes to {words if len(words) <= TOLD else words[:TOLD] + '…'}"


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "assertions": {"type": "list", "elements": "str", "required": True},
                "report": {"type": "dict"},
                "validate_only": {"type": "bool", "default": False},
            },
        ),
        required_if=[("validate_only", False, ["report"])],
        supports_check_mode=True,
        # A whole report is too much for a log.
        no_log=True,
    )
    params = module.params
    if _expressions.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("jmespath"), exception=_expressions.IMPORT_ERROR)
    for expression in params["assertions"]:
        try:
            _expressions.check(expression)
        except _expressions.Unfit as error:
            module.fail_json(
                msg=f"control_plane_assertions: {expression!r} {error}. Expected an expression over the report that "
                "comes to true. Correct it and start again."
            )
    if params["validate_only"]:
        module.exit_json(changed=False, gates=[])
    faults = [words for words in (fault(expression, params["report"]) for expression in params["assertions"]) if words]
    gate = _gate.Gate(
        id="user_probes",
        node=params["node"],
        verdict=_gate.FAILED if faults else _gate.PASSED,
        observed="; ".join(faults) or f"{len(params['assertions'])} assertions are true of the report",
        expected="each of control_plane_assertions comes to true on the report",
        next_action="Look in report.json of this run for what the expression asks, and mend that, or correct the "
        "expression. verify asks anew.",
    )
    module.exit_json(changed=False, gates=[gate.dump()])


if __name__ == "__main__":
    main()
