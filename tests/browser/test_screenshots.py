"""What the README shows of the course at work, in a real JupyterLab: live curves and explorers.

The pictures go to build/screenshots/ and, with LENET_SCREENSHOTS=1 in the environment, also to
Images/screenshots/, where the README has them from.
"""

import os
import shutil
from pathlib import Path

from test_explorers import START

SCREENSHOTS = Path(__file__).resolve().parents[2] / "Images" / "screenshots"
SIZE = 1200, 1400  # of the browser's window

DIGITS = """
digits = lenet.load_images("MNIST", train=False)
few = lenet.ImageDataset(digits.images[:1000], digits.labels[:1000])
"""
EXPLORERS = {
    "convolution": """
explorer = convolution.ConvolutionExplorer(digits_net, digits)
explorer.row.value, explorer.column.value = 18, 14""",
    "shapes": "explorer = shapes.ShapeExplorer()",
    "confusion": "explorer = confusion.ConfusionExplorer(net, images, lenet.FASHION_LABELS)",
    "epochs": """
explorer = epochs.EpochExplorer(run, images, lenet.FASHION_LABELS)
explorer.epoch.value = 4""",
    "drawing": """
explorer = drawing.DrawingExplorer(readers)
explorer.clear.click()
three = [(80, 60), (150, 40), (200, 80), (130, 130), (200, 180), (150, 240), (80, 220)]
for start, end in zip(three, three[1:]):
    explorer.stroke(start, end)
explorer.refresh()""",
    "distortion": """
explorer = distortion.DistortionExplorer(digits_net, few, lenet.DIGITS)
explorer.amounts["rotation"].value = 20
explorer.amounts["noise"].value = 0.3
explorer.measure()""",
    "lenet5": """
then = saved.load_weights(network.make_lenet5(), saved.find_weights("lenet5.pt"))
explorer = lenet5.Lenet5Explorer(then, digits_net, digits)
explorer.rotation.value = 35""",
    "descent": """
measured = json.loads((lenet.COURSE / "results" / "surface.json").read_text())
surfaces = [descent.valley(), descent.saddle(), descent.two_directions(measured)]
explorer = descent.DescentExplorer(surfaces)""",
    "trust": """
better_net = lenet.make_lenet(torch.nn.ReLU, torch.nn.MaxPool2d)
saved.load_weights(better_net, saved.find_weights("lenet_clothes.pt"))
explorer = trust.TrustExplorer(better_net, images, lenet.FASHION_LABELS)
explorer.place = 8, 7
explorer.refresh()""",
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
    cells = [f"{code}\nexplorer.show()" for code in EXPLORERS.values()]
    notebook = lab.new([START + DIGITS, *cells], size=SIZE)
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
