"""The explorers' functions against the network itself, their pictures, and their controls."""

import lenet_helpers as lenet
from lenet_course import checks, saved
from lenet_course.drawing import Picture
from lenet_course.explorers import card as pieces
from lenet_course.explorers import (
    confusion,
    convolution,
    descent,
    distortion,
    drawing,
    epochs,
    preprocessing,
    shapes,
    shuffle,
    softmax,
    trust,
)

import base64
import copy
import datetime
import io
import re
from dataclasses import replace
from itertools import product
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from torch import nn
from torch.nn.utils import prune

few = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
    return explorer.view.svg


def upload(explorer, content):
    """Choose a file with this content."""
    about = {"name": "seven.jpg", "type": "image/jpeg", "size": len(content)}
    about["last_modified"] = datetime.datetime.now(datetime.UTC)
    explorer.upload.value = ({"content": memoryview(content), **about},)


def click(explorer, key, across, down):
    """Click in a spot of the picture; 0, 0 is its upper left corner, 1, 1 the lower right one."""
    x, y, width, height, _ = next(s for s in explorer.view._picture._spots if s[-1] == key)
    explorer.view.press(x + across * width, y + down * height)


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


@pytest.mark.parametrize(
    ("kernel", "padding", "stride"),
    [
        ((3, 5), 0, 2), ((3, 5), 1, 3), ((3, 5), (2, 0), (1, 2)),
        ((3, 7), "same", 1), ((4, 2), "same", 1), (5, "valid", 1),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_a_convolution_with_another_padding_and_stride(kernel, padding, stride, images):
    torch.manual_seed(1)
    net = nn.Sequential(
        lenet.Reshape(), nn.Conv2d(1, 3, kernel, stride, padding),
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


def test_the_feature_map_is_marked_at_its_value_and_pale_behind_it(net, images):
    step = convolution.convolution_step(net, images[[0]][0], 1, 0, 14, 20)
    svg, left = convolution.draw_step(step, 1, 0, 14, 20).svg(), pieces.WIDTH - convolution.SIDE
    cell = convolution.SIDE / 28
    x, y = left + 20 * cell, convolution.TOP + 14 * cell
    assert re.search(rf'<rect x="{x:.1f}" y="{y:.1f}"[^>]*stroke-width="3"', svg)
    (png,) = re.findall(rf'<image x="{left:.1f}"[^>]*base64,([^"]+)"', svg)
    darkest = np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))).min(axis=2).flatten()
    now = 14 * 28 + 20
    assert darkest[: now + 1].min() < 100 and darkest[now + 1 :].min() > 190
    words = re.findall(">([^<>]+)</text>", svg)
    for name, value in [("25 products", step.sum), ("bias", step.bias), ("at 14, 20", step.value)]:
        assert words[words.index(name) + 1] == pieces.number(value, 3)


def test_the_convolution_explorer_follows_its_controls(net, images):
    explorer = convolution.ConvolutionExplorer(net, images)
    assert (explorer.row.value, explorer.column.value) == (8, 12)  # as in chapter 1
    before = svg_of(explorer)
    for control in (explorer.image, explorer.channel, explorer.row, explorer.column):
        control.value += 1
        assert svg_of(explorer) != before
        before = svg_of(explorer)
    explorer.layer.value = 2
    assert (explorer.row.max, explorer.channel.max, explorer.input_channel.max) == (9, 15, 5)
    corner = convolution.TOP + convolution.SIDE - 1
    explorer.view.press(pieces.WIDTH - 1, corner)  # the map's last value
    assert (explorer.row.value, explorer.column.value) == (9, 9)
    assert explorer.position.value == explorer.position.max == 99
    explorer.position.value = 25
    assert (explorer.row.value, explorer.column.value) == (2, 5)
    explorer.view.arrow(0, 1)
    assert (explorer.row.value, explorer.column.value) == (3, 5)
    assert pieces.number(explorer.step.value, 3) in svg_of(explorer)


def test_kernels_that_nobody_has_trained(net, images):
    explorer = convolution.ConvolutionExplorer(net, images)
    X, _ = images[[0]]
    edge, _ = convolution.EDGES
    explorer.kernel.value = edge
    assert explorer.step.bias == 0 == convolution.kernel_named(edge, (1, 5, 5)).sum()
    beside = X[0, 0, 8, 12] - X[0, 0, 8, 11]
    assert explorer.step.value == pytest.approx(beside.item(), abs=1e-6)
    explorer.kernel.value, explorer.layer.value = convolution.BLUR, 2
    window = lenet.activations(net, X)[3][0, :, 4:9, 4:9]
    assert explorer.step.value == pytest.approx(window.mean().item(), abs=1e-6)
    assert explorer.step.feature_map[4, 4] == pytest.approx(explorer.step.value, abs=1e-6)


def test_what_becomes_of_the_value_before_the_next_weights(net, images):
    X, _ = images[[0]]
    outputs = lenet.activations(net, X)
    for layer, place, more in ((1, 1, []), (2, 4, [("1 of 400 dense inputs", None)])):
        step = convolution.convolution_step(net, X, layer, 3, 7, 4)
        assert step.after == [
            ("sigmoid", outputs[place + 1][0, 3, 7, 4].item()),
            ("mean of 2 × 2", outputs[place + 2][0, 3, 3, 2].item()),
            *more,
        ]
        assert (
            f">{pieces.number(step.after[1][1], 3)}<"
            in convolution.draw_step(step, layer, 3, 7, 4).svg()
        )
    cut = nn.Sequential(*net[:3], nn.MaxPool2d(3), nn.Flatten(), nn.LazyLinear(10))
    cut(X)
    words = [words for words, _ in convolution.convolution_step(cut, X, 1, 0, 27, 27).after]
    assert words == ["sigmoid"]  # the pooling leaves out the last row and the last column
    words = [words for words, _ in convolution.convolution_step(cut, X, 1, 0, 0, 0).after]
    assert words == ["sigmoid", "largest of 3 × 3", "1 of 486 dense inputs"]


def test_one_network_and_another(net, digits_net, images):
    explorer = convolution.ConvolutionExplorer({"new": net, "trained": digits_net}, images)
    explorer.layer.value, explorer.row.value = 2, 5
    before = explorer.step
    explorer.network.value = "trained"
    assert torch.equal(explorer.step.kernel, digits_net[4].weight[0])
    assert (explorer.layer.value, explorer.step.top) == (2, before.top)
    one = nn.Sequential(*net[:2], nn.Flatten(), nn.LazyLinear(10))
    explorer = convolution.ConvolutionExplorer({"two": net, "one": one}, images)
    explorer.layer.value, explorer.column.value = 2, 9
    explorer.network.value = "one"
    assert (explorer.layer.value, explorer.column.value, explorer.row.max) == (1, 9, 27)
    with pytest.raises(ValueError, match="no network"):
        convolution.ConvolutionExplorer({}, images)


def test_a_kernel_of_one_s_own(net, images):
    explorer = convolution.ConvolutionExplorer(net, images)
    X, _ = images[[0]]
    explorer.own.value = "0 0 0; −1 0 0; 0 0 3"
    assert explorer.kernel.value == convolution.OWN
    expected = 3 * X[0, 0, 9, 13] - X[0, 0, 8, 11]
    assert explorer.step.value == pytest.approx(expected.item(), abs=1e-6)
    explorer.layer.value = 2
    assert explorer.step.kernel[:, 2, 1].tolist() == pytest.approx([-1 / 6] * 6)
    for refused in ("", "1 2; 3", "one", "1 nan", "1 2 3 4 5 6", "1e39"):
        explorer.own.value = refused
        assert "your own kernel is" in svg_of(explorer)
    explorer.own.value = "1"
    assert "your own kernel is" not in svg_of(explorer)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Flatten(), nn.Linear(784, 10)], "needs at least one nn.Conv2d"),
        ([nn.Conv2d(1, 4, 5, dilation=2), nn.Flatten(), nn.LazyLinear(10)], "plain convolution"),
        ([nn.Conv2d(1, 4, 5), nn.Flatten(), nn.Linear(400, 10)], "Linear expects 400 values"),
        ([], "no layers"),
    ],
)
def test_networks_whose_convolution_cannot_be_shown(layers, message, images):
    with pytest.raises(ValueError, match=message):
        convolution.ConvolutionExplorer(nn.Sequential(*layers), images)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Sequential(nn.Conv2d(1, 40, (3, 7), padding="same"), nn.ReLU()), nn.Flatten()],
        [
            nn.Conv2d(1, 20, 4, bias=False),
            nn.AdaptiveAvgPool2d(3),
            nn.Conv2d(20, 3, 3),
            nn.Flatten(),
        ],
    ],
)
def test_networks_whose_convolution_can_be_shown(layers, images):
    net = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(10))
    net(torch.zeros(1, 1, 28, 28))
    explorer = convolution.ConvolutionExplorer(net, images)
    for layer in range(len(convolution.convolutions(net))):
        explorer.layer.value = layer + 1
        explorer.channel.value = explorer.channel.max
        explorer.position.value = explorer.position.max
        step = explorer.step
        assert step.feature_map.flatten()[-1] == pytest.approx(step.value, abs=1e-5)
        assert pieces.number(step.value, 3) in svg_of(explorer)
        assert pieces.number(step.value, 3) in explorer.describe()


