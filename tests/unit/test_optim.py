"""SGD and Adam against their closed forms over several steps, and the state that a checkpoint keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import SGD, Adam, Parameter, reference

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.integers(0, 4), max_size=3)


def draw(arrays, seed, shape, slots):
    """A value, a gradient, and `slots` arrays that are not negative."""
    rng = np.random.default_rng(seed)
    return [np.array(a, arrays.dtype) for a in (rng.normal(size=shape), rng.normal(size=shape), *rng.random((slots, *shape)))]


@given(seed=SEEDS, shape=SHAPES, momentum=st.floats(0, 0.99))
def test_sgd_agrees_with_the_equation(ops, arrays, seed, shape, momentum):
    ours, theirs = draw(arrays, seed, shape, 1), draw(arrays, seed, shape, 1)
    ops.sgd_step(*ours, 0.1, momentum)
    reference.sgd_step(*theirs, 0.1, momentum)
    arrays.agree(tuple(ours), tuple(theirs))


@given(seed=SEEDS, shape=SHAPES, step=st.integers(1, 10_000))
def test_adam_agrees_with_the_equation(ops, arrays, seed, shape, step):
    ours, theirs = draw(arrays, seed, shape, 2), draw(arrays, seed, shape, 2)
    ops.adam_step(*ours, step, 0.1, 0.9, 0.999, 1e-8)
    reference.adam_step(*theirs, step, 0.1, 0.9, 0.999, 1e-8)
    arrays.agree(tuple(ours), tuple(theirs))


def trajectory(optimizer, parameter, gradients, rates):
    for gradient, optimizer.lr in zip(gradients, rates, strict=True):
        parameter.grad[...] = gradient
        optimizer.step()
        yield parameter.value.copy()


def test_sgd_over_several_steps(rng):
    """v_t = Σ_k momentum^(t-k) ∇_k, with a rate that a schedule changes on the way."""
    gradients, rates = rng.normal(size=(6, 3)), [0.1, 0.1, 0.1, 0.02, 0.02, 0.02]
    parameter = Parameter(rng.normal(size=3))
    value = parameter.value.copy()
    for t, got in enumerate(trajectory(SGD({"w": parameter}, 0, momentum=0.8), parameter, gradients, rates)):
        value -= rates[t] * sum(0.8 ** (t - k) * gradients[k] for k in range(t + 1))
        np.testing.assert_allclose(got, value, rtol=1e-12)


def test_adam_over_several_steps(rng):
    """m̂_t and v̂_t are weighted means of all gradients so far: Σ β^(t-k) ∇_k / Σ β^(t-k)."""
    gradients, rates = rng.normal(size=(6, 3)), [0.1, 0.1, 0.1, 0.02, 0.02, 0.02]
    parameter = Parameter(rng.normal(size=3))
    value = parameter.value.copy()
    optimizer = Adam({"w": parameter}, 0, beta1=0.7, beta2=0.9, epsilon=1e-3)
    for t, got in enumerate(trajectory(optimizer, parameter, gradients, rates)):
        mean, square = (
            np.average(g, axis=0, weights=[beta ** (t - k) for k in range(t + 1)])
            for g, beta in ((gradients[: t + 1], 0.7), (gradients[: t + 1] ** 2, 0.9))
        )
        value -= rates[t] * mean / (np.sqrt(square) + 1e-3)
        np.testing.assert_allclose(got, value, rtol=1e-12)


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_it_walks_down_a_bowl(kind, rng):
    parameter = Parameter(rng.normal(size=5).astype(np.float32))
    optimizer = kind({"w": parameter}, 0.05)
    for _ in range(300):
        parameter.grad[...] = 2 * parameter.value
        optimizer.step()
    assert np.abs(parameter.value).max() < 1e-3
    assert parameter.value.dtype == np.float32


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_saved_state_goes_on_to_the_last_bit(kind, rng):
    gradients, rates = rng.normal(size=(6, 4)).astype(np.float32), [0.1] * 6
    whole = Parameter(np.ones(4, np.float32))
    expected = list(trajectory(kind({"w": whole}, 0.1), whole, gradients, rates))[-1]

    first = Parameter(np.ones(4, np.float32))
    optimizer = kind({"w": first}, 0.1)
    list(trajectory(optimizer, first, gradients[:3], rates[:3]))
    saved = {name: array.copy() for name, array in optimizer.state().items()}
    second = Parameter(first.value.copy())
    resumed = kind({"w": second}, 0.1)
    resumed.load_state(saved)
    assert np.array_equal(list(trajectory(resumed, second, gradients[3:], rates[3:]))[-1], expected)


def test_a_state_of_another_optimiser_or_model_is_refused():
    state = SGD({"w": Parameter(np.ones(2))}, 0.1).state()
    with pytest.raises(ValueError, match="the saved optimiser state is not that of Adam on this model"):
        Adam({"w": Parameter(np.ones(2))}, 0.1).load_state(state)
    with pytest.raises(ValueError, match="the saved optimiser state is not that of SGD on this model"):
        SGD({"v": Parameter(np.ones(2))}, 0.1).load_state(state)


@given(seed=SEEDS, shapes=st.lists(SHAPES.filter(len), min_size=1, max_size=4))
def test_the_norm_of_several_arrays(ops, arrays, seed, shapes):
    rng = np.random.default_rng(seed)
    given = [arrays(rng, *shape) for shape in shapes]
    arrays.agree(arrays.dtype.type(ops.total_norm(given)), reference.total_norm(given))
    assert reference.total_norm(given) == pytest.approx(np.linalg.norm(np.concatenate([array.ravel() for array in given])))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_no_bad_number_escapes_the_norm(ops, value):
    """Nor one whose square is too large."""
    array = np.zeros((3, 5), np.float32)
    array[1, 4] = value
    with np.errstate(over="ignore"):
        assert not np.isfinite(ops.total_norm([np.ones(2, np.float32), array]))


@pytest.mark.parametrize(("most", "length"), [(5.1, 5), (5, 5), (4.9, 4.9), (0.1, 0.1)])
def test_clipping(most, length, arrays):
    """A gradient as long as (3, 4) over two parameters keeps its direction."""
    parameters = {name: Parameter(np.ones(1, arrays.dtype)) for name in "ab"}
    parameters["a"].grad[...], parameters["b"].grad[...] = 3, -4
    optimizer = SGD(parameters, 0.1)
    norm = optimizer.gradient_norm()
    assert norm == 5
    optimizer.clip(norm, most)
    for name, share in (("a", 0.6), ("b", -0.8)):
        arrays.agree(parameters[name].grad, np.array([share * length]))


def test_step_adds_nothing_where_there_is_no_gradient():
    parameter = Parameter(np.ones(3))
    Adam({"w": parameter}, 0.1).step()
    assert parameter.value.tolist() == [1, 1, 1]
