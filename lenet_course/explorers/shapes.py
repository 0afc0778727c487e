"""Explorer of chapter 2: change LeNet's sizes and see what they do, down to the last layer."""

import lenet_helpers as lenet
from lenet_course.drawing import Picture

import textwrap
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from numbers import Integral
from typing import Any

import torch
from torch import nn

from . import card
from .card import BLUE, GREEN, INK, MARK, QUIET, WIDTH, tint

# ---------------------------------------------------------------------------- computing


@dataclass(frozen=True)
class Sizes:
    """What can be changed in LeNet; as it stands, the lesson's network.

    Raises ValueError for what is not within LIMITS or among POOLINGS.
    """

    channels1: int = 6
    kernel1: int = 5
    padding1: int = 2
    stride1: int = 1
    pooling1: str = "average"
    pool1: int = 2  # side of the pooling window, and its stride
    channels2: int = 16
    kernel2: int = 5
    padding2: int = 0
    stride2: int = 1
    pooling2: str = "average"
    pool2: int = 2
    dense_inputs: int = 400
    dense1: int = 120
    dense2: int = 84

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_size(field.name, getattr(self, field.name))


def _check_size(name: str, value: Any) -> None:
    if name not in LIMITS:
        if value not in list(POOLINGS):
            raise ValueError(f"{name} must be {' or '.join(POOLINGS)}, it is {value!r}")
        return
    low, high = LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, it is {value!r}")


LIMITS = {
    "channels1": (1, 32), "kernel1": (1, 11), "padding1": (0, 5), "stride1": (1, 3),
    "channels2": (1, 32), "kernel2": (1, 11), "padding2": (0, 5), "stride2": (1, 3),
    "pool1": (1, 4), "pool2": (1, 4),
    "dense1": (10, 512), "dense2": (10, 512),
    "dense_inputs": (1, 32 * 48 * 48),  # the most that the convolutions can deliver
}  # fmt: skip
POOLINGS = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}


def make_network(sizes: Sizes) -> nn.Sequential:
    """LeNet with these sizes, new; whether an image gets through it is another question."""
    s = sizes
    return nn.Sequential(
        lenet.Reshape(),
        nn.Conv2d(1, s.channels1, s.kernel1, s.stride1, s.padding1), nn.Sigmoid(),
        POOLINGS[s.pooling1](s.pool1),
        nn.Conv2d(s.channels1, s.channels2, s.kernel2, s.stride2, s.padding2), nn.Sigmoid(),
        POOLINGS[s.pooling2](s.pool2),
        nn.Flatten(),
        nn.Linear(s.dense_inputs, s.dense1), nn.Sigmoid(),
        nn.Linear(s.dense1, s.dense2), nn.Sigmoid(),
        nn.Linear(s.dense2, 10),
    )  # fmt: skip


LAYERS = {1: "conv 1", 3: "pool 1", 4: "conv 2", 6: "pool 2"}  # place in the Sequential
DENSE = {8: "dense 1", 10: "dense 2", 12: "dense 3"}


def spoken(name: str) -> str:
    """A size as the controls call it: "padding1" is "conv 1 padding"."""
    what, part = name[:-1], name[-1]
    words = {"pool": f"pool {part} window", "dense": f"dense {part} width"}
    words |= {"pooling": f"pool {part}", "dense_input": "dense 1 expects"}
    return words.get(what, f"conv {part} {what}")


def map_sides(sizes: Sizes) -> dict[int, tuple[int, int]]:
    """Side of the map before and after each of LAYERS, up to the first where it vanishes (< 1)."""
    side, found = 28, {}
    for place, name in LAYERS.items():
        part, before = name[-1], side
        if name.startswith("conv"):
            kernel, padding, stride = (
                getattr(sizes, what + part) for what in ("kernel", "padding", "stride")
            )
        else:
            kernel, padding = getattr(sizes, f"pool{part}"), 0
            stride = kernel
        side = (before + 2 * padding - kernel) // stride + 1
        found[place] = before, side
        if side < 1:
            break
    return found


def delivered(sizes: Sizes) -> int:
    """How many values the convolutions deliver; 0 if the map vanishes on the way."""
    side = list(map_sides(sizes).values())[-1][1]
    return sizes.channels2 * max(side, 0) ** 2


