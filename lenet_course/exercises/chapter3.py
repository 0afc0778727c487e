"""The checks of chapter 3, training."""

import lenet_helpers as lenet

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from .checking import (
    NotYet,
    call,
    call_without,
    check,
    explain,
    is_close,
    load_images,
    read_choice,
    read_function,
    read_network,
    read_number,
    read_tensor,
)
from .open_runs import judge

# ---------------------------------------------------------------------------- 3.1


LETTERS = 26


def _loss_of_equal_scores(num_classes):
    """The loss of a network that gives every class the same score."""
    return nn.CrossEntropyLoss()(torch.zeros(1, num_classes), torch.zeros(1, dtype=torch.int64))


def _loss_of_a_new_network(num_classes):
    """The loss of a LeNet with that many outputs, before training, for random images and labels."""
    net = lenet.make_lenet()
    net[-1] = nn.Linear(84, num_classes).apply(lenet.init_weights)
    with torch.no_grad():
        y_hat = net(torch.rand(260, 1, 28, 28))
    return nn.CrossEntropyLoss()(y_hat, torch.arange(260) % num_classes).item()


@check("3.1")
def check_3_1(answer):
    """`answer`: the loss of a network that does not know anything yet about 26 letters."""
    found = read_number(answer)
    expected, ten = (_loss_of_equal_scores(n).item() for n in (LETTERS, 10))
    if abs(found - expected) < 0.006:
        return (
            f"ln {LETTERS} = {expected:.2f}. A new LeNet with {LETTERS} outputs, tried just now, "
            f"has {_loss_of_a_new_network(LETTERS):.2f}: before it learns, it has preferences of "
            "its own, and they are wrong."
        )
    mistakes = [
        (ten, f"{ten:.2f} is what ten classes give: ln 10. Here there are {LETTERS}."),
        (
            expected / math.log(10),
            "That is the logarithm to base 10. The loss takes the natural one.",
        ),
        (
            expected / math.log(2),
            "That is the logarithm to base 2, bits. The loss takes the natural one.",
        ),
        (-expected, "The size is right, the sign is not: the loss is *minus* the logarithm."),
        (
            1 / LETTERS,
            "That is the probability of the right letter. The loss is minus its logarithm.",
        ),
        (LETTERS, "That is the number of classes. Each gets the probability 1 / 26; and the loss?"),
        (ten * LETTERS / 10, "The loss does not grow in proportion to the classes."),
        (ten + LETTERS - 10, "The loss does not grow by 1 a class."),
    ]
    for value, sentence in mistakes:
        if abs(found - value) < 0.006:
            raise NotYet(sentence)
    if abs(found - expected) < 0.1:
        raise NotYet(f"{found:g} is close. Two decimals are asked for.")
    raise NotYet(
        f"{found:g} is too {'large' if found > expected else 'small'}. Who knows nothing gives "
        "every letter the same probability; the loss is minus the natural logarithm of it."
    )


# ---------------------------------------------------------------------------- 3.2


@check("3.2")
def check_3_2(my_cross_entropy):
    """`my_cross_entropy`: a function of y_hat (B, C) and y (B,) with the mean loss."""
    read_function(my_cross_entropy, "y_hat", "y")
    y_hat, y = 2 * torch.randn(6, 10), torch.tensor([3, 9, 0, 3, 7, 1])
    y_hat.requires_grad_()
    result = call_without(
        "cross_entropy|nll_loss|log_softmax",
        "That is PyTorch's own loss at work. Build it: exp, log, sum and indexing are enough.",
        my_cross_entropy,
        y_hat,
        y,
    )
    found = read_tensor(result)
    if found.shape == (1,):
        raise NotYet("Your loss has shape (1,): a single number has the shape (). Take the mean.")
    expected = F.cross_entropy(y_hat, y)
    if found.shape == y.shape:
        if is_close(found, F.cross_entropy(y_hat, y, reduction="none")):
            raise NotYet("Those are the losses of the single images, all right. Take their mean.")
        raise NotYet(f"{len(y)} numbers come back for {len(y)} images; the loss is their mean.")
    if found.dim():
        raise NotYet(f"The loss is a single number; yours has the shape {tuple(found.shape)}.")
    if not is_close(found, expected):
        _explain_loss(found, y_hat, y)
    if not result.requires_grad:
        raise NotYet(
            "The value is right, but no gradient leads back from it: somewhere it was made a plain "
            "number (`item`, `detach`, `no_grad`, a new tensor), and `backward()` would fail."
        )
    large, labels = torch.tensor([[1000.0, 0.0, -1000.0], [0.0, 500.0, 0.0]]), torch.tensor([0, 0])
    values = call(my_cross_entropy, large, labels)
    if not torch.isfinite(values).all():
        raise NotYet(
            "Right, as long as scores are small. With a score of 1000 your loss becomes "
            f"{values.item()}: exp(1000) is infinite. Subtract the largest score of the row first; "
            "the probabilities stay the same."
        )
    exact = F.cross_entropy(large, labels)
    if not is_close(values, exact):
        raise NotYet(
            f"With scores up to 1000 your loss is {values.item():.1f} and should be {exact:.1f}: "
            "is something cut off or added on the way?"
        )
    return (
        f"{found.item():.4f}, as `nn.CrossEntropyLoss()` has it, with a gradient, and it holds for "
        "scores of 1000 too."
    )


