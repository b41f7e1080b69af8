# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed at random moments and started again, and what became of the objects in the cluster meanwhile."""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
import typing as t

from _common import Results, kill
from _lab import Lab, NotAsWanted, Run, say

NAMESPACE = "evidence-canaries"
BEFORE, DURING = 1500, 500
#: The same moments each time; which tasks they fall into depends on the machine.
SEED = 20261124


class Canaries:
    """ConfigMaps that are written once, before the runs and while they go on, and never again."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        #: By name, what was written and acknowledged: uid, resource version and text.
        self.written: dict[str, tuple[str, str, str]] = {}
        self.path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"

    def write(self, number: int, interval: float = 0.0, done: threading.Event | None = None) -> None:
        """*number* more, at most one each *interval* seconds; one that gets no answer is looked for, and sent again."""
        dice = random.Random(len(self.written))
        connection = self.lab.client.connect(self.lab.client.server, 5.0)
        for dummy in range(number):
            if done is not None and done.wait(interval):
                break
            name, text = f"canary-{len(self.written):05}", f"{dice.getrandbits(256):064x}"
            body = {"metadata": {"name": name}, "data": {"text": text}}
            while name not in self.written:
                status, answer = ask(connection, "POST", self.path, body)
                if status == 409:
                    # The answer to an earlier try was lost on its way; what was written is there.
                    status, answer = ask(connection, "GET", f"{self.path}/{name}")
                if status in (200, 201):
                    metadata = answer["metadata"]
                    self.written[name] = (metadata["uid"], metadata["resourceVersion"], answer["data"]["text"])
                elif done is not None and done.is_set():
                    break
                else:
                    time.sleep(0.1)
        connection.close()

    def trouble(self) -> list[str]:
        """What is lost, or is not as it was written, as each server by itself has it."""
        found = []
        for host in self.lab.hosts:
            status, text = self.lab.client.ask(self.lab.address(host), self.path, timeout=60.0)
            if status != 200:
                raise NotAsWanted(f"{host}: the canaries can't be listed: {status} {text[:100]}")
            there = {
                item["metadata"]["name"]: (
                    item["metadata"]["uid"],
                    item["metadata"]["resourceVersion"],
                    item["data"]["text"],
                )
                for item in json.loads(text)["items"]
                if item["metadata"]["name"].startswith("canary-")
            }
            found += [
                f"{host}: {name} {'changed' if name in there else 'lost'}"
                for name, written in self.written.items()
                if there.get(name) != written
            ]
        return found


def ask(
    connection: http.client.HTTPSConnection, method: str, path: str, body: object = None
) -> tuple[int, dict[str, t.Any]]:
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, body=text, headers={"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if response.status < 300 else {}
    except (OSError, http.client.HTTPException, ValueError):
        connection.close()
        return 0, {}


def restarts(lab: Lab, since: float) -> list[tuple[float, float, str, str]]:
    """Each time that a unit of a server or member was away since then, by systemd's own words: from, to, node, unit."""
    found = []
    for host in lab.hosts:
        for unit in ("kube-apiserver", "etcd"):
            words = f"journalctl --unit={unit} --since=@{int(since)} --output=json --no-pager _PID=1"
            began = 0.0
            for line in lab.sh(host, words, check=False, timeout=60).splitlines():
                entry = json.loads(line)
                at, said = int(entry["__REALTIME_TIMESTAMP"]) / 1e6, str(entry.get("MESSAGE", ""))
                if said.startswith("Stopping ") and not began:
                    began = at
                if said.startswith("Started ") and began:
                    found.append((began, at, host, unit))
                    began = 0.0
            if began:
                found.append((began, time.time(), host, unit))
    return sorted(found)


def overlapping(away: t.Sequence[tuple[float, float, str, str]]) -> list[str]:
    """Where two nodes were away at once."""
    return [
        f"{one[3]} of {one[2]} and {other[3]} of {other[2]}"
        for position, one in enumerate(away)
        for other in away[position + 1 :]
        if one[2] != other[2] and other[0] < one[1]
    ]


def moves(lab: Lab, since: float) -> list[tuple[float, str]]:
    """Each start of the target's server since then, by its own log: when, and on which node."""
    words = f"journalctl --unit=kube-apiserver --since=@{int(since)} --output=json --grep='Version: {lab.target}$'"
    return sorted(
        (int(json.loads(line)["__REALTIME_TIMESTAMP"]) / 1e6, host)
        for host in lab.hosts
        for line in lab.sh(host, words, check=False, timeout=60).splitlines()
    )


