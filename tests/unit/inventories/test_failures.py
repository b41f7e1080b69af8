# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a run that failed on one of its hosts; only nodes, etcd and servers are stubs."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize("host", ["cp-a", "cp-b", "cp-c"])
def test_what_failed_on_any_host_is_what_is_told(play, host):
    fails = {"stub_fails": {"module": "peer_info", "host": host, "msg": "Python was not found here."}}
    code, dummy, folder = play("verify", "kubeadm-flat/hosts", f"--extra-vars={json.dumps(fails)}")
    assert code != 0
    run = json.loads((folder / "reports" / "latest" / "report.json").read_text())["run"]
    assert (run["result"], run["failed_node"]) == ("failed", host)
    assert run["next_action"].startswith("Mend what failed: Python was not found here. Then start the same playbook")
