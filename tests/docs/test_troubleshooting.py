"""Every message that the page on troubleshooting quotes stands in the code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
QUOTED = [row.strip().strip("`").strip() for row in re.findall(r"^\| (`.+?`+) \|", TEXT, re.M)]


@pytest.fixture(scope="module")
def code():
    """All of it, with strings that run over several lines joined."""
    files = [p for top in ("nn", "models", "tutorials") for p in (ROOT / top).rglob("*") if p.suffix in (".py", ".cpp", ".h")]
    text = "\n".join(path.read_text("utf-8") for path in files)
    return re.sub(r"[\"']\s*\n\s*f?[\"']", "", text)


def test_there_are_many():
    assert len(QUOTED) >= 30


@pytest.mark.parametrize("message", QUOTED)
def test_it_stands_in_the_code(message, code):
    for piece in message.split("…"):
        assert piece.strip() in code
