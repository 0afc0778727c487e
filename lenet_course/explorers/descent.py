"""Explorer of chapter 5: gradient descent on a loss surface, from "creeps" to "jumps out"."""

from lenet_course.drawing import Picture

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import card
from .card import FRAME, INK, MARK, QUIET, WIDTH, check_images, number

MOST_STEPS = 100


# ---------------------------------------------------------------------------- surfaces


class Surface(NamedTuple):
    """A loss as a function of one weight, or of two, within limits."""

    name: str
    loss: Callable[[Tensor], Tensor]  # of points (N, 1) or (N, 2): their losses (N,)
    low: tuple[float, ...]  # the limits, a number for each weight
    high: tuple[float, ...]
    start: tuple[float, ...]
    weights: tuple[str, ...]  # names
    trained: Sequence = ()  # points that the real training went through


def valley(steepness: float = 20.0) -> Surface:
    """A long valley: the loss is half of a^2 + `steepness` b^2."""

    def loss(points):
        return (points.square() @ torch.tensor([1.0, steepness])) / 2

    name = f"a valley, {steepness:g} times as steep across as along"
    return Surface(name, loss, (-6.0, -3.0), (6.0, 3.0), (-5.0, 1.0), ("a", "b"))


def saddle() -> Surface:
    """The loss (1 - a b)^2 / 2 of a chain of two weights: a plateau around 0, where both are."""

    def loss(points):
        return (1 - points.prod(dim=1)).square() / 2

    name = "a plateau, two weights in a chain"
    return Surface(name, loss, (-1.5, -1.5), (1.5, 1.5), (0.06, -0.02), ("a", "b"))


def one_weight(
    net: nn.Sequential, images, layer: int, index: tuple[int, ...], low: float, high: float
) -> Surface:
    """The loss of `net` on `images` along one value of the weight of `net[layer]`."""
    check_images(images)
    X, y = images[: len(images)]
    weight, values = net[layer].weight, torch.linspace(low, high, 61)
    before, losses = weight[index].item(), []
    try:
        with torch.no_grad():
            for value in values:
                weight[index] = value
                losses.append(F.cross_entropy(net(X), y))
    finally:
        with torch.no_grad():
            weight[index] = before
    loss = between(torch.stack(losses), (low,), (high,))
    return Surface("LeNet, one weight of conv 1", loss, (low,), (high,), (high,), ("weight",))


def two_directions(measured: dict) -> Surface:
    """LeNet's loss in the plane of its own training, as results/surface.json holds it."""
    low, high = tuple(measured["low"]), tuple(measured["high"])
    loss, path = between(torch.tensor(measured["loss"]), low, high), measured["path"]
    name = "LeNet, the plane of its training"
    return Surface(name, loss, low, high, tuple(path[0]), ("direction 1", "direction 2"), path)


def between(losses: Tensor, low: tuple, high: tuple) -> Callable[[Tensor], Tensor]:
    """A smooth function through losses (N,), or (M, N), measured at even steps from low to high."""
    grid = losses.expand(4, -1) if losses.dim() == 1 else losses
    low, high = torch.tensor(low), torch.tensor(high)

    def loss(points):
        places = 2 * (points - low) / (high - low) - 1  # -1 to 1, as grid_sample wants them
        places = F.pad(places, (0, 2 - places.shape[1])).view(1, 1, -1, 2)
        found = F.grid_sample(grid[None, None], places, "bicubic", "border", align_corners=True)
        return found.view(-1)

    return loss


# ---------------------------------------------------------------------------- descending


class Descent(NamedTuple):
    """What gradient descent did on a surface."""

    points: Tensor  # (steps + 1, 1 or 2), the start first
    losses: Tensor  # (steps + 1,)
    jumped_out: bool  # the last point lies outside the surface's limits

    @property
    def steps(self) -> int:
        return len(self.points) - 1


def descend(
    surface: Surface, start: Sequence[float], lr: float, momentum: float, steps: int
) -> Descent:
    """Gradient descent from `start`, as torch.optim.SGD does it; it ends where it jumps out."""
    low, high = torch.tensor(surface.low), torch.tensor(surface.high)
    point = torch.tensor(start, dtype=torch.float32)
    velocity, points, outside = torch.zeros_like(point), [point], False
    for _ in range(steps):
        point.requires_grad_()
        (gradient,) = torch.autograd.grad(surface.loss(point.unsqueeze(0)).sum(), point)
        velocity = momentum * velocity + gradient
        point = point.detach() - lr * velocity
        points.append(point)
        outside = not bool(((low <= point) & (point <= high)).all())
        if outside:
            break
    points = torch.stack(points)
    return Descent(points, surface.loss(points), outside)


