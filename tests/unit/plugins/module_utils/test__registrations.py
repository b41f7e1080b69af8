# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _discovery, _registrations

GOOD = ({"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"})
METRICS = _discovery.GroupVersion("metrics.k8s.io", "v1beta1")


def crd(name="widgets.example.org", versions=(("v1", True),), conditions=GOOD, **metadata):
    plural, dummy, group = name.partition(".")
    return {
        "metadata": {"name": name, **metadata},
        "spec": {
            "group": group,
            "names": {"plural": plural},
            "versions": [{"name": version, "served": served} for version, served in versions],
        },
        "status": {"conditions": list(conditions)},
    }


def apiservice(available="True", service=True, **condition):
    spec = {"group": METRICS.group, "version": METRICS.version}
    if service:
        spec["service"] = {"namespace": "kube-system", "name": "metrics-server"}
    return {
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": spec,
        "status": {"conditions": [{"type": "Available", "status": available, **condition}]},
    }


def registered(crds=(), apiservices=()):
    return _registrations.Registered(
        _registrations.parse_crds({"items": crds}), _registrations.parse_apiservices({"items": apiservices})
    )


def view(*resources, metrics=None):
    own = {_discovery.Resource(*resource.split("/")): frozenset(["list"]) for resource in resources}
    return _discovery.ServerView(own, own, freshness={METRICS: metrics} if metrics else {})


def test_crds_exclude_each_version_served_or_not():
    found = registered([crd(versions=(("v1", True), ("v1beta1", False)))])
    assert found.excluded == {
        _discovery.GroupVersion("example.org", "v1"),
        _discovery.GroupVersion("example.org", "v1beta1"),
    }


def test_only_apiservices_with_a_service_exclude():
    assert registered(apiservices=[apiservice(service=False)]).excluded == frozenset()
    assert registered(apiservices=[apiservice()]).excluded == {METRICS}


def test_a_crd_that_is_not_established_excludes_all_the_same():
    assert registered([crd(conditions=[])]).excluded == {_discovery.GroupVersion("example.org", "v1")}


def test_a_held_group_version_names_its_holder():
    found = registered([crd(), crd("gadgets.example.org")], [apiservice()])
    assert (
        found.holders(_discovery.GroupVersion("example.org", "v1"))
        == "the CRD widgets.example.org and the CRD gadgets.example.org"
    )
    assert found.holders(METRICS) == "the APIService v1beta1.metrics.k8s.io"
    assert found.holders(_discovery.GroupVersion("apps", "v1")) == ""


@pytest.mark.parametrize(
    ("resource", "explained"),
    [
        ("example.org/v1/widgets", True),
        ("example.org/v1/gadgets", False),
        ("example.org/v2/widgets", False),
        ("metrics.k8s.io/v1beta1/nodes", True),
    ],
)
def test_a_crd_explains_its_own_resource_alone(resource, explained):
    found = registered([crd()], [apiservice()])
    assert found.explains(_discovery.Resource(*resource.split("/"))) is explained


def test_what_holds_is_no_trouble():
    views = {name: view("example.org/v1/widgets", metrics="Current") for name in ("cp1", "cp2")}
    assert _registrations.troubles(registered([crd()], [apiservice()]), views) == []


def test_a_version_that_is_not_served_need_not_be_shown():
    assert (
        _registrations.troubles(
            registered([crd(versions=(("v1", True), ("v1beta1", False)))]), {"cp1": view("example.org/v1/widgets")}
        )
        == []
    )


@pytest.mark.parametrize("condition", ["NamesAccepted", "Established"])
def test_a_crd_whose_condition_does_not_hold(condition):
    conditions = [item for item in GOOD if item["type"] != condition]
    conditions.append({"type": condition, "status": "False", "reason": "Why", "message": "is already in use"})
    (trouble,) = _registrations.troubles(registered([crd(conditions=conditions)]), {"cp1": view()})
    assert (trouble.kind, trouble.condition, trouble.servers) == ("CustomResourceDefinition", condition, ("cp1",))
    assert str(trouble) == (
        f"CustomResourceDefinition widgets.example.org: {condition} is False (Why: is already in use)"
    )
    assert not trouble.settles


def test_a_crd_without_conditions_is_not_taken_for_established():
    (trouble,) = _registrations.troubles(registered([crd(conditions=[])]), {"cp1": view("example.org/v1/widgets")})
    assert trouble.message == "NamesAccepted is not set"


def test_a_crd_that_one_server_does_not_serve():
    views = {"cp1": view("example.org/v1/widgets"), "cp2": view()}
    (trouble,) = _registrations.troubles(registered([crd()]), views)
    assert (trouble.condition, trouble.servers, trouble.settles) == ("Served", ("cp2",), True)
    assert "v1 is Established, but not served by cp2" in str(trouble)


