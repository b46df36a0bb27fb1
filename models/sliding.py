"""The sliding window that section 2 of the paper tried first: HOG features and a linear classifier.

A square window, large enough for the largest part and a cell of what is around it, goes over the frame at three scales, two pixels a
step. Four linear support vector machines score it, one a part against everything else; a window calls the part with the highest
score, if that is above 0, and says that the part's mean box lies at its centre. Overlapping calls of one part give way to the best.
As Dalal and Triggs did, we train, collect false calls on the training faces (hard negatives), and train again: twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, default_rng

from models.faces import opencv as cv2
from models.faces.augment import normalise_gray
from models.faces.boxes import PART_BOXES, iou, part_boxes
from models.faces.hog import hog, slide, windows
from nn import Adam, Dense, Layer
from nn.layer import expect

FRAME, CELL, STRIDE = 112, 4, 2  # pixels: every frame is brought to FRAME x FRAME; cells of the descriptor; step of the window
SCALES = (0.8, 1.0, 1.25)  # of the frame under the window: it finds parts of 1.25, 1 and 0.8 times the mean size
RIGHT, NEAR = 0.5, 0.3  # IoU from which a box is right, and from which it means the part at all
SURE = 0.6  # IoU from which a window is an example of the part; between NEAR and SURE it is none of anything
FOUND = 0.9  # share of training faces that the threshold lets pass
STEPS = 1000  # of the optimiser, each time it trains
CHUNK = 4  # faces at a time, so that their features stay in the cache
NAMES = [name.split(" and ")[0] for name in PART_BOXES]


class LinearSvm(Layer):
    """Linear support vector machines with squared hinge, one a part.

    L = 1/N Σ_np y_np² max(0, 1 - y_np s_np)² + λ ‖W‖²        s = x Wᵀ + b     x (N, D)   s, y (N, 4)
    ∂L/∂s = -2/N y max(0, 1 - y s) for y of +1 (the part), -1 (not the part) and 0 (no opinion);   ∂(λ ‖W‖²)/∂W = 2 λ W
    """

    DECAY = 1e-3  # λ

    def __init__(self, inputs: int, *, rng: Generator):
        self.dense = Dense(inputs, len(NAMES), rng=rng)

    def forward(self, x: np.ndarray, signs: np.ndarray) -> float:
        """(N, D), (N, 4) -> the loss."""
        scores = self.dense.forward(x)
        expect(self, signs, *scores.shape)
        slack = signs * np.maximum(0, 1 - signs * scores)
        self.keep(None, slack)
        return float(np.square(slack).sum() / len(x) + self.DECAY * np.square(self.dense.weight.value).sum())

    def backward(self) -> np.ndarray:
        """dL/dx (N, D)."""
        slack = self.take_saved()
        dx = self.dense.backward(slack * (-2 / len(slack)))
        self.dense.weight.add_grad(2 * self.DECAY * self.dense.weight.value)
        return dx

    def learn(self, x: np.ndarray, signs: np.ndarray, rng: Generator) -> None:
        """Adam on batches of 256; the learning rate falls from 0.01 to 0 along a cosine."""
        optimizer = Adam(self.parameters(), 0.01)
        for step in range(STEPS):
            batch = rng.integers(len(x), size=256)
            optimizer.lr = 0.005 * (1 + np.cos(np.pi * step / STEPS))
            self.zero_grad()
            self.forward(x[batch], signs[batch])
            self.backward()
            optimizer.step()


class Detection(NamedTuple):
    """A call: which of the four parts, its box (x0, y0, x1, y1) in pixels of the frame, and how sure."""

    part: int
    box: np.ndarray
    score: float


@dataclass
class PartFinder:
    """What `train` learns. K windows: all scales, each row by row."""

    weight: np.ndarray  # (4, blocks, blocks, 36)
    bias: np.ndarray  # (4,), the thresholds in it
    boxes: np.ndarray  # (K, 4, 4): the box of each part that a window stands for, in pixels of the frame
    size: int  # of the frame

    @property
    def blocks(self) -> int:
        """Blocks along a side of the window."""
        return self.weight.shape[1]

    def scores(self, features: Sequence[np.ndarray]) -> np.ndarray:
        """Features at each scale -> (N, K, 4)."""
        maps = (slide(scale, self.weight, CELL // STRIDE) for scale in features)
        return np.concatenate([scores.reshape(len(scores), -1, len(NAMES)) for scores in maps], axis=1) + self.bias


def train(images: np.ndarray, points: np.ndarray, seed: int) -> PartFinder:
    """Learn from what the network sees of N faces: (N, S, S, 1) and their landmarks (N, 68, 2) in pixels.

    A fifth of the faces only sets the thresholds: a part's is the score that 90 % of these faces' best windows right on the part
    (IoU at least 0.5) reach, before windows and parts compete. The examples of 1,719 faces take 1 GB. Raises ValueError on fewer than
    2 faces.
    """
    if len(images) < 2:
        raise ValueError(f"train expects 2 faces or more, got {len(images)}")
    rng, true = default_rng(seed), part_boxes(points).astype(np.float32)
    sizes = (true[..., 2:] - true[..., :2]).mean(0)  # (4, 2) width and height
    blocks = int(np.ceil(sizes.max() * FRAME / images.shape[1] / CELL)) + 1  # two cells more than the largest part, less one
    svm = LinearSvm(blocks**2 * 36, rng=rng)
    weight, bias = svm.dense.weight.value.reshape(len(NAMES), blocks, blocks, -1), svm.dense.bias.value  # views: they follow
    finder = PartFinder(weight, bias, _window_boxes(sizes, images.shape[1], blocks + 1), images.shape[1])

    order = rng.permutation(len(images))
    held, rest = np.split(order, [-(-len(order) // 5)])
    drawn = list(_examples(finder, images, true, rest, rng, hard=False))
    for share in (*np.array_split(rest, 2), None):
        x, signs = (np.concatenate(column) for column in zip(*drawn, strict=True))
        svm.learn(x, signs, rng)
        if share is not None:
            drawn += _examples(finder, images, true, share, rng, hard=True)

    on_part = []
    for features, overlaps in _faces(finder, images, true, held):
        on = overlaps >= np.minimum(RIGHT, overlaps.max(1, keepdims=True))  # odd shapes: the window that comes nearest
        on_part.append(np.where(on, finder.scores(features), -np.inf).max(1))  # (n, 4)
    thresholds = np.quantile(np.concatenate(on_part), 1 - FOUND, axis=0)
    finder.weight, finder.bias = weight.copy(), bias - thresholds.astype(np.float32)
    return finder


def find(finder: PartFinder, images: np.ndarray) -> list[list[Detection]]:
    """The calls on each of N frames (N, S, S, 1), best first. Raises ValueError where S is not that of the training faces."""
    if images.shape[1:] != (finder.size, finder.size, 1):
        raise ValueError(f"find expects images (N, {finder.size}, {finder.size}, 1) as in training, got {images.shape}")
    found = []
    for first in range(0, len(images), CHUNK):
        for scores in finder.scores(_features(images[first : first + CHUNK])):  # (K, 4)
            part, score, calls = scores.argmax(1), scores.max(1), []
            for p in range(len(NAMES)):
                (k,) = np.nonzero((part == p) & (score > 0))
                calls += [Detection(p, finder.boxes[j, p], float(score[j])) for j in k[suppress(finder.boxes[k, p], score[k])]]
            found.append(sorted(calls, key=lambda call: -call.score))
    return found


def suppress(boxes: np.ndarray, scores: np.ndarray, most: int | None = None) -> np.ndarray:
    """Greedy non-maximum suppression: (K, 4), (K,) -> indices of the boxes that stay, best first, at most `most`.

    The best box stays, those with an IoU above 0.3 with it go, and so on with the rest.
    """
    kept: list[int] = []
    left = np.argsort(-scores, kind="stable")
    while len(left) and len(kept) != most:
        kept.append(int(left[0]))
        left = left[1:][iou(boxes[left[1:]], boxes[left[0]]) <= NEAR]
    return np.array(kept, np.intp)


def _features(images: np.ndarray) -> list[np.ndarray]:
    """Block features at each scale: (N, S, S, 1) -> (N, rows, columns, 36) each. Gray levels are 0-255 again, as HOG's constants expect."""
    black, white = normalise_gray(np.array([0, 255]))
    gray = (images[..., 0] - black) * (255 / (white - black))
    sides = (round(FRAME * scale) for scale in SCALES)
    return [hog(np.stack([cv2.resize(face, (side, side)) for face in gray]), CELL, stride=STRIDE) for side in sides]


