# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of former_state."""

from __future__ import annotations

import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


class ActionModule(GateAction):
    """Tells the journal what was put back; that something is kept or forgotten changes nothing that anybody runs."""

    def after(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        result: dict[str, t.Any],
        task_vars: dict[str, t.Any],
    ) -> None:
        if run and result.get("changed") and arguments.get("state") == "restored" and not self._task.check_mode:
            what = f"{' and '.join(arguments['components'])} put back"
            self._append(run, {"event": "changed", "node": self._node(arguments, task_vars), "what": what})
