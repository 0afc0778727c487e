"""The figure style, pictures with a description, and the live curves, in a real Jupyter kernel."""

import lenet_helpers as lenet  # before torch
from lenet_course import curves_old as lenet_live
from lenet_course.curves_old import COLORS, Chart, LiveCurves, plot_runs

import base64
import io
import math
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from matplotlib.colors import to_rgb
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
    styles = [str(style["linestyle"]) for style in plt.rcParams["axes.prop_cycle"]]
    assert len(set(styles)) == len(styles) == 5


# ---------------------------------------------------------------------------- the chart


def train(net, train_iter, test_iter, num_epochs=3, lr=0.1, **settings):
    return lenet.train_ch6(net, train_iter, test_iter, num_epochs, lr, "cpu", **settings)


@pytest.fixture
def run(net, train_iter, test_iter):
    return train(net, train_iter, test_iter)


def texts(svg):
    return ["".join(element.itertext()) for element in svg.iter("text")]


def paths(svg, kind="line"):
    """The points (N, 2) of every moving line, in SVG's units."""
    found = []
    for group in svg.iter("g"):
        if group.get("class") == kind:
            numbers = re.findall(r"-?[\d.]+", group.find("path").get("d"))
            found.append(np.array(numbers, dtype=float).reshape(-1, 2))
    return found


def parse(svg):
    return ElementTree.fromstring(svg.replace("xlink:href", "href"))


def test_moving_picture_and_final_picture_have_the_same_lines(run):
    chart = lenet_live._chart_of_one(run)
    moving = paths(parse(chart.svg("what is seen")))
    file = io.StringIO()
    chart.figure().savefig(file, format="svg")
    final = ElementTree.fromstring(file.getvalue())
    svg = "{http://www.w3.org/2000/svg}"
    groups = {group.get("id"): group for group in final.iter(f"{svg}g")}
    assert [len(line) for line in moving] == [15, 15, 3]
    for number, line in enumerate(moving):
        drawn = groups[f"line-{number}"].find(f"{svg}path").get("d")
        drawn = np.array(re.findall(r"-?[\d.]+", drawn), dtype=float).reshape(-1, 2)
        # matplotlib leaves out points on a straight line; the ends are always there.
        assert np.allclose(line[[0, -1]], drawn[[0, -1]], atol=0.11)
        assert all(np.abs(line - point).max(axis=1).min() < 0.11 for point in drawn)


def test_picture_is_described_and_its_text_is_text(run):
    svg = parse(lenet_live._chart_of_one(run).svg('loss & "accuracy"'))
    assert svg.get("role") == "img" and svg.get("aria-label") == 'loss & "accuracy"'
    assert {"loss", "accuracy", "epoch", "train", "test"} <= set(texts(svg))


def test_style_of_the_picture_stays_in_the_picture(run):
    assert "<style" not in lenet_live._chart_of_one(run).svg("x")


def test_lines_grow_and_the_frame_stays(run):
    points, run.train = run.train, run.train[:4]
    chart = lenet_live._chart_of_one(run)
    short = paths(parse(chart.svg("x")))
    frame = chart.frame
    run.train = points
    long = paths(parse(chart.svg("x")))
    assert chart.frame is frame
    assert len(short[0]) == 4 and len(long[0]) == 15 and np.array_equal(short[0], long[0][:4])


def test_head_is_drawn_before_it_is_a_point(run):
    chart = lenet_live._chart_of_one(run, head=lambda: (2.5, 1.25, 0.5))
    loss, accuracy, _ = paths(parse(chart.svg("x")))
    low, high = chart.loss.bbox.ymin, chart.loss.bbox.ymax
    share = 1.25 / chart.loss.get_ylim()[1]
    expected = 72 * (chart.fig.get_figheight() - (low + share * (high - low)) / chart.fig.dpi)
    assert len(loss) == 16 and loss[-1, 1] == pytest.approx(expected, abs=0.1)
    assert len(accuracy) == 16


def test_axis_follows_a_loss_that_rises(run):
    chart = lenet_live._chart_of_one(run)
    chart.svg("x")
    frame = chart.frame
    run.train.append((3.0, 7.3, 0.1))
    chart.svg("x")
    assert chart.loss.get_ylim() == (0, 8) and chart.frame is not frame


