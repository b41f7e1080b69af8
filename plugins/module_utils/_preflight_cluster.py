# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What is asked of the API before anything is changed: what would make the upgrade fail, or lose something.

A verdict blocks where the upgrade would not go through, or where something would be gone after it; what merely should
be known is a warning. What can't be read, most often for want of a right, is unproven and hides no other check.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t
import urllib.parse

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _gate,
    _metrics,
    _probes,
    _registrations,
    _rights,
    _served,
    _version,
    _watch,
)

Document = t.Mapping[str, t.Any]
Items = t.Sequence[Document]

#: The kubelet and kube-proxy may be this many minors older than the servers (Kubernetes' version skew policy).
NODE_SKEW = 3
#: The controller manager and the scheduler may be this many minors older than the servers they reach.
CONTROLLER_SKEW = 1
#: A server can emulate this many minors before its own.
EMULATION_SKEW = 3
#: Names told of a longer list; the count is told as well.
TOLD = 5
#: Objects whose names are asked for; of more than these the server says how many more there are.
LISTED = 50

DEPRECATED = "apiserver_requested_deprecated_apis"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{}"
NODES = "/api/v1/nodes"
BUDGETS = "/apis/policy/v1/poddisruptionbudgets"
CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
KUBE_PROXY = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

#: Webhooks' configurations, and what an entry of one is called.
WEBHOOKS = {
    "ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
}
#: What a server that starts, its controllers, a kubelet or kubeadm writes while a control plane node is upgraded, and
#: whether it lies in a namespace, which is kube-system then. A webhook before anything else stops no upgrade.
WRITTEN = {
    ("", "configmaps"): True,
    ("", "nodes"): False,
    ("", "pods"): True,
    ("", "secrets"): True,
    ("", "serviceaccounts"): True,
    ("apps", "daemonsets"): True,
    ("apps", "deployments"): True,
    ("batch", "jobs"): True,
    ("coordination.k8s.io", "leases"): True,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): False,
    ("rbac.authorization.k8s.io", "clusterroles"): False,
    ("rbac.authorization.k8s.io", "rolebindings"): True,
    ("rbac.authorization.k8s.io", "roles"): True,
}

#: What lets the servers into the kubelets from these kubeadm releases on, which take the certificate out of the group
#: that did before (k8s.io/kubernetes cmd/kubeadm/app/phases/bootstraptoken/node/tlsbootstrap.go).
BINDING = "kubeadm:apiserver-kubelet-client"
BINDING_PATH = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/" + urllib.parse.quote(BINDING, safe="")
BINDING_ROLE = "system:kubelet-api-admin"
BINDING_USER = "kube-apiserver-kubelet-client"
BINDING_SINCE = {"1.35": 5, "1.36": 1}

#: What the job writes through the API, as an access review asks it: resource, name, verbs. All lies in kube-system.
WRITES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("coordination.k8s.io", "leases", "", ("create", "patch", "delete")),
    ("coordination.k8s.io", "leases", "mixedversion-kubernetes", ("update",)),
    ("", "configmaps", "kubeadm-config", ("update",)),
)

#: The Pod that kubeadm's Job asks for, and the Job as kubeadm creates it before each upgrade (its check CreateJob).
_POD: dict[str, t.Any] = {
    "restartPolicy": "Never",
    "securityContext": {"runAsUser": 999, "runAsGroup": 999, "runAsNonRoot": True},
    "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
    "containers": [{"name": "upgrade-health-check", "image": "registry.k8s.io/pause:3.10.2", "args": ["-v"]}],
}
_NAME = {"generateName": "upgrade-health-check-", "namespace": "kube-system"}
TRIED: tuple[tuple[str, str, dict[str, t.Any]], ...] = (
    ("Job", "/apis/batch/v1/namespaces/kube-system/jobs", {"spec": {"backoffLimit": 0, "template": {"spec": _POD}}}),
    ("Pod", "/api/v1/namespaces/kube-system/pods", {"spec": _POD}),
)


@dataclasses.dataclass(frozen=True)
class Check:
    """What a gate of this file expects, and whether it blocks when it does not hold or can't be judged."""

    expected: str
    severity: str = _gate.BLOCKING


CHECKS = {
    "removed_apis": Check("no object of a group-version that the target does not know"),
    "deprecated_apis": Check("nobody asked a server, since it started, for what the target does not serve"),
    "crd_stored_versions": Check("each stored version of a CRD is one it serves, and can be converted"),
    "webhooks": Check("a ready endpoint behind each webhook whose failure is a refusal"),
    "apiservices": Check("every aggregated API is available to every server", _gate.WARNING),
    "disruption_budgets": Check("every Pod on the control plane's Nodes may be evicted now", _gate.WARNING),
    "pending_csrs": Check("no certificate request waits for an approval", _gate.WARNING),
    "rights": Check("the right to list and watch what the versions will differ in"),
    "kubelet_client_binding": Check(
        f"the ClusterRoleBinding {BINDING} is there before kubeadm needs it", _gate.WARNING
    ),
    "nodes_ready": Check("every control plane Node is Ready, none under pressure"),
    "version_skew": Check("every component within the version skew policy before and after the hop"),
    "version_hop": Check("a target that is not older than any server, and at most one minor newer than the oldest"),
}


