# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _preflight_cluster,
    _served,
    _version,
)

TARGET = _version.parse("v1.37.2")
BOTH = {"kube-controller-manager": "v1.36.4", "kube-scheduler": "v1.36.4"}
#: The service behind each of the recorded webhooks; nothing is there.
SERVICE = "default/preflight-evidence"


def params(target="v1.37.2", versions=("v1.36.4",), components=None, **more):
    return {
        "version": target,
        "driver": "kubeadm",
        "kubeadm_binaries": "binary",
        "proxies": [
            {
                "name": f"cp{n}",
                "version": version,
                "emulated_version": version[1:5],
                "flags": {},
                "error": "",
                "address": f"10.0.0.{n}:6443",
            }
            for n, version in enumerate(versions, 1)
        ],
        "nodes": [{"name": f"cp{n}", "node_hostname": f"cp{n}", "components": components or BOTH} for n in range(1, 2)],
        **more,
    }


def ready(count):
    """Whatever the service, this many endpoints of it are ready."""
    return lambda service: count


# Versions


@pytest.mark.parametrize(
    ("target", "versions", "verdict", "action"),
    [
        ("v1.37.2", ("v1.36.4", "v1.36.4"), "passed", ""),
        ("v1.37.2", ("v1.36.4", "v1.37.2"), "passed", ""),
        ("v1.37.2", ("v1.37.2",), "passed", ""),
        ("v1.38.0", ("v1.36.4",), "failed", "newest patch of 1.37 first"),
        ("v1.38.0", ("v1.37.2", "v1.36.4"), "failed", "newest patch of 1.37 first"),
        ("v1.36.4", ("v1.37.2",), "failed", "Name v1.37.2 or later"),
        ("v1.37.1", ("v1.36.4", "v1.37.2"), "failed", "Name v1.37.2 or later"),
        ("v1.36.10", ("v1.36.9",), "passed", ""),
    ],
)
def test_version_hop(target, versions, verdict, action):
    (gate,) = _preflight_cluster.version_hop(params(target, versions))
    assert gate.verdict == verdict
    assert action in gate.next_action
    assert ("mixed already" in gate.observed) == (len(set(versions)) > 1)


@pytest.mark.parametrize(
    ("flag", "told", "severity", "words"),
    [
        ("1.36", "1.36", "warning", "go on serving that minor's API, not 1.37's"),
        ("kube=1.36", "1.36", "warning", "cp1 emulates 1.36"),
        ("1.33", "1.33", "blocking", "refuses to start"),
        # Without the flags, /version tells; the server's own minor is no emulation.
        ("", "1.35", "warning", "cp1 emulates 1.35"),
        ("", "1.36", "", ""),
        ("1.37", "1.37", "", ""),
    ],
)
def test_an_emulated_version_outlives_the_hop(flag, told, severity, words):
    given = params()
    given["proxies"][0].update(flags={"emulated-version": flag} if flag else {}, emulated_version=told)
    warnings = _preflight_cluster.version_hop(given)[1:]
    assert [gate.severity for gate in warnings] == ([severity] if severity else [])
    assert all(words in gate.observed for gate in warnings)


def node(hostname, kubelet="v1.36.4", **conditions):
    found = {"Ready": "True", **conditions}
    return {
        "metadata": {"name": hostname, "labels": {"kubernetes.io/hostname": hostname}},
        "status": {
            "conditions": [{"type": kind, "status": status} for kind, status in found.items()],
            "nodeInfo": {"kubeletVersion": kubelet},
        },
    }


