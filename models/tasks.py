"""What each model learns, and from what: batches, loss, validation. nn/training.py runs them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng

from models import sine
from models.cfpd import cfpd
from models.corefan import Corefan
from models.faces import metrics
from models.faces.augment import view
from models.faces.boxes import part_boxes
from models.faces.crops import Faces
from models.faces.landmarks import pupil_distance
from models.settings import Settings
from nn import LandmarkError, Layer, MeanSquaredError, to_numpy

CHUNK = 64  # faces at a time where nothing is learned


def model_for(settings: Settings) -> Layer:
    """A fresh model, its weights drawn from the run's seed."""
    rng, net = default_rng([settings.seed, 0]), settings.net
    if settings.model == "sine":
        return sine.Sine(net.units, rng=rng)
    if settings.model == "cfpd":
        return cfpd(net.width, size=net.size, dropout=net.dropout, rng=rng)
    return Corefan(
        net.width,
        net.units,
        size=net.size,
        dropout=net.dropout,
        feed=net.feed,
        injection=net.injection,
        readout=net.readout,
        seeding=net.seeding,
        rng=rng,
    )


def predict(model: Layer, images: np.ndarray) -> np.ndarray:
    """The model's output in evaluation mode, CHUNK images at a time: (N, size, size, 1) -> (N, ...)."""
    model.evaluate()
    cuts = range(0, max(1, len(images)), CHUNK)
    return np.concatenate([to_numpy(model.forward(model.asarray(images[first : first + CHUNK]))) for first in cuts])


class FaceTask:
    """Faces in, something about them out: what COREFAN's and CFPD's training share."""

    def __init__(self, settings: Settings, train: Faces, validation: Faces):
        self.settings, self.train_faces = settings, train
        self.model = model_for(settings)
        self.views = settings.views if settings.set == "augmented" else 1
        self.epoch_images = self.views * len(train)
        # Validation faces are never turned upright, whatever the training set: it is how faces come.
        self.images, self.points = view(validation, np.arange(len(validation)), "original", None, size=settings.net.size)

    def learn(self, images: np.ndarray, points: np.ndarray) -> float:
        """Forward and backward of one batch: its loss."""
        raise NotImplementedError(f"{type(self).__name__}.learn")

    def validate(self) -> dict[str, float]:
        """The error on the validation faces."""
        raise NotImplementedError(f"{type(self).__name__}.validate")

    def batches(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images (n, size, size, 1) and points (n, 68, 2), every face `views` times, in random order and in batches of nearly one size."""
        rng = default_rng([self.settings.seed, 1, epoch])
        order = np.tile(np.arange(len(self.train_faces)), self.views)
        rng.shuffle(order)
        for index in np.array_split(order, -(-len(order) // self.settings.batch)):
            yield view(self.train_faces, index, self.settings.set, rng, self.settings.augment, self.settings.net.size)


class LandmarkTask(FaceTask):
    """COREFAN: landmarks, by the landmark error over the pupil distance (section 3.2)."""

    def __init__(self, settings: Settings, train: Faces, validation: Faces):
        super().__init__(settings, train, validation)
        self.loss = LandmarkError()

    def learn(self, images: np.ndarray, points: np.ndarray) -> float:
        """Forward and backward of one batch."""
        images, points, distance = map(self.model.asarray, (images, points, pupil_distance(points)))
        loss = self.loss.forward(self.model.forward(images), points, distance)
        self.model.backward(self.loss.backward())
        return loss

    def validate(self) -> dict[str, float]:
        """Mean inter-ocular error of the validation faces, in percent."""
        predicted = predict(self.model, self.images)
        return {"nme_interocular_percent": 100 * float(metrics.errors(predicted, self.points).mean())}


class BoxTask(FaceTask):
    """CFPD: boxes, by the mean squared error (equation 3)."""

    model: Any  # a Sequential, whose layers are attributes

    def __init__(self, settings: Settings, train: Faces, validation: Faces):
        super().__init__(settings, train, validation)
        self.loss = MeanSquaredError()
        # fc-2 answers in pixels, and fc-1's batch norm has mean 0: let the bias be the mean box from the start. Adam would walk there
        # by 0.01 px a step.
        _, points = view(train, np.arange(len(train)), "normalised", None, size=settings.net.size)
        self.model.fc2.bias.value[...] = part_boxes(points).reshape(len(points), -1).mean(0)

    def learn(self, images: np.ndarray, points: np.ndarray) -> float:
        """Forward and backward of one batch."""
        images, boxes = map(self.model.asarray, (images, part_boxes(points).reshape(len(points), -1)))
        loss = self.loss.forward(self.model.forward(images), boxes)
        self.model.backward(self.loss.backward())
        return loss

    def validate(self) -> dict[str, float]:
        """Mean squared error of the validation faces' boxes, px²."""
        predicted = predict(self.model, self.images)
        return {"box_mse_px2": metrics.box_mse(predicted, part_boxes(self.points).reshape(len(predicted), -1))}


class SineTask:
    """The sine: the next value of the wave at every step, by the mean squared error (section 3.1)."""

    WINDOW, WINDOWS = 25, 1000  # l, and the windows of an epoch

    def __init__(self, settings: Settings):
        self.settings = settings
        self.model = model_for(settings)
        self.epoch_images = self.WINDOWS
        self.loss = MeanSquaredError()
        self.held_out = self.windows(default_rng([settings.seed, 2]), 200)

    def windows(self, rng: Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs x[t .. t+l] and targets x[t+1 .. t+l+1], each (count, l, 1)."""
        wave = sine.waves(count, self.WINDOW + 1, rng)
        return wave[:, :-1], wave[:, 1:]

    def batches(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Fresh waves, a batch at a time."""
        rng = default_rng([self.settings.seed, 1, epoch])
        for share in np.array_split(np.arange(self.WINDOWS), -(-self.WINDOWS // self.settings.batch)):
            yield self.windows(rng, len(share))

    def learn(self, x: np.ndarray, target: np.ndarray) -> float:
        """Forward and backward of one batch."""
        x, target = map(self.model.asarray, (x, target))
        loss = self.loss.forward(self.model.forward(x), target)
        self.model.backward(self.loss.backward())
        return loss

    def validate(self) -> dict[str, float]:
        """Mean squared error on waves never trained on."""
        x, target = self.held_out
        return {"mse": float(np.square(predict(self.model, x) - target).mean())}
