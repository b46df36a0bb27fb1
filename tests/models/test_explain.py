"""What `faceseed explain` computes: gates, windows, seeding numbers, filters, saliency, errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.corefan import Corefan
from models.explain.activations import feature_maps, first_filters, liveliest
from models.explain.errors import landmark_errors
from models.explain.face import Face
from models.explain.recurrent import seeds_and_features, settled, trace
from models.explain.saliency import jacobian, part_maps
from models.explain.seeds import AMOUNTS, effect, moved, spread
from models.faces.augment import Augmentation
from models.faces.head import MEAN
from models.faces.landmarks import PARTS
from models.faces.metrics import errors
from models.faces.sequences import READOUTS, window_indices

READINGS = [
    {},
    {"injection": "first"},
    {"readout": "newest"},
    {"readout": "point"},
    {"seeding": "window"},
    {"feed": "window"},
    {"feed": "window", "seeding": "window", "readout": "newest"},
]


def small_corefan(size=32, dtype="float64", **reading):
    """As after some training: running statistics are no longer 0 and 1, and no bias is 0."""
    rng = np.random.default_rng(3)
    model = Corefan(2, 6, size=size, dropout=0.5, rng=rng, **reading).astype(dtype)
    for name, member in model.buffers().items():
        if name.endswith("variance"):
            member.value += rng.uniform(-0.5, 1, member.value.shape).astype(dtype)
        elif member.value.ndim == 1:
            member.value += 0.3 * rng.normal(size=member.value.shape).astype(dtype)
    model.cnn.fc1.norm.gamma.value *= 0.02  # an untrained CNN's features are large, and gates would be shut
    return model.evaluate()


@pytest.fixture
def image(rng):
    return rng.normal(size=(1, 32, 32, 1))


@pytest.fixture
def face(image):
    """A face about the middle of a frame of 32 px, cut out of a photo that is twice as large."""
    photo = np.random.default_rng(1).integers(256, size=(64, 64)).astype(np.uint8)
    points = MEAN * 0.09 + 15.5
    return Face(photo, np.diag([0.5, 0.5, 1]), image, points, None)


# ---- the recurrent half ----


@pytest.mark.parametrize("reading", READINGS)
def test_the_trace_is_what_the_model_computes(rng, reading):
    model = small_corefan(**reading)
    images = rng.normal(size=(3, 32, 32, 1))
    seeds, features = seeds_and_features(model, images)
    found = trace(model, seeds, features)
    np.testing.assert_allclose(found.points, model.forward(images), rtol=1e-10, atol=1e-10)
    if model.feed == "constant":
        np.testing.assert_allclose(found.hidden, model.lstm.forward(seeds, features), rtol=1e-10, atol=1e-12)
    T = len(window_indices(reading.get("readout", "mean")))
    assert found.gates.shape == (3, T, 4, 6) and found.cell.shape == found.hidden.shape == (3, T, 6)


def test_the_trace_in_float32_at_full_size():
    model = small_corefan(size=112, dtype="float32")
    image = np.random.default_rng(0).normal(size=(1, 112, 112, 1)).astype(np.float32)
    seeds, features = seeds_and_features(model, image)
    np.testing.assert_allclose(trace(model, seeds, features).hidden, model.lstm.forward(seeds, features), atol=1e-6)


def test_gates_are_those_of_the_recurrence(image):
    """c_t = f c_{t-1} + i g, h_t = o tanh(c_t + u_t), and the forget gate is the second of four."""
    model = small_corefan()
    seeds, features = seeds_and_features(model, image)
    found = trace(model, seeds, features)
    i, f, g, o = np.moveaxis(found.gates[0], 1, 0)  # (T, U)
    before = np.concatenate([np.zeros((1, 6)), found.cell[0, :-1]])
    np.testing.assert_allclose(found.cell[0], f * before + i * g, rtol=1e-12)
    u = np.stack([model.lstm.feature_weight.value[p] @ features[0] + model.lstm.feature_bias.value[p] for p in model.lstm.part_of_step])
    np.testing.assert_allclose(found.hidden[0], o * np.tanh(found.cell[0] + u), rtol=1e-10)
    w, b = model.lstm.weight.value, model.lstm.bias.value
    h = np.concatenate([np.zeros((1, 6)), found.hidden[0, :-1]])
    for t, part in enumerate(model.lstm.part_of_step):
        forget = w[6:12] @ np.r_[h[t], seeds[0, part]] + b[6:12]
        np.testing.assert_allclose(f[t], 1 / (1 + np.exp(-forget)), rtol=1e-10)


@pytest.mark.parametrize("readout", READOUTS)
def test_settled_landmarks_do_not_change_any_more(rng, readout):
    """Later windows may say what they like: what is settled stays, and all else would move."""
    model = small_corefan(readout=readout)
    indices = window_indices(readout)
    T, K = indices.shape
    windows = rng.normal(size=(T, K, 2))
    points = model.matrix @ windows.reshape(T * K, 2)
    for step in range(T + 1):
        changed = windows.copy()
        changed[step:] += rng.uniform(1, 2, (T - step, K, 2))
        same = (points == model.matrix @ changed.reshape(T * K, 2)).all(1)
        np.testing.assert_array_equal(settled(model, step), same)
    assert not settled(model, 0).any() and settled(model, T).all()
    if readout == "mean":
        assert np.flatnonzero(settled(model, 3)).tolist() == [0, 1, 2]
        assert np.flatnonzero(settled(model, 13)).tolist() == list(range(17))  # the chin's last window settles five


# ---- seeding numbers ----


def test_a_moved_number_moves_its_part_and_those_after_it(face):
    model = small_corefan()
    unit = np.full((5, 10), 0.3)
    drawn = moved(model, face, unit)
    assert drawn.shape == (5, 10, len(AMOUNTS), 68, 2)
    np.testing.assert_allclose(drawn[:, :, 2], np.broadcast_to(model.forward(face.image), (5, 10, 68, 2)), rtol=1e-10)
    for part in range(5):
        goes = np.abs(drawn[part, :, -1] - drawn[part, :, 0]).max((0, 2))  # (68,)
        for other, indices in enumerate(PARTS.values()):
            assert (goes[indices] < 1e-12).all() if other < part else (goes[indices] > 1e-9).all()


def test_one_number_moves_by_its_own_unit(face, rng):
    model = small_corefan(feed="window", seeding="window")
    unit = rng.uniform(0.1, 1, (5, 10))
    drawn = moved(model, face, unit, np.array([-1.5, 3.0]))
    seeds, features = seeds_and_features(model, face.image)
    for part, k in ((0, 0), (2, 7), (4, 9)):
        for a, amount in enumerate((-1.5, 3.0)):
            other = seeds.copy()
            other[0, part, k] += amount * unit[part, k]
            np.testing.assert_allclose(drawn[part, k, a], trace(model, other, features).points[0], rtol=1e-10)


def test_effect_is_the_way_from_end_to_end():
    drawn = np.zeros((5, 10, 3, 68, 2))
    drawn[1, 2, 0, 5] = [-3, 0]
    drawn[1, 2, 2, 5] = [0, 4]
    drawn[1, 2, 1] = 99  # what lies between does not count
    expected = np.zeros((5, 10))
    expected[1, 2] = 5 / 68
    np.testing.assert_allclose(effect(drawn), expected, rtol=1e-12)


def test_spread_is_that_of_the_views(face, rng):
    model = small_corefan(dtype="float32")
    still = Augmentation(angle=0, scale=0, shift=0, copies=10**9)
    np.testing.assert_allclose(spread(model, face, still, rng), 0, atol=1e-5)
    little, much = (spread(model, face, Augmentation(angle=a, scale=0, shift=0), np.random.default_rng(0)) for a in (1, 30))
    assert little.shape == (5, 10) and (much > 0).all() and little.mean() < much.mean()


# ---- the convolutional half ----


def test_filters_are_what_conv1_applies(image):
    """In the middle of the frame: Σ w x + (β - s μ), rectified."""
    model = small_corefan()
    filters, norm = first_filters(model), model.cnn.conv1.norm
    assert filters.shape == (2, 3, 3)
    offset = norm.beta.value - norm.gamma.value * norm.mean.value / np.sqrt(norm.variance.value + norm.epsilon)
    patch = image[0, 9:12, 19:22, 0]
    expected = np.maximum((filters * patch).sum((1, 2)) + offset, 0)
    assert expected.any()
    np.testing.assert_allclose(feature_maps(model, image)["conv1"][10, 20], expected, rtol=1e-10)


def test_feature_maps_follow_table_4(image):
    model = small_corefan()
    maps = feature_maps(model, image)
    shapes = {name: maps[name].shape for name in ("conv1", "pool1", "conv4", "conv6", "conv8", "pool4", "fc1")}
    assert shapes == {
        "conv1": (32, 32, 2),
        "pool1": (16, 16, 2),
        "conv4": (16, 16, 4),
        "conv6": (8, 8, 8),
        "conv8": (4, 4, 16),
        "pool4": (2, 2, 16),
        "fc1": (16,),
    }
    np.testing.assert_array_equal(maps["fc1"], model.cnn.forward(image)[0])
    np.testing.assert_array_equal(maps["pool1"], maps["conv2"].reshape(16, 2, 16, 2, 2).max((1, 3)))


@given(st.permutations(range(6)), st.integers(1, 8))
def test_the_liveliest_channels_come_first(order, count):
    """A channel is lively by how much it varies, not by how bright it is."""
    checks = np.indices((4, 4)).sum(0) % 2
    maps = np.stack([checks * (k + 1) + 100 * (5 - k) for k in range(6)], axis=-1)[..., order]
    assert [order[k] for k in liveliest(maps, count)] == [5, 4, 3, 2, 1, 0][:count]


# ---- saliency ----


@pytest.mark.parametrize("reading", [{}, {"feed": "window", "seeding": "window"}])
def test_the_jacobian_against_differences(rng, reading):
    model = small_corefan(size=16, **reading)
    image = rng.normal(size=(1, 16, 16, 1))
    before = {name: value.copy() for name, value in model.state().items()}
    found = jacobian(model, image)
    assert found.shape == (68, 2, 16, 16)
    step = 1e-5
    for y, x in rng.integers(16, size=(25, 2)):
        nudge = np.zeros_like(image)
        nudge[0, y, x] = step
        slope = (model.forward(image + nudge) - model.forward(image - nudge))[0] / (2 * step)
        np.testing.assert_allclose(found[:, :, y, x], slope, rtol=1e-4, atol=1e-7)
    assert np.abs(found).max() > 1e-3
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, before[name])
    assert all(not layer.training and not layer.keeping for _, layer in model.layers())
    assert all(not parameter.grad.any() for parameter in model.parameters().values())


def test_a_part_map_is_the_length_of_a_column(rng):
    rows = rng.normal(size=(68, 2, 3, 3))
    maps = part_maps(rows)
    assert maps.shape == (5, 3, 3)
    for part, indices in enumerate(PARTS.values()):
        assert maps[part, 1, 2] == pytest.approx(np.linalg.norm(rows[indices, :, 1, 2]))


# ---- errors ----


def test_landmark_errors_average_to_the_inter_ocular_error(rng):
    true = MEAN + rng.normal(size=(68, 2))
    predicted = true + rng.normal(size=(68, 2))
    found = landmark_errors(predicted, true)
    assert found.mean() == pytest.approx(100 * errors(predicted[None], true[None])[0])
    predicted = true.copy()
    predicted[30] += [3, 4]
    expected = np.zeros(68)
    expected[30] = 500 / np.hypot(*(true[45] - true[36]))
    np.testing.assert_allclose(landmark_errors(predicted, true), expected)
