# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""etcd's settings, which come from flags, the environment or a file, and those of them that 3.7 no longer has.

Source: ``etcd --help`` of 3.6.14 and 3.7.0, and both started with each flag. 3.7.0 does not start with a flag that it
does not know. A variable it ignores with a line in its log, a key in its file without one.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _version

#: etcd's own upgrade guide to 3.7 wants every member at this or later first.
BEFORE_3_7 = _version.parse("3.6.11")
#: kubeadm from this release on brings etcd 3.7.
RELEASE_WITH_3_7 = (1, 37)

FLAG = "flag"
ENVIRONMENT = "environment"
FILE = "file"

_PREFIX = "experimental-"
#: What took a removed flag's place, where that is more than its name without ``experimental-``. 3.6 has both.
_GATES = {
    "experimental-compact-hash-check-enabled": "CompactHashCheck",
    "experimental-enable-lease-checkpoint": "LeaseCheckpoint",
    "experimental-enable-lease-checkpoint-persist": "LeaseCheckpointPersist",
    "experimental-initial-corrupt-check": "InitialCorruptCheck",
    "experimental-stop-grpc-service-on-defrag": "StopGRPCServiceOnDefrag",
    "experimental-txn-mode-write-with-shared-buffer": "TxnModeWriteWithSharedBuffer",
}
#: Removed without anything in their place: 3.7's discovery is ``discovery-endpoints``; v2 went with 3.6 already.
_GONE = frozenset(["discovery", "discovery-proxy", "enable-v2"])


def removed(name: str) -> bool:
    """Whether etcd 3.7 refuses a flag of this name."""
    return name.startswith(_PREFIX) or name in _GONE


def instead(name: str) -> str:
    """What to write instead of a removed flag, already before the upgrade; empty if it is to be left out."""
    if name in _GONE:
        return ""
    if name in _GATES:
        return f"--feature-gates={_GATES[name]}=true"
    return f"--{name[len(_PREFIX) :]}"


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting by its flag's name; its value is nobody's business. ``where`` is a file, or says there is none."""

    name: str
    how: str
    where: str

    def dump(self) -> dict[str, str]:
        return dataclasses.asdict(self)


def of_environment(environment: t.Mapping[str, str]) -> dict[str, str]:
    """Variables by the name of the flag each stands for: ``ETCD_DATA_DIR`` is ``data-dir``."""
    return {
        name[len("ETCD_") :].lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith("ETCD_")
    }


def of_file(text: str) -> dict[str, str]:
    """The keys of etcd's configuration file that stand at its top, with their values as far as they are plain."""
    pairs = re.findall(r"^([a-z][a-z0-9-]*):[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)
    return {name: value.strip("'\"") for name, value in pairs}


def place(name: str, how: str, texts: t.Mapping[str, str]) -> str:
    """Which of the files in *texts*, by path, has the setting; the last one, as it wins."""
    pattern = {
        FLAG: rf"--{re.escape(name)}(?![a-z0-9-])",
        ENVIRONMENT: rf"\bETCD_{re.escape(name.upper().replace('-', '_'))}=",
        FILE: rf"^{re.escape(name)}:",
    }[how]
    found = [path for path, text in texts.items() if re.search(pattern, text, re.MULTILINE)]
    return found[-1] if found else "the running process (in no file that systemd knows)"
