# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""The report as Markdown, short enough for a change ticket."""

from __future__ import annotations

import typing as t

import jinja2

_TEMPLATE = """\
# Control plane upgrade: {{ run.result }}

| | |
|---|---|
| run | {{ run.id }}{{ " (check mode)" if run.check_mode }}{{ ", resumes " ~ run.resumes if run.resumes }} |
| playbook | {{ run.playbook }} |
| cluster | {{ cluster.name }} ({{ cluster.uid }}) |
| from, to | {{ cluster.version_before }} to {{ cluster.version_target }} |
| started, finished | {{ run.started }}, {{ run.finished or "not yet" }} |
{% if run.failed_gate %}
| failed gate | {{ run.failed_gate }}{{ " on " ~ run.failed_node if run.failed_node }} |
{% endif %}
{% if run.next_action %}
| next action | {{ run.next_action | cell }} |
{% endif %}
{% if backup %}
| backup | {{ "verified" if backup.verified else "NOT verified" }}, {{ backup.size_bytes }} bytes, revision {{ backup.revision }}, sha256 {{ backup.sha256 }} |
{% endif %}

## Servers

| server | address | before | after | proxy before | proxy after |
|---|---|---|---|---|---|
{% for server in cluster.servers %}
| {{ server.name }} | {{ server.address }} | {{ server.version_before }} | {{ server.version_after }} | {{ server.proxy_before }} | {{ server.proxy_after }} |
{% endfor %}

## Proxied reads
{% if probes %}

| resource | via | served by | verdict | local | proxied | requests | rerouted |
|---|---|---|---|---|---|---|---|
{% for probe in probes %}
| {{ probe.group }}/{{ probe.version }}/{{ probe.resource }} | {{ probe.via }} | {{ probe.served_by | join(", ") }} | {{ probe.verdict }} | {{ probe.status_local }} | {{ probe.status_proxied }} | {{ probe.requests }} | {{ probe.rerouted_delta | int }} |
{% endfor %}
{% else %}

None was exercised: no server served a resource that another one lacked while this run looked.
{% endif %}

## Gates

| gate | node | verdict | observed | expected |
|---|---|---|---|---|
{% for gate in gates %}
| {{ gate.id }} | {{ gate.node }}{{ " to " ~ gate.peer if gate.peer }} | {{ gate.verdict }}{{ " (" ~ gate.reason ~ ")" if gate.verdict == "accepted" }} | {{ gate.observed | cell }} | {{ gate.expected | cell }} |
{% endfor %}

## Time

| node | phase | seconds | changed | verdict |
|---|---|---|---|---|
{% for phase in phases %}
| the cluster | {{ phase.name }} | {{ "%.1f" | format(phase.elapsed_seconds or 0) }} | {{ phase.changed }} | {{ phase.verdict }} |
{% endfor %}
{% for node in nodes %}
{% for phase in node.phases %}
| {{ node.name }} | {{ phase.name }} | {{ "%.1f" | format(phase.elapsed_seconds or 0) }} | {{ phase.changed }} | {{ phase.verdict }} |
{% endfor %}
{% endfor %}
"""


def _cell(text: t.Any) -> str:
    """A text that cannot break out of its table cell."""
    return str(text).replace("\n", " ").replace("|", "\\|")


def render(report: t.Mapping[str, t.Any]) -> str:
    """The whole report as one Markdown document."""
    # Markdown, not HTML; there is nothing to escape but the cell's bar.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["cell"] = _cell
    return environment.from_string(_TEMPLATE).render(**report)
