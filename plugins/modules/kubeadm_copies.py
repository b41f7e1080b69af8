#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Count the copies that kubeadm left on a node, or remove them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_copies
short_description: Count the copies of etcd and manifests that kubeadm left, or remove them
version_added: 0.1.0
description:
  - Each C(kubeadm upgrade) leaves folders below C(/etc/kubernetes/tmp), of etcd's data as large as the database.
  - Looks at C(kubeadm-backup-etcd-*), C(kubeadm-backup-manifests-*) and C(kubeadm-upgraded-manifests*) there, at
    nothing else, and removes none while a kubeadm runs on the node.
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
  state:
    description: Whether they stay and are counted, or go.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Remove what kubeadm left
  mixedversion.kubernetes.kubeadm_copies:
    state: absent
"""

RETURN = r"""
folders:
  description: The folders that were found, and removed with O(state=absent) unless RV(kept_because) says why not.
  returned: always
  type: list
  elements: str
size_bytes:
  description: Size of the files in them.
  returned: always
  type: int
kept_because:
  description: Why they were kept though they were to go; empty otherwise.
  returned: always
  type: str
"""

import os
import re
import shutil
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _node

DIRECTORY = "/etc/kubernetes/tmp"
KUBEADMS = re.compile(r"kubeadm-(backup-etcd-|backup-manifests-|upgraded-manifests)")


def copies(directory: str) -> list[str]:
    """kubeadm's folders in *directory*; a link is none."""
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return []
    return sorted(e.path for e in entries if KUBEADMS.match(e.name) and e.is_dir(follow_symlinks=False))


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
        ),
        supports_check_mode=True,
    )
    folders = copies(DIRECTORY)
    size = sum(_node.folder_bytes(folder) for folder in folders)
    removing = module.params["state"] == "absent" and bool(folders)
    reason = "a kubeadm runs on this node" if removing and _node.running("kubeadm") else ""
    changed = removing and not reason
    if changed and not module.check_mode:
        for folder in folders:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                module.fail_json(msg=f"{folder} can't be removed: {error}. Remove it by hand.")
    before = "".join(f"{folder}\n" for folder in folders)
    diff = {"before": before, "after": "" if changed else before, "before_header": DIRECTORY, "after_header": DIRECTORY}
    module.exit_json(changed=changed, folders=folders, size_bytes=size, kept_because=reason, diff=diff)


if __name__ == "__main__":
    main()
