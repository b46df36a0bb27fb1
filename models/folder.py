"""A run folder: begun whole or not at all, and held by one training at a time.

While it is begun it is called NAME.unfinished; it takes its name when it holds settings, what is trained on and a first checkpoint, so that
a run that was killed either goes on with --resume or, where there is no folder of its name, with the same command once more.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EEXIST
from pathlib import Path

from nn import InputError, checkpoint
from nn.training import BEST, LAST, METRICS

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CONFIG, TRAINED_ON, LOCK = "config.json", "trained_on.json", "lock"


@contextmanager
def begun(folder: Path, files: dict[str, str]) -> Iterator[Path]:
    """A folder with these files, to be filled: it is called `folder` when the block is done, and gone where that fails.

    What a killed start has left is removed first. Raises InputError where the folder cannot be made, or another training begins it.
    """
    unfinished = checkpoint.beside(folder)
    try:
        if folder.exists():
            raise FileExistsError(EEXIST, "File exists")
        folder.parent.mkdir(parents=True, exist_ok=True)
        if unfinished.is_dir():
            with locked(unfinished):
                clear(unfinished, BEST)
        unfinished.mkdir()
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another --out") from None
    try:
        for name, text in files.items():
            with checkpoint.whole(unfinished / name) as file:
                file.write(text.encode())
        yield unfinished
        try:
            os.rename(unfinished, folder)
        except OSError as error:  # another training was faster
            raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another --out") from None
        checkpoint.sync(folder.parent)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, OSError):
            error.filename = error.filename or str(folder)
        raise


def clear(folder: Path, *more: str) -> None:
    """Remove the folder of a run that was cut off while it began. Raises InputError where it holds other files than such, and `more`."""
    for path in folder.iterdir():
        if path.name not in (CONFIG, TRAINED_ON, METRICS, LAST, LOCK, *more) and path.suffix != checkpoint.UNFINISHED:
            raise InputError(f"{folder}: is no run folder ({path.name} is in it); choose another --out, or remove it")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone. The system lets go when the process ends, however it ends: the file `lock` may stay.

    Raises InputError where a link in it leads elsewhere, and with the number of the process that holds it. Where the system has no flock
    (Windows), nothing is held.
    """
    for path in folder.iterdir():
        if path.is_symlink():
            raise InputError(f"{path}: is a link, and training would write through it; remove it, or choose another --out")
    if not fcntl:
        yield
        return
    with open(folder / LOCK, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another"
            raise InputError(f"{folder}: process {holder} trains in it; wait for its end, or choose another --out") from None
        except OSError:  # a file system without locks
            pass
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