def find_problem(sizes: Sizes) -> tuple[int | None, str]:
    """What does not fit, said before PyTorch would fail: its place in the network, and sentences.

    (None, "") if an image gets through.
    """
    place, (before, side) = list(map_sides(sizes).items())[-1]
    if side < 1:
        return place, _vanished(sizes, LAYERS[place], before)
    values = delivered(sizes)
    if values == sizes.dense_inputs:
        return None, ""
    ways = [f"let it expect {values}"]
    ways += [f"set {spoken(name)} to {value}" for name, value in single_changes(sizes)]
    return 8, (
        f"The first dense layer expects {sizes.dense_inputs} values, your convolutions now deliver "
        f"{values} = {_times(sizes.channels2, side, side)}: {', or '.join(ways)}."
    )


def _times(*numbers):
    return "\u00a0×\u00a0".join(map(str, numbers))  # never broken at the end of a line


def _vanished(sizes, name, before):
    part, gets = name[-1], f"and the map that it gets is only {_times(before, before)}"
    if name.startswith("pool"):
        window = getattr(sizes, f"pool{part}")
        return (
            f"The map vanishes in {name}: its window is {_times(window, window)}, {gets}: "
            f"make the window {before} or smaller, or the maps before it larger."
        )
    kernel, padding = getattr(sizes, f"kernel{part}"), getattr(sizes, f"padding{part}")
    padded = before + 2 * padding
    if padding:
        gets += f", {_times(padded, padded)} with its padding"
    return (
        f"The map vanishes in {name}: its kernel is {_times(kernel, kernel)}, {gets}: make the "
        f"kernel {padded} or smaller, or the padding {-(-(kernel - before) // 2)} or larger, or "
        "the maps before it larger."
    )


def single_changes(sizes: Sizes, most: int = 2) -> list[tuple[str, int]]:
    """Changes of one size each, (name, value), after which the convolutions deliver enough.

    The smallest changes come first, at most `most` of them.
    """
    changes = []
    for name, (low, high) in LIMITS.items():
        if name.startswith("dense"):
            continue
        now = getattr(sizes, name)
        for value in range(low, high + 1):
            if delivered(replace(sizes, **{name: value})) == sizes.dense_inputs:
                changes.append((abs(value - now), name, value))
    return [(name, value) for _, name, value in sorted(changes)[:most]]


def make_fit(sizes: Sizes) -> Sizes:
    """The same sizes, with as little changed as an image needs to get through.

    Kernels and windows that are larger than their map become as large as the map; then the first
    dense layer is told to expect what the convolutions deliver.
    """
    while not delivered(sizes):
        place, (before, _) = list(map_sides(sizes).items())[-1]
        part = LAYERS[place][-1]
        if place in (1, 4):
            largest = before + 2 * getattr(sizes, f"padding{part}")
            sizes = replace(sizes, **{f"kernel{part}": largest})
        else:
            sizes = replace(sizes, **{f"pool{part}": before})
    return replace(sizes, dense_inputs=delivered(sizes))


@lru_cache(maxsize=4)  # picture and description ask for the same, and for LeNet
def trace_sizes(sizes: Sizes) -> list[tuple[str, lenet.LayerTrace]]:
    """(name, LayerTrace) of the layers that an image reaches, traced through PyTorch's layers.

    The sigmoids, which change no shape, and Reshape and Flatten are left out.
    """
    place, _ = find_problem(sizes)
    with torch.device("meta"):  # no weights are drawn: there may be 38 million
        net = make_network(sizes)[:place]
    # Memory that nobody fills: a convolution on "meta" imports sympy and more, 78 MB, 1.5 s.
    for layer in net:
        for name, parameter in list(layer.named_parameters()):
            setattr(layer, name, nn.Parameter(torch.empty(parameter.shape)))
    trace = lenet.trace_shapes(net, torch.zeros(1, 1, 28, 28))
    return [(name, trace[i]) for i, name in (LAYERS | DENSE).items() if i < len(trace)]


# ---------------------------------------------------------------------------- drawing


def changes(sizes: Sizes) -> list[str]:
    """What differs from LeNet, in words: "conv 2 kernel 5 → 3"."""
    pairs = [(f.name, getattr(Sizes(), f.name), getattr(sizes, f.name)) for f in fields(Sizes)]
    return [f"{spoken(name)} {old} → {new}" for name, old, new in pairs if old != new]


