#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove old backups of one cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_prune
short_description: Remove old backups of one cluster
version_added: 0.1.0
description:
  - Works on the controller. What is beyond the newest O(keep), or older than O(keep_days), goes.
  - Never the newest verified backup, never the one of O(run_id), nothing of another cluster, and no folder whose
    C(manifest.json) is missing or can't be read.
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
  directories:
    description: The folders that hold a folder for each backup. Each is judged by itself.
    type: list
    elements: path
    required: true
  cluster_uid:
    description: The cluster whose backups are looked at, by the uid of its namespace C(kube-system).
    type: str
    required: true
  run_id:
    description: The run whose backup stays.
    type: str
    required: true
  keep:
    description: How many stay. 0 for all.
    type: int
    default: 10
  keep_days:
    description: How old they may get. 0 for any age.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Keep ten backups, and none longer than a quarter of a year
  mixedversion.kubernetes.backup_prune:
    directories: [./backups]
    cluster_uid: 5f0a7a0b-27d4-4a64-8f4b-8a9f5d2c3e11
    run_id: 20261124T100000Z-0a1b
    keep: 10
    keep_days: 92
  delegate_to: localhost
"""

RETURN = r"""
removed:
  description: The folders that were removed, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

import datetime
import os
import shutil
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup, _gate


def remove(path: str) -> None:
    """Under a hidden name first: what is half removed is no backup any more, and looks like none."""
    away = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.removed")
    os.rename(path, away)
    shutil.rmtree(away)


def pretended(run_id: str, cluster_uid: str, now: datetime.datetime) -> _backup.Backup:
    """The backup that a dry run does not take, so that what it pushes out is told."""
    manifest = {"run_id": run_id, "taken": now.isoformat(), "cluster": {"uid": cluster_uid}, "verified": True}
    return _backup.Backup("", manifest)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "directories": {"type": "list", "elements": "path", "required": True},
                "cluster_uid": {"type": "str", "required": True},
                "run_id": {"type": "str", "required": True},
                "keep": {"type": "int", "default": 10},
                "keep_days": {"type": "int", "default": 0},
            }
        ),
        supports_check_mode=True,
    )
    params = module.params
    if params["keep"] < 0 or params["keep_days"] < 0:
        module.fail_json(
            msg=f"keep is {params['keep']} and keep_days {params['keep_days']}, expected 0 or more. "
            "Nothing was removed. Correct them."
        )
    now = datetime.datetime.now(datetime.timezone.utc)
    removed: list[str] = []
    for directory in params["directories"]:
        backups = _backup.listed(directory)
        if module.check_mode and params["run_id"] not in [backup.run_id for backup in backups]:
            backups.append(pretended(params["run_id"], params["cluster_uid"], now))
        for backup in _backup.superfluous(
            backups, params["cluster_uid"], params["run_id"], params["keep"], params["keep_days"], now
        ):
            try:
                if not module.check_mode:
                    remove(backup.path)
            except OSError as error:
                module.fail_json(
                    msg=f"{backup.path} can't be removed: {error}. The new backup is whole; "
                    "remove the old one by hand.",
                    removed=removed,
                )
            removed.append(backup.path)
    diff = {"before": "".join(f"{path}\n" for path in removed), "after": ""}
    module.exit_json(changed=bool(removed), removed=removed, diff=diff)


if __name__ == "__main__":
    main()