def test_losses_that_are_no_number_are_left_out(run):
    run.train += [(3.1, math.nan, 0.1), (3.2, math.inf, 0.1)]
    chart = lenet_live._chart_of_one(run)
    loss, accuracy, _ = paths(parse(chart.svg("x")))
    assert len(loss) == 15 and len(accuracy) == 17


def test_chart_of_nothing(run):
    run.train, run.test = [], []
    chart = lenet_live._chart_of_one(run)
    assert [len(line) for line in paths(parse(chart.svg("x")))] == [0, 0, 0]
    assert chart.loss.get_ylim()[1] > 0


@pytest.mark.parametrize(
    "value, top", [(2.31, 2.5), (2.5, 2.5), (2.51, 3), (4.2, 5), (0.04, 0.04), (1e9, 1e9)]
)
def test_round_up(value, top):
    assert lenet_live._round_up(value) == pytest.approx(top)


def test_learning_rates_are_marked_and_do_not_hide_each_other(run):
    chart = lenet_live._chart_of_one(run)
    changes = [(1.0, 0.05), (1.1, 0.025), (2.5, 0.5)]
    svg = parse(chart.svg("x", changes))
    assert {"lr 0.05", "lr 0.025", "lr 0.5"} <= set(texts(svg))
    chart.figure(changes).draw_without_rendering()
    lines = [mark.get_xdata()[0] for mark in chart.marks if not hasattr(mark, "get_text")]
    assert lines == [1.0, 1.0, 1.1, 1.1, 2.5, 2.5]  # in both panels
    marks = [mark.get_window_extent() for mark in chart.marks if hasattr(mark, "get_text")]
    assert len(marks) == 3
    for i, mark in enumerate(marks):
        assert not any(mark.overlaps(other) for other in marks[:i])


def test_earlier_runs_are_grey_and_named(run, first_images, test_iter):
    one_batch = lenet.batches(first_images(100), batch_size=100, shuffle=False)
    old = train(lenet.make_lenet(), one_batch, test_iter, num_epochs=5, label="ReLU")
    chart = lenet_live._chart_of_one(run, [old])
    assert texts(parse(chart.svg("x"))).count("ReLU") == 2
    assert chart.loss.get_xlim() == (0, 5)
    assert texts(parse(chart.svg("x"))).count(run.label) == 1  # its loss beside the other's
    greys = [curve for curve in chart.curves if curve.name == "ReLU"]
    assert all(curve.line.get_color() == COLORS["grey"] for curve in greys)
    assert len(paths(parse(chart.svg("x")))[0]) == 5


def test_labels_never_lie_on_each_other(run):
    same = [run, run, run, run]
    chart = lenet_live._chart_of_one(run, same)
    chart.figure().draw_without_rendering()
    for panel in (chart.loss, chart.accuracy):
        boxes = [curve.label.get_window_extent() for curve in chart.curves if curve.axes is panel]
        assert len(boxes) >= 5
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])


def test_labels_stand_above_lines_and_dots(run):
    chart = lenet_live._chart_of_one(run, [run])
    below = [part.zorder for curve in chart.curves for part in (curve.line, curve.dot)]
    assert min(curve.label.zorder for curve in chart.curves) > max(below)


@pytest.mark.parametrize("projector", [False, True])
def test_labels_stay_within_the_picture(run, projector):
    run.label = "sigmoid, lr 0.9"
    fig = lenet_live._chart_of_one(run, [run, run], projector=projector).figure()
    fig.draw_without_rendering()
    width, height = fig.bbox.size
    for text in fig.findobj(plt.Text):
        if text.get_text():
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height


def test_gradients_of_every_layer_have_a_panel(run):
    chart = lenet_live._chart_of_one(run, gradients=True)
    names = ["conv 1", "conv 2", "dense 1", "dense 2", "dense 3"]
    assert [axes.get_title("left").split(" of ")[-1] for axes in chart.gradients] == names
    lines = paths(parse(chart.svg("x")))[-5:]
    assert [len(line) for line in lines] == [15] * 5
    low, high = chart.gradients[0].get_ylim()
    sizes = np.array([sizes for _, sizes in run.gradients])
    assert low <= sizes.min() and sizes.max() <= high
    assert "10⁻²" in texts(parse(chart.svg("x")))


