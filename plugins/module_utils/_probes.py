# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Probes of the proxy: what is sent, which answers prove what, and who is shown to have given them.

A resource is asked from a server that lacks it. With the header it must say 404: it has nothing of its own to answer
with. Without the header the answer then is a peer's, and two counts say so: the source's of what it rerouted, by
resource and code, and each capable peer's of what it answered, by resource and verb. The source picks one capable peer
at random and never tries another, so each of them must be seen.

A peer's count has no source, and other clients move it too. So a round is clean, and its attribution exact, only if
the deltas add up: the source's to what it was sent, code by code, the capable peers' to what all sources were sent.

Which answers of a dry-run create prove that a peer gave them: any that comes from behind the routing. 201, and as well
400, 409 and 422, as only a server that knows the resource can find fault with an object of it; and a 403 of an
admission plug-in, which runs after routing. Not a 403 that names a missing right: the source asks for that before it
routes. Not 404 and not 5xx, which the source says itself of what it can't route.

Sources: k8s.io/apiserver ``pkg/util/peerproxy/peerproxy_handler.go``, ``pkg/endpoints/metrics/metrics.go``.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import time
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _gate,
    _metrics,
    _rights,
    _watch,
)

HEADER_LOCAL = {"x-kubernetes-peer-proxied": "true"}
#: Matches nothing, so that a watch brings no objects, however many there are.
_NOTHING = "labelSelector=mixedversion.kubernetes%2Fprobe"
#: Namespace of dry-run creates: it is always there, and most admission webhooks leave it alone.
_NAMESPACE = "kube-system"

LIST = "list"
WATCH = "watch"
CREATE = "dry_run_create"
#: What a destination counts a request of each kind as.
_COUNTED_AS: dict[str, dict[str, str]] = {
    LIST: {"verb": "LIST"},
    WATCH: {"verb": "WATCH"},
    CREATE: {"verb": "POST", "dry_run": "All"},
}
_ACCEPTED = {LIST: {200}, WATCH: {200}, CREATE: {200, 201, 202, 400, 409, 422}}

#: Rounds until attribution is given up: every capable peer must be seen, and in clean rounds.
ROUNDS = 5
#: Seconds until a request that was answered must have been counted.
LATE = 2.0
#: One try a round shall miss a given peer that is known no more often than once in a hundred rounds.
_MISS = 0.01
_AT_LEAST = 3

Metrics = t.Mapping[str, t.Sequence[_metrics.Sample]]


def burst(capable: int) -> int:
    """Requests a round, so that one round shows all *capable* peers in 99 of 100 cases: 3, 8, 15, 21 for 1, 2, 3, 4."""
    if capable == 1:
        return _AT_LEAST
    return math.ceil(math.log(_MISS / capable) / math.log(1 - 1 / capable))


