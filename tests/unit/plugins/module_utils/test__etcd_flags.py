# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _etcd_flags

pytestmark = pytest.mark.node


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("experimental-corrupt-check-time", "--corrupt-check-time"),
        ("experimental-initial-corrupt-check", "--feature-gates=InitialCorruptCheck=true"),
        ("experimental-stop-grpc-service-on-defrag", "--feature-gates=StopGRPCServiceOnDefrag=true"),
        ("discovery", ""),
    ],
)
def test_what_3_7_refuses_and_what_to_write_instead(name, instead):
    assert _etcd_flags.removed(name)
    assert _etcd_flags.instead(name) == instead


@pytest.mark.parametrize("name", ["data-dir", "discovery-srv", "initial-cluster", "feature-gates"])
def test_what_3_7_knows(name):
    assert not _etcd_flags.removed(name)


def test_settings_of_variables_and_of_a_file():
    assert _etcd_flags.of_environment({"ETCD_DATA_DIR": "/srv/etcd", "HOME": "/"}) == {"data-dir": "/srv/etcd"}
    text = "name: cp1\ndata-dir: '/srv/etcd'\nclient-transport-security:\n  cert-file: x\n# experimental-x: 1\n"
    assert _etcd_flags.of_file(text) == {"name": "cp1", "data-dir": "/srv/etcd", "client-transport-security": ""}


TEXTS = {
    "/etc/systemd/system/etcd.service": "ExecStart=/usr/bin/etcd --experimental-corrupt-check-time=1h\n",
    "/etc/systemd/system/etcd.service.d/x.conf": "ExecStart=/usr/bin/etcd --experimental-corrupt-check-time-x\n",
    "/etc/etcd.env": "ETCD_EXPERIMENTAL_MEMORY_MLOCK=true\n#ETCD_DISCOVERY=x\n",
}


@pytest.mark.parametrize(
    ("name", "how", "place"),
    [
        ("experimental-corrupt-check-time", "flag", "/etc/systemd/system/etcd.service"),
        ("experimental-memory-mlock", "environment", "/etc/etcd.env"),
        ("experimental-memory-mlock", "flag", "the running process (in no file that systemd knows)"),
    ],
)
def test_the_file_that_a_setting_is_in(name, how, place):
    assert _etcd_flags.place(name, how, TEXTS) == place
