# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories people have, taken as they are by ansible-playbook itself; only nodes, etcd and servers are stubs."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import typing as t

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
FAILING_SUDO = "#!/bin/sh\necho 'sudo was called on the controller' >&2\nexit 77\n"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a run: the nodes as they were taken, and what the servers would have been asked with."""

    code: int
    output: str
    taken: list[str]
    asked: dict[str, t.Any]
    report: dict[str, t.Any]

    @property
    def inventory(self) -> dict[str, dict[str, t.Any]]:
        return {item["name"]: item for item in self.asked["inventory"]}


@pytest.fixture
def resolve(environment: dict[str, str], tmp_path: pathlib.Path) -> t.Callable[..., Outcome]:
    """Run the first plays of an upgrade on an inventory."""

    def run(shape: str, *arguments: str, **variables: t.Any) -> Outcome:
        sudo = tmp_path / "sudo"
        sudo.write_text(FAILING_SUDO)
        sudo.chmod(0o700)
        variables = {
            "control_plane_version": "v1.37.2",
            "control_plane_report_directory": str(tmp_path / "reports"),
            "stub_asked": str(tmp_path / "asked.json"),
            "stub_taken": str(tmp_path / "taken"),
            **variables,
        }
        rights = {
            # Whoever runs the tests may be root already, for whom Ansible would not call it.
            "ANSIBLE_BECOME_ALLOW_SAME_USER": "true",
            "ANSIBLE_BECOME_EXE": str(sudo),
        }
        done = subprocess.run(
            [
                "ansible-playbook",
                str(HERE / "resolve.yml"),
                f"--inventory={HERE / shape}",
                f"--extra-vars={json.dumps(variables)}",
                *arguments,
            ],
            env={**environment, **rights},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        taken, asked = tmp_path / "taken", tmp_path / "asked.json"
        report = tmp_path / "reports" / "latest" / "report.json"
        return Outcome(
            code=done.returncode,
            output=" ".join((done.stdout + done.stderr).split()),
            taken=taken.read_text().split() if taken.exists() else [],
            asked=json.loads(asked.read_text()) if asked.exists() else {},
            report=json.loads(report.read_text()) if report.exists() else {},
        )

    return run


#: Shape, and its members in the inventory's order.
SHAPES = {
    "kubeadm-flat/hosts": ["cp-a", "cp-b", "cp-c"],
    "rke2-federal/hosts.yml": ["fed-1", "fed-2", "fed-3"],
    "atmosphere": [f"ctl-{letter}.cloud.example.org" for letter in "abc"],
    "enix/hosts": ["plane-01", "plane-02", "plane-03"],
    "script/cloud.py": ["vm-92", "vm-91", "vm-93"],
    "constructed": ["m1", "m3", "m4"],
    "k3s-techno-tim/hosts.ini": ["192.0.2.31", "192.0.2.32", "192.0.2.33"],
}


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.partition("/")[0] for shape in SHAPES])
def test_the_members_are_found_mapped_and_taken_in_order(resolve, shape):
    found = resolve(shape)
    assert found.code == 0, found.output
    assert found.taken == SHAPES[shape]
    # Whatever the inventory calls them, each is the server of the node that it is.
    assert {item["hostname"] for item in found.asked["inventory"]} == {f"node-of-{name}" for name in found.taken}
    assert found.asked["troubles"] == []
    servers = [server["name"] for server in found.report["cluster"]["servers"]]
    assert sorted(servers) == sorted(found.taken) == sorted(node["name"] for node in found.report["nodes"])


def test_kubesprays_addresses_are_hints_and_its_rights_are_the_nodes_alone(resolve):
    """With -b, as kubespray is run; the leader comes last."""
    found = resolve("kubespray-ini/inventory.ini", "--become", stub_leader="alpha")
    assert found.code == 0, found.output
    assert found.taken == ["beta", "gamma", "alpha"]
    assert found.inventory["beta"]["hints"] == ["203.0.113.12:6443", "10.3.0.12:6443"]
    assert found.inventory["beta"]["address"] == ""
    assert "sudo was called" not in found.output


def test_an_order_of_ones_own_and_an_address_by_host(resolve):
    found = resolve("folder", stub_leader="b2")
    assert found.code == 0, found.output
    assert found.taken == ["b2", "a1", "b1"]
    assert found.inventory["a1"]["address"] == "198.51.100.81:6443"
    assert found.inventory["b1"]["address"] == ""


def test_the_servers_are_asked_from_the_bastion(resolve):
    found = resolve("bastion/hosts.ini")
    assert found.code == 0, found.output
    assert found.taken == ["inner-1", "inner-2", "inner-3"]
    assert found.asked["from"] == "gate"


def test_addresses_of_ipv6_are_put_in_brackets(resolve):
    nodes = {"six-2": {"apiserver_flags": {"advertise-address": "fd00:3::12", "secure-port": "8443"}}}
    found = resolve("ipv6/hosts.yml", stub_nodes=nodes)
    assert found.code == 0, found.output
    assert found.taken == ["six-1", "six-2", "six-3"]
    assert found.inventory["six-2"]["advertised"] == "[fd00:3::12]:8443"
    assert found.inventory["six-2"]["hints"] == ["[2001:db8::12]:8443", "[fd00:3::12]:8443"]


def test_of_several_groups_the_one_is_asked_for_and_an_empty_one_is_none(resolve):
    found = resolve("two-groups/hosts.ini")
    assert found.code != 0
    assert "group is kube_control_plane and masters. Expected one group" in found.output
    assert "rke2_servers." not in found.output
    assert "Set control_plane_group to the one that is meant" in found.output
    found = resolve("two-groups/hosts.ini", control_plane_group="kube_control_plane")
    assert found.code == 0, found.output
    assert found.taken == ["one-1", "one-2", "one-3"]


def test_a_limit_says_whose_step_is_done_and_not_who_is_asked(resolve):
    found = resolve("kubespray-yaml/hosts.yaml", "--limit=beta", stub_leader="gamma")
    assert found.code == 0, found.output
    assert found.taken == ["beta"]
    assert sorted(found.inventory) == ["alpha", "beta", "gamma"]
    assert {item["hostname"] for item in found.asked["inventory"]} == {f"node-of-{name}" for name in found.inventory}
    assert [node["name"] for node in found.report["nodes"]] == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize(
    ("limit", "members"),
    [
        ("north", ["north-1", "north-2", "north-3"]),
        ("north_plane", ["north-1", "north-2", "north-3"]),
        ("south", ["south-1"]),
    ],
)
def test_of_many_clusters_a_limit_says_which(resolve, limit, members):
    found = resolve("fleet/hosts.yml", f"--limit={limit}", control_plane_playbook="verify")
    assert found.code == 0, found.output
    assert found.taken == members
    assert sorted(found.inventory) == members
    assert found.report["cluster"]["name"] == f"{limit.removesuffix('_plane')}_plane"


@pytest.mark.parametrize("arguments", [[], ["--limit=north,south"]], ids=["no limit", "a limit with two"])
def test_many_clusters_are_never_taken_for_one(resolve, arguments):
    found = resolve("fleet/hosts.yml", *arguments)
    assert found.code != 0
    assert "group is north_plane and south_plane. Expected one group" in found.output
    assert "--limit with the one cluster" in found.output
    assert found.asked == {}


def test_a_group_that_only_a_host_outside_the_limit_names_counts_too(resolve, tmp_path):
    hosts = tmp_path / "hosts.ini"
    hosts.write_text("[planes]\na control_plane_group=planes\nb\n")
    found = resolve(str(hosts), "--limit=b")
    assert found.code == 0, found.output
    assert (found.taken, sorted(found.inventory)) == (["b"], ["a", "b"])


def test_a_limit_without_a_member_is_refused(resolve):
    found = resolve("kubespray-yaml/hosts.yaml", "--limit=delta")
    assert found.code != 0
    assert "--limit is 'delta', which has no host of the group kube_control_plane" in found.output
    assert found.asked == {}


def test_a_limit_is_refused_where_nothing_is_done_by_node(resolve):
    found = resolve("kubespray-yaml/hosts.yaml", "--limit=beta", control_plane_playbook="verify")
    assert found.code != 0
    assert "--limit leaves out alpha, gamma (expected none" in found.output
    assert found.asked == {}


AWAY = {"unreachable": True, "msg": "No route to host"}


def test_a_node_that_can_t_be_reached_hides_nothing_of_the_others(resolve):
    """It is mapped by its name in the inventory, has no part in what comes then, and keeps its place in the report."""
    found = resolve("kubespray-ini/inventory.ini", stub_nodes={"beta": AWAY})
    assert found.taken == ["alpha", "gamma"], found.output
    assert found.inventory["beta"]["hostname"] == "beta"
    assert [node["name"] for node in found.report["nodes"]] == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize(
    ("playbook", "away"),
    [("verify", ["beta"]), ("plan", ["alpha", "beta", "gamma"])],
    ids=["where every node is needed", "where none is left"],
)
def test_a_node_that_can_t_be_reached_ends_it(resolve, playbook, away):
    found = resolve(
        "kubespray-ini/inventory.ini", stub_nodes=dict.fromkeys(away, AWAY), control_plane_playbook=playbook
    )
    assert found.code != 0
    assert f"{', '.join(away)} can't be reached: No route to host" in found.output
    assert (found.asked, found.taken) == ({}, [])


@pytest.mark.parametrize(
    ("shape", "variables", "words"),
    [
        (
            "k3s-ansible/inventory.yml",
            {"stub_nodes": {"192.0.2.21": {"distribution": "k3s", "distribution_directory": "/var/lib/rancher/k3s"}}},
            "192.0.2.21, 192.0.2.22, 192.0.2.23 is run by k3s (v1.36.4)",
        ),
        ("rke2-lablabs/hosts.ini", {"stub_version": "v1.36.4+rke2r1"}, "rke-03 is run by rke2 (v1.36.4+rke2r1)"),
    ],
    ids=["k3s-ansible", "rke2-lablabs"],
)
def test_k3s_and_rke2_are_left_to_their_own_tools(resolve, shape, variables, words):
    """Known by what a node says, or by the servers' versions."""
    found = resolve(shape, **variables)
    assert found.code != 0
    assert found.taken == []
    assert words in found.output
    assert "verify, diagnose and backup are of use" in found.output


