"""The explorers in a real JupyterLab: every control moved once, and what it changed."""

from lenet_course.explorers import confusion, distortion, epochs

from itertools import pairwise

from PIL import Image, ImageDraw

START = """
import json
import lenet_helpers as lenet
from lenet_course import lenet5 as network
from lenet_course import saved
from lenet_course.explorers import (
    confusion, convolution, descent, distortion, drawing, epochs, lenet5, shapes, shuffle, softmax,
    trust,
)
import torch
images = lenet.load_images("FashionMNIST", train=False)
net = saved.load_weights(lenet.make_lenet(), saved.find_weights("fashion_mnist.pt"))
digits_net = saved.load_weights(lenet.make_lenet(), saved.find_weights("mnist.pt"))
run = saved.load_run(saved.find_weights("fashion_mnist_run.pt"))
readers = {"digits": (digits_net, lenet.DIGITS), "clothes": (net, lenet.FASHION_LABELS)}
two_nets = {"clothes": net, "digits": digits_net}
logits = torch.tensor([1.0, -2.0, 0.5, 0.0, 2.0, -1.0, 1.5, -3.0, 0.25, -0.5])
"""
SURFACES = """
measured = json.loads((lenet.COURSE / "results" / "surface.json").read_text())
few = lenet.ImageDataset(images.images[:64], images.labels[:64])
one = descent.one_weight(net, few, layer=1, index=(3, 0, 2, 2), low=-12, high=12)
surfaces = [descent.valley(), descent.saddle(), one, descent.two_directions(measured)]
"""
SHUFFLED = """
readers, order = {"LeNet": net}, torch.arange(784).flip(0)
"""
THEN = """
then = saved.load_weights(network.make_lenet5(), saved.find_weights("lenet5.pt"))
digits = lenet.load_images("MNIST", train=False)
"""
ALL = {  # what comes before, and the explorer
    "convolution": ("", "convolution.ConvolutionExplorer(two_nets, images)"),
    "shapes": ("", "shapes.ShapeExplorer()"),
    "confusion": ("", "confusion.ConfusionExplorer(two_nets, images, lenet.FASHION_LABELS)"),
    "epochs": ("", "epochs.EpochExplorer(run, images, lenet.FASHION_LABELS)"),
    "drawing": ("", "drawing.DrawingExplorer(readers)"),
    "distortion": ("", "distortion.DistortionExplorer(net, images, lenet.FASHION_LABELS)"),
    "softmax": ("", "softmax.SoftmaxExplorer(logits, 6, lenet.FASHION_LABELS)"),
    "descent": (SURFACES, "descent.DescentExplorer(surfaces)"),
    "shuffle": (SHUFFLED, "shuffle.ShuffleExplorer(readers, images, order, lenet.FASHION_LABELS)"),
    "trust": ("", "trust.TrustExplorer(net, images, lenet.FASHION_LABELS)"),
    "lenet5": (THEN, "lenet5.Lenet5Explorer(then, digits_net, digits)"),
}


