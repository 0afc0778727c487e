"""Weights and runs as files: where they lie, written whole or not at all, read without executing.

A file of weights holds `{"network": str(net), "weights": state_dict}`, a file of a run the fields
of a `lenet_helpers.Run`. Both are what `torch.save` writes.
"""

import lenet_helpers as lenet  # before torch

import glob
import io
import json
import os
import pickle
import re
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn

# ---------------------------------------------------------------------------- where they lie


def runs_folder() -> Path:
    """The folder for what a reader's own runs leave: $LENET_RUNS, if that is set.

    Otherwise notebooks/runs/ in the course or lenet-runs/ at home, whichever can be written first.
    Raises OSError if none can.
    """
    choices = [lenet.COURSE / "notebooks" / "runs", Path(os.path.expanduser("~"), "lenet-runs")]
    if os.environ.get("LENET_RUNS"):
        choices = [lenet.COURSE / os.path.expanduser(os.environ["LENET_RUNS"])]
    for folder in choices:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Asking by trying: permissions alone do not know of read-only file systems.
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    named = " and ".join(map(str, choices))
    raise OSError(f"{named} cannot be written: set LENET_RUNS to a folder that can")


def find_weights(name: str) -> Path:
    """Path of `name` from the reader's own run of a chapter or, without one, as shipped."""
    own = runs_folder() / name
    return own if own.exists() else lenet.COURSE / "notebooks" / "weights" / name


# ---------------------------------------------------------------------------- writing


@contextmanager
def atomic_write(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file to write to. `path` gets what was written as a whole, or it stays as it was."""
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(half_written, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(half_written, path)  # all or nothing, even if the process is killed
    finally:
        half_written.unlink(missing_ok=True)
    # What a killed process left behind; a younger file may be another notebook's, at work.
    for left_over in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with suppress(FileNotFoundError):  # it has just got its name
            if left_over.stat().st_mtime < time.time() - 3600:
                left_over.unlink()


def write_json(content: Any, path: Path | str) -> None:
    """Write what JSON can hold to `path`, whole or not at all."""
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def save_weights(net: nn.Module, path: Path | str) -> None:
    """Write the weights of `net` to `path`, with the name of the network that they belong to."""
    _write({"network": _described(net), "weights": lenet.copy_weights(net)}, Path(path))


def save_run(run: lenet.Run, path: Path | str) -> None:
    """Write `run` with all its checkpoints. Raises ValueError for what could not be read back."""
    _check_run(asdict(run), Path(path))
    _write(asdict(run), Path(path))


def _write(content: Any, path: Path) -> None:
    memory = io.BytesIO()
    torch.save(content, memory)
    try:
        _read(memory, path)  # what cannot be read back is not written over what can
    except ValueError as error:
        raise ValueError(
            f"{path.name} was not written: numbers of Python, texts and tensors can be kept, "
            "and nothing else, numbers of numpy neither (.item() makes one of Python)"
        ) from error
    with atomic_write(path) as file:
        file.write(memory.getbuffer())


# ---------------------------------------------------------------------------- reading


def load_weights(net: nn.Module, path: Path | str) -> nn.Module:
    """Put the weights in `path` into `net` and return it.

    Raises ValueError, and leaves `net` as it was, if the file is damaged or of another network.
    """
    path = Path(path)
    content = _open(path)
    if isinstance(content, dict) and content and all(map(torch.is_tensor, content.values())):
        raise ValueError(
            f"{path.name} is a state dict alone, which does not say of which network it is: "
            "net.load_state_dict(torch.load(path)) reads it, and save_weights keeps both"
        )
    if not isinstance(content, dict) or not isinstance(content.get("weights"), dict):
        raise ValueError(f"{path.name} does not hold the weights of a network")
    if content.get("network") != _described(net):
        theirs = str(content.get("network"))
        raise ValueError(f"{path.name} {_other_network(_described(net), theirs)}")
    weights, expected = content["weights"], net.state_dict()
    if {n: _kind(w) for n, w in weights.items()} != {n: _kind(w) for n, w in expected.items()}:
        raise ValueError(f"{path.name} holds other tensors than this network has")
    net.load_state_dict(weights)
    return net


def load_run(path: Path | str) -> lenet.Run:
    """The Run that `save_run` wrote. Raises ValueError if the file is damaged or no run."""
    path = Path(path)
    content = _open(path)
    _check_run(content, path)
    return lenet.Run(**content)


def _described(net: nn.Module) -> str:
    """The layers of `net` in words, without addresses, which differ from kernel to kernel."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(net))


def _other_network(ours: str, theirs: str) -> str:
    """Where two networks, as `str` shows them, begin to differ."""
    pairs = zip_longest(ours.splitlines(), theirs.splitlines(), fillvalue="nothing")
    here, there = next(pair for pair in pairs if pair[0] != pair[1])
    return f"is of another network: {here.strip()[:80]} here and {there.strip()[:80]} there"


def _kind(tensor: Any) -> tuple | None:
    """What has to be the same for a tensor to take another's place; None if it is no tensor."""
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
        return None
    return tuple(tensor.shape), tensor.dtype


def _check_run(content: Any, path: Path) -> None:
    kinds = {item.name: item.type for item in fields(lenet.Run) if item.init}
    if not isinstance(content, dict) or content.keys() != kinds.keys():
        raise ValueError(f"{path.name} does not hold a training run of this version")
    for name, value in content.items():
        if type(value) is not kinds[name] and not (kinds[name] is float and type(value) is int):
            raise ValueError(
                f"{path.name} does not hold a training run: "
                f"its {name} is of type {type(value).__name__}, not {kinds[name].__name__}"
            )


def _open(path: Path) -> Any:
    try:
        with open(path.expanduser(), "rb") as file:
            return _read(file, path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path.name} is not in {path.parent}") from None


def _read(file: BinaryIO, path: Path) -> Any:
    """What torch.save wrote. Nothing in the file is executed; damage is noticed."""
    file.seek(0)
    if file.read(2) != b"PK":
        raise ValueError(f"{path.name} is damaged, or no file that torch.save writes today")
    try:
        # A zip archive with checksums, which torch.load does not look at.
        if zipfile.ZipFile(file).testzip():
            raise ValueError("a checksum is wrong")
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # weights_only met something that could be code
        raise ValueError(
            f"{path.name} holds more than numbers, and was not loaded; of a network only "
            "net.state_dict() is kept, as save_weights does"
        ) from error
    except Exception as error:  # whatever a damaged file provokes
        raise ValueError(f"{path.name} is damaged, or no file that torch.save writes") from error
