"""The NumPy room: every operation of the library as pure functions, in the dtype of their input, fast on a CPU."""

from nn.cpu.activation import dropout, relu, relu_backward, sigmoid, sigmoid_backward, tanh, tanh_backward
from nn.cpu.conv import conv2d, conv2d_backward
from nn.cpu.dense import dense, dense_backward
from nn.cpu.loss import landmark_error, landmark_error_backward, squared_error, squared_error_backward
from nn.cpu.lstm import lstm, lstm_backward
from nn.cpu.norm import batch_norm, batch_norm_backward, batch_statistics
from nn.cpu.optim import adam_step, sgd_step, total_norm
from nn.cpu.pool import maxpool2d, maxpool2d_backward

__all__ = [
    "adam_step",
    "batch_norm",
    "batch_norm_backward",
    "batch_statistics",
    "conv2d",
    "conv2d_backward",
    "dense",
    "dense_backward",
    "dropout",
    "landmark_error",
    "landmark_error_backward",
    "lstm",
    "lstm_backward",
    "maxpool2d",
    "maxpool2d_backward",
    "relu",
    "relu_backward",
    "sgd_step",
    "sigmoid",
    "sigmoid_backward",
    "squared_error",
    "squared_error_backward",
    "tanh",
    "tanh_backward",
    "total_norm",
]
