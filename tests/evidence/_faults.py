# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a case of the fault matrix is, and what it is held against."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from _common import Reader

if t.TYPE_CHECKING:
    from _lab import Lab, Run


#: What the playbook prints as the gates begin of a node, wherever that stands in the order.
GATES = "/3) · gates]"
#: Seconds.
GAP = 5.0
CANARY = "evidence-canary"
PATH = f"/api/v1/namespaces/default/configmaps/{CANARY}"


@dataclasses.dataclass(frozen=True)
class Outcome:
    #: What was seen, in a sentence.
    happened: str
    #: Whether what must hold held. What every case is held against is judged elsewhere.
    passed: bool


@dataclasses.dataclass(frozen=True)
class Fault:
    #: "killed/in every phase", "rollback/bad flag" ...
    id: str
    #: Brings the trouble about, has the upgrade meet it, and mends it. What is half done then, the next run finishes.
    run: t.Callable[[Lab], Outcome]
    driver: str = "systemd"
    #: How many nodes may be at the target as it begins.
    most: int = 0
    #: Needs a lab that no run was on before.
    fresh: bool = False
    #: Begins with every member at an etcd that may meet the target's, and every server with the CA of its peers.
    prepared: bool = True
    #: Whether the cluster can serve meanwhile.
    serves: bool = True


class Watch:
    """A reader of the canary through the load balancer, which tries once more as it is cut off.

    It served if it was never GAP seconds without an answer: a server that loses its etcd keeps what it was asked until
    it is found out.
    """

    def __init__(self, lab: Lab) -> None:
        self.reader = Reader(lab.client, PATH, retry=True)
        self.reader.start()

    def stop(self) -> None:
        self.reader.stop()

    @property
    def served(self) -> bool:
        return self.reader.gap() < GAP

    @property
    def told(self) -> str:
        failed = sum(number for status, number in self.reader.count(0).items() if status != 200)
        return f"{failed} of {len(self.reader.answers)} reads failed, longest gap {self.reader.gap():.1f} s"


def write_canary(lab: Lab) -> None:
    lab.kubectl(f"create configmap {CANARY} --from-literal=written=before")


def canary_kept(lab: Lab) -> bool:
    """Whether every server has the canary as it was written."""
    answers = [lab.ask(host, PATH) for host in lab.hosts]
    return all(status == 200 and json.loads(text)["data"] == {"written": "before"} for status, text in answers)


def at_target(lab: Lab) -> list[str]:
    return [host for host, version in lab.versions().items() if version == lab.target]


def resumes(run: Run) -> str:
    """Which run it goes on from, as the end of a sentence."""
    earlier = run.report.get("run", {}).get("resumes")
    return f", resumes {earlier}" if earlier else ""
