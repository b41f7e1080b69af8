# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What can be wrong with a Mixed Version Proxy, told from what was gathered.

One pure function a cause: it takes the facts and gives findings, each with evidence that quotes what was seen. None
of them asks anything, so each can be held against recorded facts. A server that is down or not ready is no cause of
the proxy's: it is a note, so that it is neither hidden nor blamed on something else.

Sources: KEP-4020; k8s.io/apiserver ``pkg/util/peerproxy``, ``pkg/reconcilers`` and
``pkg/authentication/request/x509``; k8s.io/kubernetes ``pkg/controlplane/apiserver``.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _discovery,
    _leases,
    _metrics,
    _proxy,
    _version,
)
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _verdicts, _x509
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._evidence import (
    CERTAIN,
    LIKELY,
    POSSIBLE,
    Entry,
    Facts,
    Finding,
    Pair,
    advertised,
    answers_as_another,
    blamed,
    described,
    expected_leases,
    fingerprint,
    is_open,
    leads_astray,
    listed,
    other,
    own_addresses,
    reached,
    restart_words,
    same_machine,
    unknown_hosts,
)

#: A label's value, as which the Lease carries the host name, may be this long.
LONGEST_HOSTNAME = 63
#: Peers fetch a new server's discovery only after some tries; before that it is not stale.
SETTLED_SECONDS = 60.0
#: Beyond what reading the clock took, seconds.
CLOCK_TOLERANCE = 2.0
#: OpenSSL's codes for a certificate that no CA given signed: self-signed, or without an issuer.
UNTRUSTED = (18, 19, 20, 21)


# The causes, in the order in which one may be behind another.


def address_is_load_balancer(facts: Facts) -> list[Finding]:
    """The inventory's address of a server leads to several, so nothing read there is about that server."""
    found = []
    addresses: dict[str, list[str]] = {}
    for name, proxy in facts.proxies.items():
        if proxy.get("address"):
            addresses.setdefault(str(proxy["address"]), []).append(name)
    serving = {
        fingerprint(certificate): name
        for name in facts.nodes
        for certificate in facts.certificates(name, "serving")[:1]
    }
    own_files = len(serving) == len([name for name in facts.nodes if facts.certificates(name, "serving")])
    for name, proxy in facts.proxies.items():
        address = str(proxy.get("address") or "")
        looked = (facts.seen.get("addresses") or {}).get(name) or {}
        shown, starts = list(looked.get("certificates") or []), list(looked.get("starts") or [])
        evidence = ""
        if len(addresses.get(address, [])) > 1:
            evidence = f"{listed(addresses[address])} all have the address {address}"
        elif len(set(shown)) > 1:
            who = listed(serving.get(mark, f"sha256 {mark[:12]}") for mark in shown)
            evidence = f"{len(shown)} new connections to {address} met {len(set(shown))} certificates, of {who}"
        elif len(set(starts)) > 1:
            evidence = f"{len(starts)} new connections to {address} met servers with {len(set(starts))} start times"
        elif own_files and shown and serving.get(shown[0], name) != name:
            evidence = f"{address} shows the serving certificate of {serving[shown[0]]}"
        if evidence:
            own = [str(item) for item in facts.nodes.get(name, {}).get("addresses") or []]
            found.append(
                Finding(
                    "address_is_load_balancer",
                    name,
                    evidence + (f"; the node's own addresses are {', '.join(own)}" if own else ""),
                    f"Give {name} its own address: control_plane_api_address "
                    f"{facts.flags(name).get('advertise-address') or 'IP of the node'}:"
                    f"{facts.flags(name).get('secure-port') or '6443'} in its host variables, or none, so that its "
                    "Lease tells it.",
                )
            )
    return found


