# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _discovery, _gate, _probes
from ansible_collections.mixedversion.kubernetes.plugins.modules import probe_requests

RESOURCE = _discovery.Resource("certificates.k8s.io", "v1", "clustertrustbundles")
SILENCE = _api.ApiError("cp1", RESOURCE.path, 0, "connected to 10.89.0.11:6443, but no answer in time")
PARAMS = {"slice": None, "stable_samples": 3, "interval": 0.0, "timeout": 60.0}


def answer(status, message=""):
    return _api.Answer(status, json.dumps({"message": message}).encode(), {})


REFUSED = answer(404)


def asked(*answers, local=REFUSED):
    """One probe whose control was answered by *local*, and that was answered by *answers*."""
    probe = _probes.Probe(_discovery.Difference(RESOURCE, frozenset(["list"]), ("cp2",), ("cp1",)), "cp1", "new_only")
    probe.take_local(local)
    if answers:
        probe.take(answers)
    return probe_requests.Asked([probe], 1, [])


def sequence(*results):
    """An asking that comes to each of *results* in turn."""
    left = list(results)

    def asking():
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    return asking, left


@pytest.mark.parametrize(
    "silent",
    [SILENCE, asked(local=SILENCE), asked(SILENCE), asked(answer(200), SILENCE)],
    ids=["what is asked first", "control", "first of a round", "later in a round"],
)
def test_what_has_no_answer_is_asked_anew(silent):
    good = asked(answer(200))
    asking, left = sequence(silent, silent, good)
    waited = _gate.wait(lambda: probe_requests.sample(asking), PARAMS)
    assert (waited.sample.data, waited.samples, left) == (good, 3, [])


@pytest.mark.parametrize(
    "answered",
    [
        asked(answer(503, "Error trying to reach service")),
        asked(answer(404)),
        asked(local=answer(200)),
        asked(answer(403, 'clustertrustbundles.certificates.k8s.io is forbidden: User "x" cannot list resource')),
        _api.ApiError("cp1", "/apis", 403, "forbidden"),
        _api.ApiError("cp1", "/apis", 500, "Internal Server Error"),
    ],
    ids=["503", "404", "control answered", "403", "403 at first", "500 at first"],
)
def test_an_answer_is_taken_as_it_is(answered):
    asking, left = sequence(answered, asked(answer(200)))
    waited = _gate.wait(lambda: probe_requests.sample(asking), PARAMS)
    assert (waited.sample.data, len(left)) == (answered, 1)


def test_what_never_answers_is_told_when_time_is_over():
    asking, dummy = sequence(asked(local=SILENCE))
    waited = _gate.wait(lambda: probe_requests.sample(asking), {**PARAMS, "timeout": 0.0})
    assert waited.timed_out
    assert "via cp1 (list): no answer locally" in waited.sample.progress
    assert "no answer in time" in waited.sample.progress
