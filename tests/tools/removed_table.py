# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write plugins/module_utils/_removed.py: what each minor's components no longer take, asked of the real binaries.

usage: removed_table.py SOURCES BINARIES [BINARIES ...]
  SOURCES   Go's module cache, with k8s.io/kubernetes of the versions asked: names to ask about, deprecated ones too
  BINARIES  a folder a version, called by it: one patch of each minor, one minor after the other; several of one version
            may be given, so that kube-proxy may lie elsewhere
"""

from __future__ import annotations

import collections
import functools
import pathlib
import pprint
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "plugins/module_utils/_removed.py"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
GATES_FILE = "test/compatibility_lifecycle/reference/versioned_feature_list.yaml"
#: How these two are made to judge gates and end: neither does at --version.
JUDGE = {"kubelet": ["--config=/dev/null/none"], "kube-proxy": ["--write-config-to=/dev/null"]}
#: A name in a call that deprecates or hides a flag, so that --help leaves it out.
FLAG = re.compile(r'(?:MarkDeprecated|MarkHidden|egisterDeprecated)\([^"\n]*?"([A-Za-z][\w.-]+)"')
#: What a binary says of a gate that it does not know, or does not take in that state.
REFUSED = re.compile(r"unrecognized feature gate: (\w+)|cannot set feature gate (\w+) to \w+, feature is locked")
#: A flag in what --help prints.
LISTED = re.compile(r"^\s+(?:-\w, )?--([\w.-]+)", re.MULTILINE)

HEADER = '''# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What a minor's components no longer take that those of the minor before took.

Written by tests/tools/removed_table.py; asked of {versions}.
"""

from __future__ import annotations

