"""LeNet.gif: digits move past LeNet, and every value of every layer is seen.

The frames are arrays of palette indices from the start: one palette for all of them, and no colour
is ever approximated.
"""

import lenet_helpers as lenet

from itertools import pairwise

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch.nn import functional as F

FRAMES_PER_DIGIT = 20
FRAME_MS = 80
ORDER = [7, 2, 1, 0, 4, 9, 5, 6, 3, 8]
NOISY = {1, 4}  # places in ORDER; the others come without noise
# Frames that each layer is shown behind the input, so that the eye sees the signal move on.
LAGS = [0, 1, 1, 2, 2, 3, 3, 4]

SIZE = 960, 400  # of the picture
TOP = 74  # where the layers begin
ROW = 260  # height of the highest layer; the others are centred beside it

# ---------------------------------------------------------------------------- palette

BACKGROUND = (13, 17, 23)
RAMPS = {  # name: colours that the ramp runs through, and its number of steps
    "text": ([BACKGROUND, (240, 246, 252)], 12),
    "faint": ([BACKGROUND, (145, 152, 161)], 10),
    "bar": ([BACKGROUND, (255, 176, 59)], 10),
    "input": ([(22, 27, 34), (255, 255, 255)], 13),
    "below": ([(22, 27, 34), (18, 90, 150), (60, 180, 235), (200, 240, 255)], 10),
    "above": ([(22, 27, 34), (150, 70, 10), (255, 150, 40), (255, 240, 190)], 10),
}


def _ramp(colors, steps):
    at = np.linspace(0, len(colors) - 1, steps)
    return [
        [np.interp(x, range(len(colors)), channel) for channel in zip(*colors, strict=True)]
        for x in at
    ]


PALETTE, START = [BACKGROUND], {}  # all colours; where each ramp begins among them
for _name, (_colors, _steps) in RAMPS.items():
    START[_name] = len(PALETTE)
    PALETTE += _ramp(_colors, _steps)
PALETTE = np.round(PALETTE).astype(np.uint8)


def shade(ramp, amount):
    """Palette indices of `amount` (0..1, an array or a number) on a ramp."""
    steps = RAMPS[ramp][1] - 1
    return (START[ramp] + np.round(np.clip(amount, 0, 1) * steps)).astype(np.uint8)


# ---------------------------------------------------------------------------- digits in motion


def moving_digits(images):
    """(N, 1, 28, 28) float32 frames: one digit after the other comes in, sways, and leaves.

    `images` is an ImageTensors; the first digit of each class is shown, none is picked out.
    """
    first = [int((images.labels == digit).nonzero()[0]) for digit in ORDER]
    X, _ = images[first]
    total = FRAMES_PER_DIGIT * len(ORDER)
    rng = np.random.default_rng(1)
    speckle = torch.tensor(rng.normal(0, 1, X.shape), dtype=torch.float32)
    time = torch.arange(total) / FRAMES_PER_DIGIT
    frames = torch.zeros(total, 1, 28, 28)
    for k in range(len(ORDER)):
        # -0.5 when the digit comes, 0 when it is in the middle, 0.5 when it goes; round the loop
        u = (time - k - 0.5 + len(ORDER) / 2) % len(ORDER) - len(ORDER) / 2
        seen = u.abs() < 1
        frames[seen] = torch.maximum(frames[seen], _pose(X[k : k + 1], u[seen], k))
        if k in NOISY:
            strength = 0.2 * torch.cos(np.pi * u.clamp(-0.5, 0.5)) ** 2
            frames += strength[:, None, None, None] * speckle[k]
    return frames.clamp(0, 1)