def gate(id_: str, verdict: str, observed: str, next_action: str = "", severity: str = "") -> _gate.Gate:
    check = CHECKS[id_]
    return _gate.Gate(id_, verdict, observed, check.expected, next_action, severity=severity or check.severity)


def judged(id_: str, troubles: t.Sequence[str], good: str, next_action: str, severity: str = "") -> _gate.Gate:
    """Failed with the troubles, or passed with what was seen to be good."""
    if troubles:
        return gate(id_, _gate.FAILED, "; ".join(troubles), next_action, severity)
    return gate(id_, _gate.PASSED, good, severity=severity)


def skipped(id_: str, reason: str) -> _gate.Gate:
    check = CHECKS[id_]
    return _gate.Gate(id_, _gate.SKIPPED, "not looked at", check.expected, severity=check.severity, reason=reason)


def told(names: t.Sequence[str]) -> str:
    """The first few of many."""
    more = len(names) - TOLD
    return ", ".join(names[:TOLD]) + (f" and {more} more" if more > 0 else "")


class Reading:
    """What several checks read, each once."""

    def __init__(self, cluster: _api.Cluster, params: t.Mapping[str, t.Any]) -> None:
        self.endpoint = cluster.endpoint
        self.params = params
        self._ready_endpoints: dict[str, int] = {}
        #: Servers that could be asked when proxy_info asked them; the gate servers_ready is about the others.
        self.servers = {
            p["name"]: cluster.server(_api.Target(p["name"], p["address"])) for p in params["proxies"] if p["address"]
        }

    @property
    def target(self) -> _version.Version:
        return _version.parse(self.params["version"])

    def items(self, path: str) -> list[dict[str, t.Any]]:
        return list(self.endpoint.get(path).get("items") or [])

    def found(self, path: str) -> dict[str, t.Any] | None:
        """One object, None if it is not there."""
        try:
            return dict(self.endpoint.get(path))
        except _api.ApiError as error:
            if error.status == 404:
                return None
            raise

    @functools.cached_property
    def nodes(self) -> list[dict[str, t.Any]]:
        return self.items(NODES)

    @functools.cached_property
    def crds(self) -> list[dict[str, t.Any]]:
        return self.items(_registrations.CRDS)

    @functools.cached_property
    def discovery(self) -> dict[str, Document | _api.ApiError]:
        """What each server says that it serves itself."""

        def read(server: _api.Server) -> Document:
            return dict(server.get("/apis", headers={"Accept": _discovery.ACCEPT_NOPEER}))

        return _api.at_once({name: functools.partial(read, server) for name, server in self.servers.items()})

    @functools.cached_property
    def own(self) -> dict[str, _discovery.Resources]:
        return {
            name: _discovery.parse(answer)
            for name, answer in self.discovery.items()
            if not isinstance(answer, _api.ApiError)
        }

    @functools.cached_property
    def difference(self) -> _served.Difference:
        proxies = self.params["proxies"]
        return _served.difference(
            {name: {str(resource) for resource in resources} for name, resources in self.own.items()},
            self.target,
            {p["name"]: p["emulated_version"] for p in proxies},
            {p["name"]: p["flags"] for p in proxies},
        )

    @property
    def foretold(self) -> Document:
        """The difference as a plan tells it."""
        found = self.difference
        return {
            "source": found.source,
            "reason": "; ".join(found.unknown),
            "new": sorted(found.new),
            "removed": sorted(found.removed),
        }

    @property
    def unread(self) -> list[str]:
        """Why a server's own discovery is not known, a server at a time."""
        unasked = [p["error"] or f"{p['name']} has no address" for p in self.params["proxies"] if not p["address"]]
        return unasked + [words_of(answer) for answer in self.discovery.values() if isinstance(answer, _api.ApiError)]

    def ready_endpoints(self, service: str) -> int:
        """How many endpoints of ``namespace/name`` are ready; the field's absence means ready."""
        if service not in self._ready_endpoints:
            namespace, dummy, name = service.partition("/")
            self._ready_endpoints[service] = sum(
                (endpoint.get("conditions") or {}).get("ready") is not False
                for item in self.items(SLICES.format(namespace, name))
                for endpoint in item.get("endpoints") or []
            )
        return self._ready_endpoints[service]


def words_of(error: _api.ApiError) -> str:
    """An answer in words; of a 403 which right is missing."""
    return f"{error.server}: {_rights.explain(error.words)}" if error.status == 403 else str(error)


# Versions


def version_hop(params: t.Mapping[str, t.Any]) -> list[_gate.Gate]:
    target = _version.parse(params["version"])
    versions = {p["name"]: _version.parse(p["version"]) for p in params["proxies"] if p["version"]}
    oldest, newest = min(versions.values()), max(versions.values())
    observed = f"{', '.join(f'{name} {version}' for name, version in versions.items())}; target {target}"
    if oldest != newest:
        there = [name for name, version in versions.items() if version == target]
        observed += f"; versions are mixed already, {len(there)} of {len(versions)} at the target"
    hop = gate("version_hop", _gate.PASSED, observed)
    if target < newest:
        hop.verdict = _gate.FAILED
        hop.next_action = f"Name {newest} or later; a control plane is not downgraded."
    elif _version.minors_between(oldest, target) > 1:
        hop.verdict = _gate.FAILED
        hop.next_action = (
            f"Upgrade to the newest patch of {oldest.major}.{oldest.minor + 1} first; no minor may be skipped."
        )
    return [hop, *emulation(params, target)]


