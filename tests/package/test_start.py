# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook starts from the installed collection, and what stops it says so in our words."""

from __future__ import annotations

import json
import pathlib

import ansible_runner
import jsonschema

UNREACHABLE = "cp1 can't be reached"


def check_report(installed: pathlib.Path, folder: pathlib.Path) -> None:
    report = json.loads((folder / "reports" / "latest" / "report.json").read_text())
    jsonschema.Draft202012Validator(json.loads((installed / "docs" / "report.schema.json").read_text())).validate(
        report
    )
    assert report["run"]["playbook"] == "plan"
    assert report["run"]["result"] == "failed"


def test_ansible_playbook(installed, inventory, run, tmp_path: pathlib.Path) -> None:
    code, output = run("ansible-playbook", "mixedversion.kubernetes.plan", "-i", str(inventory))
    assert code == 2, output
    assert UNREACHABLE in output
    assert "Nothing was changed. Mend the way to it" in output
    assert f"{installed}/roles/control_plane/" in output
    check_report(installed, tmp_path)


def test_no_inventory(run) -> None:
    code, output = run("ansible-playbook", "mixedversion.kubernetes.verify")
    assert code == 2, output
    assert "The inventory has no hosts, expected the control plane's." in output


def test_ansible_runner(installed, inventory, tmp_path: pathlib.Path) -> None:
    done = ansible_runner.run(
        private_data_dir=str(tmp_path),
        playbook="mixedversion.kubernetes.plan",
        inventory=str(inventory),
        quiet=True,
    )
    assert (done.status, done.rc) == ("failed", 2)
    assert done.stats["failures"] == {"cp1": 1}
    events = list(done.events)
    assert events[-1]["event"] == "playbook_on_stats"
    failed = [event["event_data"] for event in events if event["event"] == "runner_on_failed"]
    # What failed first, and the last word of the run, which says the same.
    assert len(failed) == 2
    for data in failed:
        assert data["host"] == "cp1"
        assert data["role"] == "control_plane"
        assert data["res"]["msg"].startswith(UNREACHABLE)
    check_report(installed, tmp_path)


def test_ansible_runner_as_documented(installed, refused, run, documented, tmp_path: pathlib.Path) -> None:
    page = (installed / "docs" / "execution-environment.md").read_text()
    program = page.split("```python\n")[1].split("```")[0].replace("/srv/upgrade", str(tmp_path))
    code, output = run("python", "-c", program)
    assert code == 0, output
    assert f"cp1 {refused}" in output
    assert "failed 2 {" in output

    code, output = run(*documented("execution-environment.md", "ansible-runner run"))
    assert code == 2, output
    assert refused in output


def test_ansible_navigator(installed, refused, run, documented) -> None:
    code, output = run(*documented("execution-environment.md", "--ee false"))
    assert code == 2, output
    assert refused in output
    # Navigator keeps an artifact beside the playbook, unless told not to.
    assert not list(installed.rglob("*artifact*"))
