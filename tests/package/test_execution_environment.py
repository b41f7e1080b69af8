# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-builder makes of the collection and of the definition in docs/execution-environment."""

from __future__ import annotations

import pathlib
import shutil

import pytest
import yaml

DEFINITION = "docs/execution-environment/execution-environment.yml"
REQUIREMENTS = ["kubernetes", "jmespath", "prometheus-client"]
PROGRAMS = ["gnupg", "gnupg2", "openssh-client", "openssh-clients"]


def test_introspect(installed: pathlib.Path, run, tmp_path: pathlib.Path) -> None:
    code, output = run(
        *("ansible-builder", "introspect", str(installed.parents[2])),
        *("--write-pip", "pip.txt", "--write-bindep", "bindep.txt"),
    )
    assert code == 0, output
    for name, expected in (("pip.txt", REQUIREMENTS), ("bindep.txt", PROGRAMS)):
        lines = [line for line in (tmp_path / name).read_text().splitlines() if "mixedversion.kubernetes" in line]
        assert [line.split()[0].split(">")[0] for line in lines] == expected


@pytest.fixture
def folder(installed: pathlib.Path, tarball: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The definition with the tarball beside it, as the page says."""
    shutil.copy(installed / DEFINITION, tmp_path)
    shutil.copy(tarball, tmp_path)
    return tmp_path


def test_create(folder: pathlib.Path, tarball: pathlib.Path, run, documented) -> None:
    code, output = run(*documented("execution-environment.md", "builder create"))
    assert code == 0, output
    assert "ENTRYPOINT" in (folder / "context" / "Containerfile").read_text()
    wanted = yaml.safe_load((folder / "context/_build/requirements.yml").read_text())
    # Named so, and there under that name.
    assert wanted == {"collections": [{"name": f"dist/{tarball.name}", "type": "file"}]}
    assert (folder / "context/_build/dist" / tarball.name).read_bytes() == tarball.read_bytes()


def test_a_wrong_definition_is_refused(folder: pathlib.Path, run) -> None:
    path = folder / "execution-environment.yml"
    path.write_text(path.read_text().replace("python_interpreter:", "python_interpretor:"))
    code, output = run("ansible-builder", "create")
    assert code != 0, output
    assert "python_interpretor" in output