def verdict(surface: Surface, descent: Descent) -> str:
    """What the descent did, in a sentence."""
    steps, losses = descent.steps, descent.losses
    if descent.jumped_out:
        return f"jumps out at step {steps}"
    lowest = surface.loss(_raster(surface, 41)).min()
    way = ((losses[0] - losses[-1]) / (losses[0] - lowest).clamp(min=1e-9)).item()
    uphill = int((losses.diff() > 1e-6).sum())
    if uphill > steps / 5:
        return f"swings: {uphill} of {steps} steps lead uphill"
    if way < 0.5:
        return f"creeps: after {steps} steps not halfway down"
    return f"comes down: after {steps} steps {way:.0%} of the way".replace("%", " %")


def _raster(surface, width, height=None):
    """Points (N, 1), or (N, 2) row after row from the upper edge, all over a surface."""
    axes = [torch.linspace(surface.low[0], surface.high[0], width)]
    if len(surface.low) == 1:
        return axes[0].unsqueeze(1)
    axes.append(torch.linspace(surface.high[1], surface.low[1], height or width))
    return torch.stack(torch.meshgrid(*axes, indexing="xy"), dim=-1).view(-1, 2)


# ---------------------------------------------------------------------------- drawing


class Frame(NamedTuple):
    """Where a diagram lies in the picture, and the values at its edges."""

    x: float
    y: float
    width: float
    height: float
    low: tuple[float, float]
    high: tuple[float, float]

    def place(self, a: float, b: float) -> tuple[float, float]:
        across = (a - self.low[0]) / (self.high[0] - self.low[0])
        up = (b - self.low[1]) / (self.high[1] - self.low[1])
        return self.x + self.width * across, self.y + self.height * (1 - up)

    def holds(self, a: float, b: float) -> bool:
        return self.low[0] <= a <= self.high[0] and self.low[1] <= b <= self.high[1]


LEFT, TOP, HEIGHT = 56, 44, 380
BANDS = 16  # of equal loss


def draw_descent(surface: Surface, descent: Descent, shades: np.ndarray | None) -> Picture:
    """The Picture of a descent: the surface with the path on it, and the loss over the steps."""
    picture = Picture(TOP + HEIGHT + 90)
    if len(surface.low) == 1:
        weights = _raster(surface, 121)
        curve = torch.stack([weights[:, 0], surface.loss(weights)], dim=1)
        highest = curve[:, 1].max().item()
        frame = Frame(LEFT, TOP, 520, HEIGHT, (surface.low[0], 0.0), (surface.high[0], highest))
        points = torch.stack([descent.points[:, 0], descent.losses], dim=1)
        picture.text(frame.x, TOP - 18, "the loss as a function of this weight", 15, QUIET)
        picture.line([frame.place(*point) for point in curve.tolist()], QUIET, 2.5)
    else:
        frame = Frame(LEFT, TOP, 520, HEIGHT, surface.low, surface.high)
        points = descent.points
        picture.pixels(frame.x, frame.y, frame.width, frame.height, shades)
        picture.text(frame.x, TOP - 18, "the darker, the lower the loss", 15, QUIET)
        _draw_trained(picture, surface, frame)
    names = (*surface.weights, "loss")[:2]
    _draw_axes(picture, frame, names)
    _draw_path(picture, frame, points.tolist())
    picture.spot(frame.x, frame.y, frame.width, frame.height, "surface")
    _draw_losses(picture, descent)
    words = verdict(surface, descent)
    picture.text(WIDTH / 2, TOP + HEIGHT + 74, words, 20, MARK, "middle", True)
    return picture


def shades_of(surface: Surface) -> np.ndarray | None:
    """The surface as an image in bands from dark (low) to light (high); None for one weight."""
    if len(surface.low) == 1:
        return None
    losses = surface.loss(_raster(surface, 260, 190)).view(190, 260)
    low, high = losses.min(), losses.quantile(0.98)
    share = ((losses - low) / (high - low)).clamp(0, 1).sqrt()  # narrow bands where it is low
    share = (share * BANDS).floor().clamp(max=BANDS - 1) / (BANDS - 1)
    dark, light = torch.tensor([20.0, 60.0, 105.0]), torch.tensor([245.0, 248.0, 250.0])
    return (dark + (light - dark) * share.unsqueeze(-1)).round().to(torch.uint8).numpy()


def _draw_trained(picture, surface, frame):
    """The way of the real training, where it is known."""
    places = [frame.place(*point) for point in surface.trained]
    if places:
        picture.line(places, "#ffffff", 2, dashed=True)
        x, y = places[-1]
        picture.text(x - 8, y - 14, "real training", 14, "#ffffff", "end")


def _draw_axes(picture, frame, names, digits=1):
    picture.box(frame.x, frame.y, frame.width, frame.height, line=FRAME)
    for share in (0.0, 0.5, 1.0):
        a, b = (low + share * (high - low) for low, high in zip(frame.low, frame.high, strict=True))
        x, y = frame.place(a, b)
        anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
        picture.text(x, frame.y + frame.height + 16, number(a, digits), 14, QUIET, anchor)
        fine = 2 if frame.high[1] - frame.low[1] < 2 else 1
        picture.text(frame.x - 8, y, number(b, fine), 14, QUIET, "end")
    middle = frame.x + frame.width / 2
    picture.text(middle, frame.y + frame.height + 38, names[0], 15, QUIET, "middle")
    middle = frame.y + frame.height / 4
    picture.text(frame.x - 40, middle, names[1], 15, QUIET, "middle", rotation=90)


