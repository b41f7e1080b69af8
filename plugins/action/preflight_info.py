# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of preflight_info: it judges certificates and clocks, and asks the target's binaries."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _refused, _version
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _causes, _evidence, _run, _verdicts, _x509
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import GateAction

#: A certificate that ends sooner might end during the upgrade or just after it.
MARGIN = datetime.timedelta(days=1)
#: Seconds for a program to answer what it is asked without being started.
ASKED = 30.0
#: What the run brings from the controller.
BROUGHT = {
    "kubeadm": ("kubeadm", "kubelet", "kubectl"),
    "systemd": ("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
}
#: Images that kubeadm's own version decides about.
OTHER_IMAGES = ("etcd", "pause")


def gate(id_: str, troubles: t.Sequence[str], severity: str = "blocking", **words: str) -> dict[str, t.Any]:
    """A verdict, shaped as the modules' are."""
    return _gate.Gate(
        id=id_,
        verdict=_gate.FAILED if troubles else _gate.PASSED,
        observed="; ".join(troubles) or words["fine"],
        expected=words["expected"],
        next_action=words["next_action"],
        severity=severity,
    ).dump()


def heeded(found: t.Mapping[str, str], node: t.Mapping[str, t.Any]) -> bool:
    """Whether the control plane stops working without it.

    Servers verify a kubelet only if they are told by which CA; the way in for the worst case is nobody's daily one.
    """
    if found["role"] == "kubelet_serving":
        return "kubelet-certificate-authority" in node.get("apiserver_flags", {})
    return not found["path"].endswith("/super-admin.conf")


def certificates_valid(nodes: t.Sequence[t.Mapping[str, t.Any]], now: datetime.datetime) -> list[dict[str, t.Any]]:
    """The gate over all nodes' public certificates: validity, and the name by which peers verify a server."""
    troubles: list[str] = []
    unheeded: list[str] = []
    soonest = None
    files = set()
    for node in nodes:
        for found in node["certificates"]:
            where = f"{node['name']}: {found['path']}"
            told = troubles if heeded(found, node) else unheeded
            files.add(where)
            try:
                certificates = _x509.load_all(found["pem"]) or [_x509.load(found["pem"])]
            except ValueError as error:
                told.append(f"{where} is no certificate ({error})")
                continue
            # Of a bundle one is enough: a CA that was replaced may lie in it till nobody needs it, and end there.
            certificate = max(certificates, key=lambda each: each.not_valid_after_utc)
            trouble = _x509.validity(certificate, now, MARGIN)
            if trouble and f"{where} {trouble}" not in told:
                told.append(f"{where} {trouble}")
            if found["role"] == "serving" and not _x509.has_name(certificate, _x509.SERVER_NAME):
                told.append(f"{where} lacks the name {_x509.SERVER_NAME}")
            soonest = min(soonest or certificate.not_valid_after_utc, certificate.not_valid_after_utc)
    fine = f"{len(files)} certificates, the first ends {soonest:%Y-%m-%d}" if soonest else "none found"
    expected = f"each valid for {MARGIN.days} day or more, each server's with the name {_x509.SERVER_NAME}"
    renew = "Renew the certificate named (kubeadm certs renew) and restart the component that uses it."
    gates = [gate("certificates_valid", troubles, fine=fine, expected=expected, next_action=renew)]
    if unheeded:
        later = "Renew it when there is time (a kubelet makes its own anew when the file is away and it is restarted)."
        gates.append(gate("certificates_valid", unheeded, "warning", fine="", expected=expected, next_action=later))
    return gates


def clock_skew(nodes: t.Sequence[t.Mapping[str, t.Any]], now: datetime.datetime) -> dict[str, t.Any]:
    """The nodes' clocks against the controller's, by the cause of the same name, and so against each other."""
    facts = _evidence.Facts([], {str(node["name"]): dict(node) for node in nodes}, {}, {}, [], {}, {}, now)
    found = [finding.evidence for finding in _causes.clock_skew(facts)]
    unread = [str(node["name"]) for node in nodes if not node.get("clock") or not node.get("controller_clock")]
    told = gate(
        "clock_skew",
        found,
        "warning",
        fine=f"{len(nodes)} clocks within {_causes.CLOCK_TOLERANCE:.0f} s of the controller's, and what reading took",
        expected="clocks that agree: certificates and Leases are judged by them",
        next_action="Make chrony or systemd-timesyncd run there (timedatectl status, chronyc tracking).",
    )
    if unread and not found:
        told.update(verdict="unproven", observed=f"the clock of {', '.join(unread)} was not read")
    return told


#: Programs that did not end in time. Each is asked dozens of times, and one that hangs once hangs always.
HANGING: set[str] = set()


def command(arguments: list[str]) -> tuple[int, str]:
    """Exit code and output of a command here; 127 where it can't be run, as one for another platform, or hangs."""
    if arguments[0] in HANGING:
        return 127, ""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=ASKED)
    except (OSError, subprocess.TimeoutExpired) as error:
        if isinstance(error, subprocess.TimeoutExpired):
            HANGING.add(arguments[0])
        return 127, ""
    return done.returncode, done.stdout + done.stderr


