"""Explorer of chapter 4: scrub through a training run, from the first weights to the last."""

import lenet_helpers as lenet
from lenet_course.curves import smoothed
from lenet_course.drawing import Picture

import copy
import math
from functools import partial

import ipywidgets as widgets
from torch import nn

from . import card
from .card import BLUE, GREEN, INK, MARK, QUIET, Explorer
from .reading import WIDTH, draw_layers, draw_probabilities, read_image

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


def kernels_of(net):
    """The kernels of every convolution: tensors (output channels, input channels, k, k)."""
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    return [layer.weight.detach() for layer in convolutions]


def largest_values(run, net):
    """The largest absolute value in each convolution's kernels over all checkpoints."""
    every = [kernels_of(net_at(run, index, net)) for index in range(len(run.checkpoints))]
    layers = zip(*every, strict=True)
    largest = [[kernels.abs().max().item() for kernels in layer] for layer in layers]
    return [max(filter(math.isfinite, values), default=1.0) for values in largest]


def last_finite(run):
    """The last checkpoint whose weights are all numbers: where to begin; 0 if there is none."""
    finite = (
        index for index, weights in reversed([*enumerate(run.checkpoints)])
        if all(weight.isfinite().all() for weight in weights.values())
    )  # fmt: skip
    return next(finite, 0)


# ---------------------------------------------------------------------------- drawing

CURVE = (26, 24, 350, 110)  # x, y, width and height of the training curve
SHOWN = 16  # channels of a convolution, at most


def draw_curves(picture, run, now):
    """Loss and accuracies of the run; the epoch `now` is marked."""
    left, top, width, height = CURVE
    curves = [
        ("train loss", smoothed(run, 1), BLUE, False),
        ("train acc", smoothed(run, 2), MARK, True),
        ("test acc", run.test, GREEN, False),
    ]
    highest = 1.05 * max([1.0, *(loss for _, loss in curves[0][1])])
    last = max(1.0, run.num_epochs)

    def place(epoch, value):
        return left + width * epoch / last, top + height * (1 - value / highest)

    for tick in range(0, int(highest) + 1, math.ceil(highest / 8)):
        y = place(0, tick)[1]
        picture.line([(left, y), (left + width, y)], "#dddddd", 1)
        picture.text(left - 8, y, str(tick), 13, QUIET, "end")
    for epoch in range(0, int(last) + 1, max(1, int(last) // 10)):
        picture.text(place(epoch, 0)[0], top + height + 12, str(epoch), 13, QUIET, "middle")
    picture.text(left + width, top + height + 28, "epoch", 13, QUIET, "end")
    for i, (name, points, color, dashed) in enumerate(curves):
        points = [place(*point) for point in points if math.isfinite(point[1])]
        picture.line(points, color, 2.5, dashed)
        picture.line([(left + 115 * i, 12), (left + 115 * i + 24, 12)], color, 2.5, dashed)
        picture.text(left + 115 * i + 30, 12, name, 13, INK)
    x = place(now, 0)[0]
    picture.line([(x, top), (x, top + height)], INK, 3)
    picture.spot(left - 8, top, width + 16, height + 24, "curve")


def draw_kernels(picture, layers, limits, y):
    """The kernels of all convolutions: one column an output channel, one row an input channel."""
    picture.text(WIDTH, y, "orange above 0, blue below", 13, QUIET, "end")
    width, x = WIDTH / max(len(layers), 1) - 20, 0
    for i, (kernels, limit) in enumerate(zip(layers, limits, strict=True), start=1):
        shown = kernels[:SHOWN, :SHOWN]
        outputs, inputs, high, wide = shown.shape
        count = f"{outputs} of {len(kernels)}" if len(kernels) > outputs else f"{outputs}"
        picture.text(x, y, f"conv {i}: {count} kernels", 14, QUIET)
        sheet = card.tiled(shown.transpose(0, 1).flatten(0, 1), outputs, fill=0)  # zero is white
        scale = min(9, 100 / len(sheet), width / sheet.shape[1])
        picture.sheet(x, y + 12, scale, card.signed(sheet, limit), (inputs, outputs, high, wide))
        x += max(sheet.shape[1] * scale, 130) + 30


# ---------------------------------------------------------------------------- the widget


class EpochExplorer(Explorer):
    """Scrub through a training run: filters, feature maps and probabilities at every epoch.

    Usage: `EpochExplorer(run, images, labels).show()` with a lenet.Run and lenet.ImageDataset; for
    a network other than the lesson's, `net=` that network. Click in the curve or move the slider.
    """

    def __init__(self, run, images, labels, net=None):
        card.check_images(images, labels)
        if not run.checkpoints:
            raise ValueError("the run holds no checkpoints: at least one is needed")
        self.run, self.images, self.labels = run, images, list(labels)
        self._net = net if net is not None else lenet.make_lenet()
        self._limits = largest_values(run, self._net)
        last = len(run.checkpoints) - 1
        opened = last_finite(run)
        self.epoch = card.slider("checkpoint after epoch", 0, last, opened, width="230px")
        self.play = widgets.Play(min=0, max=last, value=opened, interval=700)
        self.start = widgets.Button(description="epoch 0", layout={"width": "100px"})
        self.image = card.image_number(images)
        super().__init__(
            "How the network became what it is",
            [self.epoch, self.start, self.play, self.image],
            card.PictureView(
                partial(self.said, self._click), partial(self.said, self._arrow), self.start
            ),
        )
        self.when(self.start, lambda: setattr(self.epoch, "value", 0))
        widgets.link((self.epoch, "value"), (self.play, "value"))
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
        picture, net = Picture(486, WIDTH), self.net
        X, label = card.one_image(self.images, self.image.value)
        reading = read_image(net, X)
        draw_curves(picture, self.run, epochs_of(self.run)[self.epoch.value])
        x, _, width, _ = CURVE
        x += width + 24
        draw_probabilities(
            picture, reading.probabilities, self.labels, x, 6, WIDTH - x, label, row=16
        )
        draw_kernels(picture, kernels_of(net), self._limits, 186)
        draw_layers(picture, X, reading.activations, 0, 314)
        return picture

    def describe(self):
        epoch = epochs_of(self.run)[self.epoch.value]
        return (
            f"The network after {epoch:g} of {self.run.num_epochs} epochs, marked on the training "
            f"curve: its filters, and what it makes of image {self.image.value}, layer by layer up "
            "to the ten probabilities."
        )
