# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import collections
import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _discovery, _metrics, _probes

RESOURCE = _discovery.Resource("resource.k8s.io", "v1", "devicetaintrules")
OTHER = _discovery.Resource("certificates.k8s.io", "v1", "clustertrustbundles")
ALL = frozenset(["create", "get", "list", "watch"])
NAMES = (_metrics.REROUTED, _metrics.REQUESTS)


def labels(resource):
    return f'group="{resource.group}",resource="{resource.resource}",version="{resource.version}"'


def rerouted(count, resource=RESOURCE, code=200):
    return f'{_metrics.REROUTED}{{code="{code}",{labels(resource)}}} {count}\n'


def served(count, resource=RESOURCE, verb="LIST", dry_run=""):
    return f'{_metrics.REQUESTS}{{code="200",dry_run="{dry_run}",verb="{verb}",{labels(resource)}}} {count}\n'


def metrics(**texts):
    """The counters of servers, as they print them."""
    return {name: _metrics.parse(text, NAMES) for name, text in texts.items()}


def make(kind=_probes.LIST, via="cp1", capable=("cp2", "cp3"), resource=RESOURCE, sent=8, status=200, verbs=ALL):
    """A probe whose control said 404, and that was answered *status* in this round."""
    probe = _probes.Probe(_discovery.Difference(resource, verbs, capable, (via,)), via, "new_only", kind)
    probe.status_local, probe.status_proxied = 404, status
    probe.sent, probe.requests = collections.Counter({status: sent}), sent
    return probe


def settle(batch, before, after):
    accounts = _probes.Accounts(batch, metrics(**before), metrics(**after))
    accounts.settle()
    return accounts


def answer(status, message="", body=None):
    return _api.Answer(status, json.dumps({"message": message}).encode() if body is None else body, {})


def round_of(old, cp2, cp3):
    return {"cp1": rerouted(old), "cp2": served(cp2), "cp3": served(cp3)}


def test_recorded_counters(recorded):
    found = {name: _metrics.parse(recorded(f"metrics-{name}.txt"), NAMES) for name in ("v1.36.4", "v1.37.2")}
    assert _metrics.rerouted(found["v1.36.4"], *RESOURCE) == 8
    assert _probes.served(found, "v1.37.2", RESOURCE, _probes.LIST) == 16
    watched = _discovery.Resource("certificates.k8s.io", "v1", "podcertificaterequests")
    assert _probes.served(found, "v1.37.2", watched, _probes.WATCH) == 2


@pytest.mark.parametrize(("capable", "size"), [(1, 3), (2, 8), (3, 15), (4, 21)])
def test_a_round_misses_a_known_peer_once_in_a_hundred(capable, size):
    assert _probes.burst(capable) == size
    assert capable == 1 or capable * (1 - 1 / capable) ** size <= 0.01


def test_a_clean_round_with_each_peer_passes():
    probe = make()
    settle([probe], round_of(10, 5, 5), round_of(18, 8, 10))
    assert probe.verdict() == "passed"
    told = probe.dump()
    assert (told["attribution"], told["served_by"], told["rerouted_delta"]) == ("exact", ["cp2", "cp3"], 8)


def test_a_capable_peer_never_seen_is_unproven_and_named():
    probe = make()
    settle([probe], round_of(0, 0, 0), round_of(8, 8, 0))
    assert (probe.verdict(), probe.open) == ("unproven", True)
    assert probe.explain().endswith("only cp2 served any of 8 requests: cp1 does not know that cp3 has it as well")


def test_the_other_peer_may_come_in_a_later_round():
    probe = make()
    settle([probe], round_of(0, 0, 0), round_of(8, 8, 0))
    settle([probe], round_of(8, 8, 0), round_of(16, 8, 8))
    assert (probe.verdict(), probe.clean_rounds, probe.open) == ("passed", 2, False)


def test_busy_rounds_only_are_inferred():
    probe = make()
    settle([probe], round_of(0, 0, 0), round_of(8, 100, 90))
    assert (probe.verdict(), probe.busy_rounds, probe.clean_rounds) == ("passed", 1, 0)
    assert (probe.dump()["attribution"], probe.dump()["served_by"]) == ("inferred", ["cp2", "cp3"])


def test_a_busy_round_does_not_add_to_a_clean_one():
    probe = make()
    settle([probe], round_of(0, 0, 0), round_of(8, 8, 0))
    settle([probe], round_of(8, 8, 0), round_of(16, 20, 9))
    assert probe.verdict() == "unproven"


def test_others_requests_in_a_round_are_no_clean_round():
    probe = make()
    settle([probe], round_of(0, 0, 0), round_of(8, 8, 1))
    assert (probe.clean_rounds, probe.busy_rounds, probe.served_by) == (0, 1, set())


def test_no_rerouted_request_counted_fails():
    probe = make()
    accounts = settle([probe], round_of(8, 0, 0), round_of(8, 4, 4))
    assert not accounts.complete
    assert probe.verdict() == "failed"
    assert "without a count of a rerouted request" in probe.explain()


