# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""A plan in words: for a terminal, and as Markdown for a change ticket."""

from __future__ import annotations

import typing as t

import jinja2

from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _plan
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._markdown import row

STATES = {
    "ready": "nothing stands in the way",
    "blocked": "does not go through as it stands",
    "nothing_to_do": "nothing to do",
}
#: As many resources as a terminal shows without hiding the rest of the plan.
SHOWN = 8

_TEMPLATE = """\
# Plan for {{ target }}: {{ states[state] }}

| | |
|---|---|
{{ row("plan", hash) }}
{{ row("made", made.at ~ ", run " ~ made.run) }}
{{ row("cluster", cluster.name ~ " (" ~ cluster.uid ~ ")") }}
{{ row("target, driver", target ~ ", " ~ driver) }}
{{ row("order", order | join(", ")) }}
{{ row("time", time) }}

## In the way

{% if obstacles %}
| gate | node | severity | observed | next action |
|---|---|---|---|---|
{% for gate in obstacles %}
{{ row(gate.id ~ " " ~ gate.verdict, gate.node ~ (" to " ~ gate.peer if gate.peer else ""), gate.severity,
       gate.observed, gate.next_action) }}
{% endfor %}
{% else %}
Nothing.
{% endif %}

{% if accepted_risks %}
## Accepted risks

| gate | reason | observed now |
|---|---|---|
{% for risk in accepted_risks %}
{{ row(risk.id, risk.reason, risk.observed | join("; ") or "it holds, or is not judged yet") }}
{% endfor %}

{% endif %}
## Servers and etcd now

| server | address | version | serves as | proxy |
|---|---|---|---|---|
{% for server in servers %}
{{ row(server.name, server.address, server.version, server.emulated_version, server.proxy) }}
{% endfor %}

| etcd member | version |
|---|---|
{% for member in etcd %}
{{ row(member.name, member.version) }}
{% endfor %}

## Steps

{% if steps %}
| | node | step | what is done | what differs | seconds |
|---|---|---|---|---|---|
{% for step in steps %}
{{ row(step.number, step.node or "the cluster", step.phase, step.does | join("; "), told(step.changes),
       step.estimated_seconds if step.estimated_seconds is not none else "") }}
{% endfor %}
{% else %}
None.
{% endif %}

## Not available meanwhile

{% for step in steps %}
{% for away in step.unavailable %}
- {{ step.number }}, {{ step.node }}: {{ "**the whole API**, " if away.whole else "" }}{{ away.what }}, {{ away.why }}
{% endfor %}
{% else %}
Nothing.
{% endfor %}

## Proxied during the mixed state

{{ proxied_words }}
{% for resource in proxied.new %}
- only the new servers: `{{ resource }}`
{% endfor %}
{% for resource in proxied.removed %}
- only the old servers: `{{ resource }}`
{% endfor %}

{% if kubeadm_diff %}
## kubeadm upgrade diff

{% for diff in kubeadm_diff %}
{% if diff.text %}
{{ diff.node }}:

```diff
{{ diff.text }}
```
{% else %}
{{ diff.node }}: {{ diff.reason }}
{% endif %}

{% endfor %}
{% endif %}
"""


def markdown(plan: _plan.Plan) -> str:
    """The whole plan as one Markdown document."""
    # Markdown, not HTML; there is nothing to escape but the cell's bar.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.globals.update(
        row=row, told=_plan.told, states=STATES, time=time(plan["estimate"]), proxied_words=proxied(plan["proxied"])
    )
    return environment.from_string(_TEMPLATE).render(**plan)