def _draw_path(picture, frame, points):
    """Every step as a line and a dot; a step that leads out of the frame ends at its edge."""
    inside = [point for point in points if frame.holds(*point)]
    places = [frame.place(*point) for point in inside]
    if len(inside) < len(points) and inside:
        places.append(frame.place(*_at_edge(frame, inside[-1], points[len(inside)])))
    if len(places) > 1:
        picture.line(places, MARK, 2)
    for x, y in places:
        picture.box(x - 3, y - 3, 6, 6, MARK, "#ffffff", 0.75)
    x, y = places[0]
    picture.box(x - 7, y - 7, 14, 14, line=INK, thick=2.5)


def _at_edge(frame, inside, outside):
    """Where the line from a point inside to one outside crosses the edge."""
    share = 1.0
    for a, b, low, high in zip(inside, outside, frame.low, frame.high, strict=True):
        if not low <= b <= high and np.isfinite(b):
            share = min(share, ((high if b > high else low) - a) / (b - a))
    return [a + share * (b - a) for a, b in zip(inside, outside, strict=True)]


def _draw_losses(picture, descent):
    losses = descent.losses[:-1] if descent.jumped_out else descent.losses
    highest = max(losses.max().item() * 1.05, 1e-6)
    frame = Frame(668, TOP, WIDTH - 668, HEIGHT, (0.0, 0.0), (float(MOST_STEPS), highest))
    picture.text(frame.x, TOP - 18, "loss after each step", 15, QUIET)
    _draw_axes(picture, frame, ("step", "loss"), digits=0)
    places = [frame.place(step, loss) for step, loss in enumerate(losses.tolist())]
    if len(places) > 1:
        picture.line(places, MARK, 2.5)
    x, y = places[-1]
    picture.box(x - 4, y - 4, 8, 8, MARK)


# ---------------------------------------------------------------------------- the widget


class DescentExplorer(card.Explorer):
    """Gradient descent on one of several loss surfaces, with your learning rate and momentum.

    Usage: `DescentExplorer([valley(), ...]).show()`. Click on the surface to start elsewhere; then
    the arrow keys move the start.
    """

    def __init__(self, surfaces: Sequence[Surface], lr: float = 0.03) -> None:
        self.surfaces = list(surfaces)
        self._shades = [shades_of(surface) for surface in self.surfaces]
        names = [(surface.name, i) for i, surface in enumerate(self.surfaces)]
        self.which = card.dropdown("surface", names, 0)
        self.lr = card.slider("learning rate", -3.0, 2.5, math.log10(lr), 0.05, log=True)
        self.momentum = card.slider("momentum", 0.0, 0.95, 0.0, 0.05, digits=2)
        self.steps = card.slider("steps", 1, MOST_STEPS, 30, play=120)
        hint = "arrow keys: move the start"
        super().__init__(
            "Gradient descent",
            [self.which, self.lr, self.momentum, self.steps],
            card.PictureView(self._click, self._arrow, hint=hint),
        )
        self.start = self.surface.start
        self.watch(self.lr, self.momentum, self.steps)
        self.which.observe(lambda change: self._move(self.surface.start), "value")
        self.refresh()

    @property
    def surface(self) -> Surface:
        return self.surfaces[self.which.value]

    def _move(self, start):
        edges = zip(start, self.surface.low, self.surface.high, strict=True)
        self.start = tuple(min(max(value, low), high) for value, low, high in edges)
        self.refresh()

    def _click(self, key, across, down):
        shares = (across, 1 - down)[: len(self.surface.low)]
        edges = zip(shares, self.surface.low, self.surface.high, strict=True)
        self._move(tuple(low + share * (high - low) for share, low, high in edges))

    def _arrow(self, columns, rows):
        moves = (columns, -rows)[: len(self.start)]
        edges = zip(self.start, moves, self.surface.low, self.surface.high, strict=True)
        self._move(tuple(value + move * (high - low) / 40 for value, move, low, high in edges))

    def refresh(self) -> None:
        # Once for the picture and for the words: it is most of what a change takes.
        settings = 10**self.lr.value, self.momentum.value, self.steps.value
        self.descent = descend(self.surface, self.start, *settings)
        super().refresh()

    def picture(self) -> Picture:
        return draw_descent(self.surface, self.descent, self._shades[self.which.value])

    def describe(self) -> str:
        descent = self.descent
        words = verdict(self.surface, descent)
        return (
            f"Gradient descent on {self.surface.name}, learning rate {10**self.lr.value:.3g}, "
            f"momentum {self.momentum.value:.2f}: its path on the surface, and the loss after "
            f"each step. It {words}; the loss goes from {number(descent.losses[0].item())} to "
            f"{number(descent.losses[-1].item())}."
        )
