# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What befalls the surroundings of an upgrade: etcd, the network, the load balancer, and the API itself.

Each begins at a moment of the run, stays until the run has ended by itself, and is mended. What must hold: the run
stops in words that name the trouble, or copes with it, and no node is at the target that was not to be.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import queue
import socket
import threading
import time
import typing as t

import _members
from _breakages import sign_front_proxy
from _faults import GATES, Fault, Outcome, at_target, resumes
from _lab import PKI, Lab, until

if t.TYPE_CHECKING:
    from _common import At

#: What the playbook prints as the step begins of the next node that is not at the target, wherever it stands in the
#: order, and of the one after it, where nodes before both are at the target already.
STEP = "/3) · driver step]"
STEP_AFTER = "({after}/3) · driver step]"
#: Shorter than the default: what does not hold here does not hold later either.
SOON = {"control_plane_gate_timeout": 30}

Trouble = t.Callable[[Lab], "contextlib.AbstractContextManager[str]"]


@dataclasses.dataclass(frozen=True)
class Case:
    """A trouble, when it begins, and what a run that it befalls has to say."""

    trouble: Trouble
    #: Begins with the run if empty.
    at: str
    #: One of them is in what the run says at its end. None: the run copes with it.
    words: tuple[str, ...]
    #: How many nodes more may be at the target then.
    moved: int
    #: What the run is given.
    variables: t.Callable[[Lab], t.Mapping[str, t.Any]] = lambda dummy_lab: {}

    def __call__(self, lab: Lab) -> Outcome:
        what: list[str] = []
        before = at_target(lab)
        moment = self.at.format(after=len(before) + 2)
        with contextlib.ExitStack() as stack:

            def begin(dummy_process: object = None) -> None:
                what.append(stack.enter_context(self.trouble(lab)))

            at: At = {moment: begin} if moment else {}
            if not moment:
                begin()
            run = lab.play("upgrade", "-e", json.dumps({**SOON, **self.variables(lab)}), at=at)
            moved = [host for host in at_target(lab) if host not in before]
        until("every member is well again", lambda: _members.well(lab), timeout=120, interval=1)
        # Its last words, and what its gates say to do: of etcd and of its peers it speaks all the way.
        advice = [gate["next_action"] for gate in run.report.get("gates", []) if gate["verdict"] == "failed"]
        said = " ".join([run.stopped_by, *advice, *run.output.splitlines()[-25:]])
        named = not self.words or any(word in said for word in self.words)
        stopped = run.code != 0 if self.words else run.code == 0
        happened = (
            f"{what[0] if what else 'never begun'}; exit code {run.code}: {run.stopped_by[:300] or 'coped'};"
            f" moved by then: {', '.join(moved) or 'none'}{resumes(run)}"
        )
        return Outcome(happened, bool(what) and stopped and named and (not self.words or len(moved) <= self.moved))


# etcd


def in_order(lab: Lab) -> list[str]:
    """The nodes as the latest run comes to them. What ails the last one is not mended by a step of its own."""
    report = lab.out / "reports" / "latest" / "report.json"
    nodes = json.loads(report.read_text())["nodes"] if report.exists() else []
    return [node["name"] for node in sorted(nodes, key=lambda node: node["order"])] or list(lab.hosts)


@contextlib.contextmanager
def lost(lab: Lab) -> t.Iterator[str]:
    with _members.stopped(lab, in_order(lab)[-1]) as what:
        yield what


@contextlib.contextmanager
def paused(lab: Lab) -> t.Iterator[str]:
    with _members.paused(lab, in_order(lab)[-1]) as what:
        yield what


@contextlib.contextmanager
def no_quorum(lab: Lab) -> t.Iterator[str]:
    *dummy, one, other = in_order(lab)
    with _members.stopped(lab, one), _members.stopped(lab, other):
        yield "two of three members are stopped"


