"""The judge itself: what a careless check would let pass, ours must catch, and say where."""

import numpy as np
import pytest

import nn
from nn import gradcheck
from nn.layer import Layer, Parameter


class Scale(Layer):
    """y = s x, the right one; the tests below break it in one way each."""

    def __init__(self, *shape):
        self.s = Parameter(np.linspace(0.5, 1.5, int(np.prod(shape))).reshape(shape))

    def forward(self, x):
        self.keep(None, x)
        return self.s.value * x

    def backward(self, dy):
        self.s.grad += dy * self.take_saved(dy)
        return dy * self.s.value


def judge(layer, rng, **options):
    return gradcheck.check(layer, rng.normal(size=layer.s.value.shape), rng=rng, **options)


def test_the_right_layer_passes(rng):
    report = judge(Scale(2, 3), rng)
    assert report.ok() and report.worst < 1e-8, report
    assert [(row.tensor, row.kind) for row in report.rows] == [
        ("input x", "element"),
        ("input x", "direction"),
        ("s", "element"),
        ("s", "direction"),
    ]


def test_an_upstream_of_ones_would_miss_what_ours_catches(rng):
    """Batch norm's outputs sum to a constant, so with dy = 1 the true dx is 0, and so is the dx of this wrong layer."""

    class Trap(nn.BatchNorm):
        def backward(self, dy):
            return 2 * super().backward(dy)

    layer, x = Trap(3), rng.normal(size=(5, 3)).astype(np.float32)
    layer.forward(x)
    assert np.abs(layer.backward(np.ones((5, 3), np.float32))).max() < 1e-6
    assert gradcheck.check(layer, x, rng=rng).worst > 0.1


def test_one_wrong_number_in_a_large_tensor_is_caught(rng):
    class Wrong(Scale):
        def backward(self, dy):
            dx = super().backward(dy)
            dx[17, 123] *= 1.001
            return dx

    report = judge(Wrong(100, 200), rng, exhaustive=0)
    assert report.worst > 1e-7
    assert max(report.rows, key=lambda row: row.error).tensor == "input x"


def test_the_wrong_element_is_named(rng):
    class Wrong(Scale):
        def backward(self, dy):
            dx = super().backward(dy)
            dx[1, 2] = 0
            return dx

    row = judge(Wrong(2, 3), rng).rows[0]
    assert (row.tensor, row.kind, row.at, row.error, row.analytic) == ("input x", "element", "(1, 2)", 1, 0)


def test_zero_returned_for_a_gradient_is_caught(rng):
    class Wrong(Scale):
        def backward(self, dy):
            return 0 * super().backward(dy)

    assert judge(Wrong(2, 3), rng).worst == 1


def test_all_gradients_zero_is_caught(rng):
    class Wrong(Scale):
        def backward(self, dy):
            return np.zeros_like(dy)

    assert judge(Wrong(2, 3), rng).worst == 1


def test_a_wrong_tensor_of_small_gradient_is_caught(rng):
    """1e-6 of the largest gradient, and wrong altogether."""

    class Faint(Scale):
        def forward(self, x):
            return super().forward(x) + 1e-6 * np.sin(x)

        def backward(self, dy):
            return super().backward(dy)  # without 1e-6 cos x

    assert judge(Faint(2, 3), rng).worst > 1e-7


def test_rounding_in_a_gradient_that_is_zero_does_not_shout(rng):
    """A bias before a batch norm has no effect at all: analytic and numeric are both rounding."""
    layer = nn.Sequential(dense=nn.Dense(3, 4, rng=rng), norm=nn.BatchNorm(4))
    report = gradcheck.check(layer, rng.normal(size=(6, 3)), rng=rng)
    assert report.ok(), report
    assert [row.error for row in report.rows if row.tensor == "dense.bias"] < [1e-7, 1e-7]