@dataclasses.dataclass
class Probe:
    """One resource from one server that lacks it, asked in one way, over all rounds.

    ``sent``: how often each status came in this round; ``hidden``: what holds the group-version, if it is excluded.
    """

    difference: _discovery.Difference
    via: str
    direction: str
    kind: str = LIST
    hidden: str = ""
    status_local: int = 0
    status_proxied: int = 0
    local_words: str = ""
    words: str = ""
    broken: bool = False
    forbidden: bool = False
    requests: int = 0
    rerouted: float = 0.0
    served_by: set[str] = dataclasses.field(default_factory=set)
    clean_rounds: int = 0
    seen: set[str] = dataclasses.field(default_factory=set)
    busy_rounds: int = 0
    seconds: float = 0.0
    sent: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)

    @property
    def askable(self) -> bool:
        """Whether there is a request of this kind at all that could prove anything."""
        verb = "create" if self.kind == CREATE else self.kind
        return not self.hidden and verb in self.difference.verbs

    @property
    def open(self) -> bool:
        """Whether a further round can still change the verdict."""
        return self.askable and not self.proven and not self.broken and not self.forbidden

    @property
    def unanswered(self) -> bool:
        """Whether a request had no answer at all, and so none that says anything of the proxy."""
        return self.broken and (self.status_proxied == 0 if self.requests else self.status_local == 0)

    @property
    def proven(self) -> bool:
        """Clean rounds showed each capable peer at work."""
        return self.clean_rounds > 0 and self.served_by == set(self.difference.capable) and self._answered

    @property
    def inferred(self) -> bool:
        """No round was clean, as others ask for the same; but each capable peer's count rose in them."""
        return not self.clean_rounds and self.seen == set(self.difference.capable) and self._answered

    @property
    def _answered(self) -> bool:
        return not self.broken and not self.forbidden

    def take_local(self, answer: _api.Answer | _api.ApiError) -> None:
        """Judge the control, whose header makes the server answer by itself."""
        self.status_local, self.local_words = answer.status, answer.words
        if answer.status in (403, 429):
            self.forbidden, self.words = True, answer.words
        elif answer.status != 404:
            self.broken, self.words = True, answer.words

    def take(self, answers: t.Iterable[_api.Answer | _api.ApiError]) -> None:
        """Judge a round's answers."""
        self.sent = collections.Counter()
        for answer in answers:
            self.sent[answer.status] += 1
            trouble = self._trouble(answer)
            if not self.words:
                # The first answer that is not as it should be is the one that the report tells.
                self.status_proxied, self.words = answer.status, trouble
        self.requests += sum(self.sent.values())

    def _trouble(self, answer: _api.Answer | _api.ApiError) -> str:
        """What is wrong with an answer; empty if it proves that a peer gave it."""
        if answer.status == 403:
            right = _rights.missing(answer.words)
            if right is None and self.kind == CREATE:
                return ""
            # The source let the control pass. So the peer refuses, and either it sees another user, or it is behind.
            if right is not None and right.user == _rights.ANONYMOUS:
                self.broken = True
                return f"the peer does not trust {self.via}'s front-proxy certificate: {answer.words}"
            self.forbidden = True
            return answer.words or "403"
        if answer.status == 429:
            self.forbidden = True
            return answer.words or "429"
        if answer.status not in _ACCEPTED[self.kind]:
            self.broken = True
            return answer.words or f"status {answer.status} without a word"
        if self.kind == WATCH:
            try:
                error = _watch.error(_watch.parse(t.cast(_api.Answer, answer).body))
            except ValueError as malformed:
                error = f"no stream of events: {malformed}"
            if error:
                self.broken = True
                return error
        return ""

    def verdict(self) -> str:
        if not self.askable:
            return _gate.UNPROVEN
        if self.broken:
            return _gate.FAILED
        if self.forbidden:
            return _gate.UNPROVEN
        if self.rerouted < 1:
            return _gate.FAILED
        return _gate.PASSED if self.proven or self.inferred else _gate.UNPROVEN

    def explain(self) -> str:
        """Why it did not pass, with what was seen."""
        what = f"{self.difference.resource} via {self.via} ({self.kind.replace('_', ' ')})"
        if self.hidden:
            return f"{what}: {self.hidden} holds its group-version, so no server proxies it"
        if not self.askable:
            offered = ", ".join(sorted(self.difference.verbs)) or "none"
            more = "; control_plane_write_probes: true asks a dry-run create" if self._creatable else ""
            return f"{what}: it can't be listed (verbs: {offered}), so a read can't prove it{more}"
        if self.broken:
            asked = f", {self.status_proxied or 'no answer'} proxied" if self.requests else ""
            return f"{what}: {self.status_local or 'no answer'} locally{asked}: {self.words}"
        if self.forbidden:
            if 429 in (self.status_local, self.status_proxied):
                return f"{what}: {self.via} has no capacity for the probe: {self.words}"
            return f"{what}: {_rights.explain(self.words)}"
        if self.rerouted < 1:
            return f"{what}: {self.status_proxied} without a count of a rerouted request"
        shown = self.served_by if self.clean_rounds else self.seen
        unseen = ", ".join(sorted(set(self.difference.capable) - shown))
        if self.clean_rounds:
            return (
                f"{what}: only {', '.join(sorted(shown))} served any of {self.requests} requests: "
                f"{self.via} does not know that {unseen} has it as well"
            )
        return f"{what}: no clean round, and none showed that {unseen} served any of {self.requests} requests"

    @property
    def _creatable(self) -> bool:
        return "create" in self.difference.verbs

    def dump(self) -> dict[str, t.Any]:
        return {
            "group": self.difference.resource.group,
            "version": self.difference.resource.version,
            "resource": self.difference.resource.resource,
            "kind": self.kind,
            "direction": self.direction,
            "via": self.via,
            # Of a probe that broke, a peer's count is another source's.
            "served_by": sorted(self.served_by if self.clean_rounds else self.seen if self._answered else ()),
            "attribution": "exact" if self.proven else "inferred",
            "verdict": self.verdict(),
            "status_local": self.status_local,
            "status_proxied": self.status_proxied,
            "requests": self.requests,
            "rerouted_delta": self.rerouted,
            "elapsed_seconds": round(self.seconds, 3),
        }


