#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One node's part of restoring etcd from a snapshot, one step at a time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: One step of restoring etcd from a snapshot, on one node
version_added: 0.1.0
description:
  - The playbook C(mixedversion.kubernetes.restore) leads the nodes through these steps together; what a step is and
    how far the node has come is kept in C(/var/lib/mixedversion-kubernetes/restore/state.json).
  - The old data is renamed within its own folder and never removed. Until the API servers were started on the new data,
    V(put_back) undoes every step.
  - Needs nothing on the node but Python's standard library and, for V(prepare), etcdutl.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  step:
    description:
      - V(read) tells what runs here and whether a restore was left unfinished; V(check) what stands in the way.
      - V(prepare) makes the new data beside the old with etcdutl, while everything still runs.
      - V(stop) and V(start) do so with O(components); V(stop) ends when their processes are gone.
      - V(swap) keeps the old data aside and puts the new one in its place.
      - V(verify) waits until etcd answers; with O(members), until all do and agree on one hash at one revision.
      - V(ready) waits for the API server's C(/readyz) at its own address.
      - V(put_back) puts the old data back; V(finish) ends the restore.
    type: str
    choices: [read, check, prepare, stop, swap, start, verify, ready, put_back, finish]
    required: true
  driver:
    description: Whether the components are static pods of a kubelet or units of systemd.
    type: str
    choices: [kubeadm, systemd]
    required: true
  run_id:
    description: Id of the restore, in the names of what it keeps aside.
    type: str
    default: ""
  components:
    description: What to stop or to start.
    type: list
    elements: str
    choices: [kube-apiserver, kube-controller-manager, kube-scheduler, etcd]
    default: []
  etcdutl:
    description: etcdutl on the node, or with V(check) the one that would be brought. Empty means the node's own.
    type: str
    default: ""
  snapshot:
    description: The snapshot on the node.
    type: path
  size_bytes:
    description: With V(check), the snapshot's size.
    type: int
    default: 0
  storage_version:
    description: With V(check) and V(prepare), the etcd version whose data the snapshot holds.
    type: str
    default: ""
  initial_cluster:
    description: All members and their peer URLs, as etcdutl takes them.
    type: str
    default: ""
  bump_revision:
    description: By how much the revision is raised, so that none is handed out a second time.
    type: int
    default: 1000000000
  members:
    description: With V(verify), how many members there shall be; 0 asks this node's alone.
    type: int
    default: 0
  revision:
    description: With V(verify), the revision that the store shall have reached; with V(finish), the one to remember.
    type: int
    default: 0
  endpoint:
    description: Client URL of the member on this node. Default is what the API server uses.
    type: str
  ca_file:
    description: CA that etcd's serving certificates are verified against. Default is what the API server uses.
    type: path
  cert_file:
    description: Client certificate for etcd. Default is what the API server uses.
    type: path
  key_file:
    description: Key of the client certificate. Default is what the API server uses.
    type: path
  cluster_ids:
    description: With V(finish), the ids etcd's cluster had until now; a restore gives it another one.
    type: list
    elements: str
    default: []
  server:
    description: With V(ready), what V(read) returned as RV(server).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: See how this node's etcd is started, and whether a restore was left unfinished
  mixedversion.kubernetes.etcd_restore:
    step: read
    driver: kubeadm
"""

RETURN = r"""
member:
  description: Name, peer URLs and folders of this node's etcd.
  returned: with O(step=read)
  type: dict
client:
  description: Endpoint and files by which the API server reaches etcd.
  returned: with O(step=read)
  type: dict
server:
  description: Address of the API server, and the files to verify it by.
  returned: with O(step=read)
  type: dict
live:
  description: Cluster id and revision of the member that runs here now; empty if it does not answer.
  returned: with O(step=read)
  type: dict
versions:
  description: Versions of etcd and of the node's own etcdutl; empty if unknown.
  returned: with O(step=read)
  type: dict
etcdutl:
  description: Path of the node's own etcdutl; empty if it has none.
  returned: with O(step=read)
  type: str
former_cluster_ids:
  description: Ids that etcd's cluster had before it was restored.
  returned: with O(step=read)
  type: list
  elements: str
restored_revision:
  description: The revision that the last restore began at; 0 if there was none.
  returned: with O(step=read)
  type: int
unfinished:
  description: What a restore that did not end wrote down; empty if there is none.
  returned: with O(step=read)
  type: dict
