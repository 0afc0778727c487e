"""Measure what chapter 6 compares: results/baselines.json, a record for each training.

Every network learns from the same 50000 training images; the other 10000 are for validation. The
records are written one by one: a study that was interrupted goes on where it stopped. All of it
takes about 40 minutes on a quiet core. (Delete the file to measure everything again.)

Steps, not epochs, are counted: an epoch is always 196 batches of 256, 50000 images. A network that
learns from 500 of them sees each a hundred times in an epoch.
"""

import lenet_helpers as lenet
from lenet_course import saved

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

OUTPUT = lenet.COURSE / "results" / "baselines.json"
CLOTHES, DIGITS = "FashionMNIST", "MNIST"
TRIAL_SEEDS, SEEDS = (0, 1, 2), (3, 4, 5)  # to choose by; to report
BATCH_SIZE = 256
SHARES = 0.01, 0.1, 0.03, 0.3
RATES, POOLS = (0.05, 0.1, 0.2, 0.5), ("average", "max")
SHIFTS = range(-8, 9)  # pixels to the right, at which accuracy is measured

# ---------------------------------------------------------------------------- the networks


class Windows(nn.Module):
    """A convolution in which locality, weight sharing or both can be given up.

    At each of size x size places it sees the 25 values at `offsets` from there, around the edge
    where need be. `shared`: the same weights at every place, otherwise each place has its own.
    """

    def __init__(
        self, c_in: int, c_out: int, offsets: list[tuple[int, int]], size: int, shared: bool
    ) -> None:
        super().__init__()
        self.offsets, self.size, seen = offsets, size, c_in * len(offsets)
        places = 1 if shared else size * size
        limit = math.sqrt(6 / (seen + c_out * len(offsets)))  # Xavier, as for nn.Conv2d
        self.weight = nn.Parameter(torch.empty(places, c_out, seen).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.zeros(places, c_out, 1))

    def forward(self, X: Tensor) -> Tensor:
        size, moves = self.size, [(-down, -right) for down, right in self.offsets]
        if len(self.weight) == 1:  # shared
            seen = torch.cat([X.roll(move, (2, 3))[..., :size, :size] for move in moves], dim=1)
            return nn.functional.conv2d(seen, self.weight[0, ..., None, None], self.bias.flatten())
        X = X.permute(2, 3, 1, 0)  # the images last: a matrix product at every place, and faster so
        seen = torch.cat([X.roll(move, (0, 1))[:size, :size] for move in moves], dim=2)
        sums = self.weight @ seen.flatten(0, 1) + self.bias  # (places, c_out, B)
        return sums.unflatten(0, (size, size)).permute(3, 2, 0, 1)


def window_offsets(local: bool, first: int, side: int) -> list[tuple[int, int]]:
    """A 5 x 5 window from `first` on, or 25 places scattered over a map of side x side."""
    if local:
        return list(product(range(first, first + 5), repeat=2))
    places = torch.randperm(side * side, generator=torch.Generator().manual_seed(side))[:25]
    return [divmod(place, side) for place in places.tolist()]


def lenet_of_windows(pool: str, local: bool, shared: bool) -> nn.Sequential:
    """LeNet whose two convolutions are `Windows`."""
    net = make_network("LeNet", pool)
    net[1] = Windows(1, 6, window_offsets(local, -2, 28), 28, shared)
    net[4] = Windows(6, 16, window_offsets(local, 0, 14), 10, shared)
    return net


def make_network(name: str, pool: str = "average") -> nn.Sequential:
    """A new network, with Xavier initialisation, by the name that the chapter gives it."""
    pooling = nn.MaxPool2d if pool == "max" else nn.AvgPool2d
    if name == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).apply(lenet.init_weights)
    if name == "MLP":
        layers = nn.Flatten(), nn.Linear(784, 77), nn.ReLU(), nn.Linear(77, 10)
        return nn.Sequential(*layers).apply(lenet.init_weights)
    return {
        "lesson": lenet.make_lenet,
        "LeNet": partial(lenet.make_lenet, nn.ReLU, pooling),
        "not local": partial(lenet_of_windows, pool, local=False, shared=True),
        "not shared": partial(lenet_of_windows, pool, local=True, shared=False),
        "neither": partial(lenet_of_windows, pool, local=False, shared=False),
    }[name]()


# ---------------------------------------------------------------------------- the data


def split(dataset: str) -> tuple[lenet.ImageDataset, lenet.ImageDataset]:
    """The training images as 50000 to learn from and 10000 for validation, always the same."""
    images = lenet.load_images(dataset, train=True)
    order = torch.randperm(60000, generator=torch.Generator().manual_seed(0))
    return subset(images, order[:50000]), subset(images, order[50000:])


def subset(images: lenet.ImageDataset, index: Tensor) -> lenet.ImageDataset:
    """Some of the images."""
    return lenet.ImageDataset(images.images[index], images.labels[index])


