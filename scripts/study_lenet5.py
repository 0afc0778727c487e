"""Train LeNet-5 as it was, and with one part at a time exchanged for today's: results/lenet5.json.

Twenty epochs on MNIST, three seeds each. Trained otherwise than in the paper: SGD with momentum and
a one-cycle schedule in place of its diagonal second-order method and its falling steps; batches of
128 in place of single images. The learning rate of each variant is chosen by 10000 held-out images
of the training set; the reported runs learn from all 60000. Made on a GPU (LENET_DEVICE=cuda,
--processes 16), where it takes minutes; on two cores it takes many hours.
"""

import lenet_helpers as lenet
from lenet_course import lenet5, saved

from dataclasses import asdict, dataclass, replace

import studies
import torch
from torch import Tensor, nn

OUTPUT = lenet.COURSE / "results" / "lenet5.json"
WEIGHTS = lenet.COURSE / "notebooks" / "weights" / "lenet5.pt"
BATCH_SIZE = 128
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
ALL_PAIRS = [tuple(range(6))] * 16  # every map of C3 sees every map of S2


@dataclass(frozen=True)
class Training:
    """What one training depends on."""

    part: str  # that is exchanged; "" for LeNet-5 as it was
    seed: int
    lr: float
    num_epochs: int = 20
    distorted: bool = False
    trial: bool = False  # learn from 50000, and measure on the other 10000 training images


PARTS = {
    "": {},
    "sigmoid for tanh": {"activation": nn.Sigmoid},
    "ReLU for tanh": {"activation": nn.ReLU},
    "average pooling": {"pooling": nn.AvgPool2d},
    "max pooling": {"pooling": nn.MaxPool2d},
    "all of S2's maps for each of C3's": {"table": ALL_PAIRS},
    "logits and cross-entropy": {"rbf": False},
    "Xavier initialisation": {"init": lenet5.init_as_today},
}


def distort(X: Tensor) -> Tensor:
    """Each image of `X` (B, 1, 28, 28) shifted, scaled, squeezed and sheared at random."""

    def between(low: float, high: float) -> Tensor:
        return torch.empty(len(X), device=X.device).uniform_(low, high)

    size, squeeze, shear = between(0.9, 1.1), between(0.9, 1.1), between(-0.2, 0.2)
    right, down = between(-1 / 14, 1 / 14), between(-1 / 14, 1 / 14)  # one pixel each way
    rows = [size * squeeze, shear, right, torch.zeros_like(size), size / squeeze, down]
    maps = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    grid = nn.functional.affine_grid(maps, list(X.shape), align_corners=False)
    return nn.functional.grid_sample(X, grid, align_corners=False)


def load(train: bool, device: torch.device) -> tuple[Tensor, Tensor]:
    """MNIST's images (N, 1, 28, 28) in 0..1 and its labels, both on the device."""
    images = lenet.load_images("MNIST", train)
    return images.images.to(device).unsqueeze(1) / 255, images.labels.to(device).long()


@torch.no_grad()
def errors(net: nn.Module, X: Tensor, y: Tensor) -> float:
    """Share of the images that are misread, 0..1."""
    predicted = torch.cat([net(part).argmax(dim=1) for part in X.split(1000)])
    return round((predicted != y).float().mean().item(), 4)


def train(training: Training) -> dict:
    """One training: its settings and its errors."""
    torch.manual_seed(training.seed)
    device, loss = torch.device(lenet.try_device()), nn.CrossEntropyLoss()
    X, y = load(True, device)
    X_test, y_test = (X[50000:], y[50000:]) if training.trial else load(False, device)
    X, y = (X[:50000], y[:50000]) if training.trial else (X, y)
    net = lenet5.make_lenet5(**PARTS[training.part]).to(device)
    optimizer = torch.optim.SGD(net.parameters(), training.lr, momentum=0.9)
    num_batches = len(X) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.lr, training.num_epochs * num_batches
    )
    forward = net
    if device.type == "cuda":  # a step is a hundred small kernels: started as one, it is quicker
        net.train()
        forward = torch.cuda.make_graphed_callables(net, (X[:BATCH_SIZE],))
    losses, test_errors = [], []
    for _ in range(training.num_epochs):
        net.train()
        sum_of_losses = torch.zeros((), device=device)
        for index in torch.randperm(len(X), device=device).split(BATCH_SIZE)[:num_batches]:
            batch = distort(X[index]) if training.distorted else X[index]
            optimizer.zero_grad()
            l = loss(forward(batch), y[index])
            l.backward()
            optimizer.step()
            schedule.step()
            sum_of_losses += l.detach()
        net.eval()
        losses.append(round(sum_of_losses.item() / num_batches, 4))
        test_errors.append(errors(net, X_test, y_test))
    ship(training, net)
    result = {"losses": losses, "errors": test_errors, "error": test_errors[-1]}
    return asdict(training) | result | {"train_error": errors(net, X, y), "device": str(device)}


def ship(training: Training, net: nn.Module) -> None:
    """Keep the weights of one network for the chapter: the first with distortions."""
    if training.distorted and training.seed == 0 and not training.trial:
        saved.save_weights(net, WEIGHTS)


def trials() -> list[Training]:
    """A short training for each part and each learning rate, to choose the latter."""
    return [Training(part, 0, lr, num_epochs=3, trial=True) for part in PARTS for lr in RATES]


def best_rate(records: list[dict], part: str) -> float:
    """The learning rate with the fewest errors on the held-out images."""
    tried = [record for record in records if record["trial"] and record["part"] == part]
    return min(tried, key=lambda record: record["error"])["lr"]


def main() -> None:
    processes = studies.ask_processes()
    records = studies.complete(OUTPUT, trials(), train, processes)
    plan = [Training(p, seed, best_rate(records, p)) for p in PARTS for seed in range(3)]
    plan += [replace(training, distorted=True) for training in plan if not training.part]
    studies.complete(OUTPUT, plan, train, processes)


if __name__ == "__main__":
    main()
