# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Begin a run, keep its journal, write its report; all on the controller."""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate
from ansible_collections.mixedversion.kubernetes.plugins.modules.report import ARGUMENT_SPEC
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _plan_time, _run, _verdicts
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._gate_action import accepted

#: The custom stat of a run that has ended. Artifacts are variables of the next job of a workflow: it is no input here.
OUTCOME = "control_plane_outcome"


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


class ActionModule(ControllerAction):
    """Keeps the journal; each call writes the report anew."""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = self.arguments(ARGUMENT_SPEC)
        # Before the run begins, and whichever module would come to it first.
        accepted(arguments["accepted_risks"])
        earlier: list[_run.Event] = []
        try:
            run = self._start(arguments) if arguments["state"] == "started" else _run.Run(arguments["run_directory"])
            if arguments["state"] == "started" or arguments["cluster"]:
                earlier = _run.inherited_events(run)
            # A run that was closed with a gate that does not hold fails, and whoever rescues that closes it once more.
            closing = arguments["state"] == "finished" and not run.finished
            if closing or arguments["state"] != "finished":
                run.append(*self._events(arguments, run))
            if arguments["versions"] is not None:
                run.append(*self._differences(run, earlier, arguments["versions"]))
            report = run.write()
            refused = self._refusal(run, arguments)
        except _run.JournalError as error:
            raise AnsibleActionFail(str(error)) from None
        except OSError as error:
            raise AnsibleActionFail(
                f"The report can't be written: {error}. This run goes no further. "
                "Make room, make the folder writable, or set control_plane_report_directory; and start again."
            ) from error
        if refused:
            raise AnsibleActionFail(refused)
        broken: list[t.Mapping[str, t.Any]] = []
        if closing:
            self._recap(report, run.directory)
            broken = _verdicts.broken(report["gates"]) if arguments["result"] in ("succeeded", "stopped") else []
        elif arguments["hold"]:
            broken = _verdicts.broken(report["gates"])
            if broken:
                run.append({"event": "stopping", "gate": broken[0]["id"], "node": broken[0]["node"]})
        events = run.events()
        if arguments["phase"] and not self._task.check_mode:
            self._tell_remaining(events)
        words = [_run.words(broken), *([_run.changes(events)] if arguments["hold"] else [])]
        return {
            "changed": False,
            **({"failed": True, "msg": "\n".join(words)} if broken else {}),
            "run_id": run.id,
            "run_directory": run.directory,
            "resumed": _run.resumed(run) if arguments["state"] == "started" else [],
            "standing": _run.standing(earlier),
            "inherited_backup": _run.inherited_backup(earlier),
            **({"ansible_stats": self._stats(report, run)} if arguments["state"] == "finished" else {}),
            "result": report["run"]["result"],
            "run": report["run"],
            "phase": next((event["name"] for event in reversed(events) if event["event"] == "phase"), ""),
            "changes": _run.changes(events),
            "findings": report["findings"],
            "remaining": _verdicts.remaining(report["findings"]),
        }

    def _tell_remaining(self, events: t.Sequence[_run.Event]) -> None:
        seconds = _plan_time.remaining(events)
        if seconds is not None:
            self._display.display(f"  about {max(1, round(seconds / 60))} min to go, by earlier runs")

    def _start(self, arguments: dict[str, t.Any]) -> _run.Run:
        return _run.start(
            os.path.abspath(arguments["report_directory"]),
            {
                "playbook": arguments["playbook"],
                "target": arguments["target"],
                "check_mode": bool(self._task.check_mode),
                "collection": _run.collection_version(),
            },
        )

    @staticmethod
    def _stats(report: _run.Report, run: _run.Run) -> dict[str, t.Any]:
        """What the action set_stats would return: AWX keeps it as the job's artifacts, and the next job gets it."""
        told, cluster = report["run"], report["cluster"]
        kept = ("playbook", "check_mode", "result", "failed_gate", "failed_node", "next_action", "plan_hash")
        outcome = {
            "run_id": told["id"],
            **{key: told[key] for key in kept},
            "cluster": cluster["name"],
            "version_before": cluster["version_before"],
            "version_target": cluster["version_target"],
            "files": run.files(),
        }
        return {"data": {OUTCOME: outcome}, "per_host": False, "aggregate": False}

    @staticmethod
    def _refusal(run: _run.Run, arguments: dict[str, t.Any]) -> str:
        """Once it is known whom the run is about, and nothing is changed yet."""
        if not arguments["cluster"] or arguments["versions"] is None:
            return ""
        return _run.refusal(run, arguments["cluster"]["uid"], arguments["nodes"], arguments["versions"])

    def _differences(
        self, run: _run.Run, earlier: t.Sequence[_run.Event], versions: t.Mapping[str, t.Sequence[str]]
    ) -> list[_run.Event]:
        """Where earlier journals and the cluster differ: a warning each, as the cluster is what counts."""
        target = run.report()["cluster"]["version_target"]
        # A roll-back has none: it is to take back what the journals say.
        found = _run.differences(_run.standing(earlier), target, versions) if target else {}
        for node, words in found.items():
            self._display.display(f"  {node}: {words}; the cluster counts")
        gates = [
            _gate.Gate(
                id="server_is_target",
                node=node,
                severity=_gate.WARNING,
                verdict=_gate.FAILED,
                observed=words,
                expected="what the journal of the run before it has",
                next_action="None: the cluster counts, and what is left to do there is done.",
            ).dump()
            for node, words in found.items()
        ]
        for gate in gates:
            del gate["acceptable"]
        return [{"event": "gate", "accepted_by": None, **gate} for gate in gates]

    @staticmethod
    def _events(arguments: dict[str, t.Any], run: _run.Run) -> list[_run.Event]:
        node = arguments["node"]
        events: list[_run.Event] = []
        if arguments["cluster"]:
            events.append({"event": "cluster", **arguments["cluster"]})
        if arguments["nodes"] is not None:
            events.append({"event": "nodes", "nodes": arguments["nodes"]})
        if arguments["proxies"] is not None:
            kept = ("name", "address", "version", "emulated_version", "state", "holder")
            servers = [{key: proxy[key] for key in kept} for proxy in arguments["proxies"]]
            events.append({"event": "servers", "servers": servers})
        if arguments["backup"]:
            events.append({"event": "backup", "backup": arguments["backup"]})
        if arguments["changed"]:
            events.append({"event": "changed", "node": node, "what": arguments["changed"]})
        if arguments["phase"]:
            events.append({"event": "phase", "node": node, "name": arguments["phase"]})
        elif node and not arguments["changed"] and arguments["state"] == "running":
            events.append({"event": "phase_done", "node": node})
        if arguments["state"] == "finished":
            told = run.events()
            # A gate that stopped the run has said so; one whose failure was deferred to here stops it now.
            stopped = any(event["event"] == "stopping" for event in told) or (
                arguments["result"] == "succeeded" and _verdicts.broken(e for e in told if e["event"] == "gate")
            )
            result = "stopped" if stopped else arguments["result"]
            events.append(
                {"event": "run_finished", "result": result, "node": node, "next_action": arguments["next_action"]}
            )
        return events

    def _recap(self, report: _run.Report, directory: str) -> None:
        run, cluster = report["run"], report["cluster"]
        mode = " (check mode)" if run["check_mode"] else ""
        target = f": target {cluster['version_target']}" if cluster["version_target"] else ""
        lines = ["", f"{run['playbook']} {run['result']}{mode}{target}"]
        for server in cluster["servers"]:
            version = _change(server["version_before"] or "?", server["version_after"] or "?")
            proxy = _change(server["proxy_before"], server["proxy_after"])
            lines.append(f"  {server['name']}: {version}, proxy {proxy}")
        lines += self._findings(report)
        counts: dict[str, int] = {}
        for probe in report["probes"]:
            counts[probe["verdict"]] = counts.get(probe["verdict"], 0) + 1
        probed = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
        if target and run["playbook"] != "plan":
            lines.append(f"  proxied reads: {probed or 'none exercised'}")
        if report["backup"]:
            backup = report["backup"]
            word = "verified" if backup["verified"] else "not verified"
            lines.append(f"  backup: {word}, {backup['size_bytes']} bytes, {backup['path']}")
        if run["failed_gate"]:
            lines.append(
                f"  failed gate: {run['failed_gate']}{' on ' + run['failed_node'] if run['failed_node'] else ''}"
            )
        if run["next_action"]:
            lines.append(f"  next action: {run['next_action']}")
        lines.append(f"  report: {directory}/report.html (the same as report.md, report.json and report.xml)")
        self._display.display("\n".join(lines))

    @staticmethod
    def _findings(report: _run.Report) -> list[str]:
        if not report["findings"]:
            return ["  findings: none"] if report["run"]["playbook"] == "diagnose" else []
        words = [
            _run.finding_words(finding) + (" (repaired)" if finding["repaired"] else "")
            for finding in report["findings"]
        ]
        return [f"  findings: {'; '.join(words)}"]
