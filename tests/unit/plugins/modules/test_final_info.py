# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.mixedversion.kubernetes.plugins.modules import final_info


def node(name, kubelet, hostname=None):
    labels = {"kubernetes.io/hostname": hostname or name}
    return {"metadata": {"name": name, "labels": labels}, "status": {"nodeInfo": {"kubeletVersion": kubelet}}}


def test_every_node_of_the_control_plane_has_its_kubelet_at_the_target():
    items = [node("cp1", "v1.37.2"), node("ip-10-0-0-2", "v1.37.2", "cp2"), node("worker", "v1.36.4")]
    assert final_info.kubelets(items, ["cp1", "cp2"], "v1.37.2") == ([], {"worker": "v1.36.4"})
    wrong, dummy = final_info.kubelets(items, ["cp1", "worker"], "v1.37.2")
    assert wrong == ["the kubelet of worker is v1.36.4"]


def test_a_node_that_nobody_has_seen_is_not_at_the_target():
    """As where another name than the one of its label was asked for: its kubelet would pass for another one's."""
    wrong, others = final_info.kubelets([node("cp1", "v1.36.4")], ["CP1"], "v1.37.2")
    assert wrong == ["no Node has the label kubernetes.io/hostname=CP1"]
    assert others == {"cp1": "v1.36.4"}
