"""Every chapter runs, and prints what it printed when it was written; each has the parts that a chapter has."""

import re

import pytest

from tests.tutorials.expect import differences, expected_file, printed
from tutorials.cells import cells, chapter, chapters, notebook

NUMBERS = list(chapters())
HEADER = "| you need | reading | on 2 cores | on a GPU | seed |"


def test_all_thirteen_are_there():
    assert NUMBERS == [f"{n:02d}" for n in range(1, 14)]


@pytest.mark.parametrize("number", NUMBERS)
def test_it_prints_what_it_printed(number):
    assert differences(printed(number), expected_file(number).read_text("utf-8")) == []


@pytest.mark.parametrize("number", NUMBERS)
def test_it_has_the_parts_of_a_chapter(number):
    one = chapter(number)
    text = "\n".join(cell.source for cell in cells(one.text) if cell.kind == "markdown")
    assert text.startswith(f"# {int(number)} {one.title}\n")
    assert HEADER in text
    assert "By the end you can" in text
    assert "hat breaks" in text
    following = chapters().get(f"{int(number) + 1:02d}")
    if following:
        assert text.rstrip().endswith(f"Next: [{int(following.number)} {following.title}]({following.path.name})")
    code = "\n".join(cell.source for cell in cells(one.text) if cell.kind == "code")
    asked = re.findall(r'^exercise\("([\d.]+)"\)', code, re.M)
    assert len(asked) >= 3 and asked == [f"{int(number)}.{k}" for k in range(1, len(asked) + 1)]


@pytest.mark.parametrize("number", NUMBERS)
def test_its_links_lead_somewhere(number):
    one = chapter(number)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", one.text):
        if not target.startswith("http"):
            assert (one.path.parent / target).exists(), target


@pytest.mark.parametrize("number", NUMBERS)
def test_as_a_notebook_it_is_the_same_code(number):
    text = chapter(number).text
    code = "\n".join(cell["source"] for cell in notebook(text)["cells"] if cell["cell_type"] == "code")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert [line for line in code.splitlines() if line.strip() and not line.startswith("#")] == lines


@pytest.mark.parametrize(
    ("got", "want", "same"),
    [
        ("loss 0.50001", "loss 0.5", True),
        ("loss 0.52", "loss 0.5", False),
        ("loss 0.52 (± 5 %)", "loss 0.5 (± 5 %)", True),
        ("loss 0.53 (± 5 %)", "loss 0.5 (± 5 %)", False),
        ("12 ms (varies)", "99 ms (varies)", True),
        ("12 s (varies)", "99 ms (varies)", False),
        ("(2, 3)", "(3, 2)", False),
        ("nan", "0.5", False),
        ("a\nb", "a", False),
        ("-1.0", "1.0", False),
    ],
)
def test_what_counts_as_a_difference(got, want, same):
    assert (differences(got, want) == []) is same