def test_a_count_that_lags_behind_is_not_complete_and_not_clean():
    probe = make()
    assert not settle([probe], round_of(0, 0, 0), round_of(8, 4, 3)).complete
    assert (probe.clean_rounds, probe.busy_rounds) == (0, 1)
    assert not settle([make()], round_of(0, 0, 0), round_of(7, 4, 4)).complete
    assert settle([make()], round_of(0, 0, 0), round_of(8, 4, 4)).complete


def test_kinds_share_the_sources_count_and_not_the_peers():
    probes = [make(), make(_probes.WATCH), make(_probes.CREATE, status=422)]
    before = {"cp1": rerouted(0), "cp2": "", "cp3": ""}
    cp2 = served(5) + served(6, verb="WATCH") + served(7, verb="POST", dry_run="All") + served(9, verb="POST")
    cp3 = served(3) + served(2, verb="WATCH") + served(1, verb="POST", dry_run="All")
    settle(probes, before, {"cp1": rerouted(16) + rerouted(8, code=422), "cp2": cp2, "cp3": cp3})
    assert [(probe.verdict(), probe.dump()["attribution"]) for probe in probes] == [("passed", "exact")] * 3
    assert [probe.dump()["rerouted_delta"] for probe in probes] == [8, 8, 8]


def test_a_code_nobody_was_sent_is_not_taken_for_ours():
    probe = make(_probes.CREATE, status=422)
    posts = served(4, verb="POST", dry_run="All")
    settle([probe], {"cp1": "", "cp2": "", "cp3": ""}, {"cp1": rerouted(8), "cp2": posts, "cp3": posts})
    assert (probe.clean_rounds, probe.verdict()) == (0, "failed")


def test_sources_are_told_apart_where_one_peer_is_capable():
    first, second = (make(via=via, capable=("cp3",), sent=3) for via in ("cp1", "cp2"))
    settle(
        [first, second],
        {"cp1": rerouted(1), "cp2": "", "cp3": ""},
        {"cp1": rerouted(4), "cp2": rerouted(3), "cp3": served(6)},
    )
    assert (first.verdict(), second.verdict()) == ("passed", "passed")
    assert first.served_by == second.served_by == {"cp3"}


def test_batches_ask_one_source_at_a_time_where_several_peers_are_capable():
    alone = [make(via=via, capable=("cp4",)) for via in ("cp1", "cp2")]
    several = [make(via=via, capable=("cp3", "cp4"), resource=OTHER) for via in ("cp1", "cp2")]
    unaskable = make(verbs=frozenset(["create"]))
    assert _probes.batches([*alone, *several, unaskable]) == [alone, several[:1], several[1:]]
    assert _probes.batches([unaskable]) == []


def plain(count, code=200):
    """A server of 1.35 counts what it reroutes by status alone."""
    return f'{_metrics.REROUTED}{{code="{code}"}} {count}\n'


def test_on_1_35_the_sum_over_all_resources_must_be_exact():
    probes = [make(), make(resource=OTHER)]
    before = {"cp1": plain(100), "cp2": "", "cp3": ""}
    peers = {"cp2": served(3) + served(4, OTHER), "cp3": served(5) + served(4, OTHER)}
    settle(probes, before, {"cp1": plain(116), **peers})
    assert [(probe.verdict(), probe.dump()["attribution"]) for probe in probes] == [("passed", "exact")] * 2


def test_on_1_35_a_fetch_of_discovery_in_a_round_makes_it_inferred():
    probes = [make(), make(resource=OTHER)]
    peers = {"cp2": served(3) + served(4, OTHER), "cp3": served(5) + served(4, OTHER)}
    settle(probes, {"cp1": plain(100), "cp2": "", "cp3": ""}, {"cp1": plain(120), **peers})
    assert [(probe.verdict(), probe.dump()["attribution"]) for probe in probes] == [("passed", "inferred")] * 2


def test_on_1_35_too_few_are_not_proven():
    probes = [make(), make(resource=OTHER)]
    peers = {"cp2": served(3) + served(4, OTHER), "cp3": served(5) + served(4, OTHER)}
    settle(probes, {"cp1": plain(100), "cp2": "", "cp3": ""}, {"cp1": plain(110), **peers})
    assert {probe.verdict() for probe in probes} == {"unproven"}


FORBIDDEN = 'x is forbidden: User "bob" cannot list resource "devicetaintrules" in API group "resource.k8s.io"'
ANONYMOUS = FORBIDDEN.replace("bob", "system:anonymous")


