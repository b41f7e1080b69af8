# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import yaml

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _kubespray

CA = "/etc/kubernetes/ssl/ca.crt"


def host(extra_args=(), feature_gates=(), needs_gate=False):
    return {
        "extra_args": list(extra_args),
        "feature_gates": list(feature_gates),
        "needs_gate": needs_gate,
        "peer_ca_file": CA,
    }


HAS = host(["peer-ca-file"])
GATE = "UnknownVersionInteroperabilityProxy=true"


def test_an_inventory_that_has_the_flag():
    gate = _kubespray.gate({"cp1": HAS, "cp2": HAS}, "present")
    assert (gate.verdict, gate.severity) == ("passed", "warning")
    assert _kubespray.lines({"cp1": HAS}) == []


def test_an_inventory_that_lacks_it_is_told_the_lines():
    hosts = {"cp1": HAS, "cp2": host(["profiling"])}
    gate = _kubespray.gate(hosts, "present")
    assert gate.verdict == "failed"
    assert "lacks it for cp2" in gate.observed
    assert yaml.safe_load("\n".join(_kubespray.lines(hosts))) == {
        "kube_kubeadm_apiserver_extra_args": {"peer-ca-file": CA}
    }
    assert "kube_kubeadm_apiserver_extra_args: / peer-ca-file: /etc/kubernetes/ssl/ca.crt" in gate.next_action


@pytest.mark.parametrize(
    ("gates", "wanted"),
    [([], {"kube_apiserver_feature_gates": [GATE]}), (["AnyGate=false", GATE], None)],
)
def test_a_release_whose_gate_is_off_by_default_wants_it_too(gates, wanted):
    hosts = {"cp1": host(["peer-ca-file"], gates, needs_gate=True)}
    assert yaml.safe_load("\n".join(_kubespray.lines(hosts))) == wanted


@pytest.mark.parametrize(("there", "verdict"), [(HAS, "failed"), (host(), "passed")])
def test_a_proxy_taken_out_does_not_come_back(there, verdict):
    assert _kubespray.gate({"cp1": there}, "absent").verdict == verdict
