"""How wrong the landmarks and boxes are: the measures of Tables 2, 5, 6 and 7.

Errors are fractions of an eye distance (0.05 = 5 %). A NaN among predicted landmarks counts as a failure, never as a success.
"""

import numpy as np

from models.faces.landmarks import corner_distance, pupil_distance

LIMIT = 0.08
NORMALISERS = {"interocular": corner_distance, "interpupil": pupil_distance}


def errors(predicted: np.ndarray, true: np.ndarray, by: str = "interocular") -> np.ndarray:
    """Mean distance of predicted and true landmarks over an eye distance of the true ones: two (N, 68, 2) -> (N,) fractions.

        e_n = 1/68 Σ_k |p_nk - t_nk| / d_n         d: outer eye corners ("interocular") or eye centres ("interpupil")

    Raises ValueError on differing shapes or an unknown normaliser. Source: section 3.4, Table 5.
    """
    if predicted.shape != true.shape or true.shape[1:] != (68, 2):
        raise ValueError(f"errors expects two arrays of shape (N, 68, 2), got {predicted.shape} and {true.shape}")
    if by not in NORMALISERS:
        raise ValueError(f"normaliser {by!r} is unknown: choose one of {', '.join(NORMALISERS)}")
    return np.linalg.norm(predicted - true, axis=-1).mean(-1) / NORMALISERS[by](true)


def auc(errors: np.ndarray, limit: float = LIMIT) -> float:
    """Area under the cumulative error curve from 0 to `limit`, over `limit`: (N,) -> fraction (Tables 6 and 7).

    The curve is a staircase that rises by 1/N at each error, so its area is exact: mean of max(0, limit - e), over limit.
    """
    return float(np.where(_some(errors) < limit, limit - errors, 0).mean() / limit)


def auc_on_grid(errors: np.ndarray, limit: float = LIMIT, step: float = 1e-4) -> float:
    """The same area as others compute it, by trapezoids between the curve's values at multiples of `step`: (N,) -> fraction.

    A trapezoid gives a step of the curve half of what it rises, wherever in between it rises: off by step / (2 limit) at most.
    """
    heights = ced(errors, step * np.arange(round(limit / step) + 1))
    return float((heights[1:] + heights[:-1]).sum() / 2 * step / limit)


def failure_rate(errors: np.ndarray, limit: float = LIMIT) -> float:
    """Share of faces whose error is `limit` or greater: (N,) -> fraction (Tables 6 and 7)."""
    return float(1 - (_some(errors) < limit).mean())


def ced(errors: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Cumulative error distribution: share of faces with an error of at most each value of the grid, (N,), (G,) -> (G,)."""
    return (_some(errors) <= np.asarray(grid)[:, None]).mean(1)


def box_mse(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean squared difference over the 16 numbers of the four boxes and over the faces, two (N, 4, 4) or (N, 16) -> px² (Table 2)."""
    if predicted.shape != true.shape:
        raise ValueError(f"box_mse expects two arrays of one shape, got {predicted.shape} and {true.shape}")
    return float(np.square(_some(predicted) - true).mean())


def summary(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """The numbers a table wants, for two (N, 68, 2): count, mean errors, and for inter-ocular errors area and failures, in percent."""
    interocular = errors(predicted, true)
    return {
        "n": len(true),
        "nme_interocular_percent": 100 * float(_some(interocular).mean()),
        "nme_interpupil_percent": 100 * float(errors(predicted, true, by="interpupil").mean()),
        "auc_008_percent": 100 * auc(interocular),
        "failure_percent": 100 * failure_rate(interocular),
    }


def _some(values: np.ndarray) -> np.ndarray:
    if len(values) == 0:
        raise ValueError("a mean over no faces is undefined: give at least one")
    return values
