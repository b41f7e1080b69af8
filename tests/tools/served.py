# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the table of what each minor's API server serves, from the real binaries.

usage: served.py FOLDER ETCD BINARY BINARY ... >plugins/module_utils/_served_table.py

FOLDER is one to work in, ETCD an etcd binary, each BINARY a kube-apiserver, oldest minor first. Each is started twice
on 127.0.0.1 with an etcd of its own: once as it comes, once with every version and every feature switched on; and asked
for its own discovery. What comes out are the differences between one minor and the next.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer"
TOKEN = "of-a-server-on-loopback"
#: Seconds until a server on a busy machine answers.
START = 120
EVERYTHING = ("--runtime-config=api/all=true", "--feature-gates=AllAlpha=true,AllBeta=true")
HEADER = '''# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What one minor's API server serves and the one before does not, and the other way. Made by tests/tools/served.py.

Recorded from {versions}: group-versions below ``/apis``, each with its resources.
"""

from __future__ import annotations

import typing as t

Table = t.Mapping[str, t.Mapping[str, t.Sequence[str]]]

#: By the later minor: what it serves as it comes, and the one before as it comes does not.
NEW: Table = {new}

#: By the later minor: what the one before serves as it comes, and it does not.
DROPPED: Table = {dropped}

#: By the later minor: what the one before knows, switched on or not, and it does not know at all any more.
REMOVED: Table = {removed}

#: By the later minor: what it knows, to be switched on or not, and the one before does not know at all.
INTRODUCED: Table = {introduced}
'''


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(log: pathlib.Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def served(folder: pathlib.Path, etcd: str, binary: str, *flags: str) -> dict[str, set[str]]:
    """The resources of each group-version."""
    folder.mkdir(parents=True)
    client, peer, port = free_port(), free_port(), free_port()
    (folder / "tokens.csv").write_text(f'{TOKEN},recorder,1,"system:masters"\n')
    subprocess.run(["openssl", "genrsa", "-out", folder / "sa.key", "2048"], check=True, capture_output=True)
    url = f"http://127.0.0.1:{client}"
    peers = f"http://127.0.0.1:{peer}"
    etcd_command = [etcd, f"--data-dir={folder}/etcd", f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
    etcd_command += [f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"]
    etcd_command += [f"--initial-cluster=default={peers}"]
    command = [binary, f"--etcd-servers={url}", f"--secure-port={port}", "--bind-address=127.0.0.1"]
    command += [
        f"--cert-dir={folder}/tls",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=AlwaysAllow",
    ]
    command += ["--service-account-issuer=https://127.0.0.1", f"--service-account-signing-key-file={folder}/sa.key"]
    command += [f"--service-account-key-file={folder}/sa.key", "--service-cluster-ip-range=10.96.0.0/16", *flags]
    with running(folder / "etcd.log", *etcd_command), running(folder / "server.log", *command) as server:
        return parse(discovery(server, f"https://127.0.0.1:{port}/apis", folder))


def discovery(server: subprocess.Popen[bytes], url: str, folder: pathlib.Path) -> dict[str, Any]:
    request = urllib.request.Request(url, headers={"Accept": ACCEPT, "Authorization": f"Bearer {TOKEN}"})
    ready = urllib.request.Request(url.replace("/apis", "/readyz"), headers={"Authorization": f"Bearer {TOKEN}"})
    end = time.monotonic() + START
    while True:
        try:
            context = ssl.create_default_context(cafile=str(folder / "tls" / "apiserver.crt"))
            with urllib.request.urlopen(ready, context=context):
                pass
            with urllib.request.urlopen(request, context=context) as answer:
                return dict(json.load(answer))
        except (OSError, urllib.error.URLError):
            if server.poll() is not None or time.monotonic() > end:
                sys.exit(f"no answer of the server; its log is {folder}/server.log")
            time.sleep(0.5)


def parse(document: dict[str, Any]) -> dict[str, set[str]]:
    return {
        f"{item['metadata']['name']}/{version['version']}": {
            each["resource"] for each in version.get("resources") or []
        }
        for item in document["items"]
        for version in item["versions"]
    }


def less(one: dict[str, set[str]], other: dict[str, set[str]]) -> dict[str, list[str]]:
    """What *one* has and *other* has not."""
    left = {
        group_version: sorted(one[group_version] - other.get(group_version, set())) for group_version in sorted(one)
    }
    return {group_version: resources for group_version, resources in left.items() if resources}


def literal(by_minor: dict[str, dict[str, list[str]]]) -> str:
    """A dictionary as the formatter leaves it."""
    lines = ["{"]
    for minor, found in by_minor.items():
        lines.append(f'    "{minor}": {{' + ("" if found else "},"))
        for group_version, resources in found.items():
            entries = ", ".join(f'"{resource}"' for resource in resources) + ("," if len(resources) == 1 else "")
            line = f'        "{group_version}": ({entries}),'
            if len(line) > 120:
                entries = "".join(f'            "{resource}",\n' for resource in resources)
                line = f'        "{group_version}": (\n{entries}        ),'
            lines.append(line)
        lines += ["    },"] if found else []
    return "\n".join([*lines, "}"])


def main() -> None:
    folder, etcd, *binaries = sys.argv[1:]
    as_it_comes, everything, versions = [], [], []
    for binary in binaries:
        told = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout
        versions.append(told.split()[-1].removeprefix("v"))
        work = pathlib.Path(folder) / versions[-1]
        as_it_comes.append(served(work / "default", etcd, binary))
        everything.append(served(work / "everything", etcd, binary, *EVERYTHING))
    pairs = [(n, versions[n].rpartition(".")[0]) for n in range(1, len(versions))]
    print(
        HEADER.format(
            versions=", ".join(versions),
            new=literal({minor: less(as_it_comes[n], as_it_comes[n - 1]) for n, minor in pairs}),
            dropped=literal({minor: less(as_it_comes[n - 1], as_it_comes[n]) for n, minor in pairs}),
            removed=literal({minor: less(everything[n - 1], everything[n]) for n, minor in pairs}),
            introduced=literal({minor: less(everything[n], everything[n - 1]) for n, minor in pairs}),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
