# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet by ansible-runner's transmit, worker and process, as documented; the way to the worker is a pipe."""

from __future__ import annotations

import json
import pathlib

import jsonschema
import yaml


def test_workers_as_documented(installed, inventory, run, tmp_path: pathlib.Path) -> None:
    page = (installed / "docs" / "fleets.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("ansible-runner transmit") and "| ssh" in line]
    texts = [text.split("```")[0] for text in page.split("```yaml\n")[1:]]
    (extravars,) = [text for text in texts if "AWX_ISOLATED_DATA_DIR" in text]
    (gather,) = [text for text in texts if "fleet_report" in text]
    # Hosts that can't be reached; but for where its report goes, which the page says.
    group = yaml.safe_load(inventory.read_text())["kube_control_plane"]
    group["vars"].pop("control_plane_report_directory", None)
    clusters = {
        name: {
            "children": {f"{name}_plane": {"hosts": {f"{name}-1": next(iter(group["hosts"].values()))}}},
            "vars": {**group["vars"], "control_plane_group": f"{name}_plane"},
        }
        for name in ("north", "south")
    }
    for name, text in {
        "fleet/inventory/hosts.yml": yaml.safe_dump(clusters),
        "fleet/env/extravars": extravars,
        "fleet/project/.keep": "",
        "gather.yml": gather,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    for name in clusters:
        code, output = run("bash", "-c", line.replace("ssh worker1 ", "").replace("north", name))
        assert code == 0, output
    code, output = run("ansible-playbook", "gather.yml")
    assert code == 2, output
    assert "0 of 3 clusters succeeded" in output
    fleet = json.loads((tmp_path / "results" / "artifacts" / "fleet.json").read_text())
    jsonschema.Draft202012Validator(json.loads((installed / "docs" / "fleet.schema.json").read_text())).validate(fleet)
    found = {cluster["name"]: cluster for cluster in fleet["clusters"]}
    assert {name: cluster["result"] for name, cluster in found.items()} == {
        "north": "failed",
        "south": "failed",
        # Nothing was sent for it.
        "west": "no_report",
    }
    assert found["north"]["exit_code"] == 2
    assert "north-1 can't be reached" in found["north"]["next_action"]
    assert (tmp_path / "results" / "artifacts" / found["north"]["report"]).is_file()
