# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `custom`: the example of docs/custom.md takes a lab of systemd units to its target."""

from __future__ import annotations

import json
import re
import typing as t

from _common import ROOT, Results
from _lab import Lab, Run, say
from _writes import measured

EXAMPLE = ROOT / "docs" / "custom"
BROKEN = "---\n- name: A task that fails\n  ansible.builtin.fail:\n    msg: this step says no\n"
#: The example leaves etcd alone, so nothing is asked of it here.
RISK = [{"id": "etcd_version", "reason": "shown by the evidence: the example does not touch etcd"}]


def recap(run: Run) -> str:
    """What the hosts of a run came to: changed tasks of all of them."""
    counts = re.findall(r"changed=(\d+)", run.output)
    return f"changed={sum(map(int, counts))}"


def custom(lab: Lab, results: Results) -> None:
    def given(**others: t.Any) -> tuple[str, ...]:
        points = ("step", "flags", "fetch", "put_back")
        variables = {f"control_plane_custom_{point}": [str(EXAMPLE / f"{point}.yml")] for point in points}
        variables.update({"control_plane_driver": "custom", "control_plane_accepted_risks": RISK, **others})
        return ("-e", json.dumps(variables))

    pids = lab.pids()

    def refused(id_: str, run: Run, words: str) -> None:
        touched = [host for host, pid in lab.pids().items() if pid != pids[host]]
        said = words in " ".join(run.output.split())
        seen = f"exit code {run.code}, {'' if said else 'not '}said so, restarted: {', '.join(touched) or 'none'}"
        results.case(id_, f"exit code not 0, '{words}', restarted: none", seen, run.code != 0 and said and not touched)

    say("section custom: what is refused")
    refused(
        "custom/no_step",
        lab.play("upgrade", *given(control_plane_custom_step=[])),
        "control_plane_custom_step is empty",
    )
    refused(
        "custom/no_flags",
        lab.play("upgrade", *given(control_plane_custom_flags=[])),
        "control_plane_custom_flags is empty",
    )
    old_etcd = lab.play("upgrade", *given(control_plane_accepted_risks=[]))
    refused("custom/etcd_too_old", old_etcd, "by your own means, or accept etcd_version")
    run, written = measured(lab, lambda: lab.play("upgrade", *given(), "--check"))
    results.case(
        "custom/dry_run",
        "exit code 0, nothing written",
        f"exit code {run.code}, {written}",
        not run.code and written.nothing,
    )

    say("section custom: a step that fails")
    broken = lab.out / "broken.yml"
    broken.write_text(BROKEN)
    step = [str(EXAMPLE / "step.yml"), str(broken)]
    run = lab.play("upgrade", *given(control_plane_custom_step=step))
    first = run.report["nodes"][0]["name"]
    said = "this step says no" in run.output and f"{first} is put back" in run.output
    at = sorted(set(lab.versions().values()))
    results.case(
        "custom/put_back",
        f"exit code 2, {first} put back, all servers at {lab.old} and ready",
        f"exit code {run.code}, {first} {'put back' if said else 'not put back'}, servers at {', '.join(at)}",
        run.code == 2 and said and at == [lab.old] and all(map(lab.ready, lab.hosts)),
    )

    say("section custom: the upgrade")
    run = lab.play("upgrade", *given())
    probes = [probe["verdict"] for probe in run.report.get("probes", []) if probe["direction"] == "new_only"]
    at = sorted(set(lab.versions().values()))
    results.case(
        "custom/upgrade",
        f"exit code 0, all servers at {lab.target}, proxied reads passed",
        f"exit code {run.code}, servers at {', '.join(at)}, proxied reads {', '.join(sorted(set(probes))) or 'none'}",
        run.code == 0 and at == [lab.target] and "passed" in probes and "failed" not in probes,
    )
    results.figure("custom/upgrade_seconds", run.seconds)
    run = lab.play("upgrade", *given())
    results.case("custom/again", "exit code 0, changed=0", f"exit code {run.code}, {recap(run)}")