def terminal(plan: _plan.Plan) -> str:
    """What a person reads at the end of the play, in some screens at most."""
    lines = [
        "",
        f"Plan for {plan['target']}, driver {plan['driver']}: {STATES[plan['state']]}",
        f"  hash {plan['hash']}",
        "  now  "
        + ", ".join(f"{server['name']} {server['version'] or 'no answer'}" for server in plan["servers"])
        + (f"; etcd {', '.join(m['name'] + ' ' + (m['version'] or 'no answer') for m in plan['etcd'])}"),
    ]
    if plan["obstacles"]:
        lines += ["", "In the way"]
        for gate in plan["obstacles"]:
            where = (f" on {gate['node']}" if gate["node"] else "") + (f" to {gate['peer']}" if gate["peer"] else "")
            lines += [
                f"  {gate['severity']}: {gate['id']} {gate['verdict']}{where}: {gate['observed']}",
                f"    next action: {gate['next_action']}",
            ]
    for risk in plan["accepted_risks"]:
        lines.append(f"  accepted: {risk['id']} ({risk['reason']}): {'; '.join(risk['observed']) or 'it holds'}")
    if plan["steps"]:
        lines += ["", f"Steps, one node at a time, in the order {', '.join(plan['order'])}"]
        lines += [_step(step) for step in plan["steps"]]
        lines += ["", "Not available on the node of the step", *_away(plan["steps"])]
        lines += ["", "Proxied during the mixed state", f"  {proxied(plan['proxied'])}"]
        for key, words in (("new", "only the new servers"), ("removed", "only the old servers")):
            names = plan["proxied"][key]
            lines += [f"  {words}: {name}" for name in names[:SHOWN]]
            lines += [f"  {words}: {len(names) - SHOWN} more, see plan.md"] if len(names) > SHOWN else []
        for diff in plan["kubeadm_diff"]:
            words = f"{len(diff['text'].splitlines())} lines, see plan.md" if diff["text"] else diff["reason"]
            lines.append(f"  kubeadm upgrade diff on {diff['node']}: {words}")
        lines += ["", f"Time: {time(plan['estimate'])}"]
    return "\n".join(lines)


def _step(step: t.Mapping[str, t.Any]) -> str:
    seconds = f"{step['estimated_seconds']:.0f} s" if step["estimated_seconds"] is not None else ""
    differs = _plan.told(step["changes"])
    where = step["node"] or "the cluster"
    return f"  {step['number']:>3}  {where:<14} {step['phase']:<26} {seconds:>6}  {differs}".rstrip()


def _away(steps: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """What is away and why, once each, with the steps that it is so in; what takes all away comes first."""
    found: dict[tuple[bool, str, str], list[str]] = {}
    for step in steps:
        for one in step["unavailable"]:
            found.setdefault((not one["whole"], one["what"], one["why"]), []).append(str(step["number"]))
    return [
        f"  {'' if partly else 'THE WHOLE API: '}{what}: {why} (steps {', '.join(numbers)})"
        for (partly, what, why), numbers in sorted(found.items(), key=lambda entry: entry[0][0])
    ] or ["  nothing"]


def proxied(found: t.Mapping[str, t.Any]) -> str:
    """What is known of the difference between the versions, and from where."""
    if found["source"] == "unknown":
        return f"not known before the first node moves: {found['reason']}"
    count = len(found["new"]) + len(found["removed"])
    words = f"{count} resources differ between the versions" if count else "no resource differs between the versions"
    return f"{words}, by the shipped {found['source']}" + (f"; {found['reason']}" if found["reason"] else "")


def time(found: t.Mapping[str, t.Any]) -> str:
    """The time it may take, and by what; or that nothing tells."""
    if not found["runs"]:
        return "not estimated: no earlier run of an upgrade with this driver in the report folder"
    by = f"by {len(found['runs'])} earlier run{'s' if len(found['runs']) > 1 else ''} ({', '.join(found['runs'])})"
    by += f" {found['reason']}" if found["reason"] else ""
    if found["seconds"] is None:
        return f"not estimated: no earlier run went through {', '.join(found['without'])}; {by}"
    minutes, seconds = divmod(round(found["seconds"]), 60)
    return f"about {minutes} min {seconds} s, {by}"
