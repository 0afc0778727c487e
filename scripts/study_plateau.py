"""How long does LeNet sit on the plateau, and what ends it sooner? results/plateau.json, chapter 5.

Each training starts anew and stops where the plateau ends: after the first batch at which the mean
loss of the last ten batches is below 2.2, or after `most_epochs`. What was measured is kept after
each training, so that a study that was interrupted goes on where it was. Batches have 256 images,
as in chapter 3.
Besides: the losses of four trainings with a fault each, for exercise 5.4.
Takes about ten minutes.
"""

import lenet_helpers as lenet
from lenet_course import saved

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, repeat
from typing import NamedTuple

import torch
from torch import Tensor, nn

OUTPUT = lenet.COURSE / "results" / "plateau.json"


class Formula(nn.Module):
    """An activation (or a first layer) given as a function of its input."""

    def __init__(self, formula: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, X: Tensor) -> Tensor:
        return self.formula(X)


ACTIVATIONS = {
    "sigmoid": torch.sigmoid,
    "sigmoid - 1/2": lambda x: torch.sigmoid(x) - 0.5,
    "4 sigmoid": lambda x: 4 * torch.sigmoid(x),
    "4 sigmoid - 2": lambda x: 4 * torch.sigmoid(x) - 2,
    "tanh": torch.tanh,
    "ReLU": torch.relu,
}


FAULTS = ("zero_grad", "labels", "sorted", "lr")  # of exercise 5.4, in the order of its curves


class PlateauEnd(lenet.Callback):
    """Stops the training as soon as the mean loss of the last ten batches is below 2.2."""

    def __init__(self) -> None:
        self.losses = deque(maxlen=10)

    def after_batch(self, run: lenet.Run) -> None:
        self.losses.append(run.train[-1][1])
        self.stop_requested = len(self.losses) == 10 and sum(self.losses) < 10 * 2.2


def scaled_lenet(activation: str, factor: float, pixels: float) -> nn.Sequential:
    """LeNet with weights of `factor` x Xavier that sees its pixels times `pixels`."""
    net = lenet.make_lenet(lambda: Formula(ACTIVATIONS[activation]))
    for layer in net:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.weight.data *= factor
    net[0] = Formula(lambda X: X.reshape(-1, 1, 28, 28) * pixels)
    return net


def spreads(dataset: lenet.ImageDataset) -> dict[str, float]:
    """Of the pixels, and of the ten classes' mean images around the mean of all of them."""
    pixels, labels = dataset.images.float() / 255, dataset.labels
    means = torch.stack([pixels[labels == label].mean(dim=0) for label in range(10)])
    return {
        "pixels": pixels.std().item(),
        "class means": means.var(dim=0, unbiased=False).mean().sqrt().item(),
    }


class Plan(NamedTuple):
    """One training, but for its seed."""

    activation: str = "sigmoid"
    factor: int = 1  # weights start at so many times Xavier's
    lr: float = 0.9
    data: str = "FashionMNIST"
    scaled_to: str = ""  # the spread that the pixels are scaled to the other data set's, if any
    scale: float = 1.0
    most_epochs: int = 6


def plans(data: dict[str, lenet.ImageDataset]) -> Iterator[Plan]:
    """The trainings to compare."""
    clothes, digits = spreads(data["FashionMNIST"]), spreads(data["MNIST"])
    yield from (Plan(factor=factor) for factor in (1, 2, 3, 4))
    yield Plan("sigmoid - 1/2")
    yield Plan("sigmoid", lr=0.1, most_epochs=12)
    yield from (Plan(name, lr=0.1) for name in list(ACTIVATIONS)[1:])
    yield from (Plan(name, most_epochs=2) for name in ("tanh", "ReLU"))  # thrown off
    yield Plan(data="MNIST")
    yield Plan(data="MNIST", factor=2)
    for spread in clothes:
        scale = round(clothes[spread] / digits[spread], 3)
        yield Plan(data="MNIST", scaled_to=spread, scale=scale)
        yield Plan(scaled_to=spread, scale=round(1 / scale, 3))


def train_once(plan: Plan, seed: int, dataset: lenet.ImageDataset) -> tuple[float | None, float]:
    """The epoch at which the plateau ends, None if it does not; and the loss at the end."""
    torch.manual_seed(seed)
    net = scaled_lenet(plan.activation, plan.factor, plan.scale)
    train_iter = lenet.batches(dataset, 256, shuffle=True)
    one_batch = [dataset[:256]]  # train_ch6 evaluates at the end; nobody asks for the accuracy here
    run = lenet.train_ch6(
        net, train_iter, one_batch, plan.most_epochs, plan.lr, "cpu", callback=PlateauEnd()
    )
    last = sum(l for _, l, _ in run.train[-10:]) / 10
    return round(run.epoch, 3) if last < 2.2 else None, round(last, 3)


def fault_curve(fault: str, images: lenet.ImageDataset, steps: int = 150) -> list[float]:
    """The loss of every batch of a ReLU network whose training has one of the faults of 5.4."""
    torch.manual_seed(1)
    net, batch_size = lenet.make_lenet(nn.ReLU), 256
    if fault == "labels":
        images = lenet.ImageDataset(images.images, images.labels[torch.randperm(len(images))])
    if fault == "sorted":  # a tenth of the images, class after class
        order, batch_size = images.labels.argsort(stable=True)[::10], 100
        images = lenet.ImageDataset(images.images[order], images.labels[order])
    train_iter = lenet.batches(images, batch_size, shuffle=fault != "sorted")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.9 if fault == "lr" else 0.1)
    losses = []
    for X, y in islice(chain.from_iterable(repeat(train_iter)), steps):
        if fault != "zero_grad":
            optimizer.zero_grad()
        l = nn.functional.cross_entropy(net(X), y)
        l.backward()
        optimizer.step()
        losses.append(round(l.item(), 2))
    return losses


def main(seeds: Iterable[int] = range(5)) -> None:
    data = {name: lenet.load_images(name, train=True) for name in ("FashionMNIST", "MNIST")}
    results = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {"runs": []}
    results["spreads"] = {name: spreads(images) for name, images in data.items()}
    results["faults"] = {fault: fault_curve(fault, data["FashionMNIST"]) for fault in FAULTS}
    done = [{key: run[key] for key in run if key not in ("end", "loss")} for run in results["runs"]]
    for seed in seeds:
        for plan in plans(data):
            row = plan._asdict() | {"seed": seed}
            if row in done:
                continue
            row["end"], row["loss"] = train_once(plan, seed, data[plan.data])
            results["runs"].append(row)
            print(row, flush=True)
            saved.write_json(results, OUTPUT)


if __name__ == "__main__":
    main()