aside:
  description: Folders where restores have kept old data.
  returned: with O(step=read)
  type: list
  elements: str
refusals:
  description: What stands in the way here; nothing is changed while there is any.
  returned: with O(step=read) and O(step=check)
  type: list
  elements: str
data:
  description: V(old), V(new) or V(untouched).
  returned: with O(step=put_back) and O(step=finish)
  type: str
kept:
  description: Where the old data is.
  returned: with O(step=swap) and O(step=finish)
  type: list
  elements: str
hashes:
  description: Each member's hash of the store at one revision.
  returned: with O(step=verify) and O(members)
  type: dict
revision:
  description: The store's revision.
  returned: with O(step=verify)
  type: int
gates:
  description: The verdict on C(etcd_healthy) or C(servers_ready).
  returned: with O(step=verify) and O(step=ready)
  type: list
  elements: dict
"""

import http.client
import os
import shutil
import socket
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _distribution,
    _etcd,
    _gate,
    _node,
    _restore,
    _tls,
    _version,
)

#: Files in which a CA of the serving certificates may stand, beside the one that the flag for clients' names.
SERVING_CA = "/etc/kubernetes/pki/ca.crt"
SERVER_NAME = "kubernetes.default.svc"


class Node:
    """This node, by the driver that runs its components."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.kubeadm = module.params["driver"] == "kubeadm"

    # How a component is run

    def manifest(self, component: str) -> str:
        return f"{_node.MANIFESTS}/{component}.yaml"

    def moved(self, component: str) -> str:
        return f"{_restore.MANIFESTS}/{component}.yaml"

    def show(self, component: str, name: str) -> str:
        return _node.output(self.module, "systemctl", "show", f"--property={name}", "--value", f"{component}.service")

    def there(self, component: str) -> bool:
        """Whether this node is to run it: a manifest that waits to be put back counts as well."""
        if self.kubeadm:
            return os.path.exists(self.manifest(component)) or os.path.exists(self.moved(component))
        return self.show(component, "LoadState") == "loaded"

    def started_with(self, component: str) -> tuple[dict[str, str], str]:
        """Its settings and where they were read: the process, else the manifest or the unit."""
        process = _node.running(component)
        if process:
            return _restore.settings(process[1][1:], _node.environment(process[0])), "process"
        if self.kubeadm:
            text = _node.read(self.manifest(component)) or _node.read(self.moved(component))
            return _restore.settings(_node.manifest_command(text), {}), "manifest"
        environment = _restore.environment_file(self.show(component, "Environment").replace(" ", "\n"))
        for line in self.show(component, "EnvironmentFiles").splitlines():
            environment.update(_restore.environment_file(_node.read(line.partition(" ")[0])))
        return _restore.settings(_restore.unit_arguments(self.show(component, "ExecStart"))[1:], environment), "unit"

    def stop(self, component: str) -> None:
        if not self.kubeadm:
            self.systemctl("stop", component)
            return
        text = _node.read(self.manifest(component))
        if text:
            os.makedirs(_restore.MANIFESTS, mode=0o700, exist_ok=True)
            _node.replace(self.moved(component), text, 0o600)
            os.unlink(self.manifest(component))
            _node.sync_directory(_node.MANIFESTS)

    def start(self, component: str) -> None:
        if not self.kubeadm:
            self.systemctl("reset-failed", component)
            self.systemctl("start", component)
            return
        text = _node.read(self.moved(component))
        if text:
            if not os.path.exists(self.manifest(component)):
                _node.replace(self.manifest(component), text, 0o600)
            os.unlink(self.moved(component))

    def systemctl(self, verb: str, component: str) -> None:
        # Not waited for here: an etcd that tells systemd when it is ready is not before a quorum of its peers is.
        options = ["--no-block"] if verb != "reset-failed" else []
        code, dummy, words = self.module.run_command(["systemctl", verb, *options, f"{component}.service"])
        if code and verb != "reset-failed":
            raise _restore.RestoreError(f"systemctl {verb} {component} failed: {words.strip()}")

    # Steps

    def read(self) -> dict[str, t.Any]:
        refusals = []
        units = _node.output(
            self.module, "systemctl", "list-units", "--plain", "--no-legend", "--state=active,activating",
            "mixedversion-*.service",
        )  # fmt: skip
        if units:
            refusals.append(
                f"{units.split()[0]} is at work, expected no step of this collection. Wait until it has ended"
            )
        if self.kubeadm and not _node.running("kubelet"):
            refusals.append("no kubelet runs, and nothing else stops and starts static pods. Start it")
        distribution = _distribution.find()
        result: dict[str, t.Any] = {"member": {}, "versions": {}, "live": {}, "aside": []}
        result["distribution"] = distribution.name if distribution else ""
        try:
            if not self.there(_restore.ETCD):
                raise _restore.RestoreError(
                    f"no etcd is run here as a {'static pod' if self.kubeadm else 'unit'}, expected one on each "
                    "control plane node; an external etcd is restored by its own means"
                )
            found, source = self.started_with(_restore.ETCD)
            member = _restore.member(found, source)
            result["member"] = vars(member)
            folders = [folder for folder in (member.data_directory, member.wal_directory) if os.path.isdir(folder)]
            result["aside"] = [
                os.path.join(folder, name)
                for folder in folders
                for name in sorted(os.listdir(folder))
                if name.startswith("before-")
            ]
        except _restore.RestoreError as error:
            refusals.append(str(error))
        flags, dummy = self.started_with("kube-apiserver")
        client = {
            "endpoint": self.params["endpoint"] or flags.get("etcd-servers", "https://127.0.0.1:2379").split(",")[0],
            "ca_file": self.params["ca_file"] or flags.get("etcd-cafile", "/etc/kubernetes/pki/etcd/ca.crt"),
            "cert_file": self.params["cert_file"]
            or flags.get("etcd-certfile", "/etc/kubernetes/pki/apiserver-etcd-client.crt"),
            "key_file": self.params["key_file"]
            or flags.get("etcd-keyfile", "/etc/kubernetes/pki/apiserver-etcd-client.key"),
        }
        result["client"] = client
        try:
            # Of this member alone: it knows its revision though a quorum be lost.
            status = _etcd.Gateway.from_params(client).status()
            result["live"] = {"cluster_id": status.cluster_id, "revision": status.revision}
        except _etcd.EtcdError:
            # Nothing unusual: that is what restores are for.
            pass
        etcdutl = shutil.which("etcdutl", path=_node.SEARCH_PATH) or ""
        result["etcdutl"] = etcdutl
        result["versions"] = {
            "etcd": self.etcd_version(),
            "etcdutl": utility_version(self.module, etcdutl) if etcdutl else "",
        }
        result["server"] = {
            "address": flags.get("advertise-address") or "127.0.0.1",
            "port": int(flags.get("secure-port") or 6443),
            "ca_files": sorted({flags.get("client-ca-file") or SERVING_CA, SERVING_CA}),
            "cert_file": flags.get("kubelet-client-certificate", ""),
            "key_file": flags.get("kubelet-client-key", ""),
        }
        result["unfinished"] = _restore.load()
        result["restored_revision"] = int(_node.read(_restore.REVISION) or 0)
        result["former_cluster_ids"] = _node.read(_restore.LINEAGE).split()
        return {**result, "refusals": refusals}

    def etcd_version(self) -> str:
        running = _node.running_version(self.module, _restore.ETCD)
        if running:
            return running
        if self.kubeadm:
            text = _node.read(self.manifest(_restore.ETCD)) or _node.read(self.moved(_restore.ETCD))
            return _version.image_tag(_node.manifest_image(text)).partition("-")[0]
        arguments = _restore.unit_arguments(self.show(_restore.ETCD, "ExecStart"))
        return _node.binary_version(self.module, arguments[0]) if arguments else ""

    def check(self) -> dict[str, t.Any]:
        seen = self.read()
        refusals = list(seen["refusals"])
        # One that is brought here tells its version only once it is here: the controller may not be able to run it.
        version = seen["versions"]["etcd"] if self.params["etcdutl"] else seen["versions"]["etcdutl"]
        if not version:
            refusals.append("there is no etcdutl, here or given. Set control_plane_etcd_etcdutl")
        else:
            why = _restore.too_old(seen["versions"]["etcd"], version, self.params["storage_version"])
            refusals += [why] if why else []
        if seen["member"]:
            refusals += no_room(seen["member"], self.params["size_bytes"])
        return {"refusals": refusals, "live": seen["live"]}

    def prepare(self) -> None:
        found, source = self.started_with(_restore.ETCD)
        member = _restore.member(found, source)
        run_id = self.params["run_id"]
        etcdutl = self.params["etcdutl"] or shutil.which("etcdutl", path=_node.SEARCH_PATH) or "etcdutl"
        version = utility_version(self.module, etcdutl)
        why = _restore.too_old(self.etcd_version(), version, self.params["storage_version"])
        if why:
            raise _restore.RestoreError(f"{why}. etcd was not touched")
        folders = {member.data_directory: False, **({member.wal_directory: True} if member.wal_directory else {})}
        for folder in folders:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        state = {
            "run_id": run_id,
            "stage": "prepared",
            "stopped": [],
            "folders": {folder: _restore.old_names(folder, whole) for folder, whole in folders.items()},
        }
        _restore.save(state)
        new = _restore.prepared(member.data_directory, run_id)
        new_wal = _restore.prepared(member.wal_directory, run_id) if member.wal_directory else ""
        for folder in filter(None, (new, new_wal)):
            shutil.rmtree(folder, ignore_errors=True)
        command = [
            etcdutl,
            "snapshot",
            "restore",
            self.params["snapshot"],
            f"--name={member.name}",
            f"--initial-cluster={self.params['initial_cluster']}",
            f"--initial-cluster-token=restore-{run_id}",
            f"--initial-advertise-peer-urls={member.peer_urls}",
            f"--data-dir={new}",
            *([f"--wal-dir={new_wal}"] if new_wal else []),
            f"--bump-revision={self.params['bump_revision']}",
            "--mark-compacted",
        ]
        code, out, words = self.module.run_command(command)
        if code or not os.path.isfile(os.path.join(new, "member/snap/db")):
            raise _restore.RestoreError(
                f"etcdutl ended with exit code {code}: {(words or out).strip()[-600:]}. etcd was not touched"
            )
        for folder in folders:
            _restore.own(_restore.prepared(folder, run_id), folder)

    def swap(self) -> list[str]:
        state = self.expect_state()
        if _node.running(_restore.ETCD):
            raise _restore.RestoreError("etcd still runs, expected it stopped before its data is moved")
        state["stage"] = _restore.SWAPPING
        _restore.save(state)
        for folder, names in state["folders"].items():
            _restore.swap(folder, names, state["run_id"])
        state["stage"] = _restore.RESTORED
        _restore.save(state)
        return [_restore.aside(folder, state["run_id"]) for folder in state["folders"]]

    def expect_state(self) -> dict[str, t.Any]:
        state = _restore.load()
        if not state or state["run_id"] != self.params["run_id"]:
            raise _restore.RestoreError(
                f"{_restore.STATE} is of run {state.get('run_id', 'none')}, expected {self.params['run_id']}. "
                "Start the playbook from its beginning"
            )
        return state

    def stop_all(self) -> None:
        state = _restore.load()
        for component in self.params["components"]:
            if state and self.there(component) and component not in state["stopped"]:
                # Written down first: what was stopped is known, whatever comes between.
                state["stopped"].append(component)
                state["stage"] = _restore.STOPPING if state["stage"] == "prepared" else state["stage"]
                _restore.save(state)
            if self.there(component):
                self.stop(component)

    def start_all(self) -> list[str]:
        state = _restore.load()
        started = [component for component in self.params["components"] if component in state.get("stopped", [])]
        for component in started:
            if component == "kube-apiserver" and state["stage"] == _restore.RESTORED:
                state["stage"] = _restore.SERVING
                _restore.save(state)
            self.start(component)
        return started

    def put_back(self) -> str:
        """Which data the node has then."""
        state = _restore.load()
        if not state:
            return "untouched"
        if _node.running(_restore.ETCD) and state["stage"] != "prepared" and _restore.ETCD in state["stopped"]:
            raise _restore.RestoreError("etcd still runs, expected it stopped before its data is moved")
        moved = [_restore.unswap(folder, names, state["run_id"]) for folder, names in state["folders"].items()]
        state["stage"] = _restore.STOPPING
        _restore.save(state)
        return "old" if any(moved) else "untouched"

    def finish(self) -> tuple[str, list[str]]:
        """Forget the restore: all that it stopped runs again."""
        state = _restore.load()
        kept = [_restore.aside(folder, state["run_id"]) for folder in state.get("folders", {})]
        kept = [path for path in kept if os.path.isdir(path)]
        left = os.listdir(_restore.MANIFESTS) if os.path.isdir(_restore.MANIFESTS) else []
        if left:
            raise _restore.RestoreError(
                f"{', '.join(left)} is still in {_restore.MANIFESTS}, expected in {_node.MANIFESTS}. Move it"
            )
        if kept and self.params["cluster_ids"]:
            known = {*_node.read(_restore.LINEAGE).split(), *self.params["cluster_ids"]}
            _node.replace(_restore.REVISION, f"{self.params['revision']}\n", 0o644)
            _node.replace(_restore.LINEAGE, "".join(f"{each}\n" for each in sorted(known)), 0o644)
        shutil.rmtree(_restore.FOLDER, ignore_errors=True)
        return ("new" if kept else "untouched"), kept


