"""Explorer of chapter 4: scrub through a training run, from the first weights to the last."""

import lenet_helpers as lenet
from lenet_course.curves import smoothed
from lenet_course.drawing import Picture

import copy
import math
from collections.abc import Sequence

from torch import Tensor, nn

from . import card
from .card import BLUE, GREEN, INK, MARK, QUIET, WIDTH, Explorer

# ---------------------------------------------------------------------------- computing


def epochs_of(run: lenet.Run) -> list[float]:
    """When each of the run's checkpoints was taken, in epochs: 0.0, 1.0, ... for a whole run."""
    return [0.0] + [epoch for epoch, _ in run.test]


def net_at(run: lenet.Run, index: int, net: nn.Module) -> nn.Module:
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


def kernels_of(net: nn.Module) -> list[Tensor]:
    """The kernels of every convolution: tensors (output channels, input channels, k, k)."""
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    return [layer.weight.detach() for layer in convolutions]


def largest_values(run: lenet.Run, net: nn.Module) -> list[float]:
    """The largest absolute value in each convolution's kernels over all checkpoints."""
    every = [kernels_of(net_at(run, index, net)) for index in range(len(run.checkpoints))]
    layers = zip(*every, strict=True)
    largest = [[kernels.abs().max().item() for kernels in layer] for layer in layers]
    return [max(filter(math.isfinite, values), default=1.0) for values in largest]


# ---------------------------------------------------------------------------- drawing

CURVE = (26, 24, 350, 110)  # x, y, width and height of the training curve
SHOWN = 16  # channels of a convolution, at most


def draw_curves(picture: Picture, run: lenet.Run, now: float) -> None:
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
        points = [place(*point) for point in points]
        picture.line(points, color, 2.5, dashed)
        picture.line([(left + 115 * i, 12), (left + 115 * i + 24, 12)], color, 2.5, dashed)
        picture.text(left + 115 * i + 30, 12, name, 13, INK)
    x = place(now, 0)[0]
    picture.line([(x, top), (x, top + height)], INK, 3)
    picture.spot(left - 8, top, width + 16, height + 24, "curve")


def draw_kernels(picture: Picture, layers: list[Tensor], limits: list[float], y: float) -> None:
    """The kernels of all convolutions: one column an output channel, one row an input channel."""
    width, x = WIDTH / max(len(layers), 1) - 20, 0
    for i, (kernels, limit) in enumerate(zip(layers, limits, strict=True), start=1):
        shown = kernels[:SHOWN, :SHOWN]
        outputs, inputs, high, wide = shown.shape
        count = f"{outputs} of {len(kernels)}" if len(kernels) > outputs else f"{outputs}"
        legend = ", orange above 0, blue below" if i == 1 else ""
        picture.text(x, y, f"conv {i}: {count} kernels{legend}", 13, QUIET)
        sheet = card.tiled(shown.transpose(0, 1).flatten(0, 1), outputs, fill=0)  # zero is white
        scale = min(9, 100 / len(sheet), width / sheet.shape[1])
        picture.sheet(x, y + 12, scale, card.signed(sheet, limit), (inputs, outputs, high, wide))
        x += max(sheet.shape[1] * scale, 130) + 20


def gradients_at(run: lenet.Run, net: nn.Module, now: float) -> str:
    """The root mean square of the gradient of each layer's weights near the epoch `now`."""
    if not run.gradients:
        return ""
    _, sizes = min(run.gradients, key=lambda found: abs(found[0] - now))
    weighted = (nn.Conv2d, nn.Linear)
    kinds = [card.KINDS[type(layer)] for layer in net.modules() if isinstance(layer, weighted)]
    names = [f"{kind} {kinds[: i + 1].count(kind)}" for i, kind in enumerate(kinds)]
    found = [f"{name} {size:.5f}" for name, size in zip(names, sizes, strict=False)]
    return "gradients: " + ", ".join(found)


# ---------------------------------------------------------------------------- the widget


class EpochExplorer(Explorer):
    """Scrub through a training run: filters, feature maps and probabilities at every epoch.

    Usage: `EpochExplorer(run, images, labels).show()` with a lenet.Run and lenet.ImageDataset; for
    a network other than the lesson's, `net=` that network. Click in the curve or move the slider.
    """

    def __init__(
        self, run: lenet.Run, images: lenet.ImageDataset, labels: Sequence[str],
        net: nn.Module | None = None,
    ) -> None:  # fmt: skip
        card.check_images(images, labels)
        if not isinstance(run, lenet.Run):
            found = type(run).__name__
            raise ValueError(f"run must be a lenet.Run, as train_ch6 returns it, not {found}")
        if not run.checkpoints:
            raise ValueError("the run holds no checkpoints: at least one is needed")
        if len(run.checkpoints) != len(run.test) + 1:
            raise ValueError(
                "the run must hold a checkpoint of the start and one after each test, it holds "
                f"{len(run.checkpoints)} and {len(run.test)} tests"
            )
        self._net = lenet.make_lenet() if net is None else net
        if net is None and run.network not in ("", str(self._net)):
            raise ValueError("the run is of another network than the lesson's: pass that as net=")
        self.run, self.images, self.labels = run, images, list(labels)
        self._limits = largest_values(run, self._net)
        last = len(run.checkpoints) - 1
        self.epoch = card.slider("checkpoint after epoch", 0, last, last, play=700)
        self.start = card.button("epoch 0", lambda: setattr(self.epoch, "value", 0))
        self.image = card.image_number(images)
        super().__init__(
            "How the network became what it is",
            [self.epoch, self.start, self.image],
            card.PictureView(self._click, self._arrow, hint="arrow keys: another epoch"),
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
    def net(self) -> nn.Module:
        """The network as it was at the chosen checkpoint."""
        return net_at(self.run, self.epoch.value, self._net)

    def look(self) -> tuple[nn.Module, Tensor, int, card.Prediction]:
        """The network at this checkpoint, the chosen image, its target, and the prediction."""
        net, (X, target) = self.net, card.one_image(self.images, self.image.value)
        return net, X, target, card.predict_image(net, X)

    def picture(self) -> Picture:
        picture, (net, X, target, prediction) = Picture(536, WIDTH), self.seen
        now = epochs_of(self.run)[self.epoch.value]
        draw_curves(picture, self.run, now)
        x = CURVE[0] + CURVE[2] + 20
        width = WIDTH - x
        card.draw_probabilities(picture, prediction, self.labels, x, 6, width, target, row=16)
        draw_kernels(picture, kernels_of(net), self._limits, 186)
        card.draw_layers(picture, X, prediction.activations, 0, 316)
        picture.text(0, 526, gradients_at(self.run, net, now), 12.5, INK)
        return picture

    def describe(self) -> str:
        net, _, target, prediction = self.seen
        now = epochs_of(self.run)[self.epoch.value]
        return (
            f"After {now:g} of {self.run.num_epochs} epochs, "
            f"marked on the training curve, image {self.image.value}, {self.labels[target]}: "
            f"{prediction.words(self.labels)}; the network's kernels, its activations layer by "
            "layer, and the ten probabilities. Root mean square of the "
            f"{gradients_at(self.run, net, now)}."
        )
