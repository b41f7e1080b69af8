# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _discovery, _served, _version

TARGET = _version.parse("v1.37.2")
#: What has no influence; a server whose flags are none at all was not read.
FLAGS = {"client-ca-file": "/etc/kubernetes/pki/ca.crt"}
NEW = "storagemigration.k8s.io/v1/storageversionmigrations"


def own(recorded, version):
    return {str(resource) for resource in _discovery.parse(recorded(f"apis-{version}-nopeer.json"))}


def served(resources, target=TARGET, minor="1.36", **flags):
    return _served.difference({"cp1": resources}, target, {"cp1": minor}, {"cp1": {**FLAGS, **flags}})


def test_the_table_tells_what_the_recorded_servers_differ_in(recorded):
    old, new = own(recorded, "v1.36.4"), own(recorded, "v1.37.2")
    found = served(old)
    assert set(found.new) == new - old
    assert (set(found.removed), found.source, found.unknown) == (old - new, "table", ())
    assert found.new[NEW] == ("cp1",)


def test_mixed_servers_are_held_each_against_what_it_serves(recorded):
    views = {"cp1": own(recorded, "v1.36.4"), "cp2": own(recorded, "v1.37.2")}
    found = _served.difference(views, TARGET, {"cp1": "1.36", "cp2": "1.37"}, {"cp1": FLAGS, "cp2": FLAGS})
    assert found.new[NEW] == ("cp1",)


@pytest.mark.parametrize(
    ("resource", "going"),
    [
        ("scheduling.k8s.io/v1alpha2/workloads", True),
        ("networking.k8s.io/v1beta1/ipaddresses", True),
        ("networking.k8s.io/v1/ipaddresses", False),
        ("stable.example.com/v1alpha2/workloads", False),
    ],
)
def test_what_is_switched_on_today_and_gone_tomorrow(recorded, resource, going):
    found = served(own(recorded, "v1.36.4") | {resource})
    assert (resource in found.removed) == going


def test_a_hop_of_two_minors_adds_up(recorded):
    found = served(set(), minor="1.35")
    assert "admissionregistration.k8s.io/v1/mutatingadmissionpolicies" in found.new
    assert NEW in found.new


@pytest.mark.parametrize(
    ("setting", "new", "unknown"),
    [
        ("storagemigration.k8s.io/v1=false", False, False),
        ("storagemigration.k8s.io/v1/storageversionmigrations=false", False, False),
        ("batch/v1=false", True, False),
        ("scheduling.k8s.io/v1beta1=true", True, True),
        ("scheduling.k8s.io/v1alpha2", True, False),
        ("api/all=true", True, True),
        ("api/beta=false", True, True),
    ],
)
def test_runtime_config(recorded, setting, new, unknown):
    found = served(own(recorded, "v1.36.4"), **{"runtime-config": setting})
    assert (NEW in found.new) == new
    assert [setting.partition("=")[0] in words for words in found.unknown] == [True] * unknown


@pytest.mark.parametrize("value", ["1.36", "kube=1.36", "wardle=1.2,kube=1.36"])
def test_an_emulated_version_stays(recorded, value):
    found = served(own(recorded, "v1.36.4"), **{"emulated-version": value})
    assert (found.new, found.removed, found.source) == ({}, {}, "table")


def test_no_table_is_said_and_not_guessed(recorded):
    found = served(own(recorded, "v1.37.2"), _version.parse("v1.38.0"), "1.37")
    assert (found.new, found.removed, found.source) == ({}, {}, "unknown")
    assert found.unknown == ("no table tells what changes from 1.37 to 1.38",)


def test_within_a_minor_nothing_changes(recorded):
    found = served(own(recorded, "v1.37.2"), _version.parse("v1.37.9"), "1.37")
    assert (found.new, found.removed, found.source) == ({}, {}, "table")


def test_what_could_not_be_read_is_named():
    found = _served.difference({}, TARGET, {"cp1": "1.36"}, {})
    assert found.unknown == ("what cp1 serves could not be read",)
    found = _served.difference({"cp1": set()}, TARGET, {"cp1": "1.36"}, {})
    assert found.unknown == ("the flags of cp1 could not be read",)
