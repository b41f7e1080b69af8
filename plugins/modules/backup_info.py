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
gates:
  description: The verdict on C(backup_verified).
  returned: always
  type: list
  elements: dict
"""

import datetime
import hashlib
import json
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _snapshot

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1


class BackupError(Exception):
    """No backup to restore; the text says what was observed."""


def read_manifest(folder: str) -> dict[str, t.Any]:
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise BackupError(f"{path} can't be read: {error}") from error
    if not isinstance(found, dict) or found.get("schema_version") != SCHEMA_VERSION:
        raise BackupError(f"{path} is not a backup's manifest of schema version {SCHEMA_VERSION}")
    return found


def backups(directory: str) -> list[dict[str, t.Any]]:
    """All backups, newest first; what has no manifest that can be read is none."""
    found = []
    for entry in os.scandir(directory) if os.path.isdir(directory) else []:
        if entry.is_symlink() or not entry.is_dir():
            continue
        try:
            found.append((entry.path, read_manifest(entry.path)))
        except BackupError:
            continue
    return [
        {
            "path": path,
            "run_id": manifest["run_id"],
            "taken": manifest["taken"],
            "verified": bool(manifest.get("verified")),
        }
        for path, manifest in sorted(found, key=lambda item: str(item[1]["taken"]), reverse=True)
    ]


def choose(directory: str, backup: str, found: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """The folder of the backup that is meant."""
    if backup:
        path = next((path for path in (os.path.join(directory, backup), backup) if os.path.isdir(path)), "")
        if not path:
            raise BackupError(f"{backup} is neither a backup below {directory} nor a folder")
        return os.path.realpath(path)
    verified = [entry for entry in found if entry["verified"]]
    if not verified:
        raise BackupError(f"there is no verified backup below {directory}, among {len(found)} backups")
    return str(verified[0]["path"])


def sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def troubles(folder: str, manifest: t.Mapping[str, t.Any], decrypted: str) -> list[str]:
    """What does not fit between the files and the manifest."""
    found = []
    for entry in manifest["files"]:
        # A name with a folder in it would be no file of this backup.
        path = os.path.join(folder, os.path.basename(entry["file"]))
        if not os.path.isfile(path):
            found.append(f"{entry['file']} is missing")
        elif sha256(path) != entry["sha256"]:
            found.append(f"{entry['file']} does not have the SHA-256 of the manifest")
    plain = decrypted or ("" if manifest.get("encrypted") else snapshot_path(folder, manifest))
    if plain and os.path.isfile(plain):
        check = _snapshot.check(plain)
        if check.trouble:
            found.append(f"the snapshot is not whole: {check.trouble}")
        elif check.sha256 != manifest["snapshot"]["sha256"]:
            found.append("the snapshot does not have the SHA-256 of the manifest")
    elif not manifest.get("encrypted"):
        found.append(f"{manifest['snapshot']['file']} is missing")
    if not manifest.get("verified"):
        found.append("it was not verified when it was taken")
    return found


def snapshot_path(folder: str, manifest: t.Mapping[str, t.Any]) -> str:
    name = os.path.basename(manifest["snapshot"]["file"])
    if manifest.get("encrypted") and not name.endswith(".gpg"):
        name += ".gpg"
    return os.path.join(folder, name)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "directory": {"type": "path", "required": True},
                "backup": {"type": "str", "default": ""},
                "decrypted": {"type": "path"},
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
    found = backups(params["directory"])
    result: dict[str, t.Any] = {"backups": found}
    try:
        folder = choose(params["directory"], params["backup"], found)
        manifest = read_manifest(folder)
        taken = datetime.datetime.fromisoformat(manifest["taken"].replace("Z", "+00:00"))
        age = datetime.datetime.now(datetime.timezone.utc) - taken
        result.update(
            path=folder,
            manifest=manifest,
            snapshot=snapshot_path(folder, manifest),
            age_seconds=int(age.total_seconds()),
        )
        wrong = troubles(folder, manifest, params["decrypted"] or "")
        gate.observed = f"{folder}: " + ("; ".join(wrong) or f"{len(manifest['files'])} files whole")
        gate.verdict = _gate.FAILED if wrong else _gate.PASSED
    except (OSError, BackupError, KeyError, TypeError, ValueError) as error:
        gate.observed = f"the manifest lacks {error}" if isinstance(error, KeyError) else str(error)
    module.exit_json(changed=False, gates=[gate.dump()], **result)


if __name__ == "__main__":
    main()
