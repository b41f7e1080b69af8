# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of peer_info: what the node met is judged here, where cryptography is."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _run, _x509
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction


def judge(peer: dict[str, t.Any], ca: str, client: str, given: t.Mapping[str, t.Any], now: datetime.datetime) -> None:
    """Add to one peer's entry what its certificate says, and whether the peer accepts the front proxy's."""
    peer.update(names=[], expires="", chains=None, client_certificate={"accepted": None, "why": ""})
    serving = _x509.load_all(peer["pem"])
    if serving:
        peer["names"] = _x509.names(serving[0])
        peer["expires"] = _x509.expires(serving[0])
        # What the node verified may have come with an intermediate certificate that is not seen here.
        peer["chains"] = peer["kind"] != "certificate" or _x509.authority(serving[0], _x509.load_all(ca)) is not None
    front_proxy = _x509.load_all(client)
    if given.get("requestheader_ca") and front_proxy:
        refused = _refused(client, given, now)
        peer["client_certificate"] = {"accepted": refused is None, "why": refused.why if refused else ""}


def explain(
    peer: t.Mapping[str, t.Any],
    ca: t.Mapping[str, str],
    client: t.Mapping[str, str],
    given: t.Mapping[str, t.Any],
    now: datetime.datetime,
) -> tuple[str, str] | None:
    """What is observed and what to do about it, where a certificate tells more than the node could; else none."""
    name = peer["name"]
    if peer["kind"] == "certificate":
        return _refused_serving(peer, ca, now)
    refused = _refused(client["pem"], given, now) if given.get("requestheader_ca") else None
    if refused and (peer["kind"] == "forbidden" or (not peer["kind"] and refused.kind != "expired")):
        answer = peer["error"] or "it answers 200, but to the certificate's own name instead of the user it vouches for"
        return (
            f"request: {peer['address']}: {answer}. {name} does not accept the front proxy's certificate "
            f"{client['path']}: {refused.why}",
            {
                "expired": "Renew it (kubeadm certs renew front-proxy-client) and have this node's API server load it.",
                "unsigned": f"Give {name} a --requestheader-client-ca-file that holds the CA which signed it, the same "
                "on all nodes, or renew it with the CA that is there.",
                "usage": "Issue it anew with the extended key usage client authentication.",
                "name": f"Add that CN to --requestheader-allowed-names of {name}, the same on all nodes.",
            }[refused.kind],
        )
    if peer["status"] == 403 and "system:apiserver" in peer["error"]:
        return (
            f"request: {peer['address']}: {peer['error']}. The front proxy's certificate was accepted",
            "Restore the ClusterRoleBinding system:discovery for the group system:authenticated; a restart of an API "
            "server does it, unless the binding's annotation rbac.authorization.kubernetes.io/autoupdate forbids it.",
        )
    return None


def _refused(client: str, given: t.Mapping[str, t.Any], now: datetime.datetime) -> _x509.Refusal | None:
    """Why the peer does not accept the front proxy's certificate."""
    certificates = _x509.load_all(client)
    if not certificates:
        return None
    bundle = _x509.load_all(given["requestheader_ca"])
    return _x509.refusal(certificates[0], bundle, given.get("allowed_names") or [], now, certificates[1:])


def _refused_serving(
    peer: t.Mapping[str, t.Any], ca: t.Mapping[str, str], now: datetime.datetime
) -> tuple[str, str] | None:
    """Everything that is wrong with a serving certificate; the first is what to mend first."""
    serving = _x509.load_all(peer["pem"])
    if not serving:
        return None
    name, certificate = peer["name"], serving[0]
    found = []
    unsigned = _x509.unsigned(certificate, _x509.load_all(ca["pem"]), now)
    if unsigned:
        found.append(
            (
                f"is not to be trusted by {ca['path']}: {unsigned}",
                f"Point --peer-ca-file of this node's server at the CA that signed the certificate of {name}, or renew "
                f"that certificate with the CA in {ca['path']}.",
            )
        )
    trouble = _x509.validity(certificate, now)
    if trouble:
        found.append((trouble, f"Renew it on {name} (kubeadm certs renew apiserver) and restart the API server there."))
    if not _x509.has_name(certificate, _x509.SERVER_NAME):
        names = ", ".join(_x509.names(certificate)) or "no name"
        found.append(
            (
                f"has {names}, but not {_x509.SERVER_NAME}",
                f"Issue it anew on {name} with the DNS name {_x509.SERVER_NAME} (kubeadm adds it by itself).",
            )
        )
    if not found:
        return None
    told = "; it ".join(words for words, dummy in found)
    return f"tls: {peer['address']}: the serving certificate of {name} {told}", found[0][1]


class ActionModule(GateAction):
    """Adds what X.509 tells to the peers, and makes the gates as exact as that allows."""

    def after(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        result: dict[str, t.Any],
        task_vars: dict[str, t.Any],
    ) -> None:
        if "peers" not in result:
            return
        now = datetime.datetime.now(datetime.timezone.utc)
        ca, client = result["ca"], result["client"]
        for peer, given, gate in zip(result["peers"], arguments["peers"], result["gates"]):
            judge(peer, ca["pem"], client["pem"], given, now)
            told = explain(peer, ca, client, given, now)
            if told:
                gate["observed"], gate["next_action"] = told
                gate["verdict"] = "failed"
