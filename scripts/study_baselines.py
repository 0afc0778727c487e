"""Train and measure what chapter 6 compares, over three seeds: results/baselines.json.

Every training takes ten epochs of 196 batches, 256 images each. All networks learn from the same
50000 training images; the other 10000 are the validation set. A network that learns from a share
of the images sees them so much more often: steps are equal, not epochs over the images.

First come the trials, judged by the validation set alone. With them the hyperparameters are chosen,
and only then the rest is known. On one core all of it takes hours, on a GPU minutes.
"""

import lenet_helpers as lenet
from lenet_course import saved
from lenet_course.explorers.distortion import distort

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from itertools import product

import studies
import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUTPUT = lenet.COURSE / "results" / "baselines.json"
CLOTHES, DIGITS = "FashionMNIST", "MNIST"
NUM_EPOCHS, BATCH_SIZE, NUM_IMAGES = 10, 256, 50000
TRIAL_SEEDS, SEEDS = (0, 1, 2), (3, 4, 5)  # to choose by, and to report
RATES = (0.05, 0.1, 0.2, 0.5, 1.0)
SHARES = (0.01, 0.03, 0.1, 0.3)
PIXELS, DEGREES = range(-8, 9), range(-60, 61, 10)  # at which accuracy is measured
LEARNED = 0.2  # accuracy on its own images from which on a training has learned something
KEPT = {1.0: "lenet_clothes.pt", 0.01: "lenet_clothes_500.pt"}  # by the share of the images
LENETS = ("LeNet", "not shared", "not local", "neither")


@dataclass(frozen=True)
class Training:
    """What one training depends on."""

    network: str
    dataset: str
    seed: int
    lr: float
    pool: str = "max"  # of LENETS; the others have none, or the lesson's
    one_cycle: bool = True  # with Nesterov momentum and weight decay; otherwise plain SGD
    share: float = 1.0  # of the 50000 images
    shuffled: bool = False  # all pixels, by one permutation
    shifts: int = 0  # pixels by which a training image is moved at most
    trial: bool = False  # to choose hyperparameters by: the test images stay closed


# ---------------------------------------------------------------------------- the networks


class Windows(nn.Module):
    """A convolution that can do without locality, without weight sharing, or without both.

    Each of its size x size places sees the 25 places of the input that lie at `offsets` from it,
    beyond an edge those at the opposite edge. Without sharing each place has its own weights.
    """

    def __init__(
        self, c_in: int, c_out: int, offsets: list[tuple[int, int]], size: int, shared: bool
    ) -> None:
        super().__init__()
        self.offsets, self.size = offsets, size
        fan_in, fan_out = c_in * len(offsets), c_out * len(offsets)
        limit = (6 / (fan_in + fan_out)) ** 0.5  # Xavier's, as for nn.Conv2d
        side = 1 if shared else size
        self.weight = nn.Parameter(torch.empty(side, side, c_out, fan_in).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.zeros(side, side, c_out, 1))

    def forward(self, X: Tensor) -> Tensor:
        X = X.permute(2, 3, 1, 0)  # places first: one matrix product per place
        moved = [X.roll((-down, -right), (0, 1)) for down, right in self.offsets]
        seen = torch.cat([X[: self.size, : self.size] for X in moved], dim=2)
        return (self.weight @ seen + self.bias).permute(3, 2, 0, 1)


def window_offsets(local: bool, first: int, side: int) -> list[tuple[int, int]]:
    """A 5 x 5 window from `first` on, or 25 places drawn from a map of side x side."""
    if local:
        return list(product(range(first, first + 5), repeat=2))
    places = torch.randperm(side * side, generator=torch.Generator().manual_seed(side))[:25]
    return [divmod(place, side) for place in places.tolist()]


def make_network(name: str, pool: str) -> nn.Sequential:
    """A new network, with Xavier initialisation, by the name that the chapter gives it."""
    layers = {
        "linear": [nn.Flatten(), nn.Linear(784, 10)],
        "MLP": [nn.Flatten(), nn.Linear(784, 77), nn.ReLU(), nn.Linear(77, 10)],
    }
    if name in layers:
        return nn.Sequential(*layers[name]).apply(lenet.init_weights)
    if name == "lesson":
        return lenet.make_lenet()
    net = lenet.make_lenet(nn.ReLU, nn.MaxPool2d if pool == "max" else nn.AvgPool2d)
    if name != "LeNet":
        local, shared = name == "not shared", name == "not local"
        net[1] = Windows(1, 6, window_offsets(local, -2, 28), 28, shared)
        net[4] = Windows(6, 16, window_offsets(local, 0, 14), 10, shared)
    return net


