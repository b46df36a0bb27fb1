"""The ladder of convolutions: every rung against sums in float64 over ragged shapes, however it is cut; the choice of a rung."""

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nn import cpu, reference
from nn.cpu import conv, winograd
from nn.cpu.conv import RUNGS, Rung, best_rung
from nn.cpu.frame import areas, frame, output_size

pytestmark = pytest.mark.usefixtures("dirty_memory")
many = settings(max_examples=4 * settings().max_examples)

SEEDS = st.integers(0, 2**32 - 1)
CHANNELS = st.one_of(st.integers(1, 6), st.sampled_from([17, 40]))
WIDE = st.integers(1, 64)
ZEROS = st.integers(-1, 3)  # a negative one cuts the map
EVERY_RUNG = pytest.mark.parametrize("rung", RUNGS)

# How far a rung's results may be from the exact ones, in norm: a few times what was seen over thousands of shapes.
ERROR = {("float32", False): 2e-6, ("float32", True): 1e-5, ("float64", False): 5e-15, ("float64", True): 2e-14}


def allowed(rung, dtype):
    return ERROR[str(dtype), rung == "winograd4"]


def error(ours, exact, floor=1.0):
    """‖ours - exact‖ / ‖exact‖, where the root mean square of what is exact counts as `floor` at the least."""
    assert ours.shape == exact.shape
    return np.linalg.norm(ours - exact) / max(np.linalg.norm(exact), floor * max(1, exact.size) ** 0.5)


@st.composite
def geometries(draw, rung, most=6):
    """Sides (H, W), filter (R, S), stride and padding that a rung serves, each side at most `most` beyond the smallest possible."""
    free = not rung.startswith("winograd")
    R, S = (draw(st.integers(1, 4)) if free else 3 for _ in range(2))
    stride = tuple(draw(st.integers(1, 3)) if free else 1 for _ in range(2))
    padding = tuple((draw(ZEROS), draw(ZEROS)) for _ in range(2))
    least = (max(1, size - sum(zeros)) for size, zeros in zip((R, S), padding, strict=True))
    return tuple(side + draw(st.integers(0, most)) for side in least), (R, S), stride, padding


def drawn(arrays, seed, N, C, O, geometry):
    """x, w, b, dy in random memory orders."""
    rng = np.random.default_rng(seed)
    sides, filters, stride, padding = geometry
    x, w, b = arrays(rng, N, *sides, C), arrays(rng, O, *filters, C), arrays(rng, O)
    return x, w, b, arrays(rng, N, *output_size(x.shape, w.shape, stride, padding), O)


def exact(x, w, b, dy, stride, padding):
    """y, dx, dw in float64. A matrix says which output reads which input: reads[i, r, h] = 1 where i·stride + r - top = h."""
    x, w, b, dy = (array.astype(np.float64) for array in (x, w, b, dy))
    rows, columns = (
        (h == i * stride[k] + r - padding[k][0]).astype(np.float64)
        for k in (0, 1)
        for i, r, h in [np.ogrid[: dy.shape[1 + k], : w.shape[1 + k], : x.shape[1 + k]]]
    )
    einsum = partial(np.einsum, optimize=True)  # by matrix products
    windows = einsum("jsw,nirwc->nijrsc", columns, einsum("irh,nhwc->nirwc", rows, x))
    back = einsum("nijo,orsc->nijrsc", dy, w)
    dx = einsum("irh,nirwc->nhwc", rows, einsum("jsw,nijrsc->nirwc", columns, back))
    return einsum("nijrsc,orsc->nijo", windows, w) + b, dx, einsum("nijrsc,nijo->orsc", windows, dy)


def passes(rung, x, w, b, dy, stride, padding):
    """y, dx, dw of a rung."""
    return (
        rung.forward(x, w, b, stride, padding, False),
        rung.data_gradient(dy, w, x.shape, stride, padding),
        rung.weight_gradient(dy, x, w.shape, stride, padding),
    )


