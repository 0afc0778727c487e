"""Weights are kept whole, and a file that is not what it should be does no harm."""

import lenet_helpers as lenet
from lenet_course import saved

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

RUN = lenet.Run("small", 2, 0.9, "cpu", train=[(1.0, 2.3, 0.1)], test=[(1.0, 0.1)])


@pytest.fixture
def path(net, tmp_path):
    saved.save_weights(net, tmp_path / "lenet.pt")
    return tmp_path / "lenet.pt"


def test_weights_come_back(net, path, same):
    other = lenet.make_lenet()
    assert not same(lenet.copy_weights(other), lenet.copy_weights(net))
    assert saved.load_weights(other, path) is other
    assert same(lenet.copy_weights(other), lenet.copy_weights(net))


def test_saves_into_a_new_folder_and_leaves_nothing_else(net, tmp_path):
    saved.save_weights(net, tmp_path / "new" / "lenet.pt")
    saved.save_weights(net, tmp_path / "new" / "lenet.pt")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["lenet.pt"]


def test_what_a_killed_process_left_is_cleared_away_after_an_hour(net, path):
    old, young = path.with_name(f".{path.name}.1"), path.with_name(f".{path.name}.2")
    for left_over in (old, young):
        left_over.write_bytes(b"half")
    os.utime(old, (0, 0))
    path.with_name(f".{path.name}.3").symlink_to("gone")  # as one that goes at this moment
    saved.save_weights(net, path)
    assert not old.exists() and young.exists()  # the young one may be another process's, at work


def test_writing_that_fails_keeps_the_old_file(path):
    before = path.read_bytes()
    with pytest.raises(RuntimeError), saved.atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_who_has_the_old_file_open_reads_all_of_it(path):
    before = path.read_bytes()
    with open(path, "rb") as file:
        saved.save_weights(lenet.make_lenet(), path)
        assert file.read() == before != path.read_bytes()


def test_what_could_not_be_read_back_is_not_written(path):
    before = path.read_bytes()
    for wrong, message in [
        ({"label": 3}, "its label is of type int, not str"),
        ({"lr": None}, "its lr is of type NoneType, not float"),
        ({"checkpoints": [{"a": Path("x")}]}, "was not written: numbers of Python, texts and"),
        ({"train": [(np.float64(1), 2.0, 3.0)]}, "was not written: .* numbers of numpy neither"),
    ]:
        with pytest.raises(ValueError, match=message):
            saved.save_run(replace(RUN, **wrong), path)
        assert path.read_bytes() == before


def test_file_holds_plain_tensors_on_the_cpu(net, path):
    net.to(memory_format=torch.channels_last)  # as training leaves it
    saved.save_weights(net, path)
    for value in torch.load(path, weights_only=True)["weights"].values():
        assert value.device.type == "cpu" and value.is_contiguous()


TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)
NUMBERS = st.floats(1e-30, 1e30) | st.integers(1, 10**9)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEXTS | NUMBERS, NUMBERS | NUMBERS.map(np.float64) | NUMBERS.map(torch.tensor))
def test_whatever_a_student_gives_to_training_can_be_kept(tmp_path, same, label, lr):
    batch = [(torch.rand(4, 1, 28, 28), torch.arange(4))]
    net = torch.nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    run = lenet.train_ch6(net, batch, batch, 1, lr, "cpu", label=label)
    saved.save_run(run, tmp_path / "run.pt")
    again = saved.load_run(tmp_path / "run.pt")
    assert str(again) == str(run) and again.label == str(label) and again.network == str(net)
    assert all(same(*pair) for pair in zip(again.checkpoints, run.checkpoints, strict=True))


