"""A student's own best results in the open exercises: kept in a file, shown as plot and table.

The file lies in `saved.runs_folder()`, one for every exercise, JSON, and is not committed.
"""

from lenet_course import drawing, saved

import json
import os
from datetime import datetime
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from .checking import sentence

FIELDS = {  # of a result
    "accuracy": float, "label": str, "num_epochs": int, "lr": float, "parameters": int,
    "layers": str, "when": str,
}  # fmt: skip


def path_of(name: str) -> Path:
    return saved.runs_folder() / f"best_results_{name}.json"


def load(name: str) -> tuple[list[dict], str]:
    """The results kept so far, best first, and a sentence if something was wrong with the file."""
    path = path_of(name)
    try:
        return [_read(entry) for entry in json.loads(path.read_text(encoding="utf-8"))], ""
    except FileNotFoundError:
        return [], ""
    except (ValueError, TypeError, AttributeError, RecursionError):  # not what is written here
        now = datetime.now().strftime("%Y-%m-%d-%H-%M-%S")
        aside = path.with_suffix(f".damaged-{now}.json")
        os.replace(path, aside)
        return [], sentence("leaderboard", "damaged", name=aside.name)


def _read(entry):
    """A result as it was kept, all texts such as can be shown. Raises an error if this is none."""
    # In version 0.1 the accuracy was called test_acc.
    entry = {name.replace("test_acc", "accuracy"): value for name, value in dict(entry).items()}
    entry |= {name: drawing.short(v, 300) for name, v in entry.items() if isinstance(v, str)}
    kinds = {name: type(value) for name, value in entry.items()}
    if kinds != FIELDS or not 0 <= entry["accuracy"] <= 1:
        raise ValueError("this is no result")
    return entry


def keep(name: str, result: dict) -> tuple[list[dict], str]:
    """Add a result; return the best ones, best first, and a sentence on what went wrong, or "".

    The file is written whole or not at all. The same result again changes nothing.
    """
    result = _read({**result, "when": datetime.now().strftime("%Y-%m-%d %H:%M")})
    try:
        results, trouble = load(name)
    except OSError as error:
        return [result], sentence("leaderboard", "not read", error=error.strerror)
    if {**result, "when": ""} in [{**entry, "when": ""} for entry in results]:
        return results, trouble
    results = sorted([*results, result], key=lambda entry: -entry["accuracy"])[:10]
    try:
        saved.write_json(results, path_of(name))
    except OSError as error:
        trouble += sentence("leaderboard", "not kept", error=error.strerror)
    return results, trouble


def show(results: list[dict], goal: float, images: str) -> None:
    """The results as a plot and a table, best first; `goal` is the accuracy to beat."""
    reached = sum(result["accuracy"] >= goal for result in results)
    words = (
        f"Your {len(results)} best: {reached} reach the goal of {goal}; the best, "
        f"{results[0]['label']}, {results[0]['accuracy']:.4f} of the {images} images."
    )
    try:
        drawing.show(plot(results, goal, images), words)
    except Exception as error:  # a picture is no reason to lose what the check has to say
        print(f"{words} (They cannot be drawn: {error})")
    drawing.show_data(table(results))


def plot(results: list[dict], goal: float, images: str) -> Figure:
    """A figure with a dot a result, labelled, and a line where the goal is."""
    fig, ax = plt.subplots(figsize=(8, 1.2 + 0.34 * len(results)))
    for row, result in enumerate(results):
        marker, name = ("o", "blue") if result["accuracy"] >= goal else ("x", "orange")
        look = {"color": drawing.COLORS[name], "markersize": 9, "markeredgewidth": 2.5}
        ax.plot([result["accuracy"]], [row], marker, **look)
    grey = drawing.COLORS["grey"]
    ax.axvline(goal, color=grey, linestyle="--")
    above = ax.get_xaxis_transform()  # above the axes, at the place of the line
    ax.text(goal, 1.02, f"goal {goal}", ha="center", color=grey, transform=above)
    labels = [f"{drawing.plain(r['label'], 32)}  {r['accuracy']:.4f}" for r in results]
    ax.set_yticks(range(len(results)), labels)
    ax.margins(x=0.15)
    ax.set(ylim=(len(results) - 0.5, -0.6), xlabel=f"accuracy on the {images} images")
    return fig


def table(results: list[dict]) -> dict[str, str]:
    """MIME data of the results as a table, no label in it read as HTML or as mathematics."""
    with pd.option_context("display.html.use_mathjax", False, "display.max_colwidth", 100):
        frame = pd.DataFrame(results, columns=list(FIELDS))
        shown = frame.to_html(index=False, float_format="{:.4g}".format)
        return {"text/html": shown, "text/plain": frame.to_string(index=False)}
