"""State dicts that do not fit, and files that hold none: one line that names the first misfit, and the model stays as it was."""

import re
import sys

import numpy as np
import pytest

from models.interchange.files import read_state_dict
from models.interchange.state_dict import from_torch_names, to_torch_names
from models.settings import settings_for
from models.tasks import model_for
from nn import InputError


def model_of(name, width=3):
    return model_for(settings_for(name, "paper", "", changes=[f"net.width={width}", "net.units=5", "net.size=32"]))


@pytest.fixture
def model():
    return model_of("cfpd")


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="not run: .pth files need PyTorch, pip install '.[parity]'")


def authors_arrays():
    """Names, order and shapes of the authors' CFPD at width 3 and size 32, in numbers by chance: 44 arrays and the counters."""
    rng, arrays, C = np.random.default_rng(0), {}, 1

    def add(name, *shape):
        arrays[name] = rng.random(shape, np.float32)

    def norm(name, O):
        for word in ("weight", "bias", "running_mean", "running_var"):
            add(f"{name}.{word}", O)
        arrays[f"{name}.num_batches_tracked"] = np.array(7)

    for k, O in enumerate((3, 6, 12), 1):
        for j in (1, 2):
            add(f"conv{k}_{j}.weight", O, C, 3, 3)
            add(f"conv{k}_{j}.bias", O)
            norm(f"bn{k}_{j}", O)
            C = O
    add("fc1.weight", 6, 192)
    add("fc1.bias", 6)
    norm("bn4", 6)
    add("fc2.weight", 16, 6)
    add("fc2.bias", 16)
    return arrays


def refused(model, arrays, words):
    """InputError with these words, in one line, and not an array changed, neither ours nor theirs."""
    before = {name: array.copy() for name, array in model.state().items()}
    theirs = {name: array.copy() for name, array in arrays.items()}
    with pytest.raises(InputError, match=re.escape(words)) as error:
        from_torch_names(model, arrays)
    assert "\n" not in str(error.value)
    for found, expected in ((model.state(), before), (arrays, theirs)):
        for name, array in found.items():
            np.testing.assert_array_equal(array, expected[name])


def test_a_bias_of_a_convolution_goes_into_the_running_mean(model):
    arrays = authors_arrays()
    given = {name: array.copy() for name, array in arrays.items()}
    from_torch_names(model, arrays)
    mean = given["bn2_1.running_mean"] - given["conv2_1.bias"]
    np.testing.assert_array_equal(model.state()["conv3.norm.mean"], mean)
    np.testing.assert_array_equal(arrays["bn2_1.running_mean"], given["bn2_1.running_mean"])  # theirs is theirs
    ours = to_torch_names(model)
    np.testing.assert_array_equal(ours["fc1.dense.weight"], given["fc1.weight"])
    assert all(ours[name] == 0 for name in ours if name.endswith("tracked"))


def test_a_bias_may_come_under_our_names_too(model):
    arrays = to_torch_names(model)
    bias = np.arange(6, dtype=np.float32)
    from_torch_names(model, arrays | {"conv3.conv.bias": bias})
    np.testing.assert_array_equal(model.state()["conv3.norm.mean"], arrays["conv3.norm.running_mean"] - bias)


def test_another_width_is_named(model):
    words = "'conv1.conv.weight' is float32 (2, 1, 3, 3), expected floating-point numbers (3, 1, 3, 3); is the model of another net.width"
    refused(model, to_torch_names(model_of("cfpd", 2)), words)


def test_another_model_is_named(model):
    words = "'cnn.conv7.conv.weight' in the place of 'fc1.dense.weight' is float32 (24, 12, 3, 3), expected floating-point numbers (6, 192)"
    refused(model, to_torch_names(model_of("corefan")), words)


def test_a_strange_array_is_named(model):
    refused(model, to_torch_names(model) | {"fc3.weight": np.zeros((2, 2))}, "holds 'fc3.weight' (2, 2), which this model does not have")


def test_integers_are_no_weights(model):
    arrays = to_torch_names(model) | {"fc2.bias": np.zeros(16, np.int64)}
    refused(model, arrays, "'fc2.bias' is int64 (16,), expected floating-point numbers (16,)")


def test_an_order_that_is_not_ours_is_named(model):
    """Sorted by name, vectors of one length change places: their last words tell."""
    arrays = authors_arrays()
    words = "its array 1 is 'bn1_1.bias' (3,), where 'conv1.conv.weight' (3, 1, 3, 3) should be; bring the arrays into that order"
    refused(model, dict(sorted(arrays.items())), words)
    names = list(arrays)
    k = names.index("bn1_1.running_mean")
    names[k], names[k + 1] = names[k + 1], names[k]
    refused(model, {name: arrays[name] for name in names}, "its array 5 is 'bn1_1.running_var' (3,)")


