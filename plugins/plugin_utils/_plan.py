# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The plan of an upgrade, its hash, and whether a plan still holds.

A plan is made from what the readers found and from nothing else. Its hash covers what matters (``HASHED``): no time, no
run id, no verdict of a gate.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _version
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _plan_steps

SCHEMA_VERSION = 1
#: What the hash covers, of a plan.
HASHED = ("cluster_uid", "target", "driver", "servers", "etcd", "order", "settings", "accepted_risks", "steps")

Plan = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Change:
    """One field of two plans that is not the same; None where it is missing."""

    field: tuple[str, ...]
    planned: str | None
    now: str | None

    def __str__(self) -> str:
        words = [text if text is not None else "not there" for text in (self.planned, self.now)]
        return f"{' '.join(word for word in self.field if word)}: planned {words[0]}, now {words[1]}"


def make(facts: _plan_steps.Facts) -> Plan:
    """A plan with its hash; what is known besides (obstacles, times, what is proxied) is laid over it later."""
    plan: Plan = {
        "schema_version": SCHEMA_VERSION,
        "cluster": facts["cluster"],
        "target": facts["target"],
        "driver": facts["driver"],
        "servers": [
            {
                "name": proxy["name"],
                "address": proxy["address"],
                "version": proxy["version"],
                "emulated_version": proxy["emulated_version"],
                "proxy": proxy["state"],
            }
            for proxy in sorted(facts["proxies"], key=lambda proxy: str(proxy["name"]))
        ],
        "etcd": [
            {"name": member["name"], "version": member["version"]}
            for member in sorted(facts["etcd"].get("members", []), key=lambda member: str(member["name"]))
        ],
        "order": facts["order"],
        "settings": facts["settings"],
        "accepted_risks": sorted(facts["accepted_risks"], key=lambda risk: str(risk["id"])),
        "steps": _plan_steps.steps(facts),
    }
    return {**plan, "hash": digest(plan)}


def hashed(plan: Plan) -> dict[str, t.Any]:
    """What of a plan its hash covers."""
    whole = {
        **plan,
        "cluster_uid": plan["cluster"]["uid"],
        # Whether its flags are to be set is what matters; whether it works now, its gates say.
        "servers": [
            {**server, "proxy": "off" if server["proxy"] in ("off", "gate_only") else "on"}
            for server in plan["servers"]
        ],
        "accepted_risks": [{key: risk[key] for key in ("id", "reason")} for risk in plan["accepted_risks"]],
        "steps": [
            {key: step[key] for key in ("phase", "node", "changes")}
            for step in plan["steps"]
            if step["phase"] != _plan_steps.DEAD_LEASES
        ],
    }
    return {key: whole[key] for key in HASHED}


def digest(plan: Plan) -> str:
    """SHA-256 over the canonical JSON of what matters."""
    text = json.dumps(hashed(plan), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read(text: str) -> Plan:
    """A plan from its file; a :class:`ValueError` says why it is none."""
    try:
        plan = json.loads(text)
        if plan["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"its schema_version is {plan['schema_version']}, expected {SCHEMA_VERSION}")
        found = digest(plan)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no plan.json: {type(error).__name__} {error}") from error
    if plan.get("hash") != found:
        raise ValueError(f"its content has the hash {found[:12]}, but it says {str(plan.get('hash'))[:12]}")
    return dict(plan)


# Whether it holds


def differences(planned: Plan, now: Plan) -> list[Change]:
    """Field by field, what the hash covers and is not the same."""
    before, after = _fields(planned), _fields(now)
    found = [
        Change(field, before.get(field), after.get(field))
        for field in [*before, *(field for field in after if field not in before)]
        if before.get(field) != after.get(field)
    ]
    sequences = [[key for key in fields if key[0] == "step"] for fields in (before, after)]
    if not found and sequences[0] != sequences[1]:
        found = [Change(("order of the steps",), *(", ".join(" ".join(key[1:]) for key in s) for s in sequences))]
    return found


def _fields(plan: Plan) -> dict[tuple[str, ...], str]:
    held = hashed(plan)
    fields: dict[tuple[str, ...], str] = {
        ("cluster",): held["cluster_uid"],
        ("target",): held["target"],
        ("driver",): held["driver"],
        ("order",): ", ".join(held["order"]),
    }
    for server in held["servers"]:
        for key in ("address", "version", "emulated_version", "proxy"):
            fields["server", server["name"], key.replace("_", " ")] = server[key]
    for member in held["etcd"]:
        fields["etcd member", member["name"]] = member["version"]
    for key, value in held["settings"].items():
        fields["setting", key] = json.dumps(value, sort_keys=True)
    for risk in held["accepted_risks"]:
        fields["accepted risk", risk["id"]] = risk["reason"]
    for step in held["steps"]:
        fields["step", step["phase"], f"on {step['node']}" if step["node"] else ""] = told(step["changes"]) or "there"
    return fields


def told(changes: t.Iterable[t.Mapping[str, str]]) -> str:
    """A step's changes in one line, those of one kind together."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in changes:
        found.setdefault((entry["from"], entry["to"]), []).append(entry["what"])
    return "; ".join(f"{', '.join(names)} {before} -> {after}" for (before, after), names in found.items())


def standing(planned: Plan, now: Plan, half_done: bool) -> list[Change]:
    """What stands against the plan; nothing, if it holds.

    With *half_done*, an earlier run that this one resumes has carried a part of it out. Then each server, member and
    step may be as the plan found it or as the plan leaves it, and what is left must be a part of the plan.
    """
    found = differences(planned, now)
    return [entry for entry in found if not _progress(entry, planned, now)] if half_done else found


def _progress(entry: Change, planned: Plan, now: Plan) -> bool:
    """Whether the plan itself makes this difference."""
    kind, name = entry.field[0], entry.field[1] if len(entry.field) > 1 else ""
    target = str(planned["target"])
    if kind == "server":
        moved = any(server["name"] == name and server["version"] == target for server in now["servers"])
        ends = {"version": target, "emulated version": _version.parse(target).release, "proxy": "on"}
        return entry.now == ends.get(entry.field[2]) and (moved or entry.field[2] == "proxy")
    if kind == "etcd member":
        brought = {change["to"] for step in planned["steps"] for change in step["changes"] if change["what"] == "etcd"}
        return entry.now in brought or (_plan_steps.UNKNOWN in brought and bool(entry.now))
    if kind == "step":
        return entry.planned is not None and (entry.now is None or _within(entry.field, planned, now))
    return False


def _within(field: tuple[str, ...], planned: Plan, now: Plan) -> bool:
    """Whether a step that is left leads where the planned one does, from wherever it begins now."""

    def ends(plan: Plan) -> dict[str, str]:
        return {
            entry["what"]: entry["to"]
            for step in plan["steps"]
            if step["phase"] == field[1] and (f"on {step['node']}" if step["node"] else "") == field[2]
            for entry in step["changes"]
        }

    wanted = ends(planned)
    return all(
        wanted.get(what) in (to, _plan_steps.UNKNOWN) or to == _plan_steps.UNKNOWN for what, to in ends(now).items()
    )
