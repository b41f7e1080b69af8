# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What every module of the collection has in common on the controller.

Starts the module (a waiting one again and again, printing its state as it changes), applies the risks that were
accepted by name, writes the verdicts to the run's journal, and fails the task if a blocking gate does not hold.
"""

from __future__ import annotations

import getpass
import os
import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run, _verdicts

#: Seconds from one try to reach a node to the next, over those that ssh itself spends on a try.
RECONNECT_SECONDS = 2.0

#: No acceptance of these by name, and what there is instead.
NEVER_ACCEPTED = {
    "backup_verified": "without it nothing could be put right again",
    "quorum_after_step": "with one or two members control_plane_allow_outage says that the outage is meant",
    "lock": "the lock of a dead run is the Lease mixedversion-kubernetes in kube-system, which can be deleted",
}


def accepted(risks: t.Sequence[t.Mapping[str, str]]) -> dict[str, str]:
    """The reasons by gate id. What can't be meant is refused: an id that is no gate, one that may never be accepted,
    one without a reason, or one named twice."""
    again = "Nothing was changed by this. Correct control_plane_accepted_risks."
    lacking = [
        risk for risk in risks if not str(risk.get("id") or "").strip() or not str(risk.get("reason") or "").strip()
    ]
    if lacking:
        raise AnsibleActionFail(
            f"control_plane_accepted_risks has {lacking[0]}, expected an id and a reason in each entry. {again}"
        )
    ids = [risk["id"] for risk in risks]
    unknown = [id_ for id_ in ids if id_ not in _run.GATE_IDS]
    if unknown:
        raise AnsibleActionFail(
            f"control_plane_accepted_risks names {', '.join(unknown)}, which is no gate. Known gates: "
            f"{', '.join(sorted(_run.GATE_IDS))}. {again}"
        )
    never = [id_ for id_ in ids if id_ in NEVER_ACCEPTED]
    if never:
        why = NEVER_ACCEPTED[never[0]]
        raise AnsibleActionFail(
            f"control_plane_accepted_risks names {never[0]}, which can't be accepted: {why}. {again}"
        )
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    if twice:
        raise AnsibleActionFail(f"control_plane_accepted_risks names {', '.join(twice)} twice, expected once. {again}")
    return {risk["id"]: risk["reason"] for risk in risks}


def user() -> str:
    """Who started the run; in a container there may be a number only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def unwritable(run: _run.Run | None, error: OSError) -> str:
    """What a person has to know of a journal or file on the controller that can't be written."""
    where = f" in {run.directory}" if run else ""
    return (
        f"The controller can't write{where}: {error}. This run goes no further. Make room, or make the folder "
        "writable, and start the same playbook again: it reads the state from the cluster and goes on."
    )


