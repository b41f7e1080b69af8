# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import hashlib
import json
import os

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup

pytestmark = pytest.mark.node

NOW = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.timezone.utc)


def make(directory, run_id, age_days=0.0, uid="ours", verified=True, content=b"snapshot"):
    folder = directory / run_id
    folder.mkdir()
    (folder / "snapshot.db").write_bytes(content)
    taken = (NOW - datetime.timedelta(days=age_days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hashlib.sha256(content).hexdigest()
    manifest = {
        "schema_version": 1,
        "run_id": run_id,
        "taken": taken,
        "cluster": {"uid": uid, "etcd_cluster_id": "1"},
        "verified": verified,
        "files": [{"file": "snapshot.db", "sha256": digest, "size_bytes": len(content)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def gone(directory, keep=0, keep_days=0, run_id="r9"):
    found = _backup.superfluous(_backup.listed(str(directory)), "ours", run_id, keep, keep_days, NOW)
    return sorted(backup.run_id for backup in found)


def test_what_is_beyond_the_number_goes(tmp_path):
    for age, name in enumerate(["r9", "r8", "r7", "r6"]):
        make(tmp_path, name, age)
    assert gone(tmp_path, keep=2) == ["r6", "r7"]
    assert gone(tmp_path, keep=0) == []


def test_what_is_too_old_goes_though_the_number_would_keep_it(tmp_path):
    for age, name in enumerate(["r9", "r8", "r7", "r6"]):
        make(tmp_path, name, age)
    assert gone(tmp_path, keep=10, keep_days=2) == ["r6"]
    assert gone(tmp_path, keep=2, keep_days=1) == ["r6", "r7"]


def test_the_newest_verified_one_stays_however_old_and_far_down(tmp_path):
    make(tmp_path, "r9", 100, verified=False)
    make(tmp_path, "r8", 101, verified=False)
    make(tmp_path, "r7", 102)
    make(tmp_path, "r6", 103)
    assert gone(tmp_path, keep=1, keep_days=1, run_id="none") == ["r6", "r8", "r9"]


def test_this_runs_own_stays_whatever_its_age(tmp_path):
    make(tmp_path, "r8", 0)
    make(tmp_path, "r9", 50)
    assert gone(tmp_path, keep=1, keep_days=1, run_id="r9") == []


def test_another_clusters_are_neither_removed_nor_counted(tmp_path):
    make(tmp_path, "other", 0, uid="theirs")
    make(tmp_path, "other-old", 99, uid="theirs")
    make(tmp_path, "r9", 1)
    make(tmp_path, "r8", 2)
    assert gone(tmp_path, keep=2, keep_days=50) == []
    assert gone(tmp_path, keep=1) == ["r8"]


def test_without_the_clusters_uid_nothing_goes(tmp_path):
    make(tmp_path, "r9", 1, uid="")
    make(tmp_path, "r8", 2, uid="")
    assert _backup.superfluous(_backup.listed(str(tmp_path)), "", "r9", 1, 1, NOW) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "run_id": "x"}'])
def test_a_folder_whose_manifest_does_not_parse_is_no_backup(tmp_path, text):
    make(tmp_path, "r9")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "manifest.json").write_text(text)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    assert [backup.run_id for backup in _backup.listed(str(tmp_path))] == ["r9"]


def test_links_and_hidden_folders_are_no_backups(tmp_path):
    make(tmp_path, "r9")
    make(tmp_path, ".r8.part")
    (tmp_path / "latest").symlink_to("r9")
    assert [backup.path for backup in _backup.listed(str(tmp_path))] == [str(tmp_path / "r9")]
    assert _backup.listed(str(tmp_path / "not-there")) == []


def test_latest_leads_to_the_newest_verified_one(tmp_path):
    make(tmp_path, "r7", 3)
    make(tmp_path, "r8", 2)
    make(tmp_path, "r9", 1, verified=False)
    (tmp_path / "latest").symlink_to("r7")
    assert _backup.point_latest(str(tmp_path)) == "r8"
    assert os.readlink(tmp_path / "latest") == "r8"
    assert sorted(os.listdir(tmp_path)) == ["latest", "r7", "r8", "r9"]


def test_a_whole_backup_has_no_troubles_and_a_flipped_bit_is_one(tmp_path):
    folder = make(tmp_path, "r9")
    assert _backup.troubles(str(folder)) == []
    (folder / "snapshot.db").write_bytes(b"snapshos")
    assert "snapshot.db has 8 bytes and sha256" in _backup.troubles(str(folder))[0]
    (folder / "snapshot.db").unlink()
    assert _backup.troubles(str(folder)) == [f"{folder}/snapshot.db: No such file or directory"]
