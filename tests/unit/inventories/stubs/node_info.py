# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In place of the action plug-in of this name: what a node would tell, as the variable ``stub_nodes`` has it."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """A node is called otherwise than in the inventory, and its server announces an address of its own."""

    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        name = self._task.args["node"]
        given = (task_vars or {}).get("stub_nodes", {}).get(name, {})
        if given.get("unreachable"):
            return dict(given)
        return {
            "changed": False,
            "hostname": f"node-of-{name}",
            "node_hostname": f"node-of-{name}",
            "distribution": "",
            "distribution_directory": "",
            "active_steps": [],
            "apiserver_flags": {"advertise-address": f"10.77.0.{sum(name.encode()) % 250}", "secure-port": "6443"},
            "etcd": {"endpoint": "https://127.0.0.1:2379", "ca_file": "ca", "cert_file": "cert", "key_file": "key"},
            "certificates": [],
            "addresses": [],
            "components": {},
            "user": self._play_context.remote_user,
            **given,
        }
