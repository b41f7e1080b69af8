# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user wants to be true of a report, by verify itself; only nodes, etcd and servers are stubs."""

from __future__ import annotations

import json

TRUE = "length(cluster.servers[?version_after == 'v1.36.4']) == length(nodes)"


def given(*assertions, **variables):
    return f"--extra-vars={json.dumps({'control_plane_assertions': assertions, **variables})}"


def told(folder):
    report = json.loads((folder / "reports" / "latest" / "report.json").read_text())
    return report["run"], [gate for gate in report["gates"] if gate["id"] == "user_probes"]


def test_what_is_true_lets_the_run_succeed(play):
    code, output, folder = play("verify", "kubeadm-flat/hosts", given(TRUE, "run.playbook == 'verify'"))
    assert code == 0, output
    run, (gate,) = told(folder)
    assert (run["result"], gate["verdict"], gate["node"]) == ("succeeded", "passed", "")
    assert gate["observed"] == "2 assertions are true of the report"


def test_what_is_not_true_fails_the_run_by_its_name(play):
    code, output, folder = play("verify", "kubeadm-flat/hosts", given(TRUE, "length(probes)"))
    assert code != 0
    assert "'length(probes)' comes to 0" in output
    run, (gate,) = told(folder)
    assert (run["result"], run["failed_gate"], gate["verdict"]) == ("stopped", "user_probes", "failed")
    assert gate["observed"] == "'length(probes)' comes to 0"


def test_one_that_is_accepted_by_name_does_not(play):
    risk = {"id": "user_probes", "reason": "known"}
    code, output, folder = play("verify", "kubeadm-flat/hosts", given("`false`", control_plane_accepted_risks=[risk]))
    assert code == 0, output
    assert told(folder)[1][0]["verdict"] == "accepted"


def test_what_is_no_expression_is_refused(play):
    code, output, folder = play("verify", "kubeadm-flat/hosts", given("length(probes"))
    assert code != 0
    assert "control_plane_assertions: 'length(probes' is no JMESPath expression" in output
    assert told(folder)[0]["result"] == "failed"
