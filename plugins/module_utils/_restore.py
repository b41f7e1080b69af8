# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What one node has to know to get its etcd's data back from a snapshot, and the order in which files move.

Nothing is ever removed before what takes its place is whole, and every move is written down before it is made, so that
whatever breaks it off, the next start knows what there is to put back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd_flags, _node

FOLDER = f"{_node.STATE_DIRECTORY}/restore"
STATE = f"{FOLDER}/state.json"
MANIFESTS = f"{FOLDER}/manifests"
#: The revision the last restore began at: the next one has to go above what was handed out since, though it be of the
#: same snapshot and no etcd answers.
REVISION = f"{_node.STATE_DIRECTORY}/etcd-restored-revision"
#: A restored etcd is a new cluster to itself, with a new id. Its former ones, so that old snapshots are still its own.
LINEAGE = f"{_node.STATE_DIRECTORY}/etcd-cluster-ids"

#: In the order in which they are stopped; started the other way round. Kubernetes' guide to operating etcd wants the
#: controllers started anew after a restore as well, so that none of them acts on what it remembers.
SERVERS = ("kube-controller-manager", "kube-scheduler", "kube-apiserver")
ETCD = "etcd"

#: A restore has gone this far on this node. From SERVING on the restored data is what clients have written to.
STOPPING, SWAPPING, RESTORED, SERVING = "stopping", "swapping", "restored", "serving"

#: Revisions that etcd's disaster recovery guide adds: more than a week of 1500 writes a second.
BUMP = 1_000_000_000
#: etcd allocates its write-ahead log in files of this size, the next one ahead.
WAL_BYTES = 2 * 64 * 2**20


class RestoreError(Exception):
    """What kept a step from being taken; the text says what was observed and what to do."""


@dataclasses.dataclass(frozen=True)
class Member:
    """How this node's etcd is started. ``wal_directory`` is empty where the log lies in the data folder."""

    name: str
    peer_urls: str
    client_urls: str
    data_directory: str
    wal_directory: str
    #: ``process``, ``manifest`` or ``unit``.
    source: str


def settings(arguments: t.Sequence[str], environment: t.Mapping[str, str]) -> dict[str, str]:
    """etcd's flags by name. It takes ``--name=x``, ``--name x`` and ``ETCD_NAME``; a flag goes before the variable."""
    # etcd takes one dash as well.
    dashed = (f"--{argument.lstrip('-')}" if argument.startswith("-") else argument for argument in arguments)
    return {**_etcd_flags.of_environment(environment), **_node.flags(dashed)}


def member(found: t.Mapping[str, str], source: str) -> Member:
    """The member that *found* settings describe; what can't be restored by them is an error."""
    if found.get("config-file"):
        raise RestoreError(
            f"etcd is configured by {found['config-file']}, expected flags or ETCD_ variables. Restore by hand, with "
            "etcdutl snapshot restore."
        )
    name = found.get("name", "")
    lacking = [flag for flag in ("name", "initial-advertise-peer-urls") if not found.get(flag)]
    if lacking:
        raise RestoreError(
            f"etcd's {source} has no {' and no '.join('--' + flag for flag in lacking)}, expected both. Set what is "
            "missing."
        )
    return Member(
        name,
        found["initial-advertise-peer-urls"],
        found.get("listen-client-urls") or found.get("advertise-client-urls", ""),
        os.path.normpath(found.get("data-dir") or f"/{name}.etcd"),
        os.path.normpath(found["wal-dir"]) if found.get("wal-dir") else "",
        source,
    )


def unit_arguments(shown: str) -> list[str]:
    """The arguments in ``systemctl show --property=ExecStart``, of the last command if there are several."""
    commands = re.findall(r"argv\[\]=(.*?) ; ignore_errors=", shown)
    return commands[-1].split() if commands else []


def environment_file(text: str) -> dict[str, str]:
    """A unit's EnvironmentFile: assignments, one a line."""
    found = {}
    for line in text.splitlines():
        if line.strip().startswith(("#", ";")):
            continue
        name, given, value = line.strip().partition("=")
        if given:
            with contextlib.suppress(ValueError):
                found[name.strip()] = " ".join(shlex.split(value))
    return found


