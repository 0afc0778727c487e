"""Training on the real data in a real browser: curves, controls, sizes, projector, what stays."""

import re

import pytest
from lab import Notebook

SETUP = """
import lenet_helpers as lenet
import torch
from itertools import islice
from lenet_course import drawing
from lenet_course.curves import LiveCurves

drawing.use_style()
torch.manual_seed(0)
train_iter, test_iter = lenet.load_data_fashion_mnist(batch_size=256)
few = list(islice(train_iter, 40)), list(islice(test_iter, 2))
net = lenet.make_lenet()
"""
TRAIN = """
run = lenet.train_ch6(net, *few, {num_epochs}, lr=0.9, callback=LiveCurves({settings}))
print(run)
"""
LOOK = "print(run.lr_changes, all(p.isfinite().all() for p in net.parameters()))"
CHART = ".lenet-live svg[role=img]"
STOPPED = r"stopped in epoch \d+ of 1000: as you asked\n"


@pytest.fixture
def start(lab):
    """A function: starts a training in a new notebook, and waits until its controls are heard."""

    def start(settings="", num_epochs=1000, before=None, heard=True, **options):
        cells = [SETUP, TRAIN.format(settings=settings, num_epochs=num_epochs), LOOK]
        notebook = lab.new(cells, **options)
        notebook.run(0)
        notebook.wait()
        if before:
            before(notebook)
        notebook.run(1)
        notebook.cell(1).locator(CHART).wait_for()
        if heard:
            button(notebook, "Stop").click(trial=True)  # waits until it can be clicked
        return notebook

    return start


def button(notebook, name):
    return notebook.cell(1).get_by_role("button", name=name)


def epoch(notebook):
    shown = notebook.cell(1).locator(".numbers").inner_text()
    return float(re.search(r"epoch ([\d.]+)", shown)[1])


def wait_for_text(notebook, text):
    notebook.cell(1).get_by_text(text).first.wait_for()


def deaf(notebook):
    """From now on no click gets to a cell that is running."""
    notebook.page.evaluate(
        "window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"
        ".commsOverSubshells = 'disabled'"
    )


def slow(notebook):
    """One evaluation, the second, takes 20 seconds."""
    notebook.execute("""
import time
evaluate, calls = lenet.evaluate_accuracy_gpu, iter(range(10**9))
def evaluate_slowly(*arguments):
    time.sleep(20 if next(calls) == 1 else 0)
    return evaluate(*arguments)
lenet.evaluate_accuracy_gpu = evaluate_slowly
""")


def interrupt(notebook):
    notebook.page.locator("[data-command='notebook:interrupt-kernel']").first.click()


def assert_ended_well(notebook):
    """The cell ended as if nothing had happened, with its picture, its numbers and its network."""
    notebook.wait()
    assert not notebook.errors() and not notebook.console_errors
    assert re.search(r"loss \d\.\d{3}, train acc 0\.\d{3}, test acc 0\.\d{3}", notebook.text(1))
    image = notebook.cell(1).locator("img.lenet-picture")
    assert image.count() == 1 and not notebook.cell(1).locator(".lenet-live").count()
    assert re.search(r"At epoch \d+\.\d: loss \d\.\d{3}", image.get_attribute("alt"))
    natural, shown = image.evaluate("i => [i.naturalWidth, i.clientWidth]")
    assert natural == 1800 and shown <= 900
    notebook.run(2)
    notebook.wait()
    assert notebook.text(2).strip().endswith("True")


def test_curves_grow_and_keep_their_place(start):
    notebook = start()
    chart = notebook.cell(1).locator(CHART)
    size, drawn = chart.bounding_box(), []
    for _ in range(5):
        before = epoch(notebook)
        notebook.page.wait_for_function(
            "old => !document.querySelector('.lenet-live .numbers').innerText.includes(old)",
            arg=f"epoch {before:.1f} ",
        )
        drawn.append(len(chart.locator("path").first.get_attribute("d")))
        new = chart.bounding_box()
        assert (new["width"], new["height"]) == (size["width"], size["height"])
    assert drawn == sorted(drawn) and drawn[-1] > drawn[0]
    shown = notebook.cell(1).locator(".numbers").inner_text()
    for pattern in [
        r"epoch \d+\.\d of 1000", r"loss \d\.\d{3}", r"train acc 0\.\d{3}", r"test acc",
        r"[\d,]+ examples/sec", r"\d+:\d\d left",
    ]:  # fmt: skip
        assert re.search(pattern, shown), shown
    notebook.screenshot("live_light")
    button(notebook, "Stop").click()
    assert_ended_well(notebook)
    assert re.match(STOPPED, notebook.text(1))


def test_interrupt(start):
    notebook = start()
    interrupt(notebook)
    assert_ended_well(notebook)
    assert re.match(STOPPED, notebook.text(1))


