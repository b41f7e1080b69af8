# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What really breaks a lab's proxy, one way for each cause that the collection names, and how it is mended.

Each is a context manager that yields a `Broken` once the thing is broken, and leaves the lab as it was. Its `check`
looks with plain means (curl, kubectl, openssl) and raises `NotAsWanted` where the thing is not broken after all, so
that no case passes because nothing was broken. They hold on servers of one version and of two: `SOURCE` is a server
that would proxy (an old one in the mixed state), `PEER` the one it would proxy to.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import pathlib
import time
import typing as t

import yaml
from _common import epoch
from _lab import GATE, HOOK, NEW_PATH, PKI, Lab, NotAsWanted, say, until

SOURCE, PEER, OTHER = "cp2", "cp1", "cp3"
#: What a test of ours makes on a node, beside the cluster's own.
OWN = "/etc/kubernetes/evidence"
#: Seconds for which the way to a peer is cut: the fetches' back-off then lasts for as long again.
CUT_SECONDS = 95.0
#: When a Lease is no longer fresh: three renewals missed, and a little more.
OLD_SECONDS = 40.0
#: A host name of 64 bytes, the most that Linux takes and one more than a label's value may have.
LONG_NAME = ("cp2-" + "of-a-name-longer-than-any-label-may-be-" * 2)[:63] + "x"


@dataclasses.dataclass
class Broken:
    """A lab in which one thing is wrong: the servers it concerns, how to see it, and how a playbook gets to see it."""

    servers: tuple[str, ...]
    check: t.Callable[[], str]
    inventory: pathlib.Path | None = None


Breakage = t.Callable[[Lab], "contextlib.AbstractContextManager[Broken]"]


def want(holds: bool, what: str, seen: object) -> str:
    if not holds:
        raise NotAsWanted(f"not broken: expected {what}, saw {seen}")
    return what


def lacks_hook(lab: Lab, host: str) -> None:
    status, text = lab.ask(host, "/readyz?verbose")
    want(status == 200 and HOOK not in text, f"{host} ready without the hook {HOOK}", text[-300:])


def refused_at_front(lab: Lab, source: str, peer: str) -> str:
    """The peer lets the connection come about, and does not know the caller by its front proxy's certificate."""
    seen = lab.reach(source, peer)
    return want(seen == "401", f"{peer} answers 401 to {source}'s front proxy", seen)


# Flags


@contextlib.contextmanager
def gate_off(lab: Lab) -> t.Iterator[Broken]:
    def check() -> str:
        gate = lab.metric(SOURCE, "kubernetes_feature_enabled", name=GATE)
        lacks_hook(lab, SOURCE)
        return want(gate == 0, f"{SOURCE} says that the gate is off", gate)

    # The flag is refused without the gate.
    with lab.flags(SOURCE, {"feature-gates": f"{GATE}=false", "peer-ca-file": None}):
        yield Broken((SOURCE,), check)


@contextlib.contextmanager
def flag_missing(lab: Lab) -> t.Iterator[Broken]:
    def check() -> str:
        lacks_hook(lab, SOURCE)
        gate = lab.metric(SOURCE, "kubernetes_feature_enabled", name=GATE)
        want(gate == 1, f"{SOURCE} says that the gate is on", gate)
        return want("--peer-ca-file" not in lab.command(SOURCE), f"{SOURCE} runs without --peer-ca-file", "it")

    with lab.flags(SOURCE, {"peer-ca-file": None}):
        yield Broken((SOURCE,), check)


@contextlib.contextmanager
def peer_ca_mismatch(lab: Lab) -> t.Iterator[Broken]:
    ca = f"{OWN}/ca.crt"

    def check() -> str:
        seen = lab.reach(SOURCE, PEER, ca=ca)
        want(seen == "curl 60", f"{PEER}'s certificate does not verify against {SOURCE}'s peer CA", seen)
        seen = lab.reach(SOURCE, PEER)
        return want(seen == "200", "it does verify against the cluster's CA", seen)

    # Of the same name as the real one, as after a rotation that one node missed.
    lab.sh(
        SOURCE,
        f"rm -rf {OWN}; mkdir {OWN}; openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=kubernetes"
        f" -keyout {OWN}/ca.key -out {ca} 2>/dev/null",
    )
    with lab.flags(SOURCE, {"peer-ca-file": ca}):
        yield Broken((SOURCE,), check)


