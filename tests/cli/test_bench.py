"""`faceseed bench`: what it measures and what it writes. How long anything takes is not asked here."""

import io
import json
import sys
from contextlib import redirect_stdout
from types import SimpleNamespace

import cv2
import pytest

from models.cli import main
from models.measure import clock, memory, roofline
from models.measure.plan import Plan, build
from nn.cpu import conv

TINY = ["--width", "2", "--size", "32", "--batch", "2", "--rounds", "1"]
RUNGS = ["loops", "im2col", "blocked", "winograd2", "winograd4"]
WITHOUT = "not run: parity with PyTorch needs the extra, pip install '.[parity]'"


@pytest.fixture(scope="module")
def torch():
    """PyTorch on one thread: several would wait for each other longer than they compute on maps this small."""
    torch = pytest.importorskip("torch", reason=WITHOUT)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.measure.theirs.cores", lambda: 1)
        torch.set_num_threads(1)
        yield torch
    torch.set_num_threads(before)


def quick(patch):
    """Nothing here depends on how long something takes: no pauses, and a small load for the machine."""
    patch.setattr(clock, "PAUSE", 0)
    patch.setattr(roofline, "SIDE", 64)
    patch.setattr(roofline, "COPIED", (64, 1024))


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """In every test."""
    quick(monkeypatch)


@pytest.fixture(scope="module")
def bench(torch, tmp_path_factory):
    """A tiny run of everything but memory: its folder, its JSON and what it printed."""
    folder = tmp_path_factory.mktemp("bench") / "new" / "bench"
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        quick(patch)
        assert main(["bench", *TINY, "--what", "layers", "models", "ladder", "--out", str(folder)]) == 0
    return SimpleNamespace(folder=folder, printed=printed.getvalue(), **json.loads((folder / "bench.json").read_text()))


def tables(text):
    """The rows of every Markdown table in a text: [[cell, ...], ...] without the rule below the header."""
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            found.append([rows[0], *rows[2:]])
            rows = []
    return found


def close(cell, value):
    """A printed number has three digits, or three decimals."""
    return float(cell.removeprefix("≈ ")) == pytest.approx(value, rel=0.006, abs=0.00051)


# ---- what is written ----


def test_three_files(bench):
    assert sorted(path.name for path in bench.folder.iterdir()) == ["bench.json", "bench.md", "bench.png"]
    image = cv2.imread(str(bench.folder / "bench.png"))
    assert image.shape[1] == 900 and image.shape[0] > 900 and image.std() > 5
    assert bench.plan == {
        "models": ["cfpd", "corefan"],
        "batches": [2],
        "rounds": 1,
        "width": 2,
        "size": 32,
        "what": ["layers", "models", "ladder"],
    }
    assert bench.machine["gemm_gflops"] > 0 and bench.machine["copy_gb_s"] > 0
    assert list(bench.machine["facts"]) == ["cpu", "cores", "python", "numpy", "blas", "torch", "date"]
    assert all(bench.machine["facts"].values())


def test_the_page_holds_the_printed_tables(bench):
    page = (bench.folder / "bench.md").read_text()
    assert tables(page) == tables(bench.printed) and len(tables(page)) == 5
    assert [line for line in page.splitlines() if line.startswith("#")] == [
        "# Measured by `faceseed bench`",
        "## Machine",
        "## Layers",
        "## Models",
        "## Ladder",
    ]


def test_the_tables_show_the_json(bench):
    machine, times, limits, models, rungs = tables(bench.printed)
    assert close(dict(machine)["GEMM peak, GFLOP/s"], bench.machine["gemm_gflops"])
    for cells, row in zip(times[1:], bench.layers, strict=True):
        assert cells[0] == row["layer"]
        for k, stage in enumerate(("forward", "backward", "both" if "both" in row["ours"] else "step")):
            ours, theirs, ratio = cells[2 + 3 * k : 5 + 3 * k]
            if stage in row["ours"]:
                assert close(ours, row["ours"][stage]["median"]) and close(ratio, row["ratio"][stage])
                assert close(theirs, row["pytorch"][row["fastest"][stage]][stage]["median"])
            else:
                assert (row["layer"], ours, theirs, ratio) == ("Adam", "", "", "")
    for cells, row in zip(limits[1:], bench.layers, strict=True):
        stage = "both" if "both" in row["ours"] else "step"
        assert close(cells[3], row["bytes"][stage] / 1e6) and close(cells[4], row["limit_ms"][stage])
        assert cells[5:] == [f"{100 * row['share'][side][stage]:.0f} %" for side in ("ours", "pytorch")]
    for cells, row in zip(models[1:], bench.models, strict=True):
        assert cells[:2] == [f"{row['model']} {row['what']}", "2"] and cells[5] == row["fastest"][row["what"]]
        assert close(cells[2], row["ours"][row["what"]]["median"]) and close(cells[4], row["ratio"][row["what"]])
    lines = iter(rungs[1:])
    for row in bench.ladder:
        for name, of in row["rungs"].items():
            cells = next(lines)
            assert cells[1] == name and cells[3].startswith("≈") == of["extrapolated"]
            assert (
                close(cells[2], of["multiplications"])
                and close(cells[3], of["forward"]["median"])
                and close(cells[4], of["backward"]["median"])
            )
        assert next(lines)[1] == "PyTorch"