def _explain_loss(found, y_hat, y):
    with torch.no_grad():
        rows = torch.arange(len(y))
        p = y_hat.softmax(dim=1)
        mistakes = [
            (F.cross_entropy(y_hat, y, reduction="sum"), "That is the sum; the loss is the mean."),
            (-F.cross_entropy(y_hat, y), "The sign: a loss is *minus* the logarithm."),
            (p[rows, y].mean(), "That is the mean probability; the logarithm is missing."),
            (-p[rows, y].mean(), "That is minus the mean probability; the logarithm is missing."),
            (
                -p[rows, y].mean().log(),
                "First the logarithm, then the mean: you take the mean first.",
            ),
            (
                -y_hat[rows, y].mean(),
                "The scores go in as they are; a softmax makes probabilities of them first.",
            ),
            (
                -y_hat.softmax(dim=0)[rows, y].log().mean(),
                "Your probabilities add up to 1 over the batch; they should over the classes.",
            ),
            (
                F.cross_entropy(y_hat, y) / y_hat.shape[1],
                "You divide by the number of classes as well: the mean runs over the images alone.",
            ),
            (
                F.cross_entropy(y_hat, y) / math.log(2),
                "That is the logarithm to base 2; take the natural one.",
            ),
            (
                F.cross_entropy(y_hat, y) / math.log(10),
                "That is the logarithm to base 10; take the natural one.",
            ),
            (
                -p.log().mean(),
                "All ten probabilities count for you; only that of the right class does.",
            ),
            (
                F.cross_entropy(p, y),
                "Softmax was taken twice: the probabilities are treated as scores again.",
            ),
        ]
        explain(
            found,
            mistakes,
            f"Your loss is {found.item():.4f} where PyTorch's is "
            f"{F.cross_entropy(y_hat, y).item():.4f}. Take one image first: what is minus the "
            "logarithm of the probability of its class?",
        )


# ---------------------------------------------------------------------------- 3.3


@check("3.3")
def check_3_3(sgd_step):
    """`sgd_step`: a function of (params, lr) that makes one step of SGD, clears gradients."""
    read_function(sgd_step, "params", "lr")
    net, lr = lenet.make_lenet(), 0.3
    params = list(net.parameters())
    X, y = torch.rand(16, 1, 28, 28), torch.arange(16) % 10
    for step in (1, 2):
        F.cross_entropy(net(X), y).backward()
        before = [p.detach().clone() for p in params]
        gradients = [p.grad.clone() for p in params]
        _step(sgd_step, params, lr)
        _compare_step(params, before, gradients, lr, step)
    for p in params:  # as in a network of which a part is not used
        p.grad = None
    _step(sgd_step, params, lr)
    return "Two steps, and the weights are where `torch.optim.SGD` would have taken them."


def _step(sgd_step, params, lr):
    optimizers = []

    def note(optimizer, *_):
        optimizers.append(optimizer)

    hook = register_optimizer_step_pre_hook(note)
    try:
        call(lambda: sgd_step(list(params), lr) or True)
    except NotYet as sentence:
        if "leaf Variable" in str(sentence):
            raise NotYet(
                "PyTorch refuses to change a parameter in place while it keeps track of gradients: "
                "put the step under `with torch.no_grad():`."
            ) from None
        if "NoneType" in str(sentence):
            raise NotYet(
                "A parameter that took no part in the loss has `grad` None, and your step stops "
                "there: leave such a parameter as it is."
            ) from None
        raise
    finally:
        hook.remove()
    if optimizers:
        raise NotYet("That is the optimizer of `torch` at work. Build it: a loop over params.")


