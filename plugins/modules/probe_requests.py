#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prove, request by request, that servers proxy what only their peers serve."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe_requests
short_description: Prove that proxied requests really go through every server that needs its peers
version_added: 0.1.0
description:
  - Finds every resource that some server serves itself and another one lacks, and lists and watches it through each
    server that lacks it, with and without the header C(x-kubernetes-peer-proxied). This goes for what only the newer
    servers have, and for what they no longer have.
  - A pair of resource and server passes only if the local answer is 404, the proxied one 200 every time (and of a watch
    a whole stream), the server's own count of rerouted requests rose by exactly the requests sent, and every capable
    peer is shown to have served some.
  - A proxying server picks one capable peer at random, and a peer's count has no source. So where there is more than
    one capable peer, one source is asked at a time; and a round counts only if the deltas add up to the requests sent.
  - Where no clean round can be had, because other clients ask for the same resource, the counts that rose by no less
    stand, and the probe says C(attribution=inferred).
  - A server of 1.35 counts what it reroutes by status alone. There the delta of the status must be what that server was
    sent for all resources together, and the destinations' counts tell the resources apart.
  - With O(write_probes), a server-side dry run of a create is one more way to ask, and the only one for what can't be
    listed. Then an answer proves routing that only a server can give that knows the resource; that an object without a
    spec is invalid is one.
  - A missing right is C(unproven), with the right named. A resource in a group-version that a CRD or an APIService
    holds is proxied by no server; where it is neither the CRD's nor the aggregated server's own, it is C(unproven) too.
  - A request without any answer in 10 seconds says nothing of the proxy. All is asked anew until there are answers or
    O(timeout) is over, as a server that makes the schemas of many CRDs is too busy to answer for a while. An answer is
    taken as it is.
  - The gate C(requests_proxied). No difference is C(not_exercised); a difference that can't be asked is C(unproven).
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  write_probes:
    description:
      - Sends server-side dry runs of creates as well (C(dryRun=All), which persists nothing), in check mode too.
      - They are writes to whoever reads an audit log, and need the right to create.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Prove that the old servers proxy
  mixedversion.kubernetes.probe_requests:
    kubeconfig: admin.conf
"""

RETURN = r"""
probes:
  description: One entry for each resource, each server that lacks it and each kind of request, shaped as in the report.
  returned: always
  type: list
  elements: dict
gates:
  description: The verdict on C(requests_proxied).
  returned: always
  type: list
  elements: dict
"""

import dataclasses
import functools
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _gate,
    _probes,
    _rights,
    _version,
    _views,
)


def newest(servers: t.Mapping[str, _api.Server]) -> set[str]:
    """The servers of the newest version there is."""
    answers = _api.at_once({name: functools.partial(server.get, "/version") for name, server in servers.items()})
    versions = {}
    for name, answer in answers.items():
        if isinstance(answer, _api.ApiError):
            raise answer
        versions[name] = _version.parse(answer["gitVersion"])
    return {name for name, version in versions.items() if version == max(versions.values())}


def hidden(look: _views.Look, new: t.AbstractSet[str]) -> list[_probes.Probe]:
    """A probe that can't be sent for each difference that a CRD or an APIService hides."""
    return [
        _probes.Probe(
            difference,
            via,
            "new_only" if new & set(difference.capable) else "old_only",
            hidden=look.registered.holders(difference.resource.group_version),
        )
        for difference in _discovery.hidden(look.views, look.excluded, look.registered.explains)
        for via in difference.lacking
    ]


def left_out(reader: _views.Reader, probes: t.Sequence[_probes.Probe]) -> list[str]:
    """Why servers that answered 404 may be right to: a CRD or an APIService is gone since a moment ago."""
    refusing = [probe for probe in probes if probe.status_proxied == 404]
    if not refusing:
        return []
    found = reader.deletions(sorted({probe.via for probe in refusing}))
    return sorted(
        {
            f"{probe.via}: {deletion}"
            for probe in refusing
            for deletion in found[probe.via]
            if deletion.group_version == probe.difference.resource.group_version
        }
    )


@dataclasses.dataclass(frozen=True)
class Asked:
    """What one asking of all probes came to. ``reasons``: why servers may be right to answer 404."""

    probes: list[_probes.Probe]
    resources: int
    reasons: list[str]

    def of(self, verdict: str) -> list[_probes.Probe]:
        return [probe for probe in self.probes if probe.verdict() == verdict]


