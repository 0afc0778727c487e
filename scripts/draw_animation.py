"""LeNet.gif: digits move past LeNet, and every value of every layer is seen.

The frames are arrays of palette indices from the start: one palette for all of them, and no colour
is ever approximated.
"""

import lenet_helpers as lenet
from lenet_course.drawing import MARGIN, Picture

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from draw_architecture import THEMES, volumes
from PIL import Image
from torch import Tensor, nn
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
TOP, ROW = 74, 260  # where the highest layer begins, and its height; others are centred beside it
PLACES = [  # of the layers: x, columns of maps, scale, gap between the maps
    (22, 1, 5, 0),
    (188, 2, 3, 4),
    (386, 2, 3, 4),
    (500, 4, 3, 4),
    (658, 4, 3, 4),
    (756, 4, 7, 1),
    (812, 3, 7, 1),
]
BARS_X, BARS_WIDTH, BAR_ROW = 880, 62, 26

# ---------------------------------------------------------------------------- palette

COLORS = THEMES["dark"]
DARK, BAR = (22, 27, 34), (255, 176, 59)
BELOW, ABOVE = [(200, 240, 255), (60, 180, 235), (18, 90, 150)], [(150, 70, 10), (255, 150, 40)]
RAMPS = {  # name: colours that the ramp runs through, and its number of steps
    "text": ([(13, 17, 23), (240, 246, 252)], 12),
    "input": ([DARK, (255, 255, 255)], 13),
    "signed": ([*BELOW, DARK, *ABOVE, (255, 240, 190)], 19),
    "bar": ([(13, 17, 23), BAR], 10),
}


def _ramp(colors, steps):
    """(steps, 3) colours, evenly from the first of `colors` through the others to the last."""
    at = np.linspace(0, len(colors) - 1, steps)
    red_green_blue = zip(*colors, strict=True)
    return np.stack([np.interp(at, range(len(colors)), c) for c in red_green_blue], axis=1)


PALETTE = np.round(np.concatenate([_ramp(*ramp) for ramp in RAMPS.values()])).astype(np.uint8)


def shade(ramp: str, amount: np.ndarray | float) -> np.ndarray:
    """Palette indices of `amount` (0..1, an array or a number) on a ramp."""
    names = list(RAMPS)
    start = sum(RAMPS[name][1] for name in names[: names.index(ramp)])
    return (start + np.round(np.clip(amount, 0, 1) * (RAMPS[ramp][1] - 1))).astype(np.uint8)


def as_palette_picture(indices: np.ndarray) -> Image.Image:
    picture = Image.fromarray(indices.astype(np.uint8), "P")
    picture.putpalette([*PALETTE.flatten().tolist(), 0, 0, 0])  # the last one is see-through
    return picture


# ---------------------------------------------------------------------------- digits in motion


def moving_digits(images: lenet.ImageDataset) -> Tensor:
    """(N, 1, 28, 28) float32 frames: one digit after the other comes in, sways, and leaves.

    `images` is an ImageDataset; the first digit of each class is shown, none is picked out.
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
    way = ((u.abs() - 0.28) / 0.44).clamp(0, 1)
    slide = way * way * (3 - 2 * way) * torch.sign(u) * 38  # it starts and ends gently
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


# ---------------------------------------------------------------------------- values


def stage_values(net: nn.Sequential, X: Tensor) -> list[Tensor]:
    """What LeNet's volumes hold for the frames `X`, the output as probabilities."""
    outputs = lenet.activations(net.eval(), X)
    *values, logits = [outputs[volume.layer] for volume in volumes()]
    return [*values, logits.softmax(dim=1)]


def grey(values: Tensor) -> np.ndarray:
    """Palette indices of the input's pixels, 0..1."""
    steps = RAMPS["input"][1] - 1
    return shade("input", _steady(values.numpy() * steps) / steps)


def lit(values: Tensor, blank: Tensor) -> np.ndarray:
    """Palette indices: how far the values are from those of an empty picture, and which way."""
    far = (values - blank).numpy()
    amount = np.abs(far / np.quantile(np.abs(far), 0.995)) ** 0.75  # which lifts the faint ones
    steps = RAMPS["signed"][1] // 2
    return shade("signed", (_steady(np.sign(far) * amount * steps) / steps + 1) / 2)


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


# ---------------------------------------------------------------------------- frames