@contextlib.contextmanager
def advertised(lab: Lab, flags: t.Mapping[str, str | None]) -> t.Iterator[None]:
    """The peer with these flags, and its Lease written anew: what a killed process announced stays for a while."""
    holder = lab.lease_of(PEER)["spec"]["holderIdentity"]

    def anew() -> bool:
        found = [item for item in lab.leases() if item["metadata"]["labels"].get("kubernetes.io/hostname") == PEER]
        return len(found) == 1 and found[0]["spec"]["holderIdentity"] != holder

    with lab.flags(PEER, flags):
        until(f"{PEER}'s Lease is written anew", anew)
        yield


@contextlib.contextmanager
def advertise_incomplete(lab: Lab) -> t.Iterator[Broken]:
    wanted = lab.hosts[PEER].rpartition(".")[0] + ".201"

    def check() -> str:
        want(f"--peer-advertise-ip={wanted}" in lab.command(PEER), f"{PEER} runs with --peer-advertise-ip", "it not")
        seen = lab.lease_of(PEER)["metadata"]["annotations"]["kubernetes.io/peer-advertise-address"]
        return want(seen == lab.address(PEER), f"{PEER} advertises {lab.address(PEER)}, not {wanted}", seen)

    with advertised(lab, {"peer-advertise-ip": wanted}):
        yield Broken((PEER,), check)


# Certificates


@contextlib.contextmanager
def serving_name_missing(lab: Lab) -> t.Iterator[Broken]:
    names = f"DNS:kubernetes,DNS:kubernetes.default,DNS:{PEER},IP:10.96.0.1,IP:{lab.hosts[PEER]}"
    names += f",IP:127.0.0.1,IP:{lab.client.server.partition(':')[0]}"

    def check() -> str:
        seen = lab.reach(SOURCE, PEER)
        want(seen == "curl 60", f"{PEER}'s certificate has no name kubernetes.default.svc", seen)
        status = lab.ask(PEER, "/readyz")[0]
        return want(status == 200, f"{PEER} answers at its address, under the same CA", status)

    with lab.replaced(PEER, f"{PKI}/apiserver.crt"):
        lab.sh(
            PEER,
            f"cd {PKI}; openssl req -new -key apiserver.key -subj /CN=kube-apiserver -out /tmp/serving.csr;"
            " openssl x509 -req -in /tmp/serving.csr -CA ca.crt -CAkey ca.key -CAcreateserial -CAserial /tmp/serial"
            " -days 365 -out apiserver.crt"
            f" -extfile <(printf '%s\\n' 'extendedKeyUsage=serverAuth' 'subjectAltName={names}') 2>/dev/null",
        )
        lab.restart(PEER)
        yield Broken((PEER,), check)


#: What `openssl ca` wants before it signs with dates of one's own.
CA_CONFIGURATION = """
[ca]
default_ca = own
[own]
database = /tmp/evidence-ca/index.txt
serial = /tmp/evidence-ca/serial
new_certs_dir = /tmp/evidence-ca
default_md = sha256
policy = any
x509_extensions = client
[any]
commonName = supplied
[client]
extendedKeyUsage = clientAuth
"""