class GateAction(ActionBase):
    """The action plug-in behind the collection's modules."""

    _supports_check_mode = True
    _supports_async = False
    #: Whether the module waits in slices.
    waits = False
    #: What the journal calls a change this module made; empty: changes of it are not told.
    change = ""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = dict(self._task.args)
        directory = arguments.pop("run_directory", None)
        defer = boolean(arguments.pop("defer", False))
        risks = accepted(arguments.pop("accepted_risks", None) or [])
        run = _run.Run(directory) if directory else None
        self.before(arguments, run, task_vars)
        try:
            result = self._wait(arguments, task_vars) if self.waits else self._once(arguments, task_vars)
        except AnsibleConnectionFailure as error:
            if self._task.ignore_unreachable:
                raise
            # A host that can't be reached would end the play without its rescue: with a report that never ends, and a
            # lock that nobody gives back.
            raise AnsibleActionFail(self._lost(arguments, run, task_vars, error)) from None
        if result.get("unreachable") or result.get("skipped"):
            return result
        self.after(arguments, run, result, task_vars)
        gates = [self._accept(gate, risks) for gate in result.get("gates", [])]
        if "gates" in result:
            result["gates"] = gates
        for gate in gates:
            self._show(gate)
        for finding in result.get("findings", []):
            self._tell(finding)
        if run:
            events: list[_run.Event] = [{"event": "gate", **gate} for gate in gates]
            events += [{"event": "probe", **probe} for probe in result.get("probes", [])]
            events += [{"event": "finding", **finding} for finding in result.get("findings", [])]
            if result.get("changed") and self.change and not self._task.check_mode:
                events.append({"event": "changed", "node": self._node(arguments, task_vars), "what": self.change})
            self._append(run, *events)
        broken = _verdicts.broken(gates)
        if broken and not defer:
            result["failed"] = True
            result["msg"] = "\n".join([_run.words(broken), *([_run.changes(run.events())] if run else [])])
            if run:
                self._append(run, {"event": "stopping", "gate": broken[0]["id"], "node": broken[0]["node"]})
        return result

    @staticmethod
    def _append(run: _run.Run, *events: _run.Event) -> None:
        """Write to the journal, which is what a run may not go on without."""
        try:
            run.append(*events)
        except OSError as error:
            raise AnsibleActionFail(unwritable(run, error)) from error

    def _lost(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        task_vars: dict[str, t.Any],
        error: AnsibleConnectionFailure,
    ) -> str:
        node = str(self._task.delegate_to or self._node(arguments, task_vars))
        words = " ".join(str(error).split()).removesuffix(".")
        changes = f" {_run.changes(run.events())}" if run else ""
        return (
            f"{node} can't be reached: {words}. What was started there may still run, and no other node is touched."
            f"{changes} Make it reachable and start the same playbook again: it goes on from what the node is then."
        )

    def before(self, arguments: dict[str, t.Any], run: _run.Run | None, task_vars: dict[str, t.Any]) -> None:
        """Look at or change the arguments before the module is started. Raise to refuse."""

    def after(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        result: dict[str, t.Any],
        task_vars: dict[str, t.Any],
    ) -> None:
        """Judge here what only the controller can judge, by adding to the result."""

    def _node(self, arguments: t.Mapping[str, t.Any], task_vars: t.Mapping[str, t.Any]) -> str:
        return str(arguments.get("node") or task_vars.get("inventory_hostname", ""))

    def _once(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        return dict(self._execute_module(module_args=arguments, task_vars=task_vars))

    def _wait(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        known: dict[str, t.Any] = {"progress": "", "elapsed_seconds": 0.0, "samples": 0, "memory": {}}
        started = time.monotonic()
        playbook = os.getppid()
        told = False
        while True:
            if os.getppid() != playbook:
                raise AnsibleActionFail("ansible-playbook has ended, and this worker of it ends as well.")
            known["elapsed_seconds"] = time.monotonic() - started
            try:
                result = self._once({**arguments, "slice": known}, task_vars)
            except AnsibleConnectionFailure:
                # What was begun goes on without us; a node that is back in time is only looked at again.
                if not known["samples"] or known["elapsed_seconds"] >= float(arguments.get("timeout", 0)):
                    raise
                if not told:
                    self._display.display(f"  {self._node(arguments, task_vars)}: can't be reached, tried again")
                told = True
                # Bounds how often a node that is away is tried.
                time.sleep(RECONNECT_SECONDS)
                continue
            told = False
            if not result.pop("pending", False):
                return result
            known["progress"] = result["progress"]
            known["samples"] = result["samples"]
            known["memory"] = result["memory"]
            where = self._node(arguments, task_vars)
            self._display.display(f"  {where}: {result['progress']}, {time.monotonic() - started:.0f} s")

    @staticmethod
    def _accept(gate: dict[str, t.Any], accepted: t.Mapping[str, str]) -> dict[str, t.Any]:
        gate.setdefault("accepted_by", None)
        acceptable = gate.pop("acceptable", True)
        if acceptable and gate["verdict"] in ("failed", "unproven") and gate["id"] in accepted:
            gate.update(verdict="accepted", accepted_by=user(), reason=accepted[gate["id"]])
        return gate

    def _show(self, gate: t.Mapping[str, t.Any]) -> None:
        where = gate["node"] + (f" to {gate['peer']}" if gate["peer"] else "")
        text = f"  {gate['verdict']:<13} {gate['id']}{' on ' + where if where else ''}: {gate['observed']}"
        if gate["verdict"] not in _verdicts.HOLDS and gate["severity"] == "warning":
            self._display.warning(f"{text.strip()}; {gate['next_action']}")
        else:
            self._display.display(text)

    def _tell(self, finding: t.Mapping[str, t.Any]) -> None:
        """A finding, as its evidence and its next action have it; a root before what follows from it."""
        how = "repaired" if finding["repaired"] else "found" if finding["root"] else "follows"
        text = f"  {how:<13} {_run.finding_words(finding)} ({finding['confidence']}): {finding['evidence']}"
        if finding["repaired"]:
            self._display.display(text)
        else:
            self._display.warning(f"{text.strip()}; next action: {finding['next_action']}")
