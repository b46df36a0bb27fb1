"""How a valid file is damaged: an edit is what is done, where (a share of the length), and with which bytes."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

KINDS = ("put", "insert", "cut", "repeat", "flip", "end")
TOKENS = (  # what readers stumble over
    *(
        b"nan",
        b"-inf",
        b"1e999",
        b"1e308",
        b"-1",
        b"0",
        b"9" * 400,
        b"9" * 5000,
        b"0x" + b"f" * 4000,
        b"1_0",
        b"\xd9\xa1",
        b"null",
        b"true",
    ),
    *(
        b"\0",
        b"\n",
        b"\r",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xed\xb3\xbf",
        b"\x1b[2J",
        b"\xe2\x80\xae",
        b" " * 3000,
        b"'",
        b'"',
        b"\\",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b"[" * 3000,
        b'{"a":' * 2000,
        b"a." * 2000,
        b",",
        b":",
        b"=",
        b"#",
        b"//",
        b"../../x",
        b"/etc/passwd",
        b"~",
        b"$",
    ),
    *(
        b"version:",
        b"n_points:",
        b'"epoch":',
        b'"mean":',
        b"'descr': '|O'",
        b"'shape': (1000000000000,)",
        b"--",
        b"\xff\xda",
        b"PK\x01\x02",
    ),
    *(b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\0", b"\0\1\0\0"),
)
MOST = 2**20  # bytes that damage makes of a file


class Edit(NamedTuple):
    """One damage."""

    kind: str
    where: float  # from 0 to 1
    token: bytes


def damaged(data: bytes, edits: Sequence[Edit]) -> bytes:
    """The data after these edits, one after the other."""
    for kind, where, token in edits:
        at, much = int(where * len(data)), len(token)
        if kind == "put":
            data = data[:at] + token + data[at + much :]
        elif kind == "insert":
            data = data[:at] + token + data[at:]
        elif kind == "cut":
            data = data[:at] + data[at + much :]
        elif kind == "repeat":
            data = data[:at] + data[at : at + 8 * much] * 3 + data[at + 8 * much :]
        elif kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << much % 8]) + data[at + 1 :]
        elif kind == "end":
            data = data[:at]
    return data[:MOST]


def drawn(rng: Random) -> list[Edit]:
    """A few edits by chance, mostly small ones."""
    return [Edit(rng.choice(KINDS), rng.random(), token(rng)) for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 9)))]


def token(rng: Random) -> bytes:
    """One of the known ones, or some bytes."""
    return rng.choice(TOKENS) if rng.random() < 0.5 else rng.randbytes(rng.choice((1, 1, 2, 4, 8, 40)))
