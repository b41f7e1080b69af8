# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What the runs of many clusters came to, gathered from a folder per cluster.

In a cluster's folder lie the report of its run, at any depth; ``rc``, its exit code; and ``stdout``, what it printed.
So does ansible-runner leave them, wherever it ran. Who came back without a report has not succeeded.
"""

from __future__ import annotations

import collections
import json
import pathlib
import re
import typing as t

import jinja2

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _html, _markdown, _run, _verdicts

SCHEMA_VERSION = 1
RC = "rc"
STDOUT = "stdout"
NO_REPORT = "no_report"
#: How many lines a run that no gate explains is quoted with, from the end, and how much of each.
_LINES = 12
_WIDTH = 500

Fleet = dict[str, t.Any]

_MARKDOWN = """\
# Fleet{{ " " ~ playbooks | join(", ") if playbooks }}: {{ succeeded }} of {{ clusters | length }} clusters succeeded

| cluster | result | versions | proxy | failed gate | next action |
|---|---|---|---|---|---|
{% for cluster in clusters %}
{{ row(cluster.name, cluster.result ~ (", exit code " ~ cluster.exit_code if cluster.exit_code),
       cluster.servers | map(attribute="version") | unique | join(", "),
       cluster.servers | map(attribute="proxy") | unique | join(", "),
       (cluster.failed_gate or "") ~ (" on " ~ cluster.failed_node if cluster.failed_node),
       cluster.next_action or "") }}
{% endfor %}
"""


def gather(directory: str, expected: t.Iterable[str] = ()) -> list[Fleet]:
    """The clusters whose folders lie in *directory*, and those *expected* that have none; who did not succeed first."""
    root = pathlib.Path(directory)
    there = {path.name for path in root.iterdir() if path.is_dir() and not path.is_symlink()}
    found = [_cluster(root, name) for name in sorted(there | set(expected))]
    return sorted(found, key=lambda cluster: bool(cluster["result"] == "succeeded"))


def build(clusters: t.Sequence[Fleet], collection: str) -> Fleet:
    """What is written as fleet.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "versions": _run.versions(collection),
        "gathered": _run.now(),
        "playbooks": sorted({cluster["playbook"] for cluster in clusters if cluster["playbook"]}),
        "succeeded": sum(cluster["result"] == "succeeded" for cluster in clusters),
        "clusters": list(clusters),
    }


def markdown(fleet: Fleet) -> str:
    """The fleet as Markdown, a line a cluster."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.globals.update(row=_markdown.row)
    return environment.from_string(_MARKDOWN).render(**fleet)


def html(fleet: Fleet) -> str:
    """The fleet as one HTML document."""
    results = collections.Counter(cluster["result"] for cluster in fleet["clusters"])
    return _html.page("_fleet.html.j2", **fleet, results=results)


def _cluster(root: pathlib.Path, name: str) -> Fleet:
    folder = root / name
    code = _text(folder / RC).strip()
    exit_code = int(code) if re.fullmatch(r"-?\d+", code) else None
    words = _last_words(_text(folder / STDOUT))
    reports = []
    for path in folder.rglob("report.json"):
        try:
            reports.append(_told(root, path, json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            words = [*words, f"{path.relative_to(root)} is no report that can be read: {error!r}"[:_WIDTH]]
    told = max(reports, key=lambda report: str(report["started"]), default=_nothing(exit_code))
    if told["result"] == "running" and exit_code is not None:
        told["result"] = "interrupted"
    elif told["result"] == "succeeded" and exit_code:
        told["result"] = "failed"
    explained = told["result"] == "succeeded" or told["failed_gate"]
    return {"name": name, "exit_code": exit_code, **told, "last_words": [] if explained else words}


def _told(root: pathlib.Path, path: pathlib.Path, report: t.Mapping[str, t.Any]) -> Fleet:
    run, broken = report["run"], _verdicts.broken(report["gates"])
    page = path.with_name("report.html")
    # Of a gate that stopped it; else what the run said.
    gate: t.Mapping[str, t.Any] = broken[0] if run["failed_gate"] and broken else {}
    return {
        "playbook": run["playbook"],
        "result": run["result"],
        "started": run["started"],
        "finished": run["finished"],
        "version_target": report["cluster"]["version_target"],
        "servers": [
            {"name": server["name"], "version": server["version_after"], "proxy": server["proxy_after"]}
            for server in report["cluster"]["servers"]
        ],
        "failed_gate": run["failed_gate"],
        "failed_node": run["failed_node"],
        "observed": gate.get("observed"),
        "next_action": gate.get("next_action") or run["next_action"],
        "report": str(page.relative_to(root)) if page.is_file() else None,
    }


def _nothing(exit_code: int | None) -> Fleet:
    ended = "It ended" if exit_code is not None else "It did not end, or what it left did not come back,"
    return {
        "playbook": "",
        "result": NO_REPORT,
        "started": None,
        "finished": None,
        "version_target": "",
        "servers": [],
        "failed_gate": None,
        "failed_node": None,
        "observed": None,
        "next_action": f"{ended} without a report. Mend what its last words name, and start it for this cluster again.",
        "report": None,
    }


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _last_words(output: str) -> list[str]:
    """The last lines before Ansible's recap, which says nothing of why."""
    lines = _node.uncoloured(output).partition("\nPLAY RECAP")[0].splitlines()
    return [line.rstrip()[:_WIDTH] for line in lines if line.strip()][-_LINES:]
