# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a node's step, and the way back: at once, by the playbook later, and refused."""

from __future__ import annotations

import contextlib
import functools
import json
import pathlib
import shutil
import threading
import typing as t

from _faults import Fault, Outcome, canary_kept
from _lab import Lab, Run, until

#: Known to 1.36 and gone in 1.37: the old server runs with it, and the new one ends at its start.
GONE_IN_TARGET = "RetryGenerateName=true"
KEPT = "/var/lib/mixedversion-kubernetes/former/state.json"
#: What preflight says of a flag that the target refuses; who accepts it learns here what then happens.
ACCEPTS = json.dumps(
    {"control_plane_accepted_risks": [{"id": id_, "reason": "a fault"} for id_ in ("feature_gates", "component_flags")]}
)
BACK = "is put back to what it was before its step, and serves"


def etcd(lab: Lab, host: str, path: str) -> dict[str, t.Any]:
    """What the member on a node answers."""
    pki = "/etc/kubernetes/pki"
    command = (
        f"curl --silent --cacert {pki}/etcd/ca.crt --cert {pki}/apiserver-etcd-client.crt"
        f" --key {pki}/apiserver-etcd-client.key https://127.0.0.1:2379{path}"
    )
    return dict(json.loads(lab.sh(host, command)))


def first_node(lab: Lab) -> str:
    """The node whose step comes first: etcd's leader is last, the others in the inventory's order."""
    status = {host: etcd(lab, host, "/v3/maintenance/status --data '{}'") for host in lab.hosts}
    return next(host for host, told in status.items() if told["leader"] != told["header"]["member_id"])


def etcd_versions(lab: Lab) -> dict[str, str]:
    return {host: str(etcd(lab, host, "/version")["etcdserver"]) for host in lab.hosts}


def whole_at(lab: Lab, version: str) -> bool:
    return all(lab.ready(host) for host in lab.hosts) and set(lab.versions().values()) == {version}


def why(run: Run) -> str:
    """The block of words of a node that was put back, in one line."""
    lines = [line.strip() for line in run.output.splitlines()]
    found = [line for line in lines if line.startswith(("put back:", "stays:", "why not back:"))]
    return " ".join(dict.fromkeys(found))[:300] or run.stopped_by


def put_back_by_itself(
    lab: Lab, broken: t.Callable[[str], t.ContextManager[t.Sequence[str]]], reached: str = ""
) -> Outcome:
    """An upgrade whose first step fails puts that node back and ends; *reached* is what the step told before."""
    node = first_node(lab)
    with broken(node) as arguments:
        run = lab.play("upgrade", *arguments)
        members = etcd_versions(lab)
        back = run.code != 0 and f"{node} {BACK}" in run.output and whole_at(lab, lab.old)
        back = back and len(set(members.values())) == 1 and not kept(lab, node) and canary_kept(lab)
    far = reached in run.output
    words = f"{why(run)}; then etcd {members}" + ("" if far else f"; never came to '{reached}'")
    return Outcome(f"{node} in {run.seconds:.0f} s: {words}", back and far)


def kept(lab: Lab, host: str) -> bool:
    return lab.sh(host, f"test -e {KEPT} && echo yes || true").strip() == "yes"


@contextlib.contextmanager
def flag_gone(lab: Lab, node: str) -> t.Iterator[list[str]]:
    """A flag of the user's that the target refuses. The old server runs with it."""
    with lab.flags(node, {"feature-gates": GONE_IN_TARGET}):
        yield ["-e", ACCEPTS]