def plan(differences: t.Iterable[_discovery.Difference], newest: t.AbstractSet[str], *, creates: bool) -> list[Probe]:
    """The probes of all differences. *newest*: the servers of the newest version; *creates*: dry-run creates too.

    What can't be listed has one probe that says so, unless a dry-run create can prove it instead.
    """
    probes = []
    for difference in differences:
        direction = "new_only" if newest & set(difference.capable) else "old_only"
        kinds = [CREATE] if creates and "create" in difference.verbs else []
        if difference.listable and "watch" in difference.verbs:
            kinds.insert(0, WATCH)
        if difference.listable or not kinds:
            kinds.insert(0, LIST)
        probes += [Probe(difference, via, direction, kind) for via in difference.lacking for kind in kinds]
    return probes


def batches(probes: t.Sequence[Probe]) -> list[list[Probe]]:
    """Which probes may run at the same time and still be told apart.

    With one capable peer there is nobody else who could have answered, so all sources are asked at once. With more,
    the peers' counts do not tell who asked, so it is one source at a time.
    """
    askable = [probe for probe in probes if probe.askable]
    found = [[probe for probe in askable if len(probe.difference.capable) == 1]]
    several = [probe for probe in askable if len(probe.difference.capable) > 1]
    found += [[probe for probe in several if probe.via == via] for via in dict.fromkeys(p.via for p in several)]
    return [batch for batch in found if batch]


def served(metrics: Metrics, server: str, resource: _discovery.Resource, kind: str) -> float:
    """Requests of *kind* for *resource* that *server* answered, whoever asked, since it started."""
    return _metrics.total(metrics[server], _metrics.REQUESTS, **_COUNTED_AS[kind], **resource._asdict())


class Accounts:
    """What the counters rose by in one round of one batch, and what that says of each probe."""

    def __init__(self, batch: t.Sequence[Probe], before: Metrics, after: Metrics) -> None:
        self._batch = batch
        self._before = before
        self._after = after

    @property
    def complete(self) -> bool:
        """Whether everything that was answered is counted: a server counts a moment after the client has read."""
        return all(
            self._counted(probe) and sum(self._peers(probe).values()) >= self._sent_to_peers(probe)
            for probe in self._batch
            if not probe.broken
        )

    def settle(self) -> None:
        """Take the deltas into the probes."""
        for probe in self._batch:
            sent = sum(probe.sent.values())
            peers = self._peers(probe)
            shown = {name for name, delta in peers.items() if delta > 0}
            if self._exactly(probe) and sum(peers.values()) == self._sent_to_peers(probe):
                probe.clean_rounds += 1
                probe.served_by |= shown
                probe.rerouted += sent
            elif self._counted(probe):
                probe.busy_rounds += 1
                probe.seen |= shown
                probe.rerouted += sent
            else:
                probe.rerouted += max(0.0, min(float(sent), sum(self._source(probe, code) for code in probe.sent)))

    def _alike(self, probe: Probe) -> list[Probe]:
        """The probes that move the same series of the source: on 1.35 all of that source."""
        return [
            other
            for other in self._batch
            if other.via == probe.via
            and (other.difference.resource == probe.difference.resource or not self._labelled(probe.via))
        ]

    def _labelled(self, via: str) -> bool:
        return _metrics.labelled(self._after[via])

    def _expected(self, probe: Probe) -> collections.Counter[int]:
        expected: collections.Counter[int] = collections.Counter()
        for other in self._alike(probe):
            expected += other.sent
        return expected

    def _source(self, probe: Probe, code: int) -> float:
        resource = probe.difference.resource
        now, then = (
            _metrics.rerouted(metrics[probe.via], *resource, code=str(code)) for metrics in (self._after, self._before)
        )
        return now - then

    def _counted(self, probe: Probe) -> bool:
        return all(self._source(probe, code) >= number for code, number in self._expected(probe).items())

    def _exactly(self, probe: Probe) -> bool:
        return all(self._source(probe, code) == number for code, number in self._expected(probe).items())

    def _peers(self, probe: Probe) -> dict[str, float]:
        resource, kind = probe.difference.resource, probe.kind
        return {
            name: served(self._after, name, resource, kind) - served(self._before, name, resource, kind)
            for name in probe.difference.capable
        }

    def _sent_to_peers(self, probe: Probe) -> int:
        """What all sources of this batch were sent of the same kind and resource."""
        return sum(
            sum(other.sent.values())
            for other in self._batch
            if other.kind == probe.kind and other.difference.resource == probe.difference.resource
        )