@given(data=st.data(), seed=SEEDS, N=st.integers(0, 2), C=st.integers(1, 3), O=st.integers(1, 3))
def test_the_judge_agrees_with_the_loops(arrays, data, seed, N, C, O):
    geometry = data.draw(geometries("any"))
    x, w, b, dy = drawn(arrays, seed, N, C, O, geometry)
    y, dx, dw = exact(x, w, b, dy, *geometry[2:])
    np.testing.assert_allclose(y, reference.conv2d(x, w, b, *geometry[2:]), atol=1e-12)
    for ours, theirs in zip((dx, dw), reference.conv2d_backward(dy, x, w, *geometry[2:])[:2], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@EVERY_RUNG
@many
@given(data=st.data(), seed=SEEDS, N=st.integers(0, 3), C=CHANNELS, O=CHANNELS)
def test_ragged_shapes(rung, arrays, data, seed, N, C, O):
    geometry = data.draw(geometries(rung))
    given = *drawn(arrays, seed, N, C, O, geometry), *geometry[2:]
    for ours, theirs in zip(passes(RUNGS[rung], *given), exact(*given), strict=True):
        assert ours.dtype == arrays.dtype
        assert error(ours, theirs) <= allowed(rung, arrays.dtype)


@given(seed=SEEDS, N=st.integers(1, 2), C=WIDE, O=WIDE, geometry=geometries("winograd", most=28))
def test_wide_maps(arrays, seed, N, C, O, geometry):
    assume(min(geometry[0]) > 4)
    given = *drawn(arrays, seed, N, C, O, geometry), *geometry[2:]
    expected = exact(*given)
    for name, rung in RUNGS.items():
        for ours, theirs in zip(passes(rung, *given), expected, strict=True):
            assert error(ours, theirs, floor=0) <= allowed(name, arrays.dtype), name


@EVERY_RUNG
@given(data=st.data(), seed=SEEDS, N=st.integers(0, 2), C=CHANNELS, O=CHANNELS, biased=st.booleans())
def test_relu_is_the_largest_of_y_and_0(rung, arrays, data, seed, N, C, O, biased):
    geometry = data.draw(geometries(rung))
    x, w, b, _ = drawn(arrays, seed, N, C, O, geometry)
    y, cut = (RUNGS[rung].forward(x, w, b if biased else None, *geometry[2:], relu) for relu in (False, True))
    assert np.array_equal(cut, np.maximum(y, 0))


@EVERY_RUNG
@given(data=st.data(), seed=SEEDS)
def test_without_a_bias_it_is_as_if_it_were_0(rung, arrays, data, seed):
    geometry = data.draw(geometries(rung))
    x, w, b, _ = drawn(arrays, seed, 2, 3, 4, geometry)
    without, zero = (RUNGS[rung].forward(x, w, bias, *geometry[2:], False) for bias in (None, np.zeros_like(b)))
    assert np.array_equal(without, zero)


# The cut into areas.

RAGGED = (7, 9), (3, 3), (1, 1), ((2, 0), (1, 3))


@pytest.fixture(scope="module")
def ragged():
    """x, w, b, dy, stride, padding in float64, three images, and the exact y, dx, dw."""
    rng = np.random.default_rng(0)
    given = *drawn(lambda rng, *shape: rng.normal(size=shape), rng, 3, 3, 4, RAGGED), *RAGGED[2:]
    return given, exact(*given)


@EVERY_RUNG
@pytest.mark.parametrize("size", [1, 2, 5, 50, 400, 1 << 30])
@pytest.mark.parametrize("few", [True, False])
def test_any_cut_gives_the_right_numbers(rung, size, few, ragged, cut, monkeypatch):
    """Whatever an area holds, and whether Winograd's work is shared out by points or by areas."""
    cut(size)
    monkeypatch.setattr(winograd, "few", lambda *_: few)
    given, expected = ragged
    for ours, theirs in zip(passes(RUNGS[rung], *given), expected, strict=True):
        assert error(ours, theirs) <= allowed(rung, "float64")


@many
@given(images=st.integers(0, 6), rows=st.integers(0, 9), width=st.integers(0, 40), most=st.integers(1, 400))
def test_areas_cover_each_row_of_each_image_once(images, rows, width, most):
    cut = areas(images, rows, width, most)
    covered = [(n, i) for image, row in cut for n in range(image.start, image.stop) for i in range(row.start, row.stop)]
    assert covered == [(n, i) for n in range(images) for i in range(rows)]
    for image, row in cut:  # even ones: up to a row more than asked
        n, i = image.stop - image.start, row.stop - row.start
        assert n * i * width <= most if n > 1 else (i - 1) * width < most or width == 0
    assert len(cut) >= min(3, images * rows) or width == 0  # even ones: three for five rows


@many
@given(
    seed=SEEDS,
    first=st.tuples(st.integers(-6, 6), st.integers(-6, 6)),
    size=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    sides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_a_frame_shows_the_map_and_zeros_around_it(arrays, seed, first, size, sides):
    x = arrays(np.random.default_rng(seed), 2, *sides, 3)
    around = np.pad(x, ((0, 0), (6, 14), (6, 14), (0, 0)))
    expected = around[:, 6 + first[0] :, 6 + first[1] :][:, : size[0], : size[1]]
    np.testing.assert_array_equal(frame(x, first, size), expected)


# Transformed filters, and those that are kept.


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize(("O", "C"), [(13, 3000), (1, 1), (2, 1 << 15)])
def test_filters_are_transformed_whatever_number_of_them_goes_at_a_time(m, O, C, arrays, rng):
    w, G = arrays(rng, O, 3, 3, C), np.array(winograd.G[m])
    expected = np.einsum("ar,orsc,bs->aboc", G, w, G, optimize=True).reshape(-1, O, C)
    assert error(winograd.transform_filters(w, m), expected) <= allowed("winograd2", arrays.dtype)


@pytest.fixture
def transformed(monkeypatch):
    """Each transform of filters is counted here."""
    calls, transform = [], winograd.transform_filters
    monkeypatch.setattr(winograd, "transform_filters", lambda w, m: calls.append(m) or transform(w, m))
    return calls


def read_only(array):
    array.flags.writeable = False
    return array


def test_filters_that_cannot_change_are_transformed_once_a_tile_size(transformed, rng):
    w = read_only(rng.normal(size=(2, 3, 3, 4)))
    first, second = ([winograd.transformed_filters(w, m) for m in (2, 4)] for _ in range(2))
    assert transformed == [2, 4]
    assert all(kept is made for kept, made in zip(second, first, strict=True))


def test_filters_that_may_change_are_transformed_each_time(transformed, rng):
    w = rng.normal(size=(2, 3, 3, 4))
    for array in (w, read_only(w[:])):  # a view of what may change
        before = winograd.transformed_filters(array, 2)
        w += 1
        assert not np.array_equal(winograd.transformed_filters(array, 2), before)
    assert transformed == [2] * 4


def test_nothing_is_kept_of_filters_that_are_gone(rng):
    """Others that come to stand in their place get their own."""
    before = len(winograd._kept)
    for _ in range(100):
        w = read_only(rng.normal(size=(2, 3, 3, 4)))
        assert np.array_equal(winograd.transformed_filters(w, 4), winograd.transform_filters(w, 4))
        assert len(winograd._kept) <= before + 2  # these, and the ones before them until the name is given away
    del w
    assert len(winograd._kept) == before


# The choice of a rung.


@pytest.mark.parametrize(
    ("size", "rung"),
    [  # products a channel: tiles of F(2) times 16, tiles of F(4) times 36
        ((1, 1), "winograd2"),  # 16, 36
        ((2, 2), "winograd2"),  # 16, 36
        ((1, 8), "winograd2"),  # 4 · 16 = 64, 2 · 36 = 72
        ((30, 2), "winograd2"),  # 15 · 16 = 240, 8 · 36 = 288
        ((3, 3), "winograd4"),  # 4 · 16 = 64, 36
        ((4, 3), "winograd4"),  # the same
        ((5, 5), "winograd2"),  # 9 · 16 = 4 · 36: the more exact one
        ((6, 6), "winograd2"),  # the same
        ((6, 7), "winograd4"),  # 12 · 16 = 192, 4 · 36 = 144
        ((9, 9), "winograd4"),  # 25 · 16 = 400, 9 · 36 = 324
        ((14, 14), "winograd4"),  # 49 · 16 = 784, 16 · 36 = 576
        ((112, 112), "winograd4"),  # 3136 · 16, 784 · 36
    ],
)
@pytest.mark.parametrize("which", ["forward", "data", "weight"])
def test_of_two_tiles_the_one_with_fewer_products(which, size, rung):
    assert best_rung(which, (64, 3, 3, 64), (1, 1), size) == rung


@pytest.mark.parametrize("which", ["forward", "data", "weight"])
@pytest.mark.parametrize(
    ("w_shape", "stride"),
    [
        ((64, 3, 3, 64), (2, 2)),
        ((64, 3, 3, 64), (1, 2)),
        ((64, 1, 1, 64), (1, 1)),
        ((64, 5, 5, 64), (1, 1)),
        ((64, 3, 1, 64), (1, 1)),
        ((64, 3, 3, 31), (1, 1)),  # few channels on either side
        ((31, 3, 3, 64), (1, 1)),
    ],
)
def test_where_winograd_does_not_serve_or_pay_it_is_blocked(which, w_shape, stride):
    assert best_rung(which, w_shape, stride, (14, 14)) == "blocked"


def test_winograd_pays_from_32_channels_on_and_for_dw_from_64():
    chosen = {C: [best_rung(which, (C, 3, 3, C), (1, 1), (14, 14)) for which in ("forward", "data", "weight")] for C in (32, 63, 64)}
    assert chosen == {32: ["winograd4", "winograd4", "blocked"], 63: ["winograd4", "winograd4", "blocked"], 64: ["winograd4"] * 3}


@pytest.mark.parametrize(("C", "rung"), [(1, "im2col"), (3, "im2col"), (4, "im2col"), (5, "blocked")])
def test_the_gradient_of_an_image_goes_by_im2col(C, rung):
    assert best_rung("data", (64, 3, 3, C), (1, 1), (112, 112)) == rung
    assert best_rung("forward", (64, 3, 3, C), (1, 1), (112, 112)) == "blocked"


@pytest.fixture
def recorded(monkeypatch):
    """Each rung writes its name and pass here before it runs."""
    calls = []

    def recorder(name, which, function):
        return lambda *arguments: calls.append((which, name)) or function(*arguments)

    for name, rung in list(RUNGS.items()):
        monkeypatch.setitem(RUNGS, name, Rung(*(recorder(name, which, f) for which, f in zip(Rung._fields, rung, strict=True))))
    return calls


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "stride", "rungs"),
    [  # y, dx, dw
        ((2, 8, 7, 3), (4, 3, 3, 3), (1, 1), ["blocked", "im2col", "blocked"]),
        ((2, 8, 7, 6), (4, 2, 3, 6), (2, 1), ["blocked", "blocked", "blocked"]),
        ((1, 9, 8, 40), (32, 3, 3, 40), (1, 1), ["winograd4", "winograd4", "blocked"]),
        ((1, 7, 7, 64), (64, 3, 3, 64), (1, 1), ["winograd2", "winograd4", "winograd2"]),  # y and dy have 5 x 5
        ((1, 4, 4, 64), (64, 3, 3, 64), (1, 1), ["winograd2", "winograd4", "winograd2"]),  # y and dy have 2 x 2
    ],
)
def test_conv2d_calls_the_best_rung(x_shape, w_shape, stride, rungs, recorded, rng):
    x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
    y = cpu.conv2d(x, w, None, stride)
    cpu.conv2d_backward(y, x, w, stride)
    assert recorded == list(zip(Rung._fields, rungs, strict=True))


@pytest.mark.parametrize("which", ["forward", "data", "weight"])
def test_conv2d_asks_best_rung(which, recorded, rng, monkeypatch):
    """A rung chosen for one pass serves that pass alone."""
    monkeypatch.setattr(conv, "best_rung", lambda asked, *_: "winograd2" if asked == which else "im2col")
    x, w = rng.normal(size=(1, 5, 6, 2)), rng.normal(size=(3, 3, 3, 2))
    y = cpu.conv2d(x, w)
    cpu.conv2d_backward(y, x, w)
    assert [name for _, name in recorded] == ["winograd2" if which == asked else "im2col" for asked in ("forward", "data", "weight")]
