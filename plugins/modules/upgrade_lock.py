#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run at a time for each cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_lock
short_description: Hold, renew or release the lock that lets one run at a time work on a cluster
version_added: 0.1.0
description:
  - The lock is the Lease C(mixedversion-kubernetes) in C(kube-system), held by a run's id. The gate C(lock).
  - A Lease that its holder let expire is taken over, and one that a resumed run left is at once; never while a driver
    step of any other run is active on a node.
  - An API that answers nothing for a moment, as while its servers restart, is waited for until O(timeout).
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
  controller:
    description:
      - Where the run is at home, for whoever finds the lock held; an annotation of the Lease.
      - Default is the controller's host name and the process id of C(ansible-playbook).
    type: str
    default: ""
  active_steps:
    description: The driver steps that are active on the nodes, as M(mixedversion.kubernetes.node_info) found them.
    type: list
    elements: dict
    default: []
    suboptions:
      node:
        description: The node.
        type: str
        required: true
      unit:
        description: The unit.
        type: str
        required: true
      run_id:
        description: The run that started it; empty if it is unknown.
        type: str
        default: ""
  state:
    description:
      - V(present) takes the lock, or renews it if O(holder) has it. V(absent) releases it if O(holder) has it, or one
        of O(resumes), which can't do so any more.
      - V(renewed) proves that O(holder) still has it, and renews it; the gate fails if it is another's or gone.
    type: str
    choices: [present, renewed, absent]
    default: present
  duration:
    description: Seconds until a lock that nobody renewed may be taken over.
    type: int
    default: 7200
"""

EXAMPLES = r"""
- name: Hold the lock
  mixedversion.kubernetes.upgrade_lock:
    kubeconfig: admin.conf
    holder: 20261124T003000Z-ab12

- name: See that it is still held
  mixedversion.kubernetes.upgrade_lock:
    kubeconfig: admin.conf
    holder: 20261124T003000Z-ab12
    state: renewed
"""

RETURN = r"""
gates:
  description: The verdict on C(lock); none where a renewal found all well.
  returned: when O(state) is not V(absent)
  type: list
  elements: dict
"""

import dataclasses
import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _leases

NAME = "mixedversion-kubernetes"
PATH = f"{_leases.LIST_PATH}/{NAME}"
#: Where the run that holds it is at home, such as ``bastion, process 4711``.
ANNOTATION = "mixedversion.kubernetes/controller"
WHERE = f"the Lease {NAME} in {_leases.NAMESPACE}"

Lease = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Claim:
    """Who wants the lock. ``active_steps`` are ``{node, unit, run_id}``; ``duration`` is seconds."""

    holder: str
    resumes: t.Sequence[str]
    controller: str
    active_steps: t.Sequence[t.Mapping[str, str]]
    duration: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a look at the Lease comes to: the Lease to write (none if it may not be), what was seen, and what next."""

    lease: Lease | None
    observed: str
    next_action: str = ""


def stamp(moment: datetime.datetime) -> str:
    """A MicroTime of the API."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def wanted(claim: Claim, now: datetime.datetime, found: Lease | None) -> Lease:
    """The Lease as *claim* wants it: anew, or renewed if *found* is its own already."""
    spec = (found or {}).get("spec", {})
    ours = spec.get("holderIdentity") == claim.holder
    metadata: dict[str, t.Any] = {"name": NAME, "namespace": _leases.NAMESPACE}
    if found:
        # A write that does not name the version it replaces could undo another run's.
        metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
    metadata["annotations"] = {ANNOTATION: claim.controller}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": claim.holder,
            "leaseDurationSeconds": claim.duration,
            "acquireTime": spec.get("acquireTime") if ours else stamp(now),
            "renewTime": stamp(now),
            "leaseTransitions": spec.get("leaseTransitions", 0) + (0 if ours or not found else 1),
        },
    }


def left(found: Lease, now: datetime.datetime) -> float:
    """Seconds until the lock may be taken over; below zero if it may be."""
    spec = found.get("spec", {})
    renewed = _leases.parse_time(spec.get("renewTime"))
    age = (now - renewed).total_seconds() if renewed else float("inf")
    return float(spec.get("leaseDurationSeconds", 0)) - age


def holder_of(found: Lease) -> str:
    return str(found.get("spec", {}).get("holderIdentity") or "")


def told(found: Lease) -> str:
    """Whose lock it is, in words: the run, where it is at home, and since when."""
    where = (found.get("metadata", {}).get("annotations") or {}).get(ANNOTATION)
    spec = found.get("spec", {})
    at = f" on {where}" if where else ""
    return f"run {holder_of(found)}{at} (since {spec.get('acquireTime')}, renewed {spec.get('renewTime')})"


def take(claim: Claim, found: Lease | None, now: datetime.datetime) -> Verdict:
    """Whether *claim* may have the lock, *found* being the Lease that is there."""
    other = holder_of(found) if found else ""
    inherits = other in ("", claim.holder, *claim.resumes)
    if found and not inherits and left(found, now) > 0:
        return Verdict(
            None,
            f"{told(found)} holds it",
            f"Wait for that run. If it is dead, its lock can be taken in {left(found, now):.0f} s; at once where you "
            f"delete {WHERE}, having seen that no mixedversion-*.service is active on any node.",
        )
    foreign = [step for step in claim.active_steps if step["run_id"] not in (claim.holder, *claim.resumes)]
    if foreign:
        words = "; ".join(
            f"{step['unit']} of {'run ' + step['run_id'] if step['run_id'] else 'an unknown run'} on {step['node']}"
            for step in foreign
        )
        return Verdict(
            None,
            f"a driver step of another run is still active: {words}",
            "Wait until it has ended (systemctl status on the node named), and start again.",
        )
    if not found or not other:
        return Verdict(wanted(claim, now, found), "it was free")
    if other == claim.holder:
        return Verdict(wanted(claim, now, found), "it is this run's already")
    why = "which this run goes on from" if inherits else "which let it expire, and no driver step is active"
    return Verdict(wanted(claim, now, found), f"taken over from run {other}, {why}")


def renew(claim: Claim, found: Lease | None, now: datetime.datetime) -> Verdict:
    """Whether the lock is still *claim*'s; however long ago it was renewed, if nobody took it meanwhile."""
    if found and holder_of(found) == claim.holder:
        return Verdict(wanted(claim, now, found), "renewed")
    return Verdict(
        None,
        f"this run lost it: {told(found)} has it now" if found else f"this run lost it: {WHERE} is gone",
        "Nothing more is touched by this run. See whether another one works on the cluster, and start again when it is "
        "through.",
    )


