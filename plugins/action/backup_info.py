# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of backup_info."""

from __future__ import annotations

import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


class ActionModule(GateAction):
    """Journal and verdicts, as for every module; and why a backup is not inherited."""

    def after(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        result: dict[str, t.Any],
        task_vars: dict[str, t.Any],
    ) -> None:
        if result.get("reason"):
            self._display.display(f"  a new backup is taken, as none is inherited: {result['reason']}")
