"""The emulator's array computes as NumPy does and keeps to itself as CuPy's does."""

import copy

import numpy as np
import pytest

from nn.emulator import cupy


@pytest.fixture
def there():
    return cupy.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))


def test_asarray_copies_what_is_numpys_and_keeps_what_is_there(there):
    x = np.zeros(3)
    moved = cupy.asarray(x)
    moved += 1
    assert x.sum() == 0 and moved.sum() == 3
    assert cupy.asarray(there) is there and cupy.asarray(there, np.float64).dtype == np.float64


@pytest.mark.parametrize(
    "function",
    [
        lambda a: a + 1,
        lambda a: 2 * a - a,
        lambda a: np.sqrt(a),
        lambda a: a.sum(1),
        lambda a: a @ a.T,
        lambda a: np.add.reduce(a),
        lambda a: np.zeros_like(a, shape=(4,)),
        lambda a: np.stack([a, a], axis=1),
        lambda a: np.asarray([1.0, 2.0], like=a),
        lambda a: np.split(a, [1])[1],
        lambda a: a[:, np.array([0, 2])],
        lambda a: copy.deepcopy(a),
        lambda a: a.astype(np.float64),
        lambda a: a.transpose(1, 0).reshape(6),
    ],
)
def test_results_stay_there_and_are_numpys(function, there):
    result = function(there)
    assert type(result) is cupy.ndarray
    expected = function(there.get())
    np.testing.assert_array_equal(result.get(), expected)
    assert result.dtype == expected.dtype


def test_in_place_operations_are(there):
    before = there
    there += there
    there[0] = 7
    there[1:, 1] = there[0, :1]
    assert there is before
    np.testing.assert_array_equal(there.get(), [[7, 7, 7], [6, 7, 10]])


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a + b,
        lambda a, b: b * a,
        lambda a, b: a @ b.T,
        lambda a, b: np.stack([a, b]),
        lambda a, b: np.concatenate([b, a]),
        lambda a, b: np.where(a > 0, a, b),
        lambda a, b: a.__setitem__(slice(None), b),
        lambda a, b: a.__iadd__(b),
        lambda a, b: np.add(a, a, out=b),
    ],
)
def test_a_numpy_array_beside_it_is_refused(function, there):
    with pytest.raises(TypeError, match=r"NumPy array beside the emulated GPU's; bring it there with nn.emulator.cupy.asarray"):
        function(there, np.ones((2, 3), np.float32))


def test_numbers_may_stand_beside_it(there):
    assert (there + 1.5).dtype == there.dtype == (there * np.float32(2)).dtype
    assert float(there.sum()) == 15


@pytest.mark.parametrize(("dtype", "shown"), [("float32", np.nan), ("float64", np.nan), ("int32", -1), ("uint8", 255), ("uint16", 65535)])
def test_unwritten_memory_shows(dtype, shown):
    empty = cupy.empty((2, 2), dtype)
    assert empty.dtype == dtype
    np.testing.assert_array_equal(empty.get(), np.full((2, 2), shown))


def test_get_and_asnumpy_are_plain_copies(there):
    for copied in (there.get(), cupy.asnumpy(there)):
        assert type(copied) is np.ndarray
        copied[...] = 0
    assert there.sum() == 15


def test_row_major_order_is_made_once(there):
    assert cupy.ascontiguousarray(there) is not None and np.shares_memory(cupy.ascontiguousarray(there), there)
    turned = cupy.ascontiguousarray(there.T)
    assert turned.flags.c_contiguous and type(turned) is cupy.ndarray
    np.testing.assert_array_equal(turned.get(), there.get().T)