def sign_front_proxy(lab: Lab, host: str, name: str, since: str, until_: str) -> None:
    """A new client certificate for the front proxy, of the cluster's own front-proxy CA. Dates: YYYYMMDDHHMMSSZ."""
    lab.sh(
        host,
        "rm -rf /tmp/evidence-ca; mkdir /tmp/evidence-ca; cat >/tmp/evidence-ca/openssl.cnf;"
        f" cd {PKI}; touch /tmp/evidence-ca/index.txt; openssl rand -hex 8 >/tmp/evidence-ca/serial;"
        f" openssl req -new -key front-proxy-client.key -subj /CN={name} -out /tmp/evidence-ca/client.csr;"
        " openssl ca -batch -notext -config /tmp/evidence-ca/openssl.cnf -cert front-proxy-ca.crt"
        f" -keyfile front-proxy-ca.key -startdate {since} -enddate {until_}"
        " -in /tmp/evidence-ca/client.csr -out front-proxy-client.crt 2>/tmp/evidence-ca/log"
        " || { cat /tmp/evidence-ca/log >&2; exit 1; }; rm -r /tmp/evidence-ca",
        stdin=CA_CONFIGURATION,
    )


def chains(lab: Lab, host: str, *options: str) -> bool:
    """Whether the front proxy's certificate is one of the cluster's front-proxy CA."""
    command = (
        f"openssl verify {' '.join(options)} -CAfile {PKI}/front-proxy-ca.crt {PKI}/front-proxy-client.crt || true"
    )
    return lab.sh(host, command).strip().endswith(": OK")


@contextlib.contextmanager
def front_proxy_name_not_allowed(lab: Lab) -> t.Iterator[Broken]:
    def check() -> str:
        want(chains(lab, SOURCE), f"{SOURCE}'s front-proxy certificate is valid and of the right CA", "it not")
        return refused_at_front(lab, SOURCE, PEER)

    with lab.replaced(SOURCE, f"{PKI}/front-proxy-client.crt"):
        year = time.gmtime().tm_year
        sign_front_proxy(lab, SOURCE, "some-other-proxy", f"{year - 1}0101000000Z", f"{year + 5}0101000000Z")
        lab.restart(SOURCE)
        yield Broken((SOURCE,), check)


@contextlib.contextmanager
def front_proxy_expired(lab: Lab) -> t.Iterator[Broken]:
    year = time.gmtime().tm_year

    def check() -> str:
        want(not chains(lab, SOURCE), f"{SOURCE}'s front-proxy certificate is not valid now", "it is")
        want(chains(lab, SOURCE, "-no_check_time"), "it is of the right CA", "it not")
        return refused_at_front(lab, SOURCE, PEER)

    with lab.replaced(SOURCE, f"{PKI}/front-proxy-client.crt"):
        sign_front_proxy(lab, SOURCE, "front-proxy-client", f"{year - 1}0101000000Z", f"{year - 1}1231000000Z")
        lab.restart(SOURCE)
        yield Broken((SOURCE,), check)


@contextlib.contextmanager
def requestheader_ca_differs(lab: Lab) -> t.Iterator[Broken]:
    """One node has a front-proxy CA of its own, as when kubeadm made it there instead of it being copied."""

    def check() -> str:
        own = lab.sh(PEER, f"sha256sum <{OWN}/front-proxy-ca.crt")
        want(own != lab.sh(SOURCE, f"sha256sum <{PKI}/front-proxy-ca.crt"), f"{PEER} has another CA", own)
        return refused_at_front(lab, SOURCE, PEER)

    # The version is told, or kubeadm asks the wide world for it.
    make = f"kubeadm init phase certs front-proxy-$one --cert-dir={OWN} --kubernetes-version={lab.old}"
    lab.sh(PEER, f"rm -rf {OWN}; mkdir {OWN}; for one in ca client; do {make}; done")
    changes = {
        "requestheader-client-ca-file": f"{OWN}/front-proxy-ca.crt",
        "proxy-client-cert-file": f"{OWN}/front-proxy-client.crt",
        "proxy-client-key-file": f"{OWN}/front-proxy-client.key",
    }
    with lab.flags(PEER, changes):
        yield Broken((PEER,), check)


# The network


@contextlib.contextmanager
def peer_filtered(lab: Lab) -> t.Iterator[Broken]:
    def check() -> str:
        seen = lab.reach(SOURCE, PEER)
        return want(seen == "curl 28", f"no answer from {PEER} on {SOURCE}", seen)

    with lab.cut(SOURCE, [PEER], "DROP"):
        yield Broken((SOURCE, PEER), check)


