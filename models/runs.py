"""A run is a folder: settings, what it was trained on, metrics, checkpoints, pictures. Here it is begun, resumed, opened and shown."""

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models import sine, weights
from models.faces import draw, ibug, metrics
from models.faces.augment import view
from models.faces.boxes import part_boxes
from models.faces.crops import Faces, split
from models.faces.landmarks import COUNT
from models.folder import CONFIG, TRAINED_ON, begun, locked
from models.settings import Settings, check, update
from models.tasks import BoxTask, FaceTask, LandmarkTask, SineTask, model_for, predict
from nn import Adam, Average, CosineDecay, InputError, Layer, StepDecay, checkpoint
from nn.files import KIB, MIB, read_json
from nn.schedule import Schedule
from nn.training import BEST, LAST, PREVIOUS, Task, Trainer, read_metrics

CONFIG_BYTES, TRAINED_ON_BYTES = 64 * KIB, 16 * MIB
SHEET = 18  # faces on the validation sheet


@dataclass
class Run:
    """A finished or interrupted run, read back from its folder, or from a file of weights."""

    folder: Path
    settings: Settings
    model: Layer
    photos: set[str]  # the photos it was trained on
    mean: np.ndarray  # landmarks (68, 2) or boxes (4, 4): the mean of its training faces, the floor that any model must beat


def train(
    settings: Settings,
    folder: Path,
    resume: bool = False,
    skip_bad: bool = False,
    device: str = "cpu",
    debug: bool = False,
    faces: tuple[Faces, Faces] | None = None,
    every: float = 60.0,
) -> None:
    """Train from the start in a new folder, or go on in an old one, on "cpu", "cuda" or "emulated"; then draw the pictures.

    `debug`: watch every operation of every step for numbers that are not finite.
    `faces`: those to train on and to validate, where they are read already; `every`: seconds from one checkpoint to the next. Raises
    InputError where the folder exists already or another training holds it, the data is bad, or a run that goes on was trained on other
    photos: all that before anything is written; later where a file cannot be written. Raises Stopped on Ctrl-C and SIGTERM.
    """
    if not resume and folder.exists():
        raise InputError(f"{folder}: exists already; choose another --out, go on with --resume, or remove it")
    if resume and not started(folder):
        raise InputError(f"{folder}: no {LAST}, so nothing to go on from; remove the folder and train without --resume")
    with ExitStack() as held:
        if resume:
            held.enter_context(locked(folder))
        if settings.model != "sine":
            faces = faces or training_faces(settings, skip_bad)
        task = task_for(settings, faces)
        trainer = trainer_for(task, settings, folder, device, every, debug)
        if resume:
            go_on(trainer, settings, faces[0] if faces else None)
        else:
            with begun(folder, papers(settings, faces[0] if faces else None)) as unfinished:
                held.enter_context(locked(unfinished))
                checkpoint.save(unfinished / LAST, *trainer.state())
        size = sum(parameter.value.size for parameter in task.model.parameters().values())
        print(
            f"{settings.model}, {size / 1e6:.2f} million weights, {task.epoch_images} images an epoch, run folder {folder}, on {device}",
            flush=True,
        )
        start = time.perf_counter()
        trainer.run(settings.epochs, settings.patience)
        load_best(task.model, folder)
        with trainer.writing():
            pictures(task, folder)
        error = next(iter(task.validate().items()))
        print(f"done in {(time.perf_counter() - start) / 60:.1f} minutes; best epoch {trainer.best_epoch}: {error[0]} {error[1]:.4g}")
        print(f"pictures: {', '.join(sorted(path.name for path in folder.glob('*.png')))} in {folder}")


def trainer_for(task: Task, settings: Settings, folder: Path, device: str, every: float = 60.0, debug: bool = False) -> Trainer:
    """A training that has not begun."""
    task.model.to(device)
    optimizer = Adam(task.model.parameters(), settings.optim.lr)
    average = Average(task.model, settings.optim.average) if settings.optim.average else None
    record, clip = {"settings": asdict(settings)}, settings.optim.clip
    return Trainer(task, optimizer, schedule_for(settings), folder, record, average=average, clip=clip, debug=debug, every=every)


def schedule_for(settings: Settings) -> Schedule:
    """How the rate falls."""
    optim = settings.optim
    return CosineDecay(optim.lr, settings.epochs) if optim.schedule == "cosine" else StepDecay(optim.lr, optim.decay, optim.every)


