# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of systemd units to break things on: its nodes, its servers, and ways to look that are not the collection's."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import pathlib
import re
import shlex
import subprocess
import sys
import threading
import time
import traceback
import typing as t

import yaml
from _common import OUT, ROOT, At, Client, Results, epoch, now, playbook

PEER_FLAG = {"lab_apiserver_extra_args": {"peer-ca-file": "/etc/kubernetes/pki/ca.crt"}}
#: What 1.37 serves and 1.36 does not, cluster-scoped and harmless to list.
NEW_PATH = "/apis/storagemigration.k8s.io/v1/storageversionmigrations?limit=1"
NEW_RESOURCE = "storageversionmigrations"
HOOK = "poststarthook/mixed-version-proxy-handler"
GATE = "UnknownVersionInteroperabilityProxy"
REROUTED = "apiserver_rerouted_request_total"
SYNC_ERRORS = "apiserver_peer_discovery_sync_errors_total"
PKI = "/etc/kubernetes/pki"
UNIT = "/etc/systemd/system/kube-apiserver.service"
#: Where the collection keeps the flags it sets.
DROP_IN = f"{UNIT}.d/zz-mixedversion.conf"
#: What is put aside while something is broken.
KEPT = "/root/evidence"
FRONT_PROXY_HEADERS = ("X-Remote-User: system:apiserver", "X-Remote-Group: system:authenticated")


class NotAsWanted(Exception):
    """The lab did not come to the state that a case needs: the case says nothing then."""


def say(text: str) -> None:
    sys.stderr.write(f"{now()[11:19]}  {text}\n")
    sys.stderr.flush()


def until(what: str, holds: t.Callable[[], object], timeout: float = 90.0, interval: float = 0.25) -> float:
    """Wait until *holds* returns something true; the seconds it took."""
    begun = time.monotonic()
    while True:
        if holds():
            return time.monotonic() - begun
        if time.monotonic() - begun > timeout:
            raise NotAsWanted(f"after {timeout:.0f} s it was not so: {what}")
        time.sleep(interval)


#: Where `Lab.keep` has what it kept, on each node.
WHOLE = "/root/kept"


@dataclasses.dataclass
class Run:
    """One run of a playbook, with the report it left."""

    code: int
    output: str
    seconds: float
    began: float
    report: dict[str, t.Any]
    folder: pathlib.Path
    log: pathlib.Path

    @property
    def findings(self) -> list[dict[str, t.Any]]:
        return list(self.report.get("findings", []))

    @property
    def told(self) -> str:
        """The first finding in a few words."""
        if not self.findings:
            return f"no finding, exit code {self.code}"
        first = self.findings[0]
        where = " -> ".join(name for name in (first.get("server"), first.get("peer")) if name)
        more = f", and {len(self.findings) - 1} more" if len(self.findings) > 1 else ""
        return f"{first['cause']}{f' ({where})' if where else ''}{more}"

    @property
    def tasks(self) -> int:
        return len(re.findall(r"^TASK \[", self.output, re.MULTILINE))

    def gates(self, id_: str) -> list[dict[str, t.Any]]:
        return [gate for gate in self.report.get("gates", []) if gate["id"] == id_]

    @property
    def changed(self) -> int:
        """How many tasks changed something, on all hosts."""
        return sum(int(number) for number in re.findall(r"changed=(\d+)", self.output))

    @property
    def stopped_by(self) -> str:
        bad = [
            gate
            for gate in self.report.get("gates", [])
            if gate["severity"] == "blocking" and gate["verdict"] in ("failed", "unproven")
        ]
        if bad:
            return f"{bad[-1]['id']} {bad[-1]['verdict']}: {bad[-1]['observed'][:400]}"
        words = re.findall(r"fatal: .*?\"msg\": \"(.{0,200})", self.output)
        return words[0] if words else ""


