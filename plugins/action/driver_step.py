# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of driver_step: no step without this run's own evidence."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run, _verdicts
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction

#: Gates that speak of the cluster as a whole; the others must have held for this very node.
WHOLE = frozenset(["lock", "backup_verified", "peers_fetched", "convergence", "requests_proxied"])
#: What must have held since a step on another node; the second line once versions are mixed.
BETWEEN_NODES = ("server_is_target",)
BETWEEN_HOPS = ("server_is_target", "convergence", "requests_proxied")
#: Only a step of the hop asks for this one, so it tells a hop from a preparation.
OF_A_HOP = "peers_fetched"


def lacking(events: t.Sequence[_run.Event], node: str, wanted: t.Sequence[str]) -> list[str]:
    """The gates of *wanted* that this run's journal does not show to hold for a step on *node*."""
    other = max((i for i, e in enumerate(events) if e["event"] == "step" and e["node"] != node), default=-1)

    def holds(gate_id: str, since: int, about: str) -> bool:
        verdicts = [
            event["verdict"]
            for event in events[since + 1 :]
            if event["event"] == "gate"
            and event["id"] == gate_id
            # A warning bears the id of what it was seen beside, and stops nothing.
            and event["severity"] == "blocking"
            and (gate_id in WHOLE or event["node"] == about)
        ]
        return bool(verdicts) and verdicts[-1] in _verdicts.HOLDS

    missing = [gate for gate in wanted if not holds(gate, -1 if gate in WHOLE else other, node)]
    if other >= 0:
        stepped = events[other]["node"]
        between = BETWEEN_HOPS if events[other]["hop"] else BETWEEN_NODES
        missing += [f"{gate} after the step on {stepped}" for gate in between if not holds(gate, other, stepped)]
    return missing


class ActionModule(GateAction):
    """Looks for the evidence, starts the step, and prints what it prints."""

    waits = True
    change = "driver step"

    def before(self, arguments: dict[str, t.Any], run: _run.Run | None, task_vars: dict[str, t.Any]) -> None:
        if run:
            arguments["run_id"] = run.id
        if self._task.check_mode or boolean(arguments.get("attach_only", False)):
            return
        if run is None:
            raise AnsibleActionFail(
                "driver_step needs the run's folder: without this run's journal there is no evidence."
            )
        node = self._node(arguments, task_vars)
        missing = lacking(run.events(), node, arguments["evidence"])
        if missing:
            raise AnsibleActionFail(
                f"The step on {node} was not started: this run's journal does not show that these gates held: "
                f"{', '.join(missing)}. {_run.changes(run.events())} Start the playbook from its beginning, "
                "without tags or --start-at-task."
            )
        self._append(
            run, {"event": "step", "node": node, "name": arguments["name"], "hop": OF_A_HOP in arguments["evidence"]}
        )
