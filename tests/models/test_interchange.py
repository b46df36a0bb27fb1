"""ONNX files and PyTorch's modules compute what our models compute, to 1e-4 px, and state dicts come back to the bit."""

import cv2
import numpy as np
import pytest

from models.faces.augment import normalise_gray
from models.faces.geometry import frame, warp
from models.faces.synthetic import drawn_faces
from models.interchange.files import licence, read_state_dict
from models.interchange.state_dict import from_torch_names, to_torch_names
from models.runs import open_run
from models.settings import settings_for
from models.tasks import model_for, predict
from models.weights import shipped
from nn import InputError

READINGS = {
    "default": [],
    "window-fed": ['net.feed="window"'],
    "injected-first": ['net.injection="first"'],
    "newest": ['net.readout="newest"'],
    "points": ['net.readout="point"'],
    "seeds-drawn": ['net.seeding="window"'],
    "all-other": ['net.feed="window"', 'net.injection="first"', 'net.readout="newest"', 'net.seeding="window"'],
}
SMALL = ["net.width=3", "net.units=7", "net.size=32"]


def settings_of(model, changes=()):
    return settings_for(model, "paper", "", changes=[*SMALL, *changes])


MODELS = [pytest.param(settings_of("corefan", changes), id=name) for name, changes in READINGS.items()]
MODELS += [pytest.param(settings_of(name), id=name) for name in ("cfpd", "sine")]


def made_up(settings, seed=0):
    """A model in evaluation mode, none of whose arrays has its plain first values; averages differ from channel to channel."""
    rng, model = np.random.default_rng(seed), model_for(settings).evaluate()
    for name, array in model.state().items():  # the arrays themselves
        if array.ndim == 1 or "feature_bias" in name:
            array += 0.3 * rng.standard_normal(array.shape, np.float32)
        if "variance" in name:
            np.abs(array, out=array)
            array += 0.5
    return model


def inputs_of(settings, rng):
    """Four frames of gray levels, or windows of a wave; and what our model is shown of them."""
    if settings.model == "sine":
        windows = rng.standard_normal((4, 12, 1), np.float32)
        return windows, windows
    gray = rng.integers(0, 256, (4, settings.net.size, settings.net.size, 1), np.uint8)
    return gray, normalise_gray(gray)


def near(actual, expected):
    """To 1e-4 px; a sine's numbers are smaller than pixels."""
    np.testing.assert_allclose(actual, expected.reshape(actual.shape), rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def torch(request):
    module = pytest.importorskip("torch", reason="not run: parity with PyTorch needs the extra, pip install '.[parity]'")
    request.getfixturevalue("one_torch_thread")
    return module


def answer(torch, module, x):
    """A module's answer to one of our inputs."""
    with torch.inference_mode():
        return module.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x)).numpy()


def loaded(torch, settings, arrays):
    from models.interchange.modules import module_for

    module = module_for(settings)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()}, strict=True)
    return module


@pytest.mark.parametrize("settings", MODELS)
def test_their_module_with_our_weights(settings, torch, rng):
    model, (_, x) = made_up(settings), inputs_of(settings, rng)
    ours = predict(model, x)
    assert np.ptp(ours, axis=0).max() > 0.1  # it looks at what it is shown
    near(answer(torch, loaded(torch, settings, to_torch_names(model)), x), ours)


@pytest.mark.parametrize("settings", MODELS)
def test_our_model_with_their_weights(settings, torch, rng):
    """PyTorch's own first weights: both biases of an LSTM are drawn by chance."""
    from models.interchange.modules import module_for

    torch.manual_seed(1)
    module, model, (_, x) = module_for(settings), model_for(settings), inputs_of(settings, rng)
    for part in module.modules():
        if hasattr(part, "running_mean"):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    from_torch_names(model, {name: tensor.numpy() for name, tensor in module.state_dict().items()})
    near(predict(model, x), answer(torch, module, x))


@pytest.mark.parametrize("settings", MODELS)
def test_round_trips_to_the_bit(settings, torch, tmp_path):
    """Through a file, and through PyTorch."""
    model = made_up(settings)
    arrays = to_torch_names(model)
    np.savez(tmp_path / "file.npz", **arrays)
    torch.save(loaded(torch, settings, arrays).state_dict(), tmp_path / "file.pth")
    for name in ("file.npz", "file.pth"):
        read = read_state_dict(tmp_path / name)
        assert list(read) == list(arrays)
        back = model_for(settings)
        from_torch_names(back, read)
        for key, array in model.state().items():
            np.testing.assert_array_equal(back.state()[key], array, strict=True)


def test_names_and_layouts_are_pytorchs():
    arrays = to_torch_names(made_up(settings_of("corefan")))
    W, U = 3, 7
    expected = {
        "cnn.conv1.conv.weight": (W, 1, 3, 3),
        "cnn.conv4.conv.weight": (2 * W, 2 * W, 3, 3),
        "cnn.conv8.norm.running_var": (8 * W,),
        "cnn.conv8.norm.num_batches_tracked": (),
        "cnn.fc1.dense.weight": (8 * W, 2 * 2 * 8 * W),
        "fc2.weight": (50, 8 * W),
        "lstm.cell.weight_ih": (4 * U, 10),
        "lstm.cell.weight_hh": (4 * U, U),
        "lstm.cell.bias_ih": (4 * U,),
        "lstm.cell.bias_hh": (4 * U,),
        "lstm.inject.4.weight": (U, 8 * W),
        "window.bias": (10,),
    }
    assert {name: arrays[name].shape for name in expected} == expected
    assert all(array.dtype == (np.int64 if name.endswith("tracked") else np.float32) for name, array in arrays.items())