@pytest.mark.parametrize(
    ("items", "ready", "skew"),
    [
        ([node("cp1")], "passed", "passed"),
        ([node("cp1", Ready="Unknown")], "failed", "passed"),
        ([node("cp1", DiskPressure="True")], "failed", "passed"),
        ([node("cp1", DiskPressure="False", MemoryPressure="Unknown")], "passed", "passed"),
        ([node("other")], "failed", "passed"),
        ([node("cp1"), node("worker", "v1.34.0", Ready="False")], "passed", "passed"),
        ([node("cp1"), node("worker", "v1.33.9")], "passed", "failed"),
        ([node("cp1"), node("worker", "v1.37.3")], "passed", "failed"),
    ],
)
def test_gates_of_nodes(items, ready, skew):
    assert _preflight_cluster.nodes_ready(params(), items).verdict == ready
    assert _preflight_cluster.version_skew(params(), items, None).verdict == skew


def test_it_is_told_since_when_and_why_a_node_is_not_ready():
    item = node("cp1", Ready="Unknown")
    item["status"]["conditions"][0].update(
        lastTransitionTime="2026-11-29T10:00:00Z", message="Kubelet stopped posting node status."
    )
    gate = _preflight_cluster.nodes_ready(params(), [item])
    assert gate.observed == "cp1 is not Ready since 2026-11-29T10:00:00Z (Kubelet stopped posting node status)"
    assert "start the playbook again" in gate.next_action


def test_a_node_that_is_not_ready_elsewhere_is_told():
    gate = _preflight_cluster.nodes_ready(params(), [node("cp1"), node("worker", Ready="False")])
    assert gate.observed.endswith("other Nodes that are not: worker")


def test_the_recorded_worker_and_kube_proxy_are_too_old(recorded):
    gate = _preflight_cluster.version_skew(
        params(), recorded("nodes-v1.36.4.json")["items"], recorded("kube-proxy-v1.36.4.json")
    )
    assert gate.verdict == "failed"
    assert gate.observed == "kubelet of preflight-evidence is v1.33.9; kube-proxy is v1.33.9"


@pytest.mark.parametrize(
    ("components", "binaries", "words"),
    [
        ({**BOTH, "kube-scheduler": "v1.35.9"}, "binary", "kube-scheduler of cp1 is v1.35.9, the target"),
        (
            {**BOTH, "kube-controller-manager": "v1.37.2"},
            "binary",
            "kube-controller-manager of cp1 is v1.37.2, its server",
        ),
        ({**BOTH, "kubeadm": "v1.36.4"}, "none", "kubeadm of cp1 is v1.36.4"),
        ({**BOTH, "kubeadm": "v1.37.1"}, "none", "kubeadm of cp1 is v1.37.1"),
        ({**BOTH, "kubeadm": "v1.37.2"}, "none", ""),
        ({**BOTH, "kubeadm": "v1.36.4"}, "binary", ""),
        ({**BOTH, "kube-scheduler": "of-our-own"}, "binary", ""),
    ],
)
def test_the_skew_of_what_runs_beside_a_server(components, binaries, words):
    gate = _preflight_cluster.version_skew(params(components=components, kubeadm_binaries=binaries), [], None)
    assert (gate.verdict, words in gate.observed) == ("failed" if words else "passed", True)
    assert ("not known" in gate.observed) == ("of-our-own" in components["kube-scheduler"])


# What the API serves


@pytest.mark.parametrize(
    ("target", "verdicts", "words"),
    [
        ("v1.37.2", ["failed", "failed"], "ipaddresses in networking.k8s.io/v1beta1, asked of cp1, removed in 1.37"),
        ("v1.36.9", ["passed", "failed"], "nothing that the target removes"),
        ("v1.38.0", ["failed"], "deviceclasses in resource.k8s.io/v1beta1, asked of cp1, removed in 1.38"),
    ],
)
def test_deprecated_apis(recorded, target, verdicts, words):
    texts = {"cp1": recorded("metrics-v1.36.4-deprecated.txt"), "cp2": ""}
    gates = _preflight_cluster.deprecated_apis(_version.parse(target), texts, ())
    assert [gate.verdict for gate in gates] == verdicts
    assert words in gates[0].observed
    assert [gate.severity for gate in gates] == ["blocking", "warning"][: len(gates)]


