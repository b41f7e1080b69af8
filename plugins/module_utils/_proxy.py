# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What one look at the servers tells of their proxies: effective flags, hooks, a state with its reason, known peers.

Sources: k8s.io/kubernetes ``pkg/controlplane/apiserver/{config,peer}.go`` (what builds the proxy),
k8s.io/apiserver ``pkg/util/peerproxy`` (hooks, counters), k8s.io/component-base ``zpages/flagz`` (the form of /flagz).
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _discovery, _leases, _metrics

OFF = "off"
GATE_ONLY = "gate_only"
ON = "on"
IMPAIRED = "impaired"

#: There while a proxy was built, and ok once its local caches are filled. It waits for no peer.
HOOK = "mixed-version-proxy-handler"
#: There while the gate is on, with or without a proxy.
GATE_HOOK = "peer-endpoint-reconciler-controller"
#: The proxy's other hooks. The last one is what 1.35 calls the one before it.
HOOKS = (HOOK, GATE_HOOK, "local-discovery-cache-sync", "peer-discovery-workers", "peer-discovery-cache-sync")

#: 1.36 and 1.37 serve v1beta1, a 1.35 whose gate ComponentFlagz is on serves v1alpha1. Plain JSON is refused (406),
#: and the text form separates name and value by a sign chosen at random, so that nobody parses it.
FLAGZ_ACCEPT = ", ".join(
    f"application/json;v={version};g=config.k8s.io;as=Flagz" for version in ("v1beta1", "v1alpha1")
)
#: The flags that decide what a server's proxy does and who can reach it; paths, names and addresses, never a secret.
FLAGS = (
    "peer-ca-file",
    "peer-advertise-ip",
    "peer-advertise-port",
    "proxy-client-cert-file",
    "proxy-client-key-file",
    "requestheader-client-ca-file",
    "requestheader-allowed-names",
    "requestheader-username-headers",
    "requestheader-group-headers",
    "requestheader-extra-headers-prefix",
    "client-ca-file",
    "tls-cert-file",
    "advertise-address",
    "bind-address",
    "secure-port",
    "feature-gates",
    "emulated-version",
    "runtime-config",
)

#: The first minor whose default for the gate is on.
GATE_DEFAULT_ON = (1, 36)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of one server. ``others`` is how many others there are; ``samples`` is none if unreadable."""

    gate: bool
    hooks: t.Mapping[str, str]
    flags: t.Mapping[str, str]
    emulated: str
    lease: _leases.Lease | None
    others: int
    samples: t.Sequence[_metrics.Sample] | None


def hooks(readyz: str) -> dict[str, str]:
    """The proxy's start hooks in what ``/readyz?verbose`` answers, each ``ok`` or ``failed``."""
    found = re.findall(r"^\[([+-])\]poststarthook/(\S+) ", readyz, re.MULTILINE)
    return {name: "ok" if sign == "+" else "failed" for sign, name in found if name in HOOKS}


