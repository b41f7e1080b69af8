# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bad states that are seen through the API: objects, servers' flags and rights, one way for each verdict."""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
import shlex
import typing as t

import yaml
from _common import ROOT
from _lab import Lab, until
from _preflight import Case

#: Where a server of one of these versions is given something that the others do not serve.
SERVER = "cp1"
NAME = "preflight-evidence"
GROUP = "evidence.example.com"
READER = ROOT / "docs" / "rbac" / "reader.yaml"

Broken = t.ContextManager[None]


@contextlib.contextmanager
def objects(lab: Lab, *documents: dict[str, t.Any]) -> t.Iterator[None]:
    """Objects for a while; what they had before they were here is not put back."""
    text = yaml.safe_dump_all(documents)
    try:
        lab.kubectl("apply --server-side --force-conflicts -f -", stdin=text)
        yield
    finally:
        lab.kubectl("delete --ignore-not-found --wait=false --grace-period=0 --force -f -", stdin=text)


def status(lab: Lab, what: str, found: dict[str, t.Any]) -> None:
    patch = shlex.quote(json.dumps({"status": found}))
    lab.kubectl(f"patch {what} --subresource=status --type=merge --patch {patch}")


def on(lab: Lab, arguments: str, stdin: str = "") -> str:
    """kubectl through the one server."""
    return lab.kubectl(f"--server=https://{lab.address(SERVER)} {arguments}", stdin=stdin)


# What the API serves


@contextlib.contextmanager
def object_of_a_removed_api(lab: Lab) -> t.Iterator[None]:
    flags = {"runtime-config": "scheduling.k8s.io/v1alpha2=true", "feature-gates": "GenericWorkload=true"}
    workload = {
        "apiVersion": "scheduling.k8s.io/v1alpha2",
        "kind": "Workload",
        "metadata": {"name": NAME, "namespace": "default"},
        "spec": {"podGroupTemplates": [{"name": "one", "schedulingPolicy": {"basic": {}}}]},
    }
    with lab.flags(SERVER, flags):
        on(lab, "create -f -", stdin=yaml.safe_dump(workload))
        try:
            yield
        finally:
            on(lab, f"delete workloads.v1alpha2.scheduling.k8s.io {NAME}")


@contextlib.contextmanager
def request_of(lab: Lab, group_version: str, resource: str) -> t.Iterator[None]:
    """One client's request for a deprecated API, which the server counts until it ends."""
    with lab.flags(SERVER, {"runtime-config": f"{group_version}=true"}):
        on(lab, f"get --raw /apis/{group_version}/{resource}")
        yield


def request_of_a_removed_api(lab: Lab) -> Broken:
    return request_of(lab, "networking.k8s.io/v1beta1", "ipaddresses")


def request_of_a_deprecated_api(lab: Lab) -> Broken:
    return request_of(lab, "resource.k8s.io/v1beta1", "deviceclasses")


def crd(served: t.Mapping[str, bool], conversion: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    """A CRD of these versions, the last of which is stored."""
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"evidences.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {"plural": "evidences", "singular": "evidence", "kind": "Evidence"},
            "versions": [
                {"name": name, "served": on_, "storage": name == list(served)[-1], "schema": schema}
                for name, on_ in served.items()
            ],
            **({"conversion": conversion} if conversion else {}),
        },
    }


@contextlib.contextmanager
def stored(lab: Lab, served: t.Mapping[str, bool], *versions: str) -> t.Iterator[None]:
    found = f"crd/evidences.{GROUP}"
    with objects(lab, crd(served)):
        lab.kubectl(f"wait --for=condition=Established {found}")
        status(lab, found, {"storedVersions": list(versions)})
        yield


def stored_and_unknown(lab: Lab) -> Broken:
    return stored(lab, {"v1": True}, "v1alpha1", "v1")


def stored_and_not_served(lab: Lab) -> Broken:
    return stored(lab, {"v1beta1": False, "v1": True}, "v1beta1", "v1")


def client_config(**extra: t.Any) -> dict[str, t.Any]:
    return {"service": {"namespace": "default", "name": NAME, **extra}}


def unconvertible(lab: Lab) -> Broken:
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": client_config()}
    return objects(lab, crd({"v1beta1": True, "v1": True}, {"strategy": "Webhook", "webhook": webhook}))