def utility_version(module: AnsibleModule, path: str) -> str:
    """etcdutl has a subcommand for it, and no flag."""
    for line in _node.output(module, path, "version").splitlines():
        if line.startswith("etcdutl version:"):
            return line.rpartition(" ")[2]
    return ""


def no_room(member: t.Mapping[str, str], size: int) -> list[str]:
    """Where the snapshot's copy, the new data and its log do not fit; what shares a file system is added up."""
    wanted: dict[int, tuple[int, str]] = {}
    needs = [(_node.STATE_DIRECTORY, size), (member["data_directory"], size)]
    needs.append((member["wal_directory"] or member["data_directory"], _restore.WAL_BYTES))
    for path, need in needs:
        while not os.path.isdir(path):
            path = os.path.dirname(path)
        device = os.stat(path).st_dev
        wanted[device] = (wanted.get(device, (0, ""))[0] + need, path)
    found = []
    for need, path in wanted.values():
        status = os.statvfs(path)
        free = status.f_bavail * status.f_frsize
        if free < need:
            found.append(f"{free // 2**20} MiB are free at {path}, expected {need // 2**20 + 1} MiB. Free some")
    return found


def gone(components: t.Sequence[str]) -> _gate.Sample:
    left = [component for component in components if _node.running(component)]
    words = f"{', '.join(left)} still running" if left else "stopped"
    return _gate.Sample(not left, words, final=not left)


