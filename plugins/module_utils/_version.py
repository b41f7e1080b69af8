# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Versions of Kubernetes components and of etcd, and the distance between two of them."""

from __future__ import annotations

import re
import typing as t

_PATTERN = re.compile(
    r"^v?(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?P<patch>0|[1-9]\d*)(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+.*)?$"
)


class Version(t.NamedTuple):
    """A full semantic version. Orders as semver does for what Kubernetes and etcd publish."""

    major: int
    minor: int
    patch: int
    final: bool
    pre: tuple[tuple[int, int, str], ...]

    def __str__(self) -> str:
        pre = ".".join(text or str(number) for dummy, number, text in self.pre)
        return f"v{self.major}.{self.minor}.{self.patch}" + (f"-{pre}" if pre else "")

    @property
    def release(self) -> str:
        """The minor as users write it: ``1.36``."""
        return f"{self.major}.{self.minor}"


def parse(text: str) -> Version:
    """Parse ``v1.36.4``, ``1.36.4`` or ``v1.37.0-rc.1``; a :class:`ValueError` names what is wrong."""
    match = _PATTERN.match(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a full version such as v1.37.2")
    pre = match["pre"]
    # Numbers sort before words, and both before nothing at all (a release).
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")) if pre else ()
    return Version(int(match["major"]), int(match["minor"]), int(match["patch"]), not parts, parts)


def minors_between(old: Version, new: Version) -> int:
    """How many minors *new* lies ahead of *old*; negative when it lies behind."""
    return (new.major - old.major) * 1000 + new.minor - old.minor


def image_tag(image: str) -> str:
    """``registry.k8s.io/kube-apiserver:v1.36.4`` -> ``v1.36.4``, also where a digest stands behind it."""
    return image.partition("@")[0].rpartition(":")[2]


def etcd_image_version(image: str) -> str:
    """``registry.k8s.io/etcd:3.6.14-0`` -> ``3.6.14``; empty when the tag is no version.

    The ``-0`` that Kubernetes appends counts rebuilds of the image, it is no pre-release.
    """
    tag = image_tag(image)
    match = re.match(r"^v?(\d+\.\d+\.\d+)(?:-\d+)?$", tag)
    return match[1] if match else ""
