# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""etcd through its JSON gateway, with the standard library alone: a node has nothing else.

Source: etcd ``api/etcdserverpb/rpc.proto`` (messages and paths), ``server/embed`` (the gateway is on by default).
64-bit integers come as strings, and fields that are zero or false are left out.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import http.client
import json
import ssl
import typing as t
import urllib.parse

TIMEOUT = 5.0

OPTIONS: dict[str, dict[str, t.Any]] = {
    "endpoint": {"type": "str", "default": "https://127.0.0.1:2379"},
    "ca_file": {"type": "path", "default": "/etc/kubernetes/pki/etcd/ca.crt"},
    "cert_file": {"type": "path", "default": "/etc/kubernetes/pki/apiserver-etcd-client.crt"},
    "key_file": {"type": "path", "default": "/etc/kubernetes/pki/apiserver-etcd-client.key"},
}


class EtcdError(Exception):
    """etcd did not answer, or answered with an error; the text names the endpoint."""


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


@dataclasses.dataclass(frozen=True)
class Member:
    """One member as the list has it, with its status, or with the words why there is none."""

    id: str
    name: str
    client_urls: tuple[str, ...]
    learner: bool
    status: Status | None
    error: str

    @property
    def label(self) -> str:
        return self.name or self.id


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All members, seen from one of them."""

    local_id: str
    members: tuple[Member, ...]
    alarms: tuple[str, ...]

    @property
    def local(self) -> Member:
        return next(member for member in self.members if member.id == self.local_id)

    @property
    def voters(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if not member.learner)

    @property
    def quorum(self) -> int:
        return len(self.voters) // 2 + 1

    @property
    def leaders(self) -> set[str]:
        """The leaders that the answering members name: one, when all is well."""
        return {member.status.leader_id for member in self.members if member.status}

    def troubles(self) -> list[str]:
        """What keeps this cluster from being called healthy, each with its member; empty when it is."""
        found = [f"{member.label} does not answer: {member.error}" for member in self.members if not member.status]
        found += [f"{member.label} is a learner" for member in self.members if member.learner]
        found += [f"alarm {alarm}" for alarm in self.alarms]
        found += [f"{m.label}: {error}" for m in self.members if m.status for error in m.status.errors]
        if len(self.leaders) != 1 or "0" in self.leaders:
            found.append(f"members name {len(self.leaders - {'0'})} leaders")
        return found

    def lag(self) -> int:
        """By how many raft entries the slowest answering member's applied index is behind the newest index."""
        answering = [member.status for member in self.members if member.status]
        if not answering:
            return 0
        return max(status.raft_index for status in answering) - min(status.applied_index for status in answering)


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
            self._context = ssl.create_default_context(cafile=ca_file)
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
        """A connection of one's own, for answers that come bit by bit; *timeout* is for each read."""
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._context)

    def post(self, path: str, body: t.Mapping[str, t.Any] | None = None, timeout: float = TIMEOUT) -> t.Any:
        """Call one method of the gateway; any answer but 200 is an :class:`EtcdError`."""
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._context)
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
        return json.loads(text)

    def status(self) -> Status:
        document = self.post("/v3/maintenance/status")
        header = document["header"]
        return Status(
            cluster_id=header["cluster_id"],
            member_id=header["member_id"],
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
            errors=tuple(document.get("errors", [])),
        )

    def cluster(self) -> Cluster:
        """Ask this member who belongs to the cluster, then every member how it is, all at the same time."""
        local = self.status()
        listed = self.post("/v3/cluster/member/list", {"linearizable": False})["members"]
        with concurrent.futures.ThreadPoolExecutor(max_workers=len(listed)) as pool:
            members = tuple(pool.map(lambda item: self._member(item, local), listed))
        alarms = self.post("/v3/maintenance/alarm", {"action": "GET"}).get("alarms", [])
        return Cluster(local.member_id, members, tuple(f"{a.get('alarm')} on {a.get('memberID')}" for a in alarms))

    def _member(self, item: t.Mapping[str, t.Any], local: Status) -> Member:
        urls = tuple(item.get("clientURLs", []))
        status, error = None, "it has not started yet"
        for url in urls:
            try:
                status = local if item["ID"] == local.member_id else self.at(url).status()
                error = ""
                break
            except EtcdError as failure:
                error = str(failure)
        return Member(item["ID"], item.get("name", ""), urls, bool(item.get("isLearner", False)), status, error)

    def move_leader(self, target_id: str) -> None:
        """Only the leader itself can be asked."""
        self.post("/v3/maintenance/transfer-leadership", {"targetID": target_id}, timeout=30.0)
