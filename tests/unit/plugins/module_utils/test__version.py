# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _version

pytestmark = pytest.mark.node


@pytest.mark.parametrize(
    ("text", "plain"),
    [("v1.36.4", "v1.36.4"), ("1.36.4", "v1.36.4"), (" v1.37.0-rc.1\n", "v1.37.0-rc.1"), ("v1.36.4+k3s1", "v1.36.4")],
)
def test_parse(text, plain):
    assert str(_version.parse(text)) == plain


@pytest.mark.parametrize("text", ["", "1.36", "v1.36.x", "v01.36.4", "1.36.4.5", "latest", None, 1.36])
def test_parse_names_what_is_wrong(text):
    with pytest.raises(ValueError, match="is not a full version"):
        _version.parse(text)


def test_order():
    ordered = ["v1.36.9", "v1.36.10", "v1.37.0-alpha.2", "v1.37.0-alpha.10", "v1.37.0-rc.1", "v1.37.0", "v1.37.2"]
    assert [str(version) for version in sorted(_version.parse(text) for text in reversed(ordered))] == ordered


@pytest.mark.parametrize(
    ("old", "new", "hops"),
    [("1.36.4", "1.36.9", 0), ("1.36.4", "1.37.0", 1), ("1.35.9", "1.37.2", 2), ("1.37.2", "1.36.4", -1)],
)
def test_minors_between(old, new, hops):
    assert _version.minors_between(_version.parse(old), _version.parse(new)) == hops


def test_a_major_is_more_than_a_hop():
    assert _version.minors_between(_version.parse("1.37.2"), _version.parse("2.0.0")) > 1


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry.k8s.io/etcd:3.6.14-0", "3.6.14"),
        ("registry.example.org:5000/etcd:v3.6.14", "3.6.14"),
        ("registry.k8s.io/etcd:3.6.14-0@sha256:00ff", "3.6.14"),
        ("registry.k8s.io/etcd:latest", ""),
        ("registry.example.org:5000/etcd", ""),
        ("registry.k8s.io/etcd:3.7.0-rc.1", ""),
    ],
)
def test_etcd_image_version(image, version):
    assert _version.etcd_image_version(image) == version
