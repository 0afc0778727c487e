"""Measure LeNet's loss in the plane of its own training: results/surface.json, for chapter 5.

The run of chapter 3 has kept the weights after each epoch. The two directions are those in which
these eleven points, in a space of 61706 dimensions, lie furthest apart (the first two principal
components). The loss is that of the first 500 training images. Takes half a minute.
"""

import lenet_helpers as lenet
from lenet_course import saved

import json

import torch
import torch.nn.functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

OUTPUT = lenet.COURSE / "results" / "surface.json"
POINTS = 25, 21  # measured along the two directions
MARGIN = 8.0  # around the training's own path


def plane(points: torch.Tensor) -> torch.Tensor:
    """Two directions (2, P) of length 1 in which points (N, P) spread most around the first."""
    _, _, directions = torch.linalg.svd(points - points[0], full_matrices=False)
    directions = directions[:2]
    return directions * torch.sign(directions @ (points[-1] - points[0])).unsqueeze(1)


def main() -> None:
    run = saved.load_run(saved.find_weights("fashion_mnist_run.pt"))
    net, vectors = lenet.make_lenet(), []
    for weights in run.checkpoints:
        net.load_state_dict(weights)
        vectors.append(parameters_to_vector(net.parameters()).detach())
    points = torch.stack(vectors)
    directions = plane(points)
    path = (points - points[0]) @ directions.T  # (11, 2)
    low, high = path.min(dim=0).values - MARGIN, path.max(dim=0).values + MARGIN
    X, y = lenet.load_images("FashionMNIST", train=True)[:500]
    rows = []
    for b in torch.linspace(low[1], high[1], POINTS[1]):
        rows.append([])
        for a in torch.linspace(low[0], high[0], POINTS[0]):
            vector_to_parameters(points[0] + torch.stack([a, b]) @ directions, net.parameters())
            with torch.no_grad():
                rows[-1].append(round(F.cross_entropy(net(X), y).item(), 3))
        print(".", end="", flush=True)
    print()
    results = {"low": low.tolist(), "high": high.tolist(), "path": path.tolist()}
    results = {
        key: torch.tensor(value).round(decimals=3).tolist() for key, value in results.items()
    }
    OUTPUT.write_text(json.dumps(results | {"loss": rows}) + "\n")


if __name__ == "__main__":
    main()
