"""The checks of chapter 4, evaluation."""

import lenet_helpers as lenet
from lenet_course import drawing, saved

import copy

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from .checking import (
    NotYet,
    brief,
    call,
    check,
    is_close,
    load_images,
    read_choice,
    read_function,
    read_number,
    read_tensor,
    read_whole_number,
)
from .open_runs import judge


def _shipped():
    """The trained network that chapter 4 works with, the reader's own or the shipped one."""
    try:
        return saved.load_weights(lenet.make_lenet(), saved.find_weights("fashion_mnist.pt"))
    except (OSError, ValueError) as error:
        raise NotYet(f"The run that answers needs the trained network: {error}.") from None


def _images(dataset, count):
    """The first `count` test images of a data set, as a batch X, y."""
    return load_images(dataset, train=False)[list(range(count))]


# ---------------------------------------------------------------------------- 4.1


@check("4.1")
def check_4_1(answer):
    """`answer`: a letter; the trained network, shown digits, says what is right."""
    found = read_choice(answer, "abc")
    net = _shipped()
    digits, clothes = (_images(name, 2000)[0] for name in ("MNIST", "FashionMNIST"))
    sure, named = _sureness(net, digits)
    # The three answers, as what the mean of the largest probability would be.
    right = "a" if sure < 0.2 else "b" if sure < 0.4 else "c"
    told = (
        f"Asked just now about 2000 digits: its largest probability is {sure:.2f} on average (for "
        f"clothes {_sureness(net, clothes)[0]:.2f})"
    )
    if found != right:
        why_not = {
            "a": "Ten equal probabilities would need ten equal scores. Why should the scores be "
            "equal for an image it was never shown?",
            "b": "It has never learned to doubt: no image in its training was none of the ten.",
            "c": "It is less sure than that.",
        }
        raise NotYet(f"{told}. {why_not[found]}")
    sure_of_noise, named_noise = _sureness(net, torch.rand(1000, 1, 28, 28))
    return (
        f"{told}, and it calls them {named[0]}, {named[1]} or {named[2]} most of the time. For "
        f"1000 images of pure noise it is {sure_of_noise:.2f}, and most of them are called "
        f"{named_noise[0]}. A softmax has no way to say: I have never seen such a thing."
    )


def _sureness(net, X):
    """Mean of the largest probability, and the names of the classes, the most frequent first."""
    probabilities = lenet.predict(net, X)
    often = probabilities.argmax(dim=1).bincount(minlength=10).argsort(descending=True)
    return probabilities.amax(dim=1).mean().item(), [lenet.FASHION_LABELS[i] for i in often]


# ---------------------------------------------------------------------------- 4.2