def _window_boxes(sizes: np.ndarray, size: int, cells: int) -> np.ndarray:
    """The boxes that windows stand for: mean sizes (4, 2) in pixels of a frame of `size` -> (K, 4, 4), in the order of the scores."""
    boxes = []
    for side in (round(FRAME * scale) for scale in SCALES):
        centre = np.arange(cells * CELL / 2, side - cells * CELL / 2 + 1, STRIDE) * size / side - 0.5
        centres = np.stack(np.meshgrid(centre, centre), axis=-1).reshape(-1, 1, 2)  # x runs fastest
        half = sizes / 2 * FRAME / side
        boxes.append(np.concatenate([centres - half, centres + half], axis=-1))
    return np.concatenate(boxes).astype(np.float32)


def _faces(finder: PartFinder, images: np.ndarray, true: np.ndarray, index: np.ndarray) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """A few faces at a time: their features, and the IoU of every window with the part it would call, (n, K, 4)."""
    for few in np.array_split(index, -(-len(index) // CHUNK)):
        yield _features(images[few]), iou(finder.boxes, true[few, None])


def _examples(
    finder: PartFinder, images: np.ndarray, true: np.ndarray, index: np.ndarray, rng: Generator, hard: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Windows to learn from, features (m, D) and signs (m, 4), a few faces at a time.

    Of each face the two best windows of each part and eight by chance; or, `hard`, of each part the three highest scores above -1
    (the margin's far side) where it is not.
    """
    for features, overlaps in _faces(finder, images, true, index):
        scores = finder.scores(features) if hard else overlaps
        chosen = []
        for n, (score, overlap) in enumerate(zip(scores, overlaps, strict=True)):
            if hard:
                wrong = [np.flatnonzero((overlap[:, p] < NEAR) & (score[:, p] > -1)) for p in range(len(NAMES))]
                picked = [k[suppress(finder.boxes[k, p], score[k, p], most=3)] for p, k in enumerate(wrong)]
            else:
                picked = [np.argpartition(-overlap, 2, axis=0)[:2].ravel(), rng.integers(len(overlap), size=8)]
            chosen += [(n, k) for k in np.unique(np.concatenate(picked))]
        face, window = np.array(chosen, np.intp).reshape(-1, 2).T
        overlap = overlaps[face, window]
        signs = np.where(overlap >= SURE, 1, np.where(overlap < NEAR, -1, 0)).astype(np.float32)
        yield _cut(features, finder.blocks, face, window), signs


def _cut(features: Sequence[np.ndarray], blocks: int, face: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The features of chosen windows, by the numbers (m,) of face and window: (m, D)."""
    cut = np.empty((len(face), blocks**2 * features[0].shape[-1]), np.float32)
    for scale in features:
        view = windows(scale, blocks, CELL // STRIDE)
        rows, columns = view.shape[1:3]
        here = (window >= 0) & (window < rows * columns)
        cut[here] = view[face[here], window[here] // columns, window[here] % columns].reshape(here.sum(), cut.shape[1])
        window = window - rows * columns
    return cut
