"""Explorer of chapter 4: from a cell of the confusion matrix to what the network saw."""

import lenet_helpers as lenet
from lenet_course.drawing import Picture

from typing import NamedTuple

import torch

from .card import (
    BLUE,
    GREEN,
    INK,
    MARK,
    QUIET,
    Explorer,
    PictureView,
    check_images,
    draw_layers,
    draw_probabilities,
    dropdown,
    grey,
    one_image,
    predict_image,
    row,
    slider,
    tiled,
    tint,
)

# ---------------------------------------------------------------------------- computing


class Answers(NamedTuple):
    """What a network answers to N images."""

    truth: torch.Tensor  # (N,) int64
    answer: torch.Tensor  # (N,) int64
    certainty: torch.Tensor  # (N,) the probability of the answer
    matrix: torch.Tensor  # (10, 10) int64: how many of each class (row) got each answer (column)


def answer_all(net, images):
    """The Answers of `net` to all of `images`, a lenet.ImageDataset."""
    check_images(images)
    iterator = lenet.batches(images, 1000, shuffle=False)
    batches = [(y, *lenet.predict(net, X).max(dim=1)) for X, y in iterator]
    truth, certainty, answer = (torch.cat(part) for part in zip(*batches, strict=True))
    matrix = torch.bincount(10 * truth + answer, minlength=100).view(10, 10)
    return Answers(truth, answer, certainty, matrix)


def images_behind(answers, truth, answer):
    """Numbers of the images of class `truth` answered `answer`, the most certain first."""
    numbers = ((answers.truth == truth) & (answers.answer == answer)).nonzero().flatten()
    return numbers[answers.certainty[numbers].argsort(descending=True, stable=True)].tolist()


# ---------------------------------------------------------------------------- drawing

WIDTH = 960
CELL, LEFT, TOP = 38, 104, 96  # of the matrix
THUMB, COLUMNS, ROWS = 72, 6, 3  # of the shelf with the images behind a cell
SHELF = WIDTH - COLUMNS * THUMB
PAGE = COLUMNS * ROWS


def draw_confusion(answers, images, labels, truth, answer, position=0, reading=None):
    """The Picture: the matrix, the images behind a cell of it, and the Prediction of one of them.

    Without a `reading` the cell is empty. The shelf shows the page with the image at `position`.
    """
    picture = Picture(745)
    _draw_matrix(picture, answers.matrix, labels, truth, answer)
    numbers = images_behind(answers, truth, answer)
    what = "right" if truth == answer else "wrong"
    title = f"{labels[truth]}, answered {labels[answer]}: {len(numbers)} ({what})"
    picture.text(SHELF, 10, title, 16, GREEN if truth == answer else MARK, bold=True)
    if reading is None:
        picture.text(SHELF, 60, "No image here: choose another cell.", 16, QUIET)
        return picture
    first = position // PAGE * PAGE
    shelf = images.images[numbers[first : first + PAGE]] / 255
    sheet, scale = grey(tiled(shelf, COLUMNS, fill=1.0)), THUMB / 29
    picture.pixels(SHELF, 28, sheet.shape[1] * scale, sheet.shape[0] * scale, sheet)
    i = position - first
    x, y = SHELF + i % COLUMNS * THUMB, 28 + i // COLUMNS * THUMB
    picture.box(x, y, THUMB - scale, THUMB - scale, line=MARK, thick=4)
    picture.spot(SHELF, 28, COLUMNS * THUMB, ROWS * THUMB, "shelf")
    draw_probabilities(picture, reading, labels, SHELF, 256, 426, truth, row=22)
    X, _ = one_image(images, numbers[position])
    draw_layers(picture, X, reading.activations, 0, 496, WIDTH)
    return picture


def _draw_matrix(picture, matrix, labels, truth, answer):
    picture.text(0, 10, "class (row), answer (column)", 15, QUIET)
    most = max(matrix.clone().fill_diagonal_(0).max().item(), 1)
    for i, label in enumerate(labels):
        middle = (i + 0.5) * CELL
        picture.text(LEFT - 8, TOP + middle, label, 14, INK, "end", i == truth)
        picture.text(LEFT + middle, TOP - 8, label, 14, INK, "start", i == answer, rotation=50)
        for j in range(10):
            count = matrix[i, j].item()
            share = count / max(matrix[i].sum().item(), 1) if i == j else (count / most) ** 0.5
            fill = tint(BLUE if i == j else MARK, share)
            x, y = LEFT + j * CELL, TOP + i * CELL
            picture.box(x, y, CELL, CELL, fill, "#ffffff")
            ink = "#ffffff" if share > 0.6 else INK
            picture.text(x + CELL / 2, y + CELL / 2, str(count), 13, ink, "middle")
    picture.box(LEFT + answer * CELL, TOP + truth * CELL, CELL, CELL, line=INK, thick=4)
    picture.spot(LEFT, TOP, 10 * CELL, 10 * CELL, "matrix")


# ---------------------------------------------------------------------------- the widget


class ConfusionExplorer(Explorer):
    """Choose a cell of the confusion matrix, then an image behind it, and see what `net` saw.

    Usage: `ConfusionExplorer(net, images, labels).show()`; `images` is a lenet.ImageDataset. Click
    in the matrix and on an image, or use the controls; the arrow keys go on from the last click.
    """

    def __init__(self, net, images, labels):
        check_images(images, labels)
        self.net, self.images, self.labels = net, images, list(labels)
        self.answers = answer_all(net, images)
        wrong = self.answers.matrix.clone().fill_diagonal_(0)
        truth, answer = divmod(wrong.argmax().item(), 10)  # the most frequent mistake
        classes = list(zip(self.labels, range(10), strict=True))
        self.truth = dropdown("class", classes, truth)
        self.answer = dropdown("answer", classes, answer)
        self.position = slider("image behind the cell", 0, 0, 0)
        self._clicked = "matrix"
        super().__init__(
            "From a confusion to its cause",
            [row(self.truth, self.answer, self.position)],
            PictureView(self._click, self._arrow, hint="arrow keys: another cell or image"),
        )
        self.watch(self.position)
        for control in (self.truth, self.answer):
            control.observe(lambda change: self._new_cell(), "value")
        self._new_cell()

    @property
    def numbers(self):
        """Numbers of the images behind the chosen cell."""
        return images_behind(self.answers, self.truth.value, self.answer.value)

    @property
    def reading(self):
        """The Prediction of the chosen image, None if the cell is empty."""
        if not self.numbers:
            return None
        return predict_image(self.net, one_image(self.images, self.numbers[self.position.value])[0])

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
            self._choose(self.truth.value + rows, self.answer.value + columns)
        else:
            self.position.value += columns + rows * COLUMNS

    def _choose(self, truth, answer):
        with self.changing():
            self.truth.value, self.answer.value = min(max(truth, 0), 9), min(max(answer, 0), 9)

    def picture(self):
        return draw_confusion(
            self.answers, self.images, self.labels,
            self.truth.value, self.answer.value, self.position.value, self.reading,
        )  # fmt: skip

    def describe(self):
        truth, answer = self.labels[self.truth.value], self.labels[self.answer.value]
        return (
            f"The confusion matrix of {len(self.images)} images, and behind its cell “{truth}, "
            f"answered {answer}” the images, the most certain first; the chosen one with its "
            "activations layer by layer and its ten probabilities."
        )
