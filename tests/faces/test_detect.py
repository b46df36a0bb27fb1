"""From a detector's box to the network's frame."""

import numpy as np
import pytest

from models.faces import detect, geometry
from models.faces.boxes import iou
from models.faces.detect import BELOW_AND_SIZE, box_frame, haar, read_boxes
from models.faces.ibug import find
from models.faces.landmarks import face_size, tight_box
from models.faces.opencv import read_gray
from models.faces.pts import read_pts
from nn.errors import InputError


@pytest.mark.parametrize("kind", BELOW_AND_SIZE)
@pytest.mark.parametrize("size", [112, 64])
def test_the_guessed_face_fills_half_of_the_frame(kind, size):
    """Box 100 wide and 80 high around (250, 140): the side is 100."""
    below, face = BELOW_AND_SIZE[kind]
    guess = np.array([[250, 140 + 100 * below], [250 + 100 * face, 140 + 100 * below]])  # mean landmark, and one face size to its right
    middle = (size - 1) / 2
    framed = geometry.apply(box_frame(np.array([200, 100, 300, 180]), size, kind), guess)
    np.testing.assert_allclose(framed, [[middle, middle], [middle + size / 2, middle]])


def test_boxes_come_in_batches(rng):
    boxes = np.concatenate([rng.uniform(0, 100, (3, 2)), rng.uniform(100, 200, (3, 2))], axis=1)
    matrices = box_frame(boxes)
    assert matrices.shape == (3, 3, 3) and box_frame(boxes[:0]).shape == (0, 3, 3)
    np.testing.assert_allclose(matrices[1], box_frame(boxes[1]))


def test_the_tight_box_of_a_face_gives_nearly_its_own_frame(face_at):
    points = face_at(400, 300, 2)
    mine, true = box_frame(tight_box(points), kind="tight"), geometry.frame(points)
    assert mine[0, 0] == pytest.approx(true[0, 0])
    assert np.abs(geometry.apply(mine, points).mean(0) - 55.5).max() < 6  # this drawn face has no forehead and a heavy chin


@pytest.mark.parametrize("box", [[5, 5, 5, 9], [5, 9, 9, 5], [5, np.nan, 9, 9]])
def test_a_box_without_a_size_is_refused(box):
    with pytest.raises(InputError, match="expected x0 < x1 and y0 < y1"):
        box_frame(np.array([[0.0, 0, 9, 9], box]))


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind of box 'dlib' is unknown: choose one of haar, 300w, tight"):
        box_frame(np.zeros(4), kind="dlib")


def test_no_face_no_box():
    assert haar(np.zeros((60, 80), np.uint8)).shape == (0, 4)
    assert haar(np.zeros((5, 5), np.uint8)).shape == (0, 4)


def test_a_missing_cascade_is_named(monkeypatch):
    detect._cascade.cache_clear()
    monkeypatch.setattr("cv2.data.haarcascades", "/nowhere/")
    with pytest.raises(InputError, match="OpenCV came without its frontal-face cascade"):
        haar(np.zeros((60, 80), np.uint8))
    monkeypatch.undo()
    monkeypatch.delattr("cv2.CascadeClassifier")  # version 5
    with pytest.raises(InputError, match="opencv-python-headless<5"):
        haar(np.zeros((60, 80), np.uint8))


def test_boxes_csv(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text('photo,image,x0,y0,x1,y1,fold\np,afw/1_1,1,2.5,3,4,val\n"a, b",c d,nan,nan,nan,nan,train\n')
    boxes = read_boxes(path)
    np.testing.assert_array_equal(boxes["afw/1_1"].box, [1, 2.5, 3, 4])
    assert boxes["afw/1_1"][1:] == ("val", "p") and boxes["c d"].photo == "a, b" and np.isnan(boxes["c d"].box).all()


def test_boxes_without_fold_and_photo(tmp_path):
    (tmp_path / "mine.csv").write_text("image,x0,y0,x1,y1\nme,1,2,3,4\n")
    row = read_boxes(tmp_path / "mine.csv")["me"]
    np.testing.assert_array_equal(row.box, [1, 2, 3, 4])
    assert row[1:] == ("", "")


HEADER = "image,x0,y0,x1,y1,fold,photo\n"


@pytest.mark.parametrize(
    "text, found",
    [
        ("", "no column image, x0, x1, y0, y1"),
        ("image,x0,y0,x1,fold,photo\na,1,2,3,val,p\n", "no column y1"),
        (HEADER + "a,1,2,3,4,val,p\nb,1,2", "a short line 3"),
        (HEADER + "a,1,two,3,4,val,p\n", "could not convert string to float: 'two'"),
        (HEADER + "\0", "a short line|NUL"),
    ],
)
def test_another_csv_is_refused_in_one_line(tmp_path, text, found):
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"boxes\.csv: expected lines of image,x0,y0,x1,y1, found .*({found})") as caught:
        read_boxes(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_boxes(tmp_path)


# ---- real data ----


def official_boxes(real_data, faces):
    rows = read_boxes(real_data / "300w" / "boxes.csv")
    return np.array([rows[name].box for name in faces.names])


def test_the_constants_are_the_medians_of_the_training_fold(real_data, real_faces):
    train = real_faces[np.array(real_faces.folds) == "train"]
    for kind, boxes in (("300w", official_boxes(real_data, train)), ("tight", tight_box(train.landmarks))):
        side = (boxes[:, 2:] - boxes[:, :2]).max(1)
        offset = (train.landmarks.mean(1) - (boxes[:, :2] + boxes[:, 2:]) / 2) / side[:, None]
        below, size = BELOW_AND_SIZE[kind]
        assert np.median(offset[:, 1]) == pytest.approx(below, abs=0.001)
        assert np.median(face_size(train.landmarks) / side) == pytest.approx(size, abs=0.001)
        assert abs(np.median(offset[:, 0])) < 0.01


def test_official_boxes_place_the_validation_faces(real_data, real_faces):
    val = real_faces[np.array(real_faces.folds) == "val"]
    framed = geometry.apply(box_frame(official_boxes(real_data, val), kind="300w"), val.landmarks)
    assert np.abs(np.median(framed.mean(1) - 55.5, axis=0)).max() < 0.7  # px of the frame
    assert np.median(np.linalg.norm(framed.mean(1) - 55.5, axis=1)) < 4.5
    assert np.median(face_size(framed)) == pytest.approx(56, rel=0.02)


def test_the_cascade_places_faces_in_whole_photos(real_data):
    """The nearest of its boxes; faces it does not find are left out, and most are found."""
    centres, sizes, missed = [], [], 0
    for entry in [*find(real_data / "mini300w" / "lfpw"), *find(real_data / "mini300w" / "helen"), *find(real_data / "photos")]:
        points, boxes = read_pts(entry.pts), haar(read_gray(entry.image))
        assert (np.diff(boxes[:, 2] - boxes[:, 0]) <= 0).all()  # largest first
        overlap = iou(boxes, tight_box(points))
        if len(boxes) == 0 or overlap.max() < 0.3:
            missed += 1
            continue
        framed = geometry.apply(box_frame(boxes[overlap.argmax()]), points)
        centres.append(framed.mean(0) - 55.5)
        sizes.append(face_size(framed) / 56)
    assert missed <= 1 and len(sizes) >= 19
    assert np.median(np.linalg.norm(centres, axis=1)) < 3  # px of the frame
    assert np.abs(np.median(centres, axis=0)).max() < 1
    assert np.median(sizes) == pytest.approx(1, abs=0.04)  # the cascade's own steps are 10 %