def duplicate_hostname(facts: Facts) -> list[Finding]:
    """Servers name their Lease by the host name, so two of one name take each other for themselves."""
    found = []
    first: dict[str, str] = {}
    for name, node in facts.nodes.items():
        hostname = node["hostname"]
        known = first.setdefault(hostname, name)
        if known == name or same_machine(facts.nodes[known], node):
            continue
        addresses = [listed(map(str, facts.nodes[who].get("addresses") or ["unknown"])) for who in (known, name)]
        found.append(
            Finding(
                "duplicate_hostname",
                name,
                f"{known} ({addresses[0]}) and {name} ({addresses[1]}) both have the host name {hostname}, so both "
                f"servers are the Lease {_leases.server_id(hostname)} and neither takes the other for a peer",
                f"Give {name} a host name of its own (hostnamectl set-hostname), restart kube-apiserver there, and "
                "start diagnose again.",
                peer=known,
            )
        )
    return found


def hostname_too_long(facts: Facts) -> list[Finding]:
    """The host name becomes a label of the Lease; one that is too long is refused, and there is no Lease."""
    return [
        Finding(
            "hostname_too_long",
            name,
            f"the host name {node['hostname']} has {length} bytes; the Lease carries it as a label of at most "
            f"{LONGEST_HOSTNAME}, so this server has none and no peer knows it",
            f"Give {name} a host name of at most {LONGEST_HOSTNAME} bytes (hostnamectl set-hostname) and restart "
            "kube-apiserver there; up to 1.36 it must be killed for that.",
        )
        for name, node in facts.nodes.items()
        for length in [len(node["hostname"].encode())]
        if length > LONGEST_HOSTNAME
    ]


def gate_by_flags(flags: t.Mapping[str, str], version: str) -> bool | None:
    """Whether flags and version switch the gate on; ``None`` if they do not tell."""
    for part in flags.get("feature-gates", "").strip("[]").replace(" ", ",").split(","):
        gate, dummy, value = part.partition("=")
        if gate.rpartition(":")[2] == _metrics.GATE:
            return value.lower() == "true"
    try:
        parsed = _version.parse(version)
    except ValueError:
        return None
    return (parsed.major, parsed.minor) >= _proxy.GATE_DEFAULT_ON


def gate_off(facts: Facts) -> list[Finding]:
    if len(facts.names) < 2:
        return []
    found = []
    for name in facts.names:
        flags = facts.flags(name)
        told = [f"--{flag}={flags[flag]}" for flag in ("feature-gates", "emulated-version") if flags.get(flag)]
        proxy = facts.proxies.get(name, {})
        version = str(proxy.get("version") or facts.nodes.get(name, {}).get("components", {}).get("kube-apiserver", ""))
        emulated = str(proxy.get("emulated_version") or "")
        mend = (
            f"Take {_metrics.GATE}=false out of --feature-gates of kube-apiserver on {name}"
            if f"{_metrics.GATE}=false" in flags.get("feature-gates", "")
            else f"Raise --emulated-version of kube-apiserver on {name}, or set --feature-gates={_metrics.GATE}=true"
            if flags.get("emulated-version")
            else f"Set --feature-gates={_metrics.GATE}=true and --peer-ca-file together on {name}"
        )
        if facts.answers(name) and not proxy["gate"]:
            evidence = (
                f'kubernetes_feature_enabled{{name="{_metrics.GATE}"}} is 0 on {name} ({version}'
                + (f", emulating {emulated}" if emulated and not version.startswith(f"v{emulated}.") else "")
                + f"); {' and '.join(told) or 'its flags do not name it, so its release decides'}"
            )
            found.append(Finding("gate_off", name, evidence, f"{mend} and restart it."))
        elif facts.down(name) and flags.get("peer-ca-file") and gate_by_flags(flags, version) is False:
            # Such a server refuses to start, so nobody can ask it.
            found.append(
                Finding(
                    "gate_off",
                    name,
                    f"{name} does not answer, and it is to start with --peer-ca-file={flags['peer-ca-file']} and "
                    f"{' and '.join(told) or version}: it refuses that flag while the gate is off",
                    f"{mend}, or take --peer-ca-file out, and restart it.",
                    confidence=LIKELY,
                )
            )
    return found


