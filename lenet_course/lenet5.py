"""LeNet-5 as the paper of 1998 has it, part by part; chapter 7 explains and trains it.

LeCun, Bottou, Bengio, Haffner: "Gradient-Based Learning Applied to Document Recognition", section
II. Images come as everywhere in the course: `X` (B, 1, 28, 28), float32 in 0..1.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Which of S2's six maps each of C3's sixteen maps sees (table I of the paper).
THREES = [(0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)]
FOURS = [(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)]
FOURS += [(0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)]
TABLE = [*THREES, *FOURS, (0, 1, 2, 3, 4, 5)]

# What F6 should say for each digit: a picture of 12 rows and 7 columns. The paper's own are not
# copied; these are drawn for the course.
PICTURES = """
..###.. ...#... ..###.. .#####. .....#. ####### ..####. ####### ..###.. ..###..
.#...#. ..##... .#...#. #.....# ....##. #...... .#..... ......# .#...#. .#...#.
#.....# .#.#... #.....# ......# ...#.#. #...... #...... ......# #.....# #.....#
#.....# ...#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# .....#. .#...#. ######. #.###.. .....#. .#...#. #.....#
#.....# ...#... .....#. ..###.. #....#. ......# ##...#. ....#.. ..###.. .#...##
#.....# ...#... ....#.. .....#. #....#. ......# #.....# ....#.. .#...#. ..###.#
#.....# ...#... ...#... ......# ####### ......# #.....# ...#... #.....# ......#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ..#.... #.....# .....#.
.#...#. ...#... #...... #.....# .....#. #.....# .#...#. ..#.... .#...#. ....#..
..###.. .#####. ####### .#####. .....#. .#####. ..###.. ..#.... ..###.. .###...
"""


def targets(pictures: str = PICTURES) -> Tensor:
    """The pictures as codes (10, 84) of -1 and +1, row by row."""
    rows = [line.split() for line in pictures.split("\n") if line]
    codes = ["".join(parts) for parts in zip(*rows, strict=True)]
    return torch.tensor([[1.0 if mark == "#" else -1.0 for mark in code] for code in codes])


class Frame(nn.Module):
    """(B, 1, 28, 28) in 0..1 to (B, 1, 32, 32) with a background of -0.1 and ink of 1.175."""

    def forward(self, X: Tensor) -> Tensor:
        return nn.functional.pad(1.275 * X - 0.1, (2, 2, 2, 2), value=-0.1)


class Squash(nn.Module):
    """The scaled tanh: f(1) = 1 and f(-1) = -1, and the bend lies further out."""

    def forward(self, a: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * a)


class Subsampling(nn.Module):
    """The sum of each 2 x 2 square, times a coefficient, plus a bias: two numbers per map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels, 1, 1))

    def forward(self, X: Tensor) -> Tensor:
        return 4 * nn.functional.avg_pool2d(X, 2) * self.coefficient + self.bias


class TableConv(nn.Module):
    """A 5 x 5 convolution in which output map i sees only the input maps `table[i]`."""

    def __init__(self, table: list[tuple[int, ...]], c_in: int = 6) -> None:
        super().__init__()
        pairs = [(c_out, c) for c_out, seen in enumerate(table) for c in seen]
        self.register_buffer("pairs", torch.tensor(pairs).T, persistent=False)
        self.weight = nn.Parameter(torch.empty(len(pairs), 5, 5))  # a kernel per connection
        self.bias = nn.Parameter(torch.empty(len(table)))
        self.shape = len(table), c_in, 5, 5

    def forward(self, X: Tensor) -> Tensor:
        kernels = self.weight.new_zeros(self.shape).index_put(tuple(self.pairs), self.weight)
        return nn.functional.conv2d(X, kernels, self.bias)


class RBF(nn.Module):
    """Minus the squared distance of F6's code (B, 84) from each of ten targets: logits (B, 10).

    While it trains there is an eleventh logit, the constant -`j`, for "none of these": the
    cross-entropy of all eleven is the paper's MAP criterion, in which a target's distance is
    lowered and the others' are raised, as long as they are not far beyond j.
    """

    def __init__(self, j: float = 10.0) -> None:
        super().__init__()
        self.j = j
        self.register_buffer("targets", targets(), persistent=False)

    def forward(self, code: Tensor) -> Tensor:
        distances = (code[:, None] - self.targets).square().sum(dim=2)
        if self.training:
            none_of_these = distances.new_full((len(code), 1), self.j)
            distances = torch.cat([distances, none_of_these], dim=1)
        return -distances


def init_as_then(layer: nn.Module) -> None:
    """Weights and biases uniform in +-2.4 / fan-in, the number of a unit's inputs."""
    if isinstance(layer, TableConv):
        bounds = 2.4 / (25 * torch.bincount(layer.pairs[0]))  # by the maps that each one sees
        bounds = bounds[layer.pairs[0], None, None], bounds
    elif isinstance(layer, Subsampling):
        bounds = 2.4 / 4, 2.4 / 4
    elif isinstance(layer, nn.Conv2d | nn.Linear):
        bounds = (2.4 / layer.weight[0].numel(),) * 2
    else:
        return
    for parameter, bound in zip(layer.parameters(), bounds, strict=True):
        parameter.data = (2 * torch.rand_like(parameter) - 1) * bound


def init_as_today(layer: nn.Module) -> None:
    """Xavier initialisation, biases 0; a subsampling begins as a mean."""
    if isinstance(layer, Subsampling):
        nn.init.constant_(layer.coefficient, 1 / 4)
    elif isinstance(layer, TableConv):
        bound = (6 / (25 * (layer.shape[0] + layer.shape[1]))) ** 0.5
        nn.init.uniform_(layer.weight, -bound, bound)
    elif isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
    else:
        return
    nn.init.zeros_(layer.bias)


def make_lenet5(
    activation: type = Squash,
    pooling: type = Subsampling,
    table: list[tuple[int, ...]] = TABLE,
    rbf: bool = True,
    init: Callable[[nn.Module], None] = init_as_then,
) -> nn.Sequential:
    """A new LeNet-5: (B, 1, 28, 28) to logits (B, 10). Each argument exchanges one part.

    `pooling` is Subsampling, or a pooling of today, which has no activation behind it.
    """

    def pool(channels: int) -> list[nn.Module]:
        return [Subsampling(channels), activation()] if pooling is Subsampling else [pooling(2)]

    net = nn.Sequential(
        Frame(),
        nn.Conv2d(1, 6, 5), activation(), *pool(6),  # C1, S2
        TableConv(table), activation(), *pool(16),  # C3, S4
        nn.Conv2d(16, 120, 5), activation(),  # C5: a 5 x 5 window on 5 x 5 maps
        nn.Flatten(),
        nn.Linear(120, 84), activation(),  # F6
        RBF() if rbf else nn.Linear(84, 10),
    )  # fmt: skip
    return net.apply(init)
