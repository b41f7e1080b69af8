#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read etcd's members, and judge what the cluster is after a step."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_info
short_description: etcd's members, health and quorum
version_added: 0.1.0
description:
  - Asks the member at O(endpoint) who belongs to the cluster, and every member how it is, all at the same time, through
    the JSON gateway. Nothing is written, not even to etcd's log.
  - The gate C(etcd_healthy). Every member answers within 5 seconds, votes, names the same leader in the same term in
    two looks, ends a linearizable read within 2 seconds, is at most 1000 raft entries behind, and has used less than
    95 % of its quota; no alarm is raised, no downgrade is under way, and all members have the same hash at one
    revision. From 80 % of the quota on there is a warning beside it.
  - A member with a slow disk shows by the read, which waits until the member has written what was agreed on before. It
    does not show while nobody writes to the cluster; Kubernetes does all the time.
  - With O(leaving), the gate C(quorum_after_step) as well; it is computed for the state in which this node's member is
    away. A node that has no member, as with external etcd, takes none away.
  - This node's member is the one whose URLs name an address of the node, or else the one that answers on loopback.
  - Needs nothing but Python's standard library.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
  - mixedversion.kubernetes._run.etcd
options:
  leaving:
    description: Whether a step that takes this node's member away is to be judged.
    type: bool
    default: false
  allow_outage:
    description: Whether an outage may be spent where one is certain, with one or two members.
    type: bool
    default: false
  hash:
    description:
      - Whether the members' hashes are compared. A member that hashes takes no writes meanwhile, so they do it one
        after another, and not at all if more than 2 GiB are in use.
    type: bool
    default: true
  minimum_version:
    description: With it the gate C(etcd_stepped), which wants every member at this version or later.
    type: str
"""

EXAMPLES = r"""
- name: Read etcd
  mixedversion.kubernetes.etcd_info:
"""

RETURN = r"""
cluster_id:
  description: etcd's cluster id.
  returned: success
  type: str
local:
  description: Name of the member on this node; empty if it has none.
  returned: success
  type: str
leader:
  description: Name of the leader.
  returned: success
  type: str
term:
  description: The raft term, the highest if members name several.
  returned: success
  type: int
alarms:
  description: Alarms, each with its member.
  returned: success
  type: list
  elements: str
lag:
  description: By how many raft entries the slowest answering member's applied index is behind the newest index.
  returned: success
  type: int
revision:
  description: The newest revision that a member has told; a little more may be written by now.
  returned: success
  type: int
hash:
  description: Hashes of the members' stores at one revision.
  returned: success
  type: dict
  contains:
    revision: {description: The revision., type: int, returned: success}
    hashes: {description: By member., type: dict, returned: success}
    equal: {description: Whether they are all the same; null if not compared., type: bool, returned: success}
    reason: {description: Why they were not compared., type: str, returned: success}
quota:
  description: The smallest quota of a member, in bytes; 0 if none tells it.
  returned: success
  type: int
size:
  description: The largest member's database file, in bytes.
  returned: success
  type: int
in_use:
  description: What of such a file is in use at most, in bytes.
  returned: success
  type: int
storage_version:
  description: Version of the stores' format, several with commas between them.
  returned: success
  type: str
downgrade:
  description: The version that a downgrade under way leads to; empty if none is.
  returned: success
  type: str
members:
  description: One entry a member; version, sizes and indexes are empty or zero for one that does not answer.
  returned: success
  type: list
  elements: dict
gates:
  description: The verdicts.
  returned: always
  type: list
  elements: dict
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd, _gate, _version

NOTHING = _etcd.Cluster("", ())


def quorum_gate(cluster: _etcd.Cluster, allow_outage: bool) -> _gate.Gate:
    """KubeadmControlPlane's rule: count the members that are left, and whole, when this one is away."""
    left, local = cluster.left(), cluster.local
    away = f"while {local.label} is away" if local else "whatever happens to this node, which has none"
    gate = _gate.Gate(
        id="quorum_after_step",
        verdict=_gate.PASSED,
        observed=f"{len(left)} of {len(cluster.voters)} voting members are left and whole {away}",
        expected=f"{cluster.quorum} or more",
        acceptable=False,
    )
    if cluster.voters and len(left) >= cluster.quorum:
        return gate
    missing = [m.label for m in cluster.voters if m not in left and m != local]
    if missing:
        gate.observed += f"; not {', '.join(missing)}"
    if len(cluster.voters) >= 3 or not local:
        gate.verdict = _gate.FAILED
        gate.next_action = "Bring the missing member back first; this can't be accepted."
    elif allow_outage:
        gate.verdict = _gate.SKIPPED
        gate.reason = f"control_plane_allow_outage: with {len(cluster.voters)} members an outage is certain"
    else:
        gate.verdict = _gate.FAILED
        gate.next_action = (
            "With one or two members an outage is certain: set control_plane_allow_outage: true to spend it."
        )
    return gate


def look(gateway: _etcd.Gateway, interval: float) -> tuple[_etcd.Cluster, list[str]]:
    """The cluster with its troubles. A second look tells whether the term is stable, unless the first said enough."""
    host = _etcd.Host.read()
    first = gateway.cluster(host)
    if first.troubles():
        return first, first.troubles()
    # The time in which a term that is not stable would change.
    time.sleep(interval)
    second = gateway.cluster(host)
    return second, second.changes(first) + second.troubles()


