"""Colours, matplotlib's style, pictures with a description, and the drawing that is SVG and PNG."""

from lenet_course import drawing
from lenet_course.drawing import COLORS, Picture

import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel import Kernel
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

# ---------------------------------------------------------------------------- colours


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast_with_white(color):
    """The contrast ratio of WCAG 2, 1 to 21."""
    return 1.05 / (linear(color) @ [0.2126, 0.7152, 0.0722] + 0.05)


def lab(rgb):
    """CIE L*a*b* of linear sRGB: differences of 10 are seen at a glance."""
    xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]] @ rgb
    x, y, z = np.cbrt(np.clip(xyz / [0.9505, 1, 1.089], 1e-3, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# How red-blind and green-blind eyes see linear sRGB (Machado, Oliveira and Fernandes 2009).
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}


@pytest.mark.parametrize("name", COLORS)
def test_contrast_with_white(name):
    assert contrast_with_white(COLORS[name]) >= 4.5


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_lines_of_a_run_differ_for_colour_blind_eyes(blindness):
    seen = [
        lab(np.clip(BLINDNESS[blindness] @ linear(COLORS[name]), 0, 1))
        for name in ("blue", "orange", "grey")
    ]
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert np.linalg.norm(seen[i] - seen[j]) > 20


def test_lines_differ_without_any_colour():
    drawing.use_style()
    styles = [str(style["linestyle"]) for style in plt.rcParams["axes.prop_cycle"]]
    assert len(set(styles)) == len(styles) == 5


# ---------------------------------------------------------------------------- pictures


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def example():
    picture = Picture(100, width=200)
    picture.box(0, 0, 40, 20, fill="#ff0000")
    picture.polygon([(60, 0), (80, 0), (80, 20), (60, 20)], fill="#00ff00")
    picture.line([(0, 50), (200, 50)], color="#0000ff", thick=4)
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0, 1] = 255, 255, 0
    picture.pixels(100, 0, 40, 40, rgb)
    return picture


def test_a_shape_stands_where_it_was_put_in_the_still():
    seen = pixels(example().png())
    assert seen.shape == (2 * 108, 2 * 208, 3)

    def at(x, y):  # two pixels to the CSS pixel, four of these around
        return tuple(seen[2 * (y + 4), 2 * (x + 4)].tolist())

    assert at(20, 10) == (255, 0, 0) and at(70, 10) == (0, 255, 0) and at(50, 10) == (255,) * 3
    assert at(100, 50) == (0, 0, 255) and at(100, 60) == (255,) * 3
    assert at(105, 5) == (0, 0, 0) and at(138, 2) == (255, 255, 0)  # sharp up to the edge
    assert at(121, 2) == (255, 255, 0) and at(118, 2) == (0, 0, 0)


def test_text_is_text_and_turned_anticlockwise():
    picture = Picture(100, width=200)
    picture.text(100, 90, "a < b & $x$", rotation=90)
    (text,) = ElementTree.fromstring(picture.svg()).iter("{http://www.w3.org/2000/svg}text")
    assert text.text == "a < b & $x$"
    ink = np.argwhere(pixels(picture.png()).min(axis=2) < 128)
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    assert bottom - top > 2 * (right - left)  # it stands upright
    assert 2 * 90 < bottom < 2 * 95 and abs((left + right) / 2 - 2 * 104) < 12  # upwards from 90


def test_a_sheet_has_a_frame_around_each_tile():
    picture = Picture(100, width=200)
    picture.sheet(10, 20, 2, np.zeros((9, 19, 3), np.uint8), (2, 3, 4, 6))
    frames = ElementTree.fromstring(picture.svg()).iter("{http://www.w3.org/2000/svg}rect")
    places = [tuple(float(frame.get(name)) for name in ("x", "y")) for frame in frames]
    assert places == [(x, y) for y in (20, 30) for x in (10, 24, 38)]


def test_a_text_that_is_too_long_ends_in_dots():
    assert drawing.short("ten signs.", 10) == "ten signs."
    assert drawing.short("eleven sig.", 10) == "eleven si…"


def test_a_click_finds_its_spot():
    picture = example()
    picture.spot(10, 20, 100, 50, "here")
    assert picture.at(60, 30) == ("here", 0.5, 0.2)
    assert picture.at(10, 20) == ("here", 0, 0)
    assert picture.at(9.9, 20) is None and picture.at(110, 30) is None


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=200))
def test_any_text_can_be_drawn(words):
    picture = Picture(40)
    picture.text(0, 20, words)
    assert picture.png()
    fig = Figure()
    fig.suptitle(drawing.plain(words))
    assert drawing.png_of(fig)[1]


def test_a_small_png_looks_the_same():
    png = example().png()
    small = drawing.small_png(png)
    assert np.abs(pixels(png).astype(int) - pixels(small)).max() <= 8


def test_a_still_is_described_and_of_its_size():
    data = drawing.still(Figure(figsize=(4, 2)), 'a "line" <up>')
    assert data["text/plain"] == 'a "line" <up>'
    (img,) = ElementTree.fromstring(f"<p>{data['text/html']}</p>".replace('">', '"/>')).iter("img")
    assert img.get("alt") == 'a "line" <up>' and img.get("width") == "400"
    output = {"data": data, "metadata": {}}
    drawing.store_picture(output)
    assert set(data) == {"image/png", "text/plain"}
    assert output["metadata"] == {"image/png": {"width": 400}}
    other = {"data": {"text/html": "<p>text</p>"}}
    drawing.store_picture(other)
    assert other == {"data": {"text/html": "<p>text</p>"}}


# ---------------------------------------------------------------------------- in a notebook


def test_importing_changes_no_setting_of_matplotlib():
    code = (
        "import matplotlib; before = dict(matplotlib.rcParams)\n"
        "from lenet_course import drawing, curves\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "drawing.use_style(); assert dict(matplotlib.rcParams) != before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def kernel():
    with Kernel() as kernel:
        prepare = (
            "from lenet_course import drawing\nimport matplotlib.pyplot as plt\nimport ipywidgets"
        )
        assert not kernel.run(f"{prepare}\ndrawing.use_style()")[0]
        yield kernel


def displayed(outputs):
    return [content["data"] for kind, content in outputs if kind == "display_data"]


def test_show_displays_the_figure_and_closes_it(kernel):
    _, outputs = kernel.run("fig, ax = plt.subplots()\ndrawing.show(fig, 'a line')")
    (data,) = displayed(outputs)
    assert set(data) == {"text/html", "text/plain"} and 'alt="a line"' in data["text/html"]
    assert kernel.printed("print(plt.get_fignums())") == "[]\n"


def test_show_widget_brings_a_still_along(kernel):
    _, outputs = kernel.run(
        "drawing.show_widget(ipywidgets.IntSlider(), drawing.Picture(10), 'an empty picture')"
    )
    (data,) = displayed(outputs)
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}


def test_pyplot_figures_are_shown_after_cells_and_never_before(kernel):
    """A message from a widget counts as an execution; a cell may be drawing at that moment."""
    _, outputs = kernel.run("""
from IPython import get_ipython
fig, ax = plt.subplots()
get_ipython().events.trigger("post_execute")  # as when a click arrives
print(plt.get_fignums() == [fig.number])
""")
    kinds = [kind for kind, _ in outputs if kind in ("stream", "display_data")]
    assert kinds == ["stream", "display_data"]
    assert kernel.printed("print(plt.get_fignums())") == "[]\n"
