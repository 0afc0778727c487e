"""Running an answer, a function or a network, and saying in the student's terms how it failed."""

import lenet_helpers as lenet

import re
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .checking import MESSAGES, NotTried, NotYet, brief


class _FunctionsUsed(TorchFunctionMode):
    """Inside, `names` collects the names of PyTorch's functions that are called."""

    # (A TorchDispatchMode would see more, but PyTorch loads its compiler for it, for seconds.)
    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def call(function: Callable, *arguments: object, without: str = "never") -> Any:
    """What the student's function returns, for copies of the tensors among the arguments.

    NotYet if a function of PyTorch with `without`, a regular expression, in its name did the work.
    """
    copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
    with _FunctionsUsed() as used:
        used.names = set()
        result = _guarded(function, *copies)
    for name in used.names:
        if re.search(without, name):
            raise NotYet("ready-made", name=name)
    if result is None:
        raise NotYet("nothing returned")
    return result


def _guarded(function, *arguments):
    try:
        result = function(*arguments)
    except (NotYet, NotTried):
        raise
    except KeyboardInterrupt:
        raise NotYet("stopped") from None
    except SystemExit:
        raise NotYet("exit") from None
    except Exception as error:
        said = brief(error)
        hints = (hint for pattern, hint in MESSAGES["hints"].items() if re.search(pattern, said))
        raise NotYet("error", error=said, place=_place(error), hint=next(hints, "")) from None
    if result is ...:
        raise NotTried
    return result


def _place(error):
    """Where in the student's cell it happened, as far as Python knows."""
    course = str(lenet.COURSE)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        is_cell = "ipykernel" in frame.filename or "ipython" in frame.filename
        elsewhere = frame.filename.startswith((course, "/usr", "<")) or "site-" in frame.filename
        if frame.line and (is_cell or not elsewhere):
            line = frame.line.replace("`", "'")
            return f" in line {frame.lineno} of its cell, `{line}`"
    return ""


def run_network(net: nn.Module, X: torch.Tensor) -> Any:
    """The network's logits for a batch `X`, in evaluation mode; its mode is left as it was."""
    parameter = next(net.parameters(), None)
    X = X if parameter is None else X.to(parameter.device)
    with lenet.eval_mode(net):
        try:
            return _guarded(net, X)
        except NotYet:
            _name_the_layer(net, X)
            raise


def _name_the_layer(net, X):
    """NotYet with the first layer of an nn.Sequential that `X` does not fit, if there is one."""
    try:
        if isinstance(net, nn.Sequential):
            lenet.trace_shapes(net, X)
    except ValueError as reason:
        size = " x ".join(map(str, X.shape[1:]))
        raise NotYet("does not get through", size=size, reason=reason) from None
    except Exception:
        return


def count_parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())
