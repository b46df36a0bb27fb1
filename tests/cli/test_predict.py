"""`faceseed predict`, from options to files: photos by their boxes and by the detector, and what cannot be answered."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest

from models.faces.detect import haar
from models.faces.pts import read_pts
from models.weights import shipped


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def scene(faces, which, x, y):
    """A gray photo of 420 x 400 px with a face whose crop begins at (x, y), and the tight box of its landmarks."""
    photo = np.full((400, 420), 90, np.uint8)
    photo[y : y + 256, x : x + 256] = faces.images[which]
    points = faces.landmarks[which] + (x, y)
    return photo, (*points.min(0), *points.max(0))


@pytest.fixture
def photos(faces, tmp_path):
    """a.png, and b.png with everything 10 px to the right and 20 px down; their boxes."""
    boxes = {}
    for name, x, y in (("a", 50, 40), ("b", 60, 60)):
        photo, boxes[name] = scene(faces, 0, x, y)
        cv2.imwrite(str(tmp_path / f"{name}.png"), photo)
    return boxes


@pytest.fixture(scope="module")
def easy(faces):
    """Drawn faces that the cascade finds, and only they: crops (256, 256)."""
    found = [k for k, image in enumerate(faces.images) if len(haar(image)) == 1]
    assert len(found) >= 2
    return found


DRAWN = ("--run", shipped("corefan", drawn=True))  # a model that knows drawn faces


def option(box):
    return ",".join(f"{number:.2f}" for number in box)


def entries(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def faces_of(folder):
    return [(entry["image"], [np.array(face["landmarks"]) for face in entry["faces"]]) for entry in entries(folder)]


# ---- photos whose faces are marked ----


def test_predict_in_a_box(faceseed, runs, photos, tmp_path):
    """The answer is in pixels of the photo: it moves with the face."""
    for name in "ab":
        code, out, err = faceseed("predict", runs.corefan, f"{name}.png", "--box", option(photos[name]), "--out", f"out{name}")
        assert (code, err) == (0, "")
        assert out == f"1 face in 1 picture; predictions.jsonl and more in out{name}\n"
        assert names(tmp_path / f"out{name}") == sorted([f"{name}.png", f"{name}.pts", "predictions.jsonl"])
    answers = {}
    for name in "ab":
        ((image, (points,)),) = faces_of(tmp_path / f"out{name}")
        assert image == f"{name}.png" and points.shape == (68, 2)
        np.testing.assert_allclose(read_pts(tmp_path / f"out{name}" / f"{name}.pts"), points, atol=0.0056)
        answers[name] = points
    np.testing.assert_allclose(answers["b"] - answers["a"], np.tile([10, 20], (68, 1)), atol=0.05)
    drawn, photo = (cv2.imread(str(path)) for path in (tmp_path / "outa" / "a.png", tmp_path / "a.png"))
    assert drawn.shape == photo.shape
    changed = np.argwhere((drawn != photo).any(2))[:, ::-1]  # x, y of what was drawn on the photo
    x, y = np.clip(answers["a"].T, 0, [[419], [399]])
    assert np.abs(changed.min(0) - (x.min(), y.min())).max() < 8 and np.abs(changed.max(0) - (x.max(), y.max())).max() < 8


@pytest.mark.parametrize("kind", ["tight", "300w", "haar"])
@pytest.mark.parametrize("box", [(100, 80, 180, 170), (60, 100, 310, 330), (-40, -30, 160, 150)])
def test_what_the_model_sees_lies_where_predict_says(box, kind, faceseed, runs, tmp_path, monkeypatch):
    """For a model that draws a circle about the centre of the light: the answer is where the light is in the photo, whatever the box."""
    circle = np.stack([np.cos(np.arange(68)), np.sin(np.arange(68))], axis=1) * 28
    circle -= circle.mean(0)

    def light(_, images):
        weight = images[..., 0] - images.min()  # (N, 112, 112)
        centre = [(weight.sum(axis) * np.arange(112)).sum(1) / weight.sum((1, 2)) for axis in (1, 2)]
        return np.stack(centre, axis=1)[:, None] + circle

    monkeypatch.setattr("models.locate.predict", light)
    y, x = np.mgrid[:400, :420]
    photo = 250 * np.exp(-((x - 131.4) ** 2 + (y - 118.8) ** 2) / (2 * 4**2))
    cv2.imwrite(str(tmp_path / "light.png"), photo.round().astype(np.uint8))
    where = f"--box={option(box)}"  # a box may begin with a minus
    assert faceseed("predict", runs.corefan, "light.png", where, "--box-kind", kind, "--out", "out")[0] == 0
    ((_, (found,)),) = faces_of(tmp_path / "out")
    np.testing.assert_allclose(found.mean(0), (131.4, 118.8), atol=0.3)


def test_predict_from_a_box_file(faceseed, runs, photos, tmp_path):
    """One box a photo, by its name with or without folders and suffix; the same answer as from --box."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    shutil.copy(tmp_path / "b.png", tmp_path / "deep" / "er" / "c.png")
    with open(tmp_path / "boxes.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "x0", "y0", "x1", "y1", "fold", "photo"])
        writer.writerow(["a", *photos["a"], "", ""])
        writer.writerow(["b.png", *photos["b"], "", ""])
        writer.writerow(["er/c", *photos["b"], "", ""])
    code, out, _ = faceseed("predict", runs.corefan, "a.png", "b.png", tmp_path / "deep" / "er" / "c.png", "--boxes", "boxes.csv")
    assert code == 0 and out.startswith("3 faces in 3 pictures")
    assert names(tmp_path / "predictions") == sorted([*(f"{k}.{s}" for k in "abc" for s in ("png", "pts")), "predictions.jsonl"])
    (_, (a,)), (_, (b,)), (_, (c,)) = faces_of(tmp_path / "predictions")
    np.testing.assert_allclose(b - a, np.tile([10, 20], (68, 1)), atol=0.05)
    np.testing.assert_array_equal(b, c)


def test_kinds_of_box_give_other_frames(faceseed, runs, photos, tmp_path):
    for kind in ("tight", "300w", "haar"):
        code, *_ = faceseed("predict", runs.cfpd, "a.png", "--box", option(photos["a"]), "--box-kind", kind, "--out", kind)
        assert code == 0
    tight, official, haars = (np.array(entries(tmp_path / kind)[0]["faces"][0]["boxes"]) for kind in ("tight", "300w", "haar"))
    assert np.abs(tight - official).max() > 0.2
    assert haars[:, 1::2].mean() > tight[:, 1::2].mean() + 5  # the cascade's box sits higher than the landmarks


def test_predict_with_cfpd(faceseed, runs, photos, tmp_path):
    code, *_ = faceseed("predict", runs.cfpd, "a.png", "b.png", "--box", option(photos["a"]), "--out", "out", "--csv")
    assert code == 0
    assert names(tmp_path / "out") == ["a.png", "b.png", "predictions.csv", "predictions.jsonl"]
    a, b = entries(tmp_path / "out")
    assert list(a) == ["image", "faces"] and list(a["faces"][0]) == ["face", "box", "boxes"]
    np.testing.assert_allclose(a["faces"][0]["box"], photos["a"], atol=0.011)
    boxes = np.array(a["faces"][0]["boxes"])
    assert boxes.shape == (4, 4) and np.isfinite(boxes).all()
    assert a["faces"] != b["faces"]


def test_colour_photos_are_drawn_on_in_colour(faceseed, runs, photos, tmp_path):
    colour = np.zeros((400, 420, 3), np.uint8)
    colour[..., 2] = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / "red.jpg"), colour)
    assert faceseed("predict", runs.corefan, "red.jpg", "--box", option(photos["a"]), "--out", "out")[0] == 0
    drawn = cv2.imread(str(tmp_path / "out" / "red.png"))
    assert drawn.shape == (400, 420, 3) and drawn[:20, :20, 2].min() > 60 and drawn[:20, :20, :2].max() < 30


