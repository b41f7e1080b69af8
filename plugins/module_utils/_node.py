# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Reading a control plane node, and replacing files on it, with the standard library alone."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import shutil
import socket
import tempfile
import typing as t

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MANIFESTS = "/etc/kubernetes/manifests"
#: Where this collection keeps on a node what outlives one task: staged and former binaries, the steps' output.
STATE_DIRECTORY = "/var/lib/mixedversion-kubernetes"
#: What the unit of a driver step says of itself; the run's id comes behind it.
STEP_OF_RUN = "mixedversion.kubernetes driver step of run "
#: Where binaries are looked for: a task's own PATH may lack some of these.
SEARCH_PATH = "/usr/bin:/usr/local/bin:/opt/bin:/usr/sbin:/usr/local/sbin:/bin"
#: Properties of a systemd unit that name the files it is made of, in the order in which they are read.
_UNIT_FILES = ("FragmentPath", "DropInPaths", "EnvironmentFiles")


def network(process: int | str) -> str:
    """The network namespace that a process is in; that of this one where it can't be told."""
    try:
        return os.readlink(f"/proc/{process}/ns/net")
    except OSError:
        return os.readlink("/proc/self/ns/net")


def running(name: str) -> tuple[int, list[str]] | None:
    """Process id and arguments of the oldest process called *name*, whoever started it, in the network of this host.

    What runs in a pod with a network of its own, such as the etcd of a tenant's control plane, is not the node's.
    """
    found = []
    here = network("self")
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                arguments = file.read().split(b"\0")[:-1]
        except OSError:
            continue
        if not arguments or os.path.basename(arguments[0].decode(errors="replace")) != name:
            continue
        if network(entry) == here:
            found.append((int(entry), [argument.decode(errors="replace") for argument in arguments]))
    return min(found, default=None)


def alive(process: int) -> bool:
    """Whether there is a process of that number, whosever it is."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        # Somebody else's, and there.
        pass
    return True


def kept_binary(name: str, version: str) -> str:
    """Where a binary that was replaced is kept, by its version."""
    return f"{STATE_DIRECTORY}/binaries/{version}/{name}"


def flag_pairs(arguments: t.Iterable[str]) -> list[tuple[str, str]]:
    """``--name=value``, ``--name value`` and ``--name``, each as it comes."""
    found: list[tuple[str, str]] = []
    bare = False
    for argument in arguments:
        if argument.startswith("--"):
            name, given, value = argument[2:].partition("=")
            found.append((name, value if given else "true"))
            bare = not given
        elif bare:
            found[-1], bare = (found[-1][0], argument), False
    return found


def flags(arguments: t.Iterable[str]) -> dict[str, str]:
    """:func:`flag_pairs` as a dict; the last one of a name wins, as it does for the component."""
    return dict(flag_pairs(arguments))


def node_hostname() -> str:
    """What the kubelet here puts into its Node's label ``kubernetes.io/hostname``.

    Not what the API server puts into its Lease, which is the host name as it is. Source: k8s.io/kubernetes
    ``pkg/util/node/node.go`` (``GetHostname``).
    """
    return (flags(command("kubelet")).get("hostname-override") or socket.gethostname()).strip().lower()


def environment(process: int) -> dict[str, str]:
    """What a process was started with as its environment; empty if it may not be read."""
    try:
        with open(f"/proc/{process}/environ", "rb") as file:
            entries = file.read().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return {name: value for name, found, value in (entry.partition("=") for entry in entries) if found}


def manifest_command(text: str) -> list[str]:
    """The arguments in a static pod's manifest, as kubeadm writes it: one list item a line."""
    return [match[1] for match in re.finditer(r"""^\s+- ['"]?(--\S.*?)['"]?\s*$""", text, re.MULTILINE)]


def command(name: str) -> list[str]:
    """What a component runs with: its process, or its static pod's manifest while it has none."""
    process = running(name)
    return process[1] if process else manifest_command(read(f"{MANIFESTS}/{name}.yaml"))


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


def uncoloured(text: str) -> str:
    """What a program printed for a terminal, without the colours."""
    return re.sub("\x1b\\[[0-9;]*m", "", text)


def replace(path: str, content: str | bytes, mode: int) -> None:
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


