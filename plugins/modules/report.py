#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Begin a run, tell its journal what happens, and write its report."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Keep a run's journal and write its report
version_added: 0.1.0
description:
  - Works on the controller only, in check mode as well; a report is all that a dry run writes.
  - Each call appends to the journal and replaces atomically C(report.json), C(report.html), which is one page that
    loads nothing, C(report.md) for a change ticket, and C(report.xml), which is JUnit for CI.
  - Where a meter ran, C(availability.svg) is replaced as well.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.controller
options:
  state:
    description: Begin a run, tell what happens in it, or end it.
    type: str
    choices: [started, running, finished]
    default: running
  run_directory:
    description: The run's folder, as O(state=started) returned it.
    type: path
  report_directory:
    description: Where runs' folders are made, with O(state=started).
    type: path
  playbook:
    description: Name of the playbook, with O(state=started).
    type: str
    default: ""
  target:
    description: The target version, with O(state=started).
    type: str
    default: ""
  phase:
    description: The phase that begins now; the one before it ends.
    type: str
  node:
    description: The node that O(phase), O(changed) or O(result) is about; the cluster as a whole if left out.
    type: str
    default: ""
  changed:
    description: What was changed, in a few words.
    type: str
  nodes:
    description: The nodes in the order of the run.
    type: list
    elements: str
  cluster:
    description: Name and uid of the cluster, and the revision that its etcd has now.
    type: dict
  versions:
    description:
      - By node, the versions of its components, kubelets aside; with O(cluster) and O(nodes).
      - The task fails, before anything is changed, where an unfinished run before this one was of another cluster, has
        brought a node to another target, or has left a node half-way that is not among O(nodes).
      - Where the journals of resumed runs say otherwise, the report has a warning; what is given here counts.
    type: dict
  proxies:
    description: What M(mixedversion.kubernetes.proxy_info) returned.
    type: list
    elements: dict
  backup:
    description: The backup of this run, as the report has it.
    type: dict
  result:
    description:
      - How the run ended, with O(state=finished); V(stopped) where more is left to do. A gate that does not hold makes
        it V(stopped) as well.
      - With V(succeeded) the task fails if a blocking gate of the run does not hold, which is how a run ends whose
        modules had the option C(defer).
      - With V(stopped) the run ends where its user wanted it to, with something left to do, and nothing fails.
    type: str
    choices: [succeeded, stopped, failed]
  hold:
    description:
      - Fail if a blocking gate of the run does not hold so far, with the words of all of them.
      - For a phase whose modules had the option C(defer), so that one gate hid no other.
    type: bool
    default: false
  accepted_risks:
    description: Gates that may fail, each with the reason, with O(state=started). An id that is no gate is an error.
    type: list
    elements: dict
    default: []
  next_action:
    description: What to do next, with O(state=finished).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Begin a run
  mixedversion.kubernetes.report:
    state: started
    report_directory: ./control-plane/reports
    playbook: upgrade
    target: v1.37.2
  register: run
"""

RETURN = r"""
run_id:
  description: Id of the run.
  returned: always
  type: str
run_directory:
  description: The run's folder.
  returned: always
  type: str
resumed:
  description: Ids of the runs that this one goes on from, newest first; none but when it is started.
  returned: always
  type: list
  elements: str
standing:
  description:
    - By node, how far its C(control_plane) and its C(kubelet) came in the resumed runs, V(half_way) or V(done), by
      their journals; none but when it is started, or with O(cluster).
  returned: always
  type: dict
inherited_backup:
  description:
    - The newest backup of the resumed runs, as the report has it, with C(live_revision), the revision of etcd when the
      first of them began; empty if there is none.
  returned: always
  type: dict
ansible_stats:
  description:
    - How the run ended, as M(ansible.builtin.set_stats) would set it, in the custom stat C(control_plane_outcome).
    - C(run_id), C(playbook), C(check_mode), C(result), C(failed_gate), C(failed_node), C(next_action), C(plan_hash),
      C(cluster), C(version_before), C(version_target), and in C(files) by name the paths of what was written.
  returned: with O(state=finished)
  type: dict
result:
  description: How the run stands.
  returned: always
  type: str
run:
  description: The part of the report that has this name, such as RV(run.failed_gate) and RV(run.next_action).
  returned: always
  type: dict
  contains:
    failed_gate: {description: Id of the gate that stopped the run., type: str, returned: always}
    failed_node: {description: The node it was about., type: str, returned: always}
    next_action: {description: What to do next., type: str, returned: always}
phase:
  description: The phase that began last.
  returned: always
  type: str
changes:
  description: What the run has changed so far, in one sentence.
  returned: always
  type: str
findings:
  description: What M(mixedversion.kubernetes.diagnose_info) and M(mixedversion.kubernetes.heal_peers) found so far.
  returned: always
  type: list
  elements: dict
remaining:
  description: Those of RV(findings) that were not repaired and are no mere warnings.
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["started", "running", "finished"], "default": "running"},
    "run_directory": {"type": "path"},
    "report_directory": {"type": "path"},
    "playbook": {"type": "str", "default": ""},
    "target": {"type": "str", "default": ""},
    "phase": {"type": "str"},
    "node": {"type": "str", "default": ""},
    "changed": {"type": "str"},
    "nodes": {"type": "list", "elements": "str"},
    "cluster": {"type": "dict"},
    "versions": {"type": "dict"},
    "proxies": {"type": "list", "elements": "dict"},
    "backup": {"type": "dict"},
    "result": {"type": "str", "choices": ["succeeded", "stopped", "failed"]},
    "hold": {"type": "bool", "default": False},
    "accepted_risks": {"type": "list", "elements": "dict", "default": []},
    "next_action": {"type": "str", "default": ""},
}


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.fail_json(msg="report works on the controller, through its action plug-in.")


if __name__ == "__main__":
    main()
