# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""JMESPath expressions of the user's. Of what they are held against, no words say anything: it may be secret."""

from __future__ import annotations

import traceback
import typing as t

try:
    import jmespath
    import jmespath.exceptions

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()


class Unfit(ValueError):
    """An expression that is none, or that can't be worked out on what it is held against."""


def check(expression: str) -> None:
    """Raise :class:`Unfit` where *expression* is none."""
    try:
        jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        raise Unfit(f"is no JMESPath expression: {' '.join(str(error).split())}") from error


def search(expression: str, document: t.Any) -> t.Any:
    """What *expression* comes to on *document*; :class:`Unfit` where that can't be worked out."""
    try:
        return jmespath.search(expression, document)
    except jmespath.exceptions.JMESPathTypeError as error:
        # Its own words repeat the value.
        raise Unfit(
            f"can't be worked out: {error.function_name}() was given a value of type {error.actual_type}"
        ) from None
    except jmespath.exceptions.JMESPathError as error:
        raise Unfit(f"can't be worked out: {type(error).__name__}") from None
