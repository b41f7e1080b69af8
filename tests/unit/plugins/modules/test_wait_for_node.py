# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api
from ansible_collections.mixedversion.kubernetes.plugins.modules import wait_for_node


class Server:
    """Has *nodes*: by hostname the kubelet's version and the status of the condition Ready."""

    def __init__(self, **nodes):
        self.nodes = nodes
        self.asked = ""

    def get(self, path):
        self.asked = path
        return {
            "items": [
                {
                    "metadata": {"labels": {"kubernetes.io/hostname": name}},
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


def test_all_ready():
    server = Server(cp1=("v1.36.4", "True"), cp2=("v1.37.2", "True"))
    sample = wait_for_node.look(server, ["cp1", "cp2"], None)
    assert (sample.passed, sample.progress) == (True, "cp1, cp2: kubelet v1.36.4 and v1.37.2, Ready")
    assert server.asked == "/api/v1/nodes?labelSelector=kubernetes.io/hostname%20in%20%28cp1%2Ccp2%29"


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_one_that_is_not_ready_is_named(status):
    server = Server(cp1=("v1.36.4", "True"), cp2=("v1.36.4", status))
    sample = wait_for_node.look(server, ["cp1", "cp2"], None)
    assert not sample.passed
    assert sample.progress == "cp2: kubelet v1.36.4, not Ready: Kubelet stopped posting node status."


def test_one_that_is_not_there_is_not_ready():
    sample = wait_for_node.look(Server(cp1=("v1.36.4", "True")), ["cp1", "cp2"], None)
    assert not sample.passed
    assert sample.progress == "0 Nodes have the label kubernetes.io/hostname=cp2"


def test_a_ready_node_of_another_version_is_not_what_was_waited_for():
    sample = wait_for_node.look(Server(cp1=("v1.36.4", "True")), ["cp1"], "v1.37.2")
    assert (sample.passed, sample.progress) == (False, "cp1: kubelet v1.36.4")


def test_no_answer_is_waited_for():
    class Gone:
        def get(self, path):
            raise _api.ApiError("cp1", path, 0, "connected to 10.89.0.11:6443, but no answer in time")

    sample = wait_for_node.look(Gone(), ["cp1"], None)
    assert (sample.passed, sample.final) == (False, False)
    assert "no answer in time" in sample.progress