def test_what_a_layer_kept_from_an_earlier_pass_must_not_leak(rng):
    class Stale(Scale):
        def forward(self, x):
            self.first = getattr(self, "first", x.copy())
            return super().forward(x)

        def backward(self, dy):
            self.take_saved(dy)
            self.s.grad += dy * self.first
            return dy * self.s.value

    assert judge(Stale(2, 3), rng).worst > 0.1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_fails(value, rng):
    class Wrong(Scale):
        def backward(self, dy):
            dx = super().backward(dy)
            dx[1, 2] = value
            return dx

    report = judge(Wrong(2, 3), rng)
    assert not report.ok(np.inf) or report.worst == np.inf
    assert report.failures == [f"the gradient of input x is not finite: {value} at (1, 2)"]


def test_an_input_or_an_output_that_is_not_finite_fails(rng):
    assert gradcheck.check(nn.Tanh(), np.array([[0.0, np.nan]]), rng=rng).failures == ["input x is not finite: nan at (0, 1)"]

    class Root(nn.Tanh):
        def forward(self, x):
            super().forward(x)
            return np.sqrt(x)

    assert gradcheck.check(Root(), np.array([[1.0, -1.0]]), rng=rng).failures[0] == "output 0 is not finite: nan at (0, 1)"
    assert "not finite when input x moves" in gradcheck.check(Root(), np.array([[1.0, 1e-9]]), rng=rng).failures[0]


def test_a_gradient_of_the_wrong_shape_dtype_or_kind_is_named(rng):
    def broken(change):
        class Wrong(Scale):
            def backward(self, dy):
                return change(super().backward(dy))

        return judge(Wrong(2, 3), rng).failures

    assert broken(lambda dx: dx[:1]) == ["the gradient of input x is float64 (1, 3), input x itself float64 (2, 3)"]
    assert broken(lambda dx: dx.astype(np.float32)) == ["the gradient of input x is float32 (2, 3), input x itself float64 (2, 3)"]
    assert broken(lambda dx: None) == ["backward gives no gradient of input x: None"]
    assert broken(lambda dx: ()) == ["backward gives no gradient of input x: None"]


def test_grad_overwritten_instead_of_added_to_is_named(rng):
    class Wrong(Scale):
        def backward(self, dy):
            self.s.grad[...] = dy * self.take_saved(dy)
            return dy * self.s.value

    [failure] = judge(Wrong(2, 3), rng).failures
    assert failure.startswith("backward does not add to s.grad")


def test_a_pass_that_changes_what_it_was_given_is_named(rng):
    class Forward(Scale):
        def forward(self, x):
            y = super().forward(x.copy())
            x += 1
            return y

    class Backward(Scale):
        def backward(self, dy):
            dy *= self.s.value
            self.s.grad += dy / self.s.value * self.take_saved(dy)
            return dy

    class Weight(Scale):
        def backward(self, dy):
            dx = super().backward(dy)
            self.s.value *= 0.5
            return dx

    assert judge(Forward(2, 3), rng).failures == ["forward changed input x in place"]
    assert judge(Backward(2, 3), rng).failures == ["backward changed upstream 0 in place"]
    assert judge(Weight(2, 3), rng).failures == ["backward changed s in place"]


def test_directions_have_length_one_and_no_vanishing_component(rng):
    for _, move in gradcheck._directions(np.zeros((30, 40)), 5, rng):
        assert abs(np.linalg.norm(move) - 1) < 1e-12
        size = np.abs(move) * np.sqrt(move.size)
        assert size.min() > 0.4 and size.max() < 1.6


def test_the_report_is_a_table_with_failures_on_top(rng):
    lines = str(judge(Scale(2, 3), rng)).splitlines()
    assert lines[0].split() == ["tensor", "kind", "error", "at", "numeric", "analytic"]
    assert len(lines) == 5
    column = lines[0].index("numeric")
    assert all(line[column - 1] == " " and line[column] != " " for line in lines)
    assert str(gradcheck.Report(failures=["x is lost"])) == "FAILURE: x is lost"


def test_a_report_with_a_failure_is_never_ok():
    assert not gradcheck.Report(failures=["x is lost"]).ok(1e300)
