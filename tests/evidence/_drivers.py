# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`custom`, `kubelet`, `package`: a lab is taken to its target by the examples of docs/custom.md, and by apt."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import pathlib
import re
import subprocess
import sys
import threading
import typing as t

from _common import ROOT, Results
from _faults_meter import step_etcd
from _lab import Lab, Run, say
from _writes import measured

EXAMPLE = ROOT / "docs" / "custom"
BROKEN = "---\n- name: A task that fails\n  ansible.builtin.fail:\n    msg: this step says no\n"
#: The example leaves etcd alone, so nothing is asked of it here.
RISK = [{"id": "etcd_version", "reason": "shown by the evidence: the example does not touch etcd"}]


def dry_run(lab: Lab, results: Results, section: str, *arguments: str) -> None:
    """With `--check`, where an upgrade is to come."""
    run, written = measured(lab, lambda: lab.play("upgrade", *arguments, "--check"))
    results.case(
        f"{section}/dry_run",
        "exit code 0, nothing written",
        f"exit code {run.code}, {written}",
        not run.code and written.nothing,
    )


def again(lab: Lab, results: Results, section: str, *arguments: str) -> None:
    """Where an upgrade has been."""
    run = lab.play("upgrade", *arguments)
    results.case(f"{section}/again", "exit code 0, changed=0", f"exit code {run.code}, changed={run.changed}")


def custom(lab: Lab, results: Results) -> None:
    def given(**others: t.Any) -> tuple[str, ...]:
        points = ("step", "flags", "fetch", "put_back")
        variables = {f"control_plane_custom_{point}": [str(EXAMPLE / f"{point}.yml")] for point in points}
        variables.update({"control_plane_driver": "custom", "control_plane_accepted_risks": RISK, **others})
        return ("-e", json.dumps(variables))

    pids = lab.pids()

    def refused(id_: str, run: Run, words: str) -> None:
        touched = [host for host, pid in lab.pids().items() if pid != pids[host]]
        said = words in " ".join(run.output.split())
        seen = f"exit code {run.code}, {'' if said else 'not '}said so, restarted: {', '.join(touched) or 'none'}"
        results.case(id_, f"exit code not 0, '{words}', restarted: none", seen, run.code != 0 and said and not touched)

    say("section custom: what is refused")
    refused(
        "custom/no_step",
        lab.play("upgrade", *given(control_plane_custom_step=[])),
        "control_plane_custom_step is empty",
    )
    refused(
        "custom/no_flags",
        lab.play("upgrade", *given(control_plane_custom_flags=[])),
        "control_plane_custom_flags is empty",
    )
    old_etcd = lab.play("upgrade", *given(control_plane_accepted_risks=[]))
    refused("custom/etcd_too_old", old_etcd, "by your own means, or accept etcd_version")
    dry_run(lab, results, "custom", *given())

    say("section custom: a step that fails")
    broken = lab.out / "broken.yml"
    broken.write_text(BROKEN)
    step = [str(EXAMPLE / "step.yml"), str(broken)]
    run = lab.play("upgrade", *given(control_plane_custom_step=step))
    first = run.report["nodes"][0]["name"]
    said = "this step says no" in run.output and f"{first} is put back" in run.output
    at = sorted(set(lab.versions().values()))
    results.case(
        "custom/put_back",
        f"exit code 2, {first} put back, all servers at {lab.old} and ready",
        f"exit code {run.code}, {first} {'put back' if said else 'not put back'}, servers at {', '.join(at)}",
        run.code == 2 and said and at == [lab.old] and all(map(lab.ready, lab.hosts)),
    )

    say("section custom: the upgrade")
    run = lab.play("upgrade", *given())
    probes = [probe["verdict"] for probe in run.report.get("probes", []) if probe["direction"] == "new_only"]
    at = sorted(set(lab.versions().values()))
    results.case(
        "custom/upgrade",
        f"exit code 0, all servers at {lab.target}, proxied reads passed",
        f"exit code {run.code}, servers at {', '.join(at)}, proxied reads {', '.join(sorted(set(probes))) or 'none'}",
        run.code == 0 and at == [lab.target] and "passed" in probes and "failed" not in probes,
    )
    results.figure("custom/upgrade_seconds", run.seconds)
    again(lab, results, "custom", *given())


def changed_at(lab: Lab, path: str) -> list[str]:
    """When each node got that file as it is now, in the clock's words: they sort as the moments do."""
    script = f"TZ=UTC date --date=@$(stat --format=%Z {path}) '+%F %T'"
    return [lab.sh(host, script).strip() for host in lab.hosts]


def kubelet(lab: Lab, results: Results) -> None:
    """The kubeadm example. Its servers have the proxy's flag before, and etcd is stepped before: neither is its job."""
    step_etcd(lab)
    variables = {
        "control_plane_driver": "custom",
        "control_plane_custom_step": [str(EXAMPLE / "kubeadm_step.yml")],
        "control_plane_custom_kubelet": [str(EXAMPLE / "kubeadm_kubelet.yml")],
    }
    given = ("-e", json.dumps(variables))
    dry_run(lab, results, "kubelet", *given)
    run = lab.play("upgrade", *given)
    nodes = json.loads(lab.kubectl("get node -o json"))["items"]
    at = sorted({*lab.versions().values(), *(node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes)})
    results.case(
        "kubelet/upgrade",
        f"exit code 0, all servers and kubelets at {lab.target}",
        f"exit code {run.code}, servers and kubelets at {', '.join(at)}",
        run.code == 0 and at == [lab.target],
    )
    results.figure("kubelet/upgrade_seconds", run.seconds)
    servers = changed_at(lab, "/etc/kubernetes/manifests/kube-apiserver.yaml")
    switched = changed_at(lab, "/usr/bin/kubelet")
    in_order = [moment for dummy, moment in sorted(zip(servers, switched))]
    results.case(
        "kubelet/in_its_own_step",
        "each kubelet switched after the last server's manifest, one node at a time in the same order",
        f"manifests at {', '.join(servers)}; kubelets at {', '.join(switched)}",
        max(servers) < min(switched) and in_order == sorted(set(switched)),
    )
    again(lab, results, "kubelet", *given)


