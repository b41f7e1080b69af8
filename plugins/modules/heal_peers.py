#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make servers fetch a peer they have not learned of, and take away the Leases of dead ones."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_peers
short_description: Heal stale peers and dead Leases
version_added: 0.2.0
description:
  - A server that could not reach a peer waits twice as long before each further try, so the peer stays unknown for as
    long again, or longer, after the way was opened. Only an event on its Lease makes the others fetch at once.
  - Where a server's merged discovery still lacks what a peer serves itself after O(patience), this module changes the
    holder of that peer's Lease and takes the change back as soon as the discovery is whole. The peer stays listed
    all the while, and nothing is restarted.
  - A holder change makes every server fetch all peers anew and drop those that it can't fetch. So nothing is patched
    unless O(peers) shows every ordered pair of the servers in O(leases) to be open.
  - A Lease in O(dead_leases) is deleted only if it is still not renewed and nothing answers as that server any more.
  - Waits for the proof that it helped. In check mode nothing is written.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  leases:
    description: Name of each live server's identity Lease, by the server's name. Only these servers are looked at.
    type: dict
    required: true
  peers:
    description: What M(mixedversion.kubernetes.peer_info) returned just now, by the name of the node it ran on.
    type: dict
    required: true
  dead_leases:
    description: Names of the Leases to delete.
    type: list
    elements: str
    default: []
  patience:
    description: Seconds that a server may take to learn of its peers by itself before a Lease is patched.
    type: float
    default: 5.0
  heal_timeout:
    description: Seconds after which a patch is taken to have had no effect.
    type: float
    default: 20.0
"""

EXAMPLES = r"""
- name: Heal stale peers
  mixedversion.kubernetes.heal_peers:
    kubeconfig: admin.conf
    leases:
      cp1: apiserver-eqt674mfxb4j56mrjjkoe7b7ii
      cp2: apiserver-wd3jxrvsoydbu3vwwtnxnnmpuy
    peers:
      cp1: "{{ hostvars.cp1.peers.peers }}"
      cp2: "{{ hostvars.cp2.peers.peers }}"
"""

RETURN = r"""
healed:
  description: What was healed.
  returned: always
  type: list
  elements: dict
  contains:
    server: {description: "The server that lacked a peer; empty for a Lease that was deleted.", type: str, returned: always}
    peer: {description: The peer it lacked., type: str, returned: always}
    lease: {description: The Lease that was changed or deleted., type: str, returned: always}
    kind: {description: "V(holder_change) or V(lease_deleted).", type: str, returned: always}
    detected_seconds: {description: From the start to the patch; patience is part of it., type: float, returned: always}
    healed_seconds: {description: From the patch to the proof that it helped., type: float, returned: always}
reason:
  description: Why something was left as it is; empty if nothing was.
  returned: always
  type: str
findings:
  description: What was healed, and what was not though everything was there for it, as findings.
  returned: always
  type: list
  elements: dict
"""

import datetime
import socket
import time
import typing as t
import urllib.parse

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _gate,
    _holders,
    _leases,
    _views,
)

#: From one look to the next while a holder is changed, seconds; it shall be changed for no longer than it must.
LOOK_INTERVAL = 0.05
#: To an address that may be nobody's.
CONNECT_TIMEOUT = 3.0

#: (server, peer) and the resources of the peer that the server's merged discovery lacks.
Stale = dict[tuple[str, str], list[str]]


def not_proven(names: t.Sequence[str], peers: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]]) -> str:
    """Which ordered pair is not proven open, in words; empty if each is."""
    for source in names:
        entries = {entry["name"]: entry for entry in peers.get(source) or []}
        for peer in names:
            if peer == source:
                continue
            if peer not in entries:
                return f"the way from {source} to {peer} was not tried"
            if entries[peer]["error"]:
                return f"the way from {source} to {peer} is not open: {entries[peer]['error']}"
    return ""


def stale(look: _views.Look) -> Stale:
    """For each server and peer: what the peer serves itself and the server's merged discovery lacks."""
    found: Stale = {}
    for name, resources in _discovery.missing(look.views, look.excluded).items():
        for peer, view in look.views.items():
            of_peer = [str(resource) for resource in resources if resource in view.own]
            if peer != name and of_peer:
                found[name, peer] = of_peer
    return found


def judge(look: _views.Look, known_stale: t.Collection[tuple[str, str]] | None = None) -> _gate.Sample:
    """Whether every server knows its peers; of *known_stale* only, if given."""
    if look.errors:
        return _gate.Sample(False, "; ".join(str(error) for error in look.errors.values()), data={})
    found = stale(look)
    left = [pair for pair in found if known_stale is None or pair in known_stale]
    words = ", ".join(f"{name} lacks {len(found[name, peer])} of {peer}" for name, peer in left)
    return _gate.Sample(not left, words or f"all {len(look.views)} servers know their peers", data=found)


def next_lease(found: t.Collection[tuple[str, str]]) -> str:
    """Whose Lease to change: the peer's that most servers lack. Its owner ignores it, so it helps the others only."""
    peers = [peer for dummy, peer in found]
    return max(dict.fromkeys(peers), key=peers.count)


def heal(
    servers: t.Mapping[str, _api.Server],
    leases: t.Mapping[str, str],
    reader: _views.Reader,
    found: Stale,
    params: t.Mapping[str, t.Any],
) -> tuple[list[dict[str, t.Any]], Stale]:
    """Change one peer's holder after the other until no server lacks anything; what was healed, and what was not."""
    healed: list[dict[str, t.Any]] = []
    settings = {**params, "slice": None, "timeout": params["heal_timeout"], "interval": LOOK_INTERVAL}
    tried: set[str] = set()
    while found and next_lease(found) not in tried:
        peer = next_lease(found)
        tried.add(peer)
        # The owner does not heed its own Lease, all others fetch all of their peers.
        helped = {pair for pair in found if pair[0] != peer}
        with _holders.changed(servers[peer], leases[peer]):
            patched = time.monotonic()
            waited = _gate.wait(lambda of=helped: judge(reader.look(), of), {**settings, "stable_samples": 1})
            seconds = round(time.monotonic() - patched, 3)
        # The holder's coming back makes them fetch once more; what they know must outlast that.
        lasting = _gate.wait(lambda: judge(reader.look(), helped), settings)
        left: Stale = {**found, **lasting.sample.data} if lasting.sample.data is not None else dict(found)
        left = {pair: resources for pair, resources in left.items() if pair in lasting.sample.data}
        for name, of in sorted(helped - set(left)):
            healed.append(
                {"server": name, "peer": of, "lease": leases[peer], "kind": "holder_change", "healed_seconds": seconds}
            )
        if waited.timed_out or lasting.timed_out:
            return healed, left
        found = left
    return healed, found
