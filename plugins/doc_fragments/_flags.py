# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Options of the modules that set a component's flags."""

from __future__ import annotations


class ModuleDocFragment:
    """The same wherever a component gets its flags from: a manifest, a unit, kubeadm's configuration."""

    DOCUMENTATION = r"""
options:
  flags:
    description: Flags, without dashes, that the component shall have; one whose value is null shall not be there.
    type: dict
    default: {}
  feature_gates:
    description:
      - Feature gates that shall be set to the value given; one whose value is null shall not be set.
      - Gates that are not named stay as they are.
    type: dict
    default: {}
"""
