#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Watch the control plane for some time, and stop at once when it does not stay whole."""

from __future__ import annotations

DOCUMENTATION = r"""
module: soak
short_description: Watch the control plane for some time, and stop when it does not stay whole
version_added: 0.1.0
description:
  - For O(seconds) every server must be ready at its own address, run as the same process, renew its identity Lease and
    know what its peers serve. What does not hold for O(stable_samples) samples in a row ends the watch at once.
  - The gate C(servers_ready), or C(convergence) where that is what broke.
  - Reads only, in check mode as well.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  seconds:
    description: For how long to watch. The option O(timeout) is not heeded.
    type: float
    required: true
  leases:
    description: By server, the name of its identity Lease.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Watch for ten minutes
  mixedversion.kubernetes.soak:
    kubeconfig: admin.conf
    seconds: 600
    leases:
      cp1: apiserver-eqt674mfxb4j56mrjjkoe7b7ii
    interval: 1
"""

RETURN = r"""
gates:
  description: The verdict on what was watched.
  returned: always
  type: list
  elements: dict
"""

import functools
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _discovery, _gate, _rights, _views

#: The watch is told of this often while nothing changes: so many times in all.
TOLD = 10


def unready(servers: t.Mapping[str, _api.Server]) -> dict[str, str]:
    """By server that is not ready, what it says."""
    answers = _api.at_once(
        {name: functools.partial(server.request, "GET", "/readyz") for name, server in servers.items()}
    )
    troubles = {}
    for name, answer in answers.items():
        if isinstance(answer, _api.ApiError):
            troubles[name] = f"{name} does not answer ({answer.words})"
        elif answer.status != 200:
            troubles[name] = f"{name} is not ready (/readyz answers {answer.status})"
    return troubles


def judge(
    look: _views.Look,
    not_ready: t.Mapping[str, str],
    leases: t.Mapping[str, str],
    holders: t.MutableMapping[str, str],
) -> tuple[str, str]:
    """The gate that one look shows broken, and in what words; both empty if all is whole.

    *holders* keeps by server the process first seen, as a Lease names it.
    """
    words = list(not_ready.values())
    for name, error in look.errors.items():
        if name not in not_ready:
            words.append(f"{name}: {_rights.explain(error.words)}" if error.status == 403 else str(error))
    now = {lease.name: lease for lease in look.leases}
    stale = {lease.lease.name: lease for lease in look.stale}
    for name, lease in leases.items():
        holder = now[lease].holder if lease in now else ""
        if now and not holder:
            words.append(f"the Lease of {name} is gone")
        elif holder and holders.setdefault(name, holder) != holder:
            words.append(f"{name} was started anew")
        if lease in stale:
            words.append(str(stale[lease]))
    if words:
        return "servers_ready", "; ".join(words)
    missing = {name: found for name, found in _discovery.missing(look.views, look.excluded).items() if found}
    if missing:
        told = [f"{name} lacks {len(found)} ({found[0]}, ...)" for name, found in missing.items()]
        return "convergence", "; ".join(told)
    return "", ""


class Watcher:
    """Looks until the time is over, or until what broke stays broken."""

    def __init__(self, servers: t.Mapping[str, _api.Server], params: t.Mapping[str, t.Any]) -> None:
        self._servers = servers
        self._reader = _views.Reader(servers)
        self._params = params
        known = params["slice"] or {"elapsed_seconds": 0.0, "memory": {}}
        self._before = known["elapsed_seconds"]
        self._started = time.monotonic()
        self.holders: dict[str, str] = dict((known.get("memory") or {}).get("holders") or {})
        self._broken = 0

    def look(self) -> _gate.Sample:
        gate_id, words = judge(self._reader.look(), unready(self._servers), self._params["leases"], self.holders)
        elapsed = self._before + time.monotonic() - self._started
        self._broken = self._broken + 1 if gate_id else 0
        if gate_id:
            final = self._broken >= self._params["stable_samples"]
            return _gate.Sample(False, f"after {elapsed:.0f} s {words}" if final else words, final=final, data=gate_id)
        whole = f"{len(self._servers)} servers ready, none started anew, all converged"
        seconds = self._params["seconds"]
        if elapsed >= seconds:
            return _gate.Sample(True, f"for {seconds:.0f} s {whole}", final=True, data="servers_ready")
        part = int(elapsed / seconds * TOLD)
        return _gate.Sample(False, f"{whole}; {part * seconds / TOLD:.0f} of {seconds:.0f} s soaked")


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {"seconds": {"type": "float", "required": True}, "leases": {"type": "dict", "required": True}},
        ),
        supports_check_mode=True,
    )
    params = module.params
    cluster = _api.connect(module)
    try:
        servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster)}
    except _api.ApiError as error:
        module.fail_json(msg=str(error))
    watcher = Watcher(servers, params)
    waited = _gate.wait(watcher.look, {**params, "timeout": float("inf")})
    if waited.pending:
        module.exit_json(**_gate.pending(waited, {"holders": watcher.holders}))
    gate = _gate.Gate(
        id=waited.sample.data,
        node=params["node"],
        verdict=_gate.PASSED if waited.sample.passed else _gate.FAILED,
        observed=waited.sample.progress,
        expected=f"for {params['seconds']:.0f} s every server ready, the same process, knowing what its peers serve",
        next_action="Read the log of the server named, mend it and start the playbook again; it goes on with the next "
        "node.",
        elapsed_seconds=waited.elapsed_seconds,
        samples=waited.samples,
    )
    module.exit_json(changed=False, gates=[gate.dump()])


if __name__ == "__main__":
    main()
