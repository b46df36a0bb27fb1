"""Small files that ask for much: an image is refused by what its header says, before memory is taken for its pixels."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.faces import opencv
from models.faces.opencv import PIXELS, SCANS, read_gray, read_photo
from nn.errors import InputError

SIDE = 50_000
SMALL = np.zeros((64, 64, 3), np.uint8)


def chunk(name, data):
    """Of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(side, *more):
    """A PNG that says it has so many pixels a side, in a hundred bytes."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(bytes(10_000), 9)) + chunk(b"IEND", b"")


def animated(side):
    """A PNG of several frames."""
    frame = struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 10, 0, 0)
    return png(side, chunk(b"acTL", struct.pack(">II", 3, 0)), chunk(b"fcTL", frame))


def changed(suffix, *changes):
    """A small picture in which these bytes are written over: (mark, offset from it, bytes)."""
    data = bytearray(cv2.imencode(suffix, SMALL)[1])
    for mark, offset, new in changes:
        at = data.index(mark) + offset
        data[at : at + len(new)] = new
    return bytes(data)


def tiff(side):
    """Its tags 256 and 257 are width and height."""
    data = bytearray(cv2.imencode(".tif", SMALL)[1])
    directory = struct.unpack_from("<I", data, 4)[0]
    for k in range(struct.unpack_from("<H", data, directory)[0]):
        at = directory + 2 + 12 * k
        if struct.unpack_from("<H", data, at)[0] in (256, 257, 278):
            struct.pack_into("<HII", data, at + 2, 4, 1, side)
    return bytes(data)


def two(layout):
    """Width and height, packed."""
    return struct.pack(layout, SIDE, SIDE)


SIZE = two(">II")
JP2 = ((b"ihdr", 4, SIZE), (b"\xff\x51", 6, SIZE), (b"\xff\x51", 22, SIZE))
BOMBS = {
    "png": png(SIDE),
    "apng": animated(SIDE),
    "jpg": changed(".jpg", (b"\xff\xc0", 5, two(">HH"))),
    "bmp": changed(".bmp", (b"BM", 18, two("<ii"))),
    "tif": tiff(SIDE),
    "gif": changed(".gif", (b"GIF", 6, two("<HH"))),
    "webp": changed(".webp", (b"VP8L", 9, struct.pack("<I", 16382 | 16382 << 14))),
    "ppm": b"P6 %d %d 255\n" % (SIDE, SIDE) + bytes(100),
    "pam": b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" % (SIDE, SIDE) + bytes(100),
    "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (SIDE, SIDE) + bytes(100),
    "ras": changed(".ras", (b"\x59\xa6\x6a\x95", 4, SIZE)),
    "jp2": changed(".jp2", *JP2),
}
LARGE = "expected an image of at most 134 million pixels, found more; shrink it"
READS = """
import resource, sys
from pathlib import Path
from models.faces.opencv import read_gray, read_photo
from nn import InputError
read_photo(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    for read in (read_gray, read_photo):
        try:
            read(path)
        except InputError as error:
            print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_bombs_are_refused_by_their_headers(tmp_path):
    """All together, in a process of its own, as the command imports OpenCV: little more memory than a small picture takes."""
    cv2.imwrite(str(tmp_path / "small.png"), SMALL)
    for name, data in BOMBS.items():
        assert len(data) < 20_000
        (tmp_path / f"bomb.{name}").write_bytes(data)
    paths = [tmp_path / f"bomb.{name}" for name in BOMBS]
    done = subprocess.run([sys.executable, "-c", READS, tmp_path / "small.png", *paths], capture_output=True, text=True, check=True)
    *lines, megabytes = done.stdout.splitlines()
    assert lines == [f"{path}: {LARGE}" for path in paths for _ in range(2)]
    assert int(megabytes) < 50


def test_the_photos_that_cameras_take_are_read(tmp_path):
    """50 million pixels are read, as many as are allowed are looked for, and one a side more are not."""
    side = 11585
    assert side**2 <= PIXELS < (side + 1) ** 2
    (tmp_path / "50.pgm").write_bytes(b"P5 8192 6144 255\n" + bytes(8192 * 6144))
    assert read_gray(tmp_path / "50.pgm").shape == (6144, 8192)
    for asked, refusal in ((side, "bytes that are none"), (side + 1, LARGE)):
        (tmp_path / "cut short.pgm").write_bytes(b"P5 %d %d 255\n" % (asked, asked) + bytes(104))
        with pytest.raises(InputError, match=refusal):
            read_gray(tmp_path / "cut short.pgm")


def test_a_limit_that_somebody_set_stays(tmp_path):
    """An environment variable that OpenCV itself knows."""
    show = "import os; import models.faces.opencv; print(os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'])"
    for own in ({}, {"OPENCV_IO_MAX_IMAGE_PIXELS": "1000"}):
        environment = {name: value for name, value in os.environ.items() if name != "OPENCV_IO_MAX_IMAGE_PIXELS"} | own
        done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.split() == [own.get("OPENCV_IO_MAX_IMAGE_PIXELS", str(PIXELS))]


def test_a_jpeg_of_many_scans(tmp_path):
    """Eleven bytes a scan, and each goes over the whole picture."""
    whole = cv2.imencode(".jpg", SMALL, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    own = len(opencv.SCAN.findall(whole))
    assert 5 < own < 20
    last = whole[whole.rindex(b"\xff\xda") : -2]
    for more, wrong in ((SCANS - own, False), (SCANS - own + 1, True)):
        path = tmp_path / f"{more}.jpg"
        path.write_bytes(whole[:-2] + last * more + b"\xff\xd9")
        if wrong:
            with pytest.raises(InputError, match=f"{more}.jpg: expected a JPEG of at most 100 scans, found more"):
                read_gray(path)
        else:
            assert read_gray(path).shape == (64, 64)


def test_a_float_picture_is_refused_where_it_comes_in_another_shape(tmp_path):
    (tmp_path / "a.png").write_bytes(b"PF\n4 4\n-1.0\n" + bytes(192))
    with pytest.raises(InputError, match="that are none"):
        read_gray(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_gray, read_photo])
def test_pipes_and_devices(read, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(InputError, match="expected an image file, found a pipe or a device"):
            read(path)
