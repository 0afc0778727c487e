"""Explorer of chapter 4: how far can an image be pushed until the network's prediction flips?"""

import lenet_helpers as lenet
from lenet_course import checks, saved
from lenet_course.drawing import Picture

import hashlib
import json
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import card
from .card import BLUE, GREEN, INK, MARK, QUIET, WIDTH, Explorer

# ---------------------------------------------------------------------------- computing


class Distortion(NamedTuple):
    """One way to distort: its name and unit, its range, and the amount that changes nothing."""

    name: str
    unit: str
    low: float
    high: float
    neutral: float
    step: float


DISTORTIONS = {
    "right": Distortion("shift right", "px", -12, 12, 0, 1),
    "down": Distortion("shift down", "px", -12, 12, 0, 1),
    "rotation": Distortion("rotate", "°", -90, 90, 0, 5),
    "scale": Distortion("scale", "×", 0.4, 1.6, 1, 0.05),
    "blur": Distortion("blur", "px", 0, 4, 0, 0.25),
    "noise": Distortion("noise", "of white", 0, 1, 0, 0.05),
}
FILE = "distortion.json"


def distort(
    X: Tensor, right: float = 0.0, down: float = 0.0, rotation: float = 0.0, scale: float = 1.0,
    blur: float = 0.0, noise: float = 0.0,
) -> Tensor:  # fmt: skip
    """X (B, 1, 28, 28) scaled, rotated (degrees, clockwise), shifted (pixels), blurred, noisy.

    `blur` is the standard deviation of a Gaussian in pixels, `noise` that of what is added to every
    pixel, always the same for the same B. Values are cut to 0..1. Raises ValueError for amounts
    that are not numbers, a scale of 0 or less, a negative blur or noise.
    """
    checks.batch(X)
    amounts = dict(right=right, down=down, rotation=rotation, scale=scale, blur=blur, noise=noise)
    for name, amount in amounts.items():
        if not math.isfinite(amount):
            raise ValueError(f"{name} must be a number, it is {amount}")
    if scale <= 0 or blur < 0 or noise < 0:
        raise ValueError(
            f"scale must be above 0, blur and noise at least 0; they are {scale}, {blur}, {noise}"
        )
    if right or down or rotation or scale != 1:
        X = _moved(X, right, down, math.radians(rotation), scale)
    if blur:
        X = _blurred(X, max(blur, 0.01))  # which changes nothing; far less would divide by zero
    if noise:
        X = X + noise * torch.randn(X.shape, generator=torch.Generator().manual_seed(0))
    return X.clamp(0, 1)


def _moved(X, right, down, angle, scale):
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    # For each pixel of the result the place in X that it comes from; X spans -1..1.
    x, y = -right / 14, -down / 14
    theta = torch.tensor([[cos, sin, cos * x + sin * y], [-sin, cos, -sin * x + cos * y]])
    theta = theta.to(X.device).expand(len(X), 2, 3)
    grid = F.affine_grid(theta, X.shape, align_corners=False)
    return F.grid_sample(X, grid, align_corners=False)


def _blurred(X, deviation):
    radius = math.ceil(3 * deviation)
    weights = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * deviation**2))
    weights /= weights.sum()
    X = F.conv2d(X, weights.view(1, 1, 1, -1), padding=(0, radius))
    return F.conv2d(X, weights.view(1, 1, -1, 1), padding=(radius, 0))


def accuracy_at(net: nn.Module, images: lenet.ImageDataset, **amounts: float) -> float:
    """Share of `images` that `net` classifies correctly when all of them are distorted."""
    batches = lenet.batches(images, 1000, shuffle=False)
    return lenet.evaluate_accuracy_gpu(net, ((distort(X, **amounts), y) for X, y in batches))


def slider_amounts(kind: str) -> list[float]:
    """The amounts that its slider can take, the neutral one among them."""
    low, high, _, step = DISTORTIONS[kind][2:]
    return [round(low + i * step, 3) for i in range(round((high - low) / step) + 1)]