@pytest.mark.parametrize("value, text", [(1, "10⁰"), (0.001, "10⁻³"), (1e12, "10¹²")])
def test_power_of_ten(value, text):
    assert lenet_live._power_of_ten(value) == text


@pytest.mark.parametrize("seconds, text", [(0, "0:00"), (59.6, "1:00"), (119.4, "1:59")])
def test_minutes(seconds, text):
    assert lenet_live._minutes(seconds) == text


def test_text_and_lines_are_large_on_a_projector():
    chart = Chart(10, 5, projector=True)
    css_pixels = lenet_live.CSS_DPI / 72
    assert chart.font_size * css_pixels >= 18
    chart.add(chart.loss, "old", list, None, "black", "-", earlier=True)  # the thinnest
    assert chart.curves[0].line.get_linewidth() * css_pixels >= 3


def test_plot_runs_names_every_run_with_its_result(run, net, train_iter, test_iter):
    other = train(net, train_iter, test_iter, num_epochs=1, label="more")
    drawn = {text.get_text() for text in plot_runs([run, other]).findobj(plt.Text)}
    assert {f"LeNet {run.loss:.3f}", f"LeNet {run.test_acc:.3f}"} <= drawn
    assert {f"more {other.loss:.3f}", f"more {other.test_acc:.3f}"} <= drawn
    alone = {text.get_text() for text in plot_runs([run]).findobj(plt.Text)}
    assert {f"train {run.train_acc:.3f}", f"test {run.test_acc:.3f}"} <= alone


# ---------------------------------------------------------------------------- without a kernel


def test_nothing_is_drawn_without_a_kernel(net, train_iter, test_iter, capsys):
    curves = LiveCurves()
    run = train(net, train_iter, test_iter, curves=curves)
    assert len(run.train) == 15 and curves.pictures == 0
    figure = plt.figure()
    lenet_live.show(figure, "nothing")
    assert not plt.fignum_exists(figure.number) and not capsys.readouterr().out


# ---------------------------------------------------------------------------- in a kernel


class Kernel:
    """A Jupyter kernel and what a front end sees of it."""

    def __init__(self):
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def run(self, code):
        """Run code; returns all messages that a front end gets, type and content."""
        messages = []

        def hook(message):
            messages.append((message["msg_type"], message["content"]))

        self.client.execute_interactive(code, output_hook=hook, timeout=120)
        return messages

    def printed(self, code):
        messages = self.run(code)
        assert not [content for kind, content in messages if kind == "error"], messages[-1]
        return "".join(content["text"] for kind, content in messages if kind == "stream")


@pytest.fixture(scope="module")
def kernel():
    kernel = Kernel()
    kernel.run("""
import lenet_helpers as lenet
import os, signal, threading, time
import torch
import ipywidgets
import matplotlib.pyplot as plt
from lenet_course import curves_old as lenet_live
from lenet_course.curves_old import LiveCurves, show, show_widget

def images(train, count):
    all_images = lenet.load_images("FashionMNIST", train)
    return lenet.ImageDataset(all_images.images[:count], all_images.labels[:count])

train_iter = lenet.batches(images(True, 2560), 256, shuffle=True)
test_iter = lenet.batches(images(False, 500), 500, shuffle=False)
torch.set_num_threads(1)

def train(curves, num_epochs=2, **settings):
    torch.manual_seed(0)
    net = lenet.make_lenet()
    return lenet.train_ch6(net, train_iter, test_iter, num_epochs, 0.9, curves=curves, **settings)

def later(seconds, do):
    threading.Timer(seconds, do).start()

def until(condition):
    # Half a minute: the machine may be busy with other things.
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False
""")
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


def displayed(messages):
    return [
        (kind, content)
        for kind, content in messages
        if kind in ("display_data", "update_display_data")
    ]


VIEW = "application/vnd.jupyter.widget-view+json"