def test_an_exported_array_is_a_copy():
    model = made_up(settings_of("cfpd"))
    before = model.fc2.bias.value.copy()
    for array in to_torch_names(model).values():
        array[...] = 0
    np.testing.assert_array_equal(model.fc2.bias.value, before)


# ---- by order: the layout of the authors' CFPD ----


def authors_cfpd(torch, width, size):
    """Their names and order: conv1_1, bn1_1, ... conv3_2, bn3_2, fc1, bn4, fc2; convolutions have biases; maps are flattened (C, H, W)."""
    nn, F = torch.nn, torch.nn.functional

    class Theirs(nn.Module):
        def __init__(self):
            super().__init__()
            inputs = 1
            for k, outputs in enumerate((width, 2 * width, 4 * width), 1):
                for j in (1, 2):
                    setattr(self, f"conv{k}_{j}", nn.Conv2d(inputs, outputs, 3, padding=1))
                    setattr(self, f"bn{k}_{j}", nn.BatchNorm2d(outputs))
                    inputs = outputs
            self.fc1, self.bn4 = nn.Linear((size // 8) ** 2 * inputs, 2 * width), nn.BatchNorm1d(2 * width)
            self.fc2 = nn.Linear(2 * width, 16)

        def forward(self, x):
            for k in (1, 2, 3):
                for j in (1, 2):
                    x = F.relu(getattr(self, f"bn{k}_{j}")(getattr(self, f"conv{k}_{j}")(x)))
                x = F.max_pool2d(x, 2)
            return self.fc2(self.bn4(F.relu(self.fc1(x.flatten(1)))))

    torch.manual_seed(2)
    module = Theirs()
    module.train()(torch.randn(8, 1, size, size) + 1)  # so that the averages are no longer 0 and 1
    return module


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_the_authors_layout(zipped, torch, tmp_path, rng):
    """In the form of torch.save of today, and of the PyTorch 0.4 that they used."""
    theirs = authors_cfpd(torch, 3, 32)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth", _use_new_zipfile_serialization=zipped)
    settings = settings_of("cfpd")
    model, (_, x) = model_for(settings), inputs_of(settings, rng)
    from_torch_names(model, read_state_dict(tmp_path / "theirs.pth"))
    near(predict(model, x), answer(torch, theirs, x))


# ---- ONNX ----


@pytest.fixture(scope="module")
def onnx():
    return pytest.importorskip("onnx", reason="not run: ONNX files need the extra, pip install '.[onnx]'")


def onnx_bytes(model, settings, photos=frozenset()):
    from models.interchange.graph import onnx_model

    return onnx_model(model, settings, licence(photos)).SerializeToString()


def run_onnx(content, inputs):
    """What onnxruntime answers to our inputs, whose maps (N, H, W, 1) it wants as (N, 1, H, W)."""
    runtime = pytest.importorskip("onnxruntime", reason="not run: needs the extra, pip install '.[parity]'")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(content, options)
    x = inputs.reshape(len(inputs), 1, *inputs.shape[1:3]) if inputs.ndim == 4 else inputs
    return session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})[0]


@pytest.mark.parametrize("settings", MODELS)
def test_onnxruntime_answers_as_we_do(settings, onnx, rng):
    model, (inputs, x) = made_up(settings), inputs_of(settings, rng)
    content = onnx_bytes(model, settings)
    onnx.checker.check_model(content, full_check=True)
    ours = predict(model, x)
    for count in (4, 1):  # the batch is free
        near(run_onnx(content, inputs[:count]), ours[:count])
    shape = {"sine": (4, 12, 1), "cfpd": (4, 4, 4), "corefan": (4, 68, 2)}[settings.model]
    assert run_onnx(content, inputs).shape == shape


@pytest.mark.parametrize("settings", [settings for settings in MODELS if settings.id != "sine"])
def test_opencv_answers_as_we_do(settings, onnx, rng):
    """A second runtime, which is here anyway."""
    model, (inputs, x) = made_up(settings), inputs_of(settings, rng)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(onnx_bytes(model, settings), np.uint8))
    net.setInput(cv2.dnn.blobFromImages(list(inputs)))
    near(net.forward(), predict(model, x))


@pytest.mark.parametrize("name", ["corefan", "cfpd"])
def test_trained_weights_on_faces(name, onnx, torch):
    """At the paper's size, where a landmark stands near 100 px and float32 ends at 8e-6."""
    try:
        run = open_run(shipped(name))
    except InputError as error:
        pytest.skip(f"not run: {error}")
    faces, size = drawn_faces(4, seed=3), run.settings.net.size
    gray = np.stack([warp(image, matrix, size) for image, matrix in zip(faces.images, frame(faces.landmarks, size), strict=True)])[
        ..., None
    ]
    ours = predict(run.model, normalise_gray(gray))
    near(run_onnx(onnx_bytes(run.model, run.settings), gray), ours)
    near(answer(torch, loaded(torch, run.settings, to_torch_names(run.model)), normalise_gray(gray)), ours)


def test_the_file_says_what_it_is(onnx):
    settings = settings_of("corefan")
    file = onnx.load_from_string(onnx_bytes(made_up(settings), settings, {"afw:1", "drawn-0-1"}))
    told = {entry.key: entry.value for entry in file.metadata_props}
    assert (told["model"], told["size"], told["training set"]) == ("corefan", "32", "augmented")
    assert "(N, 1, 32, 32)" in told["input"] and "gray levels 0 to 255" in told["input"] and "(N, 68, 2)" in told["output"]
    assert "research only" in told["licence"] and told["licence"] in file.doc_string
    assert {entry.name for entry in file.graph.initializer} >= {"cnn.conv1.conv.weight", "cnn.fc1.dense.bias", "lstm.inject.4.weight"}
    assert "drawn data alone" in licence({"drawn-0-1"}) and "drawn data alone" in licence(set())
