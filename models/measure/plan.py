"""What `faceseed bench` was asked for, and the models, batches and losses that both sides get."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

import nn
from models.cfpd import OUTPUTS, cfpd
from models.corefan import Corefan
from models.faces.landmarks import COUNT

MODELS = ("cfpd", "corefan")
WHAT = ("layers", "models", "ladder", "memory")
Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Plan:
    """The options of `faceseed bench`."""

    models: tuple[str, ...] = MODELS
    batches: tuple[int, ...] = (1, 16, 64)
    rounds: int = 11  # at most; slow rows get fewer, but 3 at the least
    width: int = 64
    size: int = 112
    what: tuple[str, ...] = WHAT

    @property
    def batch(self) -> int:
        """The middle batch: layers, ladder and memory are measured at this one."""
        return sorted(self.batches)[len(self.batches) // 2]


def build(name: str, width: int, size: int, seed: int = 0) -> nn.Layer:
    """A fresh model at this width, the LSTM's units in the paper's proportion to it."""
    rng = np.random.default_rng(seed)
    return cfpd(width, size=size, rng=rng) if name == "cfpd" else Corefan(width, 8 * width, size=size, rng=rng)


def made_up(name: str, batch: int, size: int, rng: Generator) -> tuple[np.ndarray, Arrays]:
    """Images (N, size, size, 1), and what the loss wants beside the model's answer, in pixels."""
    x = normal(rng, batch, size, size, 1)
    if name == "cfpd":
        return x, (uniform(rng, 0, size, batch, OUTPUTS),)
    return x, (uniform(rng, 0, size, batch, COUNT, 2), uniform(rng, size / 4, size / 2, batch))


def our_loss(name: str) -> nn.MeanSquaredError | nn.LandmarkError:
    """The loss that the model is trained by."""
    return nn.MeanSquaredError() if name == "cfpd" else nn.LandmarkError()


def is_block(layer: nn.Layer) -> bool:
    """Whether a layer is a convolution with its batch norm and ReLU."""
    return {"conv", "norm"} <= {name for name, _ in layer.children()}


def normal(rng: Generator, *shape: int) -> np.ndarray:
    """Normal numbers in float32."""
    return rng.standard_normal(shape, np.float32)


def uniform(rng: Generator, low: float, high: float, *shape: int) -> np.ndarray:
    """Uniform numbers in float32."""
    return rng.uniform(low, high, shape).astype(np.float32)