def _pose(image, u, k):
    """One digit at the moments `u`: slid in and out, turned, shifted and scaled."""
    sway = torch.sin(2 * np.pi * u)
    turn = torch.deg2rad(torch.tensor([18.0, -16, 16, -20, 16, -14, 16, -18, 14, -18][k]) * sway)
    slide = _smooth((u.abs() - 0.28) / 0.44) * torch.sign(u) * 38
    across = slide + 1.5 * torch.sin(2 * np.pi * u + k)
    down = 2.0 * torch.sin(4 * np.pi * u + 2 * k)
    scale = 1 + 0.12 * torch.cos(2 * np.pi * u + k)
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    # affine_grid asks, for a pixel of the result, where it lies in the image, in -1..1.
    rows = [
        torch.stack([cos, -sin, (cos * across - sin * down) / 14], dim=1),
        torch.stack([sin, cos, (sin * across + cos * down) / 14], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), (len(u), 1, 28, 28), align_corners=False)
    return F.grid_sample(image.expand(len(u), -1, -1, -1), grid, align_corners=False)


def _smooth(x):
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


# ---------------------------------------------------------------------------- values


def layer_values(net, X):
    """What LeNet's stages hold for the frames `X`: input, C1, S2, C3, S4, C5, F6, output.

    A convolution is taken after its activation; the output as probabilities.
    """
    outputs = lenet.activations(net.eval(), X)
    stages = [outputs[i] for i in (0, 2, 3, 5, 6, 9, 11)]
    return [*stages, outputs[-1].softmax(dim=1)]


def grey(values):
    """Palette indices of the input's pixels, 0..1."""
    steps = RAMPS["input"][1] - 1
    return shade("input", _steady(values.numpy() * steps) / steps)


def lit(values, blank):
    """Palette indices: how far the values are from those of an empty picture, and which way."""
    far = (values - blank).numpy()
    amount = far / np.quantile(np.abs(far), 0.995)
    # The root lifts the faint ones.
    amount = np.sign(amount) * np.abs(amount) ** 0.75
    steps = RAMPS["above"][1] - 1
    level = _steady(amount * steps)
    return np.where(
        level < 0, shade("below", -level / steps), shade("above", level / steps)
    ).astype(np.uint8)


def _steady(level):
    """Round each frame, with a little pull towards 0, but move only when the value moves clearly.

    Values that waver about the boundary of a step would flicker, and flicker costs bytes.
    """
    pull = 0.25
    steady = np.sign(level) * np.floor(np.abs(level) + 0.5 - pull)
    for now, before, wanted in zip(steady[1:], steady, level[1:], strict=False):
        stay = np.abs(wanted - np.sign(before) * pull - before) < 1.1
        now[stay] = before[stay]
    return steady


# ---------------------------------------------------------------------------- layout


