"""Explorer of chapter 5: ten logits, their probabilities, the loss, and its gradient p - y."""

from lenet_course import checks
from lenet_course.drawing import Picture, short

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from . import card
from .card import BLUE, GREEN, INK, MARK, QUIET, WIDTH, number, percent

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
    probabilities = logits.softmax(dim=0)  # the quotient, without an infinity from 89 on
    targets = torch.zeros(len(logits))
    targets[target] = 1.0
    loss = -logits.log_softmax(dim=0)[target].item()
    return SoftmaxStep(exponentials, probabilities, targets, loss, probabilities - targets)


def ten_logits(logits: Tensor | Sequence[float]) -> Tensor:
    """A copy (10,) in float32 on the CPU. Raises ValueError unless these are ten finite numbers."""
    try:
        found = torch.as_tensor(logits).detach()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"ten finite logits are needed, not {short(str(logits))!r}") from None
    if found.shape != (10,) or found.is_complex() or found.dtype == torch.bool:
        raise ValueError(
            f"ten finite logits are needed, not {found.dtype} of shape {tuple(found.shape)}"
        )
    found = found.to("cpu", torch.float32, copy=True)
    if not found.abs().max() < 1e38:
        raise ValueError(f"ten finite logits are needed, below 1e38, not {found.tolist()}")
    return found


# ---------------------------------------------------------------------------- drawing

TOP, ROW, NAMES = 52, 30, 84  # NAMES is where the bars of the logits begin
COLUMNS = {"logits": (NAMES, 170), "exp": (262, 60), "p": (336, 136), "gradient": (484, 156)}
HEADINGS = {
    "logits": ("logits o", "press to set one"), "exp": ("exp(o)", ""),
    "p": ("probabilities p", "exp(o) / sum"), "gradient": ("p − y", "gradient of the loss"),
}  # fmt: skip


def draw_softmax(
    logits: Tensor, target: int, labels: Sequence[str], chosen: int, largest: float
) -> Picture:
    """The Picture of ten logits, at most `largest`; the `chosen` one is in the slider."""
    step, bottom = softmax_step(logits, target), TOP + ROW * len(logits)
    picture = Picture(bottom + 76, WIDTH)
    for name, (x, width) in COLUMNS.items():
        heading, note = HEADINGS[name]
        picture.text(x + width / 2, 12, heading, 15, INK, "middle", True)
        picture.text(x + width / 2, 32, note, 13, QUIET, "middle")
    for i, label in enumerate(labels):
        middle, is_target = TOP + (i + 0.5) * ROW, i == target
        if i == chosen:
            picture.box(0, middle - ROW / 2, WIDTH, ROW, "#f2f2f2")
        color = GREEN if is_target else INK
        picture.text(NAMES - 6, middle, label, 13.5, color, "end", is_target)
        _draw_signed(picture, "logits", middle, logits[i].item(), largest, QUIET)
        _draw_words(picture, "exp", middle, _short(step.exponentials[i].item()))
        x, width = COLUMNS["p"]
        picture.box(x, middle - 9, width - 52, 18, "#e4e4e4")
        p, fill = step.probabilities[i].item(), GREEN if is_target else QUIET
        picture.box(x, middle - 9, (width - 52) * p, 18, fill)
        _draw_words(picture, "p", middle, percent(p))
        gradient = step.gradient[i].item()
        _draw_signed(picture, "gradient", middle, gradient, 1.0, MARK if gradient > 0 else BLUE)
    picture.spot(NAMES, TOP, COLUMNS["logits"][1], bottom - TOP, "logits")
    picture.line([(0, bottom + 3), (WIDTH, bottom + 3)], QUIET, 1)
    picture.text(NAMES - 6, bottom + 18, "sum", 13.5, QUIET, "end")
    _draw_words(picture, "exp", bottom + 18, _short(step.exponentials.sum().item()))
    _draw_words(picture, "p", bottom + 18, percent(step.probabilities.sum().item()))
    x, width = COLUMNS["gradient"]
    gradient = number(step.gradient.sum().item())
    picture.text(x + width / 2, bottom + 18, gradient, 13.5, INK, "middle")
    words = f"loss = −ln p({labels[target]}) = {_short(step.loss, 3)}"
    picture.text(WIDTH / 2, bottom + 56, words, 19, GREEN, "middle", True)
    return picture