def test_what_the_preflight_asks_for_itself_does_not_count(recorded):
    texts = {"cp1": recorded("metrics-v1.36.4-deprecated.txt")}
    gates = _preflight_cluster.deprecated_apis(TARGET, texts, {"networking.k8s.io/v1beta1/ipaddresses"})
    assert [gate.verdict for gate in gates] == ["passed", "failed"]


def test_counters_that_can_t_be_read_prove_nothing(recorded):
    words = 'forbidden: User "u" cannot get path "/metrics"'
    texts = {"cp1": _api.ApiError("cp1", "/metrics", 403, words)}
    (gate,) = _preflight_cluster.deprecated_apis(TARGET, texts, ())
    assert gate.verdict == "unproven"
    assert gate.observed == "cp1: the right to get /metrics is missing for the user u"


def test_stored_versions(recorded):
    items = recorded("crds-v1.36.4-stored.json")["items"]
    gates = _preflight_cluster.crd_stored_versions(items, ready(0))
    assert [(gate.verdict, gate.severity) for gate in gates] == [("failed", "blocking"), ("failed", "warning")]
    assert "has stored v1alpha1, which it does not know" in gates[0].observed
    assert "has stored v1beta1, which it does not serve" in gates[1].observed
    items[0]["status"]["storedVersions"] = ["v1"]
    assert [gate.verdict for gate in _preflight_cluster.crd_stored_versions(items, ready(0))] == ["passed"]


@pytest.mark.parametrize(
    ("config", "endpoints", "verdict", "words"),
    [
        ({"service": {"namespace": "a", "name": "b"}}, 0, "failed", "converted by a/b, which has no ready endpoint"),
        ({"service": {"namespace": "a", "name": "b"}}, 1, "passed", ""),
        ({"url": "https://example.com"}, 0, "passed", "a URL that was not tried"),
    ],
)
def test_conversion_webhooks(recorded, config, endpoints, verdict, words):
    items = recorded("crds-v1.36.4-stored.json")["items"]
    items[0]["status"]["storedVersions"] = ["v1"]
    items[0]["spec"]["conversion"] = {"strategy": "Webhook", "webhook": {"clientConfig": config}}
    (gate,) = _preflight_cluster.crd_stored_versions(items, ready(endpoints))
    assert gate.verdict == verdict
    assert words in gate.observed
    # With one version there is nothing to convert.
    del items[0]["spec"]["versions"][0]
    assert [gate.verdict for gate in _preflight_cluster.crd_stored_versions(items, ready(0))] == ["passed"]


def test_an_aggregated_api_without_its_service(recorded):
    registered = recorded("apiservices-v1.36.4.json")
    documents = {"cp1": recorded("apis-v1.36.4-nopeer.json")}
    gate = _preflight_cluster.apiservices(documents, registered)
    assert (gate.verdict, gate.severity) == ("failed", "warning")
    assert "v1.evidence.example.com: Available is False (ServiceNotFound" in gate.observed
    registered["items"] = []
    assert _preflight_cluster.apiservices(documents, registered).verdict == "passed"


# Admission


def strict(recorded, labels=None, **changes):
    items = recorded("webhooks-v1.36.4.json")["items"]
    items[0]["webhooks"][0].update(changes)
    return _preflight_cluster.strict_webhooks("ValidatingWebhookConfiguration", items, labels or {})


def rule(groups=("*",), resources=("*",), operations=("*",), scope="*"):
    return [
        {"apiGroups": list(groups), "resources": list(resources), "operations": list(operations), "scope": scope},
    ]


def test_a_recorded_webhook_without_endpoints(recorded):
    (gate,) = _preflight_cluster.webhooks(strict(recorded), ready(0), None)
    assert (gate.verdict, gate.severity) == ("failed", "blocking")
    assert f"{SERVICE} has no ready endpoint, and it stands before pods, jobs.batch" in gate.observed
    (gate,) = _preflight_cluster.webhooks(strict(recorded), ready(1), None)
    assert gate.verdict == "passed"


