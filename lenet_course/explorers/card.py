"""What the explorers share: how a network reads an image, controls, and the card they stand in."""

import lenet_helpers as lenet
from lenet_course import checks
from lenet_course.drawing import COLORS, SIGNED, Picture, short, show_widget

import copy
import html
import math
import textwrap
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anywidget
import ipywidgets as widgets
import numpy as np
import torch
import traitlets
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

INK, QUIET, MARK, BLUE, GREEN = (
    COLORS[name] for name in ("black", "grey", "orange", "blue", "green")
)
FRAME = "#9a9a9a"
WIDTH = 640  # CSS pixels of every picture, so that its controls fit beside it on a laptop
HERE = Path(__file__).parent


# ---------------------------------------------------------------------------- colours and numbers


def grey(values: Tensor | np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """A map (H, W) as an image: `low` is black, `high` white."""
    scaled = ((torch.as_tensor(values) - low) / max(high - low, 1e-9)).nan_to_num(0)
    level = (scaled.clamp(0, 1) * 255).round().to(torch.uint8)
    return level.unsqueeze(-1).expand(*level.shape, 3).numpy()


def signed(values: Tensor | np.ndarray, limit: float) -> np.ndarray:
    """A map (H, W) as an image: -`limit` is blue, 0 white, `limit` orange."""
    share = (torch.as_tensor(values) / max(limit, 1e-9)).nan_to_num(0).clamp(-1, 1)
    return SIGNED((share.numpy() + 1) / 2, bytes=True)[..., :3]


def tiled(maps: Tensor, columns: int, fill: float) -> Tensor:
    """Maps (N, H, W) in rows of so many, with lines of the value `fill` between them."""
    missing = -len(maps) % columns
    maps = nn.functional.pad(maps, (0, 1, 0, 1, 0, missing), value=fill)
    _, height, width = maps.shape
    grid = maps.view(-1, columns, height, width).transpose(1, 2)
    return grid.reshape(-1, columns * width)[:-1, :-1]


def tint(color: str, share: float) -> str:
    """A colour "#rrggbb" mixed with white: 0 is white, 1 the colour itself."""
    levels = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + (level - 255) * share):02x}" for level in levels)


def number(value: float, digits: int = 2) -> str:
    """A number with a real minus sign, and without one before a rounded zero."""
    words = f"{value:.{digits}f}"
    return words.lstrip("-") if float(words) == 0 else words.replace("-", "−")


def percent(share: float) -> str:
    """A share, 0..1, in words; a dash if it is no number."""
    return f"{share:.1%}".replace("%", " %") if math.isfinite(share) else "–"


# ---------------------------------------------------------------------------- reading an image


class Prediction(NamedTuple):
    """What a network makes of one image."""

    probabilities: torch.Tensor  # (10,)
    activations: list  # of (name, output of that layer without the batch dimension)

    @property
    def predicted(self) -> int | None:
        """The class with the largest probability; None if the probabilities are no numbers."""
        if not self.probabilities.isfinite().all():
            return None
        return int(self.probabilities.argmax())

    def words(self, labels: Sequence[str]) -> str:
        """The prediction and its confidence, to be read by people."""
        if self.predicted is None:
            return "no prediction: the logits are not finite numbers"
        return f"{labels[self.predicted]}, {percent(self.probabilities[self.predicted].item())}"


def check_images(images: lenet.ImageDataset, labels: Sequence[str] = lenet.DIGITS) -> None:
    """Raise ValueError unless `images` is a lenet.ImageDataset and `labels` names ten classes."""
    if not isinstance(images, lenet.ImageDataset):
        raise ValueError(f"images must be lenet.ImageDataset, not {type(images).__name__}")
    if len(images) == 0:
        raise ValueError("images is empty: at least one image is needed")
    check_labels(labels)


def check_labels(labels: Sequence[str]) -> None:
    """Raise ValueError unless `labels` are ten texts."""
    names = list(labels) if isinstance(labels, Sequence | np.ndarray) else [None]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"labels must be ten texts, one for each class, not {short(repr(labels))}")
    if len(names) != 10:
        raise ValueError(f"labels must name 10 classes, these are {len(names)}")


def check_net(net: nn.Module) -> None:
    """Raise ValueError unless `net` is a network with weights to be looked at."""
    checks.network(net)
    if any(tensor.is_meta for tensor in net.state_dict().values()):
        raise ValueError('net has no weights: it is on the device "meta"')


def one_image(images: lenet.ImageDataset, index: int) -> tuple[Tensor, int]:
    """X (1, 1, 28, 28) and the label of one of `images`."""
    if not 0 <= index < len(images):
        raise ValueError(f"image must be 0 to {len(images) - 1}, it is {index}")
    X, y = images[[index]]
    return X, y.item()