def flag_missing(facts: Facts) -> list[Finding]:
    if len(facts.names) < 2:
        return []
    found = []
    for name, proxy in facts.proxies.items():
        if not facts.answers(name) or proxy["hook"] or proxy["state"] == "impaired":
            continue
        if facts.flags(name).get("peer-ca-file"):
            continue
        found.append(
            Finding(
                "flag_missing",
                name,
                f"{name} runs without --peer-ca-file, and its /readyz?verbose has no poststarthook/{_proxy.HOOK}: "
                + ("the gate is on, the proxy inert" if proxy["gate"] else "and the gate is off as well"),
                "Start mixedversion.kubernetes.proxy, which sets --peer-ca-file on one server after the other; "
                "upgrade does it by itself.",
                root=bool(proxy["gate"]),
            )
        )
    return found


def advertise_incomplete(facts: Facts) -> list[Finding]:
    found = []
    for name in facts.names:
        flags = facts.flags(name)
        given = {flag: flags.get(flag, "") for flag in ("peer-advertise-ip", "peer-advertise-port")}
        have = [flag for flag, value in given.items() if value]
        if len(have) != 1:
            continue
        lacks = next(flag for flag in given if flag != have[0])
        told = facts.proxies.get(name, {}).get("lease_address") or facts.address(name)
        found.append(
            Finding(
                "advertise_incomplete",
                name,
                f"{name} has --{have[0]}={given[have[0]]} and no --{lacks}: the server ignores one without the other, "
                f"says nothing, and is announced as {told}",
                f"Set --{lacks} on {name} as well, or take --{have[0]} out, and restart kube-apiserver there.",
            )
        )
    return found


def advertise_unreachable(facts: Facts) -> list[Finding]:
    failing: dict[str, list[tuple[str, Entry]]] = {}
    for source, peer, entry in facts.pairs():
        if is_open(entry) or facts.down(peer) or not advertised(facts, peer):
            continue
        if (not reached(entry) and leads_astray(facts, peer)) or (
            entry["stage"] == "tls" and answers_as_another(facts, peer, entry)
        ):
            failing.setdefault(peer, []).append((source, entry))
    found = []
    for name, tried in failing.items():
        flags = facts.flags(name)
        own = listed(map(str, facts.nodes.get(name, {}).get("addresses") or []))
        found.append(
            Finding(
                "advertise_unreachable",
                name,
                f"{name} has --peer-advertise-ip={flags['peer-advertise-ip']} and "
                f"--peer-advertise-port={flags['peer-advertise-port']}, and from "
                f"{listed(who for who, dummy in tried)} it is not reached: {tried[0][1]['error']}"
                + (f"; the node's own addresses are {own}" if own else ""),
                f"Set both flags on {name} to an address its peers reach, or take both out, so that "
                f"{flags.get('advertise-address') or 'the advertised address'}:{flags.get('secure-port') or '6443'} "
                "is used, and restart kube-apiserver there.",
            )
        )
    return found


def cut(facts: Facts, kinds: t.Collection[str]) -> list[tuple[str, str, Entry]]:
    """The pairs without a connection though the peer's server is there, and its address is its own."""
    return [
        (source, peer, entry)
        for source, peer, entry in facts.pairs()
        if not reached(entry)
        and (entry.get("kind") or "filtered") in kinds
        and not facts.down(peer)
        and not leads_astray(facts, peer)
    ]


def way_closed(facts: Facts, cause: str, kinds: t.Collection[str], what: str, mend: str) -> list[Finding]:
    """peer_filtered and peer_refused: the peer is there, and the way to it is not."""
    tried = {(source, peer): entry for source, peer, entry in cut(facts, kinds)}
    found = []
    for name, pairs in blamed(tried, prefer=0):
        sources, peers = listed(source for source, dummy in pairs), listed(peer for dummy, peer in pairs)
        peer = other(name, pairs)
        entry = tried[pairs[0]]
        addresses = listed(tried[pair]["address"] for pair in pairs)
        proof = []
        for target in dict.fromkeys(target for dummy, target in pairs):
            own = facts.entry(target, target)
            if own is not None and reached(own):
                proof.append(f"on {target} itself it is reached")
            elif own is not None:
                proof.append(f"not even on {target} itself is it reached")
            if facts.answers(target):
                proof.append(f"{target} answers the API's reader")
        found.append(
            Finding(
                cause,
                name,
                f"from {sources} to {peers} ({addresses}): {entry['error']}"
                + (f"; {', '.join(proof)}" if proof else ""),
                f"{what} Look at {sources} and {peers} for a rule on port "
                f"{entry['address'].rpartition(':')[2]} (iptables -S, nft list ruleset) and at what lies between "
                f"them, and {mend}. A peer stays unknown for as long again after that: "
                "start diagnose with control_plane_repair=true.",
                peer=peer,
                confidence=CERTAIN if proof else LIKELY,
            )
        )
    return found


