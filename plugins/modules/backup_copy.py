#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copy a backup into a further folder, and prove the copy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_copy
short_description: Copy a backup into a further folder and prove the copy
version_added: 0.1.0
description:
  - Works on the controller. The copy gets its name only after each of its files was read back and found to have the
    SHA-256 that the manifest tells.
  - The link C(latest) beside it then leads to the newest verified backup there.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  path:
    description: The backup's folder.
    type: path
    required: true
  directory:
    description: The folder that the copy's folder is made in; it is made with mode 0700 if it is not there.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Keep a copy on the share
  mixedversion.kubernetes.backup_copy:
    path: ./backups/20261124T100000Z-0a1b
    directory: /srv/backups
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The copy's folder.
  returned: always
  type: str
gates:
  description: The verdict on C(backup_verified).
  returned: always
  type: list
  elements: dict
"""

import os
import shutil
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup, _gate, _node


def copy(path: str, directory: str) -> str:
    """Copy to a temporary name, prove each file, rename; the copy's folder."""
    name = os.path.basename(os.path.normpath(path))
    target, part = os.path.join(directory, name), os.path.join(directory, f".{name}.part")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    shutil.rmtree(part, ignore_errors=True)
    os.mkdir(part, mode=0o700)
    try:
        for entry in [*_backup.load(path).manifest["files"], {"file": _backup.MANIFEST}]:
            kept = os.path.join(part, entry["file"])
            with open(os.path.join(path, entry["file"]), "rb") as source:
                handle = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
        wrong = _backup.troubles(part)
        if wrong:
            raise _backup.BackupError("; ".join(wrong))
        _node.sync_directory(part)
        os.rename(part, target)
        _node.sync_directory(directory)
        _backup.point_latest(directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {"path": {"type": "path", "required": True}, "directory": {"type": "path", "required": True}}
        ),
        supports_check_mode=True,
    )
    params = module.params
    target = os.path.join(params["directory"], os.path.basename(os.path.normpath(params["path"])))
    if module.check_mode:
        module.exit_json(changed=True, path=target, gates=[])
    gate = _gate.Gate(
        id="backup_verified",
        node=params["node"],
        verdict=_gate.PASSED,
        observed=f"{target}: each file as its manifest tells",
        expected=f"a copy below {params['directory']}, each file with the SHA-256 that the manifest tells",
        next_action=f"The backup itself is at {params['path']}. Mend the folder named, or take it out of "
        "control_plane_backup_copies, and start again.",
        acceptable=False,
    )
    with gate.judged(OSError, _backup.BackupError):
        copy(params["path"], params["directory"])
    module.exit_json(changed=gate.verdict == _gate.PASSED, path=target, gates=[gate.dump()])


if __name__ == "__main__":
    main()
