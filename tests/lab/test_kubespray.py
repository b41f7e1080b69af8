# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file for kubespray's post_upgrade_hooks, included as kubespray does it; its own plays are not to be had here."""

from __future__ import annotations

import json
import pathlib
import subprocess

import pytest
import yaml

pytestmark = pytest.mark.lab

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOOKS = ROOT / "docs" / "kubespray" / "post_upgrade.yml"


def test_its_hook_judges_every_node_in_turn(lab, tmp_path) -> None:
    play = {
        "name": "Upgrade the control plane",
        "hosts": "kube_control_plane",
        "gather_facts": False,
        "any_errors_fatal": True,
        "serial": 1,
        "tasks": [
            {
                "name": "Run post upgrade hooks",
                "ansible.builtin.include_tasks": "{{ item }}",
                "loop": "{{ post_upgrade_hooks }}",
            }
        ],
    }
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([play]))
    variables = {
        "post_upgrade_hooks": [str(HOOKS)],
        "kube_version": "1.37.2",
        "control_plane_report_directory": str(tmp_path / "reports"),
    }
    done = subprocess.run(
        ["ansible-playbook", str(playbook), f"--inventory={lab.inventory}", f"--extra-vars={json.dumps(variables)}"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    reports = [json.loads(path.read_text()) for path in sorted((tmp_path / "reports").glob("2*/report.json"))]
    assert [(report["run"]["playbook"], report["run"]["result"]) for report in reports] == [
        ("kubespray", "succeeded")
    ] * len(lab.hosts)
    for host, report in zip(lab.hosts, reports):
        judged = {gate["id"]: gate["verdict"] for gate in report["gates"] if gate["node"] == host}
        assert judged["convergence"] == "passed"
        # All servers are at the target by now.
        assert judged["requests_proxied"] == "not_exercised"
