"""The helper module against the book's own library: same batches, same losses, same answers."""

import lenet_helpers as lenet
from lenet_course import data_files

import copy
from itertools import islice, product

import numpy as np
import pytest
import torch
from d2l import torch as d2l


@pytest.fixture
def d2l_data(tmp_path, monkeypatch):
    """A folder from which d2l, which reads ../data, finds the course's data."""
    (tmp_path / "data").symlink_to(data_files.data_folder())
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")


@pytest.fixture
def two_workers(monkeypatch):
    """d2l starts four processes to load data; their number does not change a batch."""
    monkeypatch.setattr(d2l, "get_dataloader_workers", lambda: 2)


def test_same_batches_under_the_same_seed(d2l_data, two_workers):
    for seed, part in product((0, 1), (0, 1)):
        found = []
        for load in (lenet.load_data_fashion_mnist, d2l.load_data_fashion_mnist):
            torch.manual_seed(seed)
            found.append(list(islice(load(256)[part], 5)))
        for (X, y), (X_d2l, y_d2l) in zip(*found, strict=True):
            assert torch.equal(X, X_d2l) and torch.equal(y, y_d2l)


def test_same_accuracy(net, test_iter):
    assert lenet.evaluate_accuracy_gpu(net, test_iter) == d2l.evaluate_accuracy_gpu(net, test_iter)


class Points:
    """Takes the place of d2l's Animator: keeps the points and draws nothing."""

    def __init__(self, **kwargs):
        Points.train, Points.test = [], []

    def add(self, x, y):
        train_loss, train_acc, test_acc = y
        if test_acc is None:
            Points.train.append((x, train_loss, train_acc))
        else:
            Points.test.append((x, test_acc))


def test_training_follows_d2l_s(d2l_data, two_workers, monkeypatch, capsys):
    """d2l's batches, d2l's loop; five points an epoch, each the mean since the epoch began."""
    monkeypatch.setattr(d2l, "Animator", Points)
    train_iter, test_iter = d2l.load_data_fashion_mnist(256)
    few = list(islice(train_iter, 40)), list(islice(test_iter, 2))
    theirs = lenet.make_lenet()
    ours = copy.deepcopy(theirs)  # d2l draws new weights and keeps the biases

    torch.manual_seed(0)
    d2l.train_ch6(theirs, *few, 1, 0.9, torch.device("cpu"))
    torch.manual_seed(0)
    ours.apply(lenet.init_weights)
    run = lenet.train_ch6(ours, *few, 1, 0.9, "cpu")

    means = [np.mean([point[1:] for point in run.train[:n]], axis=0) for n in range(8, 41, 8)]
    assert len(Points.train) == 5
    for (_, *theirs_so_far), ours_so_far in zip(Points.train, means, strict=True):
        assert ours_so_far.tolist() == pytest.approx(theirs_so_far, abs=1e-3)
    assert run.test == [(1.0, pytest.approx(Points.test[0][1], abs=1e-3))]
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-3)
    # And the line that the lesson prints.
    assert str(run).splitlines()[0] in capsys.readouterr().out