def verify(gateway: _etcd.Gateway, members: int, revision: int) -> _gate.Sample:
    """Whether this member answers and is led; with *members*, whether that many do and hold the same."""
    try:
        if not members:
            status = gateway.status()
            led = status.leader_id != "0"
            return _gate.Sample(led, "led" if led else "without a leader", data={"revision": status.revision})
        cluster = gateway.cluster(_etcd.Host.read())
        troubles = cluster.troubles()
        if len(cluster.members) != members:
            troubles.insert(0, f"{len(cluster.members)} members, expected {members}")
        if troubles:
            return _gate.Sample(False, "; ".join(troubles))
        now = min(member.status.revision for member in cluster.members if member.status)
        if now < revision:
            return _gate.Sample(False, f"revision {now}, expected {revision} or later", final=True)
        hashes = gateway.hashes(cluster, limit=None)
    except _etcd.EtcdError as error:
        return _gate.Sample(False, f"no answer ({error})")
    if not hashes.by_member:
        return _gate.Sample(False, hashes.reason)
    data = {"hashes": hashes.by_member, "revision": hashes.revision}
    if not hashes.equal:
        return _gate.Sample(False, "; ".join(hashes.troubles()), final=True, data=data)
    words = (
        f"{members} members, one leader, one hash ({next(iter(hashes.by_member.values()))})"
        f" at revision {hashes.revision}, no alarm"
    )
    return _gate.Sample(True, words, data=data)


