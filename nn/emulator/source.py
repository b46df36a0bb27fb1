"""What has to be known of the text of a .cu file before g++ can read it."""

import re
from typing import NamedTuple

from nn.gpu.signature import BALANCED, KERNEL

SIZES = {"char": 1, "bool": 1, "short": 2, "int": 4, "unsigned": 4, "float": 4, "double": 8, "long": 8}
ALIGNED = r"(?:__align__\s*\([^)]*\)\s*)?"
DYNAMIC = re.compile(rf"extern\s+{ALIGNED}__shared__\s+{ALIGNED}([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")
STATIC = re.compile(rf"__shared__\s+{ALIGNED}((?:unsigned\s+|long\s+)?\w+)\s+([^;]*);")


class Kernel(NamedTuple):
    """A kernel of a file: its name, the names of its parameters, and the most threads that __launch_bounds__ allows, as C++ text."""

    name: str
    parameters: tuple[str, ...]
    most_threads: str


def rewritten(code: str) -> str:
    """The text for g++: `extern __shared__ float a[];` becomes a pointer, the only words that no macro can catch."""
    return DYNAMIC.sub(r"\1* \2 = (\1*)machine_dynamic_shared();", code)


def kernels(preprocessed: str) -> list[Kernel]:
    """The kernels of a preprocessed text: those between #if and #endif that are not wanted are gone, those that macros write are there."""
    return [
        Kernel(name, tuple(map(last_word, filter(str.strip, parameters.split(",")))), first_of(before or after or "1024"))
        for before, after, name, parameters in KERNEL.findall(preprocessed)
    ]


def last_word(parameter: str) -> str:
    """The name in `const float* __restrict__ x`."""
    return re.findall(r"\w+", parameter)[-1]


def first_of(arguments: str) -> str:
    """What stands before the first comma that is not within parentheses."""
    return re.match(rf"(?:[^,()]|\({BALANCED}\))*", arguments)[0]  # type: ignore[index]


def shared_types(preprocessed: str) -> str:
    """The shared variables with their types: "As:float,smem*:float", where * is dynamic shared memory."""
    found = [f"{name}*:{kind.strip()}" for kind, name in DYNAMIC.findall(preprocessed)]
    for kind, names in STATIC.findall(DYNAMIC.sub("", preprocessed)):
        found += [f"{name}:{kind}" for name in re.findall(r"(\w+)\s*(?:\[[^\]]*\]\s*)*(?:,|$)", names)]
    return ",".join(dict.fromkeys(found))


def size_of(kind: str) -> int:
    """Bytes of a number of this type; of float4 and its like the whole of it; 1 where the type is not known."""
    words = re.findall(r"[a-z]+|\d+", kind)
    if not words or words[0] == "u":
        return 1
    name = next((word for word in words if word in SIZES and word != "unsigned"), words[0].removeprefix("u"))
    return SIZES.get(name, 4 if "unsigned" in words else 1) * (int(words[-1]) if words[-1].isdigit() and len(words[-1]) == 1 else 1)


def lines_of(code: str, default: str = "kernel.cu") -> tuple[str, list[str]]:
    """The name that the text goes by, as its first `#line 1 "name"` says, and the lines that follow."""
    found = re.search(r'^#line 1 "(.*)"\n', code, flags=re.MULTILINE)
    return (found[1], code[found.end() :].splitlines()) if found else (default, code.splitlines())