class Card:
    """An explorer on the page; every action waits until its picture has changed."""

    def __init__(self, lab, name, after=(), **options):
        start, call = ALL[name]
        cells = [START, f"{start}\nexplorer = {call}\nexplorer.show()", *after]
        self.notebook = lab.new(cells, size=(1280, 900), **options)
        for number in (0, 1):
            self.notebook.run(number)
            self.notebook.wait()
        assert not self.notebook.errors()
        self.page, self.root = self.notebook.page, self.notebook.page.locator(".lenet-card")
        self.root.locator("svg").first.wait_for()
        self.picture = self.root.locator(".lenet-picture > div")

    def svg(self):
        return self.root.locator("svg").first.evaluate("svg => svg.outerHTML")

    def text(self):
        return self.root.locator("svg").first.evaluate("svg => svg.textContent")

    def changes(self, act):
        """The picture's words after `act`, which has to change the picture."""
        before = self.svg()
        act()
        self.page.wait_for_function(
            "before => document.querySelector('.lenet-card svg').outerHTML !== before", arg=before
        )
        return self.text()

    def wait_for(self, words):
        """Wait until the picture has these words."""
        self.page.wait_for_function(
            "words => document.querySelector('.lenet-card svg').textContent.includes(words)",
            arg=words,
        )

    def slider(self, name):
        return self.root.get_by_role("slider", name=name, exact=True)

    def press(self, name, key):
        """A key on the slider with this name."""
        return self.changes(lambda: self.slider(name).press(key))

    def choose(self, name, label):
        box = self.root.get_by_role("combobox", name=name, exact=True)
        return self.changes(lambda: box.select_option(label))

    def enter(self, name, number):
        roles = (self.root.get_by_role(role, name=name) for role in ("spinbutton", "textbox"))
        field = next(field for field in roles if field.count())
        return self.changes(lambda: (field.fill(str(number)), field.press("Enter")))

    def click(self, name):
        button = self.root.get_by_role("button", name=name, exact=True)
        return self.changes(button.click)

    def place(self, x, y):
        """Where a place of the picture is on the page."""
        self.picture.scroll_into_view_if_needed()
        return self.root.locator("svg").first.evaluate(
            """(svg, [x, y]) => {
                const place = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
                return [place.x, place.y];
            }""",
            [x, y],
        )

    def click_at(self, x, y):
        return self.changes(lambda: self.page.mouse.click(*self.place(x, y)))

    def play(self, name):
        """Press play, wait for two steps, and stop."""
        self.changes(self.root.get_by_role("button", name=f"play {name}", exact=True).click)
        self.changes(lambda: None)
        self.root.get_by_role("button", name=f"stop {name}", exact=True).click()

    def arrow_and_tab(self, key):
        """An arrow key on the picture, after a click in it; then Tab gets out of it again."""
        words = self.changes(lambda: self.page.keyboard.press(key))
        self.page.keyboard.press("Tab")
        assert self.page.evaluate("document.activeElement.role") != "application"
        assert self.root.evaluate("card => card.contains(document.activeElement)")
        return words

    def done(self, name):
        self.notebook.screenshot(f"explorer_{name}", self.root)
        assert not self.notebook.console_errors


def test_convolution(lab):
    card = Card(lab, "convolution")
    assert "at 8, 12" in card.text()
    assert "at 9, 12" in card.press("row", "ArrowRight")
    assert "at 9, 11" in card.press("column", "ArrowLeft")
    assert "feature map 1:" in card.press("output channel", "ArrowRight")
    assert "at 9, 12" in card.press("position, row after row", "ArrowRight")
    assert "at 10, 12" in card.click("row: one step up")
    assert "at 9, 12" in card.click("row: one step down")
    card.enter("image (0 to 9999)", 7)
    assert "−1.00" in card.choose("kernel", "edge: −1 beside 1")
    card.choose("kernel", "blur: the mean")
    assert "−2.00" in card.enter("your own kernel, row; row", "1 0; 0 -2")
    card.choose("kernel", "the network's own")
    card.choose("network", "digits")
    assert "feature map 1: 10 × 10" in card.choose("layer", "conv 2")
    assert "input channel 1:" in card.press("input channel shown", "ArrowRight")
    assert "at 0, 9" in card.click_at(635, 32)
    assert "at 1, 9" in card.arrow_and_tab("ArrowDown")
    card.play("position, row after row")
    card.done("convolution")


def test_shapes(lab):
    card = Card(lab, "shapes")
    assert "61706 parameters" in card.text()
    for name in ("channels", "kernel", "padding", "stride"):
        for part in (1, 2):
            assert f"Changed from LeNet: conv {part} {name}" in (
                card.press(f"conv {part} {name}", "ArrowRight")
            )
            assert "This is LeNet" in card.click("LeNet again")
    for part in (1, 2):
        assert f"pool {part} average → max" in card.choose(f"pool {part}", "max")
        card.enter(f"dense {part} width", 99)
        card.press(f"pool {part} window", "ArrowRight")
        card.click("LeNet again")
    assert "expects 500 values" in card.enter("dense 1 expects", 500)
    card.click("LeNet again")
    card.press("conv 1 padding", "ArrowLeft")
    words = card.press("conv 1 padding", "ArrowLeft").replace("\u00a0", " ")
    assert "expects 400 values, your convolutions now deliver 256" in words
    card.done("shapes")
    fit = card.root.get_by_role("button", name="make it fit", exact=True)
    fit.focus()
    assert "It fits: 44426 parameters" in card.changes(lambda: fit.press("Enter"))
    assert fit.evaluate("button => document.activeElement === button")  # with nothing left to do