@pytest.mark.parametrize(
    ("changes", "before"),
    [
        ({"rules": rule(["example.com"])}, ()),
        ({"rules": rule(resources=["nodes/status"])}, ("nodes",)),
        ({"rules": rule(resources=["*/*"], scope="Cluster")}, ("nodes", "clusterrolebindings", "clusterroles")),
        ({"rules": rule(resources=["nodes", "pods"], scope="Namespaced")}, ("pods",)),
        ({"rules": rule(resources=["pods"], operations=["DELETE", "CONNECT"])}, ()),
        ({"rules": rule([""], ["nodes", "pods"]), "namespaceSelector": {"matchLabels": {"a": "b"}}}, ("nodes",)),
    ],
)
def test_what_a_webhook_stands_before(recorded, changes, before):
    (webhook,) = strict(recorded, **changes)
    parts = {each.partition(".")[0] for each in webhook.before}
    assert parts == set(before)
    gates = _preflight_cluster.webhooks([webhook], ready(0), None)
    assert gates[-1].severity == ("blocking" if before else "warning")


def test_a_webhook_that_lets_pass_is_none(recorded):
    assert strict(recorded, failurePolicy="Ignore") == []


def test_a_webhook_at_a_url_is_told(recorded):
    (gate,) = _preflight_cluster.webhooks(strict(recorded, clientConfig={"url": "https://x"}), ready(0), None)
    assert gate.verdict == "passed"
    assert "at a URL, which was not tried: one.evidence.example.com" in gate.observed


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, True),
        ({"matchLabels": {"app": "a"}}, True),
        ({"matchLabels": {"app": "b"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["a"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}, False),
    ],
)
def test_selectors(selector, selected):
    assert _preflight_cluster.selects(selector, {"app": "a"}) == selected


@pytest.mark.parametrize(
    ("status", "words", "verdict"),
    [
        (201, "", "passed"),
        (500, 'failed calling webhook "one"', "failed"),
        (403, 'admission webhook "one" denied the request', "failed"),
        (403, 'User "u" cannot create resource "jobs" in API group "batch" in the namespace "kube-system"', "unproven"),
        (400, "admission webhook one does not support dry run", "passed"),
    ],
)
def test_dry_run_creates(status, words, verdict):
    class Server:
        def request(self, method, path, body):
            assert (method, path.partition("?")[2]) == ("POST", "dryRun=All")
            return _api.Answer(status, words.encode(), {})

    (gate,) = _preflight_cluster.webhooks([], ready(0), _preflight_cluster.try_creates(Server()))
    assert gate.verdict == verdict
    assert "dry-run create of a Job" in gate.observed
    assert "right to create jobs in the API group batch" in gate.observed or verdict != "unproven"


# Eviction and certificates


def test_a_recorded_budget_keeps_a_pod(recorded):
    budgets, pods = recorded("budgets-v1.36.4.json")["items"], {"cp1": recorded("pods-v1.36.4.json")["items"]}
    for drain, severity in ((True, "blocking"), (False, "warning")):
        gate = _preflight_cluster.disruption_budgets(budgets, pods, drain)
        assert (gate.verdict, gate.severity) == ("failed", severity)
        assert f"{SERVICE} allows no disruption now: preflight-evidence on cp1" in gate.observed
        assert ("nothing is evicted" in gate.observed) != drain


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda budget, pod: budget["status"].update(disruptionsAllowed=1), "passed"),
        (lambda budget, pod: budget["spec"].pop("selector"), "passed"),
        (lambda budget, pod: budget["spec"].update(selector={}), "failed"),
        (lambda budget, pod: budget["metadata"].update(namespace="other"), "passed"),
        (lambda budget, pod: pod["metadata"].update(ownerReferences=[{"kind": "DaemonSet"}]), "passed"),
        (lambda budget, pod: pod["metadata"].update(annotations={"kubernetes.io/config.mirror": "x"}), "passed"),
        (lambda budget, pod: pod["metadata"].update(ownerReferences=[{"kind": "ReplicaSet"}]), "failed"),
    ],
)
def test_what_a_budget_keeps(recorded, change, verdict):
    budgets, pods = recorded("budgets-v1.36.4.json")["items"], recorded("pods-v1.36.4.json")["items"]
    change(budgets[0], pods[0])
    assert _preflight_cluster.disruption_budgets(budgets, {"cp1": pods}, False).verdict == verdict


