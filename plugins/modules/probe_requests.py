#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prove, request by request, that the old servers proxy what only the new ones serve."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe_requests
short_description: Prove that proxied reads really go through every server that needs its peers
version_added: 0.1.0
description:
  - Finds every resource that some server serves itself and another one lacks, and lists it from each server that lacks
    it, with and without the header C(x-kubernetes-peer-proxied).
  - A pair of resource and server passes only if the local answer is 404, the proxied one 200 every time, the server's
    own count of rerouted requests rose by exactly the requests sent, and every capable peer is shown to have served
    some.
  - A proxying server picks one capable peer at random, and a peer's count has no source. So one source is asked at a
    time, and a round counts only if the peers' deltas add up to the requests sent.
  - Where no clean round can be had, because other clients ask for the same resource, the count of the source alone
    stands, and the probe says C(attribution=inferred).
  - The gate C(requests_proxied). No difference is C(not_exercised); a difference that can't be asked is C(unproven).
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
"""

EXAMPLES = r"""
- name: Prove that the old servers proxy
  mixedversion.kubernetes.probe_requests:
    kubeconfig: admin.conf
"""

RETURN = r"""
probes:
  description: One entry for each resource and each server that lacks it, shaped as in the report.
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
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _gate,
    _metrics,
    _version,
    _views,
)

HEADER_LOCAL = {"x-kubernetes-peer-proxied": "true"}
#: Requests of one resource in one round: with two capable peers, both are picked in 99 of 100 rounds.
BURST = 8
#: Rounds until attribution is given up: every capable peer must be seen, and each round must be clean.
ROUNDS = 6

Metrics = t.Mapping[str, list[_metrics.Sample]]


@dataclasses.dataclass
class Probe:
    """One resource from one server that lacks it, over all rounds."""

    difference: _discovery.Difference
    via: str
    direction: str
    status_local: int = 0
    status_proxied: int = 0
    words: str = ""
    requests: int = 0
    rerouted: float = 0.0
    served_by: set[str] = dataclasses.field(default_factory=set)
    clean_rounds: int = 0
    seen: set[str] = dataclasses.field(default_factory=set)
    busy_rounds: int = 0
    seconds: float = 0.0
    sent: int = 0

    @property
    def broken(self) -> bool:
        """An answer came that no further round can mend."""
        return self.status_local not in (0, 404) or self.status_proxied not in (0, 200)

    @property
    def proven(self) -> bool:
        """Clean rounds showed each capable peer at work."""
        return not self.broken and self.clean_rounds > 0 and self.served_by == set(self.difference.capable)

    @property
    def inferred(self) -> bool:
        """No round was clean, as others ask for the same; but each capable peer's count rose in them."""
        return not self.broken and not self.clean_rounds and self.seen == set(self.difference.capable)

    def verdict(self) -> str:
        if not self.difference.listable:
            return _gate.UNPROVEN
        if 403 in (self.status_local, self.status_proxied):
            return _gate.UNPROVEN
        if self.broken or self.rerouted < 1:
            return _gate.FAILED
        return _gate.PASSED if self.proven or self.inferred else _gate.UNPROVEN

    def explain(self) -> str:
        """Why it did not pass, with what was seen."""
        what = f"{self.difference.resource} via {self.via}"
        if not self.difference.listable:
            return f"{what}: it can't be listed, so a read can't prove it"
        if 403 in (self.status_local, self.status_proxied):
            return f"{what}: forbidden, the right to list it is missing ({self.words})"
        if self.broken:
            return f"{what}: {self.status_local} locally, {self.status_proxied} proxied ({self.words})"
        if self.rerouted < 1:
            return f"{what}: {self.status_proxied} without a count of a rerouted request"
        unseen = ", ".join(sorted(set(self.difference.capable) - self.served_by))
        return f"{what}: no clean round showed that {unseen} served any of {self.requests} requests"

    def dump(self) -> dict[str, t.Any]:
        return {
            "group": self.difference.resource.group,
            "version": self.difference.resource.version,
            "resource": self.difference.resource.resource,
            "kind": "list",
            "direction": self.direction,
            "via": self.via,
            "served_by": sorted(self.seen if self.inferred else self.served_by),
            "attribution": "exact" if self.proven else "inferred",
            "verdict": self.verdict(),
            "status_local": self.status_local,
            "status_proxied": self.status_proxied,
            "requests": self.requests,
            "rerouted_delta": self.rerouted,
            "elapsed_seconds": round(self.seconds, 3),
        }


def scrape(servers: t.Mapping[str, _api.Server]) -> Metrics:
    """The counters of all servers at one moment."""
    names = (_metrics.REROUTED, _metrics.REQUESTS)

    def of(server: _api.Server) -> t.Callable[[], list[_metrics.Sample]]:
        return lambda: _metrics.parse(server.get_text("/metrics"), names)

    answers = _api.at_once({name: of(server) for name, server in servers.items()})
    for answer in answers.values():
        if isinstance(answer, _api.ApiError):
            raise answer
    return t.cast(Metrics, answers)