def emulation(params: t.Mapping[str, t.Any], target: _version.Version) -> list[_gate.Gate]:
    """An emulated version outlives the upgrade, as it is a flag: the new binary goes on serving the old minor's API."""
    lasting = []
    too_old = False
    for p in params["proxies"]:
        minor = _served.emulated((p.get("flags") or {}).get("emulated-version", ""))
        # A server that does not tell its flags tells what it emulates all the same.
        if (
            not minor
            and p["version"]
            and p.get("emulated_version", "") not in ("", _version.parse(p["version"]).release)
        ):
            minor = p["emulated_version"]
        if not minor or minor == target.release:
            continue
        lasting.append(f"{p['name']} emulates {minor}")
        too_old = too_old or _version.minors_between(_version.parse(f"{minor}.0"), target) > EMULATION_SKEW
    if not lasting:
        return []
    effect = "refuses to start with it" if too_old else f"would go on serving that minor's API, not {target.release}'s"
    return [
        gate(
            "version_hop",
            _gate.FAILED,
            f"{', '.join(lasting)} by --emulated-version, which stays: {target} {effect}",
            "Take --emulated-version (and --min-compatibility-version) out of the servers' flags and of kubeadm-config,"
            " or leave it, knowingly, until all servers are upgraded.",
            _gate.BLOCKING if too_old else _gate.WARNING,
        )
    ]


def version_skew(params: t.Mapping[str, t.Any], items: Items, kube_proxy: Document | None) -> _gate.Gate:
    """The skew of every kubelet there is, workers' too, of kube-proxy, and of what runs beside the servers."""
    target = _version.parse(params["version"])
    servers = {p["name"]: _version.parse(p["version"]) for p in params["proxies"] if p["version"]}
    skewed, seen, unknown = [], [], []
    for item in items:
        version = item["status"]["nodeInfo"]["kubeletVersion"]
        if not version:
            # A Node that somebody made, and whose kubelet has not come yet.
            unknown.append(f"kubelet of {item['metadata']['name']} is not told")
            continue
        kubelet = _version.parse(version)
        if kubelet > target or _version.minors_between(kubelet, target) > NODE_SKEW:
            skewed.append(f"kubelet of {item['metadata']['name']} is {kubelet}")
    seen.append(f"{len(items)} kubelets")
    if kube_proxy is not None:
        image = kube_proxy["spec"]["template"]["spec"]["containers"][0]["image"]
        found = tag_version(image)
        if found is None:
            unknown.append(f"kube-proxy is {image}")
        elif found > target or _version.minors_between(found, target) > NODE_SKEW:
            skewed.append(f"kube-proxy is {found}")
        else:
            seen.append(f"kube-proxy {found}")
    for node in params["nodes"]:
        for component in ("kube-controller-manager", "kube-scheduler"):
            version = node["components"].get(component) or ""
            try:
                found = _version.parse(version)
            except ValueError:
                unknown.append(f"{component} of {node['name']} is {version or 'not told'}")
                continue
            server = servers.get(node["name"])
            if server is not None and found > server:
                skewed.append(f"{component} of {node['name']} is {found}, its server {server}")
            elif _version.minors_between(found, target) > CONTROLLER_SKEW:
                skewed.append(f"{component} of {node['name']} is {found}, the target {target}")
        skewed += kubeadm_skew(params, node, target)
    seen.append(f"controller managers and schedulers of {len(params['nodes'])} nodes")
    result = judged(
        "version_skew",
        skewed,
        f"{', '.join(seen)} fit {target}" + (f"; not known: {told(unknown)}" if unknown else ""),
        "Upgrade the components named first, or name a target that fits them.",
    )
    result.expected = (
        f"no kubelet or kube-proxy newer than {target} or more than {NODE_SKEW} minors older; no controller manager or "
        f"scheduler newer than its server or more than {CONTROLLER_SKEW} minor older than {target}"
    )
    return result


def kubeadm_skew(params: t.Mapping[str, t.Any], node: Document, target: _version.Version) -> list[str]:
    """A kubeadm that the job does not bring must be the target's; an older one refuses it."""
    version = node["components"].get("kubeadm") or ""
    if params["driver"] != "kubeadm" or params["kubeadm_binaries"] != "none" or not version:
        return []
    found = _version.parse(version)
    if found >= target and found.release == target.release:
        return []
    return [f"kubeadm of {node['name']} is {found}, and control_plane_kubeadm_binaries is none"]


def tag_version(image: str) -> _version.Version | None:
    try:
        return _version.parse(_version.image_tag(image))
    except ValueError:
        return None


#: What a kubelet that is under pressure does not do: take new Pods, and keep those that it has.
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def conditions(item: Document) -> dict[str, str]:
    return {each["type"]: each["status"] for each in (item.get("status") or {}).get("conditions") or []}


def by_hostname(items: Items) -> dict[str, Document]:
    return {item["metadata"].get("labels", {}).get("kubernetes.io/hostname", ""): item for item in items}


