"""`faceseed gradcheck`: it covers every layer and the three models, ends with 0 when all are right and with 1 when one is not."""

from itertools import product

import numpy as np
import pytest

import nn
from models import gradients
from models.cfpd import cfpd
from models.cli import main
from models.corefan import Corefan
from nn import gradcheck


@pytest.fixture
def cases():
    return list(gradients.cases(np.random.default_rng(0)))


def only(monkeypatch, *names):
    """Leave these cases alone."""
    every = gradients.cases
    monkeypatch.setattr(gradients, "cases", lambda rng: (case for case in every(rng) if case[0] in names))


def test_every_layer_and_every_model_has_a_case(cases):
    seen = {type(layer) for _, layer, *_ in cases}
    layers = {thing for name in nn.__all__ if isinstance(thing := getattr(nn, name), type) and issubclass(thing, nn.Layer)}
    assert layers - seen == {nn.Layer}  # a Sequential is CFPD
    assert {name.split(",")[0] for name, *_ in cases if name.startswith("model")} == {"model sine", "model CFPD", "model COREFAN"}
    for name, *_, bar in cases:
        assert bar == (1e-6 if name.startswith("model") else 1e-7)


def test_all_are_right(monkeypatch, capsys):
    """As `faceseed gradcheck` runs it, but that whole models are checked in a single direction a tensor, to be quick."""
    every = gradcheck.check

    def check(layer, *inputs, step, **options):
        return every(layer, *inputs, step=step, **options, **({} if step == 1e-5 else {"directions": 1, "exhaustive": 0}))

    monkeypatch.setattr(gradcheck, "check", check)
    assert main(["gradcheck"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 24
    for line in lines[1:]:
        assert line.endswith("  right")
        worst, bar = map(float, line.split()[-3:-1])
        assert 0 < worst <= bar


def negative(backward):
    """A backward pass that returns the gradient of its input with the wrong sign."""

    def broken(layer, dy):
        dx = backward(layer, dy)
        return tuple(-d for d in dx) if isinstance(dx, tuple) else -dx

    return broken


@pytest.mark.parametrize(("layer", "case"), [(nn.Dense, "Dense"), (nn.MaxPool2D, "MaxPool2D"), (nn.SeededLSTM, "SeededLSTM first")])
def test_a_wrong_sign_ends_with_exit_code_1(layer, case, monkeypatch, capsys):
    monkeypatch.setattr(layer, "backward", negative(layer.backward))
    only(monkeypatch, case, "Tanh")
    assert main(["gradcheck", "--seed", "4"]) == 1
    lines = capsys.readouterr().out.splitlines()
    wrong = next(line for line in lines if line.startswith(case))
    assert wrong.endswith("2.0e+00     1e-07  WRONG")  # |g - (-g)| / |g|
    assert next(line for line in lines if line.startswith("Tanh")).endswith("right")
    assert any(line.startswith("tensor") for line in lines)  # the table of the wrong one


def test_a_wrong_sign_inside_a_model_is_seen(monkeypatch, capsys):
    """fc-2 of CFPD hands back the wrong sign: everything before it is wrong, its own weights are right."""
    monkeypatch.setattr(nn.Dense, "backward", negative(nn.Dense.backward))
    rng = np.random.default_rng(0)
    report = gradcheck.check(cfpd(2, size=8, rng=rng), rng.normal(size=(3, 8, 8, 1)), rng=rng, step=3e-7, directions=1, exhaustive=0)
    errors = {row.tensor: row.error for row in report.rows}
    assert errors["fc2.weight"] < 1e-6
    assert errors["fc1.norm.gamma"] == pytest.approx(2)


def test_verbose_prints_a_table_of_every_tensor(monkeypatch, capsys):
    only(monkeypatch, "LSTM")
    assert main(["gradcheck", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("tensor", "numeric", "input x", "input h0", "input c0", "weight", "bias"))


OPTIONS = [
    {"feed": feed, "injection": injection, "readout": readout, "seeding": seeding}
    for feed, injection, readout, seeding in product(
        ("constant", "window"), ("every", "first"), ("mean", "newest", "point"), ("free", "window")
    )
    if readout != "point" or (feed, seeding) == ("constant", "free")
]


@pytest.mark.parametrize("chosen", OPTIONS, ids=lambda chosen: "-".join(chosen.values()))
def test_corefan_in_all_its_options(chosen):
    """A short step: batch norm over three images bends so much that the O(step²) of 1e-6 comes near the bar."""
    rng = np.random.default_rng(0)
    model = Corefan(2, 6, size=16, rng=rng, **chosen)
    report = gradcheck.check(model, rng.normal(size=(3, 16, 16, 1)), rng=rng, step=3e-7, directions=1, exhaustive=0)
    assert report.worst < 1e-6, report
