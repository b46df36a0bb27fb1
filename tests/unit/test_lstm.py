"""LSTM and SeededLSTM: every room agrees with the equations, a gate at a time; states run on; seeds and features act where they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import LSTM, SeededLSTM, reference


@given(
    seed=st.integers(0, 2**32 - 1),
    N=st.integers(0, 3),
    T=st.integers(1, 4),
    D=st.integers(1, 3),
    U=st.integers(1, 3),
    injected=st.booleans(),
)
def test_agrees_with_the_equations(ops, arrays, seed, N, T, D, U, injected):
    rng = np.random.default_rng(seed)
    x, h0, c0, w, b = (arrays(rng, *shape) for shape in ((N, T, D), (N, U), (N, U), (4 * U, U + D), (4 * U,)))
    u = arrays(rng, N, T, U) if injected else None
    h, c, saved = ops.lstm(x, h0, c0, w, b, u)
    expected_h, expected_c, expected_saved = reference.lstm(x, h0, c0, w, b, u)
    arrays.agree((h, c), (expected_h, expected_c))
    dh, dc = arrays(rng, N, T, U), arrays(rng, N, U)
    arrays.agree(ops.lstm_backward(dh, dc, saved, w), reference.lstm_backward(dh, dc, expected_saved, w))


def test_one_step_by_hand():
    """Open input and output gates, a forget gate at one half: c = c₀/2 + tanh(x), h = tanh(c)."""
    layer = LSTM(1, 1, rng=np.random.default_rng(0)).astype(np.float64)
    layer.weight.value[...] = [[0, 0], [0, 0], [0, 1], [0, 0]]  # i, f, g, o; columns h, x
    layer.bias.value[...] = [50, 0, 0, 50]
    h, c = layer.forward(np.array([[[0.3]]]), np.array([[7.0]]), np.array([[2.0]]))
    np.testing.assert_allclose(c.item(), 1 + np.tanh(0.3))
    np.testing.assert_allclose(h.item(), np.tanh(1 + np.tanh(0.3)))


def test_a_sequence_in_two_pieces_is_the_sequence(rng):
    layer = LSTM(2, 3, rng=rng).astype(np.float64)
    x = rng.normal(size=(2, 7, 2))
    whole, last = layer.forward(x)
    first, c = layer.forward(x[:, :4])
    second, c = layer.forward(x[:, 4:], first[:, -1], c)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-12)
    np.testing.assert_allclose(c, last, rtol=1e-12)


def test_a_fresh_cell_remembers(rng):
    bias = LSTM(2, 3, rng=rng).bias.value.reshape(4, 3)
    assert (bias[1] == 1).all() and not bias[[0, 2, 3]].any()


def test_each_gate_starts_with_glorots_bound_for_one_gate(rng):
    w = LSTM(20, 30, rng=rng).weight.value
    assert w.shape == (120, 50)
    bound = np.sqrt(6 / (30 + 50))
    assert 0.95 * bound < np.abs(w).max() <= bound


def test_a_seeded_lstm_without_features_is_an_lstm_that_reads_each_seed_over_and_over(rng):
    steps = (2, 1, 3)
    seeded = SeededLSTM(2, 3, 4, steps, rng=rng)
    plain = LSTM(2, 3, rng=rng)
    plain.load_state({name: seeded.state()[name] for name in ("weight", "bias")})
    seeds = rng.normal(size=(2, 3, 2)).astype(np.float32)
    x = np.concatenate([np.repeat(seeds[:, [p]], steps[p], axis=1) for p in range(3)], axis=1)
    np.testing.assert_allclose(seeded.forward(seeds, np.zeros((2, 4), np.float32)), plain.forward(x)[0], rtol=1e-6)


@pytest.mark.parametrize("injection", ["every", "first"])
def test_equation_4_as_written(injection, rng):
    layer = SeededLSTM(2, 3, 4, (2, 1, 3), injection=injection, rng=rng).astype(np.float64)
    for parameter in layer.parameters().values():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    S, f_ih = rng.normal(size=(1, 3, 2)), rng.normal(size=(1, 4))
    W, b = layer.weight.value.reshape(4, 3, 5), layer.bias.value.reshape(4, 3)
    h, C, expected = np.zeros(3), np.zeros(3), []
    for part, count in enumerate(layer.steps):
        for step in range(count):
            i, f, g, o = W @ np.concatenate([h, S[0, part]]) + b
            i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f, o))
            C = f * C + i * np.tanh(g)
            steered = layer.feature_weight.value[part] @ f_ih[0] + layer.feature_bias.value[part]
            h = o * np.tanh(C + (steered if injection == "every" or step == 0 else 0))
            expected.append(h)
    np.testing.assert_allclose(layer.forward(S, f_ih)[0], expected, rtol=1e-12)


def test_a_wrong_input_is_named(rng):
    layer, zeros = LSTM(3, 2, rng=rng), lambda *shape: np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match=r"LSTM expects \(N, T, 3\), got \(2, 5, 4\)"):
        layer.forward(zeros(2, 5, 4))
    with pytest.raises(ValueError, match=r"LSTM expects \(2, 2\), got \(1, 2\)"):
        layer.forward(zeros(2, 5, 3), zeros(1, 2))
    with pytest.raises(TypeError, match="LSTM works in float32 here, got float64"):
        layer.forward(zeros(2, 5, 3), c0=np.zeros((2, 2)))
    seeded = SeededLSTM(3, 2, 4, (2, 1), rng=rng)
    with pytest.raises(ValueError, match=r"SeededLSTM expects \(N, 2, 3\), got \(5, 3, 3\)"):
        seeded.forward(zeros(5, 3, 3), zeros(5, 4))
    with pytest.raises(ValueError, match=r"SeededLSTM expects \(5, 4\), got \(4, 4\)"):
        seeded.forward(zeros(5, 2, 3), zeros(4, 4))
    with pytest.raises(ValueError, match='SeededLSTM expects injection "every" or "first", got \'last\''):
        SeededLSTM(3, 2, 4, (2, 1), injection="last", rng=rng)
