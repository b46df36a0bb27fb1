"""Training on a GPU, emulated or not, is the training on the CPU: same seed, same weights, five steps, dropout and all."""

import numpy as np
import pytest
from kernels.harness import has_gpu
from needs import needs_compiler

pytest.importorskip("cv2", reason="not run: faces are warped with OpenCV, pip install opencv-python")

from models.cfpd import cfpd
from models.corefan import Corefan
from models.faces.augment import view
from models.faces.boxes import part_boxes
from models.faces.landmarks import pupil_distance
from models.faces.synthetic import drawn_faces
from nn import Adam, LandmarkError, MeanSquaredError
from nn.gpu.rungs import prefer

STEPS, IMAGES, SIZE = 5, 4, 32
BARS = {"tf32x3": 1e-5, "igemm": 1e-5, "tf32": 2e-3}


@pytest.fixture(scope="module")
def batches():
    """Augmented faces and their landmarks."""
    faces, rng = drawn_faces(IMAGES * STEPS, 0), np.random.default_rng(1)
    return [view(faces, np.arange(k, k + IMAGES), "augmented", rng, size=SIZE) for k in range(0, IMAGES * STEPS, IMAGES)]


def boxes_learner():
    """CFPD: the model, its loss, and what the loss wants."""
    model = cfpd(4, size=SIZE, rng=np.random.default_rng(0))
    model.fc2.bias.value[...] = SIZE / 2
    return model, MeanSquaredError(), lambda points: (part_boxes(points).reshape(len(points), -1),)


def landmarks_learner():
    """COREFAN likewise."""
    return Corefan(4, 16, size=SIZE, rng=np.random.default_rng(0)), LandmarkError(), lambda points: (points, pupil_distance(points))


def trained(learner, batches, device):
    """Losses of the steps, and the weights after them."""
    model, loss, targets = learner()
    optimizer = Adam(model.to(device).parameters(), 1e-4)
    losses = []
    for images, points in batches:
        model.zero_grad()
        answer = model.forward(model.asarray(images))
        losses.append(loss.forward(answer, *map(model.asarray, targets(points))))
        model.backward(loss.backward())
        optimizer.step()
    return losses, model.state()


def distance(one, other):
    """Euclidean, over all arrays but fc-1's bias.

    Where a unit's ReLU is open in the whole batch, the batch norm behind it takes its bias out again: the gradient is 0 but for
    rounding, of which Adam makes whole steps, and nothing else of the model feels them.
    """
    names = [name for name in one if not name.endswith("fc1.dense.bias")]
    return np.sqrt(sum(np.square(one[name] - other[name], dtype=np.float64).sum() for name in names))


@pytest.mark.parametrize("learner", [boxes_learner, landmarks_learner], ids=["cfpd", "corefan"])
@pytest.mark.parametrize("rung", BARS)
@pytest.mark.parametrize("where", ["emulated", "cuda"])
def test_five_steps_agree_with_the_cpu(where, learner, rung, batches):
    if where == "emulated":
        needs_compiler()
    elif not has_gpu():
        pytest.skip("not run: no GPU here")
    losses, state = trained(learner, batches, "cpu")
    with prefer(conv=rung):
        their_losses, their_state = trained(learner, batches, where)
    np.testing.assert_allclose(their_losses, losses, rtol=BARS[rung])
    apart = distance(their_state, state)
    assert apart <= BARS[rung] * distance(state, {name: np.zeros_like(value) for name, value in state.items()})
    assert distance(state, learner()[0].state()) > 100 * apart  # it went far farther than they are apart
