"""Training on the real data in a real browser: pictures, controls, projector, what stays."""

import re

import pytest

SETUP = """
import lenet_helpers as lenet
import torch
from lenet_course.curves_old import LiveCurves

torch.manual_seed(0)
train_iter, test_iter = lenet.load_data_fashion_mnist(batch_size=256)
net = lenet.make_lenet()
"""
TRAIN = """
curves = LiveCurves({settings})
run = lenet.train_ch6(net, train_iter, test_iter, {num_epochs}, lr=0.9, curves=curves)
print(run)
"""
LOOK = "print(run.lr_changes, all(p.isfinite().all() for p in net.parameters()))"
SVG = "svg[role=img]"


@pytest.fixture
def start(lab):
    """A function: starts a training in a new notebook, and waits for its first pictures."""

    def start(settings="", num_epochs=20, before=None, **options):
        cells = [SETUP, TRAIN.format(settings=settings, num_epochs=num_epochs), LOOK]
        notebook = lab.new(cells, **options)
        notebook.run(0)
        notebook.wait()
        if before:
            before(notebook)
        notebook.run(1)
        notebook.cell(1).locator(SVG).wait_for()
        return notebook

    return start


def button(notebook, name):
    return notebook.cell(1).get_by_role("button", name=name)


def numbers(notebook):
    """The line of numbers under the chart."""
    return notebook.cell(1).locator(".widget-html-content").first.inner_text()


def epoch(notebook):
    return float(re.search(r"epoch ([\d.]+)", numbers(notebook))[1])


def wait_for_text(notebook, text):
    notebook.cell(1).get_by_text(text).first.wait_for()


def assert_ended_well(notebook):
    """The cell ended as if nothing had happened, with its picture, its numbers and its network."""
    notebook.wait()
    assert not notebook.errors() and not notebook.console_errors
    assert re.search(r"loss \d\.\d{3}, train acc 0\.\d{3}, test acc 0\.\d{3}", notebook.text(1))
    pictures = [o for o in notebook.outputs(1) if "image/png" in o.get("data", {})]
    assert len(pictures) == 1 and not notebook.cell(1).locator(".jupyter-widgets").count()
    image = notebook.cell(1).locator("img").evaluate("i => [i.naturalWidth, i.clientWidth]")
    assert image == [1800, 900]
    notebook.run(2)
    notebook.wait()
    assert notebook.text(2).strip().endswith("True")


# What happens on the screen, written down by the page itself.
WATCH = """() => {
    const place = document.querySelectorAll('.jp-Notebook .jp-Cell')[1]
        .querySelector('.widget-html-content');
    window.pictures = [];
    window.watcher = new MutationObserver(() => {
        const svg = place.querySelector('svg'), box = svg && svg.getBoundingClientRect();
        const columns = [...place.querySelectorAll('span')].map(e => e.getBoundingClientRect().x);
        window.pictures.push(
            [performance.now(), box && box.width, box && box.height, columns.join()]);
    });
    window.watcher.observe(place, {childList: true});
}"""


def test_picture_moves_four_times_a_second_without_flicker(start):
    notebook = start()
    rates = []
    for _ in range(3):  # the machine may be busy with something else for a while
        notebook.page.evaluate(WATCH)
        notebook.page.wait_for_timeout(6000)
        pictures = notebook.page.evaluate("(window.watcher.disconnect(), window.pictures)")
        assert len(pictures) > 2
        # At every moment there is a chart, always of the same size, and each number in its place.
        assert {(width, height) for _, width, height, _ in pictures} == {(900, 360)}
        assert len({columns for *_, columns in pictures}) == 1
        rates.append((len(pictures) - 1) / (pictures[-1][0] - pictures[0][0]) * 1000)
        if rates[-1] >= 4:
            break
    print(f"pictures a second: {rates}")
    notebook.screenshot("live_light")
    button(notebook, "Stop").click()
    assert_ended_well(notebook)
    assert max(rates) >= 4


def test_numbers_beside_the_chart(start):
    notebook = start()
    wait_for_text(notebook, re.compile(r"loss \d"))  # none yet before the first point of the curve
    shown = numbers(notebook)
    for pattern in [
        r"epoch \d\.\d of 20", r"loss \d\.\d{3}", r"train acc 0\.\d{3}", r"test acc",
        r"[\d,]+ examples/sec", r"\d+:\d\d left",
    ]:  # fmt: skip
        assert re.search(pattern, shown), shown
    button(notebook, "Stop").click()
    assert_ended_well(notebook)


