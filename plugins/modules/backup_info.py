#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""List the backups there are, and verify the one that is to be restored."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: List backups and verify the one to restore
version_added: 0.1.0
description:
  - Lists the backup folders below O(directory) by their C(manifest.json), and chooses the newest verified one, or the
    one that O(backup) names.
  - Every file of the chosen backup is hashed and held against its manifest; a snapshot that is not encrypted must also
    have the SHA-256 that etcd appended to it. The gate C(backup_verified), which can't be accepted.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  directory:
    description: The folder with one folder for each run that backed up.
    type: path
    required: true
  backup:
    description: Run id below O(directory), or path of a backup's folder. Default is the newest verified backup.
    type: str
    default: ""
  inherit:
    description:
      - What the backup must be for a run to inherit it. One that is not whole or is another is then no failure; it is
        not inherited, and RV(inherited) and RV(reason) say so.
    type: dict
    suboptions:
      sha256:
        description: SHA-256 of the snapshot.
        type: str
        required: true
      cluster_uid:
        description: The cluster's uid.
        type: str
        required: true
      cluster_id:
        description: The etcd cluster's id.
        type: str
        required: true
      revision:
        description: The revision that it must not be older than.
        type: int
        required: true
  decrypted:
    description: The chosen backup's snapshot, decrypted, where it is encrypted; verified like one that is not.
    type: path
"""

EXAMPLES = r"""
- name: Find the newest verified backup
  mixedversion.kubernetes.backup_info:
    directory: ./control-plane/backups
  register: backups
"""

RETURN = r"""
backups:
  description: All of them, newest first.
  returned: always
  type: list
  elements: dict
  contains:
    path: {description: The folder., type: str, returned: always}
    run_id: {description: The run that made it., type: str, returned: always}
    taken: {description: When., type: str, returned: always}
    verified: {description: Whether it was proven then., type: bool, returned: always}
    cluster_uid: {description: Of which cluster; empty if its API did not say., type: str, returned: always}
path:
  description: The chosen backup's folder.
  returned: when there is one
  type: str
manifest:
  description: The chosen backup's manifest.
  returned: when there is one
  type: dict
snapshot:
  description: Path of its snapshot, still encrypted if the manifest says so.
  returned: when there is one
  type: str
age_seconds:
  description: How long ago it was taken.
  returned: when there is one
  type: int
inherited:
  description: Whether the backup is one to inherit.
  returned: with O(inherit)
  type: bool
reason:
  description: Why it is none; empty if it is.
  returned: with O(inherit)
  type: str
gates:
  description: The verdict on C(backup_verified); none where there is nothing to inherit.
  returned: always
  type: list
  elements: dict
"""

import datetime
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup, _gate, _snapshot


def choose(directory: str, backup: str, found: t.Sequence[_backup.Backup]) -> _backup.Backup:
    """The backup that is meant; :class:`_backup.BackupError` where there is none."""
    if backup:
        path = next((path for path in (os.path.join(directory, backup), backup) if os.path.isdir(path)), "")
        if not path:
            raise _backup.BackupError(f"{backup} is neither a backup below {directory} nor a folder")
        return _backup.load(os.path.realpath(path))
    verified = [entry for entry in found if entry.verified]
    if not verified:
        raise _backup.BackupError(f"there is no verified backup below {directory}, among {len(found)} backups")
    return verified[0]


def troubles(backup: _backup.Backup, decrypted: str) -> list[str]:
    """What does not fit between the files and the manifest; the snapshot's content only where it lies in the clear."""
    found = _backup.troubles(backup.path)
    plain = decrypted or ("" if backup.manifest.get("encrypted") else snapshot_path(backup))
    if plain and os.path.isfile(plain):
        check = _snapshot.check(plain)
        if check.trouble:
            found.append(f"the snapshot is not whole: {check.trouble}")
        elif check.sha256 != backup.manifest["snapshot"]["sha256"]:
            found.append("the snapshot does not have the SHA-256 of the manifest")
    elif not backup.manifest.get("encrypted"):
        found.append(f"{backup.manifest['snapshot']['file']} is missing")
    if not backup.verified:
        found.append("it was not verified when it was taken")
    return found


