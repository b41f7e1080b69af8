#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask the servers what the user wants asked."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe_custom
short_description: Ask the servers directly, and hold their answers against expressions
version_added: 0.1.0
description:
  - Sends a GET for each probe to each server it is for, at the server's own address, and holds the answer against a
    JMESPath expression, until each is true or O(timeout) is over. The gate C(user_probes).
  - A missing right is C(unproven) with the right named, and not waited for.
  - An expression that can't be parsed, a path that is none and a kind that no server knows fail before any probe is
    sent.
  - Of an answer nothing is shown but its status, and of an expression nothing but what it comes to where that is not
    true. So both may be about a Secret.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  probes:
    description: What to ask.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - What the probe is called.
          - With O(probes[].kind) it is also the name of the object to read.
        type: str
        required: true
      path:
        description: An absolute path of the API, with its query if it has one. Either this or O(probes[].kind).
        type: str
      api_version:
        description: Group and version of the object, V(apps/v1), or V(v1) for the core group.
        type: str
      kind:
        description: Kind of the object; which resource that is, the servers' discovery tells.
        type: str
      namespace:
        description: Namespace of the object, if its kind has one.
        type: str
      expect:
        description:
          - A JMESPath expression over the answer, which must come to something true.
          - Nothing, false, zero, and what is empty are not true.
          - Without it, an answer of 200 is enough.
        type: str
      via:
        description:
          - Through which servers it is asked, V(each) of them, the V(new) ones, which are of the newest version there
            is, or the V(old) ones, which are not.
          - For V(old) there is nothing to ask where all are of one version.
        type: str
        choices: [each, old, new]
        default: each
  validate_only:
    description:
      - Looks at the probes as they are written and sends nothing, so that a wrong one is known before a long job.
      - Whether a server knows the kind of an object is not looked at, as only the target may.
    type: bool
    default: false
requirements:
  - jmespath
"""

EXAMPLES = r"""
- name: See through every server that the storage class is there and the ingress controller has a replica
  mixedversion.kubernetes.probe_custom:
    kubeconfig: admin.conf
    probes:
      - name: storage class
        path: /apis/storage.k8s.io/v1/storageclasses
        expect: items[?metadata.name == 'fast'] | [0]
      - name: ingress-nginx-controller
        api_version: apps/v1
        kind: Deployment
        namespace: ingress-nginx
        expect: status.readyReplicas
        via: old
