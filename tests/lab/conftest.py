# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab that LAB names, and ways to look at it that are not the collection's own."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Lab:
    """A running lab."""

    name: str

    @property
    def folder(self) -> pathlib.Path:
        return ROOT / "build" / "lab" / self.name

    @property
    def inventory(self) -> pathlib.Path:
        return self.folder / "inventory.yml"

    @property
    def hosts(self) -> dict[str, t.Any]:
        return dict(yaml.safe_load(self.inventory.read_text())["kube_control_plane"]["hosts"])

    def on(self, host: str, *command: str, stdin: str = "") -> str:
        """What a command prints on a node."""
        words = ["podman", "exec", "--interactive", f"{self.name}-{host}", *command]
        return subprocess.run(words, input=stdin.encode(), capture_output=True, check=True).stdout.decode()

    def kubectl(self, *arguments: str, host: str = "cp1", stdin: str = "") -> str:
        """The same of kubectl there, as the administrator."""
        return self.on(host, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments, stdin=stdin)

    def play(
        self, name: str, folder: pathlib.Path, *arguments: str, inventory: pathlib.Path | None = None
    ) -> tuple[int, str]:
        """Run a playbook as a user would; its exit code and what it printed. Reports and backups go to *folder*."""
        done = subprocess.run(
            [
                "ansible-playbook",
                f"mixedversion.kubernetes.{name}",
                f"--inventory={inventory or self.inventory}",
                f"--extra-vars=control_plane_report_directory={folder / 'reports'}",
                f"--extra-vars=control_plane_backup_directory={folder / 'backups'}",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
            cwd=ROOT,
        )
        return done.returncode, done.stdout.decode()

    def audit(self, host: str) -> list[dict[str, t.Any]]:
        """Every audit event of a server so far."""
        lines = self.on(host, "cat", "/var/log/kubernetes/audit.log").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab; a test that needs one fails without it, it is never skipped."""
    return Lab(os.environ["LAB"])
