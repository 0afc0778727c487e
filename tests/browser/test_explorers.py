"""The explorers in a real JupyterLab: every control moved once, and what it changed."""

import statistics
from itertools import pairwise

import pytest

START = """
import lenet_helpers as lenet
from lenet_course import lenet5, saved
images = lenet.load_images("FashionMNIST", train=False)
net = saved.load_weights(lenet.make_lenet(), saved.find_weights("fashion_mnist.pt"))
digits_net = saved.load_weights(lenet.make_lenet(), saved.find_weights("mnist.pt"))
run = saved.load_run(saved.find_weights("fashion_mnist_run.pt"))
"""


# From the first press or input on, until the picture is another one and the browser has drawn it.
REACTION = """
before => {
    const card = document.querySelector(".lenet-card");
    let began;
    for (const kind of ["keydown", "mousedown", "input", "change"])
        card.addEventListener(kind, () => { began ??= performance.now(); }, true);
    window.reaction = new Promise(done => {
        const observer = new MutationObserver(() => {
            if (card.querySelector("svg")?.outerHTML === before) return;
            observer.disconnect();
            requestAnimationFrame(() => done(performance.now() - (began ?? performance.now())));
        });
        observer.observe(card, {childList: true, subtree: true, attributes: true});
    });
}
"""


class Card:
    """An explorer on the page; every action waits until its picture has changed."""

    def __init__(self, lab, module, call, **options):
        name = call.split("(")[0]
        code = f"from lenet_course.explorers.{module} import {name}\nexplorer = {call}"
        code += "\nexplorer.show()"
        self.notebook = lab.new([START, code], size=(1280, 1200), **options)
        self.notebook.run_all()
        assert not self.notebook.errors()
        self.page, self.root = self.notebook.page, self.notebook.page.locator(".lenet-card")
        self.root.locator("svg").wait_for()
        self.canvas = self.root.locator("canvas")
        self.reactions = []  # milliseconds from a press to the new picture

    def svg(self):
        return self.root.locator("svg").evaluate("svg => svg.outerHTML")

    def text(self):
        return self.root.locator("svg").evaluate("svg => svg.textContent")

    def changes(self, act):
        """The picture's words after `act`, which has to change the picture."""
        before = self.svg()
        self.page.evaluate(REACTION, before)
        act()
        self.page.wait_for_function(
            "before => document.querySelector('.lenet-card svg').outerHTML !== before", arg=before
        )
        self.reactions.append(self.page.evaluate("window.reaction"))
        return self.text()

    def wait_for(self, words):
        """Wait until the picture has these words."""
        self.page.wait_for_function(
            "words => document.querySelector('.lenet-card svg').textContent.includes(words)",
            arg=words,
        )

    def press(self, name, key):
        """A key on the slider with this name."""
        box = self.root.locator(".widget-slider", has=self.page.get_by_text(name, exact=True))
        handle = box.locator(".noUi-handle")
        return self.changes(lambda: (handle.focus(), self.page.keyboard.press(key)))

    def choose(self, name, label):
        box = self.root.locator(".widget-dropdown", has=self.page.get_by_text(name, exact=True))
        return self.changes(lambda: box.locator("select").select_option(label))

    def enter(self, number):
        field = self.root.locator("input[type=number]")
        return self.changes(lambda: (field.fill(str(number)), field.press("Enter")))

    def click(self, name):
        button = self.root.get_by_role("button", name=name, exact=True)
        return self.changes(button.click)

    def place(self, x, y):
        """Where a place of the picture is on the page."""
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        return box["x"] + 4 + x, box["y"] + 4 + y

    def click_at(self, x, y):
        return self.changes(lambda: self.page.mouse.click(*self.place(x, y)))

    def play(self):
        """Press play, wait for two steps, and stop."""
        buttons = self.root.locator(".widget-play button")
        self.changes(buttons.nth(0).click)
        self.changes(lambda: None)
        buttons.nth(0).click()

    def arrow_and_tab(self, key):
        """An arrow key on the picture, after a click in it; then Tab gets out of it again."""
        words = self.changes(lambda: self.page.keyboard.press(key))
        self.page.keyboard.press("Tab")
        self.page.wait_for_function("document.activeElement.tagName !== 'CANVAS'")
        assert self.root.evaluate("card => card.contains(document.activeElement)")
        return words

    def done(self, name):
        self.notebook.screenshot(f"explorer_{name}", self.root)
        assert not self.notebook.console_errors
        reactions = [took for took in self.reactions if took]
        print(f"{name}: {[round(took) for took in reactions]} ms")
        # The lower quartile of several: what else a machine is busy with must not fail it.
        if len(reactions) >= 4:
            assert statistics.quantiles(reactions)[0] < 100


