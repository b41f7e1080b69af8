# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.modules import unit_flags

pytestmark = pytest.mark.node

COMMAND = "/usr/local/bin/kube-apiserver --v=2 --peer-ca-file=/ca.crt --secure-port=6443"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"v": "2"}, COMMAND),
        ({"audit": "x"}, COMMAND + " --audit=x"),
        (
            {"peer-ca-file": "/b.crt"},
            "/usr/local/bin/kube-apiserver --v=2 --secure-port=6443 --peer-ca-file=/b.crt",
        ),
        # The present value begins with the one wanted.
        ({"secure-port": "644"}, "/usr/local/bin/kube-apiserver --v=2 --peer-ca-file=/ca.crt --secure-port=644"),
        # Another flag's name begins with this one's.
        ({"peer-ca": "x"}, COMMAND + " --peer-ca=x"),
        ({"peer-ca-file": None}, "/usr/local/bin/kube-apiserver --v=2 --secure-port=6443"),
        ({"peer-ca": None}, COMMAND),
    ],
)
def test_with_flags(flags, expected):
    after = unit_flags.with_flags(COMMAND, flags)
    assert after == expected
    assert unit_flags.with_flags(after, flags) == after


@pytest.mark.parametrize("between", [" ", "   ", "="])
def test_a_value_may_be_a_word_of_its_own(between):
    command = f"/bin/x --gates{between}A=true --a  --b"
    assert unit_flags.with_flags(command, {"gates": "A=true"}) == command
    assert unit_flags.with_flags(command, {"gates": "A=true,B=true"}) == "/bin/x --a  --b --gates=A=true,B=true"
    assert unit_flags.with_flags(command, {"gates": None}) == "/bin/x --a  --b"


def test_a_flag_given_twice_is_left_once():
    assert unit_flags.with_flags("/bin/x --v=2 --v=4", {"v": "2"}) == "/bin/x --v=2"


def test_a_switch_gets_its_value():
    assert unit_flags.with_flags("/bin/x --a --b", {"a": "false"}) == "/bin/x --b --a=false"


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("[Service]\nExecStart=/bin/x --a\n", "/bin/x --a"),
        ("[Service]\nExecStart=/bin/x \\\n  --a \\\n  --b\nRestart=always\n", "/bin/x  --a  --b"),
        ("ExecStart=/bin/x\n# a drop-in\n[Service]\nExecStart=\nExecStart=/bin/y --a\n", "/bin/y --a"),
        ("ExecStart=/bin/x\nExecStart=\n", ""),
        ("[Service]\nExecStart=/bin/x \\\n  # why\n  --a \\\n; and\n  --b\n", "/bin/x  --a  --b"),
        ("ExecStartPre=/bin/x\n", ""),
    ],
)
def test_exec_start(text, command):
    assert unit_flags.exec_start(text) == command


CAT = """# /etc/systemd/system/kube-apiserver.service
[Service]
ExecStart=/bin/x \\
  --a

# /etc/systemd/system/kube-apiserver.service.d/zz-mixedversion.conf
# Written by mixedversion.kubernetes
[Service]
ExecStart=
ExecStart=/bin/x --a --b=1

# /etc/systemd/system/kube-apiserver.service.d/90-user.conf
[Service]
Restart=always
"""


def test_the_command_without_our_drop_in():
    path = "/etc/systemd/system/kube-apiserver.service.d/zz-mixedversion.conf"
    assert unit_flags.exec_start(CAT) == "/bin/x --a --b=1"
    rest = unit_flags.without(CAT, path)
    assert unit_flags.exec_start(rest).split() == ["/bin/x", "--a"]
    assert "Restart=always" in rest
    assert unit_flags.without(rest, path) == rest
