"""The learning rate's fall."""

import pytest

from nn import CosineDecay, StepDecay


def test_cfpds_schedule_by_hand():
    rate = StepDecay(0.01, 0.4, 10)
    assert [rate(epoch) for epoch in (0, 9)] == [0.01, 0.01]
    assert [rate(epoch) for epoch in (10, 19, 20, 35)] == pytest.approx([0.004, 0.004, 0.0016, 0.00064])


def test_every_need_not_be_whole():
    rate = StepDecay(1, 0.5, 2.5)
    assert [rate(epoch) for epoch in range(6)] == [1, 1, 1, 0.5, 0.5, 0.25]


def test_the_cosine_is_half_a_wave():
    rate = CosineDecay(0.02, 4)
    half = 0.5**0.5  # cos 45°
    assert [rate(epoch) for epoch in range(6)] == pytest.approx([0.02, 0.01 * (1 + half), 0.01, 0.01 * (1 - half), 0, 0], abs=1e-17)
