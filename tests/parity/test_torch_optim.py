"""SGD with momentum and Adam against torch.optim, step for step, on a rate that falls."""

import numpy as np
import pytest

import nn

torch = pytest.importorskip("torch", reason="not run: parity with PyTorch needs the extra, pip install '.[parity]'")


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda p: nn.SGD(p, 0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        (lambda p: nn.SGD(p, 0.1, momentum=0), lambda p: torch.optim.SGD(p, 0.1)),
        (lambda p: nn.Adam(p, 0.1), lambda p: torch.optim.Adam(p, 0.1)),
        (
            lambda p: nn.Adam(p, 0.1, beta1=0.7, beta2=0.95, epsilon=1e-3),
            lambda p: torch.optim.Adam(p, 0.1, betas=(0.7, 0.95), eps=1e-3),
        ),
    ],
    ids=["momentum", "plain", "adam", "adam with other constants"],
)
def test_five_steps(ours, theirs, dtype, tolerance, rng):
    values = {"w": rng.normal(size=(3, 4)).astype(dtype), "b": rng.normal(size=4).astype(dtype)}
    parameters = {name: nn.Parameter(value.copy()) for name, value in values.items()}
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
    optimizer, reference = ours(parameters), theirs(list(tensors.values()))
    for step in range(5):
        optimizer.lr = reference.param_groups[0]["lr"] = 0.1 * 0.5**step
        for name, parameter in parameters.items():
            parameter.grad[...] = rng.normal(size=parameter.grad.shape)
            tensors[name].grad = torch.tensor(parameter.grad)
        optimizer.step()
        reference.step()
        for name, parameter in parameters.items():
            np.testing.assert_allclose(parameter.value, tensors[name].detach(), rtol=tolerance, atol=tolerance)
