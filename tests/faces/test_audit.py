"""What the audit finds is what was planted, and on good faces it stays silent."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.faces import audit
from models.faces.audit import Count, Sight, counts, difference_hash, odd_file, odd_points, outliers, photos_in_two_subsets, sights, twins
from models.faces.crops import Faces, crop_face
from models.faces.head import Camera, Head, landmarks, random_face
from models.faces.ibug import find
from models.faces.landmarks import MIRROR, face_size
from models.faces.pts import write_pts
from models.faces.synthetic import draw_face


@pytest.fixture(scope="module")
def shapes():
    """Landmarks of 150 drawn heads, (150, 68, 2), without their pictures: turned, scaled and moved at will."""
    rng = np.random.default_rng(3)
    faces = []
    for _ in range(150):
        head = Head(random_face(rng), rng)
        camera = Camera(rng.normal(0, 0.15), rng.normal(0, 0.1), rng.normal(0, 0.3), rng.uniform(800, 4000))
        points = landmarks(head, camera)
        camera.aim(points, 256, 3.0)
        faces.append(camera.project(points) * rng.uniform(0.2, 3) + rng.uniform(-500, 500, 2))
    return np.stack(faces)


def set_of(images, **columns) -> Faces:
    n = len(images)
    given = {"names": [f"f{k}" for k in range(n)], "subsets": ["train"] * n, "photos": [f"p{k}" for k in range(n)], "folds": [""] * n}
    return Faces(np.stack(images), np.zeros((n, 68, 2)), **(given | columns))


# ---- landmarks ----


def test_good_shapes_pass(shapes):
    assert outliers(shapes) == []
    assert outliers(shapes[:19]) == [] and outliers(shapes[:0]) == []


@pytest.mark.parametrize("landmark", [0, 8, 19, 30, 39, 57, 66])
def test_a_misplaced_landmark_is_named(shapes, landmark):
    """Moved by a sixth of the face; where the others put it is found to a third of that."""
    moved = shapes.copy()
    size = face_size(moved[70])
    moved[70, landmark] += size / 6 * np.array([0.6, -0.8])
    found = outliers(moved)
    assert [(one.face, one.landmark) for one in found] == [(70, landmark)]
    assert found[0].percent == pytest.approx(100 / 6, rel=1 / 3) and found[0].score > audit.FAR


def test_the_worst_comes_first_and_size_place_and_turn_do_not_matter(shapes):
    moved = shapes.copy()
    for face, share in ((20, 0.15), (90, 0.45), (140, 0.25)):
        moved[face, 33] += share * face_size(moved[face])
    assert [one.face for one in outliers(moved)] == [90, 140, 20]
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    elsewhere = moved @ turn * 7 + 1000
    np.testing.assert_allclose([one.score for one in outliers(elsewhere)], [one.score for one in outliers(moved)], rtol=1e-6)


def test_few_of_the_real_faces_are_flagged_and_planted_errors_are(real_faces):
    assert {real_faces.names[one.face].split("/")[-1] for one in outliers(real_faces.landmarks)} == {
        *("2191423425_1", "4538917191_13", "4250120238_1", "3796238727_3"),  # wrong: a point on the collar, in the hair, on the cap
        *("image_0190", "image_0703"),  # lips that have crossed
    }
    moved = real_faces.landmarks.copy()
    rng = np.random.default_rng(0)
    planted = {int(face): int(rng.integers(68)) for face in rng.choice(len(moved), 60, replace=False)}
    for face, landmark in planted.items():
        angle = rng.uniform(0, 2 * np.pi)
        moved[face, landmark] += 0.15 * 256 / 3 * np.array([np.cos(angle), np.sin(angle)])
    found = {(one.face, one.landmark) for one in outliers(moved)}
    assert len(found & set(planted.items())) >= 0.9 * len(planted)


def test_the_way_up_is_seen(face):
    def turned(degrees):
        angle = np.radians(degrees)
        return face @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    mirrored = face * np.array([-1, 1])
    for degrees in (0, 60, -85, 89):
        assert odd_points(turned(degrees)) == []
    for degrees in (100, 180, -120):
        assert odd_points(turned(degrees)) == ["upside down"]
    assert odd_points(mirrored)[0].startswith("mirrored") and odd_points(-mirrored)[0].startswith("mirrored")
    assert odd_points(mirrored[MIRROR]) == []  # flipped along with its landmarks
    assert odd_points(face[MIRROR])[0].startswith("mirrored")
    assert odd_points(face * 0.18) == ["the face is only 29 px"] and odd_points(face * 0.19) == []


def test_no_real_face_is_on_its_head(real_faces):
    assert not any(map(odd_points, real_faces.landmarks))


# ---- pictures that are there twice ----


@pytest.fixture(scope="module")
def drawn():
    """Drawn faces: pictures (6, 256, 256) and landmarks."""
    images, points = zip(*(draw_face(np.random.default_rng([5, k])) for k in range(6)), strict=True)
    return np.stack(images), np.stack(points)


def test_a_face_is_known_again(drawn):
    """Saved as JPEG, made small and large, darker, cut out anew with other landmarks; all of them one group."""
    images, points = drawn
    one = images[0]
    jpeg = cv2.imdecode(cv2.imencode(".jpg", one, (cv2.IMWRITE_JPEG_QUALITY, 40))[1], cv2.IMREAD_GRAYSCALE)
    small = cv2.resize(cv2.resize(one, (128, 128), interpolation=cv2.INTER_AREA), (256, 256))
    again, _ = crop_face(one, points[0] + np.random.default_rng(0).normal(0, 0.5, (68, 2)))
    variants = [jpeg, small, (one * 0.6).astype(np.uint8), again]
    seen = sights(set_of([*images, *variants]))
    assert [(group.faces, group.same, group.leak) for group in twins(seen)] == [([0, 6, 7, 8, 9], False, False)]


def test_the_same_pixels_in_train_and_test_are_a_leak(drawn):
    images, _ = drawn
    subsets = ["train", "other", "train", "train", "common", "private", "challenging", "private", "common"]
    seen = sights(set_of([*images, images[2], images[4], images[1]], subsets=subsets))
    leaks = {tuple(group.faces): (group.same, group.leak) for group in twins(seen)}
    assert leaks == {(2, 6): (True, True), (4, 7): (True, False), (1, 8): (True, True)}
    nearly = images[2].copy()
    nearly[0, 0] ^= 1
    seen = sights(set_of([*images, nearly], subsets=["train"] * 6 + ["common"]))
    assert [(group.same, group.leak) for group in twins(seen)] == [(False, False)]  # alike: told, not called wrong


# What pixel x of 128 adds to the mean of column k of 17.
SHARES = np.array([[max(0, min(x + 1, (k + 1) * 128 / 17) - max(x, k * 128 / 17)) * 17 / 128 for k in range(17)] for x in range(128)])


@given(st.integers(0, 2**32), st.integers(0, 255))
def test_the_hash_asks_each_cell_whether_it_is_brighter_than_its_left_neighbour(seed, level):
    """Cells of the middle half by hand: 17 columns of 128 / 17 px, 16 rows of 8 px."""
    crop = np.full((256, 256), level, np.uint8)
    cells = np.random.default_rng(seed).integers(0, 256, (16, 8)).astype(np.uint8)
    crop[64:192, 64:192] = np.kron(cells, np.ones((8, 16), np.uint8))
    means = crop[64:192, 64:192].reshape(16, 8, 128).mean(1) @ SHARES
    clear = np.abs(np.diff(means, axis=1)) > 1.01  # the rest is decided by rounding
    expected = (np.diff(means, axis=1) > 0)[clear]
    assert clear.any() and np.array_equal(difference_hash(crop).reshape(16, 16)[clear], expected)


def test_groups_grow_from_neighbour_to_neighbour():
    """Hashes 30 bits apart in a row, 60 from end to end, and one far away."""
    bits = np.zeros((4, 256), bool)
    bits[1, :30] = bits[2, :60] = bits[3, 100:] = True
    seen = [Sight(f"f{k}", "train", "", "", np.zeros((68, 2)), k, row, ()) for k, row in enumerate(bits[[2, 3, 0, 1]])]
    assert [group.faces for group in twins(seen)] == [[0, 2, 3]]
    bits[1, :37] = True
    seen = [Sight(f"f{k}", "train", "", "", np.zeros((68, 2)), k, row, ()) for k, row in enumerate(bits[:2])]
    assert twins(seen) == [] and twins([]) == []


def test_real_faces_that_are_there_twice(real_faces):
    """300-W has them; looked at one by one, no group was false."""
    groups = twins(sights(real_faces))
    named = [{real_faces.names[face] for face in group.faces} for group in groups]
    assert len(groups) == 48 and len(groups[0].faces) == 12
    assert {"helen/trainset/2205474871_2", "helen/trainset/2205474871_3"} in named  # one face, marked twice
    assert not any(group.same or group.leak for group in groups)


def test_a_photo_in_two_subsets_is_known_by_its_name():
    photos = ["afw:12", "helen:12", "helen:7", "helen:7", "lfpw/trainset:image_1", "lfpw/testset:image_1", "ibug:image_3"]
    subsets = ["train", "common", "train", "train", "train", "common", "challenging"]
    seen = [
        Sight("", subset, "", photo, np.zeros((68, 2)), 0, np.zeros(256, bool), ()) for photo, subset in zip(photos, subsets, strict=True)
    ]
    assert photos_in_two_subsets(seen) == {"Flickr 12": ["common", "train"]}


# ---- files ----


def test_what_a_file_says_of_itself(tmp_path, rng):
    gray = rng.integers(0, 256, (30, 40)).astype(np.uint8)
    colour = np.dstack([gray] * 3)
    pictures = {
        "gray.png": (Image.fromarray(gray), []),
        "colour.png": (Image.fromarray(colour), []),
        "palette.png": (Image.fromarray(colour).convert("P"), []),
        "deep.png": (Image.fromarray(gray.astype(np.uint16) * 256), ["16 bits a channel, read as 8"]),
        "clear.png": (Image.fromarray(np.dstack([colour, gray])), ["transparency, left out"]),
        "clear gray.png": (Image.fromarray(np.dstack([colour, gray])).convert("LA"), ["transparency, left out"]),
        "gray.jpg": (Image.fromarray(gray), []),
        "colour.jpg": (Image.fromarray(colour), []),
        "print.jpg": (Image.fromarray(colour).convert("CMYK"), ["CMYK, read through RGB"]),
    }
    for name, (picture, odd) in pictures.items():
        picture.save(tmp_path / name)
        assert odd_file(tmp_path / name) == odd, name
    for progressive in (False, True):
        exif = Image.Exif()
        exif[0x010E] = "x" * 30000  # a long block before the frame
        Image.fromarray(colour).convert("CMYK").save(tmp_path / "long.jpg", progressive=progressive, exif=exif)
        assert odd_file(tmp_path / "long.jpg") == ["CMYK, read through RGB"]
    tables = b"\xff\xd8\xff\xc4\x00\x08\4\4\4\4\4\4"  # they may stand before the frame, and their mark looks like a frame's
    (tmp_path / "tables.jpg").write_bytes(tables + b"\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03")
    assert odd_file(tmp_path / "tables.jpg") == []
    for content in (b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\xff\xff", b"\x89PNG\r\n\x1a\n", b"text"):
        (tmp_path / "none").write_bytes(content)
        assert odd_file(tmp_path / "none") == []


def test_a_face_on_disk_is_looked_at(tmp_path, face_at, rng):
    cv2.imwrite(str(tmp_path / "1.png"), rng.integers(0, 2**16, (300, 320)).astype(np.uint16))
    write_pts(tmp_path / "1.pts", face_at(10, 120))
    (entry,) = find(tmp_path)
    sight = audit.look(entry)
    outside = int((face_at(10, 120)[:, 0] <= -1).sum())
    assert sight.odd == ("16 bits a channel, read as 8", f"{outside} landmarks outside the image")
    crop, points = crop_face(cv2.imread(str(tmp_path / "1.png"), cv2.IMREAD_GRAYSCALE), np.round(face_at(10, 120), 3))
    np.testing.assert_allclose(sight.landmarks, points, atol=0.001)
    np.testing.assert_array_equal(sight.bits, difference_hash(crop))


# ---- counts ----


def test_counts_are_held_against_the_official_ones(tmp_path):
    images = [tmp_path / f"d/AFW/{k}.jpg" for k in range(337)] + [tmp_path / f"ibug/{k}.jpg" for k in range(136)] + [tmp_path / "x/1.jpg"]
    rows = {row.name: row for row in counts(["train"] * 337 + ["challenging"] * 136 + ["other"], images)}
    assert rows["afw"].verdict() == "ok" and rows["ibug"].verdict() == "1 more than official" and rows["other"].verdict() == ""
    assert rows["train"] == Count("train", 337, 3148) and rows["train"].verdict() == "2,811 missing"
    assert rows["helen/trainset"].verdict() == "absent" and rows["full"].found == 136
    assert [row.name for row in counts(["train"])] == ["train", "common", "challenging", "full", "private"]
    parts = {"train": ("afw", "helen/trainset", "lfpw/trainset"), "common": ("helen/testset", "lfpw/testset"), "challenging": ("ibug",)}
    for total, folders in parts.items():
        assert rows[total].official == sum(rows[folder].official for folder in folders)
    assert rows["full"].official == 689 and rows["private"].official == rows["300w/01_indoor"].official + rows["300w/02_outdoor"].official
