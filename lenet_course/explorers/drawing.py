"""Explorer of chapter 4: draw or photograph a digit, and LeNet reads while you draw."""

import lenet_helpers as lenet
from lenet_course.drawing import Picture

import textwrap
import time
from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor, nn

from . import card
from .card import INK, MARK, QUIET, WIDTH, Explorer
from .preprocessing import FIELD, as_fashion_mnist, as_mnist, ink_of_photograph

DATASETS = {"digits": "MNIST", "clothes": "FashionMNIST"}
MADE_BY = {"digits": as_mnist, "clothes": as_fashion_mnist}
HOW = {
    "digits": ("fitted into 20 × 20, its centre of mass", "in the middle, as in MNIST"),
    "clothes": ("longest edge scaled to 28, box in the", "middle: so Fashion-MNIST was made"),
}
OTHER = {"digits": "FashionMNIST", "clothes": "MNIST"}  # of which none is one of the ten
NO_OTHER = "the ten bars always add up to 1:", "there is none for “none of these”"
PENS = {"digits": 24, "clothes": 60}  # usual width, in pixels of the field


def draw_stroke(
    ink: Image.Image, start: tuple[float, float], end: tuple[float, float], width: int, level: int
) -> None:
    """Add a round stroke of grey `level`, 0 to 255, to the PIL image `ink`."""
    pen, radius = ImageDraw.Draw(ink), width / 2
    pen.line([start, end], fill=level, width=width)
    for x, y in (start, end):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=level)


def empty_field() -> Image.Image:
    return Image.new("L", (FIELD, FIELD))


