# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver custom, run by ansible-playbook itself: the user's tasks, and what has to hold right before them."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run

HERE = pathlib.Path(__file__).parent
EVIDENCE = ("lock", "backup_verified", "peers_fetched", "peers_reachable", "quorum_after_step")
#: Writes down what such a file may read, and whether it was run at all.
TASKS = """\
- name: Write down what I was told
  ansible.builtin.copy:
    content: "{{ control_plane_custom | to_json }}"
    dest: "%s"
    mode: "0600"
"""
BROKEN = "- name: A task that fails\n  ansible.builtin.fail:\n    msg: this step says no\n"


class Outcome:
    def __init__(self, done, seen, run):
        self.code = done.returncode
        self.output = " ".join((done.stdout + done.stderr).split())
        self.told = json.loads(seen.read_text()) if seen.exists() else None
        self.steps = [event for event in run.events() if event["event"] == "step"]


@pytest.fixture
def take(tmp_path):
    """Run one driver file of the role on cp1, with a journal in which *held* gates held."""

    def take(file="", held=EVIDENCE, arguments=(), tasks=None, **variables):
        directory = tmp_path / "reports" / "20261128T090000Z-abcd"
        directory.mkdir(parents=True)
        run = _run.Run(str(directory))
        (directory / "journal.jsonl").touch()
        run.append({"event": "run_started", "run_id": run.id})
        for gate in held:
            run.append({"event": "gate", "id": gate, "node": "cp1", "verdict": "passed", "severity": "blocking"})
        seen, given = tmp_path / "seen.json", tmp_path / "tasks.yml"
        given.write_text(tasks or TASKS % seen)
        known = {"name": "cp1", "lease": "apiserver-x", "version": "v1.36.4"}
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "control_plane_driver": "custom",
            "control_plane_version": "v1.37.2",
            "control_plane_run_id": run.id,
            "control_plane_run_directory": run.directory,
            "control_plane_nodes": ["cp1"],
            "control_plane_proxies": [known],
            "stub_file": file,
            **{f"control_plane_custom_{point}": [str(given)] for point in ("step", "flags", "put_back")},
            **variables,
        }
        done = subprocess.run(
            [
                "ansible-playbook",
                str(HERE / "custom.yml"),
                "--inventory=cp1,",
                f"--extra-vars={json.dumps(variables)}",
                *arguments,
            ],
            env={**os.environ, "ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_NOCOLOR": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Outcome(done, seen, run)

    return take


def test_the_step_is_taken_and_told_what_it_is_about(take):
    found = take()
    assert found.code == 0, found.output
    wanted = {"point": "step", "node": "cp1", "position": "1/1", "target": "v1.37.2", "version": "v1.36.4"}
    assert {key: found.told[key] for key in wanted} == wanted
    assert found.told["lease"] == "apiserver-x"
    # The next node's step asks for what must hold after this one.
    assert [(step["node"], step["hop"]) for step in found.steps] == [("cp1", True)]


def test_without_evidence_the_users_tasks_are_not_reached(take):
    found = take(held=["lock"])
    assert found.code != 0
    assert f"does not show that these gates held: {', '.join(EVIDENCE[1:])}." in found.output
    assert (found.told, found.steps) == (None, [])


def test_in_check_mode_nothing_is_written(take):
    found = take(arguments=["--check"])
    assert found.code == 0, found.output
    assert "Write down what I was told" in found.output
    assert (found.told, found.steps) == (None, [])


def test_a_task_that_fails_is_named_with_its_file(take):
    found = take(tasks=BROKEN)
    assert found.code != 0
    assert "control_plane_custom_step failed on cp1" in found.output
    assert "at its task 'A task that fails': this step says no." in found.output


def test_the_flags_and_the_evidence_of_a_proxy_run(take):
    """The playbook proxy backs nothing up, so no backup is asked for."""
    wanted = {"flags": {"peer-ca-file": "/pki/ca.crt"}, "gates": {"UnknownVersionInteroperabilityProxy": None}}
    found = take(
        "_flags",
        held=["lock", "quorum_after_step"],
        control_plane_playbook="proxy",
        control_plane_apiserver_wanted=wanted,
    )
    assert found.code == 0, found.output
    assert found.told["flags"] == wanted["flags"]
    assert found.told["feature_gates"] == wanted["gates"]
    assert [step["hop"] for step in found.steps] == [False]


def test_what_is_put_back_is_named_with_its_version(take):
    kept = {"kept": {"versions": {"kube-scheduler": "v1.36.4"}}}
    found = take("_put_back", control_plane_component="kube-scheduler", control_plane_rollback=kept)
    assert found.code == 0, found.output
    assert (found.told["component"], found.told["component_version"]) == ("kube-scheduler", "v1.36.4")