def test_without_the_right_to_pods_the_budget_is_told(recorded):
    gate = _preflight_cluster.disruption_budgets(recorded("budgets-v1.36.4.json")["items"], None, False)
    assert gate.verdict == "failed"
    assert "the right to list pods is missing" in gate.observed


def test_pending_requests(recorded):
    items = recorded("csrs-v1.36.4.json")["items"]
    gate = _preflight_cluster.pending_csrs(items)
    assert (gate.verdict, gate.severity) == ("failed", "warning")
    assert "1 wait: preflight-evidence" in gate.observed
    items[0]["status"] = {"conditions": [{"type": "Approved", "status": "True"}]}
    assert _preflight_cluster.pending_csrs(items).verdict == "passed"


@pytest.mark.parametrize(
    ("driver", "target", "role", "user", "verdict", "severity"),
    [
        ("kubeadm", "v1.37.2", "system:kubelet-api-admin", "kube-apiserver-kubelet-client", "passed", "warning"),
        ("kubeadm", "v1.37.2", "system:kubelet-api-admin", "somebody", "failed", "warning"),
        ("kubeadm", "v1.37.2", "view", "kube-apiserver-kubelet-client", "failed", "blocking"),
        ("kubeadm", "v1.37.2", "", "", "failed", "warning"),
        ("kubeadm", "v1.36.1", "", "", "failed", "warning"),
        ("kubeadm", "v1.36.0", "", "", "skipped", "warning"),
        ("kubeadm", "v1.35.4", "", "", "skipped", "warning"),
        ("systemd", "v1.37.2", "", "", "skipped", "warning"),
    ],
)
def test_kubelet_client_binding(driver, target, role, user, verdict, severity):
    binding = {"roleRef": {"name": role}, "subjects": [{"kind": "User", "name": user}]} if role else None
    gate = _preflight_cluster.kubelet_client_binding(driver, _version.parse(target), lambda: binding)
    assert (gate.verdict, gate.severity) == (verdict, severity)
    assert bool(gate.reason) == (verdict == "skipped")


# What is asked of servers


class Cluster:
    """Servers that answer by path, as documents or statuses; each request is kept."""

    def __init__(self, documents, answers):
        self.documents, self.answers, self.asked = documents, answers, []
        self.endpoint = self

    def server(self, target):
        return self

    def get(self, path, headers=None):
        self.asked.append(path)
        # A list of what one server alone serves is not to be answered by another.
        assert "limit=" not in path or headers["x-kubernetes-peer-proxied"] == "true"
        found = self.documents[path.partition("?")[0]]
        if isinstance(found, Exception):
            raise found
        return found

    def request(self, method, path, headers=None, body=None):
        self.asked.append(f"{method} {path}")
        assert (headers or {}).get("x-kubernetes-peer-proxied") == "true" or method == "POST"
        status, words = self.answers(path, body)
        return _api.Answer(status, words.encode(), {})


