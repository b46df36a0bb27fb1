"""Every operation of nn/gpu, on shapes of several scales: what `faceseed doctor` and `models.measure.gpu` run."""

from collections.abc import Callable, Iterator
from math import prod
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from nn import cpu
from nn.gpu import conv, conv_weights, reduce
from nn.gpu.rungs import LADDERS

ONE, SAME = (1, 1), ((1, 1), (1, 1))  # stride and padding of the networks' convolutions
POOL, EPSILON, RATE, SEED = 2, 1e-5, 0.5, 2**40 + 7
KINK = 1e-3
DRAWN = 1_000_003  # random numbers at most, a prime
ADAM = (3, 1e-3, 0.9, 0.999, 1e-8)  # step, lr, β₁, β₂, ε
Arrays = tuple[Any, ...]


class Scale(NamedTuple):
    """How large the arrays are."""

    images: int
    convolutions: tuple[tuple[int, int, int], ...]  # side of the map, C, O
    maps: tuple[tuple[int, int], ...]  # side, C: of pooling, batch norm and the operations by element
    dense: tuple[tuple[int, int, int], ...]  # N, D, O
    lstm: tuple[int, int, int, int]  # N, T, D, U
    weights: int  # of an optimiser


TINY = Scale(2, ((5, 20, 24), (4, 1, 3)), ((5, 4),), ((3, 20, 9),), (3, 3, 2, 5), 300)
SMALL = Scale(4, ((28, 64, 96), (28, 1, 64)), ((29, 64),), ((64, 500, 130),), (16, 12, 10, 130), 100_000)
PAPER = Scale(  # COREFAN's layers (Table 4) at width 64 in a batch of 64 faces
    64,
    ((112, 1, 64), (112, 64, 64), (56, 64, 128), (56, 128, 128), (28, 128, 256), (28, 256, 256), (14, 256, 512), (14, 512, 512)),
    ((112, 64), (14, 512)),
    ((64, 25088, 512), (64, 512, 50), (3072, 512, 10), (4096, 4096, 4096)),
    (64, 48, 10, 512),
    10_000_000,
)


class Case(NamedTuple):
    """An operation on arrays of one shape. `call` is given a room, nn.cpu or nn.gpu, and what `ready` makes of the arrays there."""

    operation: str
    shape: str
    family: str | None
    make: Callable[[Generator], Arrays]
    call: Callable[..., Any]
    ready: Callable[..., Arrays] = lambda room, *arrays: arrays
    flops: int = 0  # 0 where memory's pace is the bound

    @property
    def rungs(self) -> tuple[str | None, ...]:
        """The rungs that it may take."""
        return LADDERS[self.family] if self.family else (None,)


def cases(scale: Scale) -> list[Case]:
    """All operations of nn/gpu."""
    return [*convolutions(scale), *by_map(scale), *products(scale), *recurrent(scale), *losses(scale), *optimisers(scale)]


def convolutions(scale: Scale) -> Iterator[Case]:
    """3 x 3 with "same" padding, its two gradients apart."""
    N = scale.images
    for H, C, O in scale.convolutions:
        x, w, dy = (N, H, H, C), (O, 3, 3, C), (N, H, H, O)
        shape, flops = f"{size(x)} → {O}", 2 * 9 * N * H * H * C * O
        yield Case("conv2d", shape, "conv", normal(x, w, (O,)), lambda room, *a: room.conv2d(*a, ONE, SAME, relu=True), flops=flops)
        yield Case("conv2d, dx", shape, "conv", normal(dy, x, w), data_gradient, flops=flops)
        yield Case("conv2d, dw", shape, "conv", normal(dy, x, w), weight_gradient, flops=flops)
    yield Case("conv2d_backward", shape, "conv", normal(dy, x, w), lambda room, *a: room.conv2d_backward(*a, ONE, SAME), flops=2 * flops)


