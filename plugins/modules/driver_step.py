#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run the command that changes a node as a transient unit that outlives the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: driver_step
short_description: Run a node's upgrade command as a transient systemd unit
version_added: 0.1.0
description:
  - Starts O(command) as the unit C(mixedversion-NAME.service), with its output and its exit code in files below
    C(/var/lib/mixedversion-kubernetes/steps). A killed controller does not kill it, and the next start attaches to it.
  - Refuses to start unless O(run_directory)'s journal shows, from this very run, that the gates in O(evidence) held;
    and, after a step on another node, that the cluster converged and the proxied reads were proven since.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  name:
    description: Name of the step; one unit of a name runs at a time.
    type: str
    required: true
  command:
    description:
      - The command and its arguments. No secret may be among them.
      - Required but with O(attach_only) and O(evidence_only).
    type: list
    elements: str
  evidence:
    description: Gates that must have held in this run. Those of one node count for that node only.
    type: list
    elements: str
    default: []
  attach_only:
    description:
      - Start nothing. Wait until what runs under O(name) has ended, however it ends.
    type: bool
    default: false
  evidence_only:
    description:
      - Start nothing. Demand O(evidence), and have the journal say that the step of O(name) begins; the tasks that
        follow take it.
    type: bool
    default: false
  run_id:
    description: The run that the unit says it belongs to. Default is the run of O(run_directory).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Upgrade the control plane of this node
  mixedversion.kubernetes.driver_step:
    run_directory: "{{ run_directory }}"
    name: kubeadm-upgrade
    command: [kubeadm, upgrade, node]
    evidence: [lock, backup_verified, quorum_after_step]
"""

RETURN = r"""
attached:
  description: Whether the unit ran already when this run came to it.
  returned: always
  type: bool
output:
  description: The last lines of its output.
  returned: always
  type: list
  elements: str
exit_code:
  description: Its exit code.
  returned: when it ended
  type: int
"""

import os
import re
import shutil
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _node

#: $0 is the step's folder. The exit code is renamed into place, so that it is whole or not there.
SCRIPT = (
    '"$@" >"$0/output" 2>&1 </dev/null; code=$?; '
    'echo "$code" >"$0/exit.part"; mv "$0/exit.part" "$0/exit"; exit "$code"'
)
TAIL_LINES = 25
#: How kubeadm, and most others, begin a line that says why; what surrounds it may be pages of a kernel's options.
REASON = re.compile(r"\s*(\[ERROR |[Ee]rror: )")


class Step:
    """One named step on this node."""

    def __init__(self, module: AnsibleModule, name: str) -> None:
        self._module = module
        self.unit = f"mixedversion-{name}.service"
        self.folder = f"{_node.STATE_DIRECTORY}/steps/{name}"

    def active(self) -> bool:
        return _node.output(self._module, "systemctl", "show", "--property=ActiveState", "--value", self.unit) in (
            "active",
            "activating",
            "deactivating",
            "reloading",
        )

    def exit_code(self) -> int | None:
        text = _node.read(f"{self.folder}/exit").strip()
        return int(text) if text.isdigit() else None

    def output(self) -> list[str]:
        # kubeadm colours the options of a kernel whether or not there is a terminal.
        return _node.uncoloured(_node.read(f"{self.folder}/output")).splitlines()

    def tail(self) -> list[str]:
        return self.output()[-TAIL_LINES:]

    def reasons(self) -> str:
        """The lines of its output that say why it failed, in one."""
        return "; ".join(line.strip() for line in self.output() if REASON.match(line))[:1000]

    def start(self, command: list[str], run_id: str) -> None:
        """Start anew; what the step of this name left before is kept once."""
        if os.path.isdir(self.folder):
            shutil.rmtree(f"{self.folder}.previous", ignore_errors=True)
            os.rename(self.folder, f"{self.folder}.previous")
        os.makedirs(self.folder, mode=0o700)
        code, dummy, words = self._module.run_command(
            [
                "systemd-run",
                f"--unit={self.unit}",
                f"--description={_node.STEP_OF_RUN}{run_id}",
                "--collect",
                "--property=Type=exec",
                "--property=UMask=0077",
                "--setenv=HOME=/root",
                f"--setenv=PATH={os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}",
                "/bin/sh",
                "-c",
                SCRIPT,
                self.folder,
                *command,
            ]
        )
        if code:
            self._module.fail_json(
                msg=f"The unit {self.unit} could not be started: {words.strip()}. Nothing was changed."
            )


def progress(step: Step) -> str:
    """The last line that says what is done, in a width that fits a terminal."""
    lines = [line for line in step.tail() if line.strip()]
    told = [line for line in lines if line.startswith("[")] or lines
    return told[-1][:140] if told else "started"


def look(step: Step) -> _gate.Sample:
    code = step.exit_code()
    if code is not None and not step.active():
        return _gate.Sample(True, f"exit code {code}", final=True, data=code)
    if code is None and not step.active():
        # Between the two looks the unit may have ended properly.
        code = step.exit_code()
        ended = "no exit code: it was killed, or the node was restarted" if code is None else f"exit code {code}"
        return _gate.Sample(False, ended, final=True, data=code)
    return _gate.Sample(False, progress(step))


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "name": {"type": "str", "required": True},
                "command": {"type": "list", "elements": "str"},
                "evidence": {"type": "list", "elements": "str", "default": []},
                "attach_only": {"type": "bool", "default": False},
                "evidence_only": {"type": "bool", "default": False},
                "run_id": {"type": "str", "default": ""},
            }
        ),
        supports_check_mode=True,
    )
    params = module.params
    if params["evidence_only"]:
        # What is asked for was there, or the action would have refused; what changes the node comes after this task.
        module.exit_json(changed=True, attached=False, output=[])
    if not params["attach_only"] and params["command"] is None:
        module.fail_json(msg="command is missing, expected it but with attach_only or evidence_only.")
    step = Step(module, params["name"])
    memory = dict((params["slice"] or {}).get("memory") or {})
    lasting = _gate.LASTING if memory else _gate.AT_ONCE
    if module.check_mode:
        module.exit_json(changed=not params["attach_only"], attached=False, output=[], command=params["command"])
    if "attached" not in memory:
        memory["attached"] = step.active()
        if not memory["attached"]:
            if params["attach_only"]:
                module.exit_json(changed=False, attached=False, output=step.tail())
            step.start(params["command"], params["run_id"])
    waited = _gate.wait(lambda: look(step), params, lasting)
    if waited.pending:
        module.exit_json(**_gate.pending(waited, memory))
    result = {"attached": memory["attached"], "output": step.tail(), "changed": True}
    words = "\n".join(result["output"])
    if waited.timed_out:
        module.fail_json(
            msg=f"{step.unit} still runs after {params['timeout']:.0f} s; it was not stopped. Last output:\n{words}\n"
            "Start the playbook again: it attaches to the unit.",
            **result,
        )
    code = waited.sample.data
    if params["attach_only"]:
        # What the node is now is read from the node.
        module.exit_json(**{**result, "changed": False}, **({} if code is None else {"exit_code": code}))
    if code != 0:
        reasons = step.reasons()
        module.fail_json(
            msg=f"{' '.join(params['command'])} ended with {waited.sample.progress}"
            f"{': ' if reasons else ''}{reasons}. Output is in {step.folder}/output:\n{words}",
            exit_code=code,
            **result,
        )
    module.exit_json(exit_code=code, **result)


if __name__ == "__main__":
    main()
