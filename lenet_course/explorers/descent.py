"""Explorer of chapter 5: gradient descent on a loss surface, from "creeps" to "jumps out"."""

import lenet_helpers as lenet
from lenet_course import checks
from lenet_course.drawing import Picture, short

import math
from collections.abc import Callable, Iterable, Sequence
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


def _numbers(name: str, *values: float) -> list[float]:
    """The values as floats. Raises ValueError unless they are numbers below 1e30."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, RuntimeError):
        numbers = [math.nan]
    if not all(abs(number) < 1e30 for number in numbers):
        found = " and ".join(map(repr, values))
        raise ValueError(f"{name} must be finite numbers below 1e30, not {short(found)}")
    return numbers


def _limits(name: str, low: float, high: float) -> list[float]:
    """Both as floats. Raises ValueError unless they leave room between them."""
    low, high = _numbers(name, low, high)
    if not low < high:
        raise ValueError(f"low must be below high, they are {low:g} and {high:g}")
    return [low, high]


def check_surface(surface: Surface) -> None:
    """Raise ValueError unless it has limits that leave room and losses that are numbers."""
    if not isinstance(surface, Surface):
        found = type(surface).__name__
        raise ValueError(f"surfaces must be a list of descent.Surface, {found} is none")
    for low, high in zip(surface.low, surface.high, strict=True):
        _limits("the limits of a surface", low, high)
    if not surface.loss(_raster(surface, 41)).isfinite().all():
        raise ValueError(f"the losses of {short(surface.name)} are not finite numbers")


def valley(steepness: float = 20.0) -> Surface:
    """A long valley: the loss is half of a^2 + `steepness` b^2."""
    steepness = _numbers("steepness", steepness)[0]
    if steepness <= 0:
        raise ValueError(f"steepness must be a number above 0, it is {steepness:g}")

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
    net: nn.Sequential, images: lenet.ImageDataset, layer: int, index: tuple[int, ...], low: float,
    high: float,
) -> Surface:  # fmt: skip
    """The loss of `net` on `images` along one value of the weight of `net[layer]`.

    In evaluation mode: dropout would make it jagged, and looking must not change the network.
    """
    check_images(images)
    low, high = _limits("low and high", low, high)
    weight = _weight_of(net, layer)
    index = _index_of(weight, index)
    X, y = images[: len(images)]
    X, y, values = X.to(weight.device), y.to(weight.device), torch.linspace(low, high, 61)
    before, losses = weight[index].item(), []
    try:
        with lenet.eval_mode(net):
            for value in values:
                weight[index] = value
                logits = checks.forward(net, X)
                checks.logits(logits, X)
                losses.append(F.cross_entropy(logits, y).cpu())
    finally:
        with torch.no_grad():
            weight[index] = before
    if not torch.stack(losses).isfinite().all():
        raise ValueError("no losses: the logits of the network are not finite numbers")
    loss = between(torch.stack(losses), (low,), (high,))
    return Surface("LeNet, one weight of conv 1", loss, (low,), (high,), (high,), ("weight",))


def _weight_of(net, layer):
    """The weight of `net[layer]`. Raises ValueError if there is none."""
    if not isinstance(net, nn.Sequential):
        raise ValueError(f"net must be an nn.Sequential, it is of type {type(net).__name__}")
    card.check_net(net)
    found = net[checks.whole_number("layer", layer, 0, len(net) - 1)]
    if not isinstance(getattr(found, "weight", None), nn.Parameter):
        name = type(found).__name__
        raise ValueError(f"layer must be the number of a layer with a weight, {layer} is {name}")
    return found.weight


def _index_of(weight, index):
    """`index` as a tuple. Raises ValueError unless it names one value of `weight`."""
    shape = tuple(weight.shape)
    index = tuple(index) if isinstance(index, Sequence | Tensor | np.ndarray) else (index,)
    if len(index) != len(shape):
        raise ValueError(f"index must be {len(shape)} numbers, for a weight {shape}, not {index}")
    return tuple(
        checks.whole_number("each number of index", i, -size, size - 1)
        for i, size in zip(index, shape, strict=True)
    )


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
    losses = descent.losses
    steps = len(losses) - 1
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


def _raster(surface, side):
    """Points (N, 1), or (N, 2) row after row from the upper edge, all over a surface."""
    axes = [torch.linspace(surface.low[0], surface.high[0], side)]
    if len(surface.low) == 2:
        axes.append(torch.linspace(surface.high[1], surface.low[1], side))
    return torch.stack(torch.meshgrid(*axes, indexing="xy"), dim=-1).view(-1, len(axes))


# ---------------------------------------------------------------------------- drawing

TOP, SIDE = 28, 340  # of the surface; the losses stand beside it
BANDS = 16  # of equal loss


class Frame(NamedTuple):
    """A diagram: where it lies in the picture, and the values at its edges."""

    x: float
    width: float
    low: tuple[float, float]
    high: tuple[float, float]

    def place(self, a: float, b: float) -> tuple[float, float]:
        (low_a, low_b), (high_a, high_b) = self.low, self.high
        up = (b - low_b) / (high_b - low_b)
        return self.x + self.width * (a - low_a) / (high_a - low_a), TOP + SIDE * (1 - up)

    def ends(self, points: list) -> list:
        """The points up to the first outside; in its stead, where the way to it leaves."""
        found = []
        for point in points:
            sides = list(zip(point, self.low, self.high, strict=True))
            if all(low <= value <= high for value, low, high in sides):
                found.append(point)
                continue
            if found:
                shares = [
                    ((high if value > high else low) - old) / (value - old)
                    for old, (value, low, high) in zip(found[-1], sides, strict=True)
                    if not low <= value <= high and math.isfinite(value)
                ]
                share = min([1.0, *shares])
                pairs = zip(found[-1], point, strict=True)
                found.append([old + share * (value - old) for old, value in pairs])
            break
        return found


def draw_descent(surface: Surface, descent: Descent, shades: np.ndarray | None) -> Picture:
    """The Picture of a descent: the surface with the path on it, and the loss over the steps."""
    picture, points = Picture(TOP + SIDE + 86, WIDTH), descent.points
    if shades is None:
        weights = _raster(surface, 121)
        curve = torch.stack([weights[:, 0], surface.loss(weights)], dim=1)
        highest = curve[:, 1].max().item()
        frame = Frame(46, SIDE, (surface.low[0], 0.0), (surface.high[0], highest))
        points = torch.stack([points[:, 0], descent.losses], dim=1)
        picture.text(frame.x, 10, "the loss as a function of this weight", 14, QUIET)
        picture.line([frame.place(*point) for point in curve.tolist()], QUIET, 2.5)
    else:
        frame = Frame(46, SIDE, surface.low, surface.high)
        picture.text(frame.x, 10, "the darker, the lower the loss", 14, QUIET)
        picture.pixels(frame.x, TOP, SIDE, SIDE, shades)
    if surface.trained:
        places = [frame.place(*point) for point in surface.trained]
        picture.line(places, "#ffffff", 2, dashed=True)
        x, y = places[-1]
        picture.text(x - 8, y - 14, "real training", 14, "#ffffff", "end")
    _draw_axes(picture, frame, (*surface.weights, "loss")[:2])
    places = [frame.place(*point) for point in frame.ends(points.tolist())]
    picture.line(places, MARK, 2)
    for x, y in places:
        picture.box(x - 3, y - 3, 6, 6, MARK, "#ffffff", 0.75)
    x, y = places[0]
    picture.box(x - 7, y - 7, 14, 14, line=INK, thick=2.5)
    picture.spot(frame.x, TOP, SIDE, SIDE, "surface")
    _draw_losses(picture, descent.losses[:-1] if descent.jumped_out else descent.losses)
    words = verdict(surface, descent)
    picture.text(WIDTH / 2, TOP + SIDE + 66, words, 18, MARK, "middle", True)
    return picture


def shades_of(surface: Surface) -> np.ndarray | None:
    """The surface as an image in bands from dark (low) to light (high); None for one weight."""
    if len(surface.low) == 1:
        return None
    losses = surface.loss(_raster(surface, 220)).view(220, 220)
    low, high = losses.min(), losses.quantile(0.98)
    share = ((losses - low) / (high - low)).clamp(0, 1).sqrt()  # narrow bands where it is low
    share = (share * BANDS).floor().clamp(max=BANDS - 1) / (BANDS - 1)
    dark, light = torch.tensor([20.0, 60.0, 105.0]), torch.tensor([245.0, 248.0, 250.0])
    return (dark + (light - dark) * share.unsqueeze(-1)).round().to(torch.uint8).numpy()


def _draw_axes(picture, frame, names, digits=1):
    picture.box(frame.x, TOP, frame.width, SIDE, line=FRAME)
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        a, b = (low + share * (high - low) for low, high in zip(frame.low, frame.high, strict=True))
        x, y = frame.place(a, b)
        picture.text(x, TOP + SIDE + 14, number(a, digits), 13, QUIET, anchor)
        fine = 2 if frame.high[1] - frame.low[1] < 2 else 1
        picture.text(frame.x - 6, y, number(b, fine), 13, QUIET, "end")
    middle = frame.x + frame.width / 2
    picture.text(middle, TOP + SIDE + 34, names[0], 14, QUIET, "middle")
    picture.text(frame.x - 30, TOP + SIDE / 4, names[1], 14, QUIET, "middle", rotation=90)


def _draw_losses(picture, losses):
    highest = max(losses.max().item() * 1.05, 1e-6)
    frame = Frame(440, WIDTH - 440, (0.0, 0.0), (float(MOST_STEPS), highest))
    picture.text(frame.x, 10, "loss after each step", 14, QUIET)
    _draw_axes(picture, frame, ("step", "loss"), digits=0)
    places = [frame.place(step, loss) for step, loss in enumerate(losses.tolist())]
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
        if isinstance(surfaces, Surface) or not isinstance(surfaces, Iterable):
            found = type(surfaces).__name__
            raise ValueError(f"surfaces must be a list of descent.Surface, it is one {found}")
        self.surfaces = list(surfaces)
        if not self.surfaces:
            raise ValueError("surfaces is empty: at least one is needed")
        for surface in self.surfaces:
            check_surface(surface)
        checks.rate(lr)
        self._shades = [shades_of(surface) for surface in self.surfaces]
        names = [(surface.name, i) for i, surface in enumerate(self.surfaces)]
        self.which = card.dropdown("surface", names, 0)
        self.lr = card.slider("learning rate", -3.0, 2.5, math.log10(float(lr)), 0.05, log=True)
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

    def look(self) -> Descent:
        settings = 10**self.lr.value, self.momentum.value, self.steps.value
        return descend(self.surface, self.start, *settings)

    def picture(self) -> Picture:
        return draw_descent(self.surface, self.seen, self._shades[self.which.value])

    def describe(self) -> str:
        losses, lr = self.seen.losses, 10**self.lr.value
        return (
            f"It {verdict(self.surface, self.seen)}; the loss goes from "
            f"{number(losses[0].item())} to {number(losses[-1].item())}. Gradient descent on "
            f"{self.surface.name}, learning rate {lr:.3g}, momentum {self.momentum.value:.2f}: its "
            "path on the surface, and the loss after each step."
        )