def draw_sizes(sizes: Sizes) -> Picture:
    """The Picture of a network with these sizes: what to say, its volumes to scale, its table."""
    trace, (place, problem) = trace_sizes(sizes), find_problem(sizes)
    picture = Picture(536, WIDTH)
    words, color = (problem, MARK) if problem else (_all_well(trace), GREEN)
    for i, line in enumerate(textwrap.wrap(words, 80)):
        picture.text(0, 10 + 20 * i, line, 14.5, color)
    _draw_volumes(picture, [("image", (1, 28, 28))] + [(n, t.output_shape) for n, t in trace], 66)
    missing = [name for i, name in (LAYERS | DENSE).items() if place is not None and i >= place]
    _draw_table(picture, trace, missing, 300)
    different = "Changed from LeNet: " + ", ".join(changes(sizes))
    for i, line in enumerate(textwrap.wrap(different if changes(sizes) else "This is LeNet.", 88)):
        picture.text(0, 490 + 18 * i, line, 13.5, MARK if changes(sizes) else QUIET)
    return picture


def _all_well(trace):
    parameters = sum(layer.parameters for _, layer in trace)
    mult_adds = sum(layer.mult_adds for _, layer in trace)
    return f"It fits: {parameters} parameters, {mult_adds} multiply-adds for each image."


BACK = 0.18, 0.2  # of a row: how far right, and how far up, a channel goes


def _draw_volumes(picture, volumes, y):
    """Volumes in a row, all to one scale: width to the right, height up, channels to the back."""
    boxes = [(name, *shape, *(1, 1)[: 3 - len(shape)]) for name, shape in volumes]

    def wide(scale):
        return [max(66, w * scale + c * BACK[0] * scale) + 10 for _, c, _, w in boxes]

    scale = 4.5  # pixels to the row and the column; a channel goes back by BACK times as many
    while sum(wide(scale)) > WIDTH or any(h + c * BACK[1] > 170 / scale for _, c, h, _ in boxes):
        scale *= 0.98
    x, ground = 0, y + 178
    for (name, c, h, w), slot in zip(boxes, wide(scale), strict=True):
        long, high = max(w * scale, 4), max(h * scale, 4)
        back = c * BACK[0] * scale, c * BACK[1] * scale
        place = x + (slot - 10 - long - back[0]) / 2, ground - high
        _draw_box(picture, name, place, (long, high, back))
        shape = f"{c}" if name in DENSE.values() else f"{c}×{h}×{w}"
        picture.text(x + slot / 2 - 5, ground + 14, name, 13, INK, "middle", True)
        picture.text(x + slot / 2 - 5, ground + 31, shape, 13, QUIET, "middle")
        x += slot
    picture.text(WIDTH, y + 8, "height and width to one scale,", 13, QUIET, "end")
    picture.text(WIDTH, y + 25, "channels to another", 13, QUIET, "end")


def _draw_box(picture, name, place, size):
    """Three faces of a box: the upper, the right, the front."""
    (left, top), (long, high, (across, up)) = place, size
    right, ground = left + long, top + high
    color = "#8fa3b3" if name == "image" else GREEN if name in DENSE.values() else BLUE
    back = [(left + across, top - up), (right + across, top - up)]
    faces = [
        ([(left, top), *back, (right, top)], 0.65),
        ([(right, top), back[1], (right + across, ground - up), (right, ground)], 1.0),
        ([(left, top), (right, top), (right, ground), (left, ground)], 0.4),
    ]
    for corners, share in faces:
        picture.polygon(corners, tint(color, share), "#ffffff", 0.7)


