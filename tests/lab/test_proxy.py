# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy enabled on a lab that had none, proven, and taken out again. The tests build on one another in order."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import pytest

pytestmark = pytest.mark.lab

FLAG = "--peer-ca-file=/etc/kubernetes/pki/ca.crt"


def report(folder: pathlib.Path) -> dict[str, t.Any]:
    return dict(json.loads((folder / "reports" / "latest" / "report.json").read_text()))


def verdicts(told: dict[str, t.Any], gate: str) -> set[str]:
    return {entry["verdict"] for entry in told["gates"] if entry["id"] == gate}


def serving(lab, host: str) -> list[str]:
    """The arguments of a node's server, as its process has them."""
    return lab.on(host, "sh", "-c", "tr '\\0' '\\n' </proc/$(pidof kube-apiserver)/cmdline").splitlines()


def changed(output: str) -> int:
    return sum(int(number) for number in re.findall(r"changed=(\d+)", output))


def test_verify_says_that_the_proxy_is_missing(lab, tmp_path: pathlib.Path) -> None:
    code, output = lab.play("verify", tmp_path)
    told = report(tmp_path)
    assert code != 0, output
    assert (told["run"]["result"], told["run"]["failed_gate"]) == ("stopped", "proxy_enabled")
    assert verdicts(told, "proxy_enabled") == {"failed"}
    # One gate hides no other: the way from node to node is open all the same.
    assert verdicts(told, "peers_reachable") == {"passed"}
    assert verdicts(told, "requests_proxied") == {"not_exercised"}


def test_check_mode_shows_the_change_and_makes_none(lab, tmp_path: pathlib.Path) -> None:
    code, output = lab.play("proxy", tmp_path, "--check", "--diff")
    assert code == 0, output
    assert FLAG in output
    assert all(FLAG not in serving(lab, host) for host in lab.hosts)


def test_a_server_that_does_not_come_up_is_put_back(lab, tmp_path: pathlib.Path) -> None:
    before = lab.on("cp1", "systemctl", "cat", "kube-apiserver.service")
    code, output = lab.play(
        "proxy", tmp_path, "-e", "control_plane_peer_ca_file=/nonexistent/ca.crt", "-e", "control_plane_gate_timeout=20"
    )
    assert code != 0, output
    words = " ".join(output.split())
    assert "cp1 has its former flags again and serves as before" in words
    assert "The proxy is on at no server." in words
    assert lab.on("cp1", "systemctl", "cat", "kube-apiserver.service") == before
    # It stopped there.
    assert all(FLAG not in serving(lab, host) for host in lab.hosts)


def test_proxy_enables_and_proves(lab, tmp_path: pathlib.Path) -> None:
    code, output = lab.play("proxy", tmp_path)
    told = report(tmp_path)
    assert code == 0, output
    assert all(FLAG in serving(lab, host) for host in lab.hosts)
    assert {server["proxy_after"] for server in told["cluster"]["servers"]} == {"on"}
    for gate in ("lock", "quorum_after_step", "server_is_target", "peers_reachable", "peers_fetched", "proxy_enabled"):
        assert verdicts(told, gate) == {"passed"}, gate
    code, output = lab.play("proxy", tmp_path)
    assert (code, changed(output)) == (0, 0), output
    assert "lock" not in {entry["id"] for entry in report(tmp_path)["gates"]}


def test_verify_passes_with_the_proxy(lab, tmp_path: pathlib.Path) -> None:
    code, output = lab.play("verify", tmp_path)
    told = report(tmp_path)
    assert (code, changed(output), told["run"]["result"]) == (0, 0, "succeeded"), output
    assert verdicts(told, "proxy_enabled") == {"passed"}


def test_proxy_absent_takes_it_out_again(lab, tmp_path: pathlib.Path) -> None:
    code, output = lab.play("proxy", tmp_path, "-e", "control_plane_proxy_state=absent")
    assert code == 0, output
    assert not [argument for host in lab.hosts for argument in serving(lab, host) if "peer-ca-file" in argument]
    # Nothing of ours stays behind.
    assert lab.on("cp1", "sh", "-c", "ls /etc/systemd/system/kube-apiserver.service.d 2>/dev/null || true") == ""
    assert {server["proxy_after"] for server in report(tmp_path)["cluster"]["servers"]} == {"gate_only"}
