# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No command stands in the pages that nobody has tried: each is run by a file that commands.yml names, or checked here
as far as it goes without a cluster, or said on its page to be not shown.
"""

from __future__ import annotations

import functools
import os
import pathlib
import re
import shlex
import subprocess

import pytest
import yaml

from ansible_collections.mixedversion.kubernetes.tests.tools import pages

ROOT = pages.ROOT
WHERE = yaml.safe_load((pathlib.Path(__file__).parent / "commands.yml").read_text(encoding="utf-8"))
COMMANDS = [command for page in pages.pages() for command in pages.commands(page)]
PLAYBOOK = re.compile(r"ansible-playbook mixedversion\.kubernetes\.(\w+)")
MAKE = [command for command in COMMANDS if command.text.startswith("make ")]
PLAYED = [command for command in COMMANDS if PLAYBOOK.match(command.text)]
OTHERS = [command for command in COMMANDS if command not in MAKE and command not in PLAYED]
#: What a run gives to hooks and to AWX, rather than takes.
GIVEN = {"control_plane_custom", "control_plane_hook", "control_plane_outcome"}
ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
    "ANSIBLE_HOME": str(ROOT / "build" / "ansible"),
    "ANSIBLE_NOCOLOR": "true",
}


@functools.cache
def said(path: str) -> str:
    """A file's text, with what only quotes or separates words gone."""
    text = re.sub(r"""["',()\[\]]""", " ", (ROOT / path).read_text(encoding="utf-8"))
    return " ".join(text.split())


@functools.cache
def specified() -> frozenset[str]:
    """Every variable of every role's entry points."""
    return frozenset(
        name
        for path in ROOT.glob("roles/*/meta/argument_specs.yml")
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values()
        for name in entry.get("options") or {}
    )


def test_commands_are_found():
    assert {command.page for command in COMMANDS} >= {"README.md", "CONTRIBUTING.md", "docs/awx.md", "docs/plan.md"}
    assert MAKE and PLAYED and OTHERS


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_block_says_what_it_is(page):
    """Commands in a block without a language would be looked at by nobody."""
    known = {*pages.SHELL, "yaml", "json", "python", "text", "mermaid"}
    assert [block for block in pages.blocks(page) if block.language not in known] == []
    hidden = [
        block
        for block in pages.blocks(page)
        if block.language not in pages.SHELL and re.search(r"^(\$ |ansible-\w+ |make |kubectl )", block.text, re.M)
    ]
    assert hidden == []


@pytest.mark.parametrize("command", MAKE, ids=str)
def test_make_knows(command):
    words = shlex.split(command.text)
    done = subprocess.run([*words, "--dry-run"], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words[1:]:
        name, given, dummy = word.partition("=")
        assert f"$({name})" in makefile if given else re.search(rf"^{name}:.* ## ", makefile, re.M), word


@pytest.mark.parametrize("command", PLAYED, ids=str)
def test_a_playbook_is_there_and_played(command):
    name = PLAYBOOK.match(command.text).group(1)
    assert (ROOT / "playbooks" / f"{name}.yml").is_file()
    text = (ROOT / WHERE["playbooks"][name]).read_text(encoding="utf-8")
    played = rf"""\bplay(book)?\(\s*"{name}"|import_playbook: mixedversion\.kubernetes\.{name}$"""
    line = rf'"ansible-playbook mixedversion\.kubernetes\.{name} '
    assert re.search(rf"""{played}|{line}|"mixedversion\.kubernetes\.{name}",$""", text, re.M)


@pytest.mark.parametrize("command", PLAYED, ids=str)
def test_its_variables_are_specified(command):
    words = shlex.split(command.text)
    given = [words[at + 1] for at, word in enumerate(words) if word in ("-e", "--extra-vars")]
    assert {one.partition("=")[0] for one in given} <= specified()


def shapes() -> dict[tuple[str, ...], list[str]]:
    """Playbooks by how they are called, so that one start of Ansible does for all that are called so."""
    found: dict[tuple[str, ...], list[str]] = {}
    for command in PLAYED:
        dummy, name, *arguments = shlex.split(command.text)
        if "-i" in arguments:
            arguments[arguments.index("-i") + 1] = "cp1,"
        names = found.setdefault(tuple(arguments), [])
        if name not in names:
            names.append(name)
    return found


@pytest.mark.parametrize("arguments", shapes(), ids=" ".join)
def test_ansible_takes_it(arguments):
    done = subprocess.run(
        ["ansible-playbook", "--syntax-check", *shapes()[arguments], *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", OTHERS, ids=str)
def test_it_is_run_by_something(command):
    by = [entry for entry in WHERE["run"] if command.text.startswith(entry["command"])]
    not_shown = [entry for entry in WHERE["not_shown"] if command.text in entry["commands"]]
    assert len(by) + len(not_shown) == 1, "commands.yml has to say, once, what runs it"
    for entry in by:
        assert entry["words"] in command.text
        assert entry["by"].split("/")[0] in ("Makefile", "molecule", "tests")
        assert entry["words"] in said(entry["by"])
    for entry in not_shown:
        assert entry["page"] == command.page
        assert " ".join(entry["says"].split()) in " ".join((ROOT / command.page).read_text(encoding="utf-8").split())


def test_nothing_is_accounted_for_that_is_not_there():
    texts = [command.text for command in OTHERS]
    for entry in WHERE["run"]:
        assert any(text.startswith(entry["command"]) for text in texts), entry
    for entry in WHERE["not_shown"]:
        assert set(entry["commands"]) <= set(texts), entry
    assert set(WHERE["playbooks"]) == {path.stem for path in (ROOT / "playbooks").glob("[a-z]*.yml")}


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_variables_in_the_text_are_specified(page):
    named = set(
        re.findall(r"(?<![/\w])(control_plane_[a-z0-9_]*[a-z0-9])(?![a-z0-9_*])", page.read_text(encoding="utf-8"))
    )
    assert named - specified() - GIVEN == set()
