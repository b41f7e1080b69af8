# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible.cli.playbook import PlaybookCLI

from ansible_collections.mixedversion.kubernetes.plugins.action import fleet_run


def options(*arguments):
    """What ansible-playbook itself makes of a command line."""
    cli = PlaybookCLI(["ansible-playbook"])
    cli.init_parser()
    return vars(cli.parser.parse_args(["site.yml", *arguments]))


def test_what_a_cluster_needs_is_taken_over(tmp_path):
    given = ["-i", "a,", "-i", f"{tmp_path}/hosts", "-e", "x=1 y=2", "-e", '{"z": "a b"}', "-u", "admin", "-b"]
    given += [
        "--check",
        "--vault-id",
        "prod@file",
        "--become-user",
        "op",
        "--private-key",
        "/key",
        "--ssh-common-args",
        "-o A=b",
    ]
    own = options(*given, "--limit", "north", "--forks", "50", "--start-at-task", "x")
    theirs = options(*fleet_run.passed_on(own))
    kept = {*fleet_run._EACH, *fleet_run._ONE, *fleet_run._FLAGS}
    assert {name: theirs[name] for name in kept} == {name: own[name] for name in kept}
    assert [*theirs["extra_vars"]] == ["x=1 y=2", '{"z": "a b"}']
    # Those are the fleet's own.
    assert (theirs["subset"], theirs["start_at_task"]) == (None, None)
    assert theirs["forks"] != 50
