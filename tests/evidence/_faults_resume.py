# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What befalls the controller, its folders, and its way to the nodes; and more than one controller."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import typing as t

import yaml
from _common import ROOT, events
from _faults import GATES, Fault, Outcome
from _lab import Lab, Run, log_of, say, until

#: What the playbook prints as it comes to a phase, in the order in which it does; the run is killed there.
PHASES = {
    "inventory": "Settle the order, etcd's leader last]",
    "preflight": "Judge what stands in the way]",
    "backup": "Fetch the snapshot]",
    "fetching": "Copy the binaries]",
    "etcd step": "(1/3) · step etcd to",
    "proxy": "(1/3) · enable the proxy]",
    "peers": "Prove that every server fetches its peers' discovery]",
    "health": "(1/3) · health and quorum]",
    "driver step": "(1/3) · driver step]",
    "switched binary": "Wait for the member]",
    "gates": "(1/3) · gates]",
    "second node": "(2/3) · driver step]",
    "final verification": "Have the same version everywhere]",
}
RESTART = "Restart the unit]"
STEP = "(1/3) · driver step]"
SECOND_STEP = "(2/3) · driver step]"
SOON = "--extra-vars=control_plane_gate_timeout=30"


@dataclasses.dataclass
class Case:
    """One case as it goes: what was seen, and whether all that had to hold did."""

    lab: Lab
    seen: list[str] = dataclasses.field(default_factory=list)
    right: bool = True

    def see(self, words: str, holds: bool) -> None:
        """Note what was seen, and whether that is as it must be."""
        self.seen.append(words if holds else f"NOT AS IT MUST BE: {words}")
        self.right = self.right and holds
        say(self.seen[-1])

    def __post_init__(self) -> None:
        self.before = self.lab.versions()

    def moved(self) -> list[str]:
        """The nodes that are at the target, and were not when this case began."""
        return [
            host
            for host, version in self.lab.versions().items()
            if version == self.lab.target and self.before[host] != version
        ]

    def untouched(self, what: str) -> None:
        """Nothing may be changed so far."""
        moved = [host for host, version in self.lab.versions().items() if version != self.before[host]]
        self.see(f"{what}: {', '.join(moved) or 'no server'} changed", not moved)

    def refused(self, run: Run, *words: str) -> None:
        """A run that ended with these words, none of them a traceback's."""
        said = " ".join(run.output.split())
        lacking = [word for word in words if word not in said]
        plain = "Traceback" not in said and "Unexpected" not in said
        end = said[said.find(words[0]) :][:200] if words[0] in said else run.stopped_by
        self.see(f"exit code {run.code}: {end}", run.code != 0 and not lacking and plain)


def fault(work: t.Callable[[Case], None]) -> t.Callable[[Lab], Outcome]:
    """*work* as a case of the matrix."""

    def run(lab: Lab) -> Outcome:
        case = Case(lab)
        work(case)
        return Outcome("; ".join(case.seen), case.right)

    return run


def closed(lab: Lab, run: Run) -> str:
    """How the report of a run stands now; the run after it may have closed it."""
    report = json.loads((run.folder / "report.json").read_text())
    return str(report["run"]["result"])


# Killed


def killed_everywhere(case: Case) -> None:
    """kill -9 of the controller in phase after phase of one upgrade; each run goes on from the one before."""
    lab, former, backup = case.lab, None, ""
    for phase, text in PHASES.items():
        run = lab.play("upgrade", killed_at=text)
        if text not in run.output:
            case.seen.append(f"{phase}: over by then")
            former = run
            continue
        goes_on = not former or run.report["run"]["resumes"] == former.folder.name
        told = run.report.get("backup") or {}
        inherited = not backup or not told or told["path"] == backup
        backup = backup or told.get("path", "")
        ended = not former or closed(lab, former) == "interrupted"
        case.see(f"killed in {phase} ({run.seconds:.0f} s)", goes_on and inherited and ended and run.code == -9)
        former = run
    kept = list((lab.out / "backups").glob("2*"))
    case.see(f"{len(kept)} backup of all these runs", len(kept) == 1)


def signals(case: Case) -> None:
    """SIGINT as from a terminal, to the whole group; SIGTERM to ansible-playbook alone. Neither hangs."""
    lab = case.lab
    runs = []
    for name, number, text in (("SIGINT", signal.SIGINT, STEP), ("SIGTERM", signal.SIGTERM, SECOND_STEP)):

        def send(process: subprocess.Popen[str], number: int = number) -> None:
            if number == signal.SIGINT:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

        run = lab.play("upgrade", at={text: send})
        ended = run.report.get("run", {}).get("result")
        case.see(f"{name}: exit code {run.code} after {run.seconds:.0f} s, the report {ended}", run.code != 0)
        runs.append(run)
    last = lab.play("verify")
    case.see(f"the reports then: {', '.join(closed(lab, run) for run in runs)}", closed(lab, runs[0]) != "running")
    case.see(f"verify between them: exit code {last.code}", last.code == 0)


