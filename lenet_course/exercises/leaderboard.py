"""A student's own best results in the open exercises: kept in a file, shown as plot and table.

The file lies in `saved.runs_folder()`, one for every exercise, JSON, and is not committed.
"""

from lenet_course import drawing, saved

import html
import json
import math
import os
from datetime import datetime

import matplotlib.pyplot as plt
from IPython.display import display

MOST_KEPT = 10
FIELDS = {  # of a result: name, type, heading of its column
    "test_acc": (float, "test acc"),
    "label": (str, "label"),
    "num_epochs": (int, "epochs"),
    "lr": (float, "lr"),
    "parameters": (int, "parameters"),
    "layers": (str, "layers"),
    "when": (str, "when"),
}


def path_of(name):
    return saved.runs_folder() / f"best_results_{name}.json"


def load(name):
    """The results kept so far, best first, and a sentence if something was wrong with the file."""
    path = path_of(name)
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(results, list) or not all(map(_is_result, results)):
            raise ValueError
        return results, ""
    except FileNotFoundError:
        return [], ""
    except (ValueError, RecursionError):  # no JSON, no text, or other JSON than ours
        aside = path.with_suffix(".damaged.json")
        os.replace(path, aside)
        return [], (
            f"The file with your earlier results was damaged; it is now called {aside.name}, and "
            "a new one is begun."
        )


def _is_result(entry):
    return (
        isinstance(entry, dict)
        and entry.keys() == FIELDS.keys()
        and all(type(entry[field]) is kind for field, (kind, _) in FIELDS.items())
        and math.isfinite(entry["test_acc"])
    )


def keep(name, result):
    """Add a result; return the best ones, best first, and a sentence on what went wrong, or "".

    The file is written whole or not at all. The same result again changes nothing.
    """
    result = {**result, "when": datetime.now().strftime("%Y-%m-%d %H:%M")}
    try:
        results, trouble = load(name)
    except OSError as error:
        return [result], f"Your earlier results cannot be read ({error.strerror})."
    known = [{**entry, "when": ""} for entry in results]
    if {**result, "when": ""} in known:
        return results, trouble
    results = sorted([*results, result], key=lambda entry: -entry["test_acc"])[:MOST_KEPT]
    try:
        saved.write_json(results, path_of(name))
    except OSError as error:
        trouble = f"{trouble} This result cannot be kept ({error.strerror}).".strip()
    return results, trouble


# ---------------------------------------------------------------------------- showing


def show(results, goal):
    """The results as a plot and a table, best first; `goal` is the accuracy to beat."""
    drawing.show(plot(results, goal), describe(results, goal))
    display(Table(results))


def plot(results, goal):
    """A figure with a dot a result, labelled, and a line where the goal is."""
    fig, ax = plt.subplots(figsize=(8, 1.2 + 0.34 * len(results)))
    colors = drawing.COLORS
    for row, result in enumerate(results):
        reached = result["test_acc"] >= goal
        ax.plot(
            [result["test_acc"]],
            [row],
            marker="o" if reached else "x",
            linestyle="none",
            markersize=9,
            markeredgewidth=2.5,
            color=colors["blue" if reached else "orange"],
        )
    ax.axvline(goal, color=colors["grey"], linestyle="--")
    # Above the axes, at the height of its line.
    place = ax.get_xaxis_transform()
    ax.text(goal, 1.02, f"goal {goal}", ha="center", color=colors["grey"], transform=place)
    ax.set_yticks(
        range(len(results)),
        [f"{drawing.plain(result['label'], 32)}  {result['test_acc']:.4f}" for result in results],
    )
    ax.set_ylim(len(results) - 0.5, -0.6)
    ax.margins(x=0.15)
    ax.set_xlabel("accuracy on the test images")
    return fig


def describe(results, goal):
    """The plot in words."""
    reached = sum(result["test_acc"] >= goal for result in results)
    best = results[0]
    return (
        f"Your {len(results)} best: {reached} reach the goal of {goal}; the best, {best['label']}, "
        f"{best['test_acc']:.4f}."
    )


class Table:
    """Results as a table, as HTML and as text."""

    def __init__(self, results):
        self.rows = [[_cell(result[field]) for field in FIELDS] for result in results]
        self.head = [heading for _, heading in FIELDS.values()]

    def __repr__(self):
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [self.head, *self.rows]
        )

    def _repr_html_(self):
        left = 'style="text-align: left"'
        head = "".join(f"<th {left}>{heading}</th>" for heading in self.head)
        rows = (
            "".join(f"<td {left}>{html.escape(cell)}</td>" for cell in row) for row in self.rows
        )
        return f"<table><tr>{head}</tr><tr>{'</tr><tr>'.join(rows)}</tr></table>"


def _cell(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