def test_show_displays_a_sharp_png_with_its_description(kernel):
    messages = kernel.run("""
fig, ax = plt.subplots(figsize=(4, 2))
ax.plot([1, 2])
show(fig, "a line going up")
print(plt.get_fignums())
""")
    [(_, content)] = displayed(messages)
    assert set(content["data"]) == {"image/png", "text/plain"}
    assert content["data"]["text/plain"] == "a line going up"
    assert content["metadata"]["image/png"] == {
        "width": 400, "height": 200, "alt": "a line going up",
    }  # fmt: skip
    image = Image.open(io.BytesIO(base64.b64decode(content["data"]["image/png"])))
    assert image.size == (800, 400) and image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert "[]" in [content["text"].strip() for kind, content in messages if kind == "stream"]


def test_pyplot_figures_are_shown_after_cells_and_never_before(kernel):
    """A message from a widget counts as an execution; a cell may be drawing at that moment."""
    messages = kernel.run("""
from IPython import get_ipython
fig, ax = plt.subplots()
get_ipython().events.trigger("post_execute")  # as when a click arrives
print(plt.get_fignums() == [fig.number], ax.figure is fig)
""")
    shown = [kind for kind, _ in messages if kind in ("stream", "display_data")]
    assert shown == ["stream", "display_data"]
    assert "True True\n" in [content.get("text") for _, content in messages]
    assert kernel.printed("print(plt.get_fignums())") == "[]\n"


def test_show_widget_brings_a_still_picture_along(kernel):
    messages = kernel.run("""
fig, ax = plt.subplots()
show_widget(ipywidgets.IntSlider(), fig, "an empty chart")
""")
    [(_, content)] = displayed(messages)
    assert set(content["data"]) == {VIEW, "image/png", "text/plain"}
    assert content["data"]["text/plain"] == "an empty chart"


def test_live_curves_leave_a_picture_and_nothing_else(kernel):
    before = kernel.printed("print(len(ipywidgets.widgets.widget._instances))")
    messages = kernel.run("curves = LiveCurves(gradients=True); run = train(curves)")
    (kind, first), (kind2, last) = displayed(messages)
    assert (kind, kind2) == ("display_data", "update_display_data")
    assert set(first["data"]) == {VIEW, "text/plain"}
    assert set(last["data"]) == {"image/png", "text/plain"}
    assert first["transient"] == last["transient"]
    # What nbval compares: the first display with the last one stored.
    assert first["data"]["text/plain"] == last["data"]["text/plain"]
    assert re.search(
        r"At epoch 2\.0: loss \d\.\d{3}, train acc 0\.\d{3}, test acc 0\.\d{3}\.$",
        last["metadata"]["image/png"]["alt"],
    )
    assert kernel.printed("print(len(ipywidgets.widgets.widget._instances))") == before
    assert int(kernel.printed("print(curves.pictures)")) > 0


def test_curves_change_no_number(kernel):
    """The same losses with and without them: drawing draws no random number."""
    printed = kernel.printed("print(train(LiveCurves()).train == train(None).train)")
    assert printed == "True\n"


def test_one_object_can_watch_two_runs(kernel):
    printed = kernel.printed("""
curves = LiveCurves()
later(0, lambda: until(lambda: curves.pictures) and setattr(curves, "stop_asked", True))
print(bool(train(curves, num_epochs=200).stopped), bool(train(curves).stopped))
""")
    assert printed == "True False\n"


def test_buttons_and_slider_of_a_running_cell(kernel):
    """As the kernel sees it; tests/browser presses them in JupyterLab."""
    printed = kernel.printed("""
curves, seen = LiveCurves(), []
def press():
    until(lambda: curves.pictures)
    controls, run = curves.controls, curves.run
    seen.append(controls.stop.disabled)
    controls._heard(None)
    seen.append(until(lambda: not controls.stop.disabled and not controls.slider.disabled))
    controls.slider.value = 0.1
    seen.append(until(lambda: run.lr_changes))
    controls.pause.click()
    seen.append(until(lambda: controls.pause.description == "Go on"))
    points = len(run.train)
    time.sleep(1)
    seen.append(("paused" in curves.picture.value, len(run.train) - points))
    controls.pause.click()
    seen.append(until(lambda: controls.pause.description == "Pause" and len(run.train) > points))
    controls.stop.click()
later(0, press)
run = train(curves, num_epochs=500)
print(seen)
print([lr for _, lr in run.lr_changes], run.stopped.startswith("stopped by you"))
""")
    assert printed.splitlines() == [
        "[True, True, True, True, (True, 0), True]",
        "[0.1] True",
    ]


