"""Losses: forward gives the number, backward its slope with respect to the prediction.

MeanSquaredError   Eq. (3): (1/16) Σ (y - ŷ)² over the outputs, averaged over the batch
LandmarkError      mean over landmarks of ‖p - t‖, over the pupil distance of the face, averaged over the batch (section 3.2)
"""

import numpy as np

from nn.backend import ops
from nn.layer import Layer, expect


class MeanSquaredError(Layer):
    """L = mean (y - ŷ)², y and ŷ of one shape (N, ...)."""

    def forward(self, y: np.ndarray, target: np.ndarray) -> float:
        """The loss of a batch; 0 for an empty one."""
        expect(self, target, *y.shape, dtype=y.dtype)
        self.keep(None, y, target)
        return float(ops(y, target).squared_error(y, target))  # Eq. (3)

    def backward(self) -> np.ndarray:
        """dL/dy, the shape of y."""
        y, target = self.take_saved()
        return ops(y).squared_error_backward(y, target)


class LandmarkError(Layer):
    """L = mean_nl ‖p_nl - t_nl‖ / d_n: points and target (N, L, 2), distance d (N,), all in one unit (pixels, or frames)."""

    def forward(self, points: np.ndarray, target: np.ndarray, distance: np.ndarray) -> float:
        """The loss of a batch; 0 for an empty one. Raises ValueError where a distance is not positive."""
        expect(self, points, "N", "L", 2)
        expect(self, target, *points.shape, dtype=points.dtype)
        expect(self, distance, len(points), dtype=points.dtype)
        if not (distance > 0).all():
            raise ValueError(f"LandmarkError expects positive distances, got {distance.min()}: are both eyes at the same place?")
        self.keep(None, points, target, distance)
        return float(ops(points, target).landmark_error(points, target, distance))

    def backward(self) -> np.ndarray:
        """dL/dp (N, L, 2)."""
        points, target, distance = self.take_saved()
        return ops(points).landmark_error_backward(points, target, distance)
