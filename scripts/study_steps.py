"""Train LeNet on Fashion-MNIST, one change more at a time, over three seeds: results/steps.json.

Ten epochs each, on all 60000 training images; chapter 3 plots the lesson's network (five seeds),
chapter 4 the steps from it to a better one. Each step keeps the changes before it and changes one
thing. What is there already is not trained again. About 25 minutes on two quiet cores.
"""

import lenet_helpers as lenet
from lenet_course import saved

import json
from dataclasses import dataclass, replace

import torch
from torch import nn

OUTPUT = lenet.COURSE / "results" / "steps.json"
NUM_EPOCHS = 10


@dataclass(frozen=True)
class Step:
    """One network and its training; a step differs from the one before in one field, its name."""

    name: str
    lr: float = 0.9
    activation: type = nn.Sigmoid
    pool: type = nn.AvgPool2d
    momentum: float = 0.0  # Nesterov's, if not 0
    one_cycle: bool = False  # lr rises and falls to almost nothing, momentum the other way round
    weight_decay: float = 0.0
    batch_norm: bool = False
    seeds: int = 3


def steps() -> list[Step]:
    """From the lesson's network to the better one of chapter 4."""
    changes = [
        ("learning rate 0.05 instead of 0.9", {"lr": 0.05, "seeds": 3}),
        ("ReLU instead of sigmoid", {"activation": nn.ReLU}),
        ("max instead of average pooling", {"pool": nn.MaxPool2d}),
        ("Nesterov momentum 0.9", {"momentum": 0.9}),
        ("one-cycle schedule", {"one_cycle": True}),
        ("weight decay 0.0005", {"weight_decay": 5e-4}),
        ("batch normalisation", {"batch_norm": True}),
        ("learning rate 0.2 at its peak", {"lr": 0.2}),
    ]
    found = [Step("the lesson's network", seeds=5)]
    for name, change in changes:
        found.append(replace(found[-1], name=name, **change))
    return found


def with_batch_norm(net: nn.Sequential) -> nn.Sequential:
    """`net` with batch normalisation after each layer with weights, the last one excepted."""
    layers = []
    for layer in net:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
            layer.bias = None
        elif isinstance(layer, nn.Linear) and layer is not net[-1]:
            layers.append(nn.BatchNorm1d(layer.out_features))
            layer.bias = None
    return nn.Sequential(*layers)


def train(step: Step, seed: int) -> dict[str, float]:
    """One run: its loss and its accuracies, rounded to four decimals."""
    torch.manual_seed(seed)
    net = lenet.make_lenet(step.activation, step.pool)
    net = with_batch_norm(net) if step.batch_norm else net
    train_iter, test_iter = lenet.load_data_fashion_mnist(batch_size=256)
    optimizer = torch.optim.SGD(
        net.parameters(), step.lr, momentum=step.momentum, nesterov=step.momentum > 0,
        weight_decay=step.weight_decay,
    )  # fmt: skip
    scheduler = None
    if step.one_cycle:
        num_steps = NUM_EPOCHS * len(train_iter)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, step.lr, num_steps)
    run = lenet.train_ch6(
        net, train_iter, test_iter, NUM_EPOCHS, step.lr, "cpu",
        optimizer=optimizer, scheduler=scheduler,
    )  # fmt: skip
    print(f"{step.name}, seed {seed}: {run}", flush=True)
    names = ("loss", "train_acc", "test_acc")
    return {name: round(getattr(run, name), 4) for name in names}


def main() -> None:
    results = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    for step in steps():
        runs = results.setdefault(step.name, [])
        while len(runs) < step.seeds:
            runs.append(train(step, seed=len(runs)))
            saved.write_json(results, OUTPUT)


if __name__ == "__main__":
    main()