def rerouted(metrics: Metrics, server: str, resource: _discovery.Resource) -> float:
    """Requests of *resource* that *server* got answered 200 by a peer, since it started."""
    return _metrics.total(metrics[server], _metrics.REROUTED, code="200", **resource._asdict())


def served(metrics: Metrics, server: str, resource: _discovery.Resource) -> float:
    """Lists of *resource* that *server* answered, whoever asked, since it started."""
    return _metrics.total(metrics[server], _metrics.REQUESTS, verb="LIST", **resource._asdict())


def ask(server: _api.Server, probe: Probe) -> None:
    """One round of requests for one probe; stops at the first answer that breaks it."""
    path = probe.difference.resource.path + "?limit=1"
    begun = time.monotonic()
    local = server.request("GET", path, headers=HEADER_LOCAL)
    probe.status_local = local.status
    if local.status != 404:
        probe.words = local.words
    probe.sent = 0
    while probe.sent < BURST and not probe.broken:
        answer = server.request("GET", path)
        probe.status_proxied = answer.status
        probe.sent += 1
        if answer.status != 200:
            probe.words = answer.words
    probe.requests += probe.sent
    probe.seconds += time.monotonic() - begun


def account(probe: Probe, before: Metrics, after: Metrics) -> None:
    """Take a round's deltas into the probe. A round is clean if nobody else's requests are in them."""
    resource = probe.difference.resource
    delta = rerouted(after, probe.via, resource) - rerouted(before, probe.via, resource)
    peers = {name: served(after, name, resource) - served(before, name, resource) for name in probe.difference.capable}
    seen = {name for name, count in peers.items() if count > 0}
    probe.rerouted += delta
    if delta == probe.sent == sum(peers.values()):
        probe.clean_rounds += 1
        probe.served_by |= seen
    elif delta >= probe.sent:
        probe.busy_rounds += 1
        probe.seen |= seen


def prove(servers: t.Mapping[str, _api.Server], via: str, probes: list[Probe]) -> None:
    """Rounds from one source, until each probe is proven or broken."""
    before = scrape(servers)
    for dummy in range(ROUNDS):
        open_probes = [probe for probe in probes if not probe.proven and not probe.broken]
        if not open_probes:
            return
        for probe in open_probes:
            ask(servers[via], probe)
        # The source counts a request when its answer is through, which may be a moment after we have read it.
        deadline = time.monotonic() + 2.0
        while True:
            after = scrape(servers)
            late = [
                probe
                for probe in open_probes
                if not probe.broken
                and rerouted(after, via, probe.difference.resource) - rerouted(before, via, probe.difference.resource)
                < probe.sent
            ]
            if not late or time.monotonic() > deadline:
                break
        for probe in open_probes:
            account(probe, before, after)
        before = after


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=_gate.argument_spec(_api.argument_spec()), supports_check_mode=True)
    params = module.params
    cluster = _api.connect(module)
    begun = time.monotonic()
    try:
        servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster)}
        look = _views.Reader(servers).look()
        if look.errors:
            raise next(iter(look.errors.values()))
        newest = max(_version.parse(server.get("/version")["gitVersion"]) for server in servers.values())
        new = {n for n, s in servers.items() if _version.parse(s.get("/version")["gitVersion"]) == newest}
        differences = _discovery.differences(look.views, look.excluded)
        probes = [
            Probe(difference, via, "new_only" if new.intersection(difference.capable) else "old_only")
            for difference in differences
            for via in difference.lacking
        ]
        for via in servers:
            # One source at a time: a peer's counter does not tell who asked.
            prove(servers, via, [probe for probe in probes if probe.via == via and probe.difference.listable])
    except _api.ApiError as error:
        module.fail_json(msg=f"The probes could not be sent: {error}. Nothing was changed. Mend that and start again.")
    failed = [probe for probe in probes if probe.verdict() == _gate.FAILED]
    unproven = [probe for probe in probes if probe.verdict() == _gate.UNPROVEN]
    if not probes:
        verdict, observed = _gate.NOT_EXERCISED, "all servers serve the same resources; there is nothing to proxy"
    elif failed or unproven:
        verdict = _gate.FAILED if failed else _gate.UNPROVEN
        observed = "; ".join(probe.explain() for probe in failed + unproven)
    else:
        verdict = _gate.PASSED
        sources = {probe.via for probe in probes}
        observed = (
            f"{len(differences)} resources x {len(sources)} servers that lack them: "
            f"{sum(probe.requests for probe in probes)} requests, each answered 200 by a peer"
        )
    gate = _gate.Gate(
        id="requests_proxied",
        node=params["node"],
        verdict=verdict,
        observed=observed,
        expected="404 locally and 200 proxied for each such resource, counted as rerouted, "
        "each capable peer serving some",
        next_action="Give the kubeconfig's user the right named, or check that the server named reaches each peer that "
        "has the resource; then start the playbook again.",
        elapsed_seconds=round(time.monotonic() - begun, 3),
        samples=sum(probe.requests for probe in probes) or 1,
    )
    module.exit_json(changed=False, gates=[gate.dump()], probes=[probe.dump() for probe in probes])


if __name__ == "__main__":
    main()
