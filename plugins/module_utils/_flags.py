# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What a component's flags shall be, merged with those that the user has.

``--feature-gates`` is a map that every occurrence adds to (k8s.io/component-base ``featuregate``), so one gate is put
in or taken out, and the others stay. For any other flag ``None`` means that it shall not be there.
"""

from __future__ import annotations

import typing as t

FEATURE_GATES = "feature-gates"

#: The options of the modules that set flags.
OPTIONS: dict[str, dict[str, t.Any]] = {
    "flags": {"type": "dict", "default": {}},
    "feature_gates": {"type": "dict", "default": {}},
}


def with_gates(values: t.Iterable[str], gates: t.Mapping[str, bool | None]) -> str | None:
    """One value of all occurrences' *values*, with *gates* in it; ``None`` if no gate is left."""
    found: dict[str, str] = {}
    for value in values:
        for item in filter(None, (part.strip() for part in value.split(","))):
            name, dummy, state = item.partition("=")
            found[name] = state
    for name, wanted in gates.items():
        if wanted is None:
            found.pop(name, None)
        else:
            found[name] = str(wanted).lower()
    return ",".join(f"{name}={state}" for name, state in found.items()) or None


def wanted(params: t.Mapping[str, t.Any], present: t.Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """The flags that the options ask for, given the *present* ones as names and values."""
    result: dict[str, str | None] = {
        name: None if value is None else str(value) for name, value in params["flags"].items()
    }
    if params["feature_gates"]:
        result[FEATURE_GATES] = with_gates(
            [value for name, value in present if name == FEATURE_GATES], params["feature_gates"]
        )
    return result
