"""Weights are kept whole, and a file that is not what it should be does no harm."""

import lenet_helpers as lenet
from lenet_course import saved

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def saved(net, tmp_path):
    saved.save_weights(net, tmp_path / "lenet.pt")
    return tmp_path / "lenet.pt"


def test_weights_come_back(net, saved):
    other = lenet.make_lenet()
    assert not same(state(other), state(net))
    assert saved.load_weights(other, saved) is other
    assert same(state(other), state(net))


def test_saves_into_a_new_folder_and_leaves_nothing_else(net, tmp_path):
    saved.save_weights(net, tmp_path / "new" / "lenet.pt")
    saved.save_weights(net, tmp_path / "new" / "lenet.pt")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["lenet.pt"]


def test_saving_that_fails_keeps_the_old_file(saved):
    before = saved.read_bytes()
    what_cannot_be_saved = lenet.Run("", 1, 0.1, "cpu", checkpoints=[saved.open()])
    with pytest.raises(TypeError):
        saved.save_run(what_cannot_be_saved, saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_file_holds_plain_tensors_on_the_cpu(net, saved):
    net.to(memory_format=torch.channels_last)  # as training leaves it
    saved.save_weights(net, saved)
    for value in torch.load(saved, weights_only=True).values():
        assert value.device.type == "cpu" and value.is_contiguous()


def test_a_run_comes_back(net, train_iter, test_iter, tmp_path):
    run = lenet.train_ch6(net, train_iter, test_iter, num_epochs=1, lr=0.9, device="cpu")
    saved.save_run(run, tmp_path / "run.pt")
    again = saved.load_run(tmp_path / "run.pt")
    assert str(again) == str(run)
    assert again.train == run.train and again.test == run.test and again.gradients == run.gradients
    assert all(same(*pair) for pair in zip(again.checkpoints, run.checkpoints, strict=True))


class Evil:
    """A pickle made to run code when it is read."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("load", ["load_weights", "load_run"])
@pytest.mark.parametrize(
    "save", [torch.save, lambda it, path: path.write_bytes(pickle.dumps(it, 2))]
)
def test_nothing_in_a_file_is_executed(net, tmp_path, save, load):
    trace, path = tmp_path / "executed", tmp_path / "evil.pt"
    save({"1.weight": Evil(trace)}, path)
    before = state(net)
    with pytest.raises(ValueError, match=r"^evil.pt is damaged or no file of weights"):
        saved.load_weights(net, path) if load == "load_weights" else saved.load_run(path)
    assert not trace.exists() and same(state(net), before)
    pickle.loads(pickle.dumps(Evil(trace)))
    assert trace.exists()  # the pickle is one that would have done it


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_file_cut_short_is_refused(net, saved, share):
    content, before = saved.read_bytes(), state(net)
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"^lenet.pt is damaged or no file of weights"):
        saved.load_weights(net, saved)
    assert same(state(net), before)


def test_file_that_is_not_there(net, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^lenet.pt is not in "):
        saved.load_weights(net, tmp_path / "lenet.pt")


@pytest.mark.parametrize("content", [[1, 2], {"1.weight": 3}, torch.zeros(3)])
def test_file_of_something_else_is_refused(net, tmp_path, content):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"^other.pt does not hold the weights of a network"):
        saved.load_weights(net, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"^other.pt does not hold a training run"):
        saved.load_run(tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: net.append(nn.Linear(10, 10)), "13.weight is nothing here and 10x10 there"),
        (lambda net: net.pop(12), "12.weight is 10x84 here and nothing there"),
        (
            lambda net: net.__setitem__(1, nn.Conv2d(1, 6, 3)),
            "1.weight is 6x1x5x5 here and 6x1x3x3 there",
        ),
    ],
    ids=["more", "fewer", "other shape"],
)
def test_weights_of_another_network_are_refused(net, tmp_path, change, message):
    other = lenet.make_lenet()
    change(other)
    saved.save_weights(other, tmp_path / "other.pt")
    before = state(net)
    with pytest.raises(ValueError, match=f"^other.pt is of another network: {message}$"):
        saved.load_weights(net, tmp_path / "other.pt")
    assert same(state(net), before)


# ---------------------------------------------------------------------------- where they are kept


def test_runs_folder_is_the_one_named(monkeypatch, tmp_path):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path / "a" / "b"))
    assert saved.runs_folder() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir() and not list((tmp_path / "a" / "b").iterdir())


def test_runs_folder_without_a_name_is_in_the_course(monkeypatch, tmp_path):
    monkeypatch.delenv("LENET_RUNS", raising=False)
    monkeypatch.setattr(lenet, "COURSE", tmp_path)
    assert saved.runs_folder() == tmp_path / "notebooks" / "runs"


def test_course_that_cannot_be_written_sends_runs_home(monkeypatch, tmp_path):
    (tmp_path / "notebooks").write_text("a file, in which no folder can be made")
    monkeypatch.delenv("LENET_RUNS", raising=False)
    monkeypatch.setattr(lenet, "COURSE", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert saved.runs_folder() == tmp_path / "home" / "lenet-runs"
    (tmp_path / "home" / "lenet-runs").rmdir()
    (tmp_path / "home").rmdir()
    (tmp_path / "home").write_text("a file too")
    with pytest.raises(OSError, match=r"none of .* can be written: name a folder in LENET_RUNS"):
        saved.runs_folder()


def test_own_weights_come_before_those_shipped(net, monkeypatch, tmp_path):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    shipped = lenet.COURSE / "notebooks" / "weights" / "fashion_mnist.pt"
    assert saved.find_weights("fashion_mnist.pt") == shipped
    saved.save_weights(net, tmp_path / "fashion_mnist.pt")
    assert saved.find_weights("fashion_mnist.pt") == tmp_path / "fashion_mnist.pt"


# ---------------------------------------------------------------------------- the shipped ones


WEIGHTS = lenet.COURSE / "notebooks" / "weights"


def test_every_shipped_file_is_read_without_running_anything():
    files = sorted(WEIGHTS.glob("*"))
    assert {path.suffix for path in files} == {".pt"}
    for path in files:
        torch.load(path, weights_only=True)


def test_shipped_lenet_is_the_lesson_s_run():
    """The bounds are those of the lesson's own run over several seeds."""
    run = saved.load_run(WEIGHTS / "fashion_mnist_run.pt")
    assert (run.num_epochs, run.lr, run.examples, run.stopped) == (10, 0.9, 600_000, "")
    assert run.loss == pytest.approx(0.47, abs=0.03)
    assert run.train_acc == pytest.approx(0.82, abs=0.015)
    assert run.test_acc > 0.74
    net = saved.load_weights(lenet.make_lenet(), WEIGHTS / "fashion_mnist.pt")
    assert same(state(net), run.checkpoints[-1])


@pytest.mark.parametrize("epochs", [1, 10])
def test_shipped_checkpoints_reach_the_accuracy_written_beside_them(epochs):
    run, net = saved.load_run(WEIGHTS / "fashion_mnist_run.pt"), lenet.make_lenet()
    net.load_state_dict(run.checkpoints[epochs])
    _, test_iter = lenet.load_data_fashion_mnist(batch_size=1000)
    accuracy = lenet.evaluate_accuracy_gpu(net, test_iter)
    assert run.test[epochs - 1] == (epochs, pytest.approx(accuracy, abs=2e-4))


def test_shipped_digits_network_reads_digits():
    net = saved.load_weights(lenet.make_lenet(), WEIGHTS / "mnist.pt")
    _, test_iter = lenet.load_data_mnist(batch_size=1000)
    assert lenet.evaluate_accuracy_gpu(net, test_iter) > 0.95
