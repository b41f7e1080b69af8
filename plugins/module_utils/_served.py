# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What the servers will serve once they are upgraded, held against what they serve now: before anything is upgraded.

What a server serves itself today is asked of it. What changes with a minor stands in a table that was recorded from the
real servers (``_served_table``, made by tests/tools/served.py). What a cluster switches on or off by
``--runtime-config`` is in what is served today; of what is new, only what is switched off by name can be known. Where
there is no table, or more hangs on a flag than the table tells, that is said and not guessed.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _served_table, _version

TABLE = "table"
UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Difference:
    """What an upgrade of all servers changes. A resource is ``group/version/resource``.

    ``new``: what the target serves, with the servers that lack it today. ``removed``: what servers serve today, with
    those servers, and the target knows no more. ``source`` is unknown where no table holds the way to the target; both
    are empty then. ``unknown`` says in sentences what else is not known, ``table`` or not.
    """

    new: t.Mapping[str, tuple[str, ...]]
    removed: t.Mapping[str, tuple[str, ...]]
    source: str
    unknown: tuple[str, ...] = ()


def difference(
    own: t.Mapping[str, t.AbstractSet[str]],
    target: _version.Version,
    minors: t.Mapping[str, str],
    flags: t.Mapping[str, t.Mapping[str, str]],
) -> Difference:
    """What changes when every server becomes *target*. All three mappings are by the server's name.

    *own* is what each serves itself, *minors* the minor whose API it serves now (``1.36``: the emulated one), *flags*
    those it runs with, as :mod:`_proxy` reads them; a server missing in one of them could not be read.
    """
    new: dict[str, list[str]] = {}
    removed: dict[str, list[str]] = {}
    unknown: list[str] = []
    tables = True
    for name, minor in minors.items():
        if name not in own or not minor:
            unknown.append(f"what {name} serves could not be read")
            continue
        if not flags.get(name):
            unknown.append(f"the flags of {name} could not be read")
        given = flags.get(name, {})
        # An emulated version stays when the binary is replaced, and with it the API of that minor.
        end = emulated(given.get("emulated-version", "")) or target.release
        hops = _hops(minor, end)
        if any(hop not in _served_table.NEW for hop in hops):
            tables = False
            unknown.append(f"no table tells what changes from {minor} to {end}")
            continue
        settings = runtime_config(given.get("runtime-config", ""))
        coming = _resources(_served_table.NEW, hops)
        going = _resources(_served_table.REMOVED, hops)
        dropped = _resources(_served_table.DROPPED, hops) - {r for r in own[name] if settings.get(_group_version(r))}
        for resource in sorted(coming - going - own[name]):
            if settings.get(resource, settings.get(_group_version(resource), True)):
                new.setdefault(resource, []).append(name)
        for resource in sorted(own[name] & (going | dropped)):
            removed.setdefault(resource, []).append(name)
        for setting in _open(settings, _resources(_served_table.INTRODUCED, hops)):
            unknown.append(f"--runtime-config={setting} of {name} may switch on or off more than the table tells")
    if not tables:
        return Difference({}, {}, UNKNOWN, tuple(unknown))
    return Difference(
        {resource: tuple(names) for resource, names in sorted(new.items())},
        {resource: tuple(names) for resource, names in sorted(removed.items())},
        TABLE,
        tuple(unknown),
    )


def emulated(value: str) -> str:
    """The minor of Kubernetes in ``--emulated-version``: ``1.36``, ``kube=1.36``, ``wardle=1.2,kube=1.36``."""
    for part in value.split(","):
        component, equals, minor = part.strip().rpartition("=")
        if not equals or component == "kube":
            return minor.removeprefix("v")
    return ""


def runtime_config(value: str) -> dict[str, bool]:
    """``batch/v1=false,api/beta`` as what is switched on and off; a bare name is on, as for the server."""
    found = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, dummy, word = part.partition("=")
        found[name] = word.lower() not in ("false", "0", "f")
    return found


def _group_version(resource: str) -> str:
    return resource.rpartition("/")[0]


def _hops(start: str, end: str) -> list[str]:
    """The minors that lie after *start*, up to *end*."""
    major, first = (int(part) for part in start.split(".")[:2])
    last = int(end.split(".")[1])
    return [f"{major}.{minor}" for minor in range(first + 1, last + 1)]


def _resources(table: _served_table.Table, hops: t.Iterable[str]) -> set[str]:
    return {
        f"{group_version}/{resource}"
        for hop in hops
        for group_version, resources in table.get(hop, {}).items()
        for resource in resources
    }


def _open(settings: t.Mapping[str, bool], introduced: t.AbstractSet[str]) -> list[str]:
    """The settings that decide about what only the target knows in a way that hangs on its feature gates as well."""
    return [
        f"{name}={'true' if on else 'false'}"
        for name, on in settings.items()
        if introduced and (re.match(r"^api/(all|ga|beta|alpha|legacy)$", name) or (on and _touches(name, introduced)))
    ]


def _touches(name: str, introduced: t.AbstractSet[str]) -> bool:
    return any(resource == name or _group_version(resource) == name for resource in introduced)
