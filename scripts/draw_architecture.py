"""The architecture picture: LeNet's volumes to scale, with the shapes that the tracer returns.

Cabinet projection: height and width as they are, the channels into the depth at half length. One
pixel, one channel and one value of a dense layer have the same size, so that the picture shows
what the network does: channels go up, height and width go down, and a vector remains.
"""

import lenet_helpers as lenet
from lenet_course.drawing import MARGIN, Picture

import math
from dataclasses import dataclass
from itertools import pairwise

import torch

THEMES = {
    "light": {
        "background": "#ffffff", "text": "#1f2328", "faint": "#59636e", "guide": "#e36209",
        "input": "#8c959f", "conv": "#3b7dd8", "pool": "#2a9d8f", "dense": "#8a63c9",
    },
    "dark": {
        "background": "#0d1117", "text": "#f0f6fc", "faint": "#9198a1", "guide": "#ffa657",
        "input": "#8b949e", "conv": "#4c8eea", "pool": "#35b3a3", "dense": "#a07be0",
    },
}  # fmt: skip
WINDOW = "#ffb454"  # its frame, on any volume

SCALE = 4.78  # CSS pixels to the pixel, the channel and the value of a dense layer
DEPTH_X, DEPTH_Y = 0.5 * math.cos(math.radians(52)), 0.5 * math.sin(math.radians(52))


@dataclass
class Volume:
    """One volume of values in the picture, and the operation that made it."""

    name: str
    kind: str  # input, conv, pool or dense
    layer: int  # of LeNet: its output
    middle: float  # from the left of the picture, in CSS pixels
    made_by: str = ""
    window: int = 0  # side of the square of input values that one value sees
    stride: int = 1
    padding: int = 0
    shape: tuple[int, ...] = ()  # channels, height, width
    parameters: int = 0
    y: float = 0  # the middle of the whole volume

    @property
    def label(self) -> str:
        channels, height, width = self.shape
        return f"{channels}" if height == width == 1 else f"{channels} @ {height}×{width}"

    def point(self, column: float, row: float, channel: float = 0.0) -> tuple[float, float]:
        """Where a corner of the pixel grid is drawn; row 0 is at the top."""
        channels, height, width = self.shape
        right = column - width / 2 + (channel - channels / 2) * DEPTH_X
        down = row - height / 2 - (channel - channels / 2) * DEPTH_Y
        return self.middle + SCALE * right, self.y + SCALE * down

    def square(self, top: float, left: float, side: float) -> list[tuple[float, float]]:
        """The corners of a square on the front."""
        corners = [(0, 0), (side, 0), (side, side), (0, side)]
        return [self.point(left + column, top + row) for column, row in corners]


def volumes(y: float = 0) -> list[Volume]:
    """LeNet's volumes, from left to right; their middle is at height `y`."""
    found = [
        Volume("input", "input", 0, 102),
        Volume("C1", "conv", 2, 294, "conv 1\n5×5, padding 2\nsigmoid", window=5, padding=2),
        Volume("S2", "pool", 3, 466, "pool 1\n2×2\naverage", window=2, stride=2),
        Volume("C3", "conv", 5, 629, "conv 2\n5×5\nsigmoid", window=5),
        Volume("S4", "pool", 6, 792, "pool 2\n2×2\naverage", window=2, stride=2),
        Volume("C5", "dense", 9, 969, "dense 1\n400 to 120\nsigmoid"),
        Volume("F6", "dense", 11, 1146, "dense 2\n120 to 84\nsigmoid"),
        Volume("output", "dense", 12, 1309, "dense 3\n84 to 10\nlogits"),
    ]
    trace = lenet.trace_shapes(lenet.make_lenet(), torch.zeros(1, 1, 28, 28))
    first_layer = 0
    for volume in found:
        made = trace[first_layer : volume.layer + 1]
        volume.shape = (*made[-1].output_shape, 1, 1)[:3]
        volume.parameters = sum(layer.parameters for layer in made)
        volume.y, first_layer = y, volume.layer + 1
    return found


def draw_architecture(theme: str, image: torch.Tensor) -> Picture:
    """The picture in 1400 x 500 CSS pixels; `theme` is "light" or "dark".

    `image` (28, 28), uint8, is seen on the front of the input.
    """
    colors, found = THEMES[theme], volumes(y=211)
    picture = _draw_all(found, colors, image, height=500)
    for volume in found:
        _write_label(picture, volume, colors)
    for before, volume in pairwise(found):
        _write_lines(picture, (before.middle + volume.middle) / 2, 16, volume.made_by, colors)
    total = sum(volume.parameters for volume in found)
    note = (
        f"{total} parameters in all. One pixel, one channel and one value of a dense layer are "
        "drawn alike, depth at half its length."
    )
    picture.text(34, 454, note, size=16.5, color=colors["faint"])
    return picture


