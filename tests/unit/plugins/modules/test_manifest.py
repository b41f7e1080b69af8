# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node
from ansible_collections.mixedversion.kubernetes.plugins.modules import manifest

pytestmark = pytest.mark.node


@pytest.fixture
def text(recorded):
    return recorded("kube-apiserver.yaml")


def changed(before, after):
    before, after = before.splitlines(), after.splitlines()
    return [line for line in before if line not in after], [line for line in after if line not in before]


def test_a_new_flag_goes_among_its_sorted_neighbours(text):
    after = manifest.with_flag(text, "kube-apiserver", "kubelet-timeout", "5s")
    assert changed(text, after) == ([], ["    - --kubelet-timeout=5s"])
    lines = after.splitlines()
    place = lines.index("    - --kubelet-timeout=5s")
    assert lines[place - 1].strip().startswith("- --kubelet-preferred-address-types=")
    assert lines[place + 1].strip().startswith("- --peer-ca-file=")


def test_a_flag_after_all_others_stays_in_the_command(text):
    after = manifest.with_flag(text, "kube-apiserver", "zz", "1")
    assert after.index("- --zz=1") < after.index("image:")


def test_a_flag_is_replaced_where_it_is(text):
    after = manifest.with_flag(text, "kube-apiserver", "peer-ca-file", "/other.crt")
    assert changed(text, after) == (
        ["    - --peer-ca-file=/etc/kubernetes/pki/ca.crt"],
        ["    - --peer-ca-file=/other.crt"],
    )
    assert len(after.splitlines()) == len(text.splitlines())


def test_a_flag_given_twice_is_left_once(text):
    twice = text.replace("    - --secure-port=6443\n", "    - --secure-port=6443\n    - --secure-port=6444\n")
    assert manifest.with_flag(twice, "kube-apiserver", "secure-port", "6443") == text


def test_setting_again_changes_nothing(text):
    once = manifest.with_flag(text, "kube-apiserver", "kubelet-timeout", "5s")
    assert manifest.with_flag(once, "kube-apiserver", "kubelet-timeout", "5s") == once
    assert manifest.with_flag(text, "kube-apiserver", "secure-port", "6443") == text


def test_a_flag_that_another_one_begins_with_is_another_one(text):
    after = manifest.with_flag(text, "kube-apiserver", "peer-ca", "x")
    assert changed(text, after) == ([], ["    - --peer-ca=x"])


def test_another_component_is_refused(text):
    with pytest.raises(ValueError, match="no command etcd"):
        manifest.with_flag(text, "etcd", "name", "x")


def test_the_image_alone_is_set(text):
    after = manifest.with_image(text, "registry.k8s.io/kube-apiserver:v1.37.2")
    assert _node.manifest_image(text) == "registry.k8s.io/kube-apiserver:v1.36.4"
    assert _node.manifest_image(after) == "registry.k8s.io/kube-apiserver:v1.37.2"
    assert len(changed(text, after)[1]) == 1


def test_flags_of_the_recorded_manifest(text):
    flags = _node.flags(_node.manifest_command(text))
    assert (flags["secure-port"], flags["authorization-mode"]) == ("6443", "Node,RBAC")


def test_a_flag_in_quotes_is_known_and_does_not_end_the_command(text):
    quoted = text.replace("- --allow-privileged=true", "- '--allow-privileged=true'")
    assert quoted != text
    assert _node.flags(_node.manifest_command(quoted))["allow-privileged"] == "true"
    after = manifest.with_flag(quoted, "kube-apiserver", "peer-ca-file", "/other.crt")
    assert after.count("--peer-ca-file=") == 1
    after = manifest.with_flag(quoted, "kube-apiserver", "allow-privileged", "false")
    assert after.count("--allow-privileged") == 1


def test_a_flag_is_taken_out(text):
    after = manifest.with_flag(text, "kube-apiserver", "peer-ca-file", None)
    assert changed(text, after) == (["    - --peer-ca-file=/etc/kubernetes/pki/ca.crt"], [])
    assert manifest.with_flag(after, "kube-apiserver", "peer-ca-file", None) == after


def test_every_flag_is_seen_repeated_ones_too(text):
    twice = text.replace("    - --secure-port=6443\n", "    - --secure-port=6443\n    - --secure-port=6444\n")
    found = [value for name, value in manifest.arguments_of(twice) if name == "secure-port"]
    assert found == ["6443", "6444"]
