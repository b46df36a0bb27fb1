"""Dispatch by the arrays of a call."""

import numpy as np
import pytest

import nn
from nn.backend import ops


def gpu_array():
    """Stands for a CuPy array: dispatch looks at the name of its module only."""
    return type("ndarray", (), {"__module__": "cupy"})()


def test_numpy_arrays_go_to_the_cpu():
    assert ops(np.zeros(2), None, np.zeros(3)) is nn.cpu


def test_mixed_arrays_are_refused_with_the_line_that_mends_it():
    with pytest.raises(TypeError, match=r"one call got NumPy and CuPy arrays; move them to one side with cupy.asarray\(...\)"):
        ops(np.zeros(2), gpu_array())


def test_gpu_arrays_are_refused_while_there_are_no_kernels():
    with pytest.raises(TypeError, match=r"no GPU kernels yet; move the array to the CPU with cupy.asnumpy\(...\)"):
        ops(gpu_array())


def test_a_list_is_refused():
    with pytest.raises(TypeError, match=r"expected a NumPy or CuPy array, got list; wrap it with np.asarray\(...\)"):
        ops([1, 2])