def test_softmax(lab):
    card = Card(lab, "softmax")
    assert "p(shirt)" in card.text()
    assert "p(coat)" in card.choose("target", "coat")
    loss = card.text().split("loss")[-1]
    card.choose("logit of", "bag")
    card.press("logit", "ArrowRight")
    assert card.click("add 1 to all").split("loss")[-1] != loss  # for the slider had moved
    for name in ("double all", "a step against the gradient", "start again"):
        card.click(name)
    assert card.text().split("loss")[-1] == loss
    card.click_at(230, 67)  # the first logit, far to the right
    assert card.slider("logit").get_attribute("aria-valuetext") != "1.00"
    card.arrow_and_tab("ArrowLeft")
    card.done("softmax")


def test_descent(lab):
    card = Card(lab, "descent")
    card.press("learning rate", "End")
    assert "jumps out at step 1" in card.text()
    assert card.slider("learning rate").get_attribute("aria-valuetext") == "316"
    card.press("learning rate", "Home")
    assert "creeps" in card.text()
    card.press("momentum", "ArrowRight")
    card.press("steps", "ArrowRight")
    card.click_at(200, 200)
    card.arrow_and_tab("ArrowLeft")
    assert "the loss as a function" in card.choose("surface", "LeNet, one weight of conv 1")
    assert "real training" in card.choose("surface", "LeNet, the plane of its training")
    card.play("steps")
    card.done("descent")


def test_confusion(lab):
    card, cell, thumb = Card(lab, "confusion"), confusion.CELL, confusion.THUMB
    place = confusion.LEFT + 7.5 * cell, confusion.TOP + 7.5 * cell
    assert "sneaker, predicted sneaker" in card.click_at(*place)
    card.click_at(confusion.SHELF + 2.5 * thumb, 28 + 1.5 * thumb)  # an image
    card.arrow_and_tab("ArrowRight")
    card.press("image behind the cell", "ArrowRight")
    assert "shirt, predicted sneaker: 0" in card.choose("class", "shirt")
    assert "digits: " in card.choose("predicted", "coat")
    assert "clothes: " in card.choose("network", "digits")
    card.done("confusion")


def test_epochs(lab):
    card, (left, top, width, height) = Card(lab, "epochs"), epochs.CURVE
    epoch = card.slider("checkpoint after epoch")
    card.press("checkpoint after epoch", "ArrowLeft")
    card.enter("image (0 to 9999)", 5)
    card.click_at(left + width * 0.2, top + height / 2)
    assert epoch.get_attribute("aria-valuetext") == "2"
    card.arrow_and_tab("ArrowRight")
    assert epoch.get_attribute("aria-valuetext") == "3"
    card.click("epoch 0")
    assert epoch.get_attribute("aria-valuetext") == "0"
    card.play("checkpoint after epoch")
    card.done("epochs")


SEVEN = [(80, 90), (200, 90), (130, 260)]


def test_drawing_with_the_mouse(lab):
    card = Card(lab, "drawing")
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
    card.click("rotate left")
    card.click("rotate right")
    assert "reads 4" in card.choose("test image", "none of these")
    assert "reads 3" in card.choose("test image", "3")
    card.done("drawing")
    card.choose("draw", "clothes")
    assert "reads trouser" in card.choose("test image", "trouser")
    # Wider, darker, and with the eraser: seen in the next stroke.
    for name, value in (("width", "59"), ("brightness", "254")):
        card.slider(name).press("ArrowLeft")
        assert card.slider(name).get_attribute("aria-valuetext") == value
    card.root.get_by_role("combobox", name="with", exact=True).select_option("eraser")
    card.click_at(140, 200)
    assert not card.notebook.console_errors


