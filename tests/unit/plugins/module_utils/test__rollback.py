# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _rollback
from ansible_collections.mixedversion.kubernetes.plugins.module_utils._rollback import BACK, SAME, STAYS

pytestmark = pytest.mark.node

TARGET = "v1.37.2"
#: The first node's step failed: its own server is away, the others are old.
FIRST = {"cp1": "", "cp2": "v1.36.4", "cp3": "v1.36.4"}


def component(name, before="v1.36.4", now=TARGET, differs=True, available=True):
    return _rollback.Component(name, before, now, differs, available)


def member(now="v3.7.0", differs=True):
    return component("etcd", "v3.6.14", now, differs)


def etcd(versions=("3.7.0", "3.6.14", "3.6.14"), storage=("3.6.0",), local="cp1", downgrade=""):
    names = [name for name, version in zip(("cp1", "cp2", "cp3"), versions) if version]
    return _rollback.Etcd(dict(zip(names, filter(None, versions))), storage, local, downgrade)


MIXED = etcd()


def decide(*components, etcd=MIXED, servers=None, **kwargs):
    return _rollback.decide(components, TARGET, etcd, FIRST if servers is None else servers, **kwargs)


def actions(decision):
    return {part.name: part.action for part in decision.parts}


def test_a_first_node_goes_back_whole():
    found = decide(member(), component("kube-apiserver"), component("kube-scheduler", now="v1.36.4", differs=False))
    assert found.refusals == ()
    assert actions(found) == {"etcd": BACK, "kube-apiserver": BACK, "kube-scheduler": SAME}


@pytest.mark.parametrize(
    ("versions", "storage", "action"),
    [
        # The others hold the cluster at the old minor, whether this member answers or not.
        (("3.7.0", "3.6.14", "3.6.14"), ["3.6.0"], BACK),
        (("", "3.6.14", "3.6.14"), ["3.6.0"], BACK),
        (("3.7.0", "3.7.0", "3.6.14"), ["3.6.0"], BACK),
        # The last one to step, and away: its version is not known to the others, so that nothing rises.
        (("", "3.7.0", "3.7.0"), ["3.6.0"], BACK),
        # The last one to step: it rises at any moment, or has risen.
        (("3.7.0", "3.7.0", "3.7.0"), ["3.6.0"], STAYS),
        (("3.7.0", "3.7.0", "3.7.0"), ["3.6.0", "3.7.0"], STAYS),
        (("", "3.7.0", "3.7.0"), ["3.7.0"], STAYS),
    ],
)
def test_etcd_goes_back_only_while_the_storage_version_is_the_old_one(versions, storage, action):
    found = decide(member(), component("kube-apiserver"), etcd=etcd(versions, storage))
    assert found.refusals == ()
    assert actions(found) == {"etcd": action, "kube-apiserver": BACK}


def test_an_etcd_that_stays_says_why():
    part = decide(member(), etcd=etcd(("3.7.0",) * 3, ["3.7.0"])).parts[0]
    assert "3.7.0" in part.why and "v3.6.14" in part.why


def test_an_etcd_without_a_manifest_that_never_moved_on_goes_back():
    # A power cut between two renames: the manifest is gone, and no member was ever newer.
    found = decide(member(now=""), etcd=etcd(("", "3.6.14", "3.6.14")))
    assert (found.refusals, actions(found)) == ((), {"etcd": BACK})


def test_an_etcd_of_the_same_minor_goes_back_though_all_have_stepped():
    found = decide(component("etcd", "v3.6.8", "v3.6.14"), etcd=etcd(("3.6.14",) * 3))
    assert (found.refusals, actions(found)) == ((), {"etcd": BACK})


def test_with_no_member_that_answers_nobody_can_tell():
    (refusal,) = decide(member(), component("kube-apiserver"), etcd=etcd(("", "", ""), [])).refusals
    assert refusal.startswith("no etcd member answers")
    # Where nothing of etcd differs, nothing is to be told.
    assert decide(member(now="v3.6.14", differs=False), etcd=etcd(("", "", ""), [])).refusals == ()


def test_a_downgrade_of_etcd_under_way_is_not_interfered_with():
    (refusal,) = decide(member(), etcd=etcd(downgrade="3.6.0")).refusals
    assert "downgraded to 3.6.0" in refusal


def test_an_upgrade_that_is_finished_is_not_taken_back():
    servers = dict.fromkeys(FIRST, TARGET)
    (refusal,) = decide(component("kube-apiserver"), servers=servers).refusals
    assert "every server is ready at v1.37.2" in refusal and "no downgrade" in refusal
    # The last node, away: the upgrade is not finished.
    assert decide(component("kube-apiserver"), servers={**servers, "cp3": ""}).refusals == ()
    # Nobody could be asked, as where the one server there is is the one that is away.
    assert decide(component("kube-apiserver"), servers={}).refusals == ()


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ("v1.35.4", TARGET, "one minor between them at most"),
        (TARGET, TARGET, "nothing to go back to"),
        ("", TARGET, "nothing to go back to"),
    ],
)
def test_a_server_goes_back_one_minor_and_to_an_older_version_only(before, now, words):
    (refusal,) = decide(component("kube-apiserver", before, now)).refusals
    assert words in refusal


def test_a_server_that_wrote_what_the_old_one_may_not_read_stays():
    (refusal,) = decide(component("kube-apiserver"), min_compatibility="1.37").refusals
    assert "--min-compatibility-version is 1.37, expected 1.36" in refusal
    assert decide(component("kube-apiserver"), min_compatibility="1.36").refusals == ()


def test_a_step_that_is_at_work_is_left_alone():
    found = decide(component("kube-apiserver"), at_work="mixedversion-kubeadm-upgrade.service")
    assert found.refusals[0].startswith("mixedversion-kubeadm-upgrade.service is still at work")


def test_a_binary_that_is_not_kept_can_not_be_put_back():
    (refusal,) = decide(component("kubelet", available=False), component("kube-apiserver")).refusals
    assert refusal.startswith("the former kubelet (v1.36.4) is not on the node")


def test_what_is_as_it_was_is_nothing_to_do():
    found = decide(component("kube-apiserver", now="v1.36.4", differs=False))
    assert not found.anything and found.refusals == ()


def test_a_partial_roll_back_of_kubeadm_is_told():
    parts = decide(
        member(), component("kube-apiserver", now=""), component("kube-scheduler", now="v1.36.4", differs=False)
    ).parts
    assert _rollback.left("kubeadm", parts) == (
        "kube-apiserver is not there, etcd is v3.7.0 (was v3.6.14); as before the step: kube-scheduler."
    )
    same = [part for part in parts if part.action == SAME]
    assert "kubeadm put it back itself" in _rollback.left("kubeadm", same)
