# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a lab whose servers have the proxy's flag: what docs/monitoring names is there, and its role reads it."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.mixedversion.kubernetes.tests.tools import promql

pytestmark = pytest.mark.lab

QUERIES = {rule.get("alert") or rule["record"]: rule["expr"] for rule in promql.rules()} | promql.dashboard_queries()


@pytest.fixture(scope="module")
def token(lab):
    """Of a ServiceAccount with the rights of docs/monitoring/rbac.yaml."""
    lab.kubectl("apply", "--filename=-", stdin=(promql.MONITORING / "rbac.yaml").read_text(encoding="utf-8"))
    yield lab.kubectl("--namespace=kube-system", "create", "token", "mixedversion-metrics").strip()
    for kind in ("clusterrole", "clusterrolebinding"):
        lab.kubectl("delete", kind, "mixedversion-kubernetes-metrics")
    lab.kubectl("--namespace=kube-system", "delete", "serviceaccount", "mixedversion-metrics")


@pytest.fixture(scope="module")
def samples(lab, token):
    """What all servers tell, as (name, labels)."""
    found = []
    for host, variables in lab.hosts.items():
        for path in ("/metrics", "/metrics/slis"):
            text = lab.on(
                host,
                *("curl", "--silent", "--show-error", "--fail", "--cacert", "/etc/kubernetes/pki/ca.crt"),
                *("--header", f"Authorization: Bearer {token}", f"https://{variables['ansible_host']}:6443{path}"),
            )
            families = text_string_to_metric_families(text)
            found += [(sample.name, sample.labels) for family in families for sample in family.samples]
    shown = {name for name, dummy in found}
    return found + [(name, labels) for name, labels in promql.ONCE_COUNTED.items() if name not in shown]


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_names_what_servers_have(name, samples) -> None:
    assert promql.unknown(promql.parse(QUERIES[name]), samples) == []


def test_the_token_is_for_nothing_else(lab, token) -> None:
    address = lab.hosts["cp1"]["ansible_host"]
    status = lab.on(
        "cp1",
        *("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"),
        *("--cacert", "/etc/kubernetes/pki/ca.crt", "--header", f"Authorization: Bearer {token}"),
        f"https://{address}:6443/api/v1/namespaces/kube-system/secrets",
    )
    assert status == "403"
