"""The pictures in Images/: none older than what it shows, and each fit to be looked at."""

import lenet_helpers as lenet  # before torch
from lenet_course import saved

import json

import draw_animation
import draw_architecture
import draw_images
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

RECORD = json.loads((draw_images.IMAGES / "sources.json").read_text())
GIF = draw_images.IMAGES / "LeNet.gif"


@pytest.mark.parametrize("name", draw_images.PICTURES)
def test_picture_is_not_older_than_what_it_shows(name):
    drawn_from, now = RECORD[name]["drawn_from"], draw_images.sources(name)
    changed = [source for source in now if now[source] != drawn_from.get(source)]
    assert not changed, f"changed since Images/{name} was drawn: {changed}; run `make images`"


@pytest.mark.parametrize("name", draw_images.PICTURES)
def test_picture_is_the_one_that_was_drawn(name):
    content = (draw_images.IMAGES / name).read_bytes()
    assert draw_images._sha256(content) == RECORD[name]["sha256"], "changed by hand"


def test_record_names_no_picture_that_is_gone():
    assert set(RECORD) == set(draw_images.PICTURES)


@pytest.mark.parametrize(
    "name, size",
    [
        ("LeNet.gif", (960, 400)),
        ("architecture.png", (1400, 500)),
        ("architecture-dark.png", (1400, 500)),
        ("video_thumbnail.png", (1280, 720)),
    ],
)
def test_size(name, size):
    with Image.open(draw_images.IMAGES / name) as picture:
        assert picture.size == size


@pytest.fixture(scope="module")
def drawn_again(tmp_path_factory):
    """A folder in which `make images` has drawn everything anew."""
    folder = tmp_path_factory.mktemp("Images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw_images, "IMAGES", folder)
        draw_images.main([])
    return folder


@pytest.mark.parametrize("name", [name for name in draw_images.PICTURES if name != GIF.name])
def test_drawn_again_it_is_the_same_file(drawn_again, name):
    assert (drawn_again / name).read_bytes() == (draw_images.IMAGES / name).read_bytes()


def test_drawn_again_the_gif_is_the_same_but_for_rounding(drawn_again):
    """The network's values differ from the seventh digit on between processors."""
    with Image.open(drawn_again / GIF.name) as again, Image.open(GIF) as shipped:
        assert again.n_frames == shipped.n_frames
        for number in range(0, shipped.n_frames, 25):
            again.seek(number)
            shipped.seek(number)
            differ = np.asarray(again.convert("L")) != np.asarray(shipped.convert("L"))
            assert differ.mean() < 0.001


def test_architecture_is_that_of_the_trace():
    net = lenet.make_lenet()
    trace = lenet.trace_shapes(net, torch.zeros(1, 1, 28, 28))
    drawn = draw_architecture.volumes()
    assert sum(volume.parameters for volume in drawn) == sum(t.parameters for t in trace) == 61706
    shapes = [tuple(size for size in volume.shape if size > 1) for volume in drawn]
    assert shapes == [(28, 28), (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,),
                      (10,)]  # fmt: skip


@pytest.mark.parametrize("volume", draw_architecture.volumes(), ids=lambda volume: volume.name)
def test_architecture_is_to_scale(volume):
    channels, height, width = volume.shape
    corner = np.array(volume.point(0, 0))
    right, down, back = (
        np.linalg.norm(volume.point(*end) - corner)
        for end in ((width, 0), (0, height), (0, 0, channels))
    )
    assert (right, down, back) == pytest.approx((width, height, channels / 2))


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


def test_gif_does_not_flash(brightness):
    """WCAG 2.3.1 calls a change by a tenth of the full luminance a flash; so does this, by tiles.

    The last frame is followed by the first: the loop closes without a jump.
    """
    change = np.abs(brightness - np.roll(brightness, 1, axis=0))
    assert change.max() < 0.1


def test_gif_always_moves(brightness):
    assert (brightness != np.roll(brightness, 1, axis=0)).any(axis=(1, 2)).all()


def test_network_in_the_gif_recognises_the_digits():
    """While a digit is in the middle; every network has its doubts on the way in and out."""
    net = saved.load_weights(lenet.make_lenet(), draw_images.WEIGHTS / "mnist.pt")
    X = draw_animation.moving_digits(draw_images.mnist())
    *_, probabilities = draw_animation.layer_values(net, X)
    answers = probabilities.argmax(dim=1).view(len(draw_animation.TURNS), -1)
    middle = answers[:, answers.shape[1] // 4 : -answers.shape[1] // 4]
    right = (middle == torch.tensor([*draw_animation.TURNS])[:, None]).float().mean()
    assert right > 0.75, answers.tolist()
