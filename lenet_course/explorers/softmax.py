"""Explorer of chapter 5: ten logits, their probabilities, the loss, and its gradient p - y."""

from lenet_course.drawing import Picture

import math
from collections.abc import Sequence
from typing import NamedTuple

import ipywidgets as widgets
import torch
from torch import Tensor

from .card import (
    BLUE,
    GREEN,
    INK,
    MARK,
    QUIET,
    WIDTH,
    Explorer,
    PictureView,
    dropdown,
    number,
    percent,
    row,
    slider,
)

# ---------------------------------------------------------------------------- computing


class SoftmaxStep(NamedTuple):
    """From ten logits and a target to the loss and its gradient."""

    exponentials: Tensor  # (10,)
    probabilities: Tensor  # (10,)
    targets: Tensor  # (10,), one-hot
    loss: float
    gradient: Tensor  # (10,), of the loss for each logit: probabilities less targets


def softmax_step(logits: Tensor, target: int) -> SoftmaxStep:
    """What softmax and cross-entropy make of `logits` (10,) where `target` is the right class."""
    exponentials = logits.exp()
    probabilities = exponentials / exponentials.sum()
    targets = torch.zeros(len(logits))
    targets[target] = 1.0
    loss = -probabilities[target].log().item()
    return SoftmaxStep(exponentials, probabilities, targets, loss, probabilities - targets)


# ---------------------------------------------------------------------------- drawing

TOP, ROW = 76, 32
NAMES = 110  # where the bars of the logits begin
COLUMNS = {"logits": (NAMES, 240), "exp": (366, 74), "p": (466, 200), "gradient": (690, 230)}


def draw_softmax(
    logits: Tensor, target: int, labels: Sequence[str], chosen: int, largest: float
) -> Picture:
    """The Picture of ten logits, at most `largest`; the `chosen` one is in the slider."""
    step, bottom = softmax_step(logits, target), TOP + ROW * len(logits)
    picture = Picture(bottom + 112)
    _draw_headings(picture)
    for i, label in enumerate(labels):
        middle, is_target = TOP + (i + 0.5) * ROW, i == target
        if i == chosen:
            picture.box(0, middle - ROW / 2, WIDTH, ROW, "#f2f2f2")
        color = GREEN if is_target else INK
        picture.text(NAMES - 10, middle, label, 15, color, "end", is_target)
        _draw_signed(picture, "logits", middle, logits[i].item(), largest, QUIET)
        x, width = COLUMNS["exp"]
        picture.text(x + width, middle, _short(step.exponentials[i].item()), 15, INK, "end")
        _draw_probability(picture, middle, step.probabilities[i].item(), is_target)
        gradient = step.gradient[i].item()
        _draw_signed(picture, "gradient", middle, gradient, 1.0, MARK if gradient > 0 else BLUE)
    picture.spot(NAMES, TOP, COLUMNS["logits"][1], bottom - TOP, "logits")
    _draw_sums(picture, step, labels[target], bottom)
    return picture


def _draw_headings(picture):
    headings = {"logits": "logits o", "exp": "exp(o)", "p": "probabilities p", "gradient": "p − y"}
    notes = {"logits": "click to set one", "p": "exp(o) / sum", "gradient": "gradient of the loss"}
    for name, (x, width) in COLUMNS.items():
        picture.text(x + width / 2, 20, headings[name], 17, INK, "middle", True)
        picture.text(x + width / 2, 46, notes.get(name, ""), 14, QUIET, "middle")


def _draw_signed(picture, column, middle, value, largest, color):
    """A bar to the right of the column's middle, or to its left for a value below 0."""
    x, width = COLUMNS[column]
    zero, half = x + width / 2, width / 2 - 44
    long = half * max(-1.0, min(1.0, value / largest))
    picture.box(min(zero, zero + long), middle - 10, abs(long), 20, color)
    picture.line([(zero, middle - ROW / 2), (zero, middle + ROW / 2)], INK, 1)
    side, anchor = (6, "start") if value >= 0 else (-6, "end")
    picture.text(zero + long + side, middle, number(value), 14, INK, anchor)


def _draw_probability(picture, middle, p, is_target):
    x, width = COLUMNS["p"]
    room = width - 62
    picture.box(x, middle - 10, room, 20, "#e4e4e4")
    picture.box(x, middle - 10, room * p, 20, GREEN if is_target else QUIET)
    picture.text(x + width, middle, percent(p), 14, INK, "end")


