"""Training does what the lesson's loop does, and writes down what happened."""

import lenet_helpers as lenet

import copy
import itertools
import math
import os
import re
import signal
import time

import numpy as np
import pytest
import torch
import wrong_inputs
from test_helpers_evaluation import Probe
from torch import nn


@pytest.fixture(autouse=True)
def one_thread():
    """Another number of threads adds in another order: the eighth digit of a sum would vary."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(net, *args, **kwargs):
    return lenet.train_ch6(net, *args, device="cpu", **kwargs)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


# ---------------------------------------------------------------------------- the loop


def test_follows_the_lesson_s_loop(net, train_iter, test_iter):
    """Two epochs, step by step, with the gradient and the update of SGD written out."""
    batches, lesson = list(train_iter), copy.deepcopy(net)
    losses, right = [], []
    for X, y in batches * 2:
        y_hat = lesson(X)
        l = -y_hat.log_softmax(dim=1)[range(len(y)), y].mean()
        gradients = torch.autograd.grad(l, list(lesson.parameters()))
        with torch.no_grad():
            for p, gradient in zip(lesson.parameters(), gradients, strict=True):
                p -= 0.9 * gradient
        losses.append(l.item())
        right.append((y_hat.argmax(dim=1) == y).sum().item())
    start = weights(net)
    run = train(net, batches, test_iter, num_epochs=2, lr=0.9)
    assert (weights(net) - start).abs().max() > 0.05
    assert torch.allclose(weights(net), weights(lesson), atol=1e-5)
    assert [loss for _, loss, _ in run.train] == pytest.approx(losses, abs=1e-5)
    assert [acc for _, _, acc in run.train] == pytest.approx([r / 256 for r in right], abs=4e-3)
    # As the lesson prints them: means over the last epoch, and the accuracy at its end.
    assert run.loss == pytest.approx(sum(losses[5:]) / 5, abs=1e-5)
    assert run.train_acc == pytest.approx(sum(right[5:]) / 1280, abs=1e-3)
    assert run.test_acc == lenet.evaluate_accuracy_gpu(net, test_iter)


def test_a_small_last_batch_counts_by_its_images(net, first_images, test_iter):
    batches = list(lenet.batches(first_images(300), batch_size=256, shuffle=False))
    loss = nn.CrossEntropyLoss()
    with torch.no_grad():
        means = [loss(net(X), y).item() for X, y in batches]
    # So small a learning rate changes nothing, and the epoch's mean is that over its images.
    run = train(net, batches, test_iter, num_epochs=1, lr=1e-9)
    assert run.loss == pytest.approx((256 * means[0] + 44 * means[1]) / 300, abs=1e-6)
    assert abs(run.loss - sum(means) / 2) > 1e-4
    right = (net(batches[1][0]).argmax(dim=1) == batches[1][1]).float().mean()
    assert run.train[1][2] == pytest.approx(right.item())


@pytest.mark.parametrize("mode", [True, False])
def test_training_mode_for_training_and_not_for_the_test(net, train_iter, test_iter, mode):
    net.append(Probe()).train(mode)
    train(net, train_iter, test_iter, num_epochs=2, lr=0.1)
    # First a look whether two images fit; then five batches to train on and two of the test.
    epoch = [(True, True)] * 5 + [(False, False)] * 2
    assert net[-1].calls == [(False, False)] + epoch * 2


def test_the_first_look_does_not_change_the_batches_of_a_seed(net, train_iter, test_iter):
    torch.manual_seed(0)
    X, y = next(iter(train_iter))
    loss = nn.functional.cross_entropy(net(X), y).item()
    torch.manual_seed(0)
    run = train(net, train_iter, test_iter, num_epochs=1, lr=0.1)
    assert run.train[0][1] == pytest.approx(loss, abs=1e-5)


def test_a_second_call_goes_on_from_where_the_first_ended(net, train_iter, test_iter):
    batches, other = list(train_iter), copy.deepcopy(net)
    train(net, batches, test_iter, num_epochs=2, lr=0.9)
    train(other, batches, test_iter, num_epochs=1, lr=0.9)
    train(other, batches, test_iter, num_epochs=1, lr=0.9)
    assert torch.equal(weights(net), weights(other))


def test_another_optimiser_and_a_schedule(net, train_iter, test_iter):
    batches, other = list(train_iter), copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    train(net, batches, test_iter, 1, lr=0.01, optimizer=optimizer, scheduler=scheduler)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 / 2**5)
    by_hand = torch.optim.Adam(other.parameters(), lr=0.01)
    for i, (X, y) in enumerate(batches):
        by_hand.param_groups[0]["lr"] = 0.01 / 2**i
        by_hand.zero_grad()
        nn.functional.cross_entropy(other(X), y).backward()
        by_hand.step()
    assert torch.allclose(weights(net), weights(other), atol=1e-4)


# ---------------------------------------------------------------------------- what is written down


def test_curve_has_every_batch_and_gradients_twenty_times_an_epoch(net, first_images, test_iter):
    data_iter = lenet.batches(first_images(47), batch_size=1, shuffle=True)
    run = train(net, data_iter, test_iter, num_epochs=2, lr=0.1)
    assert [epoch for epoch, *_ in run.train] == pytest.approx([i / 47 for i in range(1, 95)])
    epochs = [epoch for epoch, _ in run.gradients]
    assert len(epochs) == 40 and epochs[19] == 1 and epochs[-1] == 2
    gaps = [b - a for a, b in itertools.pairwise([0, *epochs])]
    assert min(gaps) > 2 / 47 - 1e-9 and max(gaps) < 3 / 47 + 1e-9
    assert [epoch for epoch, _ in run.test] == [1, 2]


def test_run_keeps_settings_counts_and_weights_of_every_epoch(net, train_iter, test_iter):
    start = {name: value.clone() for name, value in net.state_dict().items()}
    run = train(net, train_iter, test_iter, num_epochs=2, lr=0.9, label="mine")
    assert (run.label, run.num_epochs, run.lr, run.device) == ("mine", 2, 0.9, "cpu")
    assert run.examples == 2 * 1280 and run.stopped == "" and run.lr_changes == []
    assert len(run.checkpoints) == 3
    first, middle, last = run.checkpoints
    assert all(torch.equal(first[name], start[name]) for name in start)
    assert all(torch.equal(last[name], net.state_dict()[name]) for name in start)
    assert not torch.equal(first["1.weight"], middle["1.weight"])
    assert not torch.equal(middle["1.weight"], last["1.weight"])
    # The test accuracy beside a checkpoint is that of its weights.
    net.load_state_dict(middle)
    assert lenet.evaluate_accuracy_gpu(net, test_iter) == run.test[0][1]


def test_gradients_are_root_mean_squares_of_each_weight(net, first_images, test_iter):
    batches = list(lenet.batches(first_images(64), batch_size=64, shuffle=False))
    (X, y), other = batches[0], copy.deepcopy(net)
    nn.functional.cross_entropy(other(X), y).backward()
    run = train(net, batches, test_iter, num_epochs=1, lr=0.1)
    expected = [other[i].weight.grad.pow(2).mean().sqrt().item() for i in (1, 4, 8, 10, 12)]
    assert run.gradients[0][1] == pytest.approx(expected, rel=1e-3)


def test_the_clock_runs_for_the_steps_only(net, train_iter, test_iter, monkeypatch):
    """On a clock that goes a second further with every look, a step takes one second."""
    clock = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    run = train(
        net, train_iter, test_iter, num_epochs=2, lr=0.1, callback=Log(do=lambda _: next(clock))
    )
    assert run.seconds == 10 and run.examples_per_sec == 256


def test_prints_the_lesson_s_two_lines():
    run = lenet.Run("", 10, 0.9, "cpu", loss=0.46789, train_acc=0.8254, test_acc=0.80749)
    run.examples, run.seconds = 600_000, 32.0
    expected = "loss 0.468, train acc 0.825, test acc 0.807\n18750.0 examples/sec on cpu"
    assert str(run) == expected
    run.train = [(2.4, 1.0, 0.5)]
    run.stop("as you asked")
    assert str(run) == f"stopped in epoch 3 of 10: as you asked\n{expected}"


def test_a_run_of_nothing_has_no_numbers():
    run = lenet.Run("", 10, 0.9, "cpu")
    assert all(math.isnan(x) for x in (run.loss, run.train_acc, run.test_acc, run.examples_per_sec))
    assert run.epoch == 0


# ---------------------------------------------------------------------------- callbacks


class Log(lenet.Callback):
    """Writes down what it is told, and does something: at one batch, or at all of them."""

    def __init__(self, at=None, do=None):
        self.at, self.do, self.epochs, self.calls = at, do, [], []

    def before_fit(self, run, optimizer, scheduler):
        self.optimizer = optimizer
        self.calls.append(("before", run, optimizer, scheduler))

    def after_batch(self, run):
        self.epochs.append(run.epoch)
        if self.do and self.at in (None, len(self.epochs)):
            self.do(self)

    def after_fit(self, run):
        self.calls.append(("after", run))


def request_stop(log):
    log.stop_requested = True


def test_a_callback_is_told_what_happens(net, train_iter, test_iter):
    log = Log()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    parts = {"optimizer": optimizer, "scheduler": scheduler}
    run = train(net, train_iter, test_iter, 2, 0.1, callback=log, **parts)
    assert log.calls == [("before", run, optimizer, scheduler), ("after", run)]
    assert log.epochs == pytest.approx([i / 5 for i in range(1, 11)])


@pytest.mark.parametrize(("at", "epoch"), [(7, 2), (5, 1)])  # 5: an epoch's last batch is its own
def test_a_callback_can_stop(net, train_iter, test_iter, at, epoch):
    log = Log(at, request_stop)
    run = train(net, train_iter, test_iter, num_epochs=3, lr=0.1, callback=log)
    assert run.stopped == f"stopped in epoch {epoch} of 3: as you asked"
    assert run.epoch == run.test[-1][0] == pytest.approx(at / 5)
    assert run.examples == at * 256 and len(run.checkpoints) == epoch + 1
    assert log.calls[-1] == ("after", run)


# ---------------------------------------------------------------------------- what goes wrong


def interrupt(log):
    os.kill(os.getpid(), signal.SIGINT)


def fail(log):
    raise ZeroDivisionError("of my own")


@pytest.mark.parametrize(
    ("do", "reason"), [(interrupt, "KeyboardInterrupt"), (fail, "ZeroDivisionError of my own")]
)
def test_whatever_ends_training_the_run_comes_back(net, train_iter, test_iter, do, reason):
    log = Log(7, do)
    run = train(net, train_iter, test_iter, 3, lr=0.1, callback=log)
    assert run.stopped == f"stopped in epoch 2 of 3: {reason}"
    assert run.examples == 7 * 256 and run.test[-1][0] == pytest.approx(1.4)
    assert run.test_acc == lenet.evaluate_accuracy_gpu(net, test_iter)
    assert torch.equal(run.checkpoints[-1]["1.weight"], net[1].weight)
    assert log.calls[-1] == ("after", run)
    assert not train(net, train_iter, test_iter, 1, lr=0.1).stopped  # and training can go on


def test_whatever_fails_at_the_end_the_run_comes_back(net, train_iter, test_iter, capsys):
    X, y = next(iter(test_iter))
    for wrong in (X, y + 20), (X[:, :, :9], y):  # behind a first batch, which alone is looked at
        test_images = [(X, y), wrong]
        run = train(net, train_iter, test_images, 2, lr=0.1)
        assert run.examples == 1280 and "stopped in epoch 1 of 2: ValueError" in run.stopped
        assert len(run.checkpoints) == len(run.test) + 1 and math.isnan(run.test_acc)
    log = Log()
    log.after_fit = lambda run: 1 / 0
    assert train(net, train_iter, test_iter, 1, lr=0.1, callback=log).test_acc > 0
    assert "has failed: ZeroDivisionError" in capsys.readouterr().out


def test_a_schedule_that_fails_at_its_first_step_leaves_a_run(net, train_iter, test_iter):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    schedules = torch.optim.lr_scheduler
    used_up = schedules.ChainedScheduler([schedules.OneCycleLR(optimizer, 0.1, total_steps=2)])
    for _ in range(2):
        optimizer.step()
        used_up.step()
    start = weights(net)
    run = train(net, train_iter, test_iter, 1, 0.1, optimizer=optimizer, scheduler=used_up)
    assert run.stopped and not torch.equal(weights(net), start)


def test_a_loss_that_is_no_number_stops_training(net, train_iter, test_iter):
    run = train(net, train_iter, test_iter, num_epochs=3, lr=1e38)
    assert run.stopped == (
        f"stopped in epoch 1 of 3: the loss became {run.train[-1][1]}; "
        "start over with a smaller learning rate"
    )
    assert not math.isfinite(run.train[-1][1]) and len(run.train) < 5


@pytest.mark.parametrize("lr", [np.float32(0.1), np.logspace(-1, 0, 2)[0], torch.tensor(0.1)])
def test_numbers_of_numpy_and_torch_are_learning_rates(net, train_iter, test_iter, lr):
    run = train(net, train_iter, test_iter, num_epochs=np.int64(1), lr=lr, label=0.1)
    assert type(run.lr) is float and run.lr == pytest.approx(0.1) and run.label == "0.1"
    assert type(run.num_epochs) is int


def without_address(value):
    """The name of a test: where tests run side by side, it has to be the same in all processes."""
    return re.sub(r" at 0x\w+", "", str(value))


class Promises(list):
    """A stream that was read to its end has a length still."""

    def __len__(self):
        return 5


@pytest.mark.parametrize(("setting", "message"), list(wrong_inputs.settings()), ids=without_address)
def test_settings_that_cannot_work_are_refused(net, train_iter, test_iter, setting, message):
    start = weights(net)
    arguments = {"train_iter": train_iter, "test_iter": test_iter, "num_epochs": 1, "lr": 0.1}
    with pytest.raises(ValueError, match=message):
        train(net, **arguments | setting)
    assert torch.equal(weights(net), start)


def test_batches_and_networks_that_do_not_fit_are_refused(net, train_iter, test_iter):
    start, batches, (wrong, message) = weights(net), list(train_iter), wrong_inputs.BATCHES["bytes"]
    for data in ([wrong, *batches], test_iter), (batches, [wrong]):
        with pytest.raises(ValueError, match=message):
            train(net, *data, num_epochs=1, lr=0.9)
    assert torch.equal(weights(net), start)
    net[-1] = nn.Linear(84, 12)
    net[2].eval()
    with pytest.raises(ValueError, match=r"logits of shape \(2, 10\), it gives \(2, 12\)"):
        train(net, batches, test_iter, num_epochs=1, lr=0.9)
    assert net.training and not net[2].training
    for wrong, message in [
        (lenet.make_lenet().double(), r"cannot take a batch of torch.float32 \(2, 1, 28, 28\): "),
        (nn.Sequential(nn.Flatten(), nn.Linear(400, 10)), "cannot take a batch of"),
        ([nn.Linear(784, 10)], "net must be a network, it is of type list"),
        (lenet.make_lenet, "net must be a network, it is of type function"),
        (lenet.make_lenet().requires_grad_(False), "nothing can be trained: gradients are"),
    ]:
        with pytest.raises(ValueError, match=message):
            train(wrong, batches, test_iter, num_epochs=1, lr=0.9)
    with pytest.raises(ValueError, match="test_iter has a length, and no batch comes from it"):
        train(net, batches, Promises(), num_epochs=1, lr=0.9)
    with torch.no_grad(), pytest.raises(ValueError, match="nothing can be trained"):
        train(lenet.make_lenet(), batches, test_iter, num_epochs=1, lr=0.9)


def test_parts_that_do_not_belong_together_are_refused(net, train_iter, test_iter):
    other = torch.optim.SGD(lenet.make_lenet().parameters(), lr=0.1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    ten_steps = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
    start = weights(net)
    last = torch.optim.SGD([*net.parameters(), nn.Linear(84, 10).weight], lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    for parts, message in [
        ({"optimizer": "adam"}, "optimizer must be one of torch.optim, made from net.par"),
        ({"optimizer": optimizer, "scheduler": plateau}, r"step\(\) takes no argument, not <"),
        ({"optimizer": last}, "the optimizer holds the parameters of another network"),
        ({"optimizer": other}, "the optimizer holds the parameters of another network"),
        ({"scheduler": ten_steps}, "a scheduler moves the learning rate of its optimizer"),
        (
            {"optimizer": torch.optim.SGD(net.parameters()), "scheduler": ten_steps},
            "the scheduler belongs to another optimizer",
        ),
        (
            {"optimizer": optimizer, "scheduler": ten_steps},
            "the scheduler has 10 steps left, and this training takes 15",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            train(net, train_iter, test_iter, 3, 0.1, **parts)
    assert torch.equal(weights(net), start)
    run = train(net, train_iter, test_iter, 2, 0.1, optimizer=optimizer, scheduler=ten_steps)
    assert not run.stopped  # ten steps are just enough
    with pytest.raises(ValueError, match="the scheduler has 0 steps left"):  # the same cell again
        train(net, train_iter, test_iter, 2, 0.1, optimizer=optimizer, scheduler=ten_steps)


def test_parts_that_no_step_reaches_are_counted(net, train_iter, test_iter, capsys):
    optimizer = torch.optim.SGD(net[:-1].parameters(), lr=0.1)
    train(net, train_iter, test_iter, 1, 0.1, optimizer=optimizer)
    assert "leaves 2 of the network's tensors as they are" in capsys.readouterr().out


def test_lazy_layers_of_today_s_book_get_their_sizes(train_iter, test_iter, capsys):
    net = nn.Sequential(nn.LazyConv2d(6, 5), nn.Sigmoid(), nn.Flatten(), nn.LazyLinear(10))
    run = train(net, train_iter, test_iter, num_epochs=1, lr=0.1)
    assert run.examples == 1280 and "lazy layers" in capsys.readouterr().out
