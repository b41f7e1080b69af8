# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""A run's journal, and the report made of it.

The journal is the one record: a file of JSON lines on the controller, only ever appended to, each line synced
before the work goes on. The report is computed from it, whole, and replaced atomically; so it can be read at
any moment, and nothing is lost with a killed controller but what it had not yet said.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import platform
import secrets
import socket
import tempfile
import typing as t

from ansible.release import __version__ as ansible_core_version

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _version
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import (
    _availability,
    _availability_svg,
    _markdown,
)

SCHEMA_VERSION = 1
JOURNAL = "journal.jsonl"

#: Every gate id there is; accepting any other is an error.
GATE_IDS = frozenset(
    [
        "inventory_matches_servers",
        "version_hop",
        "version_skew",
        "servers_ready",
        "nodes_ready",
        "etcd_healthy",
        "etcd_version",
        "etcd_flags",
        "certificates_valid",
        "disk_space",
        "kubeadm_config",
        "feature_gates",
        "component_flags",
        "removed_apis",
        "deprecated_apis",
        "crd_stored_versions",
        "webhooks",
        "apiservices",
        "disruption_budgets",
        "pending_csrs",
        "images",
        "packages",
        "load_balancer",
        "component_endpoints",
        "manifest_drift",
        "patches_present",
        "rights",
        "kubelet_client_binding",
        "clock_skew",
        "lock",
        "backup_verified",
        "etcd_stepped",
        "proxy_enabled",
        "peers_reachable",
        "peers_fetched",
        "quorum_after_step",
        "server_is_target",
        "etcd_member_caught_up",
        "convergence",
        "requests_proxied",
        "leases_fresh",
        "user_probes",
        "availability_budget",
        "final_versions",
    ]
)
#: Causes that diagnose warns of: the proxy does not carry what they are about, so nothing stops for them.
WARNINGS = frozenset(["crd_not_established", "apiservice_unavailable", "clock_skew"])
#: Playbooks that change something, and go on where an earlier run of them ended.
RESUMABLE = frozenset(["upgrade", "proxy", "backup"])
#: For how long a lock is good that nobody renewed, as upgrade_lock has it.
LOCK_SECONDS = 7200
#: Verdicts that let a run go on.
HOLDS = frozenset(["passed", "not_exercised", "accepted", "skipped"])
_WORST_LAST = ["skipped", "not_exercised", "passed", "accepted", "unproven", "failed"]

Event = dict[str, t.Any]
Report = dict[str, t.Any]


def now() -> str:
    """This moment as RFC 3339 in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    """A run id: sortable by time, and unique though two runs start in one second."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ-") + secrets.token_hex(2)


class Run:
    """The folder of one run."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.id = os.path.basename(os.path.normpath(directory))

    @property
    def journal(self) -> str:
        return os.path.join(self.directory, JOURNAL)

    @property
    def finished(self) -> bool:
        return any(event["event"] == "run_finished" for event in self.events())

    def append(self, *events: Event) -> None:
        """Write *events*, each with its time, and sync them to disk."""
        with open(self.journal, "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._drop_cut_off_line()
            file.writelines(json.dumps({"at": now(), **event}, sort_keys=True) + "\n" for event in events)
            file.flush()
            os.fsync(file.fileno())

    def _drop_cut_off_line(self) -> None:
        """Take away what a crash left after the last whole line, or the next event would be lost with it."""
        with open(self.journal, "r+b") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)

    @property
    def began(self) -> str:
        """When its first event was written; an id tells the second only. Empty where a crash left no whole one."""
        with open(self.journal, encoding="utf-8") as file:
            try:
                return str(json.loads(file.readline())["at"])
            except (ValueError, LookupError):
                return ""

    def events(self) -> list[Event]:
        """What was written so far. A line cut off by a crash is the last one, and left out."""
        with open(self.journal, encoding="utf-8") as file:
            lines = file.read().splitlines()
        found = []
        for number, line in enumerate(lines, 1):
            try:
                found.append(json.loads(line))
            except ValueError as error:
                if number == len(lines):
                    break
                raise ValueError(
                    f"{self.journal}, line {number} is no JSON: {error}. Move this run's folder away."
                ) from error
        return found

    def report(self) -> Report:
        report = build(self.id, self.events())
        counted = _availability.read(self.directory)
        report["availability"] = _availability.summarise(counted, _availability.phases(report))
        return report

    def write(self) -> Report:
        """Replace the report's files by the present state."""
        report = self.report()
        write_atomically(os.path.join(self.directory, "report.json"), json.dumps(report, indent=2) + "\n")
        write_atomically(os.path.join(self.directory, "report.md"), _markdown.render(report))
        if report["availability"]:
            write_atomically(os.path.join(self.directory, "availability.svg"), _availability_svg.render(report))
        return report


