"""`faceseed gradcheck`: every layer's and every model's handwritten backward pass against central differences."""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator, default_rng

import nn
from models.cfpd import cfpd
from models.corefan import Corefan
from models.sine import Sine
from nn import gradcheck

LAYER_BAR, MODEL_BAR = 1e-7, 1e-6
Case = tuple[str, nn.Layer, tuple[np.ndarray, ...], tuple[np.ndarray, ...], float]  # name, layer, inputs, constants, bar


def spread(rng: Generator, *shape: int) -> np.ndarray:
    """Distinct numbers at least 0.01 apart and clear of 0, shuffled: far from the kinks that a finite difference must not cross."""
    count = int(np.prod(shape))
    return rng.permutation((np.arange(count) - count // 2 + 0.5) * 0.01).reshape(shape)


def cases(rng: Generator) -> Iterator[Case]:
    """Every check."""

    def layer(name: str, which: nn.Layer, *inputs: np.ndarray, constants: tuple[np.ndarray, ...] = (), bar: float = LAYER_BAR) -> Case:
        return name, which, inputs, constants, bar

    maps = rng.normal(size=(2, 5, 4, 3))
    yield layer("Conv2D 3x3 same", nn.Conv2D(3, 4, rng=rng), maps)
    yield layer("Conv2D 2x3 stride 2", nn.Conv2D(3, 2, (2, 3), stride=2, padding=1, rng=rng), maps)
    yield layer("MaxPool2D", nn.MaxPool2D(2), spread(rng, 2, 6, 5, 3))
    yield layer("Dense", nn.Dense(5, 4, rng=rng), rng.normal(size=(3, 5)))
    yield layer("Flatten", nn.Flatten(), maps)
    yield layer("ReLU", nn.ReLU(), spread(rng, 4, 6))
    yield layer("Sigmoid", nn.Sigmoid(), rng.normal(size=(4, 6)))
    yield layer("Tanh", nn.Tanh(), rng.normal(size=(4, 6)))
    yield layer("BatchNorm training", nn.BatchNorm(3), maps)
    yield layer("BatchNorm evaluation", nn.BatchNorm(3).train(False), maps)
    yield layer("BatchNorm with ReLU", nn.BatchNorm(3, relu=True), maps)
    yield layer("ConvBlock training", nn.ConvBlock(3, 4, rng=rng), maps)
    yield layer("ConvBlock evaluation", nn.ConvBlock(3, 4, rng=rng).train(False), maps)
    yield layer("Dropout", nn.Dropout(0.4, rng=rng), rng.normal(size=(4, 6)))
    yield layer("LSTM", nn.LSTM(3, 4, rng=rng), rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 4)), rng.normal(size=(2, 4)))
    for injection in ("every", "first"):
        seeded = nn.SeededLSTM(3, 4, 5, (2, 1, 3), injection=injection, rng=rng)
        yield layer(f"SeededLSTM {injection}", seeded, rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 5)))
    yield layer("MeanSquaredError", nn.MeanSquaredError(), rng.normal(size=(3, 4)), constants=(rng.normal(size=(3, 4)),))
    target, distance = rng.normal(size=(3, 6, 2)), rng.uniform(1, 2, 3)
    yield layer("LandmarkError", nn.LandmarkError(), rng.normal(size=(3, 6, 2)), constants=(target, distance))

    faces = rng.normal(size=(3, 16, 16, 1))
    yield layer("model sine", Sine(5, rng=rng), rng.normal(size=(3, 7, 1)), bar=MODEL_BAR)
    yield layer("model CFPD", cfpd(2, size=16, rng=rng), faces, bar=MODEL_BAR)
    for feed in ("constant", "window"):
        yield layer(f"model COREFAN, {feed} feed", Corefan(2, 6, size=16, feed=feed, rng=rng), faces, bar=MODEL_BAR)


def run(seed: int = 0, verbose: bool = False, device: str = "cpu") -> bool:
    """Check them all on a device, print a line each (a table each where `verbose` or wrong); return whether all are right."""
    right = True
    print(f"{'':<28}{'worst relative error':>22}{'bar':>10}")
    for name, layer, inputs, constants, bar in cases(default_rng(seed)):
        layer.to(device)
        inputs, constants = (tuple(nn.to_device(array, device) for array in arrays) for arrays in (inputs, constants))
        step = 1e-5 if bar == LAYER_BAR else 1e-6  # a whole model has thousands of ReLUs and poolings: a short step crosses fewer kinks
        report = gradcheck.check(layer, *inputs, rng=default_rng([seed, 1]), constants=constants, step=step)
        ok = report.ok(bar)
        right &= ok
        print(f"{name:<28}{report.worst:>22.1e}{bar:>10.0e}  {'right' if ok else 'WRONG'}")
        if verbose or not ok:
            print(report)
    return right
