"""The pictures in Images/: none older than what it shows, and each fit to be looked at."""

import lenet_helpers as lenet  # before torch
from lenet_course import saved

import draw_animation
import draw_images
import numpy as np
import pytest
import torch
from draw_architecture import SCALE, volumes
from PIL import Image, ImageSequence

GIF = draw_images.IMAGES / "LeNet.gif"


def test_all_pictures_are_drawn_by_make_images():
    pictures = {path.name for path in draw_images.IMAGES.iterdir() if path.is_file()}
    assert pictures == set(draw_images.NAMES)


@pytest.mark.parametrize("name", [name for name in draw_images.NAMES if name != GIF.name])
def test_drawn_again_it_is_the_same_file(tmp_path, name):
    draw_images.draw(name, tmp_path)
    same = (tmp_path / name).read_bytes() == (draw_images.IMAGES / name).read_bytes()
    assert same, f"Images/{name} is older than what it shows: run `make images`"


def test_drawn_again_the_gif_is_the_same_but_for_rounding(tmp_path):
    """The network's values differ from the seventh digit on between processors."""
    draw_images.draw(GIF.name, tmp_path)
    with Image.open(tmp_path / GIF.name) as again, Image.open(GIF) as shipped:
        assert again.n_frames == shipped.n_frames
        for number in range(0, shipped.n_frames, 25):
            again.seek(number)
            shipped.seek(number)
            differ = np.asarray(again.convert("L")) != np.asarray(shipped.convert("L"))
            assert differ.mean() < 0.001, "Images/LeNet.gif is old: run `make images`"


def test_architecture_has_all_parameters_and_shapes():
    assert sum(volume.parameters for volume in volumes()) == 61706
    shapes = [tuple(size for size in volume.shape if size > 1) for volume in volumes()]
    assert shapes == [(28, 28), (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,),
                      (10,)]  # fmt: skip


def test_architecture_is_to_scale():
    for volume in volumes():
        channels, height, width = volume.shape
        ends = [volume.point(width, 0), volume.point(0, height), volume.point(0, 0, channels)]
        sides = np.linalg.norm(np.subtract(ends, volume.point(0, 0)), axis=1) / SCALE
        assert sides == pytest.approx([width, height, channels / 2])


@pytest.fixture(scope="module")
def brightness():
    """The GIF as a browser shows it, in 6 x 4 tiles: (frames, 4, 6), mean luminance 0..1."""
    linear = (np.arange(256, dtype=np.float32) / 255) ** 2.2  # close enough to sRGB
    with Image.open(GIF) as gif:
        frames = [linear[np.asarray(frame.convert("L"))] for frame in ImageSequence.Iterator(gif)]
    return np.stack([frame.reshape(4, 100, 6, 160).mean(axis=(1, 3)) for frame in frames])


def test_gif_is_small_smooth_and_endless():
    assert GIF.stat().st_size < 3_000_000
    with Image.open(GIF) as gif:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    assert max(durations) <= 1000 / 12
    assert 10 <= sum(durations) / 1000 <= 30


def test_gif_moves_always_and_never_flashes(brightness):
    """WCAG 2.3.1 calls a change by a tenth of the full luminance a flash; so does this, by tiles.

    The last frame is followed by the first: the loop closes without a jump.
    """
    change = np.abs(brightness - np.roll(brightness, 1, axis=0))
    assert change.max() < 0.1 and change.any(axis=(1, 2)).all()


def test_network_in_the_gif_recognises_the_digits():
    """While a digit is in the middle; every network has its doubts on the way in and out."""
    net = saved.load_weights(lenet.make_lenet(), draw_images.WEIGHTS / "mnist.pt")
    digits = lenet.load_images("MNIST", train=False)
    *_, probabilities = draw_animation.stage_values(net, draw_animation.moving_digits(digits))
    predicted = probabilities.argmax(dim=1).view(len(draw_animation.TURNS), -1)
    middle = predicted[:, predicted.shape[1] // 4 : -predicted.shape[1] // 4]
    right = (middle == torch.tensor([*draw_animation.TURNS])[:, None]).float().mean()
    assert right > 0.75, predicted.tolist()
