# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of node_info."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


class ActionModule(GateAction):
    """Journal and verdicts, as for every module; and the controller's clock, to hold the node's against."""

    def _once(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        before = time.time()
        result = super()._once(arguments, task_vars)
        if "clock" in result:
            result["controller_clock"] = [before, time.time()]
        return result
