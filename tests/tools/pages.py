# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that users read, and the commands in them."""

from __future__ import annotations

import dataclasses
import pathlib
import re

from markdown_it import MarkdownIt

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: What the info string of a block with commands is.
SHELL = ("console", "bash", "sh", "shell")


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a page, on one line and without the comment behind it."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of code; *line* is its first one, from 1."""

    page: str
    line: int
    language: str
    text: str


def pages() -> list[pathlib.Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: pathlib.Path) -> list[Block]:
    return [
        Block(str(page.relative_to(ROOT)), (token.map or [0])[0] + 2, token.info.strip(), token.content)
        for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
        if token.type in ("fence", "code_block")
    ]


def commands(page: pathlib.Path, first: str = "", last: str = "") -> list[Command]:
    """The commands of a page. Where a block has prompts, the other lines of it are what was printed.

    *first* and *last* are headings to begin and to end at, as in the page.
    """
    text = page.read_text(encoding="utf-8").splitlines()
    begin = text.index(first) if first else 0
    end = text.index(last) if last else len(text)
    found = []
    for block in blocks(page):
        if block.language not in SHELL or not begin <= block.line - 1 < end:
            continue
        lines = block.text.splitlines()
        prompts = any(line.startswith("$ ") for line in lines)
        begun, whole = 0, ""
        for number, line in enumerate(lines):
            if prompts and not whole and not line.startswith("$ "):
                continue
            begun = begun if whole else block.line + number
            whole += line.removeprefix("$ ") if prompts and not whole else line
            if whole.endswith("\\"):
                whole = whole[:-1]
                continue
            words = " ".join(re.sub(r"(^|\s)#\s.*$", "", whole).split())
            whole = ""
            if words:
                found.append(Command(block.page, begun, words))
    return found