def draw_thumbnail(image: torch.Tensor) -> Picture:
    """The title card that links to the lesson's video: 16 to 9."""
    colors = THEMES["dark"]
    picture = _draw_all(volumes(y=540), colors, image, height=788)
    picture.text(66, 115, "LeNet", size=94, color=colors["text"], bold=True)
    lesson = "Lesson 21: the classic convolutional network"
    picture.text(66, 200, lesson, size=35, color=colors["faint"])
    picture.polygon(_corners(72, 1188, 187, 95), fill=WINDOW)
    picture.polygon(_corners(3, 1188, 187, 46), fill=colors["background"])
    return picture


def _corners(count, x, y, radius):
    """Of a regular polygon; the first one is at its right."""
    angles = [2 * math.pi * i / count for i in range(count)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _draw_all(found, colors, image, height):
    width = 1400
    picture = Picture(height - 2 * MARGIN, width - 2 * MARGIN)
    picture.box(-MARGIN, -MARGIN, width, height, fill=colors["background"])
    for volume in found:
        _draw_volume(picture, volume, colors[volume.kind], image)
    for before, volume in pairwise(found):
        if volume.window:
            _draw_window(picture, before, volume, colors["guide"])
        else:
            _draw_dense(picture, before, volume, colors["guide"])
    return picture


def _draw_volume(picture, volume, color, image):
    channels, height, width = volume.shape
    faces = [  # light falls from the upper left
        ([(0, 0, 0), (width, 0, 0), (width, 0, channels), (0, 0, channels)], "#ffffff40"),
        ([(width, 0), (width, height), (width, height, channels), (width, 0, channels)],
         "#0000004d"),
        ([(0, 0), (width, 0), (width, height), (0, height)], "none"),
    ]  # fmt: skip
    for corners, light in faces:
        face = [volume.point(*corner) for corner in corners]
        picture.polygon(face, fill=color)
        picture.polygon(face, fill=light, line="#00000099", thick=0.7)
    if volume.kind == "input":
        picture.polygon(volume.square(0, 0, width), fill="#000000")
        for row, column in image.nonzero().tolist():
            grey = "#" + 3 * f"{image[row, column]:02x}"
            picture.polygon(volume.square(row, column, 1), fill=grey)
    for row in range(1, height):
        picture.line([volume.point(0, row), volume.point(width, row)], "#ffffff47", 0.7)
    for column in range(1, width):
        picture.line([volume.point(column, 0), volume.point(column, height)], "#ffffff47", 0.7)
    for channel in range(1, channels):
        sheet = [(0, 0, channel), (width, 0, channel), (width, height, channel)]
        color = "#00000040" if volume.kind == "dense" else "#00000080"
        picture.line([volume.point(*corner) for corner in sheet], color, 0.8)


def _draw_window(picture, before, volume, color):
    """What one value of a convolution or a pooling is computed from."""
    # Now low, now high, so that a volume's own value and the next one's window lie apart.
    row = int(volume.shape[1] * (0.75 if volume.kind == "conv" else 0.25))
    column = (volume.shape[2] - 1) // 2
    top, left = (i * volume.stride - volume.padding for i in (row, column))
    window, value = before.square(top, left, volume.window), volume.square(row, column, 1)
    for corner in (1, 2):
        picture.line([window[corner], value[corner]], color, 1.4)
    for square in (window, value):
        picture.polygon(square, line=WINDOW, thick=2.2)


def _draw_dense(picture, before, volume, color):
    """Everything that is before goes to every value: lines between both ends of the two."""
    channels, height, width = before.shape
    lowest = (0, 1) if before.kind == "dense" else (width, height)
    for start in [before.point(width, 0, channels), before.point(*lowest)]:
        for end in [volume.point(0, 0, volume.shape[0]), volume.point(0, 1)]:
            picture.line([start, end], color, 1)


def _write_label(picture, volume, colors):
    center = {"anchor": "middle"}
    picture.text(
        volume.middle, 356, volume.name, size=26, color=colors["text"], bold=True, **center
    )
    picture.text(volume.middle, 386, volume.label, size=22, color=colors["text"], **center)
    if volume.parameters:
        parameters = f"{volume.parameters} parameters"
        picture.text(volume.middle, 412, parameters, size=16, color=colors["faint"], **center)


def _write_lines(picture, x, top, text, colors):
    """Lines of text below each other, the first one, which is a name, at `top`."""
    for number, line in enumerate(text.splitlines()):
        y, color = top + 24 * number, colors["faint" if number else "text"]
        picture.text(x, y, line, size=18, color=color, anchor="middle", bold=number == 0)
