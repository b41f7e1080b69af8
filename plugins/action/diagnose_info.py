# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of diagnose_info: here everything is judged, as certificates need cryptography."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _causes, _evidence, _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


def facts(arguments: t.Mapping[str, t.Any], seen: t.Mapping[str, t.Any], now: datetime.datetime) -> _evidence.Facts:
    """The module's options and what it read, in the shape the causes take."""
    return _evidence.Facts(
        hosts=list(arguments.get("hosts") or []),
        nodes={str(node["name"]): node for node in arguments.get("nodes") or []},
        proxies={str(proxy["name"]): proxy for proxy in arguments.get("proxies") or []},
        peers={
            str(source): {str(entry["name"]): entry for entry in entries}
            for source, entries in (arguments.get("peers") or {}).items()
        },
        leases=list(arguments.get("leases") or []),
        seen=seen,
        untried={str(source): str(words) for source, words in (arguments.get("untried") or {}).items()},
        now=now,
    )


class ActionModule(GateAction):
    """Adds findings and notes."""

    def after(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        result: dict[str, t.Any],
        task_vars: dict[str, t.Any],
    ) -> None:
        # Without the API there are still the nodes and the ways between them.
        seen = result.get("seen") or {"errors": {"what the API tells": str(result.get("msg") or "no answer")}}
        gathered = facts(arguments, seen, datetime.datetime.now(datetime.timezone.utc))
        found = _causes.judge(gathered)
        result["findings"] = [finding.dump() for finding in found]
        result["notes"] = _causes.notes(gathered, found)
        result["dead_leases"] = _causes.safe_to_delete(gathered)
        result["live_leases"] = {
            name: proxy["lease"]
            for name, proxy in gathered.proxies.items()
            if gathered.answers(name) and proxy["lease"]
        }
        for note in result["notes"]:
            self._display.warning(note)