def test_the_explorer_shows_the_network_as_it_is_now(images):
    net = lenet.make_lenet()
    explorer = convolution.ConvolutionExplorer(net, images)
    with torch.no_grad():
        net[1].bias += 1
    before = explorer.step.bias
    with torch.no_grad():
        net[1].bias += 1
    assert explorer.step.bias == pytest.approx(before + 1)


@pytest.mark.parametrize(
    "labels", [range(10), None, dict(enumerate(lenet.DIGITS)), [None] * 10, 10]
)
def test_labels_that_are_no_texts_are_refused(labels, net, images):
    with pytest.raises(ValueError, match="labels must be ten texts, one for each class, not "):
        confusion.ConfusionExplorer(net, images, labels)


def test_a_network_without_weights_is_refused(twenty):
    with torch.device("meta"):
        empty = lenet.make_lenet()
    for make in (
        lambda: convolution.ConvolutionExplorer(empty, twenty),
        lambda: confusion.ConfusionExplorer(empty, twenty, lenet.FASHION_LABELS),
        lambda: distortion.DistortionExplorer(empty, twenty, lenet.FASHION_LABELS),
        lambda: drawing.DrawingExplorer({"clothes": (empty, lenet.FASHION_LABELS)}),
    ):
        with pytest.raises(ValueError, match="net has no weights"):
            make()


def test_a_pruned_network_can_be_looked_at(twenty, tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    net = lenet.make_lenet().train()
    prune.l1_unstructured(net[1], "weight", amount=0.5)
    X, _ = twenty[[0]]
    logits = net(X)
    with pytest.raises(RuntimeError):
        copy.deepcopy(net)
    expected = logits[0].softmax(dim=0).detach()
    assert torch.allclose(pieces.predict_image(net, X).probabilities, expected)
    for explorer in (
        convolution.ConvolutionExplorer(net, twenty),
        confusion.ConfusionExplorer(net, twenty, lenet.FASHION_LABELS),
        distortion.DistortionExplorer(net, twenty, lenet.FASHION_LABELS),
    ):
        assert svg_of(explorer)
    assert all(layer.training for layer in net)


def test_what_a_button_raises_is_said_in_the_card():
    explorer = shapes.ShapeExplorer()
    explorer.set(shapes.Sizes(padding1=0))
    fits = shapes.make_fit
    try:
        shapes.make_fit = lambda sizes: 1 / 0
        explorer.fit.click()
    finally:
        shapes.make_fit = fits
    assert "division by zero" in svg_of(explorer)
    explorer.fit.click()
    assert "It fits" in svg_of(explorer)


def test_a_network_that_another_cell_has_changed_is_followed(images):
    net = lenet.make_lenet()
    explorer = convolution.ConvolutionExplorer(net, images)
    net.insert(4, nn.Conv2d(6, 3, 5))
    explorer.row.value = 3
    assert [name for name, _ in explorer.layer.options] == ["conv 1", "conv 2", "conv 3"]
    assert "Conv2d expects 6 channels and gets an image of 3 x 10 x 10" in svg_of(explorer)
    net[5] = nn.Conv2d(3, 16, 5, padding=2)
    explorer.layer.value = 2
    explorer.channel.value = 1
    assert explorer.channel.max == 2 and explorer.step.value == pytest.approx(
        net[:5](images[[0]][0])[0, 1, explorer.row.value, explorer.column.value].item(), abs=1e-5
    )
    del net[1:7]
    explorer.channel.value = 0
    assert "needs at least one nn.Conv2d" in svg_of(explorer)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_said_to_be_none(images, value):
    net = lenet.make_lenet()
    nn.init.constant_(net[1].weight, value)
    words = convolution.ConvolutionExplorer(net, images).describe()
    assert words.startswith("No number is the value at row 8, column 12 of feature map 0 of conv 1")
    assert words.endswith("the weights are not finite.")


@pytest.mark.parametrize(
    ("place", "kernel", "message"),
    [
        ((1.5, 0, 0, 0), None, "layer must be 1 to 2, it is 1.5"),
        ((1, "1", 0, 0), None, "channel must be 0 to 5, it is '1'"),
        ((1, 0, None, 0), None, "row must be 0 to 27, it is None"),
        ((1, 0, 0, True), None, "column must be 0 to 27, it is True"),
        (
            (1, 0, 0, 0),
            torch.ones(5, 5),
            r"torch.float32 \(1, 5, 5\), it is torch.float32 \(5, 5\)",
        ),
        ((1, 0, 0, 0), torch.ones(1, 5, 5).long(), "kernel must be a tensor, .*it is torch.int64"),
        ((1, 0, 0, 0), [[1.0]], "kernel must be a tensor, .* it is of type list"),
    ],
)
def test_what_names_no_value_is_refused(net, images, place, kernel, message):
    with pytest.raises(ValueError, match=message):
        convolution.convolution_step(net, images[[0]][0], *place, kernel)


def test_what_is_no_lenet_is_refused(images):
    nine = nn.Sequential(lenet.Reshape(), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(9))
    with pytest.raises(ValueError, match=r"\(1, 10\).*\(1, 9\)"):
        convolution.ConvolutionExplorer(nine, images)
    with pytest.raises(ValueError, match="Sequential"):
        convolution.ConvolutionExplorer(nn.Linear(784, 10), images)
    with pytest.raises(ValueError, match="ImageDataset"):
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
    assert [layer for _, layer in trace] == [lenet_trace[i] for i in (1, 3, 4, 6, 8, 10, 12)]
    assert "61706 parameters, 416520 multiply-adds" in shapes.draw_sizes(shapes.Sizes()).svg()
    assert "This is LeNet" in shapes.draw_sizes(shapes.Sizes()).svg()
    changed = shapes.Sizes(kernel2=3, pooling1="max", dense_inputs=576)
    assert shapes.changes(changed) == [
        "pool 1 average → max", "conv 2 kernel 5 → 3", "dense 1 expects 400 → 576"
    ]  # fmt: skip


def test_the_table_says_where_it_does_not_fit_and_what_is_not_reached():
    svg = shapes.draw_sizes(shapes.Sizes(padding1=0)).svg()
    words = re.findall(">([^<>]+)</text>", svg)
    assert words[words.index("does not fit") - 1] == "dense 1"
    assert [words[i - 1] for i, word in enumerate(words) if word == "not reached"] == [
        "dense 2",
        "dense 3",
    ]


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
        "The map vanishes in pool 2: its window is 4 × 4, and the map that it gets is only "
        "1 × 1: make the window 1 or smaller, or the maps before it larger."
    )
    advice = explain(kernel1=11, padding1=0, stride1=3, kernel2=10, padding2=1)
    assert "make the kernel 5 or smaller, or the padding 4 or larger" in advice


def test_the_table_marks_what_differs_from_lenet_and_has_a_bar_for_each_number():
    svg = shapes.draw_sizes(shapes.Sizes(channels1=7)).svg()
    for shape, color in [("7 × 28 × 28", pieces.MARK), ("16 × 10 × 10", pieces.INK)]:
        assert re.search(f'fill="{color}"[^>]*>{shape}<', svg)
    for x in (312, 476):  # of parameters and of multiply-adds: the longest is 50
        bars = re.findall(f'<rect x="{x}.0"[^>]* width="([^"]+)"[^>]*fill="#bcd4e6"', svg)
        assert len(bars) == 7 and max(map(float, bars)) == 50


def test_a_volume_is_as_wide_and_high_as_its_maps_and_as_deep_as_they_are_many():
    drawn = re.findall('<polygon points="([^"]+)"', shapes.draw_sizes(shapes.Sizes()).svg())
    corners = [np.array([place.split(",") for place in p.split()], dtype=float) for p in drawn]
    assert len(corners) == 3 * 8  # the upper, the right and the front face
    front = [np.ptp(face, axis=0) for face in corners[2::3]]  # width, height
    deep = [np.ptp(face[:2], axis=0)[0] for face in corners[0::3]]
    pixel = front[0][0] / 28
    for (wide, high), side in zip(front[:5], (28, 28, 14, 10, 5), strict=True):
        assert wide == pytest.approx(side * pixel, abs=0.2) == high
    channel = deep[1] / 6
    assert deep == pytest.approx([n * channel for n in (1, 6, 6, 16, 16, 120, 84, 10)], abs=1)


def test_the_shape_explorer_follows_its_controls():
    explorer = shapes.ShapeExplorer()
    assert explorer.fit.button_style == ""  # nothing to do; disabled it would lose the focus
    lenets = svg_of(explorer)
    for name, control in explorer.controls.items():
        control.value = "max" if name.startswith("pooling") else control.value + 1
        assert svg_of(explorer) != lenets, name
        if name != "dense2":
            explorer.set(shapes.Sizes())
            assert svg_of(explorer) == lenets
    explorer.controls["kernel1"].value = 11
    explorer.controls["pooling1"].value = "max"
    assert explorer.fit.button_style == "primary"
    explorer.fit.click()
    assert explorer.fit.button_style == "" and not explorer.fit.disabled
    fits = svg_of(explorer)
    explorer.fit.click()
    assert svg_of(explorer) == fits
    assert explorer.net()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert isinstance(explorer.net()[3], nn.MaxPool2d)
    explorer.reset.click()
    assert explorer.sizes == shapes.Sizes()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(channels1=64), "channels1 must be a whole number from 1 to 32, it is 64"),
        (dict(kernel1=2.5), "kernel1 must be a whole number from 1 to 11, it is 2.5"),
        (dict(dense1=True), "dense1 must be a whole number from 10 to 512, it is True"),
        (dict(pool2=None), "pool2 must be a whole number from 1 to 4, it is None"),
        (dict(pooling1="min"), "pooling1 must be average or max, it is 'min'"),
        (dict(pooling2=[]), r"pooling2 must be average or max, it is \[\]"),
    ],
)
def test_sizes_beyond_the_limits_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        shapes.ShapeExplorer(shapes.Sizes(**wrong))


