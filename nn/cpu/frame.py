"""What the convolutions share: the cut of maps into areas, and the piece of a map that an area's filters reach, with its zeros."""

import numpy as np

from nn.cpu.memory import empty

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))
Area = tuple[slice, slice]  # (images, rows): rows of one image, or all rows of several


def output_size(x_shape: tuple[int, ...], filter_shape: tuple[int, ...], stride: Pair, padding: Padding) -> Pair:
    """Rows and columns of y."""
    I, J = ((x_shape[1 + k] + sum(padding[k]) - filter_shape[1 + k]) // stride[k] + 1 for k in (0, 1))
    return I, J


def areas(images: int, rows: int, width: int, most: int | None, least: int = 4) -> list[Area]:
    """Cut (images, rows) of `width` each into even areas of about `most`, one row at the least; into about `least`, for the cores' sake,
    where that would make fewer.

    The cut depends on these numbers alone, never on the cores, and so do all sums that follow it. Without `most` nothing is cut.
    """
    if most is None:
        return [(slice(0, images), slice(0, rows))]
    most = max(1, min(most, -(-images * rows * width // least)))
    if rows * width > most:
        step = -(-rows // -(-rows * width // most))
        return [(slice(n, n + 1), slice(i, min(i + step, rows))) for n in range(images) for i in range(0, rows, step)]
    step = most // max(1, rows * width)
    return [(slice(n, min(n + step, images)), slice(0, rows)) for n in range(0, images, step)]


def frame(x: np.ndarray, first: Pair, size: Pair) -> np.ndarray:
    """(height, width) = size of the maps x (n, H, W, C) from row and column `first` on: a view where that lies inside them, else
    a copy with zeros around."""
    if all(0 <= f and f + s <= side for f, s, side in zip(first, size, x.shape[1:3], strict=True)):
        return x[:, first[0] : first[0] + size[0], first[1] : first[1] + size[1]]
    out = empty((len(x), *size, x.shape[-1]), x.dtype)
    inside = []
    for f, s, side in zip(first, size, x.shape[1:3], strict=True):
        start = min(max(0, -f), s)
        inside.append(slice(start, max(start, min(s, side - f))))
    out[:, : inside[0].start] = 0
    out[:, inside[0].stop :] = 0
    out[:, inside[0], : inside[1].start] = 0
    out[:, inside[0], inside[1].stop :] = 0
    source = (slice(s.start + f, max(s.start + f, s.stop + f)) for s, f in zip(inside, first, strict=True))
    out[:, *inside] = x[:, *source]
    return out
