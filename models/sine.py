"""The sine that an LSTM draws from a seed (section 3.1, Figure 5).

    window x[t .. t+l] -> LSTM -> x[t+1 .. t+l+1]: each output is the next value of the wave

Seeding: start from any window, ask for the next value, append it, slide by one, repeat. What is drawn has the amplitude, the
phase and (somewhat) the frequency of its seed; from zeros the network draws what it likes best.
"""

import numpy as np
from numpy.random import Generator

from nn import LSTM, Dense, Layer, to_numpy


class Sine(Layer):
    """(N, T, 1) -> (N, T, 1): an LSTM, and one dense layer that reads its hidden state at every step."""

    def __init__(self, units: int = 32, *, rng: Generator):
        self.lstm = LSTM(1, units, rng=rng)
        self.readout = Dense(units, 1, rng=rng)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Windows (N, T, 1) -> the value after each of their values (N, T, 1)."""
        h, _ = self.lstm.forward(x)  # (N, T, U)
        N, T, U = h.shape
        return self.readout.forward(h.reshape(N * T, U)).reshape(N, T, 1)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """(N, T, 1) -> (N, T, 1)."""
        N, T, _ = dy.shape
        return self.lstm.backward(self.readout.backward(dy.reshape(N * T, 1)).reshape(N, T, self.lstm.units))[0]


def waves(count: int, length: int, rng: Generator) -> np.ndarray:
    """Windows of random sines, a sin(2π t / p + φ): amplitude 0.5 to 1, period 20 to 40 steps, any phase; (count, length, 1) float32."""
    amplitude, period, phase = rng.uniform(0.5, 1, count), rng.uniform(20, 40, count), rng.uniform(0, 2 * np.pi, count)
    t = np.arange(length)
    return (amplitude[:, None] * np.sin(2 * np.pi * t / period[:, None] + phase[:, None])).astype(np.float32)[:, :, None]


def draw(model: Layer, seed: np.ndarray, steps: int) -> np.ndarray:
    """Seed (l,) -> the seed and `steps` drawn values (l + steps,): append the last output, slide, repeat."""
    wave = list(seed)
    for _ in range(steps):
        window = np.array(wave[-len(seed) :], np.float32)[None, :, None]  # (1, l, 1)
        wave.append(to_numpy(model.forward(model.asarray(window)))[0, -1, 0])
    return np.array(wave)
