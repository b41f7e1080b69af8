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
  - Reads the unit's present C(ExecStart) and writes a drop-in that starts the same command with the flags added,
    replaced or taken out. The unit itself is not touched, and not restarted.
  - Where nothing is left that differs from the unit's own command, the drop-in is removed.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._flags
  - mixedversion.kubernetes._run
attributes:
  diff_mode:
    support: full
options:
  unit:
    description: The unit.
    type: str
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
import shlex
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _flags, _gate, _node


def exec_start(text: str) -> str:
    """The command in force in what C(systemctl cat) prints: the last one; an empty one takes back those before."""
    # A comment may stand between the lines of one command; systemd leaves it out.
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^[ \t]*[#;].*\n", "", text, flags=re.MULTILINE))
    found = ""
    for match in re.finditer(r"^ExecStart=(.*)$", joined, re.MULTILINE):
        found = match[1].strip()
    return found


def without(text: str, path: str) -> str:
    """What C(systemctl cat) prints, less the file *path*: each file there begins with its name as a comment."""
    kept, ours = [], False
    for line in text.splitlines(keepends=True):
        if line.startswith("# /"):
            ours = line.strip() == f"# {path}"
        if not ours:
            kept.append(line)
    return "".join(kept)


def with_flags(command: str, flags: t.Mapping[str, str | None]) -> str:
    """The command with each flag once, at its end, or taken out. Quoting in the rest is left as it is."""
    for name, value in flags.items():
        present = rf"\s--{re.escape(name)}(?:(?:=|\s+(?![-\s]))(\S*))?(?=\s|$)"
        if value is not None and re.findall(present, command) == [value]:
            continue
        command = re.sub(present, "", command)
        if value is not None:
            command += f" --{name}={value}"
    return command


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec({"unit": {"type": "str", "required": True}}, _flags.OPTIONS),
        supports_check_mode=True,
    )
    params = module.params
    unit = params["unit"]
    # After override.conf, which systemctl edit writes: the last ExecStart counts.
    path = f"/etc/systemd/system/{unit}.d/zz-mixedversion.conf"
    text = _node.output(module, "systemctl", "cat", unit)
    command = exec_start(text)
    if not command:
        module.fail_json(msg=f"systemd knows no ExecStart of {unit}. Expected the unit that runs the component.")
    present = _node.flag_pairs(shlex.split(command))
    wanted = with_flags(command, _flags.wanted(params, present))
    if wanted == command:
        module.exit_json(changed=False, path=path)
    before = _node.read(path)
    # Compared word by word: joining the unit's own lines left blanks of its own.
    obsolete = wanted.split() == exec_start(without(text, path)).split()
    after = "" if obsolete else f"# Written by mixedversion.kubernetes\n[Service]\nExecStart=\nExecStart={wanted}\n"
    if not module.check_mode:
        if obsolete:
            os.unlink(path)
            _node.sync_directory(os.path.dirname(path))
        else:
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
