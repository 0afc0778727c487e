"""Explorer of chapter 1: one value of a convolution, worked out before your eyes."""

import lenet_helpers as lenet
from lenet_course import checks
from lenet_course.drawing import Picture, short

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import card
from .card import FRAME, INK, MARK, QUIET, WIDTH, number

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
    padding: tuple[int, int, int, int]  # columns left and right, rows above and below
    feature_map: torch.Tensor  # (H', W'), what the convolution gives for this channel
    after: list[tuple[str, float | None]]  # what becomes of the value, up to the next weights


NO_CONVOLUTION = "net has no convolution: this explorer needs at least one nn.Conv2d"


def convolutions(net: nn.Sequential) -> list[int]:
    """The places of the convolutions in checks.layers(net)."""
    return [i for i, layer in enumerate(checks.layers(net)) if isinstance(layer, nn.Conv2d)]


def convolution_step(
    net: nn.Sequential, X: Tensor, layer: int, channel: int, row: int, column: int,
    kernel: Tensor | None = None,
) -> ConvolutionStep:  # fmt: skip
    """Output value (`row`, `column`) of `channel` of the `layer`-th convolution (1 is the first).

    `X` is one image, (1, 1, 28, 28). A `kernel` (C, k, k), with a bias of 0, is used in the place
    of the network's own. Raises ValueError for what does not exist, with what does.
    """
    outputs, _ = card.layer_outputs(net, X)
    if len(X) != 1:
        raise ValueError(f"X must hold one image, it holds {len(X)}")
    places = convolutions(net)
    if not places:
        raise ValueError(NO_CONVOLUTION)
    place = places[checks.whole_number("layer", layer, 1, len(places)) - 1]
    conv, output = checks.layers(net)[place], outputs[place][0]
    if conv.groups != 1 or conv.dilation != (1, 1) or conv.padding_mode != "zeros":
        raise ValueError(f"the explorer expects a plain convolution, this one is {conv}")
    channel = checks.whole_number("channel", channel, 0, len(output) - 1)
    row = checks.whole_number("row", row, 0, output.shape[1] - 1)
    column = checks.whole_number("column", column, 0, output.shape[2] - 1)
    padding, bias, feature_map, after = padding_of(conv), 0.0, output[channel], []
    inputs = F.pad(outputs[place - 1][0] if place else X[0], padding)
    if kernel is not None:
        _check_kernel(kernel, inputs, conv)
        feature_map = F.conv2d(inputs[None], kernel[None], stride=conv.stride)[0, 0]
    else:
        kernel = conv.weight[channel].detach().cpu()
        bias = 0.0 if conv.bias is None else conv.bias[channel].item()
        after = _after(checks.layers(net)[place + 1 :], outputs[place + 1 :], channel, row, column)
    top, left = row * conv.stride[0], column * conv.stride[1]
    patch = inputs[:, top : top + kernel.shape[1], left : left + kernel.shape[2]]
    products = patch * kernel
    total = products.sum().item()
    return ConvolutionStep(
        patch, kernel, products, total, bias, total + bias, inputs, top, left, padding,
        feature_map, after,
    )  # fmt: skip


def _check_kernel(kernel, inputs, conv):
    """Raise ValueError unless `kernel` can stand in the place of one of the `conv`'s own."""
    wanted, found = tuple(conv.weight.shape[1:]), f"of type {type(kernel).__name__}"
    if torch.is_tensor(kernel):
        found = f"{kernel.dtype} {tuple(kernel.shape)}"
        if kernel.dtype == inputs.dtype and kernel.shape == wanted:
            return
    raise ValueError(f"kernel must be a tensor, {inputs.dtype} {wanted}, it is {found}")


def _after(layers, outputs, channel, row, column):
    """(words, value) of each layer that changes the value on its own, or with its window's."""
    found = []
    for layer, output in zip(layers, outputs, strict=True):
        name, size = type(layer).__name__, getattr(layer, "kernel_size", 0)
        if isinstance(layer, nn.AvgPool2d | nn.MaxPool2d) and size == layer.stride:
            row, column = row // size, column // size
            name = f"{'mean' if 'Avg' in name else 'largest'} of {size} × {size}"
        elif isinstance(layer, nn.Linear):
            found.append((f"1 of {layer.in_features} dense inputs", None))
        elif isinstance(layer, nn.Flatten):
            continue
        if list(layer.parameters()) or output.dim() != 4 or row >= output.shape[2]:
            break
        found.append((name.lower(), output[0, channel, row, column].item()))
    return found


