# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for the tests that judge or meet some."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import typing as t

import pytest

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Issued:
    """A certificate with its key, both as PEM texts, and as what the library has for them."""

    certificate: t.Any
    key: t.Any

    @property
    def pem(self) -> str:
        from cryptography.hazmat.primitives.serialization import Encoding

        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Pki:
    """Issues what a test needs, on the spot; nothing of it is trusted by anybody else."""

    def authority(
        self, name: str, by: Issued | None = None, ended: bool = False, key_of: Issued | None = None
    ) -> Issued:
        return self._issue(name, by, ca=True, ended=ended, key_of=key_of)

    def certificate(self, by: Issued, name: str, **kwargs: t.Any) -> Issued:
        return self._issue(name, by, **kwargs)

    @staticmethod
    def _issue(
        name: str,
        by: Issued | None,
        *,
        ca: bool = False,
        names: t.Sequence[str] = (),
        ended: bool = False,
        not_yet: bool = False,
        usage: str = "",
        key_of: Issued | None = None,
    ) -> Issued:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        key = key_of.key if key_of else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = by or Issued(None, key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by.certificate.subject if by else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + DAY if not_yet else NOW - 10 * DAY)
            .not_valid_after(NOW - DAY if ended else NOW + 100 * DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            # From Python 3.13 on a verifier wants it.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
        )
        if ca:
            what = ("content_commitment", "crl_sign", "data_encipherment", "digital_signature", "encipher_only")
            what += ("decipher_only", "key_agreement", "key_cert_sign", "key_encipherment")
            allowed = x509.KeyUsage(**{name: name in ("crl_sign", "key_cert_sign") for name in what})
            builder = builder.add_extension(allowed, critical=True)
        if names:
            general = []
            for each in names:
                try:
                    general.append(x509.IPAddress(ipaddress.ip_address(each)))
                except ValueError:
                    general.append(x509.DNSName(each))
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        if usage:
            oid = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}[usage]
            builder = builder.add_extension(x509.ExtendedKeyUsage([oid]), critical=False)
        return Issued(builder.sign(signer.key, hashes.SHA256()), key)


@pytest.fixture
def pki() -> Pki:
    pytest.importorskip("cryptography", reason="nodes have no cryptography, so no certificate can be made there")
    return Pki()
