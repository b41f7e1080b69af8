# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What a client of the API sees while the control plane is worked on: the same request to each target, again and again.

The client is a well-behaved one: it keeps its connection, and where that is lost or can't be made it tries once more
over a new one. What the second try brings is what counts; that a second was needed is counted apart. Where an answer
is no 2xx, or does not come in time, it does not ask again.

What was seen goes into a file of JSON lines, one for each second, so that nothing but the last second is lost with the
process: ``{"at": <epoch seconds>, "seconds": <length>, "targets": {<name>: <tally>}}``. A tally has ``requests``,
``failed`` and ``retried`` (numbers by kind; retried are those that the second try brought), ``messages`` (by kind what
the first failed one was told, in a line), ``slowest`` (seconds that the slowest answer took) and ``down``: pairs of
epoch seconds, from when the first of some failures in a row was sent to when the next request was answered; the end is
null while there is none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import threading
import time
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _meter_folder

with contextlib.suppress(ImportError):  # _api.connect says so
    import urllib3

#: Exists always, and a GET of one object by name is a read that goes through etcd (a list could come from a cache).
#: It passes authentication, authorization, and priority and fairness on its way; /healthz and /readyz do not.
PATH = "/api/v1/namespaces/kube-system"
#: A connection that did not come about, or was lost: what a client tries again.
LOST = frozenset(["refused", "reset"])
FLUSH = 1.0


def kind_of(error: _api.ApiError) -> str:
    """What a request ended with that was not answered."""
    cause = error.__cause__
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return "refused"
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        return "timeout"
    if isinstance(cause, urllib3.exceptions.SSLError):
        # One that ends within the handshake is lost; what else goes wrong there is a certificate or a protocol.
        return "reset" if "EOF" in str(cause) else "tls"
    return "reset"


def kind_of_status(status: int) -> str:
    """The kind of failure that a status is; empty for a success."""
    if 200 <= status <= 299:
        return ""
    if status in (404, 429):
        return str(status)
    return "5xx" if status >= 500 else "4xx"


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of one request."""

    #: The kind of failure, empty for none.
    failed: str
    #: What a failed one was told, in a line.
    message: str = ""
    #: The kind of failure that made a second try necessary, empty for none.
    first: str = ""


def ask(server: _api.Server, path: str, timeout: float) -> Result:
    """Send one request as a well-behaved client does."""
    first = _once(server, path, timeout)
    if first.failed not in LOST:
        return first
    return dataclasses.replace(_once(server, path, timeout), first=first.failed)


def _once(server: _api.Server, path: str, timeout: float) -> Result:
    try:
        answer = server.request("GET", path, timeout=urllib3.Timeout(total=timeout))
    except _api.ApiError as error:
        return Result(kind_of(error), str(error))
    failed = kind_of_status(answer.status)
    return Result(failed, f"{answer.status} {answer.words}" if failed else "")


@dataclasses.dataclass
class Tally:
    """What was seen of one target in one second."""

    requests: int = 0
    slowest: float = 0.0
    failed: dict[str, int] = dataclasses.field(default_factory=dict)
    retried: dict[str, int] = dataclasses.field(default_factory=dict)
    messages: dict[str, str] = dataclasses.field(default_factory=dict)
    down: list[tuple[float, float | None]] = dataclasses.field(default_factory=list)

    def dump(self) -> dict[str, t.Any]:
        told: dict[str, t.Any] = {"requests": self.requests, "slowest": round(self.slowest, 3)}
        told.update({key: value for key in ("failed", "retried", "messages", "down") if (value := getattr(self, key))})
        return told


class Target(threading.Thread):
    """Asks one target each *period*; one that hangs stops the clock of no other."""

    def __init__(self, name: str, server: _api.Server, path: str, period: float, timeout: float) -> None:
        super().__init__(name=name, daemon=True)
        self._server, self._path, self._period, self._timeout = server, path, period, timeout
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._tally = Tally()
        self._down: float | None = None

    def run(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            self.once()
            # What could not be asked while an answer was waited for is not made up for.
            due = max(due + self._period, time.monotonic())

    def once(self) -> None:
        sent, begun = time.time(), time.monotonic()
        result = ask(self._server, self._path, self._timeout)
        failed, first = result.failed, result.first
        took = time.monotonic() - begun
        with self._lock:
            tally = self._tally
            tally.requests += 1
            tally.slowest = max(tally.slowest, took)
            if first and not failed:
                tally.retried[first] = tally.retried.get(first, 0) + 1
            if failed:
                tally.failed[failed] = tally.failed.get(failed, 0) + 1
                tally.messages.setdefault(failed, result.message)
                if self._down is None:
                    self._down = sent
                    tally.down.append((round(sent, 3), None))
            elif self._down is not None:
                tally.down.append((round(self._down, 3), round(sent + took, 3)))
                self._down = None

    def take(self) -> Tally:
        """What was seen since it was last taken."""
        with self._lock:
            tally, self._tally = self._tally, Tally()
        return tally

    def stop(self) -> None:
        self._stopped.set()


class Meter:
    """Some targets, and the file that tells what was seen of them."""

    def __init__(self, path: str, targets: t.Sequence[Target]) -> None:
        self._path = path
        self._targets = targets

    def run(self, goes_on: t.Callable[[], bool]) -> None:
        """Ask until *goes_on* says no. Whoever holds the file's lock is the one that writes it."""
        with open(self._path, "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for target in self._targets:
                target.start()
            begun = time.time()
            while goes_on():
                # Requests go by threads of their own; this looks whether to end, and whether to write.
                time.sleep(_meter_folder.LOOK)
                if time.time() - begun >= FLUSH:
                    begun = self._write(file, begun)
            for target in self._targets:
                target.stop()
            for target in self._targets:
                target.join()
            self._write(file, begun)

    def _write(self, file: t.TextIO, begun: float) -> float:
        now = time.time()
        seen = {target.name: target.take().dump() for target in self._targets}
        line = {"at": round(begun, 3), "seconds": round(now - begun, 3), "targets": seen}
        file.write(json.dumps(line) + "\n")
        file.flush()
        return now
