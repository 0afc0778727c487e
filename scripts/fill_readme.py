"""Write the measured tables into README.md: `make readme`.

A table stands between two markers, `<!-- bench -->` and `<!-- end -->`; the function of its name
makes it from the JSON files that other commands write to build/. Nobody types a figure:
tests/test_readme.py fills the README again and compares.
"""

import json
import re
from pathlib import Path

COURSE = Path(__file__).resolve().parent.parent
README = COURSE / "README.md"
BLOCK = re.compile(r"(<!-- (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def read(name):
    """What a command wrote to build/`name`.json."""
    return json.loads((COURSE / "build" / f"{name}.json").read_text(encoding="utf-8"))


def table(head, rows):
    """A Markdown table: the first column to the left, the others to the right."""
    lines = [head, [":--"] + ["--:"] * (len(head) - 1), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def bench():
    """The course against the lesson's own code, as `make bench` measured it."""
    measured = read("bench")
    lesson, course = measured["lesson_seconds"], measured["course_seconds"]
    return table(
        ["ten epochs of chapter 3", "the lesson's code", "this course"],
        [
            ["with live curves and test accuracy", f"{lesson:.0f} s", f"{course:.0f} s"],
            ["forward, backward and step alone", "", f"{measured['bare_seconds']:.0f} s"],
            ["peak memory, worker processes included", "1", f"{measured['memory_ratio']:.2f}"],
            ["pictures of the curves a second", "", f"{measured['pictures_per_second']:.1f}"],
            ["share of the time for them", "", f"{measured['chart_share']:.1%}"],
            ["two notebooks at once, each", "", f"{measured['two_at_once_ratio']:.1f} × as long"],
        ],
    )


def accuracy():
    """What ten epochs give, from `make studies`."""

    def row(name, accuracies):
        spread = f"{min(accuracies):.3f} to {max(accuracies):.3f}"
        return [name, len(accuracies), spread]

    lesson = [run["test_acc"] for run in read("seeds")]
    return table(
        ["ten epochs on Fashion-MNIST", "seeds", "test accuracy"],
        [
            row("the lesson's network", lesson),
            *(row(f"+ {step['name']}", step["test_acc"]) for step in read("variants")),
        ],
    )


TABLES = {function.__name__: function for function in (bench, accuracy)}


def fill(text):
    """`text` with every table between markers made anew."""
    return BLOCK.sub(lambda block: f"{block[1]}{TABLES[block['name']]()}{block[3]}", text)


if __name__ == "__main__":
    README.write_text(fill(README.read_text(encoding="utf-8")), encoding="utf-8")
