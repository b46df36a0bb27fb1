"""Faces followed through made frames, by a model that is exact: it finds the light, and puts its mean face about it.

A face is a round light on black; its landmarks' size is that of the light. Where there is none the model answers its mean face in the
middle of its frame, as a trained network does, more or less.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from models.faces.detect import box_frame
from models.faces.geometry import apply
from models.faces.landmarks import MIRROR, tight_box
from models.predicting.finder import NO_FACE, UNSURE, Finder, gone, spread
from models.predicting.photo import faces_of
from models.predicting.tracking import CHECK, Tracker
from models.predicting.video import where
from nn import Layer

SIZE = 64
WIDE = 6  # a light of standard deviation s is a face of 6 s
SHAPE = np.random.default_rng(3).uniform(-0.5, 0.5, (68, 2))
SHAPE = (SHAPE + SHAPE[MIRROR] * [-1, 1]) / 2  # its own mirror image
SHAPE = (SHAPE - SHAPE.mean(0)) / np.ptp(SHAPE, axis=0).max()


class Light(Layer):
    """The landmarks by the light's mean and spread. `weak`: mixed with the mean face by so much."""

    def __init__(self, weak=0.0):
        self.weak = weak

    def forward(self, x):
        mean = (SIZE - 1) / 2 + SIZE / 2 * SHAPE
        light = x[..., 0] - x.min()  # black is the least, also of what lies outside the picture
        light = np.where(light > 0.05, light, 0) + 1e-12  # (N, SIZE, SIZE)
        place = np.arange(SIZE)
        total = light.sum((1, 2))
        centre = np.stack([light.sum(1) @ place, light.sum(2) @ place], axis=1) / total[:, None]
        second = (light.sum(1) @ place**2 + light.sum(2) @ place**2) / total - (centre**2).sum(1)
        points = centre[:, None] + WIDE * np.sqrt(second / 2)[:, None, None] * SHAPE
        points[light.max((1, 2)) < 0.01] = mean
        return ((1 - self.weak) * points + self.weak * mean).astype(np.float32)


def finder(weak=0.0):
    settings = SimpleNamespace(model="corefan", net=SimpleNamespace(size=SIZE))
    return Finder([SimpleNamespace(settings=settings, model=Light(weak), mean=(SIZE - 1) / 2 + SIZE / 2 * SHAPE)])


def frame_with(*lights):
    """Gray 320 x 240 px with lights (x, y, s)."""
    y, x = np.mgrid[:240, :320]
    picture = np.zeros((240, 320))
    for cx, cy, s in lights:
        picture += 250 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s**2))
    return np.minimum(picture, 255).round().astype(np.uint8)


def box(x, y, s):
    """The tight box of a face."""
    return tight_box(np.array([x, y]) + WIDE * s * SHAPE)


class Detector:
    """Answers with the boxes that it was told last, and counts."""

    def __init__(self, *lights):
        self.lights, self.calls = lights, 0

    def __call__(self, gray):
        self.calls += 1
        return np.array([box(*light) for light in self.lights]).reshape(-1, 4), "tight"


def test_landmarks_follow_a_known_motion():
    """40 frames of 320 x 240 px: a face moves by up to 5 px a frame and grows by a half; the detector is asked once."""
    t = np.linspace(0, 1, 40)
    x, y, s = 100 + 100 * np.sin(2 * t), 110 + 20 * np.cos(5 * t), 8 + 4 * t
    detect = Detector((x[0] + 3, y[0] - 2, s[0] * 1.05))
    tracker = Tracker(finder(), detect, redetect=1000)
    for k in range(40):
        (face,) = tracker(frame_with((x[k], y[k], s[k])))
        assert face.number == 1 and (face.box is None) == (k > 0)
        np.testing.assert_allclose(face.landmarks, np.array([x[k], y[k]]) + WIDE * s[k] * SHAPE, atol=0.05 * WIDE * s[k])
        np.testing.assert_allclose(face.landmarks.mean(0), (x[k], y[k]), atol=0.5)
    assert detect.calls == tracker.detections == 1


