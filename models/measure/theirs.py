"""PyTorch's side of each comparison, in each of its memory formats: the fastest counts."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

import nn
from models.measure.clock import Side, measure
from models.measure.ours import GRADIENT, RATE
from models.measure.plan import Arrays
from models.measure.pytorch import FORMATS, LOSSES, folded, in_format, twin
from nn.cpu.threads import cores

ADAMS: dict[str, dict[str, Any]] = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def get_ready() -> None:
    """Take as many threads as nn/cpu/threads.py runs; import what PyTorch puts off until the first optimiser is made."""
    torch.set_num_threads(cores())
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def twins(layer: nn.Layer) -> dict[str, torch.nn.Module]:
    """A twin in each memory format."""
    return {format: twin(layer, format) for format in FORMATS}


def layer_sides(layer: nn.Layer, inputs: Arrays, dy: np.ndarray, first: bool) -> dict[str, Side]:
    """Forward and backward in training mode; of maps in both formats. The `first` layer of a network owes nobody a dx."""
    modules = twins(layer) if inputs[0].ndim == 4 else {"default": twin(layer)}

    def side(format: str, module: torch.nn.Module) -> Side:
        xs = [in_format(x, format).requires_grad_(not first) for x in inputs]
        upstream = in_format(dy, format)
        kept: list[Tensor] = []

        def before() -> None:
            kept.clear()
            for leaf in (*xs, *module.parameters()):
                leaf.grad = None

        return Side({"forward": lambda: kept.append(module(*xs)), "backward": lambda: kept[0].backward(upstream)}, before)

    return {format: side(format, module) for format, module in modules.items()}


def forward_sides(modules: dict[str, torch.nn.Module], x: np.ndarray) -> dict[str, Side]:
    """A model's answer, in evaluation mode, with nothing kept for a backward pass; also with its batch norms folded, as ours are."""

    def side(format: str, module: torch.nn.Module) -> Side:
        images = in_format(x, format)

        def forward() -> Tensor:
            with torch.inference_mode():
                return module(images)

        return Side({"forward": forward}, module.eval)

    return {
        **{format: side(format, module) for format, module in modules.items()},
        **{f"{format}, folded": side(format, folded(module)) for format, module in modules.items()},
    }


def step_sides(modules: dict[str, torch.nn.Module], name: str, x: np.ndarray, targets: Arrays, adam: str) -> dict[str, Side]:
    """One step of training."""
    wanted, loss = [torch.from_numpy(target) for target in targets], LOSSES[name]

    def side(format: str, module: torch.nn.Module) -> Side:
        images, optimizer = in_format(x, format), torch.optim.Adam(module.parameters(), RATE, **ADAMS[adam])

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            loss(module(images), *wanted).backward()
            optimizer.step()

        return Side({"step": step}, module.train)

    return {format: side(format, module) for format, module in modules.items()}


def adam_sides(model: nn.Layer) -> dict[str, Side]:
    """Adam over all parameters of the model's twin, in each of PyTorch's ways."""
    weights = list(twin(model).parameters())
    for weight in weights:
        weight.grad = torch.full_like(weight, GRADIENT)
    return {name: Side({"step": torch.optim.Adam(weights, RATE, **options).step}) for name, options in ADAMS.items()}


def fastest_adam(model: nn.Layer) -> str:
    """The name of the fastest way."""
    times = measure(adam_sides(model), rounds=5)
    return min(times, key=lambda name: times[name]["step"]["median"])
