"""From a drawing or a photograph to the 28 x 28 pixels that a network of this course reads."""

import io

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps

FIELD = 280  # pixels of the field to draw on, ten for each of the image's


def as_mnist(ink: np.ndarray) -> torch.Tensor:
    """A drawing (H, W), 0 (black) to 255 (white ink), as X (1, 1, 28, 28), made as MNIST was.

    The ink's bounding box is scaled, its proportions kept, to fit 20 x 20 pixels, and its centre of
    mass comes to lie at the centre of 28 x 28 (LeCun, Cortes and Burges, the MNIST database).
    An empty drawing is a black image.
    """
    small = cropped(ink, 20)
    if small is None:
        return torch.zeros(1, 1, 28, 28)
    rows, columns = (np.arange(side) for side in small.shape)
    mass = small.sum()
    middle = (small.sum(axis=1) @ rows / mass, small.sum(axis=0) @ columns / mass)
    # The image's centre is pixel 14 of 0..27. A very uneven drawing must not leave the image.
    places = [
        min(max(round(14 - m), 0), 28 - side) for m, side in zip(middle, small.shape, strict=True)
    ]
    return _placed(small, *places)


def as_fashion_mnist(ink: np.ndarray) -> torch.Tensor:
    """The same for clothing, made as Fashion-MNIST was: the longest edge fills all 28 pixels.

    The piece stands in the middle by its bounding box, not by its centre of mass (Xiao, Rasul and
    Vollgraf, 2017, section 2).
    """
    small = cropped(ink, 28)
    if small is None:
        return torch.zeros(1, 1, 28, 28)
    return _placed(small, *((28 - side) // 2 for side in small.shape))


def cropped(ink: np.ndarray, longest: int) -> np.ndarray | None:
    """The ink's bounding box, its longer side scaled to `longest` pixels; None without ink."""
    ink = np.asarray(ink)
    if ink.ndim != 2 or ink.dtype != np.uint8 or ink.size == 0:
        raise ValueError(f"a drawing must be uint8 of shape (H, W), it is {ink.dtype} {ink.shape}")
    box = Image.fromarray(ink).getbbox()
    if box is None:
        return None
    crop = Image.fromarray(ink).crop(box)
    factor = longest / max(crop.size)
    size = [max(1, round(side * factor)) for side in crop.size]
    # Smaller: every pixel the mean of what it covers.
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    return np.asarray(crop.resize(size, how), dtype=np.float32)


def _placed(small, top, left):
    X = torch.zeros(1, 1, 28, 28)
    X[0, 0, top : top + small.shape[0], left : left + small.shape[1]] = torch.tensor(small) / 255
    return X


# ---------------------------------------------------------------------------- photographs


def ink_of_photograph(content: bytes) -> dict[str, np.ndarray]:
    """The bytes of a picture's file as steps {name: (280, 280) uint8}, the last one its ink.

    Paper is never evenly lit: its brightness is fitted to the picture's edge, a second-degree
    polynomial in x and y, and subtracted. What is left is inverted if the paper is the lighter of
    the two, and stretched: the paper's noise becomes black, the strongest ink white. Raises
    ValueError for a file that is no picture, and for a picture without ink.
    """
    grey = _grey(content)
    smooth = (
        Image.fromarray(grey).filter(ImageFilter.MedianFilter(3)).filter(ImageFilter.BoxBlur(1))
    )
    difference, noise = _without_paper(np.asarray(smooth, dtype=float))
    strongest = np.quantile(difference, 0.998)
    black = max(5 * noise, strongest / 4)
    if strongest < 12 or strongest < 1.5 * black:
        raise ValueError(
            "there is no ink to be seen in this picture: write darker, or take the photograph "
            "nearer and with more light, nothing but paper around the ink and no shadow across it"
        )
    return {
        "in grey": _squared(grey),
        "less the paper": _squared(difference),
        "stretched": _squared(255 * (difference - black) / (strongest - black)),
    }


def _grey(content):
    """The picture in a file, upright, grey, 280 at its longer side.

    Where it is transparent it gets the paper that its ink can be seen on: dark for light ink.
    """
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        if image.mode.startswith("I"):  # 16 bits, from a scanner
            image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        image = image.convert("RGBA").convert("LA")
    except Exception as error:  # whatever a damaged file provokes
        raise ValueError(
            "this file cannot be read as a picture: upload a PNG or a JPEG, as cameras save it"
        ) from error
    grey, alpha = np.asarray(ImageOps.contain(image, (FIELD, FIELD)), float).transpose(2, 0, 1)
    paper = 255 if (alpha * grey).sum() <= 127 * alpha.sum() else 0
    return (paper + alpha / 255 * (grey - paper)).round().astype(np.uint8)


def _without_paper(grey):
    """`grey` less the paper's brightness, the ink above 0; and the paper's noise."""
    height, width = grey.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([x**0, x, y, x * x, x * y, y * y], axis=-1)
    edge = np.maximum(abs(x), abs(y)) > 0.9
    difference = grey - terms @ np.linalg.lstsq(terms[edge], grey[edge], rcond=None)[0]
    if np.quantile(difference, 0.002) < -np.quantile(difference, 0.998):
        difference = -difference
    return difference, difference[edge].std()


def _squared(values):
    """Values as uint8 in the middle of a black square of 280 x 280."""
    image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    return np.array(ImageOps.pad(image, (FIELD, FIELD)))
