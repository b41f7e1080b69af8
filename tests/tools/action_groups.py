# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the action groups of meta/runtime.yml against what the modules' documentation says."""

from __future__ import annotations

import ast
import pathlib
import sys
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLLECTION = "mixedversion.kubernetes"
# These work on the controller alone: they take neither a kubeconfig nor a node, so no group's defaults would fit.
CONTROLLER_ONLY = {"fleet_report", "fleet_run", "plan", "report"}
FRAGMENT = f"{COLLECTION}._attributes"


def strings(path: pathlib.Path) -> dict[str, str]:
    """The texts that a file assigns by name, without importing it."""
    return {
        target.id: node.value.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def main() -> int:
    groups: dict[str, list[str]] = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]
    modules = sorted(path for path in (ROOT / "plugins/modules").glob("*.py") if path.stem != "__init__")
    names = {path.stem for path in modules}
    fragments = strings(ROOT / "plugins/doc_fragments/_attributes.py")
    findings = []

    for group, members in groups.items():
        text = fragments.get(group.upper())
        membership: Any = yaml.safe_load(text or "{}").get("attributes", {}).get("action_group", {}).get("membership")
        if membership != [f"{COLLECTION}.{group}"]:
            findings.append(f"plugins/doc_fragments/_attributes.py: {group.upper()} does not name {COLLECTION}.{group}")
        if members != sorted(set(members)):
            findings.append(f"meta/runtime.yml: group {group} is not sorted, or names a module twice")
        findings += [
            f"meta/runtime.yml: {group} names {name}, which is no module" for name in sorted({*members} - names)
        ]

    for path in modules:
        used = yaml.safe_load(strings(path).get("DOCUMENTATION", "{}")).get("extends_documentation_fragment", [])
        documented = {group for group in groups if f"{FRAGMENT}.{group}" in used}
        member = {group for group, members in groups.items() if path.stem in members}
        where = path.relative_to(ROOT)
        if not member and path.stem not in CONTROLLER_ONLY:
            findings.append(f"{where}: in no action group of meta/runtime.yml")
        for group in sorted(documented - member):
            findings.append(f"{where}: documents group {group}, but meta/runtime.yml does not list it there")
        for group in sorted(member - documented):
            findings.append(f"{where}: listed in group {group}, but lacks the fragment {FRAGMENT}.{group}")

    print(*findings or [f"{len(modules)} modules in {len(groups)} action groups"], sep="\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