def start(report_directory: str, event: Event) -> Run:
    """Make a new run's folder, point ``latest`` at it, and close runs before it that died.

    It resumes the run before it of the same playbook, dry runs left out, if that one did not succeed and had the same
    target. A playbook that only reads resumes nothing.
    """
    os.makedirs(report_directory, mode=0o755, exist_ok=True)
    latest = os.path.join(report_directory, "latest")
    resumes = None
    for previous in runs(report_directory):
        _close_if_dead(previous)
        run = previous.report()["run"]
        if run["playbook"] == event.get("playbook") and run["playbook"] in RESUMABLE and not run["check_mode"]:
            # One that still runs is not gone on from: its lock is its own.
            if run["result"] not in ("succeeded", "running") and _target(previous) == event.get("target"):
                resumes = previous.id
            break
    directory = os.path.join(report_directory, new_id())
    os.mkdir(directory, mode=0o755)
    current = Run(directory)
    current.append(
        {"event": "run_started", "resumes": resumes, "pid": os.getppid(), "host": socket.gethostname(), **event}
    )
    link = os.path.join(report_directory, f".latest.{current.id}")
    os.symlink(current.id, link)
    os.replace(link, latest)
    return current


def resumed(run: Run) -> list[str]:
    """The ids of the runs that *run* goes on from, newest first: what one of them left behind, such as a lock, is its.

    A run that stopped before it took the lock resumed the one that died holding it.
    """
    found: list[str] = []
    earlier = run.report()["run"]["resumes"]
    while earlier and earlier not in found:
        found.append(earlier)
        before = Run(os.path.join(os.path.dirname(os.path.normpath(run.directory)), earlier))
        earlier = before.report()["run"]["resumes"] if os.path.exists(before.journal) else None
    return found


def runs(report_directory: str) -> list[Run]:
    """The runs whose folders are there, newest first."""
    found = [Run(entry.path) for entry in os.scandir(report_directory) if not entry.is_symlink()]
    return sorted((run for run in found if os.path.exists(run.journal)), key=lambda run: run.began, reverse=True)


def broken(gates: t.Iterable[t.Mapping[str, t.Any]]) -> list[t.Mapping[str, t.Any]]:
    """The blocking gates that do not hold."""
    return [gate for gate in gates if gate["severity"] == "blocking" and gate["verdict"] not in HOLDS]


