"""The checks of chapter 5, backpropagation."""

import lenet_helpers as lenet

import json

import torch
import torch.nn.functional as F
from torch import nn

from .checking import (
    NotYet,
    call_without,
    check,
    explain,
    is_close,
    load_images,
    read_choice,
    read_function,
    read_number,
    read_tensor,
)

LIBRARY = "backward|autograd|grad_fn"
LIBRARY_AT_WORK = "That is PyTorch's own backward pass at work. Build it: products and sums do."

# ---------------------------------------------------------------------------- 5.1


def _two_weights():
    """The gradients for w1 and w2, and the loss, of the network in exercise 5.1."""
    w1, w2 = (torch.tensor(value, requires_grad=True) for value in (2.0, 0.5))
    loss = (w2 * torch.relu(w1 * 3.0) - 1.0) ** 2
    loss.backward()
    return w1.grad.item(), w2.grad.item(), loss.item()


@check("5.1")
def check_5_1(answer):
    """`answer`: the gradient of the loss for w1, worked out by hand."""
    found, (right, of_w2, loss) = read_number(answer), _two_weights()
    if is_close(found, right, 1e-3):
        return f"{right:g}, as autograd has it: 2 · (3 − 1) · 0.5 · 1 · 3."
    explain(
        found,
        [
            (right / 2, "Almost: the slope of the square is missing, (o − t)² has 2 (o − t)."),
            (right / 3, "The last slope is missing: z = w1 · x has the slope x for w1."),
            (right / 0.5, "One slope is missing: o = w2 · h has the slope w2 for h."),
            (
                -right,
                "The size is right, the sign is not: a larger w1 makes o, and the loss, larger.",
            ),
            (of_w2, "That is the gradient for w2. The one for w1 goes two slopes further back."),
            (loss, "That is the loss itself, from the forward pass. Now back."),
        ],
        f"{found:g} is not it. Write down the four slopes, of the loss for o, of o for h, of h for "
        "z and of z for w1, and multiply them.",
    )


# ---------------------------------------------------------------------------- 5.2


@check("5.2")
def check_5_2(dense_backward):
    """`dense_backward`: from (X, W, delta) the gradients for the weight, the bias and X."""
    read_function(dense_backward, "X", "W", "delta")
    X, layer = torch.randn(6, 5, requires_grad=True), nn.Linear(5, 3)
    delta, W = torch.randn(6, 3), layer.weight.detach()
    layer(X).backward(delta)
    result = call_without(LIBRARY, LIBRARY_AT_WORK, dense_backward, X.detach(), W, delta)
    if not isinstance(result, tuple | list) or len(result) != 3:
        raise NotYet("Three gradients are asked for: `return dW, db, dX`.")
    wanted = {"dW": layer.weight.grad, "db": layer.bias.grad, "dX": X.grad}
    found = {}
    for (name, value), part in zip(wanted.items(), result, strict=True):
        found[name] = read_tensor(part, what=f"{name} has")
        if value.dim() == 2 and found[name].shape == value.T.shape != value.shape:
            raise NotYet(f"{name} is on its side: its shape is {tuple(value.T.shape)}, not "
                         f"{tuple(value.shape)}.")  # fmt: skip
        found[name] = read_tensor(part, value.shape, f"{name} has")
    mistakes = [
        ("dW", delta.T @ X.detach() / 6, "dW is a mean; backpropagation adds up over the images."),
        ("db", delta.mean(dim=0), "db is a mean; backpropagation adds up over the images."),
        (
            "db",
            X.detach().sum(dim=0)[:3],
            "db is made of X; a bias is added to every sum as it is.",
        ),
    ]
    for name, value in wanted.items():
        if not is_close(found[name], value):
            for which, wrong, sentence in mistakes:
                if which == name and is_close(found[name], wrong):
                    raise NotYet(sentence)
            raise NotYet(f"{name} has the right shape and other values than autograd's.")
    return "All three as autograd has them: for the weight, for the bias, and for what came in."


# ---------------------------------------------------------------------------- 5.3


