#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait until every server knows what all servers serve."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_convergence
short_description: Wait until every server's merged discovery covers all servers' own
version_added: 0.1.0
description:
  - For every server, the merged aggregated discovery of C(/apis) must contain the union of what all servers say they
    serve themselves (C(profile=nopeer)), as sets of group, version and resource.
  - Group-versions of CRDs and of aggregated API servers are left out, as the servers never proxy them. Those are
    compared by registration instead, a CRD by its conditions C(NamesAccepted) and C(Established) and by whether every
    server serves it, an APIService by C(Available) and by whether every server reaches what is behind it. What does not
    hold is a warning.
  - A server goes on leaving a group-version out for five minutes after its last CRD or APIService was deleted. Until
    then a built-in resource of that group-version is really not proxied, so this waits, and says why. It sees such a
    deletion only as far back as the server's watch cache reaches, which is no further than the server's start; and only
    if the user may watch both kinds. A deletion of an APIService carries no time.
  - The identity Leases must be exactly O(leases), O(stable_samples) times in a row. A Lease that is not renewed, and
    whose address does not answer, is named as that of a dead server; one that is renewed, as a server that the
    inventory lacks. The gate C(convergence).
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  leases:
    description: Names of the identity Leases that shall be there, no more and no less; not looked at if left out.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Wait until every server knows what its peers serve
  mixedversion.kubernetes.wait_for_convergence:
    kubeconfig: admin.conf
    timeout: 180
"""

RETURN = r"""
resources:
  description: How many resources each server serves itself (C(own)) and in all (C(merged)), exclusions left out.
  returned: always
  type: dict
differences:
  description: Each resource that some servers serve themselves and others do not.
  returned: always
  type: list
  elements: dict
registrations:
  description: Each CRD and each APIService with a service that does not hold.
  returned: always
  type: list
  elements: dict
  contains:
    kind: {description: V(CustomResourceDefinition) or V(APIService)., type: str, returned: always}
    name: {description: Its name., type: str, returned: always}
    condition:
      description: V(NamesAccepted), V(Established), V(Available), or V(Served) where only some servers do not show it.
      type: str
      returned: always
    servers: {description: The servers that do not show it., type: list, elements: str, returned: always}
    message: {description: "What was seen, in the object's own words.", type: str, returned: always}
stale_leases:
  description: Each identity Lease that is not renewed.
  returned: always
  type: list
  elements: dict
  contains:
    lease: {description: Its name., type: str, returned: always}
    hostname: {description: "Its server's host name.", type: str, returned: always}
    address: {description: The address it announces., type: str, returned: always}
    age_seconds: {description: "Since the last renewal, by the clock of a server.", type: float, returned: always}
    answers: {description: "Whether anything answers there; null if it tells no address.", type: bool, returned: always}
    taken_by: {description: Host name of another server at the same address., type: str, returned: always}
    dead: {description: "Whether its server is gone, and not only slow to renew.", type: bool, returned: always}
surplus:
  description: >-
    By server, what its merged discovery has though no server serves it, as it remembers a peer as it was.
  returned: always
  type: dict
gates:
  description: The verdict on C(convergence), and a warning under the same id for the registrations that do not hold.
  returned: always
  type: list
  elements: dict
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _gate,
    _registrations,
    _rights,
    _views,
)

