"""Explorer of chapter 4: draw a digit or a piece of clothing, and LeNet reads while you draw."""

import lenet_helpers as lenet
from lenet_course.drawing import Picture

import time
from typing import NamedTuple

import ipywidgets as widgets
import numpy as np
import torch
from PIL import Image, ImageDraw

from .card import (
    FRAME,
    INK,
    QUIET,
    Explorer,
    PictureView,
    draw_layers,
    draw_probabilities,
    dropdown,
    grey,
    percent,
    predict_image,
    row,
    slider,
)

# ---------------------------------------------------------------------------- computing

FIELD = 280  # pixels of the field to draw on, ten for each of the image's


def as_mnist(ink):
    """A drawing (H, W), 0 (black) to 255 (white ink), as X (1, 1, 28, 28), made as MNIST was.

    The ink's bounding box is scaled, its proportions kept, to fit 20 x 20 pixels, and its centre of
    mass comes to lie at the centre of 28 x 28 (LeCun, Cortes and Burges, the MNIST database).
    An empty drawing is a black image.
    """
    crop = _bounding_box(_check_ink(ink))
    if crop is None:
        return torch.zeros(1, 1, 28, 28)
    small = _scaled(crop, 20)
    rows, columns = (np.arange(side) for side in small.shape)
    mass = small.sum()
    middle = (small.sum(axis=1) @ rows / mass, small.sum(axis=0) @ columns / mass)
    # The image's centre is pixel 14 of 0..27. A very uneven drawing must not leave the image.
    places = [
        min(max(round(14 - m), 0), 28 - side) for m, side in zip(middle, small.shape, strict=True)
    ]
    return _placed(small, *places)


def as_fashion_mnist(ink):
    """The same for clothing, made as Fashion-MNIST was: the longest edge fills all 28 pixels.

    The piece stands in the middle by its bounding box, not by its centre of mass (Xiao, Rasul and
    Vollgraf, 2017, section 2).
    """
    crop = _bounding_box(_check_ink(ink))
    if crop is None:
        return torch.zeros(1, 1, 28, 28)
    small = _scaled(crop, 28)
    return _placed(small, *((28 - side) // 2 for side in small.shape))


def _check_ink(ink):
    ink = np.asarray(ink)
    if ink.ndim != 2 or ink.dtype != np.uint8 or ink.size == 0:
        raise ValueError(f"a drawing must be uint8 of shape (H, W), it is {ink.dtype} {ink.shape}")
    return ink


def _bounding_box(ink):
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled(crop, longest):
    """`crop` so that its longer side is `longest`; every pixel the mean of what it covers."""
    factor = longest / max(crop.shape)
    height, width = (max(1, round(side * factor)) for side in crop.shape)
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(crop).resize((width, height), how), dtype=np.float32)


def _placed(small, top, left):
    X = torch.zeros(1, 1, 28, 28)
    X[0, 0, top : top + small.shape[0], left : left + small.shape[1]] = torch.tensor(small) / 255
    return X


class Kind(NamedTuple):
    """A kind of drawing: how an image is made of it, in a function and in words."""

    make: object
    words: tuple
    dataset: str
    pen: int  # its usual width, in pixels of the field


KINDS = {
    "digits": Kind(
        as_mnist,
        ("scaled to fit 20 × 20,", "centre of mass in the middle:", "so MNIST was made"),
        "MNIST",
        24,
    ),
    "clothes": Kind(
        as_fashion_mnist,
        (
            "longest edge scaled to 28,",
            "middle of its box in the middle:",
            "so Fashion-MNIST was made",
        ),
        "FashionMNIST",
        60,
    ),
}


def draw_stroke(ink, start, end, width, level):
    """Add a round stroke of grey `level`, 0 to 255, to the PIL image `ink`."""
    pen, radius = ImageDraw.Draw(ink), width / 2
    pen.line([start, end], fill=level, width=width)
    for x, y in (start, end):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=level)


# ---------------------------------------------------------------------------- drawing

WIDTH = 960
TOP = 30  # of the field, in the picture


def draw_reading(ink, X, reading, labels, words, middle):
    """The Picture: the field with its `ink`, what the network gets, and what it makes of it.

    `words` say how X was made; `middle` marks the centre of X.
    """
    picture = Picture(570)
    picture.text(0, 10, "draw here", 16, QUIET)
    picture.pixels(0, TOP, FIELD, FIELD, np.repeat(np.asarray(ink)[:, :, None], 3, axis=2))
    picture.box(0, TOP, FIELD, FIELD, line=FRAME)
    picture.spot(0, TOP, FIELD, FIELD, "field")
    side, left = 196, 322
    picture.text(left, 10, "what the network gets", 16, QUIET)
    picture.pixels(left, TOP, side, side, grey(X[0, 0]))
    if middle:
        x, y = left + side / 2, TOP + side / 2
        picture.line([(x, TOP), (x, TOP + side)], "#5aa9dd", 1)
        picture.line([(left, y), (left + side, y)], "#5aa9dd", 1)
    for i, line in enumerate(words):
        picture.text(left, TOP + side + 20 + 22 * i, line, 14, QUIET)
    best = int(reading.probabilities.argmax())
    sure = percent(reading.probabilities[best])
    answer = f"reads {labels[best]}, {sure}" if X.any() else "nothing drawn yet"
    picture.text(580, 10, answer, 20, INK, bold=True)
    draw_probabilities(picture, reading, labels, 560, TOP + 4, 400, row=27)
    draw_layers(picture, X, reading.activations, 0, 330, WIDTH)
    return picture


