"""Errors, areas and failure rates: against loops, against integrals, and at the edge of the limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.faces import metrics

some_errors = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 0.3))


@pytest.mark.parametrize("by", ["interocular", "interpupil"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_errors_agree_with_loops(rng, by, count):
    true, predicted = rng.normal(50, 20, (2, count, 68, 2))
    result = metrics.errors(predicted, true, by)
    assert result.shape == (count,)
    for n in range(count):
        if by == "interocular":
            unit = np.hypot(*(true[n, 45] - true[n, 36]))
        else:
            unit = np.hypot(*(sum(true[n, 42:48]) / 6 - sum(true[n, 36:42]) / 6))
        total = 0.0
        for k in range(68):
            total += np.hypot(*(predicted[n, k] - true[n, k]))
        assert result[n] == pytest.approx(total / 68 / unit)


def test_a_known_shift(face):
    """Eyes 98 px apart at the corners, 70 at the centres; every landmark 5 px off."""
    true = face[None]
    assert metrics.errors(true + np.array([3, 4]), true) == pytest.approx(5 / 98)
    assert metrics.errors(true + np.array([3, 4]), true, by="interpupil") == pytest.approx(5 / 70)
    assert metrics.errors(1.5 * true, true) != pytest.approx(metrics.errors(true, 1.5 * true))  # the true face is the measure


@given(some_errors)
def test_the_area_is_the_integral_of_the_curve(errors):
    """The mean height of the curve over many thin slices, each taken at its middle."""
    middles = (np.arange(20000) + 0.5) / 20000 * 0.08
    assert metrics.auc(errors) == pytest.approx(metrics.ced(errors, middles).mean(), abs=1e-4)


@given(some_errors, st.floats(0.01, 0.3))
def test_the_curve_counts(errors, limit):
    share = sum(1 for e in errors if e <= limit) / len(errors)
    assert metrics.ced(errors, [limit])[0] == pytest.approx(share)
    assert metrics.failure_rate(errors, limit) == pytest.approx(sum(1 for e in errors if e >= limit) / len(errors))


def test_an_error_at_the_limit_is_a_failure():
    assert metrics.failure_rate(np.array([0.08, 0.08 - 1e-12])) == 0.5
    assert metrics.auc(np.array([0.08])) == 0
    assert metrics.auc(np.array([0.0])) == 1
    assert metrics.auc(np.array([0.02, 0.1])) == pytest.approx(0.375)


def test_nan_is_a_failure():
    errors = np.array([0.04, np.nan])
    assert metrics.failure_rate(errors) == 0.5
    assert metrics.auc(errors) == 0.25
    np.testing.assert_array_equal(metrics.ced(errors, np.array([0.05, 1e9])), [0.5, 0.5])


def test_the_papers_tables_hang_together():
    """Table 5 and 6, COREFAN augmented, common set: error 3.51 %, one failure in 554, so AUC = (8 - 3.51)/8 = 56.1 %."""
    errors = np.full(554, 0.0351)
    assert 100 * metrics.auc(errors) == pytest.approx(56.10, abs=0.05)
    errors[0] = 0.09
    assert 100 * metrics.failure_rate(errors) == pytest.approx(0.18, abs=0.005)


def test_box_mse(rng):
    true, predicted = rng.normal(size=(2, 3, 4, 4))
    expected = np.mean([sum((predicted[n].ravel()[k] - true[n].ravel()[k]) ** 2 for k in range(16)) / 16 for n in range(3)])
    assert metrics.box_mse(predicted, true) == pytest.approx(expected)
    assert metrics.box_mse(predicted.reshape(3, 16), true.reshape(3, 16)) == pytest.approx(expected)


def test_summary(rng, face):
    true = face + rng.normal(size=(20, 1, 2)) * 30
    predicted = true + rng.normal(size=(20, 68, 2)) * rng.uniform(0, 12, (20, 1, 1))
    corners, pupils = metrics.errors(predicted, true), metrics.errors(predicted, true, by="interpupil")
    summary = metrics.summary(predicted, true)
    assert list(summary) == ["n", "nme_interocular_percent", "nme_interpupil_percent", "auc_008_percent", "failure_percent"]
    assert summary["n"] == 20
    assert summary["nme_interocular_percent"] == pytest.approx(100 * corners.mean())
    assert summary["nme_interpupil_percent"] == pytest.approx(100 * pupils.mean())
    assert summary["nme_interpupil_percent"] == pytest.approx(summary["nme_interocular_percent"] * 98 / 70)  # a swapped normaliser shows
    assert summary["auc_008_percent"] == pytest.approx(100 * np.mean([max(0, 0.08 - e) / 0.08 for e in corners]))
    assert summary["failure_percent"] == pytest.approx(100 * np.mean([e >= 0.08 for e in corners])) and 0 < summary["failure_percent"] < 100


def test_wrong_calls_are_named(face):
    with pytest.raises(ValueError, match=r"two arrays of shape \(N, 68, 2\), got \(68, 2\) and \(1, 68, 2\)"):
        metrics.errors(face, face[None])
    with pytest.raises(ValueError, match="normaliser 'diagonal' is unknown: choose one of interocular, interpupil"):
        metrics.errors(face[None], face[None], by="diagonal")
    with pytest.raises(ValueError, match=r"one shape, got \(2, 16\) and \(2, 4, 4\)"):
        metrics.box_mse(np.zeros((2, 16)), np.zeros((2, 4, 4)))
    nobody = np.zeros((0, 68, 2))
    for call in (lambda: metrics.summary(nobody, nobody), lambda: metrics.auc(np.zeros(0)), lambda: metrics.box_mse(nobody, nobody)):
        with pytest.raises(ValueError, match="a mean over no faces is undefined"):
            call()
