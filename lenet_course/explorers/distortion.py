"""Explorer of chapter 4: how far can an image be pushed until the network's answer flips?"""

import lenet_helpers as lenet
from lenet_course import checks, saved
from lenet_course.drawing import Picture

import hashlib
import json
import math
import threading
from typing import NamedTuple

import ipywidgets as widgets
import numpy as np
import torch
from torch.nn import functional as F

from .card import (
    BLUE,
    GREEN,
    INK,
    MARK,
    QUIET,
    Explorer,
    PictureView,
    check_images,
    draw_probabilities,
    grey,
    image_number,
    one_image,
    predict_image,
    row,
    slider,
)

# ---------------------------------------------------------------------------- computing


class Kind(NamedTuple):
    """One way to distort: its name and unit, its range, and the amount that changes nothing."""

    name: str
    unit: str
    low: float
    high: float
    neutral: float
    step: float


KINDS = {
    "right": Kind("shift right", "pixels", -12, 12, 0, 1),
    "down": Kind("shift down", "pixels", -12, 12, 0, 1),
    "turn": Kind("rotate", "degrees", -90, 90, 0, 5),
    "scale": Kind("scale", "times", 0.4, 1.6, 1, 0.05),
    "blur": Kind("blur", "pixels", 0, 4, 0, 0.25),
    "noise": Kind("noise", "of white", 0, 1, 0, 0.05),
}
POINTS = 9  # of each accuracy curve
FILE = "distortion.json"


def distort(X, right=0.0, down=0.0, turn=0.0, scale=1.0, blur=0.0, noise=0.0):
    """X (B, 1, 28, 28) scaled, turned (degrees, clockwise), shifted (pixels), blurred, noisy.

    `blur` is the standard deviation of a Gaussian in pixels, `noise` that of what is added to every
    pixel, always the same for the same B. Values are cut to 0..1. Raises ValueError for amounts
    that are not numbers, a scale of 0 or less, a negative blur or noise.
    """
    checks.batch(X)
    amounts = dict(right=right, down=down, turn=turn, scale=scale, blur=blur, noise=noise)
    for name, amount in amounts.items():
        if not math.isfinite(amount):
            raise ValueError(f"{name} must be a number, it is {amount}")
    if scale <= 0 or blur < 0 or noise < 0:
        raise ValueError(
            f"scale must be above 0, blur and noise at least 0; they are {scale}, {blur}, {noise}"
        )
    if right or down or turn or scale != 1:
        cos, sin = math.cos(math.radians(turn)) / scale, math.sin(math.radians(turn)) / scale
        # For each pixel of the result the place in X that it comes from; X spans -1..1.
        x, y = -right / 14, -down / 14
        theta = torch.tensor([[cos, sin, cos * x + sin * y], [-sin, cos, -sin * x + cos * y]])
        grid = F.affine_grid(theta.expand(len(X), 2, 3), X.shape, align_corners=False)
        X = F.grid_sample(X, grid, align_corners=False)
    if blur:
        blur = max(blur, 0.01)  # which changes nothing; far less would divide by zero
        radius = math.ceil(3 * blur)
        weights = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * blur**2))
        weights /= weights.sum()
        X = F.conv2d(X, weights.view(1, 1, 1, -1), padding=(0, radius))
        X = F.conv2d(X, weights.view(1, 1, -1, 1), padding=(radius, 0))
    if noise:
        X = X + noise * torch.randn(X.shape, generator=torch.Generator().manual_seed(0))
    return X.clamp(0, 1)


def answers_along(net, X, kind, amounts):
    """The answer to one image X (1, 1, 28, 28) at each of the `amounts` of one distortion alone."""
    versions = torch.cat([distort(X, **{kind: amount}) for amount in amounts])
    return lenet.predict(net, versions).argmax(dim=1)


def first_right(net, images):
    """The first image (of the first hundred) that `net` reads rightly; 0 if there is none."""
    X, y = images[list(range(min(100, len(images))))]
    right = (lenet.predict(net, X).argmax(dim=1) == y).nonzero()
    return right[0].item() if len(right) else 0


def accuracy_at(net, images, **amounts):
    """Share of `images` that `net` classifies correctly when all of them are distorted."""
    batches = lenet.batches(images, 1000, shuffle=False)
    return lenet.evaluate_accuracy_gpu(net, ((distort(X, **amounts), y) for X, y in batches))


def slider_amounts(kind):
    """The amounts that its slider can take, the neutral one among them."""
    what = KINDS[kind]
    steps = round((what.high - what.low) / what.step)
    return [round(what.low + i * what.step, 3) for i in range(steps + 1)]


