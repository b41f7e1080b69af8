# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `hooks`: the user's own tasks, the stops on the way, and the gates inside kubespray's upgrade.

On a lab of systemd units with three nodes. What a drain does needs kubelets, and is not among these cases.
"""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import termios
import threading
import typing as t

import yaml
from _common import ROOT, Results
from _lab import Lab, Run, log_of, or_left_out

RECORD = """\
- name: Record where I am
  ansible.builtin.command:
    argv:
      - sh
      - -c
      - 'printf "%s\\n" "$1" >>"$2"'
      - sh
      - "{{{{ [control_plane_hook.point, control_plane_hook.phase, control_plane_hook.node, control_plane_hook.result,
              control_plane_hook.failed_gate] | to_json }}}}"
      - {path}
  changed_when: false
  delegate_to: localhost
  become: false
"""
BROKEN = """\
- name: A task that fails
  ansible.builtin.fail:
    msg: this hook says no
"""
POINTS = ("before_run", "after_run", "before_node", "after_node", "on_failure", "notify")
#: Seconds of the soak that is broken; it must end long before.
SOAK = 300


class Hooks:
    """Hook files in the lab's folder, and what they recorded."""

    def __init__(self, lab: Lab) -> None:
        self.folder = lab.out / "hooks"
        self.folder.mkdir(exist_ok=True)
        self.log = self.folder / "record.jsonl"
        self.record = self.file("record", RECORD.format(path=self.log))
        self.broken = self.file("broken", BROKEN)

    def file(self, name: str, text: str) -> str:
        path = self.folder / f"{name}.yml"
        path.write_text(f"---\n{text}")
        return str(path)

    def everywhere(self, **others: t.Sequence[str]) -> str:
        """`-e` that records at every point, but where another list is given."""
        self.log.unlink(missing_ok=True)
        hooks = {f"control_plane_hooks_{point}": [self.record] for point in POINTS}
        hooks.update({f"control_plane_hooks_{point}": list(files) for point, files in others.items()})
        return f"--extra-vars={json.dumps(hooks)}"

    @property
    def seen(self) -> list[tuple[str, ...]]:
        if not self.log.exists():
            return []
        return [tuple(json.loads(line)) for line in self.log.read_text().splitlines()]


def result(run: Run) -> str:
    return f"exit code {run.code}, {run.report.get('run', {}).get('result')}"


def before_anything(lab: Lab, results: Results, hooks: Hooks) -> None:
    """What can't be meant, or fails first, changes nothing."""
    pids = lab.pids()

    def untouched(id_: str, run: Run, word: str, wanted: str) -> None:
        touched = [host for host, pid in lab.pids().items() if pid != pids[host]]
        seen = (
            f"{result(run)}; restarted: {', '.join(touched) or 'none'}; lock {'held' if lab.lock_holder() else 'free'}"
        )
        results.case(
            id_,
            f"{wanted}; restarted: none; lock free",
            seen,
            word in run.output and seen.startswith(wanted) and not touched and seen.endswith("free"),
        )

    missing = hooks.everywhere(before_node=[str(hooks.folder / "none.yml")])
    untouched("hooks/missing_file", lab.play("upgrade", missing), "which is no file there", "exit code 2, failed")
    mapping = hooks.everywhere(notify=[hooks.file("mapping", "just: a mapping\n")])
    untouched("hooks/no_tasks", lab.play("upgrade", mapping), "holds no list of tasks", "exit code 2, failed")
    run = lab.play("upgrade", hooks.everywhere(before_run=[hooks.broken]))
    untouched("hooks/before_run_fails", run, "this hook says no", "exit code 2, failed")
    results.case(
        "hooks/told_of_failure",
        [("on_failure", "failed"), ("on_failure", "failed")],
        [(point, ended) for point, _phase, _node, ended, _gate in hooks.seen],
    )
    run = lab.play("upgrade", hooks.everywhere(), "--check")
    results.case(
        "hooks/dry_run",
        "exit code 0; none run, and said so",
        f"exit code {run.code}; {len(hooks.seen) or 'none'} run"
        f"{', and said so' if 'Hooks are not run in a dry run' in run.output else ''}",
    )
    run = lab.play("upgrade", "--extra-vars=control_plane_pause=true")
    untouched("hooks/pause_without_terminal", run, "expected 'yes'. Nothing was changed", "exit code 2, failed")
    run = lab.play("upgrade", "--extra-vars=control_plane_drain=true")
    untouched("hooks/drain_without_kubelets", run, "control_plane_drain is", "exit code 2, failed")


