# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all action plug-ins together load: once for each playbook, and on controllers that never ask the API."""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[4]
IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module("ansible_collections.mixedversion.kubernetes.plugins.action." + name)
print(*sorted({"kubernetes", "urllib3", "prometheus_client", "jmespath"} & set(sys.modules)))
"""


def test_the_controllers_part_needs_no_client_of_the_api():
    names = sorted(path.stem for path in (ROOT / "plugins" / "action").glob("*.py"))
    words = [sys.executable, "-c", IMPORT, *names]
    done = subprocess.run(words, cwd=ROOT / "build" / "collections", capture_output=True, text=True, check=True)
    assert len(names) > 40
    assert done.stdout.split() == []
