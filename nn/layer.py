"""What every layer shares: parameters, the two passes, the walk over a model, and the words of a shape error.

A layer maps x to y = f(x; θ). For a scalar loss L, backward takes dy = ∂L/∂y, returns dx = ∂L/∂x and adds ∂L/∂θ into
`parameter.grad`. A model is a tree of layers; its backward walks the same tree in reverse.
"""

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import DTypeLike

from nn.backend import device_of, to_device, to_numpy


class Buffer:
    """An array that a layer keeps and that no optimiser touches (running averages)."""

    def __init__(self, value: np.ndarray):
        self.value = value.copy(order="C")  # an optimiser walks it as one flat row


class Parameter(Buffer):
    """A trained array and its gradient `grad`, of the same shape and dtype, which each backward pass adds to."""

    def __init__(self, value: np.ndarray):
        super().__init__(value)
        self.zero_grad()

    def zero_grad(self) -> None:
        """Set the gradient to zero. The zeros are not written: the first gradient added takes their place."""
        self._grad: np.ndarray | None = None

    def add_grad(self, gradient: np.ndarray) -> None:
        """grad <- grad + gradient. The array handed in belongs to the parameter from then on. Raises ValueError on a wrong shape."""
        if gradient.shape != self.value.shape:
            raise ValueError(f"a parameter of shape {self.value.shape} got a gradient of shape {gradient.shape}")
        if self._grad is None:
            self._grad = gradient
        else:
            self._grad += gradient

    @property
    def grad(self) -> np.ndarray:
        """∂L/∂value, summed over the backward passes since zero_grad."""
        if self._grad is None:
            self._grad = np.zeros_like(self.value)
        return self._grad

    @grad.setter
    def grad(self, gradient: np.ndarray) -> None:
        self._grad = gradient


