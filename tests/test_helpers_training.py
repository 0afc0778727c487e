"""Training does what the lesson's loop does, and writes down what happened."""

import lenet_helpers as lenet

import copy
import itertools
import math
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
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


class Batches(list):
    """The same batches in the same order, every epoch."""

    def __init__(self, data_iter):
        super().__init__(data_iter)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


# ---------------------------------------------------------------------------- the loop


def test_follows_the_lesson_s_loop(net, train_iter, test_iter):
    """Two epochs, step by step, with the gradient and the update of SGD written out."""
    batches, lesson = Batches(train_iter), copy.deepcopy(net)
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
    batches = Batches(lenet.batches(first_images(300), batch_size=256, shuffle=False))
    loss = nn.CrossEntropyLoss()
    with torch.no_grad():
        means = [loss(net(X), y).item() for X, y in batches]
    # So small a learning rate changes nothing, and the epoch's mean is that over its images.
    run = train(net, batches, test_iter, num_epochs=1, lr=1e-9)
    assert run.loss == pytest.approx((256 * means[0] + 44 * means[1]) / 300, abs=1e-6)
    assert abs(run.loss - sum(means) / 2) > 1e-4


def test_a_seed_repeats_the_run(train_iter, test_iter):
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        runs.append(train(lenet.make_lenet(), train_iter, test_iter, num_epochs=2, lr=0.9))
    assert runs[0].train == runs[1].train and runs[0].test == runs[1].test
    assert runs[0].train != runs[2].train


def test_training_mode_for_training_evaluation_mode_for_the_test(net, train_iter, test_iter):
    net.append(Probe()).eval()
    train(net, train_iter, test_iter, num_epochs=2, lr=0.1)
    # Five batches to train on, two of the test; at the end one more look: are the answers numbers?
    epoch = [(True, True)] * 5 + [(False, False)] * 2
    assert net[-1].calls == epoch * 2 + [(False, False)]
    assert not net.training


def test_a_second_call_goes_on_from_where_the_first_ended(net, train_iter, test_iter):
    batches, other = Batches(train_iter), copy.deepcopy(net)
    train(net, batches, test_iter, num_epochs=2, lr=0.9)
    train(other, batches, test_iter, num_epochs=1, lr=0.9)
    train(other, batches, test_iter, num_epochs=1, lr=0.9)
    assert torch.equal(weights(net), weights(other))


def test_sgd_makes_the_very_steps_of_pytorch_s(net, train_iter):
    other = copy.deepcopy(net)
    ours, theirs = lenet.SGD(net.parameters(), 0.9), torch.optim.SGD(other.parameters(), 0.9)
    for X, y in Batches(train_iter):
        for network, optimizer in [(net, ours), (other, theirs)]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(X), y).backward()
            optimizer.step()
        assert torch.equal(weights(net), weights(other))


def test_sgd_leaves_a_parameter_without_gradient_alone():
    used, unused = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = lenet.SGD([used, unused], lr=0.5)
    used.sum().backward()
    optimizer.step()
    assert used.tolist() == [0.5, 0.5] and unused.tolist() == [1, 1]
    optimizer.zero_grad()
    assert used.grad is None


def test_training_does_not_load_pytorch_s_compiler():
    """It takes two seconds and 150 MB: the reason for `lenet.SGD`."""
    code = """
import lenet_helpers as lenet
import sys
import torch
net, batches = lenet.make_lenet(), [(torch.rand(8, 1, 28, 28), torch.arange(8))]
lenet.train_ch6(net, batches, batches, 1, 0.9, "cpu")
print("torch._dynamo" in sys.modules)
torch.optim.SGD(net.parameters(), 0.9)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_another_optimiser_and_a_schedule(net, train_iter, test_iter):
    batches, other = Batches(train_iter), copy.deepcopy(net)
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


@pytest.mark.parametrize(("images", "batch_size"), [(3, 1), (600, 256), (100, 1000)])
def test_few_batches_an_epoch(net, first_images, test_iter, images, batch_size):
    """Fewer than five: the lesson's loop stops with a division by zero."""
    data_iter = lenet.batches(first_images(images), batch_size, shuffle=True)
    run = train(net, data_iter, test_iter, num_epochs=2, lr=0.1)
    n = math.ceil(images / batch_size)
    assert [epoch for epoch, *_ in run.train] == pytest.approx([i / n for i in range(1, 2 * n + 1)])
    assert run.examples == 2 * images


# ---------------------------------------------------------------------------- what is written down


