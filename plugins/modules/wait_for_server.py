#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait until one server is really the new process, of the version wanted, and ready."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_server
short_description: Wait until an API server is the one it shall be
version_added: 0.1.0
description:
  - Asks one server at its own address until it is ready, has the version wanted, and, where O(previous_holder) is
    given, is another process than before.
  - The gate C(server_is_target). An answer of the old process never satisfies it.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  server:
    description: Which of O(servers) to wait for.
    type: str
    required: true
  version:
    description: The version that C(/version) shall say; any if left out.
    type: str
  lease:
    description: Name of the server's identity Lease.
    type: str
    required: true
  previous_holder:
    description: The Lease's holder before the server was restarted. Without it, any holder will do.
    type: str
    default: ""
  proxy:
    description: Whether the proxy's start hook shall be there and ok; either will do if left out.
    type: bool
"""

EXAMPLES = r"""
- name: Wait until cp1 serves as v1.37.2
  mixedversion.kubernetes.wait_for_server:
    kubeconfig: admin.conf
    server: cp1
    lease: apiserver-eqt674mfxb4j56mrjjkoe7b7ii
    version: v1.37.2
"""

RETURN = r"""
holder:
  description: The Lease's holder now.
  returned: success
  type: str
gates:
  description: The verdict on C(server_is_target).
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _leases, _proxy, _version

#: Where a server answers and its Lease does not follow: it is the old process, or the new one can't write.
_NOT_WRITTEN = (
    "Where the process is new, something refuses what it writes: see its admission webhooks and policies, and etcd. "
)


def look(server: _api.Server, params: t.Mapping[str, t.Any]) -> _gate.Sample:
    """One look at the server. The order is that in which a starting server gets there."""
    try:
        ready = server.request("GET", "/readyz?verbose")
        if ready.status != 200:
            unready = [line for line in ready.body.decode(errors="replace").splitlines() if line.startswith("[-]")]
            return _gate.Sample(False, f"not ready ({', '.join(unready) or f'/readyz answers {ready.status}'})")
        version = server.get("/version")["gitVersion"]
        lease = _leases.parse(server.get(f"{_leases.LIST_PATH}/{params['lease']}"))
    except _api.ApiError as error:
        if error.status in (401, 403):
            return _gate.Sample(False, f"{error.path} answers {error.status} ({error.words})")
        if error.status == 404:
            return _gate.Sample(False, "ready, its Lease is not written yet", data=_NOT_WRITTEN)
        return _gate.Sample(False, "no answer" if error.status == 0 else f"{error.path} answers {error.status}")
    if params["version"] and _version.parse(version) != _version.parse(params["version"]):
        return _gate.Sample(False, f"ready as {version}")
    if params["previous_holder"] and lease.holder == params["previous_holder"]:
        words = f"ready as {version}, but its Lease is still the old process's (holder {lease.holder})"
        return _gate.Sample(False, words, data=_NOT_WRITTEN)
    hook = _proxy.hooks(ready.body.decode(errors="replace")).get(_proxy.HOOK) == "ok"
    if params["proxy"] is not None and hook != params["proxy"]:
        return _gate.Sample(False, f"ready as {version}, the proxy's hook is {'there' if hook else 'missing'}")
    words = (
        f"{version} ready" + (", a new process" if params["previous_holder"] else "") + (", proxy on" if hook else "")
    )
    return _gate.Sample(True, words, data=lease.holder)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "server": {"type": "str", "required": True},
                "version": {"type": "str"},
                "lease": {"type": "str", "required": True},
                "previous_holder": {"type": "str", "default": ""},
                "proxy": {"type": "bool"},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    cluster = _api.connect(module)
    try:
        known = {target.name: target for target in _api.targets(module, cluster)}
    except _api.ApiError as error:
        module.fail_json(msg=str(error))
    if params["server"] not in known:
        module.fail_json(msg=f"{params['server']} is none of the servers {', '.join(known)}.")
    server = cluster.server(known[params["server"]])
    waited = _gate.wait(lambda: look(server, params), params)
    if waited.pending:
        module.exit_json(**_gate.pending(waited))
    holder, hint = (waited.sample.data, "") if waited.sample.passed else ("", waited.sample.data or "")
    expected = (params["version"] or "ready") + (", a process started by this run" if params["previous_holder"] else "")
    gate = _gate.Gate(
        id="server_is_target",
        node=params["node"] or params["server"],
        verdict=_gate.FAILED if waited.timed_out else _gate.PASSED,
        observed=waited.sample.progress,
        expected=expected,
        next_action=f"{hint}Read the server's log on {params['server']} (crictl logs or journalctl), mend it and start "
        "the playbook again; it goes on with this node.",
        elapsed_seconds=waited.elapsed_seconds,
        samples=waited.samples,
    )
    module.exit_json(changed=False, gates=[gate.dump()], holder=holder)


if __name__ == "__main__":
    main()