@contextlib.contextmanager
def disk_full(lab: Lab) -> t.Iterator[str]:
    """A disk of its own for one member, of a size, filled up to the last byte."""
    kept, data, last = "/root/moved-etcd", "/var/lib/etcd", in_order(lab)[-1]
    size = lab.sh(last, f"systemctl stop etcd; cp -a {data} {kept}; du --summarize --block-size=1M {kept} | cut -f1")
    lab.sh(
        last,
        f"mount -t tmpfs -o mode=0700,size={int(size) + 16}m tmpfs {data}; cp -a {kept}/. {data}/; rm -rf {kept};"
        f" systemctl start etcd; dd if=/dev/zero of={data}/ballast bs=4k 2>/dev/null || true",
    )
    restarts = "systemctl show --property=NRestarts --value etcd"
    before = lab.sh(last, restarts)
    members = ",".join(f"https://{address}:2379" for address in lab.hosts.values())
    put = f"{_members.ETCDCTL} --endpoints={members} --command-timeout=10s put evidence-fill >/dev/null"

    def ails() -> bool:
        """It does not notice until it has to write more than it had set aside."""
        lab.sh(in_order(lab)[0], f"head -c 900000 /dev/urandom | base64 --wrap=0 | {put}", check=False)
        return lab.sh(last, restarts) != before

    try:
        until(f"{last}'s etcd ails", ails, timeout=180)
        yield f"{last}'s etcd has no byte left on its disk"
    finally:
        lab.sh(
            last,
            f"systemctl stop etcd; rm -f {data}/ballast; cp -a {data} {kept}; umount {data};"
            f" find {data} -mindepth 1 -delete; cp -a {kept}/. {data}/; rm -rf {kept};"
            " systemctl reset-failed etcd; systemctl start etcd",
        )


# Network


@contextlib.contextmanager
def filtered(lab: Lab) -> t.Iterator[str]:
    """One server does not reach the two others any more."""
    with lab.cut("cp2", ["cp1", "cp3"], "DROP"):
        yield "cp2's packets to its peers are dropped"


@contextlib.contextmanager
def no_load_balancer(lab: Lab) -> t.Iterator[str]:
    with lab.without_balancer():
        yield "the load balancer answers nobody"


@contextlib.contextmanager
def balancer_away(lab: Lab) -> t.Iterator[str]:
    """For longer than the run is told to bear."""
    back = lab.balancer_away(BUDGET * 2)
    try:
        yield f"the load balancer answers nobody for {BUDGET * 2:.0f} s, and {BUDGET:.0f} s are borne"
    finally:
        back.join()


#: Seconds without an answer of the load balancer.
BUDGET = 4.0


def with_budget(dummy_lab: Lab) -> dict[str, t.Any]:
    return {"control_plane_max_unavailable_seconds": BUDGET, "control_plane_gate_timeout": 180}


#: Seconds by which every answer comes later.
LATE = 5.0