def curve_amounts(kind: str) -> list[float]:
    """The amounts at which its accuracy is measured: nine, and shifts of one and two pixels."""
    small = [-2, -1, 1, 2] if kind in ("right", "down") else []
    nine = np.linspace(DISTORTIONS[kind].low, DISTORTIONS[kind].high, 9).round(3)
    return sorted([*nine.tolist(), *map(float, small)])


POINTS = sum(len(curve_amounts(kind)) for kind in DISTORTIONS)

# The curves take a while, so they are kept in a file, together with what they were measured for.


def identity(net: nn.Module, images: lenet.ImageDataset) -> dict[str, str | list[float]]:
    """What tells networks and images from others: sizes of all tensors, a checksum of all images.

    Mean and root mean square of each tensor of weights. Ten epochs on another processor, which
    rounds otherwise, have moved them by 3e-5, and those are still these weights; one step of
    training at the chapters' learning rate moves one of them by 5e-4 or more, and those are others.
    """
    weights = [value.detach().cpu().double() for value in net.state_dict().values()]
    content = images.images.numpy().tobytes() + images.labels.numpy().tobytes()
    return {
        "images": hashlib.sha256(content).hexdigest(),
        "weights": [s.item() for w in weights for s in (w.mean(), w.square().mean().sqrt())],
    }


def _is_of(entry, ours):
    """Whether an entry of the file was measured for this `identity`."""
    theirs, weights = entry["weights"], ours["weights"]
    same = entry["images"] == ours["images"] and len(theirs) == len(weights)
    return same and np.allclose(theirs, weights, rtol=1e-4, atol=2e-4)


def _entries(path):
    """All that is in such a file; nothing if it is missing or damaged."""
    try:
        entries = json.loads(path.read_text())
        return [{key: entry[key] for key in ("images", "weights", "curves")} for entry in entries]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def stored_curves(net: nn.Module, images: lenet.ImageDataset) -> dict[str, list]:
    """The curves {kind: [(amount, accuracy), ...]} measured earlier for these, or {}."""
    ours, folders = identity(net, images), [lenet.COURSE / "results"]
    with suppress(OSError):  # no folder for runs: nothing has been measured here
        folders.insert(0, saved.runs_folder())
    for path in (folder / FILE for folder in folders):
        for entry in _entries(path):
            if _is_of(entry, ours) and entry["curves"].keys() == DISTORTIONS.keys():
                return entry["curves"]
    return {}


def measure_curves(
    net: nn.Module, images: lenet.ImageDataset, path: Path | None = None,
    each: Callable[[dict[str, list]], None] = lambda curves: None,
) -> dict[str, list]:  # fmt: skip
    """Measure the accuracy on all `images` along every distortion, and keep it in a file.

    57 times all images: about a minute for 10000 on two cores. `each` is called with the
    curves so far after every point; the file is distortion.json in saved.runs_folder(), or `path`.
    Raises ValueError for weights that are not finite numbers.
    """
    ours = identity(net, images)
    if not all(map(math.isfinite, ours["weights"])):
        raise ValueError("nothing was measured: the network's weights are not finite numbers")
    net = card.copied(net)
    curves = {kind: [] for kind in DISTORTIONS}
    undistorted = accuracy_at(net, images)
    for kind, distortion in DISTORTIONS.items():
        for amount in curve_amounts(kind):
            same = amount == distortion.neutral
            accuracy = undistorted if same else accuracy_at(net, images, **{kind: amount})
            curves[kind].append((amount, accuracy))
            each(curves)
    path = path or saved.runs_folder() / FILE
    others = [entry for entry in _entries(path) if not _is_of(entry, ours)]
    saved.write_json([*others, ours | {"curves": curves}], path)
    return curves


def predictions_along(net: nn.Module, X: Tensor, kind: str) -> list[int]:
    """The prediction for one image X (1, 1, 28, 28) at each amount of a distortion's slider."""
    versions = torch.cat([distort(X, **{kind: amount}) for amount in slider_amounts(kind)])
    return lenet.predict(net, versions).argmax(dim=1).tolist()


