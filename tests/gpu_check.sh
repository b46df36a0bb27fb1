#!/usr/bin/env bash
# All that wants a GPU, in one command and within eight minutes: bash tests/gpu_check.sh [FOLDER for the results; docs if none is given]
#
#   the kernel tests on the GPU, faceseed doctor, compute-sanitizer where it is installed, and the benchmark, which writes
#   gpu-results.md and gpu-results.json. PYTHON names the interpreter; nothing but its packages needs to be installed.
#
# Exit code 0: all right, 1: something is wrong, 2: a package is missing, 3: no GPU, nothing was run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
out=${1:-docs}
python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD"
failed=()

stage() {  # stage NAME SECONDS COMMAND...: run it, and remember whether it failed
    local name=$1 limit=$2 start=$SECONDS code=0
    shift 2
    echo "== $name"
    timeout "$limit" "$@" || code=$?
    [ "$code" = 124 ] && echo "stopped after $limit s"
    [ "$code" = 0 ] || failed+=("$name (exit code $code)")
    echo "== $name: exit code $code, $((SECONDS - start)) s"
    echo
}

kernel_tests() {  # a test that was skipped for want of a GPU is a failure here
    "$python" -m pytest -q -rs -p no:cacheprovider tests/kernels -k cuda 2>&1 | tee "$log" | tail -n 40
    local code=${PIPESTATUS[0]}
    if grep -q "not run: no GPU here" "$log"; then
        echo "the tests saw no GPU"
        return 1
    fi
    return "$code"
}

sanitized() {  # sanitized TOOL: without CuPy's memory pool, so that the end of an array is the end of an allocation
    compute-sanitizer --tool "$1" --error-exitcode 1 "$python" -c \
        'import cupy; cupy.cuda.set_allocator(None); from models.doctor import run; raise SystemExit(run("cuda", tiny=True))' 2>&1 |
        tee "$log" | tail -n 15
    local code=${PIPESTATUS[0]}
    if grep -q -i "device not supported" "$log"; then
        echo "not run: compute-sanitizer does not support this machine"
        return 0
    fi
    return "$code"
}

if ! nvidia-smi 2> /dev/null; then
    echo "no GPU here (nvidia-smi finds none): nothing was run"
    exit 3
fi
missing=$("$python" - <<'EOF'
import importlib.util
names = {"numpy": "numpy", "cupy": "cupy-cuda12x[ctk] or cupy-cuda13x[ctk]", "threadpoolctl": "threadpoolctl", "pytest": "pytest",
         "hypothesis": "hypothesis"}
print(", ".join(package for name, package in names.items() if importlib.util.find_spec(name) is None))
EOF
) || exit 2
if [ -n "$missing" ]; then
    echo "missing, install with pip: $missing"
    exit 2
fi
if ! "$python" -c 'import cupy; cupy.cuda.Device().compute_capability'; then
    echo "no GPU that CuPy can use: nothing was run; python -m models.cli doctor says what to do"
    exit 3
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export -f kernel_tests sanitized
export log python
stage "kernel tests" 180 bash -c kernel_tests
stage "faceseed doctor" 45 "$python" -c 'from models.doctor import run; raise SystemExit(run("cuda"))'
if command -v compute-sanitizer > /dev/null; then
    for tool in memcheck racecheck synccheck; do
        stage "compute-sanitizer $tool" 30 bash -c "sanitized $tool"
    done
else
    echo "compute-sanitizer is not installed: not run"
fi
left=$((480 - SECONDS))
stage "benchmark" "$left" "$python" -m models.measure.gpu --seconds $((left - 60)) --out "$out"

if [ ${#failed[@]} -gt 0 ]; then
    printf 'WRONG: %s\n' "${failed[@]}"
    exit 1
fi
echo "all right"
