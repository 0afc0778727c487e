"""Explorer of chapter 6: cover an image, attack it, and see what the prediction is worth."""

import lenet_helpers as lenet
from lenet_course.drawing import Picture

import torch
from torch import Tensor, nn

from . import card
from .card import MARK, QUIET, WIDTH

# ---------------------------------------------------------------------------- computing


def fgsm(net: nn.Module, X: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """`X` with every pixel moved by `epsilon` in the direction that raises the loss for `y`."""
    X = X.clone().requires_grad_()
    with lenet.eval_mode(net), torch.enable_grad():
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(X), y), X)
    return (X + epsilon * gradient.sign()).clamp(0, 1).detach()


def patch(middle: int, size: int) -> slice:
    """Where a patch of `size` around `middle` lies, in rows or in columns."""
    start = middle - size // 2
    return slice(max(start, 0), min(start + size, 28))


def cover(X: Tensor, row: int, column: int, size: int) -> Tensor:
    """A copy of `X` (B, 1, 28, 28) with a grey patch of size x size around a place."""
    covered = X.clone()
    covered[..., patch(row, size), patch(column, size)] = 0.5
    return covered


def occlusion_map(net: nn.Module, X: Tensor, size: int) -> Tensor:
    """Probability (28, 28) of the predicted class of one image `X` with a patch at each place."""
    predicted = lenet.predict(net, X).argmax()
    places = [divmod(place, 28) for place in range(28 * 28)]
    covered = torch.cat([cover(X, row, column, size) for row, column in places])
    return lenet.predict(net, covered)[:, predicted].reshape(28, 28)


def scaled(probabilities: Tensor, temperature: float) -> Tensor:
    """The probabilities (10,) as they are with the logits divided by `temperature`."""
    return (probabilities.double().clamp_min(1e-300).log() / temperature).softmax(dim=0).float()


# ---------------------------------------------------------------------------- drawing

SCALE, SIDE = 8, 28 * 8  # CSS pixels to the pixel, and to the image
TOP, GAP = 30, 40
BARS = TOP + SIDE + 36  # where the ten probabilities begin


def draw_trust(
    X: Tensor, shades: Tensor, prediction: card.Prediction, label: int, labels: list[str],
    place: tuple[int, int], size: int,
) -> Picture:  # fmt: skip
    """The Picture: the image as the network gets it, its occlusion map, the ten probabilities."""
    picture, (row, column) = Picture(BARS + 10 * 22, WIDTH), place
    sheets = (X[0, 0], "the image"), (shades, "probability, by the patch's place")
    for left, (sheet, title) in zip((0, SIDE + GAP), sheets, strict=True):
        picture.text(left, 12, title, 16, QUIET)
        picture.pixels(left, TOP, SIDE, SIDE, card.grey(sheet))
        picture.spot(left, TOP, SIDE, SIDE, "place")
    if size:
        down, right = patch(row, size), patch(column, size)
        width, height = (SCALE * (side.stop - side.start) for side in (right, down))
        x, y = right.start * SCALE, TOP + down.start * SCALE
        picture.box(x, y, width, height, line=MARK, thick=3)
    x, y = SIDE + GAP + column * SCALE, TOP + row * SCALE
    picture.box(x, y, SCALE, SCALE, line=MARK, thick=3)
    note = "black: probability 0  ·  white: 1"
    picture.text(SIDE + GAP, TOP + SIDE + 16, note, 14, QUIET)
    card.draw_probabilities(picture, prediction, labels, 0, BARS, SIDE + GAP + SIDE, label)
    return picture


# ---------------------------------------------------------------------------- the widget


class TrustExplorer(card.Explorer):
    """Cover a part of an image, attack it with one step of FGSM, divide the logits by T.

    Usage: `TrustExplorer(net, images, labels).show()`; `images` is a lenet.ImageDataset. A click
    into the image or into the map, or the arrow keys, move the patch. The map gives the probability
    of what `net` predicts for the image before it is covered, for every place of the patch.
    """

    def __init__(self, net: nn.Module, images: lenet.ImageDataset, labels: list[str]) -> None:
        card.check_images(images, labels)
        self.net, self.images, self.labels = net, images, list(labels)
        self.place, self.mapped = (14, 14), None
        self.image = card.image_number(images)
        self.size = card.slider("patch (pixels, 0: none)", 0, 14, 7)
        self.epsilon = card.slider("attack (of white)", 0.0, 0.3, 0.0, 0.01, digits=2)
        self.temperature = card.slider("temperature", 0.5, 5.0, 1.0, 0.1, digits=1)
        self.undo = card.button("undo all", self._undo)
        hint = "The arrow keys move the patch."
        super().__init__(
            "Cover it, attack it, cool it",
            [self.image, self.size, self.epsilon, self.temperature, self.undo],
            card.PictureView(self._click, self._arrow, hint=hint),
        )
        self.watch(self.image, self.size, self.epsilon, self.temperature)
        self.refresh()

    def _click(self, key: str, across: float, down: float) -> None:
        self._move(int(down * 28), int(across * 28))

    def _arrow(self, columns: int, rows: int) -> None:
        self._move(self.place[0] + rows, self.place[1] + columns)

    def _move(self, row: int, column: int) -> None:
        self.place = min(max(row, 0), 27), min(max(column, 0), 27)
        self.refresh()

    def _undo(self) -> None:
        with self.changing():
            self.size.value, self.epsilon.value, self.temperature.value = 0, 0.0, 1.0

    def look(self) -> tuple[Tensor, Tensor, card.Prediction, int]:
        """The image as the network gets it, its map, the prediction, and the label."""
        net = card.copied(self.net)
        X, label = card.one_image(self.images, self.image.value)
        plain = card.Prediction(lenet.predict(net, X)[0], [])
        if plain.predicted is None:  # no attack has a direction then, and no map a meaning
            raise ValueError(plain.words(self.labels))
        if self.epsilon.value:
            X = fgsm(net, X, torch.tensor([label]), self.epsilon.value)
        settings = self.image.value, self.epsilon.value, self.size.value, card.versions(self.net)
        if settings != self.mapped:  # 784 images, while the patch only moves once
            self.shades, self.mapped = occlusion_map(net, X, self.size.value), settings
        X = cover(X, *self.place, self.size.value)
        probabilities = scaled(lenet.predict(net, X)[0], self.temperature.value)
        return X, self.shades, card.Prediction(probabilities, []), label

    def picture(self) -> Picture:
        X, shades, prediction, label = self.seen
        return draw_trust(X, shades, prediction, label, self.labels, self.place, self.size.value)

    def describe(self) -> str:
        _, _, prediction, label = self.seen
        return (
            f"Predicted: {prediction.words(self.labels)}. Image {self.image.value} "
            f"({self.labels[label]}) with a patch of {self.size.value} pixels and an attack of "
            f"{self.epsilon.value:.2f}; beside it the map of the probability over all places of "
            "the patch, and the ten probabilities."
        )
