"""Explorer of chapter 4: from a cell of the confusion matrix to what the network saw."""

import lenet_helpers as lenet
from lenet_course.drawing import Picture

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from . import card
from .card import BLUE, GREEN, INK, MARK, QUIET, WIDTH, Explorer

# ---------------------------------------------------------------------------- computing


class Predictions(NamedTuple):
    """What a network predicts for N images."""

    target: torch.Tensor  # (N,) int64
    predicted: torch.Tensor  # (N,) int64
    confidence: torch.Tensor  # (N,) the probability of the predicted class
    matrix: torch.Tensor  # (10, 10) int64: how many of each class (row) were predicted (column)


def predict_all(net: nn.Module, images: lenet.ImageDataset) -> Predictions:
    """The Predictions of `net` for all of `images`, a lenet.ImageDataset."""
    iterator = lenet.batches(images, 1000, shuffle=False)
    batches = [(y, *lenet.predict(net, X).max(dim=1)) for X, y in iterator]
    target, confidence, predicted = (torch.cat(part) for part in zip(*batches, strict=True))
    if not confidence.isfinite().all():
        raise ValueError("this network predicts nothing: its logits are not finite numbers")
    matrix = torch.bincount(10 * target + predicted, minlength=100).view(10, 10)
    return Predictions(target, predicted, confidence, matrix)


def images_behind(predictions: Predictions, target: int, predicted: int) -> list[int]:
    """Numbers of the images of class `target` predicted as `predicted`, most confident first."""
    chosen = (predictions.target == target) & (predictions.predicted == predicted)
    numbers = chosen.nonzero().flatten()
    return numbers[predictions.confidence[numbers].argsort(descending=True, stable=True)].tolist()


def occlusion_map(net: nn.Module, X: Tensor, label: int) -> Tensor:
    """How much the probability of class `label` falls where X (1, 1, 28, 28) is covered: (28, 28).

    A black square of 7 x 7 pixels covers the image at 64 places, three pixels apart; a pixel gets
    the mean over all squares that cover it (after Zeiler and Fergus, 2014).
    """
    squares = torch.zeros(64, 1, 28, 28)
    for square, (top, left) in zip(squares, product(range(0, 22, 3), repeat=2), strict=True):
        square[0, top : top + 7, left : left + 7] = 1
    before, *covered = lenet.predict(net, torch.cat([X, X * (1 - squares)]))[:, label]
    fall = before - torch.stack(covered).view(64, 1, 1)
    return (fall * squares[:, 0]).sum(dim=0) / squares[:, 0].sum(dim=0)


# ---------------------------------------------------------------------------- drawing

CELL, LEFT, TOP = 24, 84, 82  # of the matrix
THUMB, COLUMNS, ROWS = 46, 6, 3  # of the shelf with the images behind a cell
SHELF = WIDTH - COLUMNS * THUMB
PAGE = COLUMNS * ROWS


def draw_matrix(
    picture: Picture, matrix: Tensor, labels: Sequence[str], target: int, predicted: int
) -> None:
    """The confusion matrix; the cell of class `target` and prediction `predicted` is framed."""
    picture.text(0, 10, "class (row), predicted (column)", 13, QUIET)
    most = max(matrix.clone().fill_diagonal_(0).max().item(), 1)
    for i, label in enumerate(labels):
        middle = (i + 0.5) * CELL
        picture.text(LEFT - 6, TOP + middle, label, 13, INK, "end", i == target)
        picture.text(LEFT + middle, TOP - 6, label, 13, INK, "start", i == predicted, rotation=60)
        for j in range(10):
            count = matrix[i, j].item()
            share = count / max(matrix[i].sum().item(), 1) if i == j else (count / most) ** 0.5
            x, y = LEFT + j * CELL, TOP + i * CELL
            picture.box(x, y, CELL, CELL, card.tint(BLUE if i == j else MARK, share), "#ffffff")
            ink = "#ffffff" if share > 0.6 else INK
            picture.text(x + CELL / 2, y + CELL / 2, str(count), 11, ink, "middle")
    picture.box(LEFT + predicted * CELL, TOP + target * CELL, CELL, CELL, line=INK, thick=3)
    picture.spot(LEFT, TOP, 10 * CELL, 10 * CELL, "matrix")


