# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of backup_store: which version of the collection makes the backup."""

from __future__ import annotations

import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


class ActionModule(GateAction):
    """Journal and verdicts, as for every module."""

    def before(self, arguments: dict[str, t.Any], run: _run.Run | None, task_vars: dict[str, t.Any]) -> None:
        arguments["collection"] = _run.collection_version()
