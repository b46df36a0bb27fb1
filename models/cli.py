"""The `faceseed` command."""

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path

import numpy as np

import models
import nn
from nn import InputError


def parser() -> argparse.ArgumentParser:
    """All subcommands and their options."""
    top = argparse.ArgumentParser(prog="faceseed", description="Train, test and use CFPD, the seeded sine and COREFAN.")
    top.add_argument("--version", action="version", version=f"faceseed {version('faceseed')}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a model, on drawn faces or on your own photos")
    train.add_argument("model", choices=["sine", "cfpd", "corefan"])
    train.add_argument(
        "--preset",
        default="small",
        help="tiny (seconds, even in the emulator; learns little), small (a CPU, minutes) or paper (as printed)",
    )
    train.add_argument("--data", default="", metavar="FOLDER", help="photos with .pts files; without it, drawn faces")
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="original|normalised|augmented|NAME=VALUE",
        help="the training set, or any setting (config.json lists them), e.g. --set optim.lr=0.003",
    )
    train.add_argument("--config", type=Path, metavar="FILE", help="settings from a TOML file")
    train.add_argument("--epochs", type=int)
    train.add_argument("--batch", type=int)
    train.add_argument("--seed", type=int)
    train.add_argument("--device", choices=["cpu", "cuda", "emulated"], default="cpu", help="cuda: a GPU; emulated: one played by the CPU")
    train.add_argument("--conv", metavar="RUNG", help="on a GPU, the convolution kernel to prefer: direct, tile, igemm, tf32x3 or tf32")
    train.add_argument("--out", type=Path, metavar="FOLDER", help="the run folder; runs/MODEL if not given")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out")
    train.add_argument("--skip-bad", action="store_true", help="leave out files that cannot be used, and count them")
    train.set_defaults(call=run_train)

    evaluate = commands.add_parser("evaluate", help="print a run's errors beside the paper's")
    evaluate.add_argument("run", type=Path, help="a folder that train made")
    evaluate.add_argument("--data", default="", metavar="FOLDER", help="photos with .pts files; a row a subset found")
    evaluate.add_argument("--json", metavar="FILE", help="also write the numbers; - for standard output")
    evaluate.add_argument("--skip-bad", action="store_true", help="leave out files that cannot be used, and count them")
    evaluate.set_defaults(call=run_evaluate)

    predict = commands.add_parser("predict", help="draw what a run finds on photos")
    predict.add_argument("run", type=Path, help="a folder that train made")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    predict.add_argument("--out", type=Path, default=Path("predictions"), metavar="FOLDER")
    where = predict.add_mutually_exclusive_group()
    where.add_argument("--box", metavar="X0,Y0,X1,Y1", help="the face box, in pixels, of every image; else OpenCV's Haar cascade looks")
    where.add_argument("--boxes", type=Path, metavar="FILE", help="CSV with a header and image,x0,y0,x1,y1")
    predict.add_argument("--box-kind", choices=["tight", "300w", "haar"], default="tight", help="what the given boxes enclose")
    predict.add_argument("--skip-bad", action="store_true", help="leave out images that cannot be used, and count them")
    predict.set_defaults(call=run_predict)

    gradients = commands.add_parser("gradcheck", help="hold every backward pass against central differences")
    gradients.add_argument("--seed", type=int, default=0)
    gradients.add_argument("--device", choices=["cpu", "cuda", "emulated"], default="cpu", help="whose kernels")
    gradients.add_argument("--verbose", action="store_true", help="a table of every tensor")
    gradients.set_defaults(call=run_gradcheck)

    bench = commands.add_parser("bench", help="measure our NumPy against PyTorch on this machine")
    bench.add_argument("--models", nargs="+", choices=["cfpd", "corefan"], default=["cfpd", "corefan"])
    bench.add_argument(
        "--what", nargs="+", choices=["layers", "models", "ladder", "memory"], default=["layers", "models", "ladder", "memory"]
    )
    bench.add_argument("--batch", type=int, nargs="+", default=[1, 16, 64], help="of the models; all else is measured at the middle one")
    bench.add_argument("--rounds", type=int, default=11, help="at most; a slow row gets fewer, but 3 unless this is less")
    bench.add_argument("--width", type=int, default=64, help="channels of the first convolution")
    bench.add_argument("--size", type=int, default=112, help="side of the images, in pixels")
    bench.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="FOLDER", help="for bench.json, bench.md and bench.png")
    bench.set_defaults(call=run_bench)

    doctor = commands.add_parser("doctor", help="say what this machine can do: GPU, driver, compiler, and each kernel's error")
    doctor.add_argument("--device", choices=["cuda", "emulated"], help="the GPU if there is one, else the emulator, if not given")
    doctor.set_defaults(call=run_doctor)

    emulate = commands.add_parser("emulate", help="run a CUDA C file without a GPU; finds races and bad accesses")
    emulate.add_argument("file", type=Path, help="a .cu file")
    emulate.add_argument(
        "--args",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="each argument of the kernel: a number, a shape with a fill (1000, 32x64:normal) or a .npy file",
    )
    emulate.add_argument("--kernel", help="which kernel, where the file has several")
    emulate.add_argument("--grid", required=True, metavar="X[,Y[,Z]]", help="blocks")
    emulate.add_argument("--block", required=True, metavar="X[,Y[,Z]]", help="threads of a block")
    emulate.add_argument("--shared", type=int, default=0, metavar="BYTES", help="dynamic shared memory")
    emulate.add_argument("-D", "--define", action="append", default=[], metavar="NAME=NUMBER", help="a macro")
    emulate.add_argument(
        "--profile", action="store_true", help="counts beside each source line: runs, lanes, bank conflicts, memory sectors"
    )
    emulate.add_argument("--save", type=Path, metavar="FOLDER", help="keep the arrays that the kernel wrote, as .npy")
    emulate.add_argument("--seed", type=int, default=0, help="of the normal numbers")
    emulate.set_defaults(call=run_emulate)
    return top