def test_a_face_that_vanishes_is_noticed_and_its_return_is_another_face():
    detect = Detector((100, 100, 9))
    tracker = Tracker(finder(), detect, redetect=1000)
    assert len(tracker(frame_with((100, 100, 9)))) == 1
    for k in range(1, 3 * CHECK):
        shown = len(tracker(frame_with()))  # a cut; the detector goes on pointing there
        assert shown == (k < CHECK)
    (face,) = tracker(frame_with((100, 100, 9)))
    assert face.number == 2


def test_a_face_that_leaves_the_picture_is_dropped():
    detect = Detector((280, 100, 9))
    tracker = Tracker(finder(), detect, redetect=1000)
    tracker(frame_with((280, 100, 9)))
    detect.lights = ()
    shown = [len(tracker(frame_with((280 + 5 * k, 100, 9)))) for k in range(1, 30)]
    assert shown[:5] == [1] * 5 and shown[-1] == 0 and sorted(shown, reverse=True) == shown


def test_new_faces_are_picked_up_at_the_next_look_and_keep_their_numbers():
    detect = Detector((80, 80, 8), (220, 80, 8))
    tracker = Tracker(finder(), detect, redetect=6)
    numbers = []
    for k in range(20):
        lights = [(80 + k, 80, 8)] + [(220, 80 + k, 8)] * (k > 3)
        detect.lights = lights
        numbers.append([face.number for face in tracker(frame_with(*lights))])
    assert numbers == [[1]] * 6 + [[1, 2]] * 14  # it came at the fourth frame, the detector looks at 0, 6, 12 and 18
    assert detect.calls == 4


def test_where_one_of_two_is_lost_the_detector_looks_at_once():
    detect = Detector((80, 80, 8), (220, 80, 8))
    tracker = Tracker(finder(), detect, redetect=1000)
    tracker(frame_with((80, 80, 8), (220, 80, 8)))
    for _ in range(CHECK - 1):
        tracker(frame_with((80, 80, 8)))
    assert detect.calls == 1
    assert [face.number for face in tracker(frame_with((80, 80, 8)))] == [1] and detect.calls == 2


def test_of_two_tracks_on_one_face_the_elder_stays():
    """The model sees the brightest of both, so both run to one place."""
    detect = Detector((100, 100, 9))
    tracker = Tracker(finder(), detect, redetect=1000)
    tracker(frame_with((100, 100, 9)))
    tracker.tracks[7] = tracker.tracks[1] + 60.0  # elsewhere; in the next frame it finds the same light
    tracker.tracks[7] += np.array([-40.0, -50.0])
    assert [face.number for face in tracker(frame_with((102, 100, 9)))] == [1]


@pytest.mark.parametrize("confirmed", [True, False])
def test_an_unsure_face_goes_on_if_the_detector_sees_it_too(confirmed):
    """A model that half clings to its frame: doubt between UNSURE and NO_FACE. Confirmed it keeps its number, else it ends."""
    weak = (UNSURE + NO_FACE) / 2 / (6 / 112 * np.sqrt(2) / 0.5)
    follower = finder(weak)
    detect = Detector((100, 100, 9))
    tracker = Tracker(follower, detect, redetect=1000)
    gray = frame_with((100, 100, 9))
    (face,) = tracker(gray)
    (doubt,) = follower.doubt(gray, face.landmarks[None])
    assert UNSURE < doubt < NO_FACE
    detect.lights = detect.lights if confirmed else ()
    numbers = [[face.number for face in tracker(gray)] for _ in range(CHECK)]
    assert numbers == [[1]] * (CHECK - 1) + ([[1]] if confirmed else [[]])
    assert detect.calls == 2


def test_a_detector_that_points_at_nothing_begins_no_face():
    tracker = Tracker(finder(), Detector((100, 100, 9)), redetect=1000)
    assert [tracker(frame_with()) for _ in range(3)] == [[], [], []]
    assert tracker.detections == 3 and tracker.faces == 0


# ---- the first look ----


@pytest.mark.parametrize(("weak", "looks"), [(0.0, 1), (0.5, 4)])
def test_a_photo_is_turned_only_where_the_answer_is_not_sure(weak, looks):
    """The detector finds something whichever way up; a sure answer ends the search, an unsure one goes on for a better."""
    gray = np.ascontiguousarray(frame_with((120, 120, 9))[:240, :240])  # the same from all sides, but for a pixel
    detect = Detector((120, 120, 9))
    boxes = SimpleNamespace(given=False, detect=detect)
    (face,), _ = faces_of(finder(weak), boxes, None, gray)
    assert detect.calls == looks
    np.testing.assert_allclose(face.landmarks.mean(0), (120, 120), atol=2)