@check("5.3")
def check_5_3(kernel_gradient):
    """`kernel_gradient`: from X (B, H, W) and delta (B, H-k+1, W-k+1) the gradient (k, k)."""
    read_function(kernel_gradient, "X", "delta")
    X, conv = torch.randn(4, 1, 9, 11), nn.Conv2d(1, 1, 3)
    delta = torch.randn(4, 1, 7, 9)
    conv(X).backward(delta)
    right = conv.weight.grad[0, 0]
    result = call_without(LIBRARY, LIBRARY_AT_WORK, kernel_gradient, X[:, 0], delta[:, 0])
    found = read_tensor(result)
    if found.shape != right.shape:
        raise NotYet(
            f"For X of {tuple(X[:, 0].shape)} and delta of {tuple(delta[:, 0].shape)} the kernel "
            f"is 3 x 3: k is the difference of the heights, plus 1. Yours is {tuple(found.shape)}."
        )
    if not is_close(found, right):
        explain(
            found,
            [
                (right / 4, "You divide by the number of images; the gradient is a sum over them."),
                (right.flip(0, 1), "All values are there, upside down: place (i, j) of the kernel "
                 "has seen the pixels from row i and column j on."),
                (right.T, "Rows and columns have changed places."),
                (F.conv2d(X[:1], delta[:1])[0, 0],
                 "That is the first image's; add up all of them."),
            ],
            "The shape is right, the values are not: for kernel value (i, j), delta times the "
            "window of X that begins at row i and column j, added up.",
        )  # fmt: skip
    return "As autograd has it: every kernel value is a sum over all positions of all images."


# ---------------------------------------------------------------------------- 5.4


FAULTS = {"a": "sorted", "b": "lr", "c": "zero_grad", "d": "labels"}
SIGNS = {
    "sorted": "a loss that falls nearly to 0 and leaps up, again and again at even distances",
    "lr": "a loss that has begun to fall, is thrown off, and then lies still",
    "zero_grad": "steps that grow longer from batch to batch: a fall, then ever wilder leaps",
    "labels": "a loss at ln 10 from the first batch to the last, without a single attempt",
}


@check("5.4")
def check_5_4(answer):
    """`answer`: four letters, the faults of curves 1 to 4."""
    if not isinstance(answer, str):
        raise NotYet('Four letters in quotes are asked for, such as `"abcd"`.')
    letters = [letter for letter in answer.lower() if letter.isalpha()]
    if sorted(letters) != list(FAULTS):
        raise NotYet("Four letters, each of a, b, c and d once: curve 1 first.")
    curves = list(json.loads((lenet.COURSE / "results" / "plateau.json").read_text())["faults"])
    wrong = [n for n in range(4) if FAULTS[letters[n]] != curves[n]]
    if not wrong:
        return "All four. " + "; ".join(f"{n + 1}: {SIGNS[c]}" for n, c in enumerate(curves)) + "."
    fault = FAULTS[letters[wrong[0]]]
    raise NotYet(
        f"{4 - len(wrong)} of four. Look at curve {wrong[0] + 1} again. Fault {letters[wrong[0]]} "
        f"would show as {SIGNS[fault]}."
    )


# ---------------------------------------------------------------------------- 5.5


def _with_weights(factor):
    """Of a new LeNet with `factor` x Xavier: mean slope, spread of the logits, and loss."""
    torch.manual_seed(0)
    net = lenet.make_lenet()
    for layer in net:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.weight.data *= factor
    X, y = load_images("FashionMNIST", train=True)[:256]
    outputs = lenet.activations(net, X)
    pairs = zip(net, outputs, strict=True)
    slopes = [(o * (1 - o)).mean() for layer, o in pairs if isinstance(layer, nn.Sigmoid)]
    logits = outputs[-1]
    return (
        torch.stack(slopes).mean().item(),
        logits.std(dim=0).mean().item(),
        F.cross_entropy(logits, y).item(),
    )


@check("5.5")
def check_5_5(answer):
    """`answer`: the letter of the explanation; a new network, measured here and now, decides."""
    found = read_choice(answer, "abcd")
    (slope_1, spread_1, loss_1), (slope_2, spread_2, loss_2) = map(_with_weights, (1, 2))
    right = {
        "a": slope_2 > slope_1,
        "b": loss_2 < loss_1,
        "c": spread_2 > 2 * spread_1 and slope_2 < slope_1 and loss_2 > loss_1,
        "d": False,
    }
    if right[found]:
        return (
            f"Measured just now: the logits of different images lie {spread_2 / spread_1:.0f} "
            f"times as far apart, although the mean slope has gone from {slope_1:.3f} to "
            f"{slope_2:.3f} and the loss from {loss_1:.2f} up to {loss_2:.2f}. The growth "
            "begins much higher up."
        )
    raise NotYet(
        {
            "a": f"Measured just now: the mean slope of the sigmoids is {slope_1:.3f} with "
            f"Xavier's weights and {slope_2:.3f} with twice those. Larger sums lie "
            "further from the middle.",
            "b": f"Measured just now: the loss begins at {loss_1:.2f} with Xavier's weights and at "
            f"{loss_2:.2f} with twice those. It has further to go.",
            "c": "Measured just now: it is not so.",
            "d": "A step is lr times the gradient, whatever the weight's size: the optimizer was "
            "the same, lr 0.9, in both trainings.",
        }[found]
    )