def test_curve_has_twenty_points_an_epoch_the_last_at_its_end(net, first_images, test_iter):
    data_iter = lenet.batches(first_images(47), batch_size=1, shuffle=True)
    run = train(net, data_iter, test_iter, num_epochs=2, lr=0.1)
    epochs = [epoch for epoch, *_ in run.train]
    assert len(epochs) == 40 and epochs[19] == 1 and epochs[-1] == 2
    gaps = [b - a for a, b in itertools.pairwise([0, *epochs])]
    assert min(gaps) > 2 / 47 - 1e-9 and max(gaps) < 3 / 47 + 1e-9
    assert [epoch for epoch, _ in run.test] == [1, 2]
    assert [epoch for epoch, _ in run.gradients] == epochs


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
    batches = Batches(lenet.batches(first_images(64), batch_size=64, shuffle=False))
    (X, y), other = batches[0], copy.deepcopy(net)
    nn.functional.cross_entropy(other(X), y).backward()
    run = train(net, batches, test_iter, num_epochs=1, lr=0.1)
    expected = [other[i].weight.grad.pow(2).mean().sqrt().item() for i in (1, 4, 8, 10, 12)]
    assert run.gradients[0][1] == pytest.approx(expected, rel=1e-3)


def test_seconds_are_those_of_training_alone(net, first_images, test_iter):
    data_iter = lenet.batches(first_images(60), batch_size=10, shuffle=True)

    class Pausing(lenet.Callback):
        def after_batch(self, head):
            time.sleep(0.2)
            return 0.2

    start = time.perf_counter()
    run = train(net, data_iter, test_iter, num_epochs=1, lr=0.1, curves=Pausing())
    assert 0 < run.seconds < time.perf_counter() - start - 6 * 0.2 + 0.05
    assert run.examples_per_sec == pytest.approx(60 / run.seconds)


def test_prints_the_lesson_s_two_lines():
    run = lenet.Run("", 10, 0.9, "cpu", loss=0.46789, train_acc=0.8254, test=[(10.0, 0.80749)])
    run.examples, run.seconds = 600_000, 32.0
    expected = "loss 0.468, train acc 0.825, test acc 0.807\n18750.0 examples/sec on cpu"
    assert str(run) == expected
    run.stopped = "stopped by you in epoch 3 of 10"
    assert str(run) == f"{run.stopped}\n{expected}"


def test_a_run_of_nothing_has_no_numbers():
    run = lenet.Run("", 10, 0.9, "cpu")
    assert all(math.isnan(x) for x in (run.loss, run.train_acc, run.test_acc, run.examples_per_sec))


# ---------------------------------------------------------------------------- the curves' controls


class Log(lenet.Callback):
    """Writes down what training tells the curves, and does something at one batch."""

    def __init__(self, at=None, do=None):
        self.at, self.do, self.heads, self.calls = at, do, [], []

    def start(self, run, lr_adjustable):
        self.run = run
        self.calls.append(("start", lr_adjustable))

    def after_batch(self, head):
        self.heads.append(head())
        if len(self.heads) == self.at:
            self.do()
        return 0.0

    def finish(self):
        self.calls.append("finish")


def test_curves_are_told_what_happens(net, train_iter, test_iter):
    log = Log()
    run = train(net, train_iter, test_iter, num_epochs=2, lr=0.1, curves=log)
    assert log.run is run and log.calls == [("start", True), "finish"]
    assert log.heads == run.train  # five batches an epoch: a point for each


def test_head_is_the_mean_since_the_last_point(net, first_images, test_iter):
    data_iter = lenet.batches(first_images(60), batch_size=1, shuffle=True)
    log = Log()
    run = train(net, data_iter, test_iter, num_epochs=1, lr=1e-9, curves=log)
    epochs = [epoch for epoch, *_ in log.heads]
    assert epochs == pytest.approx([i / 60 for i in range(1, 61)])
    first, second, point = log.heads[:3]
    assert point == run.train[0]
    with torch.no_grad():  # the means of one image, of two, of three
        assert 0 < first[1] < 5 and 0 < second[1] < 5
    assert {first[2], second[2]} <= {0.0, 0.5, 1.0}


def test_a_schedule_leaves_no_learning_rate_to_adjust(net, train_iter, test_iter):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    log = Log()
    train(net, train_iter, test_iter, 1, 0.1, optimizer=optimizer, scheduler=scheduler, curves=log)
    assert log.calls[0] == ("start", False)