def why_not_ready(item: Document) -> str:
    """Since when, and in whose words: whether to wait a moment or to mend something is seen by them."""
    told_of = (item.get("status") or {}).get("conditions") or []
    found: Document = next((each for each in told_of if each["type"] == "Ready"), {})
    since = f" since {found['lastTransitionTime']}" if found.get("lastTransitionTime") else ""
    return since + (f" ({found['message'].rstrip('.')})" if found.get("message") else "")


def nodes_ready(params: t.Mapping[str, t.Any], items: Items) -> _gate.Gate:
    """Readiness and pressures of this inventory's Nodes; other Nodes are told."""
    nodes = by_hostname(items)
    troubles = []
    for node in params["nodes"]:
        item = nodes.pop(node["node_hostname"], None)
        if item is None:
            troubles.append(f"{node['name']} has no Node")
            continue
        found = conditions(item)
        if found.get("Ready") != "True":
            troubles.append(f"{node['name']} is not Ready{why_not_ready(item)}")
        pressed = [kind for kind in PRESSURES if found.get(kind) == "True"]
        if pressed:
            troubles.append(f"{node['name']} has {' and '.join(pressed)}")
    others = [item["metadata"]["name"] for item in nodes.values() if conditions(item).get("Ready") != "True"]
    return judged(
        "nodes_ready",
        troubles,
        f"{len(params['nodes'])} control plane Nodes Ready"
        + (f"; other Nodes that are not: {told(others)}" if others else ""),
        "Read the kubelet's log on the node named and mend it; a pressure goes when there is room again. A Node whose "
        "server was away is Ready some 20 s after it came back: start the playbook again.",
    )


# What the API serves


def removed_apis(reading: Reading) -> _gate.Gate:
    """Objects of what the target knows no more: nothing can read or delete them afterwards."""
    found = reading.difference
    if found.source == _served.UNKNOWN:
        return gate(
            "removed_apis",
            _gate.UNPROVEN,
            "; ".join(found.unknown),
            f"Read in the release notes of {reading.target.release} what it removes, and accept removed_apis by name.",
        )
    troubles, kept = [], []
    for text, names in found.removed.items():
        resource = _discovery.Resource(*text.split("/"))
        elsewhere = stays_as(resource, found, reading.own)
        if elsewhere:
            kept.append(f"{resource} goes, its objects stay as {elsewhere}")
            continue
        if "list" not in reading.own[names[0]].get(resource, ()):
            continue
        document = reading.servers[names[0]].get(
            f"{resource.path}?limit={LISTED}", headers={"Accept": METADATA, **_probes.HEADER_LOCAL}
        )
        objects = [full_name(item) for item in document.get("items") or []]
        count = len(objects) + int((document.get("metadata") or {}).get("remainingItemCount") or 0)
        if count:
            troubles.append(f"{count} {resource}, served by {', '.join(names)}: {told(objects)}")
        else:
            kept.append(f"{resource} goes, and there is none")
    result = judged(
        "removed_apis",
        troubles,
        "; ".join(kept) or "the target removes nothing that is served today",
        "Delete these objects, or make them anew with an API that stays, before the first server is upgraded: the "
        "target can't read what is left of them in etcd.",
    )
    if not troubles and reading.unread:
        return gate("removed_apis", _gate.UNPROVEN, "; ".join(reading.unread), "Mend the server or the right named.")
    return result


def stays_as(
    resource: _discovery.Resource, found: _served.Difference, own: t.Mapping[str, _discovery.Resources]
) -> str:
    """Another version that the same objects are served in today and by the target; empty if none."""
    versions = {
        each.version
        for resources in own.values()
        for each in resources
        if (each.group, each.resource) == (resource.group, resource.resource) and str(each) not in found.removed
    }
    return f"{resource.group}/{max(versions)}" if versions else ""


