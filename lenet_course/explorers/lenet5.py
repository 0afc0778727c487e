"""Explorer of chapter 7: the demonstration of 1998, with today's network beside it."""

import lenet_helpers as lenet
from lenet_course.drawing import Picture

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import card
from .card import BLUE, FRAME, GREEN, INK, MARK, QUIET, WIDTH, Explorer
from .distortion import distort

# ---------------------------------------------------------------------------- computing

ROWS, COLUMNS = 12, 7  # of a code, seen as a picture
LIMIT = 1.7159  # of the scaled tanh: no value of F6 lies beyond it


class Code(NamedTuple):
    """What LeNet-5 makes of one image."""

    values: Tensor  # (84,), what F6 gives
    targets: Tensor  # (10, 84)
    distances: Tensor  # (10,), squared, from the code to each target

    @property
    def nearest(self) -> list[int]:
        """The digits of the nearest target and of the second nearest."""
        return self.distances.topk(2, largest=False).indices.tolist()


def code_of(net: nn.Sequential, X: Tensor) -> Code:
    """The Code of one image X (1, 1, 28, 28). Raises ValueError if `net` does not end in RBFs."""
    outputs, _ = card.layer_outputs(net, X)
    if not hasattr(net[-1], "targets"):
        raise ValueError(f"the network must end in RBF units, it ends in {type(net[-1]).__name__}")
    if not outputs[-1].isfinite().all():
        raise ValueError("no prediction: the distances are not finite numbers")
    return Code(outputs[-2][0], net[-1].targets.cpu(), -outputs[-1][0])


def squeeze(X: Tensor, width: float) -> Tensor:
    """X (B, 1, 28, 28) made `width` times as wide, and as much lower as it grows wider."""
    if width == 1:
        return X
    maps = torch.tensor([[1 / width, 0.0, 0.0], [0.0, width, 0.0]]).expand(len(X), 2, 3)
    grid = F.affine_grid(maps, list(X.shape), align_corners=False)
    return F.grid_sample(X, grid, align_corners=False).clamp(0, 1)


# ---------------------------------------------------------------------------- drawing

SIDE = 156  # of the image, and the height of the code
CODE_LEFT, BARS_LEFT = SIDE + 20, 384
STEP, SMALL = WIDTH / 10, 7  # from one target to the next, and pixels to a value of it


def draw_lenet5(X: Tensor, target: int, then: Code, now: card.Prediction) -> Picture:
    """The Picture: the image, LeNet-5's code for it and ten targets; today's probabilities."""
    picture = Picture(348, WIDTH)
    best, second = then.nearest
    picture.text(0, 8, f"the image: {target}", 14, QUIET)
    picture.pixels(0, 24, SIDE, SIDE, card.grey(X[0, 0]))
    picture.text(CODE_LEFT, 8, f"LeNet-5: {best}", 16, _color(best, target), bold=True)
    _draw_code(picture, then.values, CODE_LEFT, 24, SIDE / ROWS)
    picture.text(CODE_LEFT, SIDE + 36, "what F6 gives, as 12 × 7", 13, QUIET)
    for i, (word, digit) in enumerate((("nearest", best), ("second", second))):
        x, distance = CODE_LEFT + SIDE * COLUMNS / ROWS + 12, then.distances[digit].item()
        picture.text(x, 34 + 48 * i, f"{word}: {digit}", 14, INK)
        picture.text(x, 54 + 48 * i, f"at {card.number(distance, 1)}", 14, INK)
    words = f"today's: {now.words(lenet.DIGITS)}"
    picture.text(BARS_LEFT, 8, words, 16, _color(now.predicted, target), bold=True)
    width = WIDTH - BARS_LEFT
    card.draw_probabilities(picture, now, lenet.DIGITS, BARS_LEFT, 22, width, target, row=16)
    _draw_targets(picture, then, target, 212)
    return picture


def _color(predicted: int | None, target: int) -> str:
    return GREEN if predicted == target else MARK