def curve_amounts(kind):
    """The amounts of a distortion at which its accuracy is measured."""
    return np.linspace(KINDS[kind].low, KINDS[kind].high, POINTS).round(3).tolist()


# The curves take a while, so they are kept in a file, together with what they were measured for.


def weight_sizes(net):
    """Mean and root mean square of each tensor of weights: they tell one network from another."""
    weights = [value.detach().cpu().double() for value in net.state_dict().values()]
    return [size.item() for w in weights for size in (w.mean(), w.square().mean().sqrt())]


def fingerprint(images):
    """Changes with any image and any label."""
    content = images.images.numpy().tobytes() + images.labels.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()


def stored_curves(net, images):
    """The curves {kind: [(amount, accuracy), ...]} measured earlier for these, or {}.

    The same training on another processor ends with weights that differ from the sixth digit on,
    and those are still these; a single step of training more makes others of them.
    """
    digest, sizes = fingerprint(images), weight_sizes(net)
    for path in (saved.runs_folder() / FILE, lenet.COURSE / "results" / FILE):
        for found in _measured(path):
            same_size = len(found["weights"]) == len(sizes)
            if (
                found["images"] == digest
                and same_size
                and np.allclose(found["weights"], sizes, rtol=1e-4, atol=1e-5)
            ):
                return found["curves"]
    return {}