def first_correct(net: nn.Module, images: lenet.ImageDataset) -> int:
    """The first image (of the first hundred) that `net` classifies correctly; 0 if none."""
    X, y = images[list(range(min(100, len(images))))]
    correct = (lenet.predict(net, X).argmax(dim=1) == y).nonzero()
    return correct[0].item() if len(correct) else 0


# ---------------------------------------------------------------------------- drawing

SIDE = 140  # of the two images
PANEL = (WIDTH / 3 - 50, 64)  # width and height of a curve's axes


def draw_legend(picture: Picture, count: int, y: float) -> None:
    picture.line([(0, y), (24, y)], BLUE, 3)
    picture.text(32, y, f"accuracy on {count} images, each distortion alone", 13)
    for x, color, words in ((390, GREEN, "this image: correct"), (550, MARK, "wrong")):
        picture.box(x, y - 8, 16, 16, color)
        picture.text(x + 22, y, words, 13)


def draw_panel(
    picture: Picture, kind: str, amount: float, curve: list, predicted: list[int], target: int,
    labels: Sequence[str], left: float, top: float,
) -> None:  # fmt: skip
    """The accuracy along a distortion; below it what this image is predicted to be."""
    what, (width, height) = DISTORTIONS[kind], PANEL

    def place(value, accuracy=0.0):
        share = (value - what.low) / (what.high - what.low)
        return left + width * share, top + height * (1 - accuracy)

    for share in (0, 0.5, 1):
        picture.line([place(what.low, share), place(what.high, share)], "#dddddd", 1)
        picture.text(left - 6, place(0, share)[1], f"{share:.0%}", 13, QUIET, "end")
    if curve:
        picture.line([place(*point) for point in curve], BLUE, 3)
    else:
        picture.text(left + width / 2, top + 36, "not measured yet", 14, QUIET, "middle")
    draw_strip(picture, predicted, target, labels, left, top + height + 4)
    x, _ = place(amount)
    picture.line([(x, top - 4), (x, top + height + 22)], INK, 3)
    y = top + height + 32
    for x, value, anchor in ((left, what.low, "start"), (left + width, what.high, "end")):
        picture.text(x, y, card.number(value, 0 if value == int(value) else 1), 13, QUIET, anchor)
    words = f"{what.name} {card.number(amount, 0 if what.step >= 1 else 2)} {what.unit}"
    picture.text(left + width / 2, y, words, 14, INK, "middle")
    picture.spot(left, top - 4, width, height + 26, kind)


def draw_strip(
    picture: Picture, predicted: list[int], target: int, labels: Sequence[str], left: float,
    y: float,
) -> None:  # fmt: skip
    """The predicted classes along a slider, side by side; each named where there is room."""
    share = PANEL[0] / (len(predicted) - 1)  # an amount stands in the middle of its share
    edge, end = left, left + PANEL[0]
    place = left - share / 2
    for label, run in groupby(predicted):
        place += share * len(list(run))
        right = min(place, end)
        picture.box(edge, y, right - edge, 16, GREEN if label == target else MARK)
        if right - edge > 7 * len(labels[label]) + 4:
            picture.text((edge + right) / 2, y + 8, labels[label], 12, "#ffffff", "middle")
        edge = right


# ---------------------------------------------------------------------------- the widget


