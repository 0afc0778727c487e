"""Write the measured tables into README.md: `make readme`.

A table stands between `<!-- bench -->` and `<!-- end -->`; its figures come from build/bench.json,
and so for every name in TABLES. Nobody types a figure: tests/test_readme.py fills the README again
and compares.
"""

import json
import re
from pathlib import Path

COURSE = Path(__file__).resolve().parent.parent
README = COURSE / "README.md"
BLOCK = re.compile(r"(<!-- (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head, rows):
    """A Markdown table: the first column to the left, the others to the right."""
    lines = [head, [":--"] + ["--:"] * (len(head) - 1), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def bench(measured):
    """The course against the lesson's own code, as `make bench` measured it."""
    lesson, course = measured["lesson_seconds"], measured["course_seconds"]
    return table(
        ["ten epochs of chapter 3", "the lesson's code", "this course"],
        [
            ["with live curves and test accuracy", f"{lesson:.0f} s", f"{course:.0f} s"],
            ["forward, backward and step alone", "", f"{measured['bare_seconds']:.0f} s"],
            ["peak memory, worker processes included", "1", f"{measured['memory_ratio']:.2f}"],
            ["pictures of the curves a second", "", f"{measured['pictures_per_second']:.1f}"],
            ["share of the time for them", "", f"{measured['chart_share']:.1%}"],
            [
                "two notebooks at once, each",
                "",
                f"{measured['two_at_once_ratio']:.1f} times as long",
            ],
        ],
    )


TABLES = {"bench": bench}


def fill(text):
    """`text` with every block between markers made anew. Raises FileNotFoundError, KeyError."""

    def made(block):
        name = block["name"]
        measured = json.loads((COURSE / "build" / f"{name}.json").read_text(encoding="utf-8"))
        return f"{block[1]}{TABLES[name](measured)}{block[3]}"

    return BLOCK.sub(made, text)


if __name__ == "__main__":
    README.write_text(fill(README.read_text(encoding="utf-8")), encoding="utf-8")
