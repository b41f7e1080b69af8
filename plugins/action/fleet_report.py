# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather the clusters' reports into one page; all on the controller."""

from __future__ import annotations

import json
import os
import typing as t

from ansible.errors import AnsibleActionFail

from ansible_collections.mixedversion.kubernetes.plugins.modules.fleet_report import ARGUMENT_SPEC
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _fleet, _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._controller_action import ControllerAction


def words(cluster: _fleet.Fleet) -> str:
    """What a person has to know of a cluster that did not succeed, in one line."""
    where = f" at {cluster['failed_gate']}" if cluster["failed_gate"] else ""
    where += f" on {cluster['failed_node']}" if cluster["failed_node"] else ""
    last = next(reversed(cluster["last_words"]), "")
    said = (last if cluster["result"] == _fleet.NO_REPORT else "") or cluster["observed"] or cluster["next_action"]
    return f"  {cluster['name']}: {cluster['result']}{where}" + (f": {said}" if said else "")


class ActionModule(ControllerAction):
    """Gathers, writes, and fails where a cluster did not succeed."""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = self.arguments(ARGUMENT_SPEC)
        directory = os.path.abspath(arguments["directory"])
        try:
            clusters = _fleet.gather(directory, arguments["clusters"])
            if not clusters:
                raise AnsibleActionFail(
                    f"{directory} holds no folder, expected one per cluster. Name the one with the runs in it."
                )
            fleet = _fleet.build(clusters, _run.collection_version())
            texts = {
                "fleet.json": json.dumps(fleet, indent=2) + "\n",
                "fleet.md": _fleet.markdown(fleet),
                "fleet.html": _fleet.html(fleet),
            }
            for name, text in texts.items():
                _run.write_atomically(os.path.join(directory, name), text)
            if arguments["latest"]:
                _run.point_latest(directory)
        except OSError as error:
            raise AnsibleActionFail(
                f"The clusters can't be gathered: {error}. Name a folder that is there and can be written."
            ) from error
        page = os.path.join(directory, "fleet.html")
        summary = f"{fleet['succeeded']} of {len(clusters)} clusters succeeded"
        self._display.display(f"\n{summary}\n  page: {page} (the same as fleet.md and fleet.json)")
        others = [cluster for cluster in clusters if cluster["result"] != "succeeded"]
        return {
            "changed": False,
            "page": page,
            "results": {cluster["name"]: cluster["result"] for cluster in clusters},
            **({"failed": True, "msg": "\n".join([f"{summary}.", *map(words, others)])} if others else {}),
        }
