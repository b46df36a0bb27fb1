"""From the text of a .cu file to a library: g++, and a cache by content.

Three libraries can be built of one text: the plain one, optimised; the checked one, in which g++ has put a call to the checker in front
of every access; and one for the profile's count of lines, with a call at the start of every piece of straight code. All lean on another,
the machine (nn/emulator/machine/*.cpp), which plays the GPU.
"""

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nn.emulator import source
from nn.emulator.errors import CompileError, EmulatorError

MACHINE = Path(__file__).parent / "machine"
NEEDS = "the emulator runs on x86-64 and aarch64 Linux with g++"
COMMON = [
    "-std=gnu++20",
    "-fPIC",
    "-shared",
    "-w",
    "-g1",
    "-gdwarf-4",
    "-fno-exceptions",
    "-fno-strict-aliasing",
    "-U_FORTIFY_SOURCE",  # some systems switch it on, and then memcpy goes by another name
    "-ffp-contract=off",  # a * b + c is rounded twice, unless the kernel says fmaf
    "-fstack-clash-protection",  # a thread that needs too much stack meets the guard below it, however far it leaps
]
PLAIN = ["-O2"]
# Little is optimised, so that an access stays where the source has it. bounds: an index beyond the declared size of an array.
CHECKED = [
    "-O1",
    "-fno-tree-sra",
    "-fno-ipa-sra",
    "-fno-tree-vectorize",
    "-fno-inline-small-functions",
    "-fsanitize=thread",
    "--param=tsan-instrument-func-entry-exit=0",
    "-fsanitize=bounds,signed-integer-overflow,integer-divide-by-zero,shift",
    *(f"-Wl,--wrap={name}" for name in ("memcpy", "memmove", "memset")),
]
# Nothing is optimised: each line keeps instructions of its own, in the order of the source, and an `if` stays a branch. -O1 would merge,
# move and drop them, and the counts of single lines would be wrong.
# A `break` behind an `if` would even so be no more than the jump of the `if`: an empty piece of assembly gives it a block of its own.
BREAK = 'if (__builtin_is_constant_evaluated() || ({ __asm__ volatile(""); true; })) break; else (void)0'
LINES = ["-O0", "-fsanitize-coverage=trace-pc", f"-Dbreak={BREAK}"]
BUILDS = {"plain": PLAIN, "checked": CHECKED, "lines": LINES}
LIBRARIES = ["-nodefaultlibs", "-lm", "-lc", "-lgcc"]  # without the sanitizers' own: the machine answers the checker's calls
KEPT_DAYS = 30  # a library that nobody has loaded for so long is removed from the cache
ERRORS_SHOWN = 3


def library(code: str, options: tuple[str, ...], build: str) -> Path:
    """The library built of this text with these options (of which -I and -D count), from the cache if it is there. build: of BUILDS.

    Raises CompileError with the first errors of g++, EmulatorError where the emulator cannot run.
    """
    folders = [option for option in options if option.startswith("-I")]
    full = ["-DFULL_HEADERS"] if re.search(r"^\s*#\s*include\s*<", code, flags=re.MULTILINE) else []
    flags = [*COMMON, *BUILDS[build], *native(), "-DEMULATED", "-D__CUDA_ARCH__=900", *full, *folders]
    defined = "".join(map(definition, options))
    key = hashed(defined, code, headers(code, folders), machine_text(), " ".join([*flags, *LIBRARIES]), compiler_version(), processor())
    path = cache() / f"kernel-{key}.so"
    if fresh(path):
        return path
    say_once()
    name, lines = source.lines_of(code)
    numbered = f'{defined}#line 1 "{name}"\n{code}'
    preprocessed = compiled([*for_preprocessor(flags), "-E", "-P", "-x", "c++", "-"], numbered, name, lines)
    exports = "".join(f'EXPORT_KERNEL({k.name}, "{",".join(k.parameters)}", ({k.most_threads}))\n' for k in source.kernels(preprocessed))
    exports += f'EXPORT_SHARED_TYPES("{source.shared_types(preprocessed)}")\n'
    text = f'#include "cuda.h"\n{source.rewritten(numbered)}\n#line 1 "export.h"\n{exports}'
    with written(path) as target:
        where = [f"-fdebug-prefix-map={Path.cwd()}=."]
        linked = ["-x", "none", str(machine()), *LIBRARIES, "-o", target]
        compiled([*flags, *where, f"-I{MACHINE}", "-x", "c++", "-", *linked], text, name, lines)
    return path