def peer_filtered(facts: Facts) -> list[Finding]:
    return way_closed(
        facts,
        "peer_filtered",
        ("filtered", "timeout"),
        "Packets are dropped on the way.",
        "let the port through",
    )


def peer_refused(facts: Facts) -> list[Finding]:
    return way_closed(
        facts,
        "peer_refused",
        ("refused", "unreachable"),
        "Something answers the connection with a refusal, and it is not the server's being down.",
        "let the port through, or make the server listen on that address (--bind-address)",
    )


def peer_ca_mismatch(facts: Facts) -> list[Finding]:
    tried: dict[Pair, Entry] = {}
    for source, peer, entry in facts.pairs():
        if not facts.flags(source).get("peer-ca-file"):
            continue
        unread = entry.get("chains") is None and entry.get("verify_code") in UNTRUSTED
        astray = advertised(facts, peer) and answers_as_another(facts, peer, entry)
        if (entry.get("chains") is False or unread) and not astray:
            tried[source, peer] = entry
    found = []
    for name, pairs in blamed(tried, prefer=0):
        source, peer = pairs[0]
        shown = _x509.load_all(tried[pairs[0]].get("pem") or "")
        path = facts.flags(source)["peer-ca-file"]
        ca = facts.certificates(source, "peer_ca")
        evidence = f"{path} on {source}" + (f" ({described(ca)})" if ca else "") + " did not sign "
        evidence += f"the certificate that {listed(target for dummy, target in pairs)} "
        evidence += "shows" if len({target for dummy, target in pairs}) == 1 else "show"
        if shown:
            evidence += f" (issuer {shown[0].issuer.rfc4514_string()})"
        if len({who for who, dummy in pairs}) > 1:
            evidence += f"; the same from {listed(who for who, dummy in pairs)}"
        wrong_peer = name == peer and name != source
        found.append(
            Finding(
                "peer_ca_mismatch",
                name,
                f"{evidence}; {tried[pairs[0]]['error'] or 'TLS was not verified by it'}",
                f"Let --tls-cert-file of {name} be signed by the CA the others have as --peer-ca-file, or add its CA "
                "to theirs."
                if wrong_peer
                else f"Set --peer-ca-file on {name} to the CA that signed the servers' certificates (kubeadm's is "
                "/etc/kubernetes/pki/ca.crt), or add it to that file, and restart kube-apiserver there.",
                peer=other(name, pairs),
                confidence=CERTAIN if tried[pairs[0]].get("chains") is False else LIKELY,
            )
        )
    return found


def serving_name_missing(facts: Facts) -> list[Finding]:
    found = []
    for name in facts.names:
        shown = [
            entry
            for entries in facts.peers.values()
            for peer, entry in entries.items()
            if peer == name
            and entry.get("pem")
            and not (advertised(facts, name) and answers_as_another(facts, name, entry))
        ]
        certificates = _x509.load_all(shown[0]["pem"]) if shown else facts.certificates(name, "serving")
        if not certificates or _x509.has_name(certificates[0], _x509.SERVER_NAME):
            continue
        names = ", ".join(_x509.names(certificates[0])) or "no name"
        path = facts.flags(name).get("tls-cert-file") or "its file"
        found.append(
            Finding(
                "serving_name_missing",
                name,
                f"the serving certificate of {name} ({path}) is for {names}, not for {_x509.SERVER_NAME}, by which "
                "every peer verifies it",
                f"Renew it with the name {_x509.SERVER_NAME} (with kubeadm: move apiserver.crt and apiserver.key away, "
                f"then kubeadm init phase certs apiserver) and {restart_words(name)}.",
                confidence=CERTAIN if shown else LIKELY,
            )
        )
    return found


