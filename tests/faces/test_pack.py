"""A pack gives back the very faces that went in, or says what is wrong with the file; and a failed writing leaves nothing behind."""

import errno
import json
import os
import zlib
from dataclasses import fields

import numpy as np
import pytest

from models.faces import pack
from models.faces.crops import Faces
from models.faces.ibug import load
from nn.errors import InputError


def assert_equal(a: Faces, b: Faces):
    for field in fields(Faces):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
        else:
            assert one == other


@pytest.fixture
def faces(rng):
    """Five faces of noise; names that need care, one box missing."""
    boxes = np.sort(rng.uniform(0, 256, (5, 2, 2)), axis=1).reshape(5, 4)
    boxes[2] = np.nan
    names = ["afw/1_1", "ümlaut ☺", 'quo"te', "two\\nlines", "bytes \\udcff"]
    subsets = ["train", "common", "challenging", "private", "train"]
    images, landmarks = rng.integers(0, 256, (5, 256, 256), np.uint8), rng.normal(128, 30, (5, 68, 2))
    return Faces(images, landmarks, names, subsets, ["p", "p", "q", "r", "s"], ["train", "", "", "", "val"], boxes, ["b.jpg: no image"])


@pytest.fixture
def packed(faces, tmp_path):
    path = tmp_path / "faces.pack"
    pack.save(faces, path)
    return path


def test_what_goes_in_comes_out(faces, packed):
    assert_equal(pack.load(packed), faces)
    assert sorted(path.name for path in packed.parent.iterdir()) == ["faces.pack"]


def test_the_layout_is_as_described(faces, packed):
    """Read by the docstring alone."""
    data = packed.read_bytes()
    assert data[:16] == b"faceseed pack 1\n"
    length, crc = np.frombuffer(data, "<u8", 2, offset=16).tolist()
    header = data[32 : 32 + length]
    assert zlib.crc32(header) == crc
    record = json.loads(header)
    start = next(k for k in range(0, len(data), 4096) if k >= 32 + length)
    for name, block in record["blocks"].items():
        at = start + block["offset"]
        assert at % 4096 == 0
        array = np.frombuffer(data, block["dtype"], np.prod(block["shape"]), at).reshape(block["shape"])
        np.testing.assert_array_equal(array, getattr(faces, name))
        assert zlib.crc32(array.tobytes()) == block["crc32"]
    assert record["columns"]["names"] == faces.names and record["skipped"] == faces.skipped


def test_images_stay_on_the_disk_and_cannot_be_changed(packed):
    images = pack.load(packed).images
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0
    base = images
    while isinstance(base, np.ndarray):
        base = base.base
    assert type(base).__name__ == "mmap"


def test_a_folder_and_its_pack_are_the_same_faces(real_data, tmp_path):
    folder = load(real_data / "mini300w", skip_bad=True)
    pack.save(folder, tmp_path / "mini")
    assert_equal(load(tmp_path / "mini"), folder)
    assert_equal(load(tmp_path / "mini", ["private"]), folder[np.array(folder.subsets) == "private"])


def test_the_real_crops_are_the_same(real_faces, tmp_path):
    pack.save(real_faces, tmp_path / "real")
    assert_equal(load(tmp_path / "real", ["train", "other"]), real_faces)


def test_subsets_are_chosen_as_in_a_folder(faces, packed):
    assert load(packed, ["train", "private"]).names == ["afw/1_1", "two\\nlines", "bytes \\udcff"]
    assert load(packed, ["train"]).skipped == faces.skipped
    with pytest.raises(InputError, match=r"faces\.pack: no usable face of the subsets other among 5"):
        load(packed, ["other"])
    with pytest.raises(InputError, match="subset test is unknown"):
        load(packed, ["test"])


@pytest.mark.parametrize("at", [0.0, 1e-4, 0.3, 0.9, 0.9999])
def test_a_flipped_bit_is_found(packed, at):
    data = bytearray(packed.read_bytes())
    length = int.from_bytes(data[16:24], "little")
    place = int(at * len(data))
    while 32 + length <= place < 4096:  # padding between header and blocks means nothing
        place += 1
    data[place] ^= 4
    packed.write_bytes(data)
    with pytest.raises(InputError, match=r"faces\.pack: (damaged or cut short|no such folder, and no file that)"):
        pack.load(packed)


