"""LeNet-5 against the paper's own numbers and formulas, worked out another way."""

import lenet_helpers as lenet
from lenet_course import lenet5
from lenet_course.explorers import distortion
from lenet_course.explorers import lenet5 as explorer_of

import math

import pytest
import study_lenet5 as study
import torch
import torch.nn.functional as F


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return lenet5.make_lenet5().eval()


@pytest.fixture(scope="module")
def images():
    return lenet.load_images("MNIST", train=False)


def test_every_layer_has_the_papers_number_of_parameters(net):
    counts = [sum(p.numel() for p in layer.parameters()) for layer in net]
    assert [n for n in counts if n] == [156, 12, 1516, 32, 48120, 10164]
    assert sum(counts) == 60000


def test_the_table_is_the_papers():
    """Six maps see three neighbours in a ring, nine see four, one sees all; none twice."""
    assert [len(seen) for seen in lenet5.TABLE] == [3] * 6 + [4] * 9 + [6]
    assert len(set(map(frozenset, lenet5.TABLE))) == 16
    for c in range(6):  # every map of S2 is seen by as many
        assert sum(c in seen for seen in lenet5.TABLE) == 10
    ring = [{(start + i) % 6 for i in range(3)} for start in range(6)]
    assert all(set(seen) in ring for seen in lenet5.TABLE[:6])


def test_the_frame_is_white_around_a_digit_and_its_mean_is_about_0(net, images):
    X, _ = images[list(range(1000))]
    framed = net[0](X)
    assert framed.shape == (1000, 1, 32, 32)
    assert framed[:, :, :2].unique().tolist() == pytest.approx([-0.1])
    assert framed.aminmax() == pytest.approx((-0.1, 1.175))
    assert abs(framed.mean()) < 0.05


def test_a_map_of_c3_sees_only_its_maps(net):
    layer = net[5]
    X = torch.randn(2, 6, 14, 14)
    pairs = layer.pairs.T.tolist()
    for c_out, seen in enumerate(lenet5.TABLE):
        kernels = torch.stack([layer.weight[pairs.index([c_out, c])] for c in seen])
        by_hand = F.conv2d(X[:, list(seen)], kernels[None], layer.bias[c_out : c_out + 1])
        assert torch.allclose(layer(X)[:, c_out : c_out + 1], by_hand, atol=1e-5)


def test_subsampling_is_four_values_a_coefficient_and_a_bias(net):
    X, layer = torch.randn(1, 6, 28, 28), net[3]
    square = X[0, 2, 4:6, 10:12].sum()
    expected = square * layer.coefficient[2, 0, 0] + layer.bias[2, 0, 0]
    assert layer(X)[0, 2, 2, 5].item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_squashing_function_passes_through_1_and_bends_most_there():
    a = torch.linspace(0, 4, 4001, dtype=torch.float64, requires_grad=True)
    values = lenet5.Squash()(a)
    (slope,) = torch.autograd.grad(values.sum(), a, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), a)
    assert values[1000].item() == pytest.approx(1, abs=1e-4)
    assert a[bend.abs().argmax()].item() == pytest.approx(1, abs=0.02)


def test_the_criterion_is_the_papers_map(net):
    """Distance of the right target plus the logarithm of exp(-j) and all ten (its equation 9)."""
    rbf, code = lenet5.RBF(), torch.randn(5, 84)
    y, distances = torch.tensor([0, 1, 2, 3, 9]), torch.cdist(code, rbf.targets) ** 2
    assert torch.allclose(rbf.eval()(code), -distances, atol=1e-3)
    # Targets close to the code, or all of the sum is lost in float32.
    rbf.targets *= 0.01
    distances = torch.cdist(code, rbf.targets) ** 2
    partition = math.exp(-rbf.j) + torch.exp(-distances).sum(dim=1)
    expected = (distances[range(5), y] + partition.log()).mean()
    found = F.cross_entropy(rbf.train()(code), y)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_weights_are_drawn_by_the_fan_in(net):
    for layer, fan_in in ((net[1], 25), (net[3], 4), (net[9], 400), (net[12], 120)):
        values = torch.cat([p.flatten() for p in layer.parameters()]).abs()
        assert 0.5 < values.max() * fan_in / 2.4 <= 1
    for (c_out, _), kernel in zip(net[5].pairs.T.tolist(), net[5].weight, strict=True):
        bound = 2.4 / (25 * len(lenet5.TABLE[c_out]))
        assert 0.5 * bound < kernel.abs().max() <= bound


