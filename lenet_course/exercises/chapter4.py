"""The checks of chapter 4, evaluation."""

import lenet_helpers as lenet
from lenet_course import drawing, saved

import json

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from . import read
from .checking import NotYet, brief, check, compare, is_close
from .open_runs import Rules, judge
from .running import call


def _trained_lenet():
    """The trained network that chapter 4 works with, the reader's own or the shipped one."""
    try:
        return saved.load_weights(lenet.make_lenet(), saved.find_weights("fashion_mnist.pt"))
    except (OSError, ValueError) as error:
        raise NotYet("no data", error=error) from None


def _first_images(dataset, count):
    """The first `count` test images of a data set, as a batch X, y."""
    return read.images(dataset, train=False)[:count]


def _accuracy(net, X, y):
    return (lenet.predict(net, X).argmax(dim=1) == y).double().mean().item()


@check("4.1")
def check_4_1(answer_4_1: object) -> dict:
    """A letter; the trained network, shown digits, says what is right."""
    found, net = read.choice(answer_4_1, "abc"), _trained_lenet()
    digits, clothes = (_first_images(name, 2000)[0] for name in ("MNIST", "FashionMNIST"))
    confidence, names = _confidence(net, digits)
    # The three answers, as what the mean of the largest probability would be.
    right = "a" if confidence < 0.2 else "b" if confidence < 0.4 else "c"
    values = {"of_digits": confidence, "of_clothes": _confidence(net, clothes)[0]}
    if found != right:
        raise NotYet(found, **values)
    of_noise, names_of_noise = _confidence(net, torch.rand(1000, 1, 28, 28))
    return {"names": names, "of_noise": of_noise, "name_of_noise": names_of_noise[0], **values}


def _confidence(net, X):
    """Mean of the largest probability, and the predicted classes, the most frequent first."""
    probabilities = lenet.predict(net, X)
    often = probabilities.argmax(dim=1).bincount(minlength=10).argsort(descending=True)
    return probabilities.amax(dim=1).mean().item(), [lenet.FASHION_LABELS[i] for i in often]


