# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clusters of one inventory through the playbook fleet itself; only nodes, etcd and servers are stubs."""

from __future__ import annotations

import json
import pathlib

import jsonschema
import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture
def fleet(play):
    """Starts the playbook fleet; returns its exit code, what it printed on one line, and the fleet's folder."""

    def run(*arguments):
        code, output, folder = play("fleet", "fleet/hosts.yml", *arguments)
        return code, output, folder / "fleet" / "latest"

    return run


def test_a_cluster_that_fails_stops_no_other_and_is_told(fleet):
    away = {"stub_nodes": {"north-2": {"unreachable": True, "msg": "No route to host"}}}
    code, output, folder = fleet("--forks=2", f"--extra-vars={json.dumps(away)}")
    assert code != 0
    assert "1 of 2 clusters succeeded. north_plane: failed: Mend what failed: north-2 can't be reached" in output
    told = json.loads((folder / "fleet.json").read_text())
    jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "fleet.schema.json").read_text())).validate(told)
    north, south = told["clusters"]
    assert (north["name"], north["result"], north["exit_code"]) == ("north_plane", "failed", 2)
    assert (south["name"], south["result"], south["exit_code"]) == ("south_plane", "succeeded", 0)
    assert south["servers"] == [{"name": "south-1", "version": "v1.36.4", "proxy": "off"}]
    for cluster in (north, south):
        report = json.loads((folder / cluster["report"]).with_name("report.json").read_text())
        assert report["run"]["playbook"] == told["playbooks"][0] == "verify"
        assert report["run"]["result"] == cluster["result"]
    assert (folder / "fleet.html").is_file()


def test_a_limit_says_which_clusters_and_a_dry_run_is_one_there_too(fleet):
    code, output, folder = fleet("--limit=south", "--check")
    assert code == 0, output
    assert "1 of 1 clusters succeeded" in output
    (cluster,) = json.loads((folder / "fleet.json").read_text())["clusters"]
    assert cluster["name"] == "south_plane"
    report = json.loads((folder / cluster["report"]).with_name("report.json").read_text())
    assert report["run"]["check_mode"]


def test_an_inventory_that_names_no_cluster_is_refused(fleet, tmp_path):
    hosts = tmp_path / "hosts.ini"
    hosts.write_text("[kube_control_plane]\na\n")
    code, output, folder = fleet(f"--inventory={hosts}", "--limit=a")
    assert code != 0
    assert "No host within --limit a has control_plane_group" in output
    assert not folder.exists()
