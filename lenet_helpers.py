"""What the chapters of the LeNet course share: network, shapes, data, training, weights.

Import this module before torch. It has no hidden state: every function takes what it works on and
returns what it found. Images are batches `X` of shape (B, 1, 28, 28), float32 in 0..1; labels `y`
have shape (B,), int64 in 0..9.

d2l and torchvision are not imported here: together they triple the time of a chapter's first cell
(6.5 s against 2.9 s for torch alone). Where a piece follows d2l, its docstring says so, and
tests/test_against_d2l.py compares the two.
"""

import os

# OpenMP threads that spin while they wait make two trainings on one machine up to twenty times
# slower each; threads that soon go to sleep leave the cores to others. A short spin bridges the gap
# between two layers, a sleep there costs a fifth of the time. Read once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import ctypes
import glob
import math
import signal
import tempfile
import time
import warnings
import zipfile
from contextlib import chdir, contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import RandomSampler, SequentialSampler

# A training step frees large blocks and soon asks for them again. glibc would hand them back to the
# system in between and fetch them page by page, at up to a third of the time of an epoch.
with suppress(AttributeError, TypeError):  # where there is no glibc
    libc, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = ctypes.CDLL(None), -1, -3  # as in malloc.h
    libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
    libc.mallopt(M_TRIM_THRESHOLD, 256 << 20)

COURSE = Path(__file__).resolve().parent
DIGITS = [str(digit) for digit in range(10)]
FASHION_LABELS = [
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
]  # fmt: skip


# ---------------------------------------------------------------------------- the network


class Reshape(nn.Module):
    """Whatever comes as a batch of 784 values an image leaves as (B, 1, 28, 28).

    The lesson uses `view`, which fails on some batches that are not contiguous in memory (several
    stacked and transposed, say), where `reshape` makes a copy.
    """

    def forward(self, X):
        return X.reshape(-1, 1, 28, 28)


def init_weights(layer):
    """Xavier initialisation for one layer's weights; `net.apply(init_weights)` does all of them."""
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight)


def make_lenet(activation=nn.Sigmoid, pool=nn.AvgPool2d):
    """LeNet as the lesson defines it, new: 61706 parameters, (B, 1, 28, 28) to (B, 10) scores.

    `activation` and `pool` are classes, so that a chapter can ask for `nn.ReLU` or `nn.MaxPool2d`.
    A fresh network is the way to start over: training never initialises anything (d2l's
    `train_ch6` draws new weights at every call, yet leaves the biases as they are).
    """
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


# ---------------------------------------------------------------------------- shapes


class LayerTrace(NamedTuple):
    """One layer as the tracer saw it; sizes are for one image, without the batch dimension."""

    layer: str  # class name
    output_shape: tuple[int, ...]
    parameters: int  # weights and biases
    mult_adds: int  # multiplications, each with its addition; pooling and activations count 0
    receptive_field: int  # side of the square of input pixels that one output value can see


def activations(net, X):
    """The output of every layer of a Sequential `net` for a batch `X`, in order."""
    outputs = []
    with torch.no_grad():
        for layer in net:
            X = layer(X)
            outputs.append(X)
    return outputs


def trace_shapes(net, X):
    """Send `X` through a Sequential `net` layer by layer and say what every layer made of it.

    Returns a list of LayerTrace. Raises ValueError at the first layer that does not fit, with the
    size that it expects and the size that it gets.
    """
    if not isinstance(net, nn.Sequential):
        raise ValueError(f"net must be a nn.Sequential, it is a {type(net).__name__}")
    if not torch.is_tensor(X) or X.dim() < 2:
        found = f"a tensor {tuple(X.shape)}" if torch.is_tensor(X) else f"a {type(X).__name__}"
        raise ValueError(f"X must be a batch of images (B, 1, 28, 28), it is {found}")
    trace, field_size, step = [], 1, 1
    map_size = image_size = X.shape[-1]
    with torch.no_grad():
        for layer in net:
            inputs = X
            try:
                X = layer(inputs)
            except (RuntimeError, ValueError) as error:
                raise ValueError(_does_not_fit(layer, inputs)) from error
            if isinstance(layer, nn.Conv2d | nn.AvgPool2d | nn.MaxPool2d):
                # A window of k values, each `step` input pixels apart, sees (k - 1) * step more.
                field_size += (_side(layer.kernel_size) - 1) * step
                step *= _side(layer.stride)
            elif isinstance(layer, nn.Linear):
                # It sees every position of the map, and so (with LeNet) the whole image.
                field_size, map_size = field_size + (map_size - 1) * step, 1
            if X.dim() == 4:
                map_size = X.shape[-1]
            trace.append(
                LayerTrace(
                    type(layer).__name__,
                    tuple(X.shape[1:]),
                    sum(p.numel() for p in layer.parameters()),
                    _mult_adds(layer, X),
                    min(field_size, image_size),
                )
            )
    return trace


