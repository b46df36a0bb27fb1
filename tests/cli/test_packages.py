"""Imports run one way, models -> nn, and heavy packages are loaded when they are used."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import models
import nn

ROOT = Path(nn.__file__).parents[1]
HEAVY = {"cupy", "cv2", "dlib", "matplotlib", "onnx", "torch"}


def imports(folder):
    """(file, full name of what it imports) for every import statement below a folder, those inside functions too."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = path.relative_to(ROOT).with_suffix("").parts[: -node.level] if node.level else ()
                yield from ((path, ".".join([*package, *filter(None, [node.module]), name.name])) for name in node.names)


def strangers(folder, *allowed):
    """Imports below a folder of anything but the standard library and what is allowed, by the beginning of its name."""
    return [
        (str(path.relative_to(ROOT)), name)
        for path, name in imports(folder)
        if name.split(".")[0] not in sys.stdlib_module_names and not any(f"{name}.".startswith(f"{known}.") for known in allowed)
    ]


def test_the_walk_sees_imports():
    found = {name for path, name in imports("nn") if path.name == "lstm.py" and path.parent.name == "cpu"}
    assert {"numpy", "nn.cpu.product.product"} <= found
    assert ("models/faces/opencv.py", "cv2") in strangers("models", "nn", "models", "numpy", "matplotlib", "threadpoolctl")


def test_nn_knows_nothing_of_faces():
    assert strangers("nn", "nn", "numpy", "threadpoolctl", "tqdm", "cupy") == []


def test_cupy_has_one_door():
    assert {str(path.relative_to(ROOT)) for path, name in imports("nn") if name.split(".")[0] == "cupy"} == {"nn/gpu/launch.py"}


def test_the_rooms_know_nothing_of_the_house():
    """No room imports what stands above it; the reference nothing of nn at all, or it would be no witness."""
    assert strangers("nn/cpu", "nn.cpu", "numpy", "threadpoolctl") == []
    assert strangers("nn/reference", "nn.reference", "numpy") == []
    assert strangers("nn/gpu", "nn.gpu", "nn.emulator", "nn.errors", "numpy", "cupy") == []
    assert strangers("nn/emulator", "nn.emulator", "nn.gpu.signature", "nn.errors", "nn.files", "nn.checkpoint.array_of", "numpy") == []


def test_models_know_nothing_of_tutorials():
    assert strangers("models", "models", "nn", "numpy", "matplotlib", "threadpoolctl", "cv2", "tqdm", "torch", "onnx", "dlib") == []


def test_pytorch_is_measured_and_compared_with_and_nothing_else():
    assert {path.relative_to(ROOT).parts[:2] for path, name in imports("models") if name.split(".")[0] == "torch"} == {
        ("models", "bench.py"),
        ("models", "interchange"),
        ("models", "measure"),
    }
    assert not [name for _, name in imports("nn") if name.split(".")[0] == "torch"]


def test_opencv_has_one_door():
    assert {path.name for path, name in imports("models") if name.split(".")[0] == "cv2"} == {"opencv.py"}


@pytest.mark.parametrize("module", ["nn", "nn.gradcheck", "nn.training", "models.cli", "models.cfpd", "models.corefan", "models.settings"])
def test_nothing_heavy_is_loaded(module):
    """In a Python of its own; what the command's --help needs is as little."""
    code = f"import sys, json, {module}; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not HEAVY & set(json.loads(loaded))
    if module.startswith("nn"):
        assert "models" not in json.loads(loaded)


def test_help_loads_nothing_heavy():
    code = "import sys\nfrom models.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "gradcheck" in out
    assert not any(f"'{name}'" in out for name in (*HEAVY, "models.runs", "models.tasks"))


def test_a_strangers_nn_is_told(faceseed, monkeypatch):
    monkeypatch.setattr("models.cli.nn", SimpleNamespace(__file__="/elsewhere/nn/__init__.py"))
    code, _, err = faceseed("train", "sine")
    assert code == 2
    assert err == (
        f"faceseed: `nn` and `models` come from different places, {' and '.join(sorted(['/elsewhere', str(ROOT)]))}; "
        "install faceseed in its own environment\n"
    )
    assert Path(models.__file__).parents[1] == ROOT