def draw_maps(canvas: np.ndarray, place: tuple[int, ...], indices: np.ndarray) -> None:
    """Put the palette indices of (channels, height, width) values on the canvas."""
    left, columns, scale, gap = place
    big = indices.repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width = big.shape
    rows = -(-count // columns)
    top = TOP + (ROW - rows * (height + gap) + gap) // 2
    for i, picture in enumerate(big):
        row, column = divmod(i, columns)
        y, x = top + row * (height + gap), left + column * (width + gap)
        canvas[y : y + height, x : x + width] = picture


def backdrop(digits: str) -> np.ndarray:
    """What is the same in all frames; the digits beside the bars have the colour `digits`."""
    picture = Picture(SIZE[1] - 2 * MARGIN, SIZE[0] - 2 * MARGIN)
    picture.box(-MARGIN, -MARGIN, *SIZE, fill=COLORS["background"])

    def write(x, y, words, size, color, anchor="middle", bold=False):
        picture.text(x - MARGIN, y - MARGIN, words, size, color, anchor, bold)

    for volume, middle in zip(volumes(), (92, 274, 430, 566, 694, 771, 823, 905), strict=True):
        write(middle, 26, volume.name, 20, COLORS["text"], bold=True)
        write(middle, 50, volume.label.replace(" ", ""), 16, COLORS["faint"])
    for x in (174, 372, 486, 645, 743, 799):
        write(x, TOP + ROW / 2, "›", 24, COLORS["faint"])
    for digit in range(10):
        middle = TOP + digit * BAR_ROW + BAR_ROW / 2
        write(BARS_X - 16, middle, digit, 18, digits, bold=True)
    write(22, 372, "less", 16, COLORS["text"], anchor="start")
    write(200, 372, "more than for an empty picture", 16, COLORS["text"], anchor="start")
    image = Image.open(io.BytesIO(picture.png())).convert("RGB").reduce(2)
    palette = as_palette_picture(np.zeros((1, 1)))
    canvas = np.array(image.quantize(palette=palette, dither=Image.Dither.NONE))
    canvas[365:379, 70:190] = shade("signed", np.linspace(0, 1, 120))
    return canvas


def draw_output(canvas: np.ndarray, probabilities: Tensor, bright: np.ndarray) -> None:
    """Ten bars; the digit that the network is sure of is as in the backdrop `bright`."""
    for digit, p in enumerate(probabilities.tolist()):
        y = TOP + digit * BAR_ROW
        if p > 0.5:
            beside = slice(y, y + BAR_ROW), slice(BARS_X - 30, BARS_X)
            canvas[beside] = bright[beside]
        length = round(p * BARS_WIDTH)
        canvas[y + 5 : y + BAR_ROW - 5, BARS_X : BARS_X + BARS_WIDTH] = shade("input", 0)
        canvas[y + 5 : y + BAR_ROW - 5, BARS_X : BARS_X + length] = shade("bar", 1)


def draw_frames(net: nn.Sequential, images: lenet.ImageDataset) -> list[np.ndarray]:
    """All frames as arrays of palette indices."""
    *values, probabilities = stage_values(net, moving_digits(images))
    *blank, _ = stage_values(net, torch.zeros(1, 1, 28, 28))
    maps = [grey(values[0]), *map(lit, values[1:], blank[1:])]
    maps = [m if m.ndim == 4 else m[:, :, None, None] for m in maps]  # a value is a small map
    dim, bright = backdrop(COLORS["faint"]), backdrop(f"rgb{BAR}")
    frames = []
    for i in range(len(probabilities)):
        canvas = dim.copy()
        # A negative index counts from the end, and so goes round the loop.
        for lag, place, indices in zip(LAGS, PLACES, maps, strict=False):
            draw_maps(canvas, place, indices[i - lag])
        draw_output(canvas, probabilities[i - LAGS[-1]], bright)
        frames.append(canvas)
    return frames


def save_gif(frames: list[np.ndarray], path: Path) -> None:
    """Write the frames to `path` as an endless GIF with one palette.

    Each frame holds only what has changed since the one before; the rest of it is transparent.
    """
    see_through = len(PALETTE)
    changes = [np.where(now == before, see_through, now) for before, now in pairwise(frames)]
    first, *others = map(as_palette_picture, (frames[0], *changes))
    first.save(
        path, save_all=True, append_images=others, duration=FRAME_MS, loop=0,
        transparency=see_through, disposal=1, optimize=False,
    )  # fmt: skip
