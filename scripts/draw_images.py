"""Draw the pictures in Images/ again: `make images`.

Everything is drawn from what is in the repository (the network, its trained weights, a training
run) and from MNIST's test images. What each picture was drawn from is written to
Images/sources.json, so that tests/test_images.py notices a picture older than what it shows.
"""

import lenet_helpers as lenet
from lenet_course import curves, data_files, drawing, saved

import ast
import hashlib
import json
import sys
from pathlib import Path

import draw_animation
import draw_architecture
import matplotlib.pyplot as plt
import numpy as np
import torch

IMAGES = lenet.COURSE / "Images"
WEIGHTS = lenet.COURSE / "notebooks" / "weights"
RUN = "fashion_mnist_run.pt"


def animation(path):
    net = saved.load_weights(lenet.make_lenet(), WEIGHTS / "mnist.pt")
    draw_animation.save_gif(draw_animation.draw_frames(net, mnist()), path)


def architecture(path):
    theme = "dark" if path.stem.endswith("dark") else "light"
    _save(draw_architecture.draw_architecture(theme, mnist().images[0]), path)


def thumbnail(path):
    _save(draw_architecture.draw_thumbnail(mnist().images[0]), path)


def training_curves(path):
    run = saved.load_run(WEIGHTS / RUN)
    drawing.use_style()
    path.write_bytes(drawing.png_of(curves.plot_runs([run]))[1])


DIGITS = ["data/MNIST/raw/t10k-images-idx3-ubyte", "data/MNIST/raw/t10k-labels-idx1-ubyte"]
PICTURES = {  # name: what draws it, and the files that decide how it looks
    "LeNet.gif": (
        animation,
        ["scripts/draw_animation.py", "notebooks/weights/mnist.pt", *DIGITS],
    ),
    **{
        name: (architecture, ["scripts/draw_architecture.py", DIGITS[0]])
        for name in (
            "architecture.svg",
            "architecture.png",
            "architecture-dark.svg",
            "architecture-dark.png",
        )
    },
    "video_thumbnail.png": (thumbnail, ["scripts/draw_architecture.py", DIGITS[0]]),
    "training_curves.png": (
        training_curves,
        ["lenet_course/curves.py", f"notebooks/weights/{RUN}"],
    ),
}


def mnist():
    return lenet.load_images("MNIST", train=False)


def sources(name):
    """What the picture `name` depends on: a SHA-256 for each file and for the network's trace."""
    hashes = {file: _sha256(_content(file)) for file in PICTURES[name][1]}
    trace = lenet.trace_shapes(lenet.make_lenet(), torch.zeros(1, 1, 28, 28))
    hashes["the trace of the network"] = _sha256(repr([tuple(t) for t in trace]).encode())
    return hashes


def _content(file):
    """The bytes that count, so that a picture is not called old for what is not seen in it."""
    path = lenet.COURSE / file
    if file.startswith("data/"):
        path = data_files.data_folder() / Path(file).relative_to("data")
    if path.suffix == ".py":  # what the code does, not its comments and layout
        return ast.unparse(ast.parse(path.read_text(encoding="utf-8"))).encode()
    if path.name == RUN:  # the curves, not the clock
        run = saved.load_run(path)
        return repr(np.round([*run.train, *((e, a, 0) for e, a in run.test)], 2).tolist()).encode()
    if path.suffix == ".pt":  # the numbers, not the file around them
        weights = saved.load_weights(lenet.make_lenet(), path).state_dict()
        return b"".join(value.numpy().tobytes() for value in weights.values())
    return path.read_bytes()


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def _save(fig, path, dpi=100):
    # No date and no random names, so that the same picture is the same file.
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with plt.rc_context({"svg.hashsalt": "LeNet"}):
        fig.savefig(path, dpi=dpi, metadata=metadata)
    plt.close(fig)


def main(names):
    """Draw the pictures `names`, or all, and write down what they were drawn from."""
    record = IMAGES / "sources.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    for name in names or PICTURES:
        PICTURES[name][0](IMAGES / name)
        known[name] = {
            "drawn_from": sources(name),
            "sha256": _sha256((IMAGES / name).read_bytes()),
        }
        print(f"Images/{name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB")
    record.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