def front_proxy_expired(facts: Facts) -> list[Finding]:
    found = []
    for name in facts.nodes:
        certificates = facts.certificates(name, "front_proxy_client")
        trouble = _x509.validity(certificates[0], facts.now) if certificates else ""
        if not trouble:
            continue
        refused = sorted({peer for who, peer, entry in facts.pairs() if who == name and entry["status"] == 401})
        found.append(
            Finding(
                "front_proxy_expired",
                name,
                f"{facts.path(name, 'front_proxy_client')} on {name} ({_x509.subject(certificates[0])}) {trouble}"
                + (f"; answered 401 by {listed(refused)}" if refused else ""),
                f"Renew it on {name} (with kubeadm: kubeadm certs renew front-proxy-client); the server reads it anew "
                "by itself.",
                confidence=CERTAIN if refused else LIKELY,
            )
        )
    return found


def requestheader_ca_differs(facts: Facts) -> list[Finding]:
    tried: dict[Pair, Entry] = {}
    for source, peer, entry in facts.pairs():
        certificates = facts.certificates(source, "front_proxy_client")
        bundle = facts.certificates(peer, "requestheader_ca")
        if not certificates or not bundle or _x509.authority(certificates[0], bundle):
            continue
        # Where it was answered 200, an intermediate in the file may make it good; or else the clients' CA signed it,
        # and the answer was to the certificate's own name instead of the user it vouches for.
        if not is_open(entry) or _x509.authority(certificates[0], facts.certificates(peer, "client_ca")):
            tried[source, peer] = entry
    found = []
    for name, pairs in blamed(tried, prefer=1):
        # The CA of the one that is blamed, if it was held against anybody's certificate.
        source, peer = next((pair for pair in pairs if pair[1] == name), pairs[0])
        shown = facts.certificates(source, "front_proxy_client")[:1]
        ca = facts.certificates(peer, "requestheader_ca")
        path = facts.flags(peer).get("requestheader-client-ca-file") or "the requestheader CA"
        statuses = sorted({str(entry["status"]) for pair, entry in tried.items() if pair in pairs and entry["status"]})
        found.append(
            Finding(
                "requestheader_ca_differs",
                name,
                f"{path} on {peer}"
                + (f" ({described(ca)})" if ca else "")
                + f" did not sign the front proxy's client certificate of {source}"
                + (f" (issuer {shown[0].issuer.rfc4514_string()})" if shown else "")
                + (f"; so for {len(pairs)} pairs of {name}" if len(pairs) > 1 else "")
                + (f"; answered {' and '.join(statuses)}" if statuses else ""),
                f"Make --requestheader-client-ca-file and --proxy-client-cert-file of {name} come from the CA that the "
                f"other servers have (kubeadm's is /etc/kubernetes/pki/front-proxy-ca.crt, one for all nodes), and "
                f"{restart_words(name)}.",
                peer=other(name, pairs),
                confidence=CERTAIN if "401" in statuses else LIKELY,
            )
        )
    return found


def allowed_names(flags: t.Mapping[str, str]) -> list[str]:
    """``--requestheader-allowed-names`` as a list; /flagz prints it in brackets."""
    given = flags.get("requestheader-allowed-names", "").strip("[]").replace(" ", ",")
    return [name for name in (part.strip("\"'") for part in given.split(",")) if name]