def rotated(ink: Image.Image, degrees: float) -> Image.Image:
    """`ink` rotated, anticlockwise, about its own middle; moved or made smaller so as to fit in."""
    box = ink.getbbox()
    if box is None:
        return ink
    rotated = ink.crop(box).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    rotated.thumbnail(ink.size)
    field, places = empty_field(), []
    for low, high, side in zip(box[:2], box[2:], rotated.size, strict=True):
        places.append(min(max((low + high - side) // 2, 0), FIELD - side))
    field.paste(rotated, tuple(places))
    return field


# ---------------------------------------------------------------------------- drawing

TOP, LEFT, SIDE = 24, FIELD + 20, 140  # the field's top; where the input stands, and its size


def draw_input(picture: Picture, ink: Image.Image, X: Tensor, kind: str) -> None:
    """The field with its `ink`, and what the network gets of it."""
    picture.text(0, 10, "draw here", 14, QUIET)
    picture.pixels(0, TOP, FIELD, FIELD, np.repeat(np.asarray(ink)[:, :, None], 3, axis=2))
    picture.box(0, TOP, FIELD, FIELD, line=card.FRAME)
    picture.spot(0, TOP, FIELD, FIELD, "field")
    picture.text(LEFT, 10, "the network gets", 14, QUIET)
    picture.pixels(LEFT, TOP, SIDE, SIDE, card.grey(X[0, 0]))
    if kind == "digits":  # centred by mass: the cross shows where
        x, y = LEFT + SIDE / 2, TOP + SIDE / 2
        picture.line([(x, TOP), (x, TOP + SIDE)], "#5aa9dd", 1)
        picture.line([(LEFT, y), (LEFT + SIDE, y)], "#5aa9dd", 1)
    for i, line in enumerate(HOW[kind]):
        picture.text(LEFT, TOP + SIDE + 14 + 18 * i, line, 13, QUIET)


def draw_steps(picture: Picture, steps: dict[str, np.ndarray]) -> None:
    """The `steps` from a photograph to ink, from left to right."""
    for i, (name, values) in enumerate(steps.items()):
        x, y = LEFT + 124 * i, TOP + SIDE + 54
        picture.text(x, y, f"{i + 1}. {name}", 13, QUIET)
        picture.pixels(x, y + 10, 76, 76, card.grey(values, 0, 255))


# ---------------------------------------------------------------------------- the widget


def _check(readers):
    if not isinstance(readers, Mapping) or not readers:
        raise ValueError('readers must be a dict such as {"digits": (net, labels)}')
    for name, reader in readers.items():
        if name not in DATASETS:
            raise ValueError(f"readers must be {' or '.join(DATASETS)}, not {name!r}")
        if not isinstance(reader, tuple | list) or len(reader) != 2:
            raise ValueError(f"readers must hold a network and its labels: {name!r}: (net, labels)")
        card.check_net(reader[0])
        card.check_labels(reader[1])


class DrawingExplorer(Explorer):
    """Draw with the mouse, a finger or the arrow keys; the network reads while you draw.

    Usage: `DrawingExplorer({"digits": (mnist_net, DIGITS), "clothes": (net, FASHION_LABELS)})`,
    then `.show()`. Without a mouse: start from a test image or a photograph, rotate it, erase.
    """

    def __init__(self, readers: dict[str, tuple[nn.Module, Sequence[str]]]) -> None:
        _check(readers)
        self.readers, self.ink, self.steps, self.problem = readers, empty_field(), {}, ""
        self._given = False  # a test image or a photograph is in the field, as it came
        self._last, self._drawing = (FIELD / 2, FIELD / 4), False
        self._read_at, self._took = 0.0, 0.0
        self.kind = card.dropdown("draw", list(readers), next(iter(readers)))
        self.tool = card.dropdown("with", [("pen", False), ("eraser", True)], False)
        self.width = card.slider("width", 6, 120, 24)
        self.level = card.slider("brightness", 25, 255, 255)
        self.clear = card.button("clear", lambda: self.set_ink(empty_field()), "primary")
        self.left = card.button("rotate left", lambda: self._rotate(15))
        self.right = card.button("rotate right", lambda: self._rotate(-15))
        self.start = card.dropdown("test image", [("none", -1)], -1)
        words = "upload a photograph"
        self.upload = widgets.FileUpload(accept="image/*", description=words, tooltip=words)
        super().__init__(
            "Draw, and the network reads",
            [
                self.kind, self.tool, self.width, self.level,
                card.row(self.clear, self.left, self.right), self.start, self.upload,
            ],
            card.PictureView(
                self._click, self._arrow, self._moved, self._ended, hint="arrow keys: draw a line"
            ),
        )  # fmt: skip
        self.watch(self.tool, self.width, self.level)
        self.kind.observe(self.saying(lambda change: self._new_kind()), "value")
        self.start.observe(self.saying(lambda change: self._start_from()), "value")
        self.upload.observe(self.saying(lambda change: self._uploaded()), "value")
        self._new_kind()

    @property
    def image(self) -> Tensor:
        """What the network gets of it: X, (1, 1, 28, 28)."""
        return MADE_BY[self.kind.value](np.asarray(self.ink))

    def set_ink(
        self, ink: Image.Image, given: bool = False, steps: dict[str, np.ndarray] | None = None,
        problem: str = "",
    ) -> None:  # fmt: skip
        """Put a PIL image (280 x 280, mode "L") in the field's place.

        `given`: it is not the reader's drawing, and a first stroke clears it; `steps`: how it was
        made from a photograph; `problem`: why it could not be.
        """
        self.ink, self._given, self.steps, self.problem = ink, given, steps or {}, problem
        self._last = FIELD / 2, FIELD / 4  # where the arrow keys begin
        with self.changing():
            if not given or steps:
                self.start.value = -1

    def stroke(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw from one place (x, y) of the field to another, 0 to 280, with the chosen tool."""
        if self._given and not self.tool.value:
            self.set_ink(empty_field())
        self._given = False
        level = 0 if self.tool.value else self.level.value
        draw_stroke(self.ink, start, end, self.width.value, level)
        self._last = end
        # The browser shows the stroke at once; reading takes longer, and waits if they come fast.
        if time.monotonic() - self._read_at > 2 * self._took:
            self.refresh()

    def refresh(self) -> None:
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

    def _ended(self):
        if self._drawing:
            self._drawing = False
            self.refresh()

    def _arrow(self, columns, rows):
        x, y = self._last
        end = min(max(x + 12 * columns, 0), FIELD), min(max(y + 12 * rows, 0), FIELD)
        self._drawing = True
        self.stroke((x, y), end)
        self._ended()

    def _rotate(self, degrees):
        self.ink = rotated(self.ink, degrees)
        self.refresh()

    def _new_kind(self):
        """The test images to start from, and the pen, are those of the chosen kind."""
        kind, (_, labels) = self.kind.value, self.readers[self.kind.value]
        self._examples = lenet.load_images(DATASETS[kind], train=False)
        with self.changing():
            classes = zip(labels, range(10), strict=True)
            self.start.options = [("none", -1), *classes, ("none of these", 10)]
            self.width.value, self.level.value = PENS[kind], 255
            self.start.value = 0  # not an empty field: there is something to see at once

    def _start_from(self):
        if self.start.value == -1:
            return
        images, number = self._examples, 0
        if self.start.value == 10:
            images = lenet.load_images(OTHER[self.kind.value], train=False)
        else:
            number = (images.labels == self.start.value).nonzero()[0].item()
        image = Image.fromarray(images.images[number].numpy())
        self.set_ink(image.resize((FIELD, FIELD), Image.Resampling.BICUBIC), given=True)

    def _uploaded(self):
        if not self.upload.value:
            return
        content = bytes(self.upload.value[0]["content"])
        self.upload.value = ()  # so that the same file can be chosen again
        try:
            steps = ink_of_photograph(content)
        except ValueError as error:
            self.set_ink(empty_field(), problem=str(error))
        else:
            self.set_ink(Image.fromarray(list(steps.values())[-1]), given=True, steps=steps)

    def look(self) -> tuple[Tensor, card.Prediction | None, str]:
        """What the network gets, its prediction (None of an empty field), and that in words."""
        X, (net, labels) = self.image, self.readers[self.kind.value]
        if not X.any():
            return X, None, "nothing drawn yet"
        prediction = card.predict_image(net, X)
        words = prediction.words(labels)
        return X, prediction, words if prediction.predicted is None else f"reads {words}"

    def picture(self) -> Picture:
        picture, (X, prediction, words) = Picture(512, WIDTH), self.seen
        draw_input(picture, self.ink, X, self.kind.value)
        x, labels = LEFT + SIDE + 16, self.readers[self.kind.value][1]
        picture.text(x, 10, words, 16, INK, bold=True)
        draw_steps(picture, self.steps)
        for i, line in enumerate(textwrap.wrap(self.problem, 48)):
            picture.text(LEFT, TOP + SIDE + 60 + 20 * i, line, 14, MARK)
        if prediction:
            for i, line in enumerate(() if self.steps else NO_OTHER):
                picture.text(LEFT, TOP + SIDE + 64 + 18 * i, line, 13, QUIET)
            width = WIDTH - x
            wrong = 10 if self.start.value == 10 else None  # whatever it predicts
            card.draw_probabilities(picture, prediction, labels, x, TOP, width, wrong, row=14)
            card.draw_layers(picture, X, prediction.activations, 0, TOP + FIELD + 18)
        return picture

    def describe(self) -> str:
        words = self.problem or self.seen[2]
        return (
            f"{words}: a field to draw {self.kind.value} on, the 28 x 28 pixels that the network "
            "gets of it, its ten probabilities, and its activations layer by layer."
        )