def padding_of(conv: nn.Conv2d) -> tuple[int, int, int, int]:
    """Columns left and right, rows above and below, as F.pad wants them."""
    if conv.padding == "same":  # what is odd goes to the right and below
        down, across = (k - 1 for k in conv.kernel_size)
        return across // 2, across - across // 2, down // 2, down - down // 2
    down, across = (0, 0) if conv.padding == "valid" else conv.padding
    return across, across, down, down


NETWORKS, BLUR, OWN = "the network's own", "blur: the mean", "your own"
EDGES = {"edge: −1 beside 1": "-1 1", "edge: −1 above 1": "-1; 1"}
KERNELS = (NETWORKS, *EDGES, BLUR, OWN)


def kernel_named(name: str, shape: Sequence[int], own: str = "") -> Tensor | None:
    """One of the KERNELS as a tensor (C, k, k); None for the network's own; `own` is yours."""
    if name == NETWORKS:
        return None
    if name == BLUR:
        return torch.full(shape, 1 / math.prod(shape))
    return kernel_written(EDGES.get(name, own), shape)


def kernel_written(text: str, shape: Sequence[int]) -> Tensor:
    """The kernel (C, k, k) of the numbers in `text`, such as "-1 0 1; -2 0 2; -1 0 1", row by row.

    They stand in the middle, zeros around them; of C input channels it takes the mean. Raises
    ValueError for what is no table of numbers, or a larger one than k x k.
    """
    try:
        rows = [[float(v) for v in row.split()] for row in text.replace("−", "-").split(";")]
        values = torch.tensor(rows)
    except ValueError:
        values = torch.empty(0, 0)
    high, wide = values.shape
    if not (1 <= high <= shape[1] and 1 <= wide <= shape[2] and values.isfinite().all()):
        raise ValueError(
            f"your own kernel is {short(text)!r}: write at most {shape[1]} rows of {shape[2]} "
            "numbers, such as -1 0 1; -2 0 2; -1 0 1"
        )
    top, left = (shape[1] - high) // 2, (shape[2] - wide) // 2
    kernel = torch.zeros(*shape)
    kernel[:, top : top + high, left : left + wide] = values / shape[0]
    return kernel


# ---------------------------------------------------------------------------- drawing

SIDE = 232  # of the input and of the feature map, in pixels of the picture
GRID = 188  # of the patch, the kernel and the products
TOP, BELOW = 26, 306


def draw_step(
    step: ConvolutionStep, layer: int, channel: int, row: int, column: int, input_channel: int = 0
) -> Picture:
    """The Picture of a ConvolutionStep; of several input channels it shows one."""
    picture = Picture(518, WIDTH)
    brightest = max(step.inputs[input_channel].max().item(), 1e-9)
    _draw_input(picture, step, layer, input_channel, brightest)
    _draw_sum(picture, step, row, column, input_channel)
    _draw_feature_map(picture, step, channel, row, column)
    apart = (WIDTH - 3 * GRID) / 2
    for i, name in enumerate(("patch", "kernel", "products")):
        grid, x = getattr(step, name)[input_channel], i * (GRID + apart)
        limit = grid.abs().max().item()
        colours = card.grey(grid, 0, brightest) if name == "patch" else card.signed(grid, limit)
        picture.text(x + GRID / 2, BELOW - 16, name, 15, QUIET, "middle")
        _draw_grid(picture, grid, colours, x, BELOW)
        if i < 2:
            picture.text(x + GRID + apart / 2, BELOW + GRID / 2, "×="[i], 34, INK, "middle")
    legend = "orange: above 0  ·  blue: below 0  ·  pale in the feature map: still to come"
    picture.text(0, 508, legend, 13, QUIET)
    return picture


