#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check a snapshot of etcd, with etcdutl's help where there is one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot_info
short_description: Check a snapshot file of etcd
version_added: 0.1.0
description:
  - Reads a snapshot and holds it against the SHA-256 that etcd appended to it. With O(etcdutl) its pages are walked and
    its keys counted as well, and its revision is read. The gate C(backup_verified), which can't be accepted.
  - Runs wherever the file is, mostly on the controller. Reads keys and values no further than to hash them.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  path:
    description: The snapshot.
    type: path
    required: true
  etcdutl:
    description: An etcdutl, for the proofs that need one. What it prints is judged, never its exit code alone.
    type: path
    default: ""
  revision:
    description:
      - The revision that the snapshot must have at least, such as the live one when it was begun.
      - Only O(etcdutl) can read it; without one it is no proof.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: See that the copy is whole
  mixedversion.kubernetes.etcd_snapshot_info:
    path: backups/20261124T102000Z-1f2e/snapshot.db
    etcdutl: /usr/local/bin/etcdutl
    revision: 48213
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
sha256:
  description: SHA-256 of the whole file.
  returned: when it can be read
  type: str
size_bytes:
  description: Size of the file.
  returned: when it can be read
  type: int
proofs:
  description: What was proven, of V(sha256_trailer), V(etcdutl_status) and V(revision).
  returned: always
  type: list
  elements: str
total_keys:
  description: How many keys it holds, as etcdutl counts them; null without one.
  returned: always
  type: int
status:
  description: What etcdutl says of it; null without one.
  returned: always
  type: dict
  contains:
    revision:
      description: The store's revision.
      returned: success
      type: int
    hash:
      description: etcdutl's own hash of the store.
      returned: success
      type: int
gates:
  description: The verdict on C(backup_verified).
  returned: always
  type: list
  elements: dict
"""

import dataclasses
import json
import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _node, _snapshot


@dataclasses.dataclass(frozen=True)
class Status:
    """``etcdutl -w json snapshot status``; sizes are bytes, without the SHA-256 at the end."""

    hash: int
    revision: int
    total_keys: int
    size_bytes: int


def parse(text: str) -> Status:
    """What etcdutl printed, or a ValueError. Source: ``etcdutl/snapshot/v3_snapshot.go`` (Status)."""
    try:
        document = json.loads(text)
        return Status(*(int(document[name]) for name in ("hash", "revision", "totalKey", "totalSize")))
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError("etcdutl told no status of it") from error


def status(module: AnsibleModule, etcdutl: str, path: str) -> Status:
    """Ask etcdutl. It walks the pages first, and ends by a panic where they are torn.

    Its words are not passed on: of a value that it can't read it prints the value, which may be a Secret.
    """
    if not _node.usable(etcdutl):
        raise ValueError(f"{etcdutl} is no command that can be run")
    code, text, dummy = module.run_command([etcdutl, "--write-out=json", "snapshot", "status", path])
    if code:
        raise ValueError(f"etcdutl refuses it, with exit code {code}; `etcdutl snapshot status` by hand tells why")
    return parse(text)


def judge(found: _snapshot.Check, told: Status | None, revision: int) -> tuple[list[str], str]:
    """What is proven, and what is the trouble; empty if there is none."""
    if found.trouble:
        return [], found.trouble
    proofs = ["sha256_trailer"]
    if not told:
        return proofs, ""
    if told.size_bytes != found.size_bytes - _snapshot.TRAILER_BYTES:
        return proofs, f"its database says that it has {told.size_bytes} bytes, and the file has {found.size_bytes}"
    proofs.append("etcdutl_status")
    if revision:
        if told.revision < revision:
            return proofs, f"its revision {told.revision} is older than {revision}, the live one when it was begun"
        proofs.append("revision")
    return proofs, ""


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "path": {"type": "path", "required": True},
                "etcdutl": {"type": "path", "default": ""},
                "revision": {"type": "int", "default": 0},
            }
        ),
        supports_check_mode=True,
    )
    params = module.params
    path = params["path"]
    begun = time.monotonic()
    proofs: list[str] = []
    told: Status | None = None
    result: dict[str, t.Any] = {}
    try:
        found = _snapshot.check(path)
        result = {"sha256": found.sha256, "size_bytes": found.size_bytes}
        # Only one that is whole: of another etcdutl's words would tell less.
        if params["etcdutl"] and not found.trouble:
            told = status(module, params["etcdutl"], os.path.abspath(path))
        proofs, trouble = judge(found, told, params["revision"])
    except OSError as error:
        trouble = f"it can't be read: {error}"
    except ValueError as error:
        proofs, trouble = ["sha256_trailer"], str(error)
    words = f"{path}: {', '.join(proofs)}" + (f"; {told.total_keys} keys, revision {told.revision}" if told else "")
    gate = _gate.Gate(
        id="backup_verified",
        node=params["node"],
        verdict=_gate.FAILED if trouble else _gate.PASSED,
        observed=f"{path}: {trouble}" if trouble else words,
        expected="a whole snapshot, with the SHA-256 that etcd appended"
        + (", that etcdutl reads" if params["etcdutl"] else "")
        + (f", of revision {params['revision']} or later" if params["etcdutl"] and params["revision"] else ""),
        next_action="Do not rely on this file. Take a new snapshot, or name another one.",
        acceptable=False,
        elapsed_seconds=round(time.monotonic() - begun, 3),
    )
    module.exit_json(
        changed=False,
        path=path,
        proofs=proofs,
        total_keys=told.total_keys if told else None,
        status={"revision": told.revision, "hash": told.hash} if told else None,
        gates=[gate.dump()],
        **result,
    )


if __name__ == "__main__":
    main()