def _draw_code(picture: Picture, values: Tensor, x: float, y: float, cell: float) -> None:
    rgb = card.signed(values.reshape(ROWS, COLUMNS), LIMIT)
    picture.pixels(x, y, COLUMNS * cell, ROWS * cell, rgb)
    picture.box(x, y, COLUMNS * cell, ROWS * cell, line=FRAME)


def _draw_targets(picture: Picture, then: Code, target: int, top: float) -> None:
    """The ten targets in a row, each with the code's distance; the nearest has a frame."""
    best, bottom = then.nearest[0], top + ROWS * SMALL
    for digit, values in enumerate(then.targets):
        x, middle = (digit + 0.5) * STEP - COLUMNS * SMALL / 2, (digit + 0.5) * STEP
        _draw_code(picture, values, x, top, SMALL)
        if digit == best:
            size = COLUMNS * SMALL + 8, ROWS * SMALL + 8
            picture.box(x - 4, top - 4, *size, line=_color(best, target), thick=3)
        distance = card.number(then.distances[digit].item(), 1)
        picture.text(middle, bottom + 16, distance, 14, INK, "middle", digit == best)
    words = "ten targets, and the squared distance of the code from each"
    picture.text(0, bottom + 44, words, 13, QUIET)
    for x, color, words in ((470, BLUE, "−1.7159"), (560, MARK, "1.7159")):
        picture.box(x, bottom + 37, 14, 14, color)
        picture.text(x + 20, bottom + 44, words, 13, QUIET)


# ---------------------------------------------------------------------------- the widget


class Lenet5Explorer(Explorer):
    """Move, rotate, squeeze a digit or add noise: what LeNet-5 and today's network predict.

    Usage: `Lenet5Explorer(then, now, images).show()`; `then` ends in RBF units, `now` in logits,
    `images` is a lenet.ImageDataset.
    """

    def __init__(self, then: nn.Sequential, now: nn.Sequential, images: lenet.ImageDataset) -> None:
        card.check_images(images)
        self.then, self.now, self.images = then, now, images
        self.image = card.image_number(images)
        self.right = card.slider("shift right (px)", -8, 8, 0)
        self.down = card.slider("shift down (px)", -8, 8, 0)
        self.rotation = card.slider("rotate (°)", -90, 90, 0, 5)
        self.width = card.slider("squeeze (× as wide)", 0.5, 2.0, 1.0, 0.05, digits=2)
        self.noise = card.slider("noise (of white)", 0.0, 1.0, 0.0, 0.05, digits=2)
        sliders = [self.right, self.down, self.rotation, self.width, self.noise]
        controls = [self.image, *sliders, card.button("undo all", self.undo)]
        super().__init__("The demonstration of 1998", controls)
        self.watch(self.image, *sliders)
        self.refresh()

    def undo(self) -> None:
        with self.changing():
            self.right.value = self.down.value = self.rotation.value = 0
            self.width.value, self.noise.value = 1.0, 0.0

    @property
    def distorted(self) -> Tensor:
        """The image as both networks get it: X, (1, 1, 28, 28)."""
        X, _ = card.one_image(self.images, self.image.value)
        moved = self.right.value, self.down.value, self.rotation.value
        return distort(squeeze(X, self.width.value), *moved, noise=self.noise.value)

    def look(self) -> tuple[Tensor, int, Code, card.Prediction]:
        """The image as it is now, its target, and what both networks make of it."""
        X, (_, target) = self.distorted, card.one_image(self.images, self.image.value)
        return X, target, code_of(self.then, X), card.predict_image(self.now, X)

    def picture(self) -> Picture:
        return draw_lenet5(*self.seen)

    def describe(self) -> str:
        _, target, then, now = self.seen
        return (
            f"LeNet-5 predicts {then.nearest[0]}, today's network {now.words(lenet.DIGITS)}: image "
            f"{self.image.value}, a {target}, as the sliders distort it; the code that F6 makes of "
            "it, as a picture of 12 x 7, above the ten targets with their distances; and the ten "
            "probabilities of today's network as bars."
        )
