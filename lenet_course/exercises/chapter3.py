"""The checks of chapter 3, training."""

import lenet_helpers as lenet

import math

import torch
import torch.nn.functional as F
from torch import nn

from . import read
from .checking import NotTried, NotYet, check, compare, is_close
from .open_runs import Rules, judge
from .running import call


def _loss_of_a_new_network(num_classes):
    """The loss of a LeNet with that many outputs, before training, for random images and labels."""
    net = lenet.make_lenet()
    net[-1] = nn.Linear(84, num_classes).apply(lenet.init_weights)
    y_hat = net(torch.rand(260, 1, 28, 28))
    return F.cross_entropy(y_hat, torch.arange(260) % num_classes).item()


@check("3.1")
def check_3_1(answer_3_1: object) -> dict:
    """The loss of a network that does not know anything yet about 26 letters."""
    found = read.number(answer_3_1)
    letters, expected, ten = 26, math.log(26), math.log(10)
    mistakes = {
        "ten classes": ten,
        "base 10": math.log10(letters),
        "base 2": math.log2(letters),
        "sign": -expected,
        "probability": 1 / letters,
        "classes": letters,
        "in proportion": ten * letters / 10,
        "one per class": ten + letters - 10,
    }
    otherwise = "rounded" if abs(found - expected) < 0.1 else "otherwise"
    compare(found, expected, mistakes, otherwise, tolerance=0.0055, letters=letters, ten=ten)
    return {"letters": letters, "expected": expected, "new": _loss_of_a_new_network(letters)}


@check("3.2")
def check_3_2(my_cross_entropy: object) -> dict:
    """A function of y_hat (B, C) and y (B,) with the mean loss."""
    read.function(my_cross_entropy, "y_hat", "y")
    y_hat, y = 2 * torch.randn(6, 10), torch.tensor([3, 9, 0, 3, 7, 1])
    y_hat.requires_grad_()
    result = call(my_cross_entropy, y_hat, y, without="cross_entropy|nll_loss|log_softmax")
    found = read.tensor(result)
    losses = F.cross_entropy(y_hat, y, reduction="none")
    several = "no mean" if is_close(found, losses) else "a number per image"
    shapes = {"shape (1,)": (1,), several: (len(y),)}
    compare(tuple(found.shape), (), shapes, "other shape", count=len(y))
    expected = F.cross_entropy(y_hat, y).item()
    compare(found, expected, _loss_mistakes(y_hat.detach(), y), expected=expected)
    if not result.requires_grad:
        raise NotYet("no gradient")
    large, labels = torch.tensor([[1000.0, 0.0, -1000.0], [0.0, 500.0, 0.0]]), torch.tensor([0, 0])
    values, exact = call(my_cross_entropy, large, labels), F.cross_entropy(large, labels)
    if not torch.isfinite(values).all():
        raise NotYet("overflow", found=values.item())
    if not is_close(values, exact):
        raise NotYet("cut off", found=values.item(), expected=exact)
    return {"loss": found}


def _loss_mistakes(y_hat, y):
    loss, rows, p = F.cross_entropy(y_hat, y), torch.arange(len(y)), y_hat.softmax(dim=1)
    lowered = y_hat - y_hat.amax(dim=1, keepdim=True)  # as against an overflow
    return {
        "sum": loss * len(y),
        "sign": -loss,
        "probability": p[rows, y].mean(),
        "minus probability": -p[rows, y].mean(),
        "mean first": -p[rows, y].mean().log(),
        "no softmax": -y_hat[rows, y].mean(),
        "over the batch": -y_hat.softmax(dim=0)[rows, y].log().mean(),
        "over everything": [x.logsumexp(dim=(0, 1)) - x[rows, y].mean() for x in (y_hat, lowered)],
        "every label for every image": -p[:, y].log().mean(),
        "by the classes": loss / y_hat.shape[1],
        "base 2": loss / math.log(2),
        "base 10": loss / math.log(10),
        "all classes": -p.log().mean(),
        "softmax twice": F.cross_entropy(p, y),
    }


