"""What all checks are built from: the feedback, reading an answer, calling a student's function.

Inside a check, `raise NotYet(sentence)` is the way to say what is not right yet; what the check
returns is the sentence for a right answer. The decorator `check` turns both into a `Feedback`.
"""

import lenet_helpers as lenet

import dis
import functools
import html
import inspect
import math
import numbers
import re
import traceback
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

RIGHT, NOT_YET, NOT_TRIED = "right", "not yet", "not tried yet"
EDGE = {RIGHT: "#2e7d32", NOT_YET: "#b26a00", NOT_TRIED: "#808080"}  # the words say it too


@dataclass(frozen=True)
class Feedback:
    """What a check answers. `state` is RIGHT, NOT_YET or NOT_TRIED, `text` the sentences."""

    exercise: str
    state: str
    text: str

    def __str__(self):
        return f"Exercise {self.exercise}: {self.state}. {self.text}"

    __repr__ = __str__

    def _repr_html_(self):
        text = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(self.text, quote=False))
        return (
            f'<div style="border-left: 5px solid {EDGE[self.state]}; padding: 0.3em 0.9em">'
            f"<b>Exercise {self.exercise}: {self.state}.</b> {text}</div>"
        )


class NotYet(Exception):  # noqa: N818
    """The sentence that tells the student what is not right yet."""


class NotTried(Exception):  # noqa: N818
    """The stub is as it was."""


def check(exercise):
    """Make a function that looks at answers into a check that gives a Feedback and never raises.

    The check draws its random numbers from a stream of its own, so that it changes nothing in the
    notebook, and always the same ones.
    """

    def decorate(look_at):
        @functools.wraps(look_at)
        def checked(*answers):
            try:
                if any(map(is_untouched, answers)):
                    raise NotTried
                with torch.random.fork_rng(devices=[]), torch.enable_grad():
                    torch.manual_seed(0)
                    return Feedback(exercise, RIGHT, look_at(*answers))
            except NotTried:
                return Feedback(
                    exercise,
                    NOT_TRIED,
                    "Put your answer in place of the dots and run both cells again.",
                )
            except NotYet as sentence:
                return Feedback(exercise, NOT_YET, str(sentence))
            except Exception as error:  # an object that breaks when it is looked at
                return Feedback(
                    exercise,
                    NOT_YET,
                    f"The check cannot read this answer: looking at it ends with {brief(error)}.",
                )

        return checked

    return decorate


# ---------------------------------------------------------------------------- reading an answer


def is_untouched(answer):
    """Whether this is what a stub leaves: `...`, None, or a function with nothing but `...`."""
    if answer is ... or answer is None:
        return True
    code = getattr(answer, "__code__", None) if inspect.isfunction(answer) else None
    # A docstring or comments may stand in it: what counts is that it does nothing but return None.
    return code is not None and all(
        step.opname in ("RESUME", "NOP")
        or (step.opname in ("LOAD_CONST", "RETURN_CONST") and step.argval is None)
        or (step.opname == "RETURN_VALUE" and step.arg is None)
        for step in dis.get_instructions(code)
    )


def brief(value):
    """A value, or an error, in a few words that fit into a sentence."""
    try:
        if isinstance(value, BaseException):
            text = f"{type(value).__name__}: {value}" if str(value) else type(value).__name__
        elif isinstance(value, torch.Tensor):
            text = f"a tensor of shape {tuple(value.shape)}"
        else:
            text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} that cannot be printed"
    text = " ".join(text.replace("`", "'").split())
    return text if len(text) <= 120 else text[:119] + "…"


def read_number(answer):
    """The answer as a float. Takes Python's, numpy's and torch's numbers."""
    if isinstance(answer, str):
        raise NotYet(f"{brief(answer)} is a text: write the number without quotes.")
    if isinstance(answer, torch.Tensor | np.ndarray) and math.prod(answer.shape) == 1:
        answer = answer.reshape(()).tolist()
    if isinstance(answer, bool | np.bool_) or not isinstance(answer, numbers.Real):
        raise NotYet(f"A single number is asked for; this is {_kind(answer)}.")
    try:
        number = float(answer)
    except OverflowError:
        raise NotYet("That number is larger than anything here could be.") from None
    if not math.isfinite(number):
        raise NotYet(f"A single number is asked for, and {number} is none to count with.")
    return number


def read_whole_number(answer):
    """The answer as an int."""
    number = read_number(answer)
    if not number.is_integer():
        raise NotYet(f"{number:g} is no whole number, and what is counted here comes in wholes.")
    return int(number)


def read_choice(answer, choices):
    """The answer as one of the letters in `choices`."""
    if isinstance(answer, str) and answer.strip(" .()").lower() in choices:
        return answer.strip(" .()").lower()
    *others, last = (f'"{letter}"' for letter in choices)
    raise NotYet(f"Choose {', '.join(others)} or {last}; this is {_kind(answer)}.")


def _kind(value):
    """What a value is, for the sentence "this is ..."."""
    if isinstance(value, torch.Tensor):
        return brief(value)
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    name = type(value).__name__
    plain = isinstance(value, str | bool | numbers.Number)
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    return f"{article} {name}" + (f", {brief(value)}" if plain else "")


def read_function(answer, *parameters):
    """The answer, if it is something that can be called with as many arguments as `parameters`."""
    listed = ", ".join(parameters)
    if inspect.isclass(answer):
        raise NotYet(f"A function is asked for; this is {_kind(answer)}.")
    if not callable(answer):
        raise NotYet(f"A function of ({listed}) is asked for; this is {_kind(answer)}.")
    try:
        inspect.signature(answer).bind(*parameters)
    except TypeError:
        found = ", ".join(inspect.signature(answer).parameters) or "nothing"
        raise NotYet(f"Your function takes ({found}); it will be called with ({listed}).") from None
    except ValueError:  # functions written in C do not say what they take
        pass
    return answer


