# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a lab of units whose servers have the proxy's flag: the shipped rights suffice, and each one taken away is missed.

So that there is something to prove, the first server is started without batch/v1. And so that every rule of the role is
needed, the bindings that open discovery, versions and readiness to every user are narrowed to the cluster's own.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import time
import typing as t

import pytest
import yaml

pytestmark = pytest.mark.lab

RBAC = pathlib.Path(__file__).resolve().parents[2] / "docs" / "rbac"
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
ACCOUNT = "mixedversion-rights"
USER = f"system:serviceaccount:kube-system:{ACCOUNT}"
#: Whom the default bindings are narrowed to; peers fetch each other's discovery as system:apiserver.
NARROWED = {
    "system:discovery": ("system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"),
    "system:public-info-viewer": ("system:anonymous",),
}
#: What makes the difference between the lab's servers.
LACKING = {"runtime-config": "batch/v1=false"}
JOBS = {"name": "jobs", "path": "/apis/batch/v1/jobs"}
BINDING = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": ACCOUNT}}


class Client:
    """A user with the shipped rights, or with all of them but one, and what the modules say to it."""

    def __init__(self, lab: t.Any, kubeconfig: pathlib.Path) -> None:
        self.lab = lab
        self.kubeconfig = kubeconfig
        self.addresses = [variables["ansible_host"] for variables in lab.hosts.values()]

    def kubectl(self, *arguments: str, stdin: t.Any = None) -> str:
        command = ["podman", "exec", "--interactive", f"{self.lab.name}-cp1", *KUBECTL, *arguments]
        text = "" if stdin is None else yaml.safe_dump_all(stdin)
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def may(self, right: str) -> list[bool]:
        """What each server says of a right, "VERB WHAT"; WHAT as kubectl auth can-i has it."""
        found = []
        for address in self.addresses:
            server = f"--server=https://{address}:6443"
            command = [*KUBECTL, server, "auth", "can-i", *right.split(), f"--as={USER}", "--namespace=kube-system"]
            done = subprocess.run(
                ["podman", "exec", f"{self.lab.name}-cp1", *command], capture_output=True, check=False
            )
            found.append(done.stdout.strip() == b"yes")
        return found

    def until(self, right: str, allowed: bool) -> None:
        """Wait until every server has heard of a change of the roles."""
        end = time.monotonic() + 20
        while self.may(right) != [allowed] * len(self.addresses):
            assert time.monotonic() < end, f"{right} is not {allowed} on every server"

    @contextlib.contextmanager
    def without(self, right: str, role: dict, whole: list[dict]) -> t.Iterator[None]:
        """The user less one right: *role* in place of the one of its kind and name in *whole*."""
        self.until(right, True)
        self.kubectl("apply", "--filename=-", stdin=[role])
        try:
            self.until(right, False)
            yield
        finally:
            self.kubectl("apply", "--filename=-", stdin=whole)
            self.until(right, True)

    def module(self, name: str, **arguments: t.Any) -> dict[str, t.Any]:
        """What a module returns when it is run as this user, failed or not."""
        arguments = {"kubeconfig": str(self.kubeconfig), "timeout": 4, **arguments}
        command = ["ansible", "localhost", "-m", f"mixedversion.kubernetes.{name}", "-a", json.dumps(arguments)]
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        text = done.stdout.decode()
        assert "=> {" in text, text + done.stderr.decode()
        return dict(json.loads(text.partition("=> ")[2]))


def shipped() -> list[dict[str, t.Any]]:
    return list(yaml.safe_load((RBAC / "reader.yaml").read_text())["items"])


def flags(lab: t.Any, state: str) -> None:
    """Make the first server lack something, or have it again."""
    arguments = {
        "unit": "kube-apiserver.service",
        "flags": LACKING if state == "present" else dict.fromkeys(LACKING),
    }
    module = ["-m", "mixedversion.kubernetes.unit_flags", "-a", json.dumps(arguments)]
    subprocess.run(["ansible", "cp1", f"--inventory={lab.inventory}", *module], check=True)
    lab.on("cp1", "systemctl", "restart", "kube-apiserver")
    lab.on("cp1", "sh", "-c", f"until {' '.join(KUBECTL)} get --raw /readyz; do :; done")