def _draw_input(picture, step, layer, input_channel, brightest):
    values, (left, right, above, below) = step.inputs[input_channel], step.padding
    height, width = values.shape
    cell = SIDE / max(height, width)
    name = "image" if layer == 1 else f"input channel {input_channel}"
    inner = (width - left - right, height - above - below)
    padded = f", padding {above}" if max(step.padding) else ""
    picture.text(0, 10, f"{name}: {inner[1]} × {inner[0]}{padded}", 15, QUIET)
    picture.pixels(0, TOP, cell * width, cell * height, card.grey(values, 0, brightest))
    picture.box(left * cell, TOP + above * cell, inner[0] * cell, inner[1] * cell, line="#5aa9dd")
    down, across = step.kernel.shape[1:]
    x, y = step.left * cell, TOP + step.top * cell
    picture.box(x, y, across * cell, down * cell, line=MARK, thick=4)


def _draw_sum(picture, step, row, column, input_channel):
    products, right = step.products[input_channel], WIDTH - SIDE - 8
    shown, others = products.sum().item(), len(step.products) - 1
    lines = [(f"{products.numel()} products", shown)]
    if others:
        lines.append((f"{others} other inputs", step.sum - shown))
    lines.append(("bias", step.bias))
    picture.text(WIDTH / 2, 60, "the sum", 15, QUIET, "middle")
    for i, (words, value) in enumerate(lines):
        picture.text(right - 56, 92 + 30 * i, words, 13, INK, "end")
        picture.text(right, 92 + 30 * i, number(value, 3), 14, INK, "end")
    y = 92 + 30 * len(lines)
    picture.line([(SIDE + 8, y - 13), (right, y - 13)], INK, 1.5)
    picture.text(right - 66, y + 6, f"at {row}, {column}", 14, MARK, "end", True)
    picture.text(right, y + 6, number(step.value, 3), 15, MARK, "end", True)
    for i, (words, value) in enumerate(step.after):
        picture.text(
            right - (56 if value is not None else 0), y + 36 + 24 * i, words, 13, INK, "end"
        )
        picture.text(
            right, y + 36 + 24 * i, "" if value is None else number(value, 3), 14, INK, "end"
        )


def _draw_feature_map(picture, step, channel, row, column):
    rows, columns = step.feature_map.shape
    cell, x = SIDE / max(rows, columns), WIDTH - SIDE
    colours = card.signed(step.feature_map, step.feature_map.abs().max().item())
    to_come = (torch.arange(rows * columns) > row * columns + column).view(rows, columns).numpy()
    colours[to_come] = 255 - (255 - colours[to_come]) // 4
    picture.text(x, 10, f"feature map {channel}: {rows} × {columns}", 15, QUIET)
    picture.pixels(x, TOP, cell * columns, cell * rows, colours)
    picture.box(x, TOP, cell * columns, cell * rows, line=FRAME)
    picture.box(x + column * cell, TOP + row * cell, cell, cell, line=INK, thick=3)
    picture.spot(x, TOP, cell * columns, cell * rows, "feature map")


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
                picture.text(left + cell / 2, top + cell / 2, words, 11, ink, "middle")


# ---------------------------------------------------------------------------- the widget

OPENS_AT = 8, 12  # row and column of the value that chapter 1 works out by hand


