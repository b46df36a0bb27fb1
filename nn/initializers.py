"""Where weights start: a variance that neither swells nor fades from layer to layer.

A weight of shape (O, ..., C) has fan-in = the product of all but the first side, fan-out = the product of all but the last.
"""

import math

import numpy as np
from numpy.random import Generator


def he_normal(shape: tuple[int, ...], rng: Generator) -> np.ndarray:
    """w ~ N(0, 2 / fan-in): keeps the variance through a ReLU, which drops half of it. (He et al. 2015, eq. 10)"""
    return rng.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape).astype(np.float32)


def glorot_uniform(shape: tuple[int, ...], rng: Generator) -> np.ndarray:
    """w ~ U(-a, a), a = √(6 / (fan-in + fan-out)): for units near linear at 0, like tanh. (Glorot and Bengio 2010, eq. 16)"""
    a = math.sqrt(6 / (math.prod(shape[1:]) + math.prod(shape[:-1])))
    return rng.uniform(-a, a, shape).astype(np.float32)


def zeros(*shape: int) -> np.ndarray:
    """Zeros in float32: biases, and running means."""
    return np.zeros(shape, np.float32)


def ones(*shape: int) -> np.ndarray:
    """Ones in float32: batch norm's scale, and running variances."""
    return np.ones(shape, np.float32)
