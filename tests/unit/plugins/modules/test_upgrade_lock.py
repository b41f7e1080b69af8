# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

from ansible_collections.mixedversion.kubernetes.plugins.modules import upgrade_lock


def test_a_lock_just_taken_is_held():
    assert upgrade_lock.held_by(upgrade_lock.wanted("run", 7200, {})) == ("run", False)


def test_a_lock_expires():
    lease = upgrade_lock.wanted("run", 7200, {})
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=7260)
    lease["spec"]["renewTime"] = past.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert upgrade_lock.held_by(lease) == ("run", True)


def test_a_lease_of_nobody_is_free():
    assert upgrade_lock.held_by({"spec": {"holderIdentity": None}}) == ("", True)


def test_the_lease_keeps_the_version_it_replaces():
    lease = upgrade_lock.wanted("run", 60, {"resourceVersion": "7"})
    assert lease["metadata"] == {"resourceVersion": "7", "name": upgrade_lock.NAME, "namespace": "kube-system"}