def _side(size):
    return size if isinstance(size, int) else size[0]


def _mult_adds(layer, output):
    """Every output value takes one multiply-add per weight that goes into it."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        return output[0].numel() * layer.weight[0].numel()
    return 0


def _does_not_fit(layer, inputs):
    name, found = type(layer).__name__, " x ".join(map(str, inputs.shape[1:]))
    if getattr(layer, "weight", inputs).dtype != inputs.dtype:
        return f"{name} expects {layer.weight.dtype} and gets {inputs.dtype}"
    if isinstance(layer, nn.Linear):
        return f"{name} expects {layer.in_features} values an image and gets {found}"
    if isinstance(layer, nn.Conv2d) and inputs.dim() == 4 and inputs.shape[1] != layer.in_channels:
        return f"{name} expects {layer.in_channels} channels and gets an image of {found}"
    if isinstance(layer, Reshape):
        return f"Reshape expects 784 values an image and gets {found}"
    return f"{name} cannot take an input of {found} an image"


# ---------------------------------------------------------------------------- data


def data_folder():
    """The folder with FashionMNIST/raw and MNIST/raw: $LENET_DATA, or data/ beside this module."""
    return Path(os.environ.get("LENET_DATA") or COURSE / "data")


@contextmanager
def beside_data():
    """Inside, `../data` is the data folder, wherever it is: d2l's loaders read from there."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").symlink_to(data_folder().resolve())
        Path(folder, "notebooks").mkdir()
        with chdir(Path(folder, "notebooks")):
            yield


