"""Our arrays by PyTorch's names and in its layouts, and back.

Each of PyTorch's arrays is a view of one of ours:

    filters               ours (O, R, S, C)           theirs (O, C, R, S)
    dense after a map     ours (O, H W C)             theirs (O, C H W), because their maps are (N, C, H, W)
    LSTM                  ours (4U, U+D) and (4U,)    theirs weight_ih (4U, D), weight_hh (4U, U), bias_ih, bias_hh; both i, f, g, o
    batch norm            gamma, beta, mean, variance are weight, bias, running_mean, running_var
    W_ih_n, b_ih_n        ours (P, U, F) and (P, U)   theirs a Linear a part, inject.n

What only they have: a second LSTM bias (the two are added; we give 0), num_batches_tracked (nothing reads it), and, if wanted, biases of
convolutions. Batch norm subtracts its mean after them, so a bias b is the same as a running mean less by b.
"""

from itertools import zip_longest
from math import isqrt

import numpy as np

from models.weights import is_usable
from nn import LSTM, BatchNorm, Conv2D, Dense, Flatten, InputError, Layer, SeededLSTM

BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}
COUNTER = "num_batches_tracked"
Shapes = dict[str, tuple[int, ...]]  # by PyTorch's names


def to_torch_names(model: Layer) -> dict[str, np.ndarray]:
    """The state dict of the same model in models/interchange/modules.py, in its order; the arrays are copies."""
    return {name: view.copy(order="C").reshape(shape) for name, (view, shape) in places(model, model.state()).items()}


def from_torch_names(model: Layer, arrays: dict[str, np.ndarray]) -> None:
    """Copy a state dict into the model: by our names where all of them are there, else by order (see `by_order`).

    Raises InputError, with nothing changed, naming the first array that does not fit and what was expected.
    """
    state = model.state()
    where = {name: place for name, place in places(model, state).items() if not name.endswith(COUNTER)}
    shapes = {name: shape for name, (_, shape) in where.items()}
    biases = {f"{name}.bias": layer.weight.value.shape[:1] for name, layer in model.layers() if isinstance(layer, Conv2D)}
    given = {name: array for name, array in arrays.items() if not name.endswith(COUNTER)}
    given = by_name(shapes, biases, given) if shapes.keys() <= given.keys() else by_order(shapes, biases, given)
    for name, array in list(given.items()):
        if name in biases:
            given[name.replace("conv.bias", "norm.running_mean")] -= array
        if "bias_hh" in name:
            given[name.replace("bias_hh", "bias_ih")] += array
    for name, (view, _) in where.items():
        view[...] = given[name].reshape(view.shape)
    model.load_state(state)


