"""COREFAN: a CNN looks at a face once, then an LSTM draws its 68 landmarks (Table 4, equation 4, Figures 6 and 7).

    gray face (N, 112, 112, 1) -> CNN -> features f_ih (N, F) -> seeds S (N, 5, 10), one a part
    seeds, features -> LSTM, 48 steps -> windows (N, 48, 10) -> landmarks (N, 68, 2) in pixels

The LSTM starts at zero; chin, eyebrows, eyes, nose and mouth are drawn in this order with one running state. Windows and seeds count
in half frames from the centre, so their numbers lie in [-1, 1]; a landmark is read out of them by a fixed matrix.
"""

import numpy as np
from numpy.random import Generator

from models.cfpd import fully_connected
from models.faces.landmarks import PARTS
from models.faces.sequences import WINDOW, readout_matrix, steps
from nn import ConvBlock, Dense, Flatten, Layer, MaxPool2D, SeededLSTM, Sequential, device_of, ops, to_device

SEED = 2 * WINDOW  # l = 10 numbers: the x and y of a window of five points


def corefan_cnn(width: int, size: int, dropout: float, rng: Generator) -> Sequential:
    """Table 4 down to fc-1, whose output is f_ih; `size` must divide by 16."""
    if size % 16 or size < 16:
        raise ValueError(f"COREFAN expects a size that divides by 16 (four poolings), got {size}")
    c1, c2, c3, c4 = width, 2 * width, 4 * width, 8 * width
    return Sequential(
        conv1=ConvBlock(1, c1, rng=rng),
        conv2=ConvBlock(c1, c1, rng=rng),
        pool1=MaxPool2D(2),  # 112 -> 56
        conv3=ConvBlock(c1, c2, rng=rng),
        conv4=ConvBlock(c2, c2, rng=rng),
        pool2=MaxPool2D(2),  # 56 -> 28
        conv5=ConvBlock(c2, c3, rng=rng),
        conv6=ConvBlock(c3, c3, rng=rng),
        pool3=MaxPool2D(2),  # 28 -> 14
        conv7=ConvBlock(c3, c4, rng=rng),
        conv8=ConvBlock(c4, c4, rng=rng),
        pool4=MaxPool2D(2),  # 14 -> 7
        flatten=Flatten(),
        fc1=fully_connected((size // 16) ** 2 * c4, c4, dropout, rng),
    )


class Corefan(Layer):
    """The whole model. Where the paper's text and its equation leave a choice, it is a named option; the first named is the default.

    feed       "constant"  S_part enters every step of its part (equation 4) | "window": only the first; later steps get the window
               that the step before has drawn (the sine story, section 3.1)
    injection  "every" step adds W_ih_n f_ih + b_ih_n (equation 4) | "first": only a part's first step does (section 3.2's prose)
    readout    "mean" of the windows that cover a landmark | "newest": its first window only | "point": one landmark a step
    seeding    "free": S_part is only an input | "window": S_part is drawn too, the first window being the mean of it and step 1's
    """

    def __init__(
        self,
        width: int = 64,
        units: int = 512,
        *,
        size: int = 112,
        dropout: float = 0.5,
        feed: str = "constant",
        injection: str = "every",
        readout: str = "mean",
        seeding: str = "free",
        rng: Generator,
    ):
        if feed not in ("constant", "window"):
            raise ValueError(f'COREFAN expects feed "constant" or "window", got {feed!r}')
        if seeding not in ("free", "window"):
            raise ValueError(f'COREFAN expects seeding "free" or "window", got {seeding!r}')
        if readout == "point" and (feed, seeding) != ("constant", "free"):
            raise ValueError('COREFAN draws no windows with readout "point": it goes with feed "constant" and seeding "free"')
        self.feed, self.seeding, self.size = feed, seeding, size
        features = 8 * width
        self.cnn = corefan_cnn(width, size, dropout, rng)
        self.fc2 = Dense(features, len(PARTS) * SEED, rng=rng)
        self.lstm = SeededLSTM(SEED, units, features, steps(readout), injection=injection, rng=rng)
        self.matrix = readout_matrix(readout)  # (L, T·K)
        self.window = Dense(units, 2 * self.matrix.shape[1] // sum(self.lstm.steps), rng=rng)  # h_t -> K points

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(N, size, size, 1) -> landmarks (N, 68, 2) in pixels of the frame."""
        features = self.cnn.forward(x)  # (N, F)
        seeds = self.fc2.forward(features).reshape(len(x), len(PARTS), SEED)  # (N, P, l)
        windows = self.draw(seeds, features) if self.feed == "constant" else self.draw_feeding_back(seeds, features)  # (N, T, 2K)
        if self.seeding == "window":
            first = self.lstm.first_steps
            windows[:, first] = (windows[:, first] + seeds) / 2
        points = self.read(windows, self.matrix)  # (N, L, 2) in half frames
        points = points * (self.size / 2) + (self.size - 1) / 2  # in pixels
        self.keep(points, windows.shape)
        return points

    def backward(self, dpoints: np.ndarray) -> np.ndarray:
        """(N, 68, 2) -> (N, size, size, 1)."""
        shape = self.take_saved(dpoints)
        dwindows = self.read(dpoints * (self.size / 2), self.matrix.T).reshape(shape)  # (N, T, 2K)
        dseeds = np.zeros_like(dpoints, shape=(len(dpoints), len(PARTS), SEED))
        if self.seeding == "window":
            first = self.lstm.first_steps
            dwindows[:, first] /= 2
            dseeds += dwindows[:, first]
        back = self.draw_backward if self.feed == "constant" else self.draw_feeding_back_backward
        more, dfeatures = back(dwindows)
        dfeatures += self.fc2.backward((dseeds + more).reshape(len(dpoints), len(PARTS) * SEED))
        return self.cnn.backward(dfeatures)

    def read(self, points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Points (N, ..., 2), K a face, weighed by a fixed matrix (L, K): (N, L, 2)."""
        N, (L, K) = len(points), matrix.shape
        rows = points.reshape(N, K, 2).transpose(0, 2, 1).reshape(2 * N, K)
        weights = to_device(matrix.astype(points.dtype), device_of(points))
        y = ops(rows).dense(rows, weights, np.zeros_like(rows, shape=L))  # (2N, L)
        return y.reshape(N, 2, L).transpose(0, 2, 1).copy()

    def draw(self, seeds: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Every step of a part reads the same seed: all steps in one pass. (N, P, l), (N, F) -> windows (N, T, 2K)."""
        h = self.lstm.forward(seeds, features)  # (N, T, U)
        N, T, U = h.shape
        return self.window.forward(h.reshape(N * T, U)).reshape(N, T, self.window.bias.value.size)

    def draw_backward(self, dwindows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Windows (N, T, 2K) -> seeds (N, P, l), features (N, F)."""
        N, T, K2 = dwindows.shape
        return self.lstm.backward(self.window.backward(dwindows.reshape(N * T, K2)).reshape(N, T, self.lstm.units))

    def draw_feeding_back(self, seeds: np.ndarray, features: np.ndarray) -> np.ndarray:
        """The first step of a part reads its seed, each later one the window drawn before it, so one step follows another."""
        lstm, w = self.lstm, self.lstm.weight.value
        lstm.check(seeds, features)
        u = lstm.inject(features)  # (N, T, U)
        h = c = np.zeros_like(u[:, 0])
        self.steps: list[tuple] = []
        windows: list[np.ndarray] = []
        for t, part in enumerate(lstm.part_of_step):
            x = seeds[:, part] if t in lstm.first_steps else windows[-1]
            hs, c, saved = ops(x, w).lstm(x[:, None], h, c, w, lstm.bias.value, u[:, t : t + 1])
            h = hs[:, 0]
            windows.append(ops(h).dense(h, self.window.weight.value, self.window.bias.value))
            self.steps.append((saved, h))
        self.features = features
        return np.stack(windows, axis=1)

    def draw_feeding_back_backward(self, dwindows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Backwards in time; a window's gradient is its own and, where the next step read it, that step's too."""
        lstm, w = self.lstm, self.lstm.weight.value
        N, T, _ = dwindows.shape
        dseeds = np.zeros_like(dwindows, shape=(N, len(PARTS), SEED))
        du = np.zeros_like(dwindows, shape=(N, T, lstm.units))
        dh = dc = np.zeros_like(du[:, 0])
        fed_back = 0
        for t in reversed(range(T)):
            saved, h = self.steps[t]
            dh_t, dweight, dbias = ops(h).dense_backward(dwindows[:, t] + fed_back, h, self.window.weight.value)
            dx, dh, dc, dw, db, du[:, t : t + 1] = ops(h).lstm_backward((dh + dh_t)[:, None], dc, saved, w)
            for parameter, grad in ((self.window.weight, dweight), (self.window.bias, dbias), (lstm.weight, dw), (lstm.bias, db)):
                parameter.add_grad(grad)
            if t in lstm.first_steps:
                dseeds[:, lstm.part_of_step[t]], fed_back = dx[:, 0], 0
            else:
                fed_back = dx[:, 0]
        return dseeds, lstm.inject_backward(du, self.features)
