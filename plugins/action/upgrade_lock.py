# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of upgrade_lock: who asks for it, and for how long the journal may be silent then."""

from __future__ import annotations

import os
import socket
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


class ActionModule(GateAction):
    """Waits in slices, and prints what it waits for."""

    waits = True

    def before(self, arguments: dict[str, t.Any], run: _run.Run | None, task_vars: dict[str, t.Any]) -> None:
        # The parent of this worker is ansible-playbook.
        arguments.setdefault("controller", f"{socket.gethostname()}, process {os.getppid()}")

    def after(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        result: dict[str, t.Any],
        task_vars: dict[str, t.Any],
    ) -> None:
        held = all(gate["verdict"] == "passed" for gate in result.get("gates", [])) and not result.get("failed")
        if run and held and arguments.get("state") != "absent" and not self._task.check_mode:
            self._append(run, {"event": "lock", "seconds": int(arguments.get("duration", _run.LOCK_SECONDS))})
