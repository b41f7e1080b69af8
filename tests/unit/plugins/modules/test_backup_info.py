# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup
from ansible_collections.mixedversion.kubernetes.plugins.modules import backup_info

pytestmark = pytest.mark.node


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def snapshot(text: bytes) -> bytes:
    """Whole blocks and the SHA-256 of them, as etcd writes it."""
    body = text.ljust(1024, b"\0")
    return body + hashlib.sha256(body).digest()


@pytest.fixture
def make(tmp_path):
    def make(run_id, taken, verified=True, encrypted=False):
        folder = tmp_path / run_id
        folder.mkdir()
        plain = snapshot(run_id.encode())
        name = "snapshot.db.gpg" if encrypted else "snapshot.db"
        stored = b"encrypted " + plain if encrypted else plain
        (folder / name).write_bytes(stored)
        manifest = {
            "schema_version": 1,
            "run_id": run_id,
            "taken": taken,
            "cluster": {"uid": "u", "etcd_cluster_id": "1"},
            "snapshot": {"file": "snapshot.db", "sha256": sha256(plain), "size_bytes": len(plain)},
            "verified": verified,
            "files": [{"file": name, "sha256": sha256(stored), "size_bytes": len(stored)}],
            "encrypted": encrypted,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder, _backup.load(str(folder))

    return make


def test_the_newest_verified_is_chosen(tmp_path, make):
    make("b", "2026-11-23T10:00:00Z")
    make("a", "2026-11-24T10:00:00Z")
    make("c", "2026-11-24T12:00:00Z", verified=False)
    (tmp_path / "latest").symlink_to("b")
    (tmp_path / "not-a-backup").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    found = _backup.listed(str(tmp_path))
    assert [entry.run_id for entry in found] == ["c", "a", "b"]
    assert backup_info.choose(str(tmp_path), "", found).path == str(tmp_path / "a")
    assert backup_info.choose(str(tmp_path), "b", found).path == str(tmp_path / "b")
    assert backup_info.choose("/elsewhere", str(tmp_path / "b"), []).path == str(tmp_path / "b")


def test_no_backup_to_choose(tmp_path, make):
    make("a", "2026-11-24T10:00:00Z", verified=False)
    with pytest.raises(_backup.BackupError, match="no verified backup"):
        backup_info.choose(str(tmp_path), "", _backup.listed(str(tmp_path)))
    with pytest.raises(_backup.BackupError, match="neither"):
        backup_info.choose(str(tmp_path), "zz", [])
    assert _backup.listed(str(tmp_path / "none")) == []


def test_a_whole_backup_has_no_troubles(make):
    dummy, backup = make("a", "2026-11-24T10:00:00Z")
    assert backup_info.troubles(backup, "") == []


@pytest.mark.parametrize("position", [0, 700, 1030])
def test_a_flipped_byte_is_told(make, position):
    folder, backup = make("a", "2026-11-24T10:00:00Z")
    content = bytearray((folder / "snapshot.db").read_bytes())
    content[position] ^= 1
    (folder / "snapshot.db").write_bytes(content)
    found = backup_info.troubles(backup, "")
    assert any("its manifest" in line for line in found)
    assert any("not whole" in line for line in found)


def test_another_snapshot_is_told_though_it_is_whole(make):
    folder, backup = make("a", "2026-11-24T10:00:00Z")
    other = snapshot(b"other")
    (folder / "snapshot.db").write_bytes(other)
    backup.manifest["files"][0]["sha256"] = sha256(other)
    (folder / "manifest.json").write_text(json.dumps(backup.manifest))
    assert backup_info.troubles(backup, "") == ["the snapshot does not have the SHA-256 of the manifest"]


def test_an_encrypted_backup_is_verified_before_and_after_decryption(make):
    folder, backup = make("a", "2026-11-24T10:00:00Z", encrypted=True)
    assert backup_info.snapshot_path(backup).endswith("/snapshot.db.gpg")
    assert backup_info.troubles(backup, "") == []
    plain = folder / "plain"
    plain.write_bytes(snapshot(b"a"))
    assert backup_info.troubles(backup, str(plain)) == []
    plain.write_bytes(snapshot(b"other"))
    assert len(backup_info.troubles(backup, str(plain))) == 1
    (folder / "snapshot.db.gpg").unlink()
    assert "No such file" in backup_info.troubles(backup, "")[0]


def test_a_manifest_that_names_files_elsewhere_is_none_of_ours(make):
    folder, backup = make("a", "2026-11-24T10:00:00Z")
    backup.manifest["files"][0]["file"] = "../a/snapshot.db"
    (folder / "manifest.json").write_text(json.dumps(backup.manifest))
    with pytest.raises(_backup.BackupError, match="no files of this folder"):
        _backup.load(str(folder))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, []),
        ({"revision": 120}, []),
        ({"revision": 121}, ["its revision 120 is older than 121, with which that run began"]),
        ({"cluster_uid": "v"}, ["its cluster's uid is u, expected v"]),
        ({"cluster_id": "2"}, ["its etcd cluster is 1, expected 2"]),
        ({"sha256": "0"}, ["its sha256 is s, expected 0"]),
    ],
)
def test_only_the_backup_that_is_meant_is_inherited(more, words):
    manifest = {"snapshot": {"sha256": "s", "revision": "120"}, "cluster": {"uid": "u", "etcd_cluster_id": 1}}
    wanted = {"sha256": "s", "cluster_uid": "u", "cluster_id": "1", "revision": 100, **more}
    assert backup_info.strange(manifest, wanted) == words
