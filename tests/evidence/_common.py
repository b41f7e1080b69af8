# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the evidence commands share: the results' file, a reader of the API, and the playbooks' runs."""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import platform
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
import urllib.parse

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "evidence"
#: Where labs and checks keep what they downloaded and built.
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "mixedversion-kubernetes"


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def epoch(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def events(report_directory: pathlib.Path) -> list[dict[str, t.Any]]:
    return [json.loads(line) for line in (report_directory / "journal.jsonl").read_text().splitlines()]


#: What to do, once, as soon as a playbook prints a text; it is given the playbook's process.
At = t.Mapping[str, t.Callable[["subprocess.Popen[str]"], None]]


def kill(process: subprocess.Popen[str]) -> None:
    """With all its forks, as by a controller that loses its power."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def playbook(
    name: str, *arguments: str, log: pathlib.Path | None = None, killed_at: str = "", at: At | None = None
) -> tuple[int, str, float]:
    """Run a playbook as a user would: exit code, what it printed, seconds. That goes to *log*, or is shown.

    As soon as it prints *killed_at* it is killed; *at* has whatever else shall happen on the way.
    """
    due = {**(at or {}), **({killed_at: kill} if killed_at else {})}
    begun = time.monotonic()
    done = subprocess.Popen(
        ["ansible-playbook", f"mixedversion.kubernetes.{name}", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines = []
    with contextlib.ExitStack() as stack:
        # Whatever ends this command ends the playbook: nothing works on a lab that is being mended.
        stack.callback(end, done)
        out = stack.enter_context(log.open("w")) if log else sys.stderr
        for line in done.stdout or ():
            out.write(line)
            lines.append(line)
            for text in [text for text in due if text in line]:
                due.pop(text)(done)
        code = done.wait()
    return code, "".join(lines), time.monotonic() - begun


def end(process: subprocess.Popen[t.Any]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait()


class Results:
    """The file an evidence command leaves (design of the report: name, machine, times, cases, figures, not_run).

    *only* chooses what is made anew, by an id or the part of it before a slash; what an earlier run found of the rest
    is kept. Written after every case, so that what was found is there whatever ends the command.
    """

    def __init__(self, name: str, only: t.Sequence[str] = ()) -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        self.path = OUT / f"{name}.json"
        self.name = name
        self.only = tuple(only)
        self.started = now()
        self.cases: list[dict[str, t.Any]] = []
        self.figures: dict[str, float] = {}
        self.not_run: list[dict[str, str]] = []
        if self.only and self.path.exists():
            former = json.loads(self.path.read_text())
            self.started = former["started"]
            self.cases = [entry for entry in former["cases"] if not self.wants(entry["id"])]
            self.figures = {key: value for key, value in former["figures"].items() if not self.wants(key)}
            self.not_run = [entry for entry in former["not_run"] if not self.wants(entry["id"])]

    def wants(self, id_: str) -> bool:
        """Whether *id_*, or anything below or above it, was asked for."""
        return not self.only or any(f"{id_}/".startswith(f"{o}/") or o.startswith(f"{id_}/") for o in self.only)

    def case(self, id_: str, expected: t.Any, observed: t.Any, passed: bool | None = None) -> bool:
        ok = expected == observed if passed is None else bool(passed)
        self._forget(id_)
        self.cases.append({"id": id_, "expected": str(expected), "observed": str(observed), "passed": ok})
        self.write()
        return ok

    def figure(self, name: str, value: float) -> None:
        self.figures[name] = round(value, 3)
        self.write()

    def left_out(self, id_: str, why: str) -> None:
        self._forget(id_)
        self.not_run.append({"id": id_, "why": why})
        self.write()

    def _forget(self, id_: str) -> None:
        self.cases = [entry for entry in self.cases if entry["id"] != id_]
        self.not_run = [entry for entry in self.not_run if entry["id"] != id_]

    def write(self) -> None:
        result = {
            "name": self.name,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "started": self.started,
            "finished": now(),
            "cases": self.cases,
            "figures": self.figures,
            "not_run": self.not_run,
        }
        unfinished = self.path.with_suffix(".new")
        unfinished.write_text(json.dumps(result, indent=2) + "\n")
        unfinished.replace(self.path)

    def table(self) -> int:
        """Print everything, and say by the exit code whether all cases passed."""
        for entry in self.cases:
            mark = "passed" if entry["passed"] else "FAILED"
            print(f"{mark}  {entry['id']}: {entry['observed']} (expected {entry['expected']})")
        for name, value in self.figures.items():
            print(f"{value:>10}  {name}")
        for left in self.not_run:
            print(f"not run  {left['id']}: {left['why']}")
        return 0 if self.cases and all(entry["passed"] for entry in self.cases) else 1


class Client:
    """The administrator that a kubeconfig names, with connections to any address that its CA vouches for."""

    def __init__(self, kubeconfig: pathlib.Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=ca)
        with tempfile.TemporaryDirectory() as folder:
            for name, key in (("cert", "client-certificate-data"), ("key", "client-key-data")):
                path = pathlib.Path(folder, name)
                path.touch(mode=0o600)
                path.write_bytes(base64.b64decode(user[key]))
            self.context.load_cert_chain(f"{folder}/cert", f"{folder}/key")
        url = urllib.parse.urlsplit(cluster["server"])
        #: Where the kubeconfig leads: the load balancer.
        self.server = f"{url.hostname}:{url.port}"

    def connect(self, address: str, timeout: float) -> http.client.HTTPSConnection:
        host, dummy, port = address.partition(":")
        return http.client.HTTPSConnection(host, int(port or 6443), timeout=timeout, context=self.context)

    def ask(
        self, address: str, path: str, headers: t.Mapping[str, str] | None = None, timeout: float = 5.0
    ) -> tuple[int, str]:
        """Status and text of one GET; status 0 and the error's words where there was no answer."""
        connection = self.connect(address, timeout)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()


class Reader(threading.Thread):
    """One request each *interval* to one address. A connection of its own for each, unless *keep*."""

    def __init__(
        self,
        client: Client,
        path: str,
        address: str = "",
        interval: float = 0.1,
        timeout: float = 2.0,
        keep: bool = False,
        retry: bool = False,
    ) -> None:
        super().__init__(daemon=True)
        self.client, self.path, self.address = client, path, address or client.server
        self.interval, self.timeout, self.keep = interval, timeout, keep
        #: Once more, over a new connection, where the first was lost: what a well-behaved client does.
        self.retry = retry
        self.answers: list[tuple[float, int]] = []
        self.done = threading.Event()

    def run(self) -> None:
        connection = self.client.connect(self.address, self.timeout)
        while not self.done.wait(self.interval):
            at = time.time()
            status = 0
            for dummy in range(2 if self.retry else 1):
                try:
                    connection.request("GET", self.path)
                    response = connection.getresponse()
                    response.read()
                    status = response.status
                    break
                except TimeoutError:
                    break
                except (OSError, http.client.HTTPException):
                    connection.close()
            if not (self.keep and status):
                connection.close()
            self.answers.append((at, status))
        connection.close()

    def stop(self) -> None:
        self.done.set()
        self.join()

    def gap(self) -> float:
        """The longest time, in seconds, from one answer 200 to the next."""
        good = [at for at, status in self.answers if status == 200]
        return max((later - at for at, later in zip(good, good[1:])), default=float("inf"))

    def count(self, since: float, until: float = float("inf")) -> dict[int, int]:
        found: dict[int, int] = {}
        for at, status in self.answers:
            if since <= at < until:
                found[status] = found.get(status, 0) + 1
        return found
