"""The seeded sine: waves are sines, the network learns the next value, and what it is asked to draw slides along."""

import numpy as np
import pytest

from models import sine
from models.settings import settings_for
from models.sine import Sine, draw, waves
from models.tasks import SineTask, predict
from nn import Adam, Layer


def parameters_of(wave):
    """Amplitude, period and phase of a sampled sine, by x[t-1] + x[t+1] = 2 cos ω x[t]. (N, T) -> 3 x (N,)"""
    inner = wave[:, 1:-1]
    cosine = (inner * (wave[:, :-2] + wave[:, 2:])).sum(1) / (2 * inner**2).sum(1)
    omega = np.arccos(cosine)
    quadrature = (wave[:, 1] - wave[:, 0] * cosine) / np.sin(omega)  # a cos φ; wave[:, 0] is a sin φ
    return np.hypot(wave[:, 0], quadrature), 2 * np.pi / omega, np.arctan2(wave[:, 0], quadrature)


def test_waves_are_sines_of_all_amplitudes_periods_and_phases(rng):
    wave = waves(4000, 50, rng)
    assert wave.shape == (4000, 50, 1) and wave.dtype == np.float32
    amplitude, period, phase = parameters_of(wave[:, :, 0].astype(np.float64))
    t = np.arange(50)
    again = amplitude[:, None] * np.sin(2 * np.pi * t / period[:, None] + phase[:, None])
    np.testing.assert_allclose(wave[:, :, 0], again, atol=1e-5)
    for values, low, high in ((amplitude, 0.5, 1), (period, 20, 40), (phase, -np.pi, np.pi)):
        assert values.min() >= low - 1e-3 and values.max() <= high + 1e-3
        deciles = np.quantile((values - low) / (high - low), np.linspace(0.1, 0.9, 9))
        np.testing.assert_allclose(deciles, np.linspace(0.1, 0.9, 9), atol=0.03)  # uniform: 4 standard deviations


def test_no_waves(rng):
    assert waves(0, 7, rng).shape == (0, 7, 1)


class Stub(Layer):
    """Says as next value the sum of the window's first and ten times its last, and remembers what it saw."""

    def __init__(self):
        self.windows = []

    def forward(self, x):
        self.windows.append(x.copy())
        y = np.full_like(x, 99)  # only the last output is the next value
        y[0, -1] = x[0, 0] + 10 * x[0, -1]
        return y


def test_draw_appends_and_slides():
    stub = Stub()
    np.testing.assert_array_equal(draw(stub, np.array([1.0, 2.0, 3.0]), 3), [1, 2, 3, 31, 312, 3123])
    assert [window[0, :, 0].tolist() for window in stub.windows] == [[1, 2, 3], [2, 3, 31], [3, 31, 312]]
    assert all(window.shape == (1, 3, 1) and window.dtype == np.float32 for window in stub.windows)


def test_draw_nothing_is_the_seed():
    stub, seed = Stub(), np.arange(4.0)
    np.testing.assert_array_equal(draw(stub, seed, 0), seed)
    assert not stub.windows
    np.testing.assert_array_equal(seed, np.arange(4.0))  # and the seed stays as it was
    draw(stub, seed, 2)
    np.testing.assert_array_equal(seed, np.arange(4.0))


def test_a_window_of_one_value():
    np.testing.assert_array_equal(draw(Stub(), np.array([1.0]), 2), [1, 11, 121])


@pytest.mark.parametrize(("N", "T"), [(0, 5), (1, 1), (3, 7)])
def test_shapes(N, T, rng):
    model = Sine(4, rng=rng)
    x = rng.normal(size=(N, T, 1)).astype(np.float32)
    y = model.forward(x)
    assert y.shape == (N, T, 1) and y.dtype == np.float32
    assert model.backward(y).shape == (N, T, 1)


def test_an_output_knows_the_past_alone(rng):
    """Value t+1 is foretold from values up to t."""
    model = Sine(4, rng=rng)
    x = rng.normal(size=(2, 6, 1)).astype(np.float32)
    changed = x.copy()
    changed[:, 4:] += 1
    before, after = model.forward(x), model.forward(changed)
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] != after[:, 4:]).all()


@pytest.fixture(scope="module")
def task():
    return SineTask(settings_for("sine", "small", "", None, ["net.units=16"]))


def test_targets_are_the_inputs_one_step_later(task, monkeypatch):
    drawn = []
    monkeypatch.setattr(sine, "waves", lambda *arguments: drawn.append(waves(*arguments)) or drawn[-1])
    for (x, target), whole in zip(task.batches(3), drawn, strict=False):
        assert x.shape == target.shape == (len(whole), task.WINDOW, 1)
        np.testing.assert_array_equal(np.concatenate([x, target[:, -1:]], axis=1), whole)
        np.testing.assert_array_equal(x[:, 1:], target[:, :-1])
    assert sum(map(len, drawn)) == task.epoch_images == 1000


def test_an_epochs_waves_depend_on_seed_and_epoch_alone(task):
    first, again, later = (np.concatenate([x for x, _ in task.batches(epoch)]) for epoch in (2, 2, 3))
    np.testing.assert_array_equal(first, again)
    assert (first != later).any(axis=(1, 2)).all()
    held_out = {window.tobytes() for window in task.held_out[0]}
    assert not held_out & {window.tobytes() for window in first}


def test_it_learns(task):
    """Four epochs: the loss is a fifteenth of the first batch's, and a guess far better than "as the last value was"."""
    optimizer = Adam(task.model.parameters(), 0.01)
    losses = []
    for epoch in range(4):
        for batch in task.batches(epoch):
            task.model.zero_grad()
            losses.append(task.learn(*batch))
            optimizer.step()
    assert np.mean(losses[-16:]) < losses[0] / 15
    x, target = task.held_out
    (error,) = task.validate().values()
    assert error == pytest.approx(np.square(predict(task.model, x).astype(np.float64) - target).mean(), rel=1e-5)
    assert error < np.square(x - target).mean() / 2
    wave = draw(task.model, x[0, :, 0], 100)
    assert np.isfinite(wave).all() and np.abs(wave).max() < 1.5
