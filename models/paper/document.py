"""A report of sections with paragraphs, tables and figures, written as Markdown or as one self-contained HTML page.

Paragraphs, notes and cells may hold `code`, **bold** and https addresses; everything else in them, and all of a title, is plain text.
The path of a figure is absolute or counted from the report's folder.
"""

import base64
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from models.measure.report import table

IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif"}
MARKS = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|(?P<link>https://[^\s<>\"'`|]*[^\s<>\"'`|.,;:)])")
SPECIAL = re.compile(r"[\\`*_\[\]<>|]|&(?=#?\w+;)")  # what Markdown would take for its own
START = re.compile(r"^(\d{0,9})(?=[#+=~.)-])")  # headings, lists and rules, at the start of a paragraph


@dataclass
class Table:
    """Rows of as many cells as there are headings; `ours` are the numbers of the rows that stand out."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    ours: Sequence[int] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(f"{self.title}: {len(self.headings)} headings, but a row of {len(row)} cells: {list(row)}")


@dataclass
class Figure:
    """A picture, .png or .jpg; its title is also the text for those who cannot see it."""

    title: str
    path: str | Path
    note: str = ""


Part = str | Table | Figure


@dataclass
class Section:
    """A heading and what stands below it."""

    title: str
    parts: Sequence[Part]


def markdown(title: str, sections: Sequence[Section], folder: str | Path) -> str:
    """The report as Markdown, its figures linked relative to `folder`, where it is to be written."""
    blocks = [f"# {_plain(title)}"]
    for section in sections:
        blocks.append(f"## {_plain(section.title)}")
        for part in section.parts:
            blocks.extend(_markdown_part(part, Path(folder)))
    return "\n\n".join(blocks) + "\n"


def _markdown_part(part: Part, folder: Path) -> Iterator[str]:
    if isinstance(part, str):
        yield START.sub(r"\1\\", _marked(part))
        return
    yield f"### {_plain(part.title)}"
    if isinstance(part, Figure):
        link = Path(os.path.relpath(folder / part.path, folder)).as_posix()
        yield f"![{_plain(part.title)}]({quote(link)})"
    else:
        rows = [[_marked(cell, in_table=True) for cell in row] for row in part.rows]
        for k in part.ours:
            rows[k][0] = f"**{rows[k][0]}**"
        yield table([_plain(heading) for heading in part.headings], rows)
    if part.note:
        yield START.sub(r"\1\\", _marked(part.note))


def _escaped(text: str) -> str:
    """A backslash before what Markdown would take for its own."""
    return SPECIAL.sub(r"\\\g<0>", text)


def _plain(text: str) -> str:
    """One line of text without marks."""
    return _escaped(" ".join(text.split()))


def _marked(text: str, in_table: bool = False) -> str:
    """One line with its marks kept: code as it is (but for the pipes of a table), addresses in angle brackets."""
    pieces, done, text = [], 0, " ".join(text.split())
    for mark in MARKS.finditer(text):
        pieces.append(_escaped(text[done : mark.start()]))
        if mark["code"]:
            pieces.append(mark[0].replace("|", "\\|") if in_table else mark[0])
        else:
            pieces.append(f"**{_escaped(mark['bold'])}**" if mark["bold"] else f"<{mark[0]}>")
        done = mark.end()
    return "".join([*pieces, _escaped(text[done:])])


STYLE = """\
:root { color-scheme: light dark; --text: #1d1f24; --soft: #5a606b; --ground: #fff;
  --line: #d9dce1; --band: #f3f5f8; --ours: #fff1dc; --link: #0b5cad }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e6ea; --soft: #a3a9b4; --ground: #16181c; --line: #363a42; --band: #1f2228; --ours: #3a2c14; --link: #7db8f5 }
}
body { margin: 0 auto; max-width: 60rem; padding: 1rem; color: var(--text); background: var(--ground);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word }
h1, h2, h3 { line-height: 1.25 } h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem } h3 { margin-top: 2rem }
a { color: var(--link) } code { font-size: .9em; background: var(--band); padding: .1em .3em; border-radius: 3px }
nav ul { padding-left: 1.2rem; margin: .2rem 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: right }
th { background: var(--band); vertical-align: bottom }
th:first-child, td:first-child { text-align: left } td:first-child { white-space: nowrap }
tr.ours td { background: var(--ours) } tr.ours td:first-child { font-weight: 600 }
figure { margin: 0 } img { max-width: 100%; height: auto; background: #fff; border-radius: 4px }
.note { color: var(--soft); font-size: .92rem }"""


def html(title: str, sections: Sequence[Section], folder: str | Path) -> str:
    """The report as one HTML page that needs no other file, no script and no network: figures of `folder` are inside."""
    contents, body = [], []
    for s, section in enumerate(sections, 1):
        titled = [(f"s{s}-{k}", part) for k, part in enumerate(section.parts, 1)]
        inner = [_entry(name, part.title) + "</li>" for name, part in titled if not isinstance(part, str)]
        contents.append(_entry(f"s{s}", section.title) + (f"<ul>{''.join(inner)}</ul>" if inner else "") + "</li>")
        body += [f'<section id="s{s}">', f"<h2>{escape(section.title)}</h2>"]
        body += [_html_part(name, part, Path(folder)) for name, part in titled]
        body.append("</section>")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>",
            '<nav aria-label="Contents">\n<ul>',
            *contents,
            "</ul>\n</nav>\n<main>",
            *body,
            "</main>\n</body>\n</html>\n",
        ]
    )


def _entry(name: str, title: str) -> str:
    return f'<li><a href="#{name}">{escape(title)}</a>'


def _html_part(name: str, part: Part, folder: Path) -> str:
    if isinstance(part, str):
        return f"<p>{_rich(part)}</p>"
    note = f'\n<p class="note">{_rich(part.note)}</p>' if part.note else ""
    return f'<h3 id="{name}">{escape(part.title)}</h3>\n{_picture(part, folder) if isinstance(part, Figure) else _grid(part)}{note}'


def _picture(figure: Figure, folder: Path) -> str:
    path = folder / figure.path
    if path.suffix not in IMAGES:
        raise ValueError(f"{path}: a report shows {' and '.join(IMAGES)} files")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<figure><img alt="{escape(figure.title)}" src="data:{IMAGES[path.suffix]};base64,{data}"></figure>'


def _grid(grid: Table) -> str:
    """A table that scrolls sideways on its own where it is wider than the page."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in grid.headings)
    rows = []
    for k, row in enumerate(grid.rows):
        cells = "".join(f"<td>{_rich(cell)}</td>" for cell in row)
        rows.append(f'<tr class="ours">{cells}</tr>' if k in grid.ours else f"<tr>{cells}</tr>")
    return "\n".join(
        [f'<div class="wide" tabindex="0">\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>', *rows, "</tbody>\n</table>\n</div>"]
    )


def _rich(text: str) -> str:
    """Text for HTML, its marks as elements, everything else escaped."""
    pieces, done = [], 0
    for mark in MARKS.finditer(text):
        pieces.append(escape(text[done : mark.start()]))
        inner = escape(mark["code"] or mark["bold"] or mark["link"])
        element = "code" if mark["code"] else "strong"
        pieces.append(f'<a href="{inner}">{inner}</a>' if mark["link"] else f"<{element}>{inner}</{element}>")
        done = mark.end()
    return "".join([*pieces, escape(text[done:])])
