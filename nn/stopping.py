"""Stopping a training between two steps: Ctrl-C and SIGTERM are noted, not obeyed at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType


class Stopped(KeyboardInterrupt):
    """A training that was asked to stop has done so, with everything written; `code` is the exit code by which shells know the signal."""

    def __init__(self, where: str, number: int):
        super().__init__(f"stopped {where}")
        self.code = 128 + number


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """The numbers of the signals that asked: empty at first. A second one raises KeyboardInterrupt at once.

    Only the main thread may take signals; in others the list stays empty. A signal that the process was told to ignore stays ignored.
    """
    asked: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {}
    if current_thread() is main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
