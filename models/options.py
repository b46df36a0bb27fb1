"""The subcommands of `faceseed` and their options, a function each; models/cli.py says what each one calls."""

import argparse
from collections.abc import Callable
from pathlib import Path

Commands = argparse._SubParsersAction  # what add_subparsers gives
Call = Callable[[argparse.Namespace], int]

PREDICT_CODES = """Exit codes: 0 all pictures were answered; 2 something must be mended, or none could be answered: nothing was
written; 3 finished, but some pictures could not be read or showed no face, each named on standard error. A video may have frames
without a face, but not only such. 130 stopped by Ctrl-C: what was written is whole and kept, as after q."""


def device(parser: argparse.ArgumentParser) -> None:
    """Where to compute."""
    parser.add_argument("--device", choices=["cpu", "cuda", "emulated"], default="cpu", help="cuda: a GPU; emulated: one played by the CPU")


def skip_bad(parser: argparse.ArgumentParser) -> None:
    """What becomes of unusable files."""
    parser.add_argument("--skip-bad", action="store_true", help="leave out files that cannot be used, and list them with the reason")


def train(commands: Commands, call: Call) -> None:
    """`faceseed train`."""
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
    device(train)
    train.add_argument("--conv", metavar="RUNG", help="on a GPU, the convolution kernel to prefer: direct, tile, igemm, tf32x3 or tf32")
    train.add_argument("--out", type=Path, metavar="FOLDER", help="the run folder; runs/MODEL if not given")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out, in the middle of an epoch too")
    train.add_argument(
        "--debug-numerics", action="store_true", help="watch every operation for the first NaN or infinity, and name it; slow"
    )
    train.add_argument(
        "--checkpoint", type=float, default=60.0, metavar="SECONDS", help="from one checkpoint to the next; 0: after every step"
    )
    train.add_argument(
        "--check-determinism",
        action="store_true",
        help="instead of training, show on a few steps that one thread, all threads, and a stop in the middle give the same bits",
    )
    skip_bad(train)
    train.set_defaults(call=call)


def evaluate(commands: Commands, call: Call) -> None:
    """`faceseed evaluate`."""
    evaluate = commands.add_parser("evaluate", help="print a run's errors beside the paper's")
    evaluate.add_argument("run", type=Path, nargs="?", help="a folder that train made, or a file of weights; the shipped ones if not given")
    evaluate.add_argument("--model", choices=["corefan", "cfpd"], default="corefan", help="which of the shipped weights")
    evaluate.add_argument("--data", default="", metavar="FOLDER", help="photos with .pts files; a row a subset found")
    evaluate.add_argument(
        "--crops",
        choices=["oracle", "detector"],
        default="oracle",
        help="placed by the true landmarks, as in the paper, or by a face detector",
    )
    evaluate.add_argument(
        "--passes", type=int, default=1, help="look so many times, again in the frame that the landmarks just found make (COREFAN)"
    )
    evaluate.add_argument("--mirrored", action="store_true", help="the mean of the answer and of the answer in the mirror")
    evaluate.add_argument("--json", metavar="FILE", help="also write the numbers; - for standard output")
    skip_bad(evaluate)
    evaluate.set_defaults(call=call)


def weights(commands: Commands, call: Call) -> None:
    """`faceseed weights`."""
    weights = commands.add_parser("weights", help="a trained run as one small file, for predict, evaluate and --set start=")
    weights.add_argument("run", type=Path, help="a folder that train made")
    weights.add_argument("file", type=Path, metavar="FILE.npz")
    weights.set_defaults(call=call)


def reproduce(commands: Commands, call: Call) -> None:
    """`faceseed reproduce`."""
    reproduce = commands.add_parser("reproduce", help="every table and figure of the paper, on your 300-W or on drawn faces")
    reproduce.add_argument("--data", default="", metavar="PATH", help="the 300-W archives, unpacked or packed; without it, drawn faces")
    reproduce.add_argument("--preset", default="small", help="small (a CPU, hours) or paper (as printed; a GPU)")
    reproduce.add_argument(
        "--quick", action="store_true", help="tiny models and few faces: everything is there within minutes, nothing is good"
    )
    reproduce.add_argument("--plan", action="store_true", help="only print what would be trained, and how long that takes on this machine")
    reproduce.add_argument("--seed", type=int, default=0)
    device(reproduce)
    reproduce.add_argument(
        "--out", type=Path, default=Path("runs/reproduce"), metavar="FOLDER", help="begun or finished before: it goes on there"
    )
    skip_bad(reproduce)
    reproduce.set_defaults(call=call)


