"""Explorer of chapter 1: one value of a convolution, worked out before your eyes."""

from lenet_course.drawing import Picture

from typing import NamedTuple

import ipywidgets as widgets
import torch
from torch import nn

from .card import (
    FRAME,
    INK,
    MARK,
    QUIET,
    WIDTH,
    Explorer,
    PictureView,
    check_images,
    dropdown,
    grey,
    image_number,
    layer_outputs,
    number,
    one_image,
    row,
    signed,
    slider,
)

# ---------------------------------------------------------------------------- computing


class ConvolutionStep(NamedTuple):
    """How one output value of a convolution comes about; C input channels, kernel k x k."""

    patch: torch.Tensor  # (C, k, k), the window of the input, padding included
    kernel: torch.Tensor  # (C, k, k)
    products: torch.Tensor  # (C, k, k), patch times kernel, value by value
    sum: float  # of all the products
    bias: float
    value: float  # sum + bias: the output value
    inputs: torch.Tensor  # (C, H, W), all of the input, padding included
    top: int  # where the patch lies in it
    left: int
    padding: tuple[int, int]  # rows above and below, columns left and right
    feature_map: torch.Tensor  # (H', W'), what the network itself gives for this channel


def convolutions(net):
    """The places of the convolutions in a Sequential `net`."""
    return [i for i, layer in enumerate(net) if isinstance(layer, nn.Conv2d)]


def convolution_step(net, X, layer, channel, row, column):
    """Output value (`row`, `column`) of `channel` of the `layer`-th convolution (1 is the first).

    `X` is one image, (1, 1, 28, 28). Raises ValueError for what does not exist, with what does.
    """
    outputs, _ = layer_outputs(net, X)
    if len(X) != 1:
        raise ValueError(f"X must hold one image, it holds {len(X)}")
    places = convolutions(net)
    _check("layer", layer, 1, len(places))
    place = places[layer - 1]
    conv, output = net[place], outputs[place][0]
    if conv.groups != 1 or conv.dilation != (1, 1) or conv.padding_mode != "zeros":
        raise ValueError(f"the explorer expects a plain convolution, this one is {conv}")
    _check("channel", channel, 0, len(output) - 1)
    _check("row", row, 0, output.shape[1] - 1)
    _check("column", column, 0, output.shape[2] - 1)
    (down, across), (step_down, step_across) = conv.padding, conv.stride
    before = outputs[place - 1] if place else X
    inputs = nn.functional.pad(before[0], (across, across, down, down))
    kernel = conv.weight[channel].detach().cpu()
    top, left = row * step_down, column * step_across
    patch = inputs[:, top : top + kernel.shape[1], left : left + kernel.shape[2]]
    products = patch * kernel
    total = products.sum().item()
    bias = 0.0 if conv.bias is None else conv.bias[channel].item()
    return ConvolutionStep(
        patch, kernel, products, total, bias, total + bias,
        inputs, top, left, (down, across), output[channel],
    )  # fmt: skip


def _check(name, value, low, high):
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, it is {value}")


# ---------------------------------------------------------------------------- drawing

SIDE = 252  # of the input and of the feature map, in pixels of the picture
GRID = 225  # of the patch, the kernel and the products


def draw_step(step, layer, channel, row, column, input_channel=0):
    """The Picture of a ConvolutionStep; of several input channels it shows one."""
    picture = Picture(600)
    brightest = max(step.inputs[input_channel].max().item(), 1e-9)
    _draw_input(picture, step, layer, input_channel, brightest)
    _draw_sum(picture, step, row, column, input_channel)
    _draw_feature_map(picture, step, channel, row, column)
    apart = (WIDTH - 3 * GRID) / 2
    for i, name in enumerate(("patch", "kernel", "products")):
        grid, x = getattr(step, name)[input_channel], i * (GRID + apart)
        limit = grid.abs().max().item()
        colours = grey(grid, 0, brightest) if name == "patch" else signed(grid, limit)
        picture.text(x + GRID / 2, 324, name, 16, QUIET, "middle")
        _draw_grid(picture, grid, colours, x, 340)
        if i < 2:
            picture.text(x + GRID + apart / 2, 340 + GRID / 2, "×="[i], 44, INK, "middle")
    legend = "orange: above 0  ·  blue: below 0  ·  pale in the feature map: still to come"
    picture.text(0, 590, legend, 14, QUIET)
    return picture


def _draw_input(picture, step, layer, input_channel, brightest):
    values, (down, across) = step.inputs[input_channel], step.padding
    height, width = values.shape
    cell, y = SIDE / max(height, width), 34
    name = "image" if layer == 1 else f"input channel {input_channel}"
    size = f"{height - 2 * down} × {width - 2 * across}"
    padded = f", padding {down}" if down or across else ""
    picture.text(0, 14, f"{name}: {size}{padded}", 16, QUIET)
    picture.pixels(0, y, cell * width, cell * height, grey(values, 0, brightest))
    picture.box(
        across * cell, y + down * cell, (width - 2 * across) * cell, (height - 2 * down) * cell,
        line="#5aa9dd",
    )  # fmt: skip
    k_down, k_across = step.kernel.shape[1:]
    picture.box(
        step.left * cell, y + step.top * cell, k_across * cell, k_down * cell, line=MARK, thick=4
    )


