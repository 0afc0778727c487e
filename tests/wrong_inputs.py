"""What training, evaluation and prediction have to refuse, and what they must say of it."""

import lenet_helpers as lenet

import math

import torch
from torch import nn

X, Y = torch.full((10, 1, 28, 28), 0.5), torch.arange(10)
NONE = lenet.ImageDataset(*(torch.zeros(size, dtype=torch.uint8) for size in [(0, 28, 28), (0,)]))

_shape = r"X must be float32 \(B, 1, 28, 28\), it is "
BATCHES = {  # what it is: the batch X, y, and what is said of it
    "no channel": ((X[:, 0], Y), _shape + r"torch.float32 \(10, 28, 28\)"),
    "32 x 32": ((nn.functional.pad(X, (2,) * 4), Y), _shape + r".*\(10, 1, 32, 32\)"),
    "colours": ((X.repeat(1, 3, 1, 1), Y), _shape + r".*\(10, 3, 28, 28\)"),
    "bytes": ((X.byte(), Y), _shape + "torch.uint8"),
    "doubles": ((X.double(), Y), _shape + "torch.float64"),
    "no images": ((X[:0], Y[:0]), _shape + r".*\(0, 1, 28, 28\)"),
    "to 255": ((X * 510, Y), "pixels must lie in 0..1, these go from 255 to 255"),
    "below 0": ((X - 0.6, Y), "pixels must lie in 0..1, these go from -0.1 to -0.1"),
    "no number": ((X * math.nan, Y), "pixels must lie in 0..1, these go from nan to nan"),
    "numpy": ((X.numpy(), Y), "X must be a tensor, it is of type ndarray"),
    "labels to 10": ((X, Y + 1), "labels must be 0 to 9, these go from 1 to 10"),
    "labels from -1": ((X, Y - 1), "labels must be 0 to 9, these go from -1 to 8"),
    "few labels": ((X, Y[:9]), r"y must be int64 \(10,\), it is torch.int64 \(9,\)"),
    "labels with a point": ((X, Y.float()), "y must be int64 .* it is torch.float32"),
    "labels in a list": ((X, Y.tolist()), "y must be a tensor, it is of type list"),
}


def settings():
    """An argument of `train_ch6` that cannot work, by name, and what is said of it."""
    for lr in (0, -0.1, 1e300, math.nan, math.inf, -math.inf, "0.9", None, True, [0.9]):
        yield {"lr": lr}, "lr, the learning rate, must be a number above 0, not "
    for number in (0, -1, 1.5, "10", None, True):
        yield {"num_epochs": number}, "num_epochs must be a whole number from 1 on, not "
    for name in ("train_iter", "test_iter"):
        yield {name: lenet.batches(NONE, 256, shuffle=False)}, f"{name} is empty"
        yield {name: (batch for batch in [(X, Y)])}, f"{name} must be a DataLoader or a list"
