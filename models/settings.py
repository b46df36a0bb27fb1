"""Every setting of a run, with the paper's values as defaults, presets on top, then a TOML file, then --set name=value."""

import reprlib
import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from math import inf
from operator import attrgetter
from pathlib import Path
from typing import Any

from models.faces.augment import KINDS, Augmentation
from models.faces.sequences import READOUTS
from nn.errors import InputError
from nn.files import KIB, read_text

TOML_BYTES = 16 * KIB  # time grows with the square of the dots in a name
MODELS = ("sine", "cfpd", "corefan")
CHOICES = {
    "model": MODELS,
    "set": KINDS,
    "optim.schedule": ("step", "cosine"),
    "net.feed": ("constant", "window"),
    "net.injection": ("every", "first"),
    "net.readout": READOUTS,
    "net.seeding": ("free", "window"),
}
RANGES = {  # from, and below
    **dict.fromkeys(("epochs", "batch", "patience", "views", "drawn", "net.width", "net.units", "optim.every"), (1, inf)),
    "net.size": (16, inf),
    **dict.fromkeys(
        ("seed", "faces", "optim.lr", "optim.decay", "optim.clip", "augment.angle", "augment.scale", "augment.shift", "augment.copies"),
        (0, inf),
    ),
    **dict.fromkeys(("validation", "net.dropout", "optim.average"), (0, 1)),
}
MOST = {  # and at most: a model of half a billion weights, and what no arithmetic overflows on
    **dict.fromkeys(("epochs", "batch", "patience", "views", "drawn", "faces", "optim.every", "augment.copies"), 1_000_000),
    "seed": 2**63 - 1,
    "net.width": 256,
    "net.units": 4096,
    "net.size": 1024,
    "optim.lr": 1e30,
    "optim.decay": 1,
    "augment.angle": 360,
    "augment.scale": 0.9,
    "augment.shift": 1000,
}
WIDTH_SIZE = 32_768  # net.width times net.size, at most
SHARES = ("augment.light", "augment.blur", "augment.occlusion", "augment.noise")  # from 0 to 1, both allowed


@dataclass
class Optim:
    """Adam, how its rate falls, and how its steps are averaged."""

    lr: float = 0.001
    schedule: str = "step"  # lr times decay every so many epochs | "cosine": half a wave down to 0 over all epochs, without the next two
    decay: float = 0.5
    every: int = 20  # epochs
    clip: float = 0.0  # the most that the norm of all gradients may be, those of a longer one are scaled down; 0: no limit
    average: float = 0.0  # share that the moving average of the weights keeps at a step, e.g. 0.998; it is what is validated; 0: none


@dataclass
class Net:
    """The size of the model, and how the paper is read (models/corefan.py names the choices)."""

    width: int = 64
    units: int = 512
    size: int = 112  # side of the frames, px
    dropout: float = 0.5
    feed: str = "constant"
    injection: str = "every"
    readout: str = "mean"
    seeding: str = "free"


@dataclass
class Settings:
    """One run."""

    model: str = "corefan"
    preset: str = "paper"
    data: str = ""  # a folder with .pts files; empty: drawn faces
    set: str = "augmented"  # original | normalised | augmented
    epochs: int = 60
    batch: int = 64
    seed: int = 0
    patience: int = 15  # epochs without a better validation before it stops
    views: int = 17  # views of each face an epoch holds, where the set is "augmented": the paper's original + normalised + 15 copies
    drawn: int = 1000  # drawn faces to train on, where there is no data
    validation: float = 0.1  # share of the photos held out, where the data has no folds of its own
    faces: int = 0  # train on so many faces only, drawn from the training faces by the seed; 0: all
    start: str = ""  # a run of the same model and size whose best weights training starts from; empty: random weights
    net: Net = field(default_factory=Net)
    optim: Optim = field(default_factory=Optim)
    augment: Augmentation = field(default_factory=Augmentation)


# "tiny" learns next to nothing, within a minute in the emulator: for a look at kernels at work. Its rate is small, so that devices, whose
# roundings differ, stay together for a while: where a gradient is 0 but for rounding, Adam's first steps have its sign and nothing else.
# "small" sees each face some thirty times, the paper's training a thousand times: it has no time for dropout, nor for copies scattered as
# wide. CFPD suffers from that first: with COREFAN's scatter it did worse than on the original faces alone. COREFAN with less of it did no
# better (10 degrees, 0.06 and 3 px: 6.0 % after 24 epochs instead of 5.6).
# "quick" has learned something, though little that is right, after half a minute: for a look at a whole report.
TINY: dict[str, Any] = {"epochs": 2, "batch": 8, "views": 1, "drawn": 40, "optim": {"lr": 0.0001}}
QUICK: dict[str, Any] = {"epochs": 6, "batch": 16, "views": 1, "drawn": 200, "faces": 200, "augment": {"shift": 4.0}}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "sine": {
        "tiny": {"epochs": 1, "batch": 250, "net": {"units": 8}},
        "quick": {"epochs": 15, "patience": 15, "net": {"units": 16}, "optim": {"lr": 0.01, "every": 10}},
        "paper": {"epochs": 100, "patience": 100, "net": {"units": 32}, "optim": {"lr": 0.01, "every": 25}},
        "small": {"epochs": 100, "patience": 100, "net": {"units": 32}, "optim": {"lr": 0.01, "every": 25}},
    },
    "cfpd": {
        "tiny": TINY | {"net": {"width": 4, "size": 32, "dropout": 0.1}},
        "quick": QUICK | {"net": {"width": 8, "size": 64, "dropout": 0.0}, "optim": {"lr": 0.01, "decay": 0.4, "every": 3}},
        "paper": {"epochs": 61, "views": 6, "optim": {"lr": 0.01, "decay": 0.4, "every": 10}, "augment": {"copies": 4}},
        "small": {
            "epochs": 25,
            "batch": 32,
            "views": 1,
            "patience": 8,
            "net": {"width": 16, "dropout": 0.0},
            "optim": {"lr": 0.01, "decay": 0.4, "every": 5},
            "augment": {"copies": 4, "angle": 10.0, "scale": 0.05, "shift": 1.5},
        },
    },
    "corefan": {
        "tiny": TINY | {"net": {"width": 4, "units": 16, "size": 32, "dropout": 0.1}},
        "quick": QUICK | {"net": {"width": 8, "units": 64, "size": 64, "dropout": 0.0}, "optim": {"lr": 0.003, "every": 3}},
        "paper": {},
        "small": {
            "epochs": 26,
            "batch": 32,
            "views": 1,
            "patience": 8,
            "net": {"width": 16, "units": 128, "dropout": 0.0},
            "optim": {"lr": 0.003, "every": 5},
            "augment": {"shift": 4.0},
        },
    },
}
DRAWN = {  # what changes where the faces are drawn, for a first look within minutes; they come in many poses already
    "small": {
        "epochs": 16,
        "batch": 16,
        "optim": {"decay": 0.4, "every": 4},
        "augment": {"angle": 8.0, "scale": 0.05, "shift": 2.0},
    }
}


