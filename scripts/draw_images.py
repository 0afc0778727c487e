"""Draw the pictures in Images/ again: `make images`.

Everything is drawn from what is in the repository (the network, its trained weights, a training
run) and from MNIST's test images. tests/test_images.py draws all of them once more and compares, so
that no picture is older than what it shows.
"""

import lenet_helpers as lenet
from lenet_course import curves, drawing, saved

import sys
from pathlib import Path

import draw_animation
from draw_architecture import draw_architecture, draw_thumbnail

IMAGES = lenet.COURSE / "Images"
WEIGHTS = lenet.COURSE / "notebooks" / "weights"
NAMES = [
    "LeNet.gif",
    "architecture.png",
    "architecture.svg",
    "architecture-dark.svg",
    "training_curves.png",
    "video_thumbnail.png",
]


def draw(name: str, folder: Path) -> None:
    """Draw one picture into `folder`."""
    path, digits = folder / name, lenet.load_images("MNIST", train=False)
    if name == "LeNet.gif":
        net = saved.load_weights(lenet.make_lenet(), WEIGHTS / "mnist.pt")
        draw_animation.save_gif(draw_animation.draw_frames(net, digits), path)
        return
    if name == "video_thumbnail.png":
        picture = draw_thumbnail(digits.images[0])
    elif name == "training_curves.png":
        drawing.use_style()
        picture = curves.plot_runs([saved.load_run(WEIGHTS / "fashion_mnist_run.pt")])
    else:
        theme = "dark" if "dark" in name else "light"
        picture = draw_architecture(theme, digits.images[0])
    if path.suffix == ".svg":
        path.write_text(picture.svg("The architecture of LeNet, drawn to scale"), encoding="utf-8")
    else:
        path.write_bytes(drawing.png_of(picture)[1])


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        draw(name, IMAGES)
        print(f"Images/{name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB")
