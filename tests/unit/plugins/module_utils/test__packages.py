# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import pathlib
import tarfile

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node_facts, _packages

pytestmark = pytest.mark.node

#: As `apt-cache madison` of apt 2.6 and `dnf repoquery` of dnf 4.14 print it.
MADISON = """\
   kubeadm | 1.37.2-1.1 | https://pkgs.k8s.io/core:/stable:/v1.37/deb  Packages
   kubeadm | 1.37.1-1.1 | https://pkgs.k8s.io/core:/stable:/v1.37/deb  Packages
   kubelet | 1.37.2-1.1 | https://pkgs.k8s.io/core:/stable:/v1.37/deb  Packages
"""
QUERIED = "kubeadm 1.37.1-150500.1.1\nkubeadm 1.37.2-150500.1.1\nkubelet 1.37.2-150500.1.1\n"
KEY = f"{_packages.ARMOR}\n\nmDMEawqc\n-----END PGP PUBLIC KEY BLOCK-----\n"


class Module:
    """Answers commands by their first words, and keeps what was asked for."""

    def __init__(self, answers=()):
        self.answers = dict(answers)
        self.asked = []

    def run_command(self, command, environ_update=None, handle_exceptions=True):
        self.asked.append(command)
        for start, answer in self.answers.items():
            if " ".join(command).startswith(start):
                return answer
        return 0, "", ""


@pytest.fixture
def dpkg(tmp_path, monkeypatch):
    """A node of Debian with these packages, by name their version and whether they are held."""

    def write(**packages):
        entries = [
            f"Package: {name}\nStatus: {'hold' if held else 'install'} ok installed\nVersion: {version}\n"
            for name, (version, held) in packages.items()
        ]
        (tmp_path / "status").write_text("\n".join(entries))

    monkeypatch.setattr(_node_facts, "DPKG_STATUS", str(tmp_path / "status"))
    monkeypatch.setattr(_packages._node, "usable", lambda command: True)
    return write


@pytest.mark.parametrize(
    ("version", "seen", "wanted"),
    [
        ("v1.37.2", ["1.37.20-1.1", "1.37.2-1.1", "1.37.1-1.1"], "1.37.2-1.1"),
        ("v1.37.2", ["1.37.2-1.1", "1.37.2-10.1", "1.37.2-2.1"], "1.37.2-10.1"),
        ("1.37.2", ["1:1.37.2-00"], "1:1.37.2-00"),
        ("v1.37.0-rc.1", ["1.37.0~rc.1-1.1", "1.37.0-1.1"], "1.37.0~rc.1-1.1"),
        ("v1.37.2", ["1.37.1-1.1", "11.37.2-1.1"], ""),
        ("v1.37.2", [], ""),
    ],
)
def test_the_exact_version_of_a_release(version, seen, wanted):
    assert _packages.matching(version, seen) == wanted


def test_what_the_node_has_configured_comes_first(dpkg):
    dpkg(kubeadm=("1.36.4-1.1", False), kubelet=("1.36.4-1.1", True))
    module = Module({"apt-cache -o Dir::Cache::pkgcache=": (0, MADISON, "")})
    manager = _packages.Apt(module)
    assert _packages.wanted(manager) == ["kubeadm", "kubelet"]
    offer = manager.offer("v1.37.2", ["kubeadm", "kubelet"], "", "")
    assert (offer.chosen, offer.repository) == ({"kubeadm": "1.37.2-1.1", "kubelet": "1.37.2-1.1"}, "")
    assert not [command for command in module.asked if "update" in command]


def test_another_repository_is_asked_aside(dpkg):
    dpkg(kubeadm=("1.36.4-1.1", False))
    module = Module({"apt-cache -o Dir::Etc::sourcelist=": (0, MADISON, "")})
    offer = _packages.Apt(module).offer("v1.37.2", ["kubeadm"], "", KEY)
    assert offer.repository == "https://pkgs.k8s.io/core:/stable:/v1.37/deb/"
    assert offer.seen["kubeadm"] == ["1.37.2-1.1", "1.37.1-1.1"]
    (update,) = [command for command in module.asked if "update" in command]
    lists = [word for word in update if word.startswith("Dir::State::lists=")]
    assert lists and "/var/lib/apt" not in lists[0]
    assert not pathlib.Path(lists[0].partition("=")[2]).exists()