class LateLine:
    """A way to one server over this machine's loopback; what the server sends arrives *late* seconds later."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.late = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, dummy_address = self.listener.accept()
                try:
                    server = socket.create_connection((self.host, 6443), timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                sent: queue.Queue[tuple[float, bytes]] = queue.Queue()
                for target, arguments in (
                    (self._carry, (client, lambda data, to=server: to.sendall(data))),
                    (self._carry, (server, lambda data, to=sent: to.put((time.monotonic() + self.late, data)))),
                    (self._deliver, (sent, client)),
                ):
                    threading.Thread(target=target, args=arguments, daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, send: t.Callable[[bytes], None]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                send(data)
        with contextlib.suppress(OSError):
            send(b"")

    @staticmethod
    def _deliver(sent: queue.Queue[tuple[float, bytes]], client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = sent.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    break
                client.sendall(data)
        client.close()


# The API


def apply(lab: Lab, *documents: t.Mapping[str, t.Any]) -> None:
    lab.kubectl("apply -f -", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)}))


def as_master(lab: Lab, arguments: str) -> None:
    """By the one group that no flow schema slows down and no role has to name; the first node alone has its file."""
    lab.sh("cp1", f"kubectl --kubeconfig=/etc/kubernetes/super-admin.conf {arguments}")


@functools.cache
def lines(lab: Lab) -> dict[str, LateLine]:
    return {host: LateLine(address) for host, address in lab.hosts.items()}


def over_late_lines(lab: Lab) -> dict[str, t.Any]:
    ports = {host: line.port for host, line in lines(lab).items()}
    return {
        "control_plane_api_address": f"127.0.0.1:{{{{ {ports}[inventory_hostname] }}}}",
        "control_plane_gate_timeout": 180,
        # A node's gates and probes take minutes that way; one node's are enough.
        "control_plane_stop_after": 1,
    }


@contextlib.contextmanager
def slow_api(lab: Lab) -> t.Iterator[str]:
    for line in lines(lab).values():
        line.late = LATE
    try:
        yield f"every answer to the controller comes {LATE:.0f} s late"
    finally:
        for line in lines(lab).values():
            line.late = 0.0


@contextlib.contextmanager
def denying_webhook(lab: Lab) -> t.Iterator[str]:
    """Nothing answers at its address, and it is to be asked about every write."""
    apply(
        lab,
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "evidence-deny"},
            "webhooks": [
                {
                    "name": "deny.evidence.example",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "failurePolicy": "Fail",
                    "timeoutSeconds": 1,
                    "clientConfig": {"url": "https://127.0.0.1:9/deny"},
                    "rules": [
                        {
                            "apiGroups": ["*"],
                            "apiVersions": ["*"],
                            "resources": ["*/*"],
                            "operations": ["CREATE", "UPDATE", "DELETE"],
                        }
                    ],
                }
            ],
        },
    )
    try:
        yield "a webhook denies every write"
    finally:
        as_master(lab, "delete validatingwebhookconfiguration evidence-deny")


def heard(lab: Lab, host: str) -> bool:
    return lab.ask(host, "/api/v1/namespaces")[0] == 200


@contextlib.contextmanager
def rejecting(lab: Lab) -> t.Iterator[str]:
    """API priority and fairness has no seat for administrators, and answers 429."""
    apply(
        lab,
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": "evidence-none"},
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 0,
                    "lendablePercent": 0,
                    "borrowingLimitPercent": 0,
                    "limitResponse": {"type": "Reject"},
                },
            },
        },
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": "evidence-none"},
            "spec": {
                "matchingPrecedence": 2,
                "priorityLevelConfiguration": {"name": "evidence-none"},
                "rules": [
                    {
                        "subjects": [{"kind": "Group", "group": {"name": "kubeadm:cluster-admins"}}],
                        "resourceRules": [
                            {
                                "verbs": ["*"],
                                "apiGroups": ["*"],
                                "resources": ["*"],
                                "clusterScope": True,
                                "namespaces": ["*"],
                            }
                        ],
                        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                    }
                ],
            },
        },
    )
    try:
        until("an administrator's request is answered 429", lambda: lab.ask("cp1", "/api/v1/namespaces")[0] == 429)
        yield "every request of an administrator is answered 429"
    finally:
        as_master(lab, "delete flowschema evidence-none")
        as_master(lab, "delete prioritylevelconfiguration evidence-none")
        for host in lab.hosts:
            until(f"{host} hears an administrator", functools.partial(heard, lab, host))


@contextlib.contextmanager
def expired(lab: Lab) -> t.Iterator[str]:
    with _certificate(lab, "20200101000000Z", "20210101000000Z"):
        yield "cp2's front-proxy certificate ran out"


@contextlib.contextmanager
def not_yet_valid(lab: Lab) -> t.Iterator[str]:
    with _certificate(lab, "20990101000000Z", "20991231000000Z"):
        yield "cp2's front-proxy certificate is not valid yet"


@contextlib.contextmanager
def _certificate(lab: Lab, since: str, until_: str) -> t.Iterator[None]:
    with lab.replaced("cp2", f"{PKI}/front-proxy-client.crt"):
        sign_front_proxy(lab, "cp2", "front-proxy-client", since, until_)
        lab.restart("cp2")
        yield


#: In the order in which they serve best: those that come before a run leave it all to those that come after.
CASES = (
    Fault("etcd/lost before", Case(lost, "", ("etcd_healthy",), 0), most=2),
    Fault("peer/filtered before", Case(filtered, "", ("peers_reachable", "peers_fetched"), 0), most=2),
    Fault("certificates/expired", Case(expired, "", ("certificates_valid",), 0), most=2),
    Fault("certificates/not yet valid", Case(not_yet_valid, "", ("certificates_valid",), 0), most=2),
    Fault("etcd/lost in the step", Case(lost, STEP, ("etcd", "quorum"), 1), most=1),
    Fault("peer/filtered after the step", Case(filtered, STEP_AFTER, ("peers_reachable",), 2), most=1),
    # Two of three members are away until the step's own is back.
    Fault("etcd/paused in the step", Case(paused, STEP, ("etcd", "quorum"), 1), most=1, serves=False),
    Fault("etcd/disk full", Case(disk_full, STEP, ("etcd", "quorum"), 1), most=1, serves=False),
    Fault("api/webhook that denies everything", Case(denying_webhook, STEP, ("webhook",), 1), most=2),
    Fault("peer/filtered in the step", Case(filtered, STEP, ("peers_reachable",), 1), most=1),
    Fault("etcd/no quorum", Case(no_quorum, GATES, ("etcd", "quorum", "answer"), 1), most=1, serves=False),
    Fault("load balancer/gone", Case(no_load_balancer, STEP, ("6443",), 1), most=2, serves=False),
    Fault(
        "load balancer/budget spent",
        Case(balancer_away, STEP, ("availability_budget",), 1, with_budget),
        most=2,
        serves=False,
    ),
    Fault("api/429", Case(rejecting, STEP, ("429",), 1), most=2, serves=False),
    Fault("api/slow", Case(slow_api, GATES, (), 1, over_late_lines), most=1),
)
