# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node
from ansible_collections.mixedversion.kubernetes.plugins.modules import driver_step


@pytest.fixture
def step(tmp_path, monkeypatch):
    """A step that left an output."""
    monkeypatch.setattr(_node, "STATE_DIRECTORY", str(tmp_path))
    made = driver_step.Step(None, "kubeadm-upgrade")
    (tmp_path / "steps" / "kubeadm-upgrade").mkdir(parents=True)
    return made


def left(step, text):
    with open(f"{step.folder}/output", "w") as file:
        file.write(text)
    return step


def test_the_reason_is_found_among_pages_of_a_kernels_options(step, recorded):
    assert left(step, recorded("kubeadm-upgrade-not-ready-v1.37.2.txt")).reasons() == (
        "[ERROR ControlPlaneNodesReady]: there are NotReady control-planes in the cluster: [cp2]; "
        "error: error execution phase preflight: preflight checks failed"
    )


def test_what_is_coloured_is_told_without(step, recorded):
    told = left(step, recorded("kubeadm-upgrade-not-ready-v1.37.2.txt")).tail()
    assert len(told) == driver_step.TAIL_LINES
    assert told[0] == "CONFIG_BLK_DEV_DM: not set - Required for devicemapper."


def test_an_output_without_a_reason_has_none(step):
    assert left(step, "No error: all is well\nUpgraded.\n").reasons() == ""
