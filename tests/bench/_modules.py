# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs that a module starts at all: what Ansible sends for it, and the time until its options are judged.

Ansible packs a module with all that it imports, as a file (AnsiballZ) that it hands to the node's Python. Each module
is packed by Ansible itself, with an option that no module has; the file then runs some times by itself. What is
measured ends where the module refuses its options: all of its imports are made by then, and nothing is done. One of
Ansible's own, `ping`, is what the others are held against.
"""

from __future__ import annotations

import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import typing as t

from _clock import Spent, clocked
from _common import ROOT, Results
from _lab import NotAsWanted, say
from ansible import __version__
from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar

TIMES = 5
UNKNOWN = "no_module_has_this_option"
#: What is asked of a module that has no option to refuse.
BASE = "ansible.builtin.ping"


def packed(names: t.Sequence[str], folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """By module the file that Ansible makes of it."""
    # Ansible's loader finds nothing below a package that was imported before it, as other sections do.
    for name in [name for name in sys.modules if name.partition(".")[0] == "ansible_collections"]:
        del sys.modules[name]
    init_plugin_loader()
    templar = Templar(loader=DataLoader())
    found = {}
    for name in names:
        built = modify_module(
            module_name=name,
            module_path=module_loader.find_plugin_with_context(name).plugin_resolved_path,
            module_args={UNKNOWN: 1, "_ansible_version": __version__},
            templar=templar,
            task_vars={"ansible_playbook_python": sys.executable},
            module_compression="ZIP_DEFLATED",
            remote_is_local=True,
        )
        found[name] = folder / f"{name}.py"
        found[name].write_bytes(built.b_module_data)
    return found


def started(file: pathlib.Path) -> Spent:
    """What it takes until it has refused."""
    with clocked() as spent:
        done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    if not re.search(r"Unsupported parameters|missing required arguments", done.stdout):
        raise NotAsWanted(f"{file.name} did not refuse {UNKNOWN}: {(done.stdout + done.stderr)[-300:]}")
    return spent


def run(results: Results) -> None:
    names = sorted(
        f"mixedversion.kubernetes.{path.stem}"
        for path in (ROOT / "plugins" / "modules").glob("*.py")
        if path.stem != "__init__"
    )
    with tempfile.TemporaryDirectory() as folder:
        files = packed([BASE, *names], pathlib.Path(folder))
        say(f"{len(files)} files, each {TIMES} times")
        times: dict[str, list[Spent]] = {name: [] for name in files}
        # Round by round: what else the machine does falls upon all alike.
        for dummy in range(TIMES):
            for name, file in files.items():
                times[name].append(started(file))
        sizes = {name: file.stat().st_size for name, file in files.items()}
    for name in files:
        short = name.rpartition(".")[2]
        results.figure(f"modules/{short}/kibibytes", sizes[name] / 1024)
        results.figure(f"modules/{short}/seconds", statistics.median(one.seconds for one in times[name]))
        results.figure(f"modules/{short}/cpu_seconds", statistics.median(one.cpu for one in times[name]))
    slowest = max(names, key=lambda name: statistics.median(one.cpu for one in times[name]))
    results.case("modules", f"{len(names)} started", f"{len(names)} started, the slowest is {slowest}", True)
