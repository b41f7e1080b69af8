# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of availability_info: brings what was counted into the run's folder, and judges it."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _availability, _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


class ActionModule(GateAction):
    """Hands the run's folder on to the module, which writes there if it can."""

    def before(self, arguments: dict[str, t.Any], run: _run.Run | None, task_vars: dict[str, t.Any]) -> None:
        if run is None:
            raise AnsibleActionFail("availability_info needs run_directory: what is counted is counted for a run.")
        arguments.update(run_directory=run.directory, have=_availability.sizes(run.directory))

    def after(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        result: dict[str, t.Any],
        task_vars: dict[str, t.Any],
    ) -> None:
        if run is None or result.get("failed"):
            return
        _availability.add(run.directory, result.pop("news", {}))
        seen = _availability.summarise(_availability.read(run.directory), [])
        result["availability"] = [
            {key: value for key, value in entry.items() if key not in ("by_phase", "series")} for entry in seen
        ]
        limit = arguments.get("max_unavailable_seconds")
        if limit is not None and not self._task.check_mode:
            gate = _availability.judge(seen, float(limit), self._node(arguments, task_vars), result["ended"])
            result["gates"] = [gate.dump()]