def test_what_are_no_sizes_is_refused():
    with pytest.raises(ValueError, match=r"sizes must be Sizes\(...\), not of type str"):
        shapes.ShapeExplorer("LeNet")


def test_the_table_is_said_in_words():
    said = shapes.ShapeExplorer().describe()
    for words in (
        "conv 1 6x28x28, 156 parameters, 117600 multiply-adds, receptive field 5;",
        "pool 1 6x14x14, receptive field 6;",
        "conv 2 16x10x10, 2416 parameters, 240000 multiply-adds, receptive field 14;",
        "dense 3 10, 850 parameters, 840 multiply-adds, receptive field",
    ):
        assert words in said


def diverged():
    net = lenet.make_lenet()
    for value in net.parameters():
        nn.init.constant_(value, float("nan"))
    return net


def test_a_diverged_network_can_be_looked_at(images):
    explorer = convolution.ConvolutionExplorer(diverged(), images)
    places = re.findall(r' (?:points|[xy]|width|height)="([^"]*)"', svg_of(explorer))
    assert len(places) > 50
    assert not any("nan" in place or "inf" in place for place in places)


# ---------------------------------------------------------------------------- reading


def weights(net, name):
    return saved.load_weights(net, lenet.COURSE / "notebooks" / "weights" / name)


@pytest.fixture(scope="module")
def trained():
    return weights(lenet.make_lenet(), "fashion_mnist.pt")


@pytest.fixture(scope="module")
def digits_net():
    return weights(lenet.make_lenet(), "mnist.pt")


@pytest.fixture(scope="module")
def some(images):
    return lenet.ImageDataset(images.images[:600], images.labels[:600])


@pytest.fixture(scope="module")
def twenty(images):
    return lenet.ImageDataset(images.images[:20], images.labels[:20])


def test_the_activations_of_an_image_are_the_networks_own(trained, images):
    X, _ = images[[3]]
    prediction, outputs = pieces.predict_image(trained, X), lenet.activations(trained, X)
    places = {"conv 1": 2, "pool 1": 3, "conv 2": 5, "pool 2": 6, "dense 1": 9, "dense 2": 11}
    places["logits"] = 12
    assert [name for name, _ in prediction.activations] == [*places]
    for name, output in prediction.activations:
        assert torch.equal(output, outputs[places[name]][0])
    assert torch.equal(prediction.probabilities, outputs[-1][0].softmax(dim=0))
    assert prediction.predicted == outputs[-1].argmax()
    assert prediction.words(lenet.FASHION_LABELS) == "trouser, 99.8 %"


def test_each_feature_map_is_seen_however_small_its_values(run, images):
    """At epoch 0 those of conv 2 differ less within a map than from map to map."""
    net = epochs.net_at(run, 0, lenet.make_lenet())
    conv2 = dict(pieces.predict_image(net, images[[0]][0]).activations)["conv 2"]
    sheet, _, (rows, columns, height, width) = pieces._sheet(conv2)
    for row, column in product(range(rows), range(columns)):
        top, left = row * (height + 1), column * (width + 1)
        tile = sheet[top : top + height, left : left + width]
        assert (tile.min(), tile.max()) == (0, 255)


OTHERS = {  # networks that are no LeNet, and the layers that are seen
    "dense only": (lambda: [nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 10)], 1),
    "one layer": (lambda: [nn.Flatten(), nn.Linear(784, 10)], 0),
    "nested": (
        lambda: [
            nn.Sequential(nn.Conv2d(1, 40, (3, 7), padding="same"), nn.BatchNorm2d(40), nn.ReLU()),
            nn.Sequential(nn.AdaptiveAvgPool2d((2, 5)), nn.Flatten(), nn.Linear(400, 10)),
        ],
        2,
    ),
    "deep": (
        lambda: [
            *(nn.Conv2d(1 if i == 0 else 3, 3, 3, padding=1) for i in range(12)),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(3, 10),
        ],
        13,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_anything_but_lenet_is_drawn_layer_beside_layer(name, twenty, tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    make, layers = OTHERS[name]
    net = nn.Sequential(*make())
    X, _ = twenty[[0]]
    picture = Picture(200, pieces.WIDTH)
    pieces.draw_layers(picture, X, pieces.predict_image(net, X).activations, 0, 0)
    drawn = re.findall(r'<image x="(.*?)" y=".*?" width="(.*?)"', picture.svg())
    assert len(drawn) == 1 + layers
    end = 0
    for x, width in drawn:
        assert end <= float(x) + 0.1  # in the SVG places are rounded
        end = float(x) + float(width)
    assert end <= pieces.WIDTH + 0.2
    run = lenet.Run("", 1, 0.1, "cpu", train=[(1.0, 2.3, 0.1)], test=[(1.0, 0.1)])
    run.checkpoints = [net.state_dict(), net.state_dict()]
    for explorer in (
        confusion.ConfusionExplorer(net, twenty, lenet.FASHION_LABELS),
        epochs.EpochExplorer(run, twenty, lenet.FASHION_LABELS, net=net),
        drawing.DrawingExplorer({"clothes": (net, lenet.FASHION_LABELS)}),
        distortion.DistortionExplorer(net, twenty, lenet.FASHION_LABELS),
    ):
        assert " %" in svg_of(explorer)


def test_a_diverged_network_predicts_nothing(twenty):
    net, sentence = diverged(), "logits are not finite numbers"
    with pytest.raises(ValueError, match=sentence):
        confusion.ConfusionExplorer(net, twenty, lenet.DIGITS)
    with pytest.raises(ValueError, match=sentence):
        distortion.DistortionExplorer(net, twenty, lenet.DIGITS)
    with pytest.raises(ValueError, match=sentence):
        trust.TrustExplorer(net, twenty, lenet.DIGITS)
    run = lenet.Run("", 1, 9.0, "cpu", train=[(1.0, float("nan"), 0.1)], test=[(1.0, 0.1)])
    run.checkpoints = [lenet.make_lenet().state_dict(), net.state_dict()]
    for explorer in (
        drawing.DrawingExplorer({"digits": (net, lenet.DIGITS)}),
        epochs.EpochExplorer(run, twenty, lenet.DIGITS),
    ):
        assert sentence in explorer.describe()
        assert not re.search(r"nan|inf| %|reads", svg_of(explorer))


def test_a_layer_that_does_not_fit_any_more_is_said(digits_net):
    """And no old prediction is left on the screen."""
    net = copy.deepcopy(digits_net)
    explorer = drawing.DrawingExplorer({"digits": (net, lenet.DIGITS)})
    net[8] = nn.Linear(300, 120)
    explorer.start.value = 4
    assert "expects 300 values per image and gets 400" in svg_of(explorer)
    assert " %" not in svg_of(explorer)
    net[8] = copy.deepcopy(digits_net[8])
    explorer.start.value = 5
    assert "reads 5" in svg_of(explorer)


def test_what_a_callback_raises_is_said_in_the_card(
    digits_net, trained, twenty, tmp_path, monkeypatch
):
    readers = {"digits": (digits_net, lenet.DIGITS), "clothes": (trained, lenet.FASHION_LABELS)}
    drawn = drawing.DrawingExplorer(readers)
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    distorted = distortion.DistortionExplorer(trained, twenty, lenet.FASHION_LABELS)
    monkeypatch.setenv("LENET_DATA", str(tmp_path))  # without any images
    drawn.kind.value = "clothes"
    assert "make data" in svg_of(drawn) and " %" not in svg_of(drawn)
    (tmp_path / distortion.FILE).mkdir()  # a folder where the file should be
    distorted.button.click()
    distorted.thread.join()
    assert distortion.FILE in svg_of(distorted)


class Watched(nn.Identity):
    """A layer that notes which of its copies are called."""

    called: ClassVar[set[int]] = set()

    def forward(self, X):
        self.called.add(id(self))
        return X


def test_a_network_that_trains_in_a_cell_is_left_in_peace(twenty, monkeypatch, tmp_path):
    """Callbacks have a thread of their own: in evaluation mode it would train without dropout."""
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    net = lenet.make_lenet().insert(1, Watched())
    seen = confusion.ConfusionExplorer(net, twenty, lenet.FASHION_LABELS)
    drawn = drawing.DrawingExplorer({"clothes": (net, lenet.FASHION_LABELS)})
    distorted = distortion.DistortionExplorer(net, twenty, lenet.FASHION_LABELS)
    Watched.called.clear()
    for act in (seen.refresh, drawn.refresh, distorted.refresh, distorted.measure):
        act()
        assert Watched.called and id(net[1]) not in Watched.called
        Watched.called.clear()


# ---------------------------------------------------------------------------- softmax, descent


def test_softmax_loss_and_gradient_are_pytorchs():
    logits = torch.randn(10, generator=torch.Generator().manual_seed(0)).requires_grad_()
    step = softmax.softmax_step(logits.detach(), 3)
    loss = nn.functional.cross_entropy(logits[None], torch.tensor([3]))
    loss.backward()
    assert step.loss == pytest.approx(loss.item(), abs=1e-6)
    assert torch.allclose(step.gradient, logits.grad, atol=1e-6)


def test_a_large_logit_has_a_finite_loss():
    logits = torch.zeros(10)
    logits[0] = 100.0
    assert softmax.softmax_step(logits, 1).loss == pytest.approx(100)
    assert softmax.softmax_step(logits, 0).gradient.isfinite().all()
    explorer = softmax.SoftmaxExplorer(logits, 1, lenet.FASHION_LABELS)
    assert svg_of(explorer).count(f'fill="{pieces.BLUE}"') == 1  # below 0 is the target's alone
    assert "the loss is 100" in explorer.describe() and "nan" not in svg_of(explorer)


def test_the_softmax_explorer_follows_its_controls():
    explorer = softmax.SoftmaxExplorer(torch.linspace(-2, 2, 10), 6, lenet.FASHION_LABELS)
    before, loss = svg_of(explorer), explorer.step.loss
    explorer.logit.value = 4.0
    assert explorer.step.loss < loss and svg_of(explorer) != before
    explorer.chosen.value = 0
    assert explorer.logit.value == -2
    x, width = softmax.COLUMNS["logits"]
    explorer.view.press(x + width / 2 + 1, softmax.TOP + 2.5 * softmax.ROW)
    assert explorer.chosen.value == 2 and 0 < explorer.logit.value < 0.2
    explorer.view.arrow(2, 1)
    assert explorer.chosen.value == 3
    assert explorer.logits[3].item() == pytest.approx(-2 + 3 * 4 / 9 + 0.5, abs=1e-5)
    expected = explorer.logits - explorer.step.gradient
    controls = explorer.card.children[1].children[1].children
    next(c for c in controls if "gradient" in c.description).click()
    assert explorer.logits.equal(expected)
    assert pieces.number(explorer.step.loss, 3) in explorer.describe()
    for bad in (torch.zeros(9), torch.full((10,), float("nan"))):
        with pytest.raises(ValueError, match="ten finite logits"):
            softmax.SoftmaxExplorer(bad, 0, lenet.FASHION_LABELS)


def test_large_logits_have_numbers_that_fit_into_their_columns():
    explorer = softmax.SoftmaxExplorer([1.0, -1, 2, 0, 0, 0, 0, 0, 0, 0], 1, lenet.DIGITS)
    for factor, words in [(1, "7.39"), (5, "22026"), (20, "2.4e+17"), (100, "&gt; 1e38")]:
        picture = softmax.draw_softmax(explorer.start * factor, 1, lenet.DIGITS, 0, 500.0)
        assert f">{words}<" in picture.svg()
        found = re.findall(r'<text x="322.0"[^>]*>([^<]*)<', picture.svg())
        assert len(found) == 11 and max(len(e.replace("&gt;", ">")) for e in found) <= 8
        assert "inf" not in picture.svg()
    far = softmax.SoftmaxExplorer(np.array([9e37, -9e37] + [0] * 8), 1, lenet.DIGITS)
    far.card.children[1].children[1].children[4].click()  # double all
    assert "the loss is 2.2e+38. Ten" in far.describe() and "inf" not in svg_of(far)


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(10), 10, "target must be 0 to 9, it is 10"),
        (torch.zeros(10), -1, "target must be 0 to 9, it is -1"),
        (torch.zeros(10), 1.5, "target must be 0 to 9, it is 1.5"),
        (torch.zeros(10), True, "target must be 0 to 9, it is True"),
        (torch.zeros(10), None, "target must be 0 to 9, it is None"),
        (None, 0, "ten finite logits are needed, not 'None'"),
        (["a"] * 10, 0, "ten finite logits are needed, not "),
        (torch.zeros(10, dtype=torch.complex64), 0, "ten finite logits .* not torch.complex64"),
        (torch.zeros(1, 10), 0, r"not torch.float32 of shape \(1, 10\)"),
        ([float("inf")] * 10, 0, "ten finite logits are needed, below 1e38"),
    ],
)
def test_what_are_no_ten_logits_is_refused(logits, target, message):
    with pytest.raises(ValueError, match=message):
        softmax.SoftmaxExplorer(logits, target, lenet.FASHION_LABELS)