def test_a_marked_face_of_a_video_is_that_of_its_first_frame():
    """After it the detector looks."""
    gray, answers = frame_with(), {}
    marked, found = (np.array([[1.0, 2, 3, 4]]), "300w"), (np.zeros((0, 4)), "haar")
    boxes = SimpleNamespace(given=True, marked=lambda source, gray: marked, detect=lambda gray, side: found)
    for first in (True, False):
        answers[first] = where(SimpleNamespace(boxes=boxes), None, gray, first)
    assert answers == {True: marked, False: found}


# ---- doubt, frames, gone ----


def test_doubt_is_the_share_of_the_face_by_which_answers_go_along():
    """0 for an exact model; for one that answers its mean face wherever it looks, the nudge's length in half frames: 6 √2 / 56."""
    gray, points = frame_with((150, 120, 10)), (np.array([150, 120]) + WIDE * 10 * SHAPE)[None]
    assert finder().doubt(gray, points)[0] == pytest.approx(0, abs=0.02)
    assert finder(weak=1.0).doubt(gray, points)[0] == pytest.approx(6 * np.sqrt(2) / 56, abs=0.02)
    assert finder().doubt(frame_with(), points)[0] == pytest.approx(6 * np.sqrt(2) / 56, abs=0.01)


def test_frames_by_landmarks_and_by_box_corners():
    """Landmarks: those of training. Corners: the frame in which they lie on the mean ones, moved and scaled alike."""
    rng = np.random.default_rng(0)
    points = np.array([40.0, 30.0]) + 50 * SHAPE
    framed = apply(finder().frames(points[None])[0], points)
    np.testing.assert_allclose(framed.mean(0), (SIZE - 1) / 2, atol=1e-9)
    assert np.ptp(framed, axis=0).max() == pytest.approx(SIZE / 2)
    mean = rng.uniform(10, 50, (4, 4))
    settings = SimpleNamespace(model="cfpd", net=SimpleNamespace(size=SIZE))
    cfpd = Finder([SimpleNamespace(settings=settings, model=None, mean=mean)])
    corners = (3.7 * mean.reshape(8, 2) + [200, -30])[None]
    np.testing.assert_allclose(apply(cfpd.frames(corners), corners)[0], mean.reshape(8, 2), atol=1e-6)


def test_gone():
    gray = np.zeros((100, 200), np.uint8)
    face = np.array([100, 50]) + 40 * SHAPE
    candidates = np.stack([face, face + np.array([95, 0]), face + np.array([105, 0]), face - np.array([0, 75]), 0.1 * face])
    inside = [((points >= 0) & (points < [200, 100])).all(1).mean() for points in candidates]
    np.testing.assert_array_equal(gone(gray, candidates), [share < 0.5 for share in inside[:4]] + [True])
    assert inside[1] > 0.5 > inside[2] > 0.1


def test_spread_is_what_numpy_says():
    points = np.random.default_rng(1).normal(size=(3, 8, 2))
    np.testing.assert_allclose(spread(points), np.sqrt(8 * points.var(1).sum(-1)))


def test_a_first_answer_is_looked_at_twice_and_in_the_mirror():
    """From a box that is 15 % too large and 8 px off, the begun face is as exact as the followed one."""
    gray = frame_with((150, 120, 10))
    follower = finder(weak=0.3)
    true = np.array([150, 120]) + 60 * SHAPE
    off = box(158, 114, 11.5)
    begun = follower.begin(gray, off[None], "tight")[0]
    once = follower.look(gray, box_frame(off[None], SIZE, "tight"))[0]
    assert np.abs(begun - true).mean() < 0.5 * np.abs(once - true).mean()


def test_only_following_is_timed():
    gray = frame_with((150, 120, 10))
    follower = finder(weak=0.3)
    points = follower.begin(gray, box(150, 120, 10)[None], "tight")
    follower.doubt(gray, points)
    assert (follower.follows, follower.seconds) == (0, 0.0)
    follower.follow(gray, points)
    assert follower.follows == 1 and follower.seconds > 0