def test_an_apiservice_that_is_not_available():
    views = {"cp1": view(metrics="Stale"), "cp2": view()}
    found = registered(apiservices=[apiservice("False", reason="ServiceNotFound", message="not present")])
    (trouble,) = _registrations.troubles(found, views)
    assert (trouble.kind, trouble.condition, trouble.servers) == ("APIService", "Available", ("cp1", "cp2"))
    assert trouble.message == (
        "Available is False (ServiceNotFound: not present); cp1 and cp2 can't reach kube-system/metrics-server"
    )


def test_an_apiservice_that_one_server_does_not_reach():
    views = {"cp1": view(metrics="Stale"), "cp2": view(metrics="Current")}
    (trouble,) = _registrations.troubles(registered(apiservices=[apiservice()]), views)
    assert (trouble.condition, trouble.servers, trouble.settles) == ("Served", ("cp1",), True)


def test_an_apiservice_that_is_unavailable_though_each_server_shows_it():
    (trouble,) = _registrations.troubles(
        registered(apiservices=[apiservice("False", reason="MissingEndpoints", message="none")]),
        {"cp1": view(metrics="Current")},
    )
    assert (trouble.servers, trouble.message) == (("cp1",), "Available is False (MissingEndpoints: none)")


def event(kind, item):
    return {"type": kind, "object": item}


def test_a_deleted_crd_is_told_with_the_end_of_its_grace():
    gone = crd(deletionTimestamp="2026-11-24T06:00:00Z")
    (deletion,) = _registrations.deletions([event("ADDED", crd()), event("DELETED", gone)], [], frozenset())
    assert str(deletion) == (
        "example.org/v1 is left out of proxying since the CRD widgets.example.org was deleted, "
        "until 06:05:00 UTC, 5 minutes after that"
    )
    at = datetime.datetime(2026, 11, 24, 6, 5, tzinfo=datetime.timezone.utc)
    assert not deletion.over(at)
    assert deletion.over(at + datetime.timedelta(seconds=1))


def test_a_deleted_apiservice_tells_no_time_and_is_never_surely_over():
    (deletion,) = _registrations.deletions([], [event("DELETED", apiservice())], frozenset())
    assert deletion.at is None
    assert not deletion.over(datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc))
    assert "nothing tells when it was" in str(deletion)


def test_an_apiservice_without_a_service_leaves_nothing():
    assert _registrations.deletions([], [event("DELETED", apiservice(service=False))], frozenset()) == []


def test_a_version_that_a_crd_dropped_is_left_out_too():
    both = crd(versions=(("v1", True), ("v1beta1", False)))
    managed = [{"time": "2026-11-24T05:00:00Z"}, {"time": "2026-11-24T06:00:00Z"}, {"manager": "x"}]
    (deletion,) = _registrations.deletions(
        [event("ADDED", both), event("MODIFIED", crd(managedFields=managed))], [], frozenset()
    )
    assert deletion.group_version == _discovery.GroupVersion("example.org", "v1beta1")
    assert deletion.at == datetime.datetime(2026, 11, 24, 6, tzinfo=datetime.timezone.utc)


def test_what_something_holds_again_is_not_told_as_deleted():
    held = {_discovery.GroupVersion("example.org", "v1")}
    assert _registrations.deletions([event("DELETED", crd())], [], held) == []


@pytest.mark.parametrize(
    ("names", "words"),
    [([], ""), (["cp1"], "cp1"), (["cp1", "cp2"], "cp1 and cp2"), (["cp1", "cp2", "cp3"], "cp1, cp2 and cp3")],
)
def test_names_in_words(names, words):
    assert _registrations.words(names) == words


def test_recorded_registrations_that_do_not_hold(recorded):
    found = _registrations.Registered(
        _registrations.parse_crds(recorded("crds-v1.37.2.json")),
        _registrations.parse_apiservices(recorded("apiservices-v1.37.2.json")),
    )
    views = {"cp1": view("certificates.k8s.io/v9/foos", "example.org/v1/widgets", metrics="Stale")}
    assert [str(trouble) for trouble in _registrations.troubles(found, views)] == [
        "CustomResourceDefinition gadgets.example.org: "
        'NamesAccepted is False (SingularConflict: "widget" is already in use)',
        "APIService v1beta1.metrics.k8s.io: "
        'Available is False (ServiceNotFound: service/metrics-server in "kube-system" is not present); '
        "cp1 can't reach kube-system/metrics-server",
    ]