@pytest.mark.parametrize(
    ("url", "key", "words"),
    [
        ("http://192.0.2.1/deb/", "", "is no https URL, so its key must be given"),
        ("http://192.0.2.1/deb/", "abc", "is no armored public key"),
    ],
)
def test_a_repository_whose_key_is_not_known(dpkg, url, key, words):
    dpkg(kubeadm=("1.36.4-1.1", False))
    with pytest.raises(_packages.PackageError, match=words):
        _packages.Apt(Module()).offer("v1.37.2", ["kubeadm"], url, key)


def test_what_is_held_is_moved_by_name_alone_and_held_again(dpkg):
    dpkg(kubeadm=("1.36.4-1.1", True), kubelet=("1.36.4-1.1", False), kubernetes_cni=("1.0", False))
    module = Module()
    with pytest.raises(_packages.PackageError, match=r"left kubeadm 1\.36\.4-1\.1, expected kubelet"):
        # Nothing is installed here, which is seen.
        _packages.Apt(module).install({"kubeadm": "1.37.2-1.1"})
    install, hold = module.asked
    assert install[-2:] == ["install", "kubeadm=1.37.2-1.1"]
    assert "--no-remove" in install
    assert hold == ["apt-mark", "hold", "kubeadm"]


def test_a_hold_comes_back_where_the_manager_fails(dpkg):
    dpkg(kubeadm=("1.36.4-1.1", True))
    module = Module({"apt-get": (100, "", "E: no space")})
    with pytest.raises(_packages.PackageError, match="apt-get ended with 100: E: no space"):
        _packages.Apt(module).install({"kubeadm": "1.37.2-1.1"})
    assert module.asked[-1] == ["apt-mark", "hold", "kubeadm"]


def test_dnf_lists_name_and_version():
    assert _packages.Dnf(Module()).listed(QUERIED) == {
        "kubeadm": ["1.37.1-150500.1.1", "1.37.2-150500.1.1"],
        "kubelet": ["1.37.2-150500.1.1"],
    }


def test_a_program_out_of_a_package(tmp_path):
    path = tmp_path / "staged" / "kubeadm"
    content = b"program"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("./usr/bin/kubeadm")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    stream.seek(0)
    _packages.extract(stream, "kubeadm", str(path))
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o755
    stream.seek(0)
    with pytest.raises(_packages.PackageError, match="no /usr/bin/kubelet"):
        _packages.extract(stream, "kubelet", str(path))


TARGETS = """\
/etc/apt/sources.list.d/debian.sources:1|https://deb.debian.org/debian/
/etc/apt/sources.list.d/kubernetes.list:3|https://pkgs.k8s.io/core:/stable:/v1.36/deb/
"""


@pytest.mark.parametrize(
    ("minor", "written", "refreshed"),
    [
        ("v1.36", [], "/etc/apt/sources.list.d/kubernetes.list"),
        ("v1.37", [_packages.APT_KEY, _packages.APT_SOURCE], _packages.APT_SOURCE),
    ],
)
def test_a_repository_that_the_node_has_already_is_refreshed_and_not_named_twice(dpkg, minor, written, refreshed):
    """apt takes none of its sources where one repository is named with two keys."""
    module = Module({"apt-get indextargets": (0, TARGETS, "")})
    apt, url = _packages.Apt(module), f"https://pkgs.k8s.io/core:/stable:/{minor}/deb"
    assert list(apt.files(url, KEY)) == written
    apt.refresh(url)
    assert f"Dir::Etc::sourcelist={refreshed}" in module.asked[-1]