EXPECTED = "every server's merged discovery covers all servers' own"
RIGHT = "Give the kubeconfig's user the right named, then start the playbook again."


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one look shows. ``settles``: it may be otherwise in some seconds; ``holds`` is what it is if it is not."""

    holds: bool
    words: str
    settles: bool = False


def judge(look: _views.Look, expected_leases: list[str] | None, deletions: _views.Deletions) -> Verdict:
    """Whether this one look shows convergence, and in a few words what it shows."""
    if look.errors:
        forbidden = [f"{error.server}: {_rights.explain(error.words)}" for error in refused(look)]
        return Verdict(False, "; ".join(forbidden or map(str, look.errors.values())), settles=bool(forbidden))
    if expected_leases is not None:
        words = lease_troubles(look, expected_leases)
        if words:
            return Verdict(False, "; ".join(words))
    missing = {name: found for name, found in _discovery.missing(look.views, look.excluded).items() if found}
    if missing:
        words = [
            f"{name} lacks {len(found)} ({_discovery.some([str(resource) for resource in found])})"
            for name, found in missing.items()
        ]
        return Verdict(
            False,
            "; ".join(
                [
                    f"{len(look.views) - len(missing)} of {len(look.views)} converged",
                    *words,
                    *left_out(look, missing, deletions),
                ]
            ),
        )
    union = {resource for view in look.views.values() for resource in _discovery.without(view.own, look.excluded)}
    told = f"all {len(look.views)} servers know all {len(union)} resources"
    troubles = _registrations.troubles(look.registered, look.views)
    if troubles:
        told += f"; {len(troubles)} registrations of CRDs and APIServices do not hold"
    if look.stale and expected_leases is None:
        told = "; ".join([told, *map(str, look.stale)])
    return Verdict(True, told, settles=any(trouble.settles for trouble in troubles))


def refused(look: _views.Look) -> list[_api.ApiError]:
    """The answers that say that a right is missing."""
    return [error for error in look.errors.values() if error.status == 403]


def lease_troubles(look: _views.Look, expected: list[str]) -> list[str]:
    """What is wrong with the Leases: expected ones that are missing, dead ones, and servers nobody told us of."""
    there = {lease.name: lease for lease in look.leases}
    stale = {lease.lease.name: lease for lease in look.stale}
    gone = sorted(set(expected) - set(there))
    words = [f"{len(gone)} expected Leases are missing"] if gone else []
    for name in sorted(there, key=lambda name: there[name].hostname):
        if name in stale and (name not in expected or stale[name].dead):
            dead = stale[name].dead and name not in expected
            words.append(f"{'a server that is gone left its Lease behind: ' if dead else ''}{stale[name]}")
        elif name not in expected:
            words.append(f"a Lease of {there[name].hostname or name}, which renews it and is not in the inventory")
    return words


def left_out(
    look: _views.Look, missing: t.Mapping[str, list[_discovery.Resource]], deletions: _views.Deletions
) -> list[str]:
    """Which servers may lack what they lack because its group-version had a CRD or an APIService a moment ago."""
    return [
        f"{name}: {deletion}"
        for name, found in missing.items()
        for deletion in deletions.get(name, ())
        if not deletion.over(look.now) and deletion.group_version in {resource.group_version for resource in found}
    ]


class Watcher:
    """Looks, and does not take at its word what may be otherwise in some seconds."""

    def __init__(self, reader: _views.Reader, expected_leases: list[str] | None, patience: _rights.Patience) -> None:
        self._reader = reader
        self._expected = expected_leases
        self._patience = patience
        self._lacking: set[str] = set()
        self._deletions: _views.Deletions = {}

    def look(self) -> _gate.Sample:
        look = self._reader.look()
        lacking = {name for name, found in _discovery.missing(look.views, look.excluded).items() if found}
        if lacking and not look.errors and lacking != self._lacking:
            # Takes a second, and is asked for only where there is something to explain.
            self._deletions = self._reader.deletions(sorted(lacking))
            self._lacking = lacking
        verdict = judge(look, self._expected, self._deletions)
        settled = self._patience.over(verdict.settles)
        return _gate.Sample(
            verdict.holds and settled,
            verdict.words,
            # A right does not come by waiting.
            final=verdict.settles and settled and not verdict.holds,
            data=look,
        )


def next_action(look: _views.Look, verdict: str) -> str:
    """What to do about a look that did not pass."""
    if verdict == _gate.UNPROVEN:
        return RIGHT
    if any(lease.dead for lease in look.stale):
        return (
            "Delete the Lease named in kube-system if its server is gone for good (the playbook diagnose does so with "
            "control_plane_repair: true), or start that server; then start the playbook again."
        )
    return (
        "Check that the server named reaches its peers and that its log shows no errors syncing peer discovery, and if "
        "a time is named wait until it is over; then start the playbook again."
    )


def warning(troubles: list[_registrations.Trouble], node: str) -> _gate.Gate:
    """The registrations that do not hold, as a verdict that stops nothing."""
    return _gate.Gate(
        id="convergence",
        node=node,
        verdict=_gate.FAILED,
        severity=_gate.WARNING,
        observed="; ".join(map(str, troubles)),
        expected="every CRD accepted, Established and served by every server, and every APIService Available to each",
        next_action="Mend the CRD or the service behind the APIService, or delete what is no longer used: its clients "
        "get errors, whatever the proxy does.",
    )


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(_api.argument_spec(), {"leases": {"type": "list", "elements": "str"}}),
        supports_check_mode=True,
    )
    params = module.params
    cluster = _api.connect(module)
    try:
        servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster)}
    except _api.ApiError as error:
        if error.status != 403:
            module.fail_json(msg=str(error))
        refusal = _gate.Gate(
            id="convergence",
            node=params["node"],
            verdict=_gate.UNPROVEN,
            observed=f"{error.server}: {_rights.explain(error.words)}",
            expected=EXPECTED,
            next_action=RIGHT,
        )
        module.exit_json(
            changed=False,
            gates=[refusal.dump()],
            registrations=[],
            stale_leases=[],
            surplus={},
            resources={},
            differences=[],
        )
    patience = _rights.Patience((params["slice"] or {}).get("memory"), params["timeout"])
    watcher = Watcher(_views.Reader(servers, cluster), params["leases"], patience)
    waited = _gate.wait(watcher.look, params)
    if waited.pending:
        module.exit_json(**_gate.pending(waited, patience.memory))
    look: _views.Look = waited.sample.data
    if waited.sample.passed and not waited.timed_out:
        verdict = _gate.PASSED
    else:
        verdict = _gate.UNPROVEN if refused(look) else _gate.FAILED
    gate = _gate.Gate(
        id="convergence",
        node=params["node"],
        verdict=verdict,
        observed=waited.sample.progress,
        expected=f"{EXPECTED}, {params['stable_samples']} samples in a row",
        next_action=next_action(look, verdict),
        elapsed_seconds=waited.elapsed_seconds,
        samples=waited.samples,
    )
    troubles = _registrations.troubles(look.registered, look.views)
    module.exit_json(
        changed=False,
        gates=[gate.dump()] + ([warning(troubles, params["node"]).dump()] if troubles else []),
        registrations=[trouble.dump() for trouble in troubles],
        stale_leases=[lease.dump() for lease in look.stale],
        surplus={
            name: [str(resource) for resource in found]
            for name, found in _discovery.surplus(look.views, look.excluded).items()
            if found
        },
        resources={
            name: {
                "own": len(_discovery.without(view.own, look.excluded)),
                "merged": len(_discovery.without(view.merged, look.excluded)),
            }
            for name, view in look.views.items()
        },
        differences=[
            {
                "resource": str(d.resource),
                "capable": list(d.capable),
                "lacking": list(d.lacking),
                "listable": d.listable,
            }
            for d in _discovery.differences(look.views, look.excluded)
        ],
    )


if __name__ == "__main__":
    main()