def ablate(commands: Commands, call_ablate: Call, call_transfer: Call) -> None:
    """`faceseed ablate` and `faceseed transfer`."""
    ablate = commands.add_parser("ablate", help="COREFAN by each reading of the paper's open choices, with several seeds")
    ablate.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    ablate.set_defaults(call=call_ablate)
    transfer = commands.add_parser("transfer", help="COREFAN from drawn faces to real ones, alone and before a few real ones")
    transfer.add_argument("--seed", type=int, default=0)
    transfer.set_defaults(call=call_transfer)
    for command, name in ((ablate, "ablate"), (transfer, "transfer")):
        command.add_argument("--data", required=True, metavar="PATH", help="photos with .pts files")
        command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting, of all runs")
        device(command)
        command.add_argument("--out", type=Path, default=Path("runs") / name, metavar="FOLDER", help="begun before: it goes on there")


def data(commands: Commands, call_check: Call, call_pack: Call, call_show: Call) -> None:
    """`faceseed data check | pack | show`."""
    data = commands.add_parser("data", help="check, pack or show a folder of annotated faces").add_subparsers(required=True, metavar="WHAT")
    checks = data.add_parser("check", help="counts against the official ones, unusable and odd files, outliers, duplicates")
    checks.add_argument("path", type=Path, metavar="PATH", help="the 300-W archives, or any photos with .pts files")
    checks.add_argument("--json", type=Path, metavar="FILE", help="also write what was found")
    checks.set_defaults(call=call_check)
    packs = data.add_parser("pack", help="one file of 256-px crops that loads at once: --data FILE")
    packs.add_argument("path", type=Path, metavar="PATH")
    packs.add_argument("out", type=Path, metavar="FILE")
    skip_bad(packs)
    packs.set_defaults(call=call_pack)
    shows = data.add_parser("show", help="draw a sheet of faces with their landmarks")
    shows.add_argument("path", type=Path, metavar="PATH")
    shows.add_argument("--out", type=Path, default=Path("faces.png"), metavar="FILE")
    shows.add_argument("--count", type=int, default=24)
    shows.add_argument("--seed", type=int, default=0)
    shows.add_argument(
        "--set", choices=["original", "normalised", "augmented"], default="original", help="as which training set shows them"
    )
    shows.set_defaults(call=call_show)


def predict(commands: Commands, call: Call) -> None:
    """`faceseed predict`."""
    predict = commands.add_parser("predict", help="draw what a model finds on photos, videos or a camera's pictures", epilog=PREDICT_CODES)
    predict.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="photos, folders, patterns in quotes, videos, or a camera's number; a run folder or a file of weights may stand before them",
    )
    predict.add_argument("--run", type=Path, help="a folder that train made, or a file of weights; the shipped ones if not given")
    predict.add_argument("--model", choices=["corefan", "cfpd", "both"], help="landmarks (if not given), boxes of the parts, or both")
    where = predict.add_mutually_exclusive_group()
    where.add_argument("--box", metavar="X0,Y0,X1,Y1", help="the face box, in pixels, of every picture (of a video's first frame)")
    where.add_argument("--boxes", type=Path, metavar="FILE", help="CSV with a header and image,x0,y0,x1,y1")
    predict.add_argument("--box-kind", choices=["tight", "300w", "haar"], default="tight", help="what the given boxes enclose")
    predict.add_argument("--detector", choices=["haar", "dlib"], default="haar", help="OpenCV's cascade, or dlib's where it is installed")
    predict.add_argument("--redetect", type=int, default=30, metavar="N", help="let the detector look for more faces every N frames")
    predict.add_argument("--style", metavar="NAMES", help="lines, dots, indices, boxes, with commas between; lines,dots if not given")
    predict.add_argument("--fps", action="store_true", help="frames a second in the corner of written videos, as in the window")
    predict.add_argument(
        "--display", action=argparse.BooleanOptionalAction, help="a window: b shows or hides boxes, q or Esc quits; for videos if possible"
    )
    predict.add_argument("--out", type=Path, default=Path("predictions"), metavar="FOLDER", help="new or empty")
    predict.add_argument("--no-pictures", action="store_false", dest="pictures", help="write no pictures and videos, only numbers")
    predict.add_argument("--csv", action="store_true", help="also write predictions.csv, a row a face")
    predict.add_argument("--skip-bad", action="store_true", help="pictures that cannot be used are expected: exit code 0, not 3")
    predict.set_defaults(call=call)


