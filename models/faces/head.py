"""The 3-D head behind a drawn face: 68 frontal points, a surface through them, and a camera.

A head is written in its own frame: x to the image's right, y down, z towards the viewer; 100 units between the outer eye
corners; z = 0 at the ears. Its surface is a ring of radius R(y) around a centre that moves forward on the way to the chin,

    x = R(y) sin θ        z = c(y) + k(y) R(y) cos θ + bump(x, y)

where R(y) is the outline of the jaw and the skull, k how deep the head is for its width, and bump a sum of Gaussians that
follow the landmarks: nose, sockets, lids, lips, folds. A bump moves a point along z alone, so a frontal point (x, y) has
one place on the surface, and every landmark lies on what is drawn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from models.faces import opencv as cv2
from models.faces.landmarks import LEFT_EYE, MIRROR, RIGHT_EYE

JAW_ANGLE = np.radians(82.0)  # where a jaw landmark sits on its ring: just in front of the outline of a frontal view

# A neutral frontal face, the average of many annotated photographs (300-W, training fold: turned upright, scaled to 100 between
# the outer eye corners, made symmetric, rounded). By hand: the mouth is closed, as the average smiles a little, and the jaw is
# up to 4 % wider, as it lies further back and a camera at an ordinary distance shows it smaller.
# The left half in iBUG order; the depth of a point is the surface's, which is our own sketch of a head.
_LEFT = np.r_[0:9, 17:22, 27:34, 36:42, 48:52, 57:63, 66:68]
_HALF = [
    *[(-85, -42), (-85, -20), (-82, 1), (-77.5, 22), (-68, 42), (-54.5, 59), (-38, 73), (-20, 84), (0, 87)],  # jaw
    *[(-66.5, -59), (-56, -68), (-42, -71), (-27.5, -69), (-13.5, -63)],  # eyebrow
    *[(0, -46), (0, -32), (0, -18), (0, -3.5), (-16.5, 6), (-8.5, 9), (0, 11.5)],  # nose
    *[(-50, -44), (-41.5, -49), (-30.5, -49), (-21.5, -42), (-31.5, -40), (-42, -40)],  # eye
    *[(-30, 36), (-20, 30), (-8, 27), (0, 29), (0, 46.5), (-9, 46), (-20, 43)],  # lips, outside
    *[(-26, 36), (-8, 35.5), (0, 36), (0, 36), (-8, 35.5)],  # lips, inside
]
MEAN = np.zeros((68, 2))
MEAN[_LEFT] = _HALF
MEAN[MIRROR[_LEFT]] = MEAN[_LEFT] * (-1, 1)
MEAN.flags.writeable = False


@dataclass
class Face:
    """Frontal points (68, 2) with the expression already in them, and how far it went (0 to about 1)."""

    points: np.ndarray
    smile: float = 0.0
    opening: float = 0.0
    closed: float = 0.0


def smoothstep(y: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between: 3t² - 2t³."""
    t = np.clip((y - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def random_face(rng: Generator, amount: float = 1.0) -> Face:
    """Draw who it is and what the face does; `amount` scales every variation, 0 gives the neutral mean."""

    def normal(scale: float) -> float:
        return scale * amount * float(np.clip(rng.normal(), -2.5, 2.5))

    p = MEAN.copy()
    jaw, brows, nose, mouth = p[:17], p[17:27], p[27:36], p[48:]

    # the outline: wide or narrow, wide or pointed below, square or round, long or short
    jaw[:, 0] *= 1 + normal(0.06) + normal(0.07) * smoothstep(jaw[:, 1], -10, 70)
    jaw[:, 0] += normal(3.0) * np.sign(jaw[:, 0]) * np.exp(-(((jaw[:, 1] - 50) / 20) ** 2))
    jaw[:, 1] += normal(6.0) * smoothstep(jaw[:, 1], 0, 88) + normal(4.0)

    # the expression: nothing for about half of the faces
    smile = amount * rng.uniform(0, 1.2) * (rng.random() < 0.65)
    opening = amount * rng.beta(1.1, 3.5) * (rng.random() < 0.4)
    teeth = amount * rng.uniform(0.3, 1.1) * (rng.random() < 0.8) * smile
    closed = amount * (1.0 if rng.random() < 0.03 else np.clip(rng.normal(-0.1, 0.22) + 0.25 * smile, -0.4, 0.75))

    size, height, tall, slant = 1 + normal(0.07), normal(2.0), 1 + normal(0.12), normal(0.06)
    apart = normal(2.0)
    for eye, side in ((LEFT_EYE, -1), (RIGHT_EYE, 1)):
        centre = p[eye].mean(axis=0)
        d = (p[eye] - centre) * (size, size * tall)
        d[:, 1] -= side * slant * d[:, 0]
        lid, low = [1, 2], [5, 4]
        d[lid, 1] += closed * (d[low, 1] - d[lid, 1])
        d[lid, 0] += max(closed, 0) * (d[low, 0] - d[lid, 0])
        p[eye] = centre + d + (side * apart, height)

    lift, tilt, arch, frown = normal(3.2) + 3.0 * max(normal(1.0), 0) - 2.5 * amount, normal(2.5), normal(1.5), max(normal(1.0), 0)
    inward = 1 - np.abs(brows[:, 0]) / 70  # 1 at the root of the nose
    brows[:, 1] += height - lift - tilt * (1 - 2 * inward) + 4.0 * frown * inward
    brows[[2, 7], 1] -= arch
    brows[:, 0] += np.sign(brows[:, 0]) * (apart + normal(1.5) - 2.5 * frown * inward)
    brows[rng.integers(2) * 5 + np.arange(5), 1] -= abs(normal(1.5))  # one brow up

    length, wide = normal(4.0), 1 + normal(0.1)
    nose[:, 1] += length * smoothstep(nose[:, 1], -50, 5) + height * (1 - smoothstep(nose[:, 1], -50, 5))
    nose[4:, 0] *= wide
    nose[3, 1] += normal(1.8)
    nose[[4, 8], 1] -= 1.5 * smile
    nose[[4, 8], 0] *= 1 + 0.08 * smile

    # lips: thickness about the line where they meet, then width, smile, jaw
    line = 36.0
    full = np.where(mouth[:, 1] < line, 1 + normal(0.22), 1 + normal(0.22)) * (1 - 0.15 * smile)
    mouth[:, 1] = line + (mouth[:, 1] - line) * full
    mouth[:, 0] *= 1 + normal(0.08)
    corner = np.clip(np.abs(mouth[:, 0]) / 30, 0, 1)
    lower = np.isin(np.arange(48, 68), [55, 56, 57, 58, 59, 65, 66, 67])
    mouth[:, 0] *= 1 + 0.27 * smile - 0.18 * opening + min(normal(0.06), 0)
    mouth[:, 1] -= (6.0 * smile + normal(2.5)) * corner**2
    inner_upper, inner_lower = [13, 14, 15], [17, 18, 19]
    mouth[inner_upper, 1] -= 2.5 * teeth
    mouth[1:6, 1] -= 2.0 * teeth
    mouth[inner_lower, 1] += 5.5 * teeth
    mouth[7:12, 1] += 4.5 * teeth
    drop = 45.0 * opening
    mouth[:, 1] += np.where(lower, drop * np.where(corner > 0.5, 0.75, 1.0), 0.3 * drop * corner**2)
    mouth[1:6, 1] -= 0.08 * drop
    jaw[:, 1] += (0.85 * drop + 2.5 * teeth) * smoothstep(jaw[:, 1], 5, 85)
    mouth[:, 1] += 0.6 * length + normal(2.0)
    mouth[:, 0] += normal(1.0)
    return Face(p, smile, opening, closed)


# rows: y (top of the skull -1, ears 0, chin 1), ring centre c, depth over width in front, and behind
_PROFILE = np.array(
    [(-1, -8, 1.1, 1.25), (-0.4, 2, 1.1, 1.25), (0, 8, 1.07, 1.25), (0.3, 14, 1.07, 1.2), (0.55, 26, 0.98, 0.9), (0.75, 42, 0.92, 0.6),
     (0.88, 58, 0.85, 0.5), (0.97, 72, 0.75, 0.5), (1.0, 75, 0.7, 0.5)]
)  # fmt: skip
_STEP, _X0, _Y0, _COLUMNS, _ROWS = 1.25, -100.0, -130.0, 161, 209  # the grid that bumps are summed on


def bumps(blobs: np.ndarray) -> np.ndarray:
    """Sum of K Gaussians (x, y, width, height, rise) (K, 5) on the frontal grid, as one product of matrices -> (rows, columns)."""
    blobs = blobs.astype(np.float32)
    x, y = (first + _STEP * np.arange(n, dtype=np.float32) for first, n in ((_X0, _COLUMNS), (_Y0, _ROWS)))
    across = np.exp(-0.5 * ((x - blobs[:, :1]) / blobs[:, 2:3]) ** 2)  # (K, columns)
    down = np.exp(-0.5 * ((y - blobs[:, 1:2]) / blobs[:, 3:4]) ** 2)  # (K, rows)
    return down.T @ (across * blobs[:, 4:])


def sample(grid: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values of a frontal grid (rows, columns, channels or none) at head coordinates, bilinear; its border value outside."""
    at = [((np.atleast_2d(c) - first) / _STEP).astype(np.float32) for c, first in ((x, _X0), (y, _Y0))]
    return cv2.remap(grid, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(np.shape(x) + grid.shape[2:])


def _along(points: np.ndarray | list, width: float, height: float, rise: float, count: int = 7) -> list[tuple]:
    """A ridge (or a furrow, rise < 0): equal blobs along a polyline."""
    points = np.asarray(points, float)
    t = np.linspace(0, len(points) - 1, count)
    at = np.stack([np.interp(t, np.arange(len(points)), points[:, i]) for i in (0, 1)], axis=1)
    return [(x, y, width, height, rise) for x, y in at]


def relief(face: Face, rng: Generator, amount: float = 1.0) -> np.ndarray:
    """The blobs (K, 5) of a face's relief: each follows its landmarks and differs a little from face to face."""
    p, smile = face.points, face.smile
    fold = 0.6 + 1.6 * smile + amount * abs(rng.normal(0, 0.5))
    b = _along(p[27:31], 6.5, 8, 4.0, 4) + _along(p[[28, 30]], 8, 8, 4.0, 3)  # bridge of the nose
    b += [(*p[30], 8, 7.5, 9), (*p[33] - (0, 3), 6, 5, 5), (*p[33] + (0, 10), 2.5, 6, -1.2)]  # tip, columella, philtrum
    for side, outer, inner, brow, nostril, corner in ((-1, 36, 39, slice(17, 22), 31, 48), (1, 45, 42, slice(22, 27), 35, 54)):
        eye = LEFT_EYE if side < 0 else RIGHT_EYE
        x, y = p[eye].mean(axis=0)
        b += [(*p[nostril] + (-side * 3, -3), 5.5, 5, 8), (x, y, 19, 12, -7), (x, y, 11, 7, 4.5)]  # wing, socket, eyeball
        b += [(*p[inner] + (-side * 3, -2), 6, 8, -4), (*p[outer] + (side * 4, 0), 7, 7, -1)]
        b += _along(p[brow] + (0, 2), 9, 6, 1.6, 5)
        b += _along([(x - 14, y + 12), (x + 14, y + 12)], 5, 2, -0.5, 5)  # bag under the eye
        b += [
            (side * 54, -12, 16, 12, 4),
            (side * 38, 10, 14, 11, 3 + 4 * smile),
            (side * 56, 35, 12, 16, -2.5),
            (side * 68, -78, 12, 18, -3),
        ]
        b += _along([p[nostril] + (side * 4, -1), p[corner] + (side * 8, -6), p[corner] + (side * 10, 5)], 3, 4, -0.55 * fold)
        b += [(*p[corner], 5, 4, -2)]
    b += _along((p[48:55] + p[[60, 61, 61, 62, 63, 63, 64]]) / 2, 5, 2.6, 1.3, 9)  # upper lip
    b += _along((p[[48, 59, 58, 57, 56, 55, 54]] + p[[60, 67, 67, 66, 65, 65, 64]]) / 2, 5, 3.0, 1.7, 9)  # lower lip
    low, chin = p[57, 1], p[8, 1]
    b += [(0, low + 0.25 * (chin - low), 15, 5, -3.5), (0, low + 0.62 * (chin - low), 15, 11, 6)]
    blobs = np.array(b)
    blobs[:, 4] *= 1 + amount * rng.normal(0, 0.2, len(b))
    if face.opening > 0.05 or smile > 0.3:  # the gap between the lips falls back
        blobs = np.vstack([blobs, [(*p[60:68].mean(axis=0), 0.4 * np.ptp(p[60:68, 0]), 1 + 0.35 * np.ptp(p[60:68, 1]), -4)]])
    return blobs


class Head:
    """The surface through a face's points: grids x, y, z (rows, columns) over height and angle, and `lift`."""

    def __init__(self, face: Face, rng: Generator, amount: float = 1.0, rows: int = 184, columns: int = 176) -> None:
        self.face = face
        jaw = face.points[:17]
        radius, height = (jaw[:7:-1, 0] - jaw[:9, 0]) / 2 / np.sin(JAW_ANGLE), (jaw[:7:-1, 1] + jaw[:9, 1]) / 2
        t = np.linspace(0, np.pi / 2, 12, endpoint=False)
        skull = 114 + amount * rng.normal(0, 5)
        outline = np.stack([np.r_[radius[0] * np.sin(t) ** 0.7, radius], np.r_[height[0] - skull * np.cos(t), height]], axis=1)
        # resampled evenly and smoothed as a closed outline (the other half is its mirror image)
        length = np.r_[0, np.cumsum(np.hypot(*np.diff(outline, axis=0).T))]
        even = np.stack([np.interp(np.linspace(0, length[-1], rows), length, outline[:, i]) for i in (0, 1)], axis=1)
        flip = even[::-1] * (-1, 1)
        closed = np.concatenate([flip[-13:-1], even, flip[1:13]]).astype(np.float32)
        even = cv2.GaussianBlur(closed, (1, 25), 0, sigmaY=2.5)[12:-12].astype(float)
        self.radius, self.y_of = np.maximum(even[:, 0], 0), np.maximum.accumulate(even[:, 1] + 1e-6 * np.arange(rows))
        self.ears = height[0]
        self.deep = 1 + amount * rng.normal(0, 0.05)
        self.blobs = relief(face, rng, amount)
        self.bump = bumps(self.blobs)
        s = np.linspace(-1, 1, columns)
        self.theta = np.pi * (0.6 * s + 0.4 * s**3)  # finer in front
        self.x = np.outer(self.radius, np.sin(self.theta)).astype(np.float32)
        self.y = np.repeat(self.y_of.astype(np.float32)[:, None], columns, axis=1)
        cosine, radius = np.cos(self.theta).astype(np.float32), self.radius.astype(np.float32)[:, None]
        self.z = self._depth(self.y_of[:, None], cosine, radius, sample(self.bump, self.x, self.y))

    def _depth(self, y: np.ndarray, cosine: np.ndarray, radius: np.ndarray, bump: np.ndarray) -> np.ndarray:
        top, bottom = self.y_of[0], self.y_of[-1]
        at = np.where(y < self.ears, (y - self.ears) / (self.ears - top), (y - self.ears) / (bottom - self.ears))
        centre, front, back = (np.interp(at, _PROFILE[:, 0], self.deep * _PROFILE[:, i]).astype(radius.dtype) for i in (1, 2, 3))
        return centre + np.where(cosine > 0, front, back) * radius * cosine + bump * np.clip(3 * cosine, 0, 1) * np.clip(radius / 15, 0, 1)

    def lift(self, points: np.ndarray) -> np.ndarray:
        """Frontal points (..., 2) put on the front of the surface -> (..., 3)."""
        x, y = points[..., 0], points[..., 1]
        radius = np.interp(y, self.y_of, self.radius)
        sine = np.clip(x / np.maximum(radius, 1e-6), -1, 1)
        z = self._depth(y, np.sqrt(1 - sine**2), radius, sample(self.bump, x, y))
        return np.stack([radius * sine, y, z], axis=-1)

    def ring(self, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Points of the surface at heights y and angles θ (broadcast together) -> (..., 3)."""
        y, theta = np.broadcast_arrays(y, theta)
        radius = np.interp(y, self.y_of, self.radius)
        x = radius * np.sin(theta)
        return np.stack([x, y, self._depth(y, np.cos(theta), radius, sample(self.bump, x, y))], axis=-1)


class Camera:
    """Turn the head by yaw and pitch (radians), look from `distance` units, then roll, scale and place on the picture.

    q = R_pitch R_yaw (x, y, z)        picture = scale R_roll (q_x, q_y) distance / (distance - q_z) + offset
    """

    def __init__(self, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, distance: float = 1e6) -> None:
        cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        self.rotation = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        self.yaw, self.distance = yaw, distance
        self.plane, self.offset = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]), np.zeros(2)

    def flat(self, points: np.ndarray) -> np.ndarray:
        """Perspective without roll, scale and offset: (..., 3) -> (..., 2)."""
        q = points @ self.rotation.T
        return q[..., :2] * (self.distance / (self.distance - q[..., 2:]))

    def project(self, points: np.ndarray) -> np.ndarray:
        """Head coordinates (..., 3) -> picture (..., 2)."""
        return self.flat(points) @ self.plane.T + self.offset

    def project_grid(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`project` for coordinates that come apart, in their own dtype: three arrays -> two."""
        r = self.rotation.astype(x.dtype)
        qx, qy, qz = (row[0] * x + row[1] * y + row[2] * z for row in r)
        near = x.dtype.type(self.distance) / (x.dtype.type(self.distance) - qz)
        plane, offset = self.plane.astype(x.dtype), self.offset.astype(x.dtype)
        return tuple((m[0] * qx + m[1] * qy) * near + o for m, o in zip(plane, offset, strict=True))

    def aim(self, points: np.ndarray, size: int, margin: float) -> None:
        """Scale and place so that these 68 points obey the crop rule: mean in the centre, `margin` x longer side = size."""
        flat = self.flat(points) @ self.plane.T
        scale = size / margin / np.ptp(flat, axis=0).max()
        self.plane, self.offset = self.plane * scale, (size - 1) / 2 - scale * flat.mean(axis=0)


def landmarks(head: Head, camera: Camera) -> np.ndarray:
    """The 68 landmarks in head coordinates (68, 3).

    A jaw landmark turned out of sight is moved along its ring to the visible outline, as the annotators of 300-W place it.
    """
    points = head.lift(head.face.points)
    y = np.minimum(head.face.points[:17, 1], head.y_of[-1])
    y[8] = head.y_of[-1]
    angle = np.repeat([-JAW_ANGLE, 0, JAW_ANGLE], [8, 1, 8])
    theta = np.linspace(-1.75, 1.75, 91)
    across = camera.flat(head.ring(y[:, None], theta))[..., 0]  # (17, 91)
    leftmost, rightmost = theta[across.argmin(axis=1)], theta[across.argmax(axis=1)]
    angle[:8] = np.maximum(angle[:8], leftmost[:8])
    angle[9:] = np.minimum(angle[9:], rightmost[9:])
    points[:17] = head.ring(y, angle)
    return points