def front_proxy_name_not_allowed(facts: Facts) -> list[Finding]:
    tried: dict[Pair, str] = {}
    for source, peer, dummy in facts.pairs():
        names = allowed_names(facts.flags(peer))
        certificates = facts.certificates(source, "front_proxy_client")
        if certificates and names:
            name = _x509.common_name(certificates[0])
            if name not in names:
                tried[source, peer] = name
    found = []
    for name, pairs in blamed(tried, prefer=1):
        source, peer = pairs[0]
        entry = facts.entry(source, peer) or {}
        allowed = ",".join(allowed_names(facts.flags(peer)))
        sources, peers = listed(who for who, dummy in pairs), listed(who for dummy, who in pairs)
        found.append(
            Finding(
                "front_proxy_name_not_allowed",
                name,
                f"the front proxy's client certificate of {sources} has the common name {tried[pairs[0]]}; {peers} has "
                f"--requestheader-allowed-names={allowed}"
                + (f" and answers {entry['status']}" if entry.get("status") else ""),
                f"Renew --proxy-client-cert-file of {sources} with an allowed common name (with kubeadm: kubeadm certs "
                f"renew front-proxy-client), or add {tried[pairs[0]]} to --requestheader-allowed-names on {peers} and "
                "restart kube-apiserver there.",
                peer=other(name, pairs),
                confidence=CERTAIN if entry.get("status") in (401, 403) else LIKELY,
            )
        )
    return found


def discovery_forbidden(facts: Facts) -> list[Finding]:
    forbidden = [(source, peer, entry) for source, peer, entry in facts.pairs() if entry["status"] == 403]
    allowed = [entry for dummy, dummy2, entry in facts.pairs() if entry["status"] == 200]
    found = facts.seen.get("discovery") or {}
    words = str(found.get("words") or "")
    if not forbidden and (allowed or not words):
        return []
    heard = ""
    if forbidden:
        source, peer, entry = forbidden[0]
        heard = f"{peer}, asked from {source} as system:apiserver: {entry['error']}"
    return [
        Finding(
            "discovery_forbidden",
            "",
            "; ".join(part for part in (words, heard) if part),
            "kubectl delete clusterrolebinding system:discovery --ignore-not-found, then kubectl create "
            "clusterrolebinding system:discovery --clusterrole=system:discovery --group=system:authenticated; the next "
            "start of any server writes role and binding anew too, unless they say autoupdate=false.",
            confidence=CERTAIN if words and forbidden else LIKELY,
        )
    ]


def dead_lease(facts: Facts) -> list[Finding]:
    found = []
    unread = unknown_hosts(facts)
    for lease in dead_leases(facts):
        # A host that was given another name leaves its former Lease behind.
        renamed = next((name for name in facts.nodes if lease["address"] in own_addresses(facts, name)), "")
        evidence = (
            f"the Lease {lease['name']} of {lease['hostname'] or 'no host name'} ({lease['address'] or 'no address'}) "
            f"was not renewed for {lease['age_seconds']:.0f} s, of 10 wanted, and no server of the inventory has it"
        )
        if renamed:
            evidence += f"; {lease['address']} is {renamed}, whose host name is {facts.nodes[renamed]['hostname']} now"
        elif lease.get("words"):
            evidence += f"; {lease['words']}"
        if unread:
            evidence += f"; it might be that of {listed(unread)}, which could not be read"
        found.append(
            Finding(
                "dead_lease",
                lease["hostname"] or lease["name"],
                evidence,
                f"kubectl -n kube-system delete lease {lease['name']}, or start diagnose with "
                "control_plane_repair=true, once that server is gone for good.",
                confidence=POSSIBLE if unread else LIKELY if lease.get("answers") and not renamed else CERTAIN,
                root=not renamed,
            )
        )
    return found


def dead_leases(facts: Facts) -> list[Entry]:
    """The Leases nobody renews and no host of the inventory has."""
    return [
        lease
        for lease in facts.seen.get("leases") or []
        if lease["name"] not in expected_leases(facts) and lease["age_seconds"] > _leases.FRESH_SECONDS
    ]


def safe_to_delete(facts: Facts) -> list[str]:
    """The dead Leases that are nobody's for certain; heal_peers looks once more."""
    return [] if unknown_hosts(facts) else [lease["name"] for lease in dead_leases(facts)]


