# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What the modules have in common that work on the controller only."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase


class ControllerAction(ActionBase):
    """Everything happens in the action: there is no module to start, and no host is reached."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def arguments(self, spec: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """The task's, as the module's argument spec has them; the task fails where they are not."""
        # ansible-core has no types for it.
        found: dict[str, t.Any] = self.validate_argument_spec(spec)[1]  # type: ignore[no-untyped-call]
        return found
