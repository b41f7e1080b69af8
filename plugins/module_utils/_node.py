# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Reading a control plane node, and replacing files on it, with the standard library alone."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import typing as t

MANIFESTS = "/etc/kubernetes/manifests"
#: Where this collection keeps on a node what outlives one task: staged and former binaries, the steps' output.
STATE_DIRECTORY = "/var/lib/mixedversion-kubernetes"


def running(name: str) -> t.Optional[tuple[int, list[str]]]:
    """Process id and arguments of the oldest process called *name*, whoever started it."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                arguments = file.read().split(b"\0")[:-1]
        except OSError:
            continue
        if arguments and os.path.basename(arguments[0].decode(errors="replace")) == name:
            found.append((int(entry), [argument.decode(errors="replace") for argument in arguments]))
    return min(found, default=None)


def flags(arguments: t.Iterable[str]) -> dict[str, str]:
    """``--name=value`` and ``--name`` as a dict; the last one of a name wins, as it does for the component."""
    result = {}
    for argument in arguments:
        if argument.startswith("--"):
            name, dummy, value = argument[2:].partition("=")
            result[name] = value if dummy else "true"
    return result


def manifest_command(text: str) -> list[str]:
    """The arguments in a static pod's manifest, as kubeadm writes it: one list item a line."""
    return [match[1].strip("'\"") for match in re.finditer(r"^\s+- (--[^\s].*?)\s*$", text, re.MULTILINE)]


def manifest_image(text: str) -> str:
    """The image of a static pod's first container."""
    match = re.search(r"^\s+image:\s*['\"]?([^\s'\"]+)", text, re.MULTILINE)
    return match[1] if match else ""


def read(path: str) -> str:
    """A file's text; empty if there is no such file."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def replace(path: str, content: t.Union[str, bytes], mode: int) -> None:
    """Replace *path* in one step that survives a power cut. The temporary name starts with a dot: kubelets skip it."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".mixedversion.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
        sync_directory(os.path.dirname(path))
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def sync_directory(path: str) -> None:
    """Make a rename in *path* durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def output(*command: str) -> str:
    """What a command prints, stripped; empty if it can't be run or fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def running_version(name: str) -> str:
    """The version of the running process itself, though its file may have been replaced since; empty if none runs."""
    process = running(name)
    return binary_version(f"/proc/{process[0]}/exe") if process else ""


def binary_version(path: str) -> str:
    """The version a Kubernetes or etcd binary tells of itself, with ``v``; empty if it tells none."""
    command = (path, "version", "-o", "short") if os.path.basename(path).startswith("kubeadm") else (path, "--version")
    if os.path.basename(path).startswith("kubectl"):
        command = (path, "version", "--client")
    match = re.search(r"\bv?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?)", output(*command))
    return f"v{match[1]}" if match else ""
