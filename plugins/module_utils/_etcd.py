# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""etcd through its JSON gateway, with the standard library alone: a node has nothing else.

Source: etcd ``api/etcdserverpb/rpc.proto`` (messages and paths), ``server/embed`` (the gateway is on by default).
64-bit integers come as strings, and fields that are zero or false are left out.
"""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import http.client
import ipaddress
import json
import re
import socket
import ssl
import time
import typing as t
import urllib.parse

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node, _tls

#: Seconds for one answer. A paused member takes the connection and never answers; all are asked at once.
TIMEOUT = 5.0
#: A linearizable read waits until the member has written and applied all that was agreed on before. etcd itself calls
#: a sync slow from one second on (``warnSyncDuration`` in its ``wal`` package), and a read may have to wait for two.
SLOW_SECONDS = 2.0
#: Raft entries. The members are not read at the very same time, so a busy cluster shows a few without being behind.
MAX_LAG = 1000
#: Shares of the quota: at the whole of it etcd takes no writes any more, and an upgrade brings some.
QUOTA_HIGH = 0.8
QUOTA_FULL = 0.95
#: Hashing reads the whole store, and the member takes no writes meanwhile. This is etcd's own default quota.
HASH_BYTES = 2 * 1024**3
HASH_TIMEOUT = 60.0
#: Tries to hash all members between two compactions; those of Kubernetes come every five minutes.
HASH_TRIES = 3

OPTIONS: dict[str, dict[str, t.Any]] = {
    "endpoint": {"type": "str", "default": "https://127.0.0.1:2379"},
    "ca_file": {"type": "path", "default": "/etc/kubernetes/pki/etcd/ca.crt"},
    "cert_file": {"type": "path", "default": "/etc/kubernetes/pki/apiserver-etcd-client.crt"},
    "key_file": {"type": "path", "default": "/etc/kubernetes/pki/apiserver-etcd-client.key"},
}


class EtcdError(Exception):
    """etcd did not answer, or answered with an error; the text names the endpoint."""


@dataclasses.dataclass(frozen=True)
class Host:
    """What tells which member is on the host where this code runs."""

    addresses: frozenset[str]
    runs_etcd: bool

    @classmethod
    def read(cls) -> Host:
        return cls(frozenset(_node.addresses()), _node.running("etcd") is not None)

    def has(self, urls: t.Iterable[str]) -> bool:
        """Whether one of *urls* leads to an address of this host other than loopback."""
        return any(address in self.addresses for url in urls for address in resolved(url))


def resolved(url: str) -> list[str]:
    """The IP addresses a URL leads to; none if its name is not known here."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []


def is_loopback(url: str) -> bool:
    return any(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in resolved(url))


@dataclasses.dataclass(frozen=True)
class Status:
    """One member's own view of itself and its cluster."""

    cluster_id: str
    member_id: str
    leader_id: str
    version: str
    raft_term: int
    raft_index: int
    applied_index: int
    revision: int
    size_bytes: int
    in_use_bytes: int
    quota_bytes: int
    learner: bool
    storage_version: str
    errors: tuple[str, ...]
    #: The version that a downgrade under way leads to; empty if none is.
    downgrade: str = ""

    @property
    def alarms(self) -> set[tuple[str, str]]:
        """Alarms of the whole cluster as this member knows them: member's id and kind.

        Asking for them by the method ``alarm`` costs a raft entry even if it only reads; the status carries them too.
        """
        return {(match[1], match[2]) for match in map(ALARM.match, self.errors) if match}

    @property
    def other_errors(self) -> list[str]:
        return [error for error in self.errors if not ALARM.match(error)]

    @property
    def quota_share(self) -> float:
        """How much of the quota the file takes; zero for a member older than 3.6, which does not tell its quota."""
        return self.size_bytes / self.quota_bytes if self.quota_bytes else 0.0


#: 3.6 prints one space there, 3.7 two.
ALARM = re.compile(r"memberID:(\d+)\s+alarm:(\w+)")


