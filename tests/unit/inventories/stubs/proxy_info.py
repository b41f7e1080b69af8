# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In place of the action plug-in of this name: maps the hosts as the module does, to the Leases of all nodes."""

from __future__ import annotations

import datetime
import json
import pathlib
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _leases
from ansible_collections.mixedversion.kubernetes.plugins.modules import proxy_info


class ActionModule(ActionBase):
    """No server is asked; what the module was asked with goes into the file ``stub_asked``."""

    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        # Once it is known who is who, only the servers are asked.
        inventory = self._task.args.get("inventory") or [
            {"name": server["name"], "hostname": f"node-of-{server['name']}", "address": server["address"]}
            for server in self._task.args["servers"]
        ]
        now = datetime.datetime.now(datetime.timezone.utc)
        leases = [
            _leases.Lease(_leases.server_id(item["hostname"]), item["hostname"], "holder", "", now)
            for item in inventory
        ]
        hosts, troubles = proxy_info.match(inventory, leases)
        asked = {"from": self._task.delegate_to, "user": self._play_context.remote_user, "inventory": inventory}
        if "stub_asked" in variables:
            pathlib.Path(variables["stub_asked"]).write_text(json.dumps({**asked, "troubles": troubles}))
        version = variables.get("stub_version", "v1.36.4")
        proxies = [
            {
                "name": host.name,
                "hostname": host.hostname,
                "address": host.address,
                "lease": host.lease.name if host.lease else "",
                "lease_address": host.address,
                "holder": "holder",
                "version": version,
                "emulated_version": "1.36",
                "state": "off",
            }
            for host in hosts
        ]
        return {"changed": False, "cluster_uid": "uid", "proxies": proxies}