def reading(recorded, documents=None, answers=None, version="v1.36.4", extra=(), target="v1.37.2", **more):
    apis = copy.deepcopy(recorded(f"apis-{version}-nopeer.json"))
    for group, name, resource in extra:
        entry = {"resource": resource, "verbs": ["list"]}
        apis["items"].append({"metadata": {"name": group}, "versions": [{"version": name, "resources": [entry]}]})
    cluster = Cluster({"/apis": apis, **(documents or {})}, answers or (lambda path, body: (404, "")))
    given = params(target, (version,), write_probes=False, **more)
    given["proxies"][0]["flags"] = {"client-ca-file": "ca.crt"}
    return _preflight_cluster.Reading(cluster, given), cluster


WORKLOADS = ("scheduling.k8s.io", "v1alpha2", "workloads")
LIST = "/apis/scheduling.k8s.io/v1alpha2/workloads"


def listed(count, more=0):
    items = [{"metadata": {"namespace": "default", "name": f"w{n}"}} for n in range(count)]
    return {LIST: {"metadata": {"remainingItemCount": more} if more else {}, "items": items}}


def test_objects_of_a_removed_api(recorded):
    given, dummy = reading(recorded, listed(7, 43), extra=[WORKLOADS])
    gate = _preflight_cluster.removed_apis(given)
    assert gate.verdict == "failed"
    assert gate.observed.startswith("50 scheduling.k8s.io/v1alpha2/workloads, served by cp1: default/w0, default/w1")
    assert gate.observed.endswith("and 2 more")


def test_a_removed_api_without_objects(recorded):
    given, dummy = reading(recorded, listed(0), extra=[WORKLOADS])
    gate = _preflight_cluster.removed_apis(given)
    assert (gate.verdict, gate.observed) == ("passed", "scheduling.k8s.io/v1alpha2/workloads goes, and there is none")


def test_objects_that_stay_under_another_version_are_not_asked_for(recorded):
    given, cluster = reading(recorded, extra=[("networking.k8s.io", "v1beta1", "ipaddresses")])
    gate = _preflight_cluster.removed_apis(given)
    assert gate.verdict == "passed"
    assert "networking.k8s.io/v1beta1/ipaddresses goes, its objects stay as networking.k8s.io/v1" in gate.observed
    assert cluster.asked == ["/apis"]


def test_a_server_that_can_t_be_read_proves_nothing(recorded):
    refused = _api.ApiError("cp1", "/apis", 0, "no answer from 10.0.0.1:6443: refused")
    given, dummy = reading(recorded, {"/apis": refused})
    for judge in (_preflight_cluster.removed_apis, _preflight_cluster.rights):
        gate = judge(given)
        assert gate.verdict == "unproven"
        assert "no answer from 10.0.0.1:6443" in gate.observed
    given.params["proxies"].append({**given.params["proxies"][0], "name": "cp2", "address": "", "error": "cp2: gone"})
    assert "cp2: gone" in _preflight_cluster.removed_apis(given).observed


def test_endpoints_that_do_not_say_that_they_are_not_ready_are(recorded):
    slices = [
        {"endpoints": [{"conditions": {"ready": False}}, {"conditions": {"ready": True}}, {}]},
        {"endpoints": None},
    ]
    path = _preflight_cluster.SLICES.format("default", "hook").partition("?")[0]
    given, cluster = reading(recorded, {path: {"items": slices}})
    assert [given.ready_endpoints("default/hook") for dummy in range(2)] == [2, 2]
    assert len(cluster.asked) == 1


def test_a_target_without_a_table_proves_nothing(recorded):
    given, dummy = reading(recorded, version="v1.37.2", target="v1.38.0")
    gate = _preflight_cluster.removed_apis(given)
    assert (gate.verdict, gate.observed) == ("unproven", "no table tells what changes from 1.37 to 1.38")
    assert _preflight_cluster.rights(given).verdict == "unproven"


