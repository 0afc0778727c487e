"""The checks of chapter 6, what a convolution buys."""

import lenet_helpers as lenet
from lenet_course import saved

import copy

import torch
from torch import Tensor, nn

from .checking import (
    NotYet,
    brief,
    call,
    check,
    explain,
    is_close,
    load_images,
    read_function,
    read_network,
    read_number,
    read_tensor,
    read_whole_number,
    run_network,
)


def _trained() -> nn.Module:
    """The lesson's network, as chapter 3 has trained it."""
    try:
        return saved.load_weights(lenet.make_lenet(), saved.find_weights("fashion_mnist.pt"))
    except (OSError, ValueError) as error:
        raise NotYet(f"The run that answers needs the trained network: {error}.") from None


def _images(count: int) -> tuple[Tensor, Tensor]:
    """The first test images of Fashion-MNIST, as a batch X, y."""
    return load_images("FashionMNIST", train=False)[:count]


def _accuracy(net: nn.Module, X: Tensor, y: Tensor) -> float:
    return (run_network(net, X).argmax(dim=1) == y).double().mean().item()


# ---------------------------------------------------------------------------- 6.1


@check("6.1")
def check_6_1(answer):
    """`answer`: the parameters of conv 2, made locally connected."""
    found = read_whole_number(answer)
    conv = lenet.make_lenet()[4]
    places, c_in, c_out = 10 * 10, conv.in_channels, conv.out_channels
    seen = c_in * 25
    right = places * c_out * (seen + 1)
    if found != right:
        shared, dense = c_out * (seen + 1), places * c_out * (c_in * 14 * 14 + 1)
        explain(
            found,
            [
                (right - places * c_out, "The biases are missing: every place has its own, too."),
                (places * c_out * seen + c_out, "Every place has a bias of its own, too, not only "
                 "every channel."),
                (shared, "That is the convolution itself, whose places share their weights."),
                (dense, "That is the dense layer: each value would see the whole of all six maps."),
                (places * c_out * 26, "That is with one channel; a window sees all six."),
                (14 * 14 * c_out * (seen + 1), "14 x 14 is the size of the maps that go in. How "
                 "many places does the 5 x 5 window have in them, without padding?"),
                (28 * 28 * c_out * (seen + 1), "28 x 28 is the size of the image. How large are "
                 "the maps that conv 2 makes?"),
                (places * (seen + 1), "That is for one channel; conv 2 makes 16."),
            ],
            "Count the places of conv 2's maps; at each of them 16 values, each with a weight for "
            "all that its window sees, and a bias.",
        )  # fmt: skip
    ratio = right // sum(p.numel() for p in conv.parameters())
    return (
        f"{right}: {ratio} times the convolution's {right // places}, once for each of the "
        f"{places} places. And each of those weights learns from one place only."
    )


# ---------------------------------------------------------------------------- 6.2


@check("6.2")
def check_6_2(read_shuffled):
    """`read_shuffled`: a function of (net, permutation): a network for shuffled images."""
    read_function(read_shuffled, "net", "permutation")
    X, permutation = torch.rand(5, 1, 28, 28), torch.randperm(784)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).apply(lenet.init_weights)
    _compare_reading(read_shuffled, net, X, permutation)
    trained = _trained()
    _compare_reading(read_shuffled, trained, X, permutation)
    X, y = _images(2000)
    shuffled = _shuffle(X, permutation)
    made = call(read_shuffled, trained, permutation)
    plain, lost, found = (
        _accuracy(net, images, y)
        for net, images in ((trained, X), (trained, shuffled), (made, shuffled))
    )
    return (
        f"The lesson's LeNet has {plain:.3f} of the first 2000 test images right, of the shuffled "
        f"ones {lost:.3f}, and yours has {found:.3f} of those: shuffling destroys nothing, it "
        "only takes away what the convolution takes for granted."
    )


def _shuffle(X: Tensor, permutation: Tensor) -> Tensor:
    return X.flatten(1)[:, permutation].reshape(X.shape)


def _compare_reading(read_shuffled, net, X, permutation) -> None:
    weights, expected = copy.deepcopy(net.state_dict()), run_network(net, X)
    made = read_network(call(read_shuffled, net, permutation))
    found = read_tensor(run_network(made, _shuffle(X, permutation)), expected.shape, "It returns")
    if any(not value.equal(weights[name]) for name, value in net.state_dict().items()):
        raise NotYet("The network that was given has changed: leave it as it is.")
    if is_close(found, expected):
        return
    twice = run_network(net, _shuffle(_shuffle(X, permutation), permutation))
    mistakes = [
        (twice, "Your network shuffles the pixels once more. Which index puts them *back*?"),
        (run_network(net, _shuffle(X, permutation)), "The logits are those of the network that "
         "was given, for shuffled images: nothing puts the pixels back."),
        (run_network(net, X.transpose(2, 3)), "Rows and columns have changed places."),
    ]  # fmt: skip
    explain(
        found,
        mistakes,
        "For shuffled images its logits should be those of the network that was given, for the "
        "plain ones, and they are not. Does pixel `permutation[i]` go back from place i?",
    )


# ---------------------------------------------------------------------------- 6.3


