# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""For unit tests: servers in memory that do with a Lease what k8s.io/apiserver pkg/util/peerproxy does with it."""

from __future__ import annotations

import datetime
import json

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _holders, _leases, _metrics

NOW = datetime.datetime.now(datetime.timezone.utc)


def listed(names):
    """An APIGroupDiscoveryList of one group."""
    resources = [{"resource": name, "verbs": ["list"]} for name in sorted(names)]
    version = {"version": "v1", "resources": resources}
    return {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "g"}, "versions": [version]}]}


class Plane:
    """All servers: what each serves, what it has fetched of its peers, and the Leases they share."""

    def __init__(self, serves, failing=0):
        self.serves = serves
        self.known = {name: set() for name in serves}
        self.fetched = dict.fromkeys(serves, 0)
        self.errors = dict.fromkeys(serves, 0)
        #: At how many changes of a holder, from the first on, a fetch fails.
        self.failing = failing
        self.leases = {
            name: {
                "metadata": {
                    "name": f"apiserver-{name}",
                    "uid": f"uid-{name}",
                    "resourceVersion": "7",
                    "labels": {_leases.LABEL_HOSTNAME: name},
                    "annotations": {_leases.ANNOTATION_ADDRESS: f"{name}:6443"},
                },
                "spec": {"holderIdentity": f"apiserver-{name}_1", "renewTime": NOW.isoformat()},
            }
            for name in serves
        }
        #: Servers that fetch nothing, whatever happens to a Lease.
        self.deaf = set()
        self.holders = []

    @property
    def servers(self):
        return {name: Server(self, name) for name in self.serves}

    def changed(self, owner):
        failed, self.failing = self.failing > 0, self.failing - 1
        for name in self.serves:
            if name != owner and name not in self.deaf:
                self.known[name] = set(self.serves) - {name}
                self.fetched[name] += 2 * (len(self.serves) - 1 - failed)
                self.errors[name] += failed


class Server:
    def __init__(self, plane, name):
        self.plane = plane
        self.name = name

    def get_cached(self, path, accept):
        own = self.plane.serves[self.name]
        merged = own.union(*(self.plane.serves[peer] for peer in self.plane.known[self.name]))
        return _api.Answer(200, json.dumps(listed(own if "nopeer" in accept else merged)).encode(), {}), True

    def get_text(self, path):
        labels = 'code="200",group="",resource="",version=""'
        return (
            f"{_metrics.REROUTED}{{{labels}}} {self.plane.fetched[self.name]}\n"
            f'{_metrics.SYNC_ERRORS}{{type="hostport_resolution"}} {self.plane.errors[self.name]}\n'
        )

    def get(self, path):
        if path.partition("?")[0] == _leases.LIST_PATH:
            return {"items": list(self.plane.leases.values())}
        found = [lease for lease in self.plane.leases.values() if path == _holders.path(lease["metadata"]["name"])]
        return found[0] if found else {"items": []}

    def request(self, method, path, headers=None):
        return _api.Answer(200, json.dumps(self.get(path)).encode(), {"Date": format_date(NOW)})

    def send(self, method, path, body, content_type=""):
        (name,) = (name for name, lease in self.plane.leases.items() if path.endswith("/" + lease["metadata"]["name"]))
        if method == "DELETE":
            wanted = self.plane.leases[name]["metadata"]
            assert body["preconditions"] == {key: wanted[key] for key in ("uid", "resourceVersion")}
            del self.plane.leases[name]
        else:
            holder = body["spec"]["holderIdentity"]
            self.plane.holders.append((name, holder))
            if self.plane.leases[name]["spec"]["holderIdentity"] != holder:
                self.plane.leases[name]["spec"]["holderIdentity"] = holder
                self.plane.changed(name)


def format_date(moment):
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
