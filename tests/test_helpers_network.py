"""The network is the lesson's."""

import lenet_helpers as lenet

import math

import pytest
import torch
from torch import nn


def lesson_net():
    """The lesson's definition, written out once more."""

    class Reshape(nn.Module):
        def forward(self, x):
            return x.view(-1, 1, 28, 28)

    return nn.Sequential(
        Reshape(), nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5), nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120), nn.Sigmoid(),
        nn.Linear(120, 84), nn.Sigmoid(),
        nn.Linear(84, 10),
    )  # fmt: skip


def test_answers_as_the_lesson_s_network_with_the_same_weights(net):
    X = torch.rand(7, 1, 28, 28)
    lesson = lesson_net()
    lesson.load_state_dict(net.state_dict())
    assert torch.equal(net(X), lesson(X))
    assert str(net) == str(lesson)


def test_other_activation_and_pooling(net):
    other = lenet.make_lenet(activation=nn.ReLU, pool=nn.MaxPool2d)
    swapped = {nn.Sigmoid: nn.ReLU, nn.AvgPool2d: nn.MaxPool2d}
    assert [type(layer) for layer in other] == [
        swapped.get(type(layer), type(layer)) for layer in net
    ]
    assert all(
        (layer.kernel_size, layer.stride) == (2, 2)
        for layer in other
        if type(layer) is nn.MaxPool2d
    )


@pytest.mark.parametrize("shape", [(4, 784), (4, 28, 28), (4, 1, 28, 28), (2, 2, 784)])
def test_reshape_takes_784_values_an_image(shape):
    X = torch.rand(shape)
    assert torch.equal(lenet.Reshape()(X), X.view(4, 1, 28, 28))


def test_reshape_takes_a_batch_that_is_not_contiguous():
    turned = torch.rand(2, 3, 784).transpose(0, 1)  # three images for each of two users, turned
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        lesson_net()[0](turned)
    assert torch.equal(lenet.Reshape()(turned).view(3, 2, 784), turned)


def test_weights_are_xavier_uniform():
    torch.manual_seed(0)
    for layer in lenet.make_lenet():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        window = layer.weight[0, 0].numel() if layer.weight.dim() == 4 else 1
        limit = math.sqrt(6 / (window * (layer.weight.shape[0] + layer.weight.shape[1])))
        assert layer.weight.abs().max() <= limit
        # A uniform distribution up to the limit: standard deviation limit / √3.
        assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.1)


def test_initialisation_leaves_biases_alone(net):
    biases = {name: p.clone() for name, p in net.named_parameters() if "bias" in name}
    before = net[1].weight.clone()
    net.apply(lenet.init_weights)
    assert not torch.equal(before, net[1].weight)
    assert all(torch.equal(net.get_parameter(name), bias) for name, bias in biases.items())


def test_a_new_network_starts_over_and_a_seed_repeats_it(net):
    other = lenet.make_lenet()
    torch.manual_seed(0)
    again = lenet.make_lenet()
    for p, q, r in zip(net.parameters(), other.parameters(), again.parameters(), strict=True):
        assert not torch.equal(p, q)
        assert torch.equal(p, r)
