"""The checks of chapter 2, shape tracing."""

import lenet_helpers as lenet

import math

import torch
from torch import nn

from .checking import (
    NotYet,
    brief,
    call,
    check,
    count_parameters,
    explain,
    read_function,
    read_layers,
    read_number,
    read_whole_number,
    run_network,
)


def _convolutional_part(padding=2):
    """A real LeNet up to and with Flatten."""
    layers = list(lenet.make_lenet())[1:8]
    layers[0] = nn.Conv2d(1, 6, kernel_size=5, padding=padding)
    return layers


def _values_of(layers, side):
    """How many values an image of `side` x `side` leaves after the layers."""
    X = torch.zeros(1, 1, side, side)
    for layer in layers:
        X = layer(X)
    return X[0].numel()


# ---------------------------------------------------------------------------- 2.1


@check("2.1")
def check_2_1(answer):
    """`answer`: how many values Flatten delivers for images of 64 x 64 pixels."""
    found = read_whole_number(answer)
    layers = _convolutional_part()
    expected, lenets = (_values_of(layers, side) for side in (64, 28))
    if found == expected:
        return (
            f"{expected}, nearly eight times {lenets}: the first dense layer alone would need "
            f"{expected} x 120 weights. Convolutions do not mind a larger image, dense layers do."
        )
    side = math.isqrt(expected // 16)
    mistakes = [
        (lenets, f"{lenets} is what 28 x 28 pixels leave. These are 64 x 64."),
        (
            _values_of(_convolutional_part(padding=0), 64),
            f"{found} is what comes out without padding. The first convolution still has it.",
        ),
        (
            16 * (side - 1) ** 2,
            "The second convolution has no padding and a kernel of 5: it takes 4 off, not more.",
        ),
        (side**2, "That is one map. How many channels has the second convolution?"),
        (side, "That is the side of one map; Flatten delivers all values of all maps."),
        (6 * side**2, "Six channels come from the first convolution; Flatten follows the second."),
        (_values_of(layers[:-2], 64), "Almost: the second pooling is still to come."),
        (_values_of(layers[:3], 64), "That is after the first pooling; two layers follow."),
        (lenets * 64 // 28, "In proportion to the side, you say; but a map has two sides."),
        (round(lenets * (64 / 28) ** 2), "In proportion to the area: nearly. But what the "
         "convolution takes off at the edge is the same for a large image as for a small one."),
        (64 * 64, "So many pixels go in. It is also 16 x 16 x 16: halved twice is right, but the "
         "second convolution takes 4 off as well."),
        (120, "That is what the first dense layer makes of them. How many does it get?"),
    ]  # fmt: skip
    explain(
        found,
        mistakes,
        f"{found} is too {'many' if found > expected else 'few'}. Go layer by layer, 64 -> ? -> "
        "...: what do a 5 x 5 kernel with padding 2, pooling, and one without padding do?",
    )


# ---------------------------------------------------------------------------- 2.2


@check("2.2")
def check_2_2(input_size):
    """`input_size`: a function of (n_out, kernel_size, padding, stride) with the smallest n_in."""
    read_function(input_size, "n_out", "kernel_size", "padding", "stride")
    cases = [(10, 5, 0, 1), (28, 5, 2, 1), (14, 2, 0, 2), (7, 3, 1, 2), (6, 5, 2, 3)]
    for n_out, kernel_size, padding, stride in cases:
        result = call(input_size, n_out, kernel_size, padding, stride)
        _compare_input_size(result, n_out, kernel_size, padding, stride)
    return (
        "Right, and checked by sending images through real layers: yours fit, one pixel less does "
        "not. Run it backwards through LeNet, without padding, and you have its receptive field."
    )


def _windows(n_in, kernel_size, padding, stride):
    """How many values a real layer makes of a row of n_in; 0 if the kernel does not fit."""
    layer = nn.Conv1d(1, 1, kernel_size, stride, padding)
    return layer(torch.zeros(1, 1, n_in)).shape[-1] if n_in + 2 * padding >= kernel_size else 0


def _compare_input_size(result, n_out, k, p, s):
    case = f"For {n_out} values out, kernel {k}, padding {p}, stride {s}"
    try:
        found = read_number(result)
    except NotYet as sentence:
        raise NotYet(f"{case}: {sentence}") from None
    right = next(n for n in range(1, 1000) if _windows(n, k, p, s) == n_out)
    if found == right and isinstance(result, float):
        raise NotYet(
            f"{case} you return {found}: right, but a float, which no layer takes as a size. There "
            "is nothing to divide here."
        )
    if found == right:
        return
    if found == _windows(n_out, k, p, s):
        raise NotYet(
            f"{case} you say {found:g}: that is the other direction, what comes *out* of {n_out}."
        )
    if p and found == right + 2 * p:
        raise NotYet(f"{case} you say {found:g}: the padding need not come from the image.")
    if p and found == right + p:
        raise NotYet(f"{case} you say {found:g}: did you count the padding on both sides?")
    if p and found == right + 4 * p:
        raise NotYet(
            f"{case} you say {found:g}: the padding makes the image that is needed smaller."
        )
    if s > 1 and found == right - (n_out - 1) * (s - 1):
        raise NotYet(f"{case} you say {found:g}: the windows lie {s} pixels apart, not 1.")
    if s > 1 and found == right + s:
        raise NotYet(
            f"{case} you say {found:g}: between {n_out} windows there are {n_out - 1} steps."
        )
    if s > 1 and found == right + s - 1:
        raise NotYet(
            f"{case} you say {found:g}: that many fit as well, but {right} pixels are enough."
        )
    if found == int(found) and 0 < found < 10**6:
        yields = _windows(int(found), k, p, s)
        raise NotYet(f"{case} you say {found:g}; but {found:g} pixels give {yields} values.")
    raise NotYet(f"{case} you say {found:g}, and no image has that size.")


# ---------------------------------------------------------------------------- 2.3


@check("2.3")
def check_2_3(repaired):
    """`repaired`: the network of the exercise with its three wrong numbers mended."""
    layers = read_layers(repaired)
    kinds = [type(layer).__name__ for layer in layers]
    if any("Lazy" in kind for kind in kinds):
        raise NotYet("A Lazy layer lets PyTorch find the number. Find it yourself, by tracing.")
    expected = [
        "Reshape", "Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU", "MaxPool2d",
        "Flatten", "Linear", "ReLU", "Linear",
    ]  # fmt: skip
    if kinds != expected:
        raise NotYet(_other_layers(kinds, expected))
    first, second = layers[1], layers[4]
    _keep("The first convolution", first, kernel_size=5, out_channels=6, padding=0)
    _keep("The first pooling", layers[3], kernel_size=2, stride=2)
    _keep("The second convolution", second, kernel_size=3, out_channels=12, padding=0)
    _keep("The second pooling", layers[6], kernel_size=3, stride=2)
    if layers[-1].out_features != 10:
        raise NotYet(f"The last layer gives {layers[-1].out_features} scores for 10 classes.")
    _flows(layers)
    return (
        f"It fits: {_journey(repaired)}. Three numbers were wrong, and each was given by what the "
        "layer before delivers."
    )


def _other_layers(found, expected):
    if len(found) != len(expected):
        return (
            f"The network of the exercise has {len(expected)} layers, yours has {len(found)}. "
            "Only numbers need mending."
        )
    i = next(i for i, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])
    return (
        f"Layer {i + 1} is a {found[i]} where the exercise has a {expected[i]}; only numbers need "
        "mending."
    )


def _keep(name, layer, **settings):
    """NotYet if a number was changed that was right."""
    for setting, value in settings.items():
        found = getattr(layer, setting)
        if found not in (value, (value, value)):
            raise NotYet(
                f"{name} has {setting} {brief(found)} where the exercise has {value}: that number "
                "was right. Mend the layer that reads from it."
            )


def _flows(layers):
    """NotYet at the first layer that does not fit, with what to look at there."""
    X = torch.zeros(1, 1, 28, 28)
    for i, layer in enumerate(layers):
        try:
            X = run_network(nn.Sequential(layer), X)
        except NotYet:
            raise NotYet(_misfit(i, layer, tuple(X.shape[1:]), layers)) from None


def _misfit(i, layer, shape, layers):
    found = " x ".join(map(str, shape))
    if isinstance(layer, nn.Conv2d):
        return (
            f"Layer {i + 1}, the second convolution, expects {layer.in_channels} channels and gets "
            f"maps of {found}: how many channels does the layer before deliver?"
        )
    if i == 10:
        return (
            f"The convolutions fit, and the first dense layer too. The last layer expects "
            f"{layer.in_features} values and gets {found}."
        )
    wanted = layer.in_features
    (channels, side, _) = _last_map(layers)
    if wanted == 16 * 5 * 5:
        return f"The convolutions fit. {wanted} = 16 x 5 x 5 is LeNet's number; trace this network."
    if wanted == channels * (side + 1) ** 2:
        return (
            f"The convolutions fit. {wanted} = {channels} x {side + 1} x {side + 1}: nearly; a "
            "window of 3 that moves on by 2 fits how often into the last map?"
        )
    if wanted == side * side:
        return f"The convolutions fit. {wanted} are the values of one map: how many maps are there?"
    return (
        f"The convolutions fit. The first dense layer expects {wanted} values an image; Flatten "
        "delivers channels x height x width of the last map: trace it."
    )


def _last_map(layers):
    X = torch.zeros(1, 1, 28, 28)
    for layer in layers[:7]:
        X = layer(X)
    return tuple(X.shape[1:])


def _journey(net):
    sizes = [
        "x".join(map(str, t.output_shape))
        for t in lenet.trace_shapes(net, torch.zeros(1, 1, 28, 28))
    ]
    return " -> ".join(dict.fromkeys(sizes))


# ---------------------------------------------------------------------------- 2.4


@check("2.4")
def check_2_4(features):
    """`features`: a convolutional part out of 3 x 3 kernels that can stand in for LeNet's."""
    layers = read_layers(features)
    lenets = nn.Sequential(*_convolutional_part()[:-1])
    goal = lenet.trace_shapes(lenets, torch.zeros(1, 1, 28, 28))[-1]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    if not convolutions:
        raise NotYet("There is no convolution in it.")
    for layer in convolutions:
        if layer.kernel_size != (3, 3):
            size = " x ".join(map(str, layer.kernel_size))
            raise NotYet(f"One of the kernels is {size}; all of them are to be 3 x 3.")
        if layer.dilation != (1, 1):
            raise NotYet("Dilation makes a 3 x 3 kernel larger than it is; leave it at 1.")
    if any(isinstance(layer, nn.Linear) for layer in layers):
        raise NotYet("Only the convolutional part is asked for: leave out the dense layers.")
    X = torch.rand(2, 1, 28, 28)
    found = tuple(run_network(features, X).shape[1:])
    if found != goal.output_shape:
        raise NotYet(_other_map(found, goal.output_shape))
    trace, parameters = lenet.trace_shapes(features, X), count_parameters(features)
    most = count_parameters(lenets)
    if trace[-1].receptive_field < goal.receptive_field:
        raise NotYet(
            f"It fits, but a value at its end sees {trace[-1].receptive_field} x "
            f"{trace[-1].receptive_field} pixels, where LeNet's sees {goal.receptive_field} x "
            f"{goal.receptive_field}. Every 3 x 3 kernel more adds to that."
        )
    if parameters >= most:
        raise NotYet(
            f"It fits and sees {trace[-1].receptive_field} pixels, but it has {parameters} "
            f"parameters; LeNet's part has {most}. Fewer channels in between?"
        )
    if not any(type(layer).__module__.endswith("activation") for layer in layers):
        raise NotYet(
            "All numbers fit. But without an activation between them, two convolutions in a row "
            "are no more than one."
        )
    return (
        f"{len(convolutions)} convolutions with {parameters} parameters see "
        f"{trace[-1].receptive_field} x {trace[-1].receptive_field} pixels; LeNet's two need "
        f"{most}. Small kernels, one after the other, are what came after LeNet (VGG, 2014)."
    )


def _other_map(found, goal):
    wanted, yours = " x ".join(map(str, goal)), " x ".join(map(str, found))
    if len(found) == 1:
        return f"It ends with {yours} values in a row: leave out Flatten, {wanted} is asked for."
    if found[1:] == goal[1:]:
        return f"Height and width are right. It ends with {found[0]} channels instead of {goal[0]}."
    if found[0] == goal[0] and found[1] > goal[1]:
        return (
            f"It ends with {yours} instead of {wanted}, too large: padding 1 keeps the size of a "
            "map, padding 0 takes 2 off, pooling halves it."
        )
    if found[0] == goal[0]:
        return (
            f"It ends with {yours} instead of {wanted}, too small: with padding 1 a 3 x 3 kernel "
            "keeps the size of a map."
        )
    return f"It ends with {yours}; {wanted} is asked for, as LeNet's convolutional part gives it."