def _draw_table(picture, trace, missing, y):
    """What each layer makes of an image; where that is another shape than LeNet's, in orange."""
    columns = [("layer", 0, "start"), ("output shape", 96, "start"), ("parameters", 306, "end")]
    columns += [("multiply-adds", 470, "end"), ("receptive field", WIDTH, "end")]
    for words, x, anchor in columns:
        picture.text(x, y, words, 13, QUIET, anchor)
    most = [max(getattr(t, what) for _, t in trace) for what in ("parameters", "mult_adds")]
    usual = {name: layer.output_shape for name, layer in trace_sizes(Sizes())}
    for i, (name, layer) in enumerate(trace):
        line, shape = y + 24 + 22 * i, " × ".join(map(str, layer.output_shape))
        same = layer.output_shape == usual[name]
        picture.text(0, line, name, 14, INK, bold=True)
        picture.text(96, line, shape, 14, INK if same else MARK, bold=not same)
        for x, value, top in ((306, layer.parameters, most[0]), (470, layer.mult_adds, most[1])):
            picture.text(x, line, str(value), 14, INK, "end")
            picture.box(x + 6, line - 8, 50 * value / max(top, 1), 16, "#bcd4e6")
        side = layer.receptive_field
        picture.text(WIDTH, line, f"{side} × {side}", 14, INK, "end")
    for i, name in enumerate(missing):
        line = y + 24 + 22 * (len(trace) + i)
        words, color = ("not reached", QUIET) if i else ("does not fit", MARK)
        picture.text(0, line, name, 14, color, bold=i == 0)
        picture.text(96, line, words, 14, color)


# ---------------------------------------------------------------------------- the widget


class ShapeExplorer(card.Explorer):
    """Change the sizes of LeNet and follow an image's shape to the last layer, or where it fails.

    Usage: `explorer = ShapeExplorer(); explorer.show()`. The button makes it fit; `explorer.net()`
    is then a new network with the sizes that the controls show, ready to be trained.
    """

    def __init__(self, sizes: Sizes | None = None) -> None:
        sizes = sizes or Sizes()
        if not isinstance(sizes, Sizes):
            raise ValueError(f"sizes must be Sizes(...), not of type {type(sizes).__name__}")
        self.controls = {f.name: _control(f.name, getattr(sizes, f.name)) for f in fields(Sizes)}
        self.fit = card.button("make it fit", lambda: self.set(make_fit(self.sizes)), "primary")
        self.reset = card.button("LeNet again", lambda: self.set(Sizes()))
        order = [what + part for what in PARTS for part in "12"]
        controls = [self.controls[name] for name in (*order, "dense_inputs")] + [self.fit]
        controls += [self.controls["dense1"], self.controls["dense2"], self.reset]
        title = "From the image to the ten logits: which sizes fit?"
        super().__init__(title, controls, columns=True)
        self.watch(*self.controls.values())
        self.refresh()

    @property
    def sizes(self) -> Sizes:
        """The Sizes that the controls show."""
        return Sizes(**{name: control.value for name, control in self.controls.items()})

    def set(self, sizes: Sizes) -> None:
        """Move all controls to these Sizes."""
        with self.changing():
            for name, control in self.controls.items():
                control.value = getattr(sizes, name)

    def net(self) -> nn.Sequential:
        """A new network with these sizes, its weights drawn as the lesson draws them."""
        return make_network(self.sizes).apply(lenet.init_weights)

    def look(self) -> None:
        # Not disabled where there is nothing to do: that would take the keyboard's focus from it.
        self.fit.button_style = "primary" if find_problem(self.sizes)[1] else ""

    def picture(self) -> Picture:
        return draw_sizes(self.sizes)

    def describe(self) -> str:
        trace = trace_sizes(self.sizes)
        well = find_problem(self.sizes)[1] or _all_well(trace)
        layers = "; ".join(_words(name, layer) for name, layer in trace)
        return f"{well} The layers as volumes to scale, and in a table: {layers}."


def _words(name, layer):
    """A row of the table: "conv 1 6x28x28, 156 parameters, ..."."""
    words = [f"{name} {'x'.join(map(str, layer.output_shape))}"]
    if layer.parameters:
        words += [f"{layer.parameters} parameters, {layer.mult_adds} multiply-adds"]
    return ", ".join([*words, f"receptive field {layer.receptive_field}"])


PARTS = ("channels", "kernel", "padding", "stride", "pooling", "pool")  # of conv and pooling


def _control(name, value):
    if name.startswith("pooling"):
        return card.dropdown(spoken(name), list(POOLINGS), value)
    if name.startswith("dense"):  # too many values for a slider
        return card.whole_number(spoken(name), *LIMITS[name], value)
    return card.slider(spoken(name), *LIMITS[name], value)
