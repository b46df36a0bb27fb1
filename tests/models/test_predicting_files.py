"""What `faceseed predict` writes: lines, rows, .pts files, pictures, videos; each whole under its name, or not there."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.faces.pts import read_pts
from models.predicting.finder import Face
from models.predicting.sources import Source
from models.predicting.writers import Video, Writer

POINTS = np.random.default_rng(5).uniform(40, 200, (68, 2))
PARTS = np.array([[50, 60, 90, 80], [110, 60, 150, 82], [80, 90, 120, 130], [70, 140, 130, 160.0]])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def source(name):
    return Source(Path(f"{name}.jpg"), "photo")


def test_lines_and_rows_say_the_same(here):
    """To 1/100 px, in the record and in the table; a frame without a face has a line and no row."""
    face = Face(2, np.array([1.234, 2, 3, 4]), POINTS, PARTS)
    with Writer(here / "out", [source("a")], table=True) as writer:
        writer.line(source("a"), [face], 7)
        writer.line(source("a"), [], 8)
    first, second = map(json.loads, (here / "out" / "predictions.jsonl").read_text().splitlines())
    assert (first["image"], first["frame"], second) == ("a.jpg", 7, {"image": "a.jpg", "frame": 8, "faces": []})
    (told,) = first["faces"]
    assert told["face"] == 2 and told["box"] == [1.23, 2, 3, 4]
    np.testing.assert_allclose(told["landmarks"], POINTS, atol=0.00501)
    np.testing.assert_allclose(told["boxes"], PARTS)
    with open(here / "out" / "predictions.csv", newline="") as file:
        ((*start, x0, y0, x1, y1),) = ([*row[:3], *row[3:7]] for row in list(csv.reader(file))[1:])
    assert start == ["a.jpg", "7", "2"]
    np.testing.assert_allclose([float(x0), float(y0), float(x1), float(y1)], POINTS[:2].ravel(), atol=0.00501)


def test_each_line_is_on_the_disk_before_the_next(here):
    with Writer(here / "out", [source("a")], table=True) as writer:
        for k in range(3):
            writer.line(source("a"), [Face(1, None, POINTS)], k)
            assert (here / "out" / "predictions.jsonl").read_text().count("\n") == k + 1
            assert (here / "out" / "predictions.csv").read_text().count("\n") == k + 2


def test_a_face_is_one_pts_file_and_no_other_photos(here):
    """Two faces of a.jpg would make a_1.pts, which is a photo's own here."""
    two = [Face(1, None, POINTS), Face(2, None, POINTS + 5)]
    with Writer(here / "out", [source("a"), source("a_1")], pictures=False) as writer:
        writer.photo(source("a"), np.zeros((4, 4, 3), np.uint8), two)
        writer.photo(source("a_1"), np.zeros((4, 4, 3), np.uint8), two[:1])
    names = sorted(path.name for path in (here / "out").iterdir())
    assert names == ["a_1.pts", "a__1.pts", "a__2.pts", "predictions.jsonl"]
    np.testing.assert_allclose(read_pts(here / "out" / "a__2.pts"), POINTS + 5, atol=6e-4)


def test_a_picture_bears_its_name_once_it_is_whole(here, monkeypatch):
    with Writer(here / "out", [source("a")]) as writer:
        writer.open()

        def full(path, content):
            path.touch()
            raise OSError(28, "No space left on device", str(path))

        with monkeypatch.context() as patched:
            patched.setattr("pathlib.Path.write_bytes", full)
            with pytest.raises(OSError, match="No space"):
                writer.save("a.png", b"picture")
        assert not (here / "out" / "a.png").exists()
        writer.save("a.png", b"picture")
    assert (here / "out" / "a.png").read_bytes() == b"picture"


def read_video(path):
    capture, levels = cv2.VideoCapture(str(path)), []
    while True:
        good, frame = capture.read()
        if not good:
            return levels
        levels.append(frame.mean())


@pytest.mark.parametrize(("error", "name"), [(None, "a.mp4"), (KeyboardInterrupt, "a.mp4"), (RuntimeError, "a.unfinished.mp4")])
def test_a_video_bears_its_name_once_it_is_finished(error, name, here):
    """Also after Ctrl-C; where something broke it stays unfinished. A frame of another size gets the first one's."""
    levels = [20, 60, 100, 140]
    try:
        with Video(here, "a", 25) as video:
            for level in levels:
                video.write(np.full((48, 64, 3), level, np.uint8))
                assert [path.name for path in here.iterdir()] == ["a.unfinished.mp4"]
            video.write(np.full((96, 128, 3), 180, np.uint8))
            if error:
                raise error
    except (KeyboardInterrupt, RuntimeError):
        pass
    assert [path.name for path in here.iterdir()] == [name]
    np.testing.assert_allclose(read_video(here / name), [*levels, 180], atol=6)


def test_without_mpeg4_it_is_an_avi(here, monkeypatch):
    monkeypatch.setattr("models.predicting.writers.CODECS", ((".mp4", "none"), (".avi", "MJPG")))
    with Video(here, "a", 25) as video:
        video.write(np.full((48, 64, 3), 80, np.uint8))
    assert [path.name for path in here.iterdir()] == ["a.avi"]


def test_a_video_without_a_frame_leaves_nothing(here):
    with Video(here, "a", 25):
        pass
    assert not list(here.iterdir())