def test_convolution(lab):
    card = Card(lab, "convolution", "ConvolutionExplorer(net, images)")
    assert "value at 14, 14" in card.text()
    assert "value at 15, 14" in card.press("row", "ArrowRight")
    assert "value at 15, 13" in card.press("column", "ArrowLeft")
    assert "output channel 1:" in card.press("output channel", "ArrowRight")
    assert "value at 15, 14" in card.click("next step")
    card.enter(7)
    assert "output channel 1: 10 × 10" in card.choose("layer", "conv 2")
    assert "input channel 1:" in card.press("input channel shown", "ArrowRight")
    assert "value at 0, 9" in card.click_at(955, 40)
    assert "value at 1, 9" in card.arrow_and_tab("ArrowDown")
    card.play()
    card.done("convolution")


def test_shapes(lab):
    card = Card(lab, "shapes", "ShapeExplorer()")
    assert "61,706 parameters" in card.text()
    for name in ("channels", "kernel", "padding", "stride"):
        for part in (1, 2):
            card.press(f"conv {part} {name}", "ArrowRight")
            card.click("LeNet again")
    for part in (1, 2):
        assert f"max pooling {part}" in card.choose(f"pooling {part}", "max")
        card.press(f"dense {part} width", "ArrowRight")
        card.press(f"pooling {part} window", "ArrowRight")
        card.click("LeNet again")
    assert "expects 500 values" in card.enter(500)
    card.click("LeNet again")
    words = card.press("conv 1 padding", "ArrowLeft")
    words = card.press("conv 1 padding", "ArrowLeft").replace("\u00a0", " ")
    assert "expects 400 values, your convolutions now deliver 256 = 16 × 4 × 4" in words
    card.done("shapes")
    assert "It fits: 44,426 parameters" in card.click("make it fit")


def test_confusion(lab):
    card = Card(lab, "confusion", "ConfusionExplorer(net, images, lenet.FASHION_LABELS)")
    assert "sneaker, answered sneaker" in card.click_at(104 + 7.5 * 38, 96 + 7.5 * 38)
    card.click_at(528 + 2.5 * 72, 28 + 1.5 * 72)  # an image
    card.arrow_and_tab("ArrowRight")
    card.press("image behind the cell", "ArrowRight")
    assert "shirt, answered sneaker: 0 (wrong)" in card.choose("class", "shirt")
    assert "shirt, answered coat" in card.choose("answer", "coat")
    card.done("confusion")


def test_epochs(lab):
    card = Card(lab, "epochs", "EpochExplorer(run, images, lenet.FASHION_LABELS)")
    card.press("checkpoint after epoch", "ArrowLeft")
    card.enter(5)
    card.click_at(40 + 54 * 2, 100)
    readout = card.root.locator(".widget-slider .widget-readout")
    assert readout.inner_text() == "2"
    card.arrow_and_tab("ArrowRight")
    assert readout.inner_text() == "3"
    card.click("epoch 0")
    assert readout.inner_text() == "0"
    card.play()
    card.done("epochs")


READERS = '{"digits": (digits_net, lenet.DIGITS), "clothes": (net, lenet.FASHION_LABELS)}'
SEVEN = [(80, 90), (200, 90), (130, 260)]


