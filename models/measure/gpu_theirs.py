"""PyTorch's side of `models.measure.gpu`: the same operations through cuDNN, cuBLAS and its own kernels, in each memory format."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import nn
from models.measure import cuda
from models.measure.kernels import ADAM, EPSILON, POOL, RATE
from models.measure.ours import RATE as LEARNING_RATE
from models.measure.pytorch import FORMATS, LOSSES, in_format, twin

PADDING = (1, 1)
aten: Any = torch.ops.aten
Side = Callable[[], Any]


def milliseconds(call: Side) -> float:
    """The median by CUDA events, on PyTorch's stream."""
    return cuda.median(call, lambda: torch.cuda.Event(enable_timing=True), lambda start, end: start.elapsed_time(end))


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether cuDNN and cuBLAS may round factors to TF32."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def sides(operation: str, arrays: list[np.ndarray]) -> dict[str, Side]:
    """{"cuDNN fp32 channels_last": a call} and the like; nothing for what PyTorch has no call of its own."""
    torch.backends.cudnn.benchmark = True
    if operation.startswith("conv2d") or operation in BY_MAP:
        made = {name: tensors(arrays, format) for name, format in FORMATS.items()} if arrays[0].ndim == 4 else {}
    else:
        made = {"": tensors(arrays, torch.contiguous_format)}
    calls = {"conv2d": convolution, "conv2d, dx": data_gradient, "conv2d, dw": weight_gradient, **BY_MAP, **OTHERS}
    if operation not in calls:
        return {}
    product = operation.startswith(("conv2d", "dense", "lstm"))
    return {
        " ".join(filter(None, ["PyTorch", precision if product else "", format])): under(precision, calls[operation], *each)
        for format, each in made.items()
        for precision in (("fp32", "tf32") if product else ("fp32",))
    }


def tensors(arrays: list[np.ndarray], format: Any) -> list[Tensor]:
    """On the GPU, maps channels first by name and in this format in memory."""
    sent = [torch.from_numpy(array).cuda() for array in arrays]
    return [each.permute(0, 3, 1, 2).contiguous(memory_format=format) if each.ndim == 4 else each for each in sent]


def under(precision: str, make: Callable[..., Side], *arrays: Tensor) -> Side:
    """The call, with or without TF32."""
    call = make(*arrays)

    def side() -> Any:
        with tf32(precision == "tf32"):
            return call()

    return side


# Each takes tensors in the order of models.measure.kernels, and gives the call to be timed.


def convolution(x: Tensor, w: Tensor, b: Tensor) -> Side:
    """With bias and ReLU."""
    return lambda: F.conv2d(x, w, b, padding=PADDING).relu_()


def gradient(dy: Tensor, x: Tensor, w: Tensor, which: tuple[bool, bool, bool]) -> Side:
    """dx, dw or db."""
    return lambda: aten.convolution_backward(dy, x, w, None, (1, 1), PADDING, (1, 1), False, (0, 0), 1, which)


def data_gradient(dy: Tensor, x: Tensor, w: Tensor) -> Side:
    """dx alone."""
    return gradient(dy, x, w, (True, False, False))


def weight_gradient(dy: Tensor, x: Tensor, w: Tensor) -> Side:
    """dw alone."""
    return gradient(dy, x, w, (False, True, False))


def pooling_backward(dy: Tensor, x: Tensor) -> Side:
    """With the winners of forward."""
    _, winner = F.max_pool2d(x, POOL, return_indices=True)
    return lambda: aten.max_pool2d_with_indices_backward(dy, x, (POOL, POOL), (POOL, POOL), (0, 0), (1, 1), False, winner)


def norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Side:
    """With statistics given, and the ReLU."""
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    return lambda: F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, EPSILON).relu_()


