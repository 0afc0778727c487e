"""Training that is interrupted, blows up, or is given what cannot work."""

import lenet_helpers as lenet
from lenet_course import saved

import math
import os
import random
import re
import signal
import threading

import pytest
import torch
import wrong_inputs
from torch import nn

CHANCE = random.Random(0)
MOMENTS = [CHANCE.uniform(0, 0.5) for _ in range(60)]  # seconds


@pytest.fixture
def refused(net, same):
    """A function: `action` raises a ValueError that says `message`, and changes no weight of net"""

    def refused(action, message):
        before = lenet.copy_weights(net)
        with pytest.raises(ValueError, match=message):
            action()
        assert same(before, lenet.copy_weights(net))

    return refused


class InterruptAfter(lenet.Callback):
    """Sends this process the kernel's interrupt so many seconds after training began."""

    def __init__(self, seconds):
        self.timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))

    def before_fit(self, run, optimizer, scheduler):
        self.timer.start()


@pytest.mark.parametrize("seconds", MOMENTS)
def test_interrupted(net, train_iter, test_iter, same, tmp_path, seconds):
    """training interrupted at a random moment of batch, epoch or evaluation"""
    callback = InterruptAfter(seconds)
    # It would never end by itself.
    run = lenet.train_ch6(net, train_iter, test_iter, 10**6, 0.5, "cpu", callback=callback)
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
def test_diverged(first_images, test_iter, lr, activation, images):
    """a learning rate that blows up: training stops, names the epoch and what to try"""
    torch.manual_seed(0)
    train_iter = lenet.batches(first_images(images), 256, shuffle=True)
    run = lenet.train_ch6(lenet.make_lenet(activation), train_iter, test_iter, 3, lr, "cpu")
    sentence = r"stopped in epoch [123] of 3: the loss became (nan|inf); start over with a smaller "
    assert re.fullmatch(sentence + "learning rate", run.stopped)
    assert run.train and run.test and len(run.checkpoints) > 1


# Unusual, and right: one image at a time, all at once, fewer than five batches an epoch.
@pytest.mark.parametrize(
    ("images", "batch_size"), [(5, 1), (1, 1), (100, 1000), (100, 100), (600, 256), (512, 256)]
)
def test_unusual(net, first_images, test_iter, images, batch_size):
    """unusual sizes of batches and data sets: trained like any other"""
    train_iter = lenet.batches(first_images(images), batch_size, shuffle=True)
    run = lenet.train_ch6(net, train_iter, test_iter, 1, 0.1, "cpu")
    assert not run.stopped and run.examples == images and run.epoch == 1 and run.loss > 0


@pytest.mark.parametrize(("setting", "message"), list(wrong_inputs.settings()), ids=str)
def test_settings(net, train_iter, test_iter, refused, setting, message):
    """settings that cannot work: refused with what is expected and what was found"""
    right = {"train_iter": train_iter, "test_iter": test_iter, "num_epochs": 1, "lr": 0.1}
    refused(lambda: lenet.train_ch6(net, **right | setting, device="cpu"), message)


@pytest.mark.parametrize("use", ["train", "test", "evaluate", "predict"])
@pytest.mark.parametrize("what", wrong_inputs.BATCHES)
def test_data(net, test_iter, refused, use, what):
    """images and labels that do not fit: refused with what is expected and what was found"""
    if use == "predict" and "label" in what:
        pytest.skip("a prediction takes no labels")
    (batch, message), right = wrong_inputs.BATCHES[what], list(test_iter)
    actions = {
        "train": lambda: lenet.train_ch6(net, [batch, *right], right, 1, 0.1, "cpu"),
        "test": lambda: lenet.train_ch6(net, right, [batch], 1, 0.1, "cpu"),
        "evaluate": lambda: lenet.evaluate_accuracy_gpu(net, [batch]),
        "predict": lambda: lenet.predict(net, batch[0]),
    }
    refused(actions[use], message)
