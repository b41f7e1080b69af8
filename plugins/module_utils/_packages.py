# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Kubernetes' packages by the node's own apt or dnf: which there are, and the exact ones of a version installed.

Sources: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/change-package-repository (one repository a minor,
which has nothing of the next), apt.conf(5), apt_preferences(5), dnf(8).
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import tarfile
import tempfile
import typing as t

from ansible.module_utils.urls import open_url

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _node, _node_facts, _version

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

#: What is ours on a node: a source beside the user's own, and the key that it is verified by.
APT_SOURCE = "/etc/apt/sources.list.d/mixedversion-kubernetes.list"
APT_KEY = "/etc/apt/keyrings/mixedversion-kubernetes.asc"
APT_PREFERENCES = "/etc/apt/preferences"
DNF_SOURCE = "/etc/yum.repos.d/mixedversion-kubernetes.repo"
DNF_KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-mixedversion-kubernetes"
DNF_ID = "mixedversion-kubernetes"
ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
#: Nobody answers questions, and no service is restarted but by the step it belongs to.
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "LC_ALL": "C.UTF-8"}

#: What an upgrade moves. Others come along where one of these needs them, unless they are held.
TOOLS = ("kubeadm", "kubelet", "kubectl")

#: Of the modules.
OPTIONS: dict[str, t.Any] = {
    "version": {"type": "str", "required": True},
    "repository": {"type": "str", "default": ""},
    "key": {"type": "str", "default": "", "no_log": False},
}


class PackageError(Exception):
    """The package manager does not do what it should; the text says what it said."""


class Offer(t.NamedTuple):
    """What there is of a version: the exact one by name, all that was seen by name, and where."""

    chosen: dict[str, str]
    seen: dict[str, list[str]]
    #: A URL, or empty for what the node has configured; and the public key that it is signed by.
    repository: str
    key: str


def matching(version: str, seen: t.Iterable[str]) -> str:
    """Of a package's versions the newest that is *version*: ``1.37.2-1.1`` of ``v1.37.2``. Empty if there is none."""
    wanted = str(_version.parse(version)).lstrip("v").replace("-", "~")
    found = [each for each in seen if re.match(rf"(?:\d+:)?{re.escape(wanted)}(?:-|$)", each)]
    return max(found, key=lambda each: [int(number) for number in re.findall(r"\d+", each)], default="")


