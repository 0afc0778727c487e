"""The checks of chapter 6, what a convolution buys."""

import lenet_helpers as lenet
from lenet_course import saved

import copy

import torch
import torch.nn.functional as F
from torch import nn

from . import read
from .checking import NotYet, check, compare
from .running import call, count_parameters, run_network


def _trained():
    """The lesson's network, as chapter 3 has trained it."""
    return saved.load_weights(lenet.make_lenet(), saved.find_weights("fashion_mnist.pt"))


def _images(count):
    """The first test images of Fashion-MNIST, as a batch X, y."""
    return read.images("FashionMNIST", train=False)[:count]


def _share_right(net, X, y):
    return (run_network(net, X).argmax(dim=1) == y).double().mean().item()


@check("6.1")
def check_6_1(answer_6_1: object) -> dict:
    """The parameters of conv 2, made locally connected."""
    found = read.whole_number(answer_6_1)
    conv = lenet.make_lenet()[4]
    places, c_in, c_out = 10 * 10, conv.in_channels, conv.out_channels
    seen = c_in * 25
    right = places * c_out * (seen + 1)
    mistakes = {
        "no bias": places * c_out * seen,
        "bias of a channel": places * c_out * seen + c_out,
        "shared": c_out * (seen + 1),
        "dense": places * c_out * (c_in * 14 * 14 + 1),
        "one map": places * c_out * 26,
        "14 x 14": 14 * 14 * c_out * (seen + 1),
        "28 x 28": 28 * 28 * c_out * (seen + 1),
        "one channel": places * (seen + 1),
    }
    compare(found, right, mistakes)
    shared = count_parameters(conv)
    return {"right": right, "shared": shared, "ratio": right // shared}


def _shuffle(X, permutation):
    return X.flatten(1)[:, permutation].reshape(X.shape)


def _compare_reading(read_shuffled, net, X, permutation):
    """NotYet unless the network that is made reads shuffled images as `net` reads plain ones."""
    weights, expected = copy.deepcopy(net.state_dict()), run_network(net, X)
    made = read.network(call(read_shuffled, net, permutation))
    shuffled = _shuffle(X, permutation)
    found = read.tensor(run_network(made, shuffled), expected.shape, "It returns")
    if any(not value.equal(weights[name]) for name, value in net.state_dict().items()):
        raise NotYet("changed")
    mistakes = {
        "shuffled twice": run_network(net, _shuffle(shuffled, permutation)),
        "not put back": run_network(net, shuffled),
        "transposed": run_network(net, X.transpose(2, 3)),
    }
    compare(found, expected, mistakes)


@check("6.2")
def check_6_2(read_shuffled: object) -> dict:
    """A function of (net, permutation): a network for shuffled images."""
    read.function(read_shuffled, "net", "permutation")
    X, permutation = torch.rand(5, 1, 28, 28), torch.randperm(784)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).apply(lenet.init_weights)
    trained = _trained()
    for each in (net, trained):
        _compare_reading(read_shuffled, each, X, permutation)
    X, y = _images(2000)
    shuffled, made = _shuffle(X, permutation), call(read_shuffled, trained, permutation)
    return {
        "plain": _share_right(trained, X, y),
        "lost": _share_right(trained, shuffled, y),
        "yours": _share_right(made, shuffled, y),
    }


def _coverage(order, is_right, accuracy):
    """The largest share of the images, taken in `order`, of which enough are right."""
    shares = is_right[order].double().cumsum(0) / torch.arange(1, len(order) + 1)
    good = (shares >= accuracy).nonzero().flatten()
    return (good[-1].item() + 1) / len(order) if len(good) else 0.0


