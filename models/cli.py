"""The `faceseed` command."""

import argparse
import os
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import numpy as np

import models
import nn
from models import options
from nn.errors import InputError, shown
from nn.stopping import Stopped


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in printable characters: names of files may hold others."""

    def error(self, message: str) -> NoReturn:
        """Usage, the line, exit code 2."""
        super().error(str(InputError(message)))


def parser() -> argparse.ArgumentParser:
    """All subcommands and their options."""
    top = Parser(prog="faceseed", description="Train, test and use CFPD, the seeded sine and COREFAN.")
    top.add_argument("--version", action="version", version=f"faceseed {version('faceseed')}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    options.train(commands, run_train)
    options.evaluate(commands, run_evaluate)
    options.weights(commands, run_weights)
    options.reproduce(commands, run_reproduce)
    options.ablate(commands, run_ablate, run_transfer)
    options.data(commands, run_data_check, run_data_pack, run_data_show)
    options.predict(commands, run_predict)
    options.explain(commands, run_explain)
    options.export_(commands, run_export)
    options.import_(commands, run_import)
    options.gradients(commands, run_gradcheck)
    options.bench(commands, run_bench)
    options.doctor(commands, run_doctor)
    options.emulate(commands, run_emulate)
    options.docs(commands, run_docs)
    return top


def run_train(arguments: argparse.Namespace) -> int:
    """`faceseed train`: with --check-determinism, exit code 1 where bits differ."""
    from models import runs
    from models.settings import check, settings_for

    if not arguments.checkpoint >= 0:
        raise InputError(f"--checkpoint {arguments.checkpoint}: expected seconds, 0 or more (0: after every step)")
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
    if arguments.check_determinism:
        from models import determinism

        return determinism.check(settings, arguments.skip_bad, arguments.device, arguments.conv)
    with rung:
        runs.train(
            settings, out, arguments.resume, arguments.skip_bad, arguments.device, arguments.debug_numerics, every=arguments.checkpoint
        )
    return 0


def go_on_with(arguments: argparse.Namespace) -> str:
    """The command that goes on where a training stopped."""
    if arguments.command != "train":
        return "the same command"  # it trains several runs, and finds what is done
    words = ["faceseed", "train", arguments.model, "--resume", "--out", str(arguments.out or Path("runs") / arguments.model)]
    words += [] if arguments.device == "cpu" else ["--device", arguments.device]
    words += ["--conv", arguments.conv] if arguments.conv else []
    words += ["--skip-bad"] if arguments.skip_bad else []
    return shlex.join(words)


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
    from models.weights import shipped

    run = open_run(arguments.run or shipped(arguments.model))
    evaluate(run, arguments.data, arguments.json, arguments.skip_bad, arguments.crops, arguments.passes, arguments.mirrored)
    return 0


def run_weights(arguments: argparse.Namespace) -> int:
    """`faceseed weights`."""
    from models import weights
    from models.runs import open_run

    run = open_run(arguments.run)
    weights.save(arguments.file, run.settings, run.model, run.photos, run.mean)
    print(f"{arguments.file}: {arguments.file.stat().st_size / 1e6:.2f} MB")
    return 0


def run_reproduce(arguments: argparse.Namespace) -> int:
    """`faceseed reproduce`."""
    from models import reproduce

    reproduce.run(arguments)
    return 0


def run_ablate(arguments: argparse.Namespace) -> int:
    """`faceseed ablate`."""
    from models import ablate

    ablate.run(arguments.data, arguments.out, list(dict.fromkeys(arguments.seeds)), arguments.set, arguments.device)
    return 0


def run_transfer(arguments: argparse.Namespace) -> int:
    """`faceseed transfer`."""
    from models import transfer

    transfer.run(arguments.data, arguments.out, arguments.seed, arguments.set, arguments.device)
    return 0


def run_data_check(arguments: argparse.Namespace) -> int:
    """`faceseed data check`: exit code 1 where something is wrong."""
    from models import data

    return data.check(arguments.path, arguments.json)


def run_data_pack(arguments: argparse.Namespace) -> int:
    """`faceseed data pack`."""
    from models import data

    data.pack(arguments.path, arguments.out, arguments.skip_bad)
    return 0


def run_data_show(arguments: argparse.Namespace) -> int:
    """`faceseed data show`."""
    from models import data

    data.show(arguments.path, arguments.out, arguments.count, arguments.seed, arguments.set)
    return 0


def run_predict(arguments: argparse.Namespace) -> int:
    """`faceseed predict`: exit codes in options.PREDICT_CODES."""
    from models import predict

    arguments.box = parse_box(arguments.box)
    if arguments.redetect < 1:
        raise InputError(f"--redetect {arguments.redetect}: expected a number of frames, 1 or more")
    return predict.run(arguments)


def run_explain(arguments: argparse.Namespace) -> int:
    """`faceseed explain`."""
    from models.explain import explain
    from models.runs import open_run
    from models.weights import shipped

    explain(open_run(arguments.run or shipped("corefan")), arguments.photo, arguments.out, parse_box(arguments.box))
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """`faceseed export`."""
    from models.interchange.files import export_run
    from models.runs import open_run
    from models.weights import shipped

    export_run(open_run(arguments.run or shipped(arguments.model)), arguments.file)
    print(f"{arguments.file}: {arguments.file.stat().st_size / 1e6:.2f} MB")
    return 0


def run_import(arguments: argparse.Namespace) -> int:
    """`faceseed import`."""
    from models.interchange.files import import_run
    from models.settings import settings_for

    out = arguments.out or Path("runs") / arguments.model
    changes = [text if "=" in text else f'set="{text}"' for text in arguments.set]
    import_run(arguments.file, settings_for(arguments.model, arguments.preset, arguments.data, None, changes), out, arguments.skip_bad)
    print(f"run folder {out}")
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


def run_docs(arguments: argparse.Namespace) -> int:
    """`faceseed docs`: exit code 1 where the site has warnings."""
    from models import docs

    return docs.run(arguments)


def parse_box(text: str | None) -> np.ndarray | None:
    """`x0,y0,x1,y1` as four numbers. Raises InputError on anything else."""
    from models.faces.detect import NEAR, are_boxes

    if text is None:
        return None
    try:
        box = np.array([float(number) for number in text.split(",")])
    except ValueError:
        box = np.empty(0)
    if box.shape != (4,) or not are_boxes(box):
        raise InputError(f"--box {text}: expected x0,y0,x1,y1 with x0 < x1 and y0 < y1, in pixels, {NEAR}")
    return box


def check_packages() -> None:
    """Raise InputError where `nn` is a stranger's package of the same name."""
    folders = {Path(package.__file__ or "").resolve().parent.parent for package in (nn, models)}
    if len(folders) > 1:
        places = " and ".join(sorted(map(str, folders)))
        raise InputError(f"`nn` and `models` come from different places, {places}; install faceseed in its own environment")