def look(server: _api.Server, claim: Claim, judge: t.Callable[..., Verdict]) -> _gate.Sample:
    """Read the Lease, judge it and write it. What may pass is waited for: no answer, and another one's write."""
    try:
        answer = server.request("GET", PATH)
        if answer.status not in (200, 404):
            raise _api.ApiError(server.name, PATH, answer.status, answer.words)
        found = answer.json() if answer.status == 200 else None
        # By the server's clock: those of two controllers may differ, and the lock is for both.
        verdict = judge(claim, found, answer.date)
        if verdict.lease:
            server.send("PUT" if found else "POST", PATH if found else _leases.LIST_PATH, verdict.lease)
        return _gate.Sample(verdict.lease is not None, verdict.observed, final=True, data=verdict)
    except _api.ApiError as error:
        # Whoever was faster is seen by the next look; it may have been this very request, whose answer got lost.
        if error.status == 409:
            return _gate.Sample(False, "another run wrote it at the same moment")
        if passing(error.status):
            return _gate.Sample(False, f"the lock can't be asked for: {error}")
        raise


def passing(status: int) -> bool:
    """Whether a server that answers so, or not at all, may answer otherwise in a moment."""
    return status in (0, 429) or status >= 500


def release(server: _api.Server, holders: t.Collection[str]) -> _gate.Sample:
    """Delete the Lease if one of *holders* has it; by its version, so that nobody else's is deleted.

    ``data``: whether it was.
    """
    try:
        answer = server.request("GET", PATH)
        if passing(answer.status):
            raise _api.ApiError(server.name, PATH, answer.status, answer.words)
        if answer.status != 200 or holder_of(answer.json()) not in holders:
            return _gate.Sample(True, "it is not this run's", final=True, data=False)
        metadata = answer.json()["metadata"]
        preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        server.send("DELETE", PATH, {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions})
        return _gate.Sample(True, "released", final=True, data=True)
    except _api.ApiError as error:
        if passing(error.status):
            return _gate.Sample(False, f"the lock can't be given back: {error}")
        raise


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "holder": {"type": "str", "required": True},
                "resumes": {"type": "list", "elements": "str", "default": []},
                "controller": {"type": "str", "default": ""},
                "active_steps": {
                    "type": "list",
                    "elements": "dict",
                    "default": [],
                    "options": {
                        "node": {"type": "str", "required": True},
                        "unit": {"type": "str", "required": True},
                        "run_id": {"type": "str", "default": ""},
                    },
                },
                "state": {"type": "str", "choices": ["present", "renewed", "absent"], "default": "present"},
                "duration": {"type": "int", "default": 7200},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=params["state"] == "present")
    server = _api.connect(module).endpoint
    claim = Claim(*(params[field.name] for field in dataclasses.fields(Claim)))
    try:
        if params["state"] == "absent":
            waited = _gate.wait(lambda: release(server, [claim.holder, *claim.resumes]), params)
        else:
            judge = renew if params["state"] == "renewed" else take
            waited = _gate.wait(lambda: look(server, claim, judge), params)
    except _api.ApiError as error:
        module.fail_json(msg=f"The lock can't be worked on: {error}")
    if waited.pending:
        module.exit_json(**_gate.pending(waited))
    if params["state"] == "absent":
        if waited.timed_out:
            module.fail_json(msg=f"{waited.sample.progress}. It expires by itself.")
        module.exit_json(changed=bool(waited.sample.data))
    verdict = waited.sample.data or Verdict(
        None, waited.sample.progress, "Make the API answer where the kubeconfig leads, and start again."
    )
    ours = verdict.lease is not None
    gate = _gate.Gate(
        id="lock",
        verdict=_gate.PASSED if ours else _gate.FAILED,
        observed=verdict.observed,
        expected=f"run {params['holder']} alone works on this cluster",
        next_action=verdict.next_action,
        acceptable=False,
        elapsed_seconds=round(waited.elapsed_seconds, 3),
        samples=waited.samples,
    )
    # Told once; that it is still so is no news.
    told_of = [] if ours and params["state"] == "renewed" else [gate.dump()]
    module.exit_json(changed=ours and params["state"] == "present", gates=told_of)


if __name__ == "__main__":
    main()
