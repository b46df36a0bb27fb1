"""Checkpoints that are damaged in every way we could think of: each copy must be refused, or read as what was written, never as another.

    python tests/crash/damage.py --copies 1000

Each copy is then the last.npz of a run folder whose previous.npz is whole: `latest` must take that one, with a line that says why.
Exit code 1 where a copy was read wrong, or raised anything else than InputError.
"""

import argparse
import contextlib
import io
import json
import pickle
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from nn import InputError, checkpoint
from nn.training import LAST, PREVIOUS, latest


def written(folder):
    """A checkpoint as a run has it: arrays of one shape and of many, a record."""
    rng = np.random.default_rng(1)
    arrays = {f"model/conv{k}.weight": rng.normal(size=(4, 2, 3, 3)).astype(np.float32) for k in range(4)}
    arrays |= {f"optimizer/m.conv{k}": rng.normal(size=(5, k + 1)).astype(np.float32) for k in range(4)}
    arrays |= {"optimizer/steps": np.array(41), "model/norm.mean": rng.normal(size=8)}
    record = {"epoch": 3, "best": 4.25, "best_epoch": 2, "so_far": {"losses": [0.5, 0.25], "images": 32, "seconds": 1.5}, "generators": {}}
    checkpoint.save(folder / LAST, arrays, record)
    return (folder / LAST).read_bytes()


# ---- ways to damage it: (bytes, generator) -> bytes ----


def flipped(whole, rng):
    """One bit to eight."""
    damaged = bytearray(whole)
    for at in rng.integers(len(damaged), size=rng.integers(1, 9)):
        damaged[at] ^= 1 << rng.integers(8)
    return bytes(damaged)


def other_bytes(whole, rng):
    """A few bytes are others."""
    damaged = np.frombuffer(whole, np.uint8).copy()
    damaged[rng.integers(len(damaged), size=rng.integers(1, 33))] = rng.integers(256)
    return damaged.tobytes()


def cut_short(whole, rng):
    """The end is missing."""
    return whole[: rng.integers(len(whole))]


def stretch(whole, rng):
    """Where a stretch begins and ends."""
    begin = int(rng.integers(len(whole)))
    return begin, min(len(whole), begin + int(2 ** rng.uniform(0, 12)))


def zeroed(whole, rng):
    """A block that never reached the disk."""
    begin, end = stretch(whole, rng)
    return whole[:begin] + bytes(end - begin) + whole[end:]


def missing(whole, rng):
    """A stretch is gone."""
    begin, end = stretch(whole, rng)
    return whole[:begin] + whole[end:]


def doubled(whole, rng):
    """A stretch is there twice."""
    begin, end = stretch(whole, rng)
    return whole[:end] + whole[begin:]


def moved(whole, rng):
    """A stretch lies on another."""
    begin, end = stretch(whole, rng)
    to = int(rng.integers(len(whole) - (end - begin) + 1))
    return whole[:to] + whole[begin:end] + whole[to + end - begin :]


def members(whole):
    """Contents of the archive by name."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(contents, method=zipfile.ZIP_STORED):
    """An archive with right check sums."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in contents.items():
            file.writestr(name, data)
    return buffer.getvalue()


def swapped(whole, rng):
    """Two members change names."""
    contents = members(whole)
    one, other = rng.choice(list(contents), 2, replace=False)
    contents[one], contents[other] = contents[other], contents[one]
    return archive(contents)


def dropped(whole, rng):
    """A member is gone."""
    contents = members(whole)
    del contents[rng.choice(list(contents))]
    return archive(contents)


def flipped_inside(whole, rng):
    """A bit of a member, and the check sum of zip made anew."""
    contents = members(whole)
    name = rng.choice(list(contents))
    contents[name] = flipped(contents[name], rng)
    return archive(contents)


def compressed(whole, rng):
    """All as it was, but compressed."""
    return archive(members(whole), zipfile.ZIP_DEFLATED)


