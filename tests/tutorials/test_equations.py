"""The paper's four equations: a tag in a chapter has its lines in the code and the other way round, and the code computes what they say."""

import re
from pathlib import Path

import numpy as np

import nn
from models.faces import geometry
from nn import MeanSquaredError, SeededLSTM, reference
from tutorials.cells import chapters

ROOT = Path(nn.__file__).parents[1]


def test_tags_in_chapters_are_those_of_the_code():
    in_chapters = {number: one.number for one in chapters().values() for number in re.findall(r"\\tag\{(\d+)\}", one.text)}
    code = [path.read_text("utf-8") for top in ("nn", "models") for path in (ROOT / top).rglob("*.py")]
    in_code = {number for text in code for number in re.findall(r"# Eq\. \((\d+)\)", text)}
    assert in_chapters.keys() == in_code == {"1", "2", "3", "4"}
    assert in_chapters == {"1": "06", "2": "06", "3": "02", "4": "10"}


def test_each_tagged_equation_stands_beside_the_library_s_lines():
    shown = {"1": ("translation", "rotation", "scaling"), "2": ("compose",), "3": ("MeanSquaredError",), "4": ("reference.lstm",)}
    for one in chapters().values():
        for number in re.findall(r"\\tag\{(\d+)\}", one.text):
            after = one.text.split(f"\\tag{{{number}}}")[1]
            assert all(f"show_source({name})" in after for name in shown[number])


def test_equation_1(rng):
    tx, ty, theta, sx, sy = rng.normal(size=5)
    cos, sin = np.cos(theta), np.sin(theta)
    for matrix, printed in (
        (geometry.translation(tx, ty), [[1, 0, tx], [0, 1, ty], [0, 0, 1]]),
        (geometry.rotation(theta), [[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]),
        (geometry.scaling(sx, sy), [[sx, 0, 0], [0, sy, 0], [0, 0, 1]]),
    ):
        np.testing.assert_allclose(matrix, printed, rtol=1e-12)


def test_equation_2(rng):
    theta, sx, sy, tx, ty = rng.normal(size=5)
    cos, sin = np.cos(theta), np.sin(theta)
    printed = [[cos * sx, sin * sy, cos * tx + sin * ty], [-sin * sx, cos * sy, -sin * tx + cos * ty], [0, 0, 1]]
    np.testing.assert_allclose(geometry.compose(theta, sx, sy, tx, ty), printed, rtol=1e-12)


def test_equation_3(rng):
    y, target = rng.normal(size=(2, 1, 16))
    printed = sum((y[0, i] - target[0, i]) ** 2 for i in range(16)) / 16
    np.testing.assert_allclose(MeanSquaredError().forward(y, target), printed, rtol=1e-12)


def sigma(a):
    return 1 / (1 + np.exp(-a))


def test_equation_4(rng):
    """Line by line as printed, a face at a time: in the layer and in the reference."""
    U, D, F, steps = 4, 3, 5, (2, 3)
    layer = SeededLSTM(D, U, F, steps, rng=rng).astype(np.float64)
    for parameter in layer.parameters().values():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    W_i, W_f, W_C, W_o = layer.weight.value.reshape(4, U, U + D)
    b_i, b_f, b_C, b_o = layer.bias.value.reshape(4, U)
    S, f_ih = rng.normal(size=(1, 2, D)), rng.normal(size=(1, F))
    h = C = np.zeros(U)
    printed = []
    for n, count in enumerate(steps):
        W_ih, b_ih = layer.feature_weight.value[n], layer.feature_bias.value[n]
        for _ in range(count):
            hS = np.concatenate([h, S[0, n]])
            f_t, i_t = sigma(W_f @ hS + b_f), sigma(W_i @ hS + b_i)
            C_new = np.tanh(W_C @ hS + b_C)
            C = f_t * C + i_t * C_new
            o_t = sigma(W_o @ hS + b_o)
            h = o_t * np.tanh(C + W_ih @ f_ih[0] + b_ih)
            printed.append(h)
    np.testing.assert_allclose(layer.forward(S, f_ih)[0], printed, rtol=1e-10)
    x, u = np.repeat(S, steps, axis=1), layer.inject(f_ih)
    hidden, _, _ = reference.lstm(x, np.zeros((1, U)), np.zeros((1, U)), layer.weight.value, layer.bias.value, u)
    np.testing.assert_allclose(hidden[0], printed, rtol=1e-10)
