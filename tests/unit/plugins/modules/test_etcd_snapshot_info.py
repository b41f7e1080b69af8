# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _snapshot
from ansible_collections.mixedversion.kubernetes.plugins.modules import etcd_snapshot_info

pytestmark = pytest.mark.node

#: What etcdutl 3.7.0 printed of the recorded snapshot.
PRINTED = '{"hash":1825892389,"revision":5,"totalKey":500,"totalSize":90112,"version":"3.7.0"}\n'
CHECK = _snapshot.Check(90144, "f047", "")


def test_what_etcdutl_printed():
    assert etcd_snapshot_info.parse(PRINTED) == etcd_snapshot_info.Status(1825892389, 5, 500, 90112)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", PRINTED[:-9], "Error: value: s3cret", PRINTED.replace("5", "")]
)
def test_no_status_and_nothing_passed_on(text):
    with pytest.raises(ValueError, match=r"^etcdutl told no status of it$"):
        etcd_snapshot_info.parse(text)


@pytest.mark.parametrize(
    ("check", "printed", "revision", "proofs", "trouble"),
    [
        (CHECK, "", 5, ["sha256_trailer"], ""),
        (CHECK, PRINTED, 0, ["sha256_trailer", "etcdutl_status"], ""),
        (CHECK, PRINTED, 5, ["sha256_trailer", "etcdutl_status", "revision"], ""),
        (CHECK, PRINTED, 6, ["sha256_trailer", "etcdutl_status"], "revision 5 is older than 6"),
        (_snapshot.Check(94240, "f047", ""), PRINTED, 5, ["sha256_trailer"], "has 90112 bytes, and the file has 94240"),
        (_snapshot.Check(90144, "f047", "cut short"), PRINTED, 5, [], "cut short"),
    ],
)
def test_judge(check, printed, revision, proofs, trouble):
    told = etcd_snapshot_info.parse(printed) if printed else None
    found = etcd_snapshot_info.judge(check, told, revision)
    assert found[0] == proofs
    assert trouble in found[1]
    assert bool(trouble) == bool(found[1])
