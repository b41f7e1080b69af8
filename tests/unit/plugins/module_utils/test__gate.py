# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate

pytestmark = pytest.mark.node

PARAMS = {"timeout": 3600.0, "interval": 0.0, "stable_samples": 3, "slice": None}


def looks(*passed, **more):
    """A look that gives these answers one after the other, and is an error when asked once more."""
    answers = iter(passed)
    return lambda: _gate.Sample(next(answers), "state", **more)


def test_samples_have_to_pass_in_a_row():
    waited = _gate.wait(looks(True, True, False, True, True, True), PARAMS)
    assert (waited.sample.passed, waited.samples, waited.timed_out, waited.pending) == (True, 6, False, False)


def test_timeout_zero_looks_once():
    waited = _gate.wait(looks(False), {**PARAMS, "timeout": 0.0})
    assert (waited.samples, waited.timed_out) == (1, True)


def test_timeout_zero_and_one_sample_wanted_holds():
    waited = _gate.wait(looks(True), {**PARAMS, "timeout": 0.0, "stable_samples": 1})
    assert (waited.sample.passed, waited.timed_out) == (True, False)


def test_a_final_sample_ends_the_wait():
    waited = _gate.wait(looks(False, final=True), PARAMS)
    assert (waited.samples, waited.timed_out, waited.pending) == (1, False, False)


def test_a_slice_ends_when_the_state_changes_and_counts_on():
    known = {"progress": "before", "elapsed_seconds": 0.0, "samples": 7}
    waited = _gate.wait(looks(False), {**PARAMS, "slice": known}, lasting=0.0)
    assert (waited.pending, waited.samples) == (True, 8)
    assert _gate.pending(waited, {"seen": 1}) == {
        "changed": False,
        "pending": True,
        "progress": "state",
        "samples": 8,
        "memory": {"seen": 1},
    }


def test_a_state_that_does_not_last_ends_no_slice():
    known = {"progress": "before", "elapsed_seconds": 0.0, "samples": 7}
    waited = _gate.wait(looks(False, True, False, True, True, True), {**PARAMS, "slice": known}, lasting=3600.0)
    assert (waited.pending, waited.sample.passed, waited.samples) == (False, True, 13)


def test_a_state_that_lasts_ends_the_slice(monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(_gate.time, "monotonic", lambda: next(seconds))
    known = {"progress": "before", "elapsed_seconds": 0.0, "samples": 7}
    waited = _gate.wait(looks(*[False] * 9), {**PARAMS, "slice": known}, lasting=5.0)
    assert waited.pending
    assert 8 < waited.samples < 16


def test_time_of_earlier_slices_counts():
    known = {"progress": "state", "elapsed_seconds": 3600.0, "samples": 7}
    assert _gate.wait(looks(False), {**PARAMS, "slice": known}).timed_out
