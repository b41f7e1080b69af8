# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of etcd_restore."""

from __future__ import annotations

import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction

CHANGES = {
    "stop": "{} stopped",
    "swap": "etcd's old data kept aside and the restored data put in its place",
    "start": "{} started",
    "put_back": "etcd's old data put back",
}


class ActionModule(GateAction):
    """Journal and verdicts, as for every module; says of each step what it changed."""

    waits = True

    def before(self, arguments: dict[str, t.Any], run: _run.Run | None, task_vars: dict[str, t.Any]) -> None:
        names = [str(name) for name in arguments.get("components") or []]
        self.change = CHANGES.get(str(arguments.get("step")), "").format(", ".join(names))