def draw_shelf(
    picture: Picture, images: lenet.ImageDataset, numbers: list[int], position: int
) -> None:
    """The page of `images` with the one at `position` of `numbers`, which is framed."""
    i, scale = position % PAGE, THUMB / 29
    shelf = images.images[numbers[position - i : position - i + PAGE]] / 255
    sheet = card.grey(card.tiled(shelf, COLUMNS, fill=1.0))
    picture.pixels(SHELF, 24, sheet.shape[1] * scale, sheet.shape[0] * scale, sheet)
    x, y = SHELF + i % COLUMNS * THUMB, 24 + i // COLUMNS * THUMB
    picture.box(x, y, THUMB - scale, THUMB - scale, line=MARK, thick=4)
    picture.spot(SHELF, 24, COLUMNS * THUMB, ROWS * THUMB, "shelf")


def draw_occlusion(
    picture: Picture, X: Tensor, fall: Tensor, x: float, y: float, side: float = 60
) -> None:
    """Where covering the image X makes the prediction less probable, in orange, on its shadow."""
    colors = card.signed(fall, fall.abs().max().item())
    shadow = 1 - 0.4 * X[0, 0].unsqueeze(-1).numpy()
    picture.text(x, y, "where it matters", 12, QUIET)
    picture.pixels(x, y + 12, side, side, (colors * shadow).astype(np.uint8))
    picture.box(x, y + 12, side, side, line="#9a9a9a")


# ---------------------------------------------------------------------------- the widget


