"""The checks of chapter 7, LeNet-5."""

import lenet_helpers as lenet
from lenet_course import lenet5, saved

import torch

from .checking import (
    NotYet,
    call,
    check,
    count_parameters,
    explain,
    load_images,
    read_choice,
    read_function,
    read_tensor,
    read_whole_number,
)

# ---------------------------------------------------------------------------- 7.1


def _connections(table):
    """Parameters and connections of C3 with this table: each value uses its map's, bias and all."""
    layer = lenet5.TableConv(table)
    places = layer(torch.zeros(1, 6, 14, 14))[0, 0].numel()
    return count_parameters(layer), count_parameters(layer) * places, len(table) * places


@check("7.1")
def check_7_1(answer):
    """`answer`: the number of connections of C3 without a table."""
    found = read_whole_number(answer)
    parameters, right, biases = _connections([tuple(range(6))] * 16)
    _, with_table, _ = _connections(lenet5.TABLE)
    if found == right:
        return (
            f"{right} it is, {right / with_table:.2f} times the {with_table} of the table: each of "
            "16 × 10 × 10 values multiplies six patches of 25, and adds a bias."
        )
    explain(
        found,
        [
            (with_table, f"{with_table} is C3 with its table. Without it, how many maps does each "
             "of the sixteen see?"),
            (parameters, "That is how many parameters it has. How often is each of them used?"),
            (right - biases, "The bias is a connection too: one for each value."),
            (right // 16, "That is one map of the sixteen."),
            (parameters * 14 * 14, "A map of 14 × 14 has 10 × 10 places for a window of 5 × 5."),
            (right - with_table, "That is how many more it has. How many in all?"),
        ],
        f"{found} is too {'few' if found < right else 'many'}. Count for one value of one map, "
        "bias and all; then multiply by the number of values.",
    )  # fmt: skip


# ---------------------------------------------------------------------------- 7.2

MARGIN = 10.0


def _distances():
    """Squared distances (10000, 10) of the test digits from the targets, and their labels."""
    net = saved.load_weights(lenet5.make_lenet5(), saved.find_weights("lenet5.pt"))
    images = load_images("MNIST", train=False)
    with lenet.eval_mode(net):
        parts = [-net(X) for X, _ in lenet.batches(images, 1000, shuffle=False)]
    return torch.cat(parts), images.labels.long()


def _read(distances, margin):
    best = distances.topk(2, dim=1, largest=False)
    unsure = best.values[:, 1] - best.values[:, 0] < margin
    return torch.where(unsure, -1, best.indices[:, 0])


@check("7.2")
def check_7_2(read):
    """`read`: from distances (B, 10) and a margin the digits (B,), -1 for those rejected."""
    read_function(read, "distances", "margin")
    distances, y = _distances()
    result = call(read, distances, MARGIN)
    found, right = read_tensor(result, (len(y),)).long(), _read(distances, MARGIN)
    if not torch.equal(found, right):
        least = distances.topk(2, dim=1, largest=False).values
        explain(
            found,
            [
                (distances.argmin(dim=1), "Nothing is rejected: where the second best is less than "
                 "`margin` further away than the best, -1 is asked for."),
                (_read(-distances, MARGIN), "That is the target furthest away. These are "
                 "distances, not logits: the smallest wins."),
                (torch.where(least[:, 0] < MARGIN, -1, distances.argmin(dim=1)), "You reject what "
                 "is near a target. Compare the best with the second best."),
                (torch.where(right < 0, distances.argmin(dim=1), -1), "You keep what should be "
                 "rejected, and reject the others."),
            ],
            f"{int((found != right).sum())} of {len(y)} digits are read otherwise. "
            f"{_an_example(distances, found, right)}",
        )  # fmt: skip
    kept = found >= 0
    wrong, before = int((found != y)[kept].sum()), int((distances.argmin(dim=1) != y).sum())
    return (
        f"Of the 10000 test digits {int((~kept).sum())} are rejected at a margin of {MARGIN:g}. "
        f"Of those that are left {wrong} are misread, in place of {before} of all."
    )


def _an_example(distances, found, right):
    i = int((found != right).nonzero()[0])
    best, second = distances[i].topk(2, largest=False).values.tolist()
    return (
        f"The first is digit {i}: the best lies at {best:.1f}, the second at {second:.1f}; "
        f"{int(right[i])} is asked for, and yours is {int(found[i])}."
    )


# ---------------------------------------------------------------------------- 7.3


def _target(picture):
    """The picture as a code (84,) of -1 and +1."""
    if not isinstance(picture, str):
        raise NotYet("A text of twelve lines is asked for, in three quotes.")
    lines = [line.strip() for line in picture.strip().splitlines()]
    if len(lines) != 12:
        raise NotYet(f"Twelve lines are asked for; these are {len(lines)}.")
    for i, line in enumerate(lines, start=1):
        if len(line) != 7:
            raise NotYet(f"Seven marks a line; line {i} has {len(line)}.")
        if set(line) - set("#."):
            raise NotYet(f"Only `#` and `.` are marks; line {i} is `{line}`.")
    return torch.tensor([1.0 if mark == "#" else -1.0 for mark in "".join(lines)])


@check("7.3")
def check_7_3(picture):
    """`picture`: a target as a text, as far from the ten as the nearest of those are."""
    code, targets = _target(picture), lenet5.targets()
    if (code == -1).all():
        raise NotYet("It has no `#` yet: draw.")
    pixels = [int((code != target).sum()) for target in targets]
    nearest = min(range(10), key=pixels.__getitem__)
    apart = torch.cdist(targets, targets, p=0)  # in how many pixels two targets differ
    least = int(apart[apart > 0].min())
    if pixels[nearest] < least:
        raise NotYet(
            f"It differs from the {nearest} in {pixels[nearest]} pixels, and no two of the ten "
            f"differ in fewer than {least}: the network could hardly tell them apart."
        )
    net = saved.load_weights(lenet5.make_lenet5(), saved.find_weights("lenet5.pt"))
    images = load_images("MNIST", train=False)
    with lenet.eval_mode(net):
        codes = torch.cat([net[:-1](X) for X, _ in lenet.batches(images, 1000, shuffle=False)])
    taken = (codes - code).square().sum(dim=1) < (codes[:, None] - targets).square().sum(2).amin(1)
    return (
        f"Its nearest target is the {nearest}, which differs in {pixels[nearest]} pixels, a "
        f"squared distance of {4 * pixels[nearest]}. Of the 10000 test digits {int(taken.sum())} "
        "would be taken for it, and the network was not trained anew."
    )


# ---------------------------------------------------------------------------- 7.4


@check("7.4")
def check_7_4(answer):
    """`answer`: the letter of the reason for targets of -1 and +1; the function's slope decides."""
    found, squash = read_choice(answer, "abcd"), lenet5.Squash()
    a = torch.linspace(-8, 8, 1601, requires_grad=True)
    values = squash(a)
    (slopes,) = torch.autograd.grad(values.sum(), a)
    largest, at_one = slopes.max().item(), slopes[(a - 1).abs().argmin()].item()
    near_limit = slopes[(values - 1.7).abs().argmin()].item()
    if found == "b" and near_limit < 0.1 * at_one:
        return (
            f"Measured just now: the slope is {largest:.2f} in the middle, {at_one:.2f} where it "
            f"gives 1, and {near_limit:.3f} where it gives 1.7. Targets at the limits would draw "
            "the sums to where no gradient passes."
        )
    raise NotYet(
        {
            "a": "It can give any value between -1.7159 and 1.7159; 1 is nothing special for it.",
            "b": "Measured just now: it is not so.",
            "c": "Any two values have a distance; with those of the limits it would be larger.",
            "d": "The background and the ink of the input are -0.1 and 1.175, chosen for another "
            "reason: a mean of about 0.",
        }[found]
    )
