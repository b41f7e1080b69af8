# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.modules import kubeadm_config


def configuration(*arguments):
    return {"apiServer": {"extraArgs": [{"name": name, "value": value} for name, value in arguments]}}


USERS = ("audit-log-path", "/var/log/audit.log")
FLAG = ("peer-ca-file", "/ca.crt")


@pytest.mark.parametrize(
    ("before", "flags", "gates", "after"),
    [
        ([USERS], {"peer-ca-file": "/ca.crt"}, {}, [USERS, FLAG]),
        ([USERS, FLAG], {"peer-ca-file": "/ca.crt"}, {}, None),
        ([USERS, FLAG], {"peer-ca-file": None}, {}, [USERS]),
        ([USERS], {"peer-ca-file": None}, {}, None),
        ([("peer-ca-file", "/old.crt"), USERS], {"peer-ca-file": "/ca.crt"}, {}, [USERS, FLAG]),
        # A gate is merged with the user's own, which may even stand twice.
        (
            [("feature-gates", "B=true"), USERS, ("feature-gates", "C=false")],
            {},
            {"A": True},
            [USERS, ("feature-gates", "B=true,C=false,A=true")],
        ),
        ([("feature-gates", "A=true")], {}, {"A": None}, []),
    ],
)
def test_with_flags(before, flags, gates, after):
    found = configuration(*before)
    changed = kubeadm_config.with_flags(found, {"flags": flags, "feature_gates": gates})
    assert changed is (after is not None)
    assert found == configuration(*(before if after is None else after))


def test_a_configuration_without_arguments_stays_so_when_nothing_is_wanted():
    found = {"apiServer": {}}
    assert not kubeadm_config.with_flags(found, {"flags": {"x": None}, "feature_gates": {}})
    assert found == {"apiServer": {}}
    assert kubeadm_config.with_flags(found, {"flags": {"x": "1"}, "feature_gates": {}})
    assert found == configuration(("x", "1"))
