# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _leases
from ansible_collections.mixedversion.kubernetes.plugins.modules import wait_for_node


class Server:
    """Has *nodes*: by hostname the kubelet's version and the status of the condition Ready.

    Each renewed its Lease when it was ``renewed``; by this server's clock it is 06:00:30.
    """

    name = "cp1"

    def __init__(self, **nodes):
        self.nodes = nodes
        self.asked = ""
        self.renewed = "2026-11-24T06:00:25.000000Z"

    def request(self, dummy_method, path, headers):
        assert path.startswith("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-cp")
        document = {
            "metadata": {"name": path.rpartition("/")[2]},
            "spec": {"leaseDurationSeconds": 40, "renewTime": self.renewed},
        }
        return _api.Answer(200, json.dumps(document).encode(), {"Date": "Tue, 24 Nov 2026 06:00:30 GMT"})

    def get(self, path):
        self.asked = path
        return {
            "items": [
                {
                    "metadata": {"name": f"node-{name}", "labels": {"kubernetes.io/hostname": name}},
                    "status": {
                        "nodeInfo": {"kubeletVersion": version},
                        "conditions": [
                            {"type": "MemoryPressure", "status": "False", "message": "kubelet has memory"},
                            {"type": "Ready", "status": ready, "message": "Kubelet stopped posting node status."},
                        ],
                    },
                }
                for name, (version, ready) in self.nodes.items()
            ]
        }


def look(server, hostnames, version):
    return wait_for_node.look(server, hostnames, version, _leases.Renewals())


def test_all_ready():
    server = Server(cp1=("v1.36.4", "True"), cp2=("v1.37.2", "True"))
    sample = look(server, ["cp1", "cp2"], None)
    assert (sample.passed, sample.progress) == (True, "cp1, cp2: kubelet v1.36.4 and v1.37.2, Ready")
    assert server.asked == "/api/v1/nodes?labelSelector=kubernetes.io/hostname%20in%20%28cp1%2Ccp2%29"


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_one_that_is_not_ready_is_named(status):
    server = Server(cp1=("v1.36.4", "True"), cp2=("v1.36.4", status))
    sample = look(server, ["cp1", "cp2"], None)
    assert not sample.passed
    assert sample.progress == "cp2: kubelet v1.36.4, not Ready: Kubelet stopped posting node status."


def test_one_that_is_not_there_is_not_ready():
    sample = look(Server(cp1=("v1.36.4", "True")), ["cp1", "cp2"], None)
    assert not sample.passed
    assert sample.progress == "0 Nodes have the label kubernetes.io/hostname=cp2"


@pytest.mark.parametrize(
    ("renewed", "passed"), [("06:00:10", True), ("06:00:09", False), ("05:59:45", False), ("06:00:51", False)]
)
def test_a_ready_that_is_about_to_be_taken_back_is_not_good_enough(renewed, passed):
    server = Server(cp1=("v1.36.4", "True"))
    server.renewed = f"2026-11-24T{renewed}.000000Z"
    sample = look(server, ["cp1"], None)
    assert sample.passed is passed
    assert passed or sample.progress == f"cp1: its kubelet renewed its Lease last at {renewed} UTC"


def test_a_kubelet_that_never_renewed_is_not_there():
    server = Server(cp1=("v1.36.4", "True"))
    server.renewed = None
    sample = look(server, ["cp1"], None)
    assert (sample.passed, sample.progress) == (False, "cp1: its kubelet renewed its Lease last never")


def test_a_ready_node_of_another_version_is_not_what_was_waited_for():
    sample = look(Server(cp1=("v1.36.4", "True")), ["cp1"], "v1.37.2")
    assert (sample.passed, sample.progress) == (False, "cp1: kubelet v1.36.4")


def test_no_answer_is_waited_for():
    class Gone:
        def get(self, path):
            raise _api.ApiError("cp1", path, 0, "connected to 10.89.0.11:6443, but no answer in time")

    sample = look(Gone(), ["cp1"], None)
    assert (sample.passed, sample.final) == (False, False)
    assert "no answer in time" in sample.progress
