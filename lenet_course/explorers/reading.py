"""How a network reads one image: its activations layer by layer, its ten probabilities."""

import lenet_helpers as lenet
from lenet_course import checks

import copy
from typing import NamedTuple

import torch
from torch import nn

from . import card
from .card import GREEN, INK, MARK, QUIET

WIDTH = 660  # CSS pixels of a picture beside its controls, on a laptop with the file browser open

# ---------------------------------------------------------------------------- computing


class Prediction(NamedTuple):
    """What a network makes of one image."""

    probabilities: torch.Tensor  # (10,)
    predicted: int  # the most probable class
    confidence: float  # its probability
    activations: list  # of (name, tensor without the batch dimension), the logits last


def snapshot(net):
    """A copy of `net` to look at: the network itself may be in training in a cell meanwhile, and
    evaluation mode would switch off its dropout there."""
    return copy.deepcopy(net)


def layers_of(net):
    """The layers of a Sequential `net`, those of a Sequential inside it in its place."""
    parts = ([*layers_of(part)] if isinstance(part, nn.Sequential) else [part] for part in net)
    return [layer for part in parts for layer in part]


def read_image(net, X):
    """The Prediction for one image X (1, 1, 28, 28).

    Of each convolution, pooling and dense layer its activations, what the next one gets to see: an
    activation function (or a normalisation) belongs to the layer before it. Raises ValueError for
    an image or a network of the wrong shape, and for logits that are no numbers.
    """
    checks.layers(net)
    checks.batch(X)
    net = snapshot(net)
    device = next(net.parameters()).device
    with lenet.eval_mode(net):
        lenet.trace_shapes(net, X.to(device))  # says which layer does not fit
        layers = layers_of(net)
        outputs = [output.cpu() for output in lenet.activations(layers, X.to(device))]
    checks.logits(outputs[-1], X)
    logits = finite(outputs[-1])[0]
    probabilities = logits.softmax(dim=0)
    found, counts = [], {"conv": 0, "pool": 0, "dense": 0}
    for layer, output in zip(layers, outputs, strict=True):
        kind = _kind_of(layer)
        if kind:
            counts[kind] += 1
            found.append((f"{kind} {counts[kind]}", output[0]))
        elif found and output[0].shape == found[-1][1].shape:
            found[-1] = found[-1][0], output[0]
    activations = [*found[:-1], ("logits", logits)]
    return Prediction(
        probabilities, logits.argmax().item(), probabilities.max().item(), activations
    )


def _kind_of(layer):
    """conv, pool or dense; "" for a layer that is none of them."""
    name = type(layer).__name__
    kinds = {"Conv": "conv", "Pool": "pool", "Linear": "dense"}
    return next((kind for part, kind in kinds.items() if part in name), "")


def finite(values):
    """`values` themselves. Raises ValueError if one of them is no number: nothing is predicted."""
    if not values.isfinite().all():
        raise ValueError(
            "this network predicts nothing, as its logits are no numbers (nan): its training "
            "diverged; make it anew, and train it with a smaller learning rate"
        )
    return values


# ---------------------------------------------------------------------------- drawing

SHOWN = 16, 128  # of a layer's maps, and of a dense layer's values, at most
COLUMNS = 9  # as many layers stand beside each other


def draw_layers(picture, X, activations, x, y, width=WIDTH):
    """The image and its activations from left to right, about 170 high; not the logits."""
    columns = [("image", card.grey(X[0, 0]), 90 / 28, (1, 1, 28, 28))]
    columns += [_column(*layer) for layer in activations[:-1] if layer[1].dim() in (1, 3)]
    note = "each map from its smallest value, black, to its largest, white"
    if len(columns) > COLUMNS:
        note = f"the first {COLUMNS - 1} of {len(columns) - 1} layers; {note}"
        columns = columns[:COLUMNS]
    across = [sheet.shape[1] * scale for _, sheet, scale, _ in columns]
    shrunk = min(1, (width - 10 * (len(columns) - 1)) / sum(across))
    space = (width - shrunk * sum(across)) / max(len(columns) - 1, 1)
    for (name, sheet, scale, tiles), wide in zip(columns, across, strict=True):
        picture.text(x + shrunk * wide / 2, y + 8, name, 13, QUIET, "middle")
        picture.sheet(x, y + 20, shrunk * scale, sheet, tiles)
        x += shrunk * wide + space
    picture.text(x - space, y + 158, note, 12, QUIET, "end")


def _column(name, output):
    """Name, sheet of values, pixels to the value, and tiles (rows, columns, height, width)."""
    if output.dim() == 3:
        maps = output[: SHOWN[0]]
        low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
        maps = (maps - low) / (high - low).clamp_min(1e-9)  # each for itself
        side, size = (4, 28) if len(maps) > 8 else (2, 40)
        side, (height, wide) = min(side, len(maps)), maps.shape[1:]
        sheet = card.grey(card.tiled(maps, side, fill=1.0))
        tiles = -(-len(maps) // side), side, height, wide
        return _named(name, maps, output), sheet, size / max(height, wide), tiles
    # A dense layer has no picture: its values below each other, in columns of equal length.
    values = output[: SHOWN[1]]
    low, high = values.min().item(), values.max().item()
    rows = next((r for r in range(16, 7, -1) if len(values) % r == 0), min(16, len(values)))
    filled = nn.functional.pad(values, (0, -len(values) % rows), value=low)
    sheet = card.grey(filled.view(-1, rows).T, low, high)
    return _named(name, values, output), sheet, 7.5, (1, 1, *sheet.shape[:2])


def _named(name, shown, all_of_them):
    return name if len(shown) == len(all_of_them) else f"{name} ({len(shown)}/{len(all_of_them)})"


def draw_probabilities(picture, probabilities, labels, x, y, width, target=None, row=16):
    """Ten bars under each other, `row` high each; the class of the image, `target`, in green."""
    predicted = int(probabilities.argmax())
    size = min(row - 2, 15)
    room = 10 + 0.62 * size * max(map(len, labels))  # for the names
    for i, (label, p) in enumerate(zip(labels, probabilities.tolist(), strict=True)):
        middle, bold = y + (i + 0.5) * row, i in (predicted, target)
        color = GREEN if i == target else INK
        picture.text(x + room - 8, middle, label, size, color, "end", bold)
        full = width - room - 4.4 * size
        picture.box(x + room, middle - row * 0.36, full, row * 0.72, "#eeeeee")
        bar = (GREEN if target in (None, predicted) else MARK) if i == predicted else "#8fa3b3"
        picture.box(x + room, middle - row * 0.36, full * p, row * 0.72, bar)
        picture.text(x + width, middle, card.percent(p), size, INK, "end", bold)
