"""`faceseed data`: check tells what is there, pack makes one file that serves as --data, show draws."""

import json
import shutil

import cv2
import numpy as np
import pytest

from models.faces.ibug import load


@pytest.fixture
def packed(faceseed, album, tmp_path):
    code, _, _ = faceseed("data", "pack", album, "album.pack")
    assert code == 0
    return tmp_path / "album.pack"


# ---- check ----


def test_a_good_album(faceseed, album):
    code, out, _ = faceseed("data", "check", album, "--json", "found.json")
    assert code == 0
    assert out.startswith(f"{album}: 14 usable faces of 12 photos\n")
    assert "\nafw                      4       337  333 missing\n" in out
    assert "\nfull                     5       689  684 missing\n" in out
    assert "cannot be used: none" in out and "the same face more than once: none" in out and out.endswith("\nnothing wrong\n")


def test_the_numbers_as_json(faceseed, album, tmp_path):
    faceseed("data", "check", album, "--json", "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["faces"], found["photos"], found["wrong"], found["unusable"], found["leaks"]) == (14, 12, False, [], [])
    assert {row["name"]: row["found"] for row in found["counts"]} == {
        **{"afw": 4, "helen/trainset": 2, "lfpw/trainset": 2, "helen/testset": 1, "lfpw/testset": 2, "ibug": 2},
        **{"300w/01_indoor": 1, "300w/02_outdoor": 0, "train": 8, "common": 3, "challenging": 2, "full": 5, "private": 1},
    }


def test_a_face_in_train_and_test_is_wrong(faceseed, album, tmp_path):
    shutil.copytree(album, tmp_path / "data")
    for suffix in (".png", ".pts"):
        shutil.copy(tmp_path / f"data/lfpw/trainset/image_0015{suffix}", tmp_path / f"data/lfpw/testset/image_0099{suffix}")
        shutil.copy(tmp_path / f"data/lfpw/testset/image_0022{suffix}", tmp_path / f"data/lfpw/testset/image_0098{suffix}")
    code, out, _ = faceseed("data", "check", "data")
    assert code == 1 and out.endswith("wrong: see the first two lists\n")
    pair = "lfpw/testset/image_0099 (common), lfpw/trainset/image_0015 (train)"
    assert f"the same pixels in training and test folders: 1\n  the same pixels, in common and train: {pair}\n" in out
    twice = "the same pixels, in common: lfpw/testset/image_0022, lfpw/testset/image_0098"
    assert f"the same face more than once: 1\n  {twice}\n" in out


def test_a_bad_file_is_wrong_and_an_odd_one_is_not(faceseed, album, tmp_path):
    shutil.copytree(album, tmp_path / "data")
    deep = cv2.imread(str(tmp_path / "data/lfpw/trainset/image_0015.png"), cv2.IMREAD_GRAYSCALE).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "data/lfpw/trainset/image_0015.png"), deep)
    code, out, _ = faceseed("data", "check", "data")
    assert code == 0 and "odd, but usable: 1\n  lfpw/trainset/image_0015: 16 bits a channel, read as 8\n" in out
    (tmp_path / "data/ibug/image_031.jpg").write_bytes(b"")
    code, out, _ = faceseed("data", "check", "data")
    assert code == 1
    assert f"cannot be used: 1\n  {tmp_path}/data/ibug/image_031.jpg: expected an image, found 0 bytes that are none\n" in out


def test_a_long_list_is_cut_and_its_length_told(faceseed, album, tmp_path):
    shutil.copytree(album, tmp_path / "data")
    for k in range(23):
        (tmp_path / f"data/afw/{k}_9.jpg").write_bytes(b"")
    code, out, _ = faceseed("data", "check", "data", "--json", "found.json")
    assert code == 1 and "cannot be used: 23\n" in out and "  and 3 more; --json FILE lists all\n" in out
    assert len(json.loads((tmp_path / "found.json").read_text())["unusable"]) == 23


def test_a_pack_is_checked_too(faceseed, packed):
    code, out, _ = faceseed("data", "check", packed)
    assert code == 0 and "14 usable faces of 12 photos" in out and "train                    8     3,148" in out
    packed.write_bytes(packed.read_bytes()[:-1])
    code, _, err = faceseed("data", "check", packed)
    assert code == 2 and "damaged or cut short" in err


def test_nothing_to_check(faceseed, tmp_path):
    (tmp_path / "text").write_text("hello")
    for path, words in {"nowhere": "no such folder", ".": "found none", "text": "no such folder, and no file that"}.items():
        code, out, err = faceseed("data", "check", path)
        assert code == 2 and not out and words in err and err.count("\n") == 1
    code, _, err = faceseed("data", "check", ".", "--json", "no/found.json")
    assert code == 2 and "no/found.json: expected a file in a folder that exists" in err


# ---- pack ----


