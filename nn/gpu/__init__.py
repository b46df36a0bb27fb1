"""The GPU room: every operation as CUDA kernels written by hand, through CuPy on a card or through the emulator without one.

A family is a pair of files: conv.py launches, conv_*.cu computes. float32 for work; float64 runs the same text for checking.
"""

from nn.gpu.activation import dropout, relu, relu_backward, sigmoid, sigmoid_backward, tanh, tanh_backward
from nn.gpu.conv import conv2d, conv2d_backward
from nn.gpu.dense import dense, dense_backward
from nn.gpu.loss import landmark_error, landmark_error_backward, squared_error, squared_error_backward
from nn.gpu.lstm import lstm, lstm_backward
from nn.gpu.norm import batch_norm, batch_norm_backward, batch_statistics
from nn.gpu.optim import adam_step, sgd_step, total_norm
from nn.gpu.pool import maxpool2d, maxpool2d_backward

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