def test_pause_is_no_time_of_training(kernel):
    printed = kernel.printed("""
curves = LiveCurves()
curves.paused = True
later(2, lambda: setattr(curves, "paused", False))
tic = time.perf_counter()
run = train(curves, num_epochs=1)
total = time.perf_counter() - tic
print(total > 2, run.seconds < total - 1.5, curves.seconds < total - 1.5)
""")
    assert printed == "True True True\n"


def test_interrupt_ends_a_pause_and_keeps_everything(kernel):
    printed = kernel.printed("""
curves = LiveCurves()
curves.paused = True
later(0, lambda: until(lambda: curves.pictures) and os.kill(os.getpid(), signal.SIGINT))
run = train(curves, num_epochs=3)
print(run.stopped, len(run.train), len(run.test), len(run.checkpoints))
""")
    assert printed == "stopped by you in epoch 1 of 3 1 1 2\n"


def test_controls_say_so_when_no_click_gets_through(kernel):
    """Here no browser answers, as in a program that does not deliver clicks to a running cell."""
    printed = kernel.printed("""
curves, seen = LiveCurves(), []
lenet_live.PATIENCE = 0.5
def look():
    until(lambda: curves.pictures)
    controls = curves.controls
    until(lambda: lenet_live.NO_CLICKS in controls.line.value)
    seen.extend([controls.pause.disabled, controls.stop.disabled, controls.slider.disabled])
    seen.append(lenet_live.NO_CLICKS in controls.line.value)
    curves.stop_asked = True
later(0, look)
_ = train(curves, num_epochs=500)
print(seen)
""")
    assert printed == "[True, True, True, True]\n"


def test_scheduler_takes_the_slider_s_place(kernel):
    printed = kernel.printed("""
curves, seen = LiveCurves(), []
def look():
    until(lambda: curves.pictures)
    curves.controls._heard(None)
    until(lambda: not curves.controls.stop.disabled)
    seen.extend([curves.controls.slider.disabled, curves.controls.stop.disabled])
    seen.append("set by the scheduler" in curves.controls.line.value)
    curves.stop_asked = True
later(0, look)
net = lenet.make_lenet()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
_ = lenet.train_ch6(
    net, train_iter, test_iter, 500, 0.1, optimizer=optimizer, scheduler=scheduler, curves=curves)
print(seen)
""")
    assert printed == "[True, False, True]\n"


def test_error_in_the_middle_keeps_the_curve(kernel):
    messages = kernel.run("""
def batches():
    yield next(iter(train_iter))
    raise RuntimeError("the disk is gone")
class Iterator:
    __len__ = train_iter.__len__
    __iter__ = lambda self: batches()
lenet.train_ch6(lenet.make_lenet(), Iterator(), test_iter, 2, 0.1, curves=LiveCurves())
""")
    kinds = [kind for kind, _ in displayed(messages)]
    assert kinds == ["display_data", "update_display_data"]
    assert "image/png" in displayed(messages)[1][1]["data"]
    [error] = [content for kind, content in messages if kind == "error"]
    assert error["evalue"] == "the disk is gone"


def test_refused_settings_show_no_empty_chart(kernel):
    messages = kernel.run("""
lenet.train_ch6(lenet.make_lenet(), train_iter, test_iter, 1, -1, curves=LiveCurves())
""")
    assert not displayed(messages)


def test_first_cell_of_a_chapter_is_no_heavier_than_torch():
    """d2l and torchvision, which double the time, are not among what the modules import."""
    kernel = Kernel()
    try:
        printed = kernel.printed(
            "import lenet_helpers, lenet_live, sys\n"
            "print({'d2l', 'torchvision'} & set(sys.modules))"
        )
    finally:
        kernel.client.stop_channels()
        kernel.manager.shutdown_kernel(now=True)
    assert printed == "set()\n"