class Block:
    """Where a layer's maps stand: `columns` beside one another, each pixel `scale` pixels wide."""

    def __init__(self, name, label, x, columns, scale, gap=4):
        self.name, self.label, self.x = name, label, x
        self.columns, self.scale, self.gap = columns, scale, gap

    def place(self, maps):
        """Remember the size of `maps` (channels, height, width); centre the block on its row."""
        channels, self.height, self.width = maps
        self.rows = -(-channels // self.columns)
        self.block_width = self._length(self.columns, self.width)
        self.block_height = self._length(self.rows, self.height)
        self.y = TOP + (ROW - self.block_height) // 2

    def _length(self, count, side):
        return count * side * self.scale + (count - 1) * self.gap

    def draw(self, canvas, indices):
        """Put the palette indices of (channels, height, width) values on the canvas."""
        big = indices.repeat(self.scale, axis=1).repeat(self.scale, axis=2)
        for i, picture in enumerate(big):
            row, column = divmod(i, self.columns)
            y = self.y + row * (picture.shape[0] + self.gap)
            x = self.x + column * (picture.shape[1] + self.gap)
            canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture


def blocks():
    """The seven layers with their places; the tenth of the width that is left is the output's."""
    return [
        Block("input", "28×28", 22, 1, 5),
        Block("C1", "6@28×28", 188, 2, 3),
        Block("S2", "6@14×14", 386, 2, 3),
        Block("C3", "16@10×10", 500, 4, 3),
        Block("S4", "16@5×5", 658, 4, 3),
        Block("C5", "120", 756, 4, 7, 1),
        Block("F6", "84", 812, 3, 7, 1),
    ]


def font(size, bold=False):
    """DejaVu Sans, which comes with matplotlib and so is the same everywhere."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", size)


def write(canvas, xy, text, ramp, size, bold=False, anchor="mm"):
    """Write text on the canvas in a ramp's colour."""
    ink = Image.new("L", (canvas.shape[1], canvas.shape[0]))
    ImageDraw.Draw(ink).text(xy, text, fill=255, font=font(size, bold), anchor=anchor)
    amount = np.asarray(ink) / 255
    touched = amount > 0.04
    canvas[touched] = shade(ramp, amount[touched])


BARS_X, BARS_WIDTH, BAR_ROW = 880, 62, 26


def backdrop(layout):
    """What is the same in all frames."""
    canvas = np.zeros(SIZE[::-1], np.uint8)
    for block in layout:
        middle = block.x + block.block_width // 2
        write(canvas, (middle, 26), block.name, "text", 20, bold=True)
        write(canvas, (middle, 50), block.label, "faint", 16)
    write(canvas, (BARS_X + 25, 26), "output", "text", 20, bold=True)
    write(canvas, (BARS_X + 25, 50), "10", "faint", 16)
    for before, after in pairwise(layout):
        x = (before.x + before.block_width + after.x) / 2
        write(canvas, (x, TOP + ROW / 2), "›", "faint", 24)
    _write_key(canvas, 372)
    return canvas


def _write_key(canvas, y):
    """What the colours mean."""
    write(canvas, (22, y), "less", "text", 16, anchor="lm")
    for x, ramp, direction in ((70, "below", -1), (130, "above", 1)):
        amount = np.linspace(0, 1, 60)[::direction]
        canvas[y - 7 : y + 7, x : x + 60] = shade(ramp, amount)
    write(canvas, (200, y), "more than for an empty picture", "text", 16, anchor="lm")


def draw_output(canvas, probabilities):
    """Ten bars; the winner's digit is bright."""
    for digit, p in enumerate(probabilities):
        y = TOP + digit * BAR_ROW
        winner = digit == probabilities.argmax() and p > 0.5
        write(canvas, (BARS_X - 16, y + BAR_ROW // 2), str(digit), "bar" if winner else "faint",
              18, bold=True)  # fmt: skip
        length = round(float(p) * BARS_WIDTH)
        canvas[y + 5 : y + BAR_ROW - 5, BARS_X : BARS_X + BARS_WIDTH] = shade("input", 0)
        canvas[y + 5 : y + BAR_ROW - 5, BARS_X : BARS_X + length] = shade("bar", 1.0)


def draw_frames(net, images):
    """All frames as arrays of palette indices."""
    X = moving_digits(images)
    *stages, probabilities = layer_values(net, X)
    blank = layer_values(net, torch.zeros(1, 1, 28, 28))
    indices = [grey(stages[0])]
    indices += [lit(v, b) for v, b in zip(stages[1:], blank[1:-1], strict=True)]
    layout = blocks()
    for block, values in zip(layout, indices, strict=True):
        block.place(values.shape[1:] if values.ndim == 4 else (values.shape[1], 1, 1))
    background, frames = backdrop(layout), []
    for i in range(len(X)):
        canvas = background.copy()
        for lag, block, values in zip(LAGS, layout, indices, strict=False):
            now = values[i - lag]  # a negative index: from the end, and so round the loop
            block.draw(canvas, now if now.ndim == 3 else now[:, None, None])
        draw_output(canvas, probabilities[i - LAGS[-1]].numpy())
        frames.append(canvas)
    return frames


def save_gif(frames, path):
    """Write the frames to `path` as an endless GIF with one palette.

    Each frame holds only what has changed since the one before; the rest of it is transparent.
    """
    see_through = len(PALETTE)
    changes = [np.where(now == before, see_through, now) for before, now in pairwise(frames)]
    pictures = []
    for indices in (frames[0], *changes):
        picture = Image.fromarray(indices.astype(np.uint8), "P")
        picture.putpalette([*PALETTE.flatten().tolist(), 0, 0, 0])
        pictures.append(picture)
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=FRAME_MS, loop=0,
        transparency=see_through, disposal=1, optimize=False,
    )  # fmt: skip
