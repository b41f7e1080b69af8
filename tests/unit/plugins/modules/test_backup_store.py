# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup
from ansible_collections.mixedversion.kubernetes.plugins.modules import backup_copy, backup_prune, backup_store

NAME = "20261124T100000Z-0a1b"
FILES = {"snapshot.db": b"secret" * 1000, "cp1.tar.gz": b"keys"}
SUMS = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
MANIFEST = {
    "run_id": NAME,
    "taken": "2026-11-24T10:00:00Z",
    "cluster": {"uid": "ours", "etcd_cluster_id": "1"},
    "snapshot": {"revision": 7},
    "versions": {"kubernetes": {"cp1": "v1.36.4"}},
    "verified": True,
    "proofs": ["sha256_trailer"],
}


def run(command, environ_update):
    done = subprocess.run(command, env={**os.environ, **environ_update}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def manifest_of(path):
    return json.loads(pathlib.Path(path, "manifest.json").read_text())


@pytest.fixture
def fetched(tmp_path):
    folder = tmp_path / "fetched"
    folder.mkdir(mode=0o700)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def params(tmp_path, fetched):
    return {
        "path": str(tmp_path / "backups" / NAME),
        "source": str(fetched),
        "manifest": MANIFEST,
        "expected": SUMS,
        "recipient_file": "",
        "collection": "0.2.0",
    }


def test_the_folder_holds_what_was_fetched_and_says_so(params):
    backup_store.store(run, params)
    manifest = manifest_of(params["path"])
    assert manifest["snapshot"] == {
        "file": "snapshot.db",
        "sha256": SUMS["snapshot.db"],
        "size_bytes": 6000,
        "revision": 7,
    }
    assert {entry["file"]: entry["sha256"] for entry in manifest["files"]} == SUMS
    assert (manifest["schema_version"], manifest["encrypted"]) == (1, False)
    assert manifest["versions"] == {"kubernetes": {"cp1": "v1.36.4"}, "collection": "0.2.0"}
    assert os.stat(params["path"]).st_mode & 0o777 == 0o700
    assert {os.stat(f"{params['path']}/{name}").st_mode & 0o777 for name in os.listdir(params["path"])} == {0o600}
    assert sorted(os.listdir(os.path.dirname(params["path"]))) == [NAME, "latest"]


@pytest.mark.parametrize("wrong", [{"snapshot.db": "0" * 64}, {**SUMS, "cp2.tar.gz": "0" * 64}])
def test_what_arrived_otherwise_or_not_at_all_gets_no_name(params, wrong):
    with pytest.raises(_backup.BackupError, match=r"arrived with sha256|cp2.tar.gz did not arrive"):
        backup_store.store(run, {**params, "expected": wrong})
    assert os.listdir(os.path.dirname(params["path"])) == []


@pytest.fixture
def key(tmp_path):
    """A key pair in a home of its own."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    # A socket's path may not be long, which pytest's folders are.
    home = f"/tmp/mvk-gpg-{os.getpid()}"
    os.mkdir(home, mode=0o700)

    def gpg(*words, **more):
        return subprocess.run(["gpg", "--homedir", home, "--batch", *words], check=True, capture_output=True, **more)

    try:
        gpg("--passphrase", "", "--quick-generate-key", "backup@example.org", "default", "default", "never")
        public = tmp_path / "backup.asc"
        public.write_bytes(gpg("--armor", "--export").stdout)
        yield public, gpg
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        shutil.rmtree(home)


def test_encrypted_files_come_back_and_no_plain_one_gets_there(params, key):
    public, gpg = key
    backup_store.store(run, {**params, "recipient_file": str(public)})
    assert sorted(os.listdir(params["path"])) == ["cp1.tar.gz.gpg", "manifest.json", "snapshot.db.gpg"]
    kept = pathlib.Path(params["path"], "snapshot.db.gpg").read_bytes()
    assert gpg("--decrypt", f"{params['path']}/snapshot.db.gpg").stdout == FILES["snapshot.db"]
    manifest = manifest_of(params["path"])
    assert manifest["encrypted"] is True
    assert (manifest["snapshot"]["file"], manifest["snapshot"]["sha256"]) == ("snapshot.db.gpg", SUMS["snapshot.db"])
    assert {e["file"]: e["sha256"] for e in manifest["files"]}["snapshot.db.gpg"] == hashlib.sha256(kept).hexdigest()
    assert _backup.troubles(params["path"]) == []


def test_the_users_key_ring_is_not_touched(key, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    backup_store.try_key(run, str(key[0]))
    assert os.listdir(home) == []


@pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")
@pytest.mark.parametrize("content", [b"", b"no key", None])
def test_what_is_no_public_key_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "key.asc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(_backup.BackupError, match=r"can't encrypt to|is no file"):
        backup_store.try_key(run, str(path))


def test_without_gpg_it_says_so(tmp_path, monkeypatch):
    (tmp_path / "key.asc").write_bytes(b"key")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(_backup.BackupError, match="gpg is not installed on the controller"):
        backup_store.try_key(run, str(tmp_path / "key.asc"))


def test_a_copy_is_the_same_and_private(params, tmp_path):
    backup_store.store(run, params)
    target = backup_copy.copy(params["path"], str(tmp_path / "share"))
    assert _backup.troubles(target) == []
    assert os.readlink(tmp_path / "share" / "latest") == NAME
    assert os.stat(target).st_mode & 0o777 == 0o700


def test_a_backup_that_is_not_whole_is_not_copied(params, tmp_path):
    backup_store.store(run, params)
    with open(f"{params['path']}/cp1.tar.gz", "ab") as file:
        file.write(b"x")
    with pytest.raises(_backup.BackupError, match=r"cp1\.tar\.gz has 5 bytes"):
        backup_copy.copy(params["path"], str(tmp_path / "share"))
    assert os.listdir(tmp_path / "share") == []


def test_what_is_removed_is_gone_whole(params, tmp_path):
    backup_store.store(run, params)
    backup_prune.remove(params["path"])
    assert os.listdir(tmp_path / "backups") == ["latest"]


def test_a_dry_run_counts_the_backup_it_does_not_take(params, tmp_path):
    backup_store.store(run, params)
    now = datetime.datetime(2026, 11, 25, tzinfo=datetime.timezone.utc)
    backups = [*_backup.listed(str(tmp_path / "backups")), backup_prune.pretended("r9", "ours", now)]
    found = _backup.superfluous(backups, "ours", "r9", 1, 0, now)
    assert [backup.path for backup in found] == [params["path"]]


def test_a_folder_that_could_be_made_is_not_made(tmp_path):
    backup_store.try_folder(str(tmp_path / "backups" / "run"), 1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_the_current_one_could_be_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backup_store.try_folder("backups/run", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_room_is_refused(tmp_path):
    with pytest.raises(_backup.BackupError, match="bytes free, and etcd's database alone has"):
        backup_store.try_folder(str(tmp_path / "backups" / "run"), 2**62)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "backups").touch()
    with pytest.raises(_backup.BackupError, match="can't be written"):
        backup_store.try_folder(str(tmp_path / "backups" / "run"), 1)