def strange(manifest: t.Mapping[str, t.Any], wanted: t.Mapping[str, t.Any]) -> list[str]:
    """What tells this backup from the one that is to be inherited; *wanted* is as the option ``inherit`` has it."""
    snapshot, cluster = manifest["snapshot"], manifest["cluster"]
    found = [
        f"its {name} is {has}, expected {wanted[key]}"
        for name, key, has in (
            ("sha256", "sha256", snapshot["sha256"]),
            ("cluster's uid", "cluster_uid", cluster["uid"]),
            ("etcd cluster", "cluster_id", cluster["etcd_cluster_id"]),
        )
        if str(has) != wanted[key]
    ]
    if int(snapshot["revision"]) < wanted["revision"]:
        found.append(
            f"its revision {snapshot['revision']} is older than {wanted['revision']}, with which that run began"
        )
    return found


def snapshot_path(backup: _backup.Backup) -> str:
    name = os.path.basename(backup.manifest["snapshot"]["file"])
    if backup.manifest.get("encrypted") and not name.endswith(_backup.ENCRYPTED):
        name += _backup.ENCRYPTED
    return os.path.join(backup.path, name)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "directory": {"type": "path", "required": True},
                "backup": {"type": "str", "default": ""},
                "decrypted": {"type": "path"},
                "inherit": {
                    "type": "dict",
                    "options": {
                        "sha256": {"type": "str", "required": True},
                        "cluster_uid": {"type": "str", "required": True},
                        "cluster_id": {"type": "str", "required": True},
                        "revision": {"type": "int", "required": True},
                    },
                },
            }
        ),
        supports_check_mode=True,
    )
    params = module.params
    gate = _gate.Gate(
        id="backup_verified",
        verdict=_gate.FAILED,
        observed="",
        expected="a backup whose files have the SHA-256 of its manifest, and a snapshot with the one etcd appended",
        next_action="Nothing was changed. Name another backup with control_plane_restore_backup.",
        acceptable=False,
    )
    found = _backup.listed(params["directory"])
    result: dict[str, t.Any] = {
        "backups": [
            {
                "path": b.path,
                "run_id": b.run_id,
                "taken": b.manifest["taken"],
                "verified": b.verified,
                "cluster_uid": b.cluster_uid,
            }
            for b in found
        ]
    }
    try:
        backup = choose(params["directory"], params["backup"], found)
        age = datetime.datetime.now(datetime.timezone.utc) - backup.taken
        result.update(
            path=backup.path,
            manifest=backup.manifest,
            snapshot=snapshot_path(backup),
            age_seconds=int(age.total_seconds()),
        )
        wrong = troubles(backup, params["decrypted"] or "")
        if params["inherit"]:
            wrong += strange(backup.manifest, params["inherit"])
        gate.observed = f"{backup.path}: " + ("; ".join(wrong) or f"{len(backup.manifest['files'])} files whole")
        gate.verdict = _gate.FAILED if wrong else _gate.PASSED
    except (OSError, _backup.BackupError, KeyError, TypeError, ValueError) as error:
        gate.observed = f"the manifest lacks {error}" if isinstance(error, KeyError) else str(error)
    if params["inherit"]:
        held = gate.verdict == _gate.PASSED
        result.update(inherited=held, reason="" if held else gate.observed)
        if held:
            manifest = result["manifest"]
            gate.observed = (
                f"inherited from run {manifest['run_id']}, which took it {manifest['taken']}: {gate.observed}, "
                f"revision {manifest['snapshot']['revision']}"
            )
        module.exit_json(changed=False, gates=[gate.dump()] if held else [], **result)
    module.exit_json(changed=False, gates=[gate.dump()], **result)


if __name__ == "__main__":
    main()
