# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Attributes that several modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """What holds for a module on an API host, for one on a node, and for one on the controller."""

    DOCUMENTATION = r"""
options: {}
attributes:
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: posix
"""

    READER = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
    details:
      - This module only reads, in check mode as well.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: N/A
    details:
      - This module changes nothing.
"""

    WRITER = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
"""

    API = r"""
options: {}
attributes:
  action_group:
    description: C(group/mixedversion.kubernetes.api) in C(module_defaults) sets options for these modules at once.
    support: full
    membership:
      - mixedversion.kubernetes.api
"""

    NODE = r"""
options: {}
attributes:
  action_group:
    description: C(group/mixedversion.kubernetes.node) in C(module_defaults) sets options for these modules at once.
    support: full
    membership:
      - mixedversion.kubernetes.node
"""

    CONTROLLER = r"""
options: {}
attributes:
  action:
    description: >-
      Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
    support: full
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: N/A
    details:
      - This module changes nothing but files on the controller that tell of a run.
"""
