"""`faceseed predict` on videos, from options to files; with a window that is none."""

import csv
import json

import cv2
import numpy as np
import pytest

from models.faces.detect import haar
from models.predicting.tracking import Tracker
from models.weights import shipped

DRAWN = ("--run", shipped("corefan", drawn=True))  # a model that knows drawn faces


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def entries(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def clip(faces, tmp_path_factory):
    """30 frames of 320 x 260 px: a drawn face goes 2 px a frame to the right, and where it is at the first frame."""
    found = next(k for k, image in enumerate(faces.images) if len(haar(image)) == 1)
    path = tmp_path_factory.mktemp("clips") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (320, 260))
    for k in range(30):
        frame = np.full((260, 320, 3), 90, np.uint8)
        frame[2:258, 2 * k : 2 * k + 256] = faces.images[found][..., None]
        writer.write(frame)
    writer.release()
    return path, faces.landmarks[found] + (0, 2)


def frames(path):
    capture = cv2.VideoCapture(str(path))
    count, rate = 0, capture.get(cv2.CAP_PROP_FPS)
    while capture.read()[0]:
        count += 1
    return count, rate, capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)


def test_a_video(faceseed, clip, tmp_path):
    """The landmarks go with the face; picture, lines and rows of every frame are there, and the detector had little to do."""
    path, start = clip
    code, out, err = faceseed("predict", *DRAWN, path, "--no-display", "--out", "out", "--csv", "--redetect", 100)
    assert (code, err) == (0, "")
    assert "30 frames, 0 without a face; " in out and "landmarks alone" in out and "1 face in 1 picture" in out
    assert names(tmp_path / "out") == ["clip.mp4", "predictions.csv", "predictions.jsonl"]
    assert frames(tmp_path / "out" / "clip.mp4") == (30, 20, 320, 260)
    lines = entries(tmp_path / "out")
    assert [line["frame"] for line in lines] == list(range(30)) and all(line["image"] == str(path) for line in lines)
    centres = np.array([np.mean(line["faces"][0]["landmarks"], axis=0) for line in lines])
    np.testing.assert_allclose(np.diff(centres[[0, 10, 20, 29]], axis=0), [[20, 0], [20, 0], [18, 0]], atol=3)
    assert np.linalg.norm(centres[0] - start.mean(0)) < 6
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        _, *rows = csv.reader(file)
    assert [row[1] for row in rows] == [str(k) for k in range(30)]


def test_a_video_with_boxes_of_both_models_and_the_speed(faceseed, clip, tmp_path):
    common = ("predict", clip[0], "--model", "both", "--box", "80,60,180,180", "--no-display")
    assert faceseed(*common, "--out", "plain", "--style", "boxes,indices")[0] == 0
    assert faceseed(*common, "--out", "speed", "--style", "boxes,indices", "--fps")[0] == 0
    plain, speed = (cv2.VideoCapture(str(tmp_path / out / "clip.mp4")).read()[1].astype(int) for out in ("plain", "speed"))
    changed = np.abs(plain - speed).max(2) > 60
    assert not changed[60:].any() and plain[:2, :20].mean() > 70 > speed[:2, :20].mean()


def test_a_video_without_a_face(faceseed, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "wall.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (160, 120))
    for _ in range(5):
        writer.write(np.full((120, 160, 3), 128, np.uint8))
    writer.release()
    code, out, err = faceseed("predict", *DRAWN, "wall.avi", "--no-display", "--out", "out")
    assert code == 3 and "5 frames, 5 without a face" in out
    assert "left out: wall.avi: no face in any of its 5 frames" in err
    assert names(tmp_path / "out") == ["predictions.jsonl", "wall.mp4"]
    assert all(line["faces"] == [] for line in entries(tmp_path / "out"))


def test_q_ends_a_video_and_keeps_it_whole(faceseed, clip, tmp_path, monkeypatch):
    """With a window that is none; q comes at the tenth picture, and a photo after the video is not begun."""
    shown = []

    def show(picture, keys, wait=False):
        shown.append(picture.copy())
        keys.press(ord("b") if len(shown) == 4 else ord("q") if len(shown) == 10 else -1)

    monkeypatch.setattr("models.predicting.window.show", show)
    monkeypatch.setattr("models.predicting.window.can_show", lambda: True)
    (tmp_path / "later.png").write_text("no image, but nobody gets there")
    code, *_ = faceseed("predict", *DRAWN, clip[0], "later.png", "--out", "out")
    assert code == 0 and len(shown) == 10
    assert frames(tmp_path / "out" / "clip.mp4")[0] == len(entries(tmp_path / "out")) == 10
    mouth = (np.abs(shown[3].astype(int) - shown[4]).max(2) > 40).sum()
    assert mouth > 300  # the fifth has boxes, the fourth none


def test_ctrl_c_ends_a_video_and_keeps_it_whole(faceseed, clip, tmp_path, monkeypatch):
    track = Tracker.__call__

    def interrupted(self, gray):
        if self.frames == 7:
            raise KeyboardInterrupt
        return track(self, gray)

    monkeypatch.setattr(Tracker, "__call__", interrupted)
    assert faceseed("predict", *DRAWN, clip[0], "--no-display", "--out", "out")[0] == 130
    assert names(tmp_path / "out") == ["clip.mp4", "predictions.jsonl"]
    assert frames(tmp_path / "out" / "clip.mp4")[0] == len(entries(tmp_path / "out")) == 7


def test_without_a_screen_it_goes_on_without_a_window(faceseed, clip, tmp_path, monkeypatch):
    monkeypatch.setattr("models.predicting.window.can_show", lambda: False)
    code, _, err = faceseed("predict", *DRAWN, clip[0], "--out", "out", "--no-pictures")
    assert code == 0 and err == "no window can be opened here: going on without (--no-display says so beforehand)\n"
    assert names(tmp_path / "out") == ["predictions.jsonl"]
