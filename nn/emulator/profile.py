"""What a kernel did, line by line: `with mode(profile=True): ...`, then `profile.report()`.

For every line of the source how often a warp came through it, and how many of its 32 lanes were active on the average: machine/lines.cpp.
For every line that touches memory, each kind of access on a row: how often a warp made it, what it moved (sectors of 32 bytes in global
memory, passes over the 32 banks of shared memory), the least that could have served, and how many times too much it was:
machine/profile.cpp.
"""

from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from nn.emulator.blocks import blocks_of
from nn.emulator.faults import lines_of
from nn.emulator.source import lines_of as text_of

HEAD = ("warps", "what", "moved", "least", "", "line", "runs", "lanes", "")
LEFT = (1, 8)  # the columns of words; numbers go to the right
Place = tuple[str, int]  # ("file.cu", 12)


class Runs(NamedTuple):
    """How often a warp came through a line, and by how many lanes in all."""

    warps: int = 0
    lanes: int = 0


@dataclass
class Count:
    """Accesses of one kind on one line: how often a warp made one, by how many lanes in all, bytes, and what was moved."""

    times: int = 0
    lanes: int = 0
    bytes: int = 0
    moved: int = 0  # sectors, or passes
    least: int = 0

    def add(self, times: int, lanes: int, size: int, moved: int, least: int) -> None:
        """Count more of them; `size`: bytes a lane."""
        self.times += times
        self.lanes += lanes
        self.bytes += lanes * size
        self.moved += moved
        self.least += least


@dataclass
class Profile:
    """A kernel's counts: lines["gemm.cu", 12]["read global"], and for what is no access, such as "barrier", `times` alone."""

    name: str
    code: str
    options: tuple[str, ...] = ()
    launches: int = 0
    lines: dict[Place, dict[str, Count]] = field(default_factory=dict)
    blocks: dict[int, Runs] = field(default_factory=dict)  # by place in the library that counts lines
    library: Path | None = None  # this one

    def add(self, report: str, library: Path) -> None:
        """Take in what the machine has counted in a launch."""
        self.launches += 1
        rows = [line.split(" ") for line in report.splitlines()]
        known = lines_of(library, sorted({row[1][1:] for row in rows if row[0] == "access"}))
        for row in rows:
            if row[0] == "access":
                place, kind, memory, size, *numbers = row[1:]
                times, lanes, moved, least = map(int, numbers)
                self.count(known[place[1:]], f"{kind} {memory}").add(times, lanes, int(size), moved, least)
            else:
                self.count(row[1], " ".join(row[3:])).times += int(row[2])

    def add_runs(self, report: str, library: Path) -> None:
        """Take in how often each basic block ran in a launch."""
        self.library = library
        for row in report.splitlines():
            place, warps, lanes = row.split(" ")
            before = self.blocks.get(int(place, 16), Runs())
            self.blocks[int(place, 16)] = Runs(before.warps + int(warps), before.lanes + int(lanes))

    def runs(self) -> dict[Place, Runs]:
        """How often each line ran; 0 where it never did; a line without code is not there.

        Of the blocks on a line the one that ran most counts, so a loop's line counts its tests. A template is several functions, and their
        counts add up.
        """
        if self.library is None:
            return {}
        found: dict[Place, dict[str, Runs]] = {}
        for place, function, lines in blocks_of(self.library):
            run = self.blocks.get(place, Runs())
            for line in map(split, lines):
                of_functions = found.setdefault(line, {})
                of_functions[function] = max(of_functions.get(function, Runs()), run)
        files = {file for file in {file for file, _ in found} if self.has(file)}
        return {line: sum_of(list(of_functions.values())) for line, of_functions in found.items() if line[0] in files}

    def has(self, file: str) -> bool:
        """Whether it is the kernel's own file or one that it includes from -I, not a header of the system."""
        folders = tuple(option[2:] for option in self.options if option.startswith("-I"))
        theirs = file.startswith("/") and not file.startswith(folders)
        return file == text_of(self.code)[0] or (not theirs and bool(self.header(file)))

    def count(self, place: str, what: str) -> Count:
        """The count of what happens at `file.cu:12`."""
        return self.lines.setdefault(split(place), {}).setdefault(what, Count())

    def total(self, what: str) -> Count:
        """All lines together."""
        sum_of_lines = Count()
        for counts in self.lines.values():
            if what in counts:
                one = counts[what]
                sum_of_lines.add(one.times, one.lanes, 0, one.moved, one.least)
                sum_of_lines.bytes += one.bytes
        return sum_of_lines

    def listing(self) -> str:
        """The source with the counts beside it, and a summary."""
        title = f"{self.name}, {self.launches} launch{'es' if self.launches != 1 else ''}"
        name, text = text_of(self.code)
        runs = self.runs()
        rows: list[tuple[str, ...]] = [HEAD]
        for file in dict.fromkeys((name, *(file for file, _ in (*self.lines, *runs)))):
            rows += listed(of_file(self.lines, file), of_file(runs, file), text if file == name else self.header(file))
        return "\n".join([title, *aligned(rows), *self.summary(sum_of(list(runs.values())))])

    def header(self, file: str) -> list[str]:
        """The lines of an included file, if it can be found."""
        folders = [Path(option[2:]) for option in self.options if option.startswith("-I")]
        found = next((path for path in (Path(file), *(folder / file for folder in folders)) if path.is_file()), None)
        return found.read_text().splitlines() if found else []

    def summary(self, runs: Runs) -> list[str]:
        """A line each for all the lines' runs, global and shared memory."""
        kinds = ("read", "write", "atomic")
        sectors = [self.total(f"{kind} global") for kind in kinds]
        passes = [self.total(f"{kind} shared") for kind in kinds]
        moved, least = sum(one.moved for one in sectors), sum(one.least for one in sectors)
        taken, fewest = sum(one.moved for one in passes), sum(one.least for one in passes)
        asked = sum(one.bytes for one in sectors)
        idle = 1 - runs.lanes / (32 * runs.warps) if runs.warps else 0
        return [
            f"lines: run {runs.warps} times by a warp, {100 * idle:.1f}% of the lanes idle",
            f"global memory: {32 * moved} bytes in {moved} sectors, {ratio(moved, least)} the least; {asked} bytes asked for",
            f"shared memory: {taken} passes, {taken - fewest} of them for bank conflicts",
        ]


