"""The parts of `faceseed predict`: sources, boxes, turned photos, styles, keys."""

import sys
from itertools import pairwise
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.detect import box_frame
from models.faces.geometry import apply
from models.faces.landmarks import POLYLINES
from models.predicting import styles
from models.predicting.boxes import DLIB_BELOW, DLIB_SIDE, Boxes, dlib_detector
from models.predicting.finder import Face
from models.predicting.photo import points_back, turn_back
from models.predicting.sources import Clip, Source, sources
from models.predicting.window import Keys
from nn import InputError

POINTS = np.random.default_rng(5).uniform(40, 200, (68, 2))
GRID = np.stack([60.0 * (np.arange(68) % 9) + 30, 60.0 * (np.arange(68) // 9) + 30], axis=1)  # far from one another
PARTS = np.array([[50, 60, 90, 80], [110, 60, 150, 82], [80, 90, 120, 130], [70, 140, 130, 160.0]])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- sources ----


def test_sources_in_their_order(here):
    """A folder gives its photos by name, a pattern what it matches by name, files come as they are named."""
    (here / "in" / "deep").mkdir(parents=True)
    for name in ("b.jpg", "A.PNG", "c.mp4", "notes.txt", "deep/d.jpg", "10.jpg", "9.jpg"):
        (here / "in" / name).touch()
    (here / "7").touch()

    def found(*words):
        return [(str(source.path), source.kind) for source in sources(list(words))]

    assert found("in") == [(f"in/{name}", "photo") for name in ("10.jpg", "9.jpg", "A.PNG", "b.jpg")]
    assert found("in/*.jpg") == [(f"in/{name}", "photo") for name in ("10.jpg", "9.jpg", "b.jpg")]
    assert ("in/deep/d.jpg", "photo") in found("in/**/*.jpg")
    assert found("in/c.mp4", "in/b.jpg", "0") == [("in/c.mp4", "video"), ("in/b.jpg", "photo"), ("0", "camera")]
    assert found("7") == [("7", "photo")]  # a file of that name
    assert [(source.stem, str(source)) for source in sources(["in/b.jpg", "3"])] == [("b", "in/b.jpg"), ("camera3", "camera 3")]


@pytest.mark.parametrize(("word", "why"), [("in", "holds no photos"), ("no.jpg", "no such file"), ("*.jpg", "nothing matches")])
def test_words_that_name_nothing(word, why, here):
    (here / "in").mkdir()
    with pytest.raises(InputError, match=why):
        sources([word])


def film(path, levels, fps=20, codec="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    for level in levels:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


def test_a_clip_gives_every_frame_with_its_gray_levels(here):
    levels = [20, 60, 100, 140, 180]
    film(here / "clip.avi", levels)
    with Clip(Source(here / "clip.avi", "video")) as clip:
        frames = list(clip)
        assert (clip.fps, clip.count, clip.unread) == (20, 5, 0)
    assert [number for number, _, _ in frames] == [0, 1, 2, 3, 4]
    for level, (_, picture, gray) in zip(levels, frames, strict=True):
        assert picture.shape == (48, 64, 3) and gray.shape == (48, 64) and abs(gray.mean() - level) < 4


def test_frames_that_cannot_be_read_are_passed_over(here):
    """One in the middle, then the end; the numbers are those of the file."""
    film(here / "clip.avi", [20, 60, 100, 140])
    with Clip(Source(here / "clip.avi", "video")) as clip:
        inner, calls = clip.capture, []

        def read():
            calls.append(inner.read())
            return (False, None) if len(calls) == 2 else calls[-1]

        clip.capture = SimpleNamespace(read=read, release=inner.release)
        assert [number for number, _, _ in clip] == [0, 2, 3]
        assert clip.unread == 1


# ---- boxes ----


def test_the_detector_looks_at_a_smaller_copy(monkeypatch):
    """Whatever the size of the photo, a box that covers a known part of the copy covers it in the photo too."""
    shapes = []

    def quarter(gray):
        shapes.append(gray.shape)
        height, width = gray.shape
        return np.array([[width / 4 - 0.5, height / 4 - 0.5, width / 2 - 0.5, height / 2 - 0.5]])

    monkeypatch.setattr("models.predicting.boxes.haar", quarter)
    for height, width in ((3000, 4000), (200, 500), (720, 5000)):
        box, kind = Boxes().detect(np.zeros((height, width), np.uint8))
        np.testing.assert_allclose(box[0], np.array([width / 4, height / 4, width / 2, height / 2]) - 0.5, atol=1e-9)
        assert kind == "haar" and min(shapes[-1]) == min(720, height)


def test_dlib_where_it_is_installed_and_where_not(monkeypatch):
    """A stand-in for it: its boxes count pixels, both ends included, and come out as the tight boxes that box_frame takes."""

    def rectangle(*edges):
        return SimpleNamespace(
            **{name: lambda edge=edge: edge for name, edge in zip(("left", "top", "right", "bottom"), edges, strict=True)}
        )

    def detector(gray, upsampled):
        return [rectangle(10, 20, 49, 59), rectangle(100, 40, 199, 139)]

    dlib_detector.cache_clear()
    monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace(get_frontal_face_detector=lambda: detector))
    boxes, kind = Boxes(detector="dlib").detect(np.zeros((300, 300), np.uint8))
    assert kind == "tight" and len(boxes) == 2
    np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, [[149.5, 89.5 + DLIB_BELOW * 100], [29.5, 39.5 + DLIB_BELOW * 40]])
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], [[100 * DLIB_SIDE] * 2, [40 * DLIB_SIDE] * 2])
    centre = apply(np.linalg.inv(box_frame(boxes[0], 112, kind)), np.array([[55.5, 55.5]]))[0]
    np.testing.assert_allclose(centre, (149.5, 89.5 + 100 * 0.071), atol=0.2)  # the mean landmark lies 0.071 of the box below its centre
    dlib_detector.cache_clear()
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(InputError, match="pip install dlib"):
        Boxes(detector="dlib")


