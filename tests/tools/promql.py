# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which metrics and labels the rules and the dashboard of docs/monitoring use, to hold them against real servers.

Run as a script it prints the dashboard's queries as a rules file (promql.py dashboard), or README.md's scrape
configuration (promql.py configuration), so that promtool can check them too.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import sys
import typing as t

import yaml

MONITORING = pathlib.Path(__file__).resolve().parents[2] / "docs" / "monitoring"

#: Labels that the scrape configuration gives, see README.md there.
TARGET_LABELS = {"cluster", "instance", "job", "server"}
#: What is not the API servers' own: by name, its labels and who exports it.
EXPORTED_ELSEWHERE = {
    "up": (frozenset(), "Prometheus, of every target"),
    "ALERTS": (frozenset({"alertname", "alertstate", "severity"}), "Prometheus, of every alert"),
    "kube_lease_renew_time": (frozenset({"lease", "namespace"}), "kube-state-metrics"),
}
#: Counters that servers show once there is something to count, with the labels that k8s.io/apiserver gives them
#: (``pkg/util/peerproxy/metrics/metrics.go``): a recording without such an event lacks them.
ONCE_COUNTED = {
    "apiserver_peer_proxy_errors_total": dict.fromkeys(("type", "group", "version", "resource"), ""),
    "apiserver_peer_discovery_sync_errors_total": {"type": ""},
}

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>[0-9][0-9a-z.]*)
    |(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
    |(?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^=<>(){}\[\],])
    |(?P<space>\s+)""",
    re.VERBOSE,
)
_LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "offset", "bool"}


@dataclasses.dataclass(frozen=True)
class Selector:
    """A metric that an expression selects, with its matchers: by label the operator and the value."""

    metric: str
    matchers: t.Mapping[str, tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Expression:
    """What an expression names: series, and labels to group or to match by."""

    text: str
    selectors: tuple[Selector, ...]
    labels: frozenset[str]


def tokens(text: str) -> t.Iterator[tuple[str, str]]:
    """The tokens of a PromQL expression, spaces left out; ValueError where there is none."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"can't be read from here on: {text[at : at + 40]!r}")
        at = match.end()
        if match.lastgroup != "space":
            yield str(match.lastgroup), match.group()


def parse(text: str) -> Expression:
    """Read an expression as far as it takes to know which names it uses; promtool is who checks its grammar."""
    found = list(tokens(text))
    selectors: list[Selector] = []
    labels: set[str] = set()
    at = 0
    while at < len(found):
        kind, word = found[at]
        following = found[at + 1][1] if at + 1 < len(found) else ""
        at += 1
        if kind != "name" or word in _WORDS:
            continue
        if word in _LABEL_LISTS:
            end = found.index(("operator", ")"), at)
            labels |= {item for item_kind, item in found[at:end] if item_kind == "name"}
            at = end + 1
        elif following == "{":
            end = found.index(("operator", "}"), at)
            inner = found[at + 1 : end]
            matchers = {inner[i][1]: (inner[i + 1][1], inner[i + 2][1][1:-1]) for i in range(0, len(inner), 4)}
            selectors.append(Selector(word, matchers))
            at = end + 1
        elif following != "(" and following not in _LABEL_LISTS:
            selectors.append(Selector(word, {}))
    return Expression(text, tuple(selectors), frozenset(labels))


def rules() -> list[dict[str, t.Any]]:
    """Every rule, recording and alerting."""
    document = yaml.safe_load((MONITORING / "rules.yaml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, t.Any]:
    """The dashboard's model."""
    model: dict[str, t.Any] = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    return model


def dashboard_queries() -> dict[str, str]:
    """Its queries by panel and letter, and the one that draws alerts into all of them."""
    model = dashboard()
    queries = {
        f"{panel['title']}, {target['refId']}": target["expr"]
        for panel in model["panels"]
        for target in panel["targets"]
    }
    return queries | {f"annotation {item['name']}": item["expr"] for item in model["annotations"]["list"]}


def unknown(expression: Expression, samples: t.Iterable[tuple[str, t.Mapping[str, str]]]) -> list[str]:
    """What *expression* names and *samples* of the servers, as (name, labels), do not have; ours and others' aside."""
    recorded = {rule["record"]: parse(rule["expr"]) for rule in rules() if "record" in rule}
    series: dict[str, list[t.Mapping[str, str]]] = {}
    for name, labels in samples:
        series.setdefault(name, []).append(labels)
    troubles = []
    known: set[str] = set(TARGET_LABELS)
    for selector in expression.selectors:
        if selector.metric in recorded:
            own = set(recorded[selector.metric].labels)
            values: list[t.Mapping[str, str]] = []
        elif selector.metric in EXPORTED_ELSEWHERE:
            own, values = set(EXPORTED_ELSEWHERE[selector.metric][0]), []
        elif selector.metric in series:
            values = series[selector.metric]
            own = {label for labels in values for label in labels}
        else:
            troubles.append(f"no server has a metric {selector.metric}")
            continue
        known |= own
        for label, (operator, value) in selector.matchers.items():
            if label in TARGET_LABELS:
                continue
            if label not in own:
                troubles.append(f"{selector.metric} has no label {label}")
            # An empty value asks for the label to be absent; a code or the like may be one that did not occur.
            elif operator == "=" and value and values and value not in {labels.get(label) for labels in values}:
                troubles.append(f"{selector.metric} never has {label}={value}")
    troubles += [f"no series here has a label {label}" for label in sorted(expression.labels - known)]
    return troubles


def dashboard_as_rules() -> dict[str, t.Any]:
    """The dashboard's queries as recording rules."""
    found = [
        {"record": f"dashboard:query:{number}", "expr": re.sub(r"\$\w+", ".*", text)}
        for number, text in enumerate(dashboard_queries().values())
    ]
    return {"groups": [{"name": "dashboard", "rules": found}]}


def readme_as_configuration() -> dict[str, t.Any]:
    """The configuration that README.md shows. The variant that finds pods is left out: Debian's promtool knows none."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (MONITORING / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return dict(yaml.safe_load(blocks[0]))


def main() -> int:
    documents = {"dashboard": dashboard_as_rules, "configuration": readme_as_configuration}
    yaml.safe_dump(documents[sys.argv[1]](), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