class Lab:
    """Nodes cp1 to cpN, reached by podman; nothing here goes through the collection but `play`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = ROOT / "build" / "lab" / name
        self.inventory = self.folder / "inventory.yml"
        self.out = OUT / "labs" / name
        self.out.mkdir(parents=True, exist_ok=True)
        self.runs = 0
        self.last: Run | None = None
        group = yaml.safe_load(self.inventory.read_text())["kube_control_plane"]
        self.hosts: dict[str, str] = {name: host["ansible_host"] for name, host in group["hosts"].items()}
        self.variables: dict[str, t.Any] = group["vars"]
        self.inputs: dict[str, t.Any] = json.loads((self.folder / "lab.json").read_text())["inputs"]
        self.old = f"v{self.inputs['from_version']}"
        self.target = f"v{self.inputs['to_version']}"
        self.client = Client(self.folder / "admin.conf")

    # Nodes

    def sh(self, host: str, script: str, check: bool = True, stdin: str = "", timeout: float = 240.0) -> str:
        """What a script prints on a node."""
        done = subprocess.run(
            ["podman", "exec", "--interactive", f"{self.name}-{host}", "bash", "-euo", "pipefail", "-c", script],
            input=stdin.encode(),
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
            raise NotAsWanted(f"{host}: `{script.strip()[:120]}` ended with {done.returncode}: {' '.join(words)}")
        return done.stdout.decode(errors="replace")

    def kubectl(self, arguments: str, stdin: str = "", check: bool = True) -> str:
        """On the last node, through the load balancer, as the administrator."""
        host = list(self.hosts)[-1]
        return self.sh(host, f"kubectl --kubeconfig=/etc/kubernetes/admin.conf {arguments}", check=check, stdin=stdin)

    @contextlib.contextmanager
    def kept(self, host: str, *paths: str) -> t.Iterator[None]:
        """Files that come back as they were, or go if they were not there."""
        words = " ".join(shlex.quote(path) for path in paths)
        each = f'for path in {words}; do kept={KEPT}"$path"; '
        aside = 'mkdir -p "${kept%/*}"; rm -f "$kept"; if [ -e "$path" ]; then cp -a "$path" "$kept"; fi; done'
        self.sh(host, each + aside)
        try:
            yield
        finally:
            back = 'if [ -e "$kept" ]; then cp -a "$kept" "$path"; rm "$kept"; else rm -f "$path"; fi; done'
            self.sh(host, each + back)

    # Servers

    def address(self, host: str) -> str:
        return f"{self.hosts[host]}:6443"

    def ask(self, host: str, path: str, headers: t.Mapping[str, str] | None = None) -> tuple[int, str]:
        return self.client.ask(self.address(host), path, headers)

    def metric(self, host: str, name: str, /, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        status, text = self.ask(host, "/metrics")
        if status != 200:
            raise NotAsWanted(f"{host}: /metrics answered {status} {text[:100]}")
        total = 0.0
        for given, value in re.findall(rf"^{name}(?:{{(.*?)}})? (\S+)$", text, re.MULTILINE):
            found = dict(re.findall(r'(\w+)="(.*?)"', given))
            if all(found.get(label, "") == wanted for label, wanted in labels.items()):
                total += float(value)
        return total

    def version(self, host: str) -> str:
        status, text = self.ask(host, "/version")
        return str(json.loads(text)["gitVersion"]) if status == 200 else ""

    def versions(self) -> dict[str, str]:
        return {host: self.version(host) for host in self.hosts}

    def pids(self) -> dict[str, str]:
        command = "systemctl show --property=MainPID --value kube-apiserver"
        return {host: self.sh(host, command).strip() for host in self.hosts}

    def hook(self, host: str) -> bool:
        return f"[+]{HOOK} ok" in self.ask(host, "/readyz?verbose")[1]

    def ready(self, host: str) -> bool:
        return self.ask(host, "/readyz")[0] == 200

    def restart(self, host: str) -> None:
        """Killed, not stopped: a server in an orderly end waits a minute for its clients' watches."""
        kill = "systemctl kill --signal=KILL --kill-whom=main kube-apiserver 2>/dev/null || true"
        self.sh(host, f"systemctl daemon-reload; {kill}; systemctl restart kube-apiserver")
        until(f"{host} ready after its restart", lambda: self.ready(host))

    @contextlib.contextmanager
    def replaced(self, host: str, *paths: str) -> t.Iterator[None]:
        """Files of a server that come back as they were, and are in force again."""
        try:
            with self.kept(host, *paths):
                yield
        finally:
            self.restart(host)

    def command(self, host: str) -> str:
        """The command in force, in one line."""
        text = re.sub(r"\\\n\s*", " ", self.sh(host, "systemctl cat kube-apiserver"))
        return [line for line in re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE) if line][-1].strip()

    def running(self, host: str) -> str:
        """The command line of the server's process, whoever started it."""
        return self.sh(host, "tr '\\0' ' ' </proc/$(pgrep --exact kube-apiserver)/cmdline", check=False)

    @contextlib.contextmanager
    def flags(self, host: str, changes: t.Mapping[str, str | None]) -> t.Iterator[None]:
        """Other flags for one server, for a while; None takes a flag out.

        In the unit itself, and what the collection once dropped in is put aside: what it drops in now is in force.
        """
        command = self.command(host)
        for flag, value in changes.items():
            command = re.sub(rf" --{re.escape(flag)}(=\S*)?(?= |$)", "", command)
            if value is not None:
                command += f" --{flag}={value}"
        with self.replaced(host, UNIT, DROP_IN):
            unit = re.sub(r"\\\n\s*", " ", self.sh(host, f"cat {UNIT}"))
            unit = re.sub(r"^ExecStart=.*$", lambda dummy: f"ExecStart={command}", unit, flags=re.MULTILINE)
            self.sh(host, f"cat >{UNIT}; rm -f {DROP_IN}", stdin=unit)
            self.restart(host)
            yield

    def switch(self, host: str, version: str) -> None:
        """Run another version's server on a node. Its lab and the collection's target have the binaries."""
        if self.version(host) == version:
            return
        say(f"{host}: kube-apiserver {version}")
        new = "/usr/local/bin/.kube-apiserver.evidence"
        if version == self.old:
            self.sh(host, f"cp /opt/lab/kubernetes/kube-apiserver {new}")
        else:
            source = f"{self.variables['control_plane_binaries_directory']}/kube-apiserver"
            subprocess.run(["podman", "cp", source, f"{self.name}-{host}:{new}"], check=True, capture_output=True)
        self.sh(host, f"chmod 0755 {new}; mv {new} /usr/local/bin/kube-apiserver")
        self.restart(host)
        if self.version(host) != version:
            raise NotAsWanted(f"{host} serves {self.version(host)}, expected {version}")

    def downgrade(self, host: str) -> None:
        """All of the control plane's programs as the lab came with them; etcd stays, as it can't go back."""
        say(f"{host}: back to {self.old}")
        units = "kube-apiserver kube-controller-manager kube-scheduler"
        self.sh(
            host,
            f"for unit in {units}; do cp /opt/lab/kubernetes/$unit /usr/local/bin/.$unit.evidence;"
            " mv /usr/local/bin/.$unit.evidence /usr/local/bin/$unit; done;"
            " systemctl restart kube-controller-manager kube-scheduler",
        )
        self.restart(host)

    # All of it, as it was

    def keep(self) -> None:
        """Put aside what makes the nodes what they are, all of them stopped: what `as_new` brings back."""
        self._stopped(f"rm -rf {WHOLE}; mkdir -m 0700 {WHOLE}; cp -a --parents {self._own} {WHOLE}")

    def as_new(self) -> None:
        """The lab as `keep` found it: etcd's data, every program, no flag and no file of the collection's.

        But for the binaries that it brought: what is there need not be copied once more.
        """
        say(f"lab {self.name}: as new")
        self._stopped(
            f"find /var/lib/etcd /etc/kubernetes -mindepth 1 -delete; cp -a --remove-destination {WHOLE}/. /;"
            " rm -f /etc/systemd/system/*.service.d/zz-mixedversion.conf; mkdir -p /var/lib/mixedversion-kubernetes;"
            " find /var/lib/mixedversion-kubernetes -mindepth 1 -maxdepth 1 ! -name binaries -exec rm -rf {} +;"
            " iptables -w -F INPUT; iptables -w -F OUTPUT; systemctl daemon-reload"
        )

    @property
    def _own(self) -> str:
        """What an upgrade changes on a node, as words of a shell."""
        if self.inputs["driver"] == "kubeadm":
            kubelet = "/var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env"
            return f"/var/lib/etcd /etc/kubernetes {kubelet} /usr/bin/kubeadm /usr/bin/kubelet /usr/bin/kubectl"
        return "/var/lib/etcd /etc/kubernetes /usr/local/bin"

    def _stopped(self, script: str) -> None:
        """Do something on every node while nothing of the cluster runs on any."""
        if self.inputs["driver"] == "kubeadm":
            units = "kubelet"
            kill = (
                "systemctl stop kubelet; ctr --namespace k8s.io tasks list --quiet"
                " | xargs --no-run-if-empty --max-args=1 ctr --namespace k8s.io tasks kill --signal SIGKILL"
            )
        else:
            units = "etcd kube-apiserver kube-controller-manager kube-scheduler"
            kill = (
                f"systemctl kill --signal=KILL {units} 2>/dev/null || true; systemctl stop {units};"
                " systemctl reset-failed"
            )
        for host in self.hosts:
            self.sh(host, f"systemctl stop 'mixedversion-*' || true; {kill}")
        for host in self.hosts:
            self.sh(host, f"{script}; systemctl start --no-block {units}")
        for host in self.hosts:
            until(f"{host} ready", functools.partial(self.ready, host), timeout=180, interval=1)
        until("the load balancer has a server", lambda: self.client.ask(self.client.server, "/readyz")[0] == 200)

    # Leases and peers

    def leases(self) -> list[dict[str, t.Any]]:
        selector = "apiserver.kubernetes.io/identity=kube-apiserver"
        return list(json.loads(self.kubectl(f"-n kube-system get leases -l {selector} -o json"))["items"])

    def lease_of(self, hostname: str) -> dict[str, t.Any]:
        found = [item for item in self.leases() if item["metadata"]["labels"].get("kubernetes.io/hostname") == hostname]
        if len(found) != 1:
            raise NotAsWanted(f"{hostname} has {len(found)} identity Leases, expected one")
        return found[0]

    def lock_holder(self) -> str:
        """The run that has the lock, or nothing."""
        lease = "lease mixedversion-kubernetes --ignore-not-found -o jsonpath={.spec.holderIdentity}"
        return self.kubectl(f"-n kube-system get {lease}").strip()

    def fetched(self, hosts: t.Iterable[str]) -> dict[str, tuple[float, float]]:
        """For each server, discovery fetches answered 200, and failed ones."""
        return {
            host: (
                # Up to 1.35 it has no group to tell a fetch from a request by.
                self.metric(host, REROUTED, code="200", group=""),
                self.metric(host, SYNC_ERRORS),
            )
            for host in hosts
        }

    def refresh(self) -> bool:
        """Another holder for two of the Leases, and their own back: every other server has to fetch from every peer."""
        wanted = 2 * (len(self.hosts) - 1)
        for owner in list(self.hosts)[:2]:
            others = [host for host in self.hosts if host != owner]
            lease = self.lease_of(owner)
            name, holder = lease["metadata"]["name"], lease["spec"]["holderIdentity"].removesuffix("-evidence")
            before = self.fetched(others)
            try:
                self.set_holder(name, f"{holder}-evidence")
                self.wait_fetched(before, wanted)
            except NotAsWanted as error:
                say(f"not settled yet: {error}")
                return False
            finally:
                self.set_holder(name, holder)
            failed = {host: after[1] - before[host][1] for host, after in self.fetched(others).items()}
            if any(failed.values()):
                return False
        return True

    def wait_fetched(self, before: t.Mapping[str, tuple[float, float]], wanted: int) -> None:
        def done() -> bool:
            return all(after[0] - before[host][0] >= wanted for host, after in self.fetched(before).items())

        until(f"{', '.join(before)} fetched {wanted} documents of their peers", done, timeout=15)

    def set_holder(self, name: str, holder: str) -> None:
        patch = json.dumps({"spec": {"holderIdentity": holder}})
        self.kubectl(f"-n kube-system patch lease {name} --type=merge --patch {shlex.quote(patch)}")

    def settle(self) -> None:
        """Wait until every server is ready, has a Lease of its own and knows its peers: the state to break."""
        for host in self.hosts:
            until(f"{host} ready", functools.partial(self.ready, host))
        until(
            "one identity Lease for each server, and no other",
            lambda: (
                sorted(item["metadata"]["labels"].get("kubernetes.io/hostname", "") for item in self.leases())
                == sorted(self.hosts)
            ),
        )
        if len(self.hosts) > 1:
            until("every server fetches from its peers", self.refresh, timeout=180, interval=2)

    def reach(self, source: str, peer: str, ca: str = f"{PKI}/ca.crt", address: str = "", seconds: int = 4) -> str:
        """What curl says that goes the way a proxying server goes: `200`, another status, or `curl N` for its error."""
        headers = " ".join(f"-H {shlex.quote(header)}" for header in FRONT_PROXY_HEADERS)
        host, dummy, port = (address or self.address(peer)).partition(":")
        command = self.command(source)

        def flag(name: str) -> str:
            found = re.search(rf" --{name}=(\S+)", command)
            return found[1] if found else ""

        text = self.sh(
            source,
            f"code=0; status=$(curl --silent --output /dev/null --write-out '%{{http_code}}' --max-time {seconds}"
            f" --connect-to kubernetes.default.svc:{port}:{host}:{port} --cacert {ca}"
            f" --cert {flag('proxy-client-cert-file')} --key {flag('proxy-client-key-file')} {headers}"
            f" https://kubernetes.default.svc:{port}/apis) || code=$?;"
            ' if [ "$code" = 0 ]; then echo "$status"; else echo "curl $code"; fi',
        )
        return text.strip()

    @contextlib.contextmanager
    def cut(self, source: str, peers: t.Sequence[str], how: str) -> t.Iterator[None]:
        """The way from one node to its peers' servers: packets dropped, or connections reset."""
        target = "DROP" if how == "DROP" else "REJECT --reject-with tcp-reset"
        rules = [f"OUTPUT -p tcp -d {self.hosts[peer]} --dport 6443 -j {target}" for peer in peers]
        self.sh(source, "; ".join(f"iptables -w -A {rule}" for rule in rules))
        try:
            for peer in peers:
                # What is established goes on otherwise until somebody sends.
                self.sh(source, f"ss -K dst {self.hosts[peer]} dport = 6443", check=False)
                self.sh(source, f"conntrack -D -p tcp -d {self.hosts[peer]} --dport 6443", check=False)
            yield
        finally:
            self.sh(source, "; ".join(f"iptables -w -D {rule} || true" for rule in rules))

    @contextlib.contextmanager
    def without_balancer(self) -> t.Iterator[None]:
        """The load balancer takes connections and answers none."""
        self._balancer("pause")
        try:
            yield
        finally:
            self._balancer("unpause")

    def balancer_away(self, seconds: float) -> threading.Timer:
        """The same for so long; the timer is over when it is back."""
        self._balancer("pause")
        back = threading.Timer(seconds, self._balancer, ("unpause",))
        back.start()
        return back

    def _balancer(self, verb: str) -> None:
        subprocess.run(["podman", verb, f"{self.name}-lb"], check=True, capture_output=True)

    # Logs and playbooks

    def audit(self, host: str, since: float) -> list[dict[str, t.Any]]:
        """A server's audit events from a time on."""
        text = self.sh(host, "tail -n 20000 /var/log/kubernetes/audit.log")
        found = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return [event for event in found if epoch(event["requestReceivedTimestamp"]) >= since]

    def play(
        self,
        name: str,
        *arguments: str,
        inventory: pathlib.Path | None = None,
        killed_at: str = "",
        at: At | None = None,
    ) -> Run:
        """A playbook as a user would run it, and the report it left."""
        self.runs += 1
        log = self.out / f"{now()[11:19].replace(':', '')}-{self.runs}-{name}.log"
        latest = self.out / "reports" / "latest"
        before = latest.resolve()
        began = time.time()
        code, output, seconds = playbook(
            name,
            f"--inventory={inventory or self.inventory}",
            f"--extra-vars=control_plane_report_directory={self.out}/reports",
            f"--extra-vars=control_plane_backup_directory={self.out}/backups",
            *arguments,
            log=log,
            killed_at=killed_at,
            at=at,
        )
        folder = latest.resolve()
        fresh = folder != before and (folder / "report.json").exists()
        report = json.loads((folder / "report.json").read_text()) if fresh else {}
        say(f"{name}: exit code {code}, {seconds:.0f} s, log {log.relative_to(ROOT)}")
        self.last = Run(code, output, seconds, began, report, folder, log)
        return self.last


