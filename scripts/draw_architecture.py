"""The architecture picture: LeNet's volumes to scale, drawn from what the shape tracer returns.

Cabinet projection: height and width as they are, the channels into the depth at half length. One
pixel, one channel and one value of a dense layer have the same size, so that the picture shows
what the network does: channels go up, height and width go down, and a vector remains.
"""

import lenet_helpers as lenet

import math
from dataclasses import dataclass
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, Polygon
from torch import nn

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

DEPTH = 0.5  # of a cabinet projection
ANGLE = math.radians(52)  # of the depth axis
DEPTH_X, DEPTH_Y = DEPTH * math.cos(ANGLE), DEPTH * math.sin(ANGLE)
STEPS = [40, 36, 34, 34, 37, 37, 34]  # from a volume's middle to the next one's, in pixels
TEXT_ABOVE, TEXT_BELOW = 28, -32  # where the labels stand
WIDTH, HEIGHT = 14.0, 5.0  # of the figure, in inches


@dataclass
class Volume:
    """One volume of values in the picture, and the operation that made it."""

    name: str
    kind: str  # input, conv, pool or dense
    shape: tuple[int, int, int]  # channels, height, width
    made_by: str = ""
    parameters: int = 0
    window: int = 0  # side of the square of input values that one output value sees
    offset: int = 0  # first row that the window of output row 0 covers; -2 with padding 2
    stride: int = 1
    x: float = 0.0  # left side of the front face

    @property
    def label(self):
        channels, height, width = self.shape
        return f"{channels}" if height == width == 1 else f"{channels} @ {height}×{width}"

    @property
    def width(self):
        return self.shape[2] + self.shape[0] * DEPTH_X

    @property
    def middle(self):
        return self.x + self.width / 2

    @property
    def bottom(self):
        """Lower side of the front face; the middle of the whole volume is at 0."""
        return -(self.shape[1] + self.shape[0] * DEPTH_Y) / 2

    def point(self, column, row, channel=0.0):
        """Where a corner of the pixel grid is drawn; row 0 is at the top."""
        x = self.x + column + channel * DEPTH_X
        return x, self.bottom + self.shape[1] - row + channel * DEPTH_Y


def volumes():
    """LeNet's volumes, from the trace of one image; an activation belongs to the layer before."""
    net = lenet.make_lenet()
    trace = lenet.trace_shapes(net, torch.zeros(1, 1, 28, 28))
    found = []
    for layer, traced in zip(net, trace, strict=True):
        shape = (*traced.output_shape, 1, 1)[:3]
        number = len(found)
        if isinstance(layer, lenet.Reshape):
            found.append(Volume("input", "input", shape))
        elif isinstance(layer, nn.Conv2d):
            side, padding = layer.kernel_size[0], layer.padding[0]
            made_by = f"{side}×{side} convolution" + (f"\npadding {padding}" if padding else "")
            found.append(
                Volume(f"C{number}", "conv", shape, made_by, traced.parameters, side, -padding)
            )
        elif isinstance(layer, nn.AvgPool2d):
            side = layer.kernel_size
            made_by = f"{side}×{side} average\npooling"
            found.append(
                Volume(f"S{number}", "pool", shape, made_by, window=side, stride=layer.stride)
            )
        elif isinstance(layer, nn.Linear):
            # The paper calls its first dense layer C5: a convolution that fits in one place only.
            name = f"F{number}" if found[-1].kind == "dense" else f"C{number}"
            found.append(Volume(name, "dense", shape, "dense", traced.parameters))
        elif isinstance(layer, nn.Sigmoid):
            last = found[-1]
            last.made_by += ", sigmoid" if "\n" in last.made_by else "\nsigmoid"
    found[-1].name = "output"
    middle = 0
    for volume, step in zip(found, [0, *STEPS], strict=True):
        middle += step
        volume.x = middle - volume.width / 2
    return found


def draw_architecture(theme, image):
    """The picture as a figure of 1400 x 500 pixels; `theme` is "light" or "dark".

    `image` (28, 28) is seen on the front of the input.
    """
    colors, found = THEMES[theme], volumes()
    fig, ax = _empty_figure(WIDTH, HEIGHT, colors)
    _draw_all(ax, found, colors, image)
    _write_labels(ax, found, colors)
    _frame(ax, left=found[0].x - 8, right=found[-1].middle + 18, top=0.43)
    return fig


def draw_thumbnail(image):
    """The title card that links to the lesson's video: 1280 x 720 pixels."""
    colors, found = THEMES["dark"], volumes()
    fig, ax = _empty_figure(12.8, 7.2, colors)
    _draw_all(ax, found, colors, image)
    _frame(ax, left=found[0].x - 14, right=found[-1].middle + 16, top=0.69)
    fig.text(0.05, 0.81, "LeNet", fontsize=62, fontweight="bold", color=colors["text"])
    fig.text(0.05, 0.725, "Lesson 21: the classic convolutional network", fontsize=23,
             color=colors["faint"])  # fmt: skip
    center, radius = ax.transData.inverted().transform((1090, 545)), 20
    ax.add_patch(Circle(center, radius, color=WINDOW, alpha=0.94, zorder=8))
    triangle = [(math.cos(a), math.sin(a)) for a in (0, 2 * math.pi / 3, -2 * math.pi / 3)]
    corners = [(center[0] + 0.52 * radius * x, center[1] + 0.52 * radius * y) for x, y in triangle]
    ax.add_patch(
        Polygon(corners, color=colors["background"], linewidth=6, joinstyle="round", zorder=9)
    )
    return fig


