# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import tarfile

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node
from ansible_collections.mixedversion.kubernetes.plugins.modules import backup_pack, kubeadm_copies

pytestmark = pytest.mark.node

# What systemctl show told of etcd on a node of kubespray's making.
UNIT = """FragmentPath=/etc/systemd/system/etcd.service
DropInPaths=/etc/systemd/system/etcd.service.d/10-limits.conf /etc/systemd/system/etcd.service.d/20-env.conf
EnvironmentFiles=/etc/etcd.env (ignore_errors=yes)
"""


def test_files_are_named_by_the_flags_that_end_so_and_no_log_is_one(recorded):
    flags = _node.flags(_node.manifest_command(recorded("kube-apiserver.yaml")))
    flags["encryption-provider-config"] = "/srv/encryption/config.yaml"
    flags["audit-log-path"] = "/var/log/audit.log"
    flags["log-file"] = "/var/log/apiserver.log"
    flags["service-account-key-file"] = "/a.pub,/b.pub"
    found = set(backup_pack.named_files(flags).values())
    assert {"/srv/encryption/config.yaml", "/etc/kubernetes/pki/ca.crt", "/a.pub", "/b.pub"} <= found
    assert not [path for path in found if path.startswith("/var/log")]


def test_a_units_files_are_its_own_its_drop_ins_and_its_environment():
    assert _node.shown_files(UNIT) == [
        "/etc/systemd/system/etcd.service",
        "/etc/systemd/system/etcd.service.d/10-limits.conf",
        "/etc/systemd/system/etcd.service.d/20-env.conf",
        "/etc/etcd.env",
    ]


def test_the_archive_holds_all_but_kubeadms_copies_and_is_private(tmp_path):
    root = tmp_path / "etc"
    (root / "pki").mkdir(parents=True)
    (root / "pki" / "ca.key").write_text("key")
    (root / "tmp" / "kubeadm-backup-etcd-2026").mkdir(parents=True)
    (root / "tmp" / "kubeadm-backup-etcd-2026" / "db").write_text("large")
    (tmp_path / "encryption.yaml").write_text("kind: EncryptionConfiguration")
    path = tmp_path / "out" / "cp1.tar.gz"
    backup_pack.pack(str(path), [str(root)], str(root / "tmp"), [str(tmp_path / "encryption.yaml")])
    with tarfile.open(path) as archive:
        names = {"/" + name for name in archive.getnames()}
    assert {str(root / "pki" / "ca.key"), str(tmp_path / "encryption.yaml")} <= names
    assert not [name for name in names if "/tmp/kubeadm" in name or name.endswith("/db")]
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(path.parent).st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == ["cp1.tar.gz"]


def test_a_link_comes_with_what_it_leads_to(tmp_path):
    (tmp_path / "real.pem").write_text("pem")
    (tmp_path / "current.pem").symlink_to("real.pem")
    wanted = [str(tmp_path / "current.pem"), str(tmp_path / "real.pem")]
    assert backup_pack.with_targets([wanted[0], wanted[0], "/not/there"]) == wanted


def test_a_folder_comes_with_those_that_links_lead_to(tmp_path):
    """The root itself, a folder in it, and one behind that; a link back and one to what holds it all add nothing."""
    # The last one's name is how the root's begins.
    real, certificates, deep = tmp_path / "data" / "kubernetes", tmp_path / "data" / "pki", tmp_path / "e"
    for folder in (real, certificates, deep, real / "tmp"):
        folder.mkdir(parents=True)
    (certificates / "ca.key").write_text("key")
    (deep / "front-proxy-ca.key").write_text("key")
    (real / "tmp" / "db").write_text("large")
    (real / "pki").symlink_to(certificates)
    (certificates / "deep").symlink_to(deep)
    (deep / "back").symlink_to(real)
    (deep / "all").symlink_to("/")
    (tmp_path / "etc").symlink_to(real)
    root, left_out = str(tmp_path / "etc"), str(tmp_path / "etc" / "tmp")
    roots = backup_pack.followed([root], left_out)
    assert roots == [root, *map(str, (real, certificates, deep))]
    path = tmp_path / "out" / "cp1.tar.gz"
    backup_pack.pack(str(path), roots, left_out, [])
    with tarfile.open(path) as archive:
        names = {"/" + name for name in archive.getnames()}
    assert {str(certificates / "ca.key"), str(deep / "front-proxy-ca.key")} <= names
    assert not [name for name in names if name.endswith("/db")]


def test_only_kubeadms_own_folders_are_its_copies(tmp_path):
    ours = ["kubeadm-backup-etcd-2026-11-24-10-00-00", "kubeadm-backup-manifests-2026", "kubeadm-upgraded-manifests123"]
    for name in [*ours, "kubeadm-upgrade-dryrun1", "mine", "kubeadm-kubelet-config1"]:
        (tmp_path / name).mkdir()
    (tmp_path / "kubeadm-backup-etcd-link").symlink_to(tmp_path / "mine")
    (tmp_path / "kubeadm-backup-etcd-file").write_text("x")
    assert kubeadm_copies.copies(str(tmp_path)) == [str(tmp_path / name) for name in ours]
    assert kubeadm_copies.copies(str(tmp_path / "not-there")) == []