def readyz(server: t.Mapping[str, t.Any]) -> _gate.Sample:
    """The server's own answer, at its own address."""
    address = f"{server['address']}:{server['port']}"
    try:
        context = _tls.verifying(ca_data="".join(map(_node.read, server["ca_files"])))
        if server["cert_file"] and server["key_file"]:
            context.load_cert_chain(server["cert_file"], server["key_file"])
        connection = http.client.HTTPConnection(server["address"], server["port"], timeout=10)
        raw = socket.create_connection((server["address"], int(server["port"])), timeout=10)
        try:
            connection.sock = context.wrap_socket(raw, server_hostname=SERVER_NAME)
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            words = response.read().decode(errors="replace")
        finally:
            connection.close()
            raw.close()
    except (OSError, http.client.HTTPException) as error:
        return _gate.Sample(False, f"{address}: {error}")
    if response.status == 200:
        return _gate.Sample(True, f"{address}/readyz answers 200")
    failing = [line for line in words.splitlines() if line.startswith("[-]")]
    return _gate.Sample(False, f"{address}/readyz answers {response.status} {' '.join(failing)}".strip())


def waiting(module: AnsibleModule, look: t.Callable[[], _gate.Sample], gate: _gate.Gate | None) -> dict[str, t.Any]:
    """Wait in slices; a gate says what it came to, or else a time-out is a failure."""
    waited = _gate.wait(look, module.params, _gate.AT_ONCE)
    if waited.pending:
        module.exit_json(**_gate.pending(waited, {"begun": True}))
    held = waited.sample.passed
    if gate is None:
        if not held:
            module.fail_json(
                msg=f"After {waited.elapsed_seconds:.0f} s: {waited.sample.progress}, expected all of them gone. "
                "Read the component's log on this node."
            )
        return {}
    gate.verdict, gate.observed = (_gate.PASSED if held else _gate.FAILED), waited.sample.progress
    gate.elapsed_seconds, gate.samples = round(waited.elapsed_seconds, 3), waited.samples
    return {"gates": [gate.dump()], **(waited.sample.data or {})}


