# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example report is what the report's code makes today of the recorded run."""

from __future__ import annotations

import json

import jsonschema
import pytest

from ansible_collections.mixedversion.kubernetes.tests.tools import example_report


@pytest.mark.parametrize("name", example_report.files())
def test_the_example_is_as_a_run_would_write_it(name):
    assert (example_report.FOLDER / name).read_text(encoding="utf-8") == example_report.files()[name], (
        "python tests/tools/example_report.py writes it anew"
    )


def test_the_recorded_run_fits_the_schema_and_names_no_home():
    schema = json.loads((example_report.ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(example_report.report())
    assert "/root/" not in example_report.RECORDED.read_text(encoding="utf-8")
