"""What a card will really run: the machine code (SASS) of a compiled kernel, its loops, and the mix of instructions in each.

An FFMA multiplies and adds 32 pairs of numbers, an HMMA whole fragments of matrices on a tensor core. A scheduler issues one
instruction a cycle, so what is not FFMA in a main loop is time lost: the share of FFMA is the most of a card's peak that the loop can
reach, and it is known without a card. Disassembled by nvdisasm, of the wheel nvidia-cuda-nvdisasm.
"""

import importlib.util
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

WHEEL = "nvidia-cuda-nvdisasm"
LABEL = re.compile(r"^(\.L_x_\d+):")
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)([^;]*)")  # address, predicate, opcode, the rest
JUMP = re.compile(r"`\((\.L_x_\d+)\)")


class Instruction(NamedTuple):
    """An opcode without its suffixes, and the label that it jumps to, if it does."""

    opcode: str
    target: str | None


class Kernel(NamedTuple):
    """Instructions in order, and the place of each label among them."""

    instructions: list[Instruction]
    labels: dict[str, int]

    def mix(self) -> Counter[str]:
        """How often each opcode stands in the kernel."""
        return Counter(instruction.opcode for instruction in self.instructions)

    def loops(self) -> list[range]:
        """The instructions between a label and the last jump back to it, for each such label."""
        ends: dict[int, int] = {}
        for k, (opcode, target) in enumerate(self.instructions):
            start = self.labels.get(target or "", k + 1)
            if opcode == "BRA" and start < k:  # `BRA` to itself ends a kernel
                ends[start] = k
        return [range(start, end + 1) for start, end in ends.items()]

    def main_loop(self, opcode: str) -> Counter[str]:
        """The mix of the loop with most of an opcode among those that have no other loop inside; empty where nothing loops."""
        loops = self.loops()
        innermost = [loop for loop in loops if not any(other != loop and other[0] >= loop[0] and other[-1] <= loop[-1] for other in loops)]
        mixes = [Counter(self.instructions[k].opcode for k in loop) for loop in innermost]
        return max(mixes, key=lambda mix: mix[opcode], default=Counter())


def share(mix: Counter[str], opcode: str) -> float:
    """Of all instructions, the part with this opcode."""
    return mix[opcode] / max(1, mix.total())


def disassembled(cubin: bytes) -> dict[str, Kernel]:
    """{name: kernel} of a compiled file."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([program(), "-c", file.name], capture_output=True, text=True, check=True).stdout
    sections = re.split(r"^\.text\.(\w+):\n", text, flags=re.MULTILINE)[1:]
    return {name: parsed(body) for name, body in zip(sections[::2], sections[1::2], strict=True)}


def parsed(body: str) -> Kernel:
    """The lines of one kernel."""
    instructions: list[Instruction] = []
    labels = {}
    for line in body.splitlines():
        if label := LABEL.match(line):
            labels[label[1]] = len(instructions)
        elif found := INSTRUCTION.match(line):
            jump = JUMP.search(found[2])
            instructions.append(Instruction(found[1], jump[1] if jump else None))
        elif line.lstrip().startswith(".section"):
            break  # data behind the code
    return Kernel(instructions, labels)


def program() -> str:
    """Raises FileNotFoundError where nvdisasm is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    places = [path for folder in folders or [] for path in Path(folder).glob("*/bin/nvdisasm*")]
    if not places:
        raise FileNotFoundError(f"nvdisasm is not installed: pip install {WHEEL}")
    return str(places[0])
