"""What the README shows of the course at work, in a real JupyterLab: live curves and explorers.

The pictures go to build/screenshots/ and, with LENET_SCREENSHOTS=1 in the environment, also to
Images/screenshots/, where the README has them from.
"""

import os
import shutil
from pathlib import Path

SCREENSHOTS = Path(__file__).resolve().parents[2] / "Images" / "screenshots"
SIZE = 1200, 1400  # of the browser's window

START = """
import lenet_helpers as lenet
from lenet_course import saved
import torch

clothes = lenet.load_images("FashionMNIST", train=False)
digits = lenet.load_images("MNIST", train=False)
few = lenet.ImageDataset(digits.images[:1000], digits.labels[:1000])
net = saved.load_weights(lenet.make_lenet(), saved.find_weights("fashion_mnist.pt"))
digits_net = saved.load_weights(lenet.make_lenet(), saved.find_weights("mnist.pt"))
"""

EXPLORERS = {
    "convolution": """
from lenet_course.explorers.convolution import ConvolutionExplorer
explorer = ConvolutionExplorer(digits_net, digits)
explorer.row.value, explorer.column.value = 18, 14
explorer.show()""",
    "shapes": """
from lenet_course.explorers.shapes import ShapeExplorer
explorer = ShapeExplorer()
explorer.show()""",
    "confusion": """
from lenet_course.explorers.confusion import ConfusionExplorer
explorer = ConfusionExplorer(net, clothes, lenet.FASHION_LABELS)
explorer.show()""",
    "epochs": """
from lenet_course.explorers.epochs import EpochExplorer
run = saved.load_run(saved.find_weights("fashion_mnist_run.pt"))
explorer = EpochExplorer(run, clothes, lenet.FASHION_LABELS)
explorer.epoch.value = 4
explorer.show()""",
    "drawing": """
from lenet_course.explorers.drawing import DrawingExplorer
readers = {"digits": (digits_net, lenet.DIGITS), "clothes": (net, lenet.FASHION_LABELS)}
explorer = DrawingExplorer(readers)
explorer.clear.click()
three = [(80, 60), (150, 40), (200, 80), (130, 130), (200, 180), (150, 240), (80, 220)]
for start, end in zip(three, three[1:]):
    explorer.stroke(start, end)
explorer.refresh()
explorer.show()""",
    "distortion": """
from lenet_course.explorers.distortion import DistortionExplorer
explorer = DistortionExplorer(digits_net, few, lenet.DIGITS)
explorer.amounts["rotation"].value = 20
explorer.amounts["noise"].value = 0.3
explorer.measure()
explorer.show()""",
    "lenet5": """
from lenet_course import lenet5
from lenet_course.explorers.lenet5 import Lenet5Explorer
then = saved.load_weights(lenet5.make_lenet5(), saved.find_weights("lenet5.pt"))
explorer = Lenet5Explorer(then, digits_net, digits)
explorer.rotation.value = 35
explorer.show()""",
    "descent": """
import json
from lenet_course.explorers import descent
measured = json.loads((lenet.COURSE / "results" / "surface.json").read_text())
surfaces = [descent.valley(), descent.saddle(), descent.two_directions(measured)]
descent.DescentExplorer(surfaces).show()""",
    "trust": """
from lenet_course.explorers.trust import TrustExplorer
better_net = lenet.make_lenet(torch.nn.ReLU, torch.nn.MaxPool2d)
saved.load_weights(better_net, saved.find_weights("lenet_clothes.pt"))
explorer = TrustExplorer(better_net, clothes, lenet.FASHION_LABELS)
explorer.place = 8, 7
explorer.refresh()
explorer.show()""",
}

TRAINING = """
from lenet_course.curves import LiveCurves

torch.manual_seed(0)
train_iter, test_iter = lenet.load_data_fashion_mnist(batch_size=256)
run = lenet.train_ch6(lenet.make_lenet(), train_iter, test_iter, 10, 0.9, callback=LiveCurves())
"""


def take(notebook, number, name):
    """The picture of what cell `number` shows."""
    output = notebook.cell(number).locator(".jp-OutputArea-output").first
    output.scroll_into_view_if_needed()
    notebook.page.wait_for_timeout(500)  # pictures of a widget arrive a moment after the widget
    notebook.screenshot(f"readme_{name}", output)
    if os.environ.get("LENET_SCREENSHOTS"):
        SCREENSHOTS.mkdir(exist_ok=True)
        taken = SCREENSHOTS.parents[1] / "build" / "screenshots" / f"readme_{name}.png"
        shutil.copy(taken, SCREENSHOTS / f"{name}.png")


def test_explorers(lab):
    notebook = lab.new([START, *EXPLORERS.values()], size=SIZE)
    notebook.run_all()
    assert not notebook.errors()
    for number, name in enumerate(EXPLORERS, start=1):
        take(notebook, number, name)


def test_live_curves(lab):
    """The picture is taken while the cell trains, when the loss has left its plateau."""
    notebook = lab.new([START, TRAINING], size=SIZE)
    notebook.run(0)
    notebook.wait()
    notebook.run(1)
    notebook.page.get_by_text("epoch 2.").first.wait_for(timeout=300_000)
    take(notebook, 1, "live_curves")
    assert not notebook.errors()