def place(source: str, path: str) -> None:
    """Copy *source* over *path* in one step: whoever starts it gets the old or the new one, never a part."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".mixedversion.")
    try:
        with os.fdopen(handle, "wb") as target, open(source, "rb") as file:
            shutil.copyfileobj(file, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
        os.chmod(temporary, 0o755)
        os.replace(temporary, path)
        sync_directory(os.path.dirname(path))
    except BaseException:
        os.unlink(temporary)
        raise


def folder_bytes(path: str) -> int:
    """Size of the files below *path*, however deep."""
    total = 0
    for folder, dummy, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                # Whoever owns the folder may remove files while we look.
                continue
    return total


def sync_directory(path: str) -> None:
    """Make a rename in *path* durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def output(module: AnsibleModule, *command: str) -> str:
    """What a command prints, stripped; empty if it can't be run or fails."""
    code, text, dummy = (
        module.run_command(list(command), handle_exceptions=False) if usable(command[0]) else (1, "", "")
    )
    return "" if code else str(text).strip()


def unit_files(module: AnsibleModule, unit: str) -> list[str]:
    """The files a unit is made of, in the order in which they are read."""
    return shown_files(output(module, "systemctl", "show", *(f"--property={name}" for name in _UNIT_FILES), unit))


def shown_files(text: str) -> list[str]:
    """The paths in what ``systemctl show`` tells; an environment file comes with ``(ignore_errors=...)`` behind it.

    A unit with several environment files has a line for each.
    """
    pairs = [line.partition("=") for line in text.splitlines()]
    values = [value for wanted in _UNIT_FILES for name, dummy, value in pairs if name == wanted]
    return [word for value in values for word in value.split() if word.startswith("/")]


def active_steps(module: AnsibleModule) -> list[dict[str, str]]:
    """The driver steps that are active here, whoever started them: ``{name, unit, run_id}``."""
    return shown_steps(
        output(module, "systemctl", "show", "--property=Id,ActiveState,Description", "mixedversion-*.service")
    )


def shown_steps(text: str) -> list[dict[str, str]]:
    """The same from what ``systemctl show`` tells: a block a unit, with a line between two."""
    found = []
    for block in text.split("\n\n"):
        told = dict(line.partition("=")[::2] for line in block.splitlines())
        if told.get("ActiveState") in ("active", "activating", "deactivating", "reloading"):
            unit, description = told["Id"], told.get("Description", "")
            found.append(
                {
                    "name": unit[len("mixedversion-") : -len(".service")],
                    "unit": unit,
                    "run_id": description[len(STEP_OF_RUN) :] if description.startswith(STEP_OF_RUN) else "",
                }
            )
    return found


def usable(command: str) -> bool:
    """Whether there is such a command, in PATH or as a path."""
    return shutil.which(command) is not None


def running_version(module: AnsibleModule, name: str) -> str:
    """The version of the running process itself, though its file may have been replaced since; empty if none runs."""
    process = running(name)
    return version_of(module, name, f"/proc/{process[0]}/exe") if process else ""


def binary_version(module: AnsibleModule, path: str) -> str:
    """The version that a Kubernetes or etcd binary at *path* tells of itself, with ``v``; empty if it tells none."""
    return version_of(module, os.path.basename(path), path)


def version_of(module: AnsibleModule, name: str, path: str) -> str:
    """The same for a component called *name* whose file may be called otherwise."""
    arguments = {"kubeadm": ["version", "-o", "short"], "kubectl": ["version", "--client"]}.get(name, ["--version"])
    match = re.search(r"\bv?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?)", output(module, path, *arguments))
    return f"v{match[1]}" if match else ""


def local_addresses(fib_trie: str, if_inet6: str) -> list[str]:
    """A node's own addresses by ``/proc/net``: the targets of local routes, and IPv6 addresses of global scope."""
    local = re.findall(r"\|-- (\S+)\n(?:\s+/\d+ .*\n)*?\s+/32 host LOCAL", fib_trie)
    fields = [line.split() for line in if_inet6.splitlines()]
    local += [str(ipaddress.IPv6Address(int(field[0], 16))) for field in fields if len(field) > 3 and field[3] == "00"]
    # The kernel lists a route in each of its tables, so that most come twice.
    return sorted({address for address in local if not ipaddress.ip_address(address).is_loopback})


def addresses() -> list[str]:
    """This node's own addresses, loopback and link-local ones left out."""
    return local_addresses(read("/proc/net/fib_trie"), read("/proc/net/if_inet6"))
