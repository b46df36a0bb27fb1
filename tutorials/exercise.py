"""What an exercise is: a task, its hints, its solution, an independent truth, and the mistakes that are recognised by name.

    @exercise("2.1", "A dense layer, forward", grade="one line", hints=["...", "..."], gives="y")
    def dense(x, w, b):
        \"""Return y = x Wᵀ + b ...\"""
        return x @ w.T + b

The function is the solution; the task is its signature and docstring. `@dense.case` draws arguments to judge on, `@dense.truth`
computes the same by another way (a test holds the solution to it), `@dense.wrong("the bias is added twice")` is a known mistake.
"""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nn.errors import InputError
from tutorials.cells import chapter

GRADES = ("one line", "a few lines", "real")


def _plain(answer: Callable, *case: Any) -> Any:
    return answer(*case)


@dataclass
class Exercise:
    """One exercise; see the module's docstring."""

    number: str
    title: str
    grade: str
    hints: Sequence[str]
    gives: tuple[str, ...]
    tolerance: float
    solution: Callable
    draws: list[Callable] = field(default_factory=list)
    mistakes: dict[str, Callable] = field(default_factory=dict)
    independent: Callable | None = None
    runner: Callable = _plain

    def case(self, draw: Callable) -> Callable:
        """Arguments to judge on: draw(rng) gives a tuple of them, or the only one."""
        self.draws.append(draw)
        return draw

    def truth(self, independent: Callable) -> Callable:
        """The right outputs for a case, from another source than the solution."""
        self.independent = independent
        return independent

    def wrong(self, name: str) -> Callable:
        """A mistake that people make, and its name."""

        def keep(mistake: Callable) -> Callable:
            self.mistakes[name] = mistake
            return mistake

        return keep

    def run(self, runner: Callable) -> Callable:
        """How an answer and a case become outputs, where that is more than a call."""
        self.runner = runner
        return runner

    def cases(self) -> list[tuple]:
        """The arguments of all cases, the same at every call."""
        drawn = [draw(np.random.default_rng([int(part) for part in self.number.split(".")])) for draw in self.draws]
        return [one if isinstance(one, tuple) else (one,) for one in drawn]

    @property
    def name(self) -> str:
        """The name of the function that is asked for."""
        return self.solution.__name__

    @property
    def text(self) -> str:
        """The solution's source, without the decorator."""
        lines = textwrap.dedent(inspect.getsource(self.solution)).splitlines()
        return "\n".join(lines[self._node.lineno - 1 :]).rstrip() + "\n"

    @property
    def stub(self) -> str:
        """What the reader starts from: the signature, the docstring, and three dots."""
        lines = textwrap.dedent(inspect.getsource(self.solution)).splitlines()
        return "\n".join([*lines[self._node.lineno - 1 : self._node.body[0].end_lineno], "    ..."]) + "\n"

    @property
    def _node(self) -> ast.FunctionDef:
        node = ast.parse(textwrap.dedent(inspect.getsource(self.solution))).body[0]
        assert isinstance(node, ast.FunctionDef) and ast.get_docstring(node), f"exercise {self.number} is a function with a docstring"
        return node


_declared: dict[str, Exercise] = {}


def exercise(
    number: str, title: str, *, grade: str, hints: Sequence[str], gives: str | Sequence[str], tolerance: float = 1e-6
) -> Callable[[Callable], Exercise]:
    """Declare an exercise; the function below is its solution.

    gives: the name of what is returned, or the names, for messages; those of gradients begin with d.
    tolerance: the largest error allowed, relative to the largest true number of an output.
    """
    if grade not in GRADES:
        raise ValueError(f"exercise {number}: grade {grade!r} is none of {GRADES}")

    def keep(solution: Callable) -> Exercise:
        one = Exercise(number, title, grade, hints, (gives,) if isinstance(gives, str) else tuple(gives), tolerance, solution)
        _declared[number] = one
        return one

    return keep


def of_chapter(number: str) -> list[Exercise]:
    """The exercises of a chapter, in order."""
    number = chapter(number).number
    importlib.import_module(f"tutorials.exercises.ch{number}")
    mine = [one for one in _declared.values() if one.number.split(".")[0].zfill(2) == number]
    return sorted(mine, key=lambda one: int(one.number.split(".")[1]))


def find(number: str) -> Exercise:
    """The exercise of that number, such as 5.1."""
    there = {one.number: one for one in of_chapter(number.split(".")[0])}
    key = ".".join(part.lstrip("0") or "0" for part in number.split("."))
    if key not in there:
        raise InputError(f"there is no exercise {number!r}; chapter {number.split('.')[0]} has {', '.join(there)}")
    return there[key]
