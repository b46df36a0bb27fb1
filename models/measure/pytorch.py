"""Our layers and models once more as PyTorch modules with our weights in them: what `faceseed bench` measures against.

The modules have our names, so that parameters correspond by name; maps are (N, C, H, W), filters (O, C, R, S).
"""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

import nn
from models.corefan import Corefan
from models.measure.plan import is_block

FORMATS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}
THEIR_NAMES = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}


class BatchNorm(torch.nn.Module):
    """torch.nn.BatchNorm1d and 2d in one, without their refusal to train on one number a channel."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, layer: nn.BatchNorm):
        super().__init__()
        C = layer.gamma.value.size
        self.weight, self.bias = torch.nn.Parameter(torch.empty(C)), torch.nn.Parameter(torch.empty(C))
        self.register_buffer("running_mean", torch.empty(C))
        self.register_buffer("running_var", torch.empty(C))
        self.momentum, self.eps = layer.momentum, layer.epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) or (N, C, H, W) -> the same shape."""
        weights, averages = (self.weight, self.bias), (self.running_mean, self.running_var)
        return torch.batch_norm(x, *weights, *averages, self.training, self.momentum, self.eps, False)


class Flatten(torch.nn.Module):
    """(N, C, H, W) -> (N, H·W·C), in our order h, w, c."""

    def forward(self, x: Tensor) -> Tensor:
        """A view where the map lies channels last in memory."""
        return x.permute(0, 2, 3, 1).flatten(1)


class SeededLSTM(torch.nn.Module):
    """Equation (4). torch.nn.LSTM has no room for the term inside the last tanh. As in nn/cpu/lstm.py, all products that need not wait
    for the step before are taken at once."""

    weight: Tensor
    bias: Tensor
    feature_weight: Tensor
    feature_bias: Tensor

    def __init__(self, layer: nn.SeededLSTM):
        super().__init__()
        self.units, self.steps, self.injection = layer.units, layer.steps, layer.injection
        for name, parameter in layer.parameters().items():
            setattr(self, name, torch.nn.Parameter(torch.empty(parameter.value.shape)))

    def forward(self, seeds: Tensor, features: Tensor) -> Tensor:
        """S (N, P, D), f_ih (N, F) -> h (N, T, U)."""
        N, P, U = len(seeds), len(self.steps), self.units
        recurrent, incoming = self.weight[:, :U].T, self.weight[:, U:].T
        gates = (seeds @ incoming + self.bias).unbind(1)  # P x (N, 4U)
        injected = F.linear(features, self.feature_weight.flatten(0, 1), self.feature_bias.flatten()).reshape(N, P, U).unbind(1)
        h = c = seeds.new_zeros(N, U)
        hidden = []
        for gate, u, steps in zip(gates, injected, self.steps, strict=True):
            for t in range(steps):
                a_if, a_g, a_o = torch.addmm(gate, h, recurrent).split((2 * U, U, U), 1)
                i, f = torch.sigmoid(a_if).chunk(2, 1)
                c = f * c + i * torch.tanh(a_g)
                h = torch.sigmoid(a_o) * torch.tanh(c + u if t == 0 or self.injection == "every" else c)
                hidden.append(h)
        return torch.stack(hidden, 1)


