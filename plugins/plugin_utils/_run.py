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
import re
import secrets
import socket
import tempfile
import typing as t

import yaml
from ansible.release import __version__ as ansible_core_version

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node, _version
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import (
    _availability,
    _availability_svg,
    _html,
    _junit,
    _markdown,
    _verdicts,
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
#: Playbooks that change something, and go on where an earlier run of them ended.
RESUMABLE = frozenset(["upgrade", "proxy", "backup", "rollback"])
#: A roll-back takes up what an upgrade left, its lock above all, and an upgrade what a roll-back left.
RELATED = frozenset(["upgrade", "rollback"])
#: For how long a lock is good that nobody renewed, where the journal does not say; as upgrade_lock has it.
LOCK_SECONDS = 7200
#: The phases in which a node leaves its old version, and which part of its work that is.
HOP_PHASES = {"driver step": "control_plane", "kubelet": "kubelet"}
#: The phase that puts a node back.
ROLL_BACK = "roll back"
HALF_WAY = "half_way"
DONE = "done"
_WORST_LAST = ["skipped", "not_exercised", "passed", "accepted", "unproven", "failed"]

Event = dict[str, t.Any]
Report = dict[str, t.Any]

#: The report's files beside report.json, each with what makes it of the report.
RENDERED: t.Mapping[str, t.Callable[[Report], str]] = {
    "report.md": _markdown.render,
    "report.html": _html.render,
    "report.xml": _junit.render,
}


class JournalError(ValueError):
    """A journal that can't be read, or a run that can't be gone on from; the text says what to do."""


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
        """When its first event was written; where that can't be read, the second that its id tells."""
        with open(self.journal, "rb") as file:
            try:
                return str(json.loads(file.readline())["at"])
            except (ValueError, LookupError, TypeError):
                return re.sub(r"^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\d)Z.*", r"\1-\2-\3:\4:\5.000Z", self.id)

    def events(self) -> list[Event]:
        """What was written so far. A line cut off by a crash is the last one, and left out."""
        with open(self.journal, "rb") as file:
            lines = file.read().split(b"\n")
        # What is behind the last newline never got whole.
        lines.pop()
        found: list[Event] = []
        for number, line in enumerate(lines, 1):
            try:
                event = json.loads(line)
                if not isinstance(event["event"], str) or not isinstance(event["at"], str):
                    raise ValueError("it is no event")
            except (ValueError, LookupError, TypeError) as error:
                # The words of the error would quote whatever is there now.
                raise self._unreadable(f"line {number} is no event of a run ({type(error).__name__})") from None
            found.append(event)
        if not found and os.path.exists(os.path.join(self.directory, "report.json")):
            raise self._unreadable("it has no event, though the run had begun")
        return found

    def _unreadable(self, what: str) -> JournalError:
        return JournalError(
            f"The journal {self.journal} can't be read: {what}. Expected one JSON object a line, as it was written. "
            f"Nothing was changed. Run {self.id} may have left a node half-way: read report.md beside it, and move the "
            "folder away; the next run then reads all it needs from the cluster, and takes a backup of its own."
        )

    def report(self) -> Report:
        report = build(self.id, self.events())
        counted = _availability.read(self.directory)
        report["availability"] = _availability.summarise(counted, _availability.phases(report))
        return report

    def files(self) -> dict[str, str]:
        """By name the paths of what a person or a CI may want of this run, as far as it is there."""
        names = ("report.json", *RENDERED, "availability.svg", "plan.json", "plan.md")
        paths = {name: os.path.join(self.directory, name) for name in names}
        return {name: path for name, path in paths.items() if os.path.exists(path)}

    def write(self) -> Report:
        """Replace the report's files by the present state."""
        report = self.report()
        write_atomically(os.path.join(self.directory, "report.json"), json.dumps(report, indent=2) + "\n")
        for name, render in RENDERED.items():
            write_atomically(os.path.join(self.directory, name), render(report))
        if report["availability"]:
            write_atomically(os.path.join(self.directory, "availability.svg"), _availability_svg.render(report))
        return report


def start(report_directory: str, event: Event) -> Run:
    """Make a new run's folder, point ``latest`` at it, and close runs before it that died.

    It resumes the run before it of the same playbook, dry runs left out, if that one did not succeed and had the same
    target. A playbook that only reads resumes nothing, and is not kept from reading by a journal that can't be read.
    A roll-back has no target of its own, and one that succeeded leaves the upgrade before it as unfinished as it was.
    """
    os.makedirs(report_directory, mode=0o755, exist_ok=True)
    resumes = None
    for previous in runs(report_directory):
        try:
            _close_if_dead(previous)
            run = previous.report()["run"]
        except JournalError:
            if event.get("playbook") in RESUMABLE:
                raise
            continue
        if not follows(str(event.get("playbook")), run["playbook"]) or run["check_mode"]:
            continue
        if run["playbook"] == "rollback" and run["result"] == "succeeded":
            continue
        # One that still runs is not gone on from: its lock is its own.
        same = "rollback" in (run["playbook"], event.get("playbook")) or _target(previous) == event.get("target")
        if run["result"] not in ("succeeded", "running") and same:
            resumes = previous.id
        break
    directory = os.path.join(report_directory, new_id())
    os.mkdir(directory, mode=0o755)
    current = Run(directory)
    begun = {
        "event": "run_started",
        "resumes": resumes,
        "pid": os.getppid(),
        "host": socket.gethostname(),
        "process_space": _process_space(),
        **event,
    }
    current.append({**begun, "process": _process(begun["pid"])})
    point_latest(directory)
    return current


def point_latest(directory: str) -> None:
    """Have ``latest`` beside a folder lead to it, replaced atomically."""
    parent, name = os.path.split(os.path.normpath(directory))
    link = os.path.join(parent, f".latest.{name}")
    os.symlink(name, link)
    os.replace(link, os.path.join(parent, "latest"))


def follows(playbook: str, former: str) -> bool:
    """Whether a run of *playbook* may go on from one of *former*."""
    return playbook in RESUMABLE and (playbook == former or {playbook, former} <= RELATED)


def earlier(run: Run) -> list[Run]:
    """The runs whose folders lie beside *run*'s and that began before it, newest first."""
    return [one for one in runs(os.path.dirname(os.path.normpath(run.directory))) if one.id != run.id]


def unfinished(run: Run) -> list[Run]:
    """The runs before *run*, of its playbook and no dry runs, since one succeeded; newest first.

    A roll-back that succeeded settles what was before it as well.
    """
    playbook = run.report()["run"]["playbook"]
    found = []
    for one in earlier(run) if playbook in RESUMABLE else []:
        told = one.report()["run"]
        if told["check_mode"] or told["playbook"] not in (playbook, "rollback"):
            continue
        if told["result"] == "succeeded":
            break
        if told["playbook"] == playbook:
            found.append(one)
    return found


def standing(events: t.Iterable[Event]) -> dict[str, dict[str, str]]:
    """How far each node came, by the journal: ``{node: {control_plane or kubelet: half_way or done}}``.

    A node is half-way from when it begins to leave its old version until all that proves its new one has held, or until
    it is put back; a roll-back that does not come to its end leaves it half-way.
    """
    found: dict[str, dict[str, str]] = {}
    opened: dict[str, str] = {}
    for event in events:
        node = event.get("node")
        if event["event"] == "phase" and node and event["name"] in HOP_PHASES:
            opened[node] = HOP_PHASES[event["name"]]
            found.setdefault(node, {})[opened[node]] = HALF_WAY
        elif event["event"] == "phase" and node and event["name"] == ROLL_BACK:
            opened[node] = ROLL_BACK
        elif event["event"] == "phase_done" and node in opened:
            ended = opened.pop(node)
            if ended == ROLL_BACK:
                found.pop(node, None)
            else:
                found[node][ended] = DONE
    return found


def inherited_events(run: Run) -> list[Event]:
    """What the runs that *run* goes on from have written, oldest first."""
    folder = os.path.dirname(os.path.normpath(run.directory))
    chain = [Run(os.path.join(folder, id_)) for id_ in reversed(resumed(run))]
    return [event for one in chain if os.path.exists(one.journal) for event in one.events()]


def inherited_backup(events: t.Sequence[Event]) -> dict[str, t.Any]:
    """The newest backup in what was resumed, with the revision that etcd had when the first of these runs began.

    Empty if there is none, or nobody knows what revision it has to have.
    """
    backup = next((event["backup"] for event in reversed(events) if event["event"] == "backup"), None)
    first = next((event["revision"] for event in events if event["event"] == "cluster" and event.get("revision")), 0)
    return {**backup, "live_revision": int(first)} if backup and backup["verified"] and first else {}


def refusal(run: Run, uid: str, nodes: t.Sequence[str], versions: t.Mapping[str, t.Sequence[str]]) -> str:
    """Why *run* can't go on beside what an unfinished run before it left; empty if nothing stands in the way.

    *uid* is the cluster's, *nodes* are the inventory's, *versions* what the components of each node are now.
    """
    target = _target(run)
    for one in unfinished(run):
        events = one.events()
        came = standing(events)
        if not came:
            continue
        theirs, cluster = _target(one), next((e["uid"] for e in events if e["event"] == "cluster"), "")
        words = f"The {run.report()['run']['playbook']} {one.id} to {theirs} is unfinished: it began with"
        begun = f"{words} {', '.join(came)}"
        away = f"move {one.directory} away"
        if cluster and uid and cluster != uid:
            return (
                f"{begun} of another cluster. Its uid is {cluster}, that of this cluster is {uid}. "
                f"Nothing was changed. Give each cluster a control_plane_report_directory of its own, or {away}."
            )
        half = [node for node, parts in came.items() if HALF_WAY in parts.values()]
        missing = [node for node in half if node not in nodes]
        if missing:
            return (
                f"{begun} and left {', '.join(missing)} half-way, which the inventory no longer has; it has "
                f"{', '.join(nodes)}. Nothing was changed. Put it back into the inventory and start again. If the node "
                f"is gone for good, remove its etcd member and its server's Lease, and {away}."
            )
        # The cluster wins: where nothing is left of what it did, it is in nobody's way.
        marked = [node for node in nodes if theirs in versions.get(node, ())]
        if theirs != target and marked:
            return (
                f"{begun}, and {theirs} is on {', '.join(marked)}; this run is to {target}. Nothing was changed. "
                f"Finish that one first with control_plane_version {theirs}, or roll it back; to go on to {target} in "
                f"spite of it, {away}."
            )
    return ""


def differences(
    came: t.Mapping[str, t.Mapping[str, str]], target: str, versions: t.Mapping[str, t.Sequence[str]]
) -> dict[str, str]:
    """Where the journals and the cluster differ, in words by node; the cluster is what counts.

    *came* is as :func:`standing` has it, *versions* are those of each node's components, kubelets aside.
    """
    found = {}
    for node, parts in came.items():
        part, now_there = parts.get("control_plane"), versions.get(node)
        if not part or not now_there:
            continue
        whole = set(now_there) == {target}
        if part == DONE and not whole:
            found[node] = f"the journal has it done with {target}, and it has {', '.join(sorted(set(now_there)))}"
        elif part == HALF_WAY and whole:
            found[node] = f"the journal leaves it half-way, and all of its components are {target}"
        elif part == HALF_WAY and target not in now_there:
            found[node] = f"the journal leaves it half-way, and it still has {', '.join(sorted(set(now_there)))}"
    return found


def resumed(run: Run) -> list[str]:
    """The ids of the runs that *run* goes on from, newest first: what one of them left behind, such as a lock, is its.

    A run that stopped before it took the lock resumed the one that died holding it.
    """
    found: list[str] = []
    before_it = run.report()["run"]["resumes"]
    while before_it and before_it not in found:
        found.append(before_it)
        before = Run(os.path.join(os.path.dirname(os.path.normpath(run.directory)), before_it))
        before_it = before.report()["run"]["resumes"] if os.path.exists(before.journal) else None
    return found


def runs(report_directory: str) -> list[Run]:
    """The runs whose folders are there, newest first."""
    found = [Run(entry.path) for entry in os.scandir(report_directory) if not entry.is_symlink()]
    return sorted((run for run in found if os.path.exists(run.journal)), key=lambda run: run.began, reverse=True)


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
    return next((event.get("target") for event in run.events() if event["event"] == "run_started"), None)


def _process(pid: int) -> str:
    """What tells a process from a later one with its number: the boot and, in it, the start. Empty where none can."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # Behind the name, which may hold anything, comes the third field; the start is the 22nd.
            return f"{boot}/{stat.read().rpartition(b')')[2].split()[19].decode()}"
    except (OSError, IndexError):
        return ""


def _process_space() -> str:
    """The namespace that process numbers are of: two containers on one host may have its name, and not its numbers."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _lives(begun: Event) -> bool:
    """Whether the process that a run of this host was started by is still there."""
    if not _node.alive(begun["pid"]):
        return False
    return not begun.get("process") or begun["process"] == _process(begun["pid"])


def _close_if_dead(run: Run) -> None:
    told = run.events()
    # Without an event it has done nothing: whatever began it ended before it could say so.
    if not told or any(event["event"] == "run_finished" for event in told):
        return
    if told[0].get("host") == socket.gethostname() and told[0].get("process_space", "") in ("", _process_space()):
        alive = _lives(told[0])
    else:
        # Its process can't be seen from here; what is silent for as long as its lock lasts is held to be dead.
        last = datetime.datetime.fromisoformat(told[-1]["at"].replace("Z", "+00:00"))
        lock = next((event["seconds"] for event in reversed(told) if event["event"] == "lock"), LOCK_SECONDS)
        alive = (datetime.datetime.now(datetime.timezone.utc) - last).total_seconds() < lock
    if alive:
        return
    run.append({"event": "run_finished", "result": "interrupted", "next_action": "Start the playbook again."})
    run.write()


def write_atomically(path: str, text: str) -> None:
    """Replace *path*: a reader sees the old text or the new one, never a part."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".tmp.")
    try:
        # A server's words may hold half a surrogate pair, which no file can; a report is not lost for that.
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def collection_version() -> str:
    """From the tarball's manifest, or from galaxy.yml in a checkout."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        with open(os.path.join(root, "MANIFEST.json"), encoding="utf-8") as file:
            return str(json.load(file)["collection_info"]["version"])
    except FileNotFoundError:
        with open(os.path.join(root, "galaxy.yml"), encoding="utf-8") as file:
            return str(yaml.safe_load(file)["version"])


def versions(collection: str) -> dict[str, str]:
    """What wrote a file: the collection as given, ansible-core and Python as they are."""
    return {
        "collection": collection,
        "ansible_core": ansible_core_version,
        "python": platform.python_version(),
    }


def build(run_id: str, events: t.Sequence[Event]) -> Report:
    """The report as design and schema have it, from a journal's events."""
    begun = next((event for event in events if event["event"] == "run_started"), {})
    ended = next((event for event in reversed(events) if event["event"] == "run_finished"), None)
    gates = [_without(event, "event") for event in events if event["event"] == "gate"]
    first: t.Mapping[str, t.Any] = next(iter(_verdicts.broken(gates)), {})
    end = ended or {}
    return {
        "schema_version": SCHEMA_VERSION,
        "versions": versions(begun.get("collection", "")),
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
