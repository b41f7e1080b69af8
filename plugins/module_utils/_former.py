# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What a node's control plane was before its step: kept on the node, until the node is finished or put back.

One file that only its owner can read, as units' environment and manifests may hold secrets. Binaries are not in it:
the module ``binary`` keeps each former one by its version.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import stat
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node, _version

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

FOLDER = f"{_node.STATE_DIRECTORY}/former"
STATE = f"{FOLDER}/state.json"
#: Unit files that came after the state was kept, and were in the way of putting it back.
ASIDE = f"{_node.STATE_DIRECTORY}/put-aside"
SCHEMA_VERSION = 1
SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
KUBELET = "kubelet"
#: What ``kubeadm upgrade`` writes of the kubelet (its phase kubelet-config); the last one by hand (KEP-4656).
KUBELET_FILES = (
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
    "/var/lib/kubelet/instance-config.yaml",
)
#: Of these the text is not shown: they exist to hold what is not for everybody.
ENVIRONMENT = "EnvironmentFiles"


@dataclasses.dataclass(frozen=True)
class File:
    """One file as it was; ``text`` is None where there was none."""

    component: str
    path: str
    text: str | None
    mode: int = 0o600
    owner: int = 0
    group: int = 0

    @classmethod
    def read(cls, component: str, path: str) -> File:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                status = os.fstat(file.fileno())
                return cls(component, path, file.read(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        except FileNotFoundError:
            return cls(component, path, None)

    @property
    def differs(self) -> bool:
        """Whether what is there now is something else; mode and owner do not make a component behave otherwise."""
        return File.read(self.component, self.path).text != self.text

    def restore(self) -> None:
        if self.text is None:
            os.unlink(self.path)
            _node.sync_directory(os.path.dirname(self.path))
            return
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        # Of a manifest the kubelet must not see two: the temporary name starts with a dot, and kubelets skip that.
        _node.replace(self.path, self.text.encode(errors="surrogateescape"), self.mode)
        os.chown(self.path, self.owner, self.group)


@dataclasses.dataclass(frozen=True)
class State:
    """A node before its step to ``target``. Versions carry a ``v``, etcd's as well; empty where none was told."""

    run_id: str
    taken: str
    target: str
    driver: str
    versions: dict[str, str]
    #: Where the binaries lay that units start; empty with kubeadm, but for the kubelet's.
    paths: dict[str, str]
    holder: str
    lease: str
    #: kubeadm's ClusterConfiguration, YAML; empty with other drivers.
    kubeadm_config: str
    files: tuple[File, ...]

    def of(self, component: str) -> list[File]:
        return [file for file in self.files if file.component == component]

    def told(self) -> dict[str, t.Any]:
        """All of it but the files."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "files"}


class FormerError(Exception):
    """The kept state can't be used, or a part of it can't be put back; the text names the file."""


def load() -> State | None:
    """The kept state, if there is one."""
    try:
        with open(STATE, encoding="utf-8") as file:
            found = json.load(file)
        if found.pop("schema_version") != SCHEMA_VERSION:
            raise FormerError(f"{STATE} has not the form of version {SCHEMA_VERSION}")
        return State(**{**found, "files": tuple(File(**each) for each in found["files"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormerError(f"{STATE} can't be read: {error}") from error


def save(state: State) -> None:
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    os.chmod(FOLDER, 0o700)
    document = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(state)}
    _node.replace(STATE, json.dumps(document, indent=1) + "\n", 0o600)
    _node.sync_directory(_node.STATE_DIRECTORY)


def drop() -> bool:
    """Forget the kept state; whether there was one."""
    there = os.path.isdir(FOLDER)
    shutil.rmtree(FOLDER, ignore_errors=True)
    return there


def manifest(component: str) -> str:
    return f"{_node.MANIFESTS}/{component}.yaml"


def paths_of(module: AnsibleModule, driver: str, component: str) -> list[str]:
    """The files that make a component behave as it does, other than its binary and its certificates.

    Certificates that kubeadm renewed on the way stay: the same CA signed them, and the old ones may be at their end.
    """
    if component == KUBELET:
        return list(KUBELET_FILES) if driver == "kubeadm" else []
    if driver == "kubeadm":
        return [manifest(component)]
    # With the driver custom only its user knows them, and puts them back.
    if driver == "custom":
        return []
    return _node.unit_files(module, f"{component}.service")


def environment_files(module: AnsibleModule, component: str) -> list[str]:
    """Those of a unit's files of which nothing is shown."""
    text = _node.output(module, "systemctl", "show", f"--property={ENVIRONMENT}", f"{component}.service")
    return _node.shown_files(text)


def version_now(module: AnsibleModule, driver: str, component: str, paths: t.Mapping[str, str]) -> str:
    """The version that would start now: of a static pod's image, of a binary. Empty where there is neither."""
    if driver == "kubeadm" and component != KUBELET:
        image = _node.manifest_image(_node.read(manifest(component)))
        tag = _version.etcd_image_version(image) if component == "etcd" else _version.image_tag(image)
        return f"v{tag.lstrip('v')}" if tag else ""
    return _node.binary_version(module, paths[component]) if component in paths else ""


def components(driver: str) -> tuple[str, ...]:
    return (*SERVERS, KUBELET) if driver == "kubeadm" else SERVERS
