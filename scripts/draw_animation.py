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
TURNS = {  # degrees by which a digit sways, in the order of their coming
    7: 18, 2: -16, 1: 16, 0: -20, 4: 16, 9: -14, 5: 16, 6: -18, 3: 14, 8: -18,
}  # fmt: skip
NOISY = {2, 4}  # the digits that come with noise
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
    """(steps, 3) colours, evenly from the first of `colors` through the others to the last."""
    at = np.linspace(0, len(colors) - 1, steps)
    red_green_blue = zip(*colors, strict=True)
    return np.stack([np.interp(at, range(len(colors)), c) for c in red_green_blue], axis=1)


PALETTE = np.round(np.concatenate([_ramp(*ramp) for ramp in RAMPS.values()])).astype(np.uint8)
_ends = np.cumsum([steps for _, steps in RAMPS.values()])
START = dict(zip(RAMPS, [0, *_ends], strict=False))  # of each ramp in the palette


def shade(ramp, amount):
    """Palette indices of `amount` (0..1, an array or a number) on a ramp."""
    steps = RAMPS[ramp][1] - 1
    return (START[ramp] + np.round(np.clip(amount, 0, 1) * steps)).astype(np.uint8)


# ---------------------------------------------------------------------------- digits in motion


def moving_digits(images):
    """(N, 1, 28, 28) float32 frames: one digit after the other comes in, sways, and leaves.

    `images` is an ImageTensors; the first digit of each class is shown, none is picked out.
    """
    X, _ = images[[int((images.labels == digit).nonzero()[0]) for digit in TURNS]]
    count = len(X)
    total = FRAMES_PER_DIGIT * count
    speckle = torch.tensor(np.random.default_rng(1).normal(size=X.shape), dtype=torch.float32)
    time = torch.arange(total) / FRAMES_PER_DIGIT
    frames = torch.zeros(total, 1, 28, 28)
    for k, (digit, turn) in enumerate(TURNS.items()):
        # 0 when the digit is in the middle, -0.5 and 0.5 when it comes and goes; round the loop
        u = (time - k - 0.5 + count / 2) % count - count / 2
        seen = u.abs() < 1
        frames[seen] = torch.maximum(frames[seen], _pose(X[k : k + 1], u[seen], turn, k))
        if digit in NOISY:
            strength = 0.2 * torch.cos(np.pi * u.clamp(-0.5, 0.5)) ** 2
            frames += strength[:, None, None, None] * speckle[k]
    return frames.clamp(0, 1)


def _pose(image, u, turn, k):
    """One digit at the moments `u`: slid in and out, turned, shifted and scaled, each its way."""
    angle = np.deg2rad(turn) * torch.sin(2 * np.pi * u)
    slide = _smooth((u.abs() - 0.28) / 0.44) * torch.sign(u) * 38
    across = slide + 1.5 * torch.sin(2 * np.pi * u + k)
    down = 2.0 * torch.sin(4 * np.pi * u + 2 * k)
    scale = 1 + 0.12 * torch.cos(2 * np.pi * u + k)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
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
    amount = np.abs(far / np.quantile(np.abs(far), 0.995)) ** 0.75  # which lifts the faint ones
    steps = RAMPS["above"][1] - 1
    level = _steady(np.sign(far) * amount * steps) / steps
    return np.where(level < 0, shade("below", -level), shade("above", level))


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

    def __init__(self, name, x, columns, scale, gap, maps):
        self.name, self.x, self.columns, self.scale, self.gap = name, x, columns, scale, gap
        channels, height, width = maps
        size = f"{height}×{width}" if height > 1 else ""
        self.label = "@".join(filter(None, [str(channels) if channels > 1 else "", size]))
        self.width = self._length(columns, width)
        self.height = self._length(-(-channels // columns), height)
        self.y = TOP + (ROW - self.height) // 2

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


PLACES = {  # x, columns, scale, gap
    "input": (22, 1, 5, 0),
    "C1": (188, 2, 3, 4),
    "S2": (386, 2, 3, 4),
    "C3": (500, 4, 3, 4),
    "S4": (658, 4, 3, 4),
    "C5": (756, 4, 7, 1),
    "F6": (812, 3, 7, 1),
}
BARS_X, BARS_WIDTH, BAR_ROW = 880, 62, 26


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


def backdrop(layout):
    """What is the same in all frames."""
    canvas = np.zeros(SIZE[::-1], np.uint8)
    for block in layout:
        middle = block.x + block.width // 2
        write(canvas, (middle, 26), block.name, "text", 20, bold=True)
        write(canvas, (middle, 50), block.label, "faint", 16)
    write(canvas, (BARS_X + 25, 26), "output", "text", 20, bold=True)
    write(canvas, (BARS_X + 25, 50), "10", "faint", 16)
    for digit in range(10):
        _write_digit(canvas, digit, "faint")
    for before, after in pairwise(layout):
        x = (before.x + before.width + after.x) / 2
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
    """Ten bars; the digit that the network is sure of is bright."""
    for digit, p in enumerate(probabilities.tolist()):
        y = TOP + digit * BAR_ROW
        if p > 0.5:
            _write_digit(canvas, digit, "bar")
        length = round(p * BARS_WIDTH)
        canvas[y + 5 : y + BAR_ROW - 5, BARS_X : BARS_X + BARS_WIDTH] = shade("input", 0)
        canvas[y + 5 : y + BAR_ROW - 5, BARS_X : BARS_X + length] = shade("bar", 1)


def _write_digit(canvas, digit, ramp):
    middle = BARS_X - 16, TOP + digit * BAR_ROW + BAR_ROW // 2
    write(canvas, middle, str(digit), ramp, 18, bold=True)


def draw_frames(net, images):
    """All frames as arrays of palette indices."""
    *stages, probabilities = layer_values(net, moving_digits(images))
    *blank, _ = layer_values(net, torch.zeros(1, 1, 28, 28))
    maps = [grey(stages[0]), *map(lit, stages[1:], blank[1:])]
    maps = [m if m.ndim == 4 else m[:, :, None, None] for m in maps]  # a value is a small map
    layout = [
        Block(name, *place, m.shape[1:])
        for (name, place), m in zip(PLACES.items(), maps, strict=True)
    ]
    background, frames = backdrop(layout), []
    for i in range(len(probabilities)):
        canvas = background.copy()
        # A negative index counts from the end, and so goes round the loop.
        for lag, block, values in zip(LAGS, layout, maps, strict=False):
            block.draw(canvas, values[i - lag])
        draw_output(canvas, probabilities[i - LAGS[-1]])
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
