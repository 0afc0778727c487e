"""Training that is interrupted, blows up, or is given what cannot work."""

import lenet_helpers as lenet
from lenet_course import saved

import math
import os
import random
import re
import signal
import threading
from functools import cache

import pytest
import torch
from torch import nn

CHANCE = random.Random(0)
MOMENTS = [CHANCE.uniform(0, 0.5) for _ in range(60)]  # seconds


@cache
def some_images(train, count):
    images = lenet.load_images("FashionMNIST", train)
    return lenet.ImageDataset(images.images[:count], images.labels[:count])


def iterators(images=2048, batch_size=256):
    """`train_iter, test_iter` of a few real images: an epoch takes a fraction of a second."""
    return (
        lenet.batches(some_images(True, images), batch_size, shuffle=True),
        lenet.batches(some_images(False, 512), 256, shuffle=False),
    )


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class InterruptAfter(lenet.Callback):
    """Sends this process the kernel's interrupt so many seconds after training began."""

    def __init__(self, seconds):
        self.timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))

    def before_fit(self, run, optimizer, scheduler):
        self.timer.start()


@pytest.fixture
def no_late_interrupt():
    """An interrupt that comes when training has ended must not end the tests."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("seconds", MOMENTS)
def test_interrupted(seconds, tmp_path, no_late_interrupt):
    """training interrupted at a random moment of batch, epoch or evaluation"""
    train_iter, test_iter = iterators(768)
    net = lenet.make_lenet()
    # It would never end by itself.
    run = lenet.train_ch6(
        net, train_iter, test_iter, 10**6, 0.5, "cpu", callback=InterruptAfter(seconds)
    )
    assert re.fullmatch(r"stopped in epoch \d+ of 1000000: KeyboardInterrupt", run.stopped)
    assert all(map(math.isfinite, [*sum(run.train, ()), *sum(run.test, ()), run.test_acc]))
    assert len(run.checkpoints) == len(run.test) + 1
    assert same(lenet.copy_weights(net), run.checkpoints[-1])
    saved.save_weights(net, tmp_path / "net.pt")
    saved.save_run(run, tmp_path / "run.pt")
    assert saved.load_run(tmp_path / "run.pt").train == run.train
    again = saved.load_weights(lenet.make_lenet(), tmp_path / "net.pt")
    more = lenet.train_ch6(again, train_iter, test_iter, 1, 0.5, "cpu")
    assert not more.stopped and same(more.checkpoints[0], run.checkpoints[-1])


@pytest.mark.parametrize("images", [256, 512, 2048])  # one batch an epoch, two, eight
@pytest.mark.parametrize(
    ("lr", "activation"), [(1e38, nn.Sigmoid), (1e30, nn.ReLU), (1e12, nn.ReLU)]
)
def test_diverged(lr, activation, images):
    """a learning rate that blows up: training stops, names the epoch and what to try"""
    torch.manual_seed(0)
    net = lenet.make_lenet(activation)
    run = lenet.train_ch6(net, *iterators(images), 3, lr, "cpu")
    sentence = r"stopped in epoch [123] of 3: the loss became (nan|inf); start over with a smaller "
    assert re.fullmatch(sentence + "learning rate", run.stopped)
    assert run.train and run.test and len(run.checkpoints) > 1


# Unusual, and right: one image at a time, all at once, fewer than five batches an epoch.
@pytest.mark.parametrize(
    ("images", "batch_size"), [(5, 1), (1, 1), (100, 1000), (100, 100), (600, 256), (512, 256)]
)
def test_unusual(images, batch_size):
    """unusual sizes of batches and data sets: trained like any other"""
    run = lenet.train_ch6(lenet.make_lenet(), *iterators(images, batch_size), 1, 0.1, "cpu")
    assert not run.stopped and run.examples == images and run.epoch == 1 and run.loss > 0


def wrong_settings():
    for lr in (0, -0.1, 1e300, math.nan, math.inf, -math.inf, "0.9", None, True, [0.9]):
        yield {"lr": lr}, "lr, the learning rate, must be a number above 0"
    for number in (0, -1, 1.5, "10", None, True):
        yield {"num_epochs": number}, "num_epochs must be a whole number from 1 on"
    none = lenet.batches(some_images(True, 0), 256, shuffle=False)
    for name in ("train_iter", "test_iter"):
        yield {name: none}, f"{name} is empty"
        yield {name: iter(())}, f"{name} must be a DataLoader or a list of batches"


def wrong_batches():
    X, y = next(iter(iterators(256)[0]))
    shape = r"X must be float32 \(B, 1, 28, 28\), it is "
    yield "no channel", (X[:, 0], y), shape + r"torch.float32 \(256, 28, 28\)"
    yield "32 x 32", (nn.functional.pad(X, (2,) * 4), y), shape + r".*\(256, 1, 32, 32\)"
    yield "colours", (X.repeat(1, 3, 1, 1), y), shape + r".*\(256, 3, 28, 28\)"
    yield "bytes", ((X * 255).byte(), y), shape + "torch.uint8"
    yield "doubles", (X.double(), y), shape + "torch.float64"
    yield "no images", (X[:0], y[:0]), shape + r".*\(0, 1, 28, 28\)"
    yield "to 255", (X * 255, y), "pixels must lie in 0..1, these go from 0 to 255"
    yield "no number", (X / 0, y), "pixels must lie in 0..1, these go from nan to nan"
    yield "numpy", (X.numpy(), y), "X must be a tensor, it is of type ndarray"
    yield "labels to 10", (X, y + 1), "labels must be 0 to 9, these go from 1 to 10"
    yield "labels from -1", (X, y - 1), "labels must be 0 to 9, these go from -1 to 8"
    yield "few labels", (X, y[:9]), r"y must be int64 \(256,\), it is torch.int64 \(9,\)"
    yield "labels with a point", (X, y.float()), r"y must be int64 .* it is torch.float32"
    yield "labels in a list", (X, y.tolist()), "y must be a tensor, it is of type list"


def refused(message, action, net):
    """`action` raises a ValueError that says `message`, and no weight of `net` is changed."""
    before = lenet.copy_weights(net)
    with pytest.raises(ValueError, match=message):
        action()
    assert same(before, lenet.copy_weights(net))


@pytest.mark.parametrize(("settings", "message"), list(wrong_settings()), ids=str)
def test_settings(settings, message):
    """settings that cannot work: refused with what is expected and what was found"""
    train_iter, test_iter = iterators(256)
    parts = {"train_iter": train_iter, "test_iter": test_iter, "num_epochs": 1, "lr": 0.1}
    net = lenet.make_lenet()
    refused(message, lambda: lenet.train_ch6(net, **parts | settings, device="cpu"), net)


@pytest.mark.parametrize("use", ["train", "test", "evaluate", "predict"])
@pytest.mark.parametrize(("what", "batch", "message"), list(wrong_batches()), ids=str)
def test_data(use, what, batch, message):
    """images and labels that do not fit: refused with what is expected and what was found"""
    if use == "predict" and "label" in what:
        pytest.skip("a prediction takes no labels")
    net, right = lenet.make_lenet(), list(iterators(256)[0])
    actions = {
        "train": lambda: lenet.train_ch6(net, [batch, *right], right, 1, 0.1, "cpu"),
        "test": lambda: lenet.train_ch6(net, right, [batch], 1, 0.1, "cpu"),
        "evaluate": lambda: lenet.evaluate_accuracy_gpu(net, [batch]),
        "predict": lambda: lenet.predict(net, batch[0]),
    }
    refused(message, actions[use], net)
