"""Shape tracing against a table worked out by hand, against PyTorch's counter, and gradients."""

import lenet_helpers as lenet

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

# layer, output shape, parameters, multiply-adds, receptive field
LENET = [
    ("Reshape", (1, 28, 28), 0, 0, 1),
    ("Conv2d", (6, 28, 28), 6 * 25 + 6, 6 * 28 * 28 * 25, 5),
    ("Sigmoid", (6, 28, 28), 0, 0, 5),
    ("AvgPool2d", (6, 14, 14), 0, 0, 6),
    ("Conv2d", (16, 10, 10), 16 * 6 * 25 + 16, 16 * 10 * 10 * 6 * 25, 14),
    ("Sigmoid", (16, 10, 10), 0, 0, 14),
    ("AvgPool2d", (16, 5, 5), 0, 0, 16),
    ("Flatten", (400,), 0, 0, 16),
    ("Linear", (120,), 400 * 120 + 120, 400 * 120, 28),
    ("Sigmoid", (120,), 0, 0, 28),
    ("Linear", (84,), 120 * 84 + 84, 120 * 84, 28),
    ("Sigmoid", (84,), 0, 0, 28),
    ("Linear", (10,), 84 * 10 + 10, 84 * 10, 28),
]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_lenet(net, batch_size):
    assert lenet.trace_shapes(net, torch.rand(batch_size, 1, 28, 28)) == LENET


def test_multiply_adds_are_half_of_what_pytorch_counts(net):
    """PyTorch counts a multiplication and its addition as two operations."""
    X = torch.rand(1, 1, 28, 28)
    outputs = [X, *lenet.activations(net, X)]
    for layer, inputs, row in zip(net, outputs, lenet.trace_shapes(net, X), strict=False):
        with FlopCounterMode(display=False) as counter:
            layer(inputs)
        assert row.mult_adds == counter.get_total_flops() / 2
    assert sum(row.mult_adds for row in lenet.trace_shapes(net, X)) == 416_520


def positive(layer):
    """Weights with which no gradient can cancel out or vanish."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
        nn.init.zeros_(layer.bias)


NETWORKS = {
    "LeNet": lenet.make_lenet,
    "no padding": lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(3, 2), nn.Conv2d(2, 3, 4)),
    "strides": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2), nn.AvgPool2d(2), nn.Conv2d(2, 3, 2)
    ),
    "dilation": lambda: nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2), nn.Conv2d(2, 3, 3)),
    "dense": lambda: nn.Sequential(nn.Conv2d(1, 2, 5), nn.Flatten(), nn.Linear(1152, 3)),
    "another mean": lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.LPPool2d(2, 3)),
    "global": lambda: nn.Sequential(nn.Conv2d(1, 2, 5), nn.AdaptiveAvgPool2d(1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_receptive_field_is_where_the_gradient_is_not_zero(name):
    net = NETWORKS[name]().double().apply(positive)
    image = torch.rand(1, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    X = image
    for layer, row in zip(net, lenet.trace_shapes(net, image), strict=True):
        before, X = X, layer(X)
        values = X[0, 0] if X.dim() == 4 else X[0]
        # A value in the middle of the first map: at the edges, padding is part of what it sees.
        middle = values[tuple(size // 2 for size in values.shape)]
        if isinstance(layer, nn.Flatten):
            middle = X[0, X.shape[1] // before.shape[1] // 2]
        (gradient,) = torch.autograd.grad(middle, image, retain_graph=True)
        for direction in (0, 1):
            seen = gradient[0, 0].any(dim=direction).nonzero()
            assert seen.max() - seen.min() + 1 == row.receptive_field, row


def test_sequentials_within_are_traced_layer_by_layer():
    conv, norm, dense = nn.Conv2d(1, 2, 3), nn.LayerNorm([2, 26, 26]), nn.Linear(1352, 3)
    flat = [conv, norm, nn.AdaptiveMaxPool2d(26), nn.Flatten(), dense]
    trace = lenet.trace_shapes(nn.Sequential(*flat), torch.rand(1, 1, 28, 28))
    nested = nn.Sequential(nn.Sequential(conv, nn.Sequential(norm, flat[2])), *flat[3:])
    assert lenet.trace_shapes(nested, torch.rand(1, 1, 28, 28)) == trace
    assert [row.mult_adds for row in trace] == [1352 * 9, 0, 0, 0, 1352 * 3]
    assert [row.receptive_field for row in trace][2:] == [28] * 3


def test_activations_are_the_outputs_in_order(net):
    X = torch.rand(2, 1, 28, 28)
    outputs = lenet.activations(net, X)
    assert [tuple(output.shape[1:]) for output in outputs] == [row[1] for row in LENET]
    assert torch.equal(outputs[-1], net(X))
    assert not any(output.requires_grad for output in outputs)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([lenet.Reshape()], "Reshape expects 784 values per image and gets 1 x 32 x 33"),
        ([nn.Flatten(), nn.Linear(400, 3)], "Linear expects 400 values per image and gets 1056"),
        ([nn.Conv2d(3, 6, 5)], "Conv2d expects 3 channels and gets an image of 1 x 32 x 33"),
        ([nn.Conv2d(1, 6, 40)], "Conv2d cannot take an input of 1 x 32 x 33 per image"),
        ([nn.AvgPool2d(40)], "AvgPool2d cannot take an input of 1 x 32 x 33 per image"),
    ],
)
def test_says_which_layer_does_not_fit(layers, message):
    with pytest.raises(ValueError) as caught:
        lenet.trace_shapes(nn.Sequential(*layers), torch.rand(1, 1, 32, 33))
    assert str(caught.value) == message
    assert isinstance(caught.value.__cause__, RuntimeError)  # PyTorch's own words are not lost
