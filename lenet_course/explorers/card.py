"""What the explorers share: colours, how a network reads an image, the card around a picture."""

import lenet_helpers as lenet
from lenet_course import checks
from lenet_course.drawing import COLORS, MARGIN, show_widget

import html
import math
from contextlib import contextmanager
from typing import NamedTuple

import ipywidgets as widgets
import numpy as np
import torch
from ipycanvas import Canvas
from torch import nn

INK, QUIET, MARK, BLUE, GREEN = (
    COLORS[name] for name in ("black", "grey", "orange", "blue", "green")
)
FRAME = "#9a9a9a"
WIDTH = 960  # CSS pixels of every picture: fits a notebook on a projector of 1280 x 720


# ---------------------------------------------------------------------------- colours and numbers


def grey(values, low=0.0, high=1.0):
    """A map (H, W) as an image: `low` is black, `high` white."""
    scaled = ((torch.as_tensor(values) - low) / max(high - low, 1e-9)).nan_to_num(0)
    level = (scaled.clamp(0, 1) * 255).round().to(torch.uint8)
    return level.unsqueeze(-1).expand(*level.shape, 3).numpy()


def signed(values, limit):
    """A map (H, W) as an image: -`limit` is blue, 0 white, `limit` orange."""
    share = (torch.as_tensor(values) / max(limit, 1e-9)).nan_to_num(0).clamp(-1, 1)
    share = share.unsqueeze(-1).numpy()
    blue, orange, white = (np.array(c) for c in ((0, 90, 160), (200, 90, 0), (255, 255, 255)))
    end = np.where(share < 0, blue, orange)
    return (white + (end - white) * np.abs(share)).round().astype(np.uint8)


def tiled(maps, columns, fill):
    """Maps (N, H, W) in rows of so many, with lines of the value `fill` between them."""
    missing = -len(maps) % columns
    maps = nn.functional.pad(maps, (0, 1, 0, 1, 0, missing), value=fill)
    _, height, width = maps.shape
    grid = maps.view(-1, columns, height, width).transpose(1, 2)
    return grid.reshape(-1, columns * width)[:-1, :-1]


def tint(color, share):
    """A colour "#rrggbb" mixed with white: 0 is white, 1 the colour itself."""
    levels = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + (level - 255) * share):02x}" for level in levels)


def number(value, digits=2):
    """A number with a real minus sign, and without one before a rounded zero."""
    words = f"{value:.{digits}f}"
    return words.lstrip("-") if float(words) == 0 else words.replace("-", "−")


def percent(share):
    """A share, 0..1, in words."""
    return f"{share:.1%}".replace("%", " %")


# ---------------------------------------------------------------------------- reading an image


class Reading(NamedTuple):
    """What a network makes of one image."""

    probabilities: torch.Tensor  # (10,)
    stages: list  # of (name, output of that layer without the batch dimension)


def check_images(images, labels=None):
    """Raise ValueError unless `images` is a lenet.ImageDataset and `labels` names ten classes."""
    if not isinstance(images, lenet.ImageDataset):
        raise ValueError(f"images must be lenet.ImageDataset, not {type(images).__name__}")
    if len(images) == 0:
        raise ValueError("images is empty: at least one image is needed")
    if labels is not None and len(labels) != 10:
        raise ValueError(f"labels must name 10 classes, these are {len(labels)}")


def one_image(images, index):
    """X (1, 1, 28, 28) and the label of one of `images`."""
    if not 0 <= index < len(images):
        raise ValueError(f"image must be 0 to {len(images) - 1}, it is {index}")
    X, y = images[[index]]
    return X, y.item()


def layer_outputs(net, X):
    """The output of every layer of a Sequential `net`, on the CPU, and the probabilities (B, 10).

    Raises ValueError for a batch, or a network, of the wrong shape.
    """
    checks.layers(net)
    checks.batch(X)
    device = next(net.parameters()).device
    with lenet.eval_mode(net):
        try:
            outputs = [output.cpu() for output in lenet.activations(net, X.to(device))]
        except RuntimeError:
            lenet.trace_shapes(net, X.to(device))  # says which layer does not fit
            raise
    checks.logits(outputs[-1], X)
    return outputs, outputs[-1].softmax(dim=1)