@dataclasses.dataclass(frozen=True)
class Member:
    """One member as the list has it, with its status, or with the words why there is none."""

    id: str
    name: str
    client_urls: tuple[str, ...]
    learner: bool
    status: Status | None
    error: str
    peer_urls: tuple[str, ...] = ()
    #: The client URL that it answered at.
    url: str = ""
    #: What a linearizable read at this member took; at least :data:`TIMEOUT` where it did not end.
    read_seconds: float = 0.0

    @property
    def label(self) -> str:
        return self.name or self.id

    @property
    def slow(self) -> bool:
        return self.read_seconds > SLOW_SECONDS


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All members, seen from one of them. ``local_id`` is empty where etcd is external to the host asked from."""

    local_id: str
    members: tuple[Member, ...]

    @property
    def local(self) -> Member | None:
        return next((member for member in self.members if member.id == self.local_id), None)

    @property
    def voters(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if not member.learner)

    @property
    def quorum(self) -> int:
        return len(self.voters) // 2 + 1

    @property
    def answers(self) -> list[tuple[Member, Status]]:
        return [(member, member.status) for member in self.members if member.status]

    @property
    def leaders(self) -> set[str]:
        """The leaders that the answering members name: one, when all is well."""
        return {status.leader_id for dummy, status in self.answers}

    @property
    def leader(self) -> Member | None:
        """The member that all name as leader."""
        return next((member for member in self.members if {member.id} == self.leaders), None)

    @property
    def terms(self) -> set[int]:
        return {status.raft_term for dummy, status in self.answers}

    @property
    def alarms(self) -> list[str]:
        labels = {member.id: member.label for member in self.members}
        found = {alarm for dummy, status in self.answers for alarm in status.alarms}
        return sorted(f"{kind} on {labels.get(member, member)}" for member, kind in found)

    @property
    def downgrade(self) -> str:
        return max((status.downgrade for dummy, status in self.answers), default="")

    @property
    def storage_versions(self) -> list[str]:
        return sorted({status.storage_version for dummy, status in self.answers} - {""})

    @property
    def minors(self) -> list[str]:
        return sorted({status.version.rpartition(".")[0] for dummy, status in self.answers})

    def behind(self, member: Member) -> int:
        """By how many raft entries a member's applied index is behind the newest index of all."""
        newest = max((status.raft_index for dummy, status in self.answers), default=0)
        return newest - member.status.applied_index if member.status else 0

    def lag(self) -> int:
        return max((self.behind(member) for member, dummy in self.answers), default=0)

    def sound(self, member: Member) -> bool:
        """Whether a voter can be counted on: it answers, in time, is not behind, and nothing is raised about it."""
        status = member.status
        if status is None or member.slow or status.other_errors or self.behind(member) > MAX_LAG:
            return False
        return not any(about == member.id for dummy, other in self.answers for about, dummy2 in other.alarms)

    def left(self) -> list[Member]:
        """The voters that can be counted on while the member on this host is away; all such, if none is on it."""
        return [member for member in self.voters if member.id != self.local_id and self.sound(member)]

    def troubles(self) -> list[str]:
        """What keeps this cluster from being called healthy, each with its member; empty when it is."""
        found = [f"{member.label} does not answer: {member.error}" for member in self.members if not member.status]
        found += [f"{member.label} is a learner" for member in self.members if member.learner]
        found += [f"alarm {alarm}" for alarm in self.alarms]
        found += [f"{member.label}: {error}" for member, status in self.answers for error in status.other_errors]
        found += [
            f"{member.label} is slow (its disk, or its way to the leader): a linearizable read "
            + (f"took {member.read_seconds:.1f} s" if not member.error else f"failed: {member.error}")
            for member, dummy in self.answers
            if member.slow
        ]
        found += [
            f"{member.label} is {self.behind(member)} raft entries behind"
            for member, dummy in self.answers
            if self.behind(member) > MAX_LAG
        ]
        found += [
            f"{member.label} has used {status.quota_share:.0%} of its quota of {status.quota_bytes // 2**20} MiB"
            for member, status in self.answers
            if status.quota_share >= QUOTA_FULL
        ]
        if len(self.leaders) != 1 or "0" in self.leaders:
            found.append(f"members name {len(self.leaders - {'0'})} leaders")
        if len(self.terms) > 1:
            found.append(f"members are at the terms {', '.join(map(str, sorted(self.terms)))}")
        if len({status.cluster_id for dummy, status in self.answers}) > 1:
            found.append("members are of different clusters")
        if self.downgrade:
            found.append(f"a downgrade to {self.downgrade} is under way")
        return found

    def changes(self, before: Cluster) -> list[str]:
        """What an earlier look at the same cluster differs in, of what must be stable."""
        if (self.terms, self.leaders) == (before.terms, before.leaders):
            return []
        terms = [", ".join(map(str, sorted(each.terms))) for each in (before, self)]
        return [f"the term went from {terms[0]} to {terms[1]} between two looks: leaders are being elected"]


