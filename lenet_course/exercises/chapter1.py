"""The checks of chapter 1, the network."""

import lenet_helpers as lenet

import copy
import itertools

import torch
import torch.nn.functional as F
from torch import nn

from .checking import (
    NotYet,
    call_without,
    check,
    count_parameters,
    explain,
    is_close,
    read_function,
    read_network,
    read_tensor,
    read_whole_number,
    run_network,
)

# ---------------------------------------------------------------------------- 1.1


def _parameters_with(channels):
    """Parameters of a LeNet with `channels` in its first convolution: first, second, all layers."""
    net = lenet.make_lenet()
    convolutions = [i for i, layer in enumerate(net) if isinstance(layer, nn.Conv2d)]
    first, second = convolutions
    net[first] = nn.Conv2d(1, channels, kernel_size=5, padding=2)
    net[second] = nn.Conv2d(channels, 16, kernel_size=5)
    net(torch.zeros(1, 1, 28, 28))  # it does fit together
    return count_parameters(net[first]), count_parameters(net[second]), count_parameters(net)


@check("1.1")
def check_1_1(answer):
    """`answer`: the number of parameters of a LeNet with twelve channels in its first layer."""
    found = read_whole_number(answer)
    (first, second, total), (new_first, new_second, new_total) = map(_parameters_with, (6, 12))
    if found == new_total:
        return (
            f"{new_total} it is, {new_total - total} more: the first convolution grows from "
            f"{first} to {new_first}, and the second, whose kernels are now twelve channels deep, "
            f"from {second} to {new_second}."
        )
    mistakes = [
        (total, f"{total} is LeNet as it is, with six channels in the first convolution."),
        (
            total + new_first - first,
            "The first convolution is counted rightly. But the second reads what it delivers: how "
            "deep are the second one's kernels now?",
        ),
        (
            total + new_second - second,
            "The second convolution is counted rightly, its kernels are twice as deep. The first "
            "one has twice as many kernels, too.",
        ),
        (
            new_total - 6,
            "You are 6 short: each of the six new kernels brings a bias of its own.",
        ),
        (
            new_total + 16,
            "You are 16 too many: the second convolution still has 16 kernels, and so 16 biases, "
            "however deep they are.",
        ),
        (
            2 * total,
            "Not everything doubles, only two layers change. What do the dense layers see of the "
            "first convolution's channels?",
        ),
        (new_first + new_second, "That is the two convolutions alone. The dense layers count too."),
        (
            new_total - total,
            "That is how many more it has. How many has it then, all together?",
        ),
    ]
    where = "too few" if found < new_total else "too many"
    explain(
        found,
        mistakes,
        f"{found} is {abs(found - new_total)} {where}. Take the {total} of LeNet, and change what "
        "changes: the layer that has more kernels, and the layer that reads them.",
    )


# ---------------------------------------------------------------------------- 1.2