def webhook(resources: t.Sequence[str], groups: t.Sequence[str], config: dict[str, t.Any]) -> dict[str, t.Any]:
    rule = {"apiGroups": list(groups), "apiVersions": ["*"], "operations": ["CREATE"], "resources": list(resources)}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [
            {
                "name": f"one.{GROUP}",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 2,
                "clientConfig": config,
                "rules": [rule],
            }
        ],
    }


def webhook_before_the_upgrade(lab: Lab) -> Broken:
    return objects(lab, webhook(["pods", "jobs"], ["", "batch"], client_config()))


def webhook_before_others(lab: Lab) -> Broken:
    return objects(lab, webhook(["evidences"], [GROUP], client_config()))


def webhook_by_url(lab: Lab) -> Broken:
    """Nothing listens there, which only a request shows."""
    return objects(lab, webhook(["jobs"], ["batch"], {"url": "https://127.0.0.1:9/"}))


def apiservice_without_service(lab: Lab) -> Broken:
    return objects(
        lab,
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1.{GROUP}"},
            "spec": {
                "group": GROUP,
                "version": "v1",
                "groupPriorityMinimum": 100,
                "versionPriority": 10,
                "insecureSkipTLSVerify": True,
                "service": {"namespace": "default", "name": NAME},
            },
        },
    )


# Nodes, Pods and certificates


def node(name: str) -> dict[str, t.Any]:
    """A Node that no kubelet keeps: on a lab of units there is none."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}}


@contextlib.contextmanager
def budget_without_disruptions(lab: Lab) -> t.Iterator[None]:
    """A Pod on the server's Node, and a budget that wants it to stay."""
    labels = {"app": NAME}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": "default", "labels": labels},
        "spec": {"nodeName": SERVER, "containers": [{"name": "one", "image": "registry.k8s.io/pause:3.10.2"}]},
    }
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": NAME, "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
    }
    # Without a kubelet the Node first, as the Pod is bound to it; and last of all to go.
    there = contextlib.nullcontext() if lab.inputs["driver"] == "kubeadm" else objects(lab, node(SERVER))
    with there, objects(lab, pod, budget):
        until(
            "the budget's status is there",
            lambda: lab.kubectl(f"get pdb {NAME} -o jsonpath={{.status.observedGeneration}}").strip(),
        )
        yield


def pending_request(lab: Lab) -> Broken:
    """For a signer whose requests nobody approves by rule, as the controller manager does a kubelet's."""
    key = f"openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN={NAME}"
    request = lab.sh(SERVER, f"{key} 2>/dev/null")
    return objects(
        lab,
        {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": NAME},
            "spec": {
                "request": base64.b64encode(request.encode()).decode(),
                "signerName": "kubernetes.io/kube-apiserver-client",
                "usages": ["digital signature", "key encipherment", "client auth"],
            },
        },
    )


@contextlib.contextmanager
def old_worker(lab: Lab) -> t.Iterator[None]:
    with objects(lab, node(NAME)):
        status(lab, f"node/{NAME}", {"nodeInfo": {"kubeletVersion": "v1.33.9"}})
        yield


def old_kube_proxy(lab: Lab) -> Broken:
    labels = {"k8s-app": "kube-proxy"}
    container = {"name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:v1.33.9"}
    return objects(
        lab,
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
    )


def emulated_version(lab: Lab) -> Broken:
    return lab.flags(SERVER, {"emulated-version": "1.35"})


def nothing(dummy: Lab) -> Broken:
    """What is bad is what is asked for, not the lab."""
    return contextlib.nullcontext()


# Rights


@contextlib.contextmanager
def reader_less_a_group(lab: Lab) -> t.Iterator[None]:
    """The lab's kubeconfig with a user of docs/rbac/reader.yaml, less the right to a group that the target brings."""
    roles = yaml.safe_load(READER.read_text())["items"]
    for rule in roles[0]["rules"]:
        if "storagemigration.k8s.io" in rule.get("apiGroups", ()):
            rule["apiGroups"].remove("storagemigration.k8s.io")
    names = [role["metadata"]["name"] for role in roles]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": "kube-system"}}
    reference = {"apiGroup": "rbac.authorization.k8s.io"}
    subjects = [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}]
    bindings = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": f"{role['kind']}Binding",
            "metadata": {"name": NAME} | ({"namespace": "kube-system"} if role["kind"] == "Role" else {}),
            "roleRef": reference | {"kind": role["kind"], "name": name},
            "subjects": subjects,
        }
        for role, name in zip(roles, names)
    ]
    path: pathlib.Path = lab.folder / "admin.conf"
    whole = path.read_text()
    with objects(lab, account, *roles, *bindings):
        config = yaml.safe_load(whole)
        config["users"][0]["user"] = {"token": lab.kubectl(f"-n kube-system create token {NAME}").strip()}
        try:
            path.write_text(yaml.safe_dump(config))
            yield
        finally:
            path.write_text(whole)