def test_logits_of_other_kinds_are_taken_over():
    for logits in (list(range(10)), np.arange(10.0), torch.arange(10).half()):
        explorer = softmax.SoftmaxExplorer(logits, np.int64(3), lenet.FASHION_LABELS)
        assert explorer.logits.equal(torch.arange(10.0)) and explorer.target.value == 3


def test_descending_is_pytorchs_sgd():
    surface = descent.valley()
    found = descent.descend(surface, surface.start, 0.05, 0.5, 20)
    weights = nn.Parameter(torch.tensor([surface.start]))
    optimizer = torch.optim.SGD([weights], lr=0.05, momentum=0.5)
    for point in found.points:
        assert torch.allclose(weights[0], point, atol=1e-5)
        optimizer.zero_grad()
        surface.loss(weights).sum().backward()
        optimizer.step()


def test_what_a_descent_did_is_said():
    explorer = descent.DescentExplorer([descent.valley(), descent.saddle()])
    for lr, momentum, word in (
        (-3, 0, "creeps"), (-1.2, 0, "comes"), (-1.2, 0.9, "swings"), (0, 0, "jumps")
    ):  # fmt: skip
        explorer.lr.value, explorer.momentum.value = lr, momentum
        assert explorer.describe().startswith(f"It {word}")
    explorer.which.value = 1
    assert explorer.start == pytest.approx((0.06, -0.02))
    frame = descent.Frame(46, 340, (-1.0, -1.0), (1.0, 1.0))
    assert frame.ends([[0.0, 0.0], [4.0, 2.0], [0.0, 0.0]]) == [[0.0, 0.0], [1.0, 0.5]]
    explorer.view.press(46 + 170, descent.TOP + 170)
    assert explorer.start == pytest.approx((0, 0), abs=1e-6)


def test_a_sign_has_its_colour_and_a_prediction_too():
    shades = pieces.signed(torch.tensor([[-2.0, 0.0, 1.0]]), 2.0)
    assert shades.tolist() == [[[0, 114, 178], [255, 255, 255], [222, 168, 126]]]
    probabilities = torch.full((10,), 0.05)
    probabilities[3] = 0.55
    for target, color in [(3, pieces.GREEN), (4, pieces.MARK)]:
        picture = Picture(300)
        prediction = pieces.Prediction(probabilities, [])
        pieces.draw_probabilities(picture, prediction, lenet.DIGITS, 0, 0, 300, target)
        bars = re.findall('<rect[^>]*fill="([^"]+)"', picture.svg())[1::2]
        assert bars[3] == color and set(bars) == {color, "#8fa3b3"}


def test_a_curve_that_rises_rises_in_the_picture():
    test = [(float(epoch), epoch / 10) for epoch in range(10)]
    picture = Picture(300)
    epochs.draw_curves(picture, lenet.Run("", 9, 0.9, "cpu", test=test), 0)
    lines = re.findall(f'points="([^"]+)"[^>]*stroke="{pieces.GREEN}"', picture.svg())
    heights = [float(place.split(",")[1]) for place in lines[0].split()]
    assert heights == sorted(heights, reverse=True) and heights[0] == sum(epochs.CURVE[1::2])


def test_on_a_surface_up_is_more_of_the_second_weight():
    rising = descent.valley()._replace(loss=lambda points: points[:, 1])
    shades = descent.shades_of(rising)
    assert shades[0].mean() > 200 > 100 > shades[-1].mean()  # the darker, the lower
    surface = descent.valley()  # from -6 to 6 along, from -3 to 3 across, where it is steep
    assert surface.loss(torch.tensor([[1.0, 0.0]])) < surface.loss(torch.tensor([[0.0, 1.0]]))
    explorer = descent.DescentExplorer([surface])
    click(explorer, "surface", 0.25, 0.25)
    assert explorer.start == pytest.approx((-3, 1.5))
    x, y = 46 + descent.SIDE / 4 - 7, descent.TOP + descent.SIDE / 4 - 7
    assert f'<rect x="{x:.1f}" y="{y:.1f}" width="14.0"' in svg_of(explorer)
    explorer.view.arrow(1, -1)  # right and up
    assert explorer.start == pytest.approx((-2.7, 1.65))


def test_the_loss_along_one_weight_leaves_the_network_as_it_was(trained, twenty):
    before = copy.deepcopy(trained.state_dict())
    index, now = (3, 0, 2, 2), before["1.weight"][3, 0, 2, 2].item()
    surface = descent.one_weight(trained, twenty, 1, index, low=now - 1, high=now + 1)
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    X, y = twenty[list(range(20))]
    loss = nn.functional.cross_entropy(trained(X), y).item()
    assert surface.loss(torch.tensor([[now]])).item() == pytest.approx(loss, abs=1e-3)


def test_the_loss_along_one_weight_is_that_of_evaluation(twenty, same):
    """With dropout in training the curve would be jagged, and the statistics would change."""
    torch.manual_seed(0)
    net = lenet.make_lenet(nn.Tanh).insert(2, nn.BatchNorm2d(6)).insert(9, nn.Dropout(0.9))
    before = copy.deepcopy(net.state_dict())
    surfaces = [descent.one_weight(net, twenty, 1, (0, 0, 2, 2), -1, 1) for _ in range(2)]
    points = torch.linspace(-1, 1, 61)[:, None]
    assert surfaces[0].loss(points).equal(surfaces[1].loss(points))
    assert same(net.state_dict(), before) and all(layer.training for layer in net)


