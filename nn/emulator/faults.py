"""From the machine's report to one that a person can read: addresses become lines of the source."""

import re
import subprocess
from pathlib import Path

from nn.emulator.compiler import MACHINE


def readable(report: str, library: Path) -> str:
    """The report with `file.cu:12` in place of each @1f3a, an instruction's offset in the library."""
    lines = lines_of(library, sorted(set(re.findall(r"@([0-9a-f]+)", report))))
    return re.sub(r"@([0-9a-f]+)", lambda found: lines[found[1]], report)


def lines_of(library: Path, places: list[str]) -> dict[str, str]:
    """The source line of each instruction: where the code of an inlined function stands, unless that is one of the emulator's own."""
    if not places:
        return {}
    command = ["addr2line", "-i", "-a", "-e", str(library), *(f"0x{place}" for place in places)]
    answers = re.split(r"^0x[0-9a-f]+\n", subprocess.run(command, capture_output=True, text=True).stdout, flags=re.MULTILINE)[1:]
    return {place: line_of(answer.splitlines()) for place, answer in zip(places, answers, strict=True)}


def line_of(frames: list[str]) -> str:
    """Of the frames, innermost first, the first that is not the emulator's: `file.cu:12`."""
    places = [frame.split(" (")[0].removeprefix("./") for frame in frames]
    return next((place for place in places if not is_ours(place) and not place.startswith("??")), "?")


def is_ours(place: str) -> bool:
    """Whether a line stands in one of the emulator's own headers."""
    return Path(place.rpartition(":")[0]).parts[-3:-1] == MACHINE.parts[-2:]