def full_name(item: Document) -> str:
    metadata = item["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


@dataclasses.dataclass(frozen=True, order=True)
class Use:
    """A deprecated API that was asked for; ``removed`` is the minor it goes with, empty if none is announced."""

    group: str
    version: str
    resource: str
    removed: str

    def __str__(self) -> str:
        api = f"{self.group}/{self.version}" if self.group else self.version
        return f"{self.resource} in {api}"


def deprecated_apis(
    target: _version.Version, texts: t.Mapping[str, str | _api.ApiError], listed: t.Collection[str]
) -> list[_gate.Gate]:
    """What clients asked for since each server started. *listed* is what this very preflight lists, told elsewhere."""
    uses: dict[Use, list[str]] = {}
    unread = []
    for name, text in texts.items():
        if isinstance(text, _api.ApiError):
            unread.append(words_of(text))
            continue
        for sample in _metrics.parse(text, {DEPRECATED}):
            labels = sample.labels
            resource = "/".join(filter(None, (labels["resource"], labels.get("subresource", ""))))
            use = Use(labels.get("group", ""), labels["version"], resource, labels.get("removed_release", ""))
            if sample.value and f"{use.group}/{use.version}/{use.resource}" not in listed:
                uses.setdefault(use, []).append(name)
    gone, later, announced = [], [], []
    for use, names in sorted(uses.items()):
        words = f"{use}, asked of {', '.join(sorted(set(names)))}"
        if not use.removed:
            announced.append(str(use))
        elif _version.minors_between(_version.parse(f"{use.removed}.0"), target) >= 0:
            gone.append(f"{words}, removed in {use.removed}")
        else:
            later.append(f"{words}, goes with {use.removed}")
    action = (
        "Move these clients to a version that stays; a server's audit log names them (annotation k8s.io/deprecated). "
        "A server counts anew when it starts."
    )
    good = "nothing that the target removes" + (
        f"; deprecated without a release named: {told(announced)}" if announced else ""
    )
    result = judged("deprecated_apis", gone, good, f"{action} Or accept deprecated_apis by name.")
    if unread and not gone:
        result = gate("deprecated_apis", _gate.UNPROVEN, "; ".join(unread), "Give the right to get /metrics.")
    if not later:
        return [result]
    return [result, gate("deprecated_apis", _gate.FAILED, "; ".join(later), action, _gate.WARNING)]


def crd_stored_versions(crds: Items, ready_endpoints: t.Callable[[str], int]) -> list[_gate.Gate]:
    """Whether what is stored of each CRD can still be read: its versions, and the webhook that converts them."""
    unreadable, unserved, by_url = [], [], []
    for item in crds:
        name, spec = item["metadata"]["name"], item["spec"]
        versions = {version["name"]: bool(version.get("served")) for version in spec.get("versions") or []}
        stored = (item.get("status") or {}).get("storedVersions") or []
        gone = [version for version in stored if version not in versions]
        if gone:
            unreadable.append(f"{name} has stored {', '.join(gone)}, which it does not know any more")
        unserved += [
            f"{name} has stored {version}, which it does not serve"
            for version in stored
            if not versions.get(version, True)
        ]
        conversion = spec.get("conversion") or {}
        if conversion.get("strategy") != "Webhook" or len(versions) < 2:
            continue
        service = service_of((conversion.get("webhook") or {}).get("clientConfig") or {})
        if not service:
            by_url.append(name)
        elif not ready_endpoints(service):
            unreadable.append(f"{name} is converted by {service}, which has no ready endpoint")
    good = f"{len(crds)} CRDs"
    if by_url:
        good += f"; converted by a URL that was not tried: {told(by_url)}"
    result = judged(
        "crd_stored_versions",
        unreadable,
        good,
        "Bring the webhook back, or bring back the version named and migrate what is stored of it "
        "(StorageVersionMigration, or write each object once), then take it out of status.storedVersions.",
    )
    if not unserved:
        return [result]
    return [
        result,
        gate(
            "crd_stored_versions",
            _gate.FAILED,
            "; ".join(unserved),
            "Migrate these objects to the version that is stored now (StorageVersionMigration, or write each once), "
            "then take the old one out of status.storedVersions.",
            _gate.WARNING,
        ),
    ]


def service_of(client_config: Document) -> str:
    """``namespace/name`` of the service a webhook is behind; empty if it is at a URL."""
    service = client_config.get("service") or {}
    return f"{service['namespace']}/{service['name']}" if service else ""


def apiservices(documents: t.Mapping[str, Document | _api.ApiError], registered: Document) -> _gate.Gate:
    """Discovery is partial while one is not available: namespaces do not go, and garbage stays."""
    services = _registrations.parse_apiservices(registered)
    views = {
        name: _discovery.ServerView(_discovery.parse(document), {}, freshness=_discovery.parse_freshness(document))
        for name, document in documents.items()
        if not isinstance(document, _api.ApiError)
    }
    troubles = _registrations.troubles(_registrations.Registered(apiservices=services), views)
    return judged(
        "apiservices",
        [str(trouble) for trouble in troubles],
        f"{len(services)} aggregated APIs available" if services else "no aggregated APIs",
        "Mend the service behind it, or delete an APIService whose server is gone. Until then no namespace can be "
        "deleted.",
    )


# Admission


@dataclasses.dataclass(frozen=True)
class Webhook:
    """An entry of a configuration whose failure is a refusal. ``before`` is what of the upgrade's writes it sees."""

    configuration: str
    name: str
    service: str
    before: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.configuration})"


def strict_webhooks(kind: str, items: Items, namespace_labels: t.Mapping[str, str]) -> list[Webhook]:
    return [
        Webhook(
            f"{kind} {item['metadata']['name']}",
            entry["name"],
            service_of(entry.get("clientConfig") or {}),
            tuple(
                f"{resource}.{group}" if group else resource
                for (group, resource), namespaced in WRITTEN.items()
                if any(matches(rule, group, resource, namespaced) for rule in entry.get("rules") or [])
                and (not namespaced or selects(entry.get("namespaceSelector") or {}, namespace_labels))
            ),
        )
        for item in items
        for entry in item.get("webhooks") or []
        if entry.get("failurePolicy", "Fail") == "Fail"
    ]


def matches(rule: Document, group: str, resource: str, namespaced: bool) -> bool:
    """Whether a rule of a webhook holds for creates or updates of a resource, or of a part of it as its status."""
    return (
        bool({"*", group} & set(rule.get("apiGroups") or ()))
        and bool({"*", resource} & {each.partition("/")[0] for each in rule.get("resources") or ()})
        and bool({"*", "CREATE", "UPDATE"} & set(rule.get("operations") or ()))
        and rule.get("scope", "*") in ("*", "Namespaced" if namespaced else "Cluster")
    )


