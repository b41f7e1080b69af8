# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Whether kubespray's own inventory has the proxy's flag, or would take it out again.

Kubespray writes each server's manifest from its inventory, twice in an upgrade and once in any other run. Source:
kubernetes-sigs/kubespray ``roles/kubernetes/control-plane/templates/kubeadm-config.v1beta4.yaml.j2``.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _metrics

ARGUMENTS = "kube_kubeadm_apiserver_extra_args"
GATES = "kube_apiserver_feature_gates"
FLAG = "peer-ca-file"

Hosts = t.Mapping[str, t.Mapping[str, t.Any]]


def lacking(hosts: Hosts) -> dict[str, list[str]]:
    """By variable of kubespray's, the hosts for which it lacks what keeps the proxy enabled."""
    gate = f"{_metrics.GATE}=true"
    found = {
        ARGUMENTS: [name for name, host in hosts.items() if FLAG not in host["extra_args"]],
        GATES: [name for name, host in hosts.items() if host["needs_gate"] and gate not in host["feature_gates"]],
    }
    return {variable: names for variable, names in found.items() if names}


def lines(hosts: Hosts) -> list[str]:
    """What to add to the inventory, as YAML; none if nothing is lacking."""
    wanted = lacking(hosts)
    told = []
    if ARGUMENTS in wanted:
        # One value for all, as the variable is the group's.
        told += [f"{ARGUMENTS}:", f"  {FLAG}: {hosts[wanted[ARGUMENTS][0]]['peer_ca_file']}"]
    if GATES in wanted:
        told += [f"{GATES}:", f"  - {_metrics.GATE}=true"]
    return told


def gate(hosts: Hosts, proxy_state: str) -> _gate.Gate:
    """Whether kubespray's next run leaves the proxy as it is to be. A warning: nothing is wrong until then."""
    judged = _gate.Gate(
        id="manifest_drift",
        verdict=_gate.PASSED,
        severity=_gate.WARNING,
        observed=f"kubespray's {ARGUMENTS} has {FLAG} for {', '.join(hosts)}",
        expected="kubespray's own inventory says the same of the proxy's flag as the servers",
    )
    if proxy_state == "absent":
        there = [name for name, host in hosts.items() if FLAG in host["extra_args"]]
        judged.observed = f"kubespray's {ARGUMENTS} has {FLAG} for {', '.join(there) or 'no host'}"
        if there:
            judged.verdict = _gate.FAILED
            judged.next_action = (
                f"Take {FLAG} out of {ARGUMENTS} in kubespray's inventory, or its next run sets it again."
            )
        return judged
    wanted = lacking(hosts)
    if wanted:
        told = [f"{variable} lacks it for {', '.join(names)}" for variable, names in wanted.items()]
        judged.verdict = _gate.FAILED
        judged.observed = (
            f"kubespray's {' and '.join(told)}: its next run takes the proxy's flag out of the servers again"
        )
        judged.next_action = (
            "Add to what kubespray's group_vars/k8s_cluster/k8s-cluster.yml has, before its next run: "
            + " / ".join(line.strip() if line.startswith("  ") else line for line in lines(hosts))
        )
    return judged