def read_network(answer):
    """The answer, if it is a network."""
    if inspect.isclass(answer) and issubclass(answer, nn.Module):
        raise NotYet(
            f"This is the class {answer.__name__} itself: a network is what comes out when the "
            f"class is called, `{answer.__name__}(...)`."
        )
    if not isinstance(answer, nn.Module):
        raise NotYet(
            "A network, such as an `nn.Sequential` of layers, is asked for; "
            f"this is {_kind(answer)}."
        )
    return answer


def read_layers(answer):
    """The layers of the answer, if it is an nn.Sequential of plain layers."""
    if not isinstance(read_network(answer), nn.Sequential):
        raise NotYet(f"Put the layers into an `nn.Sequential`; this is {_kind(answer)}.")
    return list(answer)


# ---------------------------------------------------------------------------- calling


def call(function, *arguments):
    """What the student's function returns, for copies of the tensors among the arguments."""
    copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
    return _guarded(function, *copies)


def _guarded(function, *arguments):
    try:
        result = function(*arguments)
    except NotYet:
        raise
    except Exception as error:
        raise NotYet(f"Your code stops with `{brief(error)}`{_place(error)}.") from None
    except SystemExit:
        raise NotYet("Your code asks Python to exit; it should return its result.") from None
    if result is ...:
        raise NotTried
    if result is None:
        raise NotYet("None comes back: is the `return` missing?")
    return result


def _place(error):
    """Where in the student's cell it happened, as far as Python knows."""
    course = str(lenet.COURSE)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        is_cell = "ipykernel" in frame.filename or "ipython" in frame.filename
        if frame.line and (is_cell or not frame.filename.startswith((course, "/usr", "<"))):
            if "site-packages" in frame.filename:
                continue
            return f" in line {frame.lineno} of its cell, `{brief(_Code(frame.line))}`"
    return ""


class _Code(str):
    """A line of code, which `brief` shows as it is written."""

    __repr__ = str.__str__


def read_tensor(result, shape=None, what="Your function returns"):
    """A result as a float64 tensor on the CPU; of `shape`, where that is given."""
    if isinstance(result, tuple) and hasattr(result, "values") and hasattr(result, "indices"):
        raise NotYet(
            f"{what} two tensors, the values and where they were found, as torch's `max` and "
            "`min` do when they are given a `dim`: take `.values`."
        )
    if not isinstance(result, torch.Tensor):
        raise NotYet(f"{what} {_kind(result)}; a tensor is asked for.")
    if result.layout != torch.strided or result.is_complex() or result.device.type == "meta":
        raise NotYet(f"{what} an unusual kind of tensor; plain real numbers are asked for.")
    if shape is not None and result.shape != shape:
        raise NotYet(f"{what} shape {tuple(result.shape)}; {tuple(shape)} is asked for.")
    result = result.detach().to("cpu", torch.float64)
    if result.isnan().any():
        count = int(result.isnan().sum())
        raise NotYet(f"{count} of the {result.numel()} values of your result are not a number.")
    return result


def run_network(net, X):
    """The network's scores for a batch `X`, in evaluation mode; its mode is left as it was."""
    parameter = next(net.parameters(), None)
    with lenet.eval_mode(net):
        if isinstance(net, nn.Sequential) and parameter is not None:
            return _run_layers(net, X.to(parameter.device))
        return _guarded(net, X if parameter is None else X.to(parameter.device))


def _run_layers(net, X):
    """As net(X), but what does not fit is named."""
    try:
        return net(X)
    except Exception as error:
        try:
            lenet.trace_shapes(net, X)
        except ValueError as reason:
            raise NotYet(f"An image of {_size(X)} does not get through: {reason}.") from None
        except Exception:
            pass
        raise NotYet(f"Your network stops with `{brief(error)}`{_place(error)}.") from None


def _size(X):
    return " x ".join(map(str, X.shape[1:]))


class FunctionsUsed(TorchFunctionMode):
    """Inside, `names` collects the names of PyTorch's functions that are called.

    (A TorchDispatchMode would see more, but PyTorch loads its compiler for it, for seconds.)
    """

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def call_without(ready_made, sentence, function, *arguments):
    """As `call`; NotYet(sentence) if a function with `ready_made` in its name did the work."""
    with FunctionsUsed() as used:
        result = call(function, *arguments)
    if any(re.search(ready_made, name) for name in used.names):
        raise NotYet(sentence)
    return result


# ---------------------------------------------------------------------------- what it looks at


def load_images(dataset, train):
    """As lenet.load_images; NotYet where the data are missing or damaged."""
    try:
        return lenet.load_images(dataset, train)
    except (OSError, ValueError) as error:
        raise NotYet(f"The check needs the data: {error}.") from None


# ---------------------------------------------------------------------------- comparing


def is_close(found, expected, tolerance=1e-4):
    """Whether two tensors, or two numbers, are the same but for rounding."""
    found, expected = (torch.as_tensor(v).detach().double() for v in (found, expected))
    return found.shape == expected.shape and torch.allclose(
        found, expected, rtol=tolerance, atol=tolerance
    )


def explain(found, mistakes, otherwise):
    """Raise NotYet with the sentence of the first mistake that leads to `found`.

    `mistakes` is a list of (what comes out with this mistake, sentence). Whole numbers are compared
    exactly.
    """
    for value, sentence in mistakes:
        if found == value if isinstance(found, int) else is_close(found, value):
            raise NotYet(sentence)
    raise NotYet(otherwise)


def count_parameters(net):
    return sum(p.numel() for p in net.parameters())
