"""Shape tracing against a table worked out by hand, against PyTorch's counter, and gradients."""

import lenet_helpers as lenet

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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


WINDOWS = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 2))


@st.composite
def some_layers(draw):
    """One to four convolutions and poolings, rows and columns treated each in its own way."""
    layers, sides = [], [28, 28]
    for _ in range(draw(st.integers(1, 4))):
        (k, s, d), (K, S, D) = draw(WINDOWS), draw(WINDOWS)
        new = draw(
            st.sampled_from(
                [
                    nn.Conv2d(1, 1, (k, K), (s, S), dilation=(d, D)),
                    nn.AvgPool2d((k, K), (s, S)),
                    nn.AdaptiveAvgPool2d((max(sides[0] // k, 1), max(sides[1] // K, 1))),
                ]
            )
        )
        try:
            sides = nn.Sequential(*layers, new)(torch.zeros(1, 1, 28, 28)).shape[2:]
        except RuntimeError:
            break
        layers.append(new)
    return layers


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(some_layers())
def test_receptive_field_of_any_windows_is_the_extent_of_the_gradient(layers):
    net = nn.Sequential(*layers).double()
    image = torch.rand(1, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    for end, row in enumerate(lenet.trace_shapes(net, image) if layers else [], start=1):
        (gradient,) = torch.autograd.grad(net[:end](image)[0, 0, 0, 0], image)
        places = gradient[0, 0].nonzero()
        extent = (places.max(dim=0).values + 1).max().item()  # the first value begins at 0
        assert row.receptive_field in (extent, None), net[:end]
        if not any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in net[:end]):
            assert row.receptive_field == extent


def fields(*layers):
    return [row.receptive_field for row in lenet.trace_shapes(nn.Sequential(*layers), IMAGE)]


IMAGE = torch.rand(1, 1, 28, 28)


@pytest.mark.parametrize(("size", "field"), [(13, 4), (26, 3), (1, 28), (5, None)])
@pytest.mark.parametrize("kind", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
def test_adaptive_pooling_sees_its_windows_if_they_are_alike(kind, size, field):
    assert fields(nn.Conv2d(1, 2, 3), kind(size)) == [3, field]


def test_rows_and_columns_are_kept_apart():
    assert fields(nn.Conv2d(1, 1, (1, 7)), nn.Conv2d(1, 1, (7, 1))) == [7, 7]
    assert fields(nn.Conv2d(1, 1, (3, 5), (3, 1)), nn.Conv2d(1, 1, (5, 1))) == [5, 15]
    assert fields(nn.Conv2d(1, 1, 3), nn.MaxPool2d((2, 1)), nn.Conv2d(1, 1, (2, 1))) == [3, 4, 6]


class Skip(nn.Sequential):
    def forward(self, X):
        return X + super().forward(X)


class Own(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, X):
        return self.layer(X)


UNKNOWN = {  # a layer, and whether it has weights that are not counted
    "transposed": (lambda: nn.ConvTranspose2d(2, 2, 3), True),
    "larger": (lambda: nn.Upsample(scale_factor=2), False),
    "shuffled": (lambda: nn.Sequential(nn.Conv2d(2, 8, 1), nn.PixelShuffle(2)), False),
    "residual": (lambda: Skip(nn.Conv2d(2, 2, 3, padding=1)), True),
    "own weights": (lambda: Own(nn.Conv2d(2, 2, 3)), True),
    "own pooling": (lambda: Own(nn.AvgPool2d(3, 1, 1)), False),
    "random windows": (lambda: nn.FractionalMaxPool2d(2, output_ratio=0.7), False),
    "circular": (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), False),
    "the whole map's mean": (lambda: nn.InstanceNorm2d(2), False),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_the_tracer_does_not_know_it_does_not_say(name):
    make, has_weights = UNKNOWN[name]
    layers = [nn.Conv2d(1, 2, 5), make(), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.LazyLinear(10)]
    first, *_, odd, conv, _, dense = lenet.trace_shapes(nn.Sequential(*layers), IMAGE)
    assert first.receptive_field == 5 and odd.receptive_field is conv.receptive_field is None
    assert (odd.mult_adds is None) == has_weights and conv.mult_adds > 0
    assert dense.receptive_field is None and dense.parameters == 10 * (dense.mult_adds // 10 + 1)


def test_what_leaves_values_in_their_places_sees_no_more():
    conv, rest = nn.Conv2d(1, 2, 5), [nn.BatchNorm2d(2), nn.PReLU(), nn.Dropout(), nn.Identity()]
    assert fields(conv, *rest, nn.Flatten(), nn.Unflatten(1, (2, 24, 24))) == [5] * 7
    assert fields(conv, nn.ZeroPad2d(2), nn.Conv2d(2, 1, 3)) == [5, 5, 7]
    flat = lenet.trace_shapes(lenet.make_lenet(), IMAGE.flatten(1))
    assert [row.receptive_field for row in flat] == [row[-1] for row in LENET]


def test_a_sequential_with_a_forward_of_its_own_stays_one_layer(net):
    inner = nn.Conv2d(1, 1, 3, padding=1)
    block, flat = nn.Sequential(Skip(inner)), nn.Sequential(inner)
    assert [row.layer for row in lenet.trace_shapes(block, IMAGE)] == ["Skip"]
    assert [row.layer for row in lenet.trace_shapes(nn.Sequential(flat), IMAGE)] == ["Conv2d"]
    with pytest.raises(ValueError, match=r"a plain nn\.Sequential: Skip has a forward of its own"):
        lenet.trace_shapes(Skip(*net), IMAGE)


def test_tracing_leaves_the_network_as_it_was(same):
    """In evaluation mode: in training a single image has no statistics, and would change them."""
    dense = [nn.Flatten(), nn.LazyLinear(9), nn.BatchNorm1d(9), nn.Dropout()]
    net = nn.Sequential(nn.Conv2d(1, 2, 5), nn.BatchNorm2d(2), *dense)
    lenet.trace_shapes(net, IMAGE)
    before = copy.deepcopy(net.state_dict())
    net[1].eval()
    trace = lenet.trace_shapes(net, IMAGE)
    assert [row.parameters for row in trace][-2:] == [18, 0]
    assert same(net.state_dict(), before) and net[1].num_batches_tracked == 0
    assert net.training and net[-1].training and not net[1].training


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (torch.rand(0, 1, 28, 28), r"at least one image, its shape is \(0, 1, 28, 28\)"),
        (torch.tensor(1.0), r"at least one image, its shape is \(\)"),
        (IMAGE.numpy(), "X must be a tensor, it is of type ndarray"),
        ([[1.0]], "X must be a tensor, it is of type list"),
        (None, "X must be a tensor, it is of type NoneType"),
    ],
)
def test_what_is_no_batch_is_not_traced(net, X, message):
    with pytest.raises(ValueError, match=message):
        lenet.trace_shapes(net, X)


def test_sequentials_within_are_traced_layer_by_layer():
    conv, norm, dense = nn.Conv2d(1, 2, 3), nn.LayerNorm([2, 26, 26]), nn.Linear(1352, 3)
    flat = [conv, norm, nn.AdaptiveMaxPool2d(26), nn.Flatten(), dense]
    trace = lenet.trace_shapes(nn.Sequential(*flat), torch.rand(1, 1, 28, 28))
    nested = nn.Sequential(nn.Sequential(conv, nn.Sequential(norm, flat[2])), *flat[3:])
    assert lenet.trace_shapes(nested, torch.rand(1, 1, 28, 28)) == trace
    assert [row.mult_adds for row in trace] == [1352 * 9, None, 0, 0, 1352 * 3]
    assert [row.receptive_field for row in trace] == [3] + [None] * 4


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
        ([nn.Conv2d(1, 6, 5).double()], "Conv2d expects torch.float64 and gets torch.float32"),
        (
            [nn.Linear(33, 6, device="meta")],
            "Linear is on the device meta, and what it gets is on cpu",
        ),
        (
            [Own(nn.Linear(5, 5))],
            "Own cannot take an input of 1 x 32 x 33 per image: RuntimeError mat1 and mat2 shapes "
            "cannot be multiplied (32x33 and 5x5)",
        ),
        (
            [Own("no layer")],
            "Own cannot take an input of 1 x 32 x 33 per image: TypeError 'str' object is not "
            "callable",
        ),
    ],
)
def test_says_which_layer_does_not_fit(layers, message):
    with pytest.raises(ValueError) as caught:
        lenet.trace_shapes(nn.Sequential(*layers), torch.rand(1, 1, 32, 33))
    assert str(caught.value) == message
    assert isinstance(caught.value.__cause__, RuntimeError | TypeError)  # its words are not lost


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.LSTM(28, 5), "LSTM must return a batch, a tensor, it returns: tuple"),
        (nn.MaxPool2d(2, return_indices=True), "MaxPool2d must return a batch, .* returns: tuple"),
        (Own(torch.sum), r"Own must return a batch, a tensor, it returns: \(\)"),
    ],
)
def test_says_which_layer_returns_no_batch(layer, message):
    with pytest.raises(ValueError, match=message):
        lenet.trace_shapes(nn.Sequential(nn.Flatten(1, 2), layer, nn.Flatten()), IMAGE)