def test_pause_go_on_and_stop_with_the_keyboard(start):
    notebook = start()
    button(notebook, "Pause").focus()
    notebook.page.keyboard.press("Enter")
    wait_for_text(notebook, "paused")
    before = epoch(notebook)
    button(notebook, "Go on").focus()
    notebook.page.keyboard.press("Space")
    button(notebook, "Pause").wait_for()
    notebook.page.wait_for_function(
        "old => parseFloat(document.querySelector('.lenet-live .numbers').innerText"
        ".match(/epoch ([0-9.]+)/)[1]) > old",
        arg=before,
    )
    notebook.page.keyboard.press("Tab")
    assert notebook.page.evaluate("document.activeElement.textContent") == "Stop"
    notebook.page.keyboard.press("Enter")
    notebook.cell(1).locator("img.lenet-picture").wait_for()
    # The picture is in the chart's place, and the keyboard where it was: in this cell.
    notebook.page.wait_for_function("document.activeElement.matches('.jp-Cell')")
    assert notebook.cell(1).evaluate("cell => cell === document.activeElement")
    assert_ended_well(notebook)


def test_controls_that_are_off_keep_the_focus_and_do_nothing(start):
    notebook = start(before=deaf, heard=False)
    wait_for_text(notebook, "a click does not reach a cell that is running")
    line = notebook.cell(1).get_by_role("status").filter(has_text="a click does not reach")
    line.evaluate(
        """line => {
            window.said = [];
            const note = changes => said.push(...changes);
            new MutationObserver(note).observe(line, {childList: true, subtree: true});
        }"""
    )
    for name in ("Pause", "Stop"):
        button(notebook, name).focus()
        notebook.page.keyboard.press("Enter")
        assert notebook.page.evaluate("document.activeElement.textContent") == name
    slider = notebook.cell(1).get_by_role("slider")
    slider.focus()
    notebook.page.keyboard.press("ArrowLeft")
    assert slider.evaluate("slider => document.activeElement === slider")
    assert slider.get_attribute("aria-valuetext") == "0.9"
    before = epoch(notebook)
    notebook.page.wait_for_function(
        "old => parseFloat(document.querySelector('.lenet-live .numbers').innerText"
        ".match(/epoch ([0-9.]+)/)[1]) > old + 0.5",
        arg=before,
    )
    assert notebook.page.evaluate("said.length") == 0  # and nothing is read out again and again
    output = notebook.cell(1).locator(".lenet-live output")
    assert output.get_attribute("aria-live") == "off"
    interrupt(notebook)
    assert_ended_well(notebook)


def test_a_kernel_that_is_gone_is_said(start):
    notebook = start()
    restart = "window.jupyterapp.shell.currentWidget.context.sessionContext.restartKernel()"
    notebook.page.evaluate(restart)
    wait_for_text(notebook, "Nothing has come for 15 seconds")
    assert button(notebook, "Stop").is_disabled() and button(notebook, "Pause").is_disabled()
    notebook.screenshot("live_silent")


def test_a_silence_that_ends_is_taken_back(start):
    """An evaluation on a slow machine may take longer; a pause is silent, and that is no fault."""
    notebook = start(before=slow)
    wait_for_text(notebook, "Nothing has come for 15 seconds")
    assert button(notebook, "Stop").is_disabled()
    button(notebook, "Pause").click()  # waits until it can be clicked again
    button(notebook, "Go on").wait_for()
    notebook.page.wait_for_timeout(17_000)
    assert not notebook.cell(1).get_by_text("Nothing has come").count()
    button(notebook, "Stop").click()
    assert_ended_well(notebook)


def test_stop_during_a_pause(start):
    notebook = start()
    button(notebook, "Pause").click()
    button(notebook, "Go on").wait_for()
    button(notebook, "Stop").click()
    assert_ended_well(notebook)


def test_learning_rate_with_the_keyboard(start):
    notebook = start()
    slider = notebook.cell(1).get_by_role("slider", name="learning rate")
    assert slider.get_attribute("aria-valuetext") == "0.9"
    slider.focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.cell(1).locator(CHART).get_by_text("lr 0.79", exact=True).wait_for()  # a mark
    assert slider.get_attribute("aria-valuetext") == "0.79"
    notebook.screenshot("live_learning_rate")
    button(notebook, "Stop").click()
    assert_ended_well(notebook)
    assert re.match(r"\[\(\d+\.\d+, 0\.79\)\] True", notebook.text(2))


def test_a_scheduler_disables_the_slider(lab):
    scheduled = """
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
run = lenet.train_ch6(net, *few, 1000, 0.1, optimizer=optimizer, scheduler=scheduler,
                      callback=LiveCurves())
"""
    notebook = lab.new([SETUP, scheduled])
    notebook.run(0)
    notebook.wait()
    notebook.run(1)
    button(notebook, "Stop").click(trial=True)
    wait_for_text(notebook, "The learning rate is set by the scheduler.")
    assert notebook.cell(1).get_by_role("slider").is_disabled()
    button(notebook, "Stop").click()
    notebook.wait()
    assert not notebook.errors()