@check("3.3")
def check_3_3(sgd_step: object) -> None:
    """A function of (params, lr) that makes one step of SGD and clears the gradients."""
    read.function(sgd_step, "params", "lr")
    net, lr = lenet.make_lenet(), 0.3
    params = list(net.parameters())
    X, y = torch.rand(16, 1, 28, 28), torch.arange(16) % 10
    for _ in range(2):
        F.cross_entropy(net(X), y).backward()
        before = [p.detach().clone() for p in params]
        gradients = [p.grad.clone() for p in params]
        dots = _step(sgd_step, params, lr)
        moved = [b - p.detach() for p, b in zip(params, before, strict=True)]
        if dots and not any(m.any() for m in moved):
            raise NotTried
        cleared = all(p.grad is None or not p.grad.any() for p in params)
        _compare_step(moved, gradients, lr, cleared)
    for p in params:  # as in a network of which a part is not used
        p.grad = None
    _step(sgd_step, params, lr)


def _step(sgd_step, params, lr):
    """Call `sgd_step`; whether the stub's dots came back, perhaps after a step that was made."""
    try:
        call(lambda: sgd_step(list(params), lr) or True)
        return False
    except NotTried:
        return True
    except NotYet as found:
        if "NoneType" in found.values.get("error", ""):
            raise NotYet("grad None") from None
        raise


def _compare_step(moved, gradients, lr, cleared):
    def like(steps):
        return all(is_close(m, s, 1e-6) for m, s in zip(moved, steps, strict=True))

    if any(not torch.isfinite(m).all() for m in moved):
        raise NotYet("no numbers")
    if not any(m.any() for m in moved):
        raise NotYet("cleared first" if cleared else "new tensors")
    if like([lr * g for g in gradients]):
        if not cleared:
            raise NotYet("not cleared")
        return
    mistakes = {
        "uphill": [-lr * g for g in gradients],
        "no lr": gradients,
        "mean again": [lr / 16 * g for g in gradients],
        "sign only": [lr * g.sign() for g in gradients],
    }
    for key, steps in mistakes.items():
        if like(steps):
            raise NotYet(key)
    if not all(m.any() for m in moved):
        raise NotYet("some only")
    raise NotYet("other size", lr=lr, size=(moved[0].norm() / gradients[0].norm()).item())


def _filters_after_a_start_from_zero():
    """Which letter of exercise 3.4 says what the first six filters have become, and their size."""
    net = lenet.make_lenet()
    for p in net.parameters():
        nn.init.zeros_(p)
    X, y = read.images("FashionMNIST", train=True)[:1280]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.9)
    for X_batch, y_batch in zip(X.split(64), y.split(64), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(net(X_batch), y_batch).backward()
        optimizer.step()
    filters = net[1].weight.detach()
    size = filters.abs().max().item()
    if not torch.isfinite(filters).all():
        return "d", size
    # Alike but for the rounding of another order of additions.
    alike = (filters - filters[:1]).abs().max().item() < 1e-3 * size
    return ("b" if size == 0 else "c" if alike else "a"), size


@check("3.4")
def check_3_4(answer_3_4: object) -> dict:
    """A letter; 20 batches of real training, here and now, say what is right."""
    found = read.choice(answer_3_4, "abcd")
    right, size = _filters_after_a_start_from_zero()
    if found != right:
        raise NotYet(found, size=size)
    return {"size": size}


RULES_3_5 = Rules("3_5", "FashionMNIST", goal=0.84, num_epochs=5)


@check("3.5")
def check_3_5(quick_net: object, quick_run: object) -> dict:
    """The lesson's network as it is, and its run, trained better in five epochs."""
    layers, lessons = list(read.network(quick_net).children()), list(lenet.make_lenet())
    for found, wanted in zip(layers, lessons, strict=False):
        if str(found) != str(wanted):
            raise NotYet("other layer", found=found, wanted=wanted)
    if len(layers) != len(lessons):
        raise NotYet("other count", found=len(layers), wanted=len(lessons))
    return judge(quick_net, quick_run, RULES_3_5)
