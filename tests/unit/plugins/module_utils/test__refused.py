# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A binary's answers are those of kube-apiserver and kubelet 1.37.2."""

from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _refused

pytestmark = pytest.mark.node

HELP = """\
Usage:
  kube-apiserver [flags]

Generic flags:
      --advertise-address ip     The IP address
  -v, --v Level                  number for the log level verbosity
"""
VERSION = "Kubernetes v1.37.2\n"


def server(command):
    dummy, *arguments = command
    given = arguments[0]
    if given == "--help":
        return 0, HELP
    if given.startswith("--feature-gates="):
        gate, dummy, value = given.partition("=")[2].partition("=")
        if gate in ("SidecarContainers", _refused.NO_GATE):
            return 1, f'E1124 13:16:28 run.go:72] "command failed" err="unrecognized feature gate: {gate}"\n'
        if gate == "WatchCacheInitializationPostStartHook" and value == "false":
            return 1, f"cannot set feature gate {gate} to false, feature is locked to true\n"
        return 0, VERSION
    name = given[2:].partition("=")[0]
    if name in ("concurrent-service-syncs", "gone_too"):
        return 1, f"Error: unknown flag: --{name}\n"
    return 1, f'Error: invalid argument "" for "--{name}" flag\n'


def kubelet(command):
    """It judges flags at --version, but no gates."""
    if command[1].startswith("--feature-gates="):
        return 0, VERSION
    return server(command)


def test_flags_that_are_listed_are_not_asked_about():
    asked = []

    def run(command):
        asked.append(command[1])
        return server(command)

    assert _refused.flags(run, "x", ["advertise-address", "v", "deprecated", "concurrent-service-syncs"]) == {
        "advertise-address": False,
        "v": False,
        "deprecated": False,
        "concurrent-service-syncs": True,
    }
    assert asked == ["--help", "--deprecated=", "--concurrent-service-syncs="]


def test_a_flag_with_underscores_is_the_same_flag():
    assert _refused.flags(server, "x", ["advertise_address", "gone_too"]) == {
        "advertise_address": False,
        "gone_too": True,
    }


def test_gates():
    wanted = {
        "SidecarContainers=true": "removed",
        "WatchCacheInitializationPostStartHook=false": "locked to true",
        "WatchCacheInitializationPostStartHook=true": "",
        "OpenAPIEnums=false": "",
    }
    assert _refused.gates(server, "x", list(wanted)) == wanted


def test_a_binary_that_does_not_judge_gates_says_nothing_about_them():
    assert _refused.gates(kubelet, "x", ["SidecarContainers=true"]) is None


@pytest.mark.parametrize(
    ("old", "target", "gate", "value", "why"),
    [
        ("v1.36.4", "v1.37.2", "SidecarContainers", "true", "removed in 1.37"),
        ("v1.35.4", "v1.36.4", "HonorPVReclaimPolicy", "true", "removed in 1.36"),
        ("v1.35.4", "v1.36.4", "SidecarContainers", "true", ""),
        # Both hops of a mixed state.
        ("v1.35.4", "v1.37.2", "HonorPVReclaimPolicy", "true", "removed in 1.36"),
        ("v1.36.4", "v1.36.9", "SidecarContainers", "true", ""),
        ("v1.35.4", "v1.36.4", "SeparateCacheWatchRPC", "true", "locked to false in 1.36"),
        ("v1.35.4", "v1.36.4", "SeparateCacheWatchRPC", "false", ""),
        # Nothing is known of these pairs, not even that it is all right.
        ("v1.37.2", "v1.38.0", "SidecarContainers", "true", None),
        ("v1.33.2", "v1.34.0", "SidecarContainers", "true", None),
    ],
)
def test_the_table_of_gates(old, target, gate, value, why):
    assert _refused.table_gate(old, target, gate, value) == why


@pytest.mark.parametrize(
    ("component", "target", "flag", "why"),
    [
        ("kube-controller-manager", "v1.37.2", "concurrent-service-syncs", "removed in 1.37"),
        ("kubelet", "v1.37.2", "application_metrics_count_limit", "removed in 1.37"),
        ("kubelet", "v1.37.2", "housekeeping-interval", ""),
        ("kube-apiserver", "v1.37.2", "audit-log-path", ""),
        ("kube-apiserver", "v1.38.1", "audit-log-path", None),
    ],
)
def test_the_table_of_flags(component, target, flag, why):
    assert _refused.table_flag(component, "v1.36.4", target, flag) == why