def test_ratios_are_ours_over_the_fastest_of_theirs(bench):
    for row in [*bench.layers, *bench.models]:
        for stage, ours in row["ours"].items():
            theirs = {name: of[stage]["median"] for name, of in row["pytorch"].items()}
            assert theirs[row["fastest"][stage]] == min(theirs.values())
            assert row["ratio"][stage] == pytest.approx(ours["median"] / min(theirs.values()))
            assert 0 < ours["min"] <= ours["median"] <= ours["max"] and ours["rounds"] == 1


def test_both_memory_formats_stand_in_the_json(bench):
    formats = ["channels_first", "channels_last"]
    for row in bench.layers:
        ways = ["default", "foreach", "fused"] if row["layer"] == "Adam" else formats if len(row["inputs"][0]) == 4 else ["default"]
        assert list(row["pytorch"]) == ways
    for row in bench.models:
        assert list(row["pytorch"]) == (formats if row["what"] == "step" else [*formats, *(f"{name}, folded" for name in formats)])
        assert row["what"] == "forward" or row["adam"] in ("default", "foreach", "fused")


# ---- what is measured ----


def test_every_distinct_layer_once(bench):
    """Tables 1 and 4 at width 2 and 32 px: COREFAN's first six convolutions are CFPD's."""
    maps = [(1, 2, 32), (2, 2, 32), (2, 4, 16), (4, 4, 16), (4, 8, 8), (8, 8, 8), (8, 16, 4), (16, 16, 4)]  # C -> O at this size
    outputs = [(2, 32), (4, 16), (8, 8), (16, 4)]
    expected = [(f"{kind} {C} → {O}", [[2, S, S, C]]) for kind in ("block", "Conv2D") for C, O, S in maps]
    expected += [(kind, [shape]) for kind in ("BatchNorm", "ReLU") for shape in ([[2, S, S, O] for O, S in outputs] + [[2, 4], [2, 16]])]
    expected += [("MaxPool2D", [[2, S, S, O]]) for O, S in outputs]
    dense = [("4 → 16", 2, 4), ("128 → 4", 2, 128), ("64 → 16", 2, 64), ("16 → 50", 2, 16), ("16 → 10", 96, 16)]  # the last for 48 steps
    expected += [(f"Dense {name}", [[N, D]]) for name, N, D in dense]
    expected += [("Dropout", [[2, 128]]), ("Dropout", [[2, 64]]), ("SeededLSTM 10 → 16", [[2, 5, 10], [2, 16]])]
    expected += [("Adam", [[1794]]), ("Adam", [[9890]])]
    assert sorted((row["layer"], row["inputs"]) for row in bench.layers) == sorted(expected)
    for row in bench.layers:
        assert row["first"] == (row["layer"] in ("block 1 → 2", "Conv2D 1 → 2"))
    (shared,) = (row["where"] for row in bench.layers if row["layer"] == "Conv2D 4 → 8")
    assert shared == ["cfpd conv5", "corefan cnn.conv5"]


def test_adam_walks_over_every_weight(bench):
    for name, row in zip(("cfpd", "corefan"), bench.layers[-2:], strict=True):
        assert row["where"] == [name] and row["output"] == [sum(p.value.size for p in build(name, 2, 32).parameters().values())]