def read_image(net, X):
    """The Reading of one image X (1, 1, 28, 28).

    Its stages are what the next layer of weights or the next pooling gets to see: an activation
    is shown, the sums that go into it are not.
    """
    outputs, probabilities = layer_outputs(net, X)
    stages, count, kind = [], {"conv": 0, "pool": 0, "dense": 0}, ""
    names = [(nn.Conv2d, "conv"), (nn.AvgPool2d, "pool"), (nn.MaxPool2d, "pool")]
    names += [(nn.Linear, "dense")]
    kinds = [next((name for cls, name in names if isinstance(l, cls)), "") for l in net]
    for i, output in enumerate(outputs):
        if kinds[i]:
            kind = kinds[i]
            count[kind] += 1
        last = i == len(outputs) - 1
        if kind and (last or kinds[i + 1] or isinstance(net[i + 1], nn.Flatten)):
            if isinstance(net[i], nn.Flatten):
                continue
            stages.append(("scores" if last else f"{kind} {count[kind]}", output[0]))
    return Reading(probabilities[0], stages)


def draw_layers(picture, X, stages, x, y, width=WIDTH):
    """The image and its stages from left to right, `width` wide and about 250 high."""
    cell = 10  # pixels to the value of a dense layer
    # Name, sheet of values, pixels to the value, tiles (rows, columns, height and width of one).
    columns = [("image", grey(X[0, 0]), 100 / 28, (1, 1, 28, 28))]
    for name, output in stages[:-1]:
        low, high = output.min().item(), output.max().item()
        if output.dim() == 3:
            side, size = (4, 36) if len(output) > 8 else (2, 58)
            maps = output[: 4 * side]
            rows, (height, wide) = -(-len(maps) // side), maps.shape[1:]
            sheet = grey(tiled(maps, side, fill=high), low, high)
            columns.append((name, sheet, size / wide, (rows, side, height, wide)))
        else:
            # A dense layer has no picture: its values below each other, in columns of equal length.
            rows = next((r for r in range(16, 7, -1) if len(output) % r == 0), 16)
            filled = nn.functional.pad(output, (0, -len(output) % rows), value=low)
            values = filled.view(-1, rows).T
            columns.append((name, grey(values, low, high), cell, (1, 1, *values.shape)))
    across = [sheet.shape[1] * scale for _, sheet, scale, _ in columns]
    space = (width - sum(across)) / (len(columns) - 1)
    for (name, sheet, scale, tiles), wide in zip(columns, across, strict=True):
        picture.text(x + wide / 2, y + 10, name, 15, QUIET, "middle")
        picture.sheet(x, y + 28, scale, sheet, tiles)
        x += wide + space
    note = "black: the smallest value of its layer  ·  white: the largest"
    picture.text(x - space, y + 228, note, 14, QUIET, "end")


def draw_probabilities(picture, probabilities, labels, x, y, width, truth=None, row=26):
    """Ten bars under each other, `row` high each; the true class is named in green."""
    answer = int(probabilities.argmax())
    room = 120
    for i, (label, p) in enumerate(zip(labels, probabilities.tolist(), strict=True)):
        middle = y + (i + 0.5) * row
        color = GREEN if i == truth else INK
        bold = i in (answer, truth)
        picture.text(x + room - 8, middle, label, 15, color, "end", bold)
        long = (width - room - 60) * (p if math.isfinite(p) else 0)
        picture.box(x + room, middle - row * 0.36, width - room - 60, row * 0.72, "#eeeeee")
        bar = (GREEN if answer == truth or truth is None else MARK) if i == answer else "#8fa3b3"
        picture.box(x + room, middle - row * 0.36, long, row * 0.72, bar)
        picture.text(x + width, middle, percent(p), 15, INK, "end", bold)


# ---------------------------------------------------------------------------- widgets

# JupyterLab's colours are set anew inside the card, so that it is white in the dark theme too.
STYLE = """<style>
.lenet-card {
  background: #fff; color: #222; color-scheme: light; padding: 16px 20px; max-width: 1010px;
  box-sizing: border-box; border: 1px solid #c8c8c8; border-radius: 8px; overflow: hidden;
  --jp-widgets-color: #222; --jp-widgets-label-color: #222; --jp-widgets-readout-color: #222;
  --jp-widgets-font-size: 16px; --jp-widgets-inline-height: 34px;
  --jp-widgets-input-color: #222; --jp-widgets-input-background-color: #fff;
  --jp-widgets-input-border-color: #767676; --jp-widgets-input-focus-border-color: #0072b2;
  --jp-ui-font-color0: #222; --jp-ui-font-color1: #222; --jp-content-font-color1: #222;
  --jp-layout-color0: #fff; --jp-layout-color1: #fff; --jp-layout-color2: #ececec;
  --jp-layout-color3: #d8d8d8; --jp-layout-color4: #8a8a8a; --jp-border-color1: #767676;
  --jp-brand-color1: #0072b2; --jp-brand-color2: #0072b2; --jp-widgets-slider-border-color: #8a8a8a;
  --jp-widgets-slider-handle-background-color: #fff;
}
.lenet-card h3 { margin: 0 0 8px; color: #222; font-size: 20px; }
.lenet-card svg { display: block; width: 100%; height: auto; }
.lenet-card svg image { image-rendering: pixelated; }
.lenet-card .widget-html-content { line-height: 1.4; color: #222; font-size: 16px; }
.lenet-card .lenet-stack { display: grid; overflow: visible; margin-top: 8px; }
.lenet-card .lenet-stack > * { grid-area: 1 / 1; margin: 0; width: 100%; height: auto; }
.lenet-card .lenet-stack > canvas { z-index: 1; cursor: pointer; }
.lenet-card .lenet-problem { color: #a33a00; font-weight: bold; }
.lenet-card .lenet-beside { display: flex; flex-wrap: wrap; gap: 8px 16px; }
.lenet-card .lenet-beside > .lenet-stack { flex: 3 1 480px; margin: 0; }
.lenet-card .lenet-beside > :first-child {
  display: flex; flex-flow: row wrap; flex: 1 1 200px; gap: 2px 16px; align-content: flex-start;
}
.lenet-card .lenet-beside .widget-hslider { flex-wrap: wrap; height: auto; }
.lenet-card .lenet-beside .widget-hslider > .widget-label {
  flex: 1 0 100%; height: 22px; line-height: 22px;
}
.lenet-card .lenet-beside .widget-readout { min-width: 44px; max-width: 44px; }
.lenet-card .lenet-row { flex-wrap: wrap; gap: 4px 16px; align-items: flex-start; }
.lenet-card :focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
.lenet-card canvas:focus-visible { outline-offset: -1px; }
</style>"""


class PictureView(widgets.Box):
    """Shows a Picture; if `on_click` is given, a click in one of its spots calls it.

    `on_click(key, across, down)`: the spot's key and the place in it, 0..1. When it has the focus,
    the arrow keys call `on_arrow(columns, rows)`, and Tab goes on to `tab_to`, a button or a
    dropdown (ipywidgets can give the focus to no other): ipycanvas keeps every key for itself, and
    without this a keyboard would never get out of it.
    """

    def __init__(self, on_click=None, on_arrow=None, tab_to=None):
        self._html = widgets.HTML()
        children = [self._html]
        if on_click:
            self.canvas = Canvas(width=10, height=10)
            self.canvas.on_mouse_down(self._clicked)
            self.canvas.on_touch_start(lambda places: places and self._clicked(*places[0]))
            self.canvas.on_key_down(self._pressed)
            children.append(self.canvas)
        self._on_click, self._on_arrow, self._tab_to = on_click, on_arrow, tab_to
        super().__init__(children)
        self.add_class("lenet-stack")

    def draw(self, picture, description):
        self._picture = picture
        self._html.value = picture.svg(description)
        if self._on_click and self.canvas.height != picture.outer_height:
            self.canvas.width, self.canvas.height = picture.outer_width, picture.outer_height

    def _clicked(self, x, y):
        found = self._picture.at(x - MARGIN, y - MARGIN)
        if found:
            key, *place = found
            self._on_click(key, *place)

    def _pressed(self, key, *modifiers):
        if key == "Tab" and self._tab_to:
            self._tab_to.focus()
        elif key in ARROWS and self._on_arrow:
            self._on_arrow(*ARROWS[key])


ARROWS = {"ArrowLeft": (-1, 0), "ArrowRight": (1, 0), "ArrowUp": (0, -1), "ArrowDown": (0, 1)}


class Explorer:
    """A card with a title, a picture, and beside it the controls that it follows.

    A subclass builds its controls, calls `super().__init__`, and says in `picture()` what to draw
    and in `describe()`, in a sentence, what is seen. What its callbacks raise is said in the card.
    """

    def __init__(self, title, controls, view=None, below=()):
        self.view = view or PictureView()
        self._quiet = False
        heading = widgets.HTML(f"{STYLE}<h3>{html.escape(title)}</h3>")
        self.problem = widgets.HTML()  # a sentence, while there is one
        self.problem.add_class("lenet-problem")
        beside = widgets.Box([widgets.Box(list(controls)), self.view])
        beside.add_class("lenet-beside")
        self.card = widgets.VBox([heading, self.problem, beside, *below])
        self.card.add_class("lenet-card")

    def when(self, control, act):
        """Call `act()` when a button is clicked, or the value of another control changes."""
        if isinstance(control, widgets.Button):
            control.on_click(lambda button: self.said(act))
        else:
            control.observe(lambda change: self.said(act), "value")

    def watch(self, *controls):
        for control in controls:
            self.when(control, self.refresh)

    def said(self, act, *args):
        """`act(*args)`; what it raises is said in the card, where a reader sees it."""
        try:
            act(*args)
        except Exception as error:
            words = str(error) or type(error).__name__
            self.problem.value = f'<p role="alert">{html.escape(words)}.</p>'

    def refresh(self):
        """Draw again what the controls now say; an old picture does not stay beside an error."""
        if self._quiet:
            return
        try:
            picture, description = self.picture(), self.describe()
        except Exception:
            self.view.layout.display = "none"
            raise
        self.problem.value, self.view.layout.display = "", ""
        self.view.draw(picture, description)

    @contextmanager
    def changing(self):
        """Inside, several controls can change; the picture is drawn once, at the end."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before
        self.refresh()

    def show(self):
        """Show it in the notebook, with a still picture for when no kernel runs."""
        show_widget(self.card, self.picture(), self.describe())


def row(*controls):
    """Controls beside each other, as many as fit."""
    box = widgets.HBox(controls)
    box.add_class("lenet-row")
    return box


def slider(description, low, high, value, step=1, width="300px", **kwargs):
    """A slider with its name in words; whole numbers unless `step` is a fraction."""
    kind = widgets.IntSlider if isinstance(step, int) else widgets.FloatSlider
    return kind(
        value=value, min=low, max=high, step=step, description=description,
        style={"description_width": "initial"}, layout={"width": width}, **kwargs,
    )  # fmt: skip


def dropdown(description, options, value, width="220px"):
    return widgets.Dropdown(
        options=options, value=value, description=description,
        style={"description_width": "initial"}, layout={"width": width},
    )  # fmt: skip


def whole_number(description, low, high, value, width="240px"):
    """A field for a whole number."""
    return widgets.BoundedIntText(
        value=value, min=low, max=high, description=description,
        style={"description_width": "initial"}, layout={"width": width},
    )  # fmt: skip


def image_number(images, value=0):
    """A field for the number of an image."""
    return whole_number(f"image (0 to {len(images) - 1})", 0, len(images) - 1, value)