# The way to a node


@contextlib.contextmanager
def no_ssh(lab: Lab, host: str) -> t.Iterator[None]:
    """Packets of SSH dropped in both directions, as by a firewall; nobody is told."""
    rules = ["INPUT -p tcp --dport 22 -j DROP", "OUTPUT -p tcp --sport 22 -j DROP"]
    lab.sh(host, "; ".join(f"iptables -w -A {rule}" for rule in rules))
    try:
        yield
    finally:
        lab.sh(host, "; ".join(f"iptables -w -D {rule} || true" for rule in rules))


def in_turn(lab: Lab) -> str:
    """The node that the run is at now, by its journal."""
    return [event["node"] for event in events(lab.out / "reports" / "latest") if event.get("node")][-1]


def ssh_lost(case: Case) -> None:
    """The way to the node is cut in its step: for a moment, and for good."""
    lab = case.lab
    with contextlib.ExitStack() as stack:
        cut: list[str] = []

        def begin(dummy: object) -> None:
            cut.append(in_turn(lab))
            stack.enter_context(no_ssh(lab, cut[0]))

        run = lab.play("upgrade", SOON, at={RESTART: begin})
    report = run.report["run"]
    moved = case.moved()
    case.refused(run, f"{cut[0]} can't be reached", "no other node is touched")
    case.see(
        f"report {report['result']} at {report['failed_node'] or 'no node'} after {run.seconds:.0f} s; "
        f"at the target: {', '.join(moved) or 'none'}",
        report["result"] == "failed" and report["failed_node"] == cut[0] and set(moved) <= set(cut),
    )
    holder = lab.lock_holder()
    case.see(f"lock held by {holder or 'nobody'}", not holder)


def ssh_away(case: Case) -> None:
    """The way to the node is cut in its step and comes back while it is waited for: the same run goes on."""
    lab = case.lab
    mended: list[threading.Timer] = []

    def begin(dummy: object) -> None:
        stack = contextlib.ExitStack()
        stack.enter_context(no_ssh(lab, in_turn(lab)))
        mended.append(threading.Timer(75.0, stack.close))
        mended[0].start()

    run = lab.play("upgrade", "--extra-vars=control_plane_stop_after=1", at={RESTART: begin})
    mended[0].join()
    case.see(f"exit code {run.code} after 75 s without a way, {run.report['run']['result']}", run.code == 0)


def rebooted(case: Case) -> None:
    """The node is started anew while its step runs."""
    lab = case.lab
    host: list[str] = []

    def begin(dummy: object) -> None:
        host.append(in_turn(lab))
        subprocess.run(["podman", "restart", "--time=0", f"{lab.name}-{host[0]}"], check=True, capture_output=True)

    run = lab.play("upgrade", at={RESTART: begin})
    until(f"{host[0]} ready", lambda: lab.ready(host[0]), timeout=180, interval=1)
    moved = case.moved()
    case.see(
        f"{host[0]} started anew in its step: exit code {run.code}, {run.report['run']['result']}: "
        f"{run.stopped_by[:160]}; at the target: {', '.join(moved) or 'none'}",
        run.report["run"]["result"] in ("failed", "stopped", "succeeded")
        and (run.code == 0 or set(moved) <= set(host)),
    )


# More than one controller