def _draw_words(picture, column, y, words):
    x, width = COLUMNS[column]
    picture.text(x + width, y, words, 13.5, INK, "end")


def _draw_signed(picture, column, middle, value, largest, color):
    """A bar to the right of the column's middle, or to its left for a value below 0."""
    x, width = COLUMNS[column]
    zero, half = x + width / 2, width / 2 - ROOM
    long = half * max(-1.0, min(1.0, value / largest))
    picture.box(min(zero, zero + long), middle - 9, abs(long), 18, color)
    picture.line([(zero, middle - ROW / 2), (zero, middle + ROW / 2)], INK, 1)
    side, anchor = (5, "start") if value >= 0 else (-5, "end")
    picture.text(zero + long + side, middle, _short(value), 13, INK, anchor)


ROOM = 40  # for the number at the end of a bar


def _short(value, digits=2):
    """A number in at most eight characters: 12.34, 123456, 1.2e+17; float32 ends near 3e38."""
    if abs(value) < 1000:
        return number(value, digits)
    if abs(value) < 1e6:
        return number(value, 0)
    return f"{value:.1e}".replace("-", "−") if math.isfinite(value) else "> 1e38"


# ---------------------------------------------------------------------------- the widget


class SoftmaxExplorer(card.Explorer):
    """Move ten logits, and see the probabilities, the loss and the gradient p - y follow.

    Usage: `SoftmaxExplorer(logits, target, labels).show()`; `logits` (10,) are where it starts.
    Press in the column of the logits (then the arrow keys change them), or use the slider.
    """

    def __init__(self, logits: Tensor, target: int, labels: Sequence[str]) -> None:
        self.start, self.labels = ten_logits(logits), list(labels)
        if len(self.labels) != 10:
            raise ValueError(f"ten labels are needed, not {len(self.labels)}")
        target = checks.whole_number("target", target, 0, 9)
        self.largest = max(6.0, float(math.ceil(1.25 * self.start.abs().max().item())))
        self.logits = self.start.clone()
        names = [(name, i) for i, name in enumerate(self.labels)]
        self.target = card.dropdown("target", names, target)
        self.chosen = card.dropdown("logit of", names, target)
        self.logit = card.slider("logit", -self.largest, self.largest, 0.0, 0.05, digits=2)
        buttons = [
            card.button("add 1 to all", lambda: self._set(self.logits + 1)),
            card.button("double all", lambda: self._set(self.logits * 2)),
            # A learning rate of 1.
            card.button("a step against the gradient",
                        lambda: self._set(self.logits - self.step.gradient)),
            card.button("start again", lambda: self._set(self.start)),
        ]  # fmt: skip
        title = "Softmax, cross-entropy, and the gradient that comes back"
        hint = "arrow keys: up and down choose a logit, left and right change it"
        view = card.PictureView(self._click, self._arrow, hint=hint)
        super().__init__(title, [self.target, self.chosen, self.logit, *buttons], view)
        self.watch(self.target)
        self.chosen.observe(lambda change: self._set(self.logits), "value")
        self.logit.observe(lambda change: self._slide(change.new), "value")
        self._set(self.logits)

    @property
    def step(self) -> SoftmaxStep:
        """The SoftmaxStep of the logits as they stand."""
        return softmax_step(self.logits, self.target.value)

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
        width = COLUMNS["logits"][1]
        value = (across - 0.5) * width / (width / 2 - ROOM) * self.largest
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
            f"Predicted is {self.labels[first]} with {percent(p[first].item())}; the target "
            f"{self.labels[target]} has {percent(p[target].item())}, so the loss is "
            f"{_short(self.step.loss, 3)}. Ten logits as bars, their probabilities, and the "
            "gradient p − y of the loss."
        )
