"""Explorer of chapter 4: scrub through a training run, from the first weights to the last."""

import lenet_helpers as lenet
from lenet_course.curves import smoothed
from lenet_course.drawing import Picture

import copy
import math

from torch import nn

from .card import (
    BLUE,
    GREEN,
    INK,
    MARK,
    QUIET,
    Explorer,
    PictureView,
    button,
    check_images,
    draw_layers,
    draw_probabilities,
    image_number,
    one_image,
    predict_image,
    row,
    signed,
    slider,
    tiled,
)

# ---------------------------------------------------------------------------- computing


def epochs_of(run):
    """When each of the run's checkpoints was taken, in epochs: 0.0, 1.0, ... for a whole run."""
    return [0.0] + [epoch for epoch, _ in run.test]


def net_at(run, index, net):
    """A copy of `net` with the weights of the run's checkpoint `index`.

    Raises ValueError if there is no such checkpoint or if it is of another network than `net`.
    """
    if not 0 <= index < len(run.checkpoints):
        raise ValueError(f"checkpoint must be 0 to {len(run.checkpoints) - 1}, it is {index}")
    net = copy.deepcopy(net).cpu()
    try:
        net.load_state_dict(run.checkpoints[index])
    except RuntimeError as error:
        raise ValueError(
            "the run's checkpoints are of another network: "
            f"{str(error).splitlines()[-1].strip()}; pass net=, the network that was trained"
        ) from None
    return net


def filters(net):
    """The kernels of every convolution: tensors (output channels, input channels, k, k)."""
    return [layer.weight.detach().cpu() for layer in net if isinstance(layer, nn.Conv2d)]


def largest_filter_value(run, net):
    """The largest absolute value in each convolution's kernels over all checkpoints."""
    every = [filters(net_at(run, i, net)) for i in range(len(run.checkpoints))]
    return [
        max(kernels.abs().max().item() for kernels in layer) for layer in zip(*every, strict=True)
    ]


# ---------------------------------------------------------------------------- drawing

WIDTH = 960
CURVE = (40, 24, 540, 190)  # x, y, width and height of the training curve


def draw_epoch(run, index, net, limits, X, label, labels):
    """The Picture of the run's checkpoint `index`, loaded in `net`, and of what it makes of `X`.

    `limits` are the filter values of full colour, one for each convolution.
    """
    picture, reading = Picture(700), predict_image(net, X)
    _draw_curve(picture, run, index)
    draw_probabilities(picture, reading, labels, 610, 10, 350, label, row=23)
    x = 0
    for i, (kernels, limit) in enumerate(zip(filters(net), limits, strict=True), start=1):
        x = _draw_filters(picture, kernels, limit, f"conv {i}", x) + 40
    legend = ("orange: above 0", "blue: below 0", "the same at", "every epoch")
    for i, words in enumerate(legend):
        picture.text(WIDTH, 292 + 22 * i, words, 14, QUIET, "end")
    draw_layers(picture, X, reading.activations, 0, 452, WIDTH)
    return picture


def _draw_curve(picture, run, index):
    left, top, width, height = CURVE
    losses = [loss for _, loss in smoothed(run, 1)]
    highest = max([1.0, *losses]) * 1.05
    last = max([1.0, run.num_epochs])

    def place(epoch, value):
        return left + width * epoch / last, top + height * (1 - value / highest)

    for tick in range(int(highest) + 1):
        y = place(0, tick)[1]
        picture.line([(left, y), (left + width, y)], "#dddddd", 1)
        picture.text(left - 8, y, str(tick), 14, QUIET, "end")
    for epoch in range(0, int(last) + 1, max(1, int(last) // 10)):
        picture.text(place(epoch, 0)[0], top + height + 14, str(epoch), 14, QUIET, "middle")
    picture.text(left + width, top + height + 32, "epoch", 14, QUIET, "end")
    curves = [
        ("train loss", smoothed(run, 1), BLUE, False),
        ("train acc", smoothed(run, 2), MARK, True),
        ("test acc", run.test, GREEN, False),
    ]
    for i, (name, points, color, dashed) in enumerate(curves):
        points = [place(*point) for point in points if math.isfinite(point[1])]
        if len(points) > 1:
            picture.line(points, color, 2.5, dashed)
        picture.line([(left + 130 * i, 12), (left + 130 * i + 24, 12)], color, 2.5, dashed)
        picture.text(left + 130 * i + 30, 12, name, 14, INK)
    now = place(epochs_of(run)[index], 0)[0]
    picture.line([(now, top), (now, top + height)], INK, 3)
    picture.spot(left - 8, top, width + 16, height + 24, "curve")


def _draw_filters(picture, kernels, limit, name, x):
    """One column an output channel, one row an input channel; returns where it ends."""
    outputs, inputs, height, width = kernels.shape
    sheet = tiled(kernels.transpose(0, 1).flatten(0, 1), outputs, fill=0)  # zero is white
    scale = min(9, 150 / len(sheet))
    picture.text(x, 268, f"{name}: {outputs} filters", 15, QUIET)
    picture.sheet(x, 284, scale, signed(sheet, limit), (inputs, outputs, height, width))
    return x + sheet.shape[1] * scale


# ---------------------------------------------------------------------------- the widget


class EpochExplorer(Explorer):
    """Scrub through a training run: filters, feature maps and probabilities at every epoch.

    Usage: `EpochExplorer(run, images, labels).show()` with a lenet.Run and lenet.ImageDataset; for
    a network other than the lesson's, `net=` that network. Click in the curve or move the slider.
    """

    def __init__(self, run, images, labels, net=None):
        check_images(images, labels)
        if not run.checkpoints:
            raise ValueError("the run holds no checkpoints: at least one is needed")
        self.run, self.images, self.labels = run, images, list(labels)
        self._net = net if net is not None else lenet.make_lenet()
        self._limits = largest_filter_value(run, self._net)
        last = len(run.checkpoints) - 1
        self.epoch = slider("checkpoint after epoch", 0, last, last, play=700)
        self.start = button("epoch 0", lambda: setattr(self.epoch, "value", 0))
        self.image = image_number(images)
        super().__init__(
            "How the network became what it is",
            [row(self.epoch, self.start, self.image)],
            PictureView(self._click, self._arrow, hint="arrow keys: another epoch"),
        )
        self.watch(self.epoch, self.image)
        self.refresh()

    def _click(self, key, across, down):
        width = CURVE[2]
        epoch = (across * (width + 16) - 8) / width * max(1.0, self.run.num_epochs)
        epochs = epochs_of(self.run)
        self.epoch.value = min(range(len(epochs)), key=lambda i: abs(epochs[i] - epoch))

    def _arrow(self, columns, rows):
        self.epoch.value += columns - rows

    @property
    def net(self):
        """The network as it was at the chosen checkpoint."""
        return net_at(self.run, self.epoch.value, self._net)

    def picture(self):
        X, label = one_image(self.images, self.image.value)
        return draw_epoch(self.run, self.epoch.value, self.net, self._limits, X, label, self.labels)

    def describe(self):
        epoch = epochs_of(self.run)[self.epoch.value]
        return (
            f"The network after {epoch:g} of {self.run.num_epochs} epochs, marked on the training "
            f"curve: its filters, and what it makes of image {self.image.value}, layer by layer up "
            "to the ten probabilities."
        )