def test_what_will_be_proxied_is_foretold(recorded):
    given, cluster = reading(recorded, extra=[WORKLOADS])
    assert given.foretold == {
        "source": "table",
        "reason": "",
        "new": [
            "certificates.k8s.io/v1/clustertrustbundles",
            "certificates.k8s.io/v1/podcertificaterequests",
            "resource.k8s.io/v1/devicetaintrules",
            "storagemigration.k8s.io/v1/storageversionmigrations",
        ],
        "removed": ["scheduling.k8s.io/v1alpha2/workloads"],
    }
    assert cluster.asked == ["/apis"]


def test_of_a_server_that_can_t_be_read_nothing_is_foretold(recorded):
    given, dummy = reading(recorded, {"/apis": _api.ApiError("cp1", "/apis", 0, "refused")})
    assert given.foretold["reason"] == "what cp1 serves could not be read"
    assert given.foretold["new"] == []


FORBIDDEN = (
    'User "u" cannot {} resource "storageversionmigrations" in API group "storagemigration.k8s.io" at the cluster scope'
)


@pytest.mark.parametrize(
    ("refused", "words"),
    [("list", "right to list storageversionmigrations"), ("watch", "right to watch storageversionmigrations")],
)
def test_a_right_to_what_comes_is_asked_of_old_servers(recorded, refused, words):
    def answers(path, body):
        verb = "watch" if "watch=true" in path else "list"
        return (403, FORBIDDEN.format(verb)) if "storagemigration" in path and verb == refused else (404, "")

    gate = _preflight_cluster.rights(reading(recorded, answers=answers)[0])
    assert gate.verdict == "failed"
    assert f"the {words} in the API group storagemigration.k8s.io is missing for the user u, by cp1" in gate.observed


def test_rights_that_suffice(recorded):
    given, cluster = reading(recorded)
    gate = _preflight_cluster.rights(given)
    assert gate.verdict == "passed"
    assert "rights to write can be asked by a write only" in gate.observed
    assert {each.partition(" ")[0] for each in cluster.asked[1:]} == {"GET"}


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        ((201, '{"status": {"allowed": true}}'), "passed", "9 rights to write, asked by access reviews"),
        (
            (201, '{"status": {"allowed": false}}'),
            "failed",
            "update configmaps in the API group core named kubeadm-config in the namespace kube-system is missing",
        ),
        ((403, "no"), "unproven", "403: no"),
    ],
)
def test_rights_to_write_are_asked_where_writes_may_be_sent(recorded, answer, verdict, words):
    given, dummy = reading(recorded, answers=lambda path, body: answer if body else (404, ""))
    given.params["write_probes"] = True
    gate = _preflight_cluster.rights(given)
    assert gate.verdict == verdict
    assert words in gate.observed


def test_a_read_that_is_refused_leaves_its_gate_unproven():
    def check():
        raise _api.ApiError("kubeconfig's server", "/x", 403, 'User "u" cannot list resource "nodes" in API group ""')

    (gate,) = _preflight_cluster.readable("pending_csrs", check, "")
    assert (gate.id, gate.verdict, gate.severity) == ("pending_csrs", "unproven", "warning")
    assert "the right to list nodes in the API group core is missing for the user u" in gate.observed


def test_every_check_has_its_words(recorded):
    given, dummy = reading(recorded, job="upgrade", drain=False, kubelets=True)
    assert set(_preflight_cluster.checks(given)) == set(_preflight_cluster.CHECKS)
    given.params["job"] = "proxy"
    assert set(_preflight_cluster.checks(given)) == {"nodes_ready"}


def test_the_same_objects_in_another_version():
    resource = _discovery.Resource("a", "v1beta1", "things")
    own = {"cp1": {resource: frozenset(), _discovery.Resource("a", "v1", "things"): frozenset()}}
    difference = _served.Difference({}, {"a/v1beta1/things": ("cp1",)}, "table")
    assert _preflight_cluster.stays_as(resource, difference, own) == "a/v1"
    gone = _served.Difference({}, {"a/v1beta1/things": ("cp1",), "a/v1/things": ("cp1",)}, "table")
    assert _preflight_cluster.stays_as(resource, gone, own) == ""