def test_learning_rate_can_be_changed_on_the_way(net, train_iter, test_iter):
    batches, other = Batches(train_iter), copy.deepcopy(net)
    log = Log(at=7, do=lambda: setattr(log, "lr", 0.2))
    run = train(net, batches, test_iter, num_epochs=2, lr=0.9, curves=log)
    assert run.lr_changes == [(pytest.approx(1.4), 0.2)] and run.lr_now == 0.2 and run.lr == 0.9
    for i, (X, y) in enumerate(batches * 2):
        nn.functional.cross_entropy(other(X), y).backward()
        with torch.no_grad():
            for p in other.parameters():
                p -= (0.9 if i < 7 else 0.2) * p.grad
        other.zero_grad()
    assert torch.allclose(weights(net), weights(other), atol=1e-5)


def test_stop_button(net, train_iter, test_iter):
    log = Log(at=7, do=lambda: setattr(log, "stop_asked", True))
    run = train(net, train_iter, test_iter, num_epochs=3, lr=0.1, curves=log)
    assert run.stopped == "stopped by you in epoch 2 of 3"
    assert run.train[-1][0] == pytest.approx(1.4) and run.test[-1][0] == pytest.approx(1.4)
    assert run.examples == 7 * 256 and len(run.checkpoints) == 3 and not net.training
    assert log.calls[-1] == "finish"


def test_stop_after_an_epoch_s_last_batch_belongs_to_that_epoch(net, train_iter, test_iter):
    log = Log(at=5, do=lambda: setattr(log, "stop_asked", True))
    run = train(net, train_iter, test_iter, num_epochs=3, lr=0.1, curves=log)
    assert run.stopped == "stopped by you in epoch 1 of 3"


def test_stop_between_two_points_loses_nothing(net, first_images, test_iter):
    data_iter = lenet.batches(first_images(60), batch_size=1, shuffle=True)
    log = Log(at=4, do=lambda: setattr(log, "stop_asked", True))
    run = train(net, data_iter, test_iter, num_epochs=1, lr=0.1, curves=log)
    assert [epoch for epoch, *_ in run.train] == pytest.approx([3 / 60, 4 / 60])
    assert run.examples == 4


# ---------------------------------------------------------------------------- interrupts


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_ends_training_between_two_batches(net, train_iter, test_iter):
    before = signal.getsignal(signal.SIGINT)
    run = train(net, train_iter, test_iter, 3, lr=0.1, curves=Log(at=7, do=interrupt))
    assert run.stopped == "stopped by you in epoch 2 of 3"
    assert run.examples == 7 * 256 and run.test[-1][0] == pytest.approx(1.4)
    assert signal.getsignal(signal.SIGINT) is before
    assert not train(net, train_iter, test_iter, 1, lr=0.1).stopped  # and training can go on


def test_second_interrupt_breaks_off(net, train_iter, test_iter):
    before = signal.getsignal(signal.SIGINT)
    log = Log(at=2, do=lambda: (interrupt(), interrupt()))
    with pytest.raises(KeyboardInterrupt):
        train(net, train_iter, test_iter, 3, lr=0.1, curves=log)
    assert log.calls[-1] == "finish"
    assert signal.getsignal(signal.SIGINT) is before


def test_trains_outside_the_main_thread(net, train_iter, test_iter):
    runs = []
    thread = threading.Thread(
        target=lambda: runs.append(train(net, train_iter, test_iter, 1, lr=0.1))
    )
    thread.start()
    thread.join()
    assert runs[0].examples == 1280


# ---------------------------------------------------------------------------- threads


class Threads:
    """The threads of a made-up training; `train` tells what it was like until the next point."""

    def __init__(self, monkeypatch, number, device="cpu"):
        torch.set_num_threads(number)
        self.cpu_seconds, self.run = 0.0, lenet.Run("", 10, 0.9, device)
        monkeypatch.setattr(time, "process_time", lambda: self.cpu_seconds)
        self.threads = lenet._Threads(self.run)

    def train(self, seconds, cores, examples_per_sec=1000):
        self.cpu_seconds += cores * seconds
        self.run.seconds += seconds
        self.run.examples += round(examples_per_sec * seconds)
        self.threads.after_batch()
        return torch.get_num_threads()


def test_all_threads_stay_as_long_as_they_get_their_time(monkeypatch):
    made_up = Threads(monkeypatch, 4)
    made_up.threads.start_epoch()
    assert [made_up.train(0.4, cores) for cores in (4, 3.9, 3.1)] == [4, 4, 4]