def stop_after_one(lab: Lab, results: Results, hooks: Hooks) -> list[str]:
    """One node, then stop; a failing notification stops nothing. The nodes in the order of the run."""
    run = lab.play(
        "upgrade", hooks.everywhere(notify=[hooks.broken, hooks.record]), "--extra-vars=control_plane_stop_after=1"
    )
    order = [node["name"] for node in run.report["nodes"]]
    done = [host for host in order if lab.version(host) == lab.target]
    action = run.report["run"]["next_action"] or ""
    results.case(
        "hooks/stop_after",
        f"exit code 0, stopped; at the target: {order[0]}; left: {', '.join(order[1:])}",
        f"{result(run)}; at the target: {', '.join(done)}; left: "
        f"{action.partition('the control plane of ')[2].partition('. Start')[0]}",
    )
    steps = [(point, node) for point, phase, node, _r, _g in hooks.seen if phase == "control plane"]
    results.case("hooks/order", [("before_node", order[0]), ("after_node", order[0]), ("after_node", order[0])], steps)
    last = hooks.seen[-2:]
    results.case(
        "hooks/at_the_end", [("after_run", "stopped")] * 2, [(point, ended) for point, _p, _n, ended, _g in last]
    )
    results.case("hooks/notify_fails", True, "It stops nothing." in run.output and run.code == 0)
    return order


def soak_breaks(lab: Lab, results: Results, order: list[str]) -> None:
    """A server that is started anew during the soak ends it at once."""
    ended = threading.Event()
    victim: list[str] = []
    latest = lab.out / "reports" / "latest"
    former = latest.resolve()

    def soaking() -> str:
        """The node whose gates have all been judged: what is watched now."""
        if latest.resolve() == former:
            return ""
        told = [json.loads(line) for line in (latest / "journal.jsonl").read_text().splitlines() if line.endswith("}")]
        judged = [event["node"] for event in told if event["event"] == "gate" and event["id"] == "leases_fresh"]
        return judged[-1] if judged else ""

    def kill() -> None:
        while not ended.wait(1.0):
            watched = soaking()
            if watched:
                # Into the watch, not into the moment before it.
                ended.wait(10.0)
                victim.append(next(host for host in order if host != watched))
                lab.sh(victim[0], "systemctl kill --signal=KILL --kill-whom=main kube-apiserver")
                return

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        run = lab.play("upgrade", f"--extra-vars=control_plane_soak={SOAK}", "--extra-vars=control_plane_stop_after=1")
    finally:
        ended.set()
        thread.join()
    gate = next((gate for gate in run.gates("servers_ready") if gate["verdict"] == "failed"), {})
    seen = f"{result(run)}; {gate.get('observed', 'no failed servers_ready')}"
    results.case(
        "hooks/soak",
        f"exit code 2, stopped; {', '.join(victim) or 'the server killed'} named, long before {SOAK} s",
        seen,
        run.code == 2 and bool(victim) and victim[0] in gate.get("observed", "") and gate["elapsed_seconds"] < SOAK / 2,
    )
    if gate:
        results.figure("hooks/soak_seconds_to_stop", gate["elapsed_seconds"])


