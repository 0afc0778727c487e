"""The checks of chapter 1, the network."""

import lenet_helpers as lenet

import copy
import itertools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from . import read
from .checking import NotYet, check, compare, first_difference, is_close
from .running import call, count_parameters, run_network


def _parameters_with(channels):
    """Parameters of a LeNet with `channels` in its first convolution: first, second, all layers."""
    net = lenet.make_lenet()
    net[1] = nn.Conv2d(1, channels, kernel_size=5, padding=2)
    net[4] = nn.Conv2d(channels, 16, kernel_size=5)
    net(torch.zeros(1, 1, 28, 28))  # it does fit together
    return count_parameters(net[1]), count_parameters(net[4]), count_parameters(net)


@check("1.1")
def check_1_1(answer_1_1: object) -> dict:
    """The number of parameters of a LeNet with twelve channels in its first layer."""
    found = read.whole_number(answer_1_1)
    (first, second, total), (new_first, new_second, new_total) = map(_parameters_with, (6, 12))
    mistakes = {
        "as it was": total,
        "second not deeper": total + new_first - first,
        "first not wider": total + new_second - second,
        "biases of the new kernels": new_total - 6,
        "biases per channel": new_total + 16,
        "everything doubled": 2 * total,
        "convolutions alone": new_first + new_second,
        "the difference": new_total - total,
    }
    compare(found, new_total, mistakes, total=total)
    return {
        "first": first, "second": second, "new_first": new_first, "new_second": new_second,
        "new_total": new_total, "more": new_total - total,
    }  # fmt: skip