def norm_backward(x: Tensor, gamma: Tensor, beta: Tensor, dy: Tensor) -> Side:
    """Through the batch's statistics and the ReLU."""
    y, mean, scale = aten.native_batch_norm(x, gamma, beta, None, None, True, 0.0, EPSILON)

    def call() -> Any:
        masked = aten.threshold_backward(dy, y, 0)
        return aten.native_batch_norm_backward(masked, x, gamma, None, None, mean, scale, True, EPSILON, (True, True, True))

    return call


def recurrent(x: Tensor, h: Tensor, c: Tensor, w: Tensor, b: Tensor, u: Tensor) -> Side:
    """cuDNN's LSTM, which has no room for u."""
    layer, _ = lstm_like(x, h)
    return lambda: layer(x, (h[None], c[None]))


def recurrent_backward(x: Tensor, h: Tensor, c: Tensor, w: Tensor, b: Tensor, u: Tensor, dh: Tensor, dc: Tensor) -> Side:
    """All gradients."""
    layer, weights = lstm_like(x, h)
    inputs = [x.requires_grad_(), h.requires_grad_(), c.requires_grad_(), *weights]
    y, (_, last) = layer(x, (h[None], c[None]))
    return lambda: torch.autograd.grad((y, last), inputs, (dh, dc[None]), retain_graph=True)


def lstm_like(x: Tensor, h: Tensor) -> tuple[torch.nn.LSTM, list[Tensor]]:
    """An LSTM of these sizes."""
    layer = torch.nn.LSTM(x.shape[2], h.shape[1], batch_first=True).cuda()
    return layer, list(layer.parameters())


def adam(value: Tensor, grad: Tensor, m: Tensor, v: Tensor) -> Side:
    """The fused one."""
    _, lr, beta1, beta2, epsilon = ADAM
    value.grad = grad
    return torch.optim.Adam([value], lr, (beta1, beta2), epsilon, fused=True).step


def dense_backward(dy: Tensor, x: Tensor, w: Tensor) -> Side:
    """dx, dw and db."""
    return lambda: (dy @ w, dy.T @ x, dy.sum(0))


BY_MAP: dict[str, Callable[..., Side]] = {
    "maxpool2d": lambda x: lambda: F.max_pool2d(x, POOL, return_indices=True),
    "maxpool2d_backward": pooling_backward,
    "batch_statistics": lambda x: lambda: torch.var_mean(x, (0, 2, 3), correction=0),
    "batch_norm": norm,
    "batch_norm_backward": norm_backward,
    "sum_rows": lambda x: lambda: x.sum((0, 2, 3)),
    "sum_all": lambda x: x.sum,
    "relu": lambda x: lambda: F.relu(x),
    "sigmoid": lambda x: lambda: torch.sigmoid(x),
    "tanh": lambda x: lambda: torch.tanh(x),
    "dropout": lambda x: lambda: F.dropout(x, RATE),
}
OTHERS: dict[str, Callable[..., Side]] = {
    "dense": lambda x, w, b: lambda: F.linear(x, w, b),
    "dense_backward": dense_backward,
    "lstm": recurrent,
    "lstm_backward": recurrent_backward,
    "adam_step": adam,
}


def steps(model: nn.Layer, name: str, x: np.ndarray, targets: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Milliseconds of a training step of the model's twin, in each format and precision."""
    wanted, loss = [torch.from_numpy(target).cuda() for target in targets], LOSSES[name]

    def side(format: str, precision: str) -> Side:
        module, images = twin(model, format).cuda().train(), in_format(x, format).cuda()
        optimizer = torch.optim.Adam(module.parameters(), LEARNING_RATE, fused=True)

        def step() -> None:
            with tf32(precision == "tf32"):
                optimizer.zero_grad(set_to_none=True)
                loss(module(images), *wanted).backward()
                optimizer.step()

        return step

    ways = [(format, precision) for format in FORMATS for precision in ("fp32", "tf32")]
    return {f"PyTorch {precision} {format}": milliseconds(side(format, precision)) for format, precision in ways}