class ConfusionExplorer(Explorer):
    """Choose a cell of the confusion matrix, then an image behind it, and see what `net` saw.

    Usage: `ConfusionExplorer(net, images, labels).show()`; `images` is a lenet.ImageDataset, and
    `net` may be two networks by name, to be compared: {"the lesson's": net, "better": better_net}.
    Click in the matrix and on an image, or use the controls; the arrow keys go on from there.
    """

    def __init__(
        self, net: nn.Module | Mapping[str, nn.Module], images: lenet.ImageDataset,
        labels: Sequence[str],
    ) -> None:  # fmt: skip
        card.check_images(images, labels)
        (self.nets, self.network), self.images = card.networks(net), images
        self.labels = list(labels)
        self._predictions = {name: predict_all(n, images) for name, n in self.nets.items()}
        self._weights = {name: card.versions(n) for name, n in self.nets.items()}
        wrong = self.predictions.matrix.clone().fill_diagonal_(0)
        target, predicted = divmod(wrong.argmax().item(), 10)  # the most frequent mistake
        classes = list(zip(self.labels, range(10), strict=True))
        self.target = card.dropdown("class", classes, target)
        self.predicted = card.dropdown("predicted", classes, predicted)
        self.position = card.slider("image behind the cell", 0, 0, 0)
        self._clicked = "matrix"
        super().__init__(
            "From a confusion to its cause",
            [self.network, self.target, self.predicted, self.position],
            card.PictureView(
                self._click, self._arrow, hint="arrow keys: another cell, or another image"
            ),
        )
        self.watch(self.position)
        for control in (self.network, self.target, self.predicted):
            control.observe(self.saying(lambda change: self._new_cell()), "value")
        self._new_cell()

    @property
    def net(self) -> nn.Module:
        """The network that is chosen."""
        return self.nets[self.network.value]

    @property
    def predictions(self) -> Predictions:
        """What it predicts for all images."""
        return self._predictions[self.network.value]

    @property
    def numbers(self) -> list[int]:
        """Numbers of the images behind the chosen cell."""
        return images_behind(self.predictions, self.target.value, self.predicted.value)

    def _new_cell(self):
        with self.changing():
            self.position.max = max(len(self.numbers) - 1, 0)
            self.position.value = 0
            self.position.disabled = self.position.max == 0

    def _click(self, key, across, down):
        self._clicked = key
        if key == "matrix":
            self._choose(int(down * 10), int(across * 10))
        else:
            on_page = int(down * ROWS) * COLUMNS + int(across * COLUMNS)
            self.position.value = self.position.value // PAGE * PAGE + on_page

    def _arrow(self, columns, rows):
        if self._clicked == "matrix":
            self._choose(self.target.value + rows, self.predicted.value + columns)
        else:
            self.position.value += columns + rows * COLUMNS

    def _choose(self, target, predicted):
        with self.changing():
            self.target.value = min(max(target, 0), 9)
            self.predicted.value = min(max(predicted, 0), 9)

    def picture(self) -> Picture:
        picture, numbers, position = Picture(540, WIDTH), self.numbers, self.position.value
        target, predicted = self.target.value, self.predicted.value
        draw_matrix(picture, self.predictions.matrix, self.labels, target, predicted)
        color = GREEN if target == predicted else MARK
        picture.text(SHELF, 10, f"{self.cell()}: {len(numbers)}", 14, color, bold=True)
        if not numbers:
            picture.text(SHELF, 60, "No image here: choose another cell.", 14, QUIET)
            return picture
        draw_shelf(picture, self.images, numbers, position)
        X, prediction, compared = self.seen
        card.draw_probabilities(
            picture, prediction, self.labels, SHELF, 168, COLUMNS * THUMB, target, row=15
        )
        card.draw_layers(picture, X, prediction.activations, 0, 330)
        fall = occlusion_map(card.copied(self.net), X, predicted)
        draw_occlusion(picture, X, fall, 0, 466)
        words = f"orange: covered there, “{self.labels[predicted]}” becomes less probable"
        picture.text(72, 492, words, 13, QUIET)
        picture.text(WIDTH, 531, compared, 13, INK, "end")
        return picture

    def look(self) -> tuple[Tensor, card.Prediction, str] | None:
        """The chosen image, its prediction, what another network says; None if there is none."""
        if any(card.versions(n) != self._weights[name] for name, n in self.nets.items()):
            raise ValueError(
                "The network has been trained since this matrix was counted: run the cell again."
            )
        if not self.numbers:
            return None
        X, _ = card.one_image(self.images, self.numbers[self.position.value])
        return X, card.predict_image(self.net, X), self.compared(X)

    def compared(self, X: Tensor) -> str:
        """What another network has in this cell, and makes of the image X; "" if there is none."""
        found = []
        for name, other in self.nets.items():
            if other is not self.net:
                matrix = self._predictions[name].matrix
                count = matrix[self.target.value, self.predicted.value]
                prediction = card.predict_image(other, X)
                found.append(f"{name}: {count} in this cell, here {prediction.words(self.labels)}")
        return "; ".join(found)

    def cell(self) -> str:
        """The chosen cell, in words."""
        return f"{self.labels[self.target.value]}, predicted {self.labels[self.predicted.value]}"

    def row(self) -> str:
        """The row of the chosen class in the matrix, in words; what is 0 is left out."""
        row = self.predictions.matrix[self.target.value].tolist()
        counts = zip(self.labels, row, strict=True)
        words = ", ".join(f"{name} {count}" for name, count in counts if count)
        return f"{self.labels[self.target.value]} as {words or 'nothing, for there is none'}"

    def describe(self) -> str:
        numbers = self.numbers
        found = f"{self.cell()}: {len(numbers)} of {len(self.images)} images"
        if not numbers:
            return f"{found}. Behind another cell of the matrix there are some: {self.row()}."
        number, (_, prediction, compared) = numbers[self.position.value], self.seen
        return (
            f"{found}, the most confident first. Image {number}: {prediction.words(self.labels)}; "
            "its activations layer by layer, its ten probabilities, and where covering it makes "
            f"the prediction less probable. Beside it the whole confusion matrix: {self.row()}. "
            f"{compared}".rstrip()
        )
