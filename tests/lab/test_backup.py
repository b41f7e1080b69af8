# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a lab of units: a backup is whole and private, and what was deleted comes back from it."""

from __future__ import annotations

import hashlib
import json
import stat

import pytest

pytestmark = pytest.mark.lab

NAMESPACE = "kept"


def processes(lab) -> dict[str, str]:
    """Who the servers and the members are now."""
    command = ("systemctl", "show", "--property=MainPID", "--value", "kube-apiserver", "etcd")
    return {host: lab.on(host, *command) for host in lab.hosts}


@pytest.fixture(scope="module")
def folder(lab, tmp_path_factory):
    """Where a backup lies that has the namespace; the namespace was deleted after it."""
    folder = tmp_path_factory.mktemp("backup")
    lab.kubectl("create", "namespace", NAMESPACE)
    code, output = lab.play("backup", folder)
    assert code == 0, output
    lab.kubectl("delete", "namespace", NAMESPACE)
    return folder


def test_the_backup_is_whole_and_private(lab, folder) -> None:
    latest = (folder / "backups" / "latest").resolve()
    manifest = json.loads((latest / "manifest.json").read_text())
    assert manifest["verified"]
    assert {"snapshot.db", *(f"{host}.tar.gz" for host in lab.hosts)} <= {entry["file"] for entry in manifest["files"]}
    for entry in manifest["files"]:
        assert hashlib.sha256((latest / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert stat.S_IMODE(latest.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in latest.iterdir()} == {0o600}
    # Nothing of it stays on a node.
    for host in lab.hosts:
        assert lab.on(host, "find", "/var/lib/mixedversion-kubernetes", "-name", "*.db*", "-o", "-name", "*.gz") == ""


@pytest.mark.parametrize("arguments", [("--check",), ()], ids=["check", "no terminal to answer at"])
def test_nothing_is_restored_unless_somebody_says_so(lab, folder, arguments) -> None:
    before = processes(lab)
    code, output = lab.play("restore", folder, *arguments)
    assert (code == 0) == bool(arguments), output
    assert "Nothing was changed" in output
    assert processes(lab) == before


def test_what_was_deleted_comes_back(lab, folder) -> None:
    before = processes(lab)
    code, output = lab.play("restore", folder, "--extra-vars=control_plane_restore_confirm=false")
    assert code == 0, output
    assert f"namespace/{NAMESPACE}" in lab.kubectl("get", "namespaces", "--output=name", host="cp3").split()
    assert not set(before.values()) & set(processes(lab).values())
    # The lock that its run held came back with the snapshot, and was given back.
    leases = lab.kubectl("--namespace=kube-system", "get", "leases", "--output=name")
    assert "lease.coordination.k8s.io/mixedversion-kubernetes" not in leases.split()
