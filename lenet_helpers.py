"""What the chapters of the LeNet course share: network, shapes, data, evaluation, training.

Batches are `X`, float32 (B, 1, 28, 28) in 0..1, and `y`, int64 (B,) in 0..9. Names are d2l's.
"""

from lenet_course import checks, data_files  # before torch: the package makes settings for it
from lenet_course.speed import fastest_layout, try_device

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset

COURSE = data_files.COURSE  # the folder that this file is in
DIGITS = list("0123456789")
FASHION_LABELS = ["t-shirt", "trouser", "pullover", "dress", "coat"]
FASHION_LABELS += ["sandal", "shirt", "sneaker", "bag", "ankle boot"]
Device = torch.device | str | None  # None: the network's own, for training the fastest there is


class Reshape(nn.Module):
    """784 values per image become (B, 1, 28, 28); `view` would need contiguous memory."""

    def forward(self, X: Tensor) -> Tensor:
        return X.reshape(-1, 1, 28, 28)


def init_weights(layer: nn.Module) -> None:
    """Xavier initialisation of one layer's weights; `net.apply(init_weights)` does all of them."""
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight)


def make_lenet(activation: type = nn.Sigmoid, pool: type = nn.AvgPool2d) -> nn.Sequential:
    """A new LeNet as the lesson defines it: 61706 parameters, (B, 1, 28, 28) to logits (B, 10)."""
    net = nn.Sequential(
        Reshape(),
        nn.Conv2d(1, 6, kernel_size=5, padding=2), activation(),
        pool(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5), activation(),
        pool(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120), activation(),
        nn.Linear(120, 84), activation(),
        nn.Linear(84, 10),
    )  # fmt: skip
    return net.apply(init_weights)


class LayerTrace(NamedTuple):
    """One layer as the tracer saw it; sizes are for one image, without the batch dimension."""

    layer: str  # class name
    output_shape: tuple[int, ...]
    parameters: int  # weights and biases
    mult_adds: int | None  # of convolutions and dense layers; None: there are other weights
    receptive_field: int | None  # side of the square that one value can see; None: not known


@torch.no_grad()
def activations(net: nn.Sequential, X: Tensor) -> list[Tensor]:
    """The output of every layer of `net` for a batch `X`, in order."""
    return [X := layer(X) for layer in net]


def trace_shapes(net: nn.Sequential, X: Tensor) -> list[LayerTrace]:
    """Send a batch `X` through `net`, layer by layer, and say what each layer made of it.

    Raises ValueError at the first layer that does not fit, with what it expects and what it gets.
    """
    layers, trace, X = checks.layers(net), [], checks.any_batch(X)
    image = side = X.shape[-2:] if X.dim() == 4 else (28, 28)
    seen = step = np.ones(2)  # rows and columns: pixels that a value sees, and to the next value
    with eval_mode(layers):
        for layer in layers:
            X = checks.forward(layer, X)
            size, stride = checks.window(layer, side, X)
            seen, step = seen + (size - 1) * step, step * stride
            field = None if np.isnan(seen).any() else int(np.minimum(seen, image).max())
            if X.dim() == 4 or isinstance(layer, nn.Linear):
                side = X.shape[-2:] if X.dim() == 4 else (1, 1)
            name, weights = type(layer).__name__, checks.weights_per_value(layer)
            mult_adds = None if weights is None else X[0].numel() * weights
            parameters = sum(p.numel() for p in layer.parameters())
            trace.append(LayerTrace(name, tuple(X.shape[1:]), parameters, mult_adds, field))
    return trace


class ImageDataset(Dataset):
    """Images (N, 28, 28) and labels (N,) in memory, both uint8; an index gives `X` and `y`."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        checks.images(images, labels)
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index) -> tuple[Tensor, Tensor]:
        return self.images[index].unsqueeze(-3) / 255, self.labels[index].long()

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        index = torch.tensor(indices)  # index_select copies image by image, [] pixel by pixel
        return self.images.index_select(0, index).unsqueeze(1) / 255, self.labels[index].long()


def load_images(dataset: str, train: bool) -> ImageDataset:
    """The 60000 training or the 10000 test images of `dataset`, "FashionMNIST" or "MNIST"."""
    return ImageDataset(*data_files.read_images_and_labels(dataset, train))


def batches(dataset: ImageDataset, batch_size: int, shuffle: bool) -> DataLoader:
    """An iterator over the batches `X, y` of `dataset`; under one seed in the order of d2l's."""
    return DataLoader(dataset, batch_size, shuffle, collate_fn=tuple)


