# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a lab's private keys and tokens, and whether they stand where nobody may find them."""

from __future__ import annotations

import base64
import pathlib
import re
import threading
import typing as t

import yaml
from _lab import Lab

#: Enough of a key that nothing else has it by chance, and less than a line of a PEM file.
NEEDLE = 40
#: What holds keys by its purpose. Its modes are looked at instead.
KEPT = re.compile(r"/backups/")


def needles(lab: Lab) -> dict[str, bytes]:
    """By its path, a part of each secret on the nodes and the controller, in each shape that it may be written in."""
    found: dict[str, bytes] = {}
    for host in lab.hosts:
        paths = lab.sh(host, "find /etc/kubernetes /var/lib/kubelet -type f 2>/dev/null || true").split()
        for path in paths:
            if path.endswith((".key", ".pem", ".conf")):
                text = lab.sh(host, f"cat {path}")
                found.update({f"{host}:{path} ({shape})": part for shape, part in parts(text).items()})
    text = (lab.folder / "admin.conf").read_text()
    found.update({f"admin.conf ({shape})": part for shape, part in parts(text).items()})
    return found


def parts(text: str) -> dict[str, bytes]:
    """Of each private key in a file: a line of its PEM, and the same within base64, as kubeconfigs have it."""
    found: dict[str, bytes] = {}
    keys = re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", text, re.DOTALL)
    for user in (yaml.safe_load(text) or {}).get("users", []) if "client-key-data" in text else []:
        data = user["user"]["client-key-data"]
        found["kubeconfig"] = data[len(data) // 2 :][:NEEDLE].encode()
        keys.append(base64.b64decode(data).decode())
    for position, key in enumerate(keys):
        lines = key.splitlines()
        found[f"key {position}"] = lines[len(lines) // 2][:NEEDLE].encode()
        found[f"key {position} in base64"] = base64.b64encode(key.encode())[NEEDLE * 4 :][:NEEDLE]
    tokens = re.findall(r"^\s*token: ([\w.-]{16,})", text, re.MULTILINE)
    found.update({f"token {position}": token.encode() for position, token in enumerate(tokens)})
    return found


class Processes(threading.Thread):
    """Every command line that is seen on this machine, the nodes' among them, looked at twenty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.looks = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.05):
            self.looks += 1
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue

    def stop(self) -> None:
        self.done.set()
        self.join()


def places(lab: Lab, folder: pathlib.Path, processes: Processes) -> t.Iterator[tuple[str, bytes]]:
    """Where they are looked for, one after the other: name and content."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and not KEPT.search(str(path)):
            yield str(path.relative_to(folder)), path.read_bytes()
    yield "process lists", b"\n".join(sorted(processes.seen))
    for host in lab.hosts:
        yield f"{host}: journal", lab.sh(host, "journalctl --no-pager --output=cat", timeout=120).encode()
        own = "find /var/lib/mixedversion-kubernetes -type f -size -1M -not -path '*/binaries/*' -not -path '*/kept/*'"
        yield f"{host}: what the collection keeps", lab.sh(host, f"{own} -exec cat {{}} + 2>/dev/null || true").encode()
        audit = "cat /var/log/kubernetes/audit.log 2>/dev/null || true"
        yield f"{host}: audit log", lab.sh(host, audit, timeout=120).encode()


def hits(lab: Lab, folder: pathlib.Path, processes: Processes) -> tuple[list[str], dict[str, float]]:
    """Which secret stands where, and how much was looked through."""
    wanted = needles(lab)
    found, looked, size = [], 0, 0
    for name, content in places(lab, folder, processes):
        looked += 1
        size += len(content)
        found += [f"{secret} in {name}" for secret, part in wanted.items() if part in content]
    return found, {
        "needles": len(wanted),
        "places": looked,
        "megabytes": size / 1e6,
        "process_looks": processes.looks,
        "command_lines": len(processes.seen),
    }


def readable(folder: pathlib.Path) -> list[str]:
    """Files of backups that others than their owner may read, though a key may be in them."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if KEPT.search(str(path))
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_mode & 0o077
        and path.suffix not in (".json",)
    ]
