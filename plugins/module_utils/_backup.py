# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""A folder of backups: one folder a run, each with its manifest, and ``latest`` at the newest verified one.

A folder without a manifest that can be read is none of ours, whatever it is called: it is neither used nor removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SNAPSHOT = "snapshot.db"
LATEST = "latest"
#: What a file's name ends in once gpg has encrypted it.
ENCRYPTED = ".gpg"


class BackupError(Exception):
    """A folder is no backup, or not a whole one; the text names the file."""


@dataclasses.dataclass(frozen=True)
class Backup:
    """One folder whose manifest could be read."""

    path: str
    manifest: t.Mapping[str, t.Any]

    @property
    def run_id(self) -> str:
        return str(self.manifest["run_id"])

    @property
    def taken(self) -> datetime.datetime:
        return datetime.datetime.fromisoformat(str(self.manifest["taken"]).replace("Z", "+00:00"))

    @property
    def cluster_uid(self) -> str:
        return str(self.manifest["cluster"]["uid"])

    @property
    def verified(self) -> bool:
        return self.manifest["verified"] is True


def sha256_of(path: str) -> tuple[str, int]:
    """A file's SHA-256 and its size in bytes, read with constant memory."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


def load(path: str) -> Backup:
    """The backup in the folder *path*; :class:`BackupError` if its manifest is not there or not one of ours."""
    file = os.path.join(path, MANIFEST)
    try:
        with open(file, encoding="utf-8") as stream:
            manifest = json.load(stream)
        backup = Backup(path, manifest)
        if manifest["schema_version"] != SCHEMA_VERSION or backup.taken.tzinfo is None:
            raise BackupError(f"{file} has not the form of version {SCHEMA_VERSION}")
        dummy = (backup.run_id, backup.cluster_uid, backup.verified, [entry["sha256"] for entry in manifest["files"]])
        outside = [entry["file"] for entry in manifest["files"] if os.path.basename(entry["file"]) != entry["file"]]
        if outside:
            raise BackupError(f"{file} names {', '.join(outside)}, which are no files of this folder")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{file} can't be read: {error}") from error
    return backup


def listed(directory: str) -> list[Backup]:
    """The backups in *directory*, newest first. Links, ``latest`` above all, and hidden folders are left out."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                with contextlib.suppress(BackupError):
                    found.append(load(entry.path))
    return sorted(found, key=lambda backup: (backup.taken, backup.run_id), reverse=True)


def troubles(path: str) -> list[str]:
    """What is wrong with the files in the backup *path*, held against its manifest; empty when each is whole."""
    found = []
    for entry in load(path).manifest["files"]:
        file = os.path.join(path, entry["file"])
        try:
            digest, size = sha256_of(file)
        except OSError as error:
            found.append(f"{file}: {error.strerror}")
            continue
        if (digest, size) != (entry["sha256"], entry["size_bytes"]):
            found.append(
                f"{file} has {size} bytes and sha256 {digest}, its manifest {entry['size_bytes']} and {entry['sha256']}"
            )
    return found


def point_latest(directory: str) -> str:
    """Let ``latest`` lead to the newest verified backup of *directory*, in one step; its folder's name."""
    newest = next((backup for backup in listed(directory) if backup.verified), None)
    if newest is None:
        return ""
    name = os.path.basename(newest.path)
    temporary = os.path.join(directory, f".{LATEST}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(name, temporary)
    os.replace(temporary, os.path.join(directory, LATEST))
    _node.sync_directory(directory)
    return name


def superfluous(
    backups: t.Sequence[Backup], cluster_uid: str, run_id: str, keep: int, keep_days: float, now: datetime.datetime
) -> list[Backup]:
    """Those of this cluster beyond the newest *keep*, or older than *keep_days*; 0 switches a rule off.

    Never the newest verified one of the cluster, never this run's, and nothing of another cluster.
    """
    ours = [backup for backup in backups if cluster_uid and backup.cluster_uid == cluster_uid]
    ours.sort(key=lambda backup: (backup.taken, backup.run_id), reverse=True)
    newest = next((backup for backup in ours if backup.verified), None)
    oldest = now - datetime.timedelta(days=keep_days) if keep_days else None
    return [
        backup
        for position, backup in enumerate(ours)
        if backup is not newest
        and backup.run_id != run_id
        and ((keep and position >= keep) or (oldest is not None and backup.taken < oldest))
    ]
