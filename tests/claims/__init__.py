"""The checkable sentences of the chapters, and the search for those that nothing checks.

tests/claims/03_training.py and its siblings hold, for their chapter,

    CLAIMS = [("a sentence, or a part of one, as it stands", "an expression that must be true")]
    UNCHECKED = {"a part of a sentence": "where its number comes from, or why none can check it"}
    SETUP = "code that the expressions need, run before them"  # optional

The expressions are evaluated in the chapter's own kernel after its last cell (see nbval_plugin.py).
Every number, number word and formula of the prose has to stand in one of these sentences, or in an
output or an assert of its own section; in `code` and in questions (> ...) any of its code will do.
(The exercises are held by their checks: tests/test_exercises.py runs every solution.)
"""

import re
import runpy
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Claims(NamedTuple):
    """What is known to be true of a chapter's sentences."""

    claims: list[tuple[str, str]]
    unchecked: dict[str, str]
    setup: str


def load(chapter: str) -> Claims:
    """The Claims of a chapter, "03_training"; none if it has no file."""
    path = FOLDER / f"{chapter}.py"
    names = runpy.run_path(str(path)) if path.exists() else {}
    return Claims(names.get("CLAIMS", []), names.get("UNCHECKED", {}), names.get("SETUP", ""))


WORDS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
    "seventeen eighteen nineteen twenty",
)
NUMBER_WORDS = {word: float(n) for n, word in enumerate(" ".join(WORDS).split(), start=2)} | {
    "twice": 2.0, "half": 0.5, "halves": 0.5, "thirds": 1 / 3, "a third": 1 / 3, "a quarter": 0.25,
    "quarters": 0.25, "a fifth": 0.2, "a sixth": 1 / 6, "a tenth": 0.1, "a twentieth": 0.05,
    "a hundredth": 0.01, "hundred": 100.0, "thousand": 1000.0, "million": 1e6, "dozen": 12.0,
    "dozens": 12.0, "thrice": 3.0, "double": 2.0, "doubles": 2.0,
}  # fmt: skip
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w])(?!\.\d)")
NUMBER_WORD = re.compile(rf"\b({'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))})\b", re.I)
FORMULA = re.compile(r"\$\$?([^$]+)\$\$?")
RELATION = re.compile(r"=|\\le|\\ge|\\approx|\\propto|<|>|\d")
# What is no prose: addresses, HTML's own attributes, the names of exercises, sources.
NO_PROSE = re.compile(
    r"\]\([^)]*\)|https?://\S+|<[^>]*>|[Ee]xercises? \d\.\d+"
    r"|[Cc]hapters? \d(?:(?: to | and |, )\d)*|```.*?```|^#+ [^\n]*|Previous: [^\n]*",
    re.DOTALL | re.MULTILINE,
)


def flat(text: str) -> str:
    """`text` in one line: a sentence may be broken anywhere."""
    return " ".join(text.split())


def sections(notebook) -> list[list]:
    """The cells of a notebook in groups, each from a heading to the next."""
    groups = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and re.search(r"^#{1,3} ", cell.source, re.MULTILINE):
            groups.append([])
        groups[-1].append(cell)
    return groups


def held_numbers(code_cells: list) -> tuple[list[float], list[float]]:
    """The numbers of the outputs and asserts of some cells, and those of all of their code."""
    shown, coded = [], []
    for cell in code_cells:
        texts = [line for line in cell.source.splitlines() if "assert" in line]
        for output in cell.outputs:
            data = output.get("data", {})
            texts += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
        shown += numbers(" ".join(re.sub(r"data:image/[^\"]*", "", text) for text in texts))
        coded += numbers(cell.source)
    return shown, shown + coded


def numbers(text: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(re.sub(r"(?<=\d)[_,](?=\d{3})", "", text))]


def is_held(number: str, percent: bool, known: list[float]) -> bool:
    """Whether one of the known numbers is `number`, or is so when it is rounded as that is."""
    digits, value = len(number.partition(".")[2]), float(number)
    rounds = 0.5 * 10**-digits if digits else 0.0
    return any(
        abs(k - value) <= rounds + 1e-9 or (percent and abs(100 * k - value) <= 0.5 * 10**-digits)
        for k in known
    )


def problems(notebook, claims: Claims) -> list[str]:
    """Sentences on claims that are not in the text, and numbers in it that nothing holds."""
    markdown = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    whole, covered = flat(" ".join(markdown)), [s for s, _ in claims.claims] + [*claims.unchecked]
    found = [f"“{s}” is no longer in the text" for s in covered if flat(s) not in whole]
    for cells in sections(notebook):
        if cells and re.match(r"#+ Exercise", cells[0].source):
            continue
        shown, coded = held_numbers([cell for cell in cells if cell.cell_type == "code"])
        for cell in cells:
            if cell.cell_type == "markdown":
                prose = NO_PROSE.sub(" ", cell.source)
                questions = " ".join(re.findall(r"^>(.*)$", prose, re.MULTILINE))
                answers = re.sub(r"^>.*$", " ", prose, flags=re.MULTILINE)
                found += loose_ends(flat(answers), covered, shown, coded)
                found += loose_ends(flat(questions), covered, coded, coded)
    return found


def loose_ends(text: str, covered: list[str], shown: list[float], coded: list[float]) -> list[str]:
    """The numbers, number words and formulas of `text` that nothing holds."""
    for sentence in sorted(covered, key=len, reverse=True):
        text = text.replace(flat(NO_PROSE.sub(" ", sentence)), " … ")
    found = []
    for code in re.findall(r"`[^`]*`", text):
        found += [code for number in NUMBER.findall(code) if not is_held(number, False, coded)][:1]
    text = re.sub(r"`[^`]*`", " ", text)
    found += [f"${f}$" for f in FORMULA.findall(text) if RELATION.search(f)]
    text = FORMULA.sub(" ", text)
    for match in NUMBER.finditer(text):
        percent = bool(re.match(r" ?(%|per cent)", text[match.end() :]))
        if not is_held(match[0], percent, shown):
            found.append(text[max(match.start() - 30, 0) : match.end() + 30])
    for match in NUMBER_WORD.finditer(text):
        if not any(abs(NUMBER_WORDS[match[1].lower()] - k) < 1e-9 for k in shown):
            found.append(text[max(match.start() - 30, 0) : match.end() + 30])
    return [f"no claim, output or assert of its section holds “{what}”" for what in found]