def at_terminal(lab: Lab, answers: t.Sequence[str], *arguments: str) -> tuple[int, str]:
    """A playbook at a terminal, at which each question is answered in turn."""
    command = [
        "ansible-playbook",
        "mixedversion.kubernetes.upgrade",
        f"--inventory={lab.inventory}",
        f"--extra-vars=control_plane_report_directory={lab.out}/reports",
        f"--extra-vars=control_plane_backup_directory={lab.out}/backups",
        *arguments,
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execvp(command[0], command)
    output, left = b"", list(answers)
    asked, answer = 0, b""
    while True:
        # Ansible puts the terminal into raw mode while it reads, and throws away what came before: an answer
        # is given only then, and once more if nothing comes of it.
        if answer and not select.select([terminal], [], [], 2.0)[0]:
            if not termios.tcgetattr(terminal)[3] & termios.ICANON:
                os.write(terminal, answer)
            continue
        try:
            output += os.read(terminal, 65536)
        except OSError:
            break
        if output.count(b"anything else to") > asked and left:
            asked += 1
            answer = f"{left.pop(0)}\r".encode()
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    log_of(f"{lab.name}-pause").write_bytes(output)
    return code, output.decode(errors="replace")


def pause(lab: Lab, results: Results, hooks: Hooks, order: list[str]) -> None:
    """Yes to begin, no to the second node of those that are left."""
    for host in order:
        lab.downgrade(host)
    lab.settle()
    code, dummy = at_terminal(lab, ["yes", "no"], "--extra-vars=control_plane_pause=true", hooks.everywhere())
    report = json.loads((lab.out / "reports" / "latest" / "report.json").read_text())
    done = [host for host in order if lab.version(host) == lab.target]
    results.case(
        "hooks/pause",
        "exit code 0, stopped; at the target: one",
        f"exit code {code}, {report['run']['result']}; at the target: {'one' if len(done) == 1 else done}",
    )


def a_node_fails(lab: Lab, results: Results, hooks: Hooks) -> None:
    """A hook that fails after a node stops the run before the next; the run after it goes on to the end."""
    run = lab.play("upgrade", hooks.everywhere(after_node=[hooks.broken], on_failure=[hooks.broken, hooks.record]))
    old = sum(version == lab.old for version in lab.versions().values())
    ran = "on_failure" in [seen[0] for seen in hooks.seen]
    last = run.output.rpartition("TASK [")[2]
    results.case(
        "hooks/after_node_fails",
        "exit code 2, failed; 1 node old; on_failure ran; the first failure told last",
        f"{result(run)}; {old} node old; on_failure {'ran' if ran else 'did not run'};"
        f" the first failure {'told last' if 'A hook of after_node failed' in last else 'hidden'}",
    )
    run = lab.play("upgrade", hooks.everywhere())
    results.case(
        "hooks/goes_on",
        "exit code 0, succeeded; all at the target; after_run, succeeded",
        f"{result(run)}; {'all' if set(lab.versions().values()) == {lab.target} else 'not all'} at the target; "
        f"{hooks.seen[-1][0] if hooks.seen else ''}, {hooks.seen[-1][3] if hooks.seen else ''}",
    )


def in_kubespray(lab: Lab, results: Results) -> None:
    """Kubespray's order, stood in for by a play: its file after each node, and a gate that does not hold stops it."""

    def go(log: str) -> tuple[int, str]:
        done = subprocess.run(
            [
                "ansible-playbook",
                str(ROOT / "tests/evidence/kubespray_upgrade.yml"),
                f"--inventory={lab.inventory}",
                f"--extra-vars=control_plane_report_directory={lab.out}/reports",
                f"--extra-vars=kube_version={lab.target[1:]}",
                "--extra-vars=" + json.dumps({"post_upgrade_hooks": [str(ROOT / "docs/kubespray/post_upgrade.yml")]}),
                "--extra-vars=control_plane_gate_timeout=60",
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        log_of(log).write_text(done.stdout)
        return done.returncode, done.stdout

    hosts = list(lab.hosts)
    with lab.cut(hosts[1], [hosts[0]], "REJECT"):
        code, output = go(f"{lab.name}-kubespray-cut")
    done = [host for host in hosts if lab.version(host) == lab.target]
    results.case(
        "kubespray/stops",
        f"exit code 2; at the target: {hosts[0]}; uncordoned: none; peers_reachable named",
        f"exit code {code}; at the target: {', '.join(done)}; uncordoned: "
        f"{', '.join(host for host in hosts if f'{host} is uncordoned' in output) or 'none'}; "
        f"{'peers_reachable named' if 'Gate peers_reachable failed' in output else 'no gate named'}",
    )
    lab.settle()
    code, output = go(f"{lab.name}-kubespray")
    report = json.loads((lab.out / "reports" / "latest" / "report.json").read_text())
    uncordoned = [host for host in hosts if f"{host} is uncordoned" in output]
    results.case(
        "kubespray/to_the_end",
        f"exit code 0; uncordoned: {', '.join(hosts)}; kubespray succeeded",
        f"exit code {code}; uncordoned: {', '.join(uncordoned)}; {report['run']['playbook']} {report['run']['result']}",
    )
    results.case(
        "kubespray/proves",
        "requests_proxied passed on the nodes but the last",
        "requests_proxied "
        + ("passed" if output.count("passed        requests_proxied") >= len(hosts) - 1 else "not passed")
        + " on the nodes but the last",
    )


def kubespray_inventory(lab: Lab, results: Results) -> None:
    """The same nodes with kubespray's groups: its variable lacks the flag, and then has it."""
    inventory = yaml.safe_load(lab.inventory.read_text())
    group = inventory["kube_control_plane"]
    shaped = {
        "all": {"children": {"kube_control_plane": group, "k8s_cluster": {"children": {"kube_control_plane": {}}}}}
    }
    path = lab.out / "kubespray.yml"
    for id_, arguments, verdict in (
        ("hooks/kubespray_lacks_flag", None, "failed"),
        ("hooks/kubespray_has_flag", {"peer-ca-file": "/etc/kubernetes/pki/ca.crt"}, "passed"),
    ):
        if arguments:
            group["vars"] = {**group["vars"], "kube_kubeadm_apiserver_extra_args": arguments}
        path.write_text(yaml.safe_dump(shaped))
        run = lab.play("proxy", "--check", inventory=path)
        gates = [
            gate for gate in run.gates("manifest_drift") if "kube_kubeadm_apiserver_extra_args" in gate["observed"]
        ]
        printed = "kube_kubeadm_apiserver_extra_args:" in run.output and "peer-ca-file: /etc" in run.output
        results.case(
            id_,
            f"{verdict}, lines {'printed' if verdict == 'failed' else 'not printed'}",
            f"{gates[0]['verdict'] if gates else 'no gate'}, lines {'printed' if printed else 'not printed'}",
        )


def run(lab: Lab, results: Results) -> None:
    """Every case, in an order in which one leaves what the next begins with."""
    hooks = Hooks(lab)
    order = list(lab.hosts)
    with or_left_out(
        results, "hooks/missing_file", "hooks/before_run_fails", "hooks/dry_run", "hooks/pause_without_terminal"
    ):
        before_anything(lab, results, hooks)
    with or_left_out(results, "hooks/kubespray_lacks_flag", "hooks/kubespray_has_flag"):
        kubespray_inventory(lab, results)
    with or_left_out(results, "hooks/stop_after", "hooks/order"):
        order = stop_after_one(lab, results, hooks)
    with or_left_out(results, "hooks/soak"):
        soak_breaks(lab, results, order)
    with or_left_out(results, "hooks/pause"):
        pause(lab, results, hooks, order)
    with or_left_out(results, "hooks/after_node_fails", "hooks/goes_on"):
        a_node_fails(lab, results, hooks)
