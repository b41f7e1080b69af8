# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Judging certificates, on the controller: nodes have nothing but Python's standard library, which can't.

Judged as the API servers do (Go's crypto/x509): any certificate of the CA file ends a chain, names come from the
subject alternative names alone, and a client certificate must allow client authentication.
"""

from __future__ import annotations

import datetime
import ipaddress
import typing as t

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:  # ansible-core brings it
    x509 = None  # type: ignore[assignment]

#: By this name the servers verify each other (k8s.io/kubernetes pkg/controlplane/apiserver/peer.go).
SERVER_NAME = "kubernetes.default.svc"


def load(pem: str) -> x509.Certificate:
    """The first certificate of a PEM text; a :class:`ValueError` if there is none to be read."""
    return x509.load_pem_x509_certificate(pem.encode())


def load_all(pem: str) -> list[x509.Certificate]:
    """All certificates of a PEM text; none of them if one can't be read."""
    try:
        return list(x509.load_pem_x509_certificates(pem.encode()))
    except ValueError:
        return []


def names(certificate: x509.Certificate) -> list[str]:
    """The DNS names and IP addresses that a certificate is valid for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]


def has_name(certificate: x509.Certificate, wanted: str) -> bool:
    """Whether a certificate is valid for a DNS name or an IP address; a wildcard stands for one whole label."""
    try:
        address = ipaddress.ip_address(wanted)
    except ValueError:
        suffix = "*." + wanted.partition(".")[2]
        return any(name.lower().rstrip(".") in (wanted.lower(), suffix.lower()) for name in names(certificate))
    return str(address) in names(certificate)


def common_name(certificate: x509.Certificate) -> str:
    """The subject's CN, by which a front proxy is told; empty if it has none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def expires(certificate: x509.Certificate) -> str:
    """When it ends, RFC 3339 UTC."""
    return f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"


def validity(
    certificate: x509.Certificate, now: datetime.datetime, margin: datetime.timedelta = datetime.timedelta()
) -> str:
    """What is wrong with its time, in words; empty while it is valid, and will be for *margin* more."""
    if certificate.not_valid_after_utc < now:
        return f"ended {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if certificate.not_valid_after_utc < now + margin:
        return f"ends {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if certificate.not_valid_before_utc > now:
        return f"begins {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether *authority*'s key signed *certificate*, or it is that certificate itself."""
    if certificate == authority:
        return True
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def authority(certificate: x509.Certificate, bundle: t.Iterable[x509.Certificate]) -> x509.Certificate | None:
    """The certificate of *bundle* that signed it; none if no one did."""
    return next((candidate for candidate in bundle if issued(certificate, candidate)), None)


def unsigned(
    certificate: x509.Certificate,
    bundle: t.Sequence[x509.Certificate],
    now: datetime.datetime,
    between: t.Sequence[x509.Certificate] = (),
) -> str:
    """Why *certificate* does not chain to a CA of *bundle*, in words; empty if it does.

    *between* are the intermediates that come with it. As Go does it, each CA that signed it is tried: a bundle may hold
    one that has ended beside its renewal with the same key (``crypto/x509``, ``Certificate.Verify``).
    """
    troubles = []
    for found in bundle:
        if issued(certificate, found):
            trouble = validity(found, now)
            if not trouble:
                return ""
            troubles.append(f"the CA that signed it, {subject(found)}, {trouble}")
    for number, found in enumerate(between):
        if found != certificate and issued(certificate, found):
            trouble = validity(found, now)
            words = f"the CA that signed it, {subject(found)}, {trouble}" if trouble else ""
            words = words or unsigned(found, bundle, now, [*between[:number], *between[number + 1 :]])
            if not words:
                return ""
            troubles.append(words)
    if troubles:
        return troubles[0]
    issuer = certificate.issuer.rfc4514_string() or "nobody"
    if any(candidate.subject == certificate.issuer for candidate in bundle):
        return f"it was issued by {issuer}; a CA of that name is there, but with another key"
    there = ", ".join(subject(candidate) for candidate in bundle) or "no certificate at all"
    return f"it was issued by {issuer}; there is {there}"


def subject(certificate: x509.Certificate) -> str:
    """The subject as it is written by most tools."""
    return certificate.subject.rfc4514_string() or "a CA without a name"


def for_clients(certificate: x509.Certificate) -> bool:
    """Whether its extended key usage, if it has one, allows client authentication."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


class Refusal(t.NamedTuple):
    """Why a client certificate is not accepted: ``kind`` is expired, unsigned, usage or name."""

    kind: str
    why: str


def refusal(
    certificate: x509.Certificate,
    bundle: t.Sequence[x509.Certificate],
    allowed_names: t.Sequence[str],
    now: datetime.datetime,
    between: t.Sequence[x509.Certificate] = (),
) -> Refusal | None:
    """Why a server with this requestheader CA and these allowed names does not accept a front proxy; none if it does.

    *between* are the intermediates that it comes with. Without allowed names every CN will do (k8s.io/apiserver
    pkg/authentication/request/x509).
    """
    trouble = validity(certificate, now)
    if trouble:
        return Refusal("expired", f"it {trouble}")
    trouble = unsigned(certificate, bundle, now, between)
    if trouble:
        return Refusal("unsigned", trouble)
    if not for_clients(certificate):
        return Refusal("usage", "its extended key usage does not allow client authentication")
    if allowed_names and common_name(certificate) not in allowed_names:
        told = ", ".join(allowed_names)
        return Refusal("name", f"its CN {common_name(certificate) or '(none)'} is not among the allowed names {told}")
    return None
