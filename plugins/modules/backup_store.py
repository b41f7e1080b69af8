#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make a backup's folder of what was fetched, encrypted where asked for, with its manifest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_store
short_description: Make a backup's folder, with its manifest, of what was fetched
version_added: 0.1.0
description:
  - Works on the controller. Takes the files of a private folder, encrypts each with gpg if told to, writes
    C(manifest.json) beside them, reads each back, and gives the whole its name in one step.
  - What is not encrypted never lies under that name where O(recipient_file) is given.
  - The link C(latest) beside it then leads to the newest verified backup.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  path:
    description: The folder to make. The one above it is made with mode 0700.
    type: path
    required: true
  source:
    description: The folder with the files, C(snapshot.db) among them. On the same file system they are moved.
    type: path
  manifest:
    description: What the manifest shall say beside what is read from the files.
    type: dict
    default: {}
  expected:
    description: The SHA-256 that each file was made with, by its name in O(source).
    type: dict
    default: {}
  recipient_file:
    description: A public key that gpg encrypts to; empty for no encryption.
    type: str
    default: ""
  validate_only:
    description:
      - Only see whether O(path) could be made, with O(room_bytes) in it; and, with O(recipient_file), whether gpg is
        there and that holds a key that it can encrypt to.
    type: bool
    default: false
  room_bytes:
    description: What the folder has to have room for, with O(validate_only).
    type: int
    default: 0
  collection:
    description: Set by the action plug-in, the collection's version. Not meant for users.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Keep what was fetched
  mixedversion.kubernetes.backup_store:
    source: ./backups/.20261124T100000Z-0a1b.fetched
    path: ./backups/20261124T100000Z-0a1b
    manifest: {run_id: 20261124T100000Z-0a1b}
    recipient_file: backup.asc
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The backup's folder.
  returned: always
  type: str
snapshot:
  description: Where the snapshot lies in it.
  returned: when stored
  type: str
files:
  description: Each file but the manifest, with its SHA-256 and size as it lies there.
  returned: when stored
  type: list
  elements: dict
gates:
  description: The verdict on C(backup_verified).
  returned: when stored
  type: list
  elements: dict
"""

import json
import os
import shutil
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup, _gate, _node

#: A command and ``environ_update``; its exit code, output and errors, as ``AnsibleModule.run_command`` returns them.
Run = t.Callable[..., tuple[int, str, str]]


def encrypt(run: Run, source: str, target: str, recipient_file: str) -> None:
    """gpg with a key ring of its own, thrown away after: the user's is neither read nor written."""
    gpg = shutil.which("gpg")
    if not gpg:
        raise _backup.BackupError("gpg is not installed on the controller")
    with tempfile.TemporaryDirectory(prefix="mixedversion-gpg.") as home:
        alone = ["--batch", "--no-options", "--no-tty", "--homedir", home]
        code, dummy, told = run(
            [gpg, *alone, "--recipient-file", recipient_file, "--output", target, "--encrypt", source],
            environ_update={"GNUPGHOME": home, "LC_ALL": "C"},
        )
    if code or not os.path.exists(target):
        raise _backup.BackupError(f"gpg can't encrypt to {recipient_file}: {' '.join(told.split())[-300:]}")


def try_key(run: Run, recipient_file: str) -> None:
    """Encrypt a few bytes: gpg knows best what is a public key, not expired, and fit to encrypt to."""
    if not os.path.isfile(recipient_file):
        raise _backup.BackupError(f"{recipient_file} is no file")
    with tempfile.TemporaryDirectory(prefix="mixedversion-gpg.") as folder:
        source = os.path.join(folder, "try")
        with open(source, "wb") as file:
            file.write(b"try\n")
        encrypt(run, source, source + _backup.ENCRYPTED, recipient_file)


def try_folder(path: str, room_bytes: int) -> None:
    """See, without a write, whether a folder could be made at *path*, and hold *room_bytes*."""
    there = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(there):
        there = os.path.dirname(there)
    # Root may write anywhere but on what is mounted read-only, and that is told as well.
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        raise _backup.BackupError(f"{there} can't be written")
    status = os.statvfs(there)
    free = status.f_bavail * status.f_frsize
    if free < room_bytes:
        raise _backup.BackupError(f"{there} has {free} bytes free, and etcd's database alone has {room_bytes}")


def take(source: str, target: str) -> None:
    """Move a file, or copy it from another file system; readable by its owner alone."""
    shutil.move(source, target)
    os.chmod(target, 0o600)