def stale_peer(facts: Facts) -> list[Finding]:
    found = []
    started = {lease["name"]: lease["started_seconds"] for lease in facts.seen.get("leases") or []}
    for stale in facts.seen.get("stale") or []:
        name, peer = stale["server"], stale["peer"]
        entry = facts.entry(name, peer)
        if not facts.proxies.get(name, {}).get("hook"):
            continue
        resources = stale["resources"]
        young = [
            who
            for who in (name, peer)
            if started.get(facts.proxies.get(who, {}).get("lease", ""), SETTLED_SECONDS) < SETTLED_SECONDS
        ]
        errors = sum(
            counter["value"]
            for counter in facts.proxies[name].get("counters") or []
            if isinstance(counter, dict) and counter["name"] == _metrics.SYNC_ERRORS
        )
        if is_open(entry):
            way = f"the way from {name} to {peer} is open ({t.cast(Entry, entry)['seconds'] * 1000:.0f} ms)"
        else:
            way = f"the way to {peer} is {'not open' if entry else 'not known'}"
        found.append(
            Finding(
                "stale_peer",
                name,
                f"the merged discovery of {name} lacks {len(resources)} that {peer} serves itself "
                f"({_discovery.some(resources)}); {way}"
                + (f"; {errors:.0f} failed fetches since {name} started" if errors else "")
                + (f"; {listed(young)} started less than {SETTLED_SECONDS:.0f} s ago" if young else ""),
                "Start diagnose with control_plane_repair=true: it changes the holder of a Lease and back, and every "
                "server fetches its peers at once, without a restart.",
                peer=peer,
                confidence=(POSSIBLE if young else CERTAIN) if is_open(entry) else LIKELY,
                root=is_open(entry),
            )
        )
    return found


def crd_not_established(facts: Facts) -> list[Finding]:
    return [
        Finding(
            "crd_not_established",
            "",
            f"the CustomResourceDefinition {crd['name']} is not Established: {crd['words']}",
            f"kubectl describe crd {crd['name']}; its groups are never proxied, so each server must serve them.",
        )
        for crd in facts.seen.get("crds") or []
    ]


def apiservice_unavailable(facts: Facts) -> list[Finding]:
    return [
        Finding(
            "apiservice_unavailable",
            "",
            f"the APIService {item['name']} is not Available: {item['words']}",
            f"kubectl describe apiservice {item['name']}, and mend the service it names; it is never proxied.",
        )
        for item in facts.seen.get("apiservices") or []
    ]


def clock_skew(facts: Facts) -> list[Finding]:
    """Each node's clock against the controller's, which was read just before and just after it."""
    off: dict[str, float] = {}
    for name, node in facts.nodes.items():
        window = node.get("controller_clock") or []
        if len(window) != 2 or not node.get("clock"):
            continue
        ahead, behind = node["clock"] - window[1], window[0] - node["clock"]
        if max(ahead, behind) > CLOCK_TOLERANCE:
            off[name] = ahead if ahead > 0 else -behind
    action = "Make chrony or systemd-timesyncd run there (timedatectl status, chronyc tracking) and let it catch up."
    if len(off) > 1 and len(off) == len(facts.nodes) and max(off.values()) - min(off.values()) <= CLOCK_TOLERANCE:
        amount = next(iter(off.values()))
        words = f"every node's clock is about {abs(amount):.0f} s {'ahead of' if amount > 0 else 'behind'} this one's"
        return [Finding("clock_skew", "", f"{words}, so it is the controller's that is off", action)]
    return [
        Finding(
            "clock_skew",
            name,
            f"the clock of {name} is {abs(amount):.1f} s {'ahead of' if amount > 0 else 'behind'} the controller's",
            action,
        )
        for name, amount in off.items()
    ]


#: Each cause's judge, in the order in which one may be behind another.
JUDGES: tuple[t.Callable[[Facts], list[Finding]], ...] = (
    address_is_load_balancer,
    duplicate_hostname,
    hostname_too_long,
    gate_off,
    flag_missing,
    advertise_incomplete,
    advertise_unreachable,
    peer_filtered,
    peer_refused,
    peer_ca_mismatch,
    serving_name_missing,
    front_proxy_expired,
    requestheader_ca_differs,
    front_proxy_name_not_allowed,
    discovery_forbidden,
    dead_lease,
    stale_peer,
    crd_not_established,
    apiservice_unavailable,
    clock_skew,
)