def shuffle_pixels(images: lenet.ImageDataset) -> lenet.ImageDataset:
    """All pixels moved by one permutation, the same for every image."""
    permutation = torch.randperm(784, generator=torch.Generator().manual_seed(0))
    moved = images.images.flatten(1)[:, permutation].reshape(-1, 28, 28)
    return lenet.ImageDataset(moved, images.labels)


def shift(X: Tensor, down: Tensor | int, right: Tensor | int) -> Tensor:
    """Each image of `X` (B, 1, 28, 28) moved by so many pixels; what comes in is black."""
    down, right = (torch.as_tensor(amount).expand(len(X))[:, None] for amount in (down, right))
    rows, columns = (28 - amount + torch.arange(28) for amount in (down, right))  # (B, 28)
    padded, image = nn.functional.pad(X[:, 0], (28,) * 4), torch.arange(len(X))[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None]].unsqueeze(1)


@dataclass
class Shifted:
    """The batches of `data_iter`, each image moved by up to `most` pixels, anew in every epoch."""

    data_iter: torch.utils.data.DataLoader
    most: int

    def __len__(self) -> int:
        return len(self.data_iter)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for X, y in self.data_iter:
            down, right = torch.randint(-self.most, self.most + 1, (2, len(X)))
            yield shift(X, down, right), y


# ---------------------------------------------------------------------------- one training


@dataclass(frozen=True)
class Settings:
    """What one training depends on."""

    network: str
    dataset: str
    seed: int
    lr: float
    pool: str = "average"
    num_epochs: int = 5
    one_cycle: bool = True  # with momentum and weight decay; otherwise plain SGD
    share: float = 1.0  # of the 50000 images
    shuffled: bool = False  # all pixels, by one permutation
    shifts: int = 0  # pixels by which a training image is moved at most
    test: bool = True  # whether the test set is opened


def load_parts(settings: Settings) -> dict[str, lenet.ImageDataset]:
    """The images to learn from, those for validation, and those of the test."""
    learn, validation = split(settings.dataset)
    order = torch.randperm(50000, generator=torch.Generator().manual_seed(settings.seed))
    learn = subset(learn, order[: round(50000 * settings.share)])
    parts = {"train": learn, "val": validation}
    if settings.test:
        parts["test"] = lenet.load_images(settings.dataset, train=False)
    return {k: shuffle_pixels(v) for k, v in parts.items()} if settings.shuffled else parts


def train(settings: Settings, parts: dict[str, lenet.ImageDataset]) -> tuple[nn.Module, lenet.Run]:
    """One training."""
    torch.manual_seed(settings.seed)
    net = make_network(settings.network, settings.pool)
    # An epoch always has the same number of steps: where there are fewer images, they come again.
    again = subset(parts["train"], torch.arange(50000) % len(parts["train"]))
    train_iter = lenet.batches(again, BATCH_SIZE, shuffle=True)
    if settings.shifts:
        train_iter = Shifted(train_iter, settings.shifts)
    optimizer, scheduler = make_optimizer(settings, net, settings.num_epochs * len(train_iter))
    run = lenet.train_ch6(
        net, train_iter, [parts["val"][list(range(100))]], settings.num_epochs, settings.lr, "cpu",
        optimizer=optimizer, scheduler=scheduler,
    )  # fmt: skip
    return net, run


def make_optimizer(settings: Settings, net: nn.Module, num_steps: int) -> tuple:
    """Plain SGD as in the lesson; or Nesterov momentum, weight decay and a one-cycle schedule."""
    if not settings.one_cycle:
        return torch.optim.SGD(net.parameters(), settings.lr), None
    optimizer = torch.optim.SGD(
        net.parameters(), settings.lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, num_steps)


# ---------------------------------------------------------------------------- what is measured


def logits_of(net: nn.Module, images: lenet.ImageDataset) -> Tensor:
    """The logits (N, 10) for all of `images`."""
    with lenet.eval_mode(net):
        return torch.cat([net(X) for X, _ in lenet.batches(images, 1000, shuffle=False)])


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of the largest logits that stand at the label."""
    return round((logits.argmax(dim=1) == labels).float().mean().item(), 4)


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """Mean distance of confidence and accuracy over ten bins of equal width (ECE)."""
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    excess, bins = confidence - (predicted == labels).float(), (confidence * 10).long()
    gaps = [excess[bins == b].sum().abs().item() for b in range(11)]
    return round(sum(gaps) / len(labels), 4)


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature with the smallest cross-entropy."""
    loss, choices = nn.CrossEntropyLoss(), [round(1.02**i, 3) for i in range(-50, 150)]
    return min(choices, key=lambda temperature: loss(logits / temperature, labels.long()).item())


def shift_curve(net: nn.Module, images: lenet.ImageDataset) -> list[float]:
    """The accuracy with all images moved to the right, for each of SHIFTS."""
    iterator = list(lenet.batches(images, 1000, shuffle=False))
    moved = ([(shift(X, 0, right), y) for X, y in iterator] for right in SHIFTS)
    return [round(lenet.evaluate_accuracy_gpu(net, batches), 4) for batches in moved]


