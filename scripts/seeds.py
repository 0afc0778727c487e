"""Train chapter 3's network with five seeds and write results/seeds.json, which the chapter plots.

Each seed draws other first weights and another order of the images. All else is the lesson's:
Fashion-MNIST, batches of 256, learning rate 0.9, ten epochs. Takes about three minutes.
"""

import lenet_helpers as lenet

import json

import torch

SEEDS = range(5)
OUTPUT = lenet.COURSE / "results" / "seeds.json"


def train_once(seed):
    """One run of ten epochs, just as chapter 3 makes it."""
    torch.manual_seed(seed)
    net = lenet.make_lenet()
    train_iter, test_iter = lenet.load_data_fashion_mnist(batch_size=256)
    return lenet.train_ch6(net, train_iter, test_iter, num_epochs=10, lr=0.9, device="cpu")


def main():
    results = []
    for seed in SEEDS:
        run = train_once(seed)
        print(f"seed {seed}: {run}", flush=True)
        results.append(
            {
                "seed": seed,
                "loss": round(run.loss, 4),
                "train_acc": round(run.train_acc, 4),
                "test_acc": round(run.test_acc, 4),
            }
        )
    OUTPUT.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