def out_of_order(moved: t.Sequence[tuple[float, str]], runs: t.Sequence[Run]) -> list[str]:
    """Where a run left its own order, or did not begin with the node that the run before it had begun."""
    found: list[str] = []
    before: set[str] = set()
    for run_ in runs:
        touched = list(dict.fromkeys(host for at, host in moved if run_.began <= at < run_.began + run_.seconds))
        order = [node["name"] for node in run_.report.get("nodes", []) if node["name"] in touched]
        if touched != order:
            found.append(f"{', '.join(touched)} instead of {', '.join(order)}")
        found += [f"{host} again, after {touched[0]}" for host in touched[1:] if host in before]
        before = set(touched)
    return found


def run(lab: Lab, results: Results, number: int) -> None:
    """*number* upgrades, each killed once at a random moment and started again until it has finished.

    All is judged anew after each of them: what was seen until then stands, whatever ends the command.
    """
    lab.kubectl(f"create namespace {NAMESPACE}")
    canaries = Canaries(lab)
    say(f"{BEFORE} canaries are written")
    canaries.write(BEFORE)
    dice = random.Random(SEED)
    finished, bad, wrong, twice = 0, [], [], []
    # About an upgrade's on such a lab, until one that was quicker has shown its own.
    length = 240.0
    for attempt in range(1, number + 1):
        began = time.time()
        stop = threading.Event()
        # Spread over all of the attempts, and enough of them.
        writer = threading.Thread(target=canaries.write, args=(-(-DURING // number), 1.0, stop), daemon=True)
        writer.start()
        try:
            while True:
                moment = dice.uniform(0.05, 0.95) * length
                first = killed_after(lab, moment)
                if first.code != 0:
                    break
                # It was quicker than that: no interruption yet, but the length of one is known now.
                length = first.seconds
                put_back(lab)
                began = time.time()
            second = lab.play("upgrade")
        finally:
            stop.set()
            writer.join()
        where = last_task(first.output)
        through = second.code == 0 and set(lab.versions().values()) == {lab.target} and not lab.lock_holder()
        finished += through
        say(f"{attempt} of {number}: killed after {moment:.0f} s in {where}; then exit code {second.code}")
        results.case(
            f"random/{attempt:02}",
            "killed, and the run that resumes it finishes and leaves no lock",
            f"killed after {moment:.0f} s in '{where}'; exit code {second.code} after {second.seconds:.0f} s,"
            f" resumes {second.report.get('run', {}).get('resumes')}; {second.stopped_by}",
            first.code < 0 and through,
        )
        away = restarts(lab, began)
        wrong += [f"{attempt}: {words}" for words in out_of_order(moves(lab, began), [first, second])]
        twice += [f"{attempt}: {words}" for words in overlapping(away)]
        if attempt == number:
            canaries.write(BEFORE + DURING - len(canaries.written))
        bad += [f"{attempt}: {words}" for words in canaries.trouble()]
        written = len(canaries.written)
        results.case("random/finished", f"{number} of {number}", f"{finished} of {number}")
        results.case(
            "random/canaries",
            f"{BEFORE + DURING} written, 0 lost or changed on any server",
            f"{written} written, {len(bad)} lost or changed {bad[:3] or ''}",
            not bad and written == BEFORE + DURING,
        )
        results.case("random/order", "no node out of order", f"{wrong or 'no node out of order'}")
        results.case("random/one_at_a_time", "never two nodes at once", f"{twice or 'never two nodes at once'}")
        results.figure("random/runs", attempt)
        if attempt < number:
            put_back(lab)


def put_back(lab: Lab) -> None:
    for host in lab.hosts:
        lab.downgrade(host)
    lab.settle()


def killed_after(lab: Lab, seconds: float) -> Run:
    """Start an upgrade and kill it, if it has not ended by then."""
    timer: list[threading.Timer] = []

    def begin(process: t.Any) -> None:
        timer.append(threading.Timer(seconds, kill, (process,)))
        timer[0].daemon = True
        timer[0].start()

    run_ = lab.play("upgrade", at={"PLAY [": begin})
    for one in timer:
        one.cancel()
    return run_


def last_task(output: str) -> str:
    tasks = re.findall(r"^TASK \[(?:mixedversion\.kubernetes\.control_plane : )?(.*?)\] \*", output, re.MULTILINE)
    return tasks[-1] if tasks else "its start"
