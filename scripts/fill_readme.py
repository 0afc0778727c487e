"""Write the measured tables into README.md: `make readme`.

A table stands between two markers, `<!-- bench -->` and `<!-- end -->`; the function of its name
makes it from the JSON files that other commands write to results/. Nobody types a figure:
tests/test_readme.py fills the README again and compares.
"""

import json
import re
from decimal import Decimal
from pathlib import Path

COURSE = Path(__file__).resolve().parent.parent
README = COURSE / "README.md"
BLOCK = re.compile(r"(<!-- (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def read(name: str) -> dict:
    """What a command wrote to results/`name`.json."""
    return json.loads((COURSE / "results" / f"{name}.json").read_text(encoding="utf-8"))


def table(head: list[str], rows: list[list]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = [head, [":--"] + ["--:"] * (len(head) - 1), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def bench() -> str:
    """The course against the lesson's own code, as `make bench` measured it."""
    found = read("bench")

    def seconds(way):
        return f"{found[f'{way}_seconds']:.0f} s"

    def megabytes(way):
        return f"{found[f'{way}_megabytes']} MB"

    head = [f"{found['epochs']} epochs on {found['cores']} cores", "the lesson", "the course"]
    return table(
        head,
        [
            ["time, with curves and test accuracy", seconds("lesson"), seconds("course")],
            ["forward passes, backward passes and steps alone", "", seconds("bare")],
            ["peak memory", megabytes("lesson"), megabytes("course")],
            ["of which Jupyter and PyTorch alone", megabytes("torch"), megabytes("torch")],
            ["updates of the curves per second", "", f"{found['pictures_per_second']:.1f}"],
            ["share of the time that they take, in the kernel", "", f"{found['chart_share']:.1%}"],
            ["the same, with a browser on these cores", "", f"{found['browser_share']:.0%}"],
            ["two trainings at once each take", "", f"{found['two_at_once_ratio']:.1f} × as long"],
        ],
    )


def faults() -> str:
    """What went wrong on purpose, and how often all was well afterwards: `make faults`."""
    rows = [[name, n["tried"], n["handled"]] for name, n in read("faults").items()]
    total = ["**together**", *(sum(row[column] for row in rows) for column in (1, 2))]
    return table(["what went wrong", "tried", "handled"], [*rows, total])


def mutants() -> str:
    """Planted mistakes, folder by folder, and how many the tests killed: `make mutants`."""
    found = {}
    for key, killed_by in read("mutants").items():
        file = key.partition(": ")[0]
        where = f"{Path(file).parent}/" if "/" in file else file
        found.setdefault(where, []).append(bool(killed_by))
    rows = [[f"`{where}`", len(found[where]), sum(found[where])] for where in sorted(found)]
    total = ["**together**", *(sum(row[column] for row in rows) for column in (1, 2))]
    return table(["where", "mistakes planted", "killed"], [*rows, total])


def accuracy() -> str:
    """What ten epochs give, from `make studies`."""

    def row(name, accuracies):
        # As decimals, 0.1035 is 0.104, as it is in chapter 4.
        low, high = (Decimal(str(end(accuracies))) for end in (min, max))
        spread = f"{low:.3f} to {high:.3f}"
        return [name, len(accuracies), spread]

    rows = {name: [run["test_acc"] for run in runs] for name, runs in read("steps").items()}
    first, *others = rows
    return table(
        ["ten epochs on Fashion-MNIST", "seeds", "test accuracy"],
        [row(first, rows[first]), *(row(f"+ {name}", rows[name]) for name in others)],
    )


def hub() -> str:
    """A class on one server, as `make hub-figures` measured it."""
    found = read("hub")
    rates = found["images_per_second"]
    together = " / ".join(str(rate) for rate in rates.values())
    head = [f"{found['students']} students on {found['cores']} cores", ""]
    return table(
        head,
        [
            ["memory of a student's kernel after chapter 2", f"{found['kernel_MB']} MB"],
            ["memory of a student's server", f"{found['server_MB']} MB"],
            [f"images per second in all, while {' / '.join(rates)} students train", together],
        ],
    )


TABLES = {function.__name__: function for function in (bench, accuracy, hub, faults, mutants)}


def fill(text: str) -> str:
    """`text` with every table between markers made anew."""
    return BLOCK.sub(lambda block: f"{block[1]}{TABLES[block['name']]()}{block[3]}", text)


if __name__ == "__main__":
    README.write_text(fill(README.read_text(encoding="utf-8")), encoding="utf-8")
