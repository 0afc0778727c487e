"""What all checks are built from: the feedback, the decorator `check`, comparing.

Inside a check, `raise NotYet("flipped", case=case)` says what is not right yet: a sentence of
messages.toml, with the values that stand in it. What the check returns are the values for the
sentence "right". The decorator makes a `Feedback` of both.
"""

import functools
import html
import inspect
import numbers
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from IPython import get_ipython

from .cells import Cells

RIGHT, NOT_YET, NOT_TRIED = "right", "not yet", "not tried yet"
EDGE = {RIGHT: "#2e7d32", NOT_YET: "#b26a00", NOT_TRIED: "#808080"}  # the words say it too
MESSAGES = tomllib.loads(Path(__file__).with_name("messages.toml").read_text(encoding="utf-8"))
CELLS = Cells(get_ipython())

Value = tuple | float | torch.Tensor  # what is compared: a shape, a number or a tensor


def sentence(section: str, key: str, **values: object) -> str:
    """A sentence of messages.toml, of its section or of those for several exercises."""
    sections = (MESSAGES[name] for name in (section, "open", "any"))
    return next(s[key] for s in sections if key in s).format(**values)


@dataclass(frozen=True)
class Feedback:
    """What a check answers. `state` is RIGHT, NOT_YET or NOT_TRIED, `text` the sentences.

    A check never raises. Where marks are given, as by nbgrader, `assert_right()` does:

        exercises.check_1_1(answer_1_1).assert_right()
    """

    exercise: str
    state: str
    text: str
    seen: str = ""  # what the check has looked at

    def assert_right(self) -> None:
        """Raise AssertionError, with the sentences of the check, unless the answer is right."""
        if self.state != RIGHT:
            raise AssertionError(str(self))

    def __str__(self):
        seen = f" Looked at: {self.seen}." if self.seen else ""
        return f"Exercise {self.exercise}: {self.state}. {self.text}{seen}"

    __repr__ = __str__

    def _repr_html_(self):
        seen = f"<br><small>Looked at: {_as_html(self.seen)}.</small>" if self.seen else ""
        return (
            f'<div style="border-left: 5px solid {EDGE[self.state]}; padding: 0.3em 0.9em">'
            f"<b>Exercise {self.exercise}: {self.state}.</b> {_as_html(self.text)}{seen}</div>"
        )


def _as_html(text):
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))


class NotYet(Exception):  # noqa: N818
    """What is not right yet: the key of its sentence, and the values that stand in it."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key, self.values = key, values


class NotTried(Exception):  # noqa: N818
    """The dots of the stub are still there."""


def check(exercise: str) -> Callable[[Callable], Callable[..., Feedback]]:
    """Make a function that looks at answers into a check that gives a Feedback and never raises.

    Its parameters have the names that the exercise's stub gives to the answers. The check draws its
    random numbers from a stream of its own: always the same, and none of the notebook's.
    """

    def decorate(look_at):
        signature = inspect.signature(look_at)

        @functools.wraps(look_at)
        def checked(*answers, **settings):
            named = dict(zip(signature.parameters, answers, strict=False))
            state, key, values = _judge(functools.partial(look_at, **settings), named)
            seen = "" if state == NOT_TRIED else ", ".join(_seen(*pair) for pair in named.items())
            return Feedback(exercise, state, sentence(exercise, key, **values), seen)

        checked.__signature__ = signature.replace(return_annotation=Feedback)
        return checked

    return decorate


def _judge(look_at, named):
    """State, key of the sentence and its values, for the answers with their names."""
    try:
        for name, answer in named.items():
            trouble = CELLS.why_outdated(name, answer)
            if trouble:
                raise NotYet("outdated", trouble=trouble)
            if answer is None:
                raise NotYet("none", name=name)
        if next(iter(named.values())) is ...:
            raise NotTried
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            return RIGHT, "right", look_at(*named.values()) or {}
    except NotTried:
        return NOT_TRIED, "not tried", {}
    except NotYet as found:
        return NOT_YET, found.key, found.values
    except KeyboardInterrupt:
        return NOT_YET, "check stopped", {}
    except Exception as error:  # an object that breaks when it is looked at
        return NOT_YET, "unreadable", {"error": brief(error)}


def brief(value: object) -> str:
    """A value, or an error, in a few words that fit into a sentence."""
    try:
        if isinstance(value, BaseException):
            text = f"{type(value).__name__}: {value}" if str(value) else type(value).__name__
        elif isinstance(value, torch.Tensor):
            text = f"a tensor of shape {tuple(value.shape)}"
        else:
            text = repr(value)
    except Exception:
        text = f"a value of type {type(value).__name__} that cannot be printed"
    text = " ".join(text.replace("`", "'").split())
    return text if len(text) <= 120 else text[:119] + "…"


def kind(value: object) -> str:
    """What a value is, for the sentence "this is ..."."""
    if isinstance(value, torch.Tensor):
        return brief(value)
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    if inspect.isroutine(value):
        return "a function, not what it returns"
    name = type(value).__name__
    plain = isinstance(value, str | bool | numbers.Number)
    article = "an" if name[0] in "aeioAEIO" or name == "ndarray" else "a"  # by sound: a uint8
    thing = " object" if name == "bytes" else ""
    return f"{article} {name}{thing}" + (f", {brief(value)}" if plain else "")


def _seen(name, value):
    """An answer with its name, as it was handed to the check."""
    try:
        if inspect.isfunction(value):
            return f"`{name}{inspect.signature(value)}`"
        if isinstance(value, str | numbers.Number | tuple | list | None):
            return f"`{name} = {brief(value)}`"
        return f"`{name}`, {kind(value)}"
    except Exception:
        return f"`{name}`"


def is_close(found: Value, expected: Value | None, tolerance: float = 1e-4) -> bool:
    """Whether two shapes, numbers or tensors are the same, but for rounding where there is any."""
    if isinstance(found, int | tuple):
        return found == expected
    found, expected = (torch.as_tensor(v).detach().double() for v in (found, expected))
    return found.shape == expected.shape and torch.allclose(
        found, expected, rtol=min(tolerance, 1e-4), atol=tolerance
    )


def compare(
    found: Value, expected: Value | None, mistakes: Mapping[str, Value | list],
    otherwise: str = "otherwise", /, tolerance: float = 1e-4, **values: object,
) -> None:  # fmt: skip
    """NotYet unless `found`, a shape, a number or a tensor, is what is expected.

    `mistakes` has the keys of sentences, and what comes out with this mistake, or a list of it. The
    first that fits is told, else `otherwise`.
    """
    if is_close(found, expected, tolerance):
        return
    if isinstance(found, int | float) and expected is not None:
        values |= {"off": abs(found - expected), "too": "small" if found < expected else "large"}
    for key, results in mistakes.items():
        for result in results if isinstance(results, list) else [results]:
            if is_close(found, result, tolerance):
                raise NotYet(key, found=found, **values)
    raise NotYet(otherwise, found=found, **values)


def first_difference(found: torch.Tensor, expected: torch.Tensor) -> tuple[int, ...]:
    """The indices of the first value that is not as expected."""
    return tuple((~torch.isclose(found, expected.double(), atol=1e-4)).nonzero()[0].tolist())