def by_name(pairs: t.Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Each package's versions, each once, in the order in which they were seen."""
    seen: dict[str, list[str]] = {}
    for name, version in pairs:
        if version not in seen.setdefault(name, []):
            seen[name].append(version)
    return seen


class Manager:
    """One node's package manager."""

    name = ""
    #: The last part of the layout of pkgs.k8s.io, and where its key lies there.
    kind = ""
    key = ""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module

    def run(self, *command: str) -> str:
        code, words, trouble = self.module.run_command(list(command), environ_update=ENVIRONMENT)
        if code:
            # apt says that something does not fit on the one, and what on the other.
            said = " ".join(f"{words[-500:]} {trouble[-500:]}".split()).rstrip(".")
            raise PackageError(f"{command[0]} ended with {code}: {said}")
        return str(words)

    def default_repository(self, version: str) -> str:
        return f"https://pkgs.k8s.io/core:/stable:/v{_version.parse(version).release}/{self.kind}/"

    def read_key(self, url: str, given: str) -> str:
        """The public key that a repository is signed by: as given, or as the repository has it, by https alone."""
        if not given:
            where = f"{url.rstrip('/')}/{self.key}"
            if not where.startswith("https://"):
                raise PackageError(
                    f"{url} is no https URL, so its key must be given: control_plane_kubeadm_package_key"
                )
            try:
                given = open_url(where, timeout=30).read().decode(errors="replace")
            except OSError as error:
                raise PackageError(f"{where} could not be read: {error}") from error
        if ARMOR not in given:
            raise PackageError(f"the key of {url} is no armored public key ({ARMOR})")
        return given

    def offer(self, version: str, names: t.Sequence[str], url: str, key: str) -> Offer:
        """By what is configured, or else by the repository of the target's minor."""
        seen = self.configured(names)
        chosen = {name: matching(version, seen.get(name, [])) for name in names}
        if all(chosen.values()):
            return Offer(chosen, seen, "", "")
        url = url or self.default_repository(version)
        key = self.read_key(url, key)
        with tempfile.TemporaryDirectory(prefix="mixedversion.") as folder:
            seen = self.elsewhere(url, key, names, folder)
        return Offer({name: matching(version, seen.get(name, [])) for name in names}, seen, url, key)

    def installed(self) -> dict[str, str]:
        return dict(_node_facts.packages(self.module)["installed"])

    def others(self, chosen: t.Mapping[str, str]) -> dict[str, str]:
        """What stays as it is while *chosen* are installed: the tools beside them, and what is held."""
        found = _node_facts.packages(self.module)
        kept = {*TOOLS, *found["held"]} - set(chosen)
        return {name: version for name, version in found["installed"].items() if name in kept}

    def install(self, chosen: t.Mapping[str, str]) -> None:
        """These, and none of the others; holds stay as they are."""
        wanted = {**self.others(chosen), **chosen}
        self.put(chosen)
        after = self.installed()
        wrong = [f"{name} {after.get(name, 'not there')}" for name in wanted if after.get(name) != wanted[name]]
        if wrong:
            told = ", ".join(f"{name} {version}" for name, version in wanted.items())
            raise PackageError(f"{self.name} left {', '.join(wrong)}, expected {told}")

    # What differs between the two.

    def configured(self, names: t.Sequence[str]) -> dict[str, list[str]]:
        raise NotImplementedError

    def elsewhere(self, url: str, key: str, names: t.Sequence[str], folder: str) -> dict[str, list[str]]:
        raise NotImplementedError

    def files(self, url: str, key: str) -> dict[str, str]:
        """What configures a repository, by path."""
        raise NotImplementedError

    def refresh(self, url: str) -> None:
        raise NotImplementedError

    def download(self, chosen: t.Mapping[str, str]) -> None:
        raise NotImplementedError

    def unpack(self, chosen: t.Mapping[str, str], name: str, path: str, folder: str) -> None:
        """The program *name* out of its downloaded package, to *path*."""
        raise NotImplementedError

    def put(self, chosen: t.Mapping[str, str]) -> None:
        raise NotImplementedError


def extract(stream: t.BinaryIO, name: str, path: str) -> None:
    """One program out of a tar of a package's files."""
    with tarfile.open(fileobj=stream, mode="r:*") as archive:
        for member in archive:
            if member.isfile() and member.name.lstrip("./") == f"usr/bin/{name}":
                source = archive.extractfile(member)
                if source is not None:
                    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
                    with open(f"{path}.part", "wb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
                    os.chmod(f"{path}.part", 0o755)
                    os.replace(f"{path}.part", path)
                    return
    raise PackageError(f"the package has no /usr/bin/{name}")


class Apt(Manager):
    """Debian's, Ubuntu's."""

    name = "apt"
    kind = "deb"
    key = "Release.key"
    wait = ("-o", "DPkg::Lock::Timeout=120")

    def madison(self, text: str) -> dict[str, list[str]]:
        lines = ([field.strip() for field in line.split("|")] for line in text.splitlines())
        return by_name((fields[0], fields[1]) for fields in lines if len(fields) == 3)

    def configured(self, names: t.Sequence[str]) -> dict[str, list[str]]:
        # Without a cache on disk, which apt would write anew where it is older than the lists.
        options = ("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")
        return self.madison(_node.output(self.module, "apt-cache", *options, "madison", *names))

    def elsewhere(self, url: str, key: str, names: t.Sequence[str], folder: str) -> dict[str, list[str]]:
        """In folders of its own, so that the node's lists stay as they are."""
        for part in ("lists/partial", "cache/archives/partial"):
            os.makedirs(f"{folder}/{part}")
        os.chmod(folder, 0o755)
        with open(f"{folder}/key.asc", "w", encoding="utf-8") as file:
            file.write(key)
        with open(f"{folder}/sources.list", "w", encoding="utf-8") as file:
            file.write(f"deb [signed-by={folder}/key.asc] {url} /\n")
        own = (
            f"Dir::Etc::sourcelist={folder}/sources.list",
            "Dir::Etc::sourceparts=/dev/null",
            f"Dir::State::lists={folder}/lists",
            f"Dir::Cache={folder}/cache",
            "APT::Sandbox::User=root",
            "APT::Update::Error-Mode=any",
        )
        options = [word for option in own for word in ("-o", option)]
        self.run("apt-get", *options, "update")
        return self.madison(self.run("apt-cache", *options, "madison", *names))

    def own_source(self, url: str) -> str:
        """The node's own file that has this repository already, perhaps with lists that are old; empty if none has.

        apt takes no repository twice with two keys, and no sources at all where one is.
        """
        text = self.run("apt-get", "indextargets", "--format", "$(SOURCESENTRY)|$(REPO_URI)")
        found = (line.partition("|") for line in text.splitlines())
        paths = [entry.rpartition(":")[0] for entry, dummy, uri in found if uri.rstrip("/") == url.rstrip("/")]
        return next((path for path in paths if path != APT_SOURCE), "")

    def files(self, url: str, key: str) -> dict[str, str]:
        if self.own_source(url):
            return {}
        return {APT_KEY: key, APT_SOURCE: f"deb [signed-by={APT_KEY}] {url} /\n"}

    def refresh(self, url: str) -> None:
        """The lists of this source alone: whatever else is configured here is not ours to refresh."""
        self.run(
            "apt-get",
            *self.wait,
            *("-o", f"Dir::Etc::sourcelist={self.own_source(url) or APT_SOURCE}"),
            *("-o", "Dir::Etc::sourceparts=/dev/null"),
            *("-o", "APT::Get::List-Cleanup=0"),
            *("-o", "APT::Update::Error-Mode=any"),
            "update",
        )

    def download(self, chosen: t.Mapping[str, str]) -> None:
        # Known now, and not on the first node: whether it can be had without the kubelet.
        if "kubeadm" in chosen:
            self.put({"kubeadm": chosen["kubeadm"]}, "--simulate")
        self.put(chosen, "--download-only")

    def unpack(self, chosen: t.Mapping[str, str], name: str, path: str, folder: str) -> None:
        self.run("sh", "-euc", 'cd "$1"; apt-get download "$2"', "sh", folder, f"{name}={chosen[name]}")
        package = glob.glob(f"{folder}/{name}_*.deb")[0]
        self.run("sh", "-euc", 'dpkg-deb --fsys-tarfile "$1" >"$2"', "sh", package, f"{folder}/files.tar")
        with open(f"{folder}/files.tar", "rb") as stream:
            extract(stream, name, path)

    def put(self, chosen: t.Mapping[str, str], *more: str) -> None:
        """The others are pinned to what they are for this command. What is held and moved all the same loses its mark
        by that, and gets it back."""
        held = [name for name in _node_facts.packages(self.module)["held"] if name in chosen]
        try:
            self._put(chosen, *more)
        finally:
            if held:
                self.run("apt-mark", "hold", *held)

    def _put(self, chosen: t.Mapping[str, str], *more: str) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="mixedversion.", encoding="utf-8") as preferences:
            for name, version in self.others(chosen).items():
                preferences.write(f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n\n")
            preferences.write(_node.read(APT_PREFERENCES))
            preferences.flush()
            os.chmod(preferences.name, 0o644)
            self.run(
                "apt-get",
                *self.wait,
                *("-o", f"Dir::Etc::preferences={preferences.name}"),
                *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
                "--assume-yes",
                "--no-install-recommends",
                "--no-remove",
                "--allow-change-held-packages",
                *more,
                "install",
                *(f"{name}={version}" for name, version in chosen.items()),
            )


class Dnf(Manager):
    """Fedora's, Red Hat's and their like."""

    name = "dnf"
    kind = "rpm"
    key = "repodata/repomd.xml.key"
    #: Kubernetes' own guide has the repository exclude its packages; versionlock is the other way to hold one.
    free = ("--disableexcludes=all", "--disableplugin=versionlock")

    def listed(self, text: str) -> dict[str, list[str]]:
        parts = (line.strip().partition(" ") for line in text.splitlines())
        return by_name((name, version) for name, dummy, version in parts if version)

    def query(self, names: t.Sequence[str], *options: str) -> str:
        form = "--queryformat=%{name} %{version}-%{release}\n"
        return self.run("dnf", "--quiet", *options, *self.free, "repoquery", "--showduplicates", form, *names)

    def configured(self, names: t.Sequence[str]) -> dict[str, list[str]]:
        # A node without any repository is no reason to give up.
        with contextlib.suppress(PackageError):
            return self.listed(self.query(names, "--cacheonly"))
        return {}

    def elsewhere(self, url: str, key: str, names: t.Sequence[str], folder: str) -> dict[str, list[str]]:
        return self.listed(
            self.query(
                names,
                f"--repofrompath={DNF_ID},{url}",
                f"--repoid={DNF_ID}",
                f"--setopt={DNF_ID}.skip_if_unavailable=0",
                f"--setopt=cachedir={folder}",
            )
        )

    def files(self, url: str, key: str) -> dict[str, str]:
        lines = ("name=Kubernetes", f"baseurl={url}", "enabled=1", "gpgcheck=1", f"gpgkey=file://{DNF_KEY}")
        excluded = f"excludepkgs={' '.join(_node_facts.PACKAGES)}"
        return {DNF_KEY: key, DNF_SOURCE: "\n".join((f"[{DNF_ID}]", *lines, excluded, ""))}

    def refresh(self, url: str) -> None:
        self.run("dnf", "--quiet", f"--repoid={DNF_ID}", "--refresh", "makecache")

    def download(self, chosen: t.Mapping[str, str]) -> None:
        self.run("dnf", "--assumeyes", *self.free, "install", "--downloadonly", *specs(chosen))

    def unpack(self, chosen: t.Mapping[str, str], name: str, path: str, folder: str) -> None:
        options = ("--downloadonly", f"--downloaddir={folder}")
        self.run("dnf", "--assumeyes", *self.free, "install", *options, f"{name}-{chosen[name]}")
        package = glob.glob(f"{folder}/{name}-*.rpm")[0]
        self.run("sh", "-euc", 'cd "$1"; rpm2archive "$2"', "sh", folder, package)
        with open(glob.glob(f"{folder}/*.tgz")[0], "rb") as stream:
            extract(stream, name, path)

    def put(self, chosen: t.Mapping[str, str]) -> None:
        self.run("dnf", "--assumeyes", *self.free, "install", *specs(chosen))


def specs(chosen: t.Mapping[str, str]) -> list[str]:
    return [f"{name}-{version}" for name, version in chosen.items()]


def find(module: AnsibleModule) -> Manager | None:
    """apt where dpkg keeps the packages; a Debian may have dnf as well."""
    if _node.usable("apt-get") and os.path.exists(_node_facts.DPKG_STATUS):
        return Apt(module)
    return Dnf(module) if _node.usable("dnf") else None


def wanted(manager: Manager) -> list[str]:
    """The packages that an upgrade moves: kubectl only where it is one."""
    installed = manager.installed()
    return [name for name in TOOLS if name != "kubectl" or name in installed]