READER_GONE = 141  # 128 + SIGPIPE, as Unix tools end
AFTER_STOP = {
    "predict": "; what was written is whole",
    "train": "; go on with --resume, or where there is no run folder yet with the same command",
    **dict.fromkeys(("reproduce", "ablate", "transfer"), "; go on with the same command"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; what the user can mend is one line on standard error and exit code 2."""
    chosen = argparse.Namespace(command="")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what the terminal cannot show
    try:
        check_packages()
        try:
            chosen = parser().parse_args(arguments)
            return chosen.call(chosen)
        finally:
            sys.stdout.flush()  # here, where it is known what to do when the reader has gone
    except (InputError, FloatingPointError) as error:
        print(f"faceseed: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read standard output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's last flush would complain
        return READER_GONE
    except OSError as error:  # a full disk, a folder that is not ours
        place = shown(error.filename or "the disk")
        print(f"faceseed: {place}: {error.strerror}; make room or rights there, or choose another place", file=sys.stderr)
        return 2
    except Exception as error:
        from nn.gpu.trouble import explained

        sentence = explained(error)  # of the GPU's troubles
        if sentence is None and isinstance(error, MemoryError):
            sentence = f"not enough memory ({shown(error)}); take a smaller batch, model or picture"
        if sentence is None:  # our mistake
            raise
        print(f"faceseed: {sentence}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"faceseed: {stop}; go on with: {go_on_with(chosen)}", file=sys.stderr)
        return stop.code
    except KeyboardInterrupt:
        print(f"\nfaceseed: stopped{AFTER_STOP.get(chosen.command, '')}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
