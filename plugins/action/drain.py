# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of drain."""

from __future__ import annotations

import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


class ActionModule(GateAction):
    """Waits in slices, and prints each change of state."""

    waits = True

    def before(self, arguments: dict[str, t.Any], run: _run.Run | None, task_vars: dict[str, t.Any]) -> None:
        back = arguments.get("state") == "schedulable"
        self.change = "taken back into service" if back else "cordoned and drained, until its kubelet is done"