def test_another_size_is_named_by_both_names(model):
    arrays = authors_arrays() | {"fc1.weight": np.zeros((6, 768), np.float32)}
    refused(model, arrays, "'fc1.weight' in the place of 'fc1.dense.weight' is float32 (6, 768), expected floating-point numbers (6, 192)")


def test_too_few_and_too_many(model):
    arrays = authors_arrays()
    last = arrays.pop("fc2.bias")
    refused(model, arrays, "ends after 43 arrays, where 'fc2.bias' (16,) should follow")
    refused(model, arrays | {"fc2.bias": last, "fc3.weight": last}, "its array 45, 'fc3.weight' (16,), is one too many")
    refused(model, {}, "ends after 0 arrays, where 'conv1.conv.weight' (3, 1, 3, 3) should follow")


# ---- files ----


def test_files_that_are_no_npz(tmp_path):
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("weights")
    with open(tmp_path / "one.npz", "wb") as file:
        np.save(file, np.zeros(3))
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    np.savez(tmp_path / "short.npz", a=np.zeros(1000))
    (tmp_path / "short.npz").write_bytes((tmp_path / "short.npz").read_bytes()[:-300])
    for name in ("missing", "empty", "text", "one", "objects", "short"):
        with pytest.raises(InputError, match=rf"{name}.npz: no .npz that can be read \(.+\); give an .npz or .pth of a state dict"):
            read_state_dict(tmp_path / f"{name}.npz")


def test_files_that_hold_no_state_dict(torch, tmp_path):
    (tmp_path / "text.pth").write_text("weights")
    for name, content in (("list", [1, 2]), ("numbers", {"epoch": 3}), ("module", torch.nn.Linear(2, 2))):
        torch.save(content, tmp_path / f"{name}.pth")
    for name in ("missing", "text", "list", "numbers", "module"):
        with pytest.raises(InputError, match=rf"{name}.pth: holds no state dict that can be read \(.+\); save it by torch.save\("):
            read_state_dict(tmp_path / f"{name}.pth")


def test_an_npz_that_would_unpack_to_too_much(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(100_000, np.float32))
    assert (tmp_path / "bomb.npz").stat().st_size < 2000
    assert read_state_dict(tmp_path / "bomb.npz")["a"].shape == (100_000,)
    monkeypatch.setattr("models.interchange.files.UNPACKED", 400_000)
    with pytest.raises(InputError, match=r"bomb.npz: no .npz that can be read \(it would unpack to 0.0 GB\)"):
        read_state_dict(tmp_path / "bomb.npz")


def test_one_number_that_stands_for_many(torch, tmp_path):
    torch.save({"a": torch.zeros(1).expand(10**10)}, tmp_path / "many.pth")
    with pytest.raises(InputError, match=r"many.pth: holds no state dict that can be read \(too many numbers\)"):
        read_state_dict(tmp_path / "many.pth")


class Touch:
    """Whoever unpickles it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_no_code_of_a_pickle_is_run(torch, tmp_path):
    torch.save({"a": Touch(tmp_path / "made")}, tmp_path / "code.pth")
    with pytest.raises(InputError, match="holds no state dict that can be read"):
        read_state_dict(tmp_path / "code.pth")
    assert not (tmp_path / "made").exists()


def test_half_precision_is_read(torch, tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    torch.save({"a": weight.bfloat16(), "b": weight.half(), "c": torch.tensor(3)}, tmp_path / "half.pth")
    read = read_state_dict(tmp_path / "half.pth")
    np.testing.assert_array_equal(read["a"], weight.numpy(), strict=True)
    np.testing.assert_array_equal(read["b"], weight.numpy(), strict=True)
    assert read["c"].dtype == np.int64


def test_without_pytorch_the_hint_makes_an_npz(torch, tmp_path, monkeypatch):
    state = {name: torch.from_numpy(array) for name, array in authors_arrays().items()}
    torch.save(state, tmp_path / "theirs.pth")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "torch", None)
        with pytest.raises(InputError, match="takes PyTorch") as error:
            read_state_dict(tmp_path / "theirs.pth")
    monkeypatch.chdir(tmp_path)
    exec(str(error.value).partition("run: ")[2], {})
    read = read_state_dict(tmp_path / "theirs.npz")
    assert list(read) == list(state)
    for name, array in read.items():
        np.testing.assert_array_equal(array, state[name].numpy())