def test_controls_say_so_where_clicks_do_not_get_through(start):
    """As in a program that does not send widgets' messages past the running cell."""
    notebook = start(before=deaf, heard=False)
    wait_for_text(notebook, "a click does not reach a cell that is running")
    assert button(notebook, "Stop").is_disabled() and button(notebook, "Pause").is_disabled()
    interrupt(notebook)
    assert_ended_well(notebook)


def test_a_page_that_is_reloaded_finds_the_curves_again(start):
    """While the cell runs the page waits; when it has ended, the last state is there."""
    notebook = start(num_epochs=3)
    notebook.save()
    notebook.page.reload()
    wait_for_text(notebook, "Training is over.")
    assert notebook.cell(1).locator(CHART).count() == 1


def test_saved_notebook_shows_the_picture(start):
    notebook = start()
    button(notebook, "Stop").click()
    notebook.wait()
    notebook.save()
    saved = notebook.path.read_text()
    assert "lenet-picture" in saved and "widget-view" not in saved
    notebook.page.reload()
    notebook.page.locator(".jp-Notebook img.lenet-picture").wait_for()
    assert not notebook.page.get_by_text("Error displaying widget").count()


# ---------------------------------------------------------------------------- sizes

# How far everything of the chart reaches, and how large its text is, as it is on the screen.
SIZES = """() => {
    const cell = document.querySelectorAll('.jp-Notebook .jp-Cell')[1];
    const live = cell.querySelector('.lenet-live');
    const panel = document.querySelector('.jp-WindowedPanel-outer').getBoundingClientRect();
    const style = e => getComputedStyle(e);
    const parts = [...live.querySelectorAll('text, button, input, output, label, .numbers span')];
    const boxes = parts.map(e => e.getBoundingClientRect()).filter(box => box.width);
    const text = [...live.querySelectorAll('text, button, output, label, .numbers span, .line')];
    return {
        left: Math.min(...boxes.map(box => box.left)), right: Math.max(...boxes.map(b => b.right)),
        top: cell.getBoundingClientRect().top, bottom: live.getBoundingClientRect().bottom,
        visible: panel.height,
        text: text.map(e => [e.textContent, parseFloat(style(e).fontSize)]),
        colors: [...live.querySelectorAll('text')].map(e => style(e).fill),
        lines: [...live.querySelectorAll('path')].map(
            e => [parseFloat(style(e).strokeWidth), style(e).stroke, style(e).strokeDasharray]),
        background: style(live).backgroundColor,
        output: cell.querySelector('.jp-OutputArea-output').getBoundingClientRect().right,
    };
}"""


def contrast_with_white(rgb):
    """WCAG's ratio for a computed style, rgb(0, 114, 178)."""
    channels = [int(c) / 255 for c in re.findall(r"\d+", rgb)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 1.05 / (sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) + 0.05)


@pytest.mark.parametrize(
    ("size", "files", "settings", "smallest"),
    [
        ((1366, 768), False, "", 14),
        ((1024, 768), False, "", 14),
        ((1024, 768), True, "", 14),
        ((911, 512), False, "", 14),  # 1366 x 768 at 150 %
        ((1280, 720), False, "projector=True", 20),
        ((1280, 720), True, "projector=True", 20),
        ((1920, 1080), False, "projector=True", 20),
    ],
)
def test_the_chart_fits_its_output(start, size, files, settings, smallest):
    """`files`: with JupyterLab's file browser open beside the notebook."""
    notebook = start(settings, size=size, before=Notebook.show_files if files else None)
    notebook.scroll_to(1)
    sizes = notebook.page.evaluate(SIZES)
    assert sizes["left"] >= 0 and sizes["right"] <= min(sizes["output"], size[0])
    assert min(px for _, px in sizes["text"]) >= smallest
    if size[1] >= 720:  # code, chart and controls together
        assert sizes["bottom"] - sizes["top"] <= sizes["visible"]
    notebook.screenshot(f"live_{size[0]}x{size[1]}{'_files' if files else ''}")
    button(notebook, "Stop").click()
    notebook.wait()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_projector(start, theme):
    old = "old = lenet.train_ch6(lenet.make_lenet(), *few, 3, 0.1, 'cpu', label='lr 0.1')"
    notebook = start(
        "projector=True, earlier=[old]", before=lambda notebook: notebook.execute(old),
        theme=theme, size=(1920, 1080),
    )  # fmt: skip
    wait_for_text(notebook, re.compile(r"test acc 0\.\d"))
    sizes = notebook.page.evaluate(SIZES)
    assert {"loss", "accuracy", "epoch", "train", "test", "lr 0.1"} <= {t for t, _ in sizes["text"]}
    assert min(map(contrast_with_white, sizes["colors"])) >= 4.5
    assert len(sizes["lines"]) >= 5 and min(width for width, *_ in sizes["lines"]) >= 2
    assert len({(color, dash) for _, color, dash in sizes["lines"]}) >= 4
    assert sizes["background"] == "rgb(255, 255, 255)"
    notebook.screenshot(f"live_projector_{theme}")
    button(notebook, "Stop").click()
    notebook.wait()
    assert not notebook.errors() and not notebook.console_errors
