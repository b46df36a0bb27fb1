"""A model as an ONNX graph: our layers, one after the other, in the operators that every runtime has.

    gray      float32 (N, 1, size, size), gray levels 0 to 255 of frames; their normalisation is the graph's first three nodes
    points    float32 (N, 68, 2), COREFAN's landmarks (x, y), or
    boxes     float32 (N, 4, 4), CFPD's x0, y0, x1, y1 of left eye and brow, right eye and brow, nose, mouth: in pixels of the frame
    window    float32 (N, T, 1) -> next (N, T, 1), the sine

Arrays have the names of models/interchange/state_dict.py. COREFAN's steps are written out, for ONNX's own LSTM has no room for equation 4's
term inside the last tanh; Scan, which would write them once, is missing from many runtimes.
"""

from importlib.metadata import version
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.corefan import Corefan
from models.faces.landmarks import PARTS
from models.interchange.state_dict import to_torch_names
from models.settings import Settings
from models.sine import Sine
from nn import BatchNorm, Conv2D, ConvBlock, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU, Sequential

OPSET, IR = 17, 8  # of 2022: old enough for runtimes in the field
SAYS = {
    "sine": ("window", "next", "float32 (N, T, 1): values of a wave", "float32 (N, T, 1): after each value the next one"),
    "cfpd": (
        "gray",
        "boxes",
        "float32 (N, 1, {0}, {0}): gray levels 0 to 255 of a frame whose middle half the face fills",
        "float32 (N, 4, 4): x0, y0, x1, y1 of left eye and brow, right eye and brow, nose, mouth, in pixels of the frame",
    ),
    "corefan": (
        "gray",
        "points",
        "float32 (N, 1, {0}, {0}): gray levels 0 to 255 of a frame whose middle half the face fills",
        "float32 (N, 68, 2): x, y of the 68 landmarks in iBUG order, in pixels of the frame, pixel centres at integers",
    ),
}


