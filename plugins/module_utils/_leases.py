# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The identity Leases by which API servers announce themselves.

Source: k8s.io/apiserver ``pkg/server/config.go`` (name), k8s.io/kubernetes
``pkg/controlplane/apiserver/server.go`` (labels, annotation, holder, timers).
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import struct
import time
import typing as t

NAMESPACE = "kube-system"
LABEL_IDENTITY = "apiserver.kubernetes.io/identity"
LABEL_HOSTNAME = "kubernetes.io/hostname"
ANNOTATION_ADDRESS = "kubernetes.io/peer-advertise-address"
LIST_PATH = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
LIST_QUERY = f"labelSelector={LABEL_IDENTITY}%3Dkube-apiserver"

# A server renews every 10 s; three misses in a row are no jitter.
FRESH_SECONDS = 35.0


@dataclasses.dataclass(frozen=True)
class Lease:
    """One server as its Lease shows it. ``address`` is empty while the server's gate is off."""

    name: str
    hostname: str
    holder: str
    address: str
    renewed: datetime.datetime | None

    def age_seconds(self, now: datetime.datetime) -> float:
        """Seconds since the last renewal, by the clock of *now*; infinite if never renewed."""
        return (now - self.renewed).total_seconds() if self.renewed else float("inf")


class Renewals:
    """Whether Leases go on being renewed, by our own clock as soon as a renewal was seen: as client-go judges them.

    Until then by the two clocks that there are, of who renews it and of the server that tells; one that renews in the
    future is not believed, as it may have ended since. Source: k8s.io/client-go ``tools/leaderelection``
    (``isLeaseValid``, by the time at which a change was observed).
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[datetime.datetime | None, float | None]] = {}

    def fresh(self, lease: Lease, now: datetime.datetime, seconds: float) -> bool:
        """Whether *lease* was renewed within *seconds*; *now* is the time of the server that told it."""
        known, changed = self._seen.get(lease.name, (lease.renewed, None))
        if lease.renewed != known:
            changed = time.monotonic()
        self._seen[lease.name] = (lease.renewed, changed)
        if changed is not None:
            return time.monotonic() - changed <= seconds
        return abs(lease.age_seconds(now)) <= seconds


def server_id(hostname: str) -> str:
    """The Lease name of the server on *hostname* (as the process sees it, not the Node name)."""
    raw = hostname.encode()
    digest = hashlib.sha256(struct.pack(">H", len(raw)) + raw + struct.pack(">H", 14) + b"kube-apiserver").digest()
    return "apiserver-" + base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def parse_time(text: str | None) -> datetime.datetime | None:
    """A MicroTime of the API, ``2026-11-23T10:00:00.000000Z``."""
    if not text:
        return None
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def parse(item: t.Mapping[str, t.Any]) -> Lease:
    """Read one Lease object."""
    metadata = item.get("metadata", {})
    spec = item.get("spec", {})
    return Lease(
        name=metadata.get("name", ""),
        hostname=(metadata.get("labels") or {}).get(LABEL_HOSTNAME, ""),
        holder=spec.get("holderIdentity") or "",
        address=(metadata.get("annotations") or {}).get(ANNOTATION_ADDRESS, ""),
        renewed=parse_time(spec.get("renewTime")),
    )


def parse_list(document: t.Mapping[str, t.Any]) -> list[Lease]:
    """Read a LeaseList, ordered by hostname."""
    return sorted((parse(item) for item in document.get("items") or []), key=lambda lease: (lease.hostname, lease.name))