@check("6.3")
def check_6_3(coverage):
    """`coverage`: a function of (probabilities, y, accuracy): the share that can be kept."""
    read_function(coverage, "probabilities", "y", "accuracy")
    for seed in range(4):
        torch.manual_seed(seed)
        probabilities = (2 * torch.randn(200, 10)).softmax(dim=1)
        # Right more often where the confidence is high, but not in order.
        confidence, predicted = probabilities.max(dim=1)
        is_right = torch.rand(200) < 0.3 + 0.7 * confidence
        y = torch.where(is_right, predicted, (predicted + 1) % 10)
        for accuracy in (0.8, 0.9):
            _compare_coverage(coverage, probabilities, y, accuracy)
    sure = torch.eye(10)
    if read_number(call(coverage, sure, (torch.arange(10) + 1) % 10, 0.9)) != 0:
        raise NotYet("Where every prediction is wrong nothing can be kept: the share is 0.")
    X, y = _images(2000)
    probabilities = lenet.predict(_trained(), X)
    kept = {a: read_number(call(coverage, probabilities, y, a)) for a in (0.9, 0.95, 0.99)}
    words = ", ".join(f"{share:.0%} for {accuracy:.0%}" for accuracy, share in kept.items())
    plain = (probabilities.argmax(dim=1) == y).double().mean()
    return (
        f"The lesson's LeNet has {plain:.0%} of the first 2000 test images right. When it may "
        f"leave out those it is least sure of, it can keep {words}."
    )


def _sorted_right(order: Tensor, is_right: Tensor, accuracy: float) -> float:
    """The largest share of the images, taken in `order`, of which enough are right."""
    shares = is_right[order].double().cumsum(0) / torch.arange(1, len(order) + 1)
    good = (shares >= accuracy).nonzero().flatten()
    return (good[-1].item() + 1) / len(order) if len(good) else 0.0


def _compare_coverage(coverage, probabilities, y, accuracy) -> None:
    found = read_number(call(coverage, probabilities, y, accuracy))
    confidence, predicted = probabilities.max(dim=1)
    is_right, order = predicted == y, confidence.argsort(descending=True)
    right = _sorted_right(order, is_right, accuracy)
    if abs(found - right) < 1e-6:
        return
    shares = is_right[order].double().cumsum(0) / torch.arange(1, len(order) + 1)
    below = (shares < accuracy).nonzero().flatten()
    of_target = probabilities[torch.arange(len(y)), y]
    mistakes = [
        (right * len(y), "That is the number of images; divide by how many there are."),
        (100 * right, "That is the share in percent; a share from 0 to 1 is asked for."),
        (right - 1 / len(y), "One image short: an index counts from 0."),
        (below[0].item() / len(y), "You stop where the accuracy first falls below the goal; it may "
         "rise above it again. The *largest* share is asked for."),
        (_sorted_right(order.flip(0), is_right, accuracy), "The images it is least sure of come "
         "first in your order; they are the ones to leave out."),
        (_sorted_right(of_target.argsort(descending=True), is_right, accuracy), "You sort by the "
         "probability of the right class, which nobody knows beforehand. Sort by the largest."),
        ((confidence >= accuracy).double().mean().item(), "You keep what the network is sure of "
         "by its own word. How often it is right is to be measured, by `y`."),
        (is_right.double().mean().item(), "That is the accuracy over all images."),
    ]  # fmt: skip
    for value, sentence in mistakes:
        if abs(found - value) < 1e-6:
            raise NotYet(sentence)
    raise NotYet(
        f"Of {len(y)} images you keep {found:.3f} for an accuracy of {accuracy}, where {right:.3f} "
        "is right. For every n: how many of the n surest are right?"
    )


# ---------------------------------------------------------------------------- 6.4


@check("6.4")
def check_6_4(toward):
    """`toward`: a function of (net, X, target, epsilon): one step towards a class."""
    read_function(toward, "net", "X", "target", "epsilon")
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.Tanh(), nn.Linear(20, 10))
    X = torch.rand(6, 1, 28, 28)
    for target, epsilon in ((3, 0.05), (7, 0.2)):
        _compare_step(toward, net, X, target, epsilon)
    trained, (X, y) = _trained(), _images(1000)
    X = X[y != 8][:500]  # no bags
    before = (lenet.predict(trained, X).argmax(dim=1) == 8).double().mean().item()
    attacked = read_tensor(call(toward, trained, X, 8, 0.1)).float()
    after = (lenet.predict(trained, attacked).argmax(dim=1) == 8).double().mean().item()
    return (
        f"Of 500 test images that are no bags, the lesson's LeNet takes {before:.1%} for bags, and "
        f"{after:.1%} after one step of 0.1 towards them."
    )


def _compare_step(toward, net, X, target, epsilon) -> None:
    given = X.clone()
    result = call(toward, net, given, target, epsilon)
    found = read_tensor(result, X.shape)
    y = torch.full((len(X),), target)
    probe = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(probe), y), probe)
    step = epsilon * gradient.sign()
    right = (X - step).clamp(0, 1)
    if is_close(found, right):
        if result.requires_grad:
            raise NotYet("Right, but the result still carries its gradient: `detach()` it.")
        return
    own = nn.functional.cross_entropy(net(probe), net(probe).argmax(dim=1))
    away = epsilon * torch.autograd.grad(own, probe)[0].sign()
    mistakes = [
        ((X + step).clamp(0, 1), "That step raises the loss for the target: it leads away from it. "
         "Which sign leads towards it?"),
        (X - step, "The step is right; some pixels have left 0..1. `clamp` them."),
        (X + step, "That step leads away from the target, and out of 0..1."),
        ((X - epsilon * gradient).clamp(0, 1), "You step along the gradient itself; FGSM takes "
         "only its sign, so that every pixel moves by epsilon."),
        ((X + away).clamp(0, 1), "That leads away from what the network predicts; the target "
         "does not come in."),
        (X, "Nothing has moved."),
    ]  # fmt: skip
    explain(
        found,
        mistakes,
        f"The pixels should move by {epsilon} each, against the sign of the gradient of the "
        f"cross-entropy for class {target}; yours move by up to "
        f"{brief(round((found - X).abs().max().item(), 4))}.",
    )
