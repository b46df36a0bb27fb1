"""What once made a reader fail, hang or take all memory; each is tried at every test run."""

import io
import json

import numpy as np

from models.faces.pts import pts_text
from models.interchange.state_dict import to_torch_names
from models.tasks import model_for

from .forged import BETWEEN, POINTS, RECORD, SMALL
from .seeds import pack

DEEP = b"[" * 100_000
HEADER = b"\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }"


def told(**changes: object) -> bytes:
    """The record of a file of weights with other values."""
    return json.dumps(RECORD | changes).encode()


def columns(**changes: object) -> bytes:
    """The header of a pack with other columns."""
    record = json.loads(pack()[1][1:])
    return b"\0" + json.dumps(record | {"columns": record["columns"] | changes}).encode()


def theirs(value: float) -> bytes:
    """A state dict of the right shapes, all of one number."""
    made = io.BytesIO()
    arrays = to_torch_names(model_for(SMALL))
    np.savez(made, **{name: np.full(array.shape, value) if array.ndim else array for name, array in arrays.items()})
    return made.getvalue()


FOUND: dict[str, list[bytes]] = {
    "pts": [  # time grew with the third power of the spaces
        b" " * 60_000 + b"}",
        b"n_points:" + b" " * 60_000 + b"}",
        pts_text(POINTS).encode().replace(b"n_points:", b"n_points:" + b" " * 60_000),
    ],
    "boxes": [
        b"image,x0,y0,x1,y1" + b",a" * 60_000 + b"\n" + b"a,0,0,1,1\n" * 60_000,  # each short line was filled up
        b"image,x0,y0,x1,y1\na,-1e308,-1e308,1e308,1e308\n",  # a frame of no scale
        b"image,x0,y0,x1,y1\na,0,0,1e-300,1e-300\n",
        b"image,x0,y0,x1,y1\na,1,2,3\n",
    ],
    "image": [  # black and white was asked for, colours came
        b"PF\n4 4\n-1.0\n" + bytes(192),
    ],
    "pack": [b"\0" + DEEP, b"\0null", columns(names="ab"), columns(names=["a\n", "b"]), columns(folds=[1, 2]), columns(photos=["a", None])],
    "checkpoint": [b"\0" + BETWEEN.join([HEADER % b"1000000000000,", b""]), b"\0" + b"\x93NUMPY\1\0\xff\xff" + b"-" * 65535],
    "weights": [
        *(told(settings=value) for value in (None, [], "x", {"net": {"width": 10**9}}, {"net": {"units": 10**6}}, {"seed": 10**400})),
        *(told(mean=value) for value in (None, [[1]], [[10**400] * 4] * 4, [[float("nan")] * 4] * 4, [[1e300] * 4] * 4)),
        *(told(photos=value) for value in (None, 3, "abc", [[]], [{}])),
    ],
    "settings": [
        b"epochs = " + b"9" * 5000,
        b"seed = 0x" + b"f" * 5000,  # an int that Python does not write
        b"optim.lr = 0x" + b"f" * 5000,
        b"epochs = " + b"[" * 5000,
        b"net." + b"a." * 4000 + b"a = 1",
        b"optim.decay = 1e300",
        b"augment.angle = 1e308",
        b"views = 1000000000000",
    ],
    "config": [
        DEEP,
        b'{"seed": ' + b"9" * 5000 + b"}",
        b'{"net": {"width": 1000000000}}',
        b'{"optim": {"lr": NaN}}',
        b'{"optim": {"lr": 1e999}}',
    ],
    "trained_on": [
        DEEP,
        b'{"photos": ["a"], "mean": [[' + b"9" * 400 + b", 0]]}",
        b'{"photos": "abc", "mean": ' + b"[" * 900 + b"]" * 900 + b"}",
    ],
    "metrics": [
        DEEP,
        b"3\n",
        b"null\n",
        b'{"epoch": 1, "loss": NaN}\n',
        b'{"epoch": "1"}\n',
        b'{"loss": 1}\n',
        b"\xff\xfe\n",
        b'{"epoch": 1e999}',
        b'{"epoch": 0.5, "loss": 1, "error": 1}',
        b'{"epoch": 1, "loss": 1, "error": ' + b"1" * 30 + b"}",  # no int of NumPy's
        b'{"epoch": 1, "loss": 1}',  # no error to draw
        b'{"epoch": 1, "loss": 1, "error": 1}\n{"epoch": 2, "loss": 1, "other": 1}',
    ],
    "state_dict": [
        *(theirs(value) for value in (float("nan"), float("inf"), 1e300)),
        b"\0" + HEADER % b"1000000000000,",  # memory for what the header says
        b"\0\x93NUMPY\1\0\x10\x27" + b"-" * 10_000,  # RecursionError in ast
        b"\0\x93NUMPY\1\0\x10\x27" + b"{'descr': (" * 900,  # tokenize.TokenError
    ],
    "video": [b"", b"RIFF", b"#EXTM3U\nhttp://127.0.0.1:1/x.ts\n"],
    "command": [
        b"train\0corefan\0--set\0epochs=" + b"9" * 5000,
        b"train\0corefan\0--set\0seed=0x" + b"f" * 5000,
        b"train\0\x1b[2Jcorefan",  # argparse shows what it refuses
        b"train\0sine\0--\x1b[2J",
        b"predict\0.\0--box\0" + b"0,0,1e308,1e308",
        b"train\0corefan\0--out\0\xff\xfe",
    ],
}
