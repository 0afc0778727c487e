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


class Own(nn.Module):
    def forward(self, X):
        return self.missing(X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: net.double(), "Conv2d expects torch.float64 and gets torch.float32"),
        (lambda net: net.bfloat16(), "Conv2d expects torch.bfloat16 and gets torch.float32"),
        (lambda net: net.half(), "Conv2d expects torch.float16 and gets torch.float32"),
        (lambda net: net.to("meta"), "the network must hold numbers: it is on the device meta"),
        (lambda net: net[:7].append(net[8]), "Linear expects 400 values per image and gets 16 x 5"),
        (lambda net: net.append(nn.LSTM(10, 10)), "LSTM must return a batch, a tensor, it returns"),
        (lambda net: nn.Flatten(), r"must give logits of shape \(500, 10\), it gives \(500, 784\)"),
        (lambda net: nn.Sequential(), "the network must give logits"),
        (lambda net: Own(), "Own cannot take an input of 1 x 28 x 28 per image: AttributeError"),
        (lambda net: None, "net must be a network, it is of type NoneType"),
        (lambda net: nn.Linear, "net must be a network, it is of type type"),
    ],
)
@pytest.mark.parametrize("use", ["evaluate_accuracy_gpu", "predict"])
def test_a_network_that_cannot_be_run_is_refused(net, test_iter, use, change, message):
    X, _ = next(iter(test_iter))
    with pytest.raises(ValueError, match=message):
        getattr(lenet, use)(change(net), X if use == "predict" else test_iter)


def test_a_network_without_parameters_can_be_run(test_iter):
    class First(nn.Module):
        def forward(self, X):
            return torch.eye(10)[0].expand(len(X), 10)

    X, y = next(iter(test_iter))
    assert lenet.predict(First(), X).argmax(dim=1).eq(0).all()
    share = (y == 0).float().mean().item()
    assert lenet.evaluate_accuracy_gpu(First(), [(X, y)]) == pytest.approx(share)
