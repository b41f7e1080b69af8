# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What was gathered of a cluster, in the shape that causes are judged by, and what is asked of it again and again."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
except ImportError:  # ansible-core brings it
    x509 = None  # type: ignore[assignment]

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _leases
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _x509

CERTAIN, LIKELY, POSSIBLE = "certain", "likely", "possible"

Entry = t.Mapping[str, t.Any]
Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One cause. ``root`` is false for what follows from another finding."""

    cause: str
    server: str
    evidence: str
    next_action: str
    peer: str = ""
    confidence: str = CERTAIN
    root: bool = True
    repaired: bool = False

    def dump(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Facts:
    """Everything that was gathered. Names are the inventory's; what could not be read is absent."""

    hosts: t.Sequence[str]
    nodes: t.Mapping[str, Entry]
    proxies: t.Mapping[str, Entry]
    #: By source, then by peer; a source's entry for itself tells whether its server answers on its own node.
    peers: t.Mapping[str, t.Mapping[str, Entry]]
    #: Leases that shall be there beside those of nodes and proxies.
    leases: t.Sequence[str]
    #: What diagnose_info read from the API.
    seen: Entry
    #: Sources from which no way was tried, with the reason.
    untried: t.Mapping[str, str]
    now: datetime.datetime

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys([*self.hosts, *self.nodes, *self.proxies]))

    def flags(self, name: str) -> dict[str, str]:
        """A server's flags: what the process was started with, and what it says itself where that is not known."""
        told = self.proxies.get(name, {}).get("flags") or {}
        return {**told, **(self.nodes.get(name, {}).get("apiserver_flags") or {})}

    def certificates(self, name: str, role: str) -> list[x509.Certificate]:
        """The certificates a node holds in a role; a file that holds none gives none."""
        for found in self.nodes.get(name, {}).get("certificates") or []:
            if found.get("role") == role:
                return _x509.load_all(found["pem"])
        return []

    def path(self, name: str, role: str) -> str:
        entries = self.nodes.get(name, {}).get("certificates") or []
        return next((str(found["path"]) for found in entries if found.get("role") == role), "its file")

    def answers(self, name: str) -> bool:
        """Whether the API's own reader got an answer from the server."""
        return name in self.proxies and not self.proxies[name].get("error")

    def entry(self, source: str, peer: str) -> Entry | None:
        return self.peers.get(source, {}).get(peer)

    def pairs(self) -> list[tuple[str, str, Entry]]:
        """Every ordered pair that was tried."""
        return [
            (source, peer, entry)
            for source, entries in self.peers.items()
            for peer, entry in entries.items()
            if source != peer
        ]

    def down(self, name: str) -> bool:
        """Whether the server itself is away: not even its own node gets through to it.

        Though it answered the API's reader a moment ago: it may have ended since. Only where it is not looked for at
        the same address it may be there and listen elsewhere.
        """
        own = self.entry(name, name)
        if self.answers(name) and (own is None or own["address"] != self.proxies[name].get("address")):
            return False
        if own is not None:
            # Where nothing listens, a host refuses its own packets. It drops them only by a rule.
            return not reached(own) and own["kind"] != "filtered"
        tried = [entry for dummy, peer, entry in self.pairs() if peer == name]
        return bool(tried) and not any(reached(entry) for entry in tried)

    def address(self, name: str) -> str:
        """Where the peers look for the server."""
        tried = [entry for entries in self.peers.values() for peer, entry in entries.items() if peer == name]
        told = next((str(entry["address"]) for entry in tried if entry.get("address")), "")
        return told or str(self.proxies.get(name, {}).get("address") or "its address")


def reached(entry: Entry) -> bool:
    """Whether a connection came about."""
    return bool(entry["stage"] != "tcp")