def says(path: str) -> str:
    """The version that a binary tells of itself; empty if it tells none here."""
    arguments = {"kubeadm": ["version", "-o", "short"], "kubectl": ["version", "--client"]}
    match = re.search(r"\bv\d+\.\d+\.\d+\S*", command([path, *arguments.get(os.path.basename(path), ["--version"])])[1])
    return match[0] if match else ""


def of_controller(arguments: t.Mapping[str, t.Any], run: _refused.Run = command) -> dict[str, t.Any]:
    """What the target's binaries on the controller say: their versions, and what they would not take."""
    driver = arguments["driver"]
    brings = driver == "systemd" or (driver == "kubeadm" and arguments.get("kubeadm_binaries") == "binary")
    wanted = list(BROUGHT[driver]) if brings else []
    found: dict[str, t.Any] = {"wanted": wanted, "binaries": {}, "refused": {}}
    directory = arguments.get("binaries_directory") or ""
    names = os.listdir(directory) if directory and os.path.isdir(directory) else []
    target = _version.parse(str(arguments["version"]))
    for name in sorted({*BROUGHT["kubeadm"], *BROUGHT["systemd"], "kube-proxy"} & set(names)):
        path = os.path.join(directory, name)
        version = says(path)
        found["binaries"][name] = version
        if not version or _version.parse(version) != target:
            continue
        settings = [node["settings"][name] for node in arguments["nodes"] if name in node["settings"]]
        flags = sorted({flag for of in settings for flag in of["flags"]})
        gates = sorted({f"{gate}={value}" for of in settings for gate, value in of["gates"].items()})
        if settings:
            told = {
                "flags": _refused.flags(run, path, flags),
                "gates": _refused.gates(run, path, gates) if gates else {},
            }
            if path not in HANGING:
                found["refused"][name] = told
        if name == "kubeadm":
            listed = run([path, "config", "images", "list", "--kubernetes-version", str(target)])[1].split()
            pairs = (image.rpartition("/")[2].partition(":") for image in listed)
            images = {image: tag for image, dummy, tag in pairs if image in OTHER_IMAGES}
            if images:
                found["images"] = images
    return found


class ActionModule(GateAction):
    """Asks the target's binaries, and adds the gates that need X.509 or the controller's clock."""

    def before(self, arguments: dict[str, t.Any], run: _run.Run | None, task_vars: dict[str, t.Any]) -> None:
        if arguments.get("job", "upgrade") == "upgrade":
            arguments["controller"] = of_controller(arguments)

    def after(
        self,
        arguments: dict[str, t.Any],
        run: _run.Run | None,
        result: dict[str, t.Any],
        task_vars: dict[str, t.Any],
    ) -> None:
        if "gates" not in result:
            return
        now = datetime.datetime.now(datetime.timezone.utc)
        gates = certificates_valid(arguments["nodes"], now)
        if arguments.get("job", "upgrade") == "upgrade":
            gates.append(clock_skew(arguments["nodes"], now))
        result["gates"] += gates
        # Blocking ones first: that is what a reader looks for.
        result["gates"].sort(
            key=lambda one: (
                one["verdict"] in _verdicts.HOLDS,
                one["severity"] != "blocking",
                one["verdict"] != "failed",
            )
        )
