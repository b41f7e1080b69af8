# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook api_host, on this machine in the place of a bastion that has no way to an index of packages."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

#: What the collection wants, as packages that hold nothing but their name; the real ones are megabytes.
PACKAGES = {"kubernetes": "kubernetes", "jmespath": "jmespath", "prometheus_client": "prometheus-client"}


def wheel(folder, module, name, version):
    info = f"{module}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}/__init__.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    for module, name in PACKAGES.items():
        wheel(folder, module, name, "99.0")
    # Python brings pip as a wheel of its own.
    places = [pathlib.Path(sys.base_prefix, "lib"), pathlib.Path("/usr/share/python-wheels")]
    pip = next((path for place in places for path in sorted(place.rglob("pip-*.whl"))), None)
    if pip is None:
        pytest.skip("this Python has no wheel of pip")
    shutil.copy(pip, folder)
    return folder


@pytest.fixture
def play(tmp_path, wheels):
    def run(*arguments, **variables):
        variables = {
            "control_plane_api_host_directory": str(tmp_path / "home" / "api"),
            "control_plane_api_host_python": sys.executable,
            "control_plane_api_host_wheels": str(wheels),
            **variables,
        }
        # As it is written once the environment is there, and before.
        here = {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(tmp_path / "home" / "api" / "bin" / "python"),
        }
        inventory = {"kube_control_plane": {"hosts": {"cp1": None}}, "all": {"hosts": {"localhost": here}}}
        (tmp_path / "inventory.yml").write_text(json.dumps(inventory))
        done = subprocess.run(
            [
                "ansible-playbook",
                "mixedversion.kubernetes.api_host",
                f"--inventory={tmp_path / 'inventory.yml'}",
                f"--extra-vars={json.dumps(variables)}",
                *arguments,
            ],
            env={
                **os.environ,
                "ANSIBLE_HOME": str(tmp_path / "ansible"),
                "ANSIBLE_NOCOLOR": "true",
                "HOME": str(tmp_path / "home"),
                # pip asks a rustc, where there is one, for its version, and rustup's writes a file then.
                "RUSTUP_HOME": str(tmp_path / "rustup"),
                # Whatever is installed comes out of the folder.
                "PIP_INDEX_URL": "https://index.invalid/",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        output = " ".join((done.stdout + done.stderr).split())
        return done.returncode, output, sum(map(int, re.findall(r"changed=(\d+)", output)))

    return run


def test_an_environment_out_of_wheels_that_counts_once_it_is_whole(play, tmp_path, wheels):
    (wheels / "kubernetes-99.0-py3-none-any.whl").unlink()
    code, output, dummy = play()
    assert code != 0
    assert "No matching distribution found for kubernetes" in output
    assert "Fill control_plane_api_host_wheels anew" in output
    wheel(wheels, "kubernetes", "kubernetes", "98.0")
    code, output, changed = play()
    assert code == 0, output
    assert changed > 0
    python = tmp_path / "home" / "api" / "bin" / "python"
    assert f"ansible_python_interpreter: {python}" in output
    assert "kubernetes 98.0" in output
    subprocess.run([python, "-c", "import jmespath, kubernetes, prometheus_client"], check=True)
    # Nothing but the folder was changed, and no wheel stays in it.
    assert os.listdir(tmp_path / "home") == ["api"]
    assert not list((tmp_path / "home").rglob("*.whl"))
    code, output, changed = play()
    assert (code, changed) == (0, 0), output


def test_in_check_mode_nothing_is_made(play, tmp_path):
    code, output, changed = play("--check")
    assert (code, changed) == (0, 0), output
    assert "a virtual environment would be made there, with kubernetes>=" in output
    assert not (tmp_path / "home").exists()


def test_pip_has_to_be_among_the_wheels(play, tmp_path, wheels):
    next(wheels.glob("pip-*.whl")).unlink()
    code, output, dummy = play()
    assert code != 0
    assert "0 wheels of pip in it, expected one" in output
    assert not (tmp_path / "home").exists()


def test_a_folder_of_something_else_is_left_alone(play, tmp_path):
    other = tmp_path / "home" / "photos"
    other.mkdir(parents=True)
    (other / "sea.jpg").touch()
    code, output, dummy = play(control_plane_api_host_directory=str(other))
    assert code != 0
    assert "has sea.jpg in it, expected a folder that is new" in output
    assert os.listdir(other) == ["sea.jpg"]