ONE_WEIGHT = {"layer": 1, "index": (0, 0, 2, 2), "low": -1, "high": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 1}, "low must be below high, they are 1 and 1"),
        ({"low": float("nan")}, "low and high must be finite numbers"),
        ({"high": float("inf")}, "low and high must be finite numbers"),
        ({"high": "one"}, "low and high must be finite numbers below 1e30, not -1 and 'one'"),
        ({"layer": 2}, "the number of a layer with a weight, 2 is Sigmoid"),
        ({"layer": 13}, "layer must be 0 to 12, it is 13"),
        ({"layer": 1.0}, "layer must be 0 to 12, it is 1.0"),
        ({"index": (0, 0, 2)}, r"must be 4 numbers, for a weight \(6, 1, 5, 5\), not \(0, 0, 2\)"),
        ({"index": 3}, r"must be 4 numbers, for a weight \(6, 1, 5, 5\), not \(3,\)"),
        ({"index": (6, 0, 0, 0)}, "each number of index must be -6 to 5, it is 6"),
        ({"index": (0, 0, 0, slice(2))}, "each number of index must be -5 to 4, it is slice"),
        ({"net": lenet.make_lenet().to("meta")}, 'it is on the device "meta"'),
        ({"net": lenet.Reshape()}, "net must be an nn.Sequential, it is of type Reshape"),
        ({"net": nn.Sequential(nn.Flatten(), nn.Linear(784, 9))}, r"logits of shape .* \(20, 9\)"),
        ({"net": nn.Sequential(nn.Flatten(), nn.Linear(9, 9))}, "expects 9 values per image"),
    ],
)
def test_a_weight_that_is_none_is_refused(twenty, change, message):
    if "Linear" in str(change.get("net")) and len(change["net"]) == 2:
        change = {"index": (0, 0), **change}
    with pytest.raises(ValueError, match=message):
        descent.one_weight(**{"net": lenet.make_lenet(), "images": twenty, **ONE_WEIGHT, **change})