class Layer:
    """A function with a handwritten derivative: a subclass gives `forward` and `backward` and says what each one's shapes are."""

    training = True  # batch statistics, dropout
    keeping = True  # what backward needs

    def forward(self, x: Any) -> Any:
        """Compute y = f(x; θ) and keep what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, dy: Any) -> Any:
        """Turn dy = ∂L/∂y into dx = ∂L/∂x and add ∂L/∂θ to each parameter's `grad`."""
        raise NotImplementedError(f"{type(self).__name__}.backward")

    # What backward needs lives from one forward to one backward.

    def keep(self, y: Any, *arrays: Any) -> None:
        """Keep what the next backward needs, and the shape and dtype of the output y that its dy must have (None for a loss)."""
        answers = None if y is None else (y.shape, y.dtype)
        self._saved: tuple | None = (answers, arrays[0] if len(arrays) == 1 else arrays) if self.keeping else None

    def take_saved(self, dy: Any = None) -> Any:
        """Hand out what forward kept, once, and check dy against its output.

        Raises RuntimeError where there was no forward since the last backward, ValueError or TypeError on a wrong dy.
        """
        saved, self._saved = getattr(self, "_saved", None), None
        if saved is None:
            name = type(self).__name__
            why = "call forward first, once for each backward" if self.keeping else "evaluate() keeps nothing for it, train(False) does"
            raise RuntimeError(f"{name}.backward has no forward to go with: {why}")
        answers, arrays = saved
        if answers is not None:
            shape, dtype = answers
            expect(f"{type(self).__name__}.backward", dy, *shape, dtype=dtype)
        return arrays

    # The walk over a model. Names follow the attributes: "conv1.norm.gamma".

    def children(self) -> Iterator[tuple[str, "Layer"]]:
        """Yield (name, layer) for each layer that is an attribute of this one, or stands in a list that is."""
        for name, member in vars(self).items():
            if isinstance(member, Layer):
                yield name, member
            elif isinstance(member, list):
                yield from ((f"{name}.{k}", layer) for k, layer in enumerate(member) if isinstance(layer, Layer))

    def layers(self, prefix: str = "") -> Iterator[tuple[str, "Layer"]]:
        """Yield (name, layer) for this layer and all below it."""
        yield prefix, self
        for name, child in self.children():
            yield from child.layers(f"{prefix}.{name}" if prefix else name)

    def buffers(self) -> dict[str, Buffer]:
        """All arrays of the model by name: parameters and what else must be saved with them."""
        return dict(self.named_buffers())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield (name, array) for each of them."""
        for prefix, layer in self.layers():
            for name, member in vars(layer).items():
                if isinstance(member, Buffer):
                    yield f"{prefix}.{name}" if prefix else name, member

    def parameters(self) -> dict[str, Parameter]:
        """The trained arrays of the model by name."""
        return {name: member for name, member in self.buffers().items() if isinstance(member, Parameter)}

    def zero_grad(self) -> None:
        """Set every gradient to zero: `backward` only ever adds."""
        for parameter in self.parameters().values():
            parameter.zero_grad()

    def train(self, training: bool = True) -> Self:
        """Switch the whole model to training mode (batch statistics, dropout on), or with False to running statistics, dropout off."""
        for _, layer in self.layers():
            layer.training, layer.keeping = training, True
        return self

    def evaluate(self) -> Self:
        """Switch the whole model to evaluation mode: train(False), and nothing is kept for a backward pass."""
        self.train(False)
        for _, layer in self.layers():
            layer.keeping = False
        return self

    def astype(self, dtype: DTypeLike) -> Self:
        """Convert every array of the model in place; gradients start again at zero."""
        return self.convert(lambda value: value.astype(dtype, order="C"))

    def to(self, device: str) -> Self:
        """Move every array of the model to "cpu", "cuda" or "emulated", before an optimiser is made for it; gradients start at zero.

        Raises InputError where that device is not to be had.
        """
        return self.convert(lambda value: to_device(value, device))

    def convert(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """Replace every array by what `change` makes of it."""
        for member in self.buffers().values():
            member.value = change(member.value)
            if isinstance(member, Parameter):
                member.zero_grad()
        return self

    def asarray(self, array: np.ndarray) -> np.ndarray:
        """The array where the model's own are: itself, or a copy."""
        _, own = next(self.named_buffers(), (None, None))
        return array if own is None else to_device(array, device_of(own.value))

    def state(self) -> dict[str, np.ndarray]:
        """The values of all arrays by name, as NumPy's; not copied where they are that already."""
        return {name: to_numpy(member.value) for name, member in self.buffers().items()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Copy values into the model. Raises ValueError, with nothing changed, where a name or a shape differs."""
        own = self.buffers()
        if missing := sorted(own.keys() ^ state.keys()):
            raise ValueError(
                f"the saved arrays are not this model's: {missing[0]!r} is only in {'the model' if missing[0] in own else 'the file'}"
            )
        for name, member in own.items():
            if state[name].shape != member.value.shape:
                raise ValueError(f"the saved {name!r} is {state[name].shape}, the model's {member.value.shape}: built with another width?")
        for name, member in own.items():
            member.value[...] = to_device(state[name], device_of(member.value))


def generators(model: Layer) -> dict[str, Generator]:
    """The random generators that layers hold, by name: a checkpoint keeps their states."""
    return {f"{name}.{key}": value for name, layer in model.layers() for key, value in vars(layer).items() if isinstance(value, Generator)}


class Sequential(Layer):
    """Layers one after another: y = f_k(... f_1(x)), so dx = (∂f_1/∂x)ᵀ ... (∂f_k/∂f_{k-1})ᵀ dy.

    Keywords name the layers, `Sequential(conv1=..., pool1=...)`; without names they are counted from 0.
    """

    def __init__(self, *layers: Layer, **named: Layer):
        for name, layer in {**{str(k): layer for k, layer in enumerate(layers)}, **named}.items():
            setattr(self, name, layer)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Run the layers in order."""
        for _, layer in self.children():
            x = layer.forward(x)
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Run their backward passes in reverse order."""
        for _, layer in reversed(list(self.children())):
            dy = layer.backward(dy)
        return dy


def expect(owner: Any, array: np.ndarray, *shape: str | int, dtype: Any = None) -> None:
    """Check an input: a number in `shape` must match, a letter stands for any size; with `dtype`, that must match too.

    Raises ValueError (shape) or TypeError (dtype), naming the layer, what it expects, what came and what to do.
    """
    name = owner if isinstance(owner, str) else type(owner).__name__
    if array.ndim != len(shape) or any(isinstance(want, int) and want != size for want, size in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name} expects ({', '.join(map(str, shape))}), got {array.shape}")
    if dtype is not None and array.dtype != dtype:
        raise TypeError(f"{name} works in {dtype} here, got {array.dtype}: convert with .astype({str(dtype)!r}), the model or the array")
    if array.dtype.kind != "f":
        raise TypeError(f"{name} expects floating-point numbers, got {array.dtype}: convert with x.astype('float32')")
