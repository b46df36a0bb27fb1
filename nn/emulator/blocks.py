"""Which lines of the source a basic block stands for, in the build of a kernel that counts lines.

In that build each basic block, code without a branch, begins with a call of HOOK. The disassembly, which names the source line of every
instruction, is cut at these calls. Nothing is inlined there, so a block belongs to one function.
"""

import functools
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from nn.emulator.faults import is_ours

HOOK = "__sanitizer_cov_trace_pc"
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$", flags=re.MULTILINE)
SOURCE = re.compile(r"^(?:\./)?(.+:\d+)(?: \(discriminator \d+\))?$")
INSTRUCTION = re.compile(r"^ +([0-9a-f]+):\t(.*)$")
CALL_OF_HOOK = re.compile(rf"\b(?:call|bl)\b.*<{HOOK}\b")


class Block(NamedTuple):
    """A basic block: where its hook returns to, as an offset in the library; its function; its lines, each `file.cu:12`."""

    place: int
    function: str
    lines: set[str]


@functools.cache
def blocks_of(library: Path) -> list[Block]:
    """All blocks of a library that stand for lines of the user's files."""
    command = ["objdump", "-d", "-l", "--no-show-raw-insn", str(library)]
    _, *functions = FUNCTION.split(subprocess.run(command, capture_output=True, text=True).stdout)
    blocks = [block for name, text in zip(functions[::2], functions[1::2], strict=True) for block in blocks_in(name, text)]
    return [block for block in blocks if block.lines]


def blocks_in(function: str, disassembly: str) -> list[Block]:
    """The blocks of a function. What stands before its first hook, the line with its name, goes to the first block."""
    blocks: list[Block] = []
    lines: set[str] = set()
    source = ""
    after_hook = False
    for row in disassembly.splitlines():
        if instruction := INSTRUCTION.match(row):
            if after_hook:
                lines = set() if blocks else lines
                blocks.append(Block(int(instruction[1], 16), function, lines))
            after_hook = bool(CALL_OF_HOOK.search(instruction[2]))
            if source and not after_hook and not is_ours(source):
                lines.add(source)
        elif place := SOURCE.match(row):
            source = place[1]
    return blocks
