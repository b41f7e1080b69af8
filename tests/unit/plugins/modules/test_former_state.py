# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _former, _node
from ansible_collections.mixedversion.kubernetes.plugins.modules import former_state, rollback_info

pytestmark = pytest.mark.node

TARGET = "v1.37.2"


class Module:
    """As much of a module as is needed where no command has to be run."""

    def __init__(self, check_mode=False, **params):
        self.check_mode = check_mode
        self.params = {
            "driver": "kubeadm",
            "components": [],
            "run_id": "run",
            "target": TARGET,
            "holder": "cp1_a",
            "lease": "apiserver-a",
            "kubeadm_config": "kubernetesVersion: v1.36.4\n",
            **params,
        }


@pytest.fixture
def node(tmp_path, monkeypatch, recorded):
    """A node made by kubeadm: its manifests, its kubelet's configuration, nothing that runs."""
    state = tmp_path / "state"
    for name, path in (("FOLDER", "former"), ("STATE", "former/state.json"), ("ASIDE", "put-aside")):
        monkeypatch.setattr(_former, name, str(state / path))
    monkeypatch.setattr(_node, "STATE_DIRECTORY", str(state))
    monkeypatch.setattr(_node, "MANIFESTS", str(tmp_path / "manifests"))
    monkeypatch.setattr(_node, "running", lambda name: None)
    monkeypatch.setattr(former_state, "in_use", lambda driver: {})
    monkeypatch.setattr(
        _former, "KUBELET_FILES", (str(tmp_path / "config.yaml"), str(tmp_path / "instance-config.yaml"))
    )
    (tmp_path / "manifests").mkdir()
    for name in ("kube-apiserver", "etcd", "kube-controller-manager"):
        (tmp_path / "manifests" / f"{name}.yaml").write_text(recorded(f"{name}.yaml"))
        (tmp_path / "manifests" / f"{name}.yaml").chmod(0o600)
    (tmp_path / "config.yaml").write_text("kind: KubeletConfiguration\n")
    return tmp_path


def manifest(node, name):
    return node / "manifests" / f"{name}.yaml"


def stepped(node):
    """What a step leaves: a newer server, no etcd, and the kubelet's new file."""
    text = manifest(node, "kube-apiserver").read_text()
    before = _node.manifest_image(text)
    manifest(node, "kube-apiserver").write_text(text.replace(before, f"registry.k8s.io/kube-apiserver:{TARGET}"))
    manifest(node, "etcd").unlink()
    (node / "instance-config.yaml").write_text("new\n")


def texts(node):
    return {path.name: path.read_text() for path in [*(node / "manifests").iterdir(), *node.glob("*.yaml")]}


def test_a_node_gets_back_what_it_was_and_only_its_owner_reads_what_was_kept(node):
    before = texts(node)
    found = former_state.keep(Module())
    assert found["changed"] and found["versions"]["kube-apiserver"] == "v1.36.4"
    assert found["versions"]["kube-scheduler"] == ""
    assert os.stat(_former.STATE).st_mode & 0o777 == 0o600
    assert os.stat(_former.FOLDER).st_mode & 0o777 == 0o700
    stepped(node)
    assert texts(node) != before
    done = former_state.put_back(Module(components=["etcd", "kube-apiserver", "kube-controller-manager", "kubelet"]))
    assert texts(node) == before
    # Its kubelet does not run; the static pods are started by it.
    assert (done["changed"], done["restart"]) == (True, ["etcd", "kube-apiserver", "kubelet"])
    assert os.stat(manifest(node, "etcd")).st_mode & 0o777 == 0o600
    # Nothing but manifests is left where the kubelet looks.
    assert all(path.suffix == ".yaml" for path in (node / "manifests").iterdir())


def test_what_is_as_it_was_is_not_written(node):
    former_state.keep(Module())
    written = manifest(node, "etcd").stat().st_ino
    done = former_state.put_back(Module(components=["etcd", "kube-apiserver"]))
    assert (done["changed"], done["restart"], done["diff"]) == (False, [], [])
    assert manifest(node, "etcd").stat().st_ino == written


def test_a_dry_run_shows_what_would_be_put_back_and_writes_nothing(node):
    former_state.keep(Module())
    stepped(node)
    before = texts(node)
    done = former_state.put_back(Module(check_mode=True, components=["etcd", "kube-apiserver"]))
    assert texts(node) == before
    assert done["changed"] and [diff["before_header"] for diff in done["diff"]] == [
        str(manifest(node, "etcd")),
        str(manifest(node, "kube-apiserver")),
    ]
    assert f"kube-apiserver:{TARGET}" in done["diff"][1]["before"]


def test_what_a_step_left_never_takes_the_place_of_what_was_before_it(node):
    former_state.keep(Module())
    kept = _former.load()
    stepped(node)
    # The next run of the same upgrade, or one that leads elsewhere, comes to a node that is half changed.
    for target in (TARGET, "v1.37.3"):
        manifest(node, "kube-apiserver").write_text("half\n")
        assert not former_state.keep(Module(target=target))["changed"]
    assert _former.load() == kept


def test_a_node_that_has_arrived_is_kept_anew_for_its_next_step(node):
    former_state.keep(Module())
    stepped(node)
    assert former_state.keep(Module(target="v1.38.0"))["changed"]
    kept = _former.load()
    assert (kept.target, kept.versions["kube-apiserver"]) == ("v1.38.0", TARGET)


def test_a_kept_state_that_was_cut_off_is_said_to_be_so(node):
    former_state.keep(Module())
    text = pathlib.Path(_former.STATE).read_text()
    pathlib.Path(_former.STATE).write_text(text[: len(text) // 2])
    with pytest.raises(_former.FormerError, match="can't be read"):
        _former.load()


def test_forgetting_leaves_nothing_of_it(node):
    former_state.keep(Module())
    assert _former.drop() and not os.path.exists(_former.FOLDER)
    assert not _former.drop() and _former.load() is None


def test_with_the_driver_custom_what_runs_is_kept_and_held_against(node, monkeypatch):
    running = {"kube-apiserver": "v1.36.4", "kube-scheduler": "v1.36.4"}
    monkeypatch.setattr(_node, "running_version", lambda module, name: running.get(name, ""))
    module = Module(driver="custom")
    assert former_state.keep(module)["versions"]["kube-apiserver"] == "v1.36.4"
    kept = _former.load()
    assert (kept.files, kept.paths) == ((), {})

    def differing():
        return [name for name in _former.components("custom") if rollback_info.component(module, kept, name).differs]

    assert differing() == []
    running["kube-scheduler"] = TARGET
    del running["kube-apiserver"]
    assert sorted(differing()) == ["kube-apiserver", "kube-scheduler"]
    assert all(rollback_info.component(module, kept, name).available for name in differing())