def explain(commands: Commands, call: Call) -> None:
    """`faceseed explain`."""
    explain = commands.add_parser("explain", help="what COREFAN does with one face: a page of pictures, from filters to saliency")
    explain.add_argument("photo", type=Path, metavar="PHOTO", help="with a .pts file beside it, the page also shows the errors")
    explain.add_argument("--run", type=Path, help="a folder that train made, or a file of weights; the shipped ones if not given")
    explain.add_argument("--box", metavar="X0,Y0,X1,Y1", help="the face's landmarks, in pixels; else OpenCV's Haar cascade looks")
    explain.add_argument("--out", type=Path, default=Path("explanation"), metavar="FOLDER", help="for the pictures and index.html")
    explain.set_defaults(call=call)


def export_(commands: Commands, call: Call) -> None:
    """`faceseed export`."""
    export = commands.add_parser("export", help="a model for other programs: ONNX, or PyTorch's state dict")
    export.add_argument("file", type=Path, metavar="FILE", help="NAME.onnx, or NAME.npz for a state dict")
    export.add_argument("--run", type=Path, help="a folder that train made, or a file of weights; the shipped ones if not given")
    export.add_argument("--model", choices=["corefan", "cfpd"], default="corefan", help="which of the shipped weights")
    export.set_defaults(call=call)


def import_(commands: Commands, call: Call) -> None:
    """`faceseed import`."""
    imports = commands.add_parser("import", help="a run folder of PyTorch's state dict, for predict, evaluate and --set start=")
    imports.add_argument("file", type=Path, metavar="FILE", help=".npz; or .pth, where PyTorch is installed")
    imports.add_argument("--model", choices=["sine", "cfpd", "corefan"], required=True)
    imports.add_argument("--preset", default="paper", help="whose sizes it has: tiny, quick, small or paper")
    imports.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting, e.g. --set net.width=16")
    imports.add_argument("--data", default="", metavar="PATH", help="the photos it was trained on, so that evaluate leaves them out")
    imports.add_argument("--out", type=Path, metavar="FOLDER", help="the run folder; runs/MODEL if not given")
    skip_bad(imports)
    imports.set_defaults(call=call)


def gradients(commands: Commands, call: Call) -> None:
    """`faceseed gradcheck`."""
    gradients = commands.add_parser("gradcheck", help="hold every backward pass against central differences")
    gradients.add_argument("--seed", type=int, default=0)
    gradients.add_argument("--device", choices=["cpu", "cuda", "emulated"], default="cpu", help="whose kernels")
    gradients.add_argument("--verbose", action="store_true", help="a table of every tensor")
    gradients.set_defaults(call=call)


def bench(commands: Commands, call: Call) -> None:
    """`faceseed bench`."""
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
    bench.set_defaults(call=call)


def doctor(commands: Commands, call: Call) -> None:
    """`faceseed doctor`."""
    doctor = commands.add_parser("doctor", help="say what this machine can do: GPU, driver, compiler, and each kernel's error")
    doctor.add_argument("--device", choices=["cuda", "emulated"], help="the GPU if there is one, else the emulator, if not given")
    doctor.set_defaults(call=call)


def emulate(commands: Commands, call: Call) -> None:
    """`faceseed emulate`."""
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
    emulate.set_defaults(call=call)


def docs(commands: Commands, call: Call) -> None:
    """`faceseed docs`."""
    docs = commands.add_parser("docs", help="build the site with the chapters, and open it; nothing is loaded from a network")
    docs.add_argument("--out", type=Path, metavar="FOLDER", help="where to; docs/_build/html if not given")
    docs.add_argument("--no-open", dest="open", action="store_false", help="do not open it")
    docs.set_defaults(call=call)
