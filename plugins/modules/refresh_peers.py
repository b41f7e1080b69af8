#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make every server fetch its peers' discovery anew, and prove that it did."""

from __future__ import annotations

DOCUMENTATION = r"""
module: refresh_peers
short_description: Prove that every server can fetch every peer's discovery
version_added: 0.1.0
description:
  - Equal versions always converge, so before the first node is upgraded another proof is needed that the peers can
    really be asked.
  - A change of one identity Lease's holder makes every server fetch C(/api) and C(/apis) from each of its peers. This
    module makes such a change, waits until every server has counted exactly 2 x (N-1) fetches answered 200 and no sync
    error, takes the change back, and waits for the same again. The gate C(peers_fetched).
  - The peers stay listed all the while, and the servers go on working.
  - In check mode nothing is written; the verdict is then C(skipped), with what the counters let one infer.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  lease:
    description: Name of the identity Lease whose holder is changed and changed back.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Prove that the peers fetch each other's discovery
  mixedversion.kubernetes.refresh_peers:
    kubeconfig: admin.conf
    lease: apiserver-eqt674mfxb4j56mrjjkoe7b7ii
"""

RETURN = r"""
gates:
  description: The verdict on C(peers_fetched).
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _leases, _metrics

#: Appended to the holder, so that a change left behind by a killed run is recognised and taken back.
MARK = "_mixedversion"
#: /api and /apis.
FETCHES_PER_PEER = 2

Counts = t.Dict[str, t.Tuple[float, float]]


def count(servers: t.Mapping[str, _api.Server]) -> Counts:
    """For each server: discovery fetches answered 200, and sync errors, since it started."""

    def of(server: _api.Server) -> t.Callable[[], tuple[float, float]]:
        def read() -> tuple[float, float]:
            samples = _metrics.parse(server.get_text("/metrics"), (_metrics.REROUTED, _metrics.SYNC_ERRORS))
            fetched = _metrics.total(samples, _metrics.REROUTED, code="200", group="", version="", resource="")
            return fetched, _metrics.total(samples, _metrics.SYNC_ERRORS)

        return read

    answers = _api.at_once({name: of(server) for name, server in servers.items()})
    for answer in answers.values():
        if isinstance(answer, _api.ApiError):
            raise answer
    return t.cast(Counts, answers)


def judge(before: Counts, after: Counts, wanted: int) -> _gate.Sample:
    """Whether every server has fetched what it had to since *before*; too many fetches or an error end the wait."""
    words, passed, final = [], True, False
    for name, (fetched, errors) in after.items():
        delta, new_errors = fetched - before[name][0], errors - before[name][1]
        words.append(f"{name} {delta:.0f}" + (f" and {new_errors:.0f} sync errors" if new_errors else ""))
        passed = passed and delta == wanted and not new_errors
        final = final or delta > wanted or new_errors > 0 or fetched < before[name][0]
    return _gate.Sample(passed, f"fetches answered 200: {', '.join(words)} (of {wanted} each)", final=final)


def set_holder(server: _api.Server, lease: str, holder: str) -> None:
    server.send(
        "PATCH",
        f"{_leases.LIST_PATH}/{lease}",
        {"spec": {"holderIdentity": holder}},
        content_type="application/merge-patch+json",
    )


def prove(servers: t.Mapping[str, _api.Server], lease: str, params: t.Mapping[str, t.Any]) -> _gate.Waited:
    """Change the holder, wait, change it back, wait. The holder is put back whatever happens."""
    writer = next(iter(servers.values()))
    found = _leases.parse(writer.get(f"{_leases.LIST_PATH}/{lease}")).holder
    holder = found[: -len(MARK)] if found.endswith(MARK) else found
    if found != holder:
        set_holder(writer, lease, holder)
    whole = {**params, "slice": None, "stable_samples": 1}
    wanted = FETCHES_PER_PEER * (len(servers) - 1)
    samples, elapsed = 0, 0.0
    for new in (holder + MARK, holder):
        before = count(servers)
        try:
            set_holder(writer, lease, new)
            waited = _gate.wait(lambda b=before: judge(b, count(servers), wanted), whole)
        except BaseException:
            set_holder(writer, lease, holder)
            raise
        samples, elapsed = samples + waited.samples, elapsed + waited.elapsed_seconds
        if not waited.sample.passed:
            set_holder(writer, lease, holder)
            break
    return _gate.Waited(waited.sample, False, waited.timed_out, samples, elapsed)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(_api.argument_spec(), {"lease": {"type": "str", "required": True}}),
        supports_check_mode=True,
    )
    params = module.params
    cluster = _api.connect(module)
    wanted = "2 x (N-1) fetches answered 200 on every server after each holder change, and no sync error"
    gate = _gate.Gate("peers_fetched", _gate.PASSED, "", wanted, node=params["node"])
    try:
        servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster)}
        if len(servers) == 1:
            gate.verdict, gate.observed = _gate.NOT_EXERCISED, "one server has no peers"
        elif module.check_mode:
            fetched = {name: f"{name} {known:.0f}" for name, (known, dummy) in count(servers).items()}
            gate.verdict, gate.observed = _gate.SKIPPED, f"fetches answered 200 since start: {', '.join(fetched.values())}"
            gate.reason = "the proof changes a Lease, and check mode writes nothing"
        else:
            waited = prove(servers, params["lease"], params)
            gate.observed, gate.samples = waited.sample.progress, waited.samples
            gate.elapsed_seconds = round(waited.elapsed_seconds, 3)
            if not waited.sample.passed:
                gate.verdict = _gate.FAILED
                gate.next_action = (
                    "Read the log of the server with too few fetches for errors syncing peer discovery, "
                    "check its way to each peer, and start the playbook again."
                )
    except _api.ApiError as error:
        module.fail_json(msg=f"The proof could not be made: {error}. The Lease's holder was put back if it was changed.")
    module.exit_json(changed=gate.samples > 1 and not module.check_mode, gates=[gate.dump()])


if __name__ == "__main__":
    main()