def log_of(name: str) -> pathlib.Path:
    """Where what an evidence command starts may write."""
    path = OUT / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lab_of(
    name: str,
    nodes: int,
    versions: tuple[str, str] = ("", ""),
    flags: bool = True,
    driver: str = "systemd",
    etcd: str = "",
    configuration: str = "",
) -> t.Iterator[Lab]:
    """A lab, of systemd units unless told otherwise, that is there for as long as it is needed."""
    variables: dict[str, t.Any] = {"lab_name": name, "lab_driver": driver, "lab_nodes": nodes, "lab_etcd_version": etcd}
    for key, version in zip(("lab_from_version", "lab_to_version"), versions):
        if version:
            variables[key] = version
    if flags:
        variables.update(PEER_FLAG)
    if configuration:
        variables["lab_kubeadm_config"] = configuration
    say(f"lab {name}: {nodes} nodes come up")
    try:
        code, output, seconds = playbook("lab_up", "-e", json.dumps(variables), log=log_of(f"lab-up-{name}"))
        if code:
            raise NotAsWanted(f"the lab did not come up: {output.strip().splitlines()[-1]}")
        say(f"lab {name}: up in {seconds:.0f} s")
        # Of an earlier lab of this name: a run that was not finished there would be gone on from. Kept, to be read.
        reports = OUT / "labs" / name / "reports"
        if reports.exists():
            reports.rename(reports.with_name(f"reports-before-{now().replace(':', '')}"))
        yield Lab(name)
    finally:
        playbook("lab_down", "-e", f"lab_name={name}", log=log_of(f"lab-down-{name}"))


@contextlib.contextmanager
def or_left_out(results: Results, *ids: str) -> t.Iterator[None]:
    """Cases that could not be brought about are no cases; they are named, with the reason."""
    try:
        yield
    except Exception as error:
        # A fault of the command's own as well: what comes after it is still worth its hours.
        left_out(results, error, *ids)


def left_out(results: Results, error: Exception, *ids: str) -> None:
    if not isinstance(error, NotAsWanted):
        traceback.print_exception(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    for id_ in ids:
        if id_ not in {entry["id"] for entry in results.cases}:
            say(f"{id_}: not run: {error}")
            results.left_out(id_, f"{error} ({where.name}, line {where.lineno})")
