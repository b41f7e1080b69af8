# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _restore

pytestmark = pytest.mark.node

RUN = "20261124T100000Z-ab12"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name=cp1", "--data-dir=/var/lib/etcd", "--client-cert-auth"],
        ["--client-cert-auth", "--name", "cp1", "-data-dir", "/var/lib/etcd"],
    ],
)
def test_flags_are_read_in_every_way_etcd_takes_them(arguments):
    found = _restore.settings(arguments, {"ETCD_NAME": "other", "ETCD_WAL_DIR": "/wal", "PATH": "/bin"})
    assert found == {"name": "cp1", "data-dir": "/var/lib/etcd", "client-cert-auth": "true", "wal-dir": "/wal"}


def test_a_member_as_kubespray_has_it_by_environment_alone():
    text = "# comment\nETCD_NAME=etcd1\nETCD_DATA_DIR=/var/lib/etcd/\nETCD_INITIAL_ADVERTISE_PEER_URLS='https://[::1]:2380'\n"
    member = _restore.member(_restore.settings([], _restore.environment_file(text)), "unit")
    assert (member.name, member.peer_urls) == ("etcd1", "https://[::1]:2380")
    assert (member.data_directory, member.wal_directory) == ("/var/lib/etcd", "")


def test_what_flags_do_not_tell_is_refused():
    with pytest.raises(_restore.RestoreError, match="no --initial-advertise-peer-urls"):
        _restore.member({"name": "cp1"}, "unit")
    with pytest.raises(_restore.RestoreError, match=r"/etc/etcd\.yml"):
        _restore.member({"config-file": "/etc/etcd.yml"}, "process")


def test_a_units_arguments():
    # As systemd 252 prints it.
    shown = (
        "{ path=/usr/local/bin/etcd ; argv[]=/usr/local/bin/etcd --name=cp1 --data-dir=/var/lib/etcd ; "
        "ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
    )
    assert _restore.unit_arguments(shown) == ["/usr/local/bin/etcd", "--name=cp1", "--data-dir=/var/lib/etcd"]
    assert _restore.unit_arguments("") == []


@pytest.fixture
def folder(tmp_path):
    """A data folder with a member, a user's own snapshot, and the prepared new data."""
    (tmp_path / "member").mkdir()
    (tmp_path / "member" / "db").write_text("old")
    (tmp_path / "mine.db").write_text("a user's")
    new = pathlib.Path(_restore.prepared(str(tmp_path), RUN))
    (new / "member").mkdir(parents=True)
    (new / "member" / "db").write_text("new")
    return tmp_path


def tree(folder: pathlib.Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


BEFORE = {"member/db": "old", "mine.db": "a user's"}


def test_a_swap_and_back(folder):
    names = _restore.old_names(str(folder), whole=False)
    _restore.swap(str(folder), names, RUN)
    assert tree(folder) == {"member/db": "new", "mine.db": "a user's", f"before-{RUN}/member/db": "old"}
    assert _restore.unswap(str(folder), names, RUN)
    assert tree(folder) == BEFORE
    assert sorted(os.listdir(folder)) == ["member", "mine.db"]


def test_nothing_to_put_back_where_nothing_was_swapped(folder):
    assert not _restore.unswap(str(folder), ["member"], RUN)
    assert tree(folder) == BEFORE
    assert sorted(os.listdir(folder)) == ["member", "mine.db"]


def test_a_swap_without_new_data_moves_nothing(folder):
    new = pathlib.Path(_restore.prepared(str(folder), RUN))
    (new / "member").rename(folder / "elsewhere")
    with pytest.raises(_restore.RestoreError, match="missing or empty"):
        _restore.swap(str(folder), ["member"], RUN)
    assert (folder / "member" / "db").read_text() == "old"


@pytest.mark.parametrize("moves", range(7))
def test_a_swap_broken_off_anywhere_is_undone(tmp_path, monkeypatch, moves):
    """A folder of logs has several entries, and a power cut may come between any two of their moves."""
    old = {"0.wal": "old 0", "1.wal": "old 1", "0.tmp": "old tmp"}
    new = pathlib.Path(_restore.prepared(str(tmp_path), RUN))
    new.mkdir()
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    for name in ("0.wal", "2.wal", "1.tmp"):
        (new / name).write_text("new")
    names = _restore.old_names(str(tmp_path), whole=True)
    rename, left = os.rename, [moves]

    def broken(source, target):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", broken)
        try:
            _restore.swap(str(tmp_path), names, RUN)
        except KeyboardInterrupt:
            assert moves < 6
    assert _restore.unswap(str(tmp_path), names, RUN)
    assert tree(tmp_path) == old
    assert sorted(os.listdir(tmp_path)) == sorted(old)


def test_a_lost_member_is_no_hindrance(folder):
    (folder / "member" / "db").unlink()
    (folder / "member").rmdir()
    _restore.swap(str(folder), _restore.old_names(str(folder), whole=False), RUN)
    assert (folder / "member" / "db").read_text() == "new"
    assert _restore.unswap(str(folder), [], RUN)
    assert tree(folder) == {"mine.db": "a user's"}


@pytest.mark.parametrize(
    ("etcd", "etcdutl", "storage", "words"),
    [
        ("v3.6.14", "3.6.8", "3.6.0", ""),
        ("v3.7.0", "3.6.14", "3.6.0", ""),
        ("v3.6.14", "3.6.14", "3.7.0", "etcd is v3.6.14"),
        ("v3.7.0", "3.6.14", "3.7.0", "etcdutl is 3.6.14"),
        ("v3.6.14", "3.7.0", "3.6.0", "no later than etcd's"),
        ("", "3.6.14", "3.6.0", "of an unknown version"),
    ],
)
def test_versions(etcd, etcdutl, storage, words):
    found = _restore.too_old(etcd, etcdutl, storage)
    assert words in found if words else not found