def words(gates: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """What a person has to know of gates that do not hold."""
    lines = []
    for gate in gates:
        where = (f" on {gate['node']}" if gate["node"] else "") + (f" to {gate['peer']}" if gate["peer"] else "")
        lines += [
            f"Gate {gate['id']} {gate['verdict']}{where}.",
            f"  observed:    {gate['observed']}",
            f"  expected:    {gate['expected']}",
            f"  next action: {gate['next_action']}",
        ]
    return "\n".join(lines)


def _target(run: Run) -> t.Any:
    return run.events()[0].get("target")


def _close_if_dead(run: Run) -> None:
    if run.report()["run"]["result"] != "running":
        return
    told = run.events()
    if told[0].get("host") == socket.gethostname():
        alive = os.path.exists(f"/proc/{told[0].get('pid')}")
    else:
        # Its process can't be seen from here; what is silent for as long as a lock lasts is held to be dead.
        last = datetime.datetime.fromisoformat(told[-1]["at"].replace("Z", "+00:00"))
        alive = (datetime.datetime.now(datetime.timezone.utc) - last).total_seconds() < LOCK_SECONDS
    if alive:
        return
    run.append({"event": "run_finished", "result": "interrupted", "next_action": "Start the playbook again."})
    run.write()


def write_atomically(path: str, text: str) -> None:
    """Replace *path*: a reader sees the old text or the new one, never a part."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".tmp.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def build(run_id: str, events: t.Sequence[Event]) -> Report:
    """The report as design and schema have it, from a journal's events."""
    begun = next((event for event in events if event["event"] == "run_started"), {})
    ended = next((event for event in reversed(events) if event["event"] == "run_finished"), None)
    gates = [_without(event, "event") for event in events if event["event"] == "gate"]
    first: t.Mapping[str, t.Any] = next(iter(broken(gates)), {})
    end = ended or {}
    return {
        "schema_version": SCHEMA_VERSION,
        "versions": {
            "collection": begun.get("collection", ""),
            "ansible_core": ansible_core_version,
            "python": platform.python_version(),
        },
        "run": {
            "id": run_id,
            "resumes": begun.get("resumes"),
            "playbook": begun.get("playbook", ""),
            "check_mode": bool(begun.get("check_mode")),
            "started": begun.get("at", ""),
            "finished": ended["at"] if ended else None,
            "result": end.get("result", "running"),
            "failed_gate": first.get("id") if end.get("result") != "succeeded" else None,
            "failed_node": end.get("node") or first.get("node") or None,
            "next_action": end.get("next_action") or first.get("next_action") or None,
            "plan_hash": next((event["hash"] for event in reversed(events) if event["event"] == "plan"), None),
        },
        "cluster": _cluster(begun, events),
        "backup": next((event["backup"] for event in reversed(events) if event["event"] == "backup"), None),
        "gates": [_without(gate, "at") for gate in gates],
        "probes": [_without(event, "event", "at") for event in events if event["event"] == "probe"],
        "findings": findings(events),
        "phases": _phases(events, ""),
        "nodes": _nodes(events),
        "availability": [],
    }


def findings(events: t.Iterable[Event]) -> list[Event]:
    """What diagnose named, root first, each once: a repair told later takes the place of what was found before it."""
    found: dict[tuple[str, str, str], Event] = {}
    for event in events:
        if event["event"] == "finding":
            key = (event["cause"], event["server"], event["peer"])
            found[key] = {**_without(event, "event", "at"), "root": event["root"] or found.get(key, event)["root"]}
    return sorted(found.values(), key=lambda finding: not finding["root"])


def remaining(found: t.Iterable[t.Mapping[str, t.Any]]) -> list[t.Mapping[str, t.Any]]:
    """The findings that still stand in the way: neither repaired nor a warning only."""
    return [finding for finding in found if not finding["repaired"] and finding["cause"] not in WARNINGS]


def finding_words(finding: t.Mapping[str, t.Any]) -> str:
    """A finding's cause and whom it is about, in one line."""
    where = finding["server"] + (f" to {finding['peer']}" if finding["peer"] else "")
    return f"{finding['cause']} on {where}" if where else str(finding["cause"])


def _without(event: Event, *keys: str) -> Event:
    return {key: value for key, value in event.items() if key not in keys}


def _cluster(begun: Event, events: t.Sequence[Event]) -> dict[str, t.Any]:
    cluster = next((event for event in events if event["event"] == "cluster"), {})
    before: dict[str, Event] = {}
    after: dict[str, Event] = {}
    for event in events:
        if event["event"] == "servers":
            for server in event["servers"]:
                before.setdefault(server["name"], server)
                after[server["name"]] = server
    return {
        "name": cluster.get("name", ""),
        "uid": cluster.get("uid", ""),
        "version_before": min(
            (server["version"] for server in before.values() if server["version"]), key=_version.parse, default=""
        ),
        "version_target": begun.get("target", ""),
        "servers": [
            {
                "name": name,
                "address": server["address"],
                "version_before": server["version"],
                "version_after": after[name]["version"],
                "emulated_version": after[name]["emulated_version"],
                "proxy_before": server["state"],
                "proxy_after": after[name]["state"],
            }
            for name, server in before.items()
        ],
    }


def _nodes(events: t.Sequence[Event]) -> list[dict[str, t.Any]]:
    order: list[str] = next((event["nodes"] for event in events if event["event"] == "nodes"), [])
    return [
        {
            "name": name,
            "order": position,
            "changed": any(event["event"] == "changed" and event["node"] == name for event in events),
            "phases": _phases(events, name),
        }
        for position, name in enumerate(order, 1)
    ]


def _phases(events: t.Sequence[Event], node: str) -> list[dict[str, t.Any]]:
    """The phases of *node* (of the cluster as a whole: ``""``), each ended by the next one or by the run's end."""
    phases: list[dict[str, t.Any]] = []
    verdicts: list[str] = []

    def close(at: str) -> None:
        if phases and phases[-1]["elapsed_seconds"] is None:
            phases[-1]["elapsed_seconds"] = _seconds(phases[-1]["started"], at)
            phases[-1]["verdict"] = max(verdicts, key=_WORST_LAST.index, default="passed")

    for event in events:
        kind = event["event"]
        if kind in ("phase", "phase_done"):
            # One thing at a time: whoever's phase begins, the one that was open has ended.
            close(event["at"])
            if kind == "phase" and event["node"] == node:
                verdicts = []
                phases.append(
                    {
                        "name": event["name"],
                        "started": event["at"],
                        "elapsed_seconds": None,
                        "changed": False,
                        "verdict": "",
                    }
                )
        elif kind == "gate" and event["node"] in (node, "") and event["severity"] == "blocking":
            verdicts.append(event["verdict"])
        elif kind == "changed" and event["node"] == node and phases and phases[-1]["elapsed_seconds"] is None:
            phases[-1]["changed"] = True
        elif kind == "run_finished":
            close(event["at"])
    if events:
        close(events[-1]["at"])
    return phases


def _seconds(start_at: str, end_at: str) -> float:
    first, last = (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (start_at, end_at))
    return round((last - first).total_seconds(), 3)


def changes(events: t.Sequence[Event]) -> str:
    """What the run has changed so far, in one sentence."""
    done: dict[str, list[str]] = {}
    for event in events:
        if event["event"] == "changed":
            done.setdefault(event["node"] or "the cluster", []).append(event["what"])
    if not done:
        return "Nothing was changed."
    return "Changed so far: " + "; ".join(f"{node}: {', '.join(what)}" for node, what in done.items()) + "."