def _draw_sum(picture, step, row, column, input_channel):
    products, middle = step.products[input_channel], WIDTH / 2
    shown, others = products.sum().item(), len(step.products) - 1
    lines = [(f"these {products.numel()} products", shown)]
    if others:
        lines.append((f"the other {others} input channels", step.sum - shown))
    lines.append(("bias", step.bias))
    picture.text(middle, 60, "the sum", 16, QUIET, "middle")
    for i, (words, value) in enumerate(lines):
        picture.text(middle + 72, 104 + 36 * i, words, 17, INK, "end")
        picture.text(middle + 168, 104 + 36 * i, number(value, 3), 19, INK, "end")
    y = 104 + 36 * len(lines)
    picture.line([(middle - 168, y - 14), (middle + 168, y - 14)], INK, 1.5)
    picture.text(middle + 72, y + 10, f"value at {row}, {column}", 17, MARK, "end", True)
    picture.text(middle + 168, y + 10, number(step.value, 3), 21, MARK, "end", True)


def _draw_feature_map(picture, step, channel, row, column):
    rows, columns = step.feature_map.shape
    cell, x, y = SIDE / max(rows, columns), WIDTH - SIDE, 34
    colours = signed(step.feature_map, step.feature_map.abs().max().item())
    to_come = (torch.arange(rows * columns) > row * columns + column).view(rows, columns).numpy()
    colours[to_come] = 255 - (255 - colours[to_come]) // 4
    picture.text(x, 14, f"output channel {channel}: {rows} × {columns}", 16, QUIET)
    picture.pixels(x, y, cell * columns, cell * rows, colours)
    picture.box(x, y, cell * columns, cell * rows, line=FRAME)
    picture.box(x + column * cell, y + row * cell, cell, cell, line=INK, thick=3)
    picture.spot(x, y, cell * columns, cell * rows, "feature map")


def _draw_grid(picture, values, colours, x, y):
    """The values of a window: coloured cells with their numbers, as long as these fit."""
    rows, columns = values.shape
    cell = GRID / max(rows, columns)
    picture.pixels(x, y, cell * columns, cell * rows, colours)
    for i in range(rows):
        for j in range(columns):
            left, top = x + j * cell, y + i * cell
            picture.box(left, top, cell, cell, line=FRAME, thick=0.5)
            if cell >= 30:
                ink = INK if colours[i, j].mean() > 130 else "#ffffff"
                words = number(values[i, j].item())
                picture.text(left + cell / 2, top + cell / 2, words, 13.5, ink, "middle")


# ---------------------------------------------------------------------------- the widget


class ConvolutionExplorer(Explorer):
    """Step through a convolution of your `net`: patch times kernel, summed, plus bias.

    Usage: `ConvolutionExplorer(net, images).show()`; `images` is a lenet.ImageDataset. Move the
    sliders, press play, or click in the feature map (then the arrow keys step through it).
    """

    def __init__(self, net, images):
        check_images(images)
        self.net, self.images = net, images
        convolution_step(net, one_image(images, 0)[0], 1, 0, 0, 0)  # refuses what does not fit
        names = [(f"conv {i + 1}", i + 1) for i in range(len(convolutions(net)))]
        self.image, self.layer = image_number(images), dropdown("layer", names, 1, "150px")
        self.channel = slider("output channel", 0, 0, 0, width="400px")
        self.input_channel = slider("input channel shown", 0, 0, 0, width="400px")
        self.row, self.column = slider("row", 0, 0, 0), slider("column", 0, 0, 0)
        self.play = widgets.Play(interval=250)
        self.next = widgets.Button(description="next step")
        super().__init__(
            "One value of a convolution",
            [
                row(self.image, self.layer),
                row(self.channel, self.input_channel),
                row(self.row, self.column, self.next, self.play),
            ],
            PictureView(self._click, self._arrow, tab_to=self.next),
        )
        self.watch(self.image, self.channel, self.input_channel, self.row, self.column)
        self.layer.observe(lambda change: self._fit_ranges(), "value")
        self.play.observe(lambda change: self._go(change.new), "value")
        self.next.on_click(lambda button: self._go(self._position + 1))
        self._fit_ranges()

    @property
    def step(self):
        """The ConvolutionStep that the controls choose, of the network as it is now."""
        X, _ = one_image(self.images, self.image.value)
        return convolution_step(
            self.net, X, self.layer.value, self.channel.value, self.row.value, self.column.value
        )

    @property
    def _position(self):
        """Number of the output value, row after row."""
        return self.row.value * (self.column.max + 1) + self.column.value

    def _go(self, position):
        if position == self._position:
            return
        rows, columns = self.row.max + 1, self.column.max + 1
        with self.changing():
            self.row.value, self.column.value = divmod(position % (rows * columns), columns)

    def _click(self, key, across, down):
        with self.changing():
            self.row.value = int(down * (self.row.max + 1))
            self.column.value = int(across * (self.column.max + 1))

    def _arrow(self, columns, rows):
        with self.changing():
            self.row.value += rows  # a slider stops at its ends by itself
            self.column.value += columns

    def _fit_ranges(self):
        """The sliders end where the chosen layer does."""
        X, _ = one_image(self.images, self.image.value)
        place = convolutions(self.net)[self.layer.value - 1]
        channels, rows, columns = layer_outputs(self.net, X)[0][place].shape[1:]
        with self.changing():
            self.channel.max, self.row.max, self.column.max = channels - 1, rows - 1, columns - 1
            self.input_channel.max = self.net[place].in_channels - 1
            self.input_channel.disabled = self.input_channel.max == 0
            self.play.max = rows * columns - 1
            self.row.value, self.column.value = rows // 2, columns // 2

    def refresh(self):
        if not self._quiet:
            self.play.value = self._position  # play goes on from here
        super().refresh()

    def picture(self):
        return draw_step(
            self.step, self.layer.value, self.channel.value, self.row.value, self.column.value,
            self.input_channel.value,
        )  # fmt: skip

    def describe(self):
        return (
            f"The output value at row {self.row.value}, column {self.column.value} of channel "
            f"{self.channel.value} of conv {self.layer.value}: a window of the input times the "
            "kernel, value by value; the products and the bias add up to the value's place in the "
            "feature map."
        )
