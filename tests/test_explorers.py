"""The explorers' functions against the network itself, their pictures, and their controls."""

import lenet_helpers as lenet

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

sys.path.insert(0, str(Path(lenet.__file__).parent / "notebooks"))  # where a chapter's kernel is

from explorers import convolution, pieces, shapes

few = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def images():
    return lenet.load_images("FashionMNIST", train=False)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = lenet.make_lenet()
    for layer in net:  # Xavier leaves the biases small: a forgotten bias has to show
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.uniform_(layer.bias, -1, 1)
    return net


def svg_of(explorer):
    return explorer.view.children[0].value


# ---------------------------------------------------------------------------- convolution


@few
@given(data=st.data())
def test_the_numbers_add_up_to_the_networks_own_output(data, net, images):
    layer = data.draw(st.sampled_from([1, 2]))
    channels, side, place = ((6, 28, 1), (16, 10, 4))[layer - 1]
    X, _ = images[[data.draw(st.integers(0, 9999))]]
    output = lenet.activations(net, X)[place][0]
    channel = data.draw(st.integers(0, channels - 1))
    row, column = data.draw(st.integers(0, side - 1)), data.draw(st.integers(0, side - 1))
    step = convolution.convolution_step(net, X, layer, channel, row, column)
    assert step.value == pytest.approx(output[channel, row, column].item(), abs=1e-5)
    assert step.sum + step.bias == step.value
    assert torch.equal(step.products, step.patch * step.kernel)
    assert torch.equal(step.feature_map, output[channel])


@pytest.mark.parametrize(("padding", "stride"), [(0, 2), (1, 3), ((2, 0), (1, 2))])
def test_a_convolution_with_another_padding_and_stride(padding, stride, images):
    torch.manual_seed(1)
    net = nn.Sequential(
        lenet.Reshape(), nn.Conv2d(1, 3, (3, 5), stride, padding),
        nn.Flatten(), nn.LazyLinear(10),
    )  # fmt: skip
    X, _ = images[[7]]
    output = net[:2](X)[0]
    for row in range(output.shape[1]):
        for column in range(output.shape[2]):
            step = convolution.convolution_step(net, X, 1, 2, row, column)
            assert step.value == pytest.approx(output[2, row, column].item(), abs=1e-5)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((3, 0, 0, 0), "layer must be 1 to 2, it is 3"),
        ((1, 6, 0, 0), "channel must be 0 to 5, it is 6"),
        ((1, 0, 28, 0), "row must be 0 to 27, it is 28"),
        ((2, 0, 0, -1), "column must be 0 to 9, it is -1"),
    ],
)
def test_a_place_that_does_not_exist_is_refused(net, images, place, message):
    with pytest.raises(ValueError, match=message):
        convolution.convolution_step(net, images[[0]][0], *place)


def test_the_convolution_explorer_follows_its_controls(net, images):
    explorer = convolution.ConvolutionExplorer(net, images)
    before = svg_of(explorer)
    for control in (explorer.image, explorer.channel, explorer.row, explorer.column):
        control.value += 1
        assert svg_of(explorer) != before
        before = svg_of(explorer)
    explorer.layer.value = 2
    assert (explorer.row.max, explorer.channel.max, explorer.input_channel.max) == (9, 15, 5)
    explorer.view._clicked(pieces.MARGIN + 960 - 1, 34 + 252)  # the map's last value
    assert (explorer.row.value, explorer.column.value) == (9, 9)
    explorer.next.click()  # from the last position on to the first
    assert (explorer.row.value, explorer.column.value) == (0, 0)
    explorer.play.value = 25
    assert (explorer.row.value, explorer.column.value) == (2, 5)
    explorer.view._pressed("ArrowDown", False, False, False)
    assert (explorer.row.value, explorer.column.value) == (3, 5)
    assert pieces.number(explorer.step.value, 3) in svg_of(explorer)


def test_the_explorer_shows_the_network_as_it_is_now(images):
    net = lenet.make_lenet()
    explorer = convolution.ConvolutionExplorer(net, images)
    with torch.no_grad():
        net[1].bias += 1
    before = explorer.step.bias
    with torch.no_grad():
        net[1].bias += 1
    assert explorer.step.bias == pytest.approx(before + 1)