def test_todays_weights_begin_with_a_mean_and_no_biases():
    net = lenet5.make_lenet5(init=lenet5.init_as_today)
    X = torch.randn(1, 6, 28, 28)
    assert torch.allclose(net[3](X), F.avg_pool2d(X, 2), atol=1e-6)
    assert all(net[place].bias.eq(0).all() for place in (1, 3, 5, 7, 9, 12))


def test_the_targets_are_ten_pictures_of_two_values():
    targets = lenet5.targets()
    assert targets.shape == (10, 84) and targets.unique().tolist() == [-1, 1]
    apart = torch.cdist(targets, targets, p=0) + 84 * torch.eye(10)
    assert apart.min() >= 8  # no two digits differ in fewer pixels


@pytest.mark.parametrize("part", study.PARTS)
def test_every_exchanged_part_learns(part, images):
    """One step lowers the loss of its batch, and every parameter has a gradient."""
    torch.manual_seed(0)
    net, (X, y) = lenet5.make_lenet5(**study.PARTS[part]), images[list(range(64))]
    optimizer = torch.optim.SGD(net.parameters(), 1e-4)
    before = F.cross_entropy(net(X), y)
    before.backward()
    optimizer.step()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert F.cross_entropy(net(X), y) < before
    assert net.eval()(X).shape == (64, 10)


def test_distorted_digits_are_still_digits(images):
    torch.manual_seed(0)
    X, _ = images[list(range(200))]
    distorted = study.distort(X)
    assert distorted.shape == X.shape and 0 <= distorted.min() <= distorted.max() <= 1.001
    assert not torch.allclose(distorted, X)
    assert distorted.mean().item() == pytest.approx(X.mean().item(), rel=0.1)


def test_squeezing_and_shearing_keep_a_digits_area():
    torch.manual_seed(0)
    X = torch.zeros(500, 1, 28, 28)
    X[..., 8:20, 8:20] = 1  # 144 pixels
    areas = study.distort(X).sum(dim=(1, 2, 3))
    assert areas.min() > 144 / 1.1**2 - 1 and areas.max() < 144 / 0.9**2 + 1
    assert areas.max() - areas.min() > 40  # scaling does not


# ---------------------------------------------------------------------------- the explorer


def test_the_code_and_its_distances_are_the_networks_own(net, images):
    X, _ = images[[3]]
    code = explorer_of.code_of(net, X)
    by_hand = (code.values - lenet5.targets()).square().sum(dim=1)
    assert torch.allclose(code.distances, by_hand, rtol=1e-5)
    assert code.nearest == by_hand.argsort()[:2].tolist()
    with pytest.raises(ValueError, match="RBF units, it ends in Linear"):
        explorer_of.code_of(lenet.make_lenet(), X)


def test_squeezing_makes_a_digit_wider_and_lower():
    X = torch.zeros(1, 1, 28, 28)
    X[..., 8:20, 8:20] = 1  # a square in the middle
    wide = explorer_of.squeeze(X, 1.5)[0, 0] > 0.5
    rows, columns = wide.any(dim=1).sum().item(), wide.any(dim=0).sum().item()
    assert (rows, columns) == (8, 18)
    assert explorer_of.squeeze(X, 1.0) is X


def test_the_explorer_follows_its_controls(net, images):
    torch.manual_seed(1)
    explorer = explorer_of.Lenet5Explorer(net, lenet.make_lenet(), images)
    svg = [explorer.view.svg]
    controls = (explorer.image, explorer.right, explorer.down, explorer.rotation, explorer.noise)
    for control in controls:
        control.value += 1
        svg.append(explorer.view.svg)
    explorer.width.value = 1.5
    svg.append(explorer.view.svg)
    assert len(set(svg)) == 7
    explorer.undo()
    X, y = images[[1]]
    assert torch.equal(explorer.distorted, X)
    code = explorer_of.code_of(net, X)
    assert f"LeNet-5: {int(code.distances.argmin())}" in explorer.view.svg
    assert f"image 1, a {y.item()}" in explorer.describe()
    explorer.right.value, explorer.rotation.value = 2, 45
    assert torch.equal(explorer.distorted, distortion.distort(X, 2, 0, 45))