def places(model: Layer, state: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, tuple[int, ...]]]:
    """Each of PyTorch's arrays as a view of an array in `state`, which is the model's, its axes in PyTorch's order; and its shape there.

    What we have no place for stands in zeros of its own.
    """
    found: dict[str, tuple[np.ndarray, tuple[int, ...]]] = {}
    flattened, C = False, 0
    for name, layer in model.layers():
        own = {key.removeprefix(f"{name}."): array for key, array in state.items() if key.startswith(f"{name}.")}
        theirs: dict[str, np.ndarray] = {}
        shapes: Shapes = {}
        if isinstance(layer, Conv2D):
            C = len(own["weight"])
            theirs["weight"] = own["weight"].transpose(0, 3, 1, 2)
        elif isinstance(layer, Flatten):
            flattened = True
        elif isinstance(layer, Dense):
            theirs |= own
            if flattened:
                O, D = shapes["weight"] = own["weight"].shape
                side = isqrt(D // C)  # our faces are square, so are their maps
                theirs["weight"], flattened = own["weight"].reshape(O, side, side, C).transpose(0, 3, 1, 2), False
        elif isinstance(layer, BatchNorm):
            theirs |= {word: own[ours] for word, ours in BATCH_NORM.items()} | {COUNTER: np.zeros((), np.int64)}
        elif isinstance(layer, LSTM):
            theirs |= {f"{word}_l0": view for word, view in gates(own, layer.units).items()}
        elif isinstance(layer, SeededLSTM):
            theirs |= {f"cell.{word}": view for word, view in gates(own, layer.units).items()}
            for n in range(len(layer.steps)):
                theirs |= {f"inject.{n}.weight": own["feature_weight"][n], f"inject.{n}.bias": own["feature_bias"][n]}
        found |= {f"{name}.{word}": (view, shapes.get(word, view.shape)) for word, view in theirs.items()}
    return found


def gates(own: dict[str, np.ndarray], units: int) -> dict[str, np.ndarray]:
    """[h, x] is one row in our weights, two matrices in theirs."""
    weight, bias = own["weight"], own["bias"]
    return {"weight_ih": weight[:, units:], "weight_hh": weight[:, :units], "bias_ih": bias, "bias_hh": np.zeros_like(bias)}


def by_name(shapes: Shapes, biases: Shapes, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Copies of the arrays, once their names and shapes are known to be right."""
    wanted = shapes | biases
    for name, array in given.items():
        if name not in wanted:
            raise InputError(f"holds {name!r} {array.shape}, which this model does not have; leave it out, or name another model")
        fit(name, wanted[name], name, array)
    return {name: array.copy() for name, array in given.items()}


def by_order(shapes: Shapes, biases: Shapes, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of other names, taken as they come, under ours: PyTorch's state dicts keep the order in which a module makes its layers.

    The authors' public CFPD (github.com/emkademy/cfpd, model.py) is made in ours: conv1_1, bn1_1, conv1_2, bn1_2, ... conv3_2, bn3_2, fc1,
    bn4, fc2, with a bias in each convolution; it flattens (C, H, W). Its boxes stand a fraction of a pixel further right and down, as it
    counts the landmarks of .pts files from 1. The last word of a name, which PyTorch itself gives (weight, running_mean, ...), must agree
    with ours, so that no two vectors of one length change places.
    """
    biased = any(name.endswith("bias") for name in list(given)[1:2])  # what follows the first filters
    wanted: Shapes = {}
    for name, shape in shapes.items():
        wanted[name] = shape
        if biased and (bias := name.removesuffix("weight") + "bias") in biases:
            wanted[bias] = biases[bias]
    for k, (ours, theirs) in enumerate(zip_longest(wanted, given), 1):
        if ours is None:
            raise InputError(f"its array {k}, {theirs!r} {given[theirs].shape}, is one too many: this model ends with {list(wanted)[-1]!r}")
        if theirs is None:
            raise InputError(f"ends after {k - 1} arrays, where {ours!r} {wanted[ours]} should follow; give the whole state dict")
        if ours.rpartition(".")[2] != theirs.rpartition(".")[2]:
            place = f"{ours!r} {wanted[ours]} should be"
            raise InputError(f"its array {k} is {theirs!r} {given[theirs].shape}, where {place}; bring the arrays into that order")
        fit(ours, wanted[ours], theirs, given[theirs])
    return {name: array.copy() for name, array in zip(wanted, given.values(), strict=True)}


def fit(ours: str, shape: tuple[int, ...], theirs: str, array: np.ndarray) -> None:
    """Raise InputError where an array has another shape than its place, or holds no floating-point numbers."""
    if array.dtype.kind == "f" and not is_usable(array):
        raise InputError(f"{theirs!r} holds numbers that are not finite; save the state dict anew")
    if array.shape != shape or array.dtype.kind != "f":
        place = "" if ours == theirs else f" in the place of {ours!r}"
        raise InputError(
            f"{theirs!r}{place} is {array.dtype} {array.shape}, expected floating-point numbers {shape}; "
            "is the model of another net.width, net.units or net.size?"
        )
