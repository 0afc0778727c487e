"""Reading an answer: `read.number(answer)` is the number, or NotYet says what it is instead."""

import lenet_helpers as lenet
from lenet_course import checks

import inspect
import math
import numbers
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from .checking import NotYet, brief, kind


def number(answer: object) -> float:
    """The answer as a float. Takes Python's, numpy's and torch's numbers."""
    if isinstance(answer, str):
        raise NotYet("text for a number", found=brief(answer))
    if isinstance(answer, tuple) and 1 <= len(answer) <= 2:
        raise NotYet("tuple for a number", found=brief(answer))
    if isinstance(answer, torch.Tensor) and _is_unusual(answer):
        raise NotYet("unusual tensor", what="This is")
    if isinstance(answer, torch.Tensor | np.ndarray) and math.prod(answer.shape) == 1:
        answer = answer.reshape(()).tolist()
    if isinstance(answer, bool | np.bool_) or not isinstance(answer, numbers.Real):
        raise NotYet("no number", found=kind(answer))
    try:
        found = float(answer)
    except OverflowError:
        raise NotYet("too large a number") from None
    if not math.isfinite(found):
        raise NotYet("not finite", found=found)
    return found


def _is_unusual(tensor):
    """Whether its numbers cannot be looked at as those of others: sparse, or on "meta", say."""
    is_plain = tensor.layout == torch.strided and not (tensor.is_quantized or tensor.is_nested)
    return not is_plain or tensor.device.type == "meta"


def whole_number(answer: object) -> int:
    """The answer as an int."""
    found = number(answer)
    if not found.is_integer():
        raise NotYet("not whole", found=found)
    return int(found)


def choice(answer: object, letters: str) -> str:
    """The answer as one of the letters."""
    if isinstance(answer, str) and answer.strip(" .()").lower() in tuple(letters):
        return answer.strip(" .()").lower()
    *others, last = (f'"{letter}"' for letter in letters)
    raise NotYet("no choice", letters=f"{', '.join(others)} or {last}", found=kind(answer))


def function(answer: object, *parameters: str) -> Callable:
    """The answer, if it is something that can be called with as many arguments as `parameters`."""
    wanted = ", ".join(parameters)
    if inspect.isclass(answer) or not callable(answer):
        raise NotYet("no function", wanted=wanted, found=kind(answer))
    try:
        inspect.signature(answer).bind(*parameters)
    except TypeError:
        found = ", ".join(inspect.signature(answer).parameters) or "nothing"
        raise NotYet("other parameters", wanted=wanted, found=found) from None
    except ValueError:  # functions written in C do not say what they take
        pass
    return answer


def network(answer: object, kind_of: type[nn.Module] = nn.Module) -> nn.Module:
    """The answer, if it is a network; an nn.Sequential of layers, where that is asked for."""
    if inspect.isclass(answer) and issubclass(answer, nn.Module):
        raise NotYet("class for a network", name=answer.__name__)
    if not isinstance(answer, nn.Module):
        raise NotYet("no network", found=kind(answer))
    if not isinstance(answer, kind_of):
        raise NotYet("no Sequential", found=kind(answer))
    if kind_of is nn.Sequential and not checks.is_plain(answer):
        raise NotYet("own forward", name=type(answer).__name__)
    return answer


def tensor(
    result: object, shape: tuple | None = None, what: str = "Your function returns"
) -> torch.Tensor:
    """A result as a float64 tensor on the CPU; of `shape`, where that is given."""
    if isinstance(result, tuple) and hasattr(result, "values") and hasattr(result, "indices"):
        raise NotYet("values and indices", what=what)
    if inspect.isgenerator(result):
        raise NotYet("generator", what=what)
    if isinstance(result, tuple) and len(result) == 1:
        raise NotYet("tuple of one", what=what)
    if not isinstance(result, torch.Tensor):
        raise NotYet("no tensor", what=what, found=kind(result))
    if _is_unusual(result) or result.is_complex():
        raise NotYet("unusual tensor", what=what)
    if shape is not None and result.shape != shape:
        raise NotYet("other shape", what=what, found=tuple(result.shape), wanted=tuple(shape))
    result = result.detach().to("cpu", torch.float64)
    if result.isnan().any():
        raise NotYet("nan", count=int(result.isnan().sum()), all=result.numel())
    return result


def images(dataset: str, train: bool) -> lenet.ImageDataset:
    """As lenet.load_images; NotYet where the data are missing or damaged."""
    try:
        return lenet.load_images(dataset, train)
    except (OSError, ValueError) as error:
        raise NotYet("no data", error=error) from None
