"""The open exercises: judge a training run, keep its result, show all results."""

import lenet_helpers as lenet

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader

from . import leaderboard, read
from .checking import NotYet, brief, kind, sentence
from .running import count_parameters


@dataclass(frozen=True)
class Rules:
    """Of an open exercise: what there is to reach, and with how much at most."""

    name: str  # of the file of best results
    dataset: str
    goal: float  # accuracy
    num_epochs: int
    parameters: float = math.inf
    validation: int = 0  # so many of the last training images are held out, to choose by
    note: str = ""  # on the goal


def load_train_and_validation(
    batch_size: int, dataset: str = "FashionMNIST", augment: Callable | None = None
) -> tuple[DataLoader, DataLoader]:
    """`train_iter, validation_iter`: the first 50000 training images, and the last 10000.

    `augment` is a function that makes a changed batch X of a batch X (shifted, mirrored ...), anew
    each time; only training gets those.
    """

    def collate(batch):
        X, y = batch
        return (augment(X) if augment else X), y

    images = lenet.load_images(dataset, train=True)
    training, validation = _part(images, slice(50_000)), _part(images, slice(50_000, None))
    train_iter = DataLoader(training, batch_size, shuffle=True, collate_fn=collate)
    return train_iter, lenet.batches(validation, batch_size, shuffle=False)


def _part(images, places):
    return lenet.ImageDataset(images.images[places], images.labels[places])


def judge(net: object, run: object, rules: Rules, final: bool = False) -> dict:
    """Check that `run` trained `net` by the rules, keep and show the result, say if it is enough.

    Where there is a validation set, the test images are looked at only if `final` is set. A run
    that breaks a rule is not kept.
    """
    read.network(net)
    epochs = _epochs_by_the_rules(net, run, rules)
    validating = bool(rules.validation) and not final
    images = read.images(rules.dataset, train=validating)
    if validating:
        images = _part(images, slice(-rules.validation, None))
    _refuse_if_trained_before(net, run, images)
    accuracy, parameters = _accuracy(net, images), count_parameters(net)
    result = {
        "accuracy": accuracy, "label": str(run.label), "num_epochs": epochs, "lr": float(run.lr),
        "parameters": parameters, "layers": _layers(net),
    }  # fmt: skip
    name, which = (f"{rules.name}_validation", "validation") if validating else (rules.name, "test")
    results, trouble = leaderboard.keep(name, result)
    leaderboard.show(results, rules.goal, which)
    said = f"{accuracy:.4f} on the {which} images with {parameters} parameters in {epochs} epochs"
    if final:
        looks = "once" if len(results) == 1 else f"{len(results)} times, and chosen by them"
        trouble = f"{rules.note} You have now looked at the test images {looks}.{trouble}"
    values = {"said": said, "goal": rules.goal, "trouble": trouble}
    if accuracy < rules.goal:
        advice = _advice(run, net, accuracy, rules.dataset)
        raise NotYet("short of the goal", missing=rules.goal - accuracy, advice=advice, **values)
    if validating:
        raise NotYet("validated", **values)
    return values


def _epochs_by_the_rules(net, run, rules):
    """Epochs trained, one begun counting whole; NotYet if the run is not by the rules."""
    if not isinstance(run, lenet.Run):
        raise NotYet("no run", found=kind(run))
    try:
        epochs, last = math.ceil(run.train[-1][0]), run.checkpoints[-1]
        belongs = all(torch.equal(last[k], v.cpu()) for k, v in net.state_dict().items())
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
        raise NotYet("no training") from None
    if not belongs:
        raise NotYet("other weights")
    if epochs > rules.num_epochs:
        raise NotYet("too long", epochs=epochs, allowed=rules.num_epochs)
    parameters = count_parameters(net)
    if parameters > rules.parameters:
        raise NotYet("too large", parameters=parameters, over=parameters - rules.parameters)
    allowed = 60_000 - rules.validation
    seen = run.examples / run.epoch  # images per epoch; a stopped one is known to a batch
    if rules.validation and seen > 1.1 * allowed:
        raise NotYet("trained on validation", seen=seen, allowed=allowed)
    return epochs


def _accuracy(net, images):
    try:
        return lenet.evaluate_accuracy_gpu(net, lenet.batches(images, 1000, shuffle=False))
    except (ValueError, RuntimeError, StopIteration) as error:
        raise NotYet("no evaluation", error=brief(error)) from None


def _refuse_if_trained_before(net, run, images):
    begun = copy.deepcopy(net)
    try:
        begun.load_state_dict(run.checkpoints[0])
    except RuntimeError:
        raise NotYet("two networks") from None
    knew = _accuracy(begun, _part(images, slice(1000)))
    if knew > 0.5:
        raise NotYet("went on", knew=knew)


def _layers(net):
    """The layers and the shapes of their weights: "Conv2d 6x1x5x5, Sigmoid, AvgPool2d, ..."."""
    words = []
    for layer in net.modules():
        if not list(layer.children()):
            shape = next(layer.parameters(), torch.zeros(())).shape
            words.append(f"{type(layer).__name__} {'x'.join(map(str, shape))}".strip())
    return ", ".join(words)


def _advice(run, net, accuracy, dataset):
    """What the curve says, and the same weights on images that they were trained on."""
    if run.stopped:
        return sentence("advice", "stopped", stopped=run.stopped)
    if run.loss > 2.2:
        return sentence("advice", "plateau")
    train_acc = _accuracy(net, _part(read.images(dataset, train=True), slice(10_000)))
    fit = "overfitting" if train_acc - accuracy > 0.03 else "underfitting"
    return sentence("advice", fit, train_acc=train_acc)
