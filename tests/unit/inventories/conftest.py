# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests that go through inventories share."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
#: What would go to a node or a server.
STUBS = {name: HERE / "stubs" / f"{name}.py" for name in ("node_info", "etcd_info", "proxy_info")}
#: The gates of verify, which here all hold.
GATES = ("peer_info", "refresh_peers", "wait_for_convergence", "probe_requests", "wait_for_leases")
STUBS |= dict.fromkeys(GATES, HERE / "stubs" / "holds.py")


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The collection as it is, with stubs where it would leave the controller."""
    place = tmp_path_factory.mktemp("collections")
    own = place / "ansible_collections" / "mixedversion" / "kubernetes"
    (own / "plugins" / "action").mkdir(parents=True)
    for name in ("galaxy.yml", "meta", "playbooks", "roles"):
        (own / name).symlink_to(ROOT / name)
    for path in (ROOT / "plugins").iterdir():
        if path.name != "action":
            (own / "plugins" / path.name).symlink_to(path)
    for path in (ROOT / "plugins" / "action").glob("*.py"):
        (own / "plugins" / "action" / path.name).symlink_to(STUBS.get(path.stem, path))
    return place


@pytest.fixture
def environment(collections: pathlib.Path, tmp_path: pathlib.Path) -> dict[str, str]:
    """That of ansible-playbook: nothing of the settings of whoever runs the tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    return {
        **kept,
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_NOCOLOR": "true",
        # No cluster of whoever runs the tests is asked for a lock.
        "KUBECONFIG": str(tmp_path / "none"),
    }


@pytest.fixture
def play(environment: dict[str, str], tmp_path: pathlib.Path) -> t.Callable[..., tuple[int, str, pathlib.Path]]:
    """Starts a playbook on a shape; returns its exit code, what it printed on one line, and the folder of its runs."""

    def run(name: str, shape: str, *arguments: str) -> tuple[int, str, pathlib.Path]:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            ["ansible-playbook", f"mixedversion.kubernetes.{name}", f"--inventory={HERE / shape}", *arguments],
            env={**environment, "PWD": str(work)},
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        output = " ".join((done.stdout + done.stderr).split())
        return done.returncode, output, work / "control-plane"

    return run