def test_what_is_no_lenet_is_refused(images):
    nine = nn.Sequential(lenet.Reshape(), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(9))
    with pytest.raises(ValueError, match=r"\(1, 10\).*\(1, 9\)"):
        convolution.ConvolutionExplorer(nine, images)
    with pytest.raises(ValueError, match="Sequential"):
        convolution.ConvolutionExplorer(nn.Linear(784, 10), images)
    with pytest.raises(ValueError, match="ImageTensors"):
        convolution.ConvolutionExplorer(lenet.make_lenet(), images.images)
    with pytest.raises(ValueError, match=r"\(B, 1, 28, 28\)"):
        convolution.convolution_step(lenet.make_lenet(), torch.rand(1, 28, 28), 1, 0, 0, 0)


# ---------------------------------------------------------------------------- shapes


def any_sizes():
    limits = {name: st.integers(*limit) for name, limit in shapes.LIMITS.items()}
    limits |= {name: st.sampled_from(["average", "max"]) for name in ("pooling1", "pooling2")}
    # Small dense layers, and one time in two a first one that fits.
    limits |= {"dense_inputs": st.integers(1, 2000), "dense1": st.integers(10, 20)}
    sizes = st.builds(shapes.Sizes, **limits)
    return st.one_of(sizes, sizes.map(lambda s: replace(s, dense_inputs=shapes.delivered(s) or 1)))


@few
@given(any_sizes())
def test_a_problem_is_announced_exactly_when_pytorch_would_fail(sizes):
    net, X = shapes.make_network(sizes), torch.zeros(1, 1, 28, 28)
    place, problem = shapes.find_problem(sizes)
    for i, layer in enumerate(net):
        if i == place:
            with pytest.raises(RuntimeError):
                layer(X)
            assert problem
            return
        X = layer(X)
    assert (place, problem) == (None, "")


@few
@given(any_sizes())
def test_the_button_makes_any_sizes_fit(sizes):
    mended = shapes.make_fit(sizes)
    assert shapes.find_problem(mended) == (None, "")
    assert shapes.make_network(mended)(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
    if shapes.find_problem(sizes)[0] is None:
        assert mended == sizes


@few
@given(any_sizes())
def test_the_changes_that_it_advises_do_mend_it(sizes):
    for name, value in shapes.single_changes(sizes):
        assert shapes.find_problem(replace(sizes, **{name: value})) == (None, "")


def test_the_lessons_sizes_are_lenet():
    trace = shapes.trace_sizes(shapes.Sizes())
    lenet_trace = lenet.trace_shapes(lenet.make_lenet(), torch.zeros(1, 1, 28, 28))
    assert [layer for _, layer in trace] == [lenet_trace[i] for i in (1, 3, 4, 6)] + [
        lenet_trace[i]._replace(layer="UndrawnLinear") for i in (8, 10, 12)
    ]
    assert "61,706 parameters, 416,520 multiply-adds" in shapes.draw_sizes(shapes.Sizes()).svg()


def test_what_does_not_fit_is_explained():
    def explain(**changes):
        return shapes.find_problem(shapes.Sizes(**changes))[1].replace("\u00a0", " ")

    assert explain(kernel2=3) == (
        "The first dense layer expects 400 values, your convolutions now deliver 576 = 16 × 6 × 6: "
        "let it expect 576, or set conv 1 kernel to 6, or set conv 2 kernel to 4."
    )
    assert explain(kernel1=11, padding1=0, stride1=3, kernel2=11, padding2=2) == (
        "The map vanishes in conv 2: its kernel is 11 × 11, and the map that it gets is only "
        "3 × 3, 7 × 7 with its padding: make the kernel 7 or smaller, or the padding 4 or larger, "
        "or the maps before it larger."
    )
    assert explain(kernel1=11, padding1=0, stride1=3, kernel2=3, pool2=4) == (
        "The map vanishes in pooling 2: its window is 4 × 4, and the map that it gets is only "
        "1 × 1: make the window 1 or smaller, or the maps before it larger."
    )


def test_the_shape_explorer_follows_its_controls():
    explorer = shapes.ShapeExplorer()
    assert explorer.fit.disabled
    lenets = svg_of(explorer)
    for name, control in explorer.controls.items():
        control.value = "max" if name.startswith("pooling") else control.value + 1
        assert svg_of(explorer) != lenets, name
        if name != "dense2":
            explorer.set(shapes.Sizes())
            assert svg_of(explorer) == lenets
    explorer.controls["kernel1"].value = 11
    explorer.controls["pooling1"].value = "max"
    assert not explorer.fit.disabled
    explorer.fit.click()
    assert explorer.fit.disabled
    assert explorer.net()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert isinstance(explorer.net()[3], nn.MaxPool2d)
    explorer.reset.click()
    assert explorer.sizes == shapes.Sizes()
