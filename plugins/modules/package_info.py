#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say which packages of a Kubernetes version the node's package manager can have."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_info
short_description: Find the exact packages of a Kubernetes version by apt or dnf
version_added: 0.1.0
description:
  - Asks the node's own apt or dnf for kubeadm, kubelet and, where it is installed as a package, kubectl. A repository
    that is not configured yet is looked at in a folder that is removed again; the node's own lists stay as they are.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
  - mixedversion.kubernetes._packages
"""

EXAMPLES = r"""
- name: Know whether the target can be had
  mixedversion.kubernetes.package_info:
    version: v1.37.2
  register: packages
"""

RETURN = r"""
manager:
  description: V(apt) or V(dnf); empty if the node has neither.
  returned: always
  type: str
packages:
  description: The exact version of each package; empty for one that could not be found.
  returned: always
  type: dict
seen:
  description: All versions that were seen, by package.
  returned: always
  type: dict
repository:
  description: Where; empty for what the node has configured.
  returned: always
  type: str
trouble:
  description: Why nothing could be found out; empty if it could.
  returned: always
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _packages


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(_packages.OPTIONS),
        supports_check_mode=True,
    )
    params = module.params
    manager = _packages.find(module)
    result = {"changed": False, "manager": "", "packages": {}, "seen": {}, "repository": "", "trouble": ""}
    if manager is None:
        module.exit_json(**{**result, "trouble": "there is neither apt nor dnf"})
    result["manager"] = manager.name
    try:
        offer = manager.offer(params["version"], _packages.wanted(manager), params["repository"], params["key"])
    except _packages.PackageError as error:
        module.exit_json(**{**result, "trouble": str(error)})
    module.exit_json(**{**result, "packages": offer.chosen, "seen": offer.seen, "repository": offer.repository})


if __name__ == "__main__":
    main()