def test_every_block_has_its_checksum(faces, packed):
    record = json.loads(packed.read_bytes()[32 : 32 + int.from_bytes(packed.read_bytes()[16:24], "little")])
    for name, block in record["blocks"].items():
        data = bytearray(packed.read_bytes())
        whole = bytes(data)
        data[4096 + block["offset"] + 3] ^= 1
        packed.write_bytes(data)
        with pytest.raises(InputError, match=f"the checksum of its {name}"):
            pack.load(packed)
        packed.write_bytes(whole)


@pytest.mark.parametrize("share", [0.00003, 0.0001, 0.002, 0.5, 0.99999])
def test_a_file_cut_short_is_named(packed, share):
    packed.write_bytes(packed.read_bytes()[: int(share * packed.stat().st_size)])
    with pytest.raises(InputError, match=r"faces\.pack: (damaged or cut short|no such folder, and no file that)") as caught:
        pack.load(packed)
    assert "\n" not in str(caught.value)


def test_a_file_with_more_behind_it_is_named(packed):
    packed.write_bytes(packed.read_bytes() + b"more")
    with pytest.raises(InputError, match="damaged or cut short"):
        pack.load(packed)


@pytest.mark.parametrize("content", [b"", b"no pack", b"PK\3\4" + bytes(5000), b"faceseed pack 2\n" + bytes(100)])
def test_another_kind_of_file_is_named(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match=r"file: no such folder, and no file that `faceseed data pack` made"):
        load(tmp_path / "file")


HEADERS = {
    "no object": b"[]",
    "a number": b"3",
    "no JSON": b"{",
    "nothing in it": b"{}",
    "names that are none": b'{"columns": {"names": 3}, "skipped": [], "blocks": {}}',
    "no blocks": b'{"columns": {"names": ["a"], "subsets": ["train"], "photos": ["a"], "folds": [""]}, "skipped": [], "blocks": {}}',
    "columns of two lengths": b'{"columns": {"names": ["a"], "subsets": [], "photos": [], "folds": []}, "skipped": [], "blocks": {}}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_another_make_is_named(tmp_path, name):
    """With the right checksum."""
    header = HEADERS[name]
    head = b"faceseed pack 1\n" + len(header).to_bytes(8, "little") + zlib.crc32(header).to_bytes(8, "little")
    (tmp_path / "file").write_bytes((head + header).ljust(10**6, b"\0"))
    with pytest.raises(InputError, match="damaged or cut short"):
        pack.load(tmp_path / "file")


def test_a_length_beyond_all_memory_is_named(packed):
    data = bytearray(packed.read_bytes())
    data[16:24] = b"\xff" * 8
    packed.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged or cut short \(its header\)"):
        pack.load(packed)


def test_nothing_is_overwritten(faces, packed, tmp_path):
    before = packed.read_bytes()
    (tmp_path / "link").symlink_to("nowhere")
    for path in (packed, tmp_path, tmp_path / "link"):
        with pytest.raises(InputError, match="exists already"):
            pack.save(faces, path)
    assert packed.read_bytes() == before


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_behind(faces, tmp_path, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(InputError, match=r"faces\.pack: cannot be written \(No space left on device\); make room"):
        pack.save(faces, tmp_path / "faces.pack")
    assert not list(tmp_path.iterdir())


def test_stopped_halfway_leaves_nothing_behind(faces, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        pack.save(faces, tmp_path / "faces.pack")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("landmarks", lambda faces: faces.landmarks.__setitem__((1, 2, 0), np.nan)),
        ("landmarks", lambda faces: faces.landmarks.__setitem__((1, 2, 0), 1e300)),
        ("landmarks", lambda faces: faces.landmarks.__setitem__(3, 7.0)),
        ("boxes", lambda faces: faces.boxes.__setitem__(0, [3, 3, 2, 9])),
        ("boxes", lambda faces: faces.boxes.__setitem__((0, 1), np.nan)),
    ],
)
def test_numbers_that_make_no_face(name, spoil, faces, tmp_path):
    """Checksums that fit say nothing of what they are of."""
    spoil(faces)
    pack.save(faces, tmp_path / "faces.pack")
    with pytest.raises(InputError, match=rf"damaged or cut short \(its {name}\)"):
        pack.load(tmp_path / "faces.pack")


def test_more_names_than_are_read_are_not_written(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "HEADER_BYTES", 500)
    with pytest.raises(InputError, match="too many faces, or too long names"):
        pack.save(faces, tmp_path / "faces.pack")
    assert not list(tmp_path.iterdir())
