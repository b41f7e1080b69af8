# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of preflight_info: certificates are judged here, where cryptography is."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run, _x509
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction

#: A certificate that ends sooner might end during the upgrade or just after it.
MARGIN = datetime.timedelta(days=1)


def certificates_valid(nodes: t.Sequence[t.Mapping[str, t.Any]], now: datetime.datetime) -> dict[str, t.Any]:
    """The gate over all nodes' public certificates: validity, and the name by which peers verify a server."""
    troubles, soonest = [], None
    files = set()
    for node in nodes:
        for found in node["certificates"]:
            where = f"{node['name']}: {found['path']}"
            files.add(where)
            try:
                certificates = _x509.load_all(found["pem"]) or [_x509.load(found["pem"])]
            except ValueError as error:
                troubles.append(f"{where} is no certificate ({error})")
                continue
            # Of a bundle one is enough: a CA that was replaced may lie in it till nobody needs it, and end there.
            certificate = max(certificates, key=lambda each: each.not_valid_after_utc)
            trouble = _x509.validity(certificate, now, MARGIN)
            if trouble:
                troubles.append(f"{where} {trouble}")
            if found["role"] == "serving" and not _x509.has_name(certificate, _x509.SERVER_NAME):
                troubles.append(f"{where} lacks the name {_x509.SERVER_NAME}")
            soonest = min(soonest or certificate.not_valid_after_utc, certificate.not_valid_after_utc)
    return {
        "id": "certificates_valid",
        "node": "",
        "peer": "",
        "severity": "blocking",
        "verdict": "failed" if troubles else "passed",
        "observed": "; ".join(troubles) or f"{len(files)} certificates, the first ends {soonest:%Y-%m-%d}"
        if files
        else "none found",
        "expected": f"each valid for {MARGIN.days} day or more, each server's with the name {_x509.SERVER_NAME}",
        "next_action": "Renew the certificate named (kubeadm certs renew) and restart the component that uses it.",
        "reason": "",
        "elapsed_seconds": 0.0,
        "samples": 1,
    }


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
