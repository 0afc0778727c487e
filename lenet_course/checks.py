"""What is refused before it can do harm, each with what was expected and what was found.

And what the tracer has to know of layers that are not LeNet's.
"""

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter


def tensor(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is a tensor."""
    if not torch.is_tensor(value):
        raise ValueError(f"{name} must be a tensor, it is of type {type(value).__name__}")


def batch(X: Tensor, y: Tensor | None = None) -> None:
    """Raise ValueError unless `X` is float32 (B, 1, 28, 28) in 0..1, and `y` int64 (B,) in 0..9."""
    tensor("X", X)
    tensor("y", X if y is None else y)
    if X.dtype != torch.float32 or X.shape[1:] != (1, 28, 28) or len(X) == 0:
        raise ValueError(f"X must be float32 (B, 1, 28, 28), it is {X.dtype} {tuple(X.shape)}")
    low, high = X.aminmax()
    if not 0 <= low <= high <= 1:
        raise ValueError(f"pixels must lie in 0..1, these go from {low:g} to {high:g}")
    if y is None:
        return
    if y.dtype != torch.int64 or y.shape != X.shape[:1]:
        raise ValueError(f"y must be int64 ({len(X)},), it is {y.dtype} {tuple(y.shape)}")
    low, high = y.aminmax()
    if not 0 <= low <= high <= 9:
        raise ValueError(f"labels must be 0 to 9, these go from {low} to {high}")


def logits(y_hat: Tensor, X: Tensor) -> None:
    """Raise ValueError unless `y_hat` holds ten logits for each image of `X`."""
    if not torch.is_tensor(y_hat) or y_hat.shape != (len(X), 10):
        found = (
            tuple(y_hat.shape)
            if torch.is_tensor(y_hat)
            else f"a value of type {type(y_hat).__name__}"
        )
        raise ValueError(f"the network must give logits of shape ({len(X)}, 10), it gives {found}")
    if y_hat.is_meta:
        raise ValueError("the network must hold numbers: it is on the device meta, of shapes alone")


def images(images: Tensor, labels: Tensor) -> None:
    """Raise ValueError unless these are uint8 images (N, 28, 28) with uint8 labels (N,), 0..9."""
    tensor("images", images)
    tensor("labels", labels)
    if images.dtype != torch.uint8 or images.shape != (len(labels), 28, 28):
        found = f"{images.dtype} {tuple(images.shape)}, with {len(labels)} labels"
        raise ValueError(f"images must be torch.uint8 (N, 28, 28), with N labels, not {found}")
    if len(labels) and not 0 <= labels.min() <= labels.max() <= 9:
        raise ValueError(f"labels must be 0 to 9, these go from {labels.min()} to {labels.max()}")


def training(
    net: nn.Module, train_iter: Iterable, test_iter: Iterable, num_epochs: Any, lr: Any,
    device: Any, optimizer: Any, scheduler: Any,
) -> None:  # fmt: skip
    """Raise ValueError for settings, data or parts that `train_ch6` cannot work with."""
    network(net)
    if isinstance(num_epochs, bool) or not isinstance(num_epochs, Integral) or num_epochs < 1:
        raise ValueError(f"num_epochs must be a whole number from 1 on, not {num_epochs!r}")
    rate(lr)
    data(net, train_iter, test_iter, device)
    parts(net, optimizer, scheduler, num_epochs * len(train_iter))


def rate(lr: Any) -> None:
    """Raise ValueError unless `lr` is a number above 0 that float32 can hold."""
    try:
        value = math.nan if isinstance(lr, bool | str) else float(lr)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < 3.4e38:
        raise ValueError(f"lr, the learning rate, must be a number above 0, not {lr!r}")


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    """`value` as an int. Raises ValueError unless it is a whole number from `low` to `high`."""
    try:
        number = low - 1 if isinstance(value, bool) else operator.index(value)
    except (TypeError, RuntimeError):
        number = low - 1
    if not low <= number <= high:
        raise ValueError(f"{name} must be {low} to {high}, it is {value!r}")
    return number


def data(net: nn.Module, train_iter: Iterable, test_iter: Iterable, device: Any) -> None:
    """Raise ValueError unless the batches are images and `net` has ten logits for them.

    Lazy layers, as today's book has them, get their sizes from this first batch.
    """
    from lenet_helpers import eval_mode  # not above: that module begins by importing this one

    for name, data_iter in [("train_iter", train_iter), ("test_iter", test_iter)]:
        if not hasattr(data_iter, "__len__"):
            found = f"it is of type {type(data_iter).__name__}"
            raise ValueError(f"{name} must be a DataLoader or a list of batches, {found}")
        if len(data_iter) == 0:
            raise ValueError(f"{name} is empty: at least one batch of images is needed")
    with torch.random.fork_rng(devices=[]):  # starting an iterator draws a random number
        X, y = next(iter(test_iter), (None, None))
    if X is None:
        raise ValueError("test_iter has a length, and no batch comes from it")
    batch(X, y)
    lazy = any(isinstance(p, UninitializedParameter) for p in net.parameters())
    net.to(device)
    with eval_mode(net):
        try:
            y_hat = net(X[:2].to(device))
        except RuntimeError as error:
            found = f"{X.dtype} {tuple(X[:2].shape)}"
            raise ValueError(f"the network cannot take a batch of {found}: {error}") from error
        logits(y_hat, X[:2])
    if not torch.is_grad_enabled() or not any(p.requires_grad for p in net.parameters()):
        raise ValueError(
            "nothing can be trained: gradients are switched off (torch.no_grad, "
            "set_grad_enabled(False) or requires_grad=False)"
        )
    if lazy:
        print("the lazy layers have their sizes now, and PyTorch's own initialisation")


def parts(net: nn.Module, optimizer: Any, scheduler: Any, num_steps: int) -> None:
    """Raise ValueError unless the three belong together and the schedule lasts `num_steps` more."""
    if scheduler and not optimizer:
        raise ValueError("a scheduler moves the learning rate of its optimizer: give that, too")
    if not optimizer:
        return
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ValueError(
            f"optimizer must be one of torch.optim, made from net.parameters(), not {optimizer!r}"
        )
    schedules = torch.optim.lr_scheduler
    if scheduler and (
        not isinstance(scheduler, schedules.LRScheduler)
        or isinstance(scheduler, schedules.ReduceLROnPlateau)
    ):
        raise ValueError(f"scheduler must be one whose step() takes no argument, not {scheduler!r}")
    ours = {id(p): p for p in net.parameters()}
    theirs = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not theirs <= ours.keys():
        raise ValueError(
            "the optimizer holds the parameters of another network: make a new one from "
            "net.parameters() whenever you make the network anew"
        )
    left_out = [p for key, p in ours.items() if p.requires_grad and key not in theirs]
    if left_out:
        print(f"the optimizer leaves {len(left_out)} of the network's tensors as they are")
    if scheduler and scheduler.optimizer is not optimizer:
        raise ValueError("the scheduler belongs to another optimizer: make it from this one")
    left = getattr(scheduler, "total_steps", math.inf) - getattr(scheduler, "last_epoch", 0)
    if left < num_steps:
        raise ValueError(
            f"the scheduler has {left} steps left, and this training takes {num_steps}: make "
            "optimizer and scheduler anew before each training"
        )


def network(net: nn.Module) -> None:
    """Raise ValueError unless `net` is a network."""
    if not isinstance(net, nn.Module):
        raise ValueError(f"net must be a network, it is of type {type(net).__name__}")


def device(net: nn.Module, wanted: Any = None) -> Any:
    """The device to run `net` on: the `wanted` one, else its own, else the CPU.

    Raises ValueError unless `net` is a network.
    """
    network(net)
    return wanted or next((p.device for p in net.parameters()), torch.device("cpu"))


def is_plain(layer: nn.Module) -> bool:
    """Whether it is a Sequential that runs its layers one after the other, and does no more."""
    return type(layer).forward is nn.Sequential.forward


def layers(net: nn.Sequential) -> nn.Sequential:
    """The layers of `net`, those of Sequentials within it among them, as one Sequential.

    Raises ValueError unless `net` is an nn.Sequential; a Sequential with a forward of its own, such
    as a residual block, is one layer.
    """
    name = type(net).__name__
    if not isinstance(net, nn.Sequential):
        raise ValueError(f"net must be an nn.Sequential, it is of type {name}")
    if not is_plain(net):
        raise ValueError(f"net must be a plain nn.Sequential: {name} has a forward of its own")
    inner = [layers(layer) if is_plain(layer) else [layer] for layer in net]
    return nn.Sequential(*itertools.chain(*inner))


def any_batch(X: Tensor) -> Tensor:
    """`X`, whatever its shape. Raises ValueError unless it is a tensor of one image at least."""
    tensor("X", X)
    if X.dim() == 0 or X.numel() == 0:
        raise ValueError(f"X must hold at least one image, its shape is {tuple(X.shape)}")
    return X


def forward(layer: nn.Module, X: Tensor) -> Tensor:
    """`layer(X)`. Raises ValueError if `X` does not fit: what is expected, and what was found.

    Of a plain Sequential the sentence is about the layer in it that `X` does not get through.
    """
    output, problem = None, None
    try:
        output = layer(X)
    except (MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        problem = error
    if torch.is_tensor(output) and output.dim() and output.numel():
        return output
    if is_plain(layer):
        for inner in layers(layer):
            X = forward(inner, X)
    if problem is not None:
        raise ValueError(_does_not_fit(layer, X, problem)) from problem
    found = tuple(output.shape) if torch.is_tensor(output) else type(output).__name__
    raise ValueError(f"{type(layer).__name__} must return a batch, a tensor, it returns: {found}")


def _does_not_fit(layer: nn.Module, X: Tensor, problem: Exception) -> str:
    """A sentence on a `layer` that cannot take `X`: what it expects and what it gets."""
    name, found = type(layer).__name__, " x ".join(map(str, X.shape[1:]))
    weight = next(layer.parameters(), X)
    if weight.dtype != X.dtype:
        return f"{name} expects {weight.dtype} and gets {X.dtype}"
    if weight.device != X.device:
        return f"{name} is on the device {weight.device}, and what it gets is on {X.device}"
    if isinstance(layer, nn.Linear):
        return f"{name} expects {layer.in_features} values per image and gets {found}"
    if isinstance(layer, nn.Conv2d) and X.dim() == 4 and X.shape[1] != layer.in_channels:
        return f"{name} expects {layer.in_channels} channels and gets an image of {found}"
    if name == "Reshape":
        return f"{name} expects 784 values per image and gets {found}"
    sentence = f"{name} cannot take an input of {found} per image"
    if type(layer).__module__.startswith("torch.nn."):
        return sentence
    reason = " ".join(f"{type(problem).__name__} {problem}".split())  # of a layer of one's own
    return f"{sentence}: {reason[:200]}"


WINDOWS = nn.Conv2d, nn.AvgPool2d, nn.MaxPool2d, nn.LPPool2d
ADAPTIVE = nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d
BY_VALUE = nn.BatchNorm1d, nn.BatchNorm2d, nn.PReLU  # weights, and yet no window


def window(layer: nn.Module, side: Sequence[int], X: Tensor) -> np.ndarray:
    """Size and stride, each for rows and columns, of the windows that `layer` slides over a map.

    It has made `X` of a map with these sides. Not a number, where its windows are not known.
    """
    kind, after = type(layer), X.shape[-2:] if X.dim() == 4 else side
    if kind in WINDOWS and getattr(layer, "padding_mode", "zeros") == "zeros":
        dilation, stride = getattr(layer, "dilation", 1), layer.stride or layer.kernel_size
        reach = np.subtract(layer.kernel_size, 1) * dilation
        return np.stack(np.broadcast_arrays(reach + np.ones(2), stride))
    if kind in ADAPTIVE and not np.remainder(side, after).any():  # else they differ in size
        return np.stack([np.floor_divide(side, after)] * 2)
    if kind is nn.Linear:  # a window as large as the map
        return np.stack([side, np.ones(2)])
    # Activation, dropout and batch normalisation work value by value; padding adds what is black.
    own = [*layer.parameters(), *layer.children()] and not isinstance(layer, BY_VALUE)
    moves = kind in WINDOWS + ADAPTIVE or isinstance(layer, nn.InstanceNorm2d)
    fits = tuple(after) == tuple(side) or isinstance(layer, nn.ZeroPad2d | nn.ConstantPad2d)
    return np.ones((2, 2)) if fits and not own and not moves else np.full((2, 2), np.nan)


def weights_per_value(layer: nn.Module) -> int | None:
    """How many weights meet an input in one value that `layer` makes; None if it is not known.

    What scales value by value, as batch normalisation does, is not counted.
    """
    if type(layer) in (nn.Conv2d, nn.Linear):
        return layer.weight[0].numel()
    return None if any(p.dim() > 1 for p in layer.parameters()) else 0


def attempt(act: Callable, *args: Any) -> None:
    """Call `act`; what it raises is printed, for a Run that is complete must not be lost by it."""
    try:
        act(*args)
    except (Exception, KeyboardInterrupt) as error:
        print(f"{act.__name__} has failed: {type(error).__name__} {error}".strip())
