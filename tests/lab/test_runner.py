# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a lab that has not been upgraded: plan and verify through ansible-runner's API, as AWX starts them.

It needs ansible-runner, so: LAB=name build/venv/package/bin/python -m pytest -m lab tests/lab/test_runner.py
"""

from __future__ import annotations

import json
import pathlib

import ansible_runner
import pytest

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("playbook", ["plan", "verify"])
def test_a_playbook_succeeds(lab, tmp_path: pathlib.Path, playbook: str) -> None:
    done = ansible_runner.run(
        private_data_dir=str(tmp_path),
        playbook=f"mixedversion.kubernetes.{playbook}",
        inventory=str(lab.inventory),
        extravars={
            "control_plane_report_directory": str(tmp_path / "reports"),
            "control_plane_backup_directory": str(tmp_path / "backups"),
        },
        quiet=True,
    )
    assert (done.status, done.rc) == ("successful", 0), done.stdout.read()
    assert not done.stats["failures"]
    assert not done.stats["dark"]
    assert set(done.stats["ok"]) == {*lab.hosts, "localhost"}
    events = [event["event"] for event in done.events]
    assert events[0] == "playbook_on_start"
    assert events[-1] == "playbook_on_stats"
    report = json.loads((tmp_path / "reports" / "latest" / "report.json").read_text())
    assert report["run"]["playbook"] == playbook
    assert report["run"]["result"] == "succeeded"
