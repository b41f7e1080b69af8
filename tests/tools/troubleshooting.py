# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/troubleshooting.md, made of the table in docs/causes.md, by symptom.

Unit tests hold the page against this, and the table against what `diagnose` names.

usage: troubleshooting.py   writes the page anew
"""

from __future__ import annotations

import pathlib
import re

import jinja2

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "troubleshooting.md"
#: What somebody sees, what in the report shows the same, and the causes to look for.
SYMPTOMS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Some requests for a new resource get 404",
        "`proxy_enabled` or `convergence` fails, or `requests_proxied` does with 404.",
        (
            "gate_off",
            "flag_missing",
            "stale_peer",
            "hostname_too_long",
            "duplicate_hostname",
            "discovery_forbidden",
        ),
    ),
    (
        "Some requests for a new resource get 503, or a peer is not reached",
        "`peers_reachable` fails at TCP.",
        ("peer_filtered", "peer_refused", "advertise_incomplete", "advertise_unreachable"),
    ),
    (
        "A server does not trust its peer's certificate",
        "`peers_reachable` fails at TLS; the server's log speaks of x509.",
        ("peer_ca_mismatch", "serving_name_missing"),
    ),
    (
        "A peer answers 401 or 403 to a server",
        "`peers_reachable` fails after TLS, or `peers_fetched` counts too few fetches.",
        ("front_proxy_expired", "requestheader_ca_differs", "front_proxy_name_not_allowed", "discovery_forbidden"),
    ),
    (
        "There are more servers than hosts, fewer, or one that changes each time it is asked",
        "`inventory_matches_servers` fails.",
        ("address_is_load_balancer", "duplicate_hostname", "hostname_too_long", "dead_lease"),
    ),
    (
        "A server's log repeats errors of syncing peer discovery",
        "`convergence` waits until its time is over.",
        ("dead_lease", "stale_peer"),
    ),
    (
        "What a CRD or an aggregated API serves is missing",
        "`convergence` or `apiservices` warns. The proxy has no part in it.",
        ("crd_not_established", "apiservice_unavailable"),
    ),
    (
        "Certificates or Leases seem to be of the wrong time",
        "`clock_skew` warns.",
        ("clock_skew",),
    ),
)

_TEMPLATE = """\
<!--
SPDX-FileCopyrightText: The mixedversion.kubernetes authors
SPDX-License-Identifier: GPL-3.0-or-later

Made by tests/tools/troubleshooting.py from the table in causes.md. Change it there.
-->

# Troubleshooting

Start with `diagnose`. It needs no inventory that is in order, changes nothing, and names the cause with its evidence:

```console
ansible-playbook mixedversion.kubernetes.diagnose -i inventory.yml
```

A run that stopped has said which gate did not hold, where, and what to do next; the same stands in its \
[report](report.md), and what each gate proves in [Gates](gates.md). A run that was killed goes on when the same \
playbook is started again ([Interruptions](interruptions.md)).

Below are the causes that `diagnose` knows, by what somebody sees first. A cause may stand at several symptoms. How \
sure a finding is, and what is healed, is told in [Causes](causes.md).
{% for symptom, shown, names in symptoms %}

## {{ symptom }}

In the report: {{ shown }}

| cause | how it shows | next action | `upgrade` |
|---|---|---|---|
{% for name in names %}
| `{{ name }}` | {{ causes[name].shows }} | {{ causes[name].action }} | {{ causes[name].upgrade }} |
{% endfor %}
{% endfor %}
"""


def causes() -> dict[str, dict[str, str]]:
    """The rows of docs/causes.md by cause."""
    text = (DOCS / "causes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    return {name: {"shows": shows, "upgrade": upgrade, "action": action} for name, shows, upgrade, action in rows}


def page() -> str:
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_TEMPLATE).render(symptoms=SYMPTOMS, causes=causes())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
