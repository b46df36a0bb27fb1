"""Every exercise: its solution is true by another source, its checker passes it and nothing else, and names the known mistakes."""

import copy
import re

import numpy as np
import pytest

from tutorials.cells import chapters
from tutorials.exercise import find, of_chapter
from tutorials.judge import _compare, judge

ALL = [one.number for number in chapters() for one in of_chapter(number)]
MISTAKES = [(number, name) for number in ALL for name in find(number).mistakes]


def test_there_are_enough():
    assert len(ALL) >= 55
    assert len(MISTAKES) >= 25


@pytest.mark.parametrize("number", ALL)
def test_the_solution_is_true_by_another_source(number):
    one = find(number)
    assert one.independent is not None and one.draws and len(one.hints) >= 1
    for case in one.cases():
        got = one.runner(one.solution, *copy.deepcopy(case))
        assert _compare(one, got, one.independent(*copy.deepcopy(case))) is None


@pytest.mark.parametrize("number", ALL)
def test_the_printed_solution_needs_numpy_alone_and_passes(number):
    one, names = find(number), {"np": np}
    exec(one.text, names)
    assert judge(one, names[one.name]).state == "right"


@pytest.mark.parametrize("number", ALL)
def test_the_task_alone_counts_as_not_started(number):
    one, names = find(number), {"np": np}
    exec(one.stub, names)
    assert judge(one, names[one.name]).state == "open"
    assert one.solution.__doc__ in one.stub


@pytest.mark.parametrize(("number", "name"), MISTAKES)
def test_a_known_mistake_is_called_by_its_name(number, name):
    one = find(number)
    verdict = judge(one, one.mistakes[name])
    assert verdict.state == "wrong" and name in verdict.message


def planted(one, change):
    """The solution with its first output changed."""

    def answer(*case):
        outputs = one.solution(*case)
        if isinstance(outputs, str | bool) or callable(outputs):
            return change(outputs)
        return change(outputs) if len(one.gives) == 1 else (change(outputs[0]), *outputs[1:])

    return answer


def slip(value):
    """One number of an output changed a little; another word where it is a text, which then is another program."""
    if isinstance(value, str | bool):
        return f"{value} ?" if isinstance(value, str) else not value
    wrong = np.array(value)
    if wrong.dtype.kind in "biu":
        return wrong + np.ones_like(wrong)
    wrong[(0,) * wrong.ndim] += 0.01 * (1 + np.abs(wrong).max())
    return wrong


def odd_shape(value):
    return f"{value}}}" if isinstance(value, str) else np.zeros((3, 1, 4, 1, 5))


@pytest.mark.parametrize("change", [slip, odd_shape])
@pytest.mark.parametrize("number", ALL)
def test_a_planted_mistake_is_seen(number, change):
    verdict = judge(find(number), planted(find(number), change))
    assert verdict.state == "wrong" and verdict.message


@pytest.mark.parametrize("number", ALL)
def test_what_raises_is_a_message(number):
    def answer(*_case):
        raise ValueError("three is not four")

    verdict = judge(find(number), answer)
    assert verdict.state == "wrong" and re.search(r"ValueError: three is not four \(line \d+ of your answers\)", verdict.message)
