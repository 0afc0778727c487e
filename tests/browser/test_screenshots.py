"""What the README shows of the course at work, in a real JupyterLab: curves and explorers.

Every test looks at one of them, from a fresh kernel, and takes its picture. The pictures go to
build/screenshots/ and, with LENET_SCREENSHOTS=1 in the environment, to Images/screenshots/, from
where the README shows them.
"""

import os

import pytest

# Pictures in the README have this width; `scale` makes them sharp on high-density screens.
SIZE = 1060, 1200

START = """
import lenet_helpers as lenet

clothes = lenet.load_images("FashionMNIST", train=False)
digits = lenet.load_images("MNIST", train=False)
net = lenet.load_weights(lenet.make_lenet(), lenet.find_weights("fashion_mnist.pt"))
digits_net = lenet.load_weights(lenet.make_lenet(), lenet.find_weights("mnist.pt"))
"""

EXPLORERS = {
    "convolution": """
from explorers.convolution import ConvolutionExplorer
ConvolutionExplorer(digits_net, digits).show()""",
    "shapes": """
from explorers.shapes import ShapeExplorer
ShapeExplorer().show()""",
    "confusion": """
from explorers.confusion import ConfusionExplorer
ConfusionExplorer(net, clothes, lenet.FASHION_LABELS).show()""",
    "epochs": """
from explorers.epochs import EpochExplorer
run = lenet.load_run(lenet.find_weights("fashion_mnist_run.pt"))
EpochExplorer(run, clothes, lenet.FASHION_LABELS).show()""",
    "drawing": """
from explorers.drawing import DrawingExplorer
readers = {"digits": (digits_net, lenet.DIGITS), "clothes": (net, lenet.FASHION_LABELS)}
DrawingExplorer(readers).show()""",
    "distortion": """
from explorers.distortion import DistortionExplorer
DistortionExplorer(digits_net, digits, lenet.DIGITS).show()""",
}

TRAINING = """
from lenet_live import LiveCurves
import torch
torch.manual_seed(0)
train_iter, test_iter = lenet.load_data_fashion_mnist(256)
run = lenet.train_ch6(lenet.make_lenet(), train_iter, test_iter, 10, 0.9, curves=LiveCurves())
"""


def take(notebook, name):
    """The picture of what the second cell shows."""
    output = notebook.cell(1).locator(".jp-OutputArea-output").first
    notebook.screenshot(f"readme_{name}", output)
    if os.environ.get("LENET_SCREENSHOTS"):
        import conftest

        folder = conftest.ROOT / "Images" / "screenshots"
        folder.mkdir(exist_ok=True)
        output.screenshot(path=folder / f"{name}.png")


@pytest.mark.parametrize("name", EXPLORERS)
def test_explorer(lab, name):
    notebook = lab.new([START, EXPLORERS[name]], size=SIZE)
    notebook.run_all()
    notebook.page.wait_for_timeout(1500)
    assert not notebook.errors()
    take(notebook, name)


def test_live_curves(lab):
    notebook = lab.new([START, TRAINING], size=SIZE)
    notebook.run(0)
    notebook.wait()
    notebook.run(1)
    notebook.page.wait_for_timeout(15000)
    take(notebook, "live_curves")
    notebook.cell(1).get_by_role("button", name="Stop").click()
    notebook.wait()
    assert not notebook.errors()
