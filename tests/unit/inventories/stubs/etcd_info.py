# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In place of the action plug-in of this name: the member on ``stub_leader`` leads."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Each member is called as its node."""

    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        leader = (task_vars or {}).get("stub_leader", "")
        return {
            "changed": False,
            "local": f"node-of-{self._task.args['node']}",
            "leader": f"node-of-{leader}" if leader else "",
            "members": [],
        }
