"""Where the two data sets lie, and the file format that MNIST came in."""

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import numpy as np
import torch

COURSE = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """The folder with FashionMNIST/raw and MNIST/raw: $LENET_DATA, or data/ in the course.

    A relative $LENET_DATA starts at the course's folder, wherever a notebook lies.
    """
    return COURSE / os.path.expanduser(os.environ.get("LENET_DATA") or "data")


def read_idx(path: Path | str) -> torch.Tensor:
    """One uncompressed IDX file as a uint8 tensor, such as (60000, 28, 28).

    Raises FileNotFoundError if it is not there, ValueError if it is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"{path.name} is not in {path.parent}: run `make data` in the course's folder, or name "
            "the folder that holds the data in LENET_DATA"
        )
    content = path.read_bytes()
    header = 4 + 4 * content[3] if len(content) > 3 else 4
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4)]
    if content[:3] != b"\0\0\x08" or not shape or 0 in shape:
        raise ValueError(f"{path.name} is no IDX file of bytes: run `make data` to fetch it again")
    if len(content) != header + math.prod(shape):
        raise ValueError(
            f"{path.name} is {len(content)} bytes long, its header promises "
            f"{header + math.prod(shape)}: run `make data` to fetch it again"
        )
    return torch.tensor(np.frombuffer(content, np.uint8, offset=header).reshape(shape))


def read_images_and_labels(dataset: str, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 28, 28) and labels (N,) of "FashionMNIST" or "MNIST"; errors as in `read_idx`."""
    if dataset not in ("FashionMNIST", "MNIST"):
        raise ValueError(f'dataset must be "FashionMNIST" or "MNIST", not {dataset!r}')
    raw, part = data_folder() / dataset / "raw", "train" if train else "t10k"
    return read_idx(raw / f"{part}-images-idx3-ubyte"), read_idx(raw / f"{part}-labels-idx1-ubyte")


@contextmanager
def beside_data() -> Iterator[None]:
    """Inside, `../data` is the data folder, wherever it is: d2l's loaders read from there."""
    data = data_folder().resolve()
    if data.name == "data" and data.is_dir():
        with chdir(data):  # needs no symbolic link, which Windows does not give everybody
            yield
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").symlink_to(data)
        Path(folder, "notebooks").mkdir()
        with chdir(Path(folder, "notebooks")):
            yield
