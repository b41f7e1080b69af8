#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Give a component that systemd runs further flags, by a drop-in of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_flags
short_description: Set flags of a component that systemd runs
version_added: 0.1.0
description:
  - Reads the unit's present C(ExecStart) and writes a drop-in that starts the same command with the flags added or
    replaced. The unit itself is not touched, and not restarted.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
attributes:
  diff_mode:
    support: full
options:
  unit:
    description: The unit.
    type: str
    required: true
  flags:
    description: Flags, without dashes, that the component shall have.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Give the server the CA of its peers
  mixedversion.kubernetes.unit_flags:
    unit: kube-apiserver.service
    flags:
      peer-ca-file: /etc/kubernetes/pki/ca.crt
"""

RETURN = r"""
path:
  description: The drop-in.
  returned: always
  type: str
"""

import os
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _node


def exec_start(text: str) -> str:
    """The command in force in what C(systemctl cat) prints: the last one; an empty one takes back those before."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found = ""
    for match in re.finditer(r"^ExecStart=(.*)$", joined, re.MULTILINE):
        found = match[1].strip()
    return found


def with_flags(command: str, flags: t.Mapping[str, str]) -> str:
    """The command with each flag once, at its end. Quoting in the rest is left as it is."""
    for name, value in flags.items():
        present = rf"\s--{re.escape(name)}(?:=(\S*))?(?=\s|$)"
        if re.findall(present, command) == [str(value)]:
            continue
        command = re.sub(present, "", command)
        command += f" --{name}={value}"
    return command


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {"unit": {"type": "str", "required": True}, "flags": {"type": "dict", "required": True}}
        ),
        supports_check_mode=True,
    )
    params = module.params
    unit = params["unit"]
    command = exec_start(_node.output(module, "systemctl", "cat", unit))
    if not command:
        module.fail_json(msg=f"systemd knows no ExecStart of {unit}. Expected the unit that runs the component.")
    path = f"/etc/systemd/system/{unit}.d/50-mixedversion.conf"
    wanted = with_flags(command, params["flags"])
    if wanted == command:
        module.exit_json(changed=False, path=path)
    before = _node.read(path)
    after = f"# Written by mixedversion.kubernetes\n[Service]\nExecStart=\nExecStart={wanted}\n"
    if not module.check_mode:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        _node.replace(path, after, 0o644)
        code, dummy, words = module.run_command(["systemctl", "daemon-reload"])
        if code:
            module.fail_json(msg=f"{path} was written, but systemd could not read it: {words}")
    module.exit_json(
        changed=True,
        path=path,
        diff={"before": before, "after": after, "before_header": path, "after_header": path},
    )


if __name__ == "__main__":
    main()
