"""`--device emulated`: training and gradient checks through the kernels, without a GPU."""

import json

import numpy as np
import pytest

from nn import checkpoint

pytestmark = pytest.mark.usefixtures("compiler")

TINY = ["--preset", "tiny", "--epochs", "1", "--set", "drawn=8", "--batch", "4"]


@pytest.mark.parametrize("model", ["sine", "cfpd", "corefan"])
def test_training_there_is_the_training_here(model, faceseed, tmp_path):
    what = TINY[:4] if model == "sine" else TINY
    rows, arrays = {}, {}
    for device, options in {"cpu": [], "emulated": ["--conv", "igemm"]}.items():
        code, out, err = faceseed("train", model, *what, "--device", device, *options, "--out", str(tmp_path / device))
        assert code == 0, err
        assert f"on {device}" in out and "pictures: " in out
        rows[device] = json.loads((tmp_path / device / "metrics.jsonl").read_text())
        arrays[device], _ = checkpoint.load(tmp_path / device / "best.npz")
    for name, value in rows["cpu"].items():
        if "second" not in name:
            # a rounding that turns a ReLU on or off moves the gradient, the loss hardly
            rel = 1e-2 if name.startswith(("gradient", "update")) else 1e-4
            assert rows["emulated"][name] == pytest.approx(value, rel=rel), name
    for name, value in arrays["cpu"].items():
        assert type(arrays["emulated"][name]) is np.ndarray and arrays["emulated"][name].shape == value.shape


def test_a_run_goes_on_elsewhere(faceseed, tmp_path):
    run = ["train", "sine", "--preset", "tiny", "--out", str(tmp_path / "run")]
    assert faceseed(*run, "--device", "emulated")[0] == 0
    code, out, _ = faceseed(*run, "--epochs", "2", "--resume")
    assert code == 0 and "epoch 2/2" in out
    assert faceseed("evaluate", str(tmp_path / "run"))[0] == 2  # a sine has no faces: but the run opens


def test_without_a_compiler_nothing_is_begun(faceseed, tmp_path, monkeypatch):
    from nn.emulator import compiler
    from nn.gpu import launch

    monkeypatch.setenv("CXX", "no-such-compiler")
    for cached in (launch.library_of, compiler.machine):
        cached.cache_clear()
    code, _, err = faceseed("train", "sine", "--preset", "tiny", "--device", "emulated", "--out", str(tmp_path / "run"))
    launch.library_of.cache_clear()
    assert code == 2 and "apt-get install g++" in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_gradients_of_the_kernels(faceseed, monkeypatch):
    from models import gradients

    few = [case for case in gradients.cases(np.random.default_rng(0)) if case[0] in ("Conv2D 3x3 same", "LSTM", "LandmarkError")]
    monkeypatch.setattr(gradients, "cases", lambda rng: few)
    code, out, _ = faceseed("gradcheck", "--device", "emulated")
    assert code == 0 and out.count("right") == 3


def test_a_trouble_of_the_gpu_gets_its_sentence(faceseed, monkeypatch):
    class OutOfMemoryError(MemoryError):
        """As cupy.cuda.memory has it."""

    def full(*_, **__):
        raise OutOfMemoryError("Out of memory allocating 1,073,741,824 bytes (allocated so far: 0 bytes).")

    monkeypatch.setattr("models.runs.train", full)
    code, _, err = faceseed("train", "sine", "--preset", "tiny")
    assert code == 2 and "memory is full" in err and "--batch" in err


def test_our_own_mistakes_are_not_dressed_up(faceseed, monkeypatch):
    def wrong(*_, **__):
        raise RuntimeError("no such thing")

    monkeypatch.setattr("models.runs.train", wrong)
    with pytest.raises(RuntimeError, match="no such thing"):
        faceseed("train", "sine", "--preset", "tiny")