@contextlib.contextmanager
def peer_refused(lab: Lab) -> t.Iterator[Broken]:
    def check() -> str:
        seen = lab.reach(SOURCE, PEER)
        return want(seen == "curl 7", f"{PEER} refuses {SOURCE}'s connections", seen)

    with lab.cut(SOURCE, [PEER], "REJECT"):
        yield Broken((SOURCE, PEER), check)


# Names and Leases


@contextlib.contextmanager
def renamed(lab: Lab, name: str) -> t.Iterator[None]:
    """The source's node under another host name. Its Lease of before goes, as when the server is stopped in order."""
    try:
        lab.sh(SOURCE, f"hostname {name}")
        lease = lab.lease_of(SOURCE)["metadata"]["name"]
        lab.restart(SOURCE)
        lab.kubectl(f"-n kube-system delete lease {lease}")
        yield
    finally:
        lab.sh(SOURCE, f"hostname {SOURCE}")
        lab.restart(SOURCE)


def hostnames(lab: Lab) -> list[str]:
    return sorted(item["metadata"]["labels"].get("kubernetes.io/hostname", "") for item in lab.leases())


@contextlib.contextmanager
def duplicate_hostname(lab: Lab) -> t.Iterator[Broken]:
    def check() -> str:
        names = {host: lab.sh(host, "hostname").strip() for host in (SOURCE, OTHER)}
        want(set(names.values()) == {OTHER}, f"{SOURCE} and {OTHER} have one host name", names)
        seen = hostnames(lab)
        return want(SOURCE not in seen and seen.count(OTHER) == 1, "they share one Lease", seen)

    with renamed(lab, OTHER):
        yield Broken((SOURCE, OTHER), check)


@contextlib.contextmanager
def hostname_too_long(lab: Lab) -> t.Iterator[Broken]:
    def check() -> str:
        seen = lab.sh(SOURCE, "hostname").strip()
        want(len(seen) == 64, f"{SOURCE}'s host name has 64 bytes", len(seen))
        time.sleep(12)  # A Lease would be there: they are written every 10 s.
        names = hostnames(lab)
        want(len(names) == len(lab.hosts) - 1, f"{SOURCE} has no Lease", names)
        return want(lab.ready(SOURCE), f"{SOURCE} is ready all the same", "it not")

    with renamed(lab, LONG_NAME):
        yield Broken((SOURCE,), check)


@contextlib.contextmanager
def dead_lease(lab: Lab) -> t.Iterator[Broken]:
    """A fourth server, really started, on one of the nodes under another name and port; and killed."""
    name, port = "cp9", 7443
    command = lab.command(OTHER)
    for old, new in (
        (" --secure-port=6443", f" --secure-port={port}"),
        (" --audit-log-path=/var/log/kubernetes/audit.log", f" --audit-log-path=/var/log/kubernetes/{name}.log"),
    ):
        command = command.replace(old, new)
    program = f"hostname {name}; exec {command}"
    unit = f"evidence-{name}"

    def lease() -> dict[str, t.Any]:
        return lab.lease_of(name)

    def check() -> str:
        age = time.time() - epoch(lease()["spec"]["renewTime"])
        want(age > OLD_SECONDS - 5, f"{name}'s Lease was not renewed for {OLD_SECONDS:.0f} s", age)
        address = lease()["metadata"]["annotations"]["kubernetes.io/peer-advertise-address"]
        status, words = lab.client.ask(address, "/readyz")
        return want(status == 0 and "refused" in words, f"nobody answers at {address}", f"{status} {words}")

    lab.sh(
        OTHER,
        f"systemctl reset-failed {unit} 2>/dev/null || true;"
        f' systemd-run --quiet --unit={unit} unshare --uts sh -c "$(cat)"',
        stdin=program,
    )
    try:
        until(f"{name} has a Lease", lambda: name in hostnames(lab))
        until(f"{name} is ready", lambda: lab.client.ask(f"{lab.hosts[OTHER]}:{port}", "/readyz")[0] == 200)
        lab.sh(OTHER, f"systemctl kill --signal=KILL {unit}")
        say(f"{name} was killed; its Lease gets old")
        until("the Lease is old", lambda: time.time() - epoch(lease()["spec"]["renewTime"]) > OLD_SECONDS, interval=2)
        yield Broken((name,), check)
    finally:
        lab.sh(OTHER, f"systemctl kill --signal=KILL {unit} 2>/dev/null; systemctl reset-failed {unit}", check=False)
        selector = f"apiserver.kubernetes.io/identity=kube-apiserver,kubernetes.io/hostname={name}"
        lab.kubectl(f"-n kube-system delete lease -l {selector}")