@check("1.2")
def check_1_2(my_max_pool: object) -> None:
    """A function of X (B, C, H, W) with what nn.MaxPool2d(2) makes of it."""
    read.function(my_max_pool, "X")
    X = torch.randn(2, 3, 6, 8)
    found, expected = read.tensor(call(my_max_pool, X, without="max_pool")), F.max_pool2d(X, 2)
    shape, wanted = tuple(found.shape), tuple(expected.shape)
    case = f"From {tuple(X.shape)} you make {shape}, where {wanted} is asked for: "
    compare(shape, wanted, _pooled_shapes(*X.shape), "other shape", case=case)
    if not is_close(found, expected):
        b, c, i, j = place = first_difference(found, expected)
        window = X[b, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten().tolist()
        compare(
            found, expected, _pooling_mistakes(X),
            image=b, channel=c, i=i, j=j, value=found[place], window=[round(v, 2) for v in window],
        )  # fmt: skip


def _pooled_shapes(B, C, H, W):
    h, w = H // 2, W // 2
    return {
        "stride 1": (B, C, H - 1, W - 1),
        "a value per channel": [(B, C), (B, C, 1, 1)],
        "no dim": (),
        "rows or columns": [(B, C, H), (B, C, W)],
        "channels mixed": [(B, h, w), (B, H, W)],
        "batch gone": [(C, h, w), (C, H, W)],
        "batch and channels gone": (h, w),
        "nothing smaller": (B, C, H, W),
        "height only": (B, C, h, W),
        "width only": (B, C, H, w),
        "swapped": (B, C, w, h),
    }


def _pooling_mistakes(X):
    corners = [X[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return {
        "mean": F.avg_pool2d(X, 2),
        "sum": 4 * F.avg_pool2d(X, 2),
        "smallest": -F.max_pool2d(-X, 2),
        "begun at 0": F.max_pool2d(X, 2).clamp(min=0),
        "absolute": F.max_pool2d(X.abs(), 2),
        "one place": corners,
        "two of four": [torch.maximum(a, b) for a, b in itertools.combinations(corners, 2)],
    }


@check("1.3")
def check_1_3(my_conv: object) -> None:
    """A function of X (C_in, H, W), K (C_out, C_in, k, k), b (C_out,) and padding."""
    read.function(my_conv, "X", "K", "b", "padding")
    for c_in, c_out, k, padding in [(1, 1, 3, 0), (1, 2, 5, 2), (3, 4, 3, 1)]:
        X, K, b = torch.randn(c_in, 9, 8), torch.randn(c_out, c_in, k, k), torch.randn(c_out)
        try:
            found = read.tensor(call(my_conv, X, K, b, padding, without="conv"))
        except NotYet:
            if padding == 0:
                _runs_with_padding(my_conv, X, K, b)
            raise
        _compare_convolution(found, X, K, b, padding)


def _runs_with_padding(my_conv, X, K, b):
    """NotYet if the function, which has failed without padding, runs with it."""
    try:
        read.tensor(call(my_conv, X, K, b, 1, without="conv"))
    except NotYet:
        return
    raise NotYet("padding 0 alone")


def _compare_convolution(found, X, K, b, padding):
    expected = F.conv2d(X[None], K, b, padding=padding)[0]
    if found.shape != expected.shape:
        _explain_shape(tuple(found.shape), tuple(expected.shape), X, K, padding)
    case = f"With {len(X)} input channel{'s'[: len(X) > 1]} and padding {padding}: "
    if is_close(found, expected):
        return
    place = first_difference(found, expected)
    inside = (slice(None), *2 * [slice(padding, -padding or None)])
    otherwise = "right inside" if is_close(found[inside], expected[inside]) else "otherwise"
    values = dict(zip(("channel", "i", "j"), place, strict=True), wanted=expected[place], case=case)
    mistakes = _convolution_mistakes(X, K, b, padding)
    compare(found, expected, mistakes, otherwise, yours=found[place], **values)


def _convolution_mistakes(X, K, b, padding):
    """A convolution is linear in K and b, so that each mistake has a formula."""

    def conv(X, K, b=None):
        return F.conv2d(X[None], K, b, padding=padding)[0]

    sums, bias, products = conv(X, K), b[:, None, None], K[0].numel()
    in_the_corner = F.pad(X, (0, 2 * padding, 0, 2 * padding))
    repeated = F.pad(X[None], 4 * (padding,), mode="replicate")[0]
    return {
        "no bias": sums,
        "bias subtracted": sums - bias,
        "bias per product": sums + products * bias,
        "bias per channel": sums + len(X) * bias,
        "first bias": sums + b[0],
        "flipped": conv(X, K.flip(2, 3), b),
        "transposed": conv(X, K.transpose(2, 3), b),
        "mean": sums / products + bias,
        "first channel": conv(X[:1], K[:, :1], b),
        "sum of all": sums.sum(dim=0) + bias,
        "one kernel": (sums + bias)[:1].expand_as(sums),
        "cut off": sums.clamp(min=0) + bias,
        "in the corner": F.conv2d(in_the_corner[None], K, b)[0],
        "edge repeated": F.conv2d(repeated[None], K, b)[0],
    }


def _explain_shape(found, wanted, X, K, padding):
    W, k, (c_out, height, width) = X.shape[2], K.shape[-1], wanted
    case = f"From an image {W} wide, with a kernel {k} wide and padding {padding}, "
    if len(found) != 3:
        raise NotYet("no dim", case=case, found=found, wanted=wanted)
    if found[0] != c_out:
        hint = " (the input channels are added up)" if found[0] == len(X) else ""
        raise NotYet("other channels", case=case, channels=found[0], c_out=c_out, hint=hint)
    if found[1:] == (width, height):
        raise NotYet("swapped", case=case, wanted=wanted)
    mistakes = {
        "padding once": W + padding - k + 1 if padding else -1,
        "no padding": W - k + 1 if padding else -1,
        "one too few": width - 1,
        "over the edge": width + k - 1,
    }
    values = {"width": found[2], "height": found[1], "wanted": wanted, "k": k, "case": case}
    compare(found[2], None, mistakes, "other size", **values)


@check("1.4")
def check_1_4(small_net: object) -> dict:
    """A small network in LeNet's manner."""
    for layer in read.network(small_net).modules():
        if isinstance(layer, nn.Flatten) and layer.start_dim == 0:
            raise NotYet("batch flattened")
    X = torch.rand(3, 1, 28, 28)
    y_hat, maps = _watch_convolutions(small_net, X)
    y_hat = read.tensor(y_hat, what="For three images your network returns")
    if y_hat.shape != (3, 10):
        _explain_logits(tuple(y_hat.shape))
    _check_pattern(maps)
    _check_logits(small_net, X, y_hat)
    parameters = count_parameters(small_net)
    allowed = count_parameters(lenet.make_lenet()) // 2
    if parameters > allowed:
        layers = [m for m in small_net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        largest = max(layers, key=count_parameters)
        name = f"{type(largest).__name__}{tuple(largest.weight.shape[::-1])}"
        values = {"over": parameters - allowed, "name": name, "most": count_parameters(largest)}
        raise NotYet("too large", parameters=parameters, **values)
    channels = " to ".join(str(shape[0]) for shape in maps)
    return {"parameters": parameters, "allowed": allowed, "channels": channels}


def _watch_convolutions(net, X):
    """The logits for X, and the shape (C, H, W) of what every convolution made on the way."""
    maps = []

    def note(layer, _, output):
        if isinstance(layer, nn.Conv2d):
            maps.append(tuple(output.shape[1:]))

    hook = register_module_forward_hook(note)
    try:
        return run_network(net, X), maps
    finally:
        hook.remove()


def _explain_logits(found):
    if found == (1, 10) or (len(found) == 1 and found[0] % 10 == 0):
        raise NotYet("batch lost", found=found)
    if len(found) == 4:
        raise NotYet("no Flatten", found=found)
    if len(found) == 2 and found[0] == 3:
        raise NotYet("other classes", classes=found[1])
    raise NotYet("other shape", found=found)


def _check_pattern(maps):
    channels, sizes = [shape[0] for shape in maps], [shape[-1] for shape in maps]
    if len(maps) < 2:
        raise NotYet("too few convolutions", count=len(maps), s="s"[: len(maps) != 1])
    if channels != sorted(set(channels)):
        raise NotYet("channels", channels=", ".join(map(str, channels)))
    if sizes != sorted(set(sizes), reverse=True):
        raise NotYet("sizes", sizes=", ".join(map(str, sizes)))


def _check_logits(net, X, y_hat):
    if is_close(y_hat.sum(dim=1), torch.ones(3)) and (y_hat >= 0).all():
        raise NotYet("softmax")
    alone = torch.cat([run_network(net, x[None]) for x in X]).double().cpu()
    if not is_close(alone, y_hat, 1e-3):
        raise NotYet("images mixed")
    if _is_affine(net, X):
        raise NotYet("no activation")


def _is_affine(net, X):
    """Whether the logits are a linear map of the pixels with an offset: no layer bends it."""
    # Twice the precision: of a new sigmoid network the logits hardly depend on the image.
    net, X = copy.deepcopy(net).double(), 10 * X.double()
    a, b, both, none = (run_network(net, x) for x in (X[:1], X[1:2], X[:1] + X[1:2], 0 * X[:1]))
    return ((a + b) - (both + none)).abs().max() <= 1e-6 * (a - none).abs().max()
