# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Where a run's meters write (``_meter``), for those who read it: the controller too, which need not know the API."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import time

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node

#: What the endpoint of the kubeconfig is called among the targets.
LOAD_BALANCER = "load balancer"
#: What the meter is called that asks the servers and the load balancer.
SERVERS = "servers"
#: The folder of a run's meters within the run's, and files in it.
FOLDER = "availability"
ALIVE, STOP, SUFFIX = "alive", "stop", ".jsonl"
#: How often a meter looks whether to go on, in seconds.
LOOK = 0.25


@dataclasses.dataclass(frozen=True)
class Folder:
    """Where the meters of one run write, on the host they run on.

    That is the run's own folder where the controller is that host, so that nothing has to be fetched. ``pid`` is then
    the process of the run, without which there is no use in going on; 0 elsewhere.
    """

    path: str
    pid: int = 0

    @classmethod
    def of(cls, run_directory: str) -> Folder:
        journal = os.path.join(run_directory, "journal.jsonl")
        try:
            with open(journal, encoding="utf-8") as file:
                pid = int(json.loads(file.readline())["pid"])
        except (OSError, ValueError, LookupError):
            name = os.path.basename(os.path.normpath(run_directory))
            return cls(os.path.expanduser(os.path.join("~", ".ansible", "mixedversion-kubernetes", name)))
        return cls(os.path.join(run_directory, FOLDER), pid)

    @property
    def local(self) -> bool:
        return self.pid > 0

    def make(self) -> None:
        os.makedirs(self.path, mode=0o755 if self.local else 0o700, exist_ok=True)
        self.touch()

    def file(self, name: str) -> str:
        return os.path.join(self.path, name + SUFFIX)

    def names(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(name[: -len(SUFFIX)] for name in os.listdir(self.path) if name.endswith(SUFFIX))
        return []

    def touch(self) -> None:
        """Tell the meters that their run goes on."""
        with open(os.path.join(self.path, ALIVE), "w", encoding="utf-8"):
            pass

    def stop(self) -> None:
        """Tell the meters that their run is over."""
        with open(os.path.join(self.path, STOP), "w", encoding="utf-8"):
            pass

    def goes_on(self, patience: float) -> bool:
        """Whether the run is still there: not stopped, its process alive, and not silent for longer than *patience*."""
        if os.path.exists(os.path.join(self.path, STOP)):
            return False
        if self.local:
            return _node.alive(self.pid)
        with contextlib.suppress(FileNotFoundError):
            return time.time() - os.stat(os.path.join(self.path, ALIVE)).st_mtime < patience
        return False

    def running(self) -> list[str]:
        """The meters that hold their file's lock, which ends with their process."""
        found = []
        for name in self.names():
            with open(self.file(name), encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.append(name)
        return found
