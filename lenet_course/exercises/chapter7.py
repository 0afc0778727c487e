"""The checks of chapter 7, LeNet-5."""

import lenet_helpers as lenet
from lenet_course import lenet5, saved

import torch

from . import read
from .checking import NotYet, check, compare
from .running import call, count_parameters

MARGIN = 10.0


@check("7.1")
def check_7_1(answer_7_1: object) -> dict:
    """The number of connections of C3 without a table; a layer that is built here decides."""
    found = read.whole_number(answer_7_1)
    layers = [lenet5.TableConv(table) for table in ([tuple(range(6))] * 16, lenet5.TABLE)]
    places = layers[0](torch.zeros(1, 6, 14, 14))[0, 0].numel()  # of a map
    parameters, with_table = map(count_parameters, layers)
    right = parameters * places
    mistakes = {
        "with table": with_table * places,
        "parameters": parameters,
        "bias": right - 16 * places,
        "one map": right // 16,
        "14 x 14": parameters * 14 * 14,
        "how many more": right - with_table * places,
    }
    compare(found, right, mistakes)
    return {"right": right, "table": with_table * places, "times": parameters / with_table}


def _codes():
    """The codes (10000, 84) that the shipped network makes of the test digits, and the labels."""
    net = saved.load_weights(lenet5.make_lenet5(), saved.find_weights("lenet5.pt"))
    images = read.images("MNIST", train=False)
    with lenet.eval_mode(net):
        parts = [net[:-1](X) for X, _ in lenet.batches(images, 1000, shuffle=False)]
    return torch.cat(parts), images.labels.long()


def _distances(codes):
    return torch.stack([(codes - t).square().sum(dim=1) for t in lenet5.targets()], dim=1)


def _read(distances, margin):
    best = distances.topk(2, dim=1, largest=False)
    unsure = best.values[:, 1] - best.values[:, 0] < margin
    return torch.where(unsure, -1, best.indices[:, 0])


@check("7.2")
def check_7_2(read_digits: object) -> dict:
    """From distances (B, 10) and a margin the digits (B,), -1 for those rejected."""
    read.function(read_digits, "distances", "margin")
    codes, y = _codes()
    distances = _distances(codes)
    found = read.tensor(call(read_digits, distances, MARGIN), y.shape)
    right, nearest = _read(distances, MARGIN), distances.argmin(dim=1)
    mistakes = {
        "none": nearest,
        "largest": _read(-distances, MARGIN),
        "near": torch.where(distances.amin(dim=1) < MARGIN, -1, nearest),
        "swapped": torch.where(right < 0, nearest, -1),
    }
    case = next((i for i in range(len(y)) if found[i] != right[i]), 0)
    best, second = distances[case].topk(2, largest=False).values.tolist()
    values = {"best": best, "second": second, "wanted": int(right[case]), "yours": found[case]}
    compare(found, right, mistakes, case=case, **values)
    kept, wrong = right >= 0, nearest != y
    counts = {"rejected": int((~kept).sum()), "before": int(wrong.sum())}
    return counts | {"left": int((kept & wrong).sum()), "margin": MARGIN}


def _target(picture):
    """The picture as a code (84,) of -1 and +1."""
    if not isinstance(picture, str):
        raise NotYet("no text")
    lines = [line.strip() for line in picture.strip().splitlines()]
    if len(lines) != 12:
        raise NotYet("not twelve", count=len(lines))
    for number, line in enumerate(lines, start=1):
        if len(line) != 7:
            raise NotYet("not seven", number=number, count=len(line))
        if set(line) - set("#."):
            raise NotYet("other marks", number=number, line=line)
    return torch.tensor([1.0 if mark == "#" else -1.0 for mark in "".join(lines)])


@check("7.3")
def check_7_3(eleventh_target: object) -> dict:
    """A target as a text, as far from the ten as the nearest of those are from each other."""
    code, targets = _target(eleventh_target), lenet5.targets()
    if (code == -1).all():
        raise NotYet("empty")
    pixels = (code != targets).sum(dim=1)
    apart = (targets[:, None] != targets).sum(dim=2)
    least, nearest = int(apart[apart > 0].min()), int(pixels.argmin())
    values = {"nearest": nearest, "pixels": int(pixels[nearest])}
    if values["pixels"] < least:
        raise NotYet("too near", least=least, **values)
    codes, _ = _codes()
    taken = (codes - code).square().sum(dim=1) < _distances(codes).amin(dim=1)
    return values | {"squared": 4 * values["pixels"], "taken": int(taken.sum())}


@check("7.4")
def check_7_4(answer_7_4: object) -> dict:
    """The letter of the reason for targets of -1 and +1; the function's slope decides."""
    found = read.choice(answer_7_4, "abcd")
    a = torch.linspace(-8, 8, 1601, requires_grad=True)
    values = lenet5.Squash()(a)
    (slopes,) = torch.autograd.grad(values.sum(), a)
    middle, at_one, near_limit = (
        slopes[(values - value).abs().argmin()].item() for value in (0.0, 1.0, 1.7)
    )
    if found != "b" or near_limit > 0.1 * at_one:
        raise NotYet(found)
    return {"middle": middle, "at_one": at_one, "near_limit": near_limit}
