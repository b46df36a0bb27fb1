"""Convolution with 3x3 filters and stride 1, in fewer products: Winograd's F(m x m, 3x3), m = 2 or 4. (Lavin and Gray 2016)

Two polynomials multiply cheapest by their values at a few points. Along one side, m outputs of a filter g with 3 taps need a = m + 2
inputs d, and with the three matrices below only a products instead of 3m:

    y = Aᵀ [(G g) ⊙ (Bᵀ d)]                                              in two dimensions   Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

A tile of m x m outputs costs a² products a filter instead of 9 m²: F(2) 4 instead of 9 an output, F(4) 2.25. Summed over the channels C,
⊙ becomes a² matrix products, (tiles, C) by (C, O), and these are what the time goes into. Bᵀ d B of all channels is one product too:
flattened, it is (Bᵀ ⊗ Bᵀ) d, an a² x a² matrix times the a² numbers of each tile.

Both gradients are of the same kind:   dx is the convolution of dy with the filters turned by 180° and C and O exchanged,
                                       dw = Gᵀ [Σ_tiles (A dY Aᵀ) ⊙ (Bᵀ d B)] G

F(4)'s matrices hold numbers from 1/24 to 8, and sums of them lose about a digit: its float32 result is off by some 3e-6 of its norm.
"""

import weakref
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from nn.cpu.frame import Area, Padding, Pair, areas, frame, output_size
from nn.cpu.memory import empty, zeros
from nn.cpu.product import product
from nn.cpu.threads import PIECE, parallel, shares

TILES = 196  # tiles in an area, at most: all of a 56 x 56 map; measured, half or twice as many are as fast
GROUPS = 4  # dw is summed over this many groups of areas, then over the groups: a fixed number, so that the sum has one order