def versions(net: nn.Module) -> list[int]:
    """A checksum of each of its tensors: another list after training, however that was done."""
    tensors = [tensor for tensor in net.state_dict().values() if not is_lazy(tensor)]
    bytes_of = [t.cpu().contiguous().flatten().view(torch.uint8).numpy() for t in tensors]
    return [zlib.crc32(content) for content in bytes_of]


def copied(net: nn.Module) -> nn.Module:
    """A copy to look at, for `net` may be in training meanwhile, in a cell.

    What cannot be copied (a network that was pruned and has been used since) is looked at itself.
    """
    try:
        return copy.deepcopy(net)
    except Exception:
        return net


def layer_outputs(net: nn.Sequential, X: Tensor) -> tuple[list[Tensor], Tensor]:
    """The output of every layer of checks.layers(net), on the CPU, and the probabilities (B, 10).

    Raises ValueError for a batch, or a network, of the wrong shape.
    """
    check_net(net)
    net = copied(checks.layers(net))
    if len(net) == 0:
        raise ValueError("net holds no layers")
    checks.batch(X)
    device = next((p.device for p in net.parameters()), "cpu")
    with lenet.eval_mode(net):
        try:
            outputs = [output.cpu() for output in lenet.activations(net, X.to(device))]
        except RuntimeError:
            lenet.trace_shapes(net, X.to(device))  # says which layer does not fit
            raise
    checks.logits(outputs[-1], X)
    return outputs, outputs[-1].softmax(dim=1)


KINDS = {
    nn.Conv2d: "conv", nn.AvgPool2d: "pool", nn.MaxPool2d: "pool",
    nn.AdaptiveAvgPool2d: "pool", nn.AdaptiveMaxPool2d: "pool", nn.Linear: "dense",
}  # fmt: skip


def predict_image(net: nn.Sequential, X: Tensor) -> Prediction:
    """The Prediction for one image X (1, 1, 28, 28).

    Its activations are what the next layer of weights or the next pooling gets to see: the sums
    that go into an activation function are left out.
    """
    outputs, probabilities = layer_outputs(net, X)
    layers = checks.layers(net)
    kinds = [KINDS.get(type(layer), "") for layer in layers]
    found, name = [], ""
    for i, output in enumerate(outputs):
        if kinds[i]:
            name = f"{kinds[i]} {kinds[: i + 1].count(kinds[i])}"
        elif isinstance(layers[i], nn.Flatten):
            name = ""  # what comes before the next layer of weights is only a list of the same
        if i == len(outputs) - 1:
            found.append(("logits", output[0]))
        elif not name:
            continue
        elif kinds[i + 1] or isinstance(layers[i + 1], nn.Flatten):
            found.append((name, output[0]))
    return Prediction(probabilities[0], found)


# ---------------------------------------------------------------------------- drawing


def draw_layers(
    picture: Picture, X: Tensor, activations: list[tuple[str, Tensor]], x: float, y: float,
    width: float = WIDTH,
) -> None:  # fmt: skip
    """The image and its activations from left to right, `width` wide and at most 190 high.

    However many layers, channels and values: they are drawn so small that they fit.
    """
    sheets = [("image", grey(X[0, 0]), 90 / 28, (1, 1, 28, 28))]
    sheets += [(name, *_sheet(output)) for name, output in activations[:-1]]
    gap = min(16, 0.3 * width / len(sheets))
    across = sum(sheet.shape[1] * scale for _, sheet, scale, _ in sheets)
    shrink = min(1, (width - gap * (len(sheets) - 1)) / across)
    gap = (width - shrink * across) / max(len(sheets) - 1, 1)
    for name, sheet, scale, tiles in sheets:
        wide = shrink * scale * sheet.shape[1]
        size = min(14, 0.2 * width / len(sheets))
        picture.text(x + wide / 2, y + 8, name, size, QUIET, "middle")
        picture.sheet(x, y + 22, shrink * scale, sheet, tiles)
        x += wide + gap
    note = "each map, and each dense layer, from its smallest value (black) to its largest (white)"
    picture.text(x - gap, y + 182, note, 13, QUIET, "end")