@pytest.fixture(scope="module")
def client(lab, tmp_path_factory) -> t.Iterator[Client]:
    """The user; and the lab as this module's docstring says."""
    client = Client(lab, tmp_path_factory.mktemp("rights") / "reader.conf")
    subjects = {"subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "kube-system"}]}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "name": "mixedversion-kubernetes-reader"}
    bindings = [
        BINDING | subjects | {"kind": "ClusterRoleBinding", "roleRef": reference | {"kind": "ClusterRole"}},
        BINDING
        | subjects
        | {"kind": "RoleBinding", "roleRef": reference | {"kind": "Role"}}
        | {"metadata": {"name": ACCOUNT, "namespace": "kube-system"}},
    ]
    flags(lab, "present")
    open_bindings = [
        json.loads(client.kubectl("get", "clusterrolebinding", name, "--output=json")) for name in NARROWED
    ]
    client.kubectl("--namespace=kube-system", "create", "serviceaccount", ACCOUNT)
    client.kubectl("apply", "--filename=-", stdin=[*shipped(), *bindings])
    try:
        for binding in open_bindings:
            users = [
                {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}
                for user in NARROWED[binding["metadata"]["name"]]
            ]
            patch = json.dumps({"subjects": users})
            client.kubectl("patch", "clusterrolebinding", binding["metadata"]["name"], "--type=merge", "--patch", patch)
        token = client.kubectl("--namespace=kube-system", "create", "token", ACCOUNT).strip()
        config = yaml.safe_load((lab.folder / "admin.conf").read_text())
        config["users"][0]["user"] = {"token": token}
        client.kubeconfig.touch(mode=0o600)
        client.kubeconfig.write_text(yaml.safe_dump(config))
        yield client
    finally:
        for binding in open_bindings:
            patch = json.dumps({"subjects": binding["subjects"]})
            client.kubectl("patch", "clusterrolebinding", binding["metadata"]["name"], "--type=merge", "--patch", patch)
        client.kubectl("delete", "--ignore-not-found", "--filename=-", stdin=[*bindings, *shipped()])
        client.kubectl("--namespace=kube-system", "delete", "serviceaccount", ACCOUNT)
        flags(lab, "absent")


def test_verify_passes_with_the_shipped_rights(lab, client, tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [
            *("ansible-playbook", "mixedversion.kubernetes.verify", f"--inventory={lab.inventory}"),
            f"--extra-vars=control_plane_kubeconfig={client.kubeconfig}",
            f"--extra-vars=control_plane_report_directory={tmp_path}",
        ],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
    report = json.loads((tmp_path / "latest" / "report.json").read_text())
    assert {gate["verdict"] for gate in report["gates"]} <= {"passed", "skipped"}
    # There was something to prove, and it was proven with these rights alone.
    assert {probe["resource"] for probe in report["probes"]} == {"cronjobs", "jobs"}
    assert {probe["verdict"] for probe in report["probes"]} == {"passed"}


def preflight(client: Client, proxies: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """By gate, what a preflight of the next minor says of it."""
    hosts = [{"name": name, "node_hostname": name, "components": {}} | NODE for name in client.lab.hosts]
    return client.module("preflight_info", **PREFLIGHT, proxies=proxies, nodes=hosts)


#: What preflight_info is told of each node, and beside it, by who asks for the gates of the API alone.
NODE = {"etcd_bytes": 0, "disks": [], "etcd_removed_flags": [], "apiserver_flags": {}, "certificates": []}
PREFLIGHT = {"version": "v1.37.2", "driver": "systemd", "kubelets": False, "etcd_members": []}
#: The same where the servers are not asked.
SHARED = PREFLIGHT | {"proxies": [], "nodes": []}

#: By right: a module that needs it, with arguments, and the words that must be in what it says without.
NEEDED: dict[str, tuple[str, dict[str, t.Any], tuple[str, ...]]] = {
    "get /version": ("proxy_info", {}, ("403", "/version")),
    "get /readyz": ("proxy_info", {}, ("403", "/readyz")),
    "get /metrics": ("proxy_info", {}, ("403", "/metrics")),
    "get /apis": ("wait_for_convergence", {}, ("right", "/apis", USER)),
    "get /api": ("probe_custom", {"probes": [JOBS]}, ("right", "/api", USER)),
    "list nodes": ("final_info", {"version": "v1.36.4", "proxies": [], "hostnames": ["cp1"]}, ("403", "nodes")),
    "get namespaces/kube-system": ("proxy_info", {}, ("403", "namespaces")),
    "get configmaps/kubeadm-config": ("kubeadm_config", {}, ("403", "configmaps")),
    "list leases.coordination.k8s.io": ("proxy_info", {}, ("403", "leases")),
    "list customresourcedefinitions.apiextensions.k8s.io": (
        "wait_for_convergence",
        {},
        ("right", "customresourcedefinitions", USER),
    ),
    "list apiservices.apiregistration.k8s.io": ("wait_for_convergence", {}, ("right", "apiservices", USER)),
    "list jobs.batch": ("probe_requests", {}, ("list", "jobs", "batch", USER)),
    "list validatingwebhookconfigurations.admissionregistration.k8s.io": (
        "preflight_info",
        SHARED,
        ("right", "validatingwebhookconfigurations", USER),
    ),
    "list certificatesigningrequests.certificates.k8s.io": (
        "preflight_info",
        SHARED,
        ("right", "certificatesigningrequests", USER),
    ),
    "get daemonsets.apps": ("preflight_info", SHARED, ("right", "daemonsets", USER)),
    "get clusterrolebindings.rbac.authorization.k8s.io": ("diagnose_info", {}, ("403", "clusterrolebindings")),
}


def reduced(right: str) -> dict[str, t.Any]:
    """The shipped role that gives *right*, less what gives it."""
    verb, what = right.split()
    resource, dot, group = what.partition("/")[0].partition(".")
    for role in shipped():
        for rule in role["rules"]:
            if what in rule.get("nonResourceURLs", ()):
                rule["nonResourceURLs"].remove(what)
                return role
            if (
                group in rule.get("apiGroups", ())
                and {resource, "*"} & set(rule["resources"])
                and verb in rule["verbs"]
            ):
                if dot:
                    rule["apiGroups"].remove(group)
                else:
                    role["rules"].remove(rule)
                return role
    raise AssertionError(f"no shipped role gives {right}")


@pytest.mark.parametrize("right", NEEDED)
def test_a_right_taken_away_is_named(client, right: str) -> None:
    name, arguments, words = NEEDED[right]
    with client.without(right, reduced(right), shipped()):
        result = client.module(name, **arguments)
    said = json.dumps(result)
    assert all(word in said for word in words), said
    verdicts = {gate["verdict"] for gate in result.get("gates", [])}
    errors = [proxy for proxy in result.get("proxies", []) if proxy["error"]]
    # What a module that failed prints here has its message, and not that it failed.
    assert "msg" in result or verdicts & {"failed", "unproven"} or errors or result.get("notes"), said


def test_a_preflight_is_read_with_the_shipped_rights(client) -> None:
    gates = preflight(client, client.module("proxy_info")["proxies"])["gates"]
    of_the_api = {"removed_apis", "deprecated_apis", "crd_stored_versions", "webhooks", "apiservices", "pending_csrs"}
    verdicts = {gate["id"]: gate["verdict"] for gate in gates}
    assert {id_: verdicts[id_] for id_ in (*of_the_api, "rights")} == dict.fromkeys((*of_the_api, "rights"), "passed")


def test_flags_are_read_elsewhere_without_flagz(client) -> None:
    assert {proxy["flags_source"] for proxy in client.module("proxy_info")["proxies"]} == {"flagz"}
    with client.without("get /flagz", reduced("get /flagz"), shipped()):
        proxies = client.module("proxy_info")["proxies"]
    assert {(proxy["flags_source"], proxy["error"]) for proxy in proxies} == {("", "")}


def test_no_rule_is_left_untried() -> None:
    given = [url for rule in shipped()[0]["rules"] for url in rule.get("nonResourceURLs", ())]
    assert {f"get {url}" for url in given} - set(NEEDED) == {"get /flagz"}
    # Of the groups, those that a module needs by name, and the one of the lab's difference, which stands for the rest.
    touched = [reduced(right) for right in NEEDED]
    for role in shipped():
        for number, rule in enumerate(role["rules"]):
            assert any(
                other["kind"] == role["kind"]
                and (len(other["rules"]) < len(role["rules"]) or other["rules"][number] != rule)
                for other in touched
            )
