"""A folder in which everything is wrong that can be: each file is told by name, nothing crashes, and the good faces beside are read."""

import json
import os
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from models import data
from models.faces.ibug import find, load
from models.faces.opencv import read_gray
from models.faces.pts import pts_text
from nn.errors import InputError

POINT = re.compile(r"^[\d.]+ [\d.]+$", re.MULTILINE)


@pytest.fixture
def place(tmp_path, face_at, rng):
    """place("a", pts=..., image=...): a.png and a.pts as bytes, good ones unless given; None leaves the file out."""
    photo = cv2.imencode(".png", rng.integers(0, 256, (300, 320), np.uint8))[1].tobytes()

    good = pts_text(face_at(160, 120))

    def make(name, pts=good, image=photo, suffix=".png"):
        for end, content in ((suffix, image), (".pts", pts)):
            if content is not None:
                path = os.path.join(os.fsencode(tmp_path), os.fsencode(name + end))
                with open(path, "wb") as file:
                    file.write(content.encode() if isinstance(content, str) else content)
        return tmp_path / (name + suffix)

    return make


@pytest.fixture
def spoil(place, tmp_path, face_at):
    """Fills tmp_path; gives for each bad face its file and a pattern of what must be said of it."""
    good = pts_text(face_at(160, 120))
    told = {}

    def bad(name, reason, **files):
        place(name, **files)
        told[name] = reason

    def small(width, height):
        return cv2.imencode(".png", np.full((height, width), 7, np.uint8))[1].tobytes()

    bad("empty image", r"empty image\.png: expected an image, found 0 bytes that are none", image=b"")
    bad("empty pts", r"empty pts\.pts: expected 68 points of two numbers, found 0 points", pts=b"")
    bad("one pixel", r"one pixel\.pts: expected landmarks on the 1 x 1 image, found \d+ there", image=small(1, 1))
    bad("corner", r"corner\.pts: .* 1 x 1 image, found [0-9] there", image=small(1, 1), pts=pts_text(face_at(20, 0, 0.5)))
    bad("a line", r"a line\.pts: expected landmarks on the 2 x 400 image, found \d+ there", image=small(2, 400))
    bad("cut short", r"cut short\.png: expected an image, found 5000 bytes", image=place("good").read_bytes()[:5000])
    bad("commas", r"commas\.pts: .*as point 1, with commas", pts=POINT.sub(lambda row: row[0].replace(" ", ", "), good))
    bad("utf16", r"utf16\.pts: .*found UTF-16 text", pts=good.encode("utf-16"))
    bad("n_points", r"n_points\.pts: .*found 68 under n_points: 1000000000", pts=good.replace("n_points: 68", "n_points: 1000000000"))
    bad("large", r"large\.pts: .*found more than 64 KiB", pts=good + "\n" * 10**6)
    off = "expected landmarks on the 320 x 300 image, found [01] there"
    bad("far", rf"far\.pts: {off}, x 9999\d+ to 1\.0\d+e\+09, y ", pts=pts_text(face_at(0, 0, 1e3) + 1e9))
    bad("huge", rf"huge\.pts: {off}, x -8e\+09 to 8e\+09, y ", pts=pts_text(face_at(0, 0, 1e8)))
    bad("endless", r"endless\.pts: expected landmarks on", pts="1e308 1e308\n-1e308 -1e308\n" * 34)
    bad("mixed", r"mixed\.pts: expected landmarks on", pts="1e308 -1e308\n" * 17 + "\n".join(POINT.findall(good)[17:]))
    bad("one place", r"one place\.pts: expected a face, found 68 points in one place", pts="10 10\n" * 68)
    bad("nan", r"nan\.pts: .*found 'nan 3' as point 68", pts="\n".join([*POINT.findall(good)[:67], "nan 3"]))
    bad("two\nlines", r"two\\nlines\.png: expected an image", image=b"no image")
    bad("alone", r"alone\.pts: no \.jpg or \.png of that name beside it", image=None)
    bad("bitmap", r"bitmap\.pts: no \.jpg or \.png of that name beside it", suffix=".bmp")
    bad("unmarked", r"unmarked\.png: no \.pts of that name beside it", pts=None)
    bad("\udcff\udcfe", r"\\udcff\\udcfe\.png: expected an image", image=b"\x89PNG")
    for name, reason in {
        "a folder": r"a folder\.jpg: cannot be read \(Is a directory\)",
        "a loop": r"a loop\.jpg: cannot be read \(Too many levels of symbolic links\)",
        "gone": r"gone\.jpg: cannot be read \(No such file or directory\)",
        "a pipe": r"a pipe\.jpg: expected a file, found a pipe or a device",
    }.items():
        bad(name, reason, image=None)
    (tmp_path / "a folder.jpg").mkdir()
    (tmp_path / "a loop.jpg").symlink_to(tmp_path / "a loop.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "a pipe.jpg")
    if os.geteuid():  # root may read everything
        place("locked").chmod(0)
        told["locked"] = r"locked\.png: cannot be read \(Permission denied\)"
    for name, pts in {
        "good": good,
        "spaces in it": good,
        "old Mac": good.replace("\n", "\r"),
        "Windows": good.replace("\n", "\r\n"),
        "mark": "\ufeff" + good,
        "capitals": good,
        "fine\nname": good,
        "bytes \udce4": good,
    }.items():
        place(name, pts=pts)
    (tmp_path / "capitals.pts").rename(tmp_path / "capitals.PTS")
    (tmp_path / "round").symlink_to(tmp_path, target_is_directory=True)
    return told


GOOD = {"good", "spaces in it", "old Mac", "Windows", "mark", "capitals", "fine\\nname", "bytes \\udce4"}


def test_each_bad_file_is_listed_with_its_reason_and_the_good_ones_are_read(spoil, tmp_path):
    faces = load(tmp_path, skip_bad=True)
    assert set(faces.names) == GOOD
    for reason in spoil.values():
        assert sum(bool(re.search(reason, line)) for line in faces.skipped) == 1, reason
    assert len(faces.skipped) == len(spoil) + 1  # of the pipe, its .pts as well
    assert all(line.isprintable() and line.startswith(str(tmp_path)) and "--skip-bad" not in line for line in faces.skipped)
    with pytest.raises(InputError):
        load(tmp_path)


def test_check_tells_them_all_and_writes_them(spoil, tmp_path, tmp_path_factory, capsys, monkeypatch):
    monkeypatch.setattr(data, "LINES", 99)
    to = tmp_path_factory.mktemp("out") / "found.json"
    assert data.check(tmp_path, to) == 1
    out, found = capsys.readouterr().out, json.loads(to.read_text())
    assert found["faces"] == len(GOOD) and found["wrong"]
    assert len(found["unusable"]) == len(spoil) + 1
    for reason in spoil.values():
        assert len(re.findall(reason, out)) == 1 and sum(bool(re.search(reason, line)) for line in found["unusable"]) == 1
    assert f"cannot be used: {len(spoil) + 1}" in out


def test_a_folder_that_may_not_be_entered_is_told(place, tmp_path, monkeypatch):
    place("good")
    (tmp_path / "secret").mkdir()
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", guarded)
    with pytest.raises(InputError, match=r"secret: cannot be read \(Permission denied\)"):
        find(tmp_path)
    assert load(tmp_path, skip_bad=True).skipped == [f"{tmp_path}/secret: cannot be read (Permission denied)"]


def test_what_a_table_says_is_shown_in_printable_characters(place, tmp_path):
    place("good")
    (tmp_path / "boxes.csv").write_text('image,x0,y0,x1,y1,fold,photo\ngood,1,2,3,4,\x1b[2J,"two\nlines"\n')
    (entry,) = find(tmp_path)
    assert (entry.fold, entry.photo) == (r"\x1b[2J", r"two\nlines") and entry.box.tolist() == [1, 2, 3, 4]


# ---- odd images that can be used: the values that are read ----


def luminance(bgr):
    return bgr.astype(float) @ [0.114, 0.587, 0.299]


@pytest.fixture
def colours():
    """Smooth colours, uint8 (40, 60, 3)."""
    y, x = np.mgrid[:40, :60]
    return np.stack([x * 4, y * 6, 255 - 2 * x - 2 * y], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_lose_the_lower_eight(tmp_path, rng, channels):
    levels = rng.integers(0, 2**16, (40, 60, channels)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), levels)
    high = (levels >> 8).astype(np.uint8)
    read = read_gray(tmp_path / "deep.png")
    assert read.dtype == np.uint8
    np.testing.assert_allclose(read, high[..., 0] if channels == 1 else luminance(high[..., :3]), atol=0 if channels == 1 else 1.1)


def test_what_is_transparent_is_read_as_it_is_below(tmp_path, colours, rng):
    see_through = np.dstack([colours, rng.integers(0, 256, colours.shape[:2]).astype(np.uint8)])
    cv2.imwrite(str(tmp_path / "clear.png"), see_through)
    np.testing.assert_allclose(read_gray(tmp_path / "clear.png"), luminance(colours), atol=1.1)


def test_cmyk_is_read_as_colours(tmp_path, colours):
    """Pillow converts and writes; black ink is the complement."""
    Image.fromarray(colours[..., ::-1].copy()).convert("CMYK").save(tmp_path / "print.jpg", quality=98)
    np.testing.assert_allclose(read_gray(tmp_path / "print.jpg"), luminance(colours), atol=6)
