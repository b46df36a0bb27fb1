"""Long short-term memory, and COREFAN's variant of it, which a CNN seeds and steers. The pass itself: nn/cpu/lstm.py.

    [a_i, a_f, a_g, a_o] = W · [h_{t-1}, x_t] + b           gates in the order i, f, g, o; g is the paper's C̃
    i, f, o = σ(a_i), σ(a_f), σ(a_o)    g = tanh(a_g)
    C_t = f C_{t-1} + i g               h_t = o tanh(C_t)                                (Hochreiter and Schmidhuber 1997, Gers 2000)

Equation (4) feeds the same seed S_part at every step of a part, and adds W_ih_n f_ih + b_ih_n inside the last tanh.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from nn.backend import ops
from nn.initializers import glorot_uniform, zeros
from nn.layer import Layer, Parameter, expect


def gate_weights(inputs: int, units: int, rng: Generator) -> tuple[Parameter, Parameter]:
    """W (4U, U+D) and b (4U,): each gate by Glorot, the forget gate's bias 1, so that a fresh cell remembers. (Jozefowicz et al. 2015)"""
    w = np.concatenate([glorot_uniform((units, units + inputs), rng) for _ in range(4)])
    b = zeros(4 * units)
    b[units : 2 * units] = 1
    return Parameter(w), Parameter(b)


