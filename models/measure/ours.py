"""Our side of each comparison."""

import numpy as np

import nn
from models.measure.clock import Side
from models.measure.plan import Arrays, our_loss

RATE = 0.001  # Adam's, PyTorch's default
GRADIENT = 0.01  # of every weight, where Adam is measured alone


def layer_side(layer: nn.Layer, inputs: Arrays, dy: np.ndarray) -> Side:
    """Forward and backward of one layer in training mode."""
    return Side({"forward": lambda: layer.forward(*inputs), "backward": lambda: layer.backward(dy)}, layer.zero_grad)


def forward_side(model: nn.Layer, x: np.ndarray) -> Side:
    """The model's answer, in evaluation mode."""
    return Side({"forward": lambda: model.forward(x)}, model.evaluate)


def step_side(model: nn.Layer, name: str, x: np.ndarray, targets: Arrays) -> Side:
    """One step of training."""
    optimizer, loss = nn.Adam(model.parameters(), RATE), our_loss(name)

    def step() -> None:
        model.zero_grad()
        loss.forward(model.forward(x), *targets)
        model.backward(loss.backward())
        optimizer.step()

    return Side({"step": step}, model.train)


def adam_side(model: nn.Layer) -> Side:
    """Adam over all parameters of a model."""
    for parameter in model.parameters().values():
        parameter.grad[...] = GRADIENT
    return Side({"step": nn.Adam(model.parameters(), RATE).step})
