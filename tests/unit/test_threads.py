"""The cut into blocks: any size of block gives the right numbers, any number of threads the same bits."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from threading import Barrier, get_ident

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info

from nn import cpu, reference
from nn.cpu import conv, threads, winograd
from nn.cpu.reduce import column_sum

PADDING = ((1, 1), (0, 1))


def normal_numbers():
    rng = np.random.default_rng(0)
    return lambda *shape: rng.normal(size=shape).astype(np.float32)


def results(ops):
    """What every operation that is cut into blocks gives on ragged arrays, float32."""
    draw = normal_numbers()
    x, w, b, gamma, beta = draw(5, 7, 6, 3), draw(4, 3, 2, 3), draw(4), draw(3), draw(3)
    y = ops.conv2d(x, w, b, (1, 1), PADDING)
    dy = draw(*y.shape)
    mean, variance = ops.batch_statistics(x)
    statistics = x, gamma, mean, variance, 1e-5
    pooled, winner = ops.maxpool2d(x, 2)
    h, c, saved = ops.lstm(draw(5, 4, 3), draw(5, 2), draw(5, 2), draw(8, 5), draw(8))
    adam = [draw(11, 3), draw(11, 3), draw(11, 3), draw(11, 3) ** 2]
    ops.adam_step(*adam, 3, 0.1, 0.9, 0.999, 1e-8)
    sgd = [draw(11, 3), draw(11, 3), draw(11, 3)]
    ops.sgd_step(*sgd, 0.1, 0.9)
    return [
        y,
        ops.conv2d(x, w, b, (1, 1), PADDING, relu=True),
        *ops.conv2d_backward(dy, x, w, (1, 1), PADDING),
        *ops.conv2d_backward(draw(5, 5, 3, 4), x, w, (1, 2))[:2],
        mean,
        variance,
        ops.batch_norm(x, gamma, beta, mean, variance, 1e-5),
        ops.batch_norm(x, gamma, beta, mean, variance, 1e-5, relu=True),
        *ops.batch_norm_backward(draw(*x.shape), *statistics, True),
        *ops.batch_norm_backward(draw(*x.shape), *statistics, True, beta=beta),
        pooled,
        winner,
        ops.maxpool2d_backward(draw(*pooled.shape), winner, 2, x.shape),
        ops.relu(x),
        ops.relu_backward(draw(*x.shape), x),
        ops.dense(draw(5, 3), draw(4, 3), b),
        ops.dense(draw(2, 3), draw(9, 3), draw(9)),  # wider than high
        *ops.dense_backward(draw(5, 4), draw(5, 3), draw(4, 3)),
        h,
        c,
        *ops.lstm_backward(draw(5, 4, 2), draw(5, 2), saved, draw(8, 5)),
        *adam,
        *sgd,
    ]


expected = cache(partial(results, reference))


def ladder():
    """What every rung and the dispatcher give on small maps of as many channels as real ones, and a large dense product, float32."""
    draw = normal_numbers()
    x, w, b, dy = draw(3, 9, 10, 64), draw(70, 3, 3, 64), draw(70), draw(3, 9, 9, 70)
    given = (1, 1), PADDING
    return [
        *(rung.forward(x, w, b, *given, relu) for rung in conv.RUNGS.values() for relu in (False, True)),
        *(rung.data_gradient(dy, w, x.shape, *given) for rung in conv.RUNGS.values()),
        *(rung.weight_gradient(dy, x, w.shape, *given) for rung in conv.RUNGS.values()),
        cpu.conv2d(x, w, b, *given, relu=True),
        *cpu.conv2d_backward(dy, x, w, *given),
        *cpu.dense_backward(draw(64, 300), draw(64, 5000), draw(300, 5000)),
    ]


@pytest.fixture
def with_threads(monkeypatch):
    """with_threads(count, function): what the function returns where there are so many threads."""

    def run(count, function):
        with ThreadPoolExecutor(count) as pool, monkeypatch.context() as patch:
            patch.setattr(threads, "_pool", lambda process: (pool, ThreadpoolController(), count))
            return function()

    return run


@pytest.mark.parametrize("block", [1, 5, 64, 1 << 17])
def test_any_size_of_block_gives_the_right_numbers(block, cut, dirty_memory):
    cut(block)
    for ours, theirs in zip(results(cpu), expected(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", [5, 64, 1 << 17])
def test_any_number_of_threads_gives_the_same_bits(block, cut, with_threads):
    cut(block)
    one = with_threads(1, partial(results, cpu))
    for count in (1, 2, 3, 7):
        for single, several in zip(one, with_threads(count, partial(results, cpu)), strict=True):
            assert np.array_equal(single, several)


@pytest.mark.parametrize(("block", "few"), [(7, True), (7, False), (1 << 17, False), (None, None)])
def test_any_number_of_threads_gives_the_same_bits_on_every_rung(block, few, cut, with_threads, monkeypatch):
    if block:
        cut(block)
        monkeypatch.setattr(winograd, "few", lambda *_: few)
    one = with_threads(1, ladder)
    for count in (1, 2, 3):
        for single, several in zip(one, with_threads(count, ladder), strict=True):
            assert np.array_equal(single, several)


@pytest.mark.parametrize(("rows", "width"), [(0, 3), (1, 1 << 20), (1000, 997), (7, 0), (1 << 18, 1)])
def test_blocks_cover_every_row_once_and_fit(rows, width):
    cuts = threads.blocks(rows, width)
    assert [row for cut in cuts for row in range(cut.start, cut.stop)] == list(range(rows))
    assert all((cut.stop - cut.start) * width <= threads.BLOCK or cut.stop - cut.start == 1 for cut in cuts)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_parallel_calls_each_number_once(count):
    seen = []
    threads.parallel(seen.append, count)
    assert sorted(seen) == list(range(count))


def test_an_error_in_a_thread_comes_out():
    def work(k):
        raise ZeroDivisionError(k)

    with pytest.raises(ZeroDivisionError):
        threads.parallel(work, 3)


def test_column_sums_of_real_size(rng):
    x = rng.normal(size=(9, 113, 112, 5)).astype(np.float32)  # several blocks, none of them even
    np.testing.assert_allclose(column_sum(x), x.astype(np.float64).sum((0, 1, 2)), rtol=1e-3, atol=1e-2)


def test_the_callers_errstate_holds_on_every_thread():
    """Each thread waits for the other, so both are at work."""
    count = min(2, threads.cores())
    met, seen = Barrier(count), {}

    def work(_):
        met.wait(60)
        seen[get_ident()] = np.geterr()["over"]

    with np.errstate(over="call"):
        threads.parallel(work, count)
    assert list(seen.values()) == ["call"] * count


def test_blas_is_held_by_whatever_thread_asks():
    """Also after another thread has held it: threadpoolctl 3.8 would let the first one alone."""

    def limits():
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    def held():
        with threads.one_blas_thread():
            return limits()

    before = limits()
    assert held() == {1} and limits() == before
    with ThreadPoolExecutor(1) as other:
        assert other.submit(held).result() == {1}
    assert limits() == before
    assert held() == {1} and limits() == before
