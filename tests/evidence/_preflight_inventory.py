# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab through other people's inventories: kubespray's, with names and a user of its own, and one with a bastion.

Wants a lab of systemd units, three nodes, as it came; it is left at the target.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import typing as t

import yaml
from _common import ROOT, Results
from _lab import Lab, NotAsWanted, Run, say
from _preflight import Case

USER = "deploy"
#: What the inventory calls the nodes, which call themselves cp1, cp2 and cp3.
NAMES = ("alpha", "beta", "gamma")
BASTION = "gate"
#: The bastion's own environment with the API's client.
CLIENT = "/opt/api"
GHOST = """apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: apiserver-ghost
  namespace: kube-system
  labels: {apiserver.kubernetes.io/identity: kube-apiserver, kubernetes.io/hostname: ghost}
  annotations: {kubernetes.io/peer-advertise-address: "%s"}
spec: {holderIdentity: apiserver-ghost_1, leaseDurationSeconds: 3600}
"""


@contextlib.contextmanager
def ghost(lab: Lab) -> t.Iterator[None]:
    """A Lease of a server that the inventory does not have; at its address something answers."""
    lab.kubectl("apply -f -", stdin=GHOST % lab.client.server)
    try:
        yield
    finally:
        lab.kubectl("-n kube-system delete lease apiserver-ghost --ignore-not-found")


CASES = (Case("inventory_matches_servers/unknown_server", ghost, ("ghost is not in the inventory",)),)


def run(lab: Lab, results: Results) -> None:
    """The section ``inventory``."""
    with tempfile.TemporaryDirectory() as scratch:
        add_user(lab, pathlib.Path(scratch))
        inventory = kubespray(lab, lab.out / "kubespray")
        main_job(lab, results, inventory)
        back(lab)
        limited(lab, results, inventory)
        add_client(lab, pathlib.Path(scratch))
        bastion(lab, results, scratch)
        the_rest(lab, results, inventory)


