"""The checks of chapter 5, backpropagation."""

import lenet_helpers as lenet

import json

import torch
import torch.nn.functional as F
from torch import nn

from . import read
from .checking import MESSAGES, NotYet, check, compare
from .running import call

LIBRARY = "backward|autograd|grad_fn"


@check("5.1")
def check_5_1(answer_5_1: object) -> dict:
    """The gradient of the loss for w1, worked out by hand."""
    found = read.number(answer_5_1)
    w1, w2 = (torch.tensor(value, requires_grad=True) for value in (2.0, 0.5))
    loss = (w2 * torch.relu(w1 * 3.0) - 1.0) ** 2
    loss.backward()
    right = w1.grad.item()
    mistakes = {
        "square": right / 2,
        "x": right / 3,
        "w2": right / 0.5,
        "sign": -right,
        "for w2": w2.grad,
        "loss": loss,
    }
    compare(found, right, mistakes, tolerance=1e-3)
    return {"right": right}


@check("5.2")
def check_5_2(dense_backward: object) -> None:
    """From (X, W, delta) the gradients for the weight, the bias and X."""
    read.function(dense_backward, "X", "W", "delta")
    X, layer, delta = torch.randn(6, 5, requires_grad=True), nn.Linear(5, 3), torch.randn(6, 3)
    layer(X).backward(delta)
    result = call(dense_backward, X.detach(), layer.weight.detach(), delta, without=LIBRARY)
    if not isinstance(result, tuple | list) or len(result) != 3:
        raise NotYet("not three")
    wanted = {"dW": layer.weight.grad, "db": layer.bias.grad, "dX": X.grad}
    for (name, value), part in zip(wanted.items(), result, strict=True):
        found = read.tensor(part, what=f"{name} has")
        if value.dim() == 2 and found.shape == value.T.shape != value.shape:
            shapes = {"found": tuple(found.shape), "wanted": tuple(value.shape)}
            raise NotYet("transposed", name=name, **shapes)
        if name == "db" and found.shape == ():
            raise NotYet("db no dim")
        read.tensor(part, value.shape, f"{name} has")
    for (name, value), part in zip(wanted.items(), result, strict=True):
        mistakes = {"mean": value / 6, "db of X": X.detach().sum(dim=0)[:3]}
        compare(read.tensor(part), value, mistakes, name=name)


@check("5.3")
def check_5_3(kernel_gradient: object) -> None:
    """From X (B, H, W) and delta (B, H-k+1, W-k+1) the gradient (k, k)."""
    read.function(kernel_gradient, "X", "delta")
    X, conv, delta = torch.randn(4, 1, 9, 11), nn.Conv2d(1, 1, 3), torch.randn(4, 1, 7, 9)
    conv(X).backward(delta)
    right = conv.weight.grad[0, 0]
    found = read.tensor(call(kernel_gradient, X[:, 0], delta[:, 0], without=LIBRARY))
    if found.shape != right.shape:
        shapes = {"X": tuple(X[:, 0].shape), "delta": tuple(delta[:, 0].shape)}
        raise NotYet("other size", found=tuple(found.shape), **shapes)
    mistakes = {
        "mean": right / 4,
        "upside down": right.flip(0, 1),
        "transposed": right.T,
        "first image": F.conv2d(X[:1], delta[:1])[0, 0],
    }
    compare(found, right, mistakes)


FAULTS = {"a": "sorted", "b": "lr", "c": "zero_grad", "d": "labels"}


@check("5.4")
def check_5_4(answer_5_4: object) -> dict:
    """Four letters, the faults of curves 1 to 4."""
    if not isinstance(answer_5_4, str):
        raise NotYet("no text")
    letters = [letter for letter in answer_5_4.lower() if letter.isalpha()]
    if sorted(letters) != list(FAULTS):
        raise NotYet("not each once")
    results = (lenet.COURSE / "results" / "plateau.json").read_text(encoding="utf-8")
    curves, signs = list(json.loads(results)["faults"]), MESSAGES["5.4"]
    wrong = [n for n in range(4) if FAULTS[letters[n]] != curves[n]]
    if wrong:
        number, letter = wrong[0] + 1, letters[wrong[0]]
        sign, count = signs[FAULTS[letter]], 4 - len(wrong)
        raise NotYet("otherwise", count=count, number=number, letter=letter, sign=sign)
    return {"signs": "; ".join(f"{n}: {signs[c]}" for n, c in enumerate(curves, start=1))}


def _with_weights(factor):
    """Of a new LeNet with `factor` x Xavier: mean slope, spread of the logits, and loss."""
    torch.manual_seed(0)
    net = lenet.make_lenet()
    for layer in net:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.weight.data *= factor
    X, y = read.images("FashionMNIST", train=True)[:256]
    outputs = lenet.activations(net, X)
    pairs = zip(net, outputs, strict=True)
    slopes = [(o * (1 - o)).mean() for layer, o in pairs if isinstance(layer, nn.Sigmoid)]
    logits = outputs[-1]
    spread, loss = logits.std(dim=0).mean().item(), F.cross_entropy(logits, y).item()
    return torch.stack(slopes).mean().item(), spread, loss


@check("5.5")
def check_5_5(answer_5_5: object) -> dict:
    """The letter of the explanation; a new network, measured here and now, decides."""
    found = read.choice(answer_5_5, "abcd")
    (slope_1, spread_1, loss_1), (slope_2, spread_2, loss_2) = map(_with_weights, (1, 2))
    right = {
        "a": slope_2 > slope_1,
        "b": loss_2 < loss_1,
        "c": spread_2 > 2 * spread_1 and slope_2 < slope_1 and loss_2 > loss_1,
        "d": False,
    }
    values = {
        "slope_1": slope_1, "slope_2": slope_2, "loss_1": loss_1, "loss_2": loss_2,
        "spread": spread_2 / spread_1,
    }  # fmt: skip
    if not right[found]:
        raise NotYet(found, **values)
    return values
