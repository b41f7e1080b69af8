# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a run wrote anything: every file of a node that a run could touch, and what servers were asked to do."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from _lab import Lab, Run

READS = frozenset(["get", "list", "watch"])
#: Everything below /etc, our own folder, the kubelet's configuration, the binaries, and where units may lie.
#: Not the data of etcd, and not the logs: those change all the time.
FOLDERS = (
    "/etc /var/lib/mixedversion-kubernetes /usr/local /usr/bin /usr/lib/systemd /lib/systemd /run/systemd/transient"
    " /run/systemd/system /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env"
    " /var/lib/kubelet/instance-config.yaml /root /tmp /opt/cni"
)
#: Left behind by the lab's own commands (kubectl caches), or made by systemd while it lives.
LEFT_OUT = r"/root/\.(kube|cache)/|/tmp/systemd-private|/run/systemd/transient/.*\.scope"


@dataclasses.dataclass
class Written:
    """What changed on the nodes and through the servers while something ran."""

    files: list[str] = dataclasses.field(default_factory=list)
    looked_at: int = 0
    verbs: list[str] = dataclasses.field(default_factory=list)
    requests: int = 0

    @property
    def nothing(self) -> bool:
        return self.looked_at > 0 and not self.files and not self.verbs

    def __str__(self) -> str:
        shown = [*self.files[:3], *self.verbs[:3]]
        return (
            f"{len(self.files)} of {self.looked_at} files changed, {len(self.verbs)} of {self.requests} requests wrote"
            + (f": {'; '.join(shown)}" if shown else "")
        )


def files(lab: Lab) -> dict[tuple[str, str], str]:
    """By node and path: hash, inode, mode, owner and time. A file that is replaced by its like was written too."""
    script = (
        f"find {FOLDERS} -xdev -type f -printf '%i %m %U %T@ %p\\n' 2>/dev/null"
        f" | grep -Ev ' ({LEFT_OUT})' >/run/evidence;"
        " cut -d' ' -f5- /run/evidence | grep -Ev '^/usr/' | tr '\\n' '\\0' | xargs -0 -r sha256sum;"
        " sed 's/^/stat /' /run/evidence; rm /run/evidence"
    )
    found: dict[tuple[str, str], str] = {}
    for host in lab.hosts:
        # A file may go between the two looks; whether it did, the two lists tell.
        for line in lab.sh(host, f"set +e; {script}").splitlines():
            if line.startswith("stat "):
                dummy, inode, mode, owner, at, path = line.split(" ", 5)
                found[host, path] = found.get((host, path), "") + f" {inode} {mode} {owner} {at}"
            else:
                digest, path = line.split("  ", 1)
                found[host, path] = digest + found.get((host, path), "")
    return found


def measured(lab: Lab, play: t.Callable[[], Run]) -> tuple[Run, Written]:
    """Run something, and say what was written meanwhile."""
    before = files(lab)
    began = time.time()
    run = play()
    after = files(lab)
    written = Written(looked_at=len(after))
    written.files = sorted(
        f"{host}:{path}"
        for host, path in before.keys() | after.keys()
        if before.get((host, path)) != after.get((host, path))
    )
    for host in lab.hosts:
        for event in lab.audit(host, began):
            user = event["user"].get("username", "")
            # The lab looks by kubectl and curl too; nothing of it runs meanwhile.
            if user.startswith("system:"):
                continue
            written.requests += 1
            if event["verb"] not in READS:
                written.verbs.append(f"{host}: {user} {event['verb']} {event['requestURI']}")
    return run, written
