# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What one minor's API server serves and the one before does not, and the other way. Made by tests/tools/served.py.

Recorded from 1.35.4, 1.36.4, 1.37.2: group-versions below ``/apis``, each with its resources.
"""

from __future__ import annotations

import typing as t

Table = t.Mapping[str, t.Mapping[str, t.Sequence[str]]]

#: By the later minor: what it serves as it comes, and the one before as it comes does not.
NEW: Table = {
    "1.36": {
        "admissionregistration.k8s.io/v1": ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
    },
    "1.37": {
        "certificates.k8s.io/v1": ("clustertrustbundles", "podcertificaterequests"),
        "resource.k8s.io/v1": ("devicetaintrules",),
        "storagemigration.k8s.io/v1": ("storageversionmigrations",),
    },
}

#: By the later minor: what the one before serves as it comes, and it does not.
DROPPED: Table = {
    "1.36": {},
    "1.37": {},
}

#: By the later minor: what the one before knows, switched on or not, and it does not know at all any more.
REMOVED: Table = {
    "1.36": {
        "scheduling.k8s.io/v1alpha1": ("workloads",),
    },
    "1.37": {
        "certificates.k8s.io/v1alpha1": ("clustertrustbundles",),
        "networking.k8s.io/v1beta1": ("ipaddresses", "servicecidrs"),
        "scheduling.k8s.io/v1alpha2": ("podgroups", "workloads"),
        "storage.k8s.io/v1beta1": ("volumeattributesclasses",),
    },
}

#: By the later minor: what it knows, to be switched on or not, and the one before does not know at all.
INTRODUCED: Table = {
    "1.36": {
        "admissionregistration.k8s.io/v1": ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
        "resource.k8s.io/v1alpha3": ("resourcepoolstatusrequests",),
        "resource.k8s.io/v1beta2": ("devicetaintrules",),
        "scheduling.k8s.io/v1alpha2": ("podgroups", "workloads"),
    },
    "1.37": {
        "certificates.k8s.io/v1": ("clustertrustbundles", "podcertificaterequests"),
        "lifecycle.k8s.io/v1alpha1": ("evictionrequests", "evictions"),
        "resource.k8s.io/v1": ("devicetaintrules",),
        "scheduling.k8s.io/v1alpha3": ("compositepodgroups", "podgroups", "workloads"),
        "scheduling.k8s.io/v1beta1": ("podgroups", "workloads"),
        "storagemigration.k8s.io/v1": ("storageversionmigrations",),
    },
}