def quota_gate(cluster: _etcd.Cluster) -> _gate.Gate | None:
    """A warning while there is still time to compact and defragment."""
    high = [f"{m.label} {s.quota_share:.0%}" for m, s in cluster.answers if s.quota_share >= _etcd.QUOTA_HIGH]
    if not high:
        return None
    return _gate.Gate(
        id="etcd_healthy",
        verdict=_gate.FAILED,
        severity=_gate.WARNING,
        observed=f"used of the quota: {', '.join(high)}",
        expected=f"less than {_etcd.QUOTA_HIGH:.0%} of the quota on every member",
        next_action="Compact and defragment etcd, or raise --quota-backend-bytes; at the whole it takes no writes.",
    )


def stepped_gate(cluster: _etcd.Cluster, minimum: str) -> _gate.Gate:
    wanted = _version.parse(minimum)
    versions = [(m.label, s.version) for m, s in cluster.answers]
    old = [f"{name} {version}" for name, version in versions if _version.parse(version) < wanted]
    return _gate.Gate(
        id="etcd_stepped",
        verdict=_gate.FAILED if old or not versions else _gate.PASSED,
        observed=", ".join(old or [f"{name} {version}" for name, version in versions]),
        expected=f"every member at {wanted} or later",
        next_action="Read etcd's log on the node named and start the playbook again.",
    )


def words(cluster: _etcd.Cluster, hashes: _etcd.Hashes) -> str:
    versions = ", ".join(f"{m.label} {s.version}" for m, s in cluster.answers)
    mixed = f", minors {' and '.join(cluster.minors)} mixed" if len(cluster.minors) > 1 else ""
    storage = f", storage {', '.join(cluster.storage_versions)}" if cluster.storage_versions else ""
    same = f"one hash at revision {hashes.revision}" if hashes.equal else hashes.reason
    leader, terms = cluster.leader, max(cluster.terms, default=0)
    return (
        f"{len(cluster.members)} members ({versions}{mixed}{storage}), leader {leader.label if leader else 'none'}, "
        f"term {terms}, lag {cluster.lag()}, {same}"
    )


def facts(cluster: _etcd.Cluster, hashes: _etcd.Hashes) -> dict[str, t.Any]:
    """What the module returns of a cluster, beside the verdicts."""
    statuses = [status for dummy, status in cluster.answers]
    return {
        "cluster_id": next((status.cluster_id for status in statuses), ""),
        "local": cluster.local.label if cluster.local else "",
        "leader": cluster.leader.label if cluster.leader else "",
        "term": max(cluster.terms, default=0),
        "alarms": cluster.alarms,
        "lag": cluster.lag(),
        "revision": max((status.revision for status in statuses), default=0),
        "hash": {
            "revision": hashes.revision,
            "hashes": hashes.by_member,
            "equal": hashes.equal,
            "reason": hashes.reason,
        },
        "quota": min((status.quota_bytes for status in statuses), default=0),
        "size": max((status.size_bytes for status in statuses), default=0),
        "in_use": max((status.in_use_bytes for status in statuses), default=0),
        "storage_version": ", ".join(cluster.storage_versions),
        "downgrade": cluster.downgrade,
        "members": [
            {
                "name": m.label,
                "id": m.id,
                "client_urls": list(m.client_urls),
                "learner": m.learner,
                "version": m.status.version if m.status else "",
                "size_bytes": m.status.size_bytes if m.status else 0,
                "applied_index": m.status.applied_index if m.status else 0,
                "storage_version": m.status.storage_version if m.status else "",
                "read_seconds": round(m.read_seconds, 3),
                "error": m.error,
            }
            for m in cluster.members
        ],
    }


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _etcd.OPTIONS,
            {
                "leaving": {"type": "bool", "default": False},
                "allow_outage": {"type": "bool", "default": False},
                "hash": {"type": "bool", "default": True},
                "minimum_version": {"type": "str"},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    begun = time.monotonic()
    healthy = _gate.Gate(
        id="etcd_healthy",
        verdict=_gate.PASSED,
        observed="",
        expected="every member answers, votes, is quick and not behind, names one leader, stores the same; no alarms",
        next_action="Mend the member named (its log, its disk, its way to the others) before anything is upgraded.",
    )
    hashes = _etcd.Hashes(0, {}, "hashes not compared", tried=False)
    try:
        gateway = _etcd.Gateway.from_params(params)
        cluster, troubles = look(gateway, params["interval"])
        if params["hash"] and not troubles:
            hashes = gateway.hashes(cluster)
            troubles = hashes.troubles()
        healthy.observed = "; ".join(troubles) or words(cluster, hashes)
    except (_etcd.EtcdError, ValueError, KeyError) as error:
        cluster, troubles = NOTHING, [str(error)]
        healthy.observed = f"etcd can't be asked: {error}"
    healthy.verdict = _gate.FAILED if troubles else _gate.PASSED
    healthy.elapsed_seconds = round(time.monotonic() - begun, 3)
    gates = [healthy]
    quota = quota_gate(cluster)
    if quota:
        gates.append(quota)
    if params["leaving"]:
        gates.append(quorum_gate(cluster, params["allow_outage"]))
    if params["minimum_version"]:
        gates.append(stepped_gate(cluster, params["minimum_version"]))
    for gate in gates:
        gate.node = params["node"]
    module.exit_json(changed=False, gates=[gate.dump() for gate in gates], **facts(cluster, hashes))


if __name__ == "__main__":
    main()
