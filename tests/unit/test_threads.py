"""The cut into blocks: any size of block gives the right numbers, any number of threads the same bits."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from nn import cpu, reference
from nn.cpu import threads
from nn.cpu.reduce import column_sum


def results(ops):
    """What every operation that is cut into blocks gives on ragged arrays, float32."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(size=shape).astype(np.float32)

    x, w, b, gamma, beta, padding = draw(5, 7, 6, 3), draw(4, 3, 2, 3), draw(4), draw(3), draw(3), ((1, 1), (0, 1))
    y = ops.conv2d(x, w, b, (1, 1), padding)
    dy = draw(*y.shape)
    mean, variance = ops.batch_statistics(x)
    pooled, winner = ops.maxpool2d(x, 2)
    h, c, saved = ops.lstm(draw(5, 4, 3), draw(5, 2), draw(5, 2), draw(8, 5), draw(8))
    adam = [draw(11, 3), draw(11, 3), draw(11, 3), draw(11, 3) ** 2]
    ops.adam_step(*adam, 3, 0.1, 0.9, 0.999, 1e-8)
    return [
        y,
        *ops.conv2d_backward(dy, x, w, (1, 1), padding),
        mean,
        variance,
        ops.batch_norm(x, gamma, beta, mean, variance, 1e-5),
        *ops.batch_norm_backward(draw(*x.shape), x, gamma, mean, variance, 1e-5, True),
        pooled,
        winner,
        ops.maxpool2d_backward(draw(*pooled.shape), winner, 2, x.shape),
        ops.relu(x),
        ops.relu_backward(draw(*x.shape), x),
        ops.dense(draw(5, 3), draw(4, 3), b),
        *ops.dense_backward(draw(5, 4), draw(5, 3), draw(4, 3)),
        h,
        c,
        *ops.lstm_backward(draw(5, 4, 2), draw(5, 2), saved, draw(8, 5)),
        *adam,
    ]


@pytest.mark.parametrize("block", [1, 5, 64, 1 << 17])
def test_any_size_of_block_gives_the_right_numbers(block, monkeypatch):
    monkeypatch.setattr(threads, "BLOCK", block)
    for ours, theirs in zip(results(cpu), results(reference), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", [5, 64, 1 << 17])
def test_any_number_of_threads_gives_the_same_bits(block, monkeypatch):
    monkeypatch.setattr(threads, "BLOCK", block)

    def with_threads(count):
        with ThreadPoolExecutor(count) as pool, monkeypatch.context() as patch:
            patch.setattr(threads, "_pool", lambda process: (pool, ThreadpoolController(), count))
            return results(cpu)

    one = with_threads(1)
    for count in (2, 3, 7):
        for single, several in zip(one, with_threads(count), strict=True):
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
