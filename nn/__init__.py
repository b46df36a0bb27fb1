"""nn: neural network layers whose forward and backward passes are written by hand. It knows arrays, and nothing of faces."""

from nn.activation import ReLU, Sigmoid, Tanh
from nn.average import Average
from nn.backend import device_of, ops, to_device, to_numpy
from nn.block import ConvBlock
from nn.conv import Conv2D
from nn.dense import Dense, Flatten
from nn.dropout import Dropout
from nn.errors import InputError
from nn.layer import Buffer, Layer, Parameter, Sequential
from nn.loss import LandmarkError, MeanSquaredError
from nn.lstm import LSTM, SeededLSTM
from nn.norm import BatchNorm
from nn.optim import SGD, Adam
from nn.pool import MaxPool2D
from nn.schedule import CosineDecay, StepDecay

__all__ = [
    "LSTM",
    "SGD",
    "Adam",
    "Average",
    "BatchNorm",
    "Buffer",
    "Conv2D",
    "ConvBlock",
    "CosineDecay",
    "Dense",
    "Dropout",
    "Flatten",
    "InputError",
    "LandmarkError",
    "Layer",
    "MaxPool2D",
    "MeanSquaredError",
    "Parameter",
    "ReLU",
    "SeededLSTM",
    "Sequential",
    "Sigmoid",
    "StepDecay",
    "Tanh",
    "device_of",
    "ops",
    "to_device",
    "to_numpy",
]
