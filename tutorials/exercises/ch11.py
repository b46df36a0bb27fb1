"""Exercises of chapter 11: training and judging COREFAN."""

import numpy as np

from models.faces.landmarks import MIRROR
from models.faces.metrics import auc as library_auc
from models.faces.metrics import failure_rate as library_failures
from models.locate import reflect
from nn import Average, Dense
from tutorials.exercise import exercise


@exercise(
    "11.1",
    "The failure rate",
    grade="one line",
    hints=["Count those that are below the limit; all others failed.", "A comparison with nan is False: 1 - (errors < limit).mean()"],
    gives="rate",
)
def failure_rate(errors, limit):
    """The share of faces whose error is `limit` or greater; nan, a face without an answer, has failed.

    errors (N,), limit a number -> a number from 0 to 1
    """
    return 1 - (errors < limit).mean()


@failure_rate.case
def _(rng):
    errors = rng.uniform(0, 0.12, 11)
    errors[3], errors[5] = np.nan, 0.08
    return errors, 0.08


@failure_rate.case
def _(rng):
    return np.array([np.nan, np.nan, 0.05, 0.09]), 0.08


@failure_rate.truth
def _(errors, limit):
    return library_failures(errors, limit)


@failure_rate.wrong("a face without an answer is not counted as failed: nan >= limit is False")
def _(errors, limit):
    return (errors >= limit).mean()


@failure_rate.wrong("faces without an answer are left out of the count")
def _(errors, limit):
    return (errors[~np.isnan(errors)] >= limit).mean()


@failure_rate.wrong("an error of exactly the limit has failed, too")
def _(errors, limit):
    return 1 - (errors <= limit).mean()


@exercise(
    "11.2",
    "The area under the curve",
    grade="a few lines",
    hints=["Each face adds a rectangle from its error to the limit.", "The mean of max(0, limit - error), over limit; nan adds 0."],
    gives="area",
)
def auc(errors, limit):
    """The area under the cumulative error curve from 0 to limit, over limit, exactly; nan never counts as reached.

    errors (N,), limit a number -> a number from 0 to 1
    """
    return np.where(errors < limit, limit - errors, 0).mean() / limit


@auc.case
def _(rng):
    errors = rng.uniform(0, 0.12, 9)
    errors[2] = np.nan
    return errors, 0.08


@auc.case
def _(rng):
    return np.array([0.0]), 0.08


@auc.truth
def _(errors, limit):
    return library_auc(errors, limit)


@auc.wrong("the area is not divided by the limit")
def _(errors, limit):
    return auc.solution(errors, limit) * limit


@auc.wrong("failed faces are left out of the mean; they add 0")
def _(errors, limit):
    return np.mean(limit - errors[errors < limit]) / limit


@exercise(
    "11.3",
    "Averaged weights",
    grade="a few lines",
    hints=["Step t = 1 comes first: share = min(beta, (1 + t) / (10 + t)).", "mean = share * mean + (1 - share) * weight"],
    gives="mean",
)
def averaged(start, weights, beta):
    """The average of weights over the steps t = 1, 2, ...: mean <- β_t mean + (1 - β_t) w_t with β_t = min(β, (1 + t) / (10 + t)).

    start (D,): the mean before the first step; weights (T, D): after each step; beta a number -> mean (D,)
    """
    mean = start
    for t, weight in enumerate(weights, 1):
        share = min(beta, (1 + t) / (10 + t))
        mean = share * mean + (1 - share) * weight
    return mean


@averaged.case
def _(rng):
    return rng.normal(size=4), rng.normal(size=(12, 4)), 0.5


@averaged.case
def _(rng):
    return rng.normal(size=4), rng.normal(size=(5, 4)), 0.99


@averaged.truth
def _(start, weights, beta):
    """The library's average of a layer with these weights."""
    layer = Dense(len(start), 1, rng=np.random.default_rng(0)).astype(np.float64)
    layer.weight.value[0] = start
    average = Average(layer, beta)
    for weight in weights:
        layer.weight.value[0] = weight
        average.step()
    return average.mean["weight"][0]


@averaged.wrong("mean and weight have exchanged their shares: it forgets nearly all at each step")
def _(start, weights, beta):
    mean = start
    for t, weight in enumerate(weights, 1):
        share = min(beta, (1 + t) / (10 + t))
        mean = (1 - share) * mean + share * weight
    return mean