def aside(directory: str, run_id: str) -> str:
    """Where the old data of *directory* is kept: in it, as it may be a mount and a rename can't leave that."""
    return os.path.join(directory, f"before-{run_id}")


def prepared(directory: str, run_id: str) -> str:
    """Where the new data of *directory* is made: in it too, for the same reason."""
    return os.path.join(directory, f".restore-{run_id}")


def old_names(directory: str, whole: bool) -> list[str]:
    """What has to make room in *directory*: all of it (a folder of logs), or etcd's ``member`` (a data folder).

    A data folder may hold more that is not etcd's, as people keep snapshots there.
    """
    found = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    if whole:
        return [name for name in found if not name.startswith(("before-", ".restore-")) and name != "lost+found"]
    return [name for name in found if name == "member"]


def move(names: t.Iterable[str], source: str, target: str) -> None:
    """Rename entries of *source* into *target*, and make that durable."""
    for name in names:
        os.rename(os.path.join(source, name), os.path.join(target, name))
    _node.sync_directory(source)
    _node.sync_directory(target)


def swap(directory: str, names: t.Sequence[str], run_id: str) -> None:
    """Keep *names*, the old content of *directory*, aside and put the prepared one in its place."""
    new, old = prepared(directory, run_id), aside(directory, run_id)
    if not os.path.isdir(new) or not os.listdir(new):
        raise RestoreError(f"{new} is missing or empty, expected what etcdutl made there")
    model = os.stat(directory)
    os.mkdir(old, 0o700)
    os.chown(old, model.st_uid, model.st_gid)
    move(names, directory, old)
    move(sorted(os.listdir(new)), new, directory)
    os.rmdir(new)
    _node.sync_directory(directory)


def unswap(directory: str, names: t.Sequence[str], run_id: str) -> bool:
    """Undo :func:`swap`, wherever it was broken off; whether there was anything to undo.

    Of *names*, one that is not aside had not been moved yet, and stays; all else that came with the swap goes.
    """
    new, old = prepared(directory, run_id), aside(directory, run_id)
    shutil.rmtree(new, ignore_errors=True)
    if not os.path.isdir(old):
        return False
    kept = sorted(os.listdir(old))
    for name in old_names(directory, whole=True):
        if name in kept or (name not in names and of_etcd(name)):
            path = os.path.join(directory, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    move(kept, old, directory)
    os.rmdir(old)
    _node.sync_directory(directory)
    return True


def of_etcd(name: str) -> bool:
    """Whether etcd or etcdutl makes files of this name: nothing of a user's is ever removed."""
    return name == "member" or name.endswith((".wal", ".tmp", ".wal.broken"))


def own(path: str, like: str) -> None:
    """Give everything below *path* the owner that *like* has; folders only for them, as etcd itself has it."""
    model = os.stat(like)
    for folder, dummy, files in os.walk(path):
        os.chown(folder, model.st_uid, model.st_gid)
        os.chmod(folder, 0o700)
        for name in files:
            os.chown(os.path.join(folder, name), model.st_uid, model.st_gid)
            os.chmod(os.path.join(folder, name), 0o600)


def load() -> dict[str, t.Any]:
    """What a restore that has not ended wrote down on this node; empty if there is none."""
    text = _node.read(STATE)
    return dict(json.loads(text)) if text else {}


def save(state: t.Mapping[str, t.Any]) -> None:
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    os.chmod(FOLDER, 0o700)
    _node.replace(STATE, json.dumps(state, sort_keys=True) + "\n", 0o600)


def too_old(etcd: str, etcdutl: str, storage: str) -> str:
    """Why these versions can't restore a snapshot of *storage*; empty if they can. A minor reads older ones."""

    def minor(version: str) -> tuple[int, int]:
        match = re.match(r"v?(\d+)\.(\d+)", version)
        return (int(match[1]), int(match[2])) if match else (0, 0)

    if minor(storage) > minor(etcd):
        return f"etcd is {etcd or 'of an unknown version'}, expected the snapshot's minor {storage} or later"
    if minor(storage) > minor(etcdutl):
        return f"etcdutl is {etcdutl or 'of an unknown version'}, expected the snapshot's minor {storage} or later"
    if minor(etcdutl) > minor(etcd):
        return f"etcdutl is {etcdutl}, expected a minor no later than etcd's, {etcd}"
    return ""