def read_idx(path):
    """Read one uncompressed IDX file, the format that MNIST came in, as a uint8 tensor.

    Raises FileNotFoundError if it is not there, ValueError if it is not IDX or not as long as its
    header says.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path.name} is not in {path.parent}: run `make data` in the course's folder, "
            "or name the folder that holds the data in LENET_DATA"
        ) from None
    dimensions = content[3] if len(content) > 3 else 0
    header = 4 + 4 * dimensions
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4)]
    if content[:3] != b"\0\0\x08" or not 1 <= dimensions <= 3 or 0 in shape:
        raise ValueError(f"{path.name} is no IDX file of bytes: run `make data` to fetch it again")
    promised = header + math.prod(shape)
    if len(content) != promised:
        raise ValueError(
            f"{path.name} is {len(content)} bytes long, its header promises {promised}: "
            "run `make data` to fetch it again"
        )
    return torch.tensor(np.frombuffer(content, np.uint8, offset=header).reshape(shape))


class ImageTensors:
    """Images (N, 28, 28) uint8 and labels (N,) uint8 in memory; an index list gives a whole batch.

    Converting 256 images at once takes well under a millisecond; d2l's loader converts one image
    at a time in four worker processes and spends three quarters of an epoch on it.
    """

    def __init__(self, images, labels):
        if images.dtype != torch.uint8 or images.shape[1:] != (28, 28):
            raise ValueError(
                "images must be uint8 of shape (N, 28, 28), "
                f"these are {images.dtype} {tuple(images.shape)}"
            )
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{len(images)} images need as many labels, not {tuple(labels.shape)}")
        if len(labels) and not 0 <= labels.min() <= labels.max() <= 9:
            raise ValueError(
                f"labels must be 0 to 9, these go from {labels.min()} to {labels.max()}"
            )
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self._converted(self.images[index], self.labels[index])

    def batch(self, index):
        """The batch (X, y) of the images with the numbers `index`, (B,) int64.

        Copies image by image, eight times faster than [], which picks pixel by pixel.
        """
        return self._converted(
            self.images.index_select(0, index), self.labels.index_select(0, index)
        )

    def _converted(self, images, labels):
        return images.unsqueeze(-3) / 255, labels.long()


def load_images(dataset, train):
    """The 60000 training or the 10000 test images of `dataset`, "FashionMNIST" or "MNIST"."""
    raw, part = data_folder() / dataset / "raw", "train" if train else "t10k"
    return ImageTensors(
        read_idx(raw / f"{part}-images-idx3-ubyte"), read_idx(raw / f"{part}-labels-idx1-ubyte")
    )


class DataIter:
    """Batches (X, y) of `dataset`, an ImageTensors; with `shuffle` in a new order every time.

    The order is drawn as torch's DataLoader draws it, so that under one seed the batches are those
    of d2l's loader. (A DataLoader that does the same makes an epoch 2 % longer.) Raises ValueError
    for a `batch_size` that is no whole number from 1 on.
    """

    def __init__(self, dataset, batch_size, shuffle):
        _check_count("batch_size", batch_size)
        self.dataset, self.batch_size = dataset, batch_size
        self.sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)

    def __len__(self):
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self):
        torch.empty((), dtype=torch.int64).random_()  # a DataLoader's seed for its workers
        order = torch.tensor(list(self.sampler))
        for start in range(0, len(order), self.batch_size):
            yield self.dataset.batch(order[start : start + self.batch_size])


def load_data_fashion_mnist(batch_size):
    """`train_iter, test_iter` of Fashion-MNIST: the batches of `d2l.load_data_fashion_mnist`."""
    return (
        DataIter(load_images("FashionMNIST", train=True), batch_size, shuffle=True),
        DataIter(load_images("FashionMNIST", train=False), batch_size, shuffle=False),
    )


def load_data_mnist(batch_size):
    """`train_iter, test_iter` of MNIST; see `load_data_fashion_mnist`."""
    return (
        DataIter(load_images("MNIST", train=True), batch_size, shuffle=True),
        DataIter(load_images("MNIST", train=False), batch_size, shuffle=False),
    )


def check_batch(X, y=None):
    """Raise ValueError, saying what is expected and what was found, unless this is a batch."""
    for name, value in [("X", X), ("y", y)]:
        if not torch.is_tensor(value) and not (name == "y" and value is None):
            raise ValueError(f"{name} must be a tensor, it is a {type(value).__name__}")
    if X.dim() != 4 or X.shape[1:] != (1, 28, 28):
        raise ValueError(f"X must have the shape (B, 1, 28, 28), it has {tuple(X.shape)}")
    if X.dtype != torch.float32:
        raise ValueError(f"X must be float32, it is {X.dtype}")
    if len(X) == 0:
        raise ValueError("X is an empty batch: at least one image is needed")
    low, high = X.aminmax()
    if not 0 <= low <= high <= 1:
        raise ValueError(f"pixels must lie in 0..1, these go from {low:g} to {high:g}")
    if y is None:
        return
    if y.shape != X.shape[:1] or y.dtype != torch.int64:
        raise ValueError(f"y must be int64 of shape ({len(X)},), it is {y.dtype} {tuple(y.shape)}")
    low, high = y.aminmax()
    if not 0 <= low <= high <= 9:
        raise ValueError(f"labels must be 0 to 9, these go from {low} to {high}")


def _check_count(name, value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}")


def check_outputs(y_hat, X):
    if y_hat.shape != (len(X), 10):
        raise ValueError(
            f"the network must answer with shape ({len(X)}, 10), one score a class, "
            f"it answers with {tuple(y_hat.shape)}"
        )


# ---------------------------------------------------------------------------- accuracy


@contextmanager
def evaluating(net):
    """Inside: evaluation mode, no gradients. The network stays in evaluation mode afterwards."""
    net.eval()
    with torch.no_grad():
        yield


def evaluate_accuracy_gpu(net, data_iter, device=None):
    """Share of the images of `data_iter` that `net` classifies correctly, 0..1.

    Follows d2l's function of this name, with `torch.no_grad()`, which the lesson forgot. Leaves the
    network in evaluation mode, as d2l's does. Raises ValueError for an empty iterator.
    """
    device = device or next(net.parameters()).device
    right, total = torch.zeros((), dtype=torch.int64, device=device), 0
    with evaluating(net):
        for X, y in data_iter:
            check_batch(X, y)
            y_hat = net(X.to(device))
            check_outputs(y_hat, X)
            right += (y_hat.argmax(dim=1) == y.to(device)).sum()
            total += len(y)
    if total == 0:
        raise ValueError("data_iter is empty: there is no accuracy of no images")
    return right.item() / total


def predict(net, X):
    """Probabilities (B, 10) of the ten classes for a batch `X`, on the CPU."""
    check_batch(X)
    with evaluating(net):
        y_hat = net(X.to(next(net.parameters()).device))
    check_outputs(y_hat, X)
    return y_hat.softmax(dim=1).cpu()


# ---------------------------------------------------------------------------- training


POINTS_PER_EPOCH = 20  # of the training curve; six a second when an epoch takes three seconds


@dataclass
class Run:
    """What one training run left behind. Epochs are counted from 0.0, where training starts."""

    label: str
    num_epochs: int
    lr: float
    device: str
    train: list = field(default_factory=list)  # (epoch, loss, accuracy), means since the last point
    test: list = field(default_factory=list)  # (epoch, accuracy)
    lr_changes: list = field(default_factory=list)  # (epoch, lr) set by the slider
    gradients: list = field(default_factory=list)  # (epoch, [size of each weight's gradient])
    checkpoints: list = field(default_factory=list)  # state dicts at 0, 1, 2, ... and the end
    loss: float = math.nan  # mean over the last epoch, as the lesson prints it
    train_acc: float = math.nan
    examples: int = 0
    seconds: float = 0.0  # spent on training; evaluation, pictures and pauses do not count
    stopped: str = ""  # why training ended early, in a sentence

    @property
    def lr_now(self):
        return self.lr_changes[-1][1] if self.lr_changes else self.lr

    @property
    def test_acc(self):
        return self.test[-1][1] if self.test else math.nan

    @property
    def examples_per_sec(self):
        return self.examples / self.seconds if self.seconds else math.nan

    def __str__(self):
        lines = [self.stopped] if self.stopped else []
        lines.append(
            f"loss {self.loss:.3f}, train acc {self.train_acc:.3f}, test acc {self.test_acc:.3f}"
        )
        lines.append(f"{self.examples_per_sec:.1f} examples/sec on {self.device}")
        return "\n".join(lines)


class _Recorder:
    """Writes a Run down while it happens: sums, the points of its curve, the clock.

    The sums stay on the device until a point is due: adding to them is cheap, reading them is not.
    """

    def __init__(self, run, net, num_batches, device):
        self.run, self.net, self.num_batches, self.device = run, net, num_batches, device

    def start_epoch(self, epoch):
        self.epoch, self.now = epoch, float(epoch)
        self.epoch_totals = np.zeros(3)  # loss, right answers, images
        self._start_point()

    def _start_point(self):
        self.sums, self.images = torch.zeros(2, device=self.device), 0
        self.tic = time.perf_counter()

    def add(self, i, l, y_hat, y):
        """Add batch `i` of the epoch, counted from 1."""
        right = (y_hat.argmax(dim=1) == y).sum()
        self.sums += torch.stack([l.detach() * len(y), right])
        self.images += len(y)
        self.now = self.epoch + i / self.num_batches
        # No division by zero with few batches, and always a point after the last one.
        if (
            i * POINTS_PER_EPOCH // self.num_batches
            > (i - 1) * POINTS_PER_EPOCH // self.num_batches
        ):
            self.end_point()

    def end_point(self):
        run, totals = self.run, np.array([*self.sums.tolist(), self.images])
        self.epoch_totals += totals
        run.train.append((self.now, *(totals[:2] / self.images).tolist()))
        run.gradients.append((self.now, _gradient_sizes(self.net)))
        run.loss, run.train_acc = (self.epoch_totals[:2] / self.epoch_totals[2]).tolist()
        run.examples += self.images
        run.seconds += time.perf_counter() - self.tic
        self._start_point()

    def head(self):
        """(epoch, loss, accuracy) at this moment: the means since the last point, or that point."""
        if not self.images:
            return self.run.train[-1]
        loss, right = self.sums.tolist()
        return self.now, loss / self.images, right / self.images


class SGD:
    """Plain stochastic gradient descent: `torch.optim.SGD(params, lr)`, bit for bit.

    What `train_ch6` takes if it is given no optimiser. The first optimiser of torch.optim in a
    process loads PyTorch's compiler with it: two seconds and 150 MB that these steps do not need.
    """

    def __init__(self, params, lr):
        self.param_groups = [{"params": list(params), "lr": lr}]  # where torch.optim keeps them

    def zero_grad(self):
        for p in self.param_groups[0]["params"]:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            if p.grad is not None:
                p.add_(p.grad, alpha=-self.param_groups[0]["lr"])


class _Threads:
    """Fewer threads where the cores are wanted by others; inside `with`, on a CPU only.

    In every layer all threads wait for the slowest one, so threads that must share a core slow the
    others down: two trainings on two cores were faster, both, with one thread each than with two.
    An epoch begins with all threads. Where they do not get their processor time, as many as it
    feeds go on alone, unless that proves slower: some networks have no work for all threads.
    """

    def __init__(self, run):
        self.run, self.all = run, torch.get_num_threads()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        torch.set_num_threads(self.all)

    def start_epoch(self):
        torch.set_num_threads(self.all)
        self.pace_of_all, self.settled = None, torch.device(self.run.device).type != "cpu"
        self._start()

    def _start(self):
        self.examples, self.seconds = self.run.examples, self.run.seconds
        self.cpu_seconds = time.process_time()

    def after_batch(self):
        seconds = self.run.seconds - self.seconds  # grows at the points of the curve
        if self.settled or seconds < 0.3:  # too short to judge by
            return
        pace = (self.run.examples - self.examples) / seconds
        if self.pace_of_all is None:
            share = (time.process_time() - self.cpu_seconds) / seconds
            if share < 0.75 * self.all:
                torch.set_num_threads(max(1, round(share)))
                self.pace_of_all = pace
        else:
            self.settled = True
            if pace < 0.9 * self.pace_of_all:
                torch.set_num_threads(self.all)
        self._start()


class NoCurves:
    """What training asks of a `lenet_live.LiveCurves`; this one draws nothing.

    Who wants training to end sets `stop_asked`, as the kernel's interrupt does too; who wants
    another learning rate sets `lr`.
    """

    stop_asked, lr = False, None

    def start(self, run, lr_adjustable):
        """Training begins."""

    def after_batch(self, head):
        """Draw if a picture is due, wait while paused; return the seconds that this took."""
        return 0.0

    def finish(self):
        """Training is over, whatever ended it."""


def train_ch6(
    net, train_iter, test_iter, num_epochs, lr, device=None,
    *, optimizer=None, scheduler=None, curves=None, label="LeNet",
):  # fmt: skip
    """Train `net` and return the Run; chapter 3 builds this function step by step.

    Follows d2l's `train_ch6`: mean softmax cross-entropy, plain SGD with `lr`, the accuracy on
    `test_iter` after every epoch. Training goes on from the weights that `net` has: a second call
    continues the first, a new `make_lenet()` starts over. `optimizer` takes SGD's place,
    `scheduler` is stepped after every batch, `curves` (a `lenet_live.LiveCurves`) draws meanwhile.

    The kernel's interrupt stops it between two batches; curve, numbers and network are kept. It
    also stops when the loss is no longer a number. Raises ValueError for settings or data that
    cannot work, before a weight is changed.
    """
    _check_settings(train_iter, test_iter, num_epochs, lr)
    device = torch.device(device) if device else try_device()
    net.to(device, memory_format=_memory_format(net))
    optimizer = optimizer or SGD(net.parameters(), lr)
    loss = nn.CrossEntropyLoss()
    run = Run(label, num_epochs, lr, str(device), checkpoints=[_weights(net)])
    recorder, curves = _Recorder(run, net, len(train_iter), device), curves or NoCurves()
    threads = _Threads(run)
    with _interrupt_asks(curves), threads, _shown(curves, run, lr_adjustable=scheduler is None):
        for epoch in range(num_epochs):
            net.train()
            recorder.start_epoch(epoch)
            threads.start_epoch()
            for i, (X, y) in enumerate(train_iter, start=1):
                check_batch(X, y)
                X, y = X.to(device), y.to(device)
                optimizer.zero_grad()
                y_hat = net(X)
                check_outputs(y_hat, X)
                l = loss(y_hat, y)
                l.backward()
                optimizer.step()
                if scheduler:
                    scheduler.step()
                recorder.add(i, l, y_hat, y)
                threads.after_batch()
                recorder.tic += curves.after_batch(recorder.head)
                if curves.lr not in (None, run.lr_now):
                    _change_lr(optimizer, run, recorder.now, curves.lr)
                run.stopped = _reason_to_stop(run, recorder.now, curves.stop_asked)
                if run.stopped:
                    break
            if recorder.images:  # stopped between two points
                recorder.end_point()
            run.test.append((recorder.now, evaluate_accuracy_gpu(net, test_iter)))
            run.checkpoints.append(_weights(net))
            if run.stopped:
                break
        else:
            with torch.no_grad():  # the last step may have spoilt what no loss has seen
                if not net(X).isfinite().all():
                    what = "network's answers are no longer numbers"
                    run.stopped = _blown_up(run, recorder.now, what)
    return run


def _check_settings(train_iter, test_iter, num_epochs, lr):
    _check_count("num_epochs", num_epochs)
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < 3.4e38:
        raise ValueError(f"lr, the learning rate, must be a number above 0, not {lr!r}")
    for name, data_iter in [("train_iter", train_iter), ("test_iter", test_iter)]:
        if not hasattr(data_iter, "__len__"):
            kind = type(data_iter).__name__
            raise ValueError(f"{name} must be a DataLoader or a list of batches, it is a {kind}")
        if len(data_iter) == 0:
            raise ValueError(f"{name} is empty: at least one batch of images is needed")
    # Training checks its batches as they come; an epoch must not be lost because of the test's.
    with torch.random.fork_rng(devices=[]):  # starting an iterator draws a random number
        check_batch(*next(iter(test_iter)))


def _memory_format(net):
    """The order in memory in which a CPU is faster: the numbers are the same in both.

    Channels last saves LeNet a sixth of the time; batch normalisation takes thrice as long in it.
    """
    slow = any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())
    return torch.contiguous_format if slow else torch.channels_last


def _change_lr(optimizer, run, epoch, lr):
    for group in optimizer.param_groups:
        group["lr"] = lr
    run.lr_changes.append((epoch, lr))


def _reason_to_stop(run, now, asked):
    """A sentence, or "" as long as training should go on."""
    loss = run.train[-1][1] if run.train else 0.0
    if not math.isfinite(loss):
        return _blown_up(run, now, f"loss became {loss}")
    return f"stopped by you in epoch {math.ceil(now)} of {run.num_epochs}" if asked else ""


def _blown_up(run, now, what):
    return (
        f"stopped in epoch {math.ceil(now)} of {run.num_epochs}: the {what}; "
        f"start over with a new network and a learning rate below {run.lr_now:g}"
    )


def _gradient_sizes(net):
    """Root mean square of every weight's gradient, first layer to last."""
    weights = [p for p in net.parameters() if p.dim() > 1 and p.grad is not None]
    return torch.stack([w.grad.square().mean().sqrt() for w in weights]).tolist()