def settings_for(model: str, preset: str, data: str, file: Path | None = None, changes: list[str] | None = None) -> Settings:
    """Preset, then file, then `name=value` changes. Raises InputError, listing what is known, on an unknown name or a wrong type."""
    if preset not in PRESETS[model]:
        raise InputError(f"unknown preset {preset!r} for {model}: choose one of {', '.join(PRESETS[model])}")
    settings = update(Settings(model=model, preset=preset, data=data), PRESETS[model][preset], "")
    if not data and model != "sine":
        update(settings, DRAWN.get(preset, {}), "")
    if file is not None:
        try:
            update(settings, read_toml(file), "")
        except InputError as error:
            raise InputError(f"{file}: {error}") from None
    for change in changes or []:
        try:
            values = parse_toml(change)
        except ValueError:
            raise InputError(f'--set {change}: expected name=value, for instance optim.lr=0.003 or net.readout="newest"') from None
        update(settings, values, "")
    if settings.model != model:
        raise InputError(f"the settings say model {settings.model!r}, the command says {model}; leave the model out of the settings")
    return check(settings)


def check(settings: Settings) -> Settings:
    """Raise InputError where a value makes no sense."""
    for name, known in CHOICES.items():
        if (value := attrgetter(name)(settings)) not in known:
            raise InputError(f"unknown {name} {value!r}: choose one of {', '.join(known)}")
    for name, (low, high) in RANGES.items():
        if not low <= (value := attrgetter(name)(settings)) < high:
            raise InputError(f"{name} should be {low} or more{f' and below {high}' if high < inf else ''}, got {value}")
    for name, most in MOST.items():
        if (value := attrgetter(name)(settings)) > most:
            raise InputError(f"{name} should be at most {most}, got {brief(value)}")
    for name in SHARES:
        if not 0 <= (value := attrgetter(name)(settings)) <= 1:
            raise InputError(f"{name} should be a share of the copies, from 0 to 1, got {value}")
    if settings.net.width * settings.net.size > WIDTH_SIZE:
        raise InputError(f"net.width times net.size should be at most {WIDTH_SIZE}, got {settings.net.width} x {settings.net.size}")
    if settings.net.size % 16:
        raise InputError(f"net.size should divide by 16 (the poolings halve it four times), got {settings.net.size}")
    if settings.net.readout == "point" and (settings.net.feed, settings.net.seeding) != ("constant", "free"):
        raise InputError('net.readout "point" draws no windows: it goes with net.feed "constant" and net.seeding "free"')
    return settings


def update(target: Any, values: dict[str, Any], where: str) -> Any:
    """Set the fields of a dataclass from a dict of the same shape, in place; an int serves where a float is asked for."""
    known = [f.name for f in fields(target)]
    for name, value in values.items():
        if name not in known:
            raise InputError(f"unknown setting {where}{name}; known: {', '.join(where + k for k in known)}")
        old = getattr(target, name)
        if is_dataclass(old) and isinstance(value, dict):
            update(old, value, f"{where}{name}.")
            continue
        if type(old) is float and type(value) is int and abs(value) <= 2**63:
            value = float(value)
        if type(value) is not type(old):
            raise InputError(f"{where}{name} should be {type(old).__name__}, got {brief(value)}")
        object.__setattr__(target, name, value)  # Augmentation is frozen for its users, not for its builder
    return target


def brief(value: Any) -> str:
    """A value as Python writes it, cut where it is long or deep."""
    try:
        return reprlib.repr(value)
    except ValueError:  # more digits than Python writes
        return f"a number of {type(value).__name__} too long to show"


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file as a dict. Raises InputError where it cannot be read."""
    try:
        return parse_toml(read_text(file, TOML_BYTES, "a TOML file"))
    except ValueError as error:
        raise InputError(f"not a TOML file that can be read ({error})") from None


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML text as a dict. Raises ValueError where it is none, long, or deeper than Python's stack."""
    if len(text) > TOML_BYTES:
        raise ValueError(f"more than {TOML_BYTES} characters")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("brackets in brackets in brackets") from None