# ---------------------------------------------------------------------------- the widget


class DrawingExplorer(Explorer):
    """Draw with the mouse, a finger or the arrow keys; the network reads while you draw.

    Usage: `DrawingExplorer({"digits": (mnist_net, DIGITS), "clothes": (net, FASHION_LABELS)})`,
    then `.show()`. Without a mouse: start from a test image, turn it, erase parts of it.
    """

    def __init__(self, readers):
        for name, (_, labels) in readers.items():
            if name not in KINDS:
                raise ValueError(f"readers must be {' or '.join(KINDS)}, not {name!r}")
            if len(labels) != 10:
                raise ValueError(f"labels must name 10 classes, these are {len(labels)}")
        self.readers = readers
        self.ink = Image.new("L", (FIELD, FIELD))
        self._last, self._drawing = (FIELD / 2, FIELD / 4), False
        self._read_at, self._took = 0.0, 0.0
        self.kind = dropdown("draw", list(readers), next(iter(readers)))
        self.tool = dropdown("with", [("pen", False), ("eraser", True)], False)
        self.width = slider("width", 6, 120, 24)
        self.level = slider("brightness", 25, 255, 255)
        self.clear = widgets.Button(description="clear", button_style="primary")
        self.left = widgets.Button(description="turn left")
        self.right = widgets.Button(description="turn right")
        self.start = dropdown("start from a test image:", [("–", -1)], -1)
        view = PictureView(
            self._click, self._arrow, self._moved, self._ended, hint="arrow keys: draw a line"
        )
        super().__init__(
            "Draw, and the network reads",
            [
                row(self.kind, self.tool, self.width, self.level),
                row(self.clear, self.left, self.right, self.start),
            ],
            view,
        )
        self.watch(self.tool, self.width, self.level)
        self.clear.on_click(lambda button: self.set_ink(Image.new("L", (FIELD, FIELD))))
        self.left.on_click(lambda button: self.set_ink(self.ink.rotate(15)))
        self.right.on_click(lambda button: self.set_ink(self.ink.rotate(-15)))
        self.kind.observe(lambda change: self._new_kind(), "value")
        self.start.observe(lambda change: self._start_from(change.new), "value")
        self._new_kind()

    @property
    def image(self):
        """What the network gets of it: X, (1, 1, 28, 28)."""
        return KINDS[self.kind.value].make(np.asarray(self.ink))

    def stroke(self, start, end):
        """Draw from one place (x, y) of the field to another, 0 to 280, with the chosen tool."""
        level = 0 if self.tool.value else self.level.value
        draw_stroke(self.ink, start, end, self.width.value, level)
        self._last = end
        # The browser shows the stroke at once; reading takes longer, and waits if they come fast.
        if time.monotonic() - self._read_at > 2 * self._took:
            self.refresh()

    def refresh(self):
        level = 0 if self.tool.value else self.level.value
        color, box = f"rgb({level}, {level}, {level})", [0, TOP, FIELD, FIELD]
        self.view.pen = {"width": self.width.value, "color": color, "box": box}
        tic = time.monotonic()
        super().refresh()
        self._read_at = time.monotonic()
        self._took = self._read_at - tic

    def _click(self, key, across, down):
        self._drawing = True
        place = across * FIELD, down * FIELD
        self.stroke(place, place)

    def _moved(self, x, y):
        if self._drawing:
            self.stroke(self._last, (min(max(x, 0), FIELD), min(max(y - TOP, 0), FIELD)))

    def _ended(self, *place):
        if self._drawing:
            self._drawing = False
            self.refresh()

    def _arrow(self, columns, rows):
        x, y = self._last
        end = min(max(x + 12 * columns, 0), FIELD), min(max(y + 12 * rows, 0), FIELD)
        self._drawing = True
        self.stroke((x, y), end)
        self._ended()

    def _new_kind(self):
        """The test images to start from, and the pen, are those of the chosen kind."""
        kind, (_, labels) = KINDS[self.kind.value], self.readers[self.kind.value]
        self._examples = lenet.load_images(kind.dataset, train=False)
        with self.changing():
            self.start.options = [("–", -1), *zip(labels, range(10), strict=True)]
            self.width.value, self.level.value = kind.pen, 255
            self.start.value = 0  # not an empty field: there is something to see at once

    def _start_from(self, label):
        if label in range(10):
            number = (self._examples.labels == label).nonzero()[0].item()
            image = Image.fromarray(self._examples.images[number].numpy())
            self.set_ink(image.resize((FIELD, FIELD), Image.Resampling.BICUBIC))

    def set_ink(self, ink):
        """Put a PIL image (280 x 280, mode "L") in the field's place."""
        self.ink, self._last = ink, (FIELD / 2, FIELD / 4)  # where the arrow keys begin
        if not ink.getbbox():
            self.start.value = -1
        self.refresh()

    def picture(self):
        net, labels = self.readers[self.kind.value]
        X, kind = self.image, KINDS[self.kind.value]
        reading = predict_image(net, X)
        return draw_reading(self.ink, X, reading, labels, kind.words, self.kind.value == "digits")

    def describe(self):
        return (
            f"A field to draw {self.kind.value} on, beside it the 28 x 28 pixels that the network "
            "gets of the drawing, its ten probabilities, and its feature maps layer by layer."
        )
