# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ssl

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _tls


def test_verification_is_that_of_the_components(pki, tmp_path):
    path = tmp_path / "ca.crt"
    path.write_text(pki.authority("ca").pem)
    for context in (_tls.verifying(str(path)), _tls.verifying(ca_data=path.read_text())):
        assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
        assert len(context.get_ca_certs()) == 1
        assert not context.verify_flags & ssl.VERIFY_X509_STRICT
        assert context.verify_flags & _tls.PARTIAL_CHAIN


def test_a_ca_that_is_not_there_is_told():
    with pytest.raises(OSError):
        _tls.verifying("/not/there")