class ConvolutionExplorer(card.Explorer):
    """Step through a convolution of your `net`: patch times kernel, summed, plus bias.

    Usage: `ConvolutionExplorer(net, images).show()`; `images` is a lenet.ImageDataset, and `net`
    may be several, by name: {"new": net, "trained": trained}. Move the sliders, press play, or
    press in the feature map (then the arrow keys step through it). In the place of the network's
    own kernel it shows one that finds edges, one that blurs, or yours.
    """

    def __init__(
        self, net: nn.Sequential | Mapping[str, nn.Sequential], images: lenet.ImageDataset
    ) -> None:
        card.check_images(images)
        (self.nets, self.network), self.images = card.networks(net), images
        for each in self.nets.values():  # refuses what can't be
            convolution_step(each, card.one_image(images, 0)[0], 1, 0, 0, 0)
        self.image, self.layer = card.image_number(images), card.dropdown("layer", [""], "")
        self.kernel = card.dropdown("kernel", KERNELS, NETWORKS)
        self.own = card.text("your own kernel, row; row", "-1 0 1; -2 0 2; -1 0 1")
        self.channel = card.slider("output channel", 0, 0, 0)
        self.input_channel = card.slider("input channel shown", 0, 0, 0)
        self.row, self.column = card.slider("row", 0, 0, 0), card.slider("column", 0, 0, 0)
        self.position = card.slider("position, row after row", 0, 0, 0, play=250)
        controls = [self.network, self.image, self.layer, self.kernel, self.own]
        places = [self.channel, self.input_channel, self.row, self.column, self.position]
        hint = "arrow keys: another place in the feature map"
        view = card.PictureView(self._click, self._arrow, hint=hint)
        super().__init__("One value of a convolution", controls + places, view)
        self.watch(self.image, self.kernel, self.channel, self.input_channel, self.row, self.column)
        self.own.observe(self.saying(lambda change: self._take_own()), "value")
        places = self.layer, self.row, self.column
        change_network = self.saying(lambda _: self._new_network(*(p.value for p in places)))
        self.network.observe(change_network, "value")
        self.layer.observe(self.saying(lambda change: self._fit_ranges()), "value")
        self.position.observe(lambda change: self._go(change.new), "value")
        self._new_network(1, *OPENS_AT)

    @property
    def net(self) -> nn.Sequential:
        """The network that is chosen."""
        return self.nets[self.network.value]

    @property
    def step(self) -> ConvolutionStep:
        """The ConvolutionStep that the controls choose, of the network as it is now."""
        X, _ = card.one_image(self.images, self.image.value)
        conv = checks.layers(self.net)[convolutions(self.net)[self.layer.value - 1]]
        kernel = kernel_named(self.kernel.value, conv.weight.shape[1:], self.own.value)
        place = (self.layer.value, self.channel.value, self.row.value, self.column.value)
        return convolution_step(self.net, X, *place, kernel)

    def _new_network(self, layer, row, column):
        """Another network may have other layers; the place stays, as far as it can."""
        with self.changing():
            self._layers, count = str(self.net), len(convolutions(self.net))
            if not count:
                raise ValueError(NO_CONVOLUTION)
            self.layer.options = [(f"conv {i}", i) for i in range(1, count + 1)]
            self.layer.value = min(layer, count)
            self._fit_ranges()
            self._place(row, column)

    def _take_own(self):
        with self.changing():
            self.kernel.value = OWN

    def _go(self, position):
        if not self._quiet:  # the reader has moved it
            self._place(*divmod(position, self.column.max + 1))

    def _place(self, row, column):
        with self.changing():
            self.row.value, self.column.value = row, column  # a slider stops at its ends by itself

    def _click(self, key, across, down):
        self._place(int(down * (self.row.max + 1)), int(across * (self.column.max + 1)))

    def _arrow(self, columns, rows):
        self._place(self.row.value + rows, self.column.value + columns)

    def _fit_ranges(self):
        """The sliders end where the chosen layer does."""
        with self.changing():
            X, _ = card.one_image(self.images, self.image.value)
            place = convolutions(self.net)[self.layer.value - 1]
            channels, rows, columns = card.layer_outputs(self.net, X)[0][place].shape[1:]
            self.channel.max, self.row.max, self.column.max = channels - 1, rows - 1, columns - 1
            self.input_channel.max = checks.layers(self.net)[place].in_channels - 1
            self.input_channel.disabled = self.input_channel.max == 0
            self.position.max = rows * columns - 1
            self._place((rows - 1) // 2, (columns - 1) // 2)

    def refresh(self) -> None:
        if not self._quiet and str(self.net) != self._layers:  # another cell has changed it
            self.saying(self._new_network)(self.layer.value, self.row.value, self.column.value)
            return
        if not self._quiet:
            before, self._quiet = self._quiet, True
            self.position.value = self.row.value * (self.column.max + 1) + self.column.value
            self._quiet = before
        super().refresh()

    def picture(self) -> Picture:
        return draw_step(
            self.step, self.layer.value, self.channel.value, self.row.value, self.column.value,
            self.input_channel.value,
        )  # fmt: skip

    def describe(self) -> str:
        step = self.step
        if not math.isfinite(step.value):
            return (
                f"No number is the value at row {self.row.value}, column {self.column.value} of "
                f"feature map {self.channel.value} of conv {self.layer.value}: the weights are not "
                "finite."
            )
        return (
            f"{number(step.value, 3)} is the value at row {self.row.value}, column "
            f"{self.column.value} of feature map {self.channel.value} of conv {self.layer.value}: "
            f"the sum {number(step.sum, 3)} of {step.products.numel()} products, patch times "
            f"kernel, and the bias {number(step.bias, 3)}"
            + "".join(f"; {words}: {number(value, 3)}" for words, value in step.after if value)
            + "."
        )