class _Probe(nn.Module):
    """A network whose scores are the pixels it gets; its dropout is off in evaluation mode only."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(10))
        self.dropout = nn.Dropout(0.9)

    def forward(self, X):
        self.gradients = torch.is_grad_enabled()
        return self.dropout(X.reshape(len(X), -1)[:, :10] * self.weight)


@check("4.2")
def check_4_2(top2_accuracy):
    """`top2_accuracy`: a function of (net, data_iter): share of labels in the first two."""
    read_function(top2_accuracy, "net", "data_iter")
    net = _Probe().train()
    X = torch.rand(50, 1, 28, 28)
    ranks = X.reshape(50, -1)[:, :10].argsort(dim=1, descending=True)
    # Of the images of the small last batch more are right than of the others: means of means fail.
    places = torch.tensor([0, 1, 2, 3, 9, 5, 1, 4] * 5 + [0, 1, 0, 1, 0, 0, 1, 1, 1, 5])
    y = ranks[torch.arange(50), places]
    batches = [(X[:40], y[:40]), (X[40:], y[40:])]
    result = call(top2_accuracy, net, batches)
    found = _read_share(result)
    hits = (ranks[:, :2] == y[:, None]).any(dim=1).double()
    expected = hits.mean().item()
    if abs(found - expected) > 1e-6:
        _explain_share(found, expected, hits, ranks, y, net)
    if net.gradients:
        raise NotYet(
            "The share is right, but it was found with gradients on: `torch.no_grad()` saves the "
            "memory and time of what nobody needs."
        )
    if net.training:
        raise NotYet("Right by luck: the network was in training mode. Call `net.eval()` first.")
    return _right_share(top2_accuracy)


def _read_share(result):
    if isinstance(result, torch.Tensor) and result.numel() != 1:
        raise NotYet(f"One share for all images is asked for; you return {brief(result)}.")
    return read_number(result)


def _explain_share(found, expected, hits, ranks, y, net):
    if net.training:
        raise NotYet(
            f"You find {found:.3f}, and it is {expected:.3f}: the network was in training mode, "
            "where dropout switches off most of what it knows. Call `net.eval()` first."
        )
    of_batches = (hits[:40].mean() + hits[40:].mean()).item() / 2
    first, third = ((ranks[:, :k] == y[:, None]).any(dim=1).double().mean().item() for k in (1, 3))
    mistakes = [
        (hits.sum().item(), "That is how many are right; divide by the number of images."),
        (100 * expected, "That is the share in percent; a share from 0 to 1 is asked for."),
        (of_batches, "That is the mean of the batches' shares, in which the small last batch "
         "counts as much as a large one. Count first, divide at the end."),
        (first, "That is the accuracy: only the highest score counts for you."),
        (third, "You look at the three highest scores; two are asked for."),
        (first + (third - first), "You look at the three highest scores; two are asked for."),
        (expected - first, "You count the second place only; the first counts too."),
        (1 - expected, "That is the share of the wrong ones."),
        (hits.sum().item() / 2, "You divide by the number of batches, not of images."),
        (hits[:40].mean().item(), "Only the first batch counts: is the `return` in the loop?"),
        (hits[40:].mean().item(), "Only the last batch counts: are the sums set to 0 in the loop?"),
        (expected / 2, "You divide by twice as many answers as there are images."),
    ]  # fmt: skip
    for value, sentence in mistakes:
        if abs(found - value) < 1e-6:
            raise NotYet(sentence)
    raise NotYet(
        f"You find {found:.3f} where {expected:.3f} is right. Do the scores of an image stand in a "
        "row, and are they compared with this image's label?"
    )


def _right_share(top2_accuracy):
    net, (X, y) = _shipped(), _images("FashionMNIST", 2000)
    share = _read_share(call(top2_accuracy, net, [(X, y)]))
    accuracy = (lenet.predict(net, X).argmax(dim=1) == y).double().mean().item()
    return (
        f"Right, with a small last batch and with dropout too. Of the first 2000 test images the "
        f"trained LeNet has {accuracy:.3f} right, and {share:.3f} with a second guess: it knows "
        "more than its first answer says."
    )


# ---------------------------------------------------------------------------- 4.3


@check("4.3")
def check_4_3(with_max_pooling):
    """`with_max_pooling`: a function of a net; a copy with max in place of average pooling."""
    read_function(with_max_pooling, "net")
    # Not LeNet: other windows and another order, so that nothing can be taken for granted.
    net = nn.Sequential(
        lenet.Reshape(), nn.Conv2d(1, 3, 5), nn.AvgPool2d(3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(3, 4, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4 * 5 * 5, 10),
    )  # fmt: skip
    X = torch.rand(4, 1, 28, 28) - 0.5
    before, scores = copy.deepcopy(net.state_dict()), net(X).detach()
    result = call(with_max_pooling, net)
    _compare_pooling(result, net, X, before, scores)
    return _accuracy_with_max_pooling(with_max_pooling)


def _compare_pooling(result, net, X, before, scores):
    if result is net or any(isinstance(layer, nn.MaxPool2d) for layer in net):
        raise NotYet(
            "The network that was given has changed. Make a copy first (`copy.deepcopy`), so that "
            "the two can be compared."
        )
    if not isinstance(result, nn.Sequential):
        raise NotYet(
            f"An `nn.Sequential`, like the one given, is asked for; this is {brief(result)}."
        )
    left = sum(isinstance(layer, nn.AvgPool2d) for layer in result.modules())
    if left:
        raise NotYet(f"{left} average pooling{'s are' if left > 1 else ' is'} still there.")
    if len(result) != len(net):
        raise NotYet(f"The network had {len(net)} layers; yours has {len(result)}.")
    for i, (new, old) in enumerate(zip(result, net, strict=True)):
        if isinstance(old, nn.AvgPool2d):
            if not isinstance(new, nn.MaxPool2d):
                raise NotYet(f"Layer {i} should be a MaxPool2d now; it is {new}.")
            _compare_windows(i, new, old)
        elif type(new) is not type(old):
            raise NotYet(f"Layer {i} was {old}, and is {new}: only the pooling changes.")
    weights = result.state_dict()
    if any(
        weights[k].shape != v.shape or not torch.equal(weights[k], v) for k, v in before.items()
    ):
        raise NotYet(
            "All layers are right, but the weights are not those of the network given: a new layer "
            "starts with new, random ones."
        )
    expected = X
    for layer in net:
        pooling = isinstance(layer, nn.AvgPool2d)
        expected = (
            F.max_pool2d(expected, layer.kernel_size, layer.stride, layer.padding)
            if pooling
            else layer(expected)
        )
    if not is_close(read_tensor(call(result, X)), expected):
        raise NotYet("Layers and weights are right, but the scores are not: does `forward` differ?")
    with torch.no_grad():
        for p in result.parameters():
            p.add_(1)
    if not is_close(net(X), scores):
        raise NotYet(
            "Right, but the two networks share their weights: train one, and the other changes. "
            "Copy the weights too (`copy.deepcopy`)."
        )


def _compare_windows(i, new, old):
    for setting in ("kernel_size", "stride", "padding"):
        pair = [
            value if isinstance(value, tuple) else (value, value)
            for value in (getattr(new, setting), getattr(old, setting))
        ]
        if pair[0] != pair[1]:
            raise NotYet(
                f"Layer {i} pools with {setting} {getattr(new, setting)}; the average pooling "
                f"there had {getattr(old, setting)}. Take it from the layer."
            )


def _accuracy_with_max_pooling(with_max_pooling):
    net, (X, y) = _shipped(), _images("FashionMNIST", 2000)
    before, after = (
        (lenet.predict(n, X).argmax(dim=1) == y).double().mean().item()
        for n in (net, call(with_max_pooling, net))
    )
    return (
        f"Everything else is as it was. Of the first 2000 test images the trained LeNet has "
        f"{before:.3f} right, and {after:.3f} with its pooling exchanged and nothing learned anew. "
        "Its later layers have only ever seen means; trained with maxima from the start, they do "
        "better than that."
    )


# ---------------------------------------------------------------------------- 4.4


@check("4.4")
def check_4_4(telling_channel):
    """`telling_channel`: a function of (net, A, B): the channel that tells A from B best."""
    read_function(telling_channel, "net", "A", "B")
    net, (A, B) = _shipped(), _two_kinds("pullover", "coat")
    # Other networks as well, in which the tempting ways lead to another channel.
    for seed in range(6):
        torch.manual_seed(seed)
        _compare_channel(telling_channel, lenet.make_lenet(), A[:20], B[:25])
    channel = _compare_channel(telling_channel, net, A, B)
    drawing.show(*_draw_channel(net, channel, A, B))
    means = [lenet.activations(net, X)[5][:, channel].mean().item() for X in (A, B)]
    return (
        f"In the trained network it is channel {channel}: {means[0]:.2f} on average for pullovers, "
        f"{means[1]:.2f} for coats. The picture shows it, and what it makes of things that are no "
        "clothes at all."
    )


def _two_kinds(*names):
    X, y = _images("FashionMNIST", 1000)
    return [X[y == lenet.FASHION_LABELS.index(name)] for name in names]


def _compare_channel(telling_channel, net, A, B):
    """The channel that is right for this network, if the student's function finds it."""
    found = read_whole_number(call(telling_channel, net, A, B))
    right, difference, mistakes = _ways_to_choose(net, A, B)
    if found == right:
        return found
    if not 0 <= found <= 15:
        raise NotYet(
            f"You return {found}; the second convolution's 16 channels are numbered from 0 to 15."
        )
    case = f"For one of the networks tried you choose channel {found}, where {right} is right"
    for channel, sentence in mistakes:
        if found == channel:
            raise NotYet(f"{case}. {sentence}")
    raise NotYet(
        f"{case}: it differs by {difference:.4f}. Is the mean taken over images, rows and columns?"
    )