def ask(reader: _views.Reader, servers: t.Mapping[str, _api.Server], *, creates: bool) -> Asked:
    """Plan the probes from what the servers serve now, send them and judge them."""
    look = reader.look()
    if look.errors:
        raise next(iter(look.errors.values()))
    new = newest(servers)
    differences = _discovery.differences(look.views, look.excluded)
    probes = _probes.plan(differences, new, creates=creates) + hidden(look, new)
    _probes.Prober(servers).run(probes)
    failed = [probe for probe in probes if probe.verdict() == _gate.FAILED]
    return Asked(probes, len(differences), left_out(reader, failed))


def sample(asking: t.Callable[[], Asked]) -> _gate.Sample:
    """Ask once. Final, unless a request had no answer: a server that has many CRDs to make schemas of is busy so long.

    An answer is not asked for again, whatever it says: a gate that asks until it likes the answer proves nothing.
    """
    try:
        asked = asking()
    except _api.ApiError as error:
        return _gate.Sample(False, str(error), final=error.status != 0, data=error)
    silent = [probe.explain() for probe in asked.of(_gate.FAILED) if probe.unanswered]
    return _gate.Sample(not silent, "; ".join(silent), final=not silent, data=asked)


def give_up(module: AnsibleModule, gate: _gate.Gate, error: _api.ApiError) -> t.NoReturn:
    """End without a probe: unproven where a right is missing."""
    if error.status != 403:
        module.fail_json(msg=f"The probes could not be sent: {error}. Nothing was changed. Mend that and start again.")
    gate.observed = f"{error.server}: {_rights.explain(error.words)}"
    module.exit_json(changed=False, gates=[gate.dump()], probes=[])


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(_api.argument_spec(), {"write_probes": {"type": "bool", "default": False}}),
        supports_check_mode=True,
    )
    params = module.params
    cluster = _api.connect(module)
    gate = _gate.Gate(
        id="requests_proxied",
        node=params["node"],
        verdict=_gate.UNPROVEN,
        observed="",
        expected="404 locally and 200 proxied for each such resource, counted as rerouted, "
        "each capable peer serving some",
        next_action="Give the kubeconfig's user the right named, or check that the server named reaches each peer that "
        "has the resource; then start the playbook again.",
    )
    try:
        servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster)}
    except _api.ApiError as error:
        give_up(module, gate, error)
    reader = _views.Reader(servers, cluster)
    asking = functools.partial(ask, reader, servers, creates=params["write_probes"])
    waited = _gate.wait(lambda: sample(asking), params)
    if waited.pending:
        module.exit_json(**_gate.pending(waited))
    gate.elapsed_seconds = round(waited.elapsed_seconds, 3)
    asked = waited.sample.data
    if isinstance(asked, _api.ApiError):
        give_up(module, gate, asked)
    failed, unproven = asked.of(_gate.FAILED), asked.of(_gate.UNPROVEN)
    if not asked.probes:
        gate.verdict = _gate.NOT_EXERCISED
        gate.observed = "all servers serve the same resources; there is nothing to proxy"
    elif failed or unproven:
        gate.verdict = _gate.FAILED if failed else _gate.UNPROVEN
        gate.observed = "; ".join([probe.explain() for probe in failed + unproven] + asked.reasons)
        if asked.reasons:
            gate.next_action = "Wait until the time named is over, then start the playbook again."
        elif all(probe.hidden for probe in failed + unproven):
            gate.next_action = (
                "Delete the CRD or the APIService named, or accept the gate: for as long as it is there, servers "
                "that lack the resource answer 404."
            )
    else:
        gate.verdict = _gate.PASSED
        sources = {probe.via for probe in asked.probes}
        gate.observed = (
            f"{asked.resources} resources x {len(sources)} servers that lack them: "
            f"{sum(probe.requests for probe in asked.probes)} requests, each answered by a peer"
        )
    gate.samples = sum(probe.requests for probe in asked.probes) or 1
    module.exit_json(changed=False, gates=[gate.dump()], probes=[probe.dump() for probe in asked.probes])


if __name__ == "__main__":
    main()
