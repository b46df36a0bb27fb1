"""Exercises of chapter 7: CFPD."""

import numpy as np

from models.cfpd import cfpd
from models.faces.boxes import iou as library_iou
from models.faces.boxes import part_boxes as library_boxes
from nn import StepDecay
from tutorials.exercise import exercise


@exercise(
    "7.1",
    "The rate at an epoch",
    grade="one line",
    hints=["How many times has it fallen?", "start * factor ** (epoch // every)"],
    gives="rate",
)
def rate(epoch, start, every, factor):
    """The learning rate that begins at `start` and is multiplied by `factor` after every `every` epochs; the first epoch is 0.

    epoch and every are whole numbers -> a number
    """
    return start * factor ** (epoch // every)


for _case in ((0, 0.01, 10, 0.4), (9, 0.01, 10, 0.4), (35, 0.01, 10, 0.4)):
    rate.case(lambda rng, case=_case: case)


@rate.truth
def _(epoch, start, every, factor):
    return StepDecay(start, every=every, factor=factor)(epoch)


@rate.wrong("the rate falls a little in every epoch; it shall fall in steps")
def _(epoch, start, every, factor):
    return start * factor ** (epoch / every)


@rate.wrong("the factor is multiplied by the number of falls; it is applied that many times")
def _(epoch, start, every, factor):
    return start * factor * (epoch // every) if epoch >= every else start


@exercise(
    "7.2",
    "Boxes from landmarks",
    grade="a few lines",
    hints=["For each part the smallest and the largest x and y.", "np.r_[17:22, 36:42] is the left eye with its brow; y1 gets + 2."],
    gives="boxes",
)
def part_boxes(points):
    """Boxes x0, y0, x1, y1 of left eye (17-21, 36-41), right eye (22-26, 42-47), nose (27-35), mouth (48-67), with y1 two pixels lower.

    points (68, 2) -> (4, 4)
    """
    parts = (np.r_[17:22, 36:42], np.r_[22:27, 42:48], np.r_[27:36], np.r_[48:68])
    boxes = np.array([[*points[p].min(0), *points[p].max(0)] for p in parts])
    boxes[:, 3] += 2
    return boxes


@part_boxes.case
def _(rng):
    return rng.uniform(0, 112, (68, 2))


@part_boxes.truth
def _(points):
    return library_boxes(points)


@part_boxes.wrong("the two pixels below are missing")
def _(points):
    return library_boxes(points) - [0, 0, 0, 2]


@part_boxes.wrong("the two pixels are added above: y points down, so below is larger")
def _(points):
    return library_boxes(points) - [0, 2, 0, 2]


@part_boxes.wrong("x0, x1, y0, y1 is another order; it is corner after corner")
def _(points):
    return library_boxes(points)[:, [0, 2, 1, 3]]


@exercise(
    "7.3",
    "Intersection over union",
    grade="a few lines",
    hints=["The overlap begins at the larger x0 and ends at the smaller x1.", "A negative width means that they miss each other: 0."],
    gives="share",
)
def iou(a, b):
    """What two boxes share, over what they cover together.

    a, b (4,) as x0, y0, x1, y1 with an area above 0 -> a number from 0 to 1
    """
    width, height = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    areas = [np.prod(box[2:] - box[:2]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


for _boxes in (((0, 0, 4, 4), (2, 1, 6, 3)), ((0, 0, 2, 2), (3, 3, 5, 6)), ((0, 0, 4, 4), (1, 1, 2, 2))):
    iou.case(lambda rng, boxes=_boxes: tuple(np.array(boxes, float)))


@iou.truth
def _(a, b):
    return float(library_iou(a, b))


@iou.wrong("boxes that miss each other share a negative area")
def _(a, b):
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    areas = [np.prod(box[2:] - box[:2]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


@iou.wrong("what they share is counted twice in the union")
def _(a, b):
    width, height = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    return width * height / sum(np.prod(box[2:] - box[:2]) for box in (a, b))


@exercise(
    "7.4",
    "Count the weights",
    grade="a few lines",
    hints=["A block has 9 · C · O weights, no bias, and γ and β.", "fc1 has (size/8)² · 4w inputs, 2w outputs, a bias, γ and β."],
    gives="count",
)
def weights(width, size):
    """How many trained numbers has CFPD? Blocks 1→w, w→w, w→2w, 2w→2w, 2w→4w, 4w→4w of 3 × 3 filters without bias, each with batch
    norm's γ and β; three poolings; fc1 with 2w neurons and batch norm; fc2 with 16.

    width and size are whole numbers; size divides by 8
    """
    w = width
    blocks = sum(9 * c * o + 2 * o for c, o in ((1, w), (w, w), (w, 2 * w), (2 * w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w)))
    fc1 = (size // 8) ** 2 * 4 * w * 2 * w + 3 * 2 * w
    return blocks + fc1 + 2 * w * 16 + 16


@weights.case
def _(rng):
    return 8, 56


@weights.case
def _(rng):
    return 3, 16


@weights.truth
def _(width, size):
    model = cfpd(width, size=size, rng=np.random.default_rng(0))
    return sum(parameter.value.size for parameter in model.parameters().values())


@weights.wrong("γ and β of the batch norms are missing")
def _(width, size):
    return weights.solution(width, size) - 2 * 14 * width - 4 * width


@weights.wrong("the convolutions have no bias: β does its work")
def _(width, size):
    return weights.solution(width, size) + 14 * width


@weights.wrong("each pooling halves the map: three of them make size / 8, not size / 4")
def _(width, size):
    return weights.solution(width, size) + ((size // 4) ** 2 - (size // 8) ** 2) * 8 * width**2


@exercise(
    "7.5",
    "A histogram of gradients",
    grade="real",
    hints=["np.arctan2(gy, gx) % np.pi folds opposite directions together.", "np.bincount(bins, lengths, minlength=...) adds up."],
    gives="histogram",
)
def cell_histogram(cell, bins):
    """How much brightness changes in each of `bins` directions, opposite ones together. For each pixel that is not at the rim:
    gx = right minus left neighbour, gy = lower minus upper one; the direction arctan2(gy, gx) modulo π falls into bin
    ⌊direction · bins / π⌋ and counts with the length of (gx, gy).

    cell (H, W), bins a whole number -> (bins,)
    """
    gx = cell[1:-1, 2:] - cell[1:-1, :-2]
    gy = cell[2:, 1:-1] - cell[:-2, 1:-1]
    direction = np.arctan2(gy, gx) % np.pi
    which = np.minimum((direction * bins / np.pi).astype(int), bins - 1)
    return np.bincount(which.ravel(), np.hypot(gx, gy).ravel(), minlength=bins)


@cell_histogram.case
def _(rng):
    return rng.uniform(0, 1, (10, 9)), 9


@cell_histogram.case
def _(rng):
    return rng.uniform(0, 1, (6, 8)), 4


@cell_histogram.truth
def _(cell, bins):
    """Pixel by pixel, with complex numbers."""
    histogram = np.zeros(bins)
    for i in range(1, cell.shape[0] - 1):
        for j in range(1, cell.shape[1] - 1):
            z = complex(cell[i, j + 1] - cell[i, j - 1], cell[i + 1, j] - cell[i - 1, j])
            angle = np.angle(z) if np.angle(z) >= 0 else np.angle(z) + np.pi
            histogram[min(bins - 1, int(angle / np.pi * bins))] += abs(z)
    return histogram


@cell_histogram.wrong("every pixel has one vote; it counts with the length of its gradient")
def _(cell, bins):
    gx = cell[1:-1, 2:] - cell[1:-1, :-2]
    gy = cell[2:, 1:-1] - cell[:-2, 1:-1]
    which = np.minimum((np.arctan2(gy, gx) % np.pi * bins / np.pi).astype(int), bins - 1)
    return np.bincount(which.ravel(), minlength=bins).astype(float)


@cell_histogram.wrong("opposite directions are kept apart: a dark bar on light looks like a light bar on dark here")
def _(cell, bins):
    gx = cell[1:-1, 2:] - cell[1:-1, :-2]
    gy = cell[2:, 1:-1] - cell[:-2, 1:-1]
    which = np.minimum((np.arctan2(gy, gx) % (2 * np.pi) * bins / (2 * np.pi)).astype(int), bins - 1)
    return np.bincount(which.ravel(), np.hypot(gx, gy).ravel(), minlength=bins)


@cell_histogram.wrong("gx and gy are exchanged")
def _(cell, bins):
    return cell_histogram.solution(cell.T, bins)