class Prober:
    """Sends probes through *servers* and reads their counters."""

    def __init__(self, servers: t.Mapping[str, _api.Server]) -> None:
        self._servers = servers
        self._metrics: Metrics = {}
        self._concerned: list[str] = []
        self._resources: tuple[str, ...] = ()

    def run(self, probes: t.Sequence[Probe]) -> None:
        """Rounds, batch by batch, until each probe is proven or can't be."""
        askable = [probe for probe in probes if probe.askable]
        self._concerned = sorted({name for probe in askable for name in (probe.via, *probe.difference.capable)})
        self._resources = tuple({f'resource="{probe.difference.resource.resource}"' for probe in askable})
        for batch in batches(probes):
            self._control(batch)
            for dummy in range(ROUNDS):
                going = [probe for probe in batch if probe.open]
                if not going:
                    break
                if not self._metrics:
                    self._metrics = self._scrape()
                self._send(going)
                # Not asked again at once: the scrape itself takes some tens of milliseconds of the server's time.
                deadline = time.monotonic() + LATE
                while True:
                    after = self._scrape()
                    accounts = Accounts(going, self._metrics, after)
                    if accounts.complete or time.monotonic() > deadline:
                        break
                accounts.settle()
                self._metrics = after

    def _control(self, batch: t.Sequence[Probe]) -> None:
        """Ask every probe's server to answer by itself."""
        answers = _api.at_once({str(number): self._request(probe, local=True) for number, probe in enumerate(batch)})
        for number, probe in enumerate(batch):
            probe.take_local(answers[str(number)])

    def _send(self, batch: t.Sequence[Probe]) -> None:
        """One round: streams side by side, anything else one after the other on one connection a probe."""
        calls: dict[str, t.Callable[[], list[_api.Answer | _api.ApiError]]] = {}
        for number, probe in enumerate(batch):
            size = burst(len(probe.difference.capable))
            if probe.kind == WATCH:
                calls.update({f"{number} {stream}": self._series(probe, 1) for stream in range(size)})
            else:
                calls[f"{number} 0"] = self._series(probe, size)
        answers: dict[str, list[_api.Answer | _api.ApiError]] = {}
        begun = time.monotonic()
        for key, series in _api.at_once(calls).items():
            answers.setdefault(key.partition(" ")[0], []).extend(
                [series] if isinstance(series, _api.ApiError) else series
            )
        seconds = time.monotonic() - begun
        for number, probe in enumerate(batch):
            probe.take(answers[str(number)])
            probe.seconds += seconds

    def _series(self, probe: Probe, size: int) -> t.Callable[[], list[_api.Answer | _api.ApiError]]:
        request = self._request(probe, local=False)

        def send() -> list[_api.Answer | _api.ApiError]:
            found: list[_api.Answer | _api.ApiError] = []
            for dummy in range(size):
                try:
                    found.append(request())
                except _api.ApiError as error:
                    found.append(error)
                # Nothing further to learn; but a 403 may be an admission plug-in's, and prove as much as a 201.
                if found[-1].status not in {403, *_ACCEPTED[probe.kind]}:
                    break
            return found

        return send

    def _request(self, probe: Probe, *, local: bool) -> t.Callable[[], _api.Answer]:
        server, difference = self._servers[probe.via], probe.difference
        headers = HEADER_LOCAL if local else {}
        path = difference.resource.path
        if probe.kind == LIST:
            return lambda: server.request("GET", f"{path}?limit=1", headers=headers)
        if probe.kind == WATCH:
            query = f"{path}?watch=true&timeoutSeconds={_watch.SECONDS}&{_NOTHING}"
            return lambda: server.request("GET", query, headers=headers)
        kind = difference.kind or _discovery.Kind("", False)
        if kind.namespaced:
            path = difference.resource.path_in(_NAMESPACE)
        body = {
            "apiVersion": str(difference.resource.group_version),
            "kind": kind.name,
            "metadata": {"generateName": "mixedversion-probe-"},
        }
        return lambda: server.request("POST", f"{path}?dryRun=All", headers=headers, body=body)

    def _scrape(self) -> Metrics:
        wanted = (_metrics.REROUTED, _metrics.REQUESTS)

        def of(server: _api.Server) -> t.Callable[[], list[_metrics.Sample]]:
            return lambda: _metrics.parse(self._concerning(server.get_text("/metrics")), wanted)

        answers = _api.at_once({name: of(self._servers[name]) for name in self._concerned})
        for answer in answers.values():
            if isinstance(answer, _api.ApiError):
                raise answer
        return t.cast(Metrics, answers)

    def _concerning(self, text: str) -> str:
        """The lines on the probes' resources: a server counts requests in more than a thousand series."""
        return "".join(
            line + "\n"
            for line in text.splitlines()
            if line.startswith(_metrics.REROUTED) or any(resource in line for resource in self._resources)
        )