def selects(selector: Document, labels: t.Mapping[str, str]) -> bool:
    """A label selector of the API, against labels."""
    operators: dict[str, t.Callable[[str, t.Sequence[str]], bool]] = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, dummy: key in labels,
        "DoesNotExist": lambda key, dummy: key not in labels,
    }
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        operators[each["operator"]](each["key"], each.get("values") or ())
        for each in selector.get("matchExpressions") or []
    )


def webhooks(
    found: t.Sequence[Webhook],
    ready_endpoints: t.Callable[[str], int],
    tried: tuple[list[str], list[str], str] | None,
) -> list[_gate.Gate]:
    """What refuses writes because nobody answers. *tried* is what :func:`try_creates` saw, if it was asked to."""
    blocking, warning, by_url = [], [], []
    for webhook in found:
        if not webhook.service:
            by_url.append(str(webhook))
        elif not ready_endpoints(webhook.service):
            words = f"{webhook}: {webhook.service} has no ready endpoint"
            if webhook.before:
                blocking.append(f"{words}, and it stands before {told(webhook.before)}")
            else:
                warning.append(words)
    good = f"{len(found)} webhooks that refuse on failure"
    if by_url:
        good += f"; at a URL, which was not tried: {told(by_url)}"
    unproven: list[str] = []
    if tried is not None:
        refused, unproven, accepted = tried
        blocking += refused
        good += f"; {accepted}"
    action = (
        "Bring the webhook's Pods back, or delete its configuration if nothing is behind it any more; a failurePolicy "
        "Ignore or a namespaceSelector without kube-system lets the upgrade pass."
    )
    result = judged("webhooks", blocking, good, action)
    if unproven and not blocking:
        result = gate("webhooks", _gate.UNPROVEN, "; ".join(unproven), "Grant what docs/rbac/write-probes.yaml has.")
    if not warning:
        return [result]
    return [result, gate("webhooks", _gate.FAILED, "; ".join(warning), action, _gate.WARNING)]


def try_creates(server: _api.Server) -> tuple[list[str], list[str], str]:
    """What admission says to dry-run creates of what kubeadm creates: refusals, what could not be asked, the rest."""
    refused, unproven, accepted = [], [], []
    for kind, path, body in TRIED:
        document = {"apiVersion": "batch/v1" if kind == "Job" else "v1", "kind": kind, "metadata": _NAME, **body}
        answer = server.request("POST", f"{path}?dryRun=All", body=document)
        if answer.status in (200, 201, 202):
            accepted.append(f"a dry-run create of a {kind} passed")
        elif answer.status == 400 and "does not support dry run" in answer.words:
            # It has side effects, so the server does not call it; a real create it would.
            accepted.append(f"a dry-run create of a {kind} could not be tried: {answer.words}")
        elif answer.status == 403 and _rights.missing(answer.words):
            unproven.append(f"a dry-run create of a {kind}: {_rights.explain(answer.words)}")
        else:
            refused.append(f"a dry-run create of a {kind} was answered {answer.status}: {answer.words}")
    return refused, unproven, "; ".join(accepted)


# Eviction and certificates


def disruption_budgets(budgets: Items, pods: t.Mapping[str, Items] | None, drain: bool) -> _gate.Gate:
    """Budgets that let no Pod of a control plane Node go. *pods*: metadata of each such Node's, None if not known."""
    troubles = []
    for budget in budgets:
        if (budget.get("status") or {}).get("disruptionsAllowed", 0) > 0:
            continue
        if pods is None:
            troubles.append(f"{full_name(budget)} allows no disruption now")
            continue
        held = [
            f"{pod['metadata']['name']} on {node}"
            for node, found in pods.items()
            for pod in found
            if pod["metadata"]["namespace"] == budget["metadata"]["namespace"]
            and evicted(pod)
            # No selector at all selects nothing; an empty one selects every Pod of the namespace.
            and budget["spec"].get("selector") is not None
            and selects(budget["spec"]["selector"], pod["metadata"].get("labels") or {})
        ]
        if held:
            troubles.append(f"{full_name(budget)} allows no disruption now: {told(held)}")
    result = judged(
        "disruption_budgets",
        troubles,
        f"{len(budgets)} budgets; none keeps a Pod on a control plane Node",
        "Bring up another Pod of the same budget elsewhere, or mend those that are not ready; a drain would wait for "
        "it.",
        _gate.BLOCKING if drain else _gate.WARNING,
    )
    if troubles and pods is None:
        result.observed += "; on which Nodes its Pods are is not known, as the right to list pods is missing"
    if troubles and not drain:
        result.observed += "; control_plane_drain is off, so nothing is evicted"
    return result


def evicted(pod: Document) -> bool:
    """Whether a drain evicts it: not a static Pod's mirror, not one of a DaemonSet."""
    metadata = pod["metadata"]
    owners = {owner["kind"] for owner in metadata.get("ownerReferences") or []}
    return not owners & {"DaemonSet", "Node"} and "kubernetes.io/config.mirror" not in (
        metadata.get("annotations") or {}
    )