def test_threads_without_a_core_of_their_own_go_for_the_rest_of_the_epoch(monkeypatch):
    made_up = Threads(monkeypatch, 4)
    with made_up.threads:
        made_up.threads.start_epoch()
        assert made_up.train(0.2, cores=2) == 4  # too short a time
        assert made_up.train(0.2, cores=2) == 2
        assert made_up.train(0.4, cores=2) == 2
        assert made_up.train(0.4, cores=1, examples_per_sec=500) == 2  # it is settled
        made_up.threads.start_epoch()
        assert torch.get_num_threads() == 4
        assert made_up.train(0.4, cores=0.3) == 1
    assert torch.get_num_threads() == 4


def test_threads_come_back_if_fewer_are_slower(monkeypatch):
    """A network that has not enough work for them leaves cores idle, and needs the threads."""
    made_up = Threads(monkeypatch, 8)
    made_up.threads.start_epoch()
    assert made_up.train(0.4, cores=5) == 5
    assert made_up.train(0.4, cores=4, examples_per_sec=800) == 8
    assert made_up.train(0.4, cores=5) == 8  # not tried again in this epoch
    made_up.threads.start_epoch()
    assert made_up.train(0.4, cores=5) == 5


def test_an_accelerator_leaves_the_threads_alone(monkeypatch):
    made_up = Threads(monkeypatch, 2, device="cuda")
    made_up.threads.start_epoch()
    assert made_up.train(0.4, cores=0.2) == 2


def test_training_shares_busy_cores(net, fashion, test_iter):
    """Beside programs that keep every core busy twice over it goes on with one thread of two."""
    torch.set_num_threads(2)
    seen, log = set(), Log()
    log.after_batch = lambda head: seen.add(torch.get_num_threads()) or 0.0
    train_iter = lenet.batches(fashion[0], batch_size=256, shuffle=True)
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(2 * os.cpu_count())
    ]
    try:
        train(net, train_iter, test_iter, num_epochs=1, lr=0.1, curves=log)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert seen == {1, 2} and torch.get_num_threads() == 2


# ---------------------------------------------------------------------------- what cannot work


def test_a_loss_that_is_no_number_stops_training(net, train_iter, test_iter):
    run = train(net, train_iter, test_iter, num_epochs=3, lr=1e38)
    assert run.stopped == (
        f"stopped in epoch 1 of 3: the loss became {run.train[-1][1]}; "
        "start over with a new network and a learning rate below 1e+38"
    )
    assert not math.isfinite(run.train[-1][1]) and len(run.train) < 5


@pytest.mark.parametrize("lr", [0, -0.1, math.nan, math.inf, "0.9", True, None])
def test_learning_rate_that_cannot_work_is_refused(net, train_iter, test_iter, lr):
    start = weights(net)
    with pytest.raises(ValueError, match="lr, the learning rate, must be a number above 0, not"):
        train(net, train_iter, test_iter, num_epochs=1, lr=lr)
    assert torch.equal(weights(net), start)


@pytest.mark.parametrize("num_epochs", [0, -1, 1.5, "3", True, None])
def test_number_of_epochs_that_cannot_work_is_refused(net, train_iter, test_iter, num_epochs):
    with pytest.raises(ValueError, match="num_epochs must be a whole number from 1 on, not"):
        train(net, train_iter, test_iter, num_epochs, lr=0.1)


def test_empty_iterators_are_refused(net, train_iter, test_iter, first_images):
    none = lenet.batches(first_images(0), batch_size=256, shuffle=False)
    with pytest.raises(ValueError, match="train_iter is empty"):
        train(net, none, test_iter, num_epochs=1, lr=0.1)
    with pytest.raises(ValueError, match="test_iter is empty"):
        train(net, train_iter, none, num_epochs=1, lr=0.1)


def test_data_and_networks_that_do_not_fit_are_refused(net, train_iter, test_iter):
    start, batches = weights(net), Batches(train_iter)
    (X, y), *_ = batches
    for wrong, message in [
        ((X * 255, y), "pixels must lie in"),
        ((X[:, 0], y), "X must have the shape"),
        ((X, y + 1), "labels must be 0 to 9"),
    ]:
        with pytest.raises(ValueError, match=message):
            train(net, [wrong, *batches[1:]], test_iter, num_epochs=1, lr=0.9)
    assert torch.equal(weights(net), start)
    net[-1] = nn.Linear(84, 12)
    with pytest.raises(ValueError, match=r"answer with shape \(256, 10\).* with \(256, 12\)"):
        train(net, batches, test_iter, num_epochs=1, lr=0.9)
