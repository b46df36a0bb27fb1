"""Shape comments cannot lie: `x = ...  # (N, D)` in nn is held to what x is when the line has run, and so are the layers' docstrings.

The code runs under a tracer. A letter is the function's own local of that name where it has one, else the first size it is seen with in
that call; a side may be a sum or a product, such as T·N or U+D.
"""

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import nn
from nn import cpu, reference

ROOT = Path(nn.__file__).parent
COMMENT = re.compile(r"# \(([^()]*)\)")
SIDE = re.compile(r"[A-Z0-9·+ ]+")


def commented(path):
    """{line: (name, last line, sides)} of the assignments to a name that carry a shape."""
    text = path.read_text("utf-8")
    lines, found = text.splitlines(), {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            match = COMMENT.search(lines[node.end_lineno - 1])
            sides = [side.strip() for side in match[1].split(",") if side.strip()] if match else []
            if sides and all(SIDE.fullmatch(side) for side in sides):
                found[node.lineno] = (node.targets[0].id, node.end_lineno, sides)
    return found


def complaints(shape, sides, letters):
    """What is wrong with a shape; binds letters that are new."""
    if len(shape) != len(sides):
        return f"is {shape}"
    for size, side in zip(shape, sides, strict=True):
        if re.fullmatch(r"[A-Z]", side):
            letters.setdefault(side, size)
    for size, side in zip(shape, sides, strict=True):
        if {letter for letter in re.findall("[A-Z]", side)} <= letters.keys():
            formula = re.sub(r"(\d)([A-Z])", r"\1*\2", side.replace("·", "*"))
            if eval(formula, {}, dict(letters)) != size:
                return f"is {shape}, with {letters}"
    return None


def traced(files, run):
    """Run; which comments were met, and what is wrong with any."""
    wanted = {str(path): commented(path) for path in files}
    met, wrong = set(), []

    def look(frame, state):
        rows = wanted[frame.f_code.co_filename]
        if state["line"] in rows:
            name, _, sides = rows[state["line"]]
            value = frame.f_locals.get(name)
            if isinstance(value, np.ndarray):
                met.add((frame.f_code.co_filename, state["line"]))
                own = {key: size for key, size in frame.f_locals.items() if re.fullmatch("[A-Z]", key) and isinstance(size, int)}
                letters = state["letters"] | own
                if said := complaints(value.shape, sides, letters):
                    wrong.append(f"{Path(frame.f_code.co_filename).name}:{state['line']}: {name} {said}; the comment says {sides}")
                state["letters"] = letters

    def tracer(frame, event, _):
        if frame.f_code.co_filename not in wanted:
            return None
        state = {"line": None, "letters": {}}

        def local(frame, event, _):
            if event in ("line", "return"):
                look(frame, state)
                state["line"] = frame.f_lineno if event == "line" else None
            return local

        return local

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        run()
    finally:
        sys.settrace(before)
    return met, wrong, {(path, line) for path, rows in wanted.items() for line in rows}


def everything():
    """Each operation once, forwards and backwards, on sizes that differ from one another."""
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    for room in (cpu, reference):
        same = ((1, 1), (1, 1))
        y = room.conv2d(x, w, b, (1, 1), same)
        room.conv2d_backward(rng.normal(size=y.shape), x, w, (1, 1), same)
        y, winner = room.maxpool2d(x, 2)
        room.maxpool2d_backward(y, winner, 2, x.shape)
        mean, variance = room.batch_statistics(x)
        gamma = rng.normal(size=3)
        room.batch_norm(x, gamma, gamma, mean, variance, 1e-5)
        room.batch_norm_backward(x, x, gamma, mean, variance, 1e-5, True)
        points, distance = rng.normal(size=(2, 7, 2)), np.ones(2)
        room.landmark_error(points, points + 1, distance)
        room.landmark_error_backward(points, points + 1, distance)
        h, _, saved = room.lstm(rng.normal(size=(2, 3, 5)), *rng.normal(size=(2, 2, 4)), rng.normal(size=(16, 9)), rng.normal(size=16))
        room.lstm_backward(h, np.zeros((2, 4)), saved, rng.normal(size=(16, 9)))
    stepped = nn.Conv2D(6, 4, stride=2, rng=rng).astype(np.float64)
    stepped.backward(np.ones_like(stepped.forward(rng.normal(size=(2, 5, 7, 6)))))
    seeded = nn.SeededLSTM(5, 4, 6, (2, 3), rng=rng).astype(np.float64)
    h = seeded.forward(rng.normal(size=(2, 2, 5)), rng.normal(size=(2, 6)))
    seeded.backward(h)


def test_every_shape_comment_of_nn_is_true():
    rooms = [p for p in sorted(ROOT.rglob("*.py")) if not {"gpu", "emulator"} & set(p.parts)]  # arrays of the GPU: tests/kernels
    met, wrong, there = traced(rooms, everything)
    assert wrong == []
    assert there - met == set()
    assert len(there) >= 10


@pytest.mark.parametrize(
    ("comment", "caught"), [("(N, D)", False), ("(D, N)", True), ("(N,)", True), ("(N, 2D)", True), ("(N, D+1)", True), ("(N·D, N)", True)]
)
def test_a_lie_is_caught(tmp_path, comment, caught):
    path = tmp_path / "liar.py"
    path.write_text(f"def f(x):\n    N, D = x.shape\n    y = x + 1  # {comment}\n    return y\n")
    names = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    met, wrong, there = traced([path], lambda: names["f"](np.zeros((3, 4))))
    assert met == there and bool(wrong) is caught


LAYERS = [
    (lambda rng: nn.Dense(3, 4, rng=rng), (2, 3)),
    (lambda rng: nn.Flatten(), (2, 3, 4)),
    (lambda rng: nn.Conv2D(3, 4, rng=rng), (2, 5, 6, 3)),
    (lambda rng: nn.ConvBlock(3, 4, rng=rng), (2, 5, 6, 3)),
    (lambda rng: nn.MaxPool2D(2), (2, 5, 6, 3)),
    (lambda rng: nn.BatchNorm(3), (2, 5, 6, 3)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_the_layers_docstrings_are_true(make, shape, rng):
    layer, letters = make(rng).astype(np.float64), {}
    x = rng.normal(size=shape)
    y = layer.forward(x)
    for method, before, after in ((layer.forward, x, y), (layer.backward, y, layer.backward(y))):
        said = re.match(r"\(([^()]*)\) -> \(([^()]*)\)", method.__doc__)
        for array, sides in ((before, said[1]), (after, said[2])):
            sides = [side.strip() for side in sides.split(",") if side.strip()]
            if "..." not in sides:
                numbers = [side.replace("// S", "// 2") for side in sides]
                simple = [side if re.fullmatch("[A-Z]", side) else None for side in numbers]
                assert len(sides) == array.ndim
                for size, side, text in zip(array.shape, simple, numbers, strict=True):
                    expected = letters.setdefault(side, size) if side else eval(text, {}, dict(letters))
                    assert expected == size, (method.__doc__, array.shape)
