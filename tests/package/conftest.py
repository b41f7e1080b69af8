# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as it was installed from its tarball. tests/tools/package sets the environment."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest
import yaml

#: Nothing listens there.
NOWHERE = {"ansible_host": "127.0.0.1", "ansible_port": 1}


@pytest.fixture(scope="session")
def installed() -> pathlib.Path:
    """The installed collection's folder."""
    return pathlib.Path(os.environ["INSTALLED"])


@pytest.fixture(scope="session")
def tarball() -> pathlib.Path:
    return pathlib.Path(os.environ["TARBALL"])


@pytest.fixture
def inventory(tmp_path: pathlib.Path) -> pathlib.Path:
    """One host that can't be reached, and all that a plan wants to be told."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "nobody"}}],
        "current-context": "none",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    variables = {
        "control_plane_kubeconfig": str(tmp_path / "kubeconfig"),
        "control_plane_report_directory": str(tmp_path / "reports"),
        "control_plane_version": "v1.37.2",
    }
    path = tmp_path / "inventory.yml"
    path.write_text(yaml.safe_dump({"kube_control_plane": {"hosts": {"cp1": NOWHERE}, "vars": variables}}))
    return path


@pytest.fixture
def run(tmp_path: pathlib.Path) -> t.Callable[..., tuple[int, str]]:
    """Runs a command in a folder of its own; its exit code and what it printed, on one line."""

    def command(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            words, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return done.returncode, " ".join(done.stdout.split())

    return command
