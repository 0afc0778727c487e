"""Explorer of chapter 7: the demonstration of 1998, with today's network beside it."""

import lenet_helpers as lenet
from lenet_course.drawing import Picture

from typing import NamedTuple

import ipywidgets as widgets
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .card import (
    BLUE,
    FRAME,
    GREEN,
    INK,
    MARK,
    QUIET,
    Explorer,
    check_images,
    draw_probabilities,
    grey,
    image_number,
    layer_outputs,
    number,
    one_image,
    percent,
    row,
    signed,
    slider,
)
from .distortion import distort

# ---------------------------------------------------------------------------- computing

ROWS, COLUMNS = 12, 7  # of a code, seen as a picture
LIMIT = 1.7159  # of the scaled tanh: no value of F6 lies beyond it


class CodeReading(NamedTuple):
    """What LeNet-5 makes of one image."""

    code: Tensor  # (84,), what F6 gives
    targets: Tensor  # (10, 84)
    distances: Tensor  # (10,), squared, from the code to each target


def read_code(net: nn.Sequential, X: Tensor) -> CodeReading:
    """The CodeReading of one image X (1, 1, 28, 28). Raises ValueError if `net` ends in no RBF."""
    outputs, _ = layer_outputs(net, X)
    if not hasattr(net[-1], "targets"):
        raise ValueError(f"the network must end in RBF units, it ends in {type(net[-1]).__name__}")
    return CodeReading(outputs[-2][0], net[-1].targets.cpu(), -outputs[-1][0])


def squeeze(X: Tensor, width: float) -> Tensor:
    """X (B, 1, 28, 28) made `width` times as wide, and as much lower as it grows wider."""
    if width == 1:
        return X
    maps = torch.tensor([[1 / width, 0.0, 0.0], [0.0, width, 0.0]]).expand(len(X), 2, 3)
    grid = F.affine_grid(maps, list(X.shape), align_corners=False)
    return F.grid_sample(X, grid, align_corners=False).clamp(0, 1)


# ---------------------------------------------------------------------------- drawing

SIDE = 216  # of the image, and the height of the code
STEP, SMALL = 96, 9  # from one target to the next, and pixels to a value of it


def draw_lenet5(X: Tensor, label: int, then: CodeReading, now: Tensor) -> Picture:
    """The Picture: the image, LeNet-5's code for it and ten targets; today's probabilities."""
    picture = Picture(470)
    picture.text(0, 10, f"the image: {label}", 16, QUIET)
    picture.pixels(0, 30, SIDE, SIDE, grey(X[0, 0]))
    best, second = then.distances.topk(2, largest=False).indices.tolist()
    picture.text(260, 10, f"LeNet-5: {best}", 20, _color(best, label), bold=True)
    width = SIDE * COLUMNS / ROWS
    _draw_code(picture, then.code, 260, 30, SIDE / ROWS)
    picture.text(260, 30 + SIDE + 18, "F6, 84 values as 12 × 7", 14, QUIET)
    words = [f"nearest: {best}, at {number(then.distances[best].item(), 1)}"]
    words += [f"next: {second}, at {number(then.distances[second].item(), 1)}"]
    for i, line in enumerate(words):
        picture.text(260 + width + 16, 42 + 24 * i, line, 15, INK)
    predicted = int(now.argmax())
    heading = f"today: {predicted}, {percent(now[predicted])}"
    picture.text(570, 10, heading, 20, _color(predicted, label), bold=True)
    draw_probabilities(picture, now, lenet.DIGITS, 540, 28, 420, label, row=22)
    _draw_targets(picture, then, best, label, 290)
    return picture


def _color(predicted: int, label: int) -> str:
    return GREEN if predicted == label else MARK