def _compare_coverage(coverage, probabilities, y, accuracy):
    found = read.number(call(coverage, probabilities, y, accuracy))
    confidence, predicted = probabilities.max(dim=1)
    is_right, order = predicted == y, confidence.argsort(descending=True)
    right = _coverage(order, is_right, accuracy)
    shares = is_right[order].double().cumsum(0) / torch.arange(1, len(order) + 1)
    below = (shares < accuracy).nonzero().flatten()
    of_target = probabilities[torch.arange(len(y)), y].argsort(descending=True)
    mistakes = {
        "count": right * len(y),
        "percent": 100 * right,
        "one short": right - 1 / len(y),
        "first below": below[0].item() / len(y),
        "least first": _coverage(order.flip(0), is_right, accuracy),
        "by the label": _coverage(of_target, is_right, accuracy),
        "its own word": (confidence >= accuracy).double().mean().item(),
        "accuracy": is_right.double().mean().item(),
    }
    values = {"images": len(y), "right": right, "accuracy": accuracy}
    compare(found, right, mistakes, tolerance=1e-6, **values)


@check("6.3")
def check_6_3(coverage: object) -> dict:
    """A function of (probabilities, y, accuracy): the share that can be kept."""
    read.function(coverage, "probabilities", "y", "accuracy")
    for seed in range(4):
        torch.manual_seed(seed)
        probabilities = (2 * torch.randn(200, 10)).softmax(dim=1)
        # Right more often where the confidence is high, but not in order.
        confidence, predicted = probabilities.max(dim=1)
        is_right = torch.rand(200) < 0.3 + 0.7 * confidence
        y = torch.where(is_right, predicted, (predicted + 1) % 10)
        for accuracy in (0.8, 0.9):
            _compare_coverage(coverage, probabilities, y, accuracy)
    all_wrong = (torch.arange(10) + 1) % 10
    if read.number(call(coverage, torch.eye(10), all_wrong, 0.9)) != 0:
        raise NotYet("nothing right")
    X, y = _images(2000)
    probabilities = lenet.predict(_trained(), X)
    kept = [read.number(call(coverage, probabilities, y, goal)) for goal in (0.9, 0.95, 0.99)]
    accuracy = (probabilities.argmax(dim=1) == y).double().mean().item()
    return {"plain": accuracy, "of_90": kept[0], "of_95": kept[1], "of_99": kept[2]}


def _compare_step(toward, net, X, target, epsilon):
    result = call(toward, net, X, target, epsilon)
    found = read.tensor(result, X.shape)
    probe = X.clone().requires_grad_()
    logits = net(probe)
    y, own = torch.full((len(X),), target), logits.argmax(dim=1)
    gradient, of_own = (
        torch.autograd.grad(F.cross_entropy(logits, label), probe, retain_graph=True)[0]
        for label in (y, own)
    )
    step = epsilon * gradient.sign()
    right = (X - step).clamp(0, 1)
    mistakes = {
        "away": (X + step).clamp(0, 1),
        "no clamp": X - step,
        "away, no clamp": X + step,
        "no sign": (X - epsilon * gradient).clamp(0, 1),
        "away from its own": (X + epsilon * of_own.sign()).clamp(0, 1),
        "nothing": X,
    }
    moved = (found - X).abs().max().item()
    compare(found, right, mistakes, epsilon=epsilon, target=target, moved=moved)
    if result.requires_grad:
        raise NotYet("gradient kept")


@check("6.4")
def check_6_4(toward: object) -> dict:
    """A function of (net, X, target, epsilon): one step towards a class."""
    read.function(toward, "net", "X", "target", "epsilon")
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.Tanh(), nn.Linear(20, 10))
    X = torch.rand(6, 1, 28, 28)
    for target, epsilon in ((3, 0.05), (7, 0.2)):
        _compare_step(toward, net, X, target, epsilon)
    trained, (X, y), bag = _trained(), _images(1000), lenet.FASHION_LABELS.index("bag")
    X = X[y != bag][:500]
    attacked = read.tensor(call(toward, trained, X, bag, 0.1)).float()
    shares = [
        (lenet.predict(trained, x).argmax(dim=1) == bag).double().mean() for x in (X, attacked)
    ]
    return {"before": shares[0].item(), "after": shares[1].item()}
