"""Explorer of chapter 6: read images with shuffled pixels, beside networks that learned to."""

import lenet_helpers as lenet
from lenet_course.drawing import Picture

import ipywidgets as widgets
import torch
from torch import Tensor, nn

from . import card
from .card import FRAME, GREEN, INK, MARK, QUIET, WIDTH

# ---------------------------------------------------------------------------- computing


def shuffle_partly(X: Tensor, permutation: Tensor, share: float) -> Tensor:
    """`X` (B, 1, 28, 28) with a share of its pixels shuffled among themselves.

    With a share of 1 place i gets pixel permutation[i], with 0 all stay where they are.
    """
    places = permutation[: round(784 * share)].sort().values
    goes_to = permutation.argsort()
    source = torch.arange(784)
    source[places] = places[goes_to[places].argsort()]
    return X.flatten(1)[:, source].reshape(X.shape)


def check_permutation(permutation: Tensor) -> None:
    """Raise ValueError unless it holds the 784 places of an image, each once."""
    found = f"it is of type {type(permutation).__name__}"
    if torch.is_tensor(permutation):
        found = f"it is {permutation.dtype} {tuple(permutation.shape)}"
        if permutation.dtype == torch.int64 and permutation.shape == (784,):
            if permutation.sort().values.tolist() == list(range(784)):
                return
            found = "some are missing"
    raise ValueError(f"permutation must be int64 (784,) with 0 to 783, each once: {found}")


# ---------------------------------------------------------------------------- drawing

SIDE, ROW, TOP = 280, 28, 34
NAMES, RIGHT = 310, 460  # where the ten names begin, and what is said about them


def draw_guess(
    X: Tensor, labels: list[str], target: int, guess: int | None, predicted: dict[str, int | None]
) -> Picture:
    """The Picture: one image, the ten names to choose from; once guessed, who said what.

    A network whose logits are no numbers has predicted None.
    """
    picture, votes = Picture(TOP + SIDE + 6, WIDTH), {"you": guess, **predicted}
    picture.text(0, 12, "what is it?", 16, QUIET)
    picture.pixels(0, TOP, SIDE, SIDE, card.grey(X[0, 0]))
    silent = [name for name, found in predicted.items() if found is None]
    if silent:
        picture.text(WIDTH, 12, f"no prediction by {' and '.join(silent)}", 14, MARK, "end")
    for i, label in enumerate(labels):
        y = TOP + i * ROW
        said = [] if guess is None else [name for name, found in votes.items() if found == i]
        right = guess is not None and i == target
        color = GREEN if right else MARK if said else INK
        picture.box(NAMES, y + 2, 140, ROW - 4, "none", FRAME)
        picture.text(NAMES + 70, y + ROW / 2, label, 15, color, "middle", bool(said) or right)
        words = ["it is this"] if right else []
        words += [f"said by {' and '.join(said)}"] if said else []
        picture.text(RIGHT, y + ROW / 2, ", ".join(words), 15, color)
        picture.spot(NAMES, y, 140, ROW, i)
    return picture


# ---------------------------------------------------------------------------- the widget


class ShuffleExplorer(card.Explorer):
    """Guess what is on images with shuffled pixels; the networks guess too, and all are counted.

    Usage: `ShuffleExplorer({"MLP": net}, images, permutation, labels).show()`; the networks have
    learned from images whose place i holds pixel permutation[i]. They see every image wholly
    shuffled, however far the slider has put it in order.
    """

    def __init__(
        self, nets: dict[str, nn.Module], images: lenet.ImageDataset, permutation: Tensor,
        labels: list[str],
    ) -> None:  # fmt: skip
        card.check_images(images, labels)
        check_permutation(permutation)
        self.nets, self.images, self.labels = nets, images, list(labels)
        self.permutation, self.scores = permutation, []  # a dict {name: whether right} each
        self.guessed = None  # the first guess for this image
        self.order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
        options = [("?", None), *zip(self.labels, range(10), strict=True)]
        self.guess = card.dropdown("your guess", options, None)
        self.shuffled = card.slider("shuffled (%)", 0, 100, 100, 5)
        self.next = card.button("next image", self.saying(self._go_on))
        self.score = widgets.HTML(tooltip="")
        super().__init__(
            "Can you read it?",
            [self.guess, self.shuffled, self.next, self.score],
            card.PictureView(self._click),
        )
        self.guess.observe(lambda change: self._guessed(), "value")
        self.watch(self.shuffled)
        self._go_on()

    def _go_on(self) -> None:
        """The next image, wholly shuffled."""
        index = int(self.order[len(self.scores) % len(self.order)])
        self.X, self.target = card.one_image(self.images, index)
        shuffled = shuffle_partly(self.X, self.permutation, 1)
        self.predicted = {
            name: card.predict_image(net, shuffled).predicted  # None if it has diverged
            for name, net in self.nets.items()
        }
        with self.changing():
            self.guessed = self.guess.value = None
            self.shuffled.value = 100

    def _guessed(self) -> None:
        if self.guess.value == self.guessed:
            return
        if self.guessed is not None:  # the first guess counts; a disabled list would lose the focus
            self.guess.value = self.guessed
            return
        self.guessed = self.guess.value
        said = {"you": self.guess.value, **self.predicted}
        self.scores.append({name: found == self.target for name, found in said.items()})
        sums = {name: sum(score[name] for score in self.scores) for name in said}
        counts = ", ".join(f"{name} {count}" for name, count in sums.items())
        self.score.value = f"right of {len(self.scores)}: {counts}"
        self.refresh()

    def _click(self, label: int, across: float, down: float) -> None:
        self.guess.value = label

    def picture(self) -> Picture:
        X = shuffle_partly(self.X, self.permutation, self.shuffled.value / 100)
        return draw_guess(X, self.labels, self.target, self.guess.value, self.predicted)

    def describe(self) -> str:
        if self.guess.value is None:
            return (
                f"A piece of clothing with {self.shuffled.value} % of its pixels shuffled, and ten "
                "names to choose from."
            )
        no_word = "no prediction: the logits are not finite numbers"
        said = ", ".join(
            f"{name} {no_word if i is None else self.labels[i]}"
            for name, i in self.predicted.items()
        )
        return (
            f"Shuffled pixels: {self.labels[self.target]}. You said "
            f"{self.labels[self.guess.value]}, {said}."
        )
