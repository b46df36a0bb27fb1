"""Checkpoints: what is saved comes back, what is damaged is refused in one line, a crash while writing leaves the old file."""

import hashlib
import io
import json
import os
import pickle
import zipfile
from importlib.metadata import version

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
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
}
RECORD = {"epoch": 3, "best": float("inf"), "generators": {"drop": {"state": 2**120}}, "ü": "ß", "version": version("faceseed")}


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


def test_no_arrays(tmp_path):
    checkpoint.save(tmp_path / "a.npz", {}, {})
    assert checkpoint.load(tmp_path / "a.npz") == ({}, {"version": version("faceseed")})


def test_the_new_file_takes_the_place_of_the_old(saved):
    checkpoint.save(saved, {"x": np.ones(1)}, {"epoch": 4})
    arrays, record = checkpoint.load(saved)
    assert list(arrays) == ["x"] and record["epoch"] == 4


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
    refuse(saved, "not a whole checkpoint|no checkpoint .*compressed")


def npz(method=zipfile.ZIP_STORED, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, contents in members.items():
            file.writestr(name.replace("_", "."), contents)
    return buffer.getvalue()


def array_file(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def record_file(text):
    return array_file(np.frombuffer(text, np.uint8))


GOOD = record_file(b'{"epoch": 3}')
FOREIGN = {
    "text": (b"hello\n" * 100, "it is no .npz file"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(200), "it is no .npz file"),
    "one array": (array_file(np.ones(3)), "it is no .npz file"),
    "pickle": (pickle.dumps({"model/conv1.weight": ARRAYS}), "it is no .npz file"),
    "zip without arrays": (npz(readme_txt=b"nothing"), "it holds no record"),
    "archive without a record": (npz(x_npy=array_file(np.ones(3))), "it holds no record"),
    "zip of text named as an array": (npz(record_json_npy=b"{}"), "no arrays of numbers"),
    "text beside a record": (npz(record_json_npy=GOOD, x_npy=b"x" * 300), "no arrays of numbers"),
    "array of text": (npz(record_json_npy=GOOD, x_npy=array_file(np.array(["x"]))), "no arrays of numbers"),
    "array of records": (npz(record_json_npy=GOOD, x_npy=array_file(np.zeros(2, "f4,i4"))), "no arrays of numbers"),
    "header that is a sum": (npz(record_json_npy=GOOD, x_npy=array_file(np.ones(3)).replace(b"(3,)", b"(1+2)")), "no arrays of numbers"),
    "header longer than it says": (npz(record_json_npy=GOOD, x_npy=array_file(np.ones(3)).replace(b"\0{", b"\1{")), "no arrays"),
    "shape beyond the file": (npz(record_json_npy=GOOD, x_npy=array_file(np.ones(3)).replace(b"(3,)", b"(9,)")), "longer or shorter"),
    "shape short of it": (npz(record_json_npy=GOOD, x_npy=array_file(np.ones(3)).replace(b"(3,)", b"(2,)")), "longer or shorter"),
    "record that is no JSON": (npz(record_json_npy=record_file(b"{epoch")), "its record is no JSON"),
    "record that is no text": (npz(record_json_npy=array_file(np.array([200, 201], np.uint8))), "its record is no JSON"),
    "record without end": (npz(record_json_npy=record_file(b"[" * 100_000)), "its record is no JSON"),
    "record that is a list": (npz(record_json_npy=record_file(b"[3]")), "not that of a checkpoint"),
    "format that is a word": (npz(record_json_npy=record_file(b'{"format": "new"}')), "not that of a checkpoint"),
    "compressed": (
        npz(zipfile.ZIP_DEFLATED, record_json_npy=GOOD, x_npy=array_file(np.zeros(10**6))),
        "json.npy' in it is compressed",
    ),
    "too many arrays": (npz(record_json_npy=GOOD, **{f"x{k}": b"" for k in range(10_001)}), "more than 10000"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_refused(kind, tmp_path):
    path = tmp_path / "best.npz"
    contents, reason = FOREIGN[kind]
    path.write_bytes(contents)
    refuse(path, rf"no checkpoint of faceseed \(.*{reason}.*\); give one that")


def test_an_empty_file(tmp_path):
    path = tmp_path / "best.npz"
    path.write_bytes(b"")
    refuse(path, "not a whole checkpoint")


def test_members_that_share_their_bytes_are_a_bomb(saved):
    """A table of contents in which every entry names the same bytes: it would unpack to more than the file has."""
    whole, entry = saved.read_bytes(), b""
    with zipfile.ZipFile(saved) as archive:
        count, start = len(archive.infolist()), archive.start_dir
    table = whole[start:-22]
    entry = table[: table.index(b"PK\1\2", 4)]
    copies = b"".join(entry.replace(b"conv1.weight", f"conv1.{k:06}".encode()) for k in range(200))
    end = bytearray(whole[-22:])
    end[8:10] = end[10:12] = (count + 200).to_bytes(2, "little")
    end[12:16] = len(table + copies).to_bytes(4, "little")
    saved.write_bytes(whole[:start] + table + copies + bytes(end))
    refuse(saved, "no checkpoint of faceseed .it has .* bytes and would unpack to")


def rewritten(path, change):
    """The file once more, with another record and the check sums of zip, but the same arrays."""
    with np.load(path) as file:
        contents = {name: file[name] for name in file.files}
    record = json.loads(contents[checkpoint.RECORD].tobytes())
    change(record)
    np.savez(path, **contents | {checkpoint.RECORD: np.frombuffer(json.dumps(record).encode(), np.uint8)})


def test_a_newer_format_asks_for_an_update(saved):
    rewritten(saved, lambda record: record.update(format=3, version="4.5.0"))
    refuse(saved, r"made by faceseed 4\.5\.0 with checkpoint format 3, this one reads up to 1; update faceseed")


@pytest.mark.parametrize("change", [{"epoch": 4}, {"more": 1}, {"sha256": "0" * 64}, {"version": "0.0.9"}, {"format": 0}])
def test_an_edited_record_is_noticed(change, saved):
    rewritten(saved, lambda record: record.update(change))
    refuse(saved, "damaged, its checksum")


def test_a_missing_checksum_is_noticed(saved):
    rewritten(saved, lambda record: record.pop("sha256"))
    refuse(saved, "damaged, its checksum")


def test_swapped_arrays_are_noticed(tmp_path):
    """Arrays of one shape change places; zip's own check sums go with them."""
    path = tmp_path / "last.npz"
    checkpoint.save(path, {"a": np.ones(3), "b": np.zeros(3)}, {})
    with np.load(path) as file:
        np.savez(path, a=file["b"], b=file["a"], **{checkpoint.RECORD: file[checkpoint.RECORD]})
    refuse(path, "damaged, its checksum")


def test_the_checksum_by_other_means(saved):
    """SHA-256 of the sorted record, then of every array's name, type, shape and numbers, as the docstring says."""
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files}
    record = json.loads(arrays.pop(checkpoint.RECORD).tobytes())
    told = record.pop("sha256")
    parts = [json.dumps(record, sort_keys=True).encode()]
    parts += [f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode() + arrays[name].tobytes() for name in sorted(arrays)]
    assert told == hashlib.sha256(b"".join(parts)).hexdigest()
    assert record["format"] == 1


def test_files_of_format_0_are_read(saved):
    """Earlier versions wrote neither a number nor a checksum."""
    rewritten(saved, lambda record: [record.pop(name) for name in ("format", "sha256")])
    arrays, record = checkpoint.load(saved)
    assert record == RECORD and arrays["model/conv1.weight"].tobytes() == ARRAYS["model/conv1.weight"].tobytes()


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
    refuse(path, "no checkpoint of faceseed")
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
        with pytest.raises(FullDisk) as caught:
            checkpoint.save(saved, {"x": np.ones(1)}, {})
    assert saved.read_bytes() == before and caught.value.filename == str(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["last.npz"]
    checkpoint.save(saved, {"x": np.ones(1)}, {"epoch": 9})
    assert checkpoint.load(saved)[1]["epoch"] == 9
    assert [path.name for path in saved.parent.iterdir()] == ["last.npz"]


def test_a_record_that_is_no_json_leaves_the_old_file(saved):
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.save(saved, ARRAYS, {"settings": object()})
    assert saved.read_bytes() == before


def test_bytes_and_names_are_on_the_disk_in_order(saved, monkeypatch):
    """First the file's bytes, then its new name, then the folder that holds the name."""
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("the names of open files cannot be asked for here")
    checkpoint.save(saved, {}, {})
    assert done == ["last.npz.unfinished", "replace", saved.parent.name]


def linkless(*_):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_the_one_before_is_kept(links, saved, monkeypatch):
    """Also where the file system has no links; and a name left by a crash, which may be the good file's too, is never written into."""
    if not links:
        monkeypatch.setattr(os, "link", linkless)
    previous = saved.with_name("previous.npz")
    checkpoint.save(saved, {}, {"epoch": 4}, previous)
    assert checkpoint.load(previous)[1] == RECORD
    for left in ("last.npz", "previous.npz"):
        saved.with_name(left + ".unfinished").hardlink_to(saved) if links else None
    checkpoint.save(saved, {}, {"epoch": 5}, previous)
    assert [checkpoint.load(path)[1]["epoch"] for path in (saved, previous)] == [5, 4]
    checkpoint.link(saved, previous)
    checkpoint.link(saved, previous)  # two names of one file
    assert [checkpoint.load(path)[1]["epoch"] for path in (saved, previous)] == [5, 5]
    assert sorted(path.name for path in saved.parent.iterdir()) == ["last.npz", "previous.npz"]


def test_parts_share_a_file_without_mixing():
    model, optimizer = {"fc.weight": np.ones(2), "weight": np.zeros(1)}, {"m.fc.weight": np.ones(2), "steps": np.array(3)}
    shared = checkpoint.prefixed("model", model) | checkpoint.prefixed("optimizer", optimizer)
    assert list(shared) == ["model/fc.weight", "model/weight", "optimizer/m.fc.weight", "optimizer/steps"]
    assert checkpoint.part("model", shared) == model
    assert checkpoint.part("optimizer", shared) == optimizer
    assert checkpoint.part("mod", shared) == {}
