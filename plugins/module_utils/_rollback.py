# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Whether a node may be put back to what it was before its step, and which part of it.

What a put-back node comes to is the state of versions that the run's gates let through before the step. So only what
can't be undone may stand in the way: what was written meanwhile, and what others have come to rely on.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _version

#: What becomes of a component.
BACK, SAME, STAYS = "back", "same", "stays"
APISERVER, ETCD, KUBELET = "kube-apiserver", "etcd", "kubelet"


@dataclasses.dataclass(frozen=True)
class Component:
    """One component: the version kept, the one that is there now (empty: none), and whether anything of it differs."""

    name: str
    before: str
    now: str
    differs: bool
    #: Whether what it takes to put it back is on the node.
    available: bool = True


@dataclasses.dataclass(frozen=True)
class Etcd:
    """etcd as a member that answers tells it. Versions are those of every answering member, by name."""

    versions: t.Mapping[str, str]
    #: The members' storage versions, such as 3.6.0.
    storage: t.Sequence[str]
    #: Name of this node's member; empty where etcd is elsewhere.
    local: str
    #: Whether a downgrade is under way, to which version.
    downgrade: str = ""


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    before: str
    now: str
    action: str
    why: str = ""

    def dump(self) -> dict[str, str]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Decision:
    """What becomes of each component; nothing is done while there is a refusal."""

    parts: tuple[Part, ...]
    refusals: tuple[str, ...]

    @property
    def anything(self) -> bool:
        return any(part.action == BACK for part in self.parts)


def minors_up(before: str, now: str) -> int:
    """How many minors *now* is ahead of *before*; 0 where one of them is not known."""
    if not before or not now:
        return 0
    return _version.minors_between(_version.parse(before), _version.parse(now))


def etcd_part(component: Component, etcd: Etcd) -> tuple[Part, str]:
    """etcd's own rule, and a refusal where nobody can tell.

    A member may go back one minor for as long as the others hold the cluster at the old one: etcd's guides to
    upgrades, "Rollback". The cluster version rises when every member is of the new minor, and each member's storage
    version with it; from then on the old binary ends at its start. Sources: etcd ``server/storage/schema``
    (``Validate``: "version ... is not supported") and ``server/etcdserver/version``. Seen with 3.6.14 and 3.7.0: a
    member that was at 3.7.0 beside two of 3.6.14 went back and had all that was written; with three at 3.7.0 the
    storage version was 3.7.0 within four seconds, a 3.6.14 on that data ended with these words, and 3.7.0 served it.
    """
    before, now = component.before, component.now

    def part(action: str, why: str = "") -> Part:
        return Part(component.name, before, now, action, why)

    if not component.differs:
        return part(SAME), ""
    # A member that is not told to start as another minor, such as after a step of patches, has nothing to be asked.
    ahead = [version for version in (now, etcd.versions.get(etcd.local, "")) if minors_up(before, version) > 0]
    if not ahead:
        return part(BACK), ""
    if etcd.downgrade:
        return part(STAYS), (
            f"etcd is being downgraded to {etcd.downgrade}, expected no downgrade under way. Finish it, or cancel it "
            "(etcdctl downgrade cancel), and start again"
        )
    others = {name: version for name, version in etcd.versions.items() if name != etcd.local}
    if not etcd.versions:
        return part(STAYS), (
            f"no etcd member answers, expected one that tells the storage version: with {now or 'the new one'} already "
            f"served by all, {before} would not start on this node's data. Mend etcd by its log, or restore a backup"
        )
    risen = [version for version in etcd.storage if minors_up(before, version) > 0]
    if risen:
        return part(STAYS, f"etcd's storage version is {risen[0]}, and {before} does not start on that"), ""
    old = [name for name, version in others.items() if minors_up(before, version) <= 0]
    if not old and etcd.local in etcd.versions:
        why = f"every member is at {now or ahead[0]}, so that the storage version rises at any moment"
        return part(STAYS, why), ""
    return part(BACK), ""