def _sheet(output):
    """The image of a layer's activations, pixels to the value, and its tiles."""
    if output.dim() == 3:
        count, height, wide = output.shape
        low, high = (end(output, dim=(1, 2), keepdim=True) for end in (torch.amin, torch.amax))
        output = (output - low) / (high - low).clamp_min(1e-9)
        columns = math.ceil(math.sqrt(count / 1.5))
        size = min(52, 150 / math.ceil(count / columns), 150 / columns)
        sheet = grey(tiled(output, columns, fill=1.0))
        return sheet, size / (max(height, wide) + 1), (-(-count // columns), columns, height, wide)
    # A dense layer has no picture: its values below each other, in columns of equal length.
    values = output.flatten()
    low, high = values.min().item(), values.max().item()
    rows = math.ceil(math.sqrt(1.5 * len(values)))
    values = nn.functional.pad(values, (0, -len(values) % rows), value=low).view(-1, rows).T
    return grey(values, low, high), min(10, 150 / rows), (1, 1, *values.shape)


def draw_probabilities(
    picture: Picture, prediction: Prediction, labels: Sequence[str], x: float, y: float,
    width: float, target: int | None = None, row: float = 22,
) -> None:  # fmt: skip
    """Ten bars under each other, `row` high each; the target class is named in green."""
    predicted, room = prediction.predicted, 12 + 7.4 * max(map(len, labels))
    good = target is None or predicted == target
    bars = zip(labels, prediction.probabilities.tolist(), strict=True)
    for i, (label, p) in enumerate(bars):
        middle = y + (i + 0.5) * row
        bold = i in (predicted, target)
        picture.text(x + room - 6, middle, label, 13.5, GREEN if i == target else INK, "end", bold)
        long = width - room - 62
        picture.box(x + room, middle - row * 0.36, long, row * 0.72, "#eeeeee")
        bar = (GREEN if good else MARK) if i == predicted else "#8fa3b3"
        share = p if math.isfinite(p) else 0
        picture.box(x + room, middle - row * 0.36, long * share, row * 0.72, bar)
        picture.text(x + width, middle, percent(p), 13.5, INK, "end", bold)


# ---------------------------------------------------------------------------- widgets


class PictureView(anywidget.AnyWidget):
    """Shows a Picture; a press in one of its spots calls `on_click(key, across, down)`.

    `key` is the spot's, the other two say where in it, 0..1. The arrow keys call
    `on_arrow(columns, rows)`; `hint` says, for readers who do not see it, what they do, and makes
    the picture a stop of the Tab key: it is "" where they do nothing. Where something is drawn by
    hand, `pen` says how its stroke looks: `width`, `color`, and the `box` x, y, width, height that
    it stays in; `on_move(x, y)` and `on_release()` then follow a press.
    """

    _esm = HERE / "picture.js"
    _css = HERE / "card.css"

    svg = traitlets.Unicode().tag(sync=True)
    hint, title = (traitlets.Unicode().tag(sync=True) for _ in range(2))
    clickable = traitlets.Bool().tag(sync=True)
    pen = traitlets.Dict().tag(sync=True)

    def __init__(
        self, on_click: Callable | None = None, on_arrow: Callable | None = None,
        on_move: Callable | None = None, on_release: Callable | None = None, **traits: Any,
    ) -> None:  # fmt: skip
        self.on_click, self.arrow = on_click or _nothing, on_arrow or _nothing
        self.move, self.release = on_move or _nothing, on_release or _nothing
        super().__init__(clickable=on_click is not None, **traits)
        self.on_msg(self._told)

    def draw(self, picture: Picture, description: str) -> None:
        self._picture, self.svg = picture, picture.svg(description)

    def press(self, x: float, y: float) -> None:
        found = self._picture.at(x, y)
        if found:
            self.on_click(*found)

    def _told(self, widget, message, buffers):
        if message["do"] == "ask":  # is the kernel busy? Not any more.
            self.send({"do": "answer"})
        else:
            getattr(self, message["do"])(*message.get("place", ()))


def _nothing(*place):
    pass


class Slider(anywidget.AnyWidget):
    """A named slider with a step to each side; `play`, in milliseconds a step, adds a button.

    Of a `log` slider the value is an exponent, and 10 to its power is what the reader sees.
    """

    _esm = HERE / "slider.js"

    value, min, max, step = (
        traitlets.Union([traitlets.Int(), traitlets.Float()]).tag(sync=True) for _ in range(4)
    )
    description = traitlets.Unicode().tag(sync=True)
    disabled, log = (traitlets.Bool().tag(sync=True) for _ in range(2))
    digits, play = (traitlets.Int().tag(sync=True) for _ in range(2))

    @traitlets.validate("value")
    def _within(self, proposal):
        return min(max(proposal.value, self.min), self.max)

    @traitlets.observe("min", "max")
    def _stay_within(self, change):
        self.value = min(max(self.value, self.min), self.max)


class Explorer:
    """A card with a title and a picture, and beside it the controls that the picture follows.

    A subclass builds its controls, calls `super().__init__`, and says in `picture()` what to draw,
    640 wide and at most 540 high, and in `describe()`, in a sentence, what is seen, the result
    first. What they raise later on (of a network that was changed, say) is said in the card.
    `columns` puts narrow controls in two columns.
    """

    def __init__(
        self, title: str, controls: list[widgets.Widget], view: PictureView | None = None,
        columns: bool = False,
    ) -> None:  # fmt: skip
        self.view = view or PictureView()
        for name in ("on_click", "arrow", "move", "release"):
            setattr(self.view, name, self.saying(getattr(self.view, name)))
        for control in controls:
            for each in (control, *getattr(control, "children", ())):
                if hasattr(each, "do"):
                    each.do = self.saying(each.do)
        self._quiet = False
        self.view.title = title  # of the card, for readers who do not see it
        beside = widgets.Box(controls)
        beside.add_class("lenet-controls")
        body = widgets.HBox([self.view, beside])
        body.add_class("lenet-body")
        if columns:
            body.add_class("lenet-columns")
        heading = widgets.HTML(f"<h3>{html.escape(title)}</h3>", tooltip="")  # not "null"
        self.card = widgets.VBox([heading, body])
        self.card.add_class("lenet-card")

    def watch(self, *controls: widgets.Widget) -> None:
        for control in controls:
            control.observe(lambda change: self.refresh(), "value")

    def refresh(self) -> None:
        """Draw again what the controls now say, or why that cannot be."""
        if self._quiet:
            return
        try:
            self.seen = self.look()
            self.view.draw(self.picture(), self.describe())
        except Exception as error:
            self._fail(error)

    def look(self) -> Any:
        """What `picture` and `describe` both need, found once for the two of them: `self.seen`."""

    def saying(self, act: Callable) -> Callable[..., None]:
        """`act` as a callback: what it raises is said in the card, for nobody else hears of it."""

        def callback(*args):
            try:
                act(*args)
            except Exception as error:
                self._fail(error)

        return callback

    def _fail(self, error):
        """Say what is wrong in the picture's place: nothing of that holds any more."""
        if not self.view.svg:  # it has never been shown: whoever makes it hears of it
            raise error
        problem = str(error) or type(error).__name__
        lines = textwrap.wrap(problem, 75)
        picture = Picture(40 + 24 * len(lines), WIDTH)
        for i, line in enumerate(lines):
            picture.text(0, 20 + 24 * i, line, 16, MARK)
        self.view.draw(picture, problem)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Inside, several controls can change; the picture is drawn once, at the end."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before
        self.refresh()

    def show(self) -> None:
        """Show it in the notebook, with a still picture for when no kernel runs."""
        self.seen = self.look()
        show_widget(self.card, self.picture(), self.describe())


def row(*controls: widgets.Widget) -> widgets.HBox:
    """Controls beside each other, as many as fit."""
    box = widgets.HBox(controls)
    box.add_class("lenet-row")
    return box


def slider(
    description: str, low: float, high: float, value: float, step: float = 1, digits: int = 0,
    **traits: Any,
) -> Slider:  # fmt: skip
    return Slider(
        min=low, max=high, step=step, value=value, description=description, digits=digits, **traits
    )


def button(description: str, do: Callable[[], None], style: str = "") -> widgets.Button:
    """A button that calls `do()`; the `style` "primary" makes it blue."""
    control = widgets.Button(description=description, button_style=style)
    control.do = do  # what it raises is said in the card: see Explorer
    control.on_click(lambda _: control.do())
    return control


def _field(description):
    """What fields have in common: as wide as the column of controls, with all of their name.

    Without a tooltip ipywidgets gives some of them the title "null".
    """
    return {
        "description": description, "tooltip": description,
        "style": {"description_width": "initial"}, "layout": {"width": "auto"},
    }  # fmt: skip


def dropdown(description: str, options: Sequence, value: Any) -> widgets.Dropdown:
    return widgets.Dropdown(options=options, value=value, **_field(description))


def networks(
    net: nn.Module | Mapping[str, nn.Module],
) -> tuple[dict[str, nn.Module], widgets.Dropdown]:
    """The networks by name, and the field to choose from them, which is hidden for one alone."""
    named = dict(net) if isinstance(net, Mapping) else {"": net}
    if not named:
        raise ValueError("net holds no network: at least one is needed")
    for each in named.values():
        check_net(each)
    field = dropdown("network", list(named), next(iter(named)))
    field.layout.display = None if len(named) > 1 else "none"
    return named, field


def whole_number(description: str, low: int, high: int, value: int) -> widgets.BoundedIntText:
    """A field for a whole number."""
    return widgets.BoundedIntText(value=value, min=low, max=high, **_field(description))


def text(description: str, value: str) -> widgets.Text:
    """A field for a line of text; it counts once Enter is pressed or the field is left."""
    return widgets.Text(value=value, continuous_update=False, **_field(description))


def image_number(images: lenet.ImageDataset, value: int = 0) -> widgets.BoundedIntText:
    """A field for the number of an image."""
    return whole_number(f"image (0 to {len(images) - 1})", 0, len(images) - 1, value)
