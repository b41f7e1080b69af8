# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packed collection holds, and what is documented of it. Used by tests/tools/package.

usage: packed.py contents CHECKOUT TARBALL   all that users need, and nothing else
       packed.py documented INSTALLED        every module, role and entry point, by ansible-doc
       packed.py links INSTALLED             what the documents link to lies in the package too
"""

from __future__ import annotations

import collections
import json
import pathlib
import re
import subprocess
import sys
import tarfile

COLLECTION = "mixedversion.kubernetes"
#: What of the repository's top level users get.
SHIPPED = {
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "COPYING",
    "LICENSES",
    "README.md",
    "REUSE.toml",
    "SECURITY.md",
    "bindep.txt",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "requirements.txt",
    "roles",
}
#: Copied from the repository; where it is not installed, Galaxy's own lint does not know what it uses.
NOT_SHIPPED = "docs/awx/"
#: ansible-galaxy's own.
MADE = {"FILES.json", "MANIFEST.json"}


def contents(checkout: str, tarball: str) -> list[str]:
    listed = subprocess.run(
        ["git", "-C", checkout, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    kept = {path for path in listed if path and pathlib.Path(checkout, path).exists()}
    expected = {path for path in kept if path.split("/")[0] in SHIPPED and not path.startswith(NOT_SHIPPED)}
    with tarfile.open(tarball) as archive:
        packed = {member.name for member in archive if not member.isdir()} - MADE
    tops = collections.Counter(path.split("/")[0] for path in packed)
    findings = [f"missing in the tarball: {path}" for path in sorted(expected - packed)]
    findings += [f"nobody needs it, yet it is in the tarball: {path}" for path in sorted(packed - expected)]
    findings += [f"nothing of {top} is in the tarball" for top in sorted(SHIPPED - set(tops))]
    return findings or [f"{len(packed)} files: " + ", ".join(f"{top} {count}" for top, count in sorted(tops.items()))]


def documentation(kind: str, *arguments: str) -> dict[str, dict[str, object]]:
    told = subprocess.run(
        ["ansible-doc", "--type", kind, "--json", *arguments], check=True, capture_output=True, text=True
    ).stdout
    documents: dict[str, dict[str, object]] = json.loads(told)
    return documents


def documented(installed: str) -> list[str]:
    place = pathlib.Path(installed)
    modules = {f"{COLLECTION}.{path.stem}" for path in (place / "plugins/modules").glob("[a-z]*.py")}
    roles = {f"{COLLECTION}.{path.name}" for path in (place / "roles").iterdir()}
    listed = {"module": modules, "role": roles}
    findings = []
    for kind, names in listed.items():
        findings += [
            f"ansible-doc does not list the {kind} {name}"
            for name in sorted(names - set(documentation(kind, "--list", COLLECTION)))
        ]
    texts = documentation("module", *sorted(modules))
    findings += [f"{name} has no examples" for name in sorted(modules) if not texts[name].get("examples")]
    points = documentation("role", *sorted(roles))
    counts = {name: len(dict(points[name]["entry_points"])) for name in sorted(roles)}  # type: ignore[call-overload]
    findings += [f"the role {name} has no entry point" for name, count in counts.items() if not count]
    return findings or [
        f"{len(modules)} modules documented",
        f"{len(roles)} roles documented, with {sum(counts.values())} entry points",
    ]


def links(installed: str) -> list[str]:
    place = pathlib.Path(installed).resolve()
    findings = []
    documents = sorted(place.rglob("*.md"))
    seen = 0
    for document in documents:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            if "://" in target or target.startswith(("#", "mailto:")):
                continue
            seen += 1
            path = (document.parent / target.split("#")[0]).resolve()
            if place not in path.parents or not path.exists():
                findings.append(f"{document.relative_to(place)} links to {target}, which is not in the package")
    return findings or [f"{seen} links in {len(documents)} documents lead to something in the package"]


def main() -> int:
    command, *arguments = sys.argv[1:]
    lines = {"contents": contents, "documented": documented, "links": links}[command](*arguments)
    print(*lines, sep="\n")
    # Findings are sentences, results begin with a number.
    return 0 if lines[0][0].isdigit() else 1


if __name__ == "__main__":
    sys.exit(main())
