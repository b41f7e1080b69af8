# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a lab that has not been upgraded: a dry run writes nothing, and bad input ends before anything is touched."""

from __future__ import annotations

import json
import pathlib

import jsonschema
import pytest
import yaml

pytestmark = pytest.mark.lab

ROOT = pathlib.Path(__file__).resolve().parents[2]

READS = {"get", "list", "watch"}
#: What an upgrade writes to, and what runs.
FOLDERS = "/etc/kubernetes /etc/systemd/system /usr/local/bin /usr/bin/kube* /var/lib/kubelet/config.yaml"
OURS = "ls -d /var/lib/mixedversion-kubernetes 2>/dev/null || true"


def hashes(lab) -> dict[str, str]:
    """By node, the hash of every file that an upgrade could touch."""
    command = f"find {FOLDERS} -type f 2>/dev/null | sort | xargs -r sha256sum; {OURS}"
    return {host: lab.on(host, "sh", "-c", command) for host in lab.hosts}


def stamps(lab) -> dict[str, str]:
    """By node, inode, size and time of every such file; an upgrade replaces files, it never edits one."""
    command = f"find {FOLDERS} -type f -printf '%p %i %s %T@\\n' 2>/dev/null | sort; {OURS}"
    return {host: lab.on(host, "sh", "-c", command) for host in lab.hosts}


def user(event: dict) -> str:
    """Who asked; nobody, where the server refused to know the caller."""
    return event["user"].get("username", "")


def writes(lab, known: dict[str, int]) -> list[str]:
    """What users who are no part of the system asked of the servers since *known*, reads left out."""
    return [
        f"{host}: {user(event)} {event['verb']} {event['requestURI']}"
        for host in lab.hosts
        for event in lab.audit(host)[known[host] :]
        if not user(event).startswith("system:") and event["verb"] not in READS
    ]


def test_check_mode_writes_nothing(lab, tmp_path: pathlib.Path) -> None:
    before = hashes(lab)
    known = {host: len(lab.audit(host)) for host in lab.hosts}
    code, output = lab.play("upgrade", tmp_path, "--check")
    assert code == 0, output
    assert writes(lab, known) == []
    assert hashes(lab) == before
    # It did look: the users' own reads are in the same logs.
    assert any(not user(event).startswith("system:") for event in lab.audit("cp1")[known["cp1"] :])
    for host in lab.hosts:
        assert f"{host} (" in output


def test_a_plan_is_made_and_writes_nothing(lab, tmp_path: pathlib.Path) -> None:
    before = stamps(lab)
    known = {host: len(lab.audit(host)) for host in lab.hosts}
    code, output = lab.play("plan", tmp_path)
    assert code == 0, output
    assert writes(lab, known) == []
    assert stamps(lab) == before
    folder = tmp_path / "reports" / "latest"
    plan = json.loads((folder / "plan.json").read_text())
    schema = json.loads((ROOT / "docs" / "plan.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(plan)
    assert plan["state"] == "ready"
    assert plan["hash"] == json.loads((folder / "report.json").read_text())["run"]["plan_hash"]
    for text in (output, (folder / "plan.md").read_text()):
        assert plan["hash"] in text
        assert all(step["phase"] in text for step in plan["steps"])


# Two gates at once: the first that fails hides no other.
WITHOUT_A_STEP = ["-e", "control_plane_etcd_step_binary=", "-e", "control_plane_etcd_step_image="]

BAD = {
    "two_minors_ahead": (["-e", "control_plane_version=v1.38.0", *WITHOUT_A_STEP], "Gate etcd_version failed"),
    "older": (["-e", "control_plane_version=v1.35.0"], "version_hop"),
    "no_version": (["-e", "control_plane_version=latest"], "expected a full version such as v1.37.2"),
    "unknown_driver": (["-e", "control_plane_driver=terraform"], "terraform"),
    "no_kubeconfig": (["-e", "control_plane_kubeconfig=/nonexistent/admin.conf"], "/nonexistent/admin.conf"),
    "limit": (["--limit", "cp1"], "--limit"),
    "unknown_risk": (["-e", '{"control_plane_accepted_risks": [{"id": "luck", "reason": "none"}]}'], "luck"),
    "no_plan": (["-e", "control_plane_plan=/nonexistent/plan.json"], "/nonexistent/plan.json can't be used"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_touches_nothing(lab, tmp_path: pathlib.Path, case: str) -> None:
    arguments, words = BAD[case]
    check_refusal(lab, tmp_path, words, *arguments)


def test_a_refused_kubeconfig_is_named(lab, tmp_path: pathlib.Path) -> None:
    kubeconfig = yaml.safe_load((lab.folder / "admin.conf").read_text())
    kubeconfig["users"][0]["user"] = {"token": "not-a-token"}
    path = tmp_path / "refused.conf"
    path.write_text(yaml.safe_dump(kubeconfig))
    check_refusal(lab, tmp_path, "answered 401", "-e", f"control_plane_kubeconfig={path}")


def test_a_server_missing_from_the_inventory_is_named(lab, tmp_path: pathlib.Path) -> None:
    inventory = yaml.safe_load(lab.inventory.read_text())
    del inventory["kube_control_plane"]["hosts"]["cp3"]
    check_refusal(lab, tmp_path, "the server cp3 is not in the inventory", inventory=write(tmp_path, inventory))


def test_a_host_that_is_no_server_is_named(lab, tmp_path: pathlib.Path) -> None:
    inventory = yaml.safe_load(lab.inventory.read_text())
    # The same node under a second name: reachable, but not a server of its own.
    hosts = inventory["kube_control_plane"]["hosts"]
    hosts["stranger"] = dict(hosts["cp1"])
    check_refusal(lab, tmp_path, "second host for the server cp1", inventory=write(tmp_path, inventory))


def test_an_unreachable_node_is_named(lab, tmp_path: pathlib.Path) -> None:
    inventory = yaml.safe_load(lab.inventory.read_text())
    # A port on the node itself on which nothing listens.
    inventory["kube_control_plane"]["hosts"]["cp3"]["ansible_port"] = 9
    check_refusal(lab, tmp_path, "cp3 can't be reached", inventory=write(tmp_path, inventory))


def test_no_hosts_is_an_error(lab, tmp_path: pathlib.Path) -> None:
    check_refusal(lab, tmp_path, "The inventory has no hosts", inventory=write(tmp_path, {"all": {"hosts": {}}}))


def write(folder: pathlib.Path, inventory: object) -> pathlib.Path:
    path = folder / "inventory.yml"
    path.write_text(yaml.safe_dump(inventory))
    return path


def check_refusal(
    lab, folder: pathlib.Path, words: str, *arguments: str, inventory: pathlib.Path | None = None
) -> None:
    before = stamps(lab)
    known = {host: len(lab.audit(host)) for host in lab.hosts}
    code, output = lab.play("upgrade", folder, *arguments, inventory=inventory)
    assert code != 0, output
    assert words in " ".join(output.split()), output
    assert writes(lab, known) == []
    assert stamps(lab) == before
