# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the controller: make the plan of an upgrade, write it beside the report, and hold an agreed one against it."""

from __future__ import annotations

import json
import os
import re
import typing as t

from ansible.errors import AnsibleActionFail

from ansible_collections.mixedversion.kubernetes.plugins.modules.plan import ARGUMENT_SPEC
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import (
    _plan,
    _plan_steps,
    _plan_text,
    _plan_time,
    _run,
    _verdicts,
)
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._controller_action import ControllerAction

FILES = ("plan.json", "plan.md")
#: A value of an environment variable, or a user and password in a URL: neither belongs into a plan.
_SECRETS = (
    (re.compile(r"^([+\- ]\s*(?:- )?value:).*$", re.MULTILINE), r"\1 ***"),
    (re.compile(r"//[^/@\s]+@"), "//***@"),
)


def kubeadm_diff(said: t.Mapping[str, str]) -> dict[str, str]:
    """What kubeadm upgrade diff printed on a node, without its chatter and what may be secret in manifests."""
    text = "\n".join(line for line in said["text"].splitlines() if not line.startswith("[upgrade/"))
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    text = text.strip()
    return {"node": said["node"], "text": text, "reason": said["reason"] or ("" if text else "no difference")}


def obstacles(events: t.Sequence[_run.Event]) -> list[_run.Event]:
    """The gates of a run that do not hold, blocking ones first."""
    keys = ("id", "node", "peer", "severity", "verdict", "observed", "expected", "next_action")
    found = [
        {key: event[key] for key in keys}
        for event in events
        if event["event"] == "gate" and event["verdict"] not in _verdicts.HOLDS
    ]
    return sorted(found, key=lambda gate: gate["severity"] != "blocking")


def carried_out(run: _run.Run, digest: str) -> bool:
    """Whether a run that *run* resumes held the lock to do what the plan of this hash says."""
    folder = os.path.dirname(os.path.normpath(run.directory))
    for id_ in _run.resumed(run):
        events = _run.Run(os.path.join(folder, id_)).events()
        followed = any(event["event"] == "plan" and event["hash"] == digest for event in events)
        if followed and any(event["event"] == "gate" and event["id"] == "lock" for event in events):
            return True
    return False


def agreed_plan(arguments: t.Mapping[str, t.Any]) -> _plan.Plan:
    """The plan of the file that the user named, if it is one, for this target and driver."""
    path = arguments["file"]
    again = "Nothing was changed. Name a plan.json that ansible-playbook mixedversion.kubernetes.plan wrote."
    try:
        with open(path, encoding="utf-8") as file:
            plan = _plan.read(file.read())
    except (OSError, ValueError) as error:
        raise AnsibleActionFail(f"control_plane_plan: {path} can't be used: {error}. {again}") from None
    for key in ("target", "driver"):
        if plan[key] != arguments[key]:
            raise AnsibleActionFail(
                f"control_plane_plan: {path} is for the {key} {plan[key]}, expected {arguments[key]}. {again}"
            )
    return plan


def make(arguments: t.Mapping[str, t.Any], run: _run.Run) -> _plan.Plan:
    """The whole plan, with what the journals of this run and of earlier ones say laid over it."""
    events = run.events()
    facts = t.cast("_plan_steps.Facts", {key: arguments[key] for key in _plan_steps.Facts.__annotations__})
    try:
        plan = _plan.make(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleActionFail(
            f"No plan can be made of what was read: {type(error).__name__}: {error}. Nothing was changed. "
            "Mend what the gates above name, and start the playbook again."
        ) from error
    estimate = _plan_time.estimate(plan["steps"], _run.earlier(run), plan["cluster"]["uid"], plan["driver"])
    by_phase = estimate.pop("by_phase")
    for step in plan["steps"]:
        step["estimated_seconds"] = by_phase.get(step["phase"])
    for risk in plan["accepted_risks"]:
        risk["observed"] = [
            event["observed"]
            for event in events
            if event["event"] == "gate" and event["verdict"] == "accepted" and event["id"] == risk["id"]
        ]
    found = obstacles(events)
    blocked = any(gate["severity"] == "blocking" for gate in found)
    proxied = arguments["proxied"] or {}
    plan.update(
        made={"run": run.id, "at": _run.now(), "collection": _run.collection_version()},
        state="blocked" if blocked else "ready" if plan["steps"] else "nothing_to_do",
        obstacles=found,
        estimate=estimate,
        proxied={
            "source": proxied.get("source", "unknown"),
            "reason": proxied.get("reason", "") if proxied else "it was not looked at",
            "new": list(proxied.get("new", [])),
            "removed": list(proxied.get("removed", [])),
        },
        kubeadm_diff=[kubeadm_diff(said) for said in arguments["kubeadm_diffs"]],
    )
    return plan


def hold(agreed: _plan.Plan, plan: _plan.Plan, run: _run.Run, path: str) -> None:
    """Stop the run where the plan that was agreed no longer holds."""
    half_done = carried_out(run, agreed["hash"])
    against = _plan.standing(agreed, plan, half_done)
    if against:
        run.append({"event": "stopping", "gate": "", "node": ""})
        begun = " An earlier run began to carry it out, and not all of this comes from that." if half_done else ""
        raise AnsibleActionFail(
            "\n".join(
                [
                    f"The plan {agreed['hash'][:12]} in {path} no longer holds; {len(against)} fields differ.{begun}",
                    *(f"  {entry}" for entry in against),
                    "Nothing was changed. Start ansible-playbook mixedversion.kubernetes.plan, read the new plan,"
                    " and name its file in control_plane_plan.",
                ]
            )
        )


def write(plan: _plan.Plan, directory: str) -> None:
    """Put the plan's files beside the report, each whole or not at all."""
    texts = (json.dumps(plan, indent=2) + "\n", _plan_text.markdown(plan))
    try:
        for name, text in zip(FILES, texts):
            _run.write_atomically(os.path.join(directory, name), text)
    except OSError as error:
        raise AnsibleActionFail(
            f"The plan can't be written: {error}. Mend that, or set control_plane_report_directory."
        ) from error


class ActionModule(ControllerAction):
    """Makes the plan, or reads one that was agreed on."""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = self.arguments(ARGUMENT_SPEC)
        agreed = agreed_plan(arguments) if arguments["file"] else None
        if arguments["state"] == "read":
            return {"changed": False, "hash": (agreed or {}).get("hash", ""), "order": (agreed or {}).get("order", [])}
        run = _run.Run(arguments["run_directory"])
        plan = make(arguments, run)
        digest = plan["hash"]
        if agreed and plan["steps"]:
            hold(agreed, plan, run, arguments["file"])
            digest = agreed["hash"]
        steps = [{key: step[key] for key in ("phase", "node", "estimated_seconds")} for step in plan["steps"]]
        run.append({"event": "plan", "hash": digest, "driver": plan["driver"], "steps": steps})
        if arguments["write"]:
            write(plan, run.directory)
            files = "\n".join(f"  {os.path.join(run.directory, name)}" for name in FILES)
            self._display.display(f"{_plan_text.terminal(plan)}\n{files}")
        else:
            words = f"holds, as {arguments['file']} has it" if agreed and plan["steps"] else "made"
            self._display.display(f"  plan {digest} {words}")
        return {"changed": False, "hash": digest, "order": plan["order"], "steps": plan["steps"]}
