"""Measure the curves that chapter 4's distortion explorer shows: results/distortion.json.

For the weights that come with the course, on all 10000 test images of both data sets. A reader who
has trained the network anew measures again, by the explorer's button.
"""

import lenet_helpers as lenet
from lenet_course import saved
from lenet_course.explorers import distortion


def main() -> None:
    path = lenet.COURSE / "results" / distortion.FILE
    path.unlink(missing_ok=True)  # what was measured for older weights
    for dataset, weights in (("FashionMNIST", "fashion_mnist.pt"), ("MNIST", "mnist.pt")):
        net = saved.load_weights(
            lenet.make_lenet(), lenet.COURSE / "notebooks" / "weights" / weights
        )
        curves = distortion.measure_curves(net, lenet.load_images(dataset, train=False), path)
        worst = min((accuracy, kind) for kind, curve in curves.items() for _, accuracy in curve)
        print(f"{dataset}: down to {worst[0]:.3f} ({distortion.DISTORTIONS[worst[1]].name})")


if __name__ == "__main__":
    main()