def add_user(lab: Lab, scratch: pathlib.Path) -> None:
    """A user with sudo on every node, as people have it; the node's image has no sudo."""
    try:
        subprocess.run(["apt-get", "download", "sudo"], cwd=scratch, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotAsWanted(f"no package of sudo for the nodes: {error}") from error
    package = next(scratch.glob("sudo_*.deb"))
    for host in lab.hosts:
        copy_in(lab, host, str(package), "/tmp/sudo.deb")
        lab.sh(
            host,
            "dpkg --install /tmp/sudo.deb >/dev/null 2>&1;"
            f" id {USER} >/dev/null 2>&1 || useradd -m -s /bin/bash {USER};"
            f" install -d -m 0700 -o {USER} -g {USER} /home/{USER}/.ssh;"
            f" install -m 0600 -o {USER} -g {USER} /root/.ssh/authorized_keys /home/{USER}/.ssh/;"
            f" echo '{USER} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/{USER}; chmod 0440 /etc/sudoers.d/{USER}",
        )


def copy_in(lab: Lab, host: str, source: str, target: str) -> None:
    subprocess.run(["podman", "cp", source, f"{lab.name}-{host}:{target}"], check=True, capture_output=True)


def kubespray(lab: Lab, folder: pathlib.Path) -> pathlib.Path:
    """The lab's nodes as an inventory of kubespray's shape: its groups, its addresses, and group_vars beside it."""
    nodes = dict(zip(NAMES, lab.hosts.values()))
    lines = ["[all]"]
    lines += [
        f"{name} ansible_host={ip} ip={ip} access_ip={ip} etcd_member_name=etcd-{name}" for name, ip in nodes.items()
    ]
    for group in ("kube_control_plane", "etcd", "kube_node"):
        lines += ["", f"[{group}]", *nodes]
    lines += ["", "[calico_rr]", "", "[k8s_cluster:children]", "kube_control_plane", "kube_node", "calico_rr", ""]
    (folder / "group_vars" / "all").mkdir(parents=True, exist_ok=True)
    (folder / "inventory.ini").write_text("\n".join(lines))
    variables = {**lab.variables, "ansible_user": USER}
    (folder / "group_vars" / "all" / "all.yml").write_text(yaml.safe_dump(variables, width=10000))
    return folder / "inventory.ini"


def told(lab: Lab, run: Run) -> str:
    return f"exit code {run.code}, {run.report.get('run', {}).get('result')}, {', '.join(lab.versions().values())}"


def main_job(lab: Lab, results: Results, inventory: pathlib.Path) -> None:
    """Refused first for one node, as the others' etcd still has to be stepped; then to its end."""
    run = lab.play("upgrade", "--become", "--limit=beta", inventory=inventory)
    words = f"{told(lab, run)}: {run.stopped_by[:120]}"
    refused = (
        run.code != 0 and "leaves out alpha (etcd_step" in run.output and set(lab.versions().values()) == {lab.old}
    )
    results.case("inventory/limit_unprepared", "refused, nothing changed", words, refused)
    run = lab.play("upgrade", "--become", inventory=inventory)
    names = sorted(node["name"] for node in run.report.get("nodes", []))
    done = run.code == 0 and set(lab.versions().values()) == {lab.target} and names == sorted(NAMES)
    results.case(
        "inventory/kubespray",
        f"exit code 0, succeeded, all {lab.target}; nodes {', '.join(NAMES)}",
        f"{told(lab, run)}; nodes {', '.join(names)}",
        done and run.report["run"]["result"] == "succeeded",
    )
    results.figure("inventory/kubespray_seconds", run.seconds)
    run = lab.play("upgrade", "--become", inventory=inventory)
    changed = [node["name"] for node in run.report.get("nodes", []) if node["changed"]]
    results.case(
        "inventory/kubespray_again",
        "exit code 0, nothing changed",
        f"exit code {run.code}, changed {', '.join(changed) or 'nothing'}",
        run.code == 0 and not changed,
    )


def back(lab: Lab) -> None:
    """Every node's components but etcd at the old version again, as a lab may be and a cluster must not."""
    say("everything but etcd goes back")
    for host in lab.hosts:
        for component in ("kube-controller-manager", "kube-scheduler"):
            binary = f"/usr/local/bin/{component}"
            lab.sh(
                host,
                f"cp /opt/lab/kubernetes/{component} {binary}.new; chmod 0755 {binary}.new; mv {binary}.new {binary};"
                f" systemctl restart {component}",
            )
        lab.switch(host, lab.old)
    lab.settle()


def limited(lab: Lab, results: Results, inventory: pathlib.Path) -> None:
    """--limit to one node: its step alone, and every gate asks all three."""
    run = lab.play("upgrade", "--become", "--limit=beta", inventory=inventory)
    second = list(lab.hosts)[1]
    wanted = {host: lab.target if host == second else lab.old for host in lab.hosts}
    pairs = {(gate["node"], gate["peer"]) for gate in run.gates("peers_reachable")}
    stopped = run.report.get("run", {}).get("result") == "stopped"
    results.case(
        "inventory/limit",
        f"exit code 0, stopped, {', '.join(wanted.values())}; 6 pairs reached",
        f"{told(lab, run)}; {len(pairs)} pairs reached",
        run.code == 0 and stopped and lab.versions() == wanted and len(pairs) == 6,
    )
    next_action = str(run.report.get("run", {}).get("next_action"))
    left = [name for name in NAMES if name in next_action]
    results.case("inventory/limit_says_what_is_left", ["alpha", "gamma"], left)


def add_client(lab: Lab, scratch: pathlib.Path) -> None:
    """An environment with the API's client on the first node, and a kubeconfig of the user's own there."""
    packages = scratch / "packages"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", f"--target={packages}"),
            *("--python-version=3.11", "--only-binary=:all:", f"--requirement={ROOT / 'requirements.txt'}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotAsWanted(f"no API client for the bastion: {done.stderr.strip()[-200:]}")
    host = next(iter(lab.hosts))
    place = f"{CLIENT}/lib/python3.11/site-packages"
    lab.sh(host, f"python3 -m venv --without-pip {CLIENT}")
    copy_in(lab, host, f"{packages}/.", place)
    lab.sh(
        host,
        f"install -d -m 0700 -o {USER} -g {USER} /home/{USER}/.kube;"
        f" install -m 0600 -o {USER} -g {USER} /etc/kubernetes/admin.conf /home/{USER}/.kube/config",
    )


def bastion(lab: Lab, results: Results, scratch: str) -> None:
    """Nodes through ProxyJump, and the API from the bastion alone, in the mixed state that a limited run left."""
    first = next(iter(lab.hosts))
    folder = lab.out / "bastion"
    folder.mkdir(exist_ok=True)
    known = lab.folder / "known_hosts"
    (folder / "ssh_config").write_text(
        "Host *\n"
        f"  IdentityFile {lab.variables['ansible_ssh_private_key_file']}\n"
        f"  UserKnownHostsFile {known}\n  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n  IdentitiesOnly yes\n"
    )
    config = f"-F {folder / 'ssh_config'}"
    left_out = ("ansible_ssh_common_args", "ansible_ssh_private_key_file", "ansible_user", "control_plane_kubeconfig")
    variables = {key: value for key, value in lab.variables.items() if key not in left_out}
    # The node that is the bastion as well can't be reached through itself.
    nodes = {name: {"ansible_host": ip} for name, ip in zip(NAMES, lab.hosts.values())}
    nodes[NAMES[0]]["ansible_ssh_common_args"] = config
    document = {
        "all": {"vars": {"ansible_user": USER}},
        "bastion": {
            "hosts": {
                BASTION: {
                    "ansible_host": lab.hosts[first],
                    "ansible_ssh_common_args": config,
                    "ansible_python_interpreter": f"{CLIENT}/bin/python",
                }
            }
        },
        "control_plane": {
            "hosts": nodes,
            "vars": {
                **variables,
                "ansible_become": True,
                "ansible_ssh_common_args": f"{config} -o ProxyJump={USER}@{lab.hosts[first]}",
                # A connection that another inventory left open would lead past the bastion.
                "ansible_control_path_dir": scratch,
                "control_plane_api_host": BASTION,
                # A path of the bastion's: nothing is there on the controller.
                "control_plane_kubeconfig": f"/home/{USER}/.kube/config",
            },
        },
    }
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps(document, indent=2))
    came = subprocess.run(
        # Without become: sudo keeps the variable to itself.
        [
            *("ansible", "beta", f"--inventory={inventory}", "--extra-vars=ansible_become=false"),
            *("-m", "ansible.builtin.raw", "-a", "echo from $SSH_CONNECTION"),
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    began = time.time()
    run = lab.play("verify", inventory=inventory)
    asked = {
        ip
        for host in lab.hosts
        for event in lab.audit(host, began)
        if event.get("user", {}).get("username") == "kubernetes-admin"
        for ip in event.get("sourceIPs", [])[:1]
    }
    proven = [probe for probe in run.report.get("probes", []) if probe["verdict"] == "passed"]
    through = f"from {lab.hosts[first]} " in came
    # Leases are listed where the bastion's kubeconfig leads: through the load balancer, under its own address.
    balancer = lab.client.server.partition(":")[0]
    only = asked <= {lab.hosts[first], balancer} and lab.hosts[first] in asked
    results.case(
        "inventory/bastion",
        f"exit code 0; nodes reached, servers asked from {lab.hosts[first]} (or {balancer}) only; proxied reads proven",
        f"exit code {run.code}; nodes reached {'through it' if through else came.strip()[-80:]}; servers asked from "
        f"{', '.join(sorted(asked)) or 'nowhere'}; {len(proven)} reads proven",
        run.code == 0 and bool(through and only and proven),
    )


def the_rest(lab: Lab, results: Results, inventory: pathlib.Path) -> None:
    """Without --limit it goes on with the others."""
    run = lab.play("upgrade", "--become", inventory=inventory)
    results.case(
        "inventory/limit_then_the_rest",
        f"exit code 0, succeeded, all {lab.target}",
        told(lab, run),
        run.code == 0 and run.report["run"]["result"] == "succeeded" and set(lab.versions().values()) == {lab.target},
    )
