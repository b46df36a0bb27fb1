"""CFPD, the sine and COREFAN as PyTorch modules, as one would write them there: to compare with, layer by layer.

    arrays = np.load("corefan.npz")                                  # faceseed export corefan.npz
    module = Corefan(width=16, units=128)
    module.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays})
    points = module.eval()(frames)                                   # (N, 1, 112, 112), gray levels as (g / 255 - 0.485) / 0.229

Children have the names of ours, maps are (N, C, H, W). models/interchange/state_dict.py says how the arrays correspond.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.faces.sequences import WINDOW, points_per_step, readout_matrix, steps
from models.settings import Settings

PARTS, SEED = len(steps()), 2 * WINDOW


def module_for(settings: Settings) -> nn.Module:
    """The module of a run's model, its weights by chance."""
    net = settings.net
    if settings.model == "sine":
        return Sine(net.units)
    if settings.model == "cfpd":
        return cfpd(net.width, size=net.size, dropout=net.dropout)
    choices = {"feed": net.feed, "injection": net.injection, "readout": net.readout, "seeding": net.seeding}
    return Corefan(net.width, net.units, size=net.size, dropout=net.dropout, **choices)


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """3 x 3 filters, batch norm, ReLU; batch norm's bias serves for both."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs), relu=nn.ReLU()))


def fully_connected(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """fc-1: dropout -> dense -> ReLU -> batch norm."""
    parts = OrderedDict(drop=nn.Dropout(dropout), dense=nn.Linear(inputs, outputs), relu=nn.ReLU(), norm=nn.BatchNorm1d(outputs))
    return nn.Sequential(parts)


def features(widths: tuple[int, ...], outputs: int, size: int, dropout: float) -> OrderedDict[str, nn.Module]:
    """Two convolutions and a pooling for each width, then fc-1."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 1
    for k, width in enumerate(widths, 1):
        layers[f"conv{2 * k - 1}"], layers[f"conv{2 * k}"] = conv_block(inputs, width), conv_block(width, width)
        layers[f"pool{k}"] = nn.MaxPool2d(2)
        inputs = width
    layers["flatten"] = nn.Flatten()
    layers["fc1"] = fully_connected((size // 2 ** len(widths)) ** 2 * inputs, outputs, dropout)
    return layers


def cfpd(width: int = 64, *, size: int = 112, dropout: float = 0.5) -> nn.Sequential:
    """Table 1: (N, 1, size, size) -> boxes (N, 16) in pixels of the frame."""
    layers = features((width, 2 * width, 4 * width), 2 * width, size, dropout)
    layers["fc2"] = nn.Linear(2 * width, 16)
    return nn.Sequential(layers)


class Sine(nn.Module):
    """Section 3.1: (N, T, 1) -> (N, T, 1), the next value at every step."""

    def __init__(self, units: int = 32):
        super().__init__()
        self.lstm = nn.LSTM(1, units, batch_first=True)
        self.readout = nn.Linear(units, 1)

    def forward(self, x: Tensor) -> Tensor:
        """An LSTM, and one dense layer that reads its hidden state."""
        return self.readout(self.lstm(x)[0])


class SeededCell(nn.LSTMCell):
    """Equation 4: an LSTM cell with a term u = W_ih_n f_ih + b_ih_n inside its last tanh."""

    def forward(self, x: Tensor, h: Tensor, c: Tensor, u: Tensor | float) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """S_part or window x (N, D), state h and c (N, U), u (N, U) -> the next h and c."""
        gates = F.linear(x, self.weight_ih, self.bias_ih) + F.linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = gates.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * (c + u).tanh(), c


class SeededLSTM(nn.Module):
    """The cell, and W_ih_n, b_ih_n of each part."""

    def __init__(self, inputs: int, units: int, features: int):
        super().__init__()
        self.cell = SeededCell(inputs, units)
        self.inject = nn.ModuleList(nn.Linear(features, units) for _ in range(PARTS))


class Corefan(nn.Module):
    """Table 4, equation 4, Figures 6 and 7; the options are those of models/corefan.py."""

    matrix: Tensor

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
    ):
        super().__init__()
        self.feed, self.injection, self.seeding = feed, injection, seeding
        self.size, self.steps = size, steps(readout)
        F_ih = 8 * width
        self.cnn = nn.Sequential(features((width, 2 * width, 4 * width, F_ih), F_ih, size, dropout))
        self.fc2 = nn.Linear(F_ih, PARTS * SEED)
        self.lstm = SeededLSTM(SEED, units, F_ih)
        self.window = nn.Linear(units, 2 * points_per_step(readout))
        self.register_buffer("matrix", torch.tensor(readout_matrix(readout), dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, size, size) -> landmarks (N, 68, 2) in pixels of the frame."""
        f_ih = self.cnn(x)
        seeds = self.fc2(f_ih).unflatten(1, (PARTS, SEED)).unbind(1)
        h = c = f_ih.new_zeros(len(x), self.lstm.cell.hidden_size)
        windows = []
        for S_part, inject, count in zip(seeds, self.lstm.inject, self.steps, strict=True):
            read, u = S_part, inject(f_ih)
            for t in range(count):
                h, c = self.lstm.cell(read, h, c, u if t == 0 or self.injection == "every" else 0.0)
                window = self.window(h)
                read = window if self.feed == "window" else S_part
                windows.append((window + S_part) / 2 if t == 0 and self.seeding == "window" else window)
        points = self.matrix @ torch.cat(windows, 1).unflatten(1, (-1, 2))  # in half frames from the centre
        return points * (self.size / 2) + (self.size - 1) / 2