def task_for(settings: Settings, faces: tuple[Faces, Faces] | None) -> FaceTask | SineTask:
    """What is to be learned, by a fresh model or by one that starts with another run's weights."""
    if settings.model == "sine" or faces is None:
        task: SineTask | FaceTask = SineTask(settings)
    else:
        task = {"cfpd": BoxTask, "corefan": LandmarkTask}[settings.model](settings, *faces)
    if settings.start:
        begun = open_run(Path(settings.start))
        try:
            task.model.load_state(begun.model.state())
        except ValueError as error:
            raise InputError(f"{settings.start}: {error}") from None
    return task


def training_faces(settings: Settings, skip_bad: bool = False) -> tuple[Faces, Faces]:
    """Training and validation faces: those of a data folder, split by photo, or drawn ones."""
    if not settings.data:
        from models.faces.synthetic import drawn_faces

        count = settings.drawn + max(1, settings.drawn // 10)
        print(f"drawing {count} faces; --data FOLDER trains on photos", flush=True)
        faces = drawn_faces(count, settings.seed, say_drawn)
        return some(faces[: settings.drawn], settings), faces[settings.drawn :]
    return divide(ibug.load(settings.data, ("train", "other"), skip_bad), settings)


def divide(faces: Faces, settings: Settings) -> tuple[Faces, Faces]:
    """Training and validation faces of what was read: of the official training folders where there are any, else of all others."""
    subset = np.array(faces.subsets)
    usable = faces[subset == "train"] if (subset == "train").any() else faces[subset == "other"]
    try:
        train, validation = split(usable, settings.validation, settings.seed)
    except InputError as error:
        raise InputError(f"{settings.data}: {error}") from None
    train = some(train, settings)
    skipped = f", {len(faces.skipped)} skipped" if faces.skipped else ""
    print(f"{settings.data}: {len(train)} faces to train on, {len(validation)} to validate{skipped}", flush=True)
    say_skipped(faces.skipped)
    return train, validation


def some(train: Faces, settings: Settings) -> Faces:
    """As many of the training faces as the settings ask for; a smaller number is part of a larger one."""
    if not settings.faces:
        return train
    return train[np.sort(np.random.default_rng([settings.seed, 3]).permutation(len(train))[: settings.faces])]


def say_skipped(lines: list[str]) -> None:
    """The files that were left out, each with its reason, on standard error."""
    for line in lines:
        print(f"skipped: {line}", file=sys.stderr)
    if lines:
        print(f"{len(lines)} files skipped", file=sys.stderr)


def say_drawn(done: int, total: int) -> None:
    """A line of progress now and then."""
    if done % 200 == 0:
        print(f"drawn {done} of {total}", flush=True)


def papers(settings: Settings, faces: Faces | None) -> dict[str, str]:
    """The files of a run folder that say how it is trained, and on what."""
    files = {CONFIG: json.dumps(asdict(settings), indent=2) + "\n"}
    if faces is not None:
        _, points = view(faces, np.arange(len(faces)), "original", None, size=settings.net.size)
        answers = points if settings.model == "corefan" else part_boxes(points)
        record = {"photos": sorted(photos_seen(settings, faces)), "mean": answers.mean(0).round(3).tolist()}
        files[TRAINED_ON] = json.dumps(record) + "\n"
    return files


def started(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return (folder / LAST).exists() or (folder / PREVIOUS).exists()


def go_on(trainer: Trainer, settings: Settings, faces: Faces | None) -> None:
    """Take up an interrupted training. More epochs, and a new place of the data, stand in its config.json from then on.

    Raises InputError where the settings cannot change so, the photos are others, or the last checkpoint belongs to another model.
    """
    folder = trainer.folder
    before = read_settings(folder)
    if settings.optim.schedule == "cosine" and settings.epochs != before.epochs:
        rates = f"its rates fall in half a wave over {before.epochs} epochs"
        raise InputError(f"{folder}: {rates}, {settings.epochs} would make them others; leave out --epochs, or train anew")
    if faces is not None and trained_on(folder)[0] != photos_seen(settings, faces):
        raise InputError(f"{folder}: was trained on other photos than those of {settings.data or 'the drawn faces'}; give its own --data")
    try:
        trainer.resume()
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(f"{folder / LAST}: does not go with its {CONFIG} ({error}); train anew in another --out") from None
    if settings != before:
        with trainer.writing(), checkpoint.whole(folder / CONFIG) as file:
            file.write(papers(settings, None)[CONFIG].encode())


def read_settings(folder: Path) -> Settings:
    """The settings of a run. Raises InputError where the folder holds none."""
    try:
        found = read_json(folder / CONFIG, CONFIG_BYTES, "the settings of a run")
    except InputError:
        raise InputError(f"{folder}: not a run folder (no readable {CONFIG}); give a folder that `faceseed train` made") from None
    try:
        return check(update(Settings(), found, ""))
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}; mend it, or train anew") from None


def open_run(folder: Path) -> Run:
    """A run with its best model, in evaluation mode, from its folder or from weights (models/weights). Raises InputError where something is
    missing or damaged."""
    if folder.suffix == ".npz":
        return Run(folder, *weights.load(folder))
    settings = read_settings(folder)
    model = model_for(settings).evaluate()
    load_best(model, folder)
    if settings.model == "sine":
        return Run(folder, settings, model, set(), np.empty(0))
    photos, mean = trained_on(folder, (COUNT, 2) if settings.model == "corefan" else (4, 4))
    return Run(folder, settings, model, photos, mean)


def photos_seen(settings: Settings, faces: Faces) -> set[str]:
    """The photos that training sees, those behind the weights that it starts from included."""
    before = open_run(Path(settings.start)).photos if settings.start else set()
    return before | set(faces.photos)


def trained_on(folder: Path, shape: tuple[int, ...] = (-1, 2)) -> tuple[set[str], np.ndarray]:
    """The photos that a run was trained on, and the mean of their landmarks or boxes. Raises InputError where the record is damaged."""
    try:
        return weights.seen(read_json(folder / TRAINED_ON, TRAINED_ON_BYTES, "what a run was trained on"), shape)
    except ValueError:
        raise InputError(f"{folder / TRAINED_ON}: missing or damaged; it says which photos not to test on: train anew") from None


def load_best(model: Layer, folder: Path) -> None:
    """Put the best model's arrays into `model`. Raises InputError where they are not this model's, or not there yet."""
    if started(folder) and not (folder / BEST).exists():
        raise InputError(f"{folder}: no {BEST} yet, the first epoch's end writes it; wait for that, or go on with --resume")
    arrays, _ = checkpoint.load(folder / BEST)
    weights.put(model, checkpoint.part("model", arrays), folder / BEST)


def pictures(task: FaceTask | SineTask, folder: Path) -> None:
    """Loss curve, and what the model does with faces (or waves) that it never saw."""
    if rows := read_metrics(folder):
        draw.loss_plot(folder / "loss.png", rows)
    if isinstance(task, SineTask):
        sine_picture(folder / "sine.png", task.model)
        return
    shown = np.linspace(0, len(task.images) - 1, min(SHEET, len(task.images))).astype(int)
    predicted = predict(task.model, task.images)
    if isinstance(task, BoxTask):
        predicted, true = predicted.reshape(-1, 4, 4), part_boxes(task.points)
        captions = [f"{np.square(p - t).mean():.2f} px²" for p, t in zip(predicted[shown], true[shown], strict=True)]
        draw.box_sheet(folder / "faces.png", task.images[shown], predicted[shown], true[shown], captions)
        return
    errors = metrics.errors(predicted, task.points)
    captions = [f"{100 * error:.1f} %" for error in errors[shown]]
    draw.landmark_sheet(folder / "faces.png", task.images[shown], predicted[shown], task.points[shown], captions)
    draw.ced_plot(folder / "ced.png", {"validation": errors})


def sine_picture(path: Path, model: Layer) -> None:
    """Figure 5: what the network draws from zeros, and from a training instance."""
    from matplotlib.figure import Figure

    window = SineTask.WINDOW
    instance = sine.waves(1, window, np.random.default_rng(5))[0, :, 0]
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    seeds = {"zeros": np.zeros(window), "a training instance": instance}
    for ax, (name, seed) in zip(figure.subplots(2, 1, sharex=True), seeds.items(), strict=True):
        wave = sine.draw(model, seed, 5 * window)
        ax.plot(np.arange(window), wave[:window], "o-", markersize=3, color="C1", label="seed")
        ax.plot(np.arange(window - 1, len(wave)), wave[window - 1 :], color="C0", label="drawn")
        ax.set(title=f"seeded with {name}", ylim=(-1.3, 1.3), ylabel="x")
        ax.grid(alpha=0.3)
        ax.legend(loc="upper right", ncols=2)
    ax.set_xlabel("time step")
    figure.savefig(path, dpi=120)