def sync(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def store(run: Run, params: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Build the folder beside its final name, prove every file in it, and rename it."""
    path, source, recipient = params["path"], params["source"], params["recipient_file"]
    directory = os.path.dirname(os.path.normpath(path))
    os.makedirs(directory, mode=0o700, exist_ok=True)
    part = os.path.join(directory, f".{os.path.basename(path)}.part")
    shutil.rmtree(part, ignore_errors=True)
    os.mkdir(part, mode=0o700)
    try:
        files: list[dict[str, t.Any]] = []
        snapshot: dict[str, t.Any] = {}
        for name in sorted(os.listdir(source)):
            plain = os.path.join(source, name)
            digest, size = _backup.sha256_of(plain)
            wanted = params["expected"].get(name, digest)
            if digest != wanted:
                raise _backup.BackupError(f"{name} arrived with sha256 {digest}, it was made with {wanted}")
            kept = name + (_backup.ENCRYPTED if recipient else "")
            if name == _backup.SNAPSHOT:
                snapshot = {"file": kept, "sha256": digest, "size_bytes": size}
            if recipient:
                encrypt(run, plain, os.path.join(part, kept), recipient)
                os.chmod(os.path.join(part, kept), 0o600)
                digest, size = _backup.sha256_of(os.path.join(part, kept))
            else:
                take(plain, os.path.join(part, kept))
            sync(os.path.join(part, kept))
            files.append({"file": kept, "sha256": digest, "size_bytes": size})
        lacking = sorted(
            {*params["expected"], _backup.SNAPSHOT} - {f["file"].removesuffix(_backup.ENCRYPTED) for f in files}
        )
        if lacking:
            raise _backup.BackupError(f"{', '.join(lacking)} did not arrive")
        given = dict(params["manifest"])
        manifest = {
            "schema_version": _backup.SCHEMA_VERSION,
            **given,
            "snapshot": {**snapshot, **given.get("snapshot", {})},
            "versions": {**given.get("versions", {}), "collection": params["collection"]},
            "files": files,
            "encrypted": bool(recipient),
        }
        _node.replace(os.path.join(part, _backup.MANIFEST), json.dumps(manifest, indent=2) + "\n", 0o600)
        wrong = _backup.troubles(part)
        if wrong:
            raise _backup.BackupError("; ".join(wrong))
        _node.sync_directory(part)
        os.rename(part, path)
        _node.sync_directory(directory)
        _backup.point_latest(directory)
        return files
    finally:
        shutil.rmtree(part, ignore_errors=True)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "path": {"type": "path", "required": True},
                "source": {"type": "path"},
                "manifest": {"type": "dict", "default": {}},
                "expected": {"type": "dict", "default": {}},
                "recipient_file": {"type": "str", "default": ""},
                "validate_only": {"type": "bool", "default": False},
                "room_bytes": {"type": "int", "default": 0},
                "collection": {"type": "str", "default": ""},
            }
        ),
        required_if=[("validate_only", False, ("source",))],
        supports_check_mode=True,
    )
    params = module.params
    if params["validate_only"]:
        try:
            try_folder(params["path"], params["room_bytes"])
        except _backup.BackupError as error:
            module.fail_json(
                msg=f"The backup can't be kept: {error}. Expected a folder on the controller that can be written and "
                "has room for it. Nothing was changed. Make room, or set control_plane_backup_directory."
            )
        try:
            if params["recipient_file"]:
                try_key(module.run_command, params["recipient_file"])
        except _backup.BackupError as error:
            module.fail_json(
                msg=f"The backup can't be encrypted: {error}. Expected gpg, and the public key of who shall be able to "
                "read it. Nothing was changed. Mend that, or leave control_plane_backup_gpg_recipient_file out."
            )
        module.exit_json(changed=False, path=params["path"])
    if module.check_mode:
        module.exit_json(changed=True, path=params["path"])
    gate = _gate.Gate(
        id="backup_verified",
        node=params["node"],
        verdict=_gate.PASSED,
        observed="",
        expected="each file on the controller with the SHA-256 that it was made with",
        next_action="Mend what was observed and start again; no upgrade begins without a backup.",
        acceptable=False,
    )
    files: list[dict[str, t.Any]] = []
    with gate.judged(OSError, _backup.BackupError):
        files = store(module.run_command, params)
        gate.observed = (
            f"{params['path']}: {len(files)} files, {sum(f['size_bytes'] for f in files)} bytes, as made"
            + (", encrypted" if params["recipient_file"] else "")
        )
    held = gate.verdict == _gate.PASSED
    snapshot = _backup.SNAPSHOT + (_backup.ENCRYPTED if params["recipient_file"] else "")
    module.exit_json(
        changed=held,
        path=params["path"],
        snapshot=os.path.join(params["path"], snapshot) if held else "",
        files=files,
        gates=[gate.dump()],
    )


if __name__ == "__main__":
    main()
