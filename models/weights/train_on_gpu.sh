#!/usr/bin/env bash
# The largest COREFAN, trained on a GPU in one call of at most nine minutes:
#
#   bash models/weights/train_on_gpu.sh DATA OUT [DEVICE [MORE...]]
#
# DATA: a folder of photos with .pts files, or a file that `faceseed data pack` made. OUT gets the weights (at most 16 MB in half precision),
# metrics.jsonl, the pictures and the errors of the validation fold (oracle and detector crops, plain and with the mirror). DEVICE is cuda if
# not given; MORE are options of `faceseed train`, e.g. --set net.width=4, to try the script itself without a GPU. PYTHON names the interpreter.
#
# Training is stopped after 440 s wherever it stands: the best epoch until then is what is kept.
# Exit code 0: all there, 1: no epoch was finished, 2: DATA or OUT is missing, or OUT exists.
set -uo pipefail
if [ $# -lt 2 ] || [ ! -e "$1" ] || [ -e "$2" ]; then
    echo "usage: bash $0 DATA OUT [DEVICE [MORE...]]: DATA must exist, OUT must not" >&2
    exit 2
fi
data=$(realpath "$1") out=$(realpath -m "$2") device=${3:-cuda}
shift $(($# < 3 ? $# : 3))
cd "$(dirname "$0")/../.." || exit 2
faceseed() { "${PYTHON:-python3}" -m models.cli "$@"; }
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD"
mkdir -p "$out"

timeout --signal=INT 440 "${PYTHON:-python3}" -m models.cli train corefan --preset paper --data "$data" --device "$device" --out "$out/run" \
    --set views=1 --set epochs=60 --set patience=60 --set net.dropout=0.2 --set optim.lr=0.002 --set 'optim.schedule="cosine"' \
    --set optim.average=0.998 --set augment.shift=3.5 --set augment.scale=0.08 "$@" | tee "$out/train.log"
[ -f "$out/run/best.npz" ] || exit 1
cp "$out/run/metrics.jsonl" "$out/run/config.json" "$out"
cp "$out"/run/*.png "$out" 2> /dev/null || echo "stopped before its end: no pictures"
faceseed weights "$out/run" "$out/corefan.npz"
for crops in oracle detector; do
    for mirrored in "" --mirrored; do
        faceseed evaluate "$out/corefan.npz" --data "$data" --crops $crops $mirrored --json "$out/$crops$mirrored.json"
    done
done
rm -r "$out/run"