class LSTM(Layer):
    """Sequence in, sequence out; state in, state out: x (N, T, D) -> h (N, T, U), c (N, U).

    h holds every hidden state; (h[:, -1], c) is the state that goes on into the next call.
    """

    def __init__(self, inputs: int, units: int, *, rng: Generator):
        self.units = units
        self.weight, self.bias = gate_weights(inputs, units, rng)

    def forward(self, x: np.ndarray, h0: np.ndarray | None = None, c0: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """x (N, T, D), h0 and c0 (N, U), zeros where not given -> h (N, T, U), c (N, U)."""
        w = self.weight.value
        expect(self, x, "N", "T", w.shape[1] - self.units, dtype=w.dtype)
        zero = np.zeros_like(x, shape=(len(x), self.units))
        h0, c0 = (zero if state is None else state for state in (h0, c0))
        for state in (h0, c0):
            expect(self, state, len(x), self.units, dtype=w.dtype)
        h, c, saved = ops(x, w).lstm(x, h0, c0, w, self.bias.value)
        self.keep(h, saved)
        return h, c

    def backward(self, dh: np.ndarray, dc: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """dh (N, T, U), dc of the last cell (N, U), zero where not given -> dx (N, T, D), dh0, dc0 (N, U)."""
        dc = np.zeros_like(dh, shape=(len(dh), self.units)) if dc is None else dc
        dx, dh0, dc0, dw, db, _ = ops(dh).lstm_backward(dh, dc, self.take_saved(dh), self.weight.value)
        self.weight.add_grad(dw)
        self.bias.add_grad(db)
        return dx, dh0, dc0


class SeededLSTM(Layer):
    """Equation (4): seeds S (N, P, D) and features f_ih (N, F) -> h (N, T, U), part after part.

        f, i, o = σ(W_{f,i,o} · [h_{t-1}, S_part] + b_{f,i,o})       C̃_t = tanh(W_C · [h_{t-1}, S_part] + b_C)
        C_t = f C_{t-1} + i C̃_t                                      h_t = o tanh(C_t + W_ih_n f_ih + b_ih_n)

    steps: how many steps each part takes, T = Σ steps. h and C run on from part to part, and start at zero. W_ih_n (U, F) and
    b_ih_n (U,) are a pair a part, kept as (P, U, F) and (P, U).
    injection: "every" step of a part adds them (the equation), or only its "first" (the paper's prose: they initialise the part).
    """

    def __init__(self, inputs: int, units: int, features: int, steps: Sequence[int], *, injection: str = "every", rng: Generator):
        if injection not in ("every", "first"):
            raise ValueError(f'SeededLSTM expects injection "every" or "first", got {injection!r}')
        if not steps or min(steps) < 1:
            raise ValueError(f"SeededLSTM expects one step or more for each part, got steps {tuple(steps)}")
        self.units, self.steps, self.injection = units, tuple(steps), injection
        self.weight, self.bias = gate_weights(inputs, units, rng)
        self.feature_weight = Parameter(np.stack([glorot_uniform((units, features), rng) for _ in steps]))
        self.feature_bias = Parameter(zeros(len(steps), units))

    @property
    def part_of_step(self) -> np.ndarray:
        """The part that each step belongs to: (T,)."""
        return np.repeat(np.arange(len(self.steps)), self.steps)

    @property
    def first_steps(self) -> np.ndarray:
        """The first step of each part: (P,)."""
        return np.cumsum((0, *self.steps[:-1]))

    def forward(self, seeds: np.ndarray, features: np.ndarray) -> np.ndarray:
        """S (N, P, D), f_ih (N, F) -> h (N, T, U)."""
        w = self.weight.value
        self.check(seeds, features)
        x = seeds[:, self.part_of_step]  # (N, T, D)
        zero = np.zeros_like(x, shape=(len(x), self.units))
        h, _, saved = ops(x, w).lstm(x, zero, zero, w, self.bias.value, self.inject(features))
        self.keep(h, saved, features)
        return h

    def backward(self, dh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dh (N, T, U) -> dS (N, P, D), df_ih (N, F). A seed's gradient is the sum over the steps that read it."""
        saved, features = self.take_saved(dh)
        dc = np.zeros_like(dh, shape=(len(dh), self.units))
        dx, _, _, dw, db, du = ops(dh).lstm_backward(dh, dc, saved, self.weight.value)
        self.weight.add_grad(dw)
        self.bias.add_grad(db)
        return self.sum_of_parts(dx), self.inject_backward(du, features)

    def inject(self, features: np.ndarray) -> np.ndarray:
        """u_t = W_ih_n f_ih + b_ih_n at the steps that get it, 0 at the others: (N, F) -> (N, T, U)."""
        P, U, F = self.feature_weight.value.shape
        weight, bias = self.feature_weight.value.reshape(P * U, F), self.feature_bias.value.reshape(P * U)  # all parts at once
        part = ops(features, weight).dense(features, weight, bias).reshape(-1, P, U)
        if self.injection == "every":
            return part[:, self.part_of_step]
        u = np.zeros_like(part, shape=(len(part), sum(self.steps), self.units))
        u[:, self.first_steps] = part
        return u

    def inject_backward(self, du: np.ndarray, features: np.ndarray) -> np.ndarray:
        """du (N, T, U) -> df_ih (N, F); adds dW_ih_n = Σ_nt duᵀ f_ih and db_ih_n = Σ_nt du over the steps t that part n injects."""
        part = self.sum_of_parts(du) if self.injection == "every" else du[:, self.first_steps]  # (N, P, U)
        P, U, F = self.feature_weight.value.shape
        dfeatures, dweight, dbias = ops(part).dense_backward(part.reshape(-1, P * U), features, self.feature_weight.value.reshape(P * U, F))
        self.feature_weight.add_grad(dweight.reshape(P, U, F))
        self.feature_bias.add_grad(dbias.reshape(P, U))
        return dfeatures

    def sum_of_parts(self, array: np.ndarray) -> np.ndarray:
        """(N, T, ...) -> (N, P, ...): the sum over the steps of each part."""
        return np.stack([part.sum(1) for part in np.split(array, self.first_steps[1:].tolist(), axis=1)], axis=1)

    def check(self, seeds: np.ndarray, features: np.ndarray) -> None:
        """Raise ValueError or TypeError where the seeds or features have the wrong shape or dtype."""
        w = self.weight.value
        expect(self, seeds, "N", len(self.steps), w.shape[1] - self.units, dtype=w.dtype)
        expect(self, features, len(seeds), self.feature_weight.value.shape[2], dtype=w.dtype)
