# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receptor on this machine: a controller and some workers, over TLS that both ends verify.

Built from its Go module, which receptor/go.sum holds to its checksums, and kept in the cache by version.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import socket
import subprocess
import typing as t

from _common import CACHE, end
from _lab import NotAsWanted, say, until

SOURCE = pathlib.Path(__file__).resolve().parent / "receptor"
CONTROLLER, BITS, HERE = "controller", "2048", "127.0.0.1"


def program() -> pathlib.Path:
    """Receptor itself."""
    (version,) = re.findall(r"ansible/receptor (\S+)", (SOURCE / "go.mod").read_text())
    path = CACHE / "receptor" / version / "receptor"
    if not path.exists():
        say(f"receptor {version} is built, which takes some minutes")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        words = [
            "go",
            "build",
            "-mod=readonly",
            "-trimpath",
            "-o",
            str(part),
            "github.com/ansible/receptor/cmd/receptor-cl",
        ]
        done = subprocess.run(words, cwd=SOURCE, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotAsWanted(f"receptor can't be built: {done.stderr.strip()[-300:]}")
        part.replace(path)
    return path


def certificates(receptor: pathlib.Path, folder: pathlib.Path, names: t.Iterable[str]) -> None:
    """A CA of the mesh's own, and for each node a certificate with its name in the mesh, and this machine's address."""

    def run(action: str, **options: str) -> None:
        words = [str(receptor), action, *(f"{key}={value}" for key, value in options.items())]
        subprocess.run(words, cwd=folder, capture_output=True, check=True)

    run("--cert-init", commonname="fleet", bits=BITS, outcert="ca.crt", outkey="ca.key")
    for name in names:
        run(
            "--cert-makereq",
            commonname=name,
            nodeid=name,
            ipaddress=HERE,
            bits=BITS,
            outreq=f"{name}.csr",
            outkey=f"{name}.key",
        )
        run("--cert-signreq", req=f"{name}.csr", cacert="ca.crt", cakey="ca.key", outcert=f"{name}.crt", verify="true")


def node(name: str, folder: pathlib.Path, *more: dict[str, t.Any]) -> pathlib.Path:
    """The configuration of one node. Its socket is its owner's alone."""
    own = {"cert": str(folder / f"{name}.crt"), "key": str(folder / f"{name}.key")}
    if name == CONTROLLER:
        tls: dict[str, t.Any] = {
            "tls-server": {"name": "mesh", **own, "requireclientcert": True, "clientcas": str(folder / "ca.crt")}
        }
    else:
        tls = {"tls-client": {"name": "mesh", **own, "rootcas": str(folder / "ca.crt")}}
    document = [
        {"node": {"id": name, "datadir": str(folder / f"data-{name}")}},
        {"control-service": {"service": "control", "filename": str(folder / f"{name}.sock")}},
        tls,
        *more,
    ]
    path = folder / f"{name}.yml"
    # YAML has JSON in it.
    path.write_text(json.dumps(document))
    return path


def free_port() -> int:
    with socket.create_server((HERE, 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def mesh(
    folder: pathlib.Path, workers: t.Sequence[str], environment: t.Callable[[pathlib.Path], dict[str, str]]
) -> t.Iterator[pathlib.Path]:
    """The controller's socket, as long as this lasts. Each worker has a home of its own, and runs ansible-runner."""
    receptor = program()
    folder.mkdir(mode=0o700)
    certificates(receptor, folder, [CONTROLLER, *workers])
    port = free_port()
    runner = {"worktype": "ansible-runner", "command": "ansible-runner", "params": "worker"}
    configured = {
        CONTROLLER: node(CONTROLLER, folder, {"tcp-listener": {"bindaddr": HERE, "port": port, "tls": "mesh"}})
    }
    for name in workers:
        peer = {"tcp-peer": {"address": f"{HERE}:{port}", "tls": "mesh"}}
        configured[name] = node(name, folder, peer, {"work-command": runner})
    control = folder / f"{CONTROLLER}.sock"
    with contextlib.ExitStack() as stack, (folder / "log").open("wb") as log:
        for name, config in configured.items():
            process = subprocess.Popen(
                [str(receptor), "--config", str(config)],
                cwd=folder,
                env=environment(folder / f"home-{name}"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            stack.callback(end, process)
        home = environment(folder / "home")

        def known() -> bool:
            words = ["receptorctl", "--socket", str(control), "status", "--json"]
            done = subprocess.run(words, env=home, capture_output=True, text=True, check=False)
            if done.returncode:
                return False
            advertised = json.loads(done.stdout).get("Advertisements") or []
            return set(workers) <= {entry["NodeID"] for entry in advertised if entry.get("WorkCommands")}

        until("the controller knows all workers", known)
        yield control