def ratio(moved: int, least: int) -> str:
    """How many times too much."""
    return f"{moved / least:.2f}x" if least else "-"


def split(place: str) -> Place:
    """`file.cu:12` in two; line 0 where it is not known."""
    file, _, line = place.rpartition(":")
    return file, int(line) if line.isdigit() else 0


def sum_of(runs: list[Runs]) -> Runs:
    """All of them together."""
    return Runs(sum(one.warps for one in runs), sum(one.lanes for one in runs))


def of_file(counts: dict[Place, Any], file: str) -> dict[int, Any]:
    """What belongs to the lines of one file, by line."""
    return {line: count for (its_file, line), count in counts.items() if its_file == file}


def listed(counted: dict[int, dict[str, Count]], runs: dict[int, Runs], text: list[str]) -> list[tuple[str, ...]]:
    """The functions of a file that ran; a function ends with a brace in the first column."""
    rows: list[tuple[str, ...]] = []
    first = 1
    for line in range(1, len(text) + 1):
        if not text[line - 1].startswith("}") and line < len(text):
            continue
        if any(number in counted or runs.get(number, Runs()).warps for number in range(first, line + 1)):
            for number in range(first, line + 1):
                rows += rows_of(counted.get(number, {}), runs.get(number), number, text[number - 1])
        first = line + 1
    return rows


def rows_of(counts: dict[str, Count], runs: Runs | None, line: int, source: str) -> list[tuple[str, ...]]:
    """The rows of a line of the source: one for each kind of access, at least one."""
    accesses = [
        (str(count.times), what, *((str(count.moved), str(count.least), ratio(count.moved, count.least)) if count.least else ("", "", "")))
        for what, count in counts.items()
    ]
    warps, lanes = ("", "") if runs is None else (str(runs.warps), f"{runs.lanes / runs.warps:.1f}" if runs.warps else "")
    lines = [(str(line), warps, lanes, source)]
    return [left + right for left, right in zip_longest(accesses or [("",) * 5], lines, fillvalue=("",) * 4)]


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """The rows as text: each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def text(row: tuple[str, ...]) -> str:
        cells = [cell.ljust(width) if i in LEFT else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(cells).rstrip()

    return [text(row) for row in rows]


_profiles: list[Profile] = []


def remember(profile: Profile) -> None:
    """Have it in the report."""
    if not any(profile is one for one in _profiles):
        _profiles.append(profile)


def forget() -> None:
    """Begin anew, as entering `mode(profile=True)` does."""
    for profile in _profiles:
        profile.launches = 0
        profile.lines.clear()
        profile.blocks.clear()
    _profiles.clear()


def profiles() -> list[Profile]:
    """Those of all kernels run since `mode(profile=True)` was entered."""
    return list(_profiles)


def report() -> str:
    """The listings of all kernels run since `mode(profile=True)` was entered."""
    return "\n\n".join(profile.listing() for profile in _profiles)