@averaged.wrong("the start is not forgotten faster: β is used at every step")
def _(start, weights, beta):
    mean = start
    for weight in weights:
        mean = beta * mean + (1 - beta) * weight
    return mean


@averaged.wrong("the steps are counted from 0")
def _(start, weights, beta):
    mean = start
    for t, weight in enumerate(weights):
        share = min(beta, (1 + t) / (10 + t))
        mean = share * mean + (1 - share) * weight
    return mean


@exercise(
    "11.4",
    "The mirror's answer",
    grade="a few lines",
    hints=[
        "x -> size - 1 - x, then the names are exchanged: [:, names].",
        "The mean of the answer and of the mirror's answer brought back.",
    ],
    gives="points",
)
def with_mirror(answer, of_mirror, size, names):
    """The mean of a network's answer and of its answer for the mirrored pictures, brought back.

    answer, of_mirror (N, 68, 2), size the side of the pictures, names (68,): landmark k of a mirrored face is what was names[k]
    -> (N, 68, 2)
    """
    back = np.stack([size - 1 - of_mirror[..., 0], of_mirror[..., 1]], axis=-1)[:, names]
    return (answer + back) / 2


@with_mirror.case
def _(rng):
    return rng.uniform(0, 112, (2, 68, 2)), rng.uniform(0, 112, (2, 68, 2)), 112, MIRROR


@with_mirror.truth
def _(answer, of_mirror, size, names):
    return (answer + reflect(of_mirror, size)) / 2


@with_mirror.wrong("the names are not exchanged: left and right are averaged")
def _(answer, of_mirror, size, names):
    back = np.stack([size - 1 - of_mirror[..., 0], of_mirror[..., 1]], axis=-1)
    return (answer + back) / 2


@with_mirror.wrong("the mirror's answer is not brought back")
def _(answer, of_mirror, size, names):
    return (answer + of_mirror) / 2


@exercise(
    "11.5",
    "Stop in time",
    grade="real",
    hints=[
        "Walk through the epochs, and remember the best error and when it was.",
        "Stop at epoch t when t - best == patience. nan is never better.",
    ],
    gives=("best", "last"),
)
def early_stopping(validation, patience):
    """Training stops after the first epoch that is `patience` epochs past the best so far, or at the end of the list. Of equal errors the
    first is the best; nan is never the best while a number is there before or after it.

    validation (T,), the error after each epoch, the first of which is a number; patience a whole number >= 1
    -> best, the epoch that is kept, and last, the last one trained; both count from 0
    """
    best = 0
    for epoch, error in enumerate(validation):
        if error < validation[best]:
            best = epoch
        if epoch - best == patience:
            return best, epoch
    return best, len(validation) - 1


for _validation, _patience in (
    ([5.0, 4.0, 4.5, np.nan, 4.2, 3.0, 2.0], 3),
    ([5.0, 4.0, 4.0, 3.9, 3.9, 3.8], 2),
    ([3.0, 4.0, 5.0, 6.0, 7.0], 1),
):
    early_stopping.case(lambda rng, validation=_validation, patience=_patience: (np.array(validation), patience))


@early_stopping.truth
def _(validation, patience):
    """By looking at every possible end."""
    for last in range(len(validation)):
        best = int(np.nanargmin(validation[: last + 1]))
        if last - best >= patience:
            return best, last
    return int(np.nanargmin(validation)), len(validation) - 1


@early_stopping.wrong("it never stops: the best epoch of all is not known while one trains")
def _(validation, patience):
    return int(np.nanargmin(validation)), len(validation) - 1


@early_stopping.wrong("patience counts rises in a row, not epochs since the best")
def _(validation, patience):
    best, rises = 0, 0
    for epoch in range(1, len(validation)):
        rises = rises + 1 if validation[epoch] > validation[epoch - 1] else 0
        best = epoch if validation[epoch] < validation[best] else best
        if rises == patience:
            return best, epoch
    return best, len(validation) - 1


@early_stopping.wrong("it trains one epoch too many")
def _(validation, patience):
    return early_stopping.solution(validation, patience + 1)
