"""The convolutional half: its first filters, and what some of its channels show of the face (Table 4)."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.corefan import Corefan
from models.faces import opencv as cv2
from models.faces.draw import DPI
from nn import ConvBlock

STAGES = ("conv1", "conv2", "pool1", "conv4", "pool2", "conv6", "pool3", "conv8", "pool4")
CHANNELS = 8  # of each stage
TILE = 112  # side of a map as it is drawn, px


def first_filters(model: Corefan) -> np.ndarray:
    """What conv1 weighs the pixels with, batch norm's slope γ / √(σ² + ε) included: (O, 3, 3)."""
    block = dict(model.cnn.children())["conv1"]
    assert isinstance(block, ConvBlock)
    slope, _ = block.norm.line()
    return slope[:, None, None] * block.conv.weight.value[..., 0]


def feature_maps(model: Corefan, image: np.ndarray) -> dict[str, np.ndarray]:
    """The output of each stage of the CNN for one image (1, size, size, 1), by name: (H, W, C), and (F,) after fc1."""
    maps, x = {}, image
    for name, layer in model.cnn.children():
        x = layer.forward(x)
        maps[name] = x[0]
    return maps


def liveliest(maps: np.ndarray, count: int) -> np.ndarray:
    """The channels of (H, W, C) that differ most from place to place, by their standard deviation, greatest first."""
    return np.argsort(-maps.std((0, 1)), kind="stable")[:count]


def filters_figure(filters: np.ndarray, maps: np.ndarray) -> Figure:
    """Filters (O, 3, 3), red where a bright pixel adds and blue where it takes away, each with its map of (H, W, O) to the right.

    The 16 liveliest channels; a filter from minus to plus its greatest weight, a map from 0 to its greatest value.
    """
    channels = liveliest(maps, 16)
    pairs = [[tile(filters[k] / np.abs(filters[k]).max() / 2 + 0.5, "RdBu_r"), bright(maps[:, :, k])] for k in channels]
    figure, ax, corners = mosaic([np.hstack(pair) for pair in pairs], 4, gap=(14, 18))
    for k, (x, y) in zip(channels, corners, strict=True):
        ax.text(x, y - 2, str(k), fontsize=7.5, va="bottom")
    return figure


def maps_figure(maps: dict[str, np.ndarray]) -> Figure:
    """A row a stage with its shape, then its liveliest channels, each from 0 to its own greatest value."""
    blank = np.ones((TILE, TILE, 3))
    rows = [[blank, *(bright(maps[name][:, :, k]) for k in liveliest(maps[name], CHANNELS))] for name in STAGES]
    rows = [row + [blank] * (CHANNELS + 1 - len(row)) for row in rows]  # a narrow network has fewer channels
    figure, ax, corners = mosaic([each for row in rows for each in row], CHANNELS + 1, gap=(5, 5))
    for name, (x, y) in zip(STAGES, corners[:: CHANNELS + 1], strict=True):
        height, width, channels = maps[name].shape
        ax.text(x + 2, y + TILE / 2, f"{name[:-1]}-{name[-1]}\n{height} × {width}\n× {channels}", va="center", fontsize=9)
    return figure


def tile(values: np.ndarray, colours: str) -> np.ndarray:
    """Values from 0 to 1 (H, W) in a colour map, as (TILE, TILE, 3)."""
    return cv2.resize(colormaps[colours](values)[..., :3], (TILE, TILE), interpolation=cv2.INTER_NEAREST)


def bright(values: np.ndarray) -> np.ndarray:
    """A map (H, W) from black (0) to its greatest value."""
    return tile(values / max(values.max(), np.finfo(values.dtype).tiny), "magma")


def mosaic(tiles: list[np.ndarray], columns: int, gap: tuple[int, int]) -> tuple[Figure, Axes, list[tuple[int, int]]]:
    """Tiles of one size, a pixel a dot, `gap` to the right of and above each: figure, axes in pixels, and the tiles' upper left corners."""
    height, width = tiles[0].shape[:2]
    right, down = width + gap[0], height + gap[1]
    corners = [(n % columns * right, n // columns * down + gap[1]) for n in range(len(tiles))]
    canvas = np.ones((down * -(-len(tiles) // columns), right * columns - gap[0], 3))
    for each, (x, y) in zip(tiles, corners, strict=True):
        canvas[y : y + height, x : x + width] = each
    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(canvas, interpolation="none", extent=(0, canvas.shape[1], canvas.shape[0], 0))
    ax.set_axis_off()
    return figure, ax, corners
