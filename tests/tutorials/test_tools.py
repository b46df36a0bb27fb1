"""python -m tutorials: its commands, its exit codes, and what it keeps of a reader's work. A tiny chapter stands in for the real ones."""

import json

import numpy as np
import pytest

from nn import Dense
from tutorials import answers, cells, judge, show
from tutorials.__main__ import main
from tutorials.exercise import exercise

CHAPTER = """# %% [markdown]
# # 1 A test
#
# Some text.

# %%
print("one", 1)
"""


@pytest.fixture
def twice():
    @exercise("1.1", "Twice", grade="one line", hints=["x and x"], gives="dx")
    def twice(x):
        """Return 2 x."""
        return 2 * x

    twice.case(lambda rng: rng.normal(size=(3, 2)))
    twice.wrong("half instead of double")(lambda x: x / 2)
    return twice


@pytest.fixture
def house(tmp_path, monkeypatch, twice):
    """One chapter with one exercise, and a folder for the answers."""
    (tmp_path / "ch01_test.py").write_text(CHAPTER)
    monkeypatch.setattr(cells, "FOLDER", tmp_path)
    monkeypatch.setenv("FACESEED_ANSWERS", str(tmp_path / "answers"))
    for module in ("tutorials.__main__", "tutorials.answers"):
        monkeypatch.setattr(f"{module}.of_chapter", lambda number: [twice])
    monkeypatch.setattr("tutorials.__main__.find", lambda number: twice)
    return tmp_path


def test_answers_are_kept_judged_and_remembered(house, capsys):
    assert main(["check", "1"]) == 0
    file = house / "answers/ch01.py"
    assert file.read_text().endswith('def twice(x):\n    """Return 2 x."""\n    ...\n')
    assert main(["check", "01"]) == 0 and "[ ] 1.1 Twice: not started" in capsys.readouterr().out
    file.write_text("def twice(x):\n    return x / 2\n")
    assert main(["check", "1"]) == 1 and "known mistake: half instead of double" in capsys.readouterr().out
    assert answers.solved() == {}
    file.write_text("def twice(x):\n    return x + x\n")
    assert main(["check", "1"]) == 0 and "[v] 1.1 Twice: right" in capsys.readouterr().out
    file.write_text("")
    assert main(["check", "1"]) == 0
    assert list(answers.solved()) == ["1.1"]
    assert main(["progress"]) == 0 and "1 of 1 exercises solved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [("def twice(x:\n", "line 1"), ("import numpy\n1 / 0\n", "ZeroDivisionError"), (b"\xff\xfe", "cannot be run")],
)
def test_a_broken_file_of_answers_is_named(house, capsys, text, said):
    file = house / "answers/ch01.py"
    file.parent.mkdir()
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["check", "1"]) == 2
    assert "ch01.py" in (heard := capsys.readouterr().err) and said in heard


def test_damaged_progress_is_named_and_kept(house, capsys):
    (house / "answers").mkdir()
    (house / "answers/progress.json").write_text("{")
    assert main(["progress"]) == 2 and "progress.json" in capsys.readouterr().err
    assert (house / "answers/progress.json").read_text() == "{"


def test_a_notebook_never_overwrites(house, capsys):
    out = house / "out.ipynb"
    assert main(["notebook", "1", str(out)]) == 0
    book = json.loads(out.read_text())
    assert [(cell["cell_type"], cell["source"]) for cell in book["cells"]] == [
        ("markdown", "# 1 A test\n\nSome text."),
        ("code", 'print("one", 1)'),
    ]
    assert main(["notebook", "1", str(out)]) == 2 and "another name" in capsys.readouterr().err
    assert main(["notebook", "1", str(house / "no/out.ipynb")]) == 2


def test_list_run_hint_solution(house, capsys):
    assert main([]) == 0 and capsys.readouterr().out == "01  A test  (ch01_test.py)\n"
    assert main(["run", "1"]) == 0 and capsys.readouterr().out == "one 1\n"
    assert main(["hint", "1.1"]) == 0 and capsys.readouterr().out == "- x and x\n"
    assert main(["solution", "1.1"]) == 0 and capsys.readouterr().out == 'def twice(x):\n    """Return 2 x."""\n    return 2 * x\n'
    assert main(["run", "9"]) == 2 and "there is no chapter '9'; there are 01" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: 2 * x[:, :1], "dx has shape (3, 1); expected (3, 2)"),
        (lambda x: (2 * x).astype(np.float32), "dx has dtype float32; expected float64"),
        (lambda x: 2 * x + np.where(np.arange(2) == 1, 1.0, 0), "3 of 6 numbers differ"),
        (lambda x: x * np.nan, "dx holds NaN or infinity, first at index (0, 0)"),
        (lambda x: np.multiply(x, 2, out=x), "it changes its argument number 1"),
        (lambda x: "two", "dx is a str"),
        (lambda x: [[1, 2], [3]], "dx is a ragged list"),
        (lambda x: x @ x, "it raised ValueError"),
    ],
)
def test_what_is_wrong_is_said(twice, answer, said):
    verdict = judge.judge(twice, answer)
    assert verdict.state == "wrong" and said in verdict.message


def test_one_wrong_number_is_placed(twice):
    def answer(x):
        y = 2 * x
        y[2, 1] += 1
        return y

    assert "the gradient of x (dx) is wrong at index (2, 1)" in judge.judge(twice, answer).message


def test_a_notebook_s_check_prints(monkeypatch, twice, capsys):
    monkeypatch.setattr(judge, "find", lambda number: twice)
    judge.check("1.1", lambda x: 2 * x)
    judge.check("1.1", None)
    assert capsys.readouterr().out == "[v] 1.1 Twice: right\n[ ] 1.1 Twice: not started\n"


def test_the_library_s_own_lines_are_shown(capsys):
    show.show_source(Dense.forward)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("# nn/dense.py, line ") and rest[0].startswith("def forward(self")
    show.show_kernel("activation.cu", "relu_forward")
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("// nn/gpu/activation.cu, line ") and rest[-1] == "}" and any("relu_forward(" in line for line in rest)
    with pytest.raises(ValueError, match="no function relu"):
        show.show_kernel("activation.cu", "relu")
