#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep what a node's control plane is before its step, and put it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: former_state
short_description: Keep a node's state before its step, and put components back to it
version_added: 0.1.0
description:
  - Keeps manifests, or units with their drop-ins and environment files, the kubelet's configuration, kubeadm's, and
    which binaries were in use, in one file below C(/var/lib/mixedversion-kubernetes/former) for its owner alone.
  - A state that is kept already is that of a node whose step did not end, so it is not taken anew from what the step
    left; unless the node has arrived at that step's target since.
  - Puts files and binaries back, each in one step, and restarts nothing. A unit's file that was not there before is put
    aside. M(mixedversion.kubernetes.rollback_info) tells whether that is safe.
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
    details:
      - The contents of environment files are not shown.
options:
  state:
    description: Whether the state is kept, O(components) are put back to it, or it is forgotten.
    type: str
    choices: [present, restored, absent]
    default: present
  driver:
    description: Whether the components are static pods of a kubelet, units of systemd, or run in the user's own way.
    type: str
    choices: [kubeadm, systemd, custom]
    required: true
  components:
    description: What is put back, with O(state=restored).
    type: list
    elements: str
    choices: [etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet]
    default: []
  run_id:
    description: The run whose step comes now, with O(state=present).
    type: str
    default: ""
  target:
    description: The version that the step leads to, with O(state=present).
    type: str
    default: ""
  holder:
    description: The holder of the server's Lease now, with O(state=present).
    type: str
    default: ""
  lease:
    description: Name of the server's Lease, with O(state=present).
    type: str
    default: ""
  kubeadm_config:
    description: kubeadm's ClusterConfiguration as the cluster has it, with O(state=present).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Keep what the node is
  mixedversion.kubernetes.former_state:
    driver: systemd
    target: v1.37.2

- name: Put the server back
  mixedversion.kubernetes.former_state:
    state: restored
    driver: systemd
    components: [kube-apiserver]
"""

RETURN = r"""
path:
  description: The file that the state is kept in.
  returned: always
  type: str
versions:
  description: The versions that are kept, by component.
  returned: with O(state=present) and O(state=restored)
  type: dict
restart:
  description: Those of O(components) that have to be started anew, as something of them was changed or does not run.
  returned: with O(state=restored)
  type: list
  elements: str
aside:
  description: Files that were put aside, as they were not there before the step.
  returned: with O(state=restored)
  type: list
  elements: str
"""

import datetime
import os
import shutil
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _former, _gate, _node, _version


def keep(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    driver = params["driver"]
    kept = _former.load()
    paths = in_use(driver)
    now = {name: version_in_use(module, driver, name, paths) for name in _former.components(driver)}
    if kept and not (arrived(kept, now) and kept.target != params["target"]):
        return {"changed": False, "versions": kept.versions}
    state = _former.State(
        run_id=params["run_id"],
        taken=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
        target=params["target"],
        driver=driver,
        versions=now,
        paths=paths,
        holder=params["holder"],
        lease=params["lease"],
        kubeadm_config=params["kubeadm_config"],
        files=tuple(
            _former.File.read(name, path)
            for name in _former.components(driver)
            for path in _former.paths_of(module, driver, name)
        ),
    )
    if not module.check_mode:
        _former.save(state)
    return {"changed": True, "versions": now}


def arrived(kept: _former.State, now: t.Mapping[str, str]) -> bool:
    """Whether the node has come to the target of the step that the state was kept for."""
    server = now.get("kube-apiserver", "")
    return bool(server) and _version.parse(server) == _version.parse(kept.target)


def in_use(driver: str) -> dict[str, str]:
    """Where the binaries lie that run or would."""
    found = {}
    for name in {"kubeadm": [_former.KUBELET], "systemd": _former.SERVERS}.get(driver, ()):
        process = _node.running(name)
        path = process[1][0] if process and os.path.isabs(process[1][0]) else shutil.which(name, path=_node.SEARCH_PATH)
        if path:
            found[name] = path
    return found


def version_in_use(module: AnsibleModule, driver: str, name: str, paths: t.Mapping[str, str]) -> str:
    """What runs counts: a run that was killed may have switched the file and not come to restart the unit."""
    running = _node.running_version(module, name) if driver != "kubeadm" else ""
    return running or _former.version_now(module, driver, name, paths)


def put_back(module: AnsibleModule) -> dict[str, t.Any]:
    kept = _former.load()
    if kept is None:
        raise _former.FormerError("nothing is kept of this node, expected its state before the step")
    diffs: list[dict[str, str]] = []
    restart: list[str] = []
    aside: list[str] = []
    for name in module.params["components"]:
        changed = files_back(module, kept, name, diffs, aside)
        changed |= binary_back(module, kept, name, diffs)
        if changed or not runs_as_kept(module, kept, name):
            restart.append(name)
    if diffs and kept.driver == "systemd" and not module.check_mode:
        code, dummy, words = module.run_command(["systemctl", "daemon-reload"])
        if code:
            raise _former.FormerError(f"files were put back, but systemd could not read them: {words.strip()}")
    return {
        "changed": bool(diffs or restart),
        "versions": kept.versions,
        "restart": restart,
        "aside": aside,
        "diff": diffs,
    }


def files_back(
    module: AnsibleModule, kept: _former.State, name: str, diffs: list[dict[str, str]], aside: list[str]
) -> bool:
    """Put a component's files back; whether any was another one."""
    hidden = _former.environment_files(module, name) if kept.driver == "systemd" else []
    others = [file for file in kept.of(name) if file.differs]
    known = {file.path for file in kept.of(name)}
    strange = [path for path in _former.paths_of(module, kept.driver, name) if path not in known]
    for file in others:
        now = _former.File.read(name, file.path).text
        secret = file.path in hidden
        diffs.append(
            {
                "before": "(not shown)\n" if secret else now or "",
                "after": "(not shown, another one)\n" if secret else file.text or "",
                "before_header": file.path,
                "after_header": f"{file.path} (before the step)",
            }
        )
        if not module.check_mode:
            file.restore()
    for path in strange:
        diffs.append(
            {
                "before": "(not shown)\n" if path in hidden else _former.File.read(name, path).text or "",
                "after": "",
                "before_header": path,
                "after_header": "(was not there before the step)",
            }
        )
        aside.append(f"{_former.ASIDE}{path}")
        if not module.check_mode:
            move_aside(path, aside[-1])
    return bool(others or strange)


