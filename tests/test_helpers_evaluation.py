"""Accuracy and prediction: right numbers, in evaluation mode, without gradients."""

import lenet_helpers as lenet

import pytest
import torch
from torch import nn


class Probe(nn.Module):
    """Passes on what it gets, and writes down how it was called."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, X):
        self.calls.append((self.training, torch.is_grad_enabled()))
        return X


class Oracle(nn.Module):
    """Predicts for all images of a batch the next of `classes`."""

    def __init__(self, *classes):
        super().__init__()
        self.classes, self.weight = list(classes), nn.Parameter(torch.zeros(1))

    def forward(self, X):
        logits = torch.zeros(len(X), 10)
        logits[:, self.classes.pop(0)] = 1
        return logits


def test_share_of_right_answers_counted_by_hand(net, test_iter):
    right = total = 0
    net.eval()
    for X, y in test_iter:
        for logits, label in zip(net(X), y, strict=True):
            right += int(logits.argmax()) == int(label)
            total += 1
    assert lenet.evaluate_accuracy_gpu(net, test_iter) == right / total
    assert 0 < right < total == 1000


def test_a_small_last_batch_counts_by_its_images():
    labels = torch.tensor([1, 1, 1, 1, 1, 2], dtype=torch.uint8)
    images = lenet.ImageDataset(torch.zeros(6, 28, 28, dtype=torch.uint8), labels)
    batches = lenet.batches(images, batch_size=5, shuffle=False)
    assert lenet.evaluate_accuracy_gpu(Oracle(1, 7), batches) == 5 / 6
    assert lenet.evaluate_accuracy_gpu(Oracle(7, 2), batches) == 1 / 6


@pytest.mark.parametrize("use", ["evaluate_accuracy_gpu", "predict"])
def test_evaluation_mode_without_gradients(net, test_iter, use):
    net.append(Probe()).train()
    net[2].eval()  # a mode that it has for a reason of its own
    if use == "predict":
        lenet.predict(net, next(iter(test_iter))[0])
    else:
        lenet.evaluate_accuracy_gpu(net, test_iter)
    assert set(net[-1].calls) == {(False, False)}
    assert net.training and not net[2].training and torch.is_grad_enabled()
    assert all(p.grad is None for p in net.parameters())


def test_predict_gives_probabilities(net, test_iter):
    X, _ = next(iter(test_iter))
    p = lenet.predict(net, X)
    logits = net(X).detach()
    assert p.shape == (500, 10) and p.device.type == "cpu"
    assert torch.allclose(p.sum(dim=1), torch.ones(500))
    assert torch.allclose(p, logits.exp() / logits.exp().sum(dim=1, keepdim=True))


def test_no_accuracy_of_no_images(net):
    with pytest.raises(ValueError, match="data_iter is empty"):
        lenet.evaluate_accuracy_gpu(net, [])


def test_images_that_do_not_fit_are_refused(net, test_iter):
    X, y = next(iter(test_iter))
    with pytest.raises(ValueError, match="pixels must lie in"):
        lenet.evaluate_accuracy_gpu(net, [(X, y), (X * 255, y)])  # every batch is looked at
    with pytest.raises(ValueError, match="labels must be 0 to 9"):
        lenet.evaluate_accuracy_gpu(net, [(X, y + 1)])
    with pytest.raises(ValueError, match=r"X must be float32 \(B, 1, 28, 28\)"):
        lenet.predict(net, X[0])


@pytest.mark.parametrize("use", ["evaluate_accuracy_gpu", "predict"])
def test_a_network_with_other_logits_is_refused(net, test_iter, use):
    net[-1] = nn.Linear(84, 3)
    X, _ = next(iter(test_iter))
    with pytest.raises(ValueError, match=r"logits of shape \(500, 10\), it gives \(500, 3\)"):
        getattr(lenet, use)(net, X if use == "predict" else test_iter)
