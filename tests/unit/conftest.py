# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the unit tests share."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


@pytest.fixture
def recorded() -> t.Callable[[str], t.Any]:
    """A document recorded from a real server: JSON as data, anything else as text."""

    def read(name: str) -> t.Any:
        text = (FIXTURES / name).read_text(encoding="utf-8")
        return json.loads(text) if name.endswith(".json") else text

    return read