class CorefanTwin(torch.nn.Module):
    """models.corefan.Corefan with feed "constant" and seeding "free", its defaults."""

    matrix: Tensor

    def __init__(self, model: Corefan):
        super().__init__()
        if (model.feed, model.seeding) != ("constant", "free"):
            raise ValueError(f'CorefanTwin expects feed "constant" and seeding "free", got {model.feed!r} and {model.seeding!r}')
        self.cnn, self.fc2, self.lstm, self.window = map(module_for, (model.cnn, model.fc2, model.lstm, model.window))
        self.parts = len(model.lstm.steps)
        self.register_buffer("matrix", torch.tensor(model.matrix, dtype=torch.float32))
        self.size = model.size

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, size, size) -> landmarks (N, 68, 2) in pixels."""
        features = self.cnn(x)
        seeds = self.fc2(features).reshape(len(x), self.parts, -1)
        windows = self.window(self.lstm(seeds, features))  # (N, T, 2K)
        points = self.matrix @ windows.reshape(len(x), self.matrix.shape[1], 2)
        return points * (self.size / 2) + (self.size - 1) / 2


def twin(layer: nn.Layer, format: str = "channels_first") -> torch.nn.Module:
    """The PyTorch module that computes what this layer or model does, a copy of its weights in it, filters in a memory format."""
    module = module_for(layer)
    theirs = module.state_dict()
    for name, buffer in layer.buffers().items():
        theirs[their_name(name)].copy_(their_order(buffer.value))
    return module.to(memory_format=FORMATS[format])  # type: ignore[call-overload]


def module_for(layer: nn.Layer) -> torch.nn.Module:
    """The module, its weights yet to come."""
    if isinstance(layer, Corefan):
        return CorefanTwin(layer)
    if is_block(layer):
        children = dict(layer.children())
        conv, norm = module_for(children["conv"]), module_for(children["norm"])
        return torch.nn.Sequential(OrderedDict(conv=conv, norm=norm, relu=torch.nn.ReLU(inplace=True)))
    if isinstance(layer, nn.Sequential):
        modules = torch.nn.Sequential(OrderedDict((name, module_for(child)) for name, child in layer.children()))
        for module in modules.modules():
            if isinstance(module, torch.nn.ReLU):
                module.inplace = True  # what comes before needs its output no more
        return modules
    return simple_module_for(layer)


def simple_module_for(layer: nn.Layer) -> torch.nn.Module:
    """The module of a layer without children."""
    if isinstance(layer, nn.Conv2D):
        O, R, S, C = layer.weight.value.shape
        if layer.padding != "same" or layer.stride != (1, 1) or R % 2 == 0 or S % 2 == 0:
            raise ValueError(f"twin expects odd filters, padding 'same', stride 1, got {(R, S)}, {layer.padding!r}, {layer.stride}")
        return torch.nn.Conv2d(C, O, (R, S), padding=(R // 2, S // 2), bias=layer.bias is not None)
    if isinstance(layer, nn.Dense):
        O, D = layer.weight.value.shape
        return torch.nn.Linear(D, O)
    if isinstance(layer, nn.MaxPool2D):
        return torch.nn.MaxPool2d(layer.size)
    if isinstance(layer, nn.Dropout):
        return torch.nn.Dropout(layer.rate)
    if isinstance(layer, nn.BatchNorm):
        return BatchNorm(layer)
    if isinstance(layer, nn.SeededLSTM):
        return SeededLSTM(layer)
    if isinstance(layer, nn.ReLU):
        return torch.nn.ReLU()
    if isinstance(layer, nn.Flatten):
        return Flatten()
    raise TypeError(f"twin knows no {type(layer).__name__}")


def their_name(name: str) -> str:
    """Our name of an array, in PyTorch's words."""
    head, dot, last = name.rpartition(".")
    return head + dot + THEIR_NAMES.get(last, last)


def their_order(array: np.ndarray) -> Tensor:
    """A map (N, H, W, C) or filters (O, R, S, C) as PyTorch numbers its axes; a view."""
    tensor = torch.from_numpy(array)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def in_format(array: np.ndarray, format: str) -> Tensor:
    """A tensor of the same numbers; a map (N, C, H, W) lies in memory as the format says.

    `clone`, because to `contiguous` a map of one channel is in either format already, while the convolution goes by its strides.
    """
    tensor = their_order(array)
    return tensor.clone(memory_format=FORMATS[format]) if tensor.ndim == 4 else tensor.clone()


def folded(module: torch.nn.Module) -> torch.nn.Module:
    """A copy for evaluation, each block's batch norm folded into its convolution, as our blocks do it."""
    module = copy.deepcopy(module).eval()
    blocks: list[Any] = [part for part in module.modules() if hasattr(part, "conv")]
    for block in blocks:
        block.conv, block.norm = fuse_conv_bn_eval(block.conv, block.norm), torch.nn.Identity()
    return module


def landmark_error(points: Tensor, target: Tensor, distance: Tensor) -> Tensor:
    """Mean distance over the pupil distance, averaged over the batch."""
    return (torch.linalg.vector_norm(points - target, dim=2).mean(1) / distance).mean()


LOSSES: dict[str, Callable[..., Tensor]] = {"cfpd": F.mse_loss, "corefan": landmark_error}
