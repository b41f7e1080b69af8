# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api
from ansible_collections.mixedversion.kubernetes.plugins.modules import wait_for_server

PARAMS = {"version": "v1.37.2", "lease": "apiserver-x", "previous_holder": "old", "proxy": True}


class Server:
    """Ready as the target; *holder* is what its Lease says, None that there is no Lease."""

    def __init__(self, holder):
        self.holder = holder

    def request(self, dummy_method, dummy_path):
        return _api.Answer(200, b"[+]poststarthook/mixed-version-proxy-handler ok\n", {})

    def get(self, path):
        if path == "/version":
            return {"gitVersion": "v1.37.2"}
        if self.holder is None:
            raise _api.ApiError("cp1", path, 404, "not found")
        return {
            "metadata": {"name": "apiserver-x", "labels": {"kubernetes.io/hostname": "cp1"}},
            "spec": {"holderIdentity": self.holder, "leaseDurationSeconds": 3600},
        }


def test_a_server_that_answers_under_another_holder_has_been_started_anew():
    sample = wait_for_server.look(Server("new"), PARAMS)
    assert (sample.passed, sample.progress) == (True, "v1.37.2 ready, a new process, proxy on")


@pytest.mark.parametrize(
    ("holder", "words"),
    [("old", "its Lease is still the old process's (holder old)"), (None, "its Lease is not written yet")],
)
def test_a_lease_that_does_not_follow_leads_to_what_may_refuse_it(holder, words):
    sample = wait_for_server.look(Server(holder), PARAMS)
    assert not sample.passed
    assert words in sample.progress
    assert "webhooks" in sample.data