def test_a_photo_with_an_orientation_is_answered_as_it_is_seen(faceseed, photos, tmp_path):
    """A camera's JPEG that lies on its side and says so (EXIF 6: turn it to the right): the answer is the upright photo's."""
    upright = cv2.imread(str(tmp_path / "a.png"))
    data = cv2.imencode(".jpg", np.rot90(upright), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    (tmp_path / "turned.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    for name in ("a.png", "turned.jpg"):
        assert faceseed("predict", *DRAWN, name, "--box", option(photos["a"]), "--out", name[0])[0] == 0
    ((_, (a,)),), ((_, (turned,)),) = faces_of(tmp_path / "a"), faces_of(tmp_path / "t")
    np.testing.assert_allclose(turned, a, atol=1.5)


# ---- the models ----


def test_the_shipped_weights_answer_where_no_run_is_named(faceseed, photos, tmp_path):
    for model, holds in (("corefan", {"landmarks"}), ("cfpd", {"boxes"}), ("both", {"landmarks", "boxes"})):
        assert faceseed("predict", "a.png", "--model", model, "--box", option(photos["a"]), "--out", model)[0] == 0
        (entry,) = entries(tmp_path / model)
        assert entry["faces"][0].keys() == {"face", "box"} | holds
    assert faceseed("predict", "a.png", "--run", shipped("corefan"), "--box", option(photos["a"]), "--out", "named")[0] == 0
    assert faceseed("predict", shipped("corefan"), "a.png", "--box", option(photos["a"]), "--out", "first")[0] == 0
    assert entries(tmp_path / "named") == entries(tmp_path / "first") == entries(tmp_path / "corefan")
    both = entries(tmp_path / "both")[0]["faces"][0]
    assert both["landmarks"] == entries(tmp_path / "corefan")[0]["faces"][0]["landmarks"]
    inside = np.array(both["boxes"])[3]  # the mouth, by COREFAN and by CFPD
    assert (np.array(both["landmarks"])[48:68].mean(0) > inside[:2]).all() and (
        np.array(both["landmarks"])[48:68].mean(0) < inside[2:]
    ).all()


# ---- the detector ----


def test_predict_by_the_haar_cascade(faceseed, faces, easy, tmp_path):
    """Two faces in a photo make two .pts files, each where its face is."""
    first, second = easy[:2]
    cv2.imwrite(str(tmp_path / "two.png"), np.hstack([faces.images[first], faces.images[second]]))
    cv2.imwrite(str(tmp_path / "one.png"), faces.images[first])
    code, out, err = faceseed("predict", *DRAWN, "one.png", "two.png", "--out", "out", "--csv")
    assert (code, err) == (0, "") and out.startswith("3 faces in 2 pictures")
    assert names(tmp_path / "out") == [
        *("one.png", "one.pts", "predictions.csv", "predictions.jsonl", "two.png", "two_1.pts", "two_2.pts"),
    ]
    (_, one), (_, two) = faces_of(tmp_path / "out")
    for k, points in enumerate(two, 1):
        np.testing.assert_allclose(read_pts(tmp_path / "out" / f"two_{k}.pts"), points, atol=0.0056)
    two = sorted(two, key=lambda points: points[0, 0])
    for points, true in ((one[0], faces.landmarks[first]), (two[0], faces.landmarks[first]), (two[1] - (256, 0), faces.landmarks[second])):
        assert np.linalg.norm(points - true, axis=1).mean() < 0.15 * np.linalg.norm(true[36] - true[45])
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head[:5] == ["image", "frame", "face", "x0", "y0"] and head[-1] == "y67"
    assert [row[:3] for row in rows] == [["one.png", "", "1"], ["two.png", "", "1"], ["two.png", "", "2"]]
    np.testing.assert_allclose(np.array(rows[0][3:], float).reshape(68, 2), one[0], atol=0.0051)


@pytest.mark.parametrize(("turns", "by"), [(1, "90° to the right"), (2, "180°"), (3, "90° to the left")])
def test_a_photo_that_is_not_upright(turns, by, faceseed, faces, easy, tmp_path):
    """The answer is the upright photo's, turned with it, and what had to be turned is said."""
    upright = np.full((300, 420), 90, np.uint8)
    upright[20:276, 100:356] = faces.images[easy[0]]
    cv2.imwrite(str(tmp_path / "upright.png"), upright)
    cv2.imwrite(str(tmp_path / "turned.png"), np.rot90(upright, turns))
    assert faceseed("predict", *DRAWN, "upright.png", "--out", "upright")[0] == 0
    code, _, err = faceseed("predict", *DRAWN, "turned.png", "--model", "corefan", "--out", "turned")
    assert code == 0 and err.count("\n") == 1 and f"turned.png: a face was found with the photo turned by {by};" in err
    ((_, (points,)),), ((_, (turned,)),) = faces_of(tmp_path / "upright"), faces_of(tmp_path / "turned")
    height, width = upright.shape
    for _ in range(turns):  # a quarter turn to the left takes (x, y) to (y, width - 1 - x)
        points = np.stack([points[:, 1], width - 1 - points[:, 0]], axis=1)
        height, width = width, height
    np.testing.assert_allclose(turned, points, atol=0.02)
    (box,) = (np.array(face["box"]) for face in entries(tmp_path / "turned")[0]["faces"])
    assert (box[:2] < box[2:]).all() and (box[:2] < turned.mean(0)).all() and (turned.mean(0) < box[2:]).all()


def test_fifty_megapixels(faceseed, faces, easy, tmp_path):
    """A face of 1,000 px in a photo of 50 megapixels: found on a smaller copy, answered in the photo's own pixels."""
    photo = np.full((5800, 8700), 90, np.uint8)
    photo[1000:4072, 3000:6072] = cv2.resize(faces.images[easy[0]], None, fx=12, fy=12, interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(str(tmp_path / "huge.jpg"), photo)
    assert faceseed("predict", *DRAWN, "huge.jpg", "--out", "out", "--no-pictures")[0] == 0
    ((_, (points,)),) = faces_of(tmp_path / "out")
    true = (faces.landmarks[easy[0]] + 0.5) * 12 - 0.5 + (3000, 1000)
    assert np.linalg.norm(points - true, axis=1).mean() < 0.15 * np.linalg.norm(true[36] - true[45])
    assert names(tmp_path / "out") == ["huge.pts", "predictions.jsonl"]


def test_a_mixed_batch_goes_on_and_names_what_it_left_out(faceseed, faces, easy, tmp_path):
    """Exit code 3, or 0 where that was expected; what is whole is written, nothing of the others."""
    (tmp_path / "album").mkdir()
    cv2.imwrite(str(tmp_path / "album" / "1 face.png"), faces.images[easy[0]])
    (tmp_path / "album" / "2 text.jpg").write_text("no image")
    cv2.imwrite(str(tmp_path / "album" / "3 wall.png"), np.full((200, 300), 128, np.uint8))
    cv2.imwrite(str(tmp_path / "album" / "4 dot.png"), np.full((20, 20), 128, np.uint8))
    (tmp_path / "album" / "notes.txt").write_text("no photo, and not asked for")
    for out, options, expected in (("a", (), 3), ("b", ("--skip-bad",), 0)):
        code, text, err = faceseed("predict", *DRAWN, "album", "--out", out, *options)
        assert code == expected and text == f"1 face in 1 picture, 3 left out; predictions.jsonl and more in {out}\n"
        lines = [line for line in err.splitlines() if line.startswith("left out: ")]
        assert len(lines) == 3 and "2 text.jpg: expected an image" in lines[0] and "found no face" in lines[1] and "20 x 20" in lines[2]
        assert names(tmp_path / out) == ["1 face.png", "1 face.pts", "predictions.jsonl"]


def test_what_is_written_of_a_photo_is_there_before_the_next_one_is_read(faceseed, runs, photos, tmp_path, monkeypatch):
    seen = []

    def read(path):
        seen.append((path.name, names(tmp_path / "out") if (tmp_path / "out").exists() else []))
        return cv2.imread(str(path))

    monkeypatch.setattr("models.predicting.photo.read_photo", read)
    assert faceseed("predict", runs.corefan, "a.png", "b.png", "--box", option(photos["a"]), "--out", "out")[0] == 0
    assert seen == [("a.png", []), ("b.png", ["a.png", "a.pts", "predictions.jsonl"])]


def test_ctrl_c_keeps_what_is_whole(faceseed, runs, photos, tmp_path, monkeypatch):
    def read(path):
        if path.name == "b.png":
            raise KeyboardInterrupt
        return cv2.imread(str(path))

    monkeypatch.setattr("models.predicting.photo.read_photo", read)
    code, _, err = faceseed("predict", runs.corefan, "a.png", "b.png", "--box", option(photos["a"]), "--out", "out")
    assert code == 130 and "what was written is whole" in err
    assert names(tmp_path / "out") == ["a.png", "a.pts", "predictions.jsonl"] and len(entries(tmp_path / "out")) == 1


def test_the_exit_codes_are_told(faceseed):
    code, out, _ = faceseed("predict", "--help")
    words = " ".join(out.split())
    assert code == 0 and all(words.count(part) for part in ("Exit codes: 0 all", "2 something must be mended", "3 finished", "130 stopped"))
