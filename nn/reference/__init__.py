"""Every operation of the library straight from its equation, in float64, with the names and signatures of nn.cpu: the spec."""

from nn.reference.activation import dropout, relu, relu_backward, sigmoid, sigmoid_backward, tanh, tanh_backward
from nn.reference.conv import conv2d, conv2d_backward
from nn.reference.dense import dense, dense_backward
from nn.reference.loss import landmark_error, landmark_error_backward, squared_error, squared_error_backward
from nn.reference.lstm import lstm, lstm_backward
from nn.reference.norm import batch_norm, batch_norm_backward, batch_statistics
from nn.reference.optim import adam_step, sgd_step, total_norm
from nn.reference.pool import maxpool2d, maxpool2d_backward

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
