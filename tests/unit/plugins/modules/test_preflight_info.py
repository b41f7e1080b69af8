# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.modules import preflight_info


def params(target="v1.37.2", versions=("v1.36.4",), etcd=(), step=""):
    return {
        "version": target,
        "proxies": [{"name": f"cp{n}", "version": version} for n, version in enumerate(versions, 1)],
        "etcd_members": [{"name": f"cp{n}", "version": version} for n, version in enumerate(etcd, 1)],
        "etcd_step": step,
    }


@pytest.mark.parametrize(
    ("target", "versions", "verdict", "action"),
    [
        ("v1.37.2", ("v1.36.4", "v1.36.4"), "passed", ""),
        ("v1.37.2", ("v1.36.4", "v1.37.2"), "passed", ""),
        ("v1.37.2", ("v1.37.2",), "passed", ""),
        ("v1.38.0", ("v1.36.4",), "failed", "newest patch of 1.37 first"),
        ("v1.38.0", ("v1.37.2", "v1.36.4"), "failed", "newest patch of 1.37 first"),
        ("v1.36.4", ("v1.37.2",), "failed", "Name v1.37.2 or later"),
        ("v1.37.1", ("v1.36.4", "v1.37.2"), "failed", "Name v1.37.2 or later"),
        ("v1.36.10", ("v1.36.9",), "passed", ""),
    ],
)
def test_version_hop(target, versions, verdict, action):
    gate = preflight_info.version_hop(params(target, versions))
    assert gate.verdict == verdict
    assert action in gate.next_action


@pytest.mark.parametrize(
    ("target", "etcd", "step", "verdict"),
    [
        ("v1.37.2", ("3.6.8", "3.6.14"), "", "failed"),
        ("v1.37.2", ("3.6.8", "3.6.14"), "3.6.14", "passed"),
        ("v1.37.2", ("3.6.8",), "3.6.10", "failed"),
        ("v1.37.2", ("3.6.11", "3.7.0"), "", "passed"),
        ("v1.36.9", ("3.6.8",), "", "passed"),
    ],
)
def test_etcd_version(target, etcd, step, verdict):
    gate = preflight_info.etcd_version(params(target, etcd=etcd, step=step))
    assert gate.verdict == verdict
    assert bool(gate.next_action) == (verdict == "failed")


def test_a_check_that_breaks_is_a_failed_gate():
    (gate,) = preflight_info.guarded("version_hop", lambda: preflight_info.version_hop(params("latest")))
    assert (gate.id, gate.verdict) == ("version_hop", "failed")
    assert "'latest' is not a full version" in gate.observed
    assert gate.next_action


def node(hostname, kubelet="v1.36.4", ready="True"):
    return {
        "metadata": {"name": hostname, "labels": {"kubernetes.io/hostname": hostname}},
        "status": {"conditions": [{"type": "Ready", "status": ready}], "nodeInfo": {"kubeletVersion": kubelet}},
    }


@pytest.mark.parametrize(
    ("items", "ready", "skew"),
    [
        ([node("cp1")], "passed", "passed"),
        ([node("cp1", ready="Unknown")], "failed", "passed"),
        ([node("other")], "failed", "passed"),
        ([node("cp1"), node("worker", "v1.34.0")], "passed", "passed"),
        ([node("cp1"), node("worker", "v1.33.9")], "passed", "failed"),
        ([node("cp1"), node("worker", "v1.37.3")], "passed", "failed"),
    ],
)
def test_nodes_gates(items, ready, skew):
    given = {"version": "v1.37.2", "nodes": [{"name": "cp1", "hostname": "cp1"}]}
    assert [gate.verdict for gate in preflight_info.nodes_gates(given, items)] == [ready, skew]


@pytest.mark.parametrize(("short", "verdict"), [(0, "passed"), (1, "failed")])
def test_disk_space(short, verdict):
    free = preflight_info.SPARE_BYTES + 4096 - short
    given = {"nodes": [{"name": "cp1", "etcd_bytes": 4096, "disks": [{"path": "/var", "free_bytes": free}]}]}
    assert preflight_info.disk_space(given).verdict == verdict