def test_a_pack_serves_as_data(faceseed, album, packed, small, tmp_path):
    """The same training, number for number, from the folder and from the pack."""
    for data, out in ((album, "a"), (packed, "b")):
        code, _, err = faceseed("train", "cfpd", *small, "--data", data, "--out", out)
        assert code == 0, err
    records = [[json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()] for run in "ab"]
    for a, b in zip(*records, strict=True):
        assert {name: value for name, value in a.items() if "second" not in name} == {
            name: value for name, value in b.items() if "second" not in name
        }
    code, _, err = faceseed("evaluate", "b", "--data", packed)
    assert code == 0, err


def test_pack_says_what_it_did(faceseed, album, tmp_path):
    shutil.copytree(album, tmp_path / "data")
    (tmp_path / "data/ibug/image_031.jpg").write_bytes(b"")
    code, _, err = faceseed("data", "pack", "data", "album.pack")
    assert code == 2 and "image_031.jpg: expected an image" in err and not (tmp_path / "album.pack").exists()
    code, out, _ = faceseed("data", "pack", "data", "album.pack", "--skip-bad")
    assert code == 0
    assert f"skipped: {tmp_path}/data/ibug/image_031.jpg: expected an image, found 0 bytes that are none\n" in out
    assert "album.pack: 13 faces, 1 files skipped, 1 MB\n" in out and "--data album.pack" in out
    assert load(tmp_path / "album.pack").names == load(tmp_path / "data", skip_bad=True).names
    code, out, _ = faceseed("data", "check", "album.pack")
    assert code == 0 and "found 0 bytes that are none (left out when this was packed)" in out


def test_pack_overwrites_nothing(faceseed, album, tmp_path):
    (tmp_path / "precious").write_text("precious")
    for out in ("precious", ".", "no/folder/album.pack"):
        code, _, err = faceseed("data", "pack", album, out)
        assert code == 2 and f"{out}: exists already, or its folder does not" in err
    assert (tmp_path / "precious").read_text() == "precious"


# ---- show ----


@pytest.mark.parametrize("kind", ["original", "normalised", "augmented"])
def test_show_draws_a_sheet(faceseed, album, tmp_path, kind):
    code, out, _ = faceseed("data", "show", album, "--out", "a.png", "--count", 8, "--set", kind)
    assert code == 0 and out == f"a.png: 8 faces, {kind}\n"
    sheet = cv2.imread(str(tmp_path / "a.png"))
    assert sheet.shape[1] == 1584 and sheet.shape[0] > 500
    orange = np.abs(sheet.astype(int) - [0x2E, 0x9D, 0xFF]).max(-1) < 40
    assert orange[:, :264].any() and orange[:, 1320:].any() and orange[sheet.shape[0] // 2 + 30 :].any()


def test_the_seed_chooses(faceseed, album, packed, tmp_path):
    for name, path, seed in (("a", album, 0), ("b", album, 0), ("c", album, 1), ("d", packed, 0)):
        assert faceseed("data", "show", path, "--out", f"{name}.png", "--count", 3, "--seed", seed)[0] == 0
    a, b, c, d = ((tmp_path / f"{name}.png").read_bytes() for name in "abcd")
    assert a == b == d != c


def test_show_leaves_out_what_is_bad_and_takes_odd_names(faceseed, album, tmp_path):
    shutil.copytree(album / "ibug", tmp_path / "data")
    for suffix in (".jpg", ".pts"):
        shutil.copy(album / f"ibug/image_031{suffix}", tmp_path / f"data/$x_1 ^{{2}}$ _{suffix}")
    (tmp_path / "data/image_031.jpg").write_bytes(b"")
    code, out, err = faceseed("data", "show", "data")
    assert code == 0 and out == "faces.png: 2 faces, original\n"
    assert err == f"skipped: {tmp_path}/data/image_031.jpg: expected an image, found 0 bytes that are none\n"


def test_show_refuses(faceseed, album, tmp_path):
    (tmp_path / "precious.png").write_bytes(b"precious")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/1.jpg").write_bytes(b"")
    (tmp_path / "bad/1.pts").write_bytes(b"")
    for options, words in {
        (album, "--out", "precious.png"): "expected the name of a new .png",
        (album, "--out", "a.xyz"): "expected the name of a new .png",
        (album, "--out", "no/a.png"): "expected the name of a new .png",
        (album, "--count", 0): "expected 1 to 300 faces",
        (album, "--count", 301): "expected 1 to 300 faces",
        (album, "--seed", -1): "a seed of 0 or more",
        ("bad",): "none of the chosen faces could be read",
        ("nowhere",): "no such folder",
    }.items():
        code, out, err = faceseed("data", "show", *options)
        assert code == 2 and not out and words in err.splitlines()[-1], err
    assert (tmp_path / "precious.png").read_bytes() == b"precious" and not (tmp_path / "faces.png").exists()
