# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Certificates verified as the components verify each other's."""

from __future__ import annotations

import ssl

#: ``X509_V_FLAG_PARTIAL_CHAIN``, which Python names from 3.10 on.
PARTIAL_CHAIN = 0x80000


def verifying(ca_file: str | None = None, ca_data: str | None = None) -> ssl.SSLContext:
    """Trusts these CAs alone; a :class:`ssl.SSLError` or :class:`OSError` where they can't be read.

    Go trusts each certificate in such a file, an intermediate CA too, and asks no CA for a key identifier, nor for its
    constraints to be critical. Python from 3.13 on does. Source: Go ``crypto/x509`` (``Certificate.Verify``).
    """
    context = ssl.create_default_context(cafile=ca_file, cadata=ca_data)
    context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | PARTIAL_CHAIN
    return context
