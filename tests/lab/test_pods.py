# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before the upgrade of a lab with kubelets: pods that its drains have to evict, and a budget that holds them up."""

from __future__ import annotations

import json
import typing as t

import pytest

pytestmark = pytest.mark.lab

LABELS = {"app": "to-be-evicted"}


def deployment(image: str) -> dict[str, t.Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "to-be-evicted"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "pause", "image": image, "imagePullPolicy": "Never"}],
                },
            },
        },
    }


BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "to-be-evicted"},
    "spec": {"minAvailable": 2, "selector": {"matchLabels": LABELS}},
}


def test_pods_run_that_a_drain_has_to_evict(lab) -> None:
    images = lab.on("cp1", "ctr", "--namespace=k8s.io", "images", "list", "--quiet").split()
    image = next(image for image in images if "/pause:" in image)
    documents = {"apiVersion": "v1", "kind": "List", "items": [deployment(image), BUDGET]}
    lab.kubectl("apply", "--filename=-", stdin=json.dumps(documents))
    said = lab.kubectl("rollout", "status", "deployment/to-be-evicted", "--timeout=180s")
    assert "successfully rolled out" in said