def pending_csrs(items: Items) -> _gate.Gate:
    waiting = [
        f"{item['metadata']['name']} of {item['spec'].get('username', '')} for {item['spec'].get('signerName', '')}"
        for item in items
        if not (item.get("status") or {}).get("conditions") and not (item.get("status") or {}).get("certificate")
    ]
    return judged(
        "pending_csrs",
        [f"{len(waiting)} wait: {told(waiting)}"] if waiting else [],
        f"none of {len(items)} waits",
        "Look at each with kubectl describe csr, then approve or deny it; a kubelet's restart asks for more of them.",
    )


def kubelet_client_binding(
    driver: str, target: _version.Version, binding: t.Callable[[], Document | None]
) -> _gate.Gate:
    """Without it the servers can't reach the kubelets (logs, exec) from the first new certificate on."""
    id_ = "kubelet_client_binding"
    if driver != "kubeadm":
        return skipped(id_, "the driver is not kubeadm")
    if target.patch < BINDING_SINCE.get(target.release, 0) or (target.major, target.minor) < (1, 35):
        return skipped(id_, f"the kubeadm of {target} leaves the certificate in the group that may")
    found = binding()
    make = f"kubectl create clusterrolebinding {BINDING} --clusterrole={BINDING_ROLE} --user={BINDING_USER}"
    if found is None:
        return gate(
            id_,
            _gate.FAILED,
            f"the ClusterRoleBinding {BINDING} is not there; kubeadm {target} makes it only after it has renewed the "
            "first node's certificate, so logs and exec through that server are refused for a while",
            f"{make}. It does no harm before the upgrade.",
        )
    role = found["roleRef"].get("name", "")
    users = [each.get("name", "") for each in found.get("subjects") or [] if each.get("kind") == "User"]
    if role != BINDING_ROLE:
        return gate(
            id_,
            _gate.FAILED,
            f"it refers to {role or 'nothing'}, expected {BINDING_ROLE}; kubeadm upgrade apply can't change that",
            f"kubectl delete clusterrolebinding {BINDING}, then {make}.",
            _gate.BLOCKING,
        )
    return judged(
        id_,
        [] if BINDING_USER in users else [f"it names {told(users) or 'no user'}, expected {BINDING_USER}"],
        f"it gives {BINDING_USER} {BINDING_ROLE}",
        f"kubectl delete clusterrolebinding {BINDING}, then {make}.",
    )


# Rights


def rights(reading: Reading) -> _gate.Gate:
    """Whether what the versions will differ in can be asked for: the servers answer that before they know the resource.

    A server that lacks a resource says 403 to who may not read it and 404 to who may, so nothing has to be there.
    """
    found = reading.difference
    asked = 0
    refusals: dict[str, list[str]] = {}
    strange = []
    for text, names in found.new.items():
        resource = _discovery.Resource(*text.split("/"))
        for query in ("limit=1", f"watch=true&timeoutSeconds={_watch.SECONDS}"):
            answers = _api.at_once(
                {
                    name: functools.partial(
                        reading.servers[name].request, "GET", f"{resource.path}?{query}", _probes.HEADER_LOCAL
                    )
                    for name in names
                }
            )
            for name, answer in answers.items():
                asked += 1
                if answer.status == 403:
                    refusals.setdefault(_rights.explain(answer.words), []).append(name)
                elif answer.status not in (200, 404):
                    strange.append(f"{name}: {resource} answered {answer.status or 'nothing'}: {answer.words}")
    troubles = [f"{words}, by {', '.join(names)}" for words, names in refusals.items()]
    refused, could_not, writes = ask_writes(reading) if reading.params["write_probes"] else ([], [], "")
    troubles += refused
    strange += could_not
    what = "the right to list and watch " + ", ".join(found.new) if found.new else "no new resources to read"
    good = f"{what}, asked {asked} times" if asked else what
    good += f"; {writes or 'rights to write can be asked by a write only (control_plane_write_probes)'}"
    strange += [*(found.unknown if found.source == _served.UNKNOWN else ()), *reading.unread]
    if troubles:
        return gate("rights", _gate.FAILED, "; ".join(dict.fromkeys(troubles)), GRANT)
    if strange:
        return gate("rights", _gate.UNPROVEN, "; ".join(dict.fromkeys(strange)), GRANT)
    if found.unknown:
        good += f"; not known: {'; '.join(found.unknown)}"
    return gate("rights", _gate.PASSED, good)


GRANT = (
    "Grant what docs/rbac has: reader.yaml to read, upgrade.yaml for what the job writes, write-probes.yaml for "
    "control_plane_write_probes. What can't be known before is found by requests_proxied once the versions differ."
)


