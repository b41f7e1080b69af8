#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pack what a node needs beside etcd's data to be restored."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_pack
short_description: Pack a node's /etc/kubernetes and what lies elsewhere
version_added: 0.1.0
description:
  - Packs C(/etc/kubernetes) without its C(tmp); the files of certificates, keys and configuration that the running
    components' flags name outside of it, the encryption configuration above all; and but with O(driver=kubeadm) the
    components' units, their drop-ins and environment files.
  - Of a node that k3s or rke2 runs it packs C(/etc/rancher) and the folder C(server) of the data folder instead,
    without etcd's data and their own snapshots; the token there is needed to restore one.
  - The archive holds private keys. It is written with mode 0600 in a folder of mode 0700.
  - Needs nothing but Python's standard library.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  path:
    description: The archive to write, C(.tar.gz). Its folder is made with mode 0700.
    type: path
    required: true
  driver:
    description: Whether the components are static pods of a kubelet, units of systemd, or run in the user's own way.
    type: str
    choices: [kubeadm, systemd, custom]
    required: true
"""

EXAMPLES = r"""
- name: Pack the node
  mixedversion.kubernetes.backup_pack:
    driver: kubeadm
    path: /root/cp1.tar.gz
"""

RETURN = r"""
sha256:
  description: SHA-256 of the archive.
  returned: when packed
  type: str
size_bytes:
  description: Size of the archive.
  returned: when packed
  type: int
packed:
  description: The folders and files that are packed, or would be in check mode.
  returned: always
  type: list
  elements: str
missing:
  description: Files that a flag names and that are not there on the node, each with its flag.
  returned: always
  type: list
  elements: str
"""

import contextlib
import os
import re
import tarfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup, _distribution, _gate, _node

ROOT = "/etc/kubernetes"
#: kubeadm's copies of etcd's data and of manifests, as large as the database.
LEFT_OUT = f"{ROOT}/tmp"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
#: Flags whose value is a file that a component reads: certificates, keys, configuration; no logs.
NAMES_A_FILE = re.compile(r"(file|config|kubeconfig)$")


def named_files(flags: t.Mapping[str, str]) -> dict[str, str]:
    """The files that a component's flags name, by flag. A flag may name several, separated by commas."""
    found = {}
    for name, value in flags.items():
        if NAMES_A_FILE.search(name) and not name.startswith("log"):
            for path in value.split(","):
                if os.path.isabs(path):
                    found[f"{name}={path}"] = os.path.normpath(path)
    return found


def outside(path: str, roots: t.Sequence[str]) -> bool:
    return not any(path == root or path.startswith(root + "/") for root in roots)


def with_targets(paths: t.Iterable[str], roots: t.Sequence[str] = (ROOT,)) -> list[str]:
    """Each path once, and where it is a link, what it leads to as well: an archive holds a link as a link."""
    found = []
    for path in paths:
        for one in (path, os.path.realpath(path)):
            if one not in found and outside(one, roots) and os.path.isfile(one):
                found.append(one)
    return found


def folders() -> tuple[list[str], str]:
    """The folders that are packed as a whole, and the one in them that is not."""
    distribution = _distribution.find()
    return (distribution.kept, distribution.left_out) if distribution else ([ROOT], LEFT_OUT)


def followed(roots: t.Sequence[str], left_out: str) -> list[str]:
    """The folders, and those that they are links to or have links to: an archive holds a link as a link."""
    found = list(roots)

    def follow(path: str) -> None:
        target = os.path.realpath(path)
        # One that holds what is packed already, such as /, is not what anybody meant to keep.
        above = any(os.path.commonpath([root, target]) == target for root in roots)
        if os.path.isdir(target) and outside(target, found) and not above:
            found.append(target)

    for one in roots:
        follow(one)
    for one in found:
        for folder, names, dummy in os.walk(one):
            for name in names if outside(folder, [left_out]) else []:
                if os.path.islink(os.path.join(folder, name)):
                    follow(os.path.join(folder, name))
    return found


def wanted(module: AnsibleModule, roots: t.Sequence[str], left_out: str) -> tuple[list[str], list[str]]:
    """What lies outside of those folders, and what is named and not there."""
    paths: list[str] = []
    missing = []
    for component in COMPONENTS:
        for flag, path in named_files(_node.flags(_node.command(component))).items():
            paths.append(path)
            if not os.path.isfile(path):
                missing.append(f"{component} --{flag}")
        if module.params["driver"] != "kubeadm":
            paths += _node.unit_files(module, f"{component}.service")
    # Links within the folders may lead out of them.
    for root in roots:
        for folder, dummy, files in os.walk(root):
            if outside(folder, [left_out]):
                paths += [os.path.join(folder, name) for name in files if os.path.islink(os.path.join(folder, name))]
    return with_targets(paths, roots), missing


def pack(path: str, roots: t.Iterable[str], left_out: str, files: t.Iterable[str]) -> None:
    """Write the archive to a temporary name, readable by its owner alone, sync it, rename it."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.chmod(os.path.dirname(path), 0o700)
    part = path + ".part"

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "/" + member.name in (left_out, os.path.realpath(left_out)) else member

    try:
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz") as archive:
                for one in [*roots, *files]:
                    archive.add(one, filter=kept)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _node.sync_directory(os.path.dirname(path))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "path": {"type": "path", "required": True},
                "driver": {"type": "str", "choices": ["kubeadm", "systemd", "custom"], "required": True},
            }
        ),
        supports_check_mode=True,
    )
    path = module.params["path"]
    try:
        roots, left_out = folders()
        roots = followed(roots, left_out)
        files, missing = wanted(module, roots, left_out)
        if not module.check_mode:
            pack(path, roots, left_out, files)
            digest, size = _backup.sha256_of(path)
    except (OSError, tarfile.TarError) as error:
        module.fail_json(
            msg=f"The node's files can't be packed: {error}. Nothing was changed. Mend that and start again."
        )
    result = {"packed": [*roots, *files], "missing": missing}
    if module.check_mode:
        module.exit_json(changed=True, path=path, **result)
    module.exit_json(changed=True, path=path, sha256=digest, size_bytes=size, **result)


if __name__ == "__main__":
    main()