def load_data_fashion_mnist(batch_size: int, dataset: str = "FashionMNIST") -> list[DataLoader]:
    """`train_iter, test_iter`: the batches of `d2l.load_data_fashion_mnist`."""
    return [batches(load_images(dataset, train), batch_size, train) for train in (True, False)]


def load_data_mnist(batch_size: int) -> list[DataLoader]:
    """`train_iter, test_iter` of MNIST."""
    return load_data_fashion_mnist(batch_size, "MNIST")


@contextmanager
def eval_mode(net: nn.Module) -> Iterator[None]:
    """Inside: evaluation mode, no gradients. Afterwards every layer has the mode that it had."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def predict(net: nn.Module, X: Tensor, device: Device = None) -> Tensor:
    """Probabilities (B, 10) of the ten classes for a batch `X`, on the CPU."""
    checks.batch(X)
    device = checks.device(net, device)
    with eval_mode(net):
        y_hat = checks.forward(net, X.to(device))
    checks.logits(y_hat, X)
    return y_hat.softmax(dim=1).cpu()


def evaluate_accuracy_gpu(net: nn.Module, data_iter: Iterable, device: Device = None) -> float:
    """The share of `data_iter` that `net` classifies correctly, 0..1; d2l's, without gradients."""
    correct, total = 0, 0
    for X, y in data_iter:
        checks.batch(X, y)
        correct += (predict(net, X, device).argmax(dim=1) == y.cpu()).sum().item()
        total += len(y)
    if total == 0:
        raise ValueError("data_iter is empty: there is no accuracy of no images")
    return correct / total


@dataclass
class Run:
    """What one training run left behind. Epochs are counted from 0.0, where training starts."""

    label: str
    num_epochs: int
    lr: float  # as `train_ch6` was told; an optimizer of one's own may start with another
    device: str
    network: str = ""  # str(net)
    train: list = field(default_factory=list)  # (epoch, loss, accuracy) of every batch
    test: list = field(default_factory=list)  # (epoch, accuracy)
    lr_changes: list = field(default_factory=list)  # (epoch, lr), made by a callback
    gradients: list = field(default_factory=list)  # (epoch, [each weight's]), twenty an epoch
    checkpoints: list = field(default_factory=list)  # state dicts at epoch 0, 1, 2, ...
    loss: float = math.nan  # mean over the last epoch, as the lesson prints it
    train_acc: float = math.nan
    test_acc: float = math.nan
    examples: int = 0
    seconds: float = 0.0  # of training steps; loading, evaluation and callbacks do not count
    stopped: str = ""  # why training ended early, in a sentence

    @property
    def examples_per_sec(self) -> float:
        return self.examples / self.seconds if self.seconds else math.nan

    @property
    def epoch(self) -> float:
        return self.train[-1][0] if self.train else 0.0

    def stop(self, why: str) -> None:
        self.stopped = f"stopped in epoch {math.ceil(self.epoch)} of {self.num_epochs}: {why}"

    def __str__(self) -> str:
        numbers = f"loss {self.loss:.3f}, train acc {self.train_acc:.3f}"
        rate = f"{self.examples_per_sec:.1f} examples/sec on {self.device}"
        return f"{self.stopped}\n{numbers}, test acc {self.test_acc:.3f}\n{rate}".lstrip()


class Callback:
    """What `train_ch6` calls while it trains; a subclass watches, or sets `stop_requested`."""

    stop_requested = False

    def before_fit(self, run: Run, optimizer: Optimizer, scheduler: LRScheduler | None) -> None: ...
    def after_batch(self, run: Run) -> None: ...
    def after_fit(self, run: Run) -> None: ...