"""

RETURN = r"""
answers:
  description: One entry for each probe and each server it was asked through.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The probe's., type: str, returned: always}
    via: {description: The server., type: str, returned: always}
    path: {description: What was asked., type: str, returned: always}
    status: {description: The answer's status; 0 if there was none., type: int, returned: always}
    verdict: {description: "V(passed), V(failed) or V(unproven).", type: str, returned: always}
    observed: {description: What was seen., type: str, returned: always}
probes:
  description: >-
    Of the answers, those that a peer must have given, as the server lacks the resource itself; shaped as in the report.
  returned: always
  type: list
  elements: dict
gates:
  description: The verdict on C(user_probes).
  returned: always
  type: list
  elements: dict
"""

import dataclasses
import functools
import json
import re
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _expressions,
    _gate,
    _metrics,
    _probes,
    _rights,
    _version,
)

#: What a path of the API may consist of (RFC 3986), so that it can name neither another host nor another header.
_PATH = re.compile(r"/(?!/)[A-Za-z0-9\-._~!$&'()*+,;=:@/%]*(\?[A-Za-z0-9\-._~!$&'()*+,;=:@/%?]*)?")
_API_VERSION = re.compile(r"(?:(?P<group>[a-z0-9][a-z0-9.\-]*)/)?(?P<version>v[a-z0-9]+)")
#: The path of a resource, or of one object of it, in the core group or another.
_RESOURCE = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)/(?:namespaces/[^/]+/(?=[^/]))?(?P<resource>[^/?]+)"
)
_OBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-_:]*")

OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "path": {"type": "str"},
    "api_version": {"type": "str"},
    "kind": {"type": "str"},
    "namespace": {"type": "str"},
    "expect": {"type": "str"},
    "via": {"type": "str", "choices": ["each", "old", "new"], "default": "each"},
}


class BadProbe(ValueError):
    """A probe that can't be meant; told before anything is sent."""


@dataclasses.dataclass(frozen=True)
class Custom:
    """A probe of the user's, ready to be sent but for the path of a kind, which takes the servers' discovery."""

    name: str
    path: str
    group_version: _discovery.GroupVersion
    kind: str
    namespace: str
    expression: str
    via: str

    def resource(self) -> _discovery.Resource | None:
        """The resource that the path is of; None if it is of none."""
        found = _RESOURCE.match(self.path)
        return _discovery.Resource(found["group"] or "", found["version"], found["resource"]) if found else None


@dataclasses.dataclass
class Answer:
    """What one server said to one probe, and, where a peer had to answer, what else was seen of that."""

    probe: Custom
    via: str
    status: int = 0
    verdict: str = _gate.FAILED
    observed: str = ""
    status_local: int = 0
    rerouted: float = 0.0
    seconds: float = 0.0

    def dump(self) -> dict[str, t.Any]:
        return {
            "name": self.probe.name,
            "via": self.via,
            "path": self.probe.path,
            "status": self.status,
            "verdict": self.verdict,
            "observed": self.observed,
        }


def read(item: t.Mapping[str, t.Any]) -> Custom:
    """A probe from its options; :class:`BadProbe` says what is wrong with them."""
    name, where = item["name"], f"The probe {item['name']}"
    by_kind = {option: item[option] for option in ("api_version", "kind", "namespace") if item[option] is not None}
    if (item["path"] is None) == (not by_kind):
        raise BadProbe(f"{where} needs either path, or api_version and kind.")
    if item["path"] is not None and not _PATH.fullmatch(item["path"]):
        raise BadProbe(f"{where} has the path {item['path']!r}, expected an absolute one such as /readyz.")
    group_version = _discovery.GroupVersion("", "")
    if by_kind:
        version = _API_VERSION.fullmatch(item["api_version"] or "")
        if not version or not item["kind"]:
            raise BadProbe(f"{where} needs api_version (apps/v1, or v1) and kind (Deployment), both.")
        if not _OBJECT_NAME.fullmatch(name):
            raise BadProbe(f"{where}: with kind, its name is also the object's, and no object can be called so.")
        if item["namespace"] is not None and not _OBJECT_NAME.fullmatch(item["namespace"]):
            raise BadProbe(f"{where}: {item['namespace']!r} is no namespace.")
        group_version = _discovery.GroupVersion(version["group"] or "", version["version"])
    if item["expect"] is not None:
        try:
            _expressions.check(item["expect"])
        except _expressions.Unfit as error:
            raise BadProbe(f"{where}: expect {error}") from error
    return Custom(
        name,
        item["path"] or "",
        group_version,
        item["kind"] or "",
        item["namespace"] or "",
        item["expect"] or "",
        item["via"],
    )


def resolve(probe: Custom, kinds: t.Mapping[_discovery.Resource, _discovery.Kind]) -> Custom:
    """The probe with its path, of a resource that some server is known to serve."""
    if probe.path:
        return probe
    for resource, kind in kinds.items():
        if resource.group_version != probe.group_version or kind.name != probe.kind:
            continue
        if kind.namespaced != bool(probe.namespace):
            raise BadProbe(
                f"The probe {probe.name}: {probe.kind} {'needs a' if kind.namespaced else 'has no'} namespace."
            )
        root = f"/apis/{resource.group}" if resource.group else "/api"
        scope = f"namespaces/{probe.namespace}/" if probe.namespace else ""
        return dataclasses.replace(probe, path=f"{root}/{resource.version}/{scope}{resource.resource}/{probe.name}")
    named = str(probe.group_version) if probe.group_version.group else probe.group_version.version
    raise BadProbe(f"The probe {probe.name}: no server knows the kind {probe.kind} in {named}.")


def judge(answer: Answer, got: _api.Answer | _api.ApiError) -> None:
    """Take what came into *answer*. What the answer holds is not repeated: it may be secret."""
    answer.status, answer.verdict, answer.observed = got.status, _gate.FAILED, ""
    if got.status == 403:
        answer.verdict, answer.observed = _gate.UNPROVEN, _rights.explain(got.words)
    elif isinstance(got, _api.ApiError):
        answer.observed = got.words
    elif got.status != 200:
        answer.observed = f"{got.status}: {got.words}"
    elif not answer.probe.expression:
        answer.verdict, answer.observed = _gate.PASSED, "200"
    else:
        fault = _fault(answer.probe.expression, got)
        answer.verdict = _gate.FAILED if fault else _gate.PASSED
        answer.observed = f"200, but {fault}" if fault else "200, as expected"


def _fault(expression: str, got: _api.Answer) -> str:
    """Why the answer is not as expected; empty if it is. The expression may compare with a secret: it is not told."""
    try:
        document = got.json()
    except ValueError:
        return "it is no JSON, so nothing can be expected of it"
    try:
        value = _expressions.search(expression, document)
    except _expressions.Unfit as error:
        return f"expect {error}"
    # What is not true has nothing in it that could be secret.
    return "" if value else f"expect comes to {json.dumps(value)}"


class Asker:
    """Sends the probes through the servers they are for, all at once, as often as it takes."""

    def __init__(self, servers: t.Mapping[str, _api.Server], answers: list[Answer], patience: _rights.Patience) -> None:
        self._servers = servers
        self._answers = answers
        self._patience = patience

    def look(self) -> _gate.Sample:
        calls = {str(number): self._call(answer) for number, answer in enumerate(self._answers)}
        for number, got in _api.at_once(calls).items():
            judge(self._answers[int(number)], got)
        broken = [answer for answer in self._answers if answer.verdict != _gate.PASSED]
        told = "; ".join(f"{answer.probe.name} via {answer.via}: {answer.observed}" for answer in broken)
        forbidden = any(answer.verdict == _gate.UNPROVEN for answer in broken)
        return _gate.Sample(
            not broken,
            told or f"{len(self._answers)} answers as expected",
            # A right does not come by waiting.
            final=self._patience.over(forbidden) and forbidden,
        )

    def prove(self, answer: Answer, resource: _discovery.Resource) -> None:
        """Ask once more what a peer must answer: with the control beside it, and between two counts."""
        server = self._servers[answer.via]
        begun = time.monotonic()
        answer.status_local = server.request("GET", answer.probe.path, headers=_probes.HEADER_LOCAL).status
        before = self._rerouted(server, resource)
        self._call(answer)()
        # The source counts a moment after we have read the answer.
        while time.monotonic() - begun < _probes.LATE and not answer.rerouted:
            answer.rerouted = max(0.0, self._rerouted(server, resource) - before)
        answer.seconds = time.monotonic() - begun

    def _call(self, answer: Answer) -> t.Callable[[], _api.Answer]:
        return lambda: self._servers[answer.via].request("GET", answer.probe.path)

    @staticmethod
    def _rerouted(server: _api.Server, resource: _discovery.Resource) -> float:
        return _metrics.rerouted(_metrics.parse(server.get_text("/metrics"), (_metrics.REROUTED,)), *resource)


def chosen(via: str, versions: t.Mapping[str, str]) -> list[str]:
    """The servers that ``via`` means, by the servers' versions."""
    newest = max(map(_version.parse, versions.values()))
    new = [name for name, version in versions.items() if _version.parse(version) == newest]
    return {"each": list(versions), "new": new, "old": [name for name in versions if name not in new]}[via]


@dataclasses.dataclass(frozen=True)
class About:
    """What a server tells of itself: its version, what it serves itself, and the kinds of that."""

    version: str
    own: _discovery.Resources
    kinds: t.Mapping[_discovery.Resource, _discovery.Kind]


def about(server: _api.Server) -> About:
    accept = {"Accept": _discovery.ACCEPT_NOPEER}
    try:
        core, rest = (server.get(path, headers=accept) for path in ("/api", "/apis"))
        own = {**_discovery.parse(core), **_discovery.parse(rest)}
        kinds = {**_discovery.parse_kinds(core), **_discovery.parse_kinds(rest)}
    except (ValueError, KeyError, TypeError) as error:
        raise _api.ApiError(server.name, "/apis", 200, f"aggregated discovery can't be read: {error}") from error
    return About(server.get("/version")["gitVersion"], own, kinds)


def report(answer: Answer, resource: _discovery.Resource, capable: list[str], direction: str) -> dict[str, t.Any]:
    """What a peer must have answered, as the report has it. With several capable peers, nothing tells which did."""
    return {
        **resource._asdict(),
        "kind": "custom",
        "direction": direction,
        "via": answer.via,
        "served_by": capable if len(capable) == 1 and answer.rerouted else [],
        "attribution": "inferred",
        "verdict": answer.verdict,
        "status_local": answer.status_local,
        "status_proxied": answer.status,
        "requests": 1,
        "rerouted_delta": answer.rerouted,
        "elapsed_seconds": round(answer.seconds, 3),
    }


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "probes": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS},
                "validate_only": {"type": "bool", "default": False},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    if _expressions.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("jmespath"), exception=_expressions.IMPORT_ERROR)
    gate = _gate.Gate(
        id="user_probes",
        node=params["node"],
        verdict=_gate.NOT_EXERCISED,
        observed="",
        expected="200 to each of control_plane_probes, and an answer that fits what it expects",
        next_action="Mend what the probe named asks for, or correct the probe or the user's rights; then start the "
        "playbook again.",
    )
    answers: list[Answer] = []
    proxied: list[dict[str, t.Any]] = []
    try:
        probes = [read(item) for item in params["probes"]]
        if params["validate_only"]:
            module.exit_json(changed=False, gates=[], answers=[], probes=[])
        cluster = _api.connect(module)
        servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster)}
        known = _api.at_once({name: functools.partial(about, server) for name, server in servers.items()})
        told: dict[str, About] = {}
        for name, one in known.items():
            if isinstance(one, _api.ApiError):
                raise one
            told[name] = one
        kinds = {resource: kind for one in told.values() for resource, kind in one.kinds.items()}
        versions = {name: one.version for name, one in told.items()}
        answers = [
            Answer(probe, via)
            for probe in (resolve(probe, kinds) for probe in probes)
            for via in chosen(probe.via, versions)
        ]
        if not answers:
            gate.observed = "no probe is given" if not probes else "all servers are of one version, so none is old"
        else:
            patience = _rights.Patience((params["slice"] or {}).get("memory"), params["timeout"])
            asker = Asker(servers, answers, patience)
            waited = _gate.wait(asker.look, {**params, "stable_samples": 1})
            if waited.pending:
                module.exit_json(**_gate.pending(waited, patience.memory))
            gate.observed, gate.samples = waited.sample.progress, waited.samples
            gate.elapsed_seconds = waited.elapsed_seconds
            verdicts = {answer.verdict for answer in answers}
            gate.verdict = next(v for v in (_gate.FAILED, _gate.UNPROVEN, _gate.PASSED) if v in verdicts)
            for answer in answers:
                resource = answer.probe.resource()
                capable = [name for name, one in told.items() if resource in one.own]
                if resource and capable and answer.via not in capable:
                    asker.prove(answer, resource)
                    new = set(chosen("new", versions)).intersection(capable)
                    proxied.append(report(answer, resource, capable, "new_only" if new else "old_only"))
    except BadProbe as error:
        module.fail_json(msg=f"{error} No probe was sent. Correct control_plane_probes and start again.")
    except _api.ApiError as error:
        if error.status != 403:
            module.fail_json(msg=f"The probes could not be sent: {error}. Mend that and start again.")
        gate.verdict, gate.observed = _gate.UNPROVEN, f"{error.server}: {_rights.explain(error.words)}"
    module.exit_json(changed=False, gates=[gate.dump()], answers=[answer.dump() for answer in answers], probes=proxied)


if __name__ == "__main__":
    main()