@contextmanager
def _shown(curves, run, lr_adjustable):
    """The curves get their last state whatever ends the training."""
    curves.start(run, lr_adjustable)
    try:
        yield
    finally:
        curves.finish()


@contextmanager
def _interrupt_asks(curves):
    """Inside, the kernel's interrupt (■, Ctrl-C) only asks to stop, as the stop button does.

    So no batch is torn in two, and a pause ends. A second interrupt raises KeyboardInterrupt.
    """
    interrupted = False

    def ask(signum, frame):
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = curves.stop_asked = True

    try:
        before = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not in the main thread: nobody interrupts us there
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# ---------------------------------------------------------------------------- weights


def runs_folder():
    """The folder for what a chapter writes: $LENET_RUNS, notebooks/runs, or else ~/lenet-runs."""
    choices = [COURSE / "notebooks" / "runs", Path.home() / "lenet-runs"]
    if os.environ.get("LENET_RUNS"):
        choices.insert(0, Path(os.environ["LENET_RUNS"]))
    for folder in choices:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Asking by trying: permissions alone do not know of read-only file systems.
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    raise OSError(
        f"none of {', '.join(map(str, choices))} can be written: name a folder in LENET_RUNS"
    )


def find_weights(name):
    """Path of `name` from the reader's own run of a chapter or, without one, as shipped."""
    own = runs_folder() / name
    return own if own.exists() else COURSE / "notebooks" / "weights" / name


