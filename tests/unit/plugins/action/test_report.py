# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action through ansible-playbook: what lies in the run's folder, and what whoever started it is left with."""

from __future__ import annotations

import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[4]
GATE = {
    "event": "gate",
    "id": "convergence",
    "node": "cp1",
    "peer": "",
    "severity": "blocking",
    "verdict": "failed",
    "observed": "1 of 2 converged",
    "expected": "both",
    "next_action": "Look at the other.",
    "accepted_by": None,
    "reason": "",
    "elapsed_seconds": 1.5,
    "samples": 3,
}


def report(**arguments: t.Any) -> dict[str, t.Any]:
    return {"mixedversion.kubernetes.report": {"run_directory": "{{ run.run_directory }}", **arguments}}


@pytest.fixture
def play(tmp_path):
    """Runs tasks between the begin of a run and its end; returns the exit code, the custom stats and the folder."""

    def run(*tasks, playbook="upgrade"):
        begin = {
            "mixedversion.kubernetes.report": {
                "state": "started",
                "report_directory": str(tmp_path / "reports"),
                "playbook": playbook,
                "target": "v1.37.2",
            },
            "register": "run",
        }
        file = tmp_path / "play.yml"
        plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [begin, *tasks]}]
        file.write_text(yaml.safe_dump(plays))
        collections = tmp_path / "collections" / "ansible_collections" / "mixedversion"
        collections.mkdir(parents=True, exist_ok=True)
        if not (collections / "kubernetes").exists():
            (collections / "kubernetes").symlink_to(ROOT)
        done = subprocess.run(
            ["ansible-playbook", str(file)],
            env={
                **os.environ,
                "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
                "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
                "ANSIBLE_HOME": str(tmp_path / "home"),
                "ANSIBLE_NOCOLOR": "true",
                "ANSIBLE_SHOW_CUSTOM_STATS": "true",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        shown = re.search(r"^\tRUN: (\{.*\})$", done.stdout, re.MULTILINE)
        outcome = json.loads(shown.group(1))["control_plane_outcome"] if shown else {}
        return done.returncode, outcome, tmp_path / "reports" / "latest"

    return run


def test_a_run_that_succeeded_leaves_its_files_and_its_outcome(play):
    proxies = [
        {"name": "cp1", "address": "192.0.2.11:6443", "version": "v1.36.4", "emulated_version": "1.36"}
        | {"state": "on", "holder": "h"}
    ]
    code, outcome, folder = play(
        report(phase="preflight", cluster={"name": "lab", "uid": "u", "revision": 1}, proxies=proxies),
        report(state="finished", result="succeeded"),
    )
    assert code == 0
    assert {"report.html", "report.json", "report.md", "report.xml"} <= set(os.listdir(folder))
    for name in ("report.html", "report.xml"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == stat.S_IMODE((folder / "report.md").stat().st_mode)
    files = outcome.pop("files")
    assert sorted(files) == ["report.html", "report.json", "report.md", "report.xml"]
    assert all(pathlib.Path(path).is_file() for path in files.values())
    assert outcome == {
        "run_id": folder.resolve().name,
        "playbook": "upgrade",
        "check_mode": False,
        "result": "succeeded",
        "failed_gate": None,
        "failed_node": None,
        "next_action": None,
        "plan_hash": None,
        "cluster": "lab",
        "version_before": "v1.36.4",
        "version_target": "v1.37.2",
    }


def test_a_run_that_a_gate_stopped_says_which_and_what_to_do(play):
    """As the role does it: the close fails, and its rescue closes once more."""
    append = {
        "ansible.builtin.shell": {
            "cmd": "cat >> {{ run.run_directory }}/journal.jsonl",
            "stdin": json.dumps({"at": "2026-11-24T00:30:00.000Z", **GATE}),
        }
    }
    close = {
        "block": [report(state="finished", result="succeeded")],
        "rescue": [report(state="finished", result="failed", next_action="Start again."), {"ansible.builtin.fail": {}}],
    }
    code, outcome, folder = play(append, close)
    assert code != 0
    told = {key: outcome[key] for key in ("result", "failed_gate", "failed_node", "next_action")}
    assert told == {
        "result": "stopped",
        "failed_gate": "convergence",
        "failed_node": "cp1",
        "next_action": "Look at the other.",
    }
    assert "does not hold" in (folder / "report.html").read_text()
    assert '<failure type="failed" message="1 of 2 converged">' in (folder / "report.xml").read_text()


@pytest.mark.parametrize("playbook", ["plan", "verify", "diagnose", "backup"])
def test_every_playbook_has_a_page_before_it_ends(play, playbook):
    code, outcome, folder = play(report(phase="preflight"), playbook=playbook)
    assert (code, outcome) == (0, {})
    assert "It had not ended when this page was written" in (folder / "report.html").read_text()
    assert '<error type="running"' in (folder / "report.xml").read_text()