def test_stop(start):
    notebook = start()
    button(notebook, "Stop").click()
    assert_ended_well(notebook)
    assert re.match(r"stopped by you in epoch \d+ of 20\n", notebook.text(1))
    notebook.screenshot("live_stopped")


def test_interrupt(start):
    notebook = start()
    notebook.page.wait_for_timeout(1000)
    notebook.page.locator("[data-command='notebook:interrupt-kernel']").first.click()
    assert_ended_well(notebook)
    assert re.match(r"stopped by you in epoch \d+ of 20\n", notebook.text(1))


def test_pause_go_on_and_stop_with_the_keyboard(start):
    notebook = start()
    button(notebook, "Pause").click(trial=True)  # waits until it can be clicked
    button(notebook, "Pause").focus()
    notebook.page.keyboard.press("Enter")
    button(notebook, "Go on").wait_for()
    wait_for_text(notebook, "paused")
    before = epoch(notebook)
    notebook.page.wait_for_timeout(2000)
    assert epoch(notebook) == before
    notebook.screenshot("live_paused")
    notebook.page.keyboard.press("Space")
    button(notebook, "Pause").wait_for()
    for _ in range(100):
        notebook.page.wait_for_timeout(200)
        if epoch(notebook) > before:
            break
    assert epoch(notebook) > before
    notebook.page.keyboard.press("Tab")
    assert notebook.page.evaluate("document.activeElement.textContent") == "Stop"
    notebook.page.keyboard.press("Enter")
    assert_ended_well(notebook)


def test_stop_during_a_pause(start):
    notebook = start()
    button(notebook, "Pause").click()
    button(notebook, "Go on").wait_for()
    button(notebook, "Stop").click()
    assert_ended_well(notebook)


def test_learning_rate_with_keyboard_and_mouse(start):
    notebook = start()
    notebook.cell(1).locator(".noUi-target:not([disabled])").wait_for()
    notebook.cell(1).get_by_role("slider").focus()
    notebook.page.keyboard.press("ArrowLeft")
    wait_for_text(notebook, "lr 0.79")  # a mark on the curve
    notebook.page.wait_for_timeout(1000)
    track = notebook.cell(1).locator(".noUi-target").bounding_box()
    notebook.page.mouse.click(track["x"] + track["width"] / 2, track["y"] + track["height"] / 2)
    notebook.cell(1).locator(SVG).get_by_text("lr 0.1", exact=True).wait_for()
    notebook.screenshot("live_learning_rate")
    button(notebook, "Stop").click()
    assert_ended_well(notebook)
    changes = re.findall(r"\((\d+\.\d+), ([\d.]+)\)", notebook.text(2))
    assert [float(lr) for _, lr in changes] == [0.79, 0.1]
    assert 0 < float(changes[0][0]) < float(changes[1][0])


def test_scheduler_disables_the_slider(lab):
    scheduled = """
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
run = lenet.train_ch6(net, train_iter, test_iter, 20, 0.1, optimizer=optimizer,
                      scheduler=scheduler, curves=LiveCurves())
"""
    notebook = lab.new([SETUP, scheduled])
    notebook.run(0)
    notebook.wait()
    notebook.run(1)
    button(notebook, "Stop").click(trial=True)
    wait_for_text(notebook, "The learning rate is set by the scheduler.")
    assert notebook.cell(1).locator(".noUi-target[disabled]").count() == 1
    button(notebook, "Stop").click()
    notebook.wait()
    assert not notebook.errors()


def test_controls_say_so_where_clicks_do_not_get_through(start):
    """As in a program that does not send widgets' messages past the running cell."""
    no_subshells = (
        "window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"
        ".commsOverSubshells = 'disabled'"
    )
    notebook = start(before=lambda notebook: notebook.page.evaluate(no_subshells))
    wait_for_text(notebook, "a click does not reach a cell that is running")
    assert button(notebook, "Stop").is_disabled() and button(notebook, "Pause").is_disabled()
    notebook.screenshot("live_without_clicks")
    notebook.page.locator("[data-command='notebook:interrupt-kernel']").first.click()
    assert_ended_well(notebook)