def ask_writes(reading: Reading) -> tuple[list[str], list[str], str]:
    """The job's own writes and its dry-run creates, by access reviews: refused, could not be asked, what was asked."""
    reviews = [
        {"namespace": "kube-system", "group": group, "resource": resource, "name": name, "verb": verb}
        for group, resource, name, verbs in WRITES
        if resource != "configmaps" or reading.params["driver"] == "kubeadm"
        for verb in verbs
    ]
    for text in reading.difference.new:
        group, version, resource = text.split("/")
        # In every namespace, as which of these have one is not known yet.
        reviews.append({"group": group, "version": version, "resource": resource, "verb": "create"})
    refused, could_not = [], []
    for attributes in reviews:
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = reading.endpoint.request("POST", ACCESS_REVIEWS, body=body)
        what = f"{attributes['verb']} {attributes['resource']} in the API group {attributes['group'] or 'core'}"
        if attributes.get("name"):
            what += f" named {attributes['name']}"
        if attributes.get("namespace"):
            what += f" in the namespace {attributes['namespace']}"
        if answer.status not in (200, 201):
            could_not.append(f"{what}: {answer.status}: {answer.words}")
        elif not answer.json()["status"].get("allowed"):
            refused.append(f"the right to {what} is missing")
    return refused, could_not, f"{len(reviews)} rights to write, asked by access reviews"


# All of them


def of_control_plane(reading: Reading) -> dict[str, Items]:
    """Metadata of the Pods on this inventory's Nodes; what is over is left out, and what is in a Pod is not read."""
    nodes = by_hostname(reading.nodes)
    here = [node["node_hostname"] for node in reading.params["nodes"]]
    names = [nodes[hostname]["metadata"]["name"] for hostname in here if hostname in nodes]
    found: dict[str, Items] = {}
    for name in names:
        fields = urllib.parse.quote(f"spec.nodeName={name},status.phase!=Succeeded,status.phase!=Failed")
        document = reading.endpoint.get(f"/api/v1/pods?fieldSelector={fields}", headers={"Accept": METADATA})
        found[name] = list(document.get("items") or [])
    return found


def checks(reading: Reading) -> dict[str, t.Callable[[], list[_gate.Gate]]]:
    """Every check of an upgrade that this file has, by its gate."""
    params, endpoint = reading.params, reading.endpoint

    def metrics() -> dict[str, str | _api.ApiError]:
        return _api.at_once(
            {name: functools.partial(server.get_text, "/metrics") for name, server in reading.servers.items()}
        )

    def listed() -> set[str]:
        return {
            text
            for text in reading.difference.removed
            if not stays_as(_discovery.Resource(*text.split("/")), reading.difference, reading.own)
        }

    def admission() -> list[_gate.Gate]:
        labels = endpoint.get("/api/v1/namespaces/kube-system")["metadata"].get("labels") or {}
        found = [
            webhook for kind, path in WEBHOOKS.items() for webhook in strict_webhooks(kind, reading.items(path), labels)
        ]
        tried = try_creates(endpoint) if params["write_probes"] else None
        return webhooks(found, reading.ready_endpoints, tried)

    def budgets() -> _gate.Gate:
        if not set(by_hostname(reading.nodes)) & {node["node_hostname"] for node in params["nodes"]}:
            return skipped("disruption_budgets", "the control plane has no Nodes, so no Pods")
        pods: dict[str, Items] | None
        try:
            pods = of_control_plane(reading)
        except _api.ApiError as error:
            # Who drains may list Pods; who does not, need not be let see what is in them.
            if params["drain"] or error.status != 403:
                raise
            pods = None
        return disruption_budgets(reading.items(BUDGETS), pods, params["drain"])

    def of_kubelets() -> _gate.Gate:
        if not params["kubelets"]:
            return skipped("nodes_ready", "the job touches no kubelet")
        return nodes_ready(params, reading.nodes)

    every: dict[str, t.Callable[[], _gate.Gate | list[_gate.Gate]]] = {
        "version_hop": lambda: version_hop(params),
        "version_skew": lambda: version_skew(params, reading.nodes, reading.found(KUBE_PROXY)),
        "nodes_ready": of_kubelets,
        # Before what follows asks for the like itself.
        "deprecated_apis": lambda: deprecated_apis(reading.target, metrics(), listed()),
        "removed_apis": lambda: removed_apis(reading),
        "crd_stored_versions": lambda: crd_stored_versions(reading.crds, reading.ready_endpoints),
        "webhooks": admission,
        "apiservices": lambda: apiservices(reading.discovery, endpoint.get(_registrations.APISERVICES)),
        "disruption_budgets": budgets,
        "pending_csrs": lambda: pending_csrs(reading.items(CSRS)),
        "rights": lambda: rights(reading),
        "kubelet_client_binding": lambda: kubelet_client_binding(
            params["driver"], reading.target, lambda: reading.found(BINDING_PATH)
        ),
    }
    if params["job"] != "upgrade":
        every = {"nodes_ready": of_kubelets}
    severities = {"disruption_budgets": _gate.BLOCKING} if params["drain"] else {}
    return {id_: functools.partial(readable, id_, check, severities.get(id_, "")) for id_, check in every.items()}


def readable(id_: str, check: t.Callable[[], _gate.Gate | list[_gate.Gate]], severity: str) -> list[_gate.Gate]:
    """What can't be read leaves its own gate unproven, with the right that is missing."""
    try:
        found = check()
    except _api.ApiError as error:
        return [
            gate(
                id_,
                _gate.UNPROVEN,
                words_of(error),
                "Give the kubeconfig's user the right named (docs/rbac/reader.yaml has it), or mend the server named.",
                severity,
            )
        ]
    return found if isinstance(found, list) else [found]