def test_a_photograph_is_uploaded(lab, tmp_path):
    card = Card(lab, "drawing")
    image = Image.new("L", (200, 200), 230)
    ImageDraw.Draw(image).line([(100, 30), (100, 170)], fill=20, width=16)  # black on white
    image.save(tmp_path / "one.png")
    with card.page.expect_file_chooser() as chooser:
        card.root.get_by_role("button", name="upload a photograph").click()
    card.changes(lambda: chooser.value.set_files(tmp_path / "one.png"))
    card.wait_for("reads 1")
    assert not card.notebook.console_errors


def test_drawing_with_a_finger(lab):
    card = Card(lab, "drawing", touch=True)
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
        touch("touchEnd")

    card.changes(draw)
    card.wait_for("reads 7")
    assert not card.notebook.console_errors


def test_distortion(lab):
    card = Card(lab, "distortion")
    for what in distortion.DISTORTIONS.values():
        card.press(f"{what.name} ({what.unit})", "ArrowRight")
    card.enter("image (0 to 9999)", 1)
    assert "rotate 0 °" in card.click("undo all")
    width, height = distortion.PANEL
    x = 42 + 2 * (distortion.WIDTH / 3 + 4) + 0.75 * width
    assert "rotate 45 °" in card.click_at(x, 212 + height / 2)
    card.done("distortion")


def test_shuffle(lab):
    card = Card(lab, "shuffle")
    card.press("shuffled (%)", "ArrowLeft")
    assert "it is this" in card.click_at(340 + 90, 34 + 4 * 28 + 14)
    assert "it is this" not in card.click("next image")
    assert "it is this" in card.choose("your guess", "bag")
    assert card.root.get_by_text("right of 2: you").count() == 1
    guess = card.root.get_by_role("combobox", name="your guess", exact=True)
    guess.focus()
    guess.select_option("coat")  # the first guess counts, and the list says so
    card.page.wait_for_function(
        "guess => guess.selectedOptions[0].text === 'bag'", arg=guess.element_handle()
    )
    assert guess.evaluate("guess => document.activeElement === guess")
    card.done("shuffle")


def test_trust(lab):
    card = Card(lab, "trust")
    card.click_at(8 * 10, 34 + 8 * 3)
    card.arrow_and_tab("ArrowDown")
    card.press("patch (pixels, 0: none)", "ArrowRight")
    card.press("attack (of white)", "ArrowRight")
    card.press("temperature", "ArrowRight")
    card.enter("image (0 to 9999)", 3)
    card.click("undo all")
    card.done("trust")


def test_lenet5(lab):
    card = Card(lab, "lenet5")
    assert "LeNet-5: 7" in card.text() and "today's: 7" in card.text()
    for name in ("shift right (px)", "shift down (px)", "rotate (°)", "noise (of white)"):
        card.press(name, "ArrowRight")
    card.press("squeeze (× as wide)", "ArrowLeft")
    assert "the image: 2" in card.enter("image (0 to 9999)", 1)
    assert "LeNet-5: 2" in card.click("undo all")
    card.done("lenet5")


def test_an_explorer_in_a_narrow_window_and_the_dark_theme(lab):
    card = Card(lab, "epochs", theme="dark")
    card.page.set_viewport_size({"width": 700, "height": 900})
    card.page.wait_for_function(
        "document.querySelector('.lenet-card').getBoundingClientRect().width < 700"
    )
    assert card.root.evaluate("c => getComputedStyle(c).backgroundColor") == "rgb(255, 255, 255)"
    left, top, width, height = epochs.CURVE
    card.click_at(left + width * 0.2, top + height / 2)
    assert card.slider("checkpoint after epoch").get_attribute("aria-valuetext") == "2"
    card.done("epochs_dark_narrow")