def decide(
    components: t.Sequence[Component],
    target: str,
    etcd: Etcd,
    servers: t.Mapping[str, str],
    min_compatibility: str = "",
    at_work: str = "",
) -> Decision:
    """What becomes of a node, given what it was and is, and the versions of all servers that are ready, by name.

    *servers* has the names of all, with an empty version for one that is not ready.

    The rules, and where they come from:

    - Servers may differ by one minor (Kubernetes' version skew policy), and a server writes what one minor before it
      can read: its storage versions and features follow ``--min-compatibility-version``, by default one minor before
      the binary (KEP-4330, k8s.io/component-base ``compatibility``). The old servers beside it had to read all of that
      already. So one minor back is safe, two are not, and neither is one below that flag. What only the new version
      knows stays in etcd, untouched by the old one, until the upgrade is done.
    - With every server ready at the target nothing is unfinished: going back would be a downgrade, which Kubernetes
      does not support, and kubelets may have followed.
    - A kubelet may not be newer than its server (skew policy), so it must be possible to put it back first.
    - Controller manager and scheduler may not be newer than their server: they go back with it, before it.
    """
    parts, refusals = [], []
    for component in components:
        if component.name == ETCD:
            part, refusal = etcd_part(component, etcd)
            refusals += [refusal] if refusal else []
        else:
            action = BACK if component.differs else SAME
            part = Part(component.name, component.before, component.now, action)
        if part.action == BACK and not component.available:
            refusals.append(
                f"the former {component.name} ({component.before or 'of an unknown version'}) is not on the node, "
                "expected it to be kept. Install that version by hand, then start again"
            )
        parts.append(part)
    by_name = {part.name: part for part in parts}
    if at_work:
        refusals.insert(
            0,
            f"{at_work} is still at work on this node, expected no step under way. Wait until it has ended "
            f"(journalctl -u {at_work}), or start the playbook that began it again, which attaches to it",
        )
    ready = [version for version in servers.values() if version and minors_or_patch(version, target) >= 0]
    if servers and len(ready) == len(servers):
        refusals.append(
            f"every server is ready at {target}, expected an upgrade that is not finished: a finished one can't be "
            "taken back, as Kubernetes supports no downgrade. Start the upgrade again, which ends what is left"
        )
    server = by_name.get(APISERVER)
    if server:
        if not server.before or minors_or_patch(server.before, target) >= 0:
            refusals.append(
                f"what was kept of this node is kube-apiserver {server.before or 'of no known version'}, expected one "
                f"before {target}: there is nothing to go back to. Start the upgrade again"
            )
        if minors_up(server.before, server.now) > 1:
            refusals.append(
                f"kube-apiserver is at {server.now} and was at {server.before}, expected one minor between them at "
                "most: an older one can't be trusted to read what was written. Mend it, or restore a backup"
            )
        if min_compatibility and minors_up(server.before, f"{min_compatibility}.0") > 0:
            refusals.append(
                f"--min-compatibility-version is {min_compatibility}, expected {release(server.before)} or none: "
                f"{server.before} may not be able to read what was written. Mend the server, or restore a backup"
            )
    return Decision(tuple(parts), tuple(refusals))


def minors_or_patch(version: str, target: str) -> int:
    """1, 0 or -1 as *version* is after, at or before *target*."""
    one, other = _version.parse(version), _version.parse(target)
    return (one > other) - (one < other)


def release(version: str) -> str:
    return _version.parse(version).release


def left(driver: str, parts: t.Sequence[Part]) -> str:
    """In a sentence what a step that ended early has left, so that nobody has to trust what its command says of it.

    kubeadm renames the manifests that it touched back when a component does not come up, but etcd's only if etcd was
    that component, and neither its own configuration nor what it renewed (``cmd/kubeadm/app/phases/upgrade``).
    """
    changed = [part for part in parts if part.action != SAME]
    if not changed:
        who = (
            "kubeadm put it back itself, or had not come to it"
            if driver == "kubeadm"
            else "the step had not come to it"
        )
        return f"Every component is as it was before the step ({who})."
    missing = [part.name for part in changed if not part.now]
    there = [f"{part.name} is {part.now} (was {part.before or 'not there'})" for part in changed if part.now]
    same = [part.name for part in parts if part.action == SAME]
    words = [
        *([f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not there"] if missing else []),
        *there,
    ]
    as_before = f"; as before the step: {', '.join(same)}" if same else ""
    return f"{', '.join(words)}{as_before}."