# Packages

#: Its own lists alone: the nodes have no way to Debian's.
APT = "-o Dir::Etc::sourcelist=/etc/apt/sources.list.d/kubernetes.list -o Dir::Etc::sourceparts=/dev/null"
HELD = ("kubeadm", "kubelet")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word for each request."""

    def log_message(self, format: str, *args: t.Any) -> None:
        pass


def gateway(lab: Lab) -> str:
    """This machine, as the nodes reach it."""
    return next(iter(lab.hosts.values())).rpartition(".")[0] + ".1"


@contextlib.contextmanager
def served(lab: Lab, folder: pathlib.Path) -> t.Iterator[str]:
    """A folder by http, to the lab's own network alone."""
    here = gateway(lab)
    server = http.server.ThreadingHTTPServer((here, 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{here}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def packaged(lab: Lab, host: str, url: str, key: str) -> None:
    """A node whose tools came by packages, as pkgs.k8s.io has them, and are held."""
    release = lab.old.removeprefix("v").rpartition(".")[0]
    version = f"{lab.old.removeprefix('v')}-1.1"
    source = f"deb [signed-by=/etc/apt/keyrings/kubernetes.asc] {url}/v{release}/deb/ /"
    lab.sh(
        host,
        "mkdir -p /etc/apt/keyrings; cat >/etc/apt/keyrings/kubernetes.asc;"
        f" echo '{source}' >/etc/apt/sources.list.d/kubernetes.list; apt-get {APT} -qq update;"
        f" apt-get {APT} -qq -y install {' '.join(f'{name}={version}' for name in ('kubeadm', 'kubelet', 'kubectl'))};"
        f" apt-mark hold {' '.join(HELD)}",
        stdin=key,
    )


def dpkg(lab: Lab, host: str) -> str:
    """The tools' versions and what is held, as dpkg has them."""
    form = "${db:Status-Want} ${Package} ${Version}\\n"
    return " ".join(lab.sh(host, f"dpkg-query -W -f '{form}' kubeadm kubectl kubelet").split())


def moved(lab: Lab, name: str) -> list[str]:
    """When each node's package was replaced."""
    pattern = rf"^(\S+ \S+) upgrade {name}:\S+ \S+ {re.escape(lab.target.removeprefix('v'))}-"
    logs = [lab.sh(host, "cat /var/log/dpkg.log") for host in lab.hosts]
    return [at for log in logs for at in re.findall(pattern, log, re.MULTILINE)]


def package(lab: Lab, results: Results) -> None:
    folder = lab.out / "packages"
    target = pathlib.Path(lab.variables["control_plane_binaries_directory"])
    sets = [f"{lab.old}={target.parent / lab.old}", f"{lab.target}={target}"]
    subprocess.run(
        [sys.executable, str(ROOT / "tests" / "tools" / "package_repository.py"), str(folder), *sets], check=True
    )
    key = folder / "key.asc"
    minors = {version: version.rpartition(".")[0] for version in (lab.old, lab.target)}
    with served(lab, folder) as url:
        for host in lab.hosts:
            packaged(lab, host, url, key.read_text())

        def given(version: str) -> tuple[str, ...]:
            variables = {
                "control_plane_kubeadm_binaries": "package",
                "control_plane_kubeadm_package_repository": f"{url}/{minors[version]}/deb/",
                "control_plane_kubeadm_package_key": str(key),
            }
            return ("-e", json.dumps(variables))

        def written_by(id_: str, words: str, expected: str, *arguments: str) -> None:
            run, written = measured(lab, lambda: lab.play("upgrade", *arguments))
            said = words in " ".join(run.output.split())
            seen = f"exit code {'0' if not run.code else 'not 0'}, {'' if said else 'not '}said so, {written}"
            results.case(
                id_,
                f"{expected}, '{words}', nothing written",
                seen,
                seen.startswith(expected) and said and written.nothing,
            )

        say("section package: the target in no repository, and the dry run")
        written_by("package/not_there", f"no kubeadm {lab.target} in", "exit code not 0", *given(lab.old))
        written_by(
            "package/dry_run",
            f"kubeadm {lab.target.removeprefix('v')}-1.1",
            "exit code 0",
            *given(lab.target),
            "--check",
        )
        say("section package: the upgrade")
        run = lab.play("upgrade", *given(lab.target))
        new = f"{lab.target.removeprefix('v')}-1.1"
        wanted = f"hold kubeadm {new} install kubectl {new} hold kubelet {new}"
        found = sorted({dpkg(lab, host) for host in lab.hosts})
        results.case("package/upgrade", f"exit code 0, {wanted}", f"exit code {run.code}, {'; '.join(found)}")
        kubeadms, kubelets = moved(lab, "kubeadm"), moved(lab, "kubelet")
        count = len(lab.hosts)
        results.case(
            "package/kubelet_in_its_own_step",
            "each node's kubelet replaced once, after the last kubeadm",
            f"kubeadm at {', '.join(kubeadms)}; kubelet at {', '.join(kubelets)}",
            len(kubeadms) == len(kubelets) == count and max(kubeadms) < min(kubelets),
        )
        results.figure("package/upgrade_seconds", run.seconds)
        again(lab, results, "package", *given(lab.target))
