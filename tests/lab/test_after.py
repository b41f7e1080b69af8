# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the upgrade of a lab, and a second run: what the reports say, and what the servers say themselves."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib

import jsonschema
import pytest
import yaml

pytestmark = pytest.mark.lab

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = "v1.37.2"
#: What 1.37 serves and 1.36 does not, with the defaults of both.
DIFFERENCE = {
    "certificates.k8s.io/v1/clustertrustbundles",
    "certificates.k8s.io/v1/podcertificaterequests",
    "resource.k8s.io/v1/devicetaintrules",
    "storagemigration.k8s.io/v1/storageversionmigrations",
}


@pytest.fixture(scope="module")
def reports() -> list[dict]:
    """The last two runs: the upgrade, and the one that had nothing to do."""
    folders = sorted(path.parent for path in pathlib.Path(os.environ["REPORTS"]).glob("2*/report.json"))
    return [json.loads((folder / "report.json").read_text()) for folder in folders[-2:]]


def test_reports_keep_to_their_schema(reports) -> None:
    schema = json.loads((ROOT / "docs/report.schema.json").read_text())
    for report in reports:
        jsonschema.Draft202012Validator(schema).validate(report)


def test_every_server_has_the_target_by_its_own_word(lab, reports) -> None:
    for host, variables in lab.hosts.items():
        url = f"https://{variables['ansible_host']}:6443/version"
        answer = lab.on(host, "curl", "--silent", "--fail", "--cacert", "/etc/kubernetes/pki/ca.crt", url)
        assert json.loads(answer)["gitVersion"] == TARGET
    assert [server["version_after"] for server in reports[0]["cluster"]["servers"]] == [TARGET] * len(lab.hosts)
    assert {server["proxy_after"] for server in reports[0]["cluster"]["servers"]} == {"on"}


def test_the_upgrade_took_the_steps_of_its_plan(lab, reports) -> None:
    folder = pathlib.Path(os.environ["REPORTS"]) / reports[0]["run"]["id"]
    events = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    at = next(number for number, event in enumerate(events) if event["event"] == "plan")
    taken = [(event["name"], event["node"]) for event in events[at:] if event["event"] == "phase"]
    assert taken == [(step["phase"], step["node"]) for step in events[at]["steps"]]
    assert ("driver step", "cp3") in taken


def test_the_upgrade_was_proven(lab, reports) -> None:
    report = reports[0]
    assert report["run"]["result"] == "succeeded"
    held = {"passed", "skipped", "not_exercised"}
    assert {gate["verdict"] for gate in report["gates"] if gate["severity"] == "blocking"} <= held
    # The lab's load balancer is no process of its nodes; images come to them with the step.
    warned = {gate["id"] for gate in report["gates"] if gate["verdict"] not in held}
    assert warned <= {"load_balancer", "images"}
    probes = report["probes"]
    servers = len(lab.hosts)
    # After the first node every other server lacks the difference, after the second all but two, and so on.
    for kind in ("list", "watch"):
        assert sum(probe["kind"] == kind for probe in probes) == len(DIFFERENCE) * sum(range(1, servers))
    assert {probe["kind"] for probe in probes} == {"list", "watch"}
    assert {f"{p['group']}/{p['version']}/{p['resource']}" for p in probes} == DIFFERENCE
    for probe in probes:
        assert (probe["verdict"], probe["status_local"], probe["status_proxied"]) == ("passed", 404, 200)
        assert probe["rerouted_delta"] >= 1
        assert probe["served_by"] and probe["via"] not in probe["served_by"]
    # molecule/assertions.yml; nothing is asserted of a run that had nothing to do.
    asserted = [[gate["observed"] for gate in one["gates"] if gate["id"] == "user_probes"] for one in reports]
    assert asserted == [["5 assertions are true of the report"], []]
    last = [gate for gate in report["gates"] if gate["id"] == "requests_proxied"][-1]
    assert last["verdict"] == "not_exercised"


def test_one_node_at_a_time_in_the_order_told(reports) -> None:
    spans = [
        (phase["started"], node["name"])
        for node in reports[0]["nodes"]
        for phase in node["phases"]
        if phase["name"] == "driver step"
    ]
    assert [name for dummy, name in sorted(spans)] == [node["name"] for node in reports[0]["nodes"]]


def test_the_backup_is_whole_and_private(reports) -> None:
    backup = reports[0]["backup"]
    path = pathlib.Path(backup["path"])
    content = path.read_bytes()
    assert backup["verified"] and hashlib.sha256(content).hexdigest() == backup["sha256"]
    assert hashlib.sha256(content[:-32]).digest() == content[-32:]
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    kept = {entry.name for entry in path.parent.iterdir()}
    assert {f"{node['name']}.tar.gz" for node in reports[0]["nodes"]} <= kept


def test_the_second_run_had_nothing_to_do(reports) -> None:
    second = reports[1]
    assert second["run"]["result"] == "succeeded"
    assert not any(node["changed"] for node in second["nodes"])
    assert second["backup"] is None
    assert "lock" not in {gate["id"] for gate in second["gates"]}


def test_nothing_is_left_on_the_nodes(lab) -> None:
    for host in lab.hosts:
        assert lab.on(host, "sh", "-c", "ls /var/lib/mixedversion-kubernetes/backup 2>/dev/null || true") == ""


def kubeadm(lab) -> bool:
    """Whether the lab's components are pods of kubelets, not units."""
    return lab.on("cp1", "sh", "-c", "ls /etc/kubernetes/manifests 2>/dev/null || true") != ""


def get(lab, *arguments: str) -> dict:
    return json.loads(lab.kubectl("get", "--output=json", *arguments))


def test_each_node_was_empty_as_its_kubelet_was_switched(lab, reports) -> None:
    if not kubeadm(lab):
        return  # Nothing to drain without kubelets.
    for node in reports[0]["nodes"]:
        names = [phase["name"] for phase in node["phases"]]
        assert names.index("drain") == names.index("kubelet") - 1
    first = min(
        phase["started"] for node in reports[0]["nodes"] for phase in node["phases"] if phase["name"] == "drain"
    )
    pods = get(lab, "pods", "--selector=app=to-be-evicted")["items"]
    assert len(pods) == 3 and all(pod["metadata"]["creationTimestamp"] >= first[:19] for pod in pods)
    for node in get(lab, "nodes")["items"]:
        assert not node["spec"].get("unschedulable")
        assert "mixedversion.kubernetes/cordoned-by" not in node["metadata"].get("annotations", {})


def test_the_flag_stays_with_kubeadm(lab) -> None:
    if not kubeadm(lab):
        return  # Its drop-in is what the servers' state shows.
    configuration = yaml.safe_load(
        get(lab, "configmap", "kubeadm-config", "--namespace=kube-system")["data"]["ClusterConfiguration"]
    )
    assert {"name": "peer-ca-file", "value": "/etc/kubernetes/pki/ca.crt"} in configuration["apiServer"]["extraArgs"]