@check("1.2")
def check_1_2(my_max_pool):
    """`my_max_pool`: a function of X (B, C, H, W) with what nn.MaxPool2d(2) makes of it."""
    read_function(my_max_pool, "X")
    X = torch.randn(2, 3, 6, 8)
    result = call_without(
        "max_pool",
        "That is PyTorch's own pooling at work. Build it: slices and a maximum are enough.",
        my_max_pool,
        X,
    )
    expected = F.max_pool2d(X, 2)
    found = read_tensor(result)
    if found.shape != expected.shape:
        raise NotYet(_pooled_shape(tuple(found.shape), tuple(X.shape), tuple(expected.shape)))
    if not is_close(found, expected):
        corners = [X[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
        mistakes = [
            (F.avg_pool2d(X, 2), "Those are the means of the windows: LeNet's own pooling."),
            (4 * F.avg_pool2d(X, 2), "Those are the sums of the windows, not their largest value."),
            (-F.max_pool2d(-X, 2), "Those are the smallest values of the windows."),
            (
                expected.clamp(min=0),
                "Right where the largest value is positive. Where all four are negative you get 0: "
                "start from the first value of the window, or from minus infinity.",
            ),
            (
                F.max_pool2d(X.abs(), 2),
                "Those are the largest absolute values: -3 is smaller than 1, not larger.",
            ),
            *[(corner, "That is one fixed value of every window.") for corner in corners],
            *[
                (torch.maximum(a, b), "Only two of the four values of a window are compared.")
                for a, b in itertools.combinations(corners, 2)
            ],
        ]
        wrong = ~torch.isclose(found, expected.double(), atol=1e-4)
        b, c, i, j = wrong.nonzero()[0].tolist()
        window = [
            round(v, 2) for v in X[b, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten().tolist()
        ]
        explain(
            found,
            mistakes,
            f"The shape is right, but not all values. Window ({i}, {j}) of image {b}, channel {c} "
            f"holds {window}, and your answer to it is {found[b, c, i, j]:.2f}.",
        )
    return (
        "Same shape and same values as `nn.MaxPool2d(2)`, negative ones included. It has nothing "
        "to learn, as average pooling has not."
    )


def _pooled_shape(found, X, expected):
    B, C, H, W = X
    meaning = {
        (B, C, H - 1, W - 1): "your windows move on by 1; with stride 2 they do not overlap",
        (B, C): "that is one value a channel; the maximum is taken in every 2 x 2 window",
        (B, C, 1, 1): "that is one value a channel; the maximum is taken in every 2 x 2 window",
        (B, H // 2, W // 2): "the channels are mixed; every channel is pooled by itself",
        (C, H // 2, W // 2): "the batch is gone; every image is pooled by itself",
        (H // 2, W // 2): "batch and channels are gone; every channel is pooled by itself",
        (B, C, H, W): "nothing became smaller; one value is to be left of every 2 x 2 window",
        (B, C, H // 2, W): "the height is halved; the width must be too",
        (B, C, H, W // 2): "the width is halved; the height must be too",
        (B, C, W // 2, H // 2): "height and width are swapped",
    }.get(found, "half the height and half the width are asked for, batch and channels as they are")
    return f"From {X} you make {found}, where {expected} is asked for: {meaning}."


# ---------------------------------------------------------------------------- 1.3


@check("1.3")
def check_1_3(my_conv):
    """`my_conv`: a function of X (C_in, H, W), K (C_out, C_in, k, k), b (C_out,) and padding."""
    read_function(my_conv, "X", "K", "b", "padding")
    for c_in, c_out, kernel, padding in [(1, 1, 3, 0), (1, 2, 5, 2), (3, 4, 3, 1)]:
        X = torch.randn(c_in, 9, 8)
        K, b = torch.randn(c_out, c_in, kernel, kernel), torch.randn(c_out)
        result = call_without(
            "conv",
            "That is PyTorch's own convolution at work. Build it: move a window, multiply, add up.",
            my_conv,
            X,
            K,
            b,
            padding,
        )
        _compare_convolution(read_tensor(result), X, K, b, padding)
    return (
        "Same shapes and same values as PyTorch's, for one channel and for several, with padding "
        "and without. This is all that LeNet's convolutions do."
    )


def _compare_convolution(found, X, K, b, padding):
    expected = F.conv2d(X[None], K, b, padding=padding)[0]
    if found.shape != expected.shape:
        raise NotYet(_convolved_shape(found.shape, X, K, padding))
    if is_close(found, expected):
        return
    centre = slice(padding, -padding) if padding else slice(None)
    case = f"With {len(X)} input channel{'s'[: len(X) > 1]} and padding {padding}: "
    # A convolution is linear in K and b, so that each mistake has a formula.
    without_bias = F.conv2d(X[None], K, padding=padding)[0]
    bias, products = b[:, None, None], K[0].numel()
    mistakes = [
        (without_bias, "the bias is missing."),
        (without_bias - bias, "the bias is subtracted; it is added."),
        (
            without_bias + products * bias,
            "the bias is added once for every product; it comes once, after the sum.",
        ),
        (
            without_bias + len(X) * bias,
            "the bias is added once for every input channel; it comes once, after the sum.",
        ),
        (without_bias + b[0], "every output channel has a bias of its own, and you add the first."),
        (
            F.conv2d(X[None], K.flip(2, 3), b, padding=padding)[0],
            "the kernel is flipped. That is a convolution as mathematics has it; in deep learning "
            "the kernel lies on the image as it is.",
        ),
        (
            F.conv2d(X[None], K.transpose(2, 3), b, padding=padding)[0],
            "the kernel's rows and columns are swapped.",
        ),
        (
            without_bias / products + bias,
            "that is the mean of the products; it is their sum.",
        ),
        (
            F.conv2d(X[None, :1], K[:, :1], b, padding=padding)[0],
            "only the first input channel counts; the sum runs over all of them.",
        ),
        (
            expected[:1].expand_as(expected),
            "all output channels are alike: each has its own kernel, `K[c]`.",
        ),
        (
            without_bias.clamp(min=0) + bias,
            "negative sums are cut off; that would be an activation.",
        ),
    ]
    for value, sentence in mistakes:
        if is_close(found, value):
            raise NotYet(case + sentence)
    if padding and is_close(found[:, centre, centre], expected[:, centre, centre]):
        raise NotYet(
            case + "right inside, but not along the edges: the padding is a frame of zeros, as "
            "wide on all four sides."
        )
    c, i, j = (~torch.isclose(found, expected.double(), atol=1e-4)).nonzero()[0].tolist()
    raise NotYet(
        f"{case}the shape is right, but not all values. Output channel {c} at row {i}, column {j} "
        f"should be {expected[c, i, j]:.3f}, and yours is {found[c, i, j]:.3f}."
    )


def _convolved_shape(found, X, K, padding):
    """What is wrong with a shape, as a sentence."""
    (c_in, H, W), (c_out, _, k, _) = X.shape, K.shape
    height, width = H + 2 * padding - k + 1, W + 2 * padding - k + 1
    asked = f"(C_out, H, W) = ({c_out}, {height}, {width}) is asked for"
    case = f"From an image {W} wide, with a kernel {k} wide and padding {padding}, "
    if len(found) != 3:
        return f"{case}you make a tensor of shape {tuple(found)}; {asked}."
    if found[0] != c_out:
        hint = " (the input channels are added up)" if found[0] == c_in else ""
        return f"{case}you make {found[0]} channels where K has kernels for {c_out}{hint}."
    if found[1:] == (width, height):
        return f"{case}you swap height and width: {asked}."
    yours = f"{case}your output is {found[2]} wide and {found[1]} high"
    if padding and found[2] == W + padding - k + 1:
        return f"{yours}: did you count the padding on both sides? {asked}."
    if padding and found[2] == W - k + 1:
        return f"{yours}: the padding is missing altogether; {asked}."
    if found[2] == width - 1:
        return f"{yours}, one too few: a window of {k} fits {k} - 1 times less often; {asked}."
    if found[2] == width + k - 1:
        return f"{yours}: near the edge your window hangs over; {asked}."
    return f"{yours}; {asked}."


# ---------------------------------------------------------------------------- 1.4


@check("1.4")
def check_1_4(net):
    """`net`: a small network in LeNet's manner."""
    for layer in read_network(net).modules():
        if isinstance(layer, nn.Flatten) and layer.start_dim == 0:
            raise NotYet(
                "`nn.Flatten(0)` flattens the batch too, and mixes its images; `nn.Flatten()` "
                "leaves the batch alone."
            )
    X = torch.rand(3, 1, 28, 28)
    y_hat, maps = _watch_convolutions(net, X)
    y_hat = read_tensor(y_hat, what="For three images your network returns")
    if y_hat.shape != (3, 10):
        raise NotYet(_scores_shape(tuple(y_hat.shape)))
    if len(maps) < 2:
        raise NotYet(
            f"It has {len(maps)} convolution{'s'[: len(maps) != 1]}; two at least make the "
            "pattern, channels up and size down, visible."
        )
    _check_pattern(maps)
    _check_scores(net, X, y_hat)
    parameters = count_parameters(net)
    allowed = count_parameters(lenet.make_lenet()) // 2
    if parameters > allowed:
        name, most = _largest_layer(net)
        raise NotYet(
            f"All fits together, but it has {parameters} parameters, {parameters - allowed} more "
            f"than half of LeNet's. Most of them, {most}, sit in {name}."
        )
    return (
        f"A network in LeNet's manner with {parameters} parameters; {allowed} are half of LeNet's. "
        f"Channels: "
        f"{' to '.join(str(m[0]) for m in maps)}. Train it in chapter 3."
    )


def _watch_convolutions(net, X):
    """The scores for X, and the shape (C, H, W) of what every convolution made on the way."""
    maps = []
    hooks = [
        layer.register_forward_hook(lambda _, __, output: maps.append(tuple(output.shape[1:])))
        for layer in net.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    try:
        return run_network(net, X), maps
    finally:
        for hook in hooks:
            hook.remove()


def _scores_shape(found):
    if found == (10,) or found == (1, 10) or (len(found) == 1 and found[0] % 10 == 0):
        return (
            f"Three images become {found}: somewhere the batch is lost. Every image gets ten "
            "scores of its own, (3, 10)."
        )
    if len(found) == 4:
        return f"The result is still a stack of maps, {found}: flatten it, and end with 10 scores."
    if len(found) == 2 and found[0] == 3:
        return f"Every image gets {found[1]} scores; there are 10 classes."
    return f"Three images become {found}; 10 scores an image, (3, 10), are asked for."


def _check_pattern(maps):
    channels, sides = [m[0] for m in maps], [m[-1] for m in maps]
    if channels != sorted(set(channels)):
        raise NotYet(
            f"Your convolutions have {', '.join(map(str, channels))} channels; in LeNet's manner "
            "they increase from one to the next."
        )
    if sides != sorted(set(sides), reverse=True):
        raise NotYet(
            f"Your maps are {', '.join(map(str, sides))} wide; in LeNet's manner height and width "
            "decrease. Pooling does it."
        )


def _check_scores(net, X, y_hat):
    if is_close(y_hat.sum(dim=1), torch.ones(3)) and (y_hat >= 0).all():
        raise NotYet(
            "The ten numbers add up to 1: there is a softmax at the end. Leave it out; the loss of "
            "chapter 3 takes scores and does it itself."
        )
    alone = torch.cat([run_network(net, x[None]) for x in X]).double().cpu()
    if not is_close(alone, y_hat, 1e-3):
        raise NotYet("An image gets other scores alone than in a batch: the images are mixed.")
    if _is_affine(net, X):
        raise NotYet(
            "There is no activation in it, so that all layers together are no more than a single "
            "linear one. Put one after every layer but the last."
        )


def _is_affine(net, X):
    """Whether the scores are a linear map of the pixels with an offset: no layer bends it."""
    # Twice the precision: of a new sigmoid network the scores hardly depend on the image.
    net, X = copy.deepcopy(net).double(), 10 * X.double()
    a, b, both, none = (run_network(net, x) for x in (X[:1], X[1:2], X[:1] + X[1:2], 0 * X[:1]))
    return ((a + b) - (both + none)).abs().max() <= 1e-6 * (a - none).abs().max()


def _largest_layer(net):
    layers = [
        (f"{type(m).__name__}{tuple(m.weight.shape[::-1])}", count_parameters(m))
        for m in net.modules()
        if isinstance(m, nn.Linear | nn.Conv2d)
    ]
    return max(layers, key=lambda layer: layer[1])
