# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of soak."""

from __future__ import annotations

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


class ActionModule(GateAction):
    """Watches in slices, and prints each change of state."""

    waits = True