def stale(lab: Lab) -> str:
    """What the source answers for a resource that its peer alone has, though it may reach that peer."""
    seen = lab.reach(SOURCE, PEER)
    want(seen == "200", f"the way from {SOURCE} to {PEER} is open", seen)
    status = lab.ask(SOURCE, NEW_PATH)[0]
    want(status == 404, f"{SOURCE} answers 404 for what {PEER} has", status)
    status = lab.ask(PEER, NEW_PATH)[0]
    return want(status == 200, f"{PEER} has it", status)


@contextlib.contextmanager
def cut_and_open(lab: Lab) -> t.Iterator[float]:
    """The peer becomes the target while the source can't reach it, and is within reach again. Yields since when."""
    with lab.cut(SOURCE, [PEER], "REJECT"):
        begun = time.time()
        if lab.version(PEER) == lab.target:
            lab.restart(PEER)
        else:
            lab.switch(PEER, lab.target)
        say(f"{SOURCE} is cut from {PEER} for {CUT_SECONDS:.0f} s")
        until("cut for long enough", lambda: time.time() - begun > CUT_SECONDS, timeout=CUT_SECONDS + 30, interval=1)
    yield time.time()


@contextlib.contextmanager
def stale_peer(lab: Lab) -> t.Iterator[Broken]:
    before = lab.version(PEER)
    try:
        with cut_and_open(lab):
            yield Broken((SOURCE, PEER), lambda: stale(lab))
    finally:
        if before == lab.old:
            lab.switch(PEER, lab.old)


# Objects of the cluster


@contextlib.contextmanager
def discovery_forbidden(lab: Lab) -> t.Iterator[Broken]:
    def check() -> str:
        seen = lab.reach(SOURCE, PEER)
        return want(seen == "403", f"{PEER} answers 403 to the servers' own user", seen)

    binding = json.loads(lab.kubectl("get clusterrolebinding system:discovery -o json"))
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        binding["metadata"].pop(field, None)
    lab.kubectl("delete clusterrolebinding system:discovery")
    try:
        until("the servers know that the binding is gone", lambda: lab.reach(SOURCE, PEER) == "403", timeout=15)
        yield Broken((), check)
    finally:
        lab.kubectl("create -f -", stdin=json.dumps(binding))


def crd(plural: str) -> dict[str, t.Any]:
    names = {"plural": plural, "singular": plural[:-1], "kind": "Widget", "listKind": "WidgetList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.evidence.example.org"},
        "spec": {
            "group": "evidence.example.org",
            "scope": "Namespaced",
            "names": names,
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def condition(lab: Lab, kind: str, name: str, type_: str) -> str:
    path = f'jsonpath={{.status.conditions[?(@.type=="{type_}")].status}}'
    return lab.kubectl(f"get {kind} {name} -o '{path}'").strip()


@contextlib.contextmanager
def crd_not_established(lab: Lab) -> t.Iterator[Broken]:
    """Two CRDs that claim one kind: the second one's names are not accepted."""
    first, second = "widgets.evidence.example.org", "gadgets.evidence.example.org"

    def check() -> str:
        seen = condition(lab, "crd", second, "Established")
        return want(seen == "False", f"{second} is not Established", seen)

    try:
        lab.kubectl("create -f -", stdin=json.dumps(crd("widgets")))
        until(f"{first} is Established", lambda: condition(lab, "crd", first, "Established") == "True")
        lab.kubectl("create -f -", stdin=json.dumps(crd("gadgets")))
        until(f"{second} is judged", lambda: condition(lab, "crd", second, "Established") == "False")
        yield Broken((), check)
    finally:
        lab.kubectl(f"delete crd --ignore-not-found {first} {second}")


@contextlib.contextmanager
def apiservice_unavailable(lab: Lab) -> t.Iterator[Broken]:
    name = "v1.aggregated.evidence.example.org"
    document = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": {
            "group": "aggregated.evidence.example.org",
            "version": "v1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 10,
            "insecureSkipTLSVerify": True,
            "service": {"name": "nobody", "namespace": "default"},
        },
    }

    def check() -> str:
        seen = condition(lab, "apiservice", name, "Available")
        return want(seen == "False", f"{name} is not Available", seen)

    try:
        lab.kubectl("create -f -", stdin=json.dumps(document))
        until(f"{name} is judged", lambda: condition(lab, "apiservice", name, "Available") == "False")
        yield Broken((), check)
    finally:
        lab.kubectl(f"delete apiservice --ignore-not-found {name}")


