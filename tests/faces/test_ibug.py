"""300-W on disk: .pts files good and bad, the official folders, and clear words where something is wrong."""

import re
import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.faces.crops import crop_face
from models.faces.detect import read_boxes
from models.faces.ibug import find, load
from models.faces.landmarks import face_size
from models.faces.pts import read_pts, write_pts
from nn.errors import InputError

ROWS = [f"{k + 0.5} {2 * k + 1}" for k in range(68)]
POINTS = np.array([[k - 0.5, 2 * k] for k in range(68)])  # the same, counted from 0
BODY = "\n".join(ROWS)


@pytest.fixture
def add(tmp_path, face_at, rng):
    """add("afw/1_1.jpg"): a photo of noise and its .pts below tmp_path; what is given replaces the one or the other, None leaves it out."""

    usual = face_at(160, 120)

    def make(name, points=usual, image=True, pts=".pts"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if image:
            assert cv2.imwrite(str(path), rng.integers(0, 256, (300, 320), np.uint8))
        if points is not None:
            write_pts(path.with_suffix(pts), points)
        return path

    return make


def complaint(match, function, *arguments, **options) -> str:
    """The message of the InputError: one line that names the file."""
    with pytest.raises(InputError, match=match) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def load_alone(image):
    """The crop of one face, the image read by OpenCV here."""
    return crop_face(cv2.imread(str(image), cv2.IMREAD_GRAYSCALE), read_pts(image.with_suffix(".pts")))[0]


# ---- .pts ----


@given(arrays(np.float64, (68, 2), elements=st.floats(-1e4, 1e4)))
def test_what_is_written_is_read_to_the_thousandth_pixel(tmp_path_factory, points):
    path = tmp_path_factory.mktemp("pts") / "a face.pts"
    write_pts(path, points)
    np.testing.assert_allclose(read_pts(path), points, atol=0.000501)


def test_a_file_as_the_archives_have_it(tmp_path):
    """The file counts pixels from 1."""
    write_pts(tmp_path / "face.pts", POINTS)
    assert (tmp_path / "face.pts").read_text().startswith("version: 1\nn_points: 68\n{\n0.500 1.000\n1.500 3.000\n")
    assert (tmp_path / "face.pts").read_text().endswith("67.500 135.000\n}\n")


GOOD = {
    "official": f"version: 1\nn_points:  68\n{{\n{BODY}\n}}\n",
    "no header": BODY,
    "braces alone": f"{{\n{BODY}\n}}",
    "brace on the line of a point": f"version: 1\nn_points: 68 {{ {BODY} }}",
    "brace after the header": f"version: 1\nn_points: 68{{\n{BODY}}}",
    "Windows": f"version: 1\nn_points: 68\n{{\n{BODY}\n}}\n".replace("\n", "\r\n"),
    "old Mac": BODY.replace("\n", "\r"),
    "blank lines": "\n\n" + BODY.replace("\n", "\n\n") + "\n \n",
    "comments": "# made by hand\nversion: 1.0\n// landmarks\n{\n" + BODY.replace("\n", " # a point\n") + "\n}",
    "tabs": BODY.replace(" ", "\t "),
    "byte order mark": "\ufeff" + BODY,
    "no count of points": f"version: 1\n{{\n{BODY}\n}}",
    "powers of ten": BODY.replace("0.5 1\n", "5e-1 +1.0E0\n", 1),
}


@pytest.mark.parametrize("name", GOOD)
def test_forms_in_the_wild_are_read(tmp_path, name):
    path = tmp_path / "face.pts"
    path.write_bytes(GOOD[name].encode())
    points = read_pts(path)
    np.testing.assert_array_equal(points, POINTS)
    assert points.dtype == np.float64


BAD = {
    "67 points": ("\n".join(ROWS[:-1]), "found 67 points"),
    "69 points": (BODY + "\n1 2", "found 69 points"),
    "empty": ("", "found 0 points"),
    "header alone": ("version: 1\nn_points: 68\n{\n}\n", "found 0 points"),
    "one number": (BODY.replace(ROWS[4], "4.5"), "found '4.5' as point 5"),
    "three numbers": (BODY.replace(ROWS[67], ROWS[67] + " 1"), "found '67.5 135 1' as point 68"),
    "three columns": (BODY.replace("\n", " 0\n"), "found '0.5 1 0' as point 1"),
    "a word": (BODY.replace(ROWS[0], "left eye"), "found 'left eye' as point 1"),
    "nan": (BODY.replace(ROWS[9], "nan 19"), "found 'nan 19' as point 10"),
    "infinite": (BODY.replace(ROWS[9], "9.5 -inf"), "found '9.5 -inf' as point 10"),
    "one brace": ("{\n" + BODY, "found braces that do not pair"),
    "two faces": (f"{{\n{BODY}\n}}\n{{\n{BODY}\n}}", "found braces that do not pair"),
    "a web page": ("<html><body>404 Not Found</body></html>", "found '<html><body>404 Not Found</body></html>' as point 1"),
    "a picture": ("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0", "as point 1"),
    "commas": (BODY.replace(" ", ", "), "found '0.5, 1' as point 1, with commas"),
    "decimal commas": (BODY.replace(".", ","), "found '0,5 1' as point 1, with commas"),
    "a count of 1e9": (f"n_points: 1e9\n{{\n{BODY}\n}}", "found 68 under n_points: 1e9"),
    "a count of 1000000000": (f"version: 1\nn_points: 1000000000 {{\n{BODY}\n}}", "found 68 under n_points: 1000000000"),
    "UTF-16": (("\ufeff" + BODY).encode("utf-16-le").decode("latin-1"), "found UTF-16 text, where UTF-8 is read"),
    "UTF-16, the other way": (("\ufeff" + BODY).encode("utf-16-be").decode("latin-1"), "found UTF-16 text"),
    "a long line": ("x" * 5000, "found '" + "x" * 40 + "' as point 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused_in_one_line(tmp_path, name):
    text, found = BAD[name]
    path = tmp_path / "a face.pts"
    path.write_bytes(text.encode("latin-1"))
    message = complaint(re.escape(found), read_pts, path)
    assert message.startswith(f"{path}: expected 68 points of two numbers, found ")
    assert message.endswith("; mend or remove the file")


def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "a face.pts"
    path.write_text(BODY + "\n" * 70000)
    assert complaint("found more than 64 KiB", read_pts, path).startswith(f"{path}: expected a .pts file, ")


@pytest.mark.parametrize(
    "text",
    [
        " " * 65000 + "}",
        "version:" + " " * 65000 + "}",
        "n_points:" + " " * 65000 + "}",
        "{" + " " * 65000 + "x}",
        "version:" + "1" * 65000,
    ],
    ids=["spaces", "version", "n_points", "braces", "digits"],
)
def test_a_refusal_takes_no_longer_than_reading(tmp_path, text):
    """Nothing is tried again at every space: 2,000 of them took a minute."""
    (tmp_path / "face.pts").write_text(text)
    complaint("expected 68 points", read_pts, tmp_path / "face.pts")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert complaint("cannot be read", read_pts, tmp_path / "none.pts").startswith(str(tmp_path / "none.pts"))
    complaint("cannot be read", read_pts, tmp_path)


# ---- folders ----

OFFICIAL = {
    "afw/134212_1.jpg": ("train", "afw:134212"),
    "afw/134212_2.jpg": ("train", "afw:134212"),
    "helen/trainset/100032540_1.jpg": ("train", "helen:100032540"),
    "helen/testset/296814969_3.jpg": ("common", "helen:296814969"),
    "lfpw/trainset/image_0001.png": ("train", "lfpw/trainset:image_0001"),
    "lfpw/testset/image_0001.png": ("common", "lfpw/testset:image_0001"),
    "ibug/image_003_1.jpg": ("challenging", "ibug:image_003"),
    "ibug/image_092 _01.jpg": ("challenging", "ibug:image_092"),
    "300W/01_Indoor/indoor_001.png": ("private", "300W/01_Indoor:indoor_001"),
    "300W/02_Outdoor/outdoor_001.png": ("private", "300W/02_Outdoor:outdoor_001"),
    "holiday/beach_1.jpg": ("other", "{root}/holiday:beach_1"),
    "holiday/trainset/beach 2.JPEG": ("other", "holiday/trainset:beach 2"),
}


@pytest.mark.parametrize("above", ["", "downloads/300 W & more/"])
def test_the_official_layout(tmp_path, add, above):
    for name in OFFICIAL:
        add(above + name)
    found = {entry.image.relative_to(tmp_path / above).as_posix(): entry for entry in find(tmp_path / above)}
    assert found.keys() == OFFICIAL.keys()
    for name, (subset, photo) in OFFICIAL.items():
        entry = found[name]
        assert (entry.subset, entry.photo) == (subset, photo.replace("{root}", (tmp_path / above).name))
        assert entry.pts == entry.image.with_suffix(".pts") and entry.name == name[: name.rindex(".")] and entry.fold == ""


@pytest.mark.parametrize("folder, subset", [("afw", "train"), ("lfpw/testset", "common"), ("300W/01_Indoor", "private")])
def test_one_set_alone_is_known_by_its_folder(tmp_path, add, monkeypatch, folder, subset):
    add(f"{folder}/image_1.png")
    assert [entry.subset for entry in find(tmp_path / folder)] == [subset]
    monkeypatch.chdir(tmp_path / folder)
    assert [(entry.subset, entry.name) for entry in find(".")] == [(subset, "image_1")]


def test_odd_names(tmp_path, add):
    for name in ("UPPER.JPG", "dots.and.more.png", "ümlaut ☺.png", "per%cent {x}.jpg", "-dash.jpeg"):
        add(name, pts=".PTS" if name == "UPPER.JPG" else ".pts")
    faces = load(tmp_path)
    assert sorted(faces.names) == sorted(["UPPER", "dots.and.more", "ümlaut ☺", "per%cent {x}", "-dash"])


def test_hidden_files_other_files_and_loops_are_passed_over(tmp_path, add):
    add("afw/1_1.jpg")
    (tmp_path / "afw/._1_1.jpg").write_bytes(b"\0")
    add("__MACOSX/afw/2_1.jpg")
    add(".trash/3_1.jpg")
    (tmp_path / "afw/notes.txt").write_text("hello")
    (tmp_path / "afw/again").symlink_to(tmp_path, target_is_directory=True)
    assert [entry.name for entry in find(tmp_path)] == ["afw/1_1"]


def test_links_to_folders_are_followed(tmp_path, add):
    add("disk/afw/1_1.jpg")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/afw").symlink_to(tmp_path / "disk/afw", target_is_directory=True)
    assert [(entry.name, entry.subset) for entry in find(tmp_path / "sets")] == [("afw/1_1", "train")]


def test_nothing_there_is_said(tmp_path):
    complaint("no such folder", find, tmp_path / "none")
    complaint(r"expected images \(.jpg or .png\) with .pts files, found none", find, tmp_path)
    (tmp_path / "file").write_text("x")
    complaint("no such folder", find, tmp_path / "file")


def test_two_images_of_one_name_are_refused(tmp_path, add):
    add("lfpw/trainset/image_0001.png")
    add("lfpw/trainset/image_0001.jpg")
    complaint(r"image_0001\.png: image_0001\.jpg beside it has the same name and would share its \.pts", find, tmp_path)
    faces = load(tmp_path, skip_bad=True)
    assert faces.names == ["lfpw/trainset/image_0001"] and len(faces.skipped) == 1
    np.testing.assert_array_equal(faces.images[0], load_alone(tmp_path / "lfpw/trainset/image_0001.jpg"))  # the first is kept


# ---- faces ----


def test_faces_are_cropped_by_the_rule(tmp_path, add, face_at):
    path = add("afw/7_1.png", points=np.round(face_at(150, 110, 1.1), 3))
    faces = load(tmp_path)
    gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    crop, points = crop_face(gray, np.round(face_at(150, 110, 1.1), 3))
    np.testing.assert_array_equal(faces.images, crop[None])
    np.testing.assert_allclose(faces.landmarks, points[None], atol=1e-9)
    assert (faces.names, faces.subsets, faces.photos, faces.folds) == (["afw/7_1"], ["train"], ["afw:7"], [""])
    assert faces.images.dtype == np.uint8 and faces.landmarks.dtype == np.float64 and faces.skipped == []


def test_a_crop_of_ours_comes_back_as_it_is(tmp_path, face_at, rng):
    crop, points = crop_face(rng.integers(0, 256, (400, 500), np.uint8), face_at(250, 180))
    cv2.imwrite(str(tmp_path / "crop.png"), crop)
    write_pts(tmp_path / "crop.pts", points)
    faces = load(tmp_path)
    np.testing.assert_array_equal(faces.images[0], crop)
    np.testing.assert_allclose(faces.landmarks[0], points, atol=0.001)


def test_subsets_order_and_progress(tmp_path, add):
    for name in ("ibug/image_1.jpg", "afw/2_1.jpg", "lfpw/testset/image_1.png", "afw/1_1.jpg"):
        add(name)
    calls = []
    faces = load(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert faces.names == ["afw/1_1", "afw/2_1", "ibug/image_1", "lfpw/testset/image_1"]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert load(tmp_path, subsets=["challenging", "common"]).names == faces.names[2:]
    complaint("no usable face of the subsets private", load, tmp_path, subsets=["private"])
    complaint("subset test is unknown: choose among train, common, challenging, private, other", load, tmp_path, subsets=["test"])


def test_boxes_csv_names_fold_and_photo(tmp_path, add):
    for name in ("set/afw/1_1.jpg", "set/afw/2_1.jpg", "set/afw/3_1.jpg"):
        add(name)
    lines = ["image,x0,y0,x1,y1,fold,photo", "afw/1_1,1,2,3,4,val,picnic", "afw/2_1,nan,nan,nan,nan,train,picnic", "afw/9_9,1,2,3,4,val,x"]
    (tmp_path / "set/boxes.csv").write_text("\n".join(lines))
    for folder in (tmp_path, tmp_path / "set"):
        faces = load(folder)
        assert faces.folds == ["val", "train", ""] and faces.photos == ["picnic", "picnic", "afw:3"]


def test_bad_faces_stop_the_reading_or_are_counted(tmp_path, add, face, face_at):
    good = add("afw/1_1.jpg")
    troubles = {
        "afw/a.png": (dict(points=None), r"expected a \.pts beside every image, found none for 1 of 2 images \(first: afw/a\)"),
        "afw/b.png": (dict(points=np.ones((68, 2))), r"b\.pts: expected a face, found 68 points in one place"),
        "afw/c.png": (
            dict(points=face_at(160, 900)),
            r"c\.pts: expected landmarks on the 320 x 300 image, found 0 there, x 80 to 240, y 865 to 1002",
        ),
        "afw/d.png": (dict(points=face_at(-250, 120)), r"d\.pts: expected landmarks on the 320 x 300 image"),
        "afw/e.png": (dict(points=face[:67]), r"e\.pts: expected 68 points of two numbers, found 67 points"),
    }
    for name, (options, match) in troubles.items():
        path = add(name, **options)
        assert "--skip-bad" in complaint(match, load, tmp_path)
        faces = load(tmp_path, skip_bad=True)
        line = {"afw/a.png": rf"{tmp_path}/afw/a\.png: no \.pts of that name beside it"}.get(name, rf"{tmp_path}/afw/{match}.*")
        assert faces.names == ["afw/1_1"] and len(faces.skipped) == 1 and re.fullmatch(line, faces.skipped[0])
        assert "skip-bad" not in faces.skipped[0]
        path.unlink()
        path.with_suffix(".pts").unlink(missing_ok=True)
    for content in (b"", b"no image", good.read_bytes()[:100]):
        path = add("afw/f.jpg")
        path.write_bytes(content)
        complaint(rf"f\.jpg: expected an image, found {len(content)} bytes that are none", load, tmp_path)
        assert load(tmp_path, skip_bad=True).skipped == [f"{path}: expected an image, found {len(content)} bytes that are none"]


def test_landmarks_a_little_outside_are_welcome(tmp_path, add, face_at):
    add("afw/1_1.jpg", points=face_at(10, 50))
    assert len(load(tmp_path)) == 1


def test_incomplete_folders_are_counted(tmp_path, add):
    for k in range(3):
        add(f"afw/{k}_1.jpg")
    for k in range(3, 5):
        add(f"afw/{k}_1.jpg", points=None)
    add("afw/8_1.jpg", image=False)
    complaint(r"none for 2 of 5 images \(first: afw/3_1\), and 1 \.pts without an image; add them or pass --skip-bad", load, tmp_path)
    faces = load(tmp_path, skip_bad=True)
    assert len(faces) == 3
    reasons = [*(f"{k}_1.jpg: no .pts of that name beside it" for k in (3, 4)), "8_1.pts: no .jpg or .png of that name beside it"]
    assert faces.skipped == [f"{tmp_path}/afw/{line}" for line in reasons]
    for k in range(3, 5):
        (tmp_path / f"afw/{k}_1.jpg").unlink()
    assert load(tmp_path).skipped == [f"{tmp_path}/afw/{reasons[2]}"]  # a .pts alone is no error, but it is listed


def test_nothing_usable_is_said(tmp_path, add):
    add("afw/1_1.jpg", points=np.zeros((68, 2)))
    complaint("no usable face", load, tmp_path, skip_bad=True)


# ---- boxes ----


def test_a_detectors_box_moves_with_the_face(tmp_path, add, face_at):
    """Given in pixels of the photo, it comes in pixels of the crop: scaled about the mean landmark, which goes to the centre."""
    points = np.round(face_at(150, 110, 0.9), 3)
    add("afw/1_1.png", points=points)
    add("afw/2_1.png", points=points)
    add("afw/3_1.png", points=points)
    box = np.array([70.5, 40, 220, 215.25])
    lines = ["image,x0,y0,x1,y1", "1_1," + ",".join(map(str, box)), "2_1,nan,nan,nan,nan"]
    (tmp_path / "afw/boxes.csv").write_text("\n".join(lines))
    faces = load(tmp_path)
    scale = 256 / 3 / np.ptp(points, axis=0).max()
    np.testing.assert_allclose(faces.boxes[0], 127.5 + scale * (box - np.tile(points.mean(0), 2)))
    assert np.isnan(faces.boxes[1:]).all() and faces.boxes.shape == (3, 4)


def test_a_box_of_a_finished_crop_stays(tmp_path, face_at, rng):
    crop, points = crop_face(rng.integers(0, 256, (400, 500), np.uint8), face_at(250, 180))
    cv2.imwrite(str(tmp_path / "crop.png"), crop)
    write_pts(tmp_path / "crop.pts", points)
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\ncrop,86.11,89.71,167.41,171.01\n")
    np.testing.assert_array_equal(load(tmp_path).boxes, [[86.11, 89.71, 167.41, 171.01]])


@pytest.mark.parametrize("box", ["30,2,1,40", "1,2,inf,4", "nan,2,3,4"])
def test_a_box_that_is_none_is_named(tmp_path, add, box):
    add("afw/1_1.png")
    (tmp_path / "boxes.csv").write_text(f"image,x0,y0,x1,y1\nafw/1_1,{box}\n")
    message = rf"boxes\.csv: .*found {re.escape(box)} for 'afw/1_1' where x0 < x1 and y0 < y1, or four nan, should be"
    complaint(message, load, tmp_path)
    assert re.search(message, load(tmp_path, skip_bad=True).skipped[0])


# ---- real data ----


def test_the_real_boxes(real_data, real_faces):
    rows = read_boxes(real_data / "300w" / "boxes.csv")
    np.testing.assert_array_equal(real_faces.boxes, [rows[name].box for name in real_faces.names])


def test_the_real_crops(real_faces):
    assert len(real_faces) == 1911 and real_faces.skipped == []
    assert {fold: real_faces.folds.count(fold) for fold in set(real_faces.folds)} == {"train": 1719, "val": 192}
    assert set(real_faces.subsets) == {"train"}
    sets = [name.split("/")[0] for name in real_faces.names]
    assert {name: sets.count(name) for name in set(sets)} == {"lfpw": 805, "helen": 870, "afw": 236}
    np.testing.assert_allclose(face_size(real_faces.landmarks), 256 / 3, atol=0.002)
    np.testing.assert_allclose(real_faces.landmarks.mean(1), 127.5, atol=0.001)


def test_photos_by_name_agree_with_boxes_csv(real_data, real_faces, tmp_path):
    """Without boxes.csv the layout tells the same photos apart."""
    for path in (real_data / "300w").iterdir():
        if path.is_dir():
            (tmp_path / path.name).symlink_to(path, target_is_directory=True)
    entries = find(tmp_path)
    assert [entry.photo for entry in entries] == real_faces.photos and [entry.name for entry in entries] == real_faces.names


def test_original_files_give_the_shipped_crops(real_data, real_faces):
    """Cut from the original photos, our crops are the shipped ones, landmarks to the thousandth and pictures to a quarter of a pixel."""
    originals = load(real_data / "mini300w")
    assert {name: originals.subsets.count(name) for name in set(originals.subsets)} == {"train": 12, "private": 7}
    compared = 0
    for k, name in enumerate(originals.names):
        if name in real_faces.names:
            n = real_faces.names.index(name)
            np.testing.assert_allclose(originals.landmarks[k], real_faces.landmarks[n], atol=0.001)
            shipped = real_faces.images[n].astype(float)
            difference = {}
            for shift in (-0.25, 0.0, 0.25):
                moved = cv2.warpAffine(originals.images[k], np.array([[1, 0, shift], [0, 1, shift]]), (256, 256))
                difference[shift] = np.abs(moved - shipped).mean()
            assert difference[0.0] < 2 and difference[0.0] < 0.75 * min(difference[-0.25], difference[0.25])
            compared += 1
    assert compared == 10


def test_a_mixed_folder_is_found_whole(real_data, tmp_path):
    shutil.copytree(real_data / "mini300w" / "afw", tmp_path / "afw")
    (tmp_path / "crops").symlink_to(real_data / "300w" / "afw", target_is_directory=True)
    faces = load(tmp_path)
    assert len(faces) == 4 + 236 and faces.subsets.count("other") == 236