def _weights(net):
    """A copy of the state dict on the CPU, in plain order of memory."""
    return {
        name: value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, value in net.state_dict().items()
    }


def save_weights(net, path):
    """Write the weights of `net` to `path`, whole or not at all, even if the process is killed."""
    _write(_weights(net), path)


def load_weights(net, path):
    """Put the weights in `path` into `net` and return it.

    Raises ValueError, and leaves `net` as it was, if the file is damaged or of another network.
    Nothing in the file is executed.
    """
    weights, expected = _read(path), net.state_dict()
    if not isinstance(weights, dict) or not all(map(torch.is_tensor, weights.values())):
        raise ValueError(f"{Path(path).name} does not hold the weights of a network")
    for name in [*expected, *weights]:
        want, found = (
            "x".join(map(str, w[name].shape)) if name in w else "nothing"
            for w in (expected, weights)
        )
        if want != found:
            raise ValueError(
                f"{Path(path).name} is of another network: {name} is {want} here and {found} there"
            )
        # A sparse or empty-handed tensor of the right shape would fail halfway through.
        kind = weights[name].dtype, weights[name].layout, weights[name].device.type
        if kind != (expected[name].dtype, torch.strided, "cpu"):
            raise ValueError(f"{Path(path).name} does not hold weights: {name} is {kind[0]}")
    net.load_state_dict(weights)
    return net