def test_k3s_can_be_verified(resolve):
    found = resolve("k3s-ansible/inventory.yml", stub_version="v1.36.4+k3s1", control_plane_playbook="verify")
    assert found.code == 0, found.output
    assert found.taken == ["192.0.2.21", "192.0.2.22", "192.0.2.23"]


CUSTOM = {
    "none": ({}, "control_plane_custom_step is empty"),
    "missing": ({"control_plane_custom_step": ["none.yml"]}, "none.yml, which is no file there"),
    "mapping": ({"control_plane_custom_step": ["galaxy.yml"]}, "galaxy.yml, which holds no list of tasks"),
    "another": (
        {"control_plane_custom_step": ["playbooks/plan.yml"], "control_plane_custom_put_back": ["none.yml"]},
        "control_plane_custom_put_back names",
    ),
}


@pytest.mark.parametrize("case", CUSTOM)
def test_task_files_of_the_driver_custom_are_looked_for_first(resolve, monkeypatch, case):
    given, words = CUSTOM[case]
    monkeypatch.setenv("PWD", str(ROOT))
    found = resolve("kubeadm-flat/hosts", control_plane_driver="custom", **given)
    assert found.code != 0
    assert words in found.output
    assert (found.taken, found.asked) == ([], {})


def test_the_driver_custom_with_its_step_is_taken(resolve, monkeypatch):
    monkeypatch.setenv("PWD", str(ROOT))
    found = resolve(
        "kubeadm-flat/hosts", control_plane_driver="custom", control_plane_custom_step=["docs/custom/step.yml"]
    )
    assert found.code == 0, found.output
    assert found.taken == ["cp-a", "cp-b", "cp-c"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"control_plane_kubeconfig": "admin.conf"},
            "control_plane_kubeconfig is admin.conf (from here, /",
        ),
        ({"control_plane_backup_directory": "./b"}, "control_plane_backup_directory is ./b"),
        ({"control_plane_backup_copies": ["/mnt/a", "b"]}, "control_plane_backup_copies is b"),
        ({"control_plane_binaries_directory": "bin"}, "control_plane_binaries_directory is bin"),
    ],
    ids=["kubeconfig", "backups", "one of the copies", "binaries"],
)
def test_a_path_that_is_not_whole_is_refused_first(resolve, variables, words):
    found = resolve("kubeadm-flat/hosts", **variables)
    assert found.code != 0
    assert words in found.output
    assert (found.taken, found.asked) == ([], {})


def test_whole_paths_and_addresses_are_taken(resolve):
    found = resolve(
        "kubeadm-flat/hosts",
        control_plane_kubeconfig="~/.kube/config",
        control_plane_backup_copies=["/mnt/a"],
        control_plane_etcd_etcdutl="https://example.org/etcd.tar.gz",
    )
    assert found.code == 0, found.output


def test_a_kubeconfig_on_another_host_may_be_below_its_home(resolve):
    found = resolve("bastion/hosts.ini", control_plane_kubeconfig=".kube/config")
    assert found.code == 0, found.output
