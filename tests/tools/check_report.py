# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold a report against its schema: check_report.py SCHEMA REPORT..."""

from __future__ import annotations

import json
import pathlib
import sys

import jsonschema


def main() -> int:
    schema, *reports = (json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:])
    validator = jsonschema.Draft202012Validator(schema)
    errors = [error for report in reports for error in validator.iter_errors(report)]
    for error in errors:
        print(f"{'/'.join(map(str, error.absolute_path))}: {error.message}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