def _mean_activations(net, X):
    """One value a channel (C,), for the layers 2 (sigmoid), 4 (convolution) and 5 (sigmoid)."""
    outputs = lenet.activations(net[:6], X)
    return [outputs[layer].mean(dim=(0, 2, 3)) for layer in (2, 4, 5)]


def _ways_to_choose(net, A, B):
    """The right channel and its difference, and (channel, sentence) of some tempting mistakes."""
    of_A, of_B = _mean_activations(net, A), _mean_activations(net, B)
    first, before, after = (a - b for a, b in zip(of_A, of_B, strict=True))
    mistakes = [
        (after.abs().argmin(), "That one differs *least*."),
        (
            after.argmax(),
            "A channel that answers more to B tells them apart as well: take the absolute "
            "difference.",
        ),
        (after.argmin(), "That one answers more to B than to A; the absolute difference counts."),
        (first.abs().argmax(), "That follows the first convolution; the second is asked for."),
        (before.abs().argmax(), "That is taken before the sigmoid; the activations come after it."),
        (of_A[2].argmax(), "That is the channel that answers most to A alone; compare it with B."),
    ]
    return after.abs().argmax().item(), after.abs().max().item(), mistakes


def _draw_channel(net, channel, A, B):
    """A figure of two pullovers, two coats, a digit and noise with their activations; its words."""
    digit = _images("MNIST", 1)[0]
    X = torch.cat([A[:2], B[:2], digit, torch.rand(1, 1, 28, 28)])
    names = ["pullover", "pullover", "coat", "coat", "digit", "noise"]
    outputs = lenet.activations(net, X)
    first = (outputs[2].mean(dim=1), "conv 1")
    second = (outputs[5][:, channel], f"channel {channel}")
    fig, axes = plt.subplots(3, len(X), figsize=(8, 4.2))
    for row, (maps, name) in zip(axes, [(X[:, 0], "image"), first, second], strict=True):
        for ax, a_map in zip(row, maps, strict=True):
            ax.imshow(a_map.detach().numpy(), vmin=float(maps.min()), vmax=float(maps.max()))
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    for ax, name in zip(axes[0], names, strict=True):
        ax.set_title(name)
    means = ", ".join(
        f"{n} {m:.2f}" for n, m in zip(names, second[0].mean(dim=(1, 2)).tolist(), strict=True)
    )
    return fig, (
        "Two pullovers, two coats, a digit and noise; below each its activations after the first "
        f"convolution and in channel {channel} of the second, whose means are: {means}."
    )


# ---------------------------------------------------------------------------- 4.5


# What there is to beat: chapter 4's better network, and LeNet-5 in the paper of 1998.
GOALS_4_5 = {"FashionMNIST": 0.914, "MNIST": 0.9905}
MOST_EPOCHS_4_5, MOST_PARAMETERS_4_5 = 10, 62000


@check("4.5")
def check_4_5(net, run, dataset="FashionMNIST"):
    """`net`, `run`: a network of LeNet's size and its training on `dataset`."""
    if not isinstance(dataset, str) or dataset not in GOALS_4_5:
        raise NotYet(f'`dataset` is "FashionMNIST" or "MNIST"; this is {brief(dataset)}.')
    return judge(
        f"4_5_{dataset}",
        net,
        run,
        dataset,
        GOALS_4_5[dataset],
        most_epochs=MOST_EPOCHS_4_5,
        most_parameters=MOST_PARAMETERS_4_5,
    )
