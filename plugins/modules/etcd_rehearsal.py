#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restore a snapshot into a throw-away etcd, and count what is in it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_rehearsal
short_description: Rehearse the restore of an etcd snapshot in a throw-away etcd
version_added: 0.1.0
description:
  - Restores the snapshot into a scratch folder, starts an etcd on it, and counts keys; no value is read.
  - That etcd listens on sockets in a folder that only the user who runs the module can enter, and on no port.
  - All of it is removed, however the module ends; what a killed one left, the next one removes.
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
    description: Path of etcdutl.
    type: path
    required: true
  etcd:
    description: Path of etcd, of the snapshot's minor or a later one. Default is the one beside O(etcdutl).
    type: path
  directory:
    description: Where the scratch folder is made, on a file system with room for the snapshot and 128 MiB.
    type: path
"""

EXAMPLES = r"""
- name: Rehearse the restore
  mixedversion.kubernetes.etcd_rehearsal:
    path: ./control-plane/backups/latest/snapshot.db
    etcdutl: /opt/etcd/etcdutl
"""

RETURN = r"""
total_keys:
  description: Number of keys below C(/registry/).
  returned: success
  type: int
resources:
  description: Number of keys of some resources.
  returned: success
  type: dict
  sample: {namespaces: 5, secrets: 12}
revision:
  description: The revision that the restored store is at.
  returned: success
  type: int
hash:
  description: etcd's hash of the restored store.
  returned: success
  type: int
gates:
  description: The verdict on C(backup_verified).
  returned: always
  type: list
  elements: dict
"""

import http.client
import os
import shutil
import signal
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _rehearsal, _restore


def terminated(number: int, dummy_frame: t.Any) -> t.NoReturn:
    raise SystemExit(128 + number)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "path": {"type": "path", "required": True},
                "etcdutl": {"type": "path", "required": True},
                "etcd": {"type": "path"},
                "directory": {"type": "path"},
            }
        ),
        supports_check_mode=True,
    )
    params = module.params
    gate = _gate.Gate(
        id="backup_verified",
        node=params["node"],
        verdict=_gate.PASSED,
        observed="",
        expected=f"the snapshot restored into a throw-away etcd that serves it, with keys below {_rehearsal.PREFIX}",
        next_action="Take another backup. Nothing but the scratch folder was touched, and that is removed.",
        acceptable=False,
    )
    result: dict[str, t.Any] = {}
    signal.signal(signal.SIGTERM, terminated)
    with gate.judged(OSError, ValueError, KeyError, http.client.HTTPException, _rehearsal.RehearsalError):
        directory = params["directory"] or tempfile.gettempdir()
        _rehearsal.sweep(directory)
        need = os.stat(params["path"]).st_size + _restore.WAL_BYTES
        free = shutil.disk_usage(directory).free
        if free < need:
            raise _rehearsal.RehearsalError(
                f"{free // 2**20} MiB are free at {directory}, expected {need // 2**20 + 1} MiB"
            )
        # Made with mode 0700.
        with tempfile.TemporaryDirectory(prefix=f"{_rehearsal.SCRATCH}{os.getpid()}-", dir=directory) as folder:
            result = _rehearsal.rehearse(params, folder)
        gate.observed = f"{result['total_keys']} keys served at revision {result['revision']}"
    if gate.verdict == _gate.FAILED:
        gate.observed = f"the rehearsal failed: {gate.observed}"
    module.exit_json(changed=False, gates=[gate.dump()], **result)


if __name__ == "__main__":
    main()
