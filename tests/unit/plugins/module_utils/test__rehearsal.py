# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _rehearsal

pytestmark = pytest.mark.node


def test_the_end_of_a_prefix():
    assert _rehearsal.after("/registry/") == "/registry0"


def test_only_what_killed_rehearsals_left_is_removed(tmp_path):
    # No process has this id: it is above what the kernel hands out.
    dead = tmp_path / f"{_rehearsal.SCRATCH}99999999-x"
    alive = tmp_path / f"{_rehearsal.SCRATCH}{os.getpid()}-x"
    other = tmp_path / "other"
    for folder in (dead, alive, other):
        folder.mkdir()
    _rehearsal.sweep(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == sorted([alive.name, other.name])


@pytest.fixture
def tool(tmp_path):
    def make(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(stat.S_IRWXU)
        return str(path)

    return make


def test_an_etcdutl_that_fails_is_told_with_its_words(tmp_path, tool):
    params = {"path": "x", "etcdutl": tool("etcdutl", "echo no room >&2; exit 3"), "etcd": None, "timeout": 10.0}
    with pytest.raises(_rehearsal.RehearsalError, match="no room"):
        _rehearsal.rehearse(params, str(tmp_path))


def test_an_etcd_that_ends_is_told_with_its_words(tmp_path, tool):
    tool("etcd", "echo panic >&2; exit 2")
    params = {"path": "x", "etcdutl": tool("etcdutl", "exit 0"), "etcd": None, "timeout": 10.0}
    with pytest.raises(_rehearsal.RehearsalError, match="exit code 2: panic"):
        _rehearsal.rehearse(params, str(tmp_path))


def test_an_etcdutl_that_hangs_is_ended(tmp_path, tool):
    params = {"path": "x", "etcdutl": tool("etcdutl", "exec sleep 60"), "etcd": None, "timeout": 0.2}
    with pytest.raises(_rehearsal.RehearsalError, match="in time"):
        _rehearsal.rehearse(params, str(tmp_path))