def _draw_code(picture: Picture, code: Tensor, x: float, y: float, cell: float) -> None:
    values = code.reshape(ROWS, COLUMNS)
    picture.pixels(x, y, COLUMNS * cell, ROWS * cell, signed(values, LIMIT))
    picture.box(x, y, COLUMNS * cell, ROWS * cell, line=FRAME)


def _draw_targets(picture: Picture, then: CodeReading, best: int, label: int, top: float) -> None:
    """The ten targets in a row, each with the code's distance; the nearest has a frame."""
    for digit, target in enumerate(then.targets):
        x = digit * STEP + (STEP - COLUMNS * SMALL) / 2
        _draw_code(picture, target, x, top + 8, SMALL)
        if digit == best:
            size = COLUMNS * SMALL + 8, ROWS * SMALL + 8
            picture.box(x - 4, top + 4, *size, line=_color(best, label), thick=4)
        distance = number(then.distances[digit].item(), 1)
        middle, bold = digit * STEP + STEP / 2, digit == best
        picture.text(middle, top + ROWS * SMALL + 28, distance, 16, INK, "middle", bold)
    for x, color, words in ((560, BLUE, "−1.7159"), (680, MARK, "1.7159")):
        picture.box(x, top + 154, 16, 16, color)
        picture.text(x + 24, top + 162, words, 14, QUIET)
    words = "the ten targets, and the squared distance of F6's code from each"
    picture.text(0, top + 162, words, 14, QUIET)


# ---------------------------------------------------------------------------- the widget


class Lenet5Explorer(Explorer):
    """Move, rotate, squeeze a digit or add noise: what LeNet-5 and today's network read.

    Usage: `Lenet5Explorer(then, now, images).show()`; `then` ends in RBF units, `now` in logits,
    `images` is a lenet.ImageDataset.
    """

    def __init__(self, then: nn.Sequential, now: nn.Sequential, images: lenet.ImageDataset):
        check_images(images)
        self.then, self.now, self.images = then, now, images
        self.image = image_number(images)
        self.reset = widgets.Button(description="undo all")
        self.right = slider("shift right (pixels)", -8, 8, 0)
        self.down = slider("shift down (pixels)", -8, 8, 0)
        self.rotation = slider("rotate (degrees)", -90, 90, 0, 5)
        self.width = slider("squeeze (times as wide)", 0.5, 2.0, 1.0, 0.05)
        self.noise = slider("noise (of white)", 0.0, 1.0, 0.0, 0.05)
        sliders = [self.right, self.down, self.rotation, self.width, self.noise]
        super().__init__("The demonstration of 1998", [row(self.image, self.reset), row(*sliders)])
        self.reset.on_click(lambda button: self.undo())
        self.watch(self.image, *sliders)
        self.refresh()

    def undo(self) -> None:
        with self.changing():
            self.right.value = self.down.value = self.rotation.value = 0
            self.width.value, self.noise.value = 1.0, 0.0

    @property
    def distorted(self) -> Tensor:
        """The image as both networks get it: X, (1, 1, 28, 28)."""
        X, _ = one_image(self.images, self.image.value)
        return distort(
            squeeze(X, self.width.value), self.right.value, self.down.value, self.rotation.value,
            noise=self.noise.value,
        )  # fmt: skip

    def picture(self) -> Picture:
        X, (_, label) = self.distorted, one_image(self.images, self.image.value)
        return draw_lenet5(X, label, read_code(self.then, X), lenet.predict(self.now, X)[0])

    def describe(self) -> str:
        X, (_, label) = self.distorted, one_image(self.images, self.image.value)
        distances, now = read_code(self.then, X).distances, lenet.predict(self.now, X)[0]
        return (
            f"Image {self.image.value}, a {label}, as it is moved by the sliders; the code that "
            "F6 of LeNet-5 makes of it, as a picture of 12 x 7, above the ten targets with their "
            f"distances: LeNet-5 predicts {int(distances.argmin())}, today's network "
            f"{int(now.argmax())}, whose ten probabilities are bars."
        )