def effective(flags: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The flags of interest that have a value. A list that a server prints as ``[a,b]`` becomes ``a,b``."""
    result = {}
    for name in FLAGS:
        value = str(flags.get(name) or "").strip()
        if value.startswith("[") and value.endswith("]"):
            value = value[1:-1]
        if value:
            result[name] = value
    return result


def parse_flagz(document: t.Any) -> dict[str, str]:
    """Read a ``Flagz``; a :class:`ValueError` says what was answered instead."""
    if not isinstance(document, dict) or document.get("kind") != "Flagz" or not isinstance(document.get("flags"), dict):
        raise ValueError("expected a Flagz with flags")
    return effective(document["flags"])


def state(facts: Facts) -> tuple[str, str]:
    """One word for how the proxy stands, and why. One look has no delta: a counter's growth is for others to judge."""
    failed = [name for name, word in facts.hooks.items() if word == "failed"]
    if failed:
        return IMPAIRED, f"the hook {', '.join(failed)} fails"
    if HOOK not in facts.hooks:
        if not facts.gate:
            return OFF, _why_off(facts)
        if facts.flags.get("peer-ca-file"):
            return IMPAIRED, f"--peer-ca-file is set and the gate is on, but the hook {HOOK} is missing"
        return GATE_ONLY, "the gate is on, but without --peer-ca-file the server has no proxy"
    if facts.lease is None:
        return IMPAIRED, f"the hook {HOOK} is ok, but the server has no identity Lease, so no peer knows of it"
    if not facts.lease.address:
        return IMPAIRED, f"the hook {HOOK} is ok, but the server's Lease announces no address"
    if not facts.others:
        return ON, f"the hook {HOOK} is ok; there are no peers"
    codes = _metrics.fetch_codes(facts.samples or ())
    if codes and "200" not in codes:
        told = ", ".join(f"{count:.0f} with {code}" for code, count in codes.items())
        return IMPAIRED, f"every fetch of a peer's discovery since the start was answered with an error: {told}"
    return ON, f"the hook {HOOK} is ok; {fetches(facts.samples)}"


def _why_off(facts: Facts) -> str:
    if f"{_metrics.GATE}=false" in facts.flags.get("feature-gates", ""):
        return "the gate is off: --feature-gates says so"
    minor = tuple(int(part) for part in re.findall(r"\d+", facts.emulated)[:2])
    if minor and minor < GATE_DEFAULT_ON:
        return f"the gate is off, the default of {facts.emulated}"
    return "the gate is off"


def fetches(samples: t.Collection[_metrics.Sample] | None) -> str:
    """What the counters tell of the discovery fetched from peers, in words."""
    if samples is None:
        return "its counters could not be read"
    count = _metrics.fetched(samples)
    if not count:
        return "no fetch of a peer's discovery answered 200 since the start"
    if not _metrics.labelled(samples):
        return f"{count:.0f} fetches and proxied requests, not told apart here, answered 200 since the start"
    return f"{count:.0f} fetches of discovery answered 200 since the start"


def counters(samples: t.Iterable[_metrics.Sample]) -> list[dict[str, t.Any]]:
    """The proxy's counters as plain data."""
    return [
        {"name": sample.name, "labels": dict(sample.labels), "value": sample.value}
        for sample in samples
        if sample.name in _metrics.COUNTERS
    ]


def known_peers(
    server: str,
    peers: t.Sequence[str],
    views: t.Mapping[str, _discovery.ServerView],
    excluded: t.AbstractSet[_discovery.GroupVersion],
    fetched: str,
) -> list[dict[str, t.Any]]:
    """Which of its *peers* a server knows, as far as it shows: no API lists them.

    A server's merged discovery adds what its peers serve and it lacks. What only one peer serves therefore tells of
    that peer; what several serve tells that one of them is known, not which. Known is true, false or, where nothing
    tells, null. *fetched* is the evidence of the counters, for peers that serve nothing of their own.
    """
    result: list[dict[str, t.Any]] = []
    # A server that is not to be read might serve anything, so nobody serves something alone while there is one.
    silent = [peer for peer in peers if peer not in views]
    for peer in peers:
        known: bool | None = None
        if server not in views or peer not in views:
            unread = server if server not in views else peer
            result.append({"name": peer, "known": None, "evidence": f"the discovery of {unread} could not be read"})
            continue
        added = set(_discovery.without(views[peer].own, excluded)).difference(views[server].own)
        lacked = sorted(added.difference(views[server].merged))
        shown = sorted(added.intersection(views[server].merged))
        own = [resource for resource in shown if [*_capable(resource, server, views), *silent] == [peer]]
        if lacked:
            known, evidence = False, f"its merged discovery lacks {_told(lacked)}, which {peer} serves"
            if shown:
                evidence += f", though it has {_told(shown)}: what it knows is out of date"
        elif own:
            known, evidence = True, f"its merged discovery has {_told(own)}, which of its peers only {peer} serves"
        elif shown:
            names = ", ".join([*_capable(shown[0], server, views), *silent])
            known, evidence = None, f"its merged discovery has {_told(shown)}: it knows at least one of {names}"
        else:
            known, evidence = None, f"{peer} serves nothing that {server} lacks; {fetched}"
        result.append({"name": peer, "known": known, "evidence": evidence})
    return result


def _capable(resource: _discovery.Resource, server: str, views: t.Mapping[str, _discovery.ServerView]) -> list[str]:
    """Who but *server* serves a resource itself."""
    return [name for name, view in views.items() if name != server and resource in view.own]


def _told(resources: t.Sequence[_discovery.Resource]) -> str:
    more = len(resources) - 1
    return f"{resources[0]}" + (f" and {more} more" if more else "")
