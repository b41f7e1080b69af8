# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signed repository of .deb packages, in the layout of pkgs.k8s.io, of the programs in a folder.

usage: package_repository.py OUT VERSION=FOLDER...

Makes OUT/vMINOR/deb for each minor with kubeadm, kubelet and kubectl of FOLDER as VERSION-1.1, and OUT/key.asc, the
public half of a key made for it. The private half is gone when it has signed. Needs dpkg-deb and gpg.
"""

from __future__ import annotations

import email.utils
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

TEMPLATES = pathlib.Path(__file__).resolve().parents[2] / "roles" / "lab" / "templates"
TOOLS = ("kubeadm", "kubelet", "kubectl")
#: What the real packages bring beside the program.
BESIDE = {
    "kubelet": ("kubelet.service.j2", "usr/lib/systemd/system/kubelet.service"),
    "kubeadm": ("10-kubeadm.conf.j2", "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"),
}


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def package(name: str, version: str, program: pathlib.Path, folder: pathlib.Path) -> str:
    """Build one package; its entry in the list of packages."""
    architecture = output("dpkg", "--print-architecture").strip()
    path = folder / f"{name}_{version}_{architecture}.deb"
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: the lab <lab@example.com>\n"
        f"Priority: optional\nSection: admin\nDescription: {name} of the lab\n"
    )
    with tempfile.TemporaryDirectory() as work:
        root = pathlib.Path(work) / "root"
        (root / "usr" / "bin").mkdir(parents=True)
        (root / "DEBIAN").mkdir()
        root.chmod(0o755)
        (root / "DEBIAN" / "control").write_text(control)
        shutil.copyfile(program, root / "usr" / "bin" / name)
        (root / "usr" / "bin" / name).chmod(0o755)
        if name in BESIDE:
            template, target = BESIDE[name]
            (root / target).parent.mkdir(parents=True)
            shutil.copyfile(TEMPLATES / template, root / target)
        output("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(path))
    content = path.read_bytes()
    return f"{control}Filename: ./{path.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"


def publish(folder: pathlib.Path, entries: list[str], home: str) -> None:
    """The list of packages and its signature."""
    (folder / "Packages").write_text("\n".join(entries))
    content = (folder / "Packages").read_bytes()
    date = email.utils.formatdate(usegmt=True)
    digest = hashlib.sha256(content).hexdigest()
    release = f"Suite: lab\nDate: {date}\nSHA256:\n {digest} {len(content)} Packages\n"
    (folder / "Release").write_text(release)
    gpg = ("gpg", "--batch", "--yes", "--homedir", home)
    output(*gpg, "--clearsign", "--output", str(folder / "InRelease"), str(folder / "Release"))
    output(*gpg, "--armor", "--output", str(folder / "Release.key"), "--export")


def main() -> None:
    out = pathlib.Path(sys.argv[1]).resolve()
    found: dict[str, list[str]] = {}
    for word in sys.argv[2:]:
        version, dummy, programs = word.removeprefix("v").partition("=")
        minor = ".".join(version.split(".")[:2])
        folder = out / f"v{minor}" / "deb"
        folder.mkdir(parents=True, exist_ok=True)
        for name in TOOLS:
            entry = package(name, f"{version}-1.1", pathlib.Path(programs) / name, folder)
            found.setdefault(minor, []).append(entry)
    # Not in the folder of OUT: the name of gpg-agent's socket may not be long.
    with tempfile.TemporaryDirectory() as home:
        who = "lab <lab@example.com>"
        output("gpg", "--batch", "--homedir", home, "--passphrase", "", "--quick-generate-key", who, "ed25519", "sign")
        for minor, entries in found.items():
            publish(out / f"v{minor}" / "deb", entries, home)
            shutil.copyfile(out / f"v{minor}" / "deb" / "Release.key", out / "key.asc")
        output("gpgconf", "--homedir", home, "--kill", "all")


if __name__ == "__main__":
    main()
