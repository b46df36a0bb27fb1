"""Checkpoints: what is saved comes back, what is damaged is refused in one line, a crash while writing leaves the old file."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import InputError, checkpoint

ARRAYS = {
    "model/conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "model/norm.mean": np.array([np.nan, -0.0, np.inf, 1e-45], np.float32),
    "optimizer/steps": np.array(7),
    "optimizer/m.fc": np.arange(6.0)[::-1],
    "empty": np.zeros((0, 3), np.float32),
}
RECORD = {"epoch": 3, "best": float("inf"), "generators": {"drop": {"state": 2**120}}, "ü": "ß"}


def refuse(path, match):
    """Loading must end in one line that names the file."""
    with pytest.raises(InputError, match=match) as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{path}: ")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "last.npz"
    checkpoint.save(path, ARRAYS, RECORD)
    return path


def test_round_trip(saved):
    arrays, record = checkpoint.load(saved)
    assert record == RECORD
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()  # the same bits, NaN and -0 too
    assert [path.name for path in saved.parent.iterdir()] == ["last.npz"]


def test_the_record_alone(saved):
    assert checkpoint.load(saved, arrays=False) == ({}, RECORD)
    saved.write_bytes(saved.read_bytes()[:-30])
    with pytest.raises(InputError, match="not a whole checkpoint"):
        checkpoint.load(saved, arrays=False)


def test_no_arrays(tmp_path):
    checkpoint.save(tmp_path / "a.npz", {}, {})
    assert checkpoint.load(tmp_path / "a.npz") == ({}, {})


def test_the_new_file_takes_the_place_of_the_old(saved):
    checkpoint.save(saved, {"x": np.ones(1)}, {"epoch": 4})
    arrays, record = checkpoint.load(saved)
    assert list(arrays) == ["x"] and record == {"epoch": 4}


def test_a_missing_file(tmp_path):
    refuse(tmp_path / "best.npz", "no such checkpoint; give the folder of a run that `faceseed train` made")


def test_a_folder_of_that_name(tmp_path):
    (tmp_path / "best.npz").mkdir()
    refuse(tmp_path / "best.npz", "not a whole checkpoint")


def test_cut_short_anywhere(saved):
    whole = saved.read_bytes()
    for length in [0, 1, 3, *range(4, len(whole), 61), len(whole) - 22, len(whole) - 1]:
        saved.write_bytes(whole[:length])
        refuse(saved, "not a whole checkpoint .*; train anew, or bring a whole copy of it")


@given(data=st.data())
def test_a_flipped_bit_is_seen_or_does_no_harm(tmp_path_factory, data):
    """Every array has a check sum. A bit outside of them (a time stamp, say) may flip unseen, but then all that is read is right."""
    path = tmp_path_factory.mktemp("flipped") / "last.npz"
    checkpoint.save(path, ARRAYS, RECORD)
    damaged = bytearray(path.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    try:
        arrays, record = checkpoint.load(path)
    except InputError as error:
        assert "\n" not in str(error) and str(error).startswith(f"{path}: ")
        return
    known = {array.tobytes() for array in ARRAYS.values()}
    assert record == RECORD
    assert all(array.tobytes() in known for array in arrays.values())


def test_flipped_numbers_are_seen(saved):
    whole = saved.read_bytes()
    at = whole.index(ARRAYS["model/conv1.weight"].tobytes())
    for offset in (0, 37, 95):
        saved.write_bytes(whole[: at + offset] + bytes([whole[at + offset] ^ 1]) + whole[at + offset + 1 :])
        refuse(saved, "Bad CRC-32")


@pytest.mark.parametrize(("offset", "bit"), [(6, 0x40), (8, 1), (8, 0x20), (8, 0x40), (10, 1), (10, 8)])
def test_a_flipped_bit_in_the_table_of_contents(offset, bit, saved):
    """Version needed, encrypted, patched, strong encryption, method of compression: Python's zipfile has an error of its own for each."""
    damaged = bytearray(saved.read_bytes())
    at = damaged.index(b"PK\1\2") + offset
    damaged[at : at + 2] = (int.from_bytes(damaged[at : at + 2], "little") ^ bit).to_bytes(2, "little")
    saved.write_bytes(damaged)
    refuse(saved, "not a whole checkpoint")


def npz(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, contents in members.items():
            file.writestr(name.replace("_", "."), contents)
    return buffer.getvalue()


def array_file(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


FOREIGN = {
    "text": b"hello\n" * 100,
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "one array": array_file(np.ones(3)),
    "zip without arrays": npz(readme_txt=b"nothing"),
    "zip of text named as an array": npz(record_json_npy=b"{}"),
    "archive without a record": npz(x_npy=array_file(np.ones(3))),
    "record that is no JSON": npz(record_json_npy=array_file(np.frombuffer(b"{epoch", np.uint8))),
    "record that is no text": npz(record_json_npy=array_file(np.array([200, 201], np.uint8))),
    "pickle": pickle.dumps({"model/conv1.weight": ARRAYS}),
    "empty": b"",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_refused(kind, tmp_path):
    path = tmp_path / "best.npz"
    path.write_bytes(FOREIGN[kind])
    refuse(path, "not a whole checkpoint")


class Trap:
    """Unpickled, it would leave a mark."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("wrapped", [True, False])
def test_pickles_are_never_run(wrapped, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "best.npz"
    if wrapped:  # as an object array, which NumPy would unpickle if allowed
        path.write_bytes(npz(model_npy=array_file(np.array([Trap(mark)], object)), record_json_npy=array_file(np.zeros(2, np.uint8))))
    else:
        path.write_bytes(pickle.dumps(Trap(mark)))
    refuse(path, "not a whole checkpoint")
    assert not mark.exists()


class FullDisk(OSError):
    pass


@pytest.mark.parametrize("moment", ["writing", "reaching the disk", "renaming"])
def test_a_crash_while_writing_leaves_the_old_file(moment, saved, monkeypatch):
    before = saved.read_bytes()

    def fail(*_, **__):
        raise FullDisk

    def half(file, **arrays):
        file.write(before[: len(before) // 2])
        fail()

    with monkeypatch.context() as patch:
        patch.setattr(
            *{"writing": (np, "savez", half), "reaching the disk": (os, "fsync", fail), "renaming": (os, "replace", fail)}[moment]
        )
        with pytest.raises(FullDisk):
            checkpoint.save(saved, {"x": np.ones(1)}, {})
    assert saved.read_bytes() == before
    checkpoint.save(saved, {"x": np.ones(1)}, {"epoch": 9})  # what is left over stands in nobody's way
    assert checkpoint.load(saved)[1] == {"epoch": 9}
    assert [path.name for path in saved.parent.iterdir()] == ["last.npz"]


def test_a_record_that_is_no_json_leaves_the_old_file(saved):
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.save(saved, ARRAYS, {"settings": object()})
    assert saved.read_bytes() == before


def test_parts_share_a_file_without_mixing():
    model, optimizer = {"fc.weight": np.ones(2), "weight": np.zeros(1)}, {"m.fc.weight": np.ones(2), "steps": np.array(3)}
    shared = checkpoint.prefixed("model", model) | checkpoint.prefixed("optimizer", optimizer)
    assert list(shared) == ["model/fc.weight", "model/weight", "optimizer/m.fc.weight", "optimizer/steps"]
    assert checkpoint.part("model", shared) == model
    assert checkpoint.part("optimizer", shared) == optimizer
    assert checkpoint.part("mod", shared) == {}
