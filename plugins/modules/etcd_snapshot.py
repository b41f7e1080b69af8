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
  - A member whose gateway is switched off (C(--enable-grpc-gateway=false)) answers 404; there C(etcdctl snapshot save)
    writes the file, and everything else is the same.
  - The file gets its name only after it was synced, read back from the disk and found to have the SHA-256 that etcd
    appended to it. The gate C(backup_verified), which can't be accepted. Whatever fails leaves nothing behind; an
    earlier snapshot under the same name stays as it was.
  - A snapshot holds every Secret of the cluster. It is written with mode 0600, and only into a folder that nobody else
    can look into.
  - The state of a large one is told at each tenth, with some seconds between. It is written by a process of its own,
    that ends by itself with the stream or after O(timeout); of two writers into one folder the second one is refused.
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
    description:
      - The file to write. Its folder is made with mode 0700 if it is not there; one that is must be as private.
    type: path
    required: true
  cluster_id:
    description: The id of the cluster that it must be of, as etcd tells it, in decimal; any if left out.
    type: str
    default: ""
  etcdctl:
    description:
      - The etcdctl to use where the gateway is switched off. If left out it is searched for in C(PATH), in
        C(/usr/local/bin) and C(/opt/bin), and beside the running etcd, in its container too.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Back etcd up
  mixedversion.kubernetes.etcd_snapshot:
    path: /root/etcd/snapshot.db
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
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
etcd_version:
  description: Version of the member that it was taken from.
  returned: success
  type: str
storage_version:
  description: Version of the format that the member's store has; empty before etcd 3.6.
  returned: success
  type: str
gates:
  description: The verdict on C(backup_verified).
  returned: always
  type: list
  elements: dict
"""

import dataclasses
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _gate, _snapshot

#: From this size on the state is told, at each tenth.
LARGE_BYTES = 100 * 2**20
#: Seconds from one line to the next at least: each costs the node a start of this module beside the stream.
PAUSE = 5.0
#: The writer tells its own time-out; this much later it is not waited for any longer.
GRACE = 60.0
EXPECTED = "a snapshot of this cluster, complete, with the SHA-256 that etcd appended"
NEXT_ACTION = "Nothing was changed. Mend what was observed and start again; no upgrade begins without a backup."


def progress(done: int, total: int) -> str:
    """How far it is, in tenths; nothing for what is done in a moment."""
    if total < LARGE_BYTES or done * 10 < total:
        return ""
    if done >= total:
        return f"snapshot: {total // 2**20} MiB written, being read back"
    return f"snapshot: {done * 10 // total * total // 10 // 2**20} of {total // 2**20} MiB"


def look(job: _snapshot.Job, total: int) -> _gate.Sample:
    """What came of it, or how far it is."""
    result = job.result()
    if result:
        return _gate.Sample(not result.trouble, "", final=True, data=result)
    return _gate.Sample(False, progress(job.written(), total))


def begin(job: _snapshot.Job, module: AnsibleModule) -> tuple[_snapshot.Source, _snapshot.Live]:
    """See that a snapshot of the right cluster can be written; nothing of it is written yet."""
    params = module.params
    origin = _snapshot.source(params, module)
    live = origin.live()
    if params["cluster_id"] and live.cluster_id != params["cluster_id"]:
        raise _etcd.EtcdError(
            f"{params['endpoint']} belongs to cluster {live.cluster_id}, wanted is one of {params['cluster_id']}"
        )
    job.claim()
    job.room(live.size_bytes)
    return origin, live


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _etcd.OPTIONS,
            {
                "path": {"type": "path", "required": True},
                "cluster_id": {"type": "str", "default": ""},
                "etcdctl": {"type": "path", "default": ""},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=True, path=params["path"], gates=[])
    job = _snapshot.Job(params["path"])
    memory = dict((params["slice"] or {}).get("memory") or {})
    found: _snapshot.Check | None = None
    try:
        if not memory:
            memory["begun"] = time.monotonic()
            origin, live = begin(job, module)
            memory["live"] = dataclasses.asdict(live)
            if params["slice"]:
                job.leave(origin, params["timeout"])
            else:
                found = job.write(origin, params["timeout"])
        if not found:
            waited = _gate.wait(
                lambda: look(job, memory["live"]["size_bytes"]),
                {**params, "timeout": params["timeout"] + GRACE},
                lasting=PAUSE,
            )
            if waited.pending:
                module.exit_json(**_gate.pending(waited, memory))
            found = waited.sample.data or _snapshot.Check(0, "", "the process that writes it has not ended in time")
    except (OSError, _etcd.EtcdError) as error:
        found = _snapshot.Check(0, "", str(error))
    gate = _gate.Gate(
        id="backup_verified",
        node=params["node"],
        verdict=_gate.FAILED if found.trouble else _gate.PASSED,
        observed=found.trouble,
        expected=EXPECTED,
        next_action=NEXT_ACTION,
        acceptable=False,
        elapsed_seconds=round(time.monotonic() - memory["begun"], 3),
    )
    if found.trouble:
        module.exit_json(changed=False, path=job.path, gates=[gate.dump()])
    live_then = memory["live"]
    gate.observed = f"{found.size_bytes} bytes, sha256 {found.sha256}, revision {live_then['revision']} or later"
    module.exit_json(
        changed=True,
        path=job.path,
        gates=[gate.dump()],
        sha256=found.sha256,
        **{**live_then, "size_bytes": found.size_bytes},
    )


if __name__ == "__main__":
    main()