# ---- turned photos ----


@given(st.integers(0, 3), st.integers(2, 9), st.integers(2, 9), st.data())
def test_points_of_a_turned_photo_come_back(turn, height, width, data):
    """The pixel that shows a mark in np.rot90(photo) is the photo's marked one."""
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    photo = np.zeros((height, width))
    photo[y, x] = 1
    row, column = np.argwhere(np.rot90(photo, turn))[0]
    np.testing.assert_array_equal(points_back(np.array([[column, row]]), turn, photo.shape), [[x, y]])


def test_boxes_of_a_turned_face_come_back_with_their_corners_in_order():
    face = turn_back(Face(3, PARTS[0], POINTS, PARTS), 1, (300, 400))
    assert face.number == 3 and face.box.shape == (4,) and face.parts.shape == (4, 4)
    np.testing.assert_allclose(face.box, [399 - 80, 50, 399 - 60, 90])
    np.testing.assert_allclose(face.parts[0], face.box)


# ---- styles ----


def drawn(*names, face=None):
    canvas = np.zeros((260, 260, 3), np.uint8)
    styles.draw(canvas, [face or Face(1, None, POINTS, PARTS)], set(names))
    return canvas


def test_lines_join_the_landmarks_of_a_part_and_close_eyes_and_lips():
    canvas = drawn("lines")
    for indices, closed in POLYLINES:
        along = [*indices, indices[0]] if closed else list(indices)
        for a, b in pairwise(along):
            x, y = np.round((POINTS[a] + POINTS[b]) / 2).astype(int)
            assert canvas[y - 1 : y + 2, x - 1 : x + 2].max() > 120
    canvas = np.zeros((600, 600, 3), np.uint8)
    styles.draw(canvas, [Face(1, None, GRID)], {"lines"})
    x, y = np.round(0.75 * GRID[0] + 0.25 * GRID[16]).astype(int)  # were the chin closed, a line would go here
    assert not canvas[y - 3 : y + 4, x - 3 : x + 4].any()


def test_dots_are_on_the_landmarks():
    canvas = drawn("dots")
    lit = (canvas > 60).all(2)
    for x, y in np.round(POINTS).astype(int):
        assert lit[y - 1 : y + 2, x - 1 : x + 2].any()
    far = np.linalg.norm(np.argwhere(lit)[:, None, ::-1] - POINTS, axis=2).min(1)
    assert far.max() < 4


def test_boxes_are_cfpds_or_those_of_the_landmarks():
    """Each outline in its colour; inside there is nothing."""
    canvas = drawn("boxes", face=Face(1, None, None, PARTS))
    for (x0, y0, x1, _), colour in zip(PARTS.astype(int), styles.PARTS, strict=True):
        np.testing.assert_allclose(canvas[y0, (x0 + x1) // 2], colour, atol=1)
    assert not canvas[70, 70].any() and not canvas[150, 100].any()
    by_points = drawn("boxes", face=Face(1, None, POINTS))
    x, y = POINTS[48:68].min(0).round().astype(int)
    assert by_points[y : y + 9, x].any() and not drawn("dots", face=Face(1, None, None, PARTS)).any()


def test_indices_are_beside_the_landmarks():
    """A face whose landmarks are far from one another: as many marks as landmarks, each to the right above its own."""
    canvas = np.zeros((600, 600, 3), np.uint8)
    styles.draw(canvas, [Face(1, None, GRID)], {"indices"})
    for px, py in GRID.astype(int):
        assert canvas[py - 25 : py + 3, px : px + 45].max() > 200 and not canvas[py + 5 : py + 25, px - 15 : px + 15].any()


def test_styles_that_suit_the_models():
    assert styles.chosen(None, {"corefan"}) == {"lines", "dots"}
    assert styles.chosen(None, {"cfpd"}) == {"boxes"}
    assert styles.chosen(None, {"cfpd", "corefan"}) == {"lines", "dots", "boxes"}
    assert styles.chosen("dots, indices", {"corefan"}) == {"dots", "indices"}


def test_the_speed_stands_in_the_corner():
    canvas = np.full((240, 320, 3), 90, np.uint8)
    styles.corner(canvas, 29.7)
    changed = np.argwhere((canvas != 90).any(2))
    assert changed.min(0).tolist() == [0, 0] and (changed.max(0) < (30, 90)).all() and canvas.max() > 200


# ---- keys ----


@pytest.mark.parametrize("code", [ord("q"), ord("Q"), 27, 0x100000 | ord("q")])
def test_q_and_escape_quit(code):
    keys = Keys(boxes=False)
    keys.press(code)
    assert keys.quit and not keys.boxes


def test_b_shows_and_hides_the_boxes_and_other_keys_do_nothing():
    keys = Keys(boxes=False)
    for code in (-1, ord("x"), 0, 13):
        keys.press(code)
    assert keys.styles({"lines", "dots"}) == {"lines", "dots"} and not keys.quit
    keys.press(ord("b"))
    assert keys.styles({"lines", "dots"}) == {"lines", "dots", "boxes"}
    keys.press(ord("B"))
    assert keys.styles({"lines", "boxes"}) == {"lines"}