@functools.cache
def machine() -> Path:
    """The library that plays the GPU, built if it is not in the cache."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise EmulatorError(f"{NEEDS}, not on {platform.system()} {platform.machine()}: take --device cpu, or a Linux machine")
    path = cache() / f"machine-{hashed(machine_text(), compiler_version())}.so"
    if not fresh(path):
        text = "".join(f'#include "{file.name}"\n' for file in sorted(MACHINE.glob("*.cpp")))  # one piece compiles faster than ten
        with written(path) as target:
            options = ["-std=gnu++20", "-O2", "-fPIC", "-shared", f"-I{MACHINE}", f"-Wl,-soname,{path}", "-o", target]
            compiled([*options, "-x", "c++", "-"], text, "", [])
    return path


@functools.cache
def say_once() -> None:
    """On a terminal, why the first run takes longer."""
    if sys.stderr.isatty():
        print(f"compiling for the emulator, each kernel on its first use; kept in {cache()}", file=sys.stderr, flush=True)


def compiled(arguments: list[str], text: str, name: str, lines: list[str]) -> str:
    """Run g++ with the text as its input; what it prints. Raises CompileError in the words of g++, with the lines it speaks of."""
    try:
        done = subprocess.run([compiler(), *arguments], input=text, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise EmulatorError(f"{NEEDS}, and {compiler()!r} cannot be started ({error.strerror}): apt-get install g++, or set CXX") from None
    if done.returncode == 0:
        return done.stdout
    found = re.findall(r"^(.+?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$", done.stderr, flags=re.MULTILINE)
    if not found:
        raise CompileError(f"{compiler()} failed:\n{done.stderr.strip()[-2000:]}")
    shown = []
    for file, line, what in found[:ERRORS_SHOWN]:
        shown.append(f"{file}:{line}: {what}")
        if file == name and 0 < int(line) <= len(lines):
            shown.append(f"    {lines[int(line) - 1].strip()}")
    more = f"\n(and {len(found) - ERRORS_SHOWN} more)" if len(found) > ERRORS_SHOWN else ""
    raise CompileError("\n".join(shown) + more)


def compiler() -> str:
    """The C++ compiler: $CXX, or g++."""
    return os.environ.get("CXX") or "g++"


def compiler_version() -> str:
    """What tells one compiler from another without starting it."""
    path = shutil.which(compiler())
    if path is None:
        raise EmulatorError(f"{NEEDS}, and there is no {compiler()!r}: apt-get install g++, or set CXX")
    real = os.path.realpath(path)
    return f"{real} {os.path.getsize(real)} {int(os.path.getmtime(real))}"


def native() -> list[str]:
    """The options that let g++ use all that this processor can do, and that let the machine find the shared memory.

    It asks the loader where a library's thread_local variables lie, who knows only those that are reached in the traditional way.
    """
    return ["-march=native", "-mtls-dialect=gnu"] if platform.machine() == "x86_64" else ["-mcpu=native", "-mtls-dialect=trad"]


@functools.cache
def processor() -> str:
    """What this processor can do: a cache in a home directory may be shared by machines that differ."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return " ".join(sorted({line for line in text.splitlines() if line.startswith(("flags", "Features", "model name"))}))


@functools.cache
def machine_text() -> str:
    """The text of the machine."""
    return "".join(path.read_text() for path in sorted(MACHINE.iterdir()) if path.suffix in (".h", ".cpp"))


def headers(code: str, options: list[str]) -> str:
    """The text of all files that `#include "..."` brings in, found as g++ finds them; the machine's own are hashed elsewhere."""
    folders = [Path(), *(Path(option[2:]) for option in options)]
    texts: dict[Path, str] = {}
    waiting = [code]
    while waiting:
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', waiting.pop(), flags=re.MULTILINE):
            path = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if path is not None and path not in texts:
                texts[path] = path.read_text()
                waiting.append(texts[path])
    return "".join(texts.values())


def definition(option: str) -> str:
    """`#define NAME VALUE` for -DNAME=VALUE: it comes behind the emulator's own headers, whose names it must not change."""
    name, _, value = option[2:].partition("=")
    return f"#define {name} {value or (1 if '=' not in option else '')}\n" if option.startswith("-D") else ""


def for_preprocessor(flags: list[str]) -> list[str]:
    """Of the options those that matter to the preprocessor."""
    return [flag for flag in flags if flag.startswith(("-D", "-I", "-std"))] + [f"-I{MACHINE}"]


def hashed(*texts: str) -> str:
    """A short name for these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]


def cache() -> Path:
    """Where libraries are kept: $XDG_CACHE_HOME/faceseed, or ~/.cache/faceseed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "faceseed"


def fresh(path: Path) -> bool:
    """Whether the library is there; its time is set to now, for it is in use."""
    try:
        os.utime(path)
    except OSError:
        return path.exists()
    return True


class written:
    """`with written(path) as name`: write the file `name`; at the end it takes its place as `path`, whole, whoever else writes it too."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> str:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            clear(self.path.parent)
            number, self.name = tempfile.mkstemp(suffix=".part", dir=self.path.parent)
        except OSError as error:
            what = f"{self.path.parent} cannot be written ({error.strerror})"
            raise EmulatorError(f"{what}: set XDG_CACHE_HOME to a folder that can") from None
        os.close(number)
        return self.name

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            os.chmod(self.name, 0o755)
            os.replace(self.name, self.path)
        else:
            os.unlink(self.name)


@functools.cache
def clear(folder: Path) -> None:
    """Once a process: remove what has not been used for a month."""
    for path in folder.iterdir():
        try:
            if path.suffix in (".so", ".part") and path.stat().st_mtime < time.time() - KEPT_DAYS * 86400:
                path.unlink()
        except OSError:
            pass  # somebody else was quicker