@pytest.mark.parametrize(
    ("status", "words", "verdict", "told"),
    [
        (403, FORBIDDEN, "unproven", "the right to list devicetaintrules in the API group resource.k8s.io is missing"),
        (403, ANONYMOUS, "failed", "the peer does not trust cp1's front-proxy certificate"),
        (401, "Unauthorized", "failed", "404 locally, 401 proxied: Unauthorized"),
        (429, "too many", "unproven", "cp1 has no capacity for the probe: too many"),
        (
            503,
            "error trying to reach service: refused",
            "failed",
            "503 proxied: error trying to reach service: refused",
        ),
        (404, "could not find", "failed", "404 locally, 404 proxied: could not find"),
    ],
)
def test_other_answers(status, words, verdict, told):
    probe = make()
    probe.take([answer(200)] * 3 + [answer(status, words)])
    settle([probe], round_of(0, 0, 0), round_of(8, 4, 4))
    assert (probe.verdict(), probe.open, probe.status_proxied) == (verdict, False, status)
    assert told in probe.explain()


def test_no_answer_at_all_fails():
    probe = make()
    probe.take([_api.ApiError("cp1", "/apis", 0, "connected to cp1, but no answer in time")])
    assert (probe.verdict(), probe.status_proxied) == ("failed", 0)
    assert "no answer proxied: connected to cp1" in probe.explain()


@pytest.mark.parametrize(
    ("status", "verdict", "told"),
    [
        (403, "unproven", "the right to list devicetaintrules"),
        (200, "failed", "200 locally: "),
        (503, "failed", "503 locally: "),
    ],
)
def test_the_control_must_say_404(status, verdict, told):
    probe = _probes.Probe(_discovery.Difference(RESOURCE, ALL, ("cp2",), ("cp1",)), "cp1", "new_only")
    probe.take_local(answer(status, FORBIDDEN))
    assert (probe.verdict(), probe.open) == (verdict, False)
    assert told in probe.explain()


@pytest.mark.parametrize(
    ("status", "words", "proves"),
    [
        (201, "", True),
        (422, "is invalid: spec: Required value", True),
        (400, "admission webhook does not support dry run", True),
        (409, "already exists", True),
        (403, 'x "a" is forbidden: violates policy', True),
        (403, FORBIDDEN.replace("list", "create"), False),
        (404, "the server could not find the requested resource", False),
        (405, "not allowed", False),
        (500, "broken", False),
    ],
)
def test_what_an_answer_to_a_dry_run_create_proves(status, words, proves):
    probe = make(_probes.CREATE)
    probe.take([answer(status, words)] * 8)
    posts = served(4, verb="POST", dry_run="All")
    settle([probe], {"cp1": "", "cp2": "", "cp3": ""}, {"cp1": rerouted(8, code=status), "cp2": posts, "cp3": posts})
    assert (probe.verdict() == "passed") is proves


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", ""),
        (b'{"type":"BOOKMARK","object":{}}\n', ""),
        (b'{"type":"ADDED","obj', "no stream of events"),
        (b'{"type":"ERROR","object":{"message":"etcd is gone"}}\n', "etcd is gone"),
    ],
)
def test_a_watch_must_be_a_whole_stream(body, told):
    probe = make(_probes.WATCH)
    probe.take([answer(200, body=body)])
    assert probe.broken is bool(told)
    assert told in probe.words


def test_what_cannot_be_listed_is_unproven_and_says_what_could_prove_it():
    probe = make(verbs=frozenset(["create", "get"]))
    assert probe.verdict() == "unproven"
    assert probe.explain().endswith(
        "it can't be listed (verbs: create, get), so a read can't prove it; "
        "control_plane_write_probes: true asks a dry-run create"
    )
    assert "write_probes" not in make(verbs=frozenset(["get"])).explain()


def test_what_a_crd_hides_is_unproven():
    probe = make()
    probe.hidden = "the CRD widgets.resource.k8s.io"
    assert (probe.verdict(), probe.open) == ("unproven", False)
    assert "the CRD widgets.resource.k8s.io holds its group-version, so no server proxies it" in probe.explain()


@pytest.mark.parametrize(
    ("verbs", "creates", "kinds"),
    [
        (ALL, False, ["list", "watch"]),
        (ALL, True, ["list", "watch", "dry_run_create"]),
        ({"list", "get"}, True, ["list"]),
        ({"create"}, False, ["list"]),
        ({"create"}, True, ["dry_run_create"]),
        ({"watch", "get"}, True, ["list"]),
    ],
)
def test_plan_asks_in_every_way_the_resource_offers(verbs, creates, kinds):
    difference = _discovery.Difference(RESOURCE, frozenset(verbs), ("cp3",), ("cp1", "cp2"))
    probes = _probes.plan([difference], {"cp3"}, creates=creates)
    assert [(probe.via, probe.kind) for probe in probes] == [(via, kind) for via in ("cp1", "cp2") for kind in kinds]


def test_plan_tells_what_is_gone_from_what_is_new():
    new = _discovery.Difference(RESOURCE, ALL, ("cp3",), ("cp1", "cp2"))
    gone = _discovery.Difference(OTHER, ALL, ("cp1", "cp2"), ("cp3",))
    directions = {(probe.via, probe.direction) for probe in _probes.plan([new, gone], {"cp3"}, creates=False)}
    assert directions == {("cp1", "new_only"), ("cp2", "new_only"), ("cp3", "old_only")}