class DistortionExplorer(Explorer):
    """Shift, rotate, scale, blur an image or add noise, and see when the prediction of `net` flips.

    Usage: `DistortionExplorer(net, images, labels).show()`; `images` is a lenet.ImageDataset. The
    button measures the accuracy over all of `images`; `.measure()` does the same and waits for it.
    """

    def __init__(self, net: nn.Module, images: lenet.ImageDataset, labels: Sequence[str]) -> None:
        card.check_images(images, labels)
        card.check_net(net)
        self.net, self.images, self.labels = net, images, list(labels)
        self.curves, self._versions, self._measuring = {}, None, False
        self.image = card.image_number(images, first_correct(net, images))
        self.amounts = {
            kind: card.slider(
                f"{what.name} ({what.unit})", what.low, what.high, what.neutral, what.step,
                digits=0 if what.step >= 1 else 2,
            )
            for kind, what in DISTORTIONS.items()
        }  # fmt: skip
        self.reset = card.button("undo all", self.undo)
        self.button = card.button("", self._start_measuring)
        super().__init__(
            "How far can it be pushed?",
            [self.image, *self.amounts.values(), card.row(self.reset, self.button)],
            card.PictureView(self._click),
        )
        self.watch(self.image, *self.amounts.values())
        self.refresh()

    def undo(self) -> None:
        with self.changing():
            for kind, control in self.amounts.items():
                control.value = DISTORTIONS[kind].neutral

    def measure(self) -> None:
        """Measure the accuracy along every distortion; about a minute for 10000 images."""
        self._measuring = True
        try:
            measure_curves(self.net, self.images, each=self._new_point)
        finally:
            self._measuring = False
            self.refresh()

    def _new_point(self, curves):
        self.curves = curves
        self.refresh()

    def _start_measuring(self):
        # In a thread of its own, so that the sliders go on answering.
        if self._measuring:  # not disabled: that would take the keyboard's focus from the button
            return
        self._measuring = True
        self.thread = threading.Thread(target=self.saying(self.measure), daemon=True)
        self.thread.start()

    def refresh(self) -> None:
        versions = card.versions(self.net)
        if versions != self._versions:  # the network has been trained since, or is new here
            self._versions, self._along = versions, {}
            self.curves = stored_curves(self.net, self.images)
        done = sum(map(len, self.curves.values())) / POINTS
        again = "again" if self.curves else "the accuracy"
        words = f"measuring: {done:.0%}" if self._measuring else f"measure {again} (a minute)"
        self.button.description = words
        super().refresh()

    def _click(self, kind, across, down):
        what = DISTORTIONS[kind]
        amount = what.low + across * (what.high - what.low)
        self.amounts[kind].value = round(amount / what.step) * what.step

    def look(self) -> tuple[Tensor, int, Tensor, card.Prediction, str]:
        """The chosen image, its target, distorted, what the network predicts of it, in words."""
        original, target = card.one_image(self.images, self.image.value)
        X = distort(original, **{kind: control.value for kind, control in self.amounts.items()})
        prediction = card.predict_image(self.net, X)
        if prediction.predicted is None:
            raise ValueError(prediction.words(self.labels))
        if self.image.value not in self._along:
            net = card.copied(self.net)
            along = {kind: predictions_along(net, original, kind) for kind in DISTORTIONS}
            self._along = {self.image.value: along}
        rotated = self._along[self.image.value]["rotation"]
        same = prediction.predicted == rotated[len(rotated) // 2]  # by 0 degrees
        words = f"{'still' if same else 'flips to'} {self.labels[prediction.predicted]}"
        return original, target, X, prediction, words

    def picture(self) -> Picture:
        original, target, X, prediction, words = self.seen
        picture = Picture(462, WIDTH)
        picture.text(0, 10, f"the image: {self.labels[target]}", 14, QUIET)
        picture.pixels(0, 24, SIDE, SIDE, card.grey(original[0, 0]))
        color = GREEN if prediction.predicted == target else MARK
        picture.text(SIDE + 16, 10, words, 16, color, bold=True)
        picture.pixels(SIDE + 16, 24, SIDE, SIDE, card.grey(X[0, 0]))
        x = 2 * SIDE + 32
        width = WIDTH - x
        card.draw_probabilities(picture, prediction, self.labels, x, 4, width, target, row=16)
        draw_legend(picture, len(self.images), 186)
        for i, (kind, along) in enumerate(self._along[self.image.value].items()):
            place = 42 + i % 3 * (WIDTH / 3 + 4), 212 + i // 3 * 128
            amount, curve = self.amounts[kind].value, self.curves.get(kind)
            draw_panel(picture, kind, amount, curve, along, target, self.labels, *place)
        return picture

    def describe(self) -> str:
        _, target, _, prediction, words = self.seen
        return (
            f"Image {self.image.value}, {self.labels[target]}, distorted: {words}, "
            f"{card.percent(prediction.probabilities.max())}. For each of shift right, shift down, "
            f"rotate, scale, blur and noise the accuracy over all {len(self.images)} images as a "
            "curve, and below it what this image is predicted as."
        )
