"""What the compiler makes of every kernel, as a table for docs/kernel-builds.md: python tests/kernels/builds.py"""

import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

sys.path.insert(0, str(Path(__file__).parents[1]))

from kernels import nvrtc, sass

from nn import gpu
from nn.gpu.launch import FOLDER, Build, source

CARDS = (80, 90)


def builds() -> list[Build]:
    """What the modules of nn/gpu say that they compile, each once."""
    modules = (import_module(f"nn.gpu.{module.name}") for module in iter_modules(gpu.__path__))
    every = [build for module in modules for build in getattr(module, "BUILDS", [])]
    return [build for k, build in enumerate(every) if build not in every[:k]]


def rows(build: Build) -> list[str]:
    """A line a kernel: registers and spilled bytes, and the share of FFMA or HMMA in its main loop where there is any."""
    macros = [f"-D{name}={value}" for name, value in build.macros.items()]
    made = [nvrtc.compiled(source(build.file), card, f"-I{FOLDER}", *macros, name=build.file) for card in CARDS]
    codes = [sass.disassembled(each.cubin) for each in made]
    lines = []
    for name in made[0].kernels:
        usages = [each.kernels[name] for each in made]
        loops = [max((sass.share(code[name].main_loop(opcode), opcode), opcode) for opcode in ("FFMA", "HMMA")) for code in codes]
        mix = " / ".join(f"{part:.0%} {opcode}" for part, opcode in loops) if loops[0][0] > 0.1 else ""
        registers = " / ".join(str(usage.registers) for usage in usages)
        spills = " / ".join(str(usage.spill_stores) for usage in usages)
        lines.append(f"| {name} | {' '.join(macros)} | {registers} | {spills} | {mix} |")
    return lines


if __name__ == "__main__":
    print("| kernel | macros | registers, sm_80 / sm_90 | bytes spilled | main loop |\n|---|---|---|---|---|")
    for build in builds():
        print("\n".join(rows(build)))
