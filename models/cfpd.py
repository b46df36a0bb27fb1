"""CFPD: a CNN that finds the parts of a face (Table 1).

gray face (N, 112, 112, 1) -> boxes (N, 16): x0, y0, x1, y1 of left eye and brow, right eye and brow, nose, mouth, in pixels
"""

from numpy.random import Generator

from nn import BatchNorm, ConvBlock, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential

OUTPUTS = 16


def fully_connected(inputs: int, outputs: int, dropout: float, rng: Generator) -> Sequential:
    """fc-1: dropout -> dense -> ReLU -> batch norm. (the authors' code)"""
    return Sequential(
        drop=Dropout(dropout, rng=rng.spawn(1)[0]), dense=Dense(inputs, outputs, rng=rng), relu=ReLU(), norm=BatchNorm(outputs)
    )


def cfpd(width: int = 64, *, size: int = 112, dropout: float = 0.5, rng: Generator) -> Sequential:
    """Table 1 with its 64 channels; a smaller `width` makes every layer narrower alike. `size` must divide by 8."""
    if size % 8 or size < 8:
        raise ValueError(f"cfpd expects a size that divides by 8 (three poolings), got {size}")
    c1, c2, c3, features = width, 2 * width, 4 * width, 2 * width
    return Sequential(
        conv1=ConvBlock(1, c1, rng=rng),
        conv2=ConvBlock(c1, c1, rng=rng),
        pool1=MaxPool2D(2),  # 112 -> 56
        conv3=ConvBlock(c1, c2, rng=rng),
        conv4=ConvBlock(c2, c2, rng=rng),
        pool2=MaxPool2D(2),  # 56 -> 28
        conv5=ConvBlock(c2, c3, rng=rng),
        conv6=ConvBlock(c3, c3, rng=rng),
        pool3=MaxPool2D(2),  # 28 -> 14
        flatten=Flatten(),
        fc1=fully_connected((size // 8) ** 2 * c3, features, dropout, rng),
        fc2=Dense(features, OUTPUTS, rng=rng),
    )