def is_open(entry: Entry | None) -> bool:
    """Whether the whole way to a peer is proven: connection, TLS, and an answer to the front proxy's certificate."""
    return entry is not None and bool(entry["stage"] == "done" and not entry["error"])


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def described(bundle: t.Iterable[x509.Certificate]) -> str:
    """A CA bundle in a few words; two CAs of one name are told apart by their sums."""
    words = [f"{_x509.subject(ca)}, sha256 {fingerprint(ca)[:12]}" for ca in bundle]
    return " and ".join(words) or "no certificate"


def blamed(pairs: t.Iterable[Pair], prefer: int) -> list[tuple[str, list[Pair]]]:
    """Who explains most of the failing pairs, with those pairs, until none is left.

    A pair alone does not tell which end is wrong. One server that fails with all others does. *prefer* settles a tie:
    0 for the source, 1 for the peer.
    """
    left = list(pairs)
    found = []
    while left:
        ends = list(dict.fromkeys([pair[prefer] for pair in left] + [name for pair in left for name in pair]))
        worst = max(ends, key=lambda name: sum(name in pair for pair in left))
        found.append((worst, [pair for pair in left if worst in pair]))
        left = [pair for pair in left if worst not in pair]
    return found


def other(name: str, pairs: t.Sequence[Pair]) -> str:
    """The one other end, if there is just one."""
    ends = {end for pair in pairs for end in pair} - {name}
    return ends.pop() if len(ends) == 1 else ""


def listed(names: t.Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def restart_words(name: str) -> str:
    return f"restart kube-apiserver on {name} if it is not restarted by that"


def same_machine(one: Entry, two: Entry) -> bool:
    addresses = [set(node.get("addresses") or []) for node in (one, two)]
    return bool(addresses[0]) and addresses[0] == addresses[1]


def advertised(facts: Facts, name: str) -> str:
    """The address set for the peers, where both flags are and the server announces it.

    1.36.4 and 1.37.2 take both flags and announce C(--advertise-address) all the same: ``CreateConfig`` never hands
    them on to ``getPeerAddress`` (k8s.io/kubernetes ``pkg/controlplane/apiserver``). Seen in the Lease and in etcd.
    """
    flags = facts.flags(name)
    address, port = flags.get("peer-advertise-ip", ""), flags.get("peer-advertise-port", "")
    if not address or not port:
        return ""
    given = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return given if facts.proxies.get(name, {}).get("lease_address", given) == given else ""


def leads_astray(facts: Facts, name: str) -> bool:
    """Whether the peers are sent to an address that is not where the server listens."""
    flags = facts.flags(name)
    if not advertised(facts, name) or name not in facts.nodes:
        return False
    own = facts.nodes[name].get("addresses") or []
    return flags["peer-advertise-ip"] not in own or flags["peer-advertise-port"] != flags.get("secure-port", "6443")


def answers_as_another(facts: Facts, peer: str, entry: Entry) -> bool:
    """Whether a peer's address shows a certificate that is not the one on the peer's node."""
    shown, own = _x509.load_all(entry.get("pem") or ""), facts.certificates(peer, "serving")
    return bool(shown and own) and fingerprint(shown[0]) != fingerprint(own[0])


def own_addresses(facts: Facts, name: str) -> list[str]:
    """Every host and port at which a node's server might be."""
    port = facts.flags(name).get("secure-port", "6443")
    own = [str(address) for address in facts.nodes[name].get("addresses") or []]
    return [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in own]


def unknown_hosts(facts: Facts) -> list[str]:
    """The inventory's hosts of which neither the host name nor a server is known."""
    return [name for name in facts.hosts if name not in facts.nodes and not facts.proxies.get(name, {}).get("lease")]


def expected_leases(facts: Facts) -> set[str]:
    """The Leases that the inventory's servers have, or would have."""
    names = {str(proxy["lease"]) for proxy in facts.proxies.values() if proxy.get("lease")}
    return names | set(facts.leases) | {_leases.server_id(node["hostname"]) for node in facts.nodes.values()}