def _measured(path):
    """All that is in such a file; nothing if it is missing or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    entries = content if isinstance(content, list) else []
    keys = {"images", "weights", "curves"}
    return [entry for entry in entries if isinstance(entry, dict) and entry.keys() == keys]


def measure_curves(net, images, path=None, each=lambda curves: None):
    """Measure the accuracy on all `images` along every distortion, and keep it in a file.

    49 times all images: about a minute for 10000 on two cores. `each` is called with the
    curves so far after every point; the file is distortion.json in saved.runs_folder(), or `path`.
    """
    curves = {kind: [] for kind in KINDS}
    undistorted = accuracy_at(net, images)
    for kind, what in KINDS.items():
        for amount in curve_amounts(kind):
            same = amount == what.neutral
            accuracy = undistorted if same else accuracy_at(net, images, **{kind: amount})
            curves[kind].append((amount, accuracy))
            each(curves)
    path = path or saved.runs_folder() / FILE
    entry = {"images": fingerprint(images), "weights": weight_sizes(net), "curves": curves}
    others = [
        found
        for found in _measured(path)
        if found["images"] != entry["images"] or found["weights"] != entry["weights"]
    ]
    saved.write_json([*others, entry], path)
    return curves


# ---------------------------------------------------------------------------- drawing

PANEL = (250, 96)  # width and height of a curve's axes


def draw_distortion(original, X, reading, label, labels, amounts, curves, answers, count):
    """The Picture: the image before and after, the probabilities, and a panel for each distortion.

    `answers` are what `answers_along` finds for each kind along its whole range; `curves` the
    accuracies over all `count` images.
    """
    picture = Picture(620)
    picture.text(0, 10, f"the image: {labels[label]}", 16, QUIET)
    picture.pixels(0, 30, 224, 224, grey(original[0, 0]))
    answer = int(reading.probabilities.argmax())
    before = int(answers["turn"][slider_amounts("turn").index(0)])
    words = f"{'still' if answer == before else 'flips to'} {labels[answer]}"
    picture.text(256, 10, words, 20, GREEN if answer == label else MARK, bold=True)
    picture.pixels(256, 30, 224, 224, grey(X[0, 0]))
    draw_probabilities(picture, reading, labels, 530, 24, 430, label, row=23)
    for i, kind in enumerate(KINDS):
        right = answers[kind] == label
        left, top = 48 + i % 3 * 331, 304 + i // 3 * 160
        _draw_panel(picture, kind, amounts[kind], curves.get(kind), right, left, top)
    picture.line([(0, 276), (24, 276)], BLUE, 3)
    picture.text(32, 276, f"accuracy on {count} images, each distortion alone", 14)
    for x, color, words in ((470, GREEN, "this image read rightly"), (690, MARK, "wrongly")):
        picture.box(x, 268, 24, 16, color)
        picture.text(x + 32, 276, words, 14)
    return picture


def _draw_panel(picture, kind, amount, curve, right, left, top):
    what, (width, height) = KINDS[kind], PANEL

    def place(value, accuracy):
        share = (value - what.low) / (what.high - what.low)
        return left + width * share, top + height * (1 - accuracy)

    for share in (0, 0.5, 1):
        picture.line([place(what.low, share), place(what.high, share)], "#dddddd", 1)
        picture.text(left - 6, place(0, share)[1], f"{share:.0%}", 13, QUIET, "end")
    if curve:
        picture.line([place(*point) for point in curve], BLUE, 3)
    else:
        middle = left + width / 2, top + height / 2
        picture.text(*middle, "not measured yet", 14, QUIET, "middle")
    y, half = top + height + 4, what.step / 2
    for value, good in zip(slider_amounts(kind), right.tolist(), strict=True):
        start, _ = place(max(value - half, what.low), 0)
        end, _ = place(min(value + half, what.high), 0)
        # A little wider than it is, or fine white lines show between two of a colour.
        picture.box(start, y, min(end + 0.5, left + width) - start, 12, GREEN if good else MARK)
    x = place(amount, 0)[0]
    picture.line([(x, top - 4), (x, top + height + 18)], INK, 3)
    digits = 0 if what.step >= 1 else 2
    for value, anchor in ((what.low, "start"), (what.high, "end")):
        words = f"{value:g}".replace("-", "−")
        picture.text(place(value, 0)[0], top + height + 28, words, 13, QUIET, anchor)
    words = f"{what.name} {amount:.{digits}f} {what.unit}".replace("-", "−")
    picture.text(left + width / 2, top + height + 28, words, 14, INK, "middle")
    picture.spot(left, top - 4, width, height + 22, kind)


# ---------------------------------------------------------------------------- the widget


class DistortionExplorer(Explorer):
    """Shift, turn, scale, blur an image or add noise, and see when the answer of `net` flips.

    Usage: `DistortionExplorer(net, images, labels).show()`; `images` is a lenet.ImageDataset. The
    button measures the accuracy over all of `images`; `.measure()` does the same and waits for it.
    """

    def __init__(self, net, images, labels):
        check_images(images, labels)
        self.net, self.images, self.labels = net, images, list(labels)
        self.curves, self._versions, self._measuring = {}, None, False
        self.image = image_number(images, first_right(net, images))
        self.amounts = {
            kind: slider(
                f"{what.name} ({what.unit})", what.low, what.high, what.neutral, what.step,
                digits=0 if what.step >= 1 else 2,
            )
            for kind, what in KINDS.items()
        }  # fmt: skip
        self.reset = widgets.Button(description="undo all")
        self.button = widgets.Button()
        sliders = list(self.amounts.values())
        super().__init__(
            "How far can it be pushed?",
            [row(self.image, self.reset, self.button), row(*sliders[:3]), row(*sliders[3:])],
            PictureView(self._click, hint="press in a curve: that amount"),
        )
        self.reset.on_click(lambda button: self.undo())
        self.button.on_click(lambda button: self._start_measuring())
        self.watch(self.image, *sliders)
        self.refresh()

    def undo(self):
        with self.changing():
            for kind, control in self.amounts.items():
                control.value = KINDS[kind].neutral

    def measure(self):
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
        self.button.disabled = True
        self.thread = threading.Thread(target=self.measure, daemon=True)
        self.thread.start()

    def refresh(self):
        versions = [value._version for value in self.net.state_dict(keep_vars=True).values()]
        if versions != self._versions:  # the network has been trained since, or is new here
            self._versions, self._answers = versions, {}
            self.curves = stored_curves(self.net, self.images)
        done = sum(map(len, self.curves.values())) / (POINTS * len(KINDS))
        again = "again" if self.curves else "the accuracy"
        self.button.disabled = self._measuring
        self.button.description = (
            f"measuring: {done:.0%}" if self._measuring else f"measure {again} (a minute)"
        )
        super().refresh()

    def _click(self, kind, across, down):
        what = KINDS[kind]
        amount = what.low + across * (what.high - what.low)
        self.amounts[kind].value = round(amount / what.step) * what.step

    @property
    def answers(self):
        """For each kind the answers along its slider, for the chosen image."""
        index = self.image.value
        if index not in self._answers:
            X, _ = one_image(self.images, index)
            found = {k: answers_along(self.net, X, k, slider_amounts(k)) for k in KINDS}
            self._answers = {index: found}
        return self._answers[index]

    def picture(self):
        original, label = one_image(self.images, self.image.value)
        amounts = {kind: control.value for kind, control in self.amounts.items()}
        X = distort(original, **amounts)
        return draw_distortion(
            original, X, predict_image(self.net, X), label, self.labels, amounts,
            self.curves, self.answers, len(self.images),
        )  # fmt: skip

    def describe(self):
        return (
            f"Image {self.image.value} before and after distortion with its ten probabilities; for "
            "each of shift right, shift down, rotate, scale, blur and noise the accuracy over all "
            f"{len(self.images)} images as a curve, and where this image is read rightly."
        )