# ---------------------------------------------------------------------------- the data


@cache
def load_images(dataset: str, part: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """X (uint8) and y of "train", "val" or "test", always the same, on `device`."""
    images = lenet.load_images(dataset, train=part != "test")
    X, y = images.images.unsqueeze(1), images.labels.long()
    if part != "test":
        order = torch.randperm(60000, generator=torch.Generator().manual_seed(0))
        index = order[:NUM_IMAGES] if part == "train" else order[NUM_IMAGES:]
        X, y = X[index], y[index]
    return X.to(device), y.to(device)


def prepare(X: Tensor, shuffled: bool) -> Tensor:
    """X as a network gets it: in 0..1, its pixels shuffled or not."""
    if shuffled:
        permutation = torch.randperm(784, generator=torch.Generator().manual_seed(0)).to(X.device)
        X = X.flatten(1)[:, permutation].reshape(X.shape)
    return X / 255


def shift(X: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each image of X (B, 1, 28, 28) moved by its own number of pixels; what comes in is black."""
    images, pixels = torch.arange(len(X), device=X.device), torch.arange(28, device=X.device)
    rows, columns = (28 - amount[:, None] + pixels for amount in (down, right))  # (B, 28)
    padded = F.pad(X[:, 0], (28, 28, 28, 28))
    return padded[images[:, None, None], rows[:, :, None], columns[:, None, :]].unsqueeze(1)


# ---------------------------------------------------------------------------- one training


def fit(
    run: Training, device: torch.device, num_epochs: int = NUM_EPOCHS
) -> tuple[nn.Sequential, Tensor]:
    """The network of `run`, trained, and the indices of the images that it has learned from."""
    torch.manual_seed(run.seed)
    net = make_network(run.network, run.pool).to(device)
    net = net.to(memory_format=lenet.fastest_layout(net))
    X, y = load_images(run.dataset, "train", device)
    draw = torch.Generator().manual_seed(run.seed)
    learn = torch.randperm(NUM_IMAGES, generator=draw)[: round(NUM_IMAGES * run.share)]
    optimizer, scheduler = make_optimizer(run, net, num_epochs)
    for _ in range(num_epochs):
        # Always the same number of steps: where there are fewer images, they come again.
        order = learn[torch.randperm(NUM_IMAGES, generator=draw) % len(learn)]
        for index in order.to(device).split(BATCH_SIZE):
            batch = prepare(X[index], run.shuffled)
            if run.shifts:
                amounts = torch.randint(
                    -run.shifts, run.shifts + 1, (2, len(index)), generator=draw
                )
                batch = shift(batch, *amounts.to(device))
            optimizer.zero_grad()
            F.cross_entropy(net(batch), y[index]).backward()
            optimizer.step()
            scheduler.step()
    return net, learn


def make_optimizer(run: Training, net: nn.Module, num_epochs: int) -> tuple:
    """Plain SGD as in chapter 3; or momentum, weight decay and one-cycle schedule of chapter 4."""
    num_steps = num_epochs * -(-NUM_IMAGES // BATCH_SIZE)
    if not run.one_cycle:
        optimizer = torch.optim.SGD(net.parameters(), run.lr)
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    optimizer = torch.optim.SGD(
        net.parameters(), run.lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, run.lr, num_steps)


def logits_of(net: nn.Module, X: Tensor) -> Tensor:
    """The logits (N, 10) for X (N, 1, 28, 28)."""
    with lenet.eval_mode(net):
        return torch.cat([net(part) for part in X.split(1000)])


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Share of the images whose largest logit stands at the label."""
    return round((logits.argmax(dim=1) == y).float().mean().item(), 4)


def distortion_curves(net: nn.Module, X: Tensor, y: Tensor) -> dict[str, list[float]]:
    """The accuracy with all images moved to the right, for PIXELS; and turned, for DEGREES."""
    shifted = [distort(X, right=pixels) for pixels in PIXELS]
    turned = [distort(X, rotation=degrees) for degrees in DEGREES]
    return {
        "shift_curve": [accuracy(logits_of(net, moved), y) for moved in shifted],
        "turn_curve": [accuracy(logits_of(net, moved), y) for moved in turned],
    }


def train(run: Training) -> dict:
    """Train once; the record for results/baselines.json.

    A training that has learned nothing, as its own images say, is begun again with half the rate;
    not so a trial, which is to show just that.
    """
    device, restarts = lenet.try_device(), 0
    X, y = load_images(run.dataset, "train", device)
    net, learn = fit(run, device)
    while measure(net, X[learn], y[learn], run) < LEARNED and restarts < 3 and not run.trial:
        restarts += 1
        net, learn = fit(replace(run, lr=run.lr / 2**restarts), device)
    record = asdict(run) | {"restarts": restarts}
    record["parameters"] = sum(p.numel() for p in net.parameters())
    record["train_acc"] = measure(net, X[learn], y[learn], run)
    record["val_acc"] = measure(net, *load_images(run.dataset, "val", device), run)
    return record if run.trial else record | report(run, net, device)


def measure(net: nn.Module, X: Tensor, y: Tensor, run: Training) -> float:
    """The accuracy on X (uint8) and y, as `run` sees them."""
    return accuracy(logits_of(net, prepare(X, run.shuffled)), y)


def report(run: Training, net: nn.Module, device: torch.device) -> dict:
    """What the test images say."""
    X, y = load_images(run.dataset, "test", device)
    X = prepare(X, run.shuffled)
    logits = logits_of(net, X)
    confidence = logits.softmax(dim=1).amax(dim=1).mean().item()
    measured = {"test_acc": accuracy(logits, y), "test_confidence": round(confidence, 4)}
    if run.dataset == DIGITS and run.one_cycle and run.share == 1 and not run.shuffled:
        measured |= distortion_curves(net, X, y)
    return measured


# ---------------------------------------------------------------------------- the study


def repeat(
    networks: Sequence[str], datasets: Sequence[str] = (CLOTHES, DIGITS),
    seeds: Sequence[int] = SEEDS, **settings,
) -> list[Training]:  # fmt: skip
    """The same training for each network and each data set, with each seed."""
    return [Training(*each, **settings) for each in product(networks, datasets, seeds)]


def trials() -> list[Training]:
    """To choose by: learning rates for each network, and pooling for LeNet; on clothes only."""
    found = []
    for lr in RATES:
        found += repeat(["linear", "MLP", *LENETS], [CLOTHES], TRIAL_SEEDS, lr=lr, trial=True)
        found += repeat(["LeNet"], [CLOTHES], TRIAL_SEEDS, lr=lr, pool="average", trial=True)
    return found


def choose(network: str, records: list[dict]) -> dict:
    """Pooling and learning rate with the best mean validation accuracy over the trial seeds."""
    scores = defaultdict(float)
    for record in records:
        if record["network"] == network and record["trial"]:
            scores[record["pool"], record["lr"]] += record["val_acc"]
    pool, lr = max(scores, key=scores.get)
    return {"pool": pool, "lr": lr}


def runs(records: Sequence[dict] = ()) -> list[Training]:
    """The trainings that are known: trials and the lesson's way; given their records, all."""
    plain = {"one_cycle": False}
    found = trials() + repeat(["linear", "MLP"], lr=0.1, **plain)
    found += repeat(["lesson"], lr=0.9, **plain)
    for share in SHARES:
        found += repeat(["lesson"], lr=0.9, share=share, **plain)
    done = {Training(**{f.name: record[f.name] for f in fields(Training)}) for record in records}
    if not done.issuperset(trials()):
        return found
    for network in ("linear", "MLP", *LENETS):
        chosen = choose(network, records)
        found += repeat([network], **chosen)
        if network in ("linear", "MLP", "LeNet"):
            found += repeat([network], shuffled=True, **chosen)
            found += repeat([network], [DIGITS], shifts=4, **chosen)
            for share in SHARES:
                found += repeat([network], share=share, **chosen)
    return found


def keep_networks() -> None:
    """The two networks that the chapter looks at closely, unless they are kept already."""
    for share, name in KEPT.items():
        path = lenet.COURSE / "notebooks" / "weights" / name
        if not path.exists():
            run = Training("LeNet", CLOTHES, SEEDS[0], lr=0.1, share=share)
            saved.save_weights(fit(run, lenet.try_device())[0], path)


def main() -> None:
    processes = studies.ask_processes()
    records = studies.read_records(OUTPUT)
    records = studies.complete(OUTPUT, runs(records), train, processes)
    studies.complete(OUTPUT, runs(records), train, processes)  # what the trials have decided
    keep_networks()


if __name__ == "__main__":
    main()
