# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of assert_report."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


class ActionModule(GateAction):
    """Journal and verdict, as for every module; and the report, which lies on the controller."""

    def before(self, arguments: dict[str, t.Any], run: _run.Run | None, task_vars: dict[str, t.Any]) -> None:
        if run and arguments.get("report") is None and not boolean(arguments.get("validate_only", False)):
            try:
                arguments["report"] = run.report()
            except (_run.JournalError, OSError) as error:
                raise AnsibleActionFail(str(error)) from error
