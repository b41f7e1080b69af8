# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node, _restore
from ansible_collections.mixedversion.kubernetes.plugins.modules import etcd_restore

pytestmark = pytest.mark.node

RUN = "20261124T100000Z-ab12"


class Module:
    """As much of a module as a node made by kubeadm needs: no command is run for it but etcdutl."""

    def __init__(self, **params):
        self.params = {"driver": "kubeadm", "run_id": RUN, "components": [], "cluster_ids": [], "revision": 7, **params}


@pytest.fixture
def kubeadm(tmp_path, monkeypatch, recorded):
    """A node's folders, with an API server's manifest and etcd's data, and nothing running."""
    monkeypatch.setattr(_node, "MANIFESTS", str(tmp_path / "manifests"))
    monkeypatch.setattr(_node, "running", lambda name: None)
    for name, path in (("FOLDER", "restore"), ("STATE", "restore/state.json"), ("MANIFESTS", "restore/manifests")):
        monkeypatch.setattr(_restore, name, str(tmp_path / "state" / path))
    monkeypatch.setattr(_restore, "REVISION", str(tmp_path / "state" / "etcd-restored-revision"))
    monkeypatch.setattr(_restore, "LINEAGE", str(tmp_path / "state" / "etcd-cluster-ids"))
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "kube-apiserver.yaml").write_text(recorded("kube-apiserver.yaml"))
    data = tmp_path / "etcd"
    (data / "member").mkdir(parents=True)
    (data / "member" / "db").write_text("old")
    new = pathlib.Path(_restore.prepared(str(data), RUN))
    (new / "member").mkdir(parents=True)
    (new / "member" / "db").write_text("new")
    _restore.save({"run_id": RUN, "stage": "prepared", "stopped": [], "folders": {str(data): ["member"]}})
    return tmp_path


def node(**params):
    return etcd_restore.Node(Module(**params))


def held(folder):
    return (folder / "etcd" / "member" / "db").read_text()


def test_a_stopped_server_has_no_manifest_in_the_folder_and_gets_the_same_back(kubeadm):
    before = (kubeadm / "manifests" / "kube-apiserver.yaml").read_text()
    node(components=["kube-controller-manager", "kube-apiserver"]).stop_all()
    assert list((kubeadm / "manifests").iterdir()) == []
    state = _restore.load()
    # What is not run here was not stopped, and will not be started.
    assert (state["stage"], state["stopped"]) == (_restore.STOPPING, ["kube-apiserver"])
    assert node().started_with("kube-apiserver")[0]["secure-port"] == "6443"
    assert node(components=["kube-scheduler", "kube-apiserver"]).start_all() == ["kube-apiserver"]
    assert (kubeadm / "manifests" / "kube-apiserver.yaml").read_text() == before


def test_a_manifest_that_somebody_put_there_meanwhile_stays(kubeadm):
    node(components=["kube-apiserver"]).stop_all()
    (kubeadm / "manifests" / "kube-apiserver.yaml").write_text("theirs")
    node(components=["kube-apiserver"]).start_all()
    assert (kubeadm / "manifests" / "kube-apiserver.yaml").read_text() == "theirs"


def test_a_whole_restore_keeps_the_old_data_and_remembers_the_cluster(kubeadm):
    node(components=["kube-apiserver"]).stop_all()
    kept = node().swap()
    assert held(kubeadm) == "new"
    assert (pathlib.Path(kept[0]) / "member" / "db").read_text() == "old"
    node(components=["kube-apiserver"]).start_all()
    assert _restore.load()["stage"] == _restore.SERVING
    assert node(cluster_ids=["12", "34"]).finish() == ("new", kept)
    assert (_restore.load(), held(kubeadm)) == ({}, "new")
    assert pathlib.Path(_restore.LINEAGE).read_text().split() == ["12", "34"]
    assert pathlib.Path(_restore.REVISION).read_text() == "7\n"


def test_what_was_swapped_is_put_back(kubeadm):
    node(components=["kube-apiserver"]).stop_all()
    node().swap()
    assert node().put_back() == "old"
    assert held(kubeadm) == "old"
    # Once more, as after a killed controller.
    assert node().put_back() == "untouched"
    node(components=["kube-apiserver"]).start_all()
    assert node().finish() == ("untouched", [])
    assert not pathlib.Path(_restore.LINEAGE).exists()


def test_nothing_moves_while_etcd_runs(kubeadm, monkeypatch):
    monkeypatch.setattr(_node, "running", lambda name: (1, ["etcd"]))
    with pytest.raises(_restore.RestoreError, match="still runs"):
        node().swap()
    assert held(kubeadm) == "old"


def test_another_runs_step_is_refused(kubeadm):
    with pytest.raises(_restore.RestoreError, match="of run 20261124T100000Z-ab12, expected other"):
        node(run_id="other").swap()
    assert held(kubeadm) == "old"


def test_a_manifest_that_did_not_come_back_is_not_thrown_away(kubeadm):
    node(components=["kube-apiserver"]).stop_all()
    with pytest.raises(_restore.RestoreError, match=r"kube-apiserver\.yaml is still in"):
        node().finish()
    assert _restore.load()["stopped"] == ["kube-apiserver"]


def test_room_is_added_up_where_folders_share_a_file_system(tmp_path):
    member = {"data_directory": str(tmp_path / "etcd"), "wal_directory": ""}
    assert etcd_restore.no_room(member, 1024) == []
    assert "are free at" in " ".join(etcd_restore.no_room(member, 1 << 60))