@contextlib.contextmanager
def binary_folder(lab: Lab, script: str) -> t.Iterator[list[str]]:
    """The target's binaries, with a server that tells the right version and else does what *script* says."""
    source = pathlib.Path(lab.variables["control_plane_binaries_directory"])
    folder = lab.out / "wrong-binaries"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in source.iterdir():
        # Of the sums none: they would tell at once, as they are there to do.
        if path.name != "SHA256SUMS":
            (folder / path.name).symlink_to(path)
    (folder / "kube-apiserver").unlink()
    wrong = f'#!/bin/sh\ncase "$*" in --version) echo "Kubernetes {lab.target}"; exit;; esac\n{script}\n'
    (folder / "kube-apiserver").write_text(wrong)
    (folder / "kube-apiserver").chmod(0o755)
    try:
        yield ["-e", f"control_plane_binaries_directory={folder}"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def restart_swallowed(lab: Lab, node: str) -> t.Iterator[list[str]]:
    """The step's restart of the server says that it was done, and nothing was: the old process goes on answering."""
    script = """#!/bin/sh
case "$*" in "restart kube-apiserver.service" | "stop kube-apiserver.service")
if [ -e /run/swallow ]; then rm /run/swallow; exit 0; fi;; esac
exec /usr/bin/systemctl "$@"
"""
    lab.sh(
        node, "cat >/usr/local/sbin/systemctl; chmod 0755 /usr/local/sbin/systemctl; touch /run/swallow", stdin=script
    )
    try:
        yield ["-e", "control_plane_gate_timeout=30"]
    finally:
        lab.sh(node, "rm -f /usr/local/sbin/systemctl /run/swallow")


def bad_flag(lab: Lab) -> Outcome:
    return put_back_by_itself(lab, lambda node: flag_gone(lab, node))


def wrong_binary_exits(lab: Lab) -> Outcome:
    return put_back_by_itself(lab, lambda dummy: binary_folder(lab, "echo wrong architecture >&2; exit 1"))


def wrong_binary_hangs(lab: Lab) -> Outcome:
    return put_back_by_itself(lab, lambda dummy: binary_folder(lab, "exec sleep infinity"))


def old_process_answers(lab: Lab) -> Outcome:
    return put_back_by_itself(lab, lambda node: restart_swallowed(lab, node))


def killed_then_rollback(lab: Lab) -> Outcome:
    """The controller dies in the step; the playbook puts the node back later, and says so beforehand in a dry run."""
    node = first_node(lab)
    # Etcd and server are new by then, the others old.
    run = lab.play("upgrade", killed_at="Switch controller manager and scheduler")
    settle_steps(lab, node)
    half = (etcd_versions(lab)[node], lab.version(node))
    dry = lab.play("rollback", "--check", "--diff")
    same = (etcd_versions(lab)[node], lab.version(node)) == half
    back = lab.play("rollback")
    again = lab.play("rollback")
    whole = whole_at(lab, lab.old) and len(set(etcd_versions(lab).values())) == 1 and canary_kept(lab)
    nothing = again.code == 0 and "nothing to roll back" in again.output and again.changed == 0
    words = (
        f"{node} was left with etcd {half[0]}, server {half[1] or 'away'}; dry run {dry.code}, changed nothing: "
        f"{same}; rollback {back.code} in {back.seconds:.0f} s; once more: changed {again.changed}"
    )
    passed = run.code != 0 and dry.code == 0 and same and back.code == 0 and whole and nothing
    return Outcome(words, passed)


def settle_steps(lab: Lab, node: str) -> None:
    """A step outlives its controller."""
    units = "systemctl list-units --plain --no-legend --state=active,activating 'mixedversion-*'"
    until("no step at work", lambda: not lab.sh(node, units).strip(), timeout=400, interval=1)


def refused(lab: Lab) -> Outcome:
    """With every server at the target there is no way back: nothing is touched, and it is said why."""
    run = lab.play("upgrade", "-e", "control_plane_stop_after=2")
    last = next(host for host in lab.hosts if lab.version(host) == lab.old)
    # The last node's gates are what its run died in: it is unfinished, and all servers are at the target.
    killed = lab.play("upgrade", killed_at="· gates")
    settle_steps(lab, last)
    until(f"{last} ready", lambda: lab.ready(last))
    before = lab.pids()
    back = lab.play("rollback")
    same = lab.pids() == before and whole_at(lab, lab.target)
    said = "no downgrade" in back.output and "Nothing was changed" in back.output
    words = (
        f"{last} was kept: {killed.code != 0}; rollback ended with {back.code}: {back.stopped_by[:200]}; "
        f"untouched: {same}"
    )
    passed = run.code == 0 and back.code != 0 and said and same and back.changed == 0
    return Outcome(words, passed)


# With kubeadm


def waiting(minutes: int) -> dict[str, t.Any]:
    """What kubeadm waits for a static pod's new hash, five minutes by itself: the same path in less time.

    etcd alone takes more than one.
    """
    return {"control_plane_kubeadm_upgrade_configuration": {"timeouts": {"upgradeManifests": f"{minutes}m0s"}}}


PATCHES = "/root/kubeadm-patches"
OUTPUT = "/var/lib/mixedversion-kubernetes/steps/kubeadm-upgrade/output"
MANIFESTS = "/etc/kubernetes/manifests"


@contextlib.contextmanager
def patch_with_bad_flag(lab: Lab) -> t.Iterator[list[str]]:
    """A folder of patches, as many have one, that gives the server a flag no server knows."""
    patch = json.dumps([{"op": "add", "path": "/spec/containers/0/command/-", "value": "--no-such-flag=true"}])
    for host in lab.hosts:
        lab.sh(host, f"mkdir -p {PATCHES}; cat >{PATCHES}/kube-apiserver0+json.json", stdin=patch)
    try:
        yield ["-e", json.dumps({**waiting(3), "control_plane_kubeadm_patches": PATCHES}), "-e", ACCEPTS]
    finally:
        for host in lab.hosts:
            lab.sh(host, f"rm -rf {PATCHES}")


class OnNode(threading.Thread):
    """Does something on a node as soon as a shell condition holds there."""

    def __init__(self, lab: Lab, node: str, condition: str, script: str) -> None:
        super().__init__(daemon=True)
        self.done = False
        self._run = functools.partial(
            lab.sh, node, f"until {condition}; do sleep 0.05; done; {script}", check=False, timeout=1800
        )

    def run(self) -> None:
        self._run()
        self.done = True


@contextlib.contextmanager
def kubelet_stopped(lab: Lab, node: str) -> t.Iterator[list[str]]:
    """The kubelet ends just before kubeadm changes the first manifest: no hash ever changes."""
    lab.sh(node, f"rm -f {OUTPUT}")
    stopper = OnNode(lab, node, f"grep -qs 'Preparing for .etcd. upgrade' {OUTPUT}", "systemctl stop kubelet")
    stopper.start()
    try:
        yield ["-e", json.dumps(waiting(1))]
    finally:
        lab.sh(node, "systemctl start kubelet")


def crash_looping(lab: Lab) -> Outcome:
    manifest = f'Moving new manifest to "{MANIFESTS}/kube-apiserver.yaml"'
    return put_back_by_itself(lab, lambda dummy: patch_with_bad_flag(lab), manifest)


def hash_never_changes(lab: Lab) -> Outcome:
    return put_back_by_itself(lab, lambda node: kubelet_stopped(lab, node))


def power_cut(lab: Lab) -> Outcome:
    """Controller and kubeadm die between the renames of one manifest: the old one is away, the new one not there yet.

    The gap is microseconds long, so kubeadm is killed just after it and its second rename undone. The same upgrade,
    started again, puts the node back and goes on.
    """
    node = first_node(lab)
    lab.sh(node, f"rm -f {OUTPUT}")
    cutter = OnNode(
        lab,
        node,
        f"grep -qs 'Moving new manifest to \"{MANIFESTS}/etcd.yaml\"\\|Moved new manifest' {OUTPUT}",
        f"systemctl kill --signal=KILL mixedversion-kubeadm-upgrade; rm -f {MANIFESTS}/etcd.yaml",
    )
    cutter.start()
    run = lab.play("upgrade", killed_at=f"{node}: [upgrade/staticpods]")
    until("kubeadm killed between the renames", lambda: cutter.done, timeout=300, interval=0.5)
    settle_steps(lab, node)
    until(f"{node} without its server", lambda: not lab.ready(node), timeout=180)
    again = lab.play("upgrade")
    said = "To be put back: etcd not there -> v3.6.14" in again.output
    finished = again.code == 0 and whole_at(lab, lab.target)
    words = (
        f"{node} had no etcd manifest and no server; the upgrade, started again, put it back ({said}) and finished: "
        f"{finished}, in {again.seconds:.0f} s"
    )
    return Outcome(words, run.code != 0 and said and finished)


CASES = (
    Fault("rollback/bad flag", bad_flag),
    Fault("rollback/wrong binary exits", wrong_binary_exits),
    Fault("rollback/wrong binary never ready", wrong_binary_hangs),
    Fault("rollback/old process answers", old_process_answers),
    Fault("rollback/killed in the step", killed_then_rollback),
    Fault("rollback/refused", refused),
    Fault("rollback/kubeadm server crash-looping", crash_looping, "kubeadm"),
    Fault("rollback/kubeadm hash never changes", hash_never_changes, "kubeadm"),
    Fault("rollback/kubeadm power cut between renames", power_cut, "kubeadm"),
)