class Graph:
    """Nodes in their order, and constants by name."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.nodes: list[NodeProto] = []
        self.arrays = arrays  # what layers may ask for
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, name: str, value: Any = None) -> str:
        """A float32 constant, or one of the model's arrays; its name."""
        self.constants[name] = self.arrays[name] if value is None else np.asarray(value, np.float32)
        return name

    def integers(self, name: str, *values: int) -> str:
        """A constant of whole numbers: sides for Reshape, where 0 keeps one as it is, axes for Squeeze."""
        self.constants[name] = np.array(values, np.int64)
        return name

    def add(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """A node; its name is its output's, too."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def split(self, name: str, x: str, parts: int) -> list[str]:
        """Equal parts of axis 1."""
        outputs = [f"{name}.{k}" for k in range(parts)]
        self.nodes.append(helper.make_node("Split", [x], outputs, name=name, axis=1))
        return outputs


def onnx_model(model: Layer, settings: Settings, licence: str) -> ModelProto:
    """The whole file: graph, what goes in and out in words, and under what licence the weights stand."""
    graph = Graph(to_torch_names(model))
    source, result, takes, gives = (text.format(settings.net.size) for text in SAYS[settings.model])
    size = settings.net.size
    sides: dict[str, tuple[list[str | int], list[str | int]]] = {
        "sine": (["N", "T", 1], ["N", "T", 1]),
        "cfpd": (["N", 1, size, size], ["N", 4, 4]),
        "corefan": (["N", 1, size, size], ["N", 68, 2]),
    }
    before, after = sides[settings.model]
    if isinstance(model, Sine):
        sine(graph, model, source, result)
    elif isinstance(model, Corefan):
        corefan(graph, model, normalised(graph, source), result)
    else:
        boxes = layers(graph, model, "", normalised(graph, source))
        graph.add("Reshape", result, boxes, graph.integers("boxes.shape", 0, 4, 4))
    made = helper.make_graph(
        graph.nodes,
        f"faceseed {settings.model}",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, before)],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, after)],
        [numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
        doc_string=f"{source}: {takes}. {result}: {gives}.",
    )
    opsets = [helper.make_opsetid("", OPSET)]
    file = helper.make_model(made, producer_name="faceseed", producer_version=version("faceseed"), opset_imports=opsets, ir_version=IR)
    file.doc_string = f"{made.doc_string} Licence: {licence}"
    told = {"model": settings.model, "size": str(size), "input": takes, "output": gives, "licence": licence}
    helper.set_model_props(file, told | {"training set": settings.set, "paper": "https://doi.org/10.2478/fcds-2019-0017"})
    return file


def normalised(graph: Graph, x: str) -> str:
    """Gray levels 0 to 255 -> (g / 255 - 0.485) / 0.229, as models/faces/augment.py does it."""
    for operator, value in (("Div", 255), ("Sub", 0.485), ("Div", 0.229)):
        name = f"gray.{operator.lower()}{value}"
        x = graph.add(operator, name, x, graph.constant(f"{name}.value", value))
    return x


def layers(graph: Graph, layer: Layer, name: str, x: str) -> str:
    """What a layer or a chain of them does to x; the name of its output."""
    if isinstance(layer, Sequential | ConvBlock):
        for child_name, child in layer.children():
            x = layers(graph, child, f"{name}.{child_name}".lstrip("."), x)
        return x
    if isinstance(layer, Conv2D):
        R, S = layer.weight.value.shape[1:3]  # odd, and the map keeps its size
        return graph.add("Conv", name, x, graph.constant(f"{name}.weight"), kernel_shape=[R, S], pads=[R // 2, S // 2] * 2)
    if isinstance(layer, BatchNorm):
        arrays = [graph.constant(f"{name}.{last}") for last in ("weight", "bias", "running_mean", "running_var")]
        x = graph.add("BatchNormalization", name, x, *arrays, epsilon=layer.epsilon)
        return graph.add("Relu", f"{name}.relu", x) if layer.relu else x
    if isinstance(layer, Dense):
        return graph.add("Gemm", name, x, graph.constant(f"{name}.weight"), graph.constant(f"{name}.bias"), transB=1)
    if isinstance(layer, MaxPool2D):
        return graph.add("MaxPool", name, x, kernel_shape=[layer.size] * 2, strides=[layer.size] * 2)
    if isinstance(layer, ReLU):
        return graph.add("Relu", name, x)
    if isinstance(layer, Flatten):
        return graph.add("Flatten", name, x)
    if isinstance(layer, Dropout):
        return x
    raise TypeError(f"no operator is known for {type(layer).__name__} ({name})")


def corefan(graph: Graph, model: Corefan, x: str, result: str) -> None:
    """From the normalised frames to landmarks (N, 68, 2)."""
    features = layers(graph, model.cnn, "cnn", x)
    seeds = graph.split("seeds", layers(graph, model.fc2, "fc2", features), len(PARTS))
    K = model.matrix.shape[1]
    windows = graph.add("Concat", "windows", *draw(graph, model, seeds, features), axis=1)
    points = graph.add("Reshape", "windows.points", windows, graph.integers("windows.points.shape", 0, K, 2))
    points = graph.add("MatMul", "points.half_frames", graph.constant("readout", model.matrix), points)
    points = graph.add("Mul", "points.from_centre", points, graph.constant("half_frame", model.size / 2))
    graph.add("Add", result, points, graph.constant("centre", (model.size - 1) / 2))


def draw(graph: Graph, model: Corefan, seeds: list[str], features: str) -> list[str]:
    """Equation 4, step by step: the windows (N, 2K). A state of one row, (1, U), is broadcast at the first step."""
    lstm = model.lstm
    h = c = graph.constant("zero", np.zeros((1, lstm.units)))
    w_hh = graph.constant("lstm.cell.weight_hh.T", graph.arrays["lstm.cell.weight_hh"].T)
    incoming = [graph.constant(f"lstm.cell.{name}") for name in ("weight_ih", "bias_ih")]  # our bias_hh is 0
    outgoing = [graph.constant(f"window.{name}") for name in ("weight", "bias")]
    windows: list[str] = []
    for n, (part, S_part, steps) in enumerate(zip(PARTS, seeds, lstm.steps, strict=True)):
        injected = [graph.constant(f"lstm.inject.{n}.{name}") for name in ("weight", "bias")]
        u = graph.add("Gemm", f"{part}.u", features, *injected, transB=1)
        from_input = graph.add("Gemm", f"{part}.input", S_part, *incoming, transB=1)
        for t in range(steps):
            step = f"{part}.{t}"
            if t and model.feed == "window":
                from_input = graph.add("Gemm", f"{step}.input", windows[-1], *incoming, transB=1)
            gates = graph.add("Add", f"{step}.gates", from_input, graph.add("MatMul", f"{step}.recurrent", h, w_hh))
            h, c = cell(graph, step, gates, c, u if t == 0 or lstm.injection == "every" else None)
            windows.append(graph.add("Gemm", f"{step}.window", h, *outgoing, transB=1))
    if model.seeding == "window":
        half = graph.constant("half", 0.5)
        for t, part, S_part in zip(lstm.first_steps, PARTS, seeds, strict=True):
            windows[t] = graph.add("Mul", f"{part}.mean", graph.add("Add", f"{part}.sum", windows[t], S_part), half)
    return windows


def cell(graph: Graph, step: str, gates: str, c: str, u: str | None) -> tuple[str, str]:
    """h and c of a step from its gates (N, 4U), the last c, and the term inside the last tanh."""
    i, f, g, o = graph.split(f"{step}.split", gates, 4)
    i, f, o = (graph.add("Sigmoid", f"{step}.{name}", gate) for name, gate in (("i", i), ("f", f), ("o", o)))
    kept = graph.add("Mul", f"{step}.kept", f, c)
    c = graph.add("Add", f"{step}.c", kept, graph.add("Mul", f"{step}.new", i, graph.add("Tanh", f"{step}.g", g)))
    inside = c if u is None else graph.add("Add", f"{step}.c_and_u", c, u)
    return graph.add("Mul", f"{step}.h", o, graph.add("Tanh", f"{step}.tanh", inside)), c


def sine(graph: Graph, model: Sine, x: str, result: str) -> None:
    """ONNX's own LSTM, over (T, N, 1) and with its gates in the order i, o, f, g; then the dense layer at every step."""
    U = model.lstm.units
    order = np.r_[0:U, 3 * U : 4 * U, U : 2 * U, 2 * U : 3 * U]
    arrays = {name: graph.arrays[f"lstm.{name}_l0"][order] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    inputs = [graph.constant(f"lstm.{name}", arrays[name][None]) for name in ("weight_ih", "weight_hh")]
    biases = graph.constant("lstm.bias", np.concatenate([arrays["bias_ih"], arrays["bias_hh"]])[None])
    time_first = graph.add("Transpose", "time_first", x, perm=[1, 0, 2])
    h = graph.add("LSTM", "lstm", time_first, *inputs, biases, hidden_size=U)  # (T, 1, N, U)
    h = graph.add("Transpose", "batch_first", graph.add("Squeeze", "one_way", h, graph.integers("directions", 1)), perm=[1, 0, 2])
    h = graph.add("MatMul", "readout.product", h, graph.constant("readout.weight.T", model.readout.weight.value.T))
    graph.add("Add", result, h, graph.constant("readout.bias"))
