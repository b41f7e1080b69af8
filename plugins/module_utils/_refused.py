# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What a component of another version would not start with: asked of its binary, or looked up in the shipped table.

A Kubernetes binary parses its command line, feature gates included, before ``--version`` prints and ends it. So it can
be asked about a flag or a gate without being started. ``--help`` is no answer by itself: it leaves out what is
deprecated, and every gate that is generally available.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _removed, _version

#: Runs a command; its exit code and all it printed.
Run = t.Callable[[list[str]], tuple[int, str]]

#: A gate that no version has: a binary that takes it does not judge gates at ``--version`` (the kubelet's).
NO_GATE = "MixedVersionNoSuchGate"
#: What a binary says of a gate that it does not take (k8s.io/component-base featuregate).
_GATE_WORDS = re.compile(r"unrecognized feature gate|feature is locked to \w+")


def plain(name: str) -> str:
    """A flag's name as the components have it: they take an underscore for a dash."""
    return name.replace("_", "-")


def flags(run: Run, path: str, names: t.Iterable[str]) -> dict[str, bool]:
    """Which of *names* the binary at *path* has no flag for."""
    listed = set(re.findall(r"^\s+(?:-\w, )?--([\w.-]+)", run([path, "--help"])[1], re.MULTILINE))
    return {
        name: plain(name) not in listed and "unknown flag" in run([path, f"--{name}=", "--version"])[1]
        for name in names
    }


def gates(run: Run, path: str, values: t.Iterable[str]) -> dict[str, str] | None:
    """By each of *values*, ``Name=true``, why the binary does not take it: empty if it does.

    None if it does not judge gates at all where it can be asked.
    """

    def says(gate: str) -> str:
        found = _GATE_WORDS.search(run([path, f"--feature-gates={gate}", "--version"])[1])
        return found[0] if found else ""

    if not says(f"{NO_GATE}=true"):
        return None
    return {value: reason(says(value)) for value in values}


def reason(words: str) -> str:
    """The binary's words in ours."""
    return "removed" if words.startswith("unrecognized") else words.replace("feature is ", "")


def releases(old: str, target: str) -> list[str] | None:
    """The minors that are new on the way from *old* to *target*; none if the table lacks one of them."""
    first, last = _version.parse(old), _version.parse(target)
    if first.major != last.major:
        return None
    found = [f"{last.major}.{minor}" for minor in range(first.minor + 1, last.minor + 1)]
    return None if any(release not in _removed.GATES for release in found) else found


def table_flag(component: str, old: str, target: str, name: str) -> str | None:
    """Why the target does not take a flag, by the table: empty if it does; none if the table has no such pair."""
    for release in releases(old, target) or []:
        if plain(name) in _removed.FLAGS[release].get(component, ()):
            return f"removed in {release}"
    return None if releases(old, target) is None else ""


def table_gate(old: str, target: str, name: str, value: str) -> str | None:
    """The same for a feature gate; one that is locked to another value is not taken either."""
    for release in releases(old, target) or []:
        if name in _removed.GATES[release]:
            return f"removed in {release}"
        locked = _removed.LOCKED[release].get(name)
        if locked is not None and value.lower() != str(locked).lower():
            return f"locked to {str(locked).lower()} in {release}"
    return None if releases(old, target) is None else ""
