# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The report as Markdown, short enough for a change ticket."""

from __future__ import annotations

import typing as t

import jinja2

_TEMPLATE = """\
# Control plane {{ run.playbook or "upgrade" }}: {{ run.result }}

| | |
|---|---|
{{ row("run", run.id ~ (" (check mode)" if run.check_mode else "")
       ~ (", resumes " ~ run.resumes if run.resumes else "")) }}
{{ row("playbook", run.playbook) }}
{{ row("cluster", cluster.name ~ " (" ~ cluster.uid ~ ")") }}
{% if cluster.version_target %}
{{ row("from, to", cluster.version_before ~ " to " ~ cluster.version_target) }}
{% endif %}
{{ row("started, finished", run.started ~ ", " ~ (run.finished or "not yet")) }}
{% if run.plan_hash %}
{{ row("plan", run.plan_hash) }}
{% endif %}
{% if run.failed_gate %}
{{ row("failed gate", run.failed_gate ~ (" on " ~ run.failed_node if run.failed_node else "")) }}
{% endif %}
{% if run.next_action %}
{{ row("next action", run.next_action) }}
{% endif %}
{% if backup %}
{{ row("backup", ("verified" if backup.verified else "NOT verified") ~ ", " ~ backup.size_bytes
       ~ " bytes, revision " ~ backup.revision ~ ", sha256 " ~ backup.sha256) }}
{% endif %}

{% if findings or run.playbook == "diagnose" %}
## Findings

{% if findings %}
| cause | server | confidence | evidence | next action |
|---|---|---|---|---|
{% for finding in findings %}
{{ row(finding.cause ~ (" (repaired)" if finding.repaired else "" if finding.root else " (follows)"),
       finding.server ~ (" to " ~ finding.peer if finding.peer else ""), finding.confidence, finding.evidence,
       finding.next_action) }}
{% endfor %}
{% else %}
None.
{% endif %}

{% endif %}
## Servers

| server | address | before | after | proxy before | proxy after |
|---|---|---|---|---|---|
{% for server in cluster.servers %}
{{ row(server.name, server.address, server.version_before, server.version_after, server.proxy_before,
       server.proxy_after) }}
{% endfor %}

{% if probes or run.playbook not in ("diagnose", "backup", "plan") %}
## Proxied reads

{% if probes %}
| resource | via | served by | verdict | local | proxied | requests | rerouted |
|---|---|---|---|---|---|---|---|
{% for probe in probes %}
{{ row(probe.group ~ "/" ~ probe.version ~ "/" ~ probe.resource, probe.via, probe.served_by | join(", "),
       probe.verdict, probe.status_local, probe.status_proxied, probe.requests, probe.rerouted_delta | int) }}
{% endfor %}
{% else %}
None was exercised: no server served a resource that another one lacked while this run looked.
{% endif %}

{% endif %}
{% if gates or run.playbook != "diagnose" %}
## Gates

| gate | node | verdict | observed | expected |
|---|---|---|---|---|
{% for gate in gates %}
{{ row(gate.id, gate.node ~ (" to " ~ gate.peer if gate.peer else ""),
       gate.verdict ~ (" (" ~ gate.reason ~ ")" if gate.reason else ""), gate.observed, gate.expected) }}
{% endfor %}

{% endif %}
{% if availability %}
## Availability

![What clients got, over time](availability.svg)

| asked | requests | failed | at the second try | no answer, seconds | longest | by kind |
|---|---|---|---|---|---|---|
{% for entry in availability %}
{{ row(entry.target, entry.requests, entry.failed, entry.retries.values() | sum,
       "%.1f" | format(entry.unavailable_seconds), "%.1f" | format(entry.longest_gap_seconds), kinds(entry)) }}
{% endfor %}

{% if availability | sum(attribute="failed") or availability | map(attribute="retries") | select | list %}
| asked | node | phase | requests | failed | at the second try | no answer, seconds | longest | by kind |
|---|---|---|---|---|---|---|---|---|
{% for entry in availability %}
{% for part in entry.by_phase if part.failed or part.retries or part.unavailable_seconds %}
{{ row(entry.target, part.node or "the cluster", part.phase, part.requests, part.failed, part.retries.values() | sum,
       "%.1f" | format(part.unavailable_seconds), "%.1f" | format(part.longest_gap_seconds), kinds(part)) }}
{% endfor %}
{% endfor %}

{% endif %}
{% endif %}
## Time

| node | phase | seconds | changed | verdict |
|---|---|---|---|---|
{% for phase in phases %}
{{ row("the cluster", phase.name, "%.1f" | format(phase.elapsed_seconds or 0), phase.changed, phase.verdict) }}
{% endfor %}
{% for node in nodes %}
{% for phase in node.phases %}
{{ row(node.name, phase.name, "%.1f" | format(phase.elapsed_seconds or 0), phase.changed, phase.verdict) }}
{% endfor %}
{% endfor %}
"""


def row(*cells: t.Any) -> str:
    """One row of a table; no text can break out of its cell."""
    return "| " + " | ".join(str(cell).replace("\n", " ").replace("|", "\\|") for cell in cells) + " |"


def kinds(counted: t.Mapping[str, t.Any]) -> str:
    """What the failed requests ended with, the first of each kind in full, and in brackets what the first tries did
    whose second was answered."""
    messages = counted.get("messages", {})
    failures = ", ".join(
        f"{number} {kind}" + (f": {messages[kind]}" if kind in messages else "")
        for kind, number in counted["failures"].items()
    )
    retries = ", ".join(f"{number} {kind}" for kind, number in counted["retries"].items())
    return f"{failures} (first tries: {retries})".strip() if retries else failures


def render(report: t.Mapping[str, t.Any]) -> str:
    """The whole report as one Markdown document."""
    # Markdown, not HTML; there is nothing to escape but the cell's bar.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.globals.update(row=row, kinds=kinds)
    return environment.from_string(_TEMPLATE).render(**report)
