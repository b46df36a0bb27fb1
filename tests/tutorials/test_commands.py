"""Every command line that a chapter, the README or a page names is one that runs."""

import re
import shlex
from pathlib import Path

import pytest

import nn
from models.cli import parser
from tutorials.__main__ import main
from tutorials.cells import chapters

ROOT = Path(nn.__file__).parents[1]
PAGES = [one.path for one in chapters().values()] + [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "models/weights/README.md",
]


def spoken(page):
    """Command lines in back-ticks or alone on a line, without what stands behind a # and with broken lines joined."""
    text = re.sub(r"(?m)^# ", "", page.read_text("utf-8")) if page.suffix == ".py" else page.read_text("utf-8")
    text = re.sub(r"\\\n\s*", " ", text)
    found = re.findall(r"`((?:faceseed|python -m tutorials)\b[^`\n]*)`", text) + re.findall(
        r"(?m)^((?:faceseed|python -m tutorials)\b.*)$", text
    )
    return sorted({re.split(r"\s+# |\s&&|\s{4,}#", line)[0].strip() for line in found})


COMMANDS = sorted({(page, line) for page in PAGES for line in spoken(page)})
TUTORIALS = sorted({line for _, line in COMMANDS if line.startswith("python")})
FACESEED = [(page, line) for page, line in COMMANDS if line.startswith("faceseed ")]


def test_there_are_many():
    assert len(TUTORIALS) >= 15 and len(FACESEED) >= 30


@pytest.mark.parametrize("line", [line for line in TUTORIALS if not re.search(r" run\b|NN|N\.M", line)])
def test_the_chapters_commands_run(line, tmp_path, monkeypatch, capsys):
    """But `run`, which test_chapters.py does for every chapter."""
    monkeypatch.setenv("FACESEED_ANSWERS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)[3:]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(("page", "line"), FACESEED, ids=lambda value: value.name if isinstance(value, Path) else value)
def test_faceseed_s_command_lines_are_understood(page, line):
    words = [word for word in shlex.split(line)[1:] if not word.startswith("[")]
    words = ["corefan" if word == "MODEL" else word for word in words if word != "..."]
    try:
        parser().parse_args(words)
    except SystemExit as stop:
        assert stop.code == 0 or len(words) == 1, (page, line)  # a bare name in prose, such as `faceseed train`, or --help