def run_train(arguments: argparse.Namespace) -> int:
    """`faceseed train`."""
    from models import runs
    from models.settings import check, settings_for

    rung = preferred_rung(arguments.conv, arguments.device)
    out = arguments.out or Path("runs") / arguments.model
    if arguments.resume:
        if arguments.set or arguments.config or (arguments.batch, arguments.seed) != (None, None):
            raise InputError("--resume goes on with the settings of the run; leave out --set, --config, --batch and --seed")
        settings = runs.read_settings(out)
        if settings.model != arguments.model:
            raise InputError(f"{out}: is a run of {settings.model}, not of {arguments.model}; give its own --out")
        settings.epochs = settings.epochs if arguments.epochs is None else arguments.epochs
        settings.data = arguments.data or settings.data
        check(settings)
    else:
        if arguments.model == "sine" and arguments.data:
            raise InputError("a sine learns from waves that it makes itself; leave --data out")
        changes = [text if "=" in text else f'set="{text}"' for text in arguments.set]
        changes += [f"{name}={value}" for name in ("epochs", "batch", "seed") if (value := getattr(arguments, name)) is not None]
        settings = settings_for(arguments.model, arguments.preset, arguments.data, arguments.config, changes)
    with rung:
        runs.train(settings, out, arguments.resume, arguments.skip_bad, arguments.device)
    return 0


def preferred_rung(conv: str | None, device: str) -> AbstractContextManager:
    """A context in which convolutions prefer that rung. Raises InputError on an unknown one, or where there is no GPU to have rungs."""
    if conv is None:
        return nullcontext()
    from nn.gpu.rungs import LADDERS, prefer

    known = LADDERS["conv"]
    if conv not in known or device == "cpu":
        raise InputError(f"--conv {conv}: choose one of {', '.join(known)}, with --device cuda or emulated")
    return prefer(conv=conv)


def run_evaluate(arguments: argparse.Namespace) -> int:
    """`faceseed evaluate`."""
    from models.evaluate import evaluate
    from models.runs import open_run

    evaluate(open_run(arguments.run), arguments.data, arguments.json, arguments.skip_bad)
    return 0


def run_predict(arguments: argparse.Namespace) -> int:
    """`faceseed predict`."""
    from models.predict import Boxes, predict_photos
    from models.runs import open_run

    boxes = Boxes(parse_box(arguments.box), arguments.boxes, arguments.box_kind)
    if skipped := predict_photos(open_run(arguments.run), arguments.images, arguments.out, boxes, arguments.skip_bad):
        print(f"{skipped} images skipped")
    return 0


def run_gradcheck(arguments: argparse.Namespace) -> int:
    """`faceseed gradcheck`: exit code 1 where a backward pass is wrong."""
    from models import gradients

    return 0 if gradients.run(arguments.seed, arguments.verbose, arguments.device) else 1


def run_bench(arguments: argparse.Namespace) -> int:
    """`faceseed bench`."""
    from models import bench
    from models.measure.plan import Plan

    models, batches, what = (tuple(dict.fromkeys(given)) for given in (arguments.models, arguments.batch, arguments.what))
    try:
        bench.run(Plan(models, batches, arguments.rounds, arguments.width, arguments.size, what), arguments.out)
    except KeyboardInterrupt:
        print("\nfaceseed: stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def run_doctor(arguments: argparse.Namespace) -> int:
    """`faceseed doctor`: exit code 1 where a kernel is wrong."""
    from models import doctor

    return doctor.run(arguments.device)


def run_emulate(arguments: argparse.Namespace) -> int:
    """`faceseed emulate`: exit code 1 where the kernel is wrong."""
    from models import emulate

    return emulate.run(arguments)


def parse_box(text: str | None) -> np.ndarray | None:
    """`x0,y0,x1,y1` as four numbers. Raises InputError on anything else."""
    if text is None:
        return None
    try:
        box = np.array([float(number) for number in text.split(",")])
    except ValueError:
        box = np.empty(0)
    if box.shape != (4,) or not np.isfinite(box).all() or box[0] >= box[2] or box[1] >= box[3]:
        raise InputError(f"--box {text}: expected x0,y0,x1,y1 with x0 < x1 and y0 < y1, in pixels")
    return box


def check_packages() -> None:
    """Raise InputError where `nn` is a stranger's package of the same name."""
    folders = {Path(package.__file__ or "").resolve().parent.parent for package in (nn, models)}
    if len(folders) > 1:
        places = " and ".join(sorted(map(str, folders)))
        raise InputError(f"`nn` and `models` come from different places, {places}; install faceseed in its own environment")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; what the user can mend is one line on standard error and exit code 2."""
    try:
        check_packages()
        chosen = parser().parse_args(arguments)
        return chosen.call(chosen)
    except (InputError, FloatingPointError) as error:
        print(f"faceseed: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that is not ours
        print(f"faceseed: {error.filename}: {error.strerror}; make room or rights there, or choose another place", file=sys.stderr)
        return 2
    except Exception as error:
        from nn.gpu.trouble import explained

        if (sentence := explained(error)) is None:  # of the GPU's troubles; anything else is our mistake
            raise
        print(f"faceseed: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nfaceseed: stopped; finished epochs are kept, go on with --resume", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