def take(module: AnsibleModule, node: Node) -> dict[str, t.Any]:
    params = module.params
    step = params["step"]
    if step == "read":
        return {"changed": False, **node.read()}
    if step == "check":
        return {"changed": False, **node.check()}
    if step == "verify":
        gateway = _etcd.Gateway.from_params(params)
        gate = _gate.Gate(
            id="etcd_healthy",
            node=params["node"],
            verdict="",
            observed="",
            expected=f"{params['members'] or 'its'} members answering, one leader, one hash, no alarm"
            if params["members"]
            else "this node's member answers and has a leader",
            next_action="Read etcd's log on the node named.",
        )
        return {
            "changed": False,
            **waiting(module, lambda: verify(gateway, params["members"], params["revision"]), gate),
        }
    if step == "ready":
        gate = _gate.Gate(
            id="servers_ready",
            node=params["node"],
            verdict="",
            observed="",
            expected="/readyz answers 200 at the server's own address",
            next_action="Read the API server's log on this node (crictl logs or journalctl).",
        )
        return {"changed": False, **waiting(module, lambda: readyz(params["server"]), gate)}
    if module.check_mode:
        return {"changed": True}
    if step == "prepare":
        node.prepare()
        return {"changed": True}
    if step == "stop":
        if not ((params["slice"] or {}).get("memory") or {}).get("begun"):
            node.stop_all()
        return {"changed": True, **waiting(module, lambda: gone(params["components"]), None)}
    if step == "swap":
        return {"changed": True, "kept": node.swap()}
    if step == "start":
        return {"changed": bool(node.start_all())}
    if step == "put_back":
        data = node.put_back()
        return {"changed": data == "old", "data": data}
    data, kept = node.finish()
    return {"changed": True, "data": data, "kept": kept}


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "step": {
                    "type": "str",
                    "choices": [
                        "read",
                        "check",
                        "prepare",
                        "stop",
                        "swap",
                        "start",
                        "verify",
                        "ready",
                        "put_back",
                        "finish",
                    ],
                    "required": True,
                },
                "driver": {"type": "str", "choices": ["kubeadm", "systemd"], "required": True},
                "run_id": {"type": "str", "default": ""},
                "components": {
                    "type": "list",
                    "elements": "str",
                    "choices": ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"],
                    "default": [],
                },
                "etcdutl": {"type": "str", "default": ""},
                "snapshot": {"type": "path"},
                "size_bytes": {"type": "int", "default": 0},
                "storage_version": {"type": "str", "default": ""},
                "initial_cluster": {"type": "str", "default": ""},
                "bump_revision": {"type": "int", "default": _restore.BUMP},
                "members": {"type": "int", "default": 0},
                "revision": {"type": "int", "default": 0},
                "endpoint": {"type": "str"},
                "ca_file": {"type": "path"},
                "cert_file": {"type": "path"},
                "key_file": {"type": "path"},
                "cluster_ids": {"type": "list", "elements": "str", "default": []},
                "server": {"type": "dict", "default": {}},
            }
        ),
        required_if=[
            ("step", "prepare", ["snapshot"]),
            ("step", "verify", ["endpoint", "ca_file", "cert_file", "key_file"]),
        ],
        supports_check_mode=True,
    )
    try:
        result = take(module, Node(module))
    except (OSError, ValueError, _restore.RestoreError, _etcd.EtcdError) as error:
        module.fail_json(msg=f"Step {module.params['step']} of the restore failed: {error}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
