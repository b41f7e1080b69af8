#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take a snapshot of etcd, and prove that it is whole."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot
short_description: Take an etcd snapshot and verify it
version_added: 0.1.0
description:
  - Streams a snapshot of the member on this node through the JSON gateway to a file, with constant memory and without
    an etcd tool; byte for byte what C(etcdctl snapshot save) writes.
  - The file gets its name only after its content has been read back and found to have the SHA-256 that etcd appended
    to it. The gate C(backup_verified), which can't be accepted.
  - A snapshot holds every Secret of the cluster. It is written with mode 0600.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
  - mixedversion.kubernetes._run.etcd
options:
  path:
    description: The file to write. Its folder is made with mode 0700.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Back etcd up
  mixedversion.kubernetes.etcd_snapshot:
    path: /var/lib/mixedversion-kubernetes/backup/snapshot.db
"""

RETURN = r"""
sha256:
  description: SHA-256 of the whole file.
  returned: success
  type: str
size_bytes:
  description: Size of the file.
  returned: success
  type: int
revision:
  description: The store's revision just before the snapshot was begun; the snapshot holds this revision or a later one.
  returned: success
  type: int
cluster_id:
  description: The cluster it is of.
  returned: success
  type: str
gates:
  description: The verdict on C(backup_verified).
  returned: always
  type: list
  elements: dict
"""

import contextlib
import os
import shutil
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _gate, _node


def write(gateway: _etcd.Gateway, path: str, timeout: float) -> None:
    """Stream the snapshot to *path*, which only its owner can read, and sync it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        for blob, dummy in gateway.snapshot(timeout):
            file.write(blob)
        file.flush()
        os.fsync(file.fileno())


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(_etcd.OPTIONS, {"path": {"type": "path", "required": True}}),
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=True)
    path, part = params["path"], params["path"] + ".part"
    gate = _gate.Gate(
        id="backup_verified",
        node=params["node"],
        verdict=_gate.PASSED,
        observed="",
        expected="a snapshot of this cluster, complete, with the SHA-256 that etcd appended",
        next_action="Nothing was changed. Mend what was observed and start again; no upgrade begins without a backup.",
        acceptable=False,
    )
    result: dict[str, t.Any] = {}
    begun = time.monotonic()
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.chmod(os.path.dirname(path), 0o700)
        gateway = _etcd.Gateway.from_params(params)
        status = gateway.status()
        free = shutil.disk_usage(os.path.dirname(path)).free
        if free < 2 * status.size_bytes:
            raise OSError(
                f"{free // 2**20} MiB free at {os.path.dirname(path)}, {2 * status.size_bytes // 2**20} MiB wanted"
            )
        write(gateway, part, params["timeout"])
        check = _etcd.check_snapshot(part)
        if check.trouble:
            raise _etcd.EtcdError(f"the snapshot is not whole: {check.trouble}")
        os.replace(part, path)
        _node.sync_directory(os.path.dirname(path))
        result = {
            "sha256": check.sha256,
            "size_bytes": check.size_bytes,
            "revision": status.revision,
            "cluster_id": status.cluster_id,
        }
        gate.observed = f"{check.size_bytes} bytes, sha256 {check.sha256}, revision {status.revision} or later"
    except (OSError, _etcd.EtcdError) as error:
        gate.verdict, gate.observed = _gate.FAILED, str(error)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
    gate.elapsed_seconds = round(time.monotonic() - begun, 3)
    module.exit_json(changed=gate.verdict == _gate.PASSED, path=path, gates=[gate.dump()], **result)


if __name__ == "__main__":
    main()
