# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In place of the action plug-in of a gate: it holds, and nobody is asked; or fails, where ``stub_fails`` has it."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Whatever is asked."""

    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        fails = (task_vars or {}).get("stub_fails", {})
        if fails.get("host") == (task_vars or {})["inventory_hostname"] and self._task.action.endswith(fails["module"]):
            return {"failed": True, "msg": fails["msg"]}
        return {"changed": False, "gates": []}