def data_gradient(room: ModuleType, dy: Any, x: Any, w: Any) -> Any:
    """dx alone."""
    return cpu.conv2d_backward(dy, x, w, ONE, SAME)[0] if room is cpu else conv.data_gradient(dy, w, x.shape, ONE, SAME)


def weight_gradient(room: ModuleType, dy: Any, x: Any, w: Any) -> Any:
    """dw alone."""
    return cpu.conv2d_backward(dy, x, w, ONE, SAME)[1] if room is cpu else conv_weights.weight_gradient(dy, x, w.shape, ONE, SAME)


def by_map(scale: Scale) -> Iterator[Case]:
    """Pooling, batch norm, sums, and what goes element by element."""
    for H, C in scale.maps:
        x, half = (scale.images, H, H, C), (scale.images, H // POOL, H // POOL, C)
        shape = size(x)
        yield Case("maxpool2d", shape, "pool", normal(x), lambda room, x: room.maxpool2d(x, POOL))
        yield Case(
            "maxpool2d_backward",
            shape,
            "pool",
            normal(half, x),
            lambda room, dy, winner, x: room.maxpool2d_backward(dy, winner, POOL, x.shape),
            lambda room, dy, x: (dy, room.maxpool2d(x, POOL)[1], x),
        )
        yield Case("batch_statistics", shape, "reduce", normal(x), lambda room, x: room.batch_statistics(x))
        yield Case("batch_norm", shape, None, normal(x, (C,), (C,)), normed, with_statistics)
        yield Case("batch_norm_backward", shape, "reduce", clear_of_kinks(x), unnormed, with_statistics)
        yield Case("sum_rows", shape, "reduce", normal(x), sum_rows)
        yield Case("sum_all", shape, "reduce", squares(x), lambda room, x: x.sum() if room is cpu else reduce.sum_all(x))
        for name in ("relu", "sigmoid", "tanh"):
            yield Case(name, shape, None, normal(x), lambda room, x, name=name: getattr(room, name)(x))
            yield Case(f"{name}_backward", shape, None, normal(x, x), lambda room, *a, name=name: getattr(room, f"{name}_backward")(*a))
        yield Case("dropout", shape, None, normal(x), lambda room, x: room.dropout(x, SEED, RATE))


def with_statistics(room: ModuleType, x: Any, *others: Any) -> Arrays:
    """Batch norm is given the batch's mean and variance."""
    return (x, *others, *room.batch_statistics(x))


def normed(room: ModuleType, x: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> Any:
    """Batch norm with the ReLU that follows it."""
    return room.batch_norm(x, gamma, beta, mean, variance, EPSILON, relu=True)


def unnormed(room: ModuleType, x: Any, gamma: Any, beta: Any, dy: Any, mean: Any, variance: Any) -> Any:
    """Backward through both."""
    return room.batch_norm_backward(dy, x, gamma, mean, variance, EPSILON, True, beta=beta)


def sum_rows(room: ModuleType, x: Any) -> Any:
    """Over all but the channels, as a bias gradient."""
    rows = x.reshape(-1, x.shape[-1])
    return rows.sum(0) if room is cpu else reduce.sum_rows(rows)


def squares(shape: tuple[int, ...]) -> Callable[[Generator], Arrays]:
    """The sum of numbers of either sign may come out near 0, where a relative error means nothing."""
    return lambda rng: (normal(shape)(rng)[0] ** 2,)


def clear_of_kinks(shape: tuple[int, ...]) -> Callable[[Generator], Arrays]:
    """x, γ, β and a dy that is 0 where y is: there rounding decides whether the ReLU lets it through."""

    def made(rng: Generator) -> Arrays:
        x, gamma, beta, dy = normal(shape, shape[-1:], shape[-1:], shape)(rng)
        y = cpu.batch_norm(x, gamma, beta, *cpu.batch_statistics(x), EPSILON)
        return x, gamma, beta, np.where(np.abs(y) < KINK, np.float32(0), dy)

    return made


def products(scale: Scale) -> Iterator[Case]:
    """Fully connected layers."""
    for N, D, O in scale.dense:
        x, w, dy = (N, D), (O, D), (N, O)
        shape, flops = f"{size(x)} → {O}", 2 * N * D * O
        yield Case("dense", shape, "gemm", normal(x, w, (O,)), lambda room, *a: room.dense(*a), flops=flops)
        yield Case("dense_backward", shape, "gemm", normal(dy, x, w), lambda room, *a: room.dense_backward(*a), flops=2 * flops)


def recurrent(scale: Scale) -> Iterator[Case]:
    """The LSTM with a term inside the last tanh."""
    N, T, D, U = scale.lstm
    given = ((N, T, D), (N, U), (N, U), (4 * U, U + D), (4 * U,), (N, T, U))
    shape, flops = f"{size((N, T, D))} → {U}", 2 * N * T * 4 * U * (U + D)
    small = normal(*given, scale=U**-0.5)
    yield Case("lstm", shape, "lstm", small, lambda room, *a: room.lstm(*a)[:2], flops=flops)
    yield Case(
        "lstm_backward",
        shape,
        "lstm",
        normal(*given, (N, T, U), (N, U), scale=U**-0.5),
        lambda room, *a: room.lstm_backward(*a),
        lambda room, x, h, c, w, b, u, dh, dc: (dh, dc, room.lstm(x, h, c, w, b, u)[2], w),
        2 * flops,
    )


def losses(scale: Scale) -> Iterator[Case]:
    """Eq. (3), and the landmark error."""
    N, L = scale.images, 68
    points = (N, L, 2)
    shape = size(points)
    yield Case("squared_error", shape, None, normal(points, points), lambda room, *a: room.squared_error(*a))
    yield Case("squared_error_backward", shape, None, normal(points, points), lambda room, *a: room.squared_error_backward(*a))

    def made(rng: Generator) -> Arrays:
        return (*normal(points, points)(rng), rng.uniform(20, 60, N).astype(np.float32))

    yield Case("landmark_error", shape, None, made, lambda room, *a: room.landmark_error(*a))
    yield Case("landmark_error_backward", shape, None, made, lambda room, *a: room.landmark_error_backward(*a))


def optimisers(scale: Scale) -> Iterator[Case]:
    """A step on one array. It is written in place, so `ready` hands out copies."""
    w = (scale.weights,)

    def copies(_: ModuleType, *arrays: Any) -> Arrays:
        return tuple(array.copy() for array in arrays)

    def adam(room: ModuleType, value: Any, grad: Any, m: Any, v: Any) -> Arrays:
        room.adam_step(value, grad, m, v, *ADAM)
        return value, m, v

    def sgd(room: ModuleType, value: Any, grad: Any, velocity: Any) -> Arrays:
        room.sgd_step(value, grad, velocity, 0.1, 0.9)
        return value, velocity

    def made(rng: Generator) -> Arrays:
        value, grad, m, v = normal(w, w, w, w)(rng)
        return value, grad, m, v * v

    yield Case("adam_step", size(w), None, made, adam, copies)
    yield Case("sgd_step", size(w), None, normal(w, w, w), sgd, copies)
    yield Case("total_norm", size(w), "reduce", normal(w, (7, 3)), lambda room, *a: room.total_norm(a))


def normal(*shapes: tuple[int, ...], scale: float = 1.0) -> Callable[[Generator], Arrays]:
    """Makes arrays of normal numbers in float32; large ones repeat themselves, at no step that a kernel takes."""

    def made(rng: Generator) -> Arrays:
        drawn = (rng.standard_normal(min(prod(shape), DRAWN), np.float32) * np.float32(scale) for shape in shapes)
        return tuple(np.resize(numbers, shape) for numbers, shape in zip(drawn, shapes, strict=True))

    return made


def size(shape: tuple[int, ...]) -> str:
    """16×112×112×64."""
    return "×".join(map(str, shape))