def _compare_step(params, before, gradients, lr, step):
    moved = [(b - p.detach()) for p, b in zip(params, before, strict=True)]
    if any(not torch.isfinite(m).all() for m in moved):
        raise NotYet("After your step some weights are no longer numbers.")

    def all_close(factor):
        return all(is_close(m, factor * g, 1e-6) for m, g in zip(moved, gradients, strict=True))

    if all(m.abs().max() == 0 for m in moved):
        if all(p.grad is None or not p.grad.any() for p in params):
            raise NotYet(
                "The gradients are cleared, but no weight has moved: clear them after the step."
            )
        raise NotYet(
            "No weight has moved: `p = p - ...` gives a new tensor the name p, and the network "
            "keeps the old one. Change it in place: `p -= ...`."
        )
    if not all_close(lr):
        if all_close(-lr):
            raise NotYet("The loss grows: the step goes *against* the gradient.")
        if all_close(1):
            raise NotYet("The whole gradient is subtracted; the step is lr times that.")
        if all_close(lr / 16):
            raise NotYet("The loss is a mean over the batch already: do not divide again.")
        if any(m.abs().max() == 0 for m in moved):
            raise NotYet("Some parameters have moved, some not: weights and biases both step.")
        if all(is_close(m, lr * g.sign(), 1e-6) for m, g in zip(moved, gradients, strict=True)):
            raise NotYet("Every weight moves by lr, however large its gradient is.")
        size = (moved[0].norm() / gradients[0].norm()).item()
        raise NotYet(
            f"The weights move, but not by lr times the gradient: with lr {lr} the first layer's "
            f"moved {size:.3g} times as far as its gradient is long."
        )
    if any(p.grad is not None and p.grad.any() for p in params):
        raise NotYet(
            "The weights are right. But the gradients are still there, and `backward()` adds to "
            "them: clear them after the step."
        )


# ---------------------------------------------------------------------------- 3.4


CHOICES_3_4 = {"a": "different", "b": "zero", "c": "alike", "d": "not finite"}


def _filters_after_a_start_from_zero():
    """What the first six filters have become, one of the values of CHOICES_3_4, and their size."""
    net = lenet.make_lenet()
    for p in net.parameters():
        nn.init.zeros_(p)
    X, y = load_images("FashionMNIST", train=True)[list(range(1280))]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.9)
    for X_batch, y_batch in zip(X.split(64), y.split(64), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(net(X_batch), y_batch).backward()
        optimizer.step()
    filters = next(net.parameters()).detach()
    size = filters.abs().max().item()
    if not torch.isfinite(filters).all():
        return "not finite", size
    if size == 0:
        return "zero", size
    # Alike but for the rounding of another order of additions.
    apart = (filters - filters[:1]).abs().max().item()
    return ("alike" if apart < 1e-3 * size else "different"), size


@check("3.4")
def check_3_4(answer):
    """`answer`: a letter; 20 batches of real training, here and now, say what is right."""
    found = read_choice(answer, CHOICES_3_4)
    happened, size = _filters_after_a_start_from_zero()
    if CHOICES_3_4[found] == happened:
        return (
            f"Tried just now, over 20 batches: all six filters are the same, with values up to "
            f"{size:.0e}. Equal weights get equal gradients, and stay equal for ever. Random "
            "numbers break the tie; Xavier's choice of their size comes after that."
        )
    raise NotYet(
        {
            "a": "Tried just now: they are not different. What could make two filters differ that "
            "start alike, see the same images and feed the same next layer?",
            "b": f"Tried just now: they do move, if only to {size:.0e}. The last layer learns "
            "first; from the second batch on, gradients reach further back. Into all six alike?",
            "c": "Tried just now: they are not alike.",
            "d": "Tried just now: every value is a number. Zeros make all ten scores equal; the "
            "loss is ln 10, and nothing is divided by zero.",
        }[found]
    )


# ---------------------------------------------------------------------------- 3.5


GOAL_3_5, MOST_EPOCHS_3_5 = 0.84, 5


@check("3.5")
def check_3_5(net, run):
    """`net`, `run`: the lesson's network as it is, trained better in five epochs."""
    layers, lessons = list(read_network(net).children()), list(lenet.make_lenet())
    for found, wanted in zip(layers, lessons, strict=False):
        if str(found) != str(wanted):
            raise NotYet(
                f"This exercise leaves the network alone: yours has {found} where the lesson's has "
                f"{wanted}. Chapter 4 lets you change it."
            )
    if len(layers) != len(lessons):
        raise NotYet(f"The lesson's network has {len(lessons)} layers, yours has {len(layers)}.")
    return judge(
        "3_5", net, run, "FashionMNIST", GOAL_3_5, most_epochs=MOST_EPOCHS_3_5, most_parameters=None
    )