def two_at_once(case: Case) -> None:
    """Two controllers with folders of their own, started at once: exactly one goes on."""
    lab = case.lab
    runs = []
    for number in (1, 2):
        log = log_of(f"{lab.name}-two-{number}").open("w")
        runs.append(
            subprocess.Popen(
                [
                    "ansible-playbook",
                    "mixedversion.kubernetes.upgrade",
                    f"--inventory={lab.inventory}",
                    f"--extra-vars=control_plane_report_directory={lab.out}/two/{number}/reports",
                    f"--extra-vars=control_plane_backup_directory={lab.out}/two/{number}/backups",
                    "--extra-vars=control_plane_stop_after=1",
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )
    codes = [run.wait() for run in runs]
    reports = [json.loads((lab.out / f"two/{n}/reports/latest/report.json").read_text()) for n in (1, 2)]
    locks = [next((g["verdict"] for g in report["gates"] if g["id"] == "lock"), "none") for report in reports]
    moved = case.moved()
    case.see(
        f"two controllers: exit codes {codes}, lock {locks}, at the target: {', '.join(moved)}",
        sorted(codes) == [0, 2] and sorted(locks) == ["failed", "passed"] and len(moved) == 1,
    )
    # The winner's folder is where its upgrade goes on.
    winner = codes.index(0) + 1
    for name in ("reports", "backups"):
        shutil.copytree(lab.out / f"two/{winner}/{name}", lab.out / name, symlinks=True, dirs_exist_ok=True)


def lease(by: str, age: float) -> str:
    """The lock as another controller would have written it *age* seconds ago."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
    at = then.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.dumps(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": "mixedversion-kubernetes",
                "namespace": "kube-system",
                "annotations": {"mixedversion.kubernetes/controller": "elsewhere.invalid, process 7"},
            },
            "spec": {"holderIdentity": by, "leaseDurationSeconds": 600, "acquireTime": at, "renewTime": at},
        }
    )


def another_s_lock(case: Case) -> None:
    """Held, stale beside a step, lost on the way, and stale."""
    lab, other = case.lab, "20261124T003000Z-ab12"
    lab.kubectl("apply -f -", stdin=lease(other, 0))
    case.refused(lab.play("upgrade"), "Gate lock failed", other, "elsewhere.invalid, process 7")
    case.untouched("the lock held by another")

    lab.kubectl("replace -f -", stdin=lease(other, 3600))
    unit, host = "mixedversion-kubeadm-upgrade.service", list(lab.hosts)[1]
    lab.sh(
        host,
        f"systemd-run --unit={unit} --collect"
        f" --description='mixedversion.kubernetes driver step of run {other}' sleep 3600",
    )
    try:
        case.refused(lab.play("upgrade"), "Gate lock failed", f"{unit} of run {other} on {host}")
        case.untouched("a stale lock beside a step that is still active")
    finally:
        lab.sh(host, f"systemctl stop {unit}")

    def lose(dummy: object) -> None:
        lab.kubectl("replace -f -", stdin=lease(other, 0))

    run = lab.play("upgrade", "--extra-vars=control_plane_stop_after=2", at={GATES: lose})
    moved = case.moved()
    case.refused(run, "Gate lock failed", f"this run lost it: run {other}")
    # None where the node whose gates these are had its step in a run before.
    case.see(f"moved as it stopped: {', '.join(moved) or 'none'}", len(moved) <= 1)
    holder = lab.lock_holder()
    case.see(f"the lock is still {holder}'s", holder == other)
    lab.kubectl("replace -f -", stdin=lease(other, 3600))


def api_away(case: Case) -> None:
    """The load balancer takes no connection while the lock is asked for: it is waited for."""
    lab = case.lab

    def begin(dummy: object) -> None:
        lab.balancer_away(25.0)

    run = lab.play("upgrade", "--extra-vars=control_plane_stop_after=1", at={"Hold the lock]": begin})
    gate = next((g for g in run.gates("lock")), {})
    case.see(f"lock {gate.get('verdict')} after {gate.get('elapsed_seconds')} s", run.code == 0)


# Folders of the controller


@contextlib.contextmanager
def small(folder: pathlib.Path, size: str) -> t.Iterator[pathlib.Path]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disk_full(case: Case) -> None:
    """No room for the backup, none for the report, and none any more as the second node's turn comes."""
    lab = case.lab
    with small(lab.out / "small", "256k") as folder:
        run = lab.play("upgrade", f"--extra-vars=control_plane_backup_directory={folder}/backups")
        case.refused(run, "The backup can't be kept", "bytes free", "Nothing was changed")
        case.untouched("no room for the backup")
    with small(lab.out / "reports", "8m") as folder:

        def fill(dummy: object) -> None:
            with contextlib.suppress(OSError), (folder / "ballast").open("wb") as file:
                while True:
                    file.write(b"\0" * 4096)
                    file.flush()

        run = lab.play("upgrade", at={SECOND_STEP: fill})
        moved = case.moved()
        case.refused(run, "No space left on device", "This run goes no further")
        whole = json.loads((run.folder / "report.json").read_text())
        case.see(
            f"the report is whole and {whole['run']['result']}; at the target: {', '.join(moved)}", len(moved) == 1
        )
        (folder / "ballast").unlink()
        shutil.copytree(folder, lab.out / "kept", symlinks=True)
    # What is below the mount has a link of its own.
    (lab.out / "reports" / "latest").unlink(missing_ok=True)
    shutil.copytree(lab.out / "kept", lab.out / "reports", symlinks=True, dirs_exist_ok=True)


def read_only(case: Case) -> None:
    """Folders that can't be written, for the report and for the backup."""
    lab = case.lab
    with small(lab.out / "small", "1m") as folder:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        for name, words in (("report", "The report can't be written"), ("backup", "The backup can't be kept")):
            run = lab.play("upgrade", f"--extra-vars=control_plane_{name}_directory={folder}/{name}s")
            case.refused(run, words, f"control_plane_{name}_directory")
            case.untouched(f"a {name} folder that can't be written")


# Journals and inventories


def corrupted(case: Case) -> None:
    """The journal of an unfinished run is broken in three ways: refused each time, until it is moved away."""
    lab = case.lab
    run = lab.play("upgrade", "--extra-vars=control_plane_stop_after=1")
    done = {host: version for host, version in lab.versions().items() if version == lab.target}
    journal = run.folder / "journal.jsonl"
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    for what, content in (
        ("a line cut in the middle", b"".join([*lines[:3], lines[3][:20] + b"\n", *lines[4:]])),
        ("no content", b""),
        ("binary garbage", os.urandom(4096) + b"\n"),
    ):
        journal.write_bytes(content)
        case.refused(lab.play("upgrade"), "can't be read", "Nothing was changed", "move the folder away")
        now = {host: version for host, version in lab.versions().items() if version == lab.target}
        case.see(f"{what}: nothing changed by it", now == done)
    journal.write_bytes(whole)
    run.folder.rename(lab.out / "moved-away")


def changed_inventory(case: Case) -> None:
    """A run is killed half-way, and then the inventory, the target or the cluster is another."""
    lab = case.lab
    run = lab.play("upgrade", killed_at="Wait for the member]")
    half = in_turn(lab)
    inventory = yaml.safe_load(lab.inventory.read_text())
    path = lab.out / "changed.yml"

    hosts = inventory["kube_control_plane"]["hosts"]
    fewer = {name: host for name, host in hosts.items() if name != half}
    path.write_text(yaml.safe_dump({"kube_control_plane": {**inventory["kube_control_plane"], "hosts": fewer}}))
    accepted = {"control_plane_accepted_risks": [{"id": "inventory_matches_servers", "reason": "to be seen"}]}
    case.refused(lab.play("upgrade", inventory=path), "inventory_matches_servers", half)
    case.refused(
        lab.play("upgrade", f"--extra-vars={json.dumps(accepted)}", inventory=path), f"left {half} half-way", "Nothing"
    )
    # The cluster counts: as long as nothing of the target runs anywhere another target is nobody's trouble.
    journal = run.folder / "journal.jsonl"
    whole = journal.read_text()
    uid = next(json.loads(line)["uid"] for line in whole.splitlines() if '"event": "cluster"' in line)
    journal.write_text(whole.replace(uid, "00000000-0000-0000-0000-000000000000"))
    case.refused(lab.play("upgrade"), "of another cluster", uid, "Nothing was changed")
    journal.write_text(whole)

    backwards = dict(reversed(hosts.items()))
    path.write_text(yaml.safe_dump({"kube_control_plane": {**inventory["kube_control_plane"], "hosts": backwards}}))
    run = lab.play("upgrade", "--extra-vars=control_plane_stop_after=1", inventory=path)
    order = [node["name"] for node in run.report["nodes"]]
    case.see(f"in another order: {', '.join(order)}, {half} first, exit code {run.code}", order[0] == half)
    other = f"--extra-vars=control_plane_version={lab.target}-other"
    case.refused(lab.play("upgrade", other), "is unfinished", f"{lab.target} is on {half}", "Nothing was changed")


def out_of_time(case: Case) -> None:
    """The run-time limit is over before the second node."""
    lab = case.lab
    run = lab.play("upgrade", "--extra-vars=control_plane_run_timeout=1")
    case.refused(run, "control_plane_run_timeout", "It was not touched")
    case.untouched("no time left")


#: In the order in which they serve best: each needs no more than what the ones before it left.
CASES = (
    Fault("killed/in every phase", fault(killed_everywhere), fresh=True, prepared=False),
    Fault("controller/read-only folders", fault(read_only), fresh=True),
    Fault("controller/out of time", fault(out_of_time), most=2),
    Fault("lock/another controller's", fault(another_s_lock), most=1),
    Fault("lock/API away for a moment", fault(api_away), most=2, serves=False),
    Fault("node/SSH cut in the step", fault(ssh_lost), most=2),
    Fault("lock/two controllers at once", fault(two_at_once), fresh=True),
    Fault("node/SSH away for a minute", fault(ssh_away), most=2),
    Fault("node/restarted in the step", fault(rebooted), most=2),
    Fault("killed/SIGINT and SIGTERM", fault(signals)),
    Fault("controller/journal corrupted", fault(corrupted), fresh=True),
    Fault("controller/inventory changed", fault(changed_inventory), fresh=True),
    Fault("controller/disk full", fault(disk_full), fresh=True),
)
