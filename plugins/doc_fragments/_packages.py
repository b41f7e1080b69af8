# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Options of the modules that look for Kubernetes' packages."""

from __future__ import annotations


class ModuleDocFragment:
    """What is looked for, and where; ``_packages.OPTIONS`` has the same."""

    DOCUMENTATION = r"""
options:
  version:
    description: Kubernetes' version, from which the exact one of each package is found, such as C(1.37.2-1.1).
    type: str
    required: true
  repository:
    description:
      - URL of the repository to look in where the node has none configured with this version, in the layout of
        pkgs.k8s.io. Empty means C(https://pkgs.k8s.io/core:/stable:/vMINOR/) with C(deb/) or C(rpm/).
    type: str
    default: ""
  key:
    description: The armored public key that it is signed by. Empty means the one that lies in it, read by https.
    type: str
    default: ""
"""