def move_aside(path: str, aside: str) -> None:
    os.makedirs(_former.ASIDE, mode=0o700, exist_ok=True)
    os.makedirs(os.path.dirname(aside), mode=0o700, exist_ok=True)
    shutil.move(path, aside)
    _node.sync_directory(os.path.dirname(path))


def binary_back(module: AnsibleModule, kept: _former.State, name: str, diffs: list[dict[str, str]]) -> bool:
    """Put the former binary back; whether another one was there."""
    path, wanted = kept.paths.get(name, ""), kept.versions.get(name, "")
    now = _node.binary_version(module, path) if path else ""
    if not path or now == wanted:
        return False
    diffs.append({"before": f"{now}\n", "after": f"{wanted}\n", "before_header": path, "after_header": path})
    if not module.check_mode:
        source = _node.kept_binary(name, wanted)
        told = _node.binary_version(module, source)
        if told != wanted:
            raise _former.FormerError(
                f"{source} tells version {told or 'none'}, expected {wanted}; {path} was not changed. "
                f"Put {wanted} there"
            )
        _node.place(source, path)
    return True


def runs_as_kept(module: AnsibleModule, kept: _former.State, name: str) -> bool:
    """Whether a unit's process is the kept version's. Static pods are started by the kubelet, and not looked at."""
    if kept.driver == "kubeadm":
        return name != _former.KUBELET or _node.running(name) is not None
    return _node.running_version(module, name) == kept.versions.get(name, "")


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "state": {"type": "str", "choices": ["present", "restored", "absent"], "default": "present"},
                "driver": {"type": "str", "choices": ["kubeadm", "systemd", "custom"], "required": True},
                "components": {
                    "type": "list",
                    "elements": "str",
                    "choices": [*_former.SERVERS, _former.KUBELET],
                    "default": [],
                },
                "run_id": {"type": "str", "default": ""},
                "target": {"type": "str", "default": ""},
                "holder": {"type": "str", "default": ""},
                "lease": {"type": "str", "default": ""},
                "kubeadm_config": {"type": "str", "default": ""},
            }
        ),
        required_if=[("state", "present", ["target"])],
        supports_check_mode=True,
    )
    state = module.params["state"]
    try:
        if state == "absent":
            there = os.path.isdir(_former.FOLDER)
            result: dict[str, t.Any] = {"changed": there if module.check_mode else _former.drop()}
        else:
            result = keep(module) if state == "present" else put_back(module)
    except (OSError, ValueError, _former.FormerError) as error:
        module.fail_json(msg=f"The node's former state can't be worked on: {error}.")
    module.exit_json(path=_former.STATE, **result)


if __name__ == "__main__":
    main()
