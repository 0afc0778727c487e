"""Train LeNet with one change more at a time and write results/variants.json for chapter 4's chart.

Every step keeps the changes before it; ten epochs each, two seeds. The chart's first row, the
lesson's own network, comes from scripts/seeds.py; its last, batch normalisation, is trained in the
chapter, and only there stands its network. Takes about four minutes.
"""

import lenet_helpers as lenet

import json

import torch
from torch import nn

NUM_EPOCHS, SEEDS = 10, range(2)
OUTPUT = lenet.COURSE / "results" / "variants.json"


def plain_sgd(lr):
    """The lesson's optimiser: one learning rate from the first batch to the last."""

    def make(net, num_steps):
        return torch.optim.SGD(net.parameters(), lr=lr), None

    return make


def one_cycle_sgd(lr):
    """Nesterov momentum and weight decay; the learning rate rises to `lr` and falls to nothing."""

    def make(net, num_steps):
        optimizer = torch.optim.SGD(
            net.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, num_steps)

    return make


STEPS = [  # name, activation, pooling, learning rate, optimiser
    ("ReLU instead of sigmoid", nn.ReLU, nn.AvgPool2d, 0.1, plain_sgd),
    ("max instead of average pooling", nn.ReLU, nn.MaxPool2d, 0.1, plain_sgd),
    ("momentum, one-cycle, weight decay", nn.ReLU, nn.MaxPool2d, 0.05, one_cycle_sgd),
]


def train_once(seed, activation, pool, lr, make_optimizer):
    """One run of ten epochs on Fashion-MNIST."""
    torch.manual_seed(seed)
    net = lenet.make_lenet(activation, pool)
    train_iter, test_iter = lenet.load_data_fashion_mnist(batch_size=256)
    optimizer, scheduler = make_optimizer(lr)(net, NUM_EPOCHS * len(train_iter))
    return lenet.train_ch6(
        net, train_iter, test_iter, NUM_EPOCHS, lr, "cpu", optimizer=optimizer, scheduler=scheduler
    )


def main():
    results = []
    for name, *settings in STEPS:
        runs = [train_once(seed, *settings) for seed in SEEDS]
        results.append(
            {
                "name": name,
                "loss": [round(run.loss, 4) for run in runs],
                "test_acc": [round(run.test_acc, 4) for run in runs],
            }
        )
        print(results[-1], flush=True)
    OUTPUT.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
