"""`faceseed emulate`: run a .cu file without a GPU, and say what it does wrong."""

from argparse import Namespace
from pathlib import Path

import numpy as np

from nn.emulator import KernelError
from nn.emulator.own import Emulation, emulate
from nn.errors import InputError

SHOWN = 8  # numbers of an array


def run(arguments: Namespace) -> int:
    """Emulate, print, save; exit code 1 where the kernel is wrong."""
    values = dict(pair.partition("=")[::2] for pair in arguments.args)
    if unclear := [pair for pair in arguments.args if "=" not in pair]:
        raise InputError(f"{unclear[0]}: expected NAME=VALUE, for instance x=1000:normal or n=1000")
    try:
        done = emulate(
            arguments.file,
            grid=sizes("--grid", arguments.grid),
            block=sizes("--block", arguments.block),
            values=values,
            kernel=arguments.kernel,
            shared=arguments.shared,
            options=tuple(f"-D{macro}" for macro in arguments.define),
            profile=arguments.profile,
            seed=arguments.seed,
        )
    except KernelError as error:
        print(error)
        return 1
    if done.listing:
        print(done.listing)
    for name in done.written:
        print(f"{name}: {described(done.arguments[name])}")
    if arguments.save:
        save(done, arguments.save)
    for order, found in done.differs.items():
        print(f"{done.kernel} gives something else in {order}: {found}. The result depends on which thread comes first")
    if not done.differs:
        print(f"{done.kernel}: nothing wrong found; the same bits in every order of its threads")
    return 1 if done.differs else 0


def sizes(option: str, text: str) -> tuple[int, ...]:
    """X, X,Y or X,Y,Z as numbers. Raises InputError on anything else."""
    try:
        numbers = tuple(map(int, text.split(",")))
    except ValueError:
        numbers = ()
    if not 1 <= len(numbers) <= 3 or min(numbers) < 1:
        raise InputError(f"{option} {text}: expected one to three numbers of 1 or more, such as 4 or 16,16")
    return numbers


def described(array: np.ndarray) -> str:
    """Shape, range and first numbers of an array, and how many were left unwritten or are not finite."""
    flat = array.reshape(-1)
    wrong = int((~np.isfinite(flat)).sum()) if array.dtype.kind == "f" else 0
    shape = " x ".join(map(str, array.shape))
    first = " ".join(f"{number:.6g}" if array.dtype.kind == "f" else str(number) for number in flat[:SHOWN])
    more = " ..." if flat.size > SHOWN else ""
    return f"{array.dtype} {shape}: {first}{more}" + (f"   ({wrong} of {flat.size} not finite: unwritten?)" if wrong else "")


def save(done: Emulation, folder: Path) -> None:
    """Write each array that the kernel may have written as NAME.npy."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in done.written:
        np.save(folder / f"{name}.npy", done.arguments[name])
    print(f"saved {', '.join(f'{name}.npy' for name in done.written)} in {folder}")