class Evil:
    """A pickle made to run code when it is read."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("load", ["load_weights", "load_run"])
def test_nothing_in_a_file_is_executed(net, tmp_path, load, same):
    trace, path = tmp_path / "executed", tmp_path / "evil.pt"
    torch.save({"1.weight": Evil(trace)}, path)
    before = lenet.copy_weights(net)
    with pytest.raises(ValueError, match=r"^evil.pt holds more than numbers"):
        saved.load_weights(net, path) if load == "load_weights" else saved.load_run(path)
    assert not trace.exists() and same(lenet.copy_weights(net), before)
    pickle.loads(pickle.dumps(Evil(trace)))
    assert trace.exists()  # the pickle is one that would have done it


def test_file_that_is_not_there(net, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^lenet.pt is not in "):
        saved.load_weights(net, tmp_path / "lenet.pt")


def test_a_whole_network_and_an_old_format_are_told_what_they_are(net, tmp_path):
    torch.save(net, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"^net.pt holds more than numbers.*net.state_dict\(\)"):
        saved.load_weights(net, tmp_path / "net.pt")
    torch.save(net.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"^old.pt is damaged, or no file that torch.save writes"):
        saved.load_weights(net, tmp_path / "old.pt")


def test_a_state_dict_alone_is_told_how_it_is_read(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "plain.pt")
    with pytest.raises(ValueError, match=r"^plain.pt is a state dict alone.*load_state_dict"):
        saved.load_weights(net, tmp_path / "plain.pt")


def test_home_has_its_short_name(net, tmp_path, monkeypatch, same):
    monkeypatch.setenv("HOME", str(tmp_path))
    saved.save_weights(net, "~/mine.pt")
    assert (tmp_path / "mine.pt").exists()
    again = saved.load_weights(lenet.make_lenet(), "~/mine.pt")
    assert same(again.state_dict(), net.state_dict())


def test_a_layer_is_known_by_its_words_not_by_its_address(tmp_path):
    class Formula(nn.Linear):
        def extra_repr(self):
            return repr(self.formula)  # <function ... at 0x7f...>

    nets = [nn.Sequential(Formula(2, 2)) for _ in range(2)]
    for net in nets:
        net[0].formula = lambda X: X
    assert " at 0x" in str(nets[0]) != str(nets[1])
    saved.save_weights(nets[0], tmp_path / "x.pt")
    saved.load_weights(nets[1], tmp_path / "x.pt")


def test_a_file_of_something_else_is_refused(net, tmp_path):
    torch.save({"1.weight": 3}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"^other.pt does not hold the weights of a network"):
        saved.load_weights(net, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"^other.pt does not hold a training run"):
        saved.load_run(tmp_path / "other.pt")


@pytest.mark.parametrize("change", [torch.Tensor.to_sparse, torch.Tensor.double])
def test_weights_of_another_kind_are_refused(net, tmp_path, change):
    weights = {name: change(value) for name, value in lenet.copy_weights(net).items()}
    torch.save({"network": str(net), "weights": weights}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"^other.pt holds other tensors than this network"):
        saved.load_weights(net, tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lenet.make_lenet().append(nn.Linear(10, 10)), r"here and \(13\): Linear\(.* there"),
        (lenet.make_lenet()[:-1], r"\(12\): Linear\(.* here and .* there"),
        (lenet.make_lenet(nn.ReLU), r"\(2\): Sigmoid\(\) here and \(2\): ReLU\(\) there"),
    ],
    ids=["more", "fewer", "other activation"],
)
def test_weights_of_another_network_are_refused(net, tmp_path, other, message, same):
    saved.save_weights(other, tmp_path / "other.pt")
    before = lenet.copy_weights(net)
    with pytest.raises(ValueError, match=f"^other.pt is of another network: .*{message}$"):
        saved.load_weights(net, tmp_path / "other.pt")
    assert same(lenet.copy_weights(net), before)


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
    with pytest.raises(OSError, match=r"lenet-runs cannot be written: set LENET_RUNS"):
        saved.runs_folder()


def test_a_named_folder_that_cannot_be_written_is_not_replaced(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("a file, in which no folder can be made")
    monkeypatch.setenv("LENET_RUNS", str(tmp_path / "file" / "runs"))
    with pytest.raises(OSError, match=r"file/runs cannot be written: set LENET_RUNS"):
        saved.runs_folder()


def test_own_weights_come_before_those_shipped(net, monkeypatch, tmp_path):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    shipped = lenet.COURSE / "notebooks" / "weights" / "fashion_mnist.pt"
    assert saved.find_weights("fashion_mnist.pt") == shipped
    saved.save_weights(net, tmp_path / "fashion_mnist.pt")
    assert saved.find_weights("fashion_mnist.pt") == tmp_path / "fashion_mnist.pt"


# ---------------------------------------------------------------------------- the shipped ones


WEIGHTS = lenet.COURSE / "notebooks" / "weights"


def test_shipped_lenet_is_the_lesson_s_run(same):
    """The bounds are those of the lesson's own run over several seeds."""
    run = saved.load_run(WEIGHTS / "fashion_mnist_run.pt")
    assert (run.num_epochs, run.lr, run.examples, run.stopped) == (10, 0.9, 600_000, "")
    assert run.loss == pytest.approx(0.47, abs=0.03)
    assert run.train_acc == pytest.approx(0.82, abs=0.015)
    assert run.test_acc > 0.74
    net = saved.load_weights(lenet.make_lenet(), WEIGHTS / "fashion_mnist.pt")
    assert same(lenet.copy_weights(net), run.checkpoints[-1])


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