def judge(facts: Facts) -> list[Finding]:
    """All findings: roots first, warnings last, and what follows from a root marked so."""
    found = [finding for judged in JUDGES for finding in judged(facts)]
    roots = [
        finding
        for finding in found
        if finding.root and finding.cause not in (*_verdicts.WARNINGS, "stale_peer", "dead_lease")
    ]

    elsewhere = {finding.server for finding in found if finding.cause == "address_is_load_balancer"}

    def follows(finding: Finding) -> bool:
        if finding.cause in ("gate_off", "flag_missing"):
            # It may have been another server that was asked.
            return finding.server in elsewhere
        ends = {finding.server, finding.peer}
        return finding.cause == "stale_peer" and any(
            not root.server or ends & {root.server, root.peer} for root in roots
        )

    told = [dataclasses.replace(finding, root=finding.root and not follows(finding)) for finding in found]
    # Stable: within each class the order of the judges stays.
    return sorted(told, key=lambda finding: (not finding.root, finding.cause in _verdicts.WARNINGS))


def notes(facts: Facts, found: t.Sequence[Finding]) -> list[str]:
    """What is wrong or was not judged, and is no cause of the proxy's: each is a reason not to say "healthy"."""
    told = [] if facts.proxies or not facts.hosts else ["No server was asked, as the API told of none."]
    blamed_servers = {name for finding in found for name in (finding.server, finding.peer)}
    for name in facts.names:
        if name not in facts.nodes:
            told.append(f"{name} could not be read over its connection: its flags and certificates are not judged.")
        proxy = facts.proxies.get(name)
        if proxy is None and facts.proxies and name not in blamed_servers:
            told.append(f"{name} has no identity Lease, and no server was asked for it: start its kube-apiserver.")
        elif facts.down(name) and name not in blamed_servers:
            told.append(
                f"{name} is down: {(facts.entry(name, name) or proxy or {}).get('error')}. Start its kube-apiserver "
                "and read its log."
            )
        elif proxy is not None and proxy.get("error") and name not in blamed_servers:
            told.append(f"{name} could not be asked from where the API is reached: {proxy['error']}.")
        elif proxy is not None and not proxy.get("error") and not proxy["ready"] and name not in blamed_servers:
            told.append(f"{name} is not ready: {', '.join(proxy.get('unready') or []) or 'no reason given'}.")
        elif proxy is not None and not proxy.get("error") and not proxy.get("lease") and name not in blamed_servers:
            told.append(f"{name} answers and has no identity Lease, so no peer knows it: read its log for errors.")
    told += [f"No way was tried from {source}: {words}" for source, words in facts.untried.items()]
    names = list(facts.nodes)
    for position, name in enumerate(names):
        twins = [who for who in names[:position] if same_machine(facts.nodes[who], facts.nodes[name])]
        if twins:
            told.append(f"{name} and {twins[0]} are one machine; name it once in the inventory.")
    explained = {
        (source, peer)
        for source, peer, dummy in facts.pairs()
        for finding in found
        if finding.cause not in _verdicts.WARNINGS
        and (not finding.server or finding.server in (source, peer))
        and (not finding.peer or finding.peer in (source, peer))
    }
    told += [
        f"{source} does not get through to {peer}: {entry['stage']}: {entry['error']}."
        for source, peer, entry in facts.pairs()
        if not is_open(entry) and not facts.down(peer) and (source, peer) not in explained
    ]
    told += [
        f"The server {lease['hostname'] or lease['name']} ({lease['address'] or 'no address'}) renews its Lease and is "
        "not in the inventory."
        for lease in facts.seen.get("leases") or []
        if lease["name"] not in expected_leases(facts) and lease["age_seconds"] <= _leases.FRESH_SECONDS
    ]
    # Where peers do fetch each other's discovery, it does not matter by which binding.
    matters = {"the binding system:discovery": not any(is_open(entry) for dummy, dummy2, entry in facts.pairs())}
    errors = facts.seen.get("errors") or {}
    told += [f"Not judged, {part}: {words}." for part, words in errors.items() if matters.get(part, True)]
    return told