def reshaped(whole, rng):
    """A header that tells another shape or type, of other sizes or of the same."""
    contents = members(whole)
    name = rng.choice([name for name in contents if name.startswith("model/conv")])
    told = [(b"(4, 2, 3, 3)", b"(3, 2, 3, 4)"), (b"(4, 2, 3, 3)", b"(9, 9, 9, 9)"), (b"'<f4'", b"'<i4'"), (b"'<f4'", b"'|O8'")]
    before, after = told[rng.integers(len(told))]
    contents[name] = contents[name].replace(before, after)
    return archive(contents)


def edited(whole, rng):
    """Another record, with the check sum of zip but not our own."""
    contents = members(whole)
    record = json.loads(contents["record.json.npy"][128:].lstrip())
    change = [{"epoch": 4}, {"best": 0.0}, {"sha256": "0" * 64}, {"sha256": None}, {"so_far": {}}, {"format": 0}, {"format": -1}, {"x": 1}]
    record |= change[rng.integers(len(change))]
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(json.dumps(record).encode(), np.uint8))
    return archive(contents | {"record.json.npy": buffer.getvalue()})


def newer(whole, rng):
    """Of a version to come."""
    contents = members(whole)
    record = json.loads(contents["record.json.npy"][128:].lstrip()) | {"format": int(rng.integers(2, 99)), "version": "9.0.0"}
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(json.dumps(record).encode(), np.uint8))
    return archive(contents | {"record.json.npy": buffer.getvalue()})


def foreign(whole, rng):
    """Something else altogether."""
    buffer = io.BytesIO()
    np.savez(buffer, a=rng.normal(size=9))
    kinds = [
        buffer.getvalue(),
        archive({"readme.txt": b"hello"}),
        pickle.dumps({"a": 1}),
        b"\x89PNG\r\n\x1a\n" + rng.bytes(900),
        rng.bytes(len(whole)),
        b"PK\3\4" + rng.bytes(len(whole)),
        b"",
    ]
    return kinds[rng.integers(len(kinds))]


WAYS = [flipped, other_bytes, cut_short, zeroed, missing, doubled, moved]
WAYS += [swapped, dropped, flipped_inside, compressed, reshaped, edited, newer, foreign]


# ---- the judge ----


def judge(damaged, folder, right):
    """ "refused", "unharmed" (it reads as what was written: a time stamp was hit, say), or what is wrong. Writes `damaged` as last.npz."""
    (folder / LAST).write_bytes(damaged)
    try:
        found = checkpoint.load(folder / LAST)
    except InputError as error:
        if "\n" in str(error) or not str(error).startswith(f"{folder / LAST}: "):
            return f"wrong: refused by {error!r}"
    except BaseException as error:
        return f"wrong: {type(error).__name__} escaped: {error}"
    else:
        return "unharmed" if same(found, right) else "wrong: it was read as something else"
    with contextlib.redirect_stderr(io.StringIO()) as told:
        path, *used = latest(folder)
    if path.name != PREVIOUS or not same(used, right) or PREVIOUS not in told.getvalue() or told.getvalue().count("\n") != 1:
        return f"wrong: {path.name} was used, and {told.getvalue()!r} told"
    return "refused"


def same(one, other):
    """The same arrays, bit for bit, and the same record."""
    (arrays, record), (others, told) = one, other
    alike = arrays.keys() == others.keys() and record == told
    return alike and all(
        (arrays[name].dtype, arrays[name].shape, arrays[name].tobytes()) == (array.dtype, array.shape, array.tobytes())
        for name, array in others.items()
    )


def main(arguments=None):
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    rng, wrong, counts = np.random.default_rng(chosen.seed), [], Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = written(folder)
        (folder / PREVIOUS).write_bytes(whole)
        right = checkpoint.load(folder / LAST)
        copies = 0
        while copies < chosen.copies:
            way = WAYS[copies % len(WAYS)]
            damaged = way(whole, rng)
            if damaged == whole:
                continue
            copies += 1
            answer = judge(damaged, folder, right)
            counts[answer.partition(":")[0]] += 1
            wrong += [f"copy {copies}, {way.__name__}: {answer}"] if answer.startswith("wrong") else []
    print(f"{copies} damaged copies: {', '.join(f'{count} {answer}' for answer, count in counts.most_common())}")
    print("\n".join(wrong) or "none was read as anything but what was written; beside each refused one previous.npz was used")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