'''


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout + done.stderr


@functools.cache
def help_of(path: pathlib.Path) -> str:
    return run(str(path), "--help")


def sieve(path: pathlib.Path, names: set[str], state: str) -> tuple[set[str], set[str]]:
    """Of *names* those that the binary does not know, and those that it does not take in that state.

    It names one at each try.
    """
    left = set(names)
    unknown: set[str] = set()
    locked: set[str] = set()
    while left:
        given = ",".join(f"{name}={state}" for name in sorted(left))
        words = run(str(path), f"--feature-gates={given}", *JUDGE.get(path.name, ["--version"]))
        found = REFUSED.search(words)
        if not found:
            break
        (unknown if found[1] else locked).add(found[1] or found[2])
        left -= {found[1], found[2]}
    return unknown, locked


def gates(path: pathlib.Path, names: set[str]) -> tuple[set[str], dict[str, bool]]:
    """Of *names* those that the binary takes, and of these the ones that are locked, with their only value."""
    unknown, off = sieve(path, names, "true")
    known = names - unknown
    dummy, on = sieve(path, known, "false")
    return known, {**dict.fromkeys(off, False), **dict.fromkeys(on, True)}


def flags(path: pathlib.Path, names: set[str]) -> set[str]:
    known = set(LISTED.findall(help_of(path)))
    asked = {name.replace("_", "-") for name in names} - known
    return known | {name for name in asked if "unknown flag" not in run(str(path), f"--{name}=", "--version")}


def kubeadm(path: pathlib.Path) -> tuple[dict[str, str], str]:
    """The tags of the images that are not the components' own, and the version that kubeadm tells of itself."""
    version = run(str(path), "version", "-o", "short").strip()
    lines = run(str(path), "config", "images", "list", "--kubernetes-version", version).split()
    names = (line.rpartition("/")[2].partition(":") for line in lines)
    return {name: tag for name, dummy, tag in names if name in ("etcd", "pause")}, version


def kubeadm_gates(sources: pathlib.Path, version: str) -> set[str]:
    """kubeadm has no way to be asked by itself: its list of gates, as its source has it."""
    text = (sources / f"k8s.io/kubernetes@{version}/cmd/kubeadm/app/features/features.go").read_text()
    return set(re.findall(r'^\t(\w+) = "\1"$', text, re.MULTILINE))


def candidates(sources: pathlib.Path, versions: list[str]) -> tuple[set[str], set[str]]:
    names: set[str] = set()
    switches: set[str] = set()
    for version in versions:
        tree = sources / f"k8s.io/kubernetes@{version}"
        names |= set(re.findall(r"^- name: (\w+)$", (tree / GATES_FILE).read_text(), re.MULTILINE))
        staging = sources / "k8s.io"
        trees = [tree / "cmd", tree / "pkg", *staging.glob(f"*@v0.{version.partition('.')[2]}")]
        for folder in trees:
            for file in folder.rglob("*.go"):
                switches |= set(FLAG.findall(file.read_text(errors="replace")))
    return names, switches


def binary(folders: list[pathlib.Path], name: str) -> pathlib.Path:
    return next(folder / name for folder in folders if (folder / name).exists())


def main() -> int:
    sources = pathlib.Path(sys.argv[1])
    folders: dict[str, list[pathlib.Path]] = collections.defaultdict(list)
    for given in map(pathlib.Path, sys.argv[2:]):
        folders[given.name].append(given)
    versions = sorted(folders, key=lambda version: [int(part) for part in version[1:].split(".")])
    names, switches = candidates(sources, versions)
    sys.stderr.write(f"{len(names)} gates and {len(switches)} names of flags to ask about\n")

    taken: dict[str, dict[str, tuple[set[str], dict[str, bool], set[str]]]] = {}
    images: dict[str, dict[str, str]] = {}
    for version in versions:
        release = ".".join(version[1:].split(".")[:2])
        taken[release] = {}
        for component in COMPONENTS:
            path = binary(folders[version], component)
            listed = {flag for each in folders.values() for flag in LISTED.findall(help_of(binary(each, component)))}
            taken[release][component] = (*gates(path, names), flags(path, switches | listed))
            sys.stderr.write(f"{version} {component}: {[len(part) for part in taken[release][component]]}\n")
        found, told = kubeadm(binary(folders[version], "kubeadm"))
        if told != version:
            sys.stderr.write(f"the kubeadm of {version} says {told}\n")
            return 1
        images[release] = found

    gone_gates: dict[str, tuple[str, ...]] = {}
    gone_flags: dict[str, dict[str, tuple[str, ...]]] = {}
    locked: dict[str, dict[str, bool]] = {}
    gone_kubeadm: dict[str, tuple[str, ...]] = {}
    releases = list(taken)
    known = [kubeadm_gates(sources, version) for version in versions]
    for number, (old, new) in enumerate(zip(releases, releases[1:])):
        # The components have their gates in common, with few exceptions; one that never knew a gate is not given it.
        gone: set[str] = set()
        gone_flags[new], locked[new] = {}, {}
        for component in COMPONENTS:
            before, after = taken[old][component], taken[new][component]
            gone |= before[0] - after[0]
            missing = tuple(sorted(before[2] - after[2]))
            if missing:
                gone_flags[new][component] = missing
            locked[new].update({name: value for name, value in after[1].items() if name not in before[1]})
        gone_gates[new] = tuple(sorted(gone))
        locked[new] = dict(sorted(locked[new].items()))
        gone_kubeadm[new] = tuple(sorted(known[number] - known[number + 1]))

    def text(value: object) -> str:
        return pprint.pformat(value, width=110, sort_dicts=False)

    OUT.write_text(
        HEADER.format(versions=", ".join(versions))
        + "#: By minor the feature gates that its components no longer know.\n"
        + f"GATES: dict[str, tuple[str, ...]] = {text(gone_gates)}\n"
        + "#: By minor the gates that it locked: any other value ends the component at its start.\n"
        + f"LOCKED: dict[str, dict[str, bool]] = {text(locked)}\n"
        + "#: By minor and component the flags that it removed.\n"
        + f"FLAGS: dict[str, dict[str, tuple[str, ...]]] = {text(gone_flags)}\n"
        + "#: By minor kubeadm's own feature gates that it removed, by its source.\n"
        + f"KUBEADM_GATES: dict[str, tuple[str, ...]] = {text(gone_kubeadm)}\n"
        + "#: By minor the images that its kubeadm asks for beside the components' own.\n"
        + f"IMAGES: dict[str, dict[str, str]] = {text(images)}\n"
    )
    subprocess.run(["ruff", "format", "--quiet", str(OUT)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
