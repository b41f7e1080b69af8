#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Set flags or the image in a static pod's manifest, and nothing else in it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest
short_description: Set flags or the image in a static pod manifest
version_added: 0.1.0
description:
  - Changes single lines of a manifest as kubeadm writes it, so that whatever else a user changed there stays.
  - The manifest is replaced in one step, and the former one kept outside of the folder that the kubelet watches.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._flags
  - mixedversion.kubernetes._run
attributes:
  diff_mode:
    support: full
options:
  component:
    description: The static pod, which is the manifest's name too.
    type: str
    choices: [kube-apiserver, etcd]
    required: true
  image:
    description: The image it shall run.
    type: str
"""

EXAMPLES = r"""
- name: Give the server the CA of its peers
  mixedversion.kubernetes.manifest:
    component: kube-apiserver
    flags:
      peer-ca-file: /etc/kubernetes/pki/ca.crt
"""

RETURN = r"""
path:
  description: The manifest.
  returned: always
  type: str
kept:
  description: Where the former manifest is.
  returned: when changed
  type: str
"""

import os
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _flags, _gate, _node


def arguments_of(text: str) -> list[tuple[str, str]]:
    """Every flag of the manifest's command with its value, repeated ones too."""
    return [pair for argument in _node.manifest_command(text) for pair in _node.flags([argument]).items()]


def with_flag(text: str, component: str, name: str, value: str | None) -> str:
    """The manifest with one flag set: its line replaced, or a new one among its sorted neighbours; or taken out."""
    lines = text.splitlines(keepends=True)
    wanted = f"--{name}={value}"
    start = next((i for i, line in enumerate(lines) if re.match(rf"\s+- {re.escape(component)}\s*$", line)), None)
    if start is None:
        raise ValueError(f"it has no command {component}, one argument a line, as kubeadm writes it")
    indent = lines[start][: lines[start].index("-")]
    end = start + 1
    while end < len(lines) and re.match(rf"""{indent}- ['"]?--""", lines[end]):
        end += 1
    arguments = lines[start + 1 : end]
    kept = [line for line in arguments if name_of(line) != name]
    if value is None:
        return "".join(lines[: start + 1] + kept + lines[end:])
    place = next((i for i, line in enumerate(kept) if line.strip()[2:] > wanted), len(kept))
    if len(kept) < len(arguments):
        place = next(i for i, line in enumerate(arguments) if name_of(line) == name)
    kept.insert(place, f"{indent}- {wanted}\n")
    return "".join(lines[: start + 1] + kept + lines[end:])


def name_of(line: str) -> str:
    """The flag that a line of the command sets; YAML may have it in quotes."""
    return next(iter(_node.flags([line.strip()[2:].strip("'\"")])), "")


def with_image(text: str, image: str) -> str:
    return re.sub(r"^(\s+image:\s*).*$", lambda match: match[1] + image, text, count=1, flags=re.MULTILINE)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "component": {"type": "str", "choices": ["kube-apiserver", "etcd"], "required": True},
                "image": {"type": "str"},
            },
            _flags.OPTIONS,
        ),
        supports_check_mode=True,
    )
    params = module.params
    path = f"{_node.MANIFESTS}/{params['component']}.yaml"
    before = _node.read(path)
    if not before:
        module.fail_json(msg=f"There is no manifest {path}. Expected a control plane node made by kubeadm.")
    after = before
    try:
        for name, value in _flags.wanted(params, arguments_of(before)).items():
            after = with_flag(after, params["component"], name, value)
    except ValueError as error:
        module.fail_json(msg=f"{path} can't be changed: {error}. Nothing was changed; set the flags by hand.")
    if params["image"]:
        after = with_image(after, params["image"])
    result = {"changed": after != before, "path": path}
    if after != before:
        result["diff"] = {"before": before, "after": after, "before_header": path, "after_header": path}
        kept = f"{_node.STATE_DIRECTORY}/manifests/{params['component']}.yaml"
        if not module.check_mode:
            os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
            _node.replace(kept, before, 0o600)
            _node.replace(path, after, os.stat(path).st_mode & 0o777)
            result["kept"] = kept
    module.exit_json(**result)


if __name__ == "__main__":
    main()