def test_a_surface_that_is_none_is_refused(twenty):
    with pytest.raises(ValueError, match=r"no losses: the logits .* are not finite numbers"):
        descent.one_weight(diverged(), twenty, **ONE_WEIGHT)
    valley = descent.valley()
    for lr in (0, -1, float("nan"), float("inf"), "0.1", None):
        with pytest.raises(ValueError, match="lr, the learning rate, must be a number above 0"):
            descent.DescentExplorer([valley], lr=lr)
    for steepness, message in [(0, "above 0, it is 0"), (float("inf"), "finite"), ("", "finite")]:
        with pytest.raises(ValueError, match=f"steepness must be .*{message}"):
            descent.valley(steepness)
    for surfaces, message in [
        ([], "surfaces is empty"),
        (valley, "must be a list of descent.Surface, it is one Surface"),
        (None, "must be a list of descent.Surface, it is one NoneType"),
        ([valley, "valley"], "must be a list of descent.Surface, str is none"),
        ([valley._replace(low=(6.0, -3.0))], "low must be below high, they are 6 and 6"),
        ([valley._replace(loss=lambda points: points[:, 0].log())], "losses of .* not finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            descent.DescentExplorer(surfaces)


# ---------------------------------------------------------------------------- confusion


def test_the_matrix_counts_every_image_once_and_where_it_belongs(trained, some):
    predictions = confusion.predict_all(trained, some)
    X, y = some[list(range(600))]
    y_hat = lenet.predict(trained, X).argmax(dim=1)
    for target, predicted in product(range(10), repeat=2):
        numbers = confusion.images_behind(predictions, target, predicted)
        expected = ((y == target) & (y_hat == predicted)).nonzero().flatten().tolist()
        assert sorted(numbers) == expected
        assert predictions.matrix[target, predicted] == len(numbers)
        confidence = predictions.confidence[numbers].tolist()
        assert confidence == sorted(confidence, reverse=True)


def add_in_place(net):
    with torch.no_grad():
        net[-1].bias += 1


def add_to_data(net):
    for _ in range(2):  # the second one's memory may be the first one's again
        net[-1].bias.data = net[-1].bias.data + 1


def add_to_a_vector(net):
    vector = nn.utils.parameters_to_vector(net.parameters()).detach()
    nn.utils.vector_to_parameters(vector + 1e-3, net.parameters())


@pytest.mark.parametrize("change", [add_in_place, add_to_data, add_to_a_vector])
def test_a_matrix_of_weights_that_have_changed_since_is_not_shown(trained, some, change):
    net = copy.deepcopy(trained)
    explorer = confusion.ConfusionExplorer(net, some, lenet.FASHION_LABELS)
    before = pieces.versions(net)
    assert pieces.versions(copy.deepcopy(net)) == before
    change(net)
    assert pieces.versions(net) != before
    explorer.position.value = 1
    assert "has been trained since this matrix was counted" in svg_of(explorer)


def test_the_occlusion_map_shows_where_the_prediction_comes_from():
    """A network that looks at one pixel only: covering that pixel, and no other, costs all."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.zeros_(net[1].weight)
    nn.init.zeros_(net[1].bias)
    with torch.no_grad():
        net[1].weight[3, 28 * 20 + 9] = 100  # row 20, column 9
    fall = confusion.occlusion_map(net, torch.ones(1, 1, 28, 28), 3)
    assert fall.shape == (28, 28)
    assert fall[20, 9] == pytest.approx(0.9)  # from 1 to a tenth, whichever square covers it
    far = torch.ones(28, 28, dtype=bool)
    far[14:27, 3:16] = False  # 6 pixels around it: in no square with it
    assert fall[far].abs().max() < 1e-6


def test_the_confusion_explorer_follows_clicks_and_controls(trained, some):
    explorer = confusion.ConfusionExplorer(trained, some, lenet.FASHION_LABELS)
    assert explorer.target.value != explorer.predicted.value  # it opens on a mistake
    click(explorer, "matrix", 7.5 / 10, 7.5 / 10)
    assert (explorer.target.value, explorer.predicted.value) == (7, 7)
    before = svg_of(explorer)
    click(explorer, "shelf", 2.5 / confusion.COLUMNS, 1.5 / confusion.ROWS)
    assert explorer.position.value == confusion.COLUMNS + 2
    assert svg_of(explorer) != before
    explorer.view.arrow(-1, 0)
    assert explorer.position.value == confusion.COLUMNS + 1
    explorer.position.value = confusion.PAGE  # the next page
    click(explorer, "shelf", 2.5 / confusion.COLUMNS, 0.5 / confusion.ROWS)
    assert explorer.position.value == confusion.PAGE + 2
    explorer.target.value = 9
    assert explorer.position.value == 0
    explorer.target.value, explorer.predicted.value = 1, 9  # no trouser is taken for a boot
    assert "No image here" in svg_of(explorer)


def test_the_row_of_the_chosen_class_is_said(trained, some):
    explorer = confusion.ConfusionExplorer(trained, some, lenet.FASHION_LABELS)
    for predicted in (6, 9):  # no shirt is taken for a boot: there is no image, but there is a row
        explorer.target.value, explorer.predicted.value = 6, predicted
        row = explorer.predictions.matrix[6].tolist()
        shirt = ", ".join(
            f"{name} {count}"
            for name, count in zip(lenet.FASHION_LABELS, row, strict=True)
            if count
        )
        assert f"shirt as {shirt}." in explorer.describe()


def test_two_networks_in_one_matrix(trained, some):
    better = weights(lenet.make_lenet(nn.ReLU, nn.MaxPool2d), "lenet_clothes.pt")
    nets = {"lesson": trained, "better": better}
    explorer = confusion.ConfusionExplorer(nets, some, lenet.FASHION_LABELS)
    explorer.target.value, explorer.predicted.value = 6, 6
    X, *_ = explorer.seen
    other = confusion.predict_all(better, some).matrix[6, 6].item()
    assert other > len(explorer.numbers)
    words = pieces.predict_image(better, X).words(lenet.FASHION_LABELS)
    assert f">better: {other} in this cell, here {words}<" in svg_of(explorer)
    assert f"better: {other} in this cell" in explorer.describe()
    explorer.network.value = "better"
    assert len(explorer.numbers) == other and ">lesson: " in svg_of(explorer)
    alone = confusion.ConfusionExplorer(trained, some, lenet.FASHION_LABELS)
    assert "in this cell" not in svg_of(alone) and alone.network.layout.display == "none"


# ---------------------------------------------------------------------------- epochs


@pytest.fixture(scope="module")
def run():
    return saved.load_run(lenet.COURSE / "notebooks" / "weights" / "fashion_mnist_run.pt")


def test_every_epoch_shows_the_network_that_the_run_kept(run, images):
    explorer = epochs.EpochExplorer(run, images, lenet.FASHION_LABELS)
    X, _ = images[[0]]
    seen = set()
    for epoch in range(11):
        explorer.epoch.value = epoch
        net = lenet.make_lenet()
        net.load_state_dict(run.checkpoints[epoch])
        assert pieces.percent(lenet.predict(net, X).max()) in svg_of(explorer)
        seen.add(svg_of(explorer))
    assert len(seen) == 11
    click(explorer, "curve", (8 + 0.3 * epochs.CURVE[2]) / (16 + epochs.CURVE[2]), 0.5)
    assert explorer.epoch.value == 3
    explorer.view.arrow(1, 0)
    assert explorer.epoch.value == 4
    explorer.image.value = 17
    assert svg_of(explorer) not in seen
    explorer.start.click()
    assert explorer.epoch.value == 0


def test_the_gradients_are_those_of_the_time(run, images):
    explorer = epochs.EpochExplorer(run, images, lenet.FASHION_LABELS)
    names = ("conv 1", "conv 2", "dense 1", "dense 2", "dense 3")
    for epoch, (_, sizes) in ((0, run.gradients[0]), (10, run.gradients[-1])):
        explorer.epoch.value = epoch
        words = ", ".join(f"{name} {size:.5f}" for name, size in zip(names, sizes, strict=True))
        assert words in svg_of(explorer) and words in explorer.describe()
    assert epochs.gradients_at(replace(run, gradients=[]), lenet.make_lenet(), 1.0) == ""


def test_a_run_that_was_stopped_or_is_of_another_network(run, images):
    stopped = replace(
        run, checkpoints=run.checkpoints[:3], test=[(1.0, 0.5), (1.37, 0.6)],
        train=[*run.train[:24], (1.37, float("nan"), 0.1)],
    )  # fmt: skip
    explorer = epochs.EpochExplorer(stopped, images, lenet.FASHION_LABELS)
    assert "1.37 of 10 epochs" in explorer.describe()
    assert "nan" not in svg_of(explorer)
    with pytest.raises(ValueError, match="no checkpoints"):
        epochs.EpochExplorer(replace(run, checkpoints=[]), images, lenet.FASHION_LABELS)
    other = nn.Sequential(lenet.Reshape(), nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(ValueError, match="another network"):
        epochs.EpochExplorer(run, images, lenet.FASHION_LABELS, net=other)
    relus = replace(run, network=str(lenet.make_lenet(nn.ReLU)))  # its weights would fit
    with pytest.raises(ValueError, match="another network than the lesson's: pass that"):
        epochs.EpochExplorer(relus, images, lenet.FASHION_LABELS)
    with pytest.raises(ValueError, match="0 to 10, it is 11"):
        epochs.net_at(run, 11, lenet.make_lenet())
    for odd in (None, [run], run.checkpoints):
        with pytest.raises(ValueError, match=r"run must be a lenet\.Run, as train_ch6 returns it"):
            epochs.EpochExplorer(odd, images, lenet.FASHION_LABELS)
    with pytest.raises(ValueError, match="one after each test, it holds 11 and 0 tests"):
        epochs.EpochExplorer(replace(run, test=[]), images, lenet.FASHION_LABELS)
    start = replace(run, test=[], train=[], gradients=[], checkpoints=run.checkpoints[:1])
    shown = epochs.EpochExplorer(start, images, lenet.FASHION_LABELS)
    assert shown.describe().startswith("After 0 of 10 epochs")


# ---------------------------------------------------------------------------- drawing


def test_a_digit_of_mnist_drawn_again_is_that_digit():
    mnist = lenet.load_images("MNIST", train=False)
    for i in range(0, 10000, 7):
        moved = np.zeros((60, 60), np.uint8)
        moved[i % 32 : i % 32 + 28, i % 19 : i % 19 + 28] = mnist.images[i].numpy()
        assert torch.equal(preprocessing.as_mnist(moved), mnist[[i]][0]), i


@few
@given(
    ink=arrays(
        np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90)), elements=st.integers(0, 255)
    )
)
def test_any_drawing_becomes_an_image(ink):
    for make, longest in ((preprocessing.as_mnist, 20), (preprocessing.as_fashion_mnist, 28)):
        X = make(ink)
        checks.batch(X)
        rows, columns = X[0, 0].sum(dim=1).nonzero(), X[0, 0].sum(dim=0).nonzero()
        if ink.any():
            assert max(rows.max() - rows.min(), columns.max() - columns.min()) < longest
        else:
            assert not X.any()


def test_clothes_fill_the_image_and_stand_in_its_middle():
    ink = np.zeros((280, 280), np.uint8)
    ink[20:160, 200:270] = 255  # 140 high, 70 wide
    X = preprocessing.as_fashion_mnist(ink)
    assert X.sum() == 28 * 14
    assert X[0, 0, :, 7:21].min() == 1
    with pytest.raises(ValueError, match=r"float64 \(28, 28\)"):
        preprocessing.as_mnist(np.zeros((28, 28)))


def on_paper(digit):
    """An MNIST digit as somebody writes it: black on a large white sheet, not in its middle."""
    ink = Image.fromarray(255 - digit.numpy()).resize((200, 200), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (400, 480), 255)
    sheet.paste(ink, (80, 150))
    return sheet


def photographed(sheet, seed):
    """The same under a lamp at one side, a little out of focus, with noise."""
    draws = np.random.default_rng(seed)
    paper = np.asarray(sheet.filter(ImageFilter.GaussianBlur(2)), dtype=float) / 255
    down, across = np.mgrid[0 : 1 : 1j * len(paper), 0 : 1 : 1j * paper.shape[1]]
    side = draws.uniform(0, 2 * np.pi)
    light = 170 - 90 * (np.cos(side) * (across - 0.5) + np.sin(side) * (down - 0.5))
    seen = light * (0.15 + 0.85 * paper) + draws.normal(0, 10, paper.shape)
    return Image.fromarray(seen.clip(0, 255).astype(np.uint8))


def file_of(image, kind="PNG"):
    memory = io.BytesIO()
    image.save(memory, kind)
    return memory.getvalue()


@pytest.mark.parametrize("photograph", [False, True])
@pytest.mark.parametrize("light_paper", [True, False])
def test_handwriting_on_paper_is_read(digits_net, photograph, light_paper):
    """Ten digits, one of each: without preprocessing one or two of them are read."""
    mnist = lenet.load_images("MNIST", train=False)
    before, after = 0, 0
    for label in range(10):
        sheet = on_paper(mnist.images[mnist.labels == label][0])
        sheet = photographed(sheet, label) if photograph else sheet
        sheet = sheet if light_paper else ImageOps.invert(sheet)
        steps = preprocessing.ink_of_photograph(file_of(sheet, "JPEG"))
        ink = list(steps.values())[-1]
        before += (
            lenet.predict(digits_net, preprocessing.as_mnist(np.asarray(sheet))).argmax() == label
        )
        after += lenet.predict(digits_net, preprocessing.as_mnist(ink)).argmax() == label
    assert after == 10
    assert before <= 2 or not (photograph or light_paper)


def test_a_scan_of_16_bits_is_read():
    sheet = np.asarray(on_paper(lenet.load_images("MNIST", train=False).images[0]))
    (ink, deep_ink) = (
        list(preprocessing.ink_of_photograph(file_of(Image.fromarray(pixels))).values())[-1]
        for pixels in (sheet, sheet.astype(np.uint16) * 257)
    )
    assert np.array_equal(ink, deep_ink)


@pytest.mark.parametrize("ink", ["#00005a", "white"])
def test_a_drawing_on_nothing_is_on_paper_of_another_colour(ink):
    image = Image.new("RGBA", (100, 100))
    ImageDraw.Draw(image).line([(50, 20), (50, 80)], fill=ink, width=8)
    X = preprocessing.as_mnist(list(preprocessing.ink_of_photograph(file_of(image)).values())[-1])
    assert X[0, 0, 6:22, 13:15].min() > 0.5 and X[0, 0, :, :11].max() == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as a picture"),
        (b"%PDF-1.7 and so on", "cannot be read as a picture"),
        (file_of(Image.new("L", (300, 300), 255))[:-60], "cannot be read as a picture"),
        (file_of(Image.new("L", (300, 300), 255)), "no ink"),
        (file_of(Image.new("L", (1, 1))), "no ink"),
        (file_of(photographed(Image.new("L", (300, 400), 255), 1)), "no ink"),
        (file_of(Image.effect_noise((300, 300), 60)), "no ink"),
    ],
)
def test_a_picture_that_cannot_be_read_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        preprocessing.ink_of_photograph(content)


@pytest.fixture
def draw_with(digits_net, trained):
    """A drawing explorer, and a function that draws in its field."""
    readers = {"digits": (digits_net, lenet.DIGITS), "clothes": (trained, lenet.FASHION_LABELS)}
    explorer = drawing.DrawingExplorer(readers)

    def draw(*places):
        (x, y), *others = places
        click(explorer, "field", x / 280, y / 280)
        for x, y in others:
            explorer.view.move(x, drawing.TOP + y)
        explorer.view.release()

    return explorer, draw


SEVEN = (80, 60), (200, 60), (120, 240)


def test_the_drawing_explorer_reads_while_one_draws(draw_with):
    explorer, draw = draw_with
    explorer.clear.click()
    assert "nothing drawn yet" in svg_of(explorer) and "%" not in svg_of(explorer)
    draw(*SEVEN)
    assert "reads 7" in svg_of(explorer) and "reads 7" in explorer.describe()
    explorer.view.move(10, drawing.TOP + 10)  # the button is up
    assert explorer.ink.getpixel((10, 10)) == 0
    seven = explorer.image
    explorer.left.click()
    assert not torch.equal(explorer.image, seven)
    explorer.clear.click()
    draw((140, 40), (142, 240))
    assert "reads 1" in svg_of(explorer)
    explorer.tool.value = True  # the eraser
    explorer.width.value = 60
    draw((140, 20), (142, 260))
    assert "nothing drawn yet" in svg_of(explorer)
    explorer.tool.value = False
    explorer.view.arrow(0, 1)
    assert explorer.image.any()
    explorer.kind.value = "clothes"
    explorer.start.value = lenet.FASHION_LABELS.index("trouser")
    assert "reads trouser" in svg_of(explorer)


def test_the_first_stroke_clears_a_test_image(draw_with):
    explorer, draw = draw_with
    explorer.start.value = 3
    assert "reads 3" in svg_of(explorer)
    draw(*SEVEN)
    assert "reads 7" in svg_of(explorer) and explorer.start.value == -1
    draw((40, 150), (60, 150))  # the second stroke clears nothing
    assert explorer.ink.getpixel((140, 60)) == explorer.ink.getpixel((50, 150)) == 255
    explorer.start.value = 3
    three = np.asarray(explorer.ink) > 0
    explorer.tool.value = True
    draw((140, 140))  # the eraser takes away a part
    left = np.asarray(explorer.ink) > 0
    assert 0.5 * three.sum() < left.sum() < three.sum()
    explorer.tool.value = False
    draw((20, 20), (40, 20))  # what the eraser has left is the reader's own now
    assert (np.asarray(explorer.ink) > 0).sum() > left.sum()


def test_a_shoe_is_given_a_digit_all_the_same(draw_with, images):
    explorer, draw = draw_with
    explorer.start.value = 10  # none of these
    small = np.asarray(explorer.ink.resize((28, 28), Image.Resampling.BOX)).astype(int)
    assert np.abs(small - images.images[0].numpy()).mean() < 10
    svg = svg_of(explorer)
    assert "reads 4" in svg and "none for “none of these”" in svg
    assert f'fill="{pieces.MARK}"' in svg and f'fill="{pieces.GREEN}"' not in svg
    draw(*SEVEN)
    assert "reads 7" in svg_of(explorer) and f'fill="{pieces.GREEN}"' in svg_of(explorer)


def test_rotating_cuts_no_ink_off():
    """A frame round the whole field stays closed: what is inside it nowhere reaches the edge."""
    ink = drawing.empty_field()
    ImageDraw.Draw(ink).rectangle((2, 2, 277, 277), outline=255, width=8)
    for _ in range(6):
        ink = drawing.rotated(ink, 15)
        filled = ink.point(lambda level: 255 if level > 60 else 0)
        ImageDraw.floodfill(filled, (140, 140), 100)
        inside = np.asarray(filled) == 100
        assert inside.sum() > 20000
        assert not any(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_a_photograph_is_read_step_by_step(draw_with):
    explorer, draw = draw_with
    mnist = lenet.load_images("MNIST", train=False)
    photograph = file_of(photographed(on_paper(mnist.images[0]), 0))
    upload(explorer, photograph)
    assert "reads 7" in svg_of(explorer) and explorer.start.value == -1
    steps = preprocessing.ink_of_photograph(photograph)
    assert all(f"{i}. {step}" in svg_of(explorer) for i, step in enumerate(steps, start=1))
    upload(explorer, b"no picture")
    assert "this file cannot be read as a picture" in svg_of(explorer)
    assert "reads" not in svg_of(explorer)
    upload(explorer, photograph)
    draw((140, 40), (142, 240))  # in an empty field again
    assert "reads 1" in svg_of(explorer) and "cannot" not in svg_of(explorer)


@pytest.mark.parametrize("readers", [{}, [1, 2], None, "digits"])
def test_readers_that_are_none_are_refused(readers):
    with pytest.raises(ValueError, match="readers must be a dict such as"):
        drawing.DrawingExplorer(readers)


def test_readers_of_another_kind_are_refused(trained):
    for reader in (trained, (trained,), [trained, lenet.DIGITS, 1]):
        with pytest.raises(ValueError, match="a network and its labels"):
            drawing.DrawingExplorer({"digits": reader})
    with pytest.raises(ValueError, match="net must be a network, it is of type str"):
        drawing.DrawingExplorer({"digits": ("LeNet", lenet.DIGITS)})
    with pytest.raises(ValueError, match="labels must be ten texts"):
        drawing.DrawingExplorer({"digits": (trained, range(10))})
    with pytest.raises(ValueError, match="digits or clothes, not 'letters'"):
        drawing.DrawingExplorer({"letters": (trained, lenet.DIGITS)})
    with pytest.raises(ValueError, match="10 classes, these are 9"):
        drawing.DrawingExplorer({"digits": (trained, lenet.DIGITS[1:])})


# ---------------------------------------------------------------------------- distortion


def test_shifts_and_quarter_turns_are_exact(images):
    X, _ = images[list(range(20))]
    assert torch.equal(distortion.distort(X), X)
    right = distortion.distort(X, right=3)
    assert torch.allclose(right[..., 3:], X[..., :-3], atol=1e-5)
    assert right[..., :3].max() < 1e-5
    down = distortion.distort(X, down=-2)
    assert torch.allclose(down[..., :-2, :], X[..., 2:, :], atol=1e-5)
    rotated = distortion.distort(X, rotation=90)
    assert torch.allclose(rotated, X.rot90(-1, (2, 3)), atol=1e-5)  # clockwise


def test_scale_blur_and_noise_do_what_they_say():
    X = torch.zeros(1, 1, 28, 28)
    X[..., 10:18, 10:18] = 1
    assert distortion.distort(X, scale=1.5).sum() == pytest.approx(64 * 1.5**2, rel=0.05)
    blurred = distortion.distort(X, blur=1.5)
    assert blurred.sum() == pytest.approx(64, rel=1e-4)  # light is spread, not lost
    place = torch.arange(28.0) - 13.5

    def variance(X):
        return (X[0, 0].sum(dim=0) * place**2).sum() / X.sum()

    assert (variance(blurred) - variance(X)).item() == pytest.approx(1.5**2, rel=0.03)
    grey = torch.full((50, 1, 28, 28), 0.5)
    noisy = distortion.distort(grey, noise=0.1)
    assert noisy.std().item() == pytest.approx(0.1, rel=0.02)
    assert torch.equal(noisy, distortion.distort(grey, noise=0.1))


KINDS = distortion.DISTORTIONS


@few
@given(st.fixed_dictionaries({k: st.floats(what.low, what.high) for k, what in KINDS.items()}))
def test_any_distortion_leaves_an_image(amounts):
    X = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    checks.batch(distortion.distort(X, **amounts))


def test_amounts_that_make_no_sense_are_refused(images):
    X, _ = images[[0]]
    for amounts in (dict(scale=0), dict(blur=-1), dict(noise=-0.1), dict(rotation=float("nan"))):
        with pytest.raises(ValueError, match=r"must be"):
            distortion.distort(X, **amounts)


def test_the_curves_are_measured_on_all_images_and_kept(trained, some, tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    few_images = lenet.ImageDataset(some.images[:100], some.labels[:100])
    explorer = distortion.DistortionExplorer(trained, few_images, lenet.FASHION_LABELS)
    assert "not measured yet" in svg_of(explorer)
    explorer.button.click()
    thread = explorer.thread
    explorer.button.click()  # it is being measured already
    assert explorer.thread is thread
    thread.join()
    assert "not measured yet" not in svg_of(explorer)
    assert explorer.button.description == "measure again (a minute)"
    X, y = few_images[list(range(100))]
    for kind in ("right", "blur"):
        assert {-2, -1, 1, 2} <= {amount for amount, _ in explorer.curves["right"]}
        for amount, accuracy in explorer.curves[kind]:
            y_hat = lenet.predict(trained, distortion.distort(X, **{kind: amount})).argmax(dim=1)
            assert accuracy == pytest.approx((y_hat == y).float().mean().item())
    # Kept for this network and these images, and for no other.
    kept = distortion.stored_curves(trained, few_images)
    assert kept == {k: list(map(list, curve)) for k, curve in explorer.curves.items()}
    assert distortion.stored_curves(lenet.make_lenet(), few_images) == {}
    assert distortion.stored_curves(trained, some) == {}
    # Another processor's rounding makes no other network of it, a step of training does.
    other = copy.deepcopy(trained)
    with torch.no_grad():
        for weights in other.parameters():
            weights += 1e-4
    assert distortion.stored_curves(other, few_images) == kept
    nn.functional.cross_entropy(other(X), y).backward()
    torch.optim.SGD(other.parameters(), lr=0.9).step()
    assert distortion.stored_curves(other, few_images) == {}
    distortion.measure_curves(other, few_images)  # beside the first one's, not in its place
    assert distortion.stored_curves(trained, few_images) == kept
    for damaged in ("{damaged", "3", "[3]", '[{"images": 1}]'):
        (tmp_path / distortion.FILE).write_text(damaged)
        assert distortion.stored_curves(trained, few_images) == {}


@pytest.mark.parametrize(
    ("dataset", "name"), [("FashionMNIST", "fashion_mnist.pt"), ("MNIST", "mnist.pt")]
)
def test_the_curves_that_come_with_the_course_are_those_of_its_weights(
    dataset, name, tmp_path, monkeypatch
):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    net, images = weights(lenet.make_lenet(), name), lenet.load_images(dataset, train=False)
    curves = distortion.stored_curves(net, images)
    assert curves, "results/distortion.json is older than the weights: make studies"
    for kind in ("rotation", "noise", "right"):
        amount, accuracy = curves[kind][2]
        measured = distortion.accuracy_at(net, images, **{kind: amount})
        assert accuracy == pytest.approx(measured, abs=0.002)


def test_without_a_folder_for_runs_it_goes_on_without_stored_curves(
    trained, twenty, tmp_path, monkeypatch
):
    (tmp_path / "runs").write_text("a file in the folder's place")
    monkeypatch.setenv("LENET_RUNS", str(tmp_path / "runs"))
    explorer = distortion.DistortionExplorer(trained, twenty, lenet.FASHION_LABELS)
    assert "not measured yet" in svg_of(explorer)
    explorer.button.click()
    explorer.thread.join()
    assert "cannot be written" in svg_of(explorer)
    explorer.reset.click()  # measured they are all the same, only not kept
    assert "not measured yet" not in svg_of(explorer)
    images = lenet.load_images("FashionMNIST", train=False)
    assert distortion.stored_curves(trained, images)  # those that come with the course


def test_a_network_that_is_no_number_is_not_measured(trained, twenty, tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    net = copy.deepcopy(trained)
    explorer = distortion.DistortionExplorer(net, twenty, lenet.FASHION_LABELS)
    net.load_state_dict(diverged().state_dict())
    explorer.button.click()
    explorer.thread.join()
    assert "weights are not finite numbers" in svg_of(explorer)
    assert not (tmp_path / distortion.FILE).exists()


def test_the_strip_is_green_where_the_prediction_is_correct():
    picture = Picture(20, pieces.WIDTH)
    distortion.draw_strip(picture, [1, 1, 7, 7, 7], 7, lenet.DIGITS, 0, 0)
    assert re.findall('fill="(#......)" stroke="none"', picture.svg()) == [
        pieces.MARK,
        pieces.GREEN,
    ]


def test_the_distortion_explorer_follows_its_controls(some, tmp_path, monkeypatch):
    monkeypatch.setenv("LENET_RUNS", str(tmp_path))
    net = weights(lenet.make_lenet(), "fashion_mnist.pt")
    explorer = distortion.DistortionExplorer(net, some, lenet.FASHION_LABELS)
    start = svg_of(explorer)
    assert "still trouser" in start
    for control in explorer.amounts.values():
        control.value += control.step * 3
        assert svg_of(explorer) != start
        explorer.reset.click()
        assert svg_of(explorer) == start
    explorer.amounts["rotation"].value = 90
    X, _ = some[[explorer.image.value]]
    before = lenet.predict(net, X).argmax().item()
    after = lenet.predict(net, distortion.distort(X, rotation=90)).argmax().item()
    assert before != after  # seen on the strip below the curve, too
    along = distortion.predictions_along(net, X, "rotation")
    assert (along[18], along[-1]) == (before, after)
    assert f"flips to {lenet.FASHION_LABELS[after]}" in svg_of(explorer)
    assert svg_of(explorer).count(f">{lenet.FASHION_LABELS[after]}<") > 1
    click(explorer, "rotation", 0.5, 0.5)
    assert explorer.amounts["rotation"].value == 0
    with torch.no_grad():  # trained on, the network predicts something else
        net[-1].bias[3] += 100
    explorer.refresh()
    assert "still dress" in svg_of(explorer)


# ---------------------------------------------------------------------------- shuffled pixels


def test_shuffling_partly():
    torch.manual_seed(0)
    X, permutation = torch.rand(2, 1, 28, 28), torch.randperm(784)
    wholly = X.flatten(1)[:, permutation].reshape(X.shape)
    assert shuffle.shuffle_partly(X, permutation, 1).equal(wholly)
    assert shuffle.shuffle_partly(X, permutation, 0).equal(X)
    half = shuffle.shuffle_partly(X, permutation, 0.5)
    assert half.flatten(1).sort().values.equal(X.flatten(1).sort().values)
    assert 0.2 < (half != X).float().mean() < 0.5


def test_the_first_guess_counts(some):
    torch.manual_seed(0)
    nets, permutation = {"LeNet": lenet.make_lenet()}, torch.randperm(784)
    explorer = shuffle.ShuffleExplorer(nets, some, permutation, lenet.FASHION_LABELS)
    assert "100 % of its pixels" in explorer.describe()
    target = explorer.target
    explorer._click(target, 0.5, 0.5)
    explorer._click((target + 1) % 10, 0.5, 0.5)
    assert explorer.guess.value == target and explorer.scores[0]["you"]
    explorer.guess.value = None
    assert explorer.guess.value == target and len(explorer.scores) == 1
    assert "you 1" in explorer.score.value and lenet.FASHION_LABELS[target] in explorer.describe()
    assert "it is this" in svg_of(explorer)
    explorer.next.click()
    assert explorer.guess.value is None and explorer.guessed is None
    explorer.guess.value = (explorer.target + 1) % 10
    assert "right of 2: you 1" in explorer.score.value


def test_a_network_guesses_from_the_whole_shuffling(some):
    torch.manual_seed(0)
    net, permutation = lenet.make_lenet(nn.Tanh), torch.randperm(784)
    explorer = shuffle.ShuffleExplorer({"LeNet": net}, some, permutation, lenet.FASHION_LABELS)
    shuffled = shuffle.shuffle_partly(explorer.X, permutation, 1)
    before = svg_of(explorer)
    explorer.shuffled.value = 0
    assert svg_of(explorer) != before
    assert explorer.predicted == {"LeNet": lenet.predict(net, shuffled).argmax().item()}


@pytest.mark.parametrize(
    ("permutation", "message"),
    [
        (torch.arange(10), r"it is torch.int64 \(10,\)"),
        (torch.zeros(784, dtype=torch.int64), "some are missing"),
        (torch.randperm(784) + 1, "some are missing"),
        (torch.randperm(784).float(), r"it is torch.float32 \(784,\)"),
        (list(range(784)), "it is of type list"),
        (None, "it is of type NoneType"),
    ],
)
def test_what_is_no_permutation_is_refused(some, permutation, message):
    with pytest.raises(ValueError, match=r"permutation must be int64 \(784,\).*" + message):
        shuffle.ShuffleExplorer({}, some, permutation, lenet.FASHION_LABELS)


def test_a_diverged_network_makes_no_guess(some):
    nets = {"MLP": diverged(), "LeNet": lenet.make_lenet()}
    permutation = torch.arange(784)
    explorer = shuffle.ShuffleExplorer(nets, some, permutation, lenet.FASHION_LABELS)
    while explorer.target:  # until the image is a t-shirt, class 0
        explorer.guess.value = 0
        explorer.next.click()
    explorer.guess.value = 0
    assert explorer.predicted["MLP"] is None and not explorer.scores[-1]["MLP"]
    assert "no prediction by MLP" in svg_of(explorer) and "said by you and MLP" not in svg_of(
        explorer
    )
    assert "MLP no prediction: the logits are not finite numbers, LeNet " in explorer.describe()


# ---------------------------------------------------------------------------- trust


def test_fgsm_raises_the_loss_and_leaves_the_network_alone():
    torch.manual_seed(0)
    net = lenet.make_lenet(nn.Tanh).train()
    X, y = torch.rand(8, 1, 28, 28), torch.arange(8)
    attacked = trust.fgsm(net, X, y, 0.1)
    loss = nn.functional.cross_entropy
    assert loss(net(attacked), y) > loss(net(X), y)
    assert (attacked - X).abs().max() <= 0.1 + 1e-6
    assert attacked.min() >= 0 and attacked.max() <= 1
    assert net.training and all(p.grad is None for p in net.parameters())


def test_the_occlusion_map_of_a_network_that_looks_at_one_pixel():
    class OnePixel(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(10))

        def forward(self, X):
            return nn.functional.pad(10 * X[:, 0, 20, 3, None], (0, 9)) + self.weight

    X = torch.zeros(1, 1, 28, 28)
    X[..., 20, 3] = 1
    shades = trust.occlusion_map(OnePixel(), X, size=3)
    covers = shades < shades.max() - 0.01
    assert covers.nonzero().tolist() == [[r, c] for r in (19, 20, 21) for c in (2, 3, 4)]


def test_the_temperature_is_that_of_the_logits():
    torch.manual_seed(0)
    logits = torch.randn(10)
    found = trust.scaled(logits.softmax(dim=0), 2.5)
    assert torch.allclose(found, (logits / 2.5).softmax(dim=0), atol=1e-6)


def test_the_trust_explorer_follows_clicks_and_arrows(some):
    torch.manual_seed(0)
    explorer = trust.TrustExplorer(lenet.make_lenet(nn.Tanh), some, lenet.FASHION_LABELS)
    explorer._click("place", 0.0, 0.99)
    assert explorer.place == (27, 0)
    explorer._arrow(-1, -1)
    assert explorer.place == (26, 0)
    covered, *_ = explorer.look()
    assert (covered[0, 0, 26, :4] == 0.5).all()
    x, y = trust.SIDE + trust.GAP, trust.TOP + 26 * trust.SCALE  # of the place, in the map
    assert f'<rect x="{x:.1f}" y="{y:.1f}" width="8.0" height="8.0"' in svg_of(explorer)
    explorer.epsilon.value = 0.1
    explorer.size.value = 0
    attacked, *_ = explorer.look()
    assert 0 < (attacked - some[[0]][0]).abs().max() <= 0.1 + 1e-6
    assert "an attack of 0.10" in explorer.describe()
    explorer.temperature.value = 3.0
    explorer.undo.click()
    undone, _, prediction, _ = explorer.look()
    assert undone.equal(some[[0]][0])
    expected = lenet.predict(explorer.net, undone)[0]
    assert prediction.probabilities.allclose(expected, atol=1e-6)