def _empty_figure(width, height, colors):
    # The course's figure style leaves room for labels of axes; here there are none.
    fig = plt.figure(
        figsize=(width, height), dpi=100, facecolor=colors["background"], layout="none"
    )
    ax = fig.add_axes([0, 0, 1, 1])
    ax.axis("off")
    return fig, ax


def _frame(ax, left, right, top):
    """Show what lies between `left` and `right`, in one scale; `top` of the height is above 0."""
    width, height = ax.figure.get_size_inches()
    ax.set_aspect("auto")  # imshow has asked for another
    ax.set_xlim(left, right)
    ax.set_ylim((top - 1) * (right - left) * height / width, top * (right - left) * height / width)


def _draw_all(ax, found, colors, image):
    for volume in found:
        _draw_volume(ax, volume, colors)
    front = found[0]
    extent = (front.x, front.x + front.shape[2], front.bottom, front.bottom + front.shape[1])
    ax.imshow(np.asarray(image), extent=extent, cmap="gray", interpolation="nearest", zorder=2.5)
    for before, volume in pairwise(found):
        _draw_connection(ax, before, volume, colors)


def _draw_volume(ax, volume, colors):
    channels, height, width = volume.shape
    point, color = volume.point, colors[volume.kind]
    faces = [
        # light falls from the upper left
        ([(0, 0, 0), (width, 0, 0), (width, 0, channels), (0, 0, channels)], 0.25),
        (
            [(width, 0, 0), (width, height, 0), (width, height, channels), (width, 0, channels)],
            -0.3,
        ),
        ([(0, 0, 0), (width, 0, 0), (width, height, 0), (0, height, 0)], 0.0),
    ]
    edge, thin = _shade(color, -0.55), volume.kind == "dense"
    for corners, light in faces:
        face = Polygon([point(*corner) for corner in corners], facecolor=_shade(color, light))
        face.set(edgecolor=edge, linewidth=0.6 if thin else 0.9, joinstyle="round", zorder=2)
        ax.add_patch(face)
    pixels = [[point(0, r), point(width, r)] for r in range(1, height)]
    pixels += [[point(c, 0), point(c, height)] for c in range(1, width)]
    sheets = [
        [point(0, 0, c), point(width, 0, c), point(width, height, c)] for c in range(1, channels)
    ]
    ax.add_collection(LineCollection(pixels, colors=[(1, 1, 1, 0.28)], linewidths=0.5, zorder=3))
    ax.add_collection(
        LineCollection(
            sheets, colors=[(*edge, 0.8 if height > 1 else 0.45)], linewidths=0.6, zorder=3
        )
    )


def _draw_connection(ax, before, volume, colors):
    """What one value of `volume` is computed from: a window, or everything."""
    if volume.window:
        # Now low, now high, so that a volume's own value and the next one's window lie apart.
        row = int(volume.shape[1] * (0.75 if volume.kind == "conv" else 0.25))
        column = (volume.shape[2] - 1) // 2
        top, left = (i * volume.stride + volume.offset for i in (row, column))
        window = _square(before, top, left, volume.window)
        value = _square(volume, row, column, 1)
        for square in (window, value):
            ax.add_patch(Polygon(square, fill=False, edgecolor=WINDOW, linewidth=1.6, zorder=6))
        lines = [[window[i], value[i]] for i in (1, 2)]
        ax.add_collection(LineCollection(lines, colors=colors["guide"], linewidths=1.0, zorder=5))
        return
    # Dense: from both ends of what is before to both ends of the vector.
    if before.kind == "dense":
        starts = [before.point(1, 0, before.shape[0]), before.point(1, 1, 0)]
    else:
        starts = [before.point(before.shape[2], 0, before.shape[0]),
                  before.point(before.shape[2], before.shape[1], 0)]  # fmt: skip
    ends = [volume.point(0, 0, volume.shape[0]), volume.point(0, 1, 0)]
    lines = [[a, b] for a in starts for b in ends]
    ax.add_collection(
        LineCollection(lines, colors=colors["guide"], linewidths=0.8, alpha=0.75, zorder=1)
    )


def _square(volume, top, left, side):
    corners = [(0, 0), (side, 0), (side, side), (0, side)]
    return [volume.point(left + c, top + r) for c, r in corners]


def _write_labels(ax, found, colors):
    def write(x, y, text, **style):
        ax.text(
            x, y, text, **{"ha": "center", "color": colors["text"], "linespacing": 1.35, **style}
        )

    for volume in found:
        write(volume.middle, TEXT_BELOW, volume.name, fontsize=19, fontweight="bold")
        write(volume.middle, TEXT_BELOW - 6, volume.label, fontsize=16)
        if volume.parameters:
            parameters = f"{volume.parameters} parameters"
            write(volume.middle, TEXT_BELOW - 11.2, parameters, fontsize=12, color=colors["faint"])
    total = sum(volume.parameters for volume in found)
    write(
        found[0].x, TEXT_BELOW - 20, f"{total} parameters in all. One pixel, one channel and one "
        "value of a dense layer are drawn alike, depth at half its length.",
        fontsize=12, color=colors["faint"], ha="left",
    )  # fmt: skip
    for before, volume in pairwise(found):
        x = (before.middle + volume.middle) / 2
        write(x, TEXT_ABOVE, volume.made_by, fontsize=13, va="bottom")


def _shade(color, light):
    """`color` mixed with white (light > 0) or black (light < 0), as RGB in 0..1."""
    rgb, target = to_rgb(color), float(light > 0)
    return tuple(c + (target - c) * abs(light) for c in rgb)
