# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as it was installed from its tarball. tests/tools/package sets the environment."""

from __future__ import annotations

import os
import pathlib
import shlex
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
def documented(installed: pathlib.Path, tmp_path: pathlib.Path) -> t.Callable[[str, str], list[str]]:
    """The one command of a page that has some words in it, with a folder of ours in place of the page's."""

    def command(page: str, words: str) -> list[str]:
        lines = (installed / "docs" / page).read_text().replace("/srv/upgrade", str(tmp_path)).splitlines()
        (line,) = [line.strip() for line in lines if line.startswith(("ansible-", "   ansible-")) and words in line]
        return shlex.split(line)

    return command


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
def refused(inventory: pathlib.Path) -> str:
    """What a plan says of the same inventory once its target is no version; sooner than of hosts out of reach."""
    inventory.write_text(inventory.read_text().replace("v1.37.2", "latest"))
    return "control_plane_version is 'latest' (expected a full version such as v1.37.2)"


@pytest.fixture
def run(tmp_path: pathlib.Path) -> t.Callable[..., tuple[int, str]]:
    """Runs a command in a folder of its own; its exit code and what it printed, on one line."""

    def command(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            words,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, " ".join(done.stdout.split())

    return command
