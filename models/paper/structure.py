"""Tables 1 and 4: a model's layers and the shapes that one image has on its way through them, beside what the paper prints."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.measure.layers import passes
from nn import Conv2D, Dense, Flatten, Layer, MaxPool2D

Shape = tuple[int, ...]  # height, width, depth
NAMES = {"conv": "conv", "pool": "maxpool", "fc": "fc"}  # ours, the paper's


class Row(NamedTuple):
    """A line of the tables."""

    layer: str
    input: Shape
    output: Shape
    filter: Shape | None = None
    stride: int | None = None

    def texts(self) -> tuple[str, str, str, str]:
        """As the paper prints it: conv-1 · 112 × 112 × 1 · 112 × 112 × 64 · 3 × 3 × 1, 1."""
        return self.layer, times(self.input), times(self.output), f"{times(self.filter)}, {self.stride}" if self.filter else "-"


# As printed, but for the dashes of conv-6 and maxpool-3, which Table 1 leaves out. A pooling's 2 × 2 × 1 looks at one channel at a time.
_TRUNK = (
    Row("input", (112, 112, 1), (112, 112, 1)),
    Row("conv-1", (112, 112, 1), (112, 112, 64), (3, 3, 1), 1),
    Row("conv-2", (112, 112, 64), (112, 112, 64), (3, 3, 64), 1),
    Row("maxpool-1", (112, 112, 64), (56, 56, 64), (2, 2, 1), 2),
    Row("conv-3", (56, 56, 64), (56, 56, 128), (3, 3, 64), 1),
    Row("conv-4", (56, 56, 128), (56, 56, 128), (3, 3, 128), 1),
    Row("maxpool-2", (56, 56, 128), (28, 28, 128), (2, 2, 1), 2),
    Row("conv-5", (28, 28, 128), (28, 28, 256), (3, 3, 128), 1),
    Row("conv-6", (28, 28, 256), (28, 28, 256), (3, 3, 256), 1),
    Row("maxpool-3", (28, 28, 256), (14, 14, 256), (2, 2, 1), 2),
)
PAPER_TABLE_1 = (
    *_TRUNK,
    Row("fc-1", (14, 14, 256), (1, 1, 128)),
    Row("fc-2", (1, 1, 128), (1, 1, 16)),
)
PAPER_TABLE_4 = (
    *_TRUNK,
    Row("conv-7", (14, 14, 256), (14, 14, 512), (3, 3, 256), 1),
    Row("conv-8", (14, 14, 512), (14, 14, 512), (3, 3, 512), 1),
    Row("maxpool-4", (14, 14, 512), (7, 7, 512), (2, 2, 1), 2),
    Row("fc-1", (7, 7, 512), (1, 1, 512)),
    Row("fc-2", (1, 1, 512), (1, 1, 50)),
)


def structure(model: Layer, size: int) -> list[Row]:
    """The rows of Table 1 or 4 as one black image of size x size pixels shows them; the model is in evaluation mode afterwards.

    A row a convolution, pooling and fully connected layer of the CNN, in the order in which they ran. fc-1 reads a map, as in the
    paper: our flattening in front of it is no row.
    """
    image = model.asarray(np.zeros((1, size, size, 1), np.float32))
    rows = [Row("input", image.shape[1:], image.shape[1:])]
    flattened: Shape | None = None
    for path, layer, inputs, output in passes(model.evaluate(), image):
        before, after = inputs[0][1:], output[1:]
        name = re.search(r"(conv|pool|fc)(\d+)", path)
        if isinstance(layer, Flatten):
            flattened = before
        elif name and isinstance(layer, Dense):
            rows.append(Row(paper_name(name), flattened or (1, 1, *before), (1, 1, *after)))
            flattened = None
        elif name and (found := filter_of(layer)):
            rows.append(Row(paper_name(name), before, after, *found))
    return rows


def filter_of(layer: Layer) -> tuple[Shape, int] | None:
    """Height, width and depth of what a layer slides over its input, and the stride; None where it slides nothing."""
    if isinstance(layer, MaxPool2D):
        return (layer.size, layer.size, 1), layer.size
    convolution = next((inner for _, inner in layer.layers() if isinstance(inner, Conv2D)), None)
    return None if convolution is None else (convolution.weight.value.shape[1:], convolution.stride[0])


def difference(rows: Sequence[Row], printed: Sequence[Row]) -> list[str]:
    """Where a model differs from a printed table, a sentence each: empty where they are equal."""
    ours, theirs = ({row.layer: row for row in table} for table in (rows, printed))
    found = [f"{name}: the paper has no such layer" for name in ours if name not in theirs]
    for name, row in theirs.items():
        if name not in ours:
            found.append(f"{name}: the model has no such layer")
            continue
        cells = zip(("input", "output", "filter"), ours[name].texts()[1:], row.texts()[1:], strict=True)
        found += [f"{name}: {what} {mine}, the paper prints {paper}" for what, mine, paper in cells if mine != paper]
    if not found and [row.layer for row in rows] != [row.layer for row in printed]:
        found.append(f"the order is {', '.join(row.layer for row in rows)}, the paper's {', '.join(row.layer for row in printed)}")
    return found


def paper_name(name: re.Match) -> str:
    """conv1 -> conv-1, pool1 -> maxpool-1, fc1 -> fc-1."""
    return f"{NAMES[name[1]]}-{name[2]}"


def times(shape: Sequence[int]) -> str:
    """(3, 3, 64) -> 3 × 3 × 64."""
    return " × ".join(map(str, shape))
