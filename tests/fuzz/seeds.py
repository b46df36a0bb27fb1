"""Valid files for each target: a fuzzer damages these."""

import io
import json
from dataclasses import asdict

import cv2
import numpy as np

from models.faces import pack as packs
from models.faces.crops import CROP, Faces
from models.faces.pts import pts_text
from models.interchange.state_dict import to_torch_names
from models.settings import Settings, settings_for
from models.tasks import model_for
from nn import checkpoint

from .forged import BETWEEN, POINTS, RECORD, SMALL
from .targets import place

IMAGES = (".png", ".jpg", ".bmp", ".tif", ".webp", ".gif", ".ppm", ".avif", ".jp2", ".hdr", ".ras")


def pts() -> list[bytes]:
    """With and without header and braces, with a comment."""
    text = pts_text(POINTS).encode()
    return [
        text,
        text.partition(b"{")[2].replace(b"}", b""),
        text.replace(b"\n", b"\r\n"),
        b"// a comment\n" + text,
        b"\xef\xbb\xbf" + text,
    ]


def boxes() -> list[bytes]:
    """With and without the columns that may be missing."""
    return [
        b"image,x0,y0,x1,y1,fold,photo\na_1,1,2,30,40.5,train,afw:a\nb,nan,nan,nan,nan,val,\n",
        b'x0,y0,x1,y1,image\r\n-1e1,0,1,2,"a ""quoted"", name"\r\n',
    ]


def image() -> list[bytes]:
    """Small pictures in the formats that this OpenCV writes."""
    y, x = np.mgrid[:32, :40]
    picture = np.stack([x * 6, y * 8, 255 - x * 3], axis=-1).astype(np.uint8)
    made = []
    for suffix in IMAGES:
        done, data = cv2.imencode(suffix, picture.astype(np.float32) / 255 if suffix == ".hdr" else picture)
        made += [data.tobytes()] if done else []
    progressive = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    return [*made, progressive, cv2.imencode(".png", picture.astype(np.uint16) * 257)[1].tobytes()]


def pack() -> list[bytes]:
    """Two faces; whole, and the header alone."""
    images, landmarks = np.zeros((2, CROP, CROP), np.uint8), np.stack([POINTS, POINTS])
    faces = Faces(images, landmarks, ["a", "b"], ["train", "common"], ["p", "q"], ["", "val"], skipped=["c: none"])
    path = place / "seed.pack"
    path.unlink(missing_ok=True)
    packs.save(faces, path)
    data = path.read_bytes()
    length = int.from_bytes(data[16:24], "little")
    return [data, b"\0" + data[32 : 32 + length]]


def npy(array: np.ndarray) -> bytes:
    """As np.save writes it."""
    made = io.BytesIO()
    np.save(made, array)
    return made.getvalue()


def checkpoints() -> list[bytes]:
    """A file that `checkpoint.save` wrote, and the members of an older one without a checksum of the whole."""
    path = place / "seed.npz"
    arrays = {"model/w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3), "empty": np.zeros((0, 2))}
    checkpoint.save(path, arrays, {"epoch": 3, "best": 0.5, "best_epoch": 2, "settings": {}})
    record = np.frombuffer(b'{"epoch": 3, "best": Infinity}', np.uint8)
    return [path.read_bytes(), b"\0" + BETWEEN.join(map(npy, (record, np.ones((2, 3), np.float32), np.asfortranarray(np.eye(3)))))]


def weights() -> list[bytes]:
    """The record alone."""
    return [json.dumps(RECORD).encode()]


def settings() -> list[bytes]:
    """A file as a user writes it."""
    return [
        b'epochs = 3\nset = "original"\n[optim]\nlr = 1e-3 # slow\n[net]\nreadout = "newest"\n',
        b"optim.lr=0.003",
        b"seed = 0x7f\nnet = {width = 8, units = 16}\naugment.mirror = false\n",
    ]


def config() -> list[bytes]:
    """As a run folder has it."""
    return [json.dumps(asdict(one)).encode() for one in (Settings(), settings_for("sine", "tiny", ""))] + [b'{"model": "cfpd"}']


def trained_on() -> list[bytes]:
    """Two photos, and a mean face."""
    return [json.dumps({"photos": ["afw:1", "\u00fc"], "mean": POINTS.tolist()}).encode()]


def metrics() -> list[bytes]:
    """Two epochs."""
    row = {"epoch": 1, "loss": 0.5, "val_nme": 4.25, "lr": 1e-3, "seconds": 2}
    return [(json.dumps(row) + "\n" + json.dumps(row | {"epoch": 2}) + "\n").encode()]


def state_dict() -> list[bytes]:
    """A model's arrays, packed plainly and squeezed, and three members alone."""
    arrays = to_torch_names(model_for(SMALL))
    made = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)
        made.append(file.getvalue())
    return [*made, b"\0" + BETWEEN.join(npy(array) for array in list(arrays.values())[:3])]


def video() -> list[bytes]:
    """Five frames, in two containers."""
    made = []
    for suffix, codec in ((".mp4", "mp4v"), (".avi", "MJPG")):
        path = place / f"seed{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (48, 32))
        for k in range(5):
            writer.write(np.full((32, 48, 3), 40 * k, np.uint8))
        writer.release()
        made.append(path.read_bytes())
    return made


def command() -> list[bytes]:
    """Lines that are right; what they name need not be there."""
    lines = (
        "train corefan --epochs 3 --set optim.lr=0.01 --set original --seed 7 --out run",
        "predict . --box 1,2,30,40 --style dots,boxes --redetect 5",
        "evaluate run --data photos --crops detector --passes 2 --json -",
        "data show photos --count 3 --seed 1 --set normalised",
        "explain me.jpg --box 1,2,3,4",
        "reproduce --quick --seed 3",
        "import theirs.npz --model cfpd --set net.width=16",
        "emulate k.cu --grid 1,1 --block 32 --args n=4 x=10:ones -D N=3",
        "bench --models cfpd --batch 1 2 --rounds 3",
    )
    return [line.replace(" ", "\0").encode() for line in lines]


SEEDS = {
    "pts": pts,
    "boxes": boxes,
    "image": image,
    "pack": pack,
    "checkpoint": checkpoints,
    "weights": weights,
    "settings": settings,
    "config": config,
    "trained_on": trained_on,
    "metrics": metrics,
    "state_dict": state_dict,
    "video": video,
    "command": command,
}