class _Probe(nn.Module):
    """A network whose logits are the pixels it gets; its dropout is off in evaluation mode only."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(10))
        self.dropout = nn.Dropout(0.9)

    def forward(self, X):
        self.gradients = torch.is_grad_enabled()
        return self.dropout(X.reshape(len(X), -1)[:, :10] * self.weight)


@check("4.2")
def check_4_2(top2_accuracy: object) -> dict:
    """A function of (net, data_iter): share of the labels among the two highest logits."""
    read.function(top2_accuracy, "net", "data_iter")
    net, X = _Probe().train(), torch.rand(50, 1, 28, 28)
    ranks = X.reshape(50, -1)[:, :10].argsort(dim=1, descending=True)
    # Of the images of the small last batch more are right than of the others: means of means fail.
    places = torch.tensor([0, 1, 2, 3, 9, 5, 1, 4] * 5 + [0, 1, 0, 1, 0, 0, 1, 1, 1, 5])
    y = ranks[torch.arange(50), places]
    batches = [(X[:40], y[:40]), (X[40:], y[40:])]
    found = read.number(call(top2_accuracy, net, batches))
    expected = (places < 2).double().mean().item()
    if net.training and not is_close(found, expected, 1e-6):
        raise NotYet("training mode", found=found, expected=expected)
    compare(found, expected, _share_mistakes(places), tolerance=1e-6, expected=expected)
    if net.gradients:
        raise NotYet("gradients")
    if net.training:
        raise NotYet("by luck")
    net, (X, y) = _trained_lenet(), _first_images("FashionMNIST", 2000)
    share = read.number(call(top2_accuracy, net, [(X, y)]))
    return {"accuracy": _accuracy(net, X, y), "share": share}


def _share_mistakes(places):
    """`places`: of each image, where in the order of its logits the label stands."""
    hits, first, third = ((places < k).double() for k in (2, 1, 3))
    right = hits.mean().item()
    return {
        "count": hits.sum(),
        "percent": 100 * right,
        "mean of means": (hits[:40].mean() + hits[40:].mean()) / 2,
        "first only": first.mean(),
        "three": third.mean(),
        "second only": right - first.mean(),
        "wrong ones": 1 - right,
        "by the batches": hits.sum() / 2,
        "first batch": hits[:40].mean(),
        "last batch": hits[40:].mean(),
        "twice as many": right / 2,
        "no dim": 2 / 50,
    }


@check("4.3")
def check_4_3(with_max_pooling: object, max_run: object) -> dict:
    """A function of a net: a copy with max pooling. And the run of a LeNet trained with it."""
    read.function(with_max_pooling, "net")
    # Not LeNet: other windows and another order, so that nothing can be taken for granted.
    net = nn.Sequential(
        lenet.Reshape(), nn.Conv2d(1, 3, 5), nn.AvgPool2d(3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(3, 4, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4 * 5 * 5, 10),
    )  # fmt: skip
    X = torch.rand(4, 1, 28, 28) - 0.5
    before, logits = lenet.copy_weights(net), net(X).detach()
    result = call(with_max_pooling, net)
    _compare_layers(result, net)
    _compare_weights(result, net, X, before, logits)
    trained, (X, y) = _trained_lenet(), _first_images("FashionMNIST", 2000)
    before, after = (_accuracy(n, X, y) for n in (trained, call(with_max_pooling, trained)))
    return _compare_run(max_run, before, after)


def _compare_layers(result, net):
    if result is net or any(isinstance(layer, nn.MaxPool2d) for layer in net):
        raise NotYet("changed")
    if not isinstance(result, nn.Sequential):
        raise NotYet("no Sequential", found=brief(result))
    left = sum(isinstance(layer, nn.AvgPool2d) for layer in result.modules())
    if left:
        raise NotYet("left", left=left, s_are="s are" if left > 1 else " is")
    if len(result) != len(net):
        raise NotYet("other count", found=len(result), wanted=len(net))
    for number, (new, old) in enumerate(zip(result, net, strict=True)):
        values = {"number": number, "found": new, "wanted": old}
        if not isinstance(old, nn.AvgPool2d):
            if type(new) is not type(old):
                raise NotYet("other layer", **values)
            continue
        if not isinstance(new, nn.MaxPool2d):
            raise NotYet("no max pooling", **values)
        for setting in ("kernel_size", "stride", "padding"):
            found, wanted = getattr(new, setting), getattr(old, setting)
            if found not in (wanted, (wanted, wanted)):
                values |= {"setting": setting, "found": found, "wanted": wanted}
                raise NotYet("other window", **values)


def _compare_weights(result, net, X, before, logits):
    weights = result.state_dict()
    for name, value in before.items():
        if weights[name].shape != value.shape or not torch.equal(weights[name], value):
            raise NotYet("other weights")
    expected = X
    for layer in net:
        window = [getattr(layer, s, None) for s in ("kernel_size", "stride", "padding")]
        pooling = isinstance(layer, nn.AvgPool2d)
        expected = F.max_pool2d(expected, *window) if pooling else layer(expected)
    if not is_close(read.tensor(call(result, X)), expected):
        raise NotYet("other forward")
    with torch.no_grad():
        for p in result.parameters():
            p.add_(1)
    if not is_close(net(X), logits):
        raise NotYet("shared")


def _compare_run(run, before, after):
    """The values for the sentence "right", if `run` differs from the lesson's in the pooling."""
    if run is ...:
        raise NotYet("not trained", before=before, after=after)
    if not isinstance(run, lenet.Run):
        raise NotYet("no run", found=brief(run))
    if run.network != str(lenet.make_lenet(pool=nn.MaxPool2d)):
        raise NotYet("other network")
    if (run.num_epochs, run.lr) != (10, 0.9):
        raise NotYet("other settings", epochs=run.num_epochs, lr=run.lr)
    if run.stopped:
        raise NotYet("run stopped", stopped=run.stopped)
    steps = json.loads((lenet.COURSE / "results" / "steps.json").read_text(encoding="utf-8"))
    lessons = [result["test_acc"] for result in steps["the lesson's network"]]
    spread = {"lowest": min(lessons), "highest": max(lessons)}
    return {"before": before, "after": after, "test_acc": run.test_acc, **spread}