# The inventory


@contextlib.contextmanager
def address_is_load_balancer(lab: Lab) -> t.Iterator[Broken]:
    balancer = lab.client.server

    def check() -> str:
        mine = lab.sh(SOURCE, "ip -brief address show")
        want(f" {balancer.partition(':')[0]}/" not in mine, f"{balancer} is no address of {SOURCE}", mine)
        # Every server started at a time of its own.
        words = "process_start_time_seconds "
        texts = [lab.client.ask(balancer, "/metrics")[1] for dummy in range(2 * len(lab.hosts))]
        starts = {line for text in texts for line in text.splitlines() if line.startswith(words)}
        return want(len(starts) > 1, f"several servers answer at {balancer}", starts)

    document = copy.deepcopy(yaml.safe_load(lab.inventory.read_text()))
    document["kube_control_plane"]["hosts"][SOURCE]["control_plane_api_address"] = balancer
    path = lab.out / "load-balancer-inventory.yml"
    path.write_text(yaml.safe_dump(document))
    yield Broken((SOURCE,), check, inventory=path)


#: Every cause that a lab can have, what breaks the lab so, and what `upgrade` does about it.
CAUSES: dict[str, tuple[Breakage, str]] = {
    "gate_off": (gate_off, "stops"),
    "flag_missing": (flag_missing, "heals"),
    "peer_ca_mismatch": (peer_ca_mismatch, "stops"),
    "serving_name_missing": (serving_name_missing, "stops"),
    "front_proxy_name_not_allowed": (front_proxy_name_not_allowed, "stops"),
    "front_proxy_expired": (front_proxy_expired, "stops"),
    "requestheader_ca_differs": (requestheader_ca_differs, "stops"),
    "peer_filtered": (peer_filtered, "stops"),
    "peer_refused": (peer_refused, "stops"),
    "advertise_incomplete": (advertise_incomplete, "stops"),
    "duplicate_hostname": (duplicate_hostname, "stops"),
    "hostname_too_long": (hostname_too_long, "stops"),
    "dead_lease": (dead_lease, "heals"),
    "stale_peer": (stale_peer, "heals"),
    "discovery_forbidden": (discovery_forbidden, "stops"),
    "crd_not_established": (crd_not_established, "warns"),
    "apiservice_unavailable": (apiservice_unavailable, "warns"),
    "address_is_load_balancer": (address_is_load_balancer, "stops"),
}
#: Those that restart a server or leave its peers ignorant: the mended lab is asked at once, the others' all at the end.
WITHOUT_RESTART = {
    "peer_filtered",
    "peer_refused",
    "discovery_forbidden",
    "crd_not_established",
    "apiservice_unavailable",
    "address_is_load_balancer",
}
#: Those that it can't have, and why.
NOT_BREAKABLE = {
    "clock_skew": "the lab's containers share one clock; judged in the unit tests",
    "advertise_unreachable": "kube-apiserver 1.36.4 and 1.37.2 take --peer-advertise-ip and -port and announce"
    " --advertise-address all the same; judged in the unit tests",
}