def train_ch6(
    net: nn.Module, train_iter: Iterable, test_iter: Iterable, num_epochs: int, lr: float,
    device: Device = None, *, optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None, callback: Callback | None = None, label: str = "LeNet",
) -> Run:  # fmt: skip
    """Train `net` and return the Run; chapter 3 builds this function step by step.

    d2l's `train_ch6`, but it initialises nothing: training goes on from the weights that `net` has.
    `optimizer` takes the place of SGD with `lr`, `scheduler` is stepped after every batch. Raises
    ValueError for what cannot work, before a weight is changed. Whatever ends training later (■, an
    error, a loss that is no number) is said in `run.stopped`; curve, numbers and network are kept.
    """
    device, callback = torch.device(device or try_device()), callback or Callback()
    checks.training(net, train_iter, test_iter, num_epochs, lr, device, optimizer, scheduler)
    net.to(device, memory_format=fastest_layout(net))
    optimizer = optimizer or torch.optim.SGD(net.parameters(), lr=float(lr))
    run = Run(str(label), int(num_epochs), float(lr), str(device), str(net))
    run.checkpoints.append(copy_weights(net))
    try:
        callback.before_fit(run, optimizer, scheduler)
        for epoch in range(num_epochs):
            _train_epoch(net, train_iter, epoch, optimizer, scheduler, run, callback)
            _end_epoch(net, test_iter, run)
            if run.stopped:
                break
    except (Exception, KeyboardInterrupt) as error:
        if not run.examples and isinstance(error, ValueError):
            raise  # the first batch was refused: nothing has happened yet
        run.stop(f"{type(error).__name__} {error}".strip())
        checks.attempt(_end_epoch, net, test_iter, run)
    finally:
        checks.attempt(callback.after_fit, run)
    return run


def _train_epoch(net, train_iter, epoch, optimizer, scheduler, run, callback):
    """One epoch of `train_ch6`: forward pass, backward pass, step; `run` keeps what comes out."""
    loss, num_batches, sums = nn.CrossEntropyLoss(), len(train_iter), np.zeros(3)
    net.train()
    for i, (X, y) in enumerate(train_iter, start=1):
        checks.batch(X, y)
        tic = time.perf_counter()
        X, y = X.to(run.device), y.to(run.device)
        optimizer.zero_grad()
        y_hat = net(X)
        l = loss(y_hat, y)
        l.backward()
        run.examples += len(y)  # from here on the weights change
        optimizer.step()
        if scheduler:
            scheduler.step()
        l, correct = l.item(), (y_hat.argmax(dim=1) == y).sum().item()
        run.seconds += time.perf_counter() - tic
        run.train.append((epoch + i / num_batches, l, correct / len(y)))
        sums += l * len(y), correct, len(y)
        run.loss, run.train_acc = (sums[:2] / sums[2]).tolist()
        if i * 20 // num_batches > (i - 1) * 20 // num_batches:
            run.gradients.append((run.epoch, gradient_sizes(net)))
        callback.after_batch(run)
        if not math.isfinite(l):
            return run.stop(f"the loss became {l}; start over with a smaller learning rate")
        if callback.stop_requested:
            return run.stop("as you asked")


def _end_epoch(net, test_iter, run):
    """The accuracy on the test images, and a checkpoint."""
    run.test_acc, weights = evaluate_accuracy_gpu(net, test_iter), copy_weights(net)
    run.test.append((run.epoch, run.test_acc))
    run.checkpoints.append(weights)


def gradient_sizes(net: nn.Module) -> list[float]:
    """Root mean square of the gradient of every weight, first layer to last."""
    weights = [p for p in net.parameters() if p.dim() > 1 and p.grad is not None]
    return [w.grad.square().mean().sqrt().item() for w in weights]


def copy_weights(net: nn.Module) -> dict[str, Tensor]:
    """The state dict as a copy on the CPU."""
    return {name: w.detach().cpu().contiguous().clone() for name, w in net.state_dict().items()}