@dataclasses.dataclass(frozen=True)
class Hashes:
    """Each member's hash of its whole store at one revision. ``reason`` says why there are none to compare.

    ``tried`` is false where nobody asked for them, or the store is too large.
    """

    revision: int
    by_member: dict[str, int]
    reason: str = ""
    tried: bool = True

    @property
    def equal(self) -> bool | None:
        return None if self.reason else len(set(self.by_member.values())) == 1

    def troubles(self) -> list[str]:
        if self.reason:
            return [self.reason] if self.tried else []
        if self.equal:
            return []
        words = ", ".join(f"{name} {value:08x}" for name, value in self.by_member.items())
        return [f"members differ in what they store at revision {self.revision}: {words}"]


class Gateway:
    """The client port of one member."""

    def __init__(self, endpoint: str, ca_file: str, cert_file: str, key_file: str) -> None:
        parts = urllib.parse.urlsplit(endpoint)
        if parts.scheme != "https" or not parts.hostname:
            raise EtcdError(f"{endpoint} is no https URL; etcd is only asked over verified TLS")
        self.endpoint = endpoint
        self._host = parts.hostname
        self._port = parts.port or 2379
        try:
            self._context = _tls.verifying(ca_file)
            self._context.load_cert_chain(cert_file, key_file)
        except (OSError, ssl.SSLError) as error:
            raise EtcdError(
                f"the client certificate for etcd can't be loaded ({ca_file}, {cert_file}): {error}"
            ) from error

    @classmethod
    def from_params(cls, params: t.Mapping[str, t.Any]) -> Gateway:
        return cls(params["endpoint"], params["ca_file"], params["cert_file"], params["key_file"])

    def at(self, endpoint: str) -> Gateway:
        """The same identity, another member."""
        other = Gateway.__new__(Gateway)
        parts = urllib.parse.urlsplit(endpoint)
        other.endpoint = endpoint
        other._host = parts.hostname or ""
        other._port = parts.port or 2379
        other._context = self._context
        return other

    def connect(self, timeout: float) -> http.client.HTTPSConnection:
        """A connection to this member; *timeout* is for each read."""
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._context)

    def post(self, path: str, body: t.Mapping[str, t.Any] | None = None, timeout: float = TIMEOUT) -> t.Any:
        """Call one method of the gateway; any answer but 200 is an :class:`EtcdError`."""
        connection = self.connect(timeout)
        try:
            connection.request("POST", path, json.dumps(body or {}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EtcdError(f"{self.endpoint}{path}: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise EtcdError(f"{self.endpoint}{path} answered {response.status}: {text[:200].decode(errors='replace')}")
        try:
            return json.loads(text)
        except ValueError as error:
            raise EtcdError(f"{self.endpoint}{path} answered with something else than JSON: {error}") from error

    def status(self) -> Status:
        document = self.post("/v3/maintenance/status")
        header = document.get("header", {})
        downgrade = document.get("downgradeInfo", {})
        return Status(
            cluster_id=header.get("cluster_id", ""),
            member_id=header.get("member_id", ""),
            leader_id=document.get("leader", "0"),
            version=document.get("version", ""),
            raft_term=int(document.get("raftTerm", 0)),
            raft_index=int(document.get("raftIndex", 0)),
            applied_index=int(document.get("raftAppliedIndex", 0)),
            revision=int(header.get("revision", 0)),
            size_bytes=int(document.get("dbSize", 0)),
            in_use_bytes=int(document.get("dbSizeInUse", 0)),
            quota_bytes=int(document.get("dbSizeQuota", 0)),
            learner=bool(document.get("isLearner", False)),
            storage_version=document.get("storageVersion", ""),
            errors=tuple(error.strip() for error in document.get("errors", [])),
            downgrade=downgrade.get("targetVersion", "unknown") if downgrade.get("enabled") else "",
        )

    def cluster(self, host: Host) -> Cluster:
        """Ask one member who belongs to the cluster, then every member how it is, all at the same time."""
        answering = self.status().member_id
        listed = self.post("/v3/cluster/member/list", {"linearizable": False}).get("members", [])
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(listed))) as pool:
            members = tuple(pool.map(lambda item: self._member(item, answering), listed))
        return Cluster(self._here(members, answering, host), members)

    def _here(self, members: t.Sequence[Member], answering: str, host: Host) -> str:
        """Id of the member on *host*: by its addresses, or as it answers on loopback; empty if none is there.

        Which one leaves with the host must be known where an etcd runs there: counted as staying, it would be missed.
        """
        own = [member.id for member in members if host.has((*member.peer_urls, *member.client_urls))]
        if len(own) == 1:
            return own[0]
        if answering in own or (host.runs_etcd and is_loopback(self.endpoint)):
            return answering
        if host.runs_etcd:
            raise EtcdError(
                f"an etcd runs on this node, and no member listed at {self.endpoint} has an address of this node; "
                "name this node's own member in control_plane_etcd_endpoint, such as https://127.0.0.1:2379"
            )
        return ""

    def _member(self, item: t.Mapping[str, t.Any], answering: str) -> Member:
        urls = tuple(item.get("clientURLs", []))
        status, error, seconds, answered = None, "it has not started yet", 0.0, ""
        # Its client URLs may take gRPC only, as those of k3s: then the one that was asked is asked where it answered.
        for url in (*urls, self.endpoint) if item["ID"] == answering else urls:
            member = self.at(url)
            try:
                found = member.status()
            except EtcdError as failure:
                error = error if url == self.endpoint else str(failure)
                continue
            if found.member_id != item["ID"]:
                continue
            status, error, answered = found, "", url
            begun = time.monotonic()
            try:
                member.read()
            except EtcdError as failure:
                error, seconds = str(failure), TIMEOUT
            seconds = max(seconds, time.monotonic() - begun)
            break
        return Member(
            id=item["ID"],
            name=item.get("name", ""),
            client_urls=urls,
            learner=bool(item.get("isLearner", False)),
            status=status,
            error=error,
            peer_urls=tuple(item.get("peerURLs", [])),
            url=answered,
            read_seconds=seconds,
        )

    def read(self) -> None:
        """A linearizable read of a key that nobody has, as ``etcdctl endpoint health`` sends it."""
        self.post("/v3/kv/range", {"key": base64.b64encode(b"health").decode(), "limit": 1, "keys_only": True})

    def hashes(self, cluster: Cluster, limit: int | None = HASH_BYTES) -> Hashes:
        """Every member's hash at the newest revision that all have; one member at a time, as it stops for it.

        Not of a store with more than *limit* bytes in use; None where nobody is served yet who would have to wait.

        Hashes compare only between members that were compacted at the same revision (etcd's own corruption check,
        ``server/etcdserver/corrupt.go``), so a compaction meanwhile means another try.
        """
        if limit is not None and any(status.in_use_bytes > limit for dummy, status in cluster.answers):
            return Hashes(0, {}, f"not hashed, as the store is larger than {limit // 2**30} GiB", tried=False)
        reason = ""
        for dummy in range(HASH_TRIES):
            try:
                revision = min(self.at(member.url).status().revision for member in cluster.members)
                found = {member.label: self.at(member.url)._hash(revision) for member in cluster.members}
            except EtcdError as error:
                reason = f"not hashed: {error}"
                continue
            if len({compacted for dummy2, compacted in found.values()}) == 1:
                return Hashes(revision, {name: value for name, (value, dummy2) in found.items()})
            reason = f"not compared: members were compacted at different revisions in {HASH_TRIES} tries"
        return Hashes(0, {}, reason)

    def _hash(self, revision: int) -> tuple[int, str]:
        document = self.post("/v3/maintenance/hashkv", {"revision": str(revision)}, timeout=HASH_TIMEOUT)
        return int(document.get("hash", 0)), document.get("compact_revision", "0")

    def move_leader(self, target_id: str) -> None:
        """Only the leader itself can be asked."""
        self.post("/v3/maintenance/transfer-leadership", {"targetID": target_id}, timeout=30.0)
