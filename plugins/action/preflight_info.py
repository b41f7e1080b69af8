# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of preflight_info: certificates are judged here, where cryptography is."""

from __future__ import annotations

import datetime
import typing as t

try:
    from cryptography import x509
except ImportError:  # ansible-core brings it
    x509 = None  # type: ignore[assignment]

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction

#: A certificate that ends sooner might end during the upgrade or just after it.
MARGIN = datetime.timedelta(days=1)
SERVER_NAME = "kubernetes.default.svc"


def certificates_valid(nodes: t.Sequence[t.Mapping[str, t.Any]], now: datetime.datetime) -> dict[str, t.Any]:
    """The gate over all nodes' public certificates: validity, and the name by which peers verify a server."""
    troubles, soonest = [], None
    count = 0
    for node in nodes:
        for found in node["certificates"]:
            count += 1
            where = f"{node['name']}: {found['path']}"
            try:
                certificate = x509.load_pem_x509_certificate(found["pem"].encode())
            except ValueError as error:
                troubles.append(f"{where} is no certificate ({error})")
                continue
            if certificate.not_valid_after_utc < now + MARGIN:
                troubles.append(f"{where} ends {certificate.not_valid_after_utc:%Y-%m-%d %H:%M}")
            if certificate.not_valid_before_utc > now:
                troubles.append(f"{where} begins {certificate.not_valid_before_utc:%Y-%m-%d %H:%M}")
            if found["path"] == node["apiserver_flags"].get("tls-cert-file") and SERVER_NAME not in names(certificate):
                troubles.append(f"{where} lacks the name {SERVER_NAME}")
            soonest = min(soonest or certificate.not_valid_after_utc, certificate.not_valid_after_utc)
    return {
        "id": "certificates_valid",
        "node": "",
        "peer": "",
        "severity": "blocking",
        "verdict": "failed" if troubles else "passed",
        "observed": "; ".join(troubles) or f"{count} certificates, the first ends {soonest:%Y-%m-%d}"
        if count
        else "none found",
        "expected": f"each valid for {MARGIN.days} day or more, each server's with the name {SERVER_NAME}",
        "next_action": "Renew the certificate named (kubeadm certs renew) and restart the component that uses it.",
        "reason": "",
        "elapsed_seconds": 0.0,
        "samples": 1,
    }


def names(certificate: x509.Certificate) -> list[str]:
    """The DNS names a certificate is valid for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(extension.value.get_values_for_type(x509.DNSName))


class ActionModule(GateAction):
    """Adds the gate that needs X.509."""

    def after(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        result: dict[str, t.Any],
        task_vars: dict[str, t.Any],
    ) -> None:
        if "gates" in result:
            gate = certificates_valid(arguments["nodes"], datetime.datetime.now(datetime.timezone.utc))
            result["gates"].insert(0 if gate["verdict"] == "failed" else len(result["gates"]), gate)