def test_drawing_with_the_mouse(lab):
    card = Card(lab, "drawing", f"DrawingExplorer({READERS})")
    assert "nothing drawn yet" in card.click("clear")

    def draw():
        mouse, (first, *others) = card.page.mouse, SEVEN
        mouse.move(*card.place(*first))
        mouse.down()
        for place in others:
            mouse.move(*card.place(*place), steps=8)
        mouse.up()

    card.changes(draw)
    card.wait_for("reads 7")
    card.arrow_and_tab("ArrowLeft")
    card.click("turn left")
    card.click("turn right")
    assert "reads 3" in card.choose("start from a test image:", "3")
    card.done("drawing")
    assert (
        "reads trouser"
        in (
            card.choose("draw", "clothes"),
            card.choose("start from a test image:", "trouser"),
        )[-1]
    )
    # Wider, darker, and with the eraser: seen in the next stroke.
    for name in ("width", "brightness"):
        box = card.root.locator(".widget-slider", has=card.page.get_by_text(name, exact=True))
        box.locator(".noUi-handle").focus()
        card.page.keyboard.press("ArrowLeft")
    assert card.root.locator(".widget-readout").all_inner_texts() == ["59", "254"]
    card.root.locator("select").nth(1).select_option("eraser")
    card.click_at(140, 200)
    assert not card.notebook.console_errors


def test_drawing_with_a_finger(lab):
    card = Card(lab, "drawing", f"DrawingExplorer({READERS})", touch=True)
    card.click("clear")
    session = card.page.context.new_cdp_session(card.page)

    def touch(kind, *places):
        points = [{"x": x, "y": y} for x, y in places]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def draw():
        corners = [card.place(*place) for place in SEVEN]
        touch("touchStart", corners[0])
        for start, end in pairwise(corners):
            for step in range(1, 9):
                (x, y), (to_x, to_y) = start, end
                touch("touchMove", (x + (to_x - x) * step / 8, y + (to_y - y) * step / 8))
                card.page.wait_for_timeout(20)
        touch("touchEnd")

    card.changes(draw)
    card.wait_for("reads 7")
    assert not card.notebook.console_errors


def test_distortion(lab):
    card = Card(lab, "distortion", "DistortionExplorer(net, images, lenet.FASHION_LABELS)")
    for name in ("shift right (pixels)", "shift down (pixels)", "rotate (degrees)"):
        card.press(name, "ArrowRight")
    for name in ("scale (times)", "blur (pixels)", "noise (of white)"):
        card.press(name, "ArrowRight")
    card.enter(1)
    assert "rotate 45 degrees" in card.click_at(48 + 2 * 331 + 250 * 0.75, 340)
    assert "rotate 0 degrees" in card.click("undo all")
    card.done("distortion")


def test_lenet5(lab):
    then = "saved.load_weights(lenet5.make_lenet5(), saved.find_weights('lenet5.pt'))"
    images = "lenet.load_images('MNIST', train=False)"
    card = Card(lab, "lenet5", f"Lenet5Explorer({then}, digits_net, {images})")
    assert "LeNet-5: 7" in card.text() and "today's: 7" in card.text()
    for name in ("shift right (px)", "shift down (px)", "rotate (°)"):
        card.press(name, "ArrowRight")
    card.press("squeeze (× as wide)", "ArrowLeft")
    card.press("noise (of white)", "ArrowRight")
    assert "the image: 2" in card.enter(1)
    assert "LeNet-5: 2" in card.click("undo all")
    card.done("lenet5")


@pytest.mark.parametrize("width", [700])
def test_an_explorer_in_a_narrow_window_and_the_dark_theme(lab, width):
    card = Card(lab, "epochs", "EpochExplorer(run, images, lenet.FASHION_LABELS)", theme="dark")
    card.page.set_viewport_size({"width": width, "height": 900})
    card.page.wait_for_function(
        "document.querySelector('.lenet-card').getBoundingClientRect().width < 700"
    )
    assert card.root.evaluate("c => getComputedStyle(c).backgroundColor") == "rgb(255, 255, 255)"
    box, svg = card.canvas.bounding_box(), card.root.locator("svg").bounding_box()
    assert abs(box["width"] - svg["width"]) < 1 and abs(box["height"] - svg["height"]) < 1
    scale = box["width"] / 968
    card.changes(
        lambda: card.page.mouse.click(box["x"] + scale * (44 + 54 * 2), box["y"] + scale * 100)
    )
    assert card.root.locator(".widget-slider .widget-readout").inner_text() == "2"
    card.done("epochs_dark_narrow")
