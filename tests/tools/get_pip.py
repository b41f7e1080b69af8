# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put pip into the empty virtual environments of ansible-test, from the package index like everything else.

ansible-test would fetch a get-pip.py from a site of its own, unpinned and out of reach for many CI machines.
It takes this file instead where it finds it in its cache, and runs it with pip's arguments.
"""

from __future__ import annotations

import ensurepip
import os
import subprocess
import sys

if __name__ == "__main__":
    # Options of get-pip.py itself; pip knows none of them.
    arguments = [argument for argument in sys.argv[1:] if argument not in {"--no-setuptools", "--no-wheel"}]
    # ensurepip switches off what pip is configured with, for the whole process: an index, a certificate.
    environment = dict(os.environ)
    ensurepip.bootstrap()
    sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *arguments], env=environment))
