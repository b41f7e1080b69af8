#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fetch or install the exact packages of a Kubernetes version."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package
short_description: Fetch or install the packages of a Kubernetes version by apt or dnf
version_added: 0.1.0
description:
  - By the node's own apt or dnf, with the exact version. What is held may be moved if it is named, and is held after it
    as before; kubeadm, kubelet, kubectl and whatever is held stay as they are if they are not named.
  - Nothing is restarted by this module.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
  - mixedversion.kubernetes._packages
attributes:
  diff_mode:
    support: full
options:
  state:
    description:
      - With V(fetched), the repository is configured beside the node's own where those have not this version, and the
        packages are downloaded; nothing is installed.
      - With V(present) they are installed.
    type: str
    choices: [fetched, present]
    default: present
  names:
    description: Which packages. C(kubectl) is left out where it is not installed as one.
    type: list
    elements: str
    choices: [kubeadm, kubelet, kubectl]
    required: true
  kubeadm:
    description: With O(state=fetched), where the target's kubeadm is put as a program beside the one in use.
    type: path
"""

EXAMPLES = r"""
- name: Have the packages at hand
  mixedversion.kubernetes.package:
    names: [kubeadm, kubelet, kubectl]
    version: v1.37.2
    state: fetched

- name: Switch kubeadm
  mixedversion.kubernetes.package:
    names: [kubeadm]
    version: v1.37.2
"""

RETURN = r"""
before:
  description: The packages' versions before.
  returned: always
  type: dict
packages:
  description: The exact versions.
  returned: always
  type: dict
"""

import os
import shutil
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _node, _packages, _version


def fetch(module: AnsibleModule, manager: _packages.Manager, offer: _packages.Offer) -> list[dict[str, str]]:
    """Configure the repository if it is a new one, and have the packages at hand."""
    diffs = []
    if offer.repository:
        for path, text in manager.files(offer.repository, offer.key).items():
            before = _node.read(path)
            if before != text:
                diffs.append({"before": before, "after": text, "before_header": path, "after_header": path})
                if not module.check_mode:
                    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
                    _node.replace(path, text, 0o644)
    if module.check_mode:
        return diffs
    if offer.repository:
        manager.refresh(offer.repository)
    manager.download(offer.chosen)
    return diffs


def program(module: AnsibleModule, manager: _packages.Manager, offer: _packages.Offer) -> list[dict[str, str]]:
    """The target's kubeadm beside the one in use: it alone knows which images it wants."""
    path = module.params["kubeadm"]
    wanted = str(_version.parse(module.params["version"]))
    if not path or "kubeadm" not in offer.chosen or _node.binary_version(module, path) == wanted:
        return []
    diffs = [{"before": "", "after": f"{wanted}\n", "before_header": path, "after_header": path}]
    if module.check_mode:
        return diffs
    installed = shutil.which("kubeadm", path=_node.SEARCH_PATH)
    if installed and _node.binary_version(module, installed) == wanted:
        # What is installed already is not downloaded once more.
        _node.place(installed, path)
    else:
        with tempfile.TemporaryDirectory(prefix="mixedversion.") as folder:
            os.chmod(folder, 0o755)
            manager.unpack(offer.chosen, "kubeadm", path, folder)
    return diffs


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _packages.OPTIONS,
            {
                "state": {"type": "str", "choices": ["fetched", "present"], "default": "present"},
                "names": {"type": "list", "elements": "str", "choices": [*_packages.TOOLS], "required": True},
                "kubeadm": {"type": "path"},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    manager = _packages.find(module)
    if manager is None:
        module.fail_json(msg="There is neither apt nor dnf on this node, expected one. Nothing was changed.")
    names = [name for name in params["names"] if name in _packages.wanted(manager)]
    before = {name: version for name, version in manager.installed().items() if name in names}
    try:
        offer = manager.offer(params["version"], names, params["repository"], params["key"])
        lacking = [name for name, version in offer.chosen.items() if not version]
        if lacking:
            module.fail_json(
                msg=f"{' and '.join(lacking)} of {params['version']} can't be had by {manager.name}"
                f" ({offer.repository or 'what is configured'}). Nothing was changed."
            )
        behind = {name: version for name, version in offer.chosen.items() if before.get(name) != version}
        if params["state"] == "fetched":
            diffs = [*(fetch(module, manager, offer) if behind else []), *program(module, manager, offer)]
            module.exit_json(changed=bool(diffs), before=before, packages=offer.chosen, diff=diffs)
        if behind and not module.check_mode:
            manager.install(behind)
    except _packages.PackageError as error:
        now = {name: version for name, version in manager.installed().items() if name in names}
        module.fail_json(msg=f"{error}. Before: {before or 'none'}; now: {now or 'none'}.", before=before)
    diffs = [
        {"before": f"{before.get(name, '')}\n", "after": f"{version}\n", "before_header": name, "after_header": name}
        for name, version in behind.items()
    ]
    module.exit_json(changed=bool(behind), before=before, packages=offer.chosen, diff=diffs)


if __name__ == "__main__":
    main()
