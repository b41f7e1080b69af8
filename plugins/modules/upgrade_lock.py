#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run at a time for each cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_lock
short_description: Hold or release the lock that lets one run at a time work on a cluster
version_added: 0.1.0
description:
  - The lock is the Lease C(mixedversion-kubernetes) in C(kube-system), held by a run's id. The gate C(lock).
  - A Lease whose holder let it expire is taken over.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  holder:
    description: Id of the run.
    type: str
    required: true
  resumes:
    description: Ids of the ended runs that this one goes on from; a lock that one of them left is taken over at once.
    type: list
    elements: str
    default: []
  state:
    description: Hold the lock, or release it if O(holder) has it.
    type: str
    choices: [present, absent]
    default: present
  duration:
    description: Seconds until a lock that nobody released may be taken over.
    type: int
    default: 7200
"""

EXAMPLES = r"""
- name: Hold the lock
  mixedversion.kubernetes.upgrade_lock:
    kubeconfig: admin.conf
    holder: 20261124T003000Z-ab12
"""

RETURN = r"""
gates:
  description: The verdict on C(lock).
  returned: when O(state=present)
  type: list
  elements: dict
"""

import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _leases

NAME = "mixedversion-kubernetes"
PATH = f"{_leases.LIST_PATH}/{NAME}"


def wanted(holder: str, duration: int, metadata: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {**metadata, "name": NAME, "namespace": _leases.NAMESPACE},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": duration, "acquireTime": now, "renewTime": now},
    }


def held_by(found: t.Mapping[str, t.Any]) -> tuple[str, bool]:
    """Who holds the lock, and whether that has expired."""
    spec = found.get("spec", {})
    renewed = _leases.parse_time(spec.get("renewTime"))
    age = (datetime.datetime.now(datetime.timezone.utc) - renewed).total_seconds() if renewed else float("inf")
    return spec.get("holderIdentity") or "", age > spec.get("leaseDurationSeconds", 0)


def acquire(server: _api.Server, holder: str, resumes: t.Sequence[str], duration: int) -> tuple[bool, str]:
    """Whether the lock is ours now, and what was seen. A conflict means that somebody else was faster."""
    answer = server.request("GET", PATH)
    try:
        if answer.status == 404:
            server.send("POST", _leases.LIST_PATH, wanted(holder, duration, {}))
            return True, "it was free"
        if answer.status != 200:
            raise _api.ApiError(server.name, PATH, answer.status, answer.words)
        found = answer.json()
        other, expired = held_by(found)
        if other not in ("", holder, *resumes) and not expired:
            return False, f"run {other} holds it since {found['spec'].get('acquireTime')}"
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        server.send("PUT", PATH, wanted(holder, duration, version))
        return True, f"taken over from run {other}, which ended without giving it back" if other else "it was free"
    except _api.ApiError as error:
        if error.status == 409:
            return False, "another run took it at the same moment"
        raise


def release(server: _api.Server, holder: str) -> bool:
    """Delete the Lease if it is ours; by its version, so that nobody else's is deleted."""
    answer = server.request("GET", PATH)
    if answer.status != 200 or answer.json()["spec"].get("holderIdentity") != holder:
        return False
    metadata = answer.json()["metadata"]
    preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    server.send("DELETE", PATH, {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions})
    return True


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "holder": {"type": "str", "required": True},
                "resumes": {"type": "list", "elements": "str", "default": []},
                "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                "duration": {"type": "int", "default": 7200},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    server = _api.connect(module).endpoint
    try:
        if params["state"] == "absent":
            module.exit_json(changed=not module.check_mode and release(server, params["holder"]))
        if module.check_mode:
            module.exit_json(changed=True)
        ours, observed = acquire(server, params["holder"], params["resumes"], params["duration"])
    except _api.ApiError as error:
        module.fail_json(msg=f"The lock can't be worked on: {error}")
    gate = _gate.Gate(
        id="lock",
        verdict=_gate.PASSED if ours else _gate.FAILED,
        observed=observed,
        expected=f"run {params['holder']} alone works on this cluster",
        next_action="Wait for the other run. If it is dead, delete the Lease mixedversion-kubernetes in kube-system.",
        acceptable=False,
    )
    module.exit_json(changed=ours, gates=[gate.dump()])


if __name__ == "__main__":
    main()