def save_run(run, path):
    """Write a Run with all its checkpoints to `path`, as safely as `save_weights`."""
    _write(asdict(run), path)


def load_run(path):
    """The Run that `save_run` wrote. Raises ValueError if the file is damaged or no run."""
    content = _read(path)
    kinds = {item.name: item.type for item in fields(Run)}
    if not isinstance(content, dict) or content.keys() != kinds.keys():
        raise ValueError(f"{Path(path).name} does not hold a training run")
    for name, value in content.items():
        if not isinstance(value, int | float if kinds[name] is float else kinds[name]):
            raise ValueError(
                f"{Path(path).name} does not hold a training run: "
                f"its {name} is of type {type(value).__name__}"
            )
    return Run(**content)


def _write(content, path):
    with written_whole(path) as file:
        torch.save(content, file)


@contextmanager
def written_whole(path):
    """A binary file to write to. `path` gets what was written as a whole, or it stays as it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under its own name only when it is complete: rename is all or nothing.
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}-", delete=False
    ) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    # What a killed process left behind; a younger file may be another notebook's, at work.
    for left_over in path.parent.glob(f".{glob.escape(path.name)}-*"):
        if left_over.stat().st_mtime < time.time() - 3600:
            left_over.unlink(missing_ok=True)


def _read(path):
    try:
        with open(path, "rb") as file:
            # The file is a zip archive with checksums, which torch.load does not look at.
            if zipfile.ZipFile(file).testzip():
                raise ValueError("a checksum is wrong")
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"{Path(path).name} is not in {Path(path).parent}") from None
    except Exception as error:
        # Whatever a damaged or malicious file provokes; weights_only executes nothing of it.
        raise ValueError(
            f"{Path(path).name} is damaged or no file of weights, and was not loaded"
        ) from error


# ---------------------------------------------------------------------------- device


def try_device():
    """The device to train on: CUDA, then Apple's MPS, then the CPU; $LENET_DEVICE decides first.

    d2l's `try_gpu`, with MPS, and with the CPU as the answer if the GPU is there but cannot be used
    (full, or its driver too old), which is said in a line.
    """
    if os.environ.get("LENET_DEVICE"):
        return torch.device(os.environ["LENET_DEVICE"])
    with warnings.catch_warnings(record=True) as reasons:
        warnings.simplefilter("always")
        available = [
            name
            for name, is_there in [
                ("cuda", torch.cuda.is_available),
                ("mps", torch.backends.mps.is_available),
            ]
            if is_there()
        ]
    for name in available:
        try:
            torch.empty(ROOM_FOR_TRAINING, dtype=torch.uint8, device=name)
            return torch.device(name)
        except RuntimeError as error:
            reasons.append(error)
    if reasons:
        reason = str(getattr(reasons[-1], "message", reasons[-1])).splitlines()[0]
        print(f"training on the CPU, the GPU cannot be used: {reason}")
    return torch.device("cpu")


ROOM_FOR_TRAINING = 2**28  # bytes that LeNet's training takes on a GPU, with room to spare
