"""The open exercises: judge a training run, keep its result, show all results."""

import lenet_helpers as lenet

import math

import torch
from torch import nn

from . import leaderboard
from .checking import NotYet, brief, count_parameters, load_images, read_network


def judge(name, net, run, dataset, goal, most_epochs, most_parameters):
    """Check that `run` trained `net` by the rules, keep and show the result, say if it is enough.

    `goal` is an accuracy on the test images of `dataset`. NotYet says what is missing to it, or
    which rule is broken; a run that breaks one is not kept.
    """
    read_network(net)
    if not isinstance(run, lenet.Run):
        raise NotYet(f"`run` should be what `lenet.train_ch6` returns; this is {brief(run)}.")
    epochs = _epochs_of(run)
    if not _belongs(net, run):
        raise NotYet(
            "The network's weights are not those that this run ended with: was it trained again, "
            "or another one? Give the check `net` and `run` of the same training."
        )
    if epochs > most_epochs:
        raise NotYet(f"Your run took {epochs} epochs; {most_epochs} are allowed.")
    parameters = count_parameters(net)
    if most_parameters is not None and parameters > most_parameters:
        raise NotYet(
            f"Your network has {parameters} parameters, {parameters - most_parameters} too many."
        )
    images = load_images(dataset, train=False)
    knew = _accuracy_at_start(net, run, images)
    if knew > 0.5:
        raise NotYet(
            f"Before its first epoch your network already had {knew:.0%} right: this run went on "
            "from an earlier one. Train a new network."
        )
    test_acc = _accuracy(net, images)
    results, trouble = leaderboard.keep(
        name,
        {
            "test_acc": test_acc,
            "label": str(run.label),
            "num_epochs": epochs,
            "lr": float(run.lr),
            "parameters": parameters,
            "layers": _layers(net),
        },
    )
    leaderboard.show(results, goal)
    said = f"{test_acc:.4f} on the test images with {parameters} parameters in {epochs} epochs"
    trouble = f" {trouble}" if trouble else ""
    if test_acc < goal:
        advice = _advice(run, net, test_acc, dataset)
        raise NotYet(f"{said}: {goal - test_acc:.4f} are missing to {goal}.{advice}{trouble}")
    return f"{said}; the goal was {goal}.{trouble}"


def _epochs_of(run):
    """Epochs trained, an epoch begun counting as one."""
    try:
        return math.ceil(run.train[-1][0])
    except (IndexError, TypeError, ValueError, OverflowError):
        raise NotYet("This run has no training in it.") from None


def _belongs(net, run):
    try:
        last = run.checkpoints[-1]
        return all(torch.equal(last[k], v.cpu()) for k, v in net.state_dict().items())
    except (LookupError, TypeError, AttributeError):
        return False


def _accuracy(net, images, count=None):
    chosen = (
        images
        if count is None
        else lenet.ImageDataset(images.images[:count], images.labels[:count])
    )
    try:
        return lenet.evaluate_accuracy_gpu(net, lenet.batches(chosen, 1000, shuffle=False))
    except (ValueError, RuntimeError) as error:
        raise NotYet(f"Your network cannot be evaluated: {brief(error)}.") from None


def _accuracy_at_start(net, run, images):
    now = lenet.copy_weights(net)
    try:
        net.load_state_dict(run.checkpoints[0])
        return _accuracy(net, images, 1000)
    except RuntimeError:
        raise NotYet("The first and the last weights of this run are of two networks.") from None
    finally:
        net.load_state_dict(now)


def _layers(net):
    """The layers in a few words: "Conv2d 6 5x5, ReLU, MaxPool2d, ..."."""
    words = []
    for layer in net.modules():
        name = type(layer).__name__
        if isinstance(layer, nn.Conv2d):
            words.append(f"{name} {layer.out_channels} {'x'.join(map(str, layer.kernel_size))}")
        elif isinstance(layer, nn.Linear):
            words.append(f"{name} {layer.out_features}")
        elif not list(layer.children()):
            words.append(name)
    return ", ".join(words)


def _advice(run, net, test_acc, dataset):
    """What the curve says, and the same weights on images that they were trained on."""
    if run.stopped:
        return f" It was {run.stopped}."
    if run.loss > 2.2:
        return (
            " The loss has hardly left 2.30, the plateau: a larger first step, another "
            "initialisation or another optimizer takes it off."
        )
    train_acc = _accuracy(net, load_images(dataset, train=True), 10_000)
    found = f" The same weights classify {train_acc:.3f} of 10000 training images correctly"
    if train_acc - test_acc > 0.03:
        return (
            f"{found}: it begins to overfit. Weight decay, dropout or shifted images go against "
            "that."
        )
    return (
        f"{found}, hardly more: it has not learned enough yet. A better optimizer, a learning rate "
        "that rises and falls, batch normalisation?"
    )