def _draw_sums(picture, step, name, bottom):
    """The sums of the columns, and the loss in a line of its own."""
    y = bottom + 22
    picture.line([(0, bottom + 4), (WIDTH, bottom + 4)], QUIET, 1)
    picture.text(NAMES - 10, y, "sum", 15, QUIET, "end")
    ends = {
        "exp": _short(step.exponentials.sum().item()),
        "p": percent(step.probabilities.sum().item()),
    }
    for column, words in ends.items():
        x, width = COLUMNS[column]
        picture.text(x + width, y, words, 15, INK, "end")
    x, width = COLUMNS["gradient"]
    picture.text(x + width / 2, y, number(step.gradient.sum().item()), 15, INK, "middle")
    words = f"loss = −ln p({name}) = {number(step.loss, 3)}"
    picture.text(WIDTH / 2, bottom + 74, words, 22, GREEN, "middle", True)


def _short(value):
    return f"{value:.2f}" if value < 1000 else f"{value:.0f}"


# ---------------------------------------------------------------------------- the widget


class SoftmaxExplorer(Explorer):
    """Move ten logits, and see the probabilities, the loss and the gradient p - y answer.

    Usage: `SoftmaxExplorer(logits, target, labels).show()`; `logits` (10,) are where it starts.
    Click in the column of the logits (then the arrow keys change them), or use the slider.
    """

    def __init__(self, logits: Tensor, target: int, labels: Sequence[str]) -> None:
        if logits.shape != (10,) or len(labels) != 10:
            found = f"logits of shape {tuple(logits.shape)} and {len(labels)} labels"
            raise ValueError(f"ten logits and ten labels are needed, not {found}")
        self.labels = list(labels)
        self.start = logits.detach().cpu().clone()
        self.largest = max(6.0, math.ceil(1.25 * self.start.abs().max().item()))
        self.logits = self.start.clone()
        names = [(name, i) for i, name in enumerate(self.labels)]
        self.target = dropdown("target", names, int(target))
        self.chosen = dropdown("logit of", names, int(target))
        self.logit = slider(
            "is", -self.largest, self.largest, 0.0, 0.05, "420px", readout_format=".2f"
        )
        changes = {"add 1 to all": self._add, "double all": self._double}
        changes |= {"a step against the gradient": self._step, "start again": self._again}
        buttons = [widgets.Button(description=words, layout={"width": "auto"}) for words in changes]
        for button, change in zip(buttons, changes.values(), strict=True):
            button.on_click(lambda _, change=change: self._set(change()))
        super().__init__(
            "Softmax, cross-entropy, and the gradient that comes back",
            [row(self.target, self.chosen, self.logit), row(*buttons)],
            PictureView(self._click, self._arrow, tab_to=buttons[0]),
        )
        self.watch(self.target)
        self.chosen.observe(lambda change: self._set(self.logits), "value")
        self.logit.observe(lambda change: self._slide(change.new), "value")
        self._set(self.logits)

    @property
    def step(self) -> SoftmaxStep:
        """The SoftmaxStep of the logits as they stand."""
        return softmax_step(self.logits, self.target.value)

    def _add(self):
        return self.logits + 1

    def _double(self):
        return self.logits * 2

    def _step(self):
        return self.logits - self.step.gradient  # a learning rate of 1

    def _again(self):
        return self.start.clone()

    def _set(self, logits):
        """Take over `logits`, and move the slider to the chosen one."""
        self.logits = logits.clamp(-self.largest, self.largest)
        with self.changing():
            self.logit.value = round(self.logits[self.chosen.value].item(), 2)

    def _slide(self, value):
        if not self._quiet:  # the reader has moved it
            self.logits[self.chosen.value] = value
            self.refresh()

    def _click(self, key, across, down):
        width, half = COLUMNS["logits"][1], COLUMNS["logits"][1] / 2 - 44
        value = (across - 0.5) * width / half * self.largest
        with self.changing():
            self.chosen.value = min(int(down * 10), 9)
            self._nudge(value - self.logits[self.chosen.value].item())

    def _arrow(self, columns, rows):
        with self.changing():
            self.chosen.value = (self.chosen.value + rows) % 10
            self._nudge(0.25 * columns)

    def _nudge(self, change):
        logits = self.logits.clone()
        logits[self.chosen.value] += change
        self._set(logits)

    def picture(self) -> Picture:
        return draw_softmax(
            self.logits, self.target.value, self.labels, self.chosen.value, self.largest
        )

    def describe(self) -> str:
        p = self.step.probabilities
        first, target = int(p.argmax()), self.target.value
        return (
            f"Ten logits as bars, their probabilities, and the gradient p − y of the loss. Most "
            f"probable is {self.labels[first]} with {percent(p[first].item())}; the target "
            f"{self.labels[target]} has {percent(p[target].item())}, so the loss is "
            f"{number(self.step.loss, 3)}."
        )