@check("4.4")
def check_4_4(telling_channel: object) -> dict:
    """A function of (net, A, B): the channel that tells A from B best."""
    read.function(telling_channel, "net", "A", "B")
    net, (X, y) = _trained_lenet(), _first_images("FashionMNIST", 1000)
    A, B = (X[y == lenet.FASHION_LABELS.index(name)] for name in ("pullover", "coat"))
    # Other networks as well, in which the tempting ways lead to another channel.
    for seed in range(6):
        torch.manual_seed(seed)
        _compare_channel(telling_channel, lenet.make_lenet(), A[:20], B[:25])
    channel = _compare_channel(telling_channel, net, A, B)
    drawing.show(*_draw_channel(net, channel, A, B))
    of_A, of_B = (lenet.activations(net, X)[5][:, channel].mean() for X in (A, B))
    return {"channel": channel, "A": of_A, "B": of_B}


def _compare_channel(telling_channel, net, A, B):
    """The channel that is right for this network, if the student's function finds it."""
    found = read.whole_number(call(telling_channel, net, A, B))
    if not 0 <= found <= 15:
        raise NotYet("no channel", found=found)
    of_A, of_B = ([o.mean(dim=(0, 2, 3)) for o in lenet.activations(net[:6], X)] for X in (A, B))
    conv_1, before, after = (of_A[layer] - of_B[layer] for layer in (2, 4, 5))
    singles = [lenet.activations(net[:6], X)[5].mean(dim=(2, 3)) for X in (A, B)]
    apart = (singles[0][:, None] - singles[1]).square().mean(dim=(0, 1))
    mistakes = {
        "least": after.abs().argmin().item(),
        "signed": after.argmax().item(),
        "signed for B": after.argmin().item(),
        "conv 1": conv_1.abs().argmax().item(),
        "before the sigmoid": before.abs().argmax().item(),
        "A alone": of_A[5].argmax().item(),
        "squared": apart.argmax().item(),
    }
    right = after.abs().argmax().item()
    case = f"For one of the networks tried you choose channel {found}, where {right} is right"
    compare(found, right, mistakes, case=case, difference=after.abs().max())
    return found


def _draw_channel(net, channel, A, B):
    """A figure of two pullovers, two coats, a digit and noise with their activations; its words."""
    digit = _first_images("MNIST", 1)[0]
    X = torch.cat([A[:2], B[:2], digit, torch.rand(1, 1, 28, 28)])
    names = ["pullover", "pullover", "coat", "coat", "digit", "noise"]
    outputs = lenet.activations(net, X)
    conv_1, conv_2 = outputs[2].mean(dim=1), outputs[5][:, channel]
    rows = {"image": X[:, 0], "conv 1": conv_1, f"channel {channel}": conv_2}
    fig, axes = plt.subplots(3, len(X), figsize=(8, 4.2))
    for row, (name, maps) in zip(axes, rows.items(), strict=True):
        for ax, a_map in zip(row, maps, strict=True):
            ax.imshow(a_map.detach().numpy(), vmin=float(maps.min()), vmax=float(maps.max()))
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    for ax, name in zip(axes[0], names, strict=True):
        ax.set_title(name)
    means = zip(names, conv_2.mean(dim=(1, 2)).tolist(), strict=True)
    return fig, (
        "Two pullovers, two coats, a digit and noise; below each its activations after the first "
        f"convolution and in channel {channel} of the second, whose means are: "
        f"{', '.join(f'{name} {mean:.2f}' for name, mean in means)}."
    )


# What there is to beat: chapter 4's better network, and LeNet-5 in the paper of 1998.
AT_MOST = {"num_epochs": 10, "parameters": 62000, "validation": 10000}
LENET_5 = " LeNet-5 itself had 0.9905 in 1998, and 0.992 with distorted images in its training."
RULES_4_5 = {
    "FashionMNIST": Rules("4_5_FashionMNIST", "FashionMNIST", goal=0.914, **AT_MOST),
    "MNIST": Rules("4_5_MNIST", "MNIST", goal=0.9905, note=LENET_5, **AT_MOST),
}


@check("4.5")
def check_4_5(
    best_net: object, best_run: object, dataset: object = "FashionMNIST", *, final: bool = False
) -> dict:
    """A network of LeNet's size and its training; `final=True` opens the test set for it."""
    if not isinstance(dataset, str) or dataset not in RULES_4_5:
        raise NotYet("no dataset", found=brief(dataset))
    return judge(best_net, best_run, RULES_4_5[dataset], final=final)