Matrices = dict[int, list[list[float]]]
B_T: Matrices = {
    2: [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
    4: [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]],
}
G: Matrices = {
    2: [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
    4: [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
}
A_T: Matrices = {
    2: [[1, 1, 1, 0], [0, 1, -1, -1]],
    4: [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
}


Transform = Callable[[int, np.ndarray, np.ndarray], None]  # (area's number, V, E): fills V and E with that area's tiles


class Transforms(NamedTuple):
    """The Kronecker squares: BB (a², a²) on data, GG (a², 9) on filters, AA (m², a²) back to outputs."""

    BB: np.ndarray
    GG: np.ndarray
    AA: np.ndarray


@cache
def transforms(m: int, dtype: DTypeLike) -> Transforms:
    """The three matrices for tiles of m x m outputs."""
    return Transforms(*(np.kron(matrix[m], matrix[m]).astype(dtype) for matrix in (B_T, G, A_T)))


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, relu: bool, m: int) -> np.ndarray:
    """x (N, H, W, C), w (O, 3, 3, C), b (O,), stride (1, 1) -> y (N, I, J, O)."""
    U = transformed_filters(w, m).transpose(0, 2, 1)
    return multiplied(x, U, b, output_size(x.shape, w.shape, stride, padding), (-padding[0][0], -padding[1][0]), relu, m)


def data_gradient(dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, padding: Padding, m: int) -> np.ndarray:
    """dx (N, H, W, C): dx[h] = Σ_r dy[h + top - r] w[r], and with r turned to 2 - r a convolution that starts at row top - 2."""
    U = transformed_filters(w[:, ::-1, ::-1], m)
    return multiplied(dy, U, None, (x_shape[1], x_shape[2]), (padding[0][0] - 2, padding[1][0] - 2), False, m)


def weight_gradient(dy: np.ndarray, x: np.ndarray, w_shape: tuple[int, ...], stride: Pair, padding: Padding, m: int) -> np.ndarray:
    """dw (O, 3, 3, C), by way of dU (a², O, C) = Σ_tiles (A dY Aᵀ) ⊙ (Bᵀ d B)."""
    (N, I, J, O), C, a = dy.shape, x.shape[-1], m + 2
    BB, GG, AA = transforms(m, x.dtype)
    cut, across = areas(N, -(-I // m), -(-J // m), TILES), -(-J // m)
    own, T = places(cut, across)
    first = -padding[0][0], -padding[1][0]

    def transform(k: int, V: np.ndarray, E: np.ndarray) -> None:
        np.matmul(BB, gathered(x, cut[k], across, first, m, a), out=as_matrix(V))
        np.matmul(AA.T, gathered(dy, cut[k], across, (0, 0), m, m), out=as_matrix(E))

    sums = sums_by_point if few(T, C, O, GROUPS) else sums_by_area
    dU = sums(transform, own, (a * a, O, C), x.dtype)
    return product(GG.T, as_matrix(dU)).reshape(3, 3, O, C).transpose(2, 0, 1, 3)


def sums_by_area(transform: Transform, own: list[slice], shape: tuple[int, int, int], dtype: DTypeLike) -> np.ndarray:
    """dU with many tiles: a core takes a group of areas and sums it, tiles and all, in its cache."""
    points, O, C = shape
    partial = zeros((GROUPS, *shape), dtype)

    def group(g: int) -> None:
        summed = empty(shape, dtype)
        for k in range(len(own) * g // GROUPS, len(own) * (g + 1) // GROUPS):
            t = own[k].stop - own[k].start
            V, E = empty((points, t, C), dtype), empty((points, t, O), dtype)
            transform(k, V, E)
            partial[g] += np.matmul(E.transpose(0, 2, 1), V, out=summed)

    parallel(group, GROUPS)
    return partial.sum(0)


def sums_by_point(transform: Transform, own: list[slice], shape: tuple[int, int, int], dtype: DTypeLike) -> np.ndarray:
    """dU with few tiles, where it is larger than they are: all are transformed, then a core takes a point and writes its sum."""
    points, O, C = shape
    T = own[-1].stop if own else 0
    V, E, dU = empty((points, T, C), dtype), empty((points, T, O), dtype), empty(shape, dtype)
    parallel(lambda k: transform(k, V[:, own[k]], E[:, own[k]]), len(own))
    parallel(lambda point: np.matmul(E[point].T, V[point], out=dU[point]), points)
    return dU


def multiplied(x: np.ndarray, U: np.ndarray, b: np.ndarray | None, size: Pair, first: Pair, relu: bool, m: int) -> np.ndarray:
    """Y = Aᵀ [U ⊙ (Bᵀ d B)] A for all tiles: x (N, H, W, C), U (a², C, O) -> (N, *size, O); the first tile starts at `first` in x.

    Many tiles: each core takes an area through all three steps while it is in the cache. Few: the filters are the larger part,
    and each core takes points, so that U is read once.
    """
    (N, *_, C), O, a, (I, J) = x.shape, U.shape[2], m + 2, size
    BB, _, AA = transforms(m, x.dtype)
    down, across = -(-I // m), -(-J // m)
    least = shares(a * a * N * down * across * C * O, PIECE)
    cut = areas(N, down, across, TILES, least)
    own, T = places(cut, across)
    y = empty((N, I, J, O), x.dtype)

    def transform(k: int, V: np.ndarray) -> None:
        np.matmul(BB, gathered(x, cut[k], across, first, m, a), out=as_matrix(V))

    def finish(k: int, M: np.ndarray) -> None:
        Y = np.matmul(AA, as_matrix(M), out=empty((m * m, M[0].size), x.dtype))
        scatter(Y, y, cut[k], across, m, b, relu)

    def area(k: int) -> None:
        t = own[k].stop - own[k].start
        V, M = empty((a * a, t, C), x.dtype), empty((a * a, t, O), x.dtype)
        transform(k, V)
        finish(k, np.matmul(V, U, out=M))

    if few(T, C, O) and least > 1:
        V, M = empty((a * a, T, C), x.dtype), empty((a * a, T, O), x.dtype)
        parallel(lambda k: transform(k, V[:, own[k]]), len(cut))
        parallel(lambda point: np.matmul(V[point], U[point], out=M[point]), a * a)
        parallel(lambda k: finish(k, M[:, own[k]]), len(cut))
    else:
        parallel(area, len(cut))
    return y


def gathered(x: np.ndarray, area: Area, across: int, first: Pair, m: int, side: int) -> np.ndarray:
    """The tiles of an area, side x side numbers each, m apart: (side², tiles·C). Neighbours overlap where side > m."""
    images, rows = area
    n, r, C = images.stop - images.start, rows.stop - rows.start, x.shape[-1]
    reach = (r - 1) * m + side, (across - 1) * m + side
    framed = frame(x[images], (first[0] + rows.start * m, first[1]), reach)
    image, row, pixel, number = framed.strides
    tiles = as_strided(framed, (side, side, n, r, across, C), (row, pixel, image, m * row, m * pixel, number))
    d = empty(tiles.shape, x.dtype)
    d[...] = tiles
    return d.reshape(side * side, -1)


def scatter(Y: np.ndarray, y: np.ndarray, area: Area, across: int, m: int, b: np.ndarray | None, relu: bool) -> None:
    """Write the outputs of an area's tiles, (m², tiles·O), where they belong in y (N, I, J, O), with their bias and ReLU."""
    images, rows = area
    n, r, O = images.stop - images.start, rows.stop - rows.start, y.shape[3]
    part = y[images, rows.start * m : rows.stop * m]
    exact = part.shape[1:3] == (r * m, across * m)  # else the last tiles reach beyond the map
    whole = part if exact else empty((n, r * m, across * m, O), y.dtype)
    tiles = whole.reshape(n, r, m, across, m, O)  # a view
    in_place = Y.reshape(m, m, n, r, across, O).transpose(2, 3, 0, 4, 1, 5)
    if b is None:
        tiles[...] = in_place
    else:
        np.add(in_place, b, out=tiles)
    if relu:
        np.maximum(whole, 0, out=whole)
    if not exact:
        part[...] = whole[:, : part.shape[1], : part.shape[2]]


_kept: dict[tuple[int, int], tuple[weakref.ref, np.ndarray]] = {}  # (id of w, m) -> w and its U, while w lives


def transformed_filters(w: np.ndarray, m: int) -> np.ndarray:
    """U = G g Gᵀ of every filter: (O, 3, 3, C) -> (a², O, C). Filters that own their numbers and cannot change are transformed once."""
    if w.flags.writeable or w.base is not None:
        return transform_filters(w, m)
    key = id(w), m
    if key not in _kept:
        _kept[key] = weakref.ref(w, lambda _: _kept.pop(key, None)), transform_filters(w, m)
    return _kept[key][1]


def transform_filters(w: np.ndarray, m: int) -> np.ndarray:
    """Compute U, some filters after others, on every core."""
    GG = transforms(m, w.dtype).GG
    O, _, _, C = w.shape
    U = empty((len(GG), O, C), w.dtype)
    step = max(1, (1 << 14) // C)

    def work(k: int) -> None:
        own = slice(k * step, min((k + 1) * step, O))
        g = w[own].transpose(1, 2, 0, 3)
        flat = empty(g.shape, w.dtype)
        flat[...] = g
        np.matmul(GG, flat.reshape(9, -1), out=as_matrix(U[:, own]))

    parallel(work, -(-O // step))
    return U


def few(tiles: int, C: int, O: int, copies: int = 1) -> bool:
    """Whether the filters (C, O), so many copies of them, outweigh the tiles (tiles, C + O). The factor 2 is measured."""
    return tiles * (C + O) <= 2 * copies * C * O


def places(cut: list[Area], across: int) -> tuple[list[slice], int]:
    """Where each area's tiles stand when all stand in one row, `across` to a row of tiles, and how many they are in all."""
    ends = [0]
    for images, rows in cut:
        ends.append(ends[-1] + (images.stop - images.start) * (rows.stop - rows.start) * across)
    return [slice(*pair) for pair in pairwise(ends)], ends[-1]


def as_matrix(points: np.ndarray) -> np.ndarray:
    """(a², tiles, C) as (a², tiles·C): a view, also of a slice of the tiles."""
    return points.reshape(len(points), -1)
