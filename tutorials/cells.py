"""A chapter is a Python file in percent cells: `# %% [markdown]` begins text, `# %%` begins code. This file finds and splits them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nn.errors import InputError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Chapter:
    """One chapter: its number as two digits, its title without the number, its file."""

    number: str
    title: str
    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")


@dataclass(frozen=True)
class Cell:
    """One cell: "markdown" or "code", its text without the comment signs of Markdown, and the line it begins on."""

    kind: str
    source: str
    line: int


def chapters() -> dict[str, Chapter]:
    """All chapters in reading order, by number."""
    found = {}
    for path in sorted(FOLDER.glob("ch[0-9][0-9]_*.py")):
        heading = re.search(r"(?m)^# # \d+ (.+)$", path.read_text("utf-8"))
        if heading is None:
            raise ValueError(f"{path.name} has no line like: # # 5 Title")
        found[path.name[2:4]] = Chapter(path.name[2:4], heading[1], path)
    return found


def chapter(number: str) -> Chapter:
    """The chapter of that number, written 5 or 05."""
    there = chapters()
    if number.zfill(2) not in there:
        raise InputError(f"there is no chapter {number!r}; there are {', '.join(there) or 'none'}")
    return there[number.zfill(2)]


def cells(text: str) -> list[Cell]:
    """The cells of a chapter, in order."""
    found = []
    marks = list(re.finditer(r"(?m)^# %%(.*)\n", text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        body = text[mark.end() : following.start() if following else None].strip("\n")
        markdown = "[markdown]" in mark[1]
        if markdown:
            body = re.sub(r"(?m)^# ?", "", body)
        found.append(Cell("markdown" if markdown else "code", body, text.count("\n", 0, mark.end()) + 1))
    return found


def notebook(text: str) -> dict[str, Any]:
    """The chapter as a Jupyter notebook (nbformat 4.5), without outputs."""
    found: list[dict[str, Any]] = []
    for index, cell in enumerate(cells(text)):
        one: dict[str, Any] = {"cell_type": cell.kind, "id": f"cell-{index:03d}", "metadata": {}, "source": cell.source}
        found.append(one | ({"execution_count": None, "outputs": []} if cell.kind == "code" else {}))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}, "language_info": {"name": "python"}}
    return {"cells": found, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