def measure(settings: Settings) -> tuple[dict, nn.Module]:
    """Train once: the record for results/baselines.json, and the network."""
    parts = load_parts(settings)
    net, run = train(settings, parts)
    parts["train"] = subset(parts["train"], torch.arange(len(parts["train"]))[:10000])
    logits = {name: logits_of(net, images) for name, images in parts.items()}
    labels = {name: images.labels for name, images in parts.items()}
    record = asdict(settings) | {
        "parameters": sum(p.numel() for p in net.parameters()),
        "loss": round(run.loss, 4),
        **{f"{name}_acc": accuracy(logits[name], labels[name]) for name in parts},
        "stopped": run.stopped,
        "seconds": round(run.seconds, 1),
    }
    if settings.test:
        temperature = best_temperature(logits["val"], labels["val"])
        record |= {
            "confidence": round(logits["test"].softmax(dim=1).amax(dim=1).mean().item(), 4),
            "ece": calibration_error(logits["test"], labels["test"]),
            "temperature": temperature,
            "ece_at_temperature": calibration_error(logits["test"] / temperature, labels["test"]),
        }
    if settings.test and settings.dataset == DIGITS and settings.share == 1 and settings.one_cycle:
        record["shift_curve"] = shift_curve(net, parts["test"])
    return record, net


# ---------------------------------------------------------------------------- the study


# Two networks that the chapter looks at closely: learned from all the images, and from few.
SHIPPED = {1.0: "lenet_clothes.pt", 0.01: "lenet_clothes_500.pt"}


def ship(settings: Settings, net: nn.Module) -> None:
    """Keep the weights of `net` for the chapter, if it is one of SHIPPED."""
    wanted = Settings("LeNet", CLOTHES, SEEDS[0], settings.lr, settings.pool, share=settings.share)
    if settings == wanted and settings.share in SHIPPED:
        name = SHIPPED[settings.share]
        saved.save_weights(net, lenet.COURSE / "notebooks" / "weights" / name)


class Study:
    """The records, kept in a file."""

    def __init__(self) -> None:
        self.records = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else []

    def run(self, *plan: Settings) -> None:
        """Train what has no record yet."""
        for settings in plan:
            if any(asdict(settings).items() <= record.items() for record in self.records):
                continue
            record, net = measure(settings)
            self.records.append(record)
            text = ",\n".join(map(json.dumps, self.records))
            with saved.atomic_write(OUTPUT) as file:
                file.write(f"[\n{text}\n]\n".encode())
            ship(settings, net)
            print(record, flush=True)

    def search(self, network: str) -> dict:
        """Try pooling and learning rates on clothes; the best of them, see `choose`."""
        for pool, lr in product(POOLS if network == "LeNet" else [""], RATES):
            for seed in TRIAL_SEEDS:
                self.run(Settings(network, CLOTHES, seed, lr, pool, test=False))
        return self.choose(network)

    def choose(self, network: str) -> dict:
        """Pooling and learning rate with the best mean validation accuracy over the trial seeds."""
        scores: dict[tuple, float] = {}
        for record in self.records:
            if record["network"] == network and not record["test"]:
                settings = record["pool"], record["lr"]
                scores[settings] = scores.get(settings, 0) + record["val_acc"]
        pool, lr = max(scores, key=scores.get)
        return {"pool": pool, "lr": lr}


def repeat(network: str, datasets: Iterable[str], **settings: Any) -> list[Settings]:
    """The same training for each data set, with each seed."""
    return [Settings(network, dataset, seed, **settings) for dataset in datasets for seed in SEEDS]


def main() -> None:
    study, both = Study(), (CLOTHES, DIGITS)
    plain, lesson = {"num_epochs": 10, "one_cycle": False}, {"network": "lesson", "lr": 0.9}
    for network in ("linear", "MLP"):
        study.run(*repeat(network, both, lr=0.1, **plain))
    best = {network: study.search(network) for network in ("linear", "MLP", "LeNet")}
    for network, chosen in best.items():
        study.run(*repeat(network, both, **chosen))
        study.run(*repeat(network, [CLOTHES], shuffled=True, **chosen))
        study.run(*repeat(network, [DIGITS], shifts=4, **chosen))
        study.run(*repeat(network, [DIGITS], shuffled=True, **chosen))
    study.run(*repeat(datasets=[CLOTHES], **lesson, **plain))
    for dataset in both:
        for share, (network, chosen) in product(SHARES, best.items()):
            study.run(*repeat(network, [dataset], share=share, **chosen))
        if dataset == CLOTHES:
            study.run(*repeat(datasets=[DIGITS], **lesson, **plain))
            for network in ("not shared", "not local", "neither"):
                study.run(*repeat(network, [CLOTHES], **best["LeNet"]))


if __name__ == "__main__":
    main()