def test_limits_and_shares(bench):
    peak, bandwidth = bench.machine["gemm_gflops"] * 1e9, bench.machine["copy_gb_s"] * 1e9
    for row in bench.layers:
        for stage in row["limit_ms"]:
            if stage != "both":
                assert row["limit_ms"][stage] == pytest.approx(1000 * max(row["flops"][stage] / peak, row["bytes"][stage] / bandwidth))
            assert row["share"]["ours"][stage] == pytest.approx(row["limit_ms"][stage] / row["ours"][stage]["median"])
            best = min(of[stage]["median"] for of in row["pytorch"].values())
            assert row["share"]["pytorch"][stage] == pytest.approx(row["limit_ms"][stage] / best)
        if "both" in row["ours"]:
            for numbers in (row["flops"], row["bytes"], row["limit_ms"]):
                assert numbers["both"] == pytest.approx(numbers["forward"] + numbers["backward"])
    (row,) = (row for row in bench.layers if row["layer"] == "Conv2D 2 → 4")
    assert row["flops"]["forward"] == 2 * (2 * 16 * 16 * 4) * (9 * 2)
    assert row["bytes"]["forward"] == 4 * (2 * 16 * 16 * 2 + 4 * 9 * 2 + 2 * 16 * 16 * 4)


# ---- the ladder ----


def test_rungs_in_climbing_order(bench):
    assert [(row["channels"], row["size"], row["batch"]) for row in bench.ladder] == [(2, 32, 2), (4, 16, 2), (8, 8, 2), (16, 4, 2)]
    assert ["loops", *conv.RUNGS] == RUNGS
    for row in bench.ladder:
        assert list(row["rungs"]) == RUNGS
        assert [of["extrapolated"] for of in row["rungs"].values()] == [True, False, False, False, False]
        assert [of["multiplications"] for of in row["rungs"].values()] == [k * row["channels"] for k in (9, 9, 9, 4, 2.25)]
        assert list(row["pytorch"]) == ["channels_first", "channels_last"]


# ---- without PyTorch ----


@pytest.mark.skipif(not memory.STATUS.exists(), reason="not run: reads Linux's /proc")
def test_without_pytorch_ours_alone(faceseed, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)  # the import raises ImportError
    (tmp_path / "bench.png").write_text("of an older run")
    code, out, err = faceseed("bench", *TINY, "--models", "cfpd", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if "PyTorch is not installed" in line] == [
        'PyTorch is not installed (pip install -e ".[parity]" brings it): measuring ours alone'
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.md"]
    found = json.loads((tmp_path / "bench.json").read_text())
    assert list(found) == ["plan", "machine", "layers", "models", "ladder", "memory"]
    for row in [*found["layers"], *found["models"]]:
        assert row["pytorch"] == row["ratio"] == row["fastest"] == {} and all(times["median"] > 0 for times in row["ours"].values())
    assert [(row["ours"]["rise"] > 0, row["pytorch"], row["ratio"]) for row in found["memory"]] == [(True, {}, None)]
    assert {row["model"] for row in found["models"]} == {"cfpd"} and [row["pytorch"] for row in found["ladder"]] == [{}] * 4


# ---- what cannot be ----


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", 40], ["--size 40", "multiple of 16"]),
        (["--size", 12, "--models", "cfpd"], ["--size 12", "multiple of 8"]),
        (["--size", 0], ["--size 0"]),
        (["--width", 0], ["--width 0", "1 or more"]),
        (["--rounds", 0], ["--rounds 0"]),
        (["--batch", 4, 0], ["--batch 0"]),
        (["--out", "file"], ["file", "cannot be made", "--out"]),
        (["--out", "file/bench"], ["file/bench", "cannot be made", "--out"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) and str(value[0]).startswith("--") else "",
)
def test_refused_before_anything_is_measured(options, words, faceseed, monkeypatch, tmp_path):
    monkeypatch.setattr("models.bench.measure_machine", lambda: pytest.fail("measured"))
    (tmp_path / "file").write_text("precious")
    code, out, err = faceseed("bench", *options)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert all(word in err for word in words)
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "precious"


def test_nothing_is_written_where_the_two_differ(torch, faceseed, monkeypatch, tmp_path):
    from models.measure.pytorch import twin

    def disturbed(*given):
        module = twin(*given)
        with torch.no_grad():
            for weight in module.parameters():
                weight.mul_(1.1)
        return module

    monkeypatch.setattr("models.measure.theirs.twin", disturbed)
    code, _, err = faceseed("bench", *TINY, "--what", "models", "--out", "new")
    assert code == 2 and "faceseed: cfpd: the outputs of PyTorch" in err and "nothing was timed" in err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(faceseed, monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("models.bench.ladder_rows", interrupted)
    code, _, err = faceseed("bench", *TINY, "--what", "ladder")
    assert (code, err) == (130, "\nfaceseed: stopped; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


def test_defaults(faceseed, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("models.bench.run", lambda *given: asked.append(given))
    assert faceseed("bench")[0] == 0
    (plan, out), *_ = asked
    assert plan == Plan() and str(out) == "runs/bench"
    assert (plan.batches, plan.batch, plan.width, plan.size) == ((1, 16, 64), 16, 64, 112)
