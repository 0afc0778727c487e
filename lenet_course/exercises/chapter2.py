"""The checks of chapter 2, shape tracing."""

import lenet_helpers as lenet

import math

import torch
import torch.nn.functional as F
from torch import nn

from . import read
from .checking import NotYet, brief, check, compare
from .running import call, count_parameters, run_network


def _convolutional_part(padding=2):
    """A real LeNet from its first convolution to Flatten."""
    net = lenet.make_lenet()[1:8]
    net[0] = nn.Conv2d(1, 6, kernel_size=5, padding=padding)
    return net


def _values_of(layers, side):
    """How many values an image of `side` x `side` leaves after the layers."""
    return layers(torch.zeros(1, 1, side, side)).numel()


def _size(shape):
    return " x ".join(map(str, shape))


@check("2.1")
def check_2_1(answer_2_1: object) -> dict:
    """How many values Flatten delivers for images of 64 x 64 pixels."""
    found, layers = read.whole_number(answer_2_1), _convolutional_part()
    expected, lenets = (_values_of(layers, side) for side in (64, 28))
    side = math.isqrt(expected // 16)
    mistakes = {
        "28 pixels": lenets,
        "no padding": _values_of(_convolutional_part(padding=0), 64),
        "one map": side**2,
        "the side": side,
        "6 channels": 6 * side**2,
        "before pool 2": _values_of(layers[:-2], 64),
        "after pool 1": _values_of(layers[:3], 64),
        "by the side": lenets * 64 // 28,
        "by the area": round(lenets * (64 / 28) ** 2),
        "the pixels": 64 * 64,
        "dense 1": 120,
    }
    compare(found, expected, mistakes, lenets=lenets)
    return {"expected": expected, "lenets": lenets}


@check("2.2")
def check_2_2(input_size: object) -> None:
    """A function of (n_out, kernel_size, padding, stride) with the smallest n_in."""
    read.function(input_size, "n_out", "kernel_size", "padding", "stride")
    for case in [(10, 5, 0, 1), (28, 5, 2, 1), (14, 2, 0, 2), (7, 3, 1, 2), (6, 5, 2, 3)]:
        _compare_input_size(call(input_size, *case), *case)


def _windows(n_in, kernel_size, padding, stride):
    """How many values a real layer makes of a row of n_in; 0 if the kernel does not fit."""
    layer = nn.Conv1d(1, 1, kernel_size, stride, padding)
    return layer(torch.zeros(1, 1, n_in)).shape[-1] if n_in + 2 * padding >= kernel_size else 0


def _compare_input_size(result, n_out, k, p, s):
    case = f"For {n_out} values out, kernel {k}, padding {p}, stride {s}"
    found = read.number(result)
    right = next(n for n in range(1, 1000) if _windows(n, k, p, s) == n_out)
    if found == right and isinstance(result, float):
        raise NotYet("a float", case=case, found=found)
    mistakes = {
        "forwards": _windows(n_out, k, p, s),
        "no padding": right + 2 * p,
        "padding once": right + p,
        "padding added": right + 4 * p,
        "stride 1": right - (n_out - 1) * (s - 1),
        "a step too many": right + s,
        "not the smallest": right + s - 1,
    }
    is_a_size = found == int(found) and 0 < found < 10**6
    yields = _windows(int(found), k, p, s) if is_a_size else 0
    compare(
        found, right, mistakes, "other size" if is_a_size else "no size",
        case=case, n_out=n_out, stride=s, steps=n_out - 1, right=right, values=yields,
    )  # fmt: skip


LAYERS = ["Reshape", "Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU", "MaxPool2d"]
LAYERS += ["Flatten", "Linear", "ReLU", "Linear"]


@check("2.3")
def check_2_3(repaired: object) -> dict:
    """The network of the exercise with its three wrong numbers mended."""
    names = [type(layer).__name__ for layer in read.network(repaired, nn.Sequential)]
    if any("Lazy" in name for name in names):
        raise NotYet("lazy")
    if len(names) != len(LAYERS):
        raise NotYet("other count", found=len(names), wanted=len(LAYERS))
    for number, (found, wanted) in enumerate(zip(names, LAYERS, strict=True), start=1):
        if found != wanted:
            raise NotYet("other layer", number=number, found=found, wanted=wanted)
    _keep("The first convolution", repaired[1], kernel_size=5, out_channels=6, padding=0)
    _keep("The first pooling", repaired[3], kernel_size=2, stride=2)
    _keep("The second convolution", repaired[4], kernel_size=3, out_channels=12, padding=0)
    _keep("The second pooling", repaired[6], kernel_size=3, stride=2)
    if repaired[-1].out_features != 10:
        raise NotYet("other classes", found=repaired[-1].out_features)
    X, sizes = torch.zeros(1, 1, 28, 28), []
    for number, layer in enumerate(repaired, start=1):
        before = X.shape[1:]
        try:
            X = run_network(nn.Sequential(layer), X)
        except NotYet:
            _explain_misfit(number, layer, before, repaired)
        sizes.append(_size(X.shape[1:]).replace(" ", ""))
    return {"sizes": " -> ".join(dict.fromkeys(sizes))}


def _keep(name, layer, **settings):
    """NotYet if a number was changed that was right."""
    for setting, wanted in settings.items():
        found = getattr(layer, setting)
        if found not in (wanted, (wanted, wanted)):
            values = {"setting": setting, "found": brief(found), "wanted": wanted}
            raise NotYet("right number changed", name=name, **values)


def _explain_misfit(number, layer, found, net):
    """NotYet, with what to look at in a layer that cannot take what the one before delivers."""
    if isinstance(layer, nn.Conv2d):
        raise NotYet("conv 2", number=number, wanted=layer.in_channels, found=_size(found))
    wanted = layer.in_features
    if number == len(LAYERS):
        raise NotYet("last layer", wanted=wanted, found=_size(found))
    channels, side, _ = net[:7](torch.zeros(1, 1, 28, 28)).shape[1:]
    mistakes = {
        "LeNet's number": 16 * 5 * 5,
        "rounded up": channels * (side + 1) ** 2,
        "one map": side * side,
    }
    compare(wanted, None, mistakes, "dense 1", wanted=wanted, channels=channels, nearly=side + 1)


@check("2.4")
def check_2_4(answer_2_4: object) -> dict:
    """By how many pixels an image must move, at least, for the last maps to be the same, moved."""
    found, layers = read.whole_number(answer_2_4), _convolutional_part().double()
    conv_1, pooling_1, right = (_first_equal_move(layers[:end]) for end in (1, 3, 6))
    mistakes = {
        "conv 1": conv_1,
        "pool 1": pooling_1,
        "the kernel": 5,
        "the receptive field": 16,
        "not the smallest": [2 * right, 3 * right],
    }
    compare(found, right, mistakes)
    return {"right": right}


def _first_equal_move(layers):
    """The smallest move of a spot, in pixels, that only moves what the layers make of it."""
    spot = torch.rand(1, 1, 6, 6, dtype=torch.float64)
    image = F.pad(spot, (6, 16, 11, 11))  # on black, away from the edges
    before = layers(image)
    for move in range(1, 9):
        after = layers(image.roll(move, dims=3))
        if any(
            torch.allclose(after[..., steps:], before[..., :-steps]) for steps in range(1, move + 1)
        ):
            return move


@check("2.5")
def check_2_5(features: object) -> dict:
    """A convolutional part out of 3 x 3 kernels that can stand in for LeNet's."""
    parts = list(read.network(features, nn.Sequential).modules())
    convolutions = _small_kernels(parts)
    X, lenets = torch.rand(2, 1, 28, 28), _convolutional_part()[:-1]
    goal = lenet.trace_shapes(lenets, X)[-1]
    maps = read.tensor(run_network(features, X), what="For two images your network returns")
    _compare_maps(tuple(maps.shape[1:]), goal.output_shape)
    trace = lenet.trace_shapes(features, X)
    seen = trace[-1].receptive_field
    if seen is None:
        raise NotYet("unknown field", name=next(t.layer for t in trace if not t.receptive_field))
    parameters, most = count_parameters(features), count_parameters(lenets)
    if seen < goal.receptive_field:
        raise NotYet("sees too little", seen=seen, goal=goal.receptive_field)
    if parameters >= most:
        raise NotYet("too many parameters", seen=seen, parameters=parameters, most=most)
    if not any(type(part).__module__.endswith("activation") for part in parts):
        raise NotYet("no activation")
    return {"count": len(convolutions), "parameters": parameters, "seen": seen, "most": most}


def _small_kernels(parts):
    """The convolutions; NotYet if there are none, or other layers than are asked for."""
    convolutions = [part for part in parts if isinstance(part, nn.Conv2d)]
    if not convolutions:
        raise NotYet("no convolution")
    for layer in convolutions:
        if layer.kernel_size != (3, 3):
            raise NotYet("other kernel", size=_size(layer.kernel_size))
        if layer.dilation != (1, 1):
            raise NotYet("dilation")
    if any(isinstance(part, nn.Linear) for part in parts):
        raise NotYet("dense")
    return convolutions


def _compare_maps(found, goal):
    if found == goal:
        return
    sizes = {"yours": _size(found), "wanted": _size(goal)}
    if len(found) == 1:
        raise NotYet("flat", **sizes)
    if found[1:] == goal[1:]:
        raise NotYet("other channels", found=found[0], goal=goal[0])
    if found[0] == goal[0]:
        raise NotYet("too large" if found[1] > goal[1] else "too small", **sizes)
    raise NotYet("other shape", **sizes)