def test_saved_notebook_shows_the_picture_and_no_trace_of_a_widget(start):
    notebook = start()
    button(notebook, "Stop").click()
    notebook.wait()
    notebook.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    notebook.page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    saved = notebook.path.read_text()
    assert '"image/png"' in saved and "widget-view" not in saved
    notebook.page.reload()
    notebook.page.locator(".jp-Notebook img").wait_for()
    assert not notebook.page.get_by_text("Error displaying widget").count()


# ---------------------------------------------------------------------------- the projector

# Sizes as they are on the screen: with the SVG's and the page's own scale. All in one go, since
# the picture is soon another.
SIZES = """() => {
    const cell = document.querySelectorAll('.jp-Notebook .jp-Cell')[1];
    const svg = cell.querySelector('svg[role=img]');
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const style = e => getComputedStyle(e);
    const text = [...svg.querySelectorAll('text')].map(
        e => [e.textContent, parseFloat(style(e).fontSize) * scale, style(e).fill]);
    const lines = [...svg.querySelectorAll('g.line path')].filter(e => e.getAttribute('d')).map(
        e => [parseFloat(style(e).strokeWidth) * scale, style(e).stroke, style(e).strokeDasharray]);
    const around = [...cell.querySelectorAll(
        'button, .widget-slider .widget-label, .widget-readout, .widget-html-content span')].filter(
        e => e.offsetParent).map(e => [e.textContent, parseFloat(style(e).fontSize)]);
    const background = style(svg.parentElement).backgroundColor;
    return {text, lines, around, background, right: svg.getBoundingClientRect().right};
}"""


def contrast_with_white(rgb):
    """WCAG's ratio for a computed style, rgb(0, 114, 178)."""
    channels = [int(c) / 255 for c in re.findall(r"\d+", rgb)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 1.05 / (sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_projector(start, theme):
    one_epoch = """
small = lenet.ImageDataset(train_iter.dataset.images[:2560], train_iter.dataset.labels[:2560])
old = lenet.train_ch6(lenet.make_lenet(), lenet.batches(small, 256, True), test_iter, 3, 0.1,
                      label="lr 0.1")
"""

    def earlier_run(notebook):
        notebook.execute(one_epoch)

    notebook = start(
        "projector=True, earlier=[old], gradients=True",
        before=earlier_run, theme=theme, size=(1920, 1080),
    )  # fmt: skip
    button(notebook, "Stop").click(trial=True)
    notebook.page.wait_for_timeout(3000)
    sizes = notebook.page.evaluate(SIZES)
    assert {"loss", "accuracy", "epoch", "train", "test", "lr 0.1"} <= {
        t for t, *_ in sizes["text"]
    }
    assert min(size for _, size, _ in sizes["text"]) >= 18
    assert min(contrast_with_white(color) for *_, color in sizes["text"]) >= 4.5
    assert len(sizes["lines"]) >= 5
    assert min(width for width, *_ in sizes["lines"]) >= 3
    assert min(contrast_with_white(color) for _, color, _ in sizes["lines"]) >= 4.5
    assert len({(color, dash) for _, color, dash in sizes["lines"]}) >= 3
    assert len(sizes["around"]) >= 10 and min(size for _, size in sizes["around"]) >= 18
    assert sizes["right"] <= 1920
    assert sizes["background"] == "rgb(255, 255, 255)"
    notebook.cell(1).scroll_into_view_if_needed()  # not the picture, which is soon another
    notebook.screenshot(f"live_projector_{theme}")
    button(notebook, "Stop").click()
    notebook.wait()
    assert not notebook.errors() and not notebook.console_errors
    notebook.screenshot(f"live_projector_{theme}_end")


def test_make_present_shows_chapter_3_alone(presenting):
    notebook = presenting.open("03_training.ipynb", size=(1920, 1080), present=True)
    page = notebook.page
    page.locator(".jp-Notebook h1").first.wait_for()
    assert page.evaluate("window.jupyterapp.shell.mode") == "single-document"
    assert page.evaluate("window.jupyterapp.shell.currentWidget.context.path").endswith(
        "notebooks/03_training.ipynb"
    )
    for bar in ("#jp-left-stack", "#jp-right-stack", "#jp-main-statusbar"):
        assert not page.locator(bar).is_visible()
    notebook.screenshot("present")
    assert not notebook.console_errors