@contextlib.contextmanager
def binding_missing(lab: Lab) -> t.Iterator[None]:
    name = "kubeadm:apiserver-kubelet-client"
    lab.kubectl(f"delete clusterrolebinding {name} --ignore-not-found")
    try:
        yield
    finally:
        role = "--clusterrole=system:kubelet-api-admin --user=kube-apiserver-kubelet-client"
        lab.kubectl(f"create clusterrolebinding {name} {role}")


@contextlib.contextmanager
def kubelet_stopped(lab: Lab) -> t.Iterator[None]:
    ready = f"get node {SERVER} -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].status}}'"
    lab.sh(SERVER, "systemctl stop kubelet")
    try:
        until("the Node is not Ready", lambda: lab.kubectl(ready).strip() != "True", timeout=120, interval=2)
        yield
    finally:
        lab.sh(SERVER, "systemctl start kubelet")
        until("the Node is Ready", lambda: lab.kubectl(ready).strip() == "True", timeout=120, interval=2)


WARNING = "warning"
CASES: tuple[Case, ...] = (
    Case("removed_apis", object_of_a_removed_api, ("1 scheduling.k8s.io/v1alpha2/workloads", f"default/{NAME}")),
    Case("deprecated_apis", request_of_a_removed_api, ("ipaddresses in networking.k8s.io/v1beta1", "removed in 1.37")),
    Case(
        "deprecated_apis/later",
        request_of_a_deprecated_api,
        ("deviceclasses in resource.k8s.io/v1beta1", "goes with"),
        WARNING,
    ),
    Case("crd_stored_versions", stored_and_unknown, (f"evidences.{GROUP}", "v1alpha1", "does not know")),
    Case("crd_stored_versions/unserved", stored_and_not_served, ("v1beta1, which it does not serve",), WARNING),
    Case("crd_stored_versions/conversion", unconvertible, (f"default/{NAME}, which has no ready endpoint",)),
    Case("webhooks", webhook_before_the_upgrade, (f"default/{NAME} has no ready endpoint", "pods, jobs.batch")),
    Case("webhooks/others", webhook_before_others, (f"default/{NAME} has no ready endpoint",), WARNING),
    Case(
        "webhooks/dry_run",
        webhook_by_url,
        ("dry-run create of a Job", f"one.{GROUP}"),
        variables={"control_plane_write_probes": True},
    ),
    Case("apiservices", apiservice_without_service, (f"v1.{GROUP}", "Available is False"), WARNING),
    Case(
        "disruption_budgets",
        budget_without_disruptions,
        (f"default/{NAME} allows no disruption now", f"{NAME} on {SERVER}"),
        driver="kubeadm",
        variables={"control_plane_drain": True},
    ),
    Case(
        "disruption_budgets/no_drain",
        budget_without_disruptions,
        (f"default/{NAME} allows no disruption now", "nothing is evicted"),
        WARNING,
        # The Node goes with the case.
        after="skipped",
    ),
    Case("pending_csrs", pending_request, (f"1 wait: {NAME}", "kube-apiserver-client"), WARNING),
    Case("rights", reader_less_a_group, ("right to list storageversionmigrations", "storagemigration.k8s.io", NAME)),
    Case("kubelet_client_binding", binding_missing, ("is not there", "create clusterrolebinding"), WARNING, "kubeadm"),
    Case("nodes_ready", kubelet_stopped, (f"{SERVER} is not Ready",), driver="kubeadm"),
    Case("version_skew", old_worker, (f"kubelet of {NAME} is v1.33.9",)),
    Case("version_skew/kube_proxy", old_kube_proxy, ("kube-proxy is v1.33.9",)),
    Case("version_hop", nothing, ("no minor may be skipped",), variables={"control_plane_version": "v1.38.0"}),
    Case("version_hop/emulation", emulated_version, (f"{SERVER} emulates 1.35", "--emulated-version"), WARNING),
)
