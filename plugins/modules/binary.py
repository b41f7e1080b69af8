#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put a staged binary in the place of the old one, which is kept."""

from __future__ import annotations

DOCUMENTATION = r"""
module: binary
short_description: Switch a component's binary to a staged one and keep the old
version_added: 0.1.0
description:
  - Makes sure that the staged binary tells the version wanted, keeps the present one under
    C(/var/lib/mixedversion-kubernetes/binaries), and replaces it in one step. Nothing is restarted.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
attributes:
  diff_mode:
    support: full
options:
  path:
    description: The binary that is used.
    type: path
    required: true
  source:
    description: The staged binary on the node.
    type: path
    required: true
  version:
    description: The version it shall tell.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Switch kubeadm
  mixedversion.kubernetes.binary:
    path: /usr/bin/kubeadm
    source: /var/lib/mixedversion-kubernetes/binaries/v1.37.2/kubeadm
    version: v1.37.2
"""

RETURN = r"""
version_before:
  description: The version that was there.
  returned: always
  type: str
running_version:
  description: The version of the running process of that name; empty if there is none.
  returned: always
  type: str
kept:
  description: Where the old binary is.
  returned: when changed
  type: str
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _node, _version


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "path": {"type": "path", "required": True},
                "source": {"type": "path", "required": True},
                "version": {"type": "str", "required": True},
            }
        ),
        supports_check_mode=True,
    )
    params = module.params
    path, source = params["path"], params["source"]
    wanted = str(_version.parse(params["version"]))
    before = _node.binary_version(module, path)
    result = {
        "version_before": before,
        "running_version": _node.running_version(module, os.path.basename(path)),
        # A binary is told by its version; nobody reads more of it.
        "diff": {"before": f"{before}\n", "after": f"{wanted}\n", "before_header": path, "after_header": path},
    }
    if before == wanted or module.check_mode:
        module.exit_json(changed=before != wanted, **result)
    staged = _node.binary_version(module, source)
    if staged != wanted:
        module.fail_json(
            msg=f"{source} tells version {staged or 'none'}, expected {wanted}. {path} was not changed. "
            "Put the right binary into control_plane_binaries_directory."
        )
    kept = _node.kept_binary(os.path.basename(path), before or "unknown")
    try:
        if os.path.exists(path) and not os.path.exists(kept):
            _node.place(path, kept)
        _node.place(source, path)
    except OSError as error:
        module.fail_json(msg=f"{path} could not be replaced: {error}. The old one ({before}) is still in place.")
    module.exit_json(changed=True, kept=kept, **result)


if __name__ == "__main__":
    main()
