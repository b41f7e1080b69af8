# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _rights

USER = "system:serviceaccount:default:probe"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "storageversionmigrations.storagemigration.k8s.io is forbidden: "
            f'User "{USER}" cannot list resource "storageversionmigrations" in API group "storagemigration.k8s.io" '
            "at the cluster scope",
            f"the right to list storageversionmigrations in the API group storagemigration.k8s.io is missing for the "
            f"user {USER}",
        ),
        (
            f'leases.coordination.k8s.io is forbidden: User "{USER}" cannot list resource "leases" in API group '
            '"coordination.k8s.io" in the namespace "kube-system"',
            "the right to list leases in the API group coordination.k8s.io in the namespace kube-system is missing for "
            f"the user {USER}",
        ),
        (
            f'configmaps is forbidden: User "{USER}" cannot get resource "configmaps" in API group "" '
            'in the namespace "default"',
            "the right to get configmaps in the API group core in the namespace default is missing for the user "
            f"{USER}",
        ),
        (
            f'forbidden: User "{USER}" cannot get path "/metrics"',
            f"the right to get /metrics is missing for the user {USER}",
        ),
    ],
)
def test_the_right_is_named(words, expected):
    assert str(_rights.missing(words)) == expected
    assert _rights.explain(words) == expected


def test_an_admission_plug_ins_words_name_no_right():
    words = 'pods "a" is forbidden: violates PodSecurity "restricted:latest": host namespaces'
    assert _rights.missing(words) is None
    assert _rights.explain(words) == f"forbidden: {words}"


def test_patience_is_over_at_once_where_nothing_settles():
    assert _rights.Patience(None, 180.0).over(False)


def test_patience_lasts_from_slice_to_slice():
    first = _rights.Patience(None, 180.0)
    assert not first.over(True)
    assert not _rights.Patience(first.memory, 180.0).over(True)
    long_ago = {"since": first.memory["since"] - _rights.SETTLE}
    assert _rights.Patience(long_ago, 180.0).over(True)


def test_patience_begins_anew_after_it_settled():
    patience = _rights.Patience({"since": 1.0}, 180.0)
    patience.over(False)
    assert not patience.over(True)


def test_a_short_timeout_leaves_half():
    assert _rights.Patience(None, 0.0).over(True)
