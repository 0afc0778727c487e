"""Are the notebooks saved as they should be, and does their text agree with what they show?

nbval runs the cells and compares what comes with what is stored. Here is what it does not look at:
how the file was saved, its pictures' descriptions, its links, and the numbers in its prose. Every
failure is a sentence that says how to mend it, and the last tests damage a chapter in each of these
ways, to see that it is found.
"""

import copy
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from save_notebooks import METADATA, WIDGET_VIEW, fingerprint

from tests import claims

COURSE = Path(__file__).resolve().parent.parent

CHAPTERS = sorted((COURSE / "notebooks").glob("*.ipynb"))
WITH_CLAIMS = [path for path in CHAPTERS if (claims.FOLDER / f"{path.stem}.py").exists()]
LONGEST_CELL = 25  # lines
SAVE = "run `make notebooks`"


def test_chapters_are_all_there():
    names = "01_network 02_shape_tracing 03_training 04_evaluation 05_backpropagation "
    names += "06_convolution 07_lenet5"
    assert [path.stem for path in CHAPTERS] == names.split()


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return request.param, nbformat.read(request.param, as_version=4)


def demand_none(problems, path):
    problems = [f"{path.name}: {problem}" for problem in problems]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


# ---------------------------------------------------------------------------- how it was saved


def saved_wrongly(notebook):
    """Sentences on what is wrong with the way in which `notebook` was saved."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, start=1):
        if cell.execution_count != number:
            yield f"In [{number}] was saved as In [{cell.execution_count}], out of order: {SAVE}"
            break
    for number, cell in enumerate(cells, start=1):
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                yield f"In [{number}] was saved with an error, {output.ename}: mend it and {SAVE}"
            if WIDGET_VIEW in output.get("data", {}):
                yield f"In [{number}] was saved with a widget, which shows nothing at rest: {SAVE}"
        found = re.search(
            r"(/home/|/root\b|/work/|/tmp/|/Users/|\b[A-Z]:\\|site-packages)",
            "\n".join([cell.source, *output_texts(cell)]),
        )
        if found:
            yield f"In [{number}] names a path of one machine, {found[0]}: print no paths"
    if "widgets" in notebook.metadata:
        yield f"it was saved with the state of its widgets: {SAVE}"
    if notebook.metadata.get("kernelspec") != METADATA["kernelspec"]:
        yield f"it was saved with another kernel than python3: {SAVE}"
    if notebook.metadata.get("lenet", {}).get("code") != fingerprint(notebook):
        yield f"its code was changed after it was run: {SAVE}"


def tags(cell):
    return cell.metadata.get("tags", [])


def output_texts(cell):
    """What the outputs of a cell say, without pictures."""
    for output in cell.outputs:
        yield output.get("text", "")
        yield from (
            content for kind, content in output.get("data", {}).items() if kind.startswith("text/")
        )


def test_saved_by_a_clean_run(chapter):
    path, notebook = chapter
    nbformat.validate(notebook)
    demand_none(saved_wrongly(notebook), path)


# ---------------------------------------------------------------------------- how it is written


def written_wrongly(notebook):
    """Sentences on what is wrong with the cells of `notebook` as they are written."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not cells[0].source.startswith("import lenet_helpers as lenet"):
        yield "its first code cell has to begin with `import lenet_helpers as lenet`"
    for number, cell in enumerate(cells, start=1):
        lines = len(cell.source.splitlines())
        if lines > LONGEST_CELL:
            yield f"In [{number}] has {lines} lines: split it, {LONGEST_CELL} are the most"
        if "NBVAL" in cell.source:
            yield f"In [{number}] has a comment for nbval: give the cell a tag instead"
        for tag in tags(cell):
            yield from (f"In [{number}] has the tag {tag}: {why}" for why in tag_wrong(tag, cell))
        for output in cell.outputs:
            words = output.get("data", {}).get("text/plain", "")
            if is_picture(output) and not describes(words):
                yield (
                    f"In [{number}] shows a picture without a description in words: "
                    "`show(fig, alt)` of lenet_course.drawing gives it one"
                )


def tag_wrong(tag, cell):
    if re.match("nbval|toler|raises", tag):
        if tag == "nbval-skip":
            yield "a cell that is skipped tests nothing"
        elif not re.fullmatch(r"nbval-ignore-output|raises-exception|tolerance=[\d.]+", tag):
            yield "nothing knows it"
    if tag.startswith("tolerance="):
        fractions = [n for text in output_texts(cell) for n in re.findall(r"\d\.\d", text)]
        if float(tag.removeprefix("tolerance=")) > 0.05 and fractions:
            yield "more than 0.05 is for counts, and this cell prints fractions"


def is_picture(output):
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def describes(words):
    return len(words.split()) >= 5 and not words.startswith("<")


def test_cells(chapter):
    path, notebook = chapter
    demand_none(written_wrongly(notebook), path)


# ---------------------------------------------------------------------------- links and pictures

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
IMG = re.compile(r"<img\b[^>]*>")


def prose(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def linked_wrongly(notebook, folder):
    """Sentences on links of `notebook` that lead nowhere, and pictures without words."""
    for text in prose(notebook):
        links = LINK.findall(text)
        for img in IMG.findall(text):
            attribute = dict(re.findall(r'(\w+)="([^"]*)"', img))
            links.append(("!", attribute.get("alt", ""), attribute.get("src", "")))
        for bang, words, target in links:
            if bang and not describes(words):
                yield f"the picture {target} has no description: write one, ![here]({target})"
            file = target.split("#")[0]
            if file and "://" not in file and not (folder / unquote(file)).is_file():
                yield f"the link to {target} leads nowhere: there is no such file"


def test_links_and_pictures(chapter):
    path, notebook = chapter
    demand_none(linked_wrongly(notebook, path.parent), path)


# ---------------------------------------------------------------------------- what it says


@pytest.mark.parametrize("path", WITH_CLAIMS, ids=lambda path: path.stem)
def test_what_can_be_checked_is_checked(path):
    notebook = nbformat.read(path, as_version=4)
    demand_none(claims.problems(notebook, claims.load(path.stem)), path)


GLOSSARY = re.findall(
    r"^\| (.+) \| .+ \| \[\d\]\((.+)\), (.+) \|$", (COURSE / "GLOSSARY.md").read_text("utf-8"), re.M
)


@pytest.mark.parametrize(("word", "chapter", "section"), GLOSSARY, ids=lambda text: text)
def test_a_word_of_the_glossary_is_in_bold_where_it_says(word, chapter, section):
    text = "\n".join(prose(nbformat.read(COURSE / chapter, as_version=4)))
    body = re.split(r"^#+ ", text.partition(f"# {section}\n")[2], maxsplit=1, flags=re.M)[0]
    first = re.escape(word.removesuffix(" layer").partition(" (")[0])
    assert re.search(rf"\*\*{first}", body, re.IGNORECASE)


def test_the_glossary_is_in_order():
    assert len(GLOSSARY) > 40
    words = [word.lower() for word, *_ in GLOSSARY]
    assert words == sorted(set(words))


# ---------------------------------------------------------------------------- is all this found?


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def swap(notebook):
    first, second = code_cells(notebook)[1:3]
    first.execution_count, second.execution_count = 3, 2


def add_output(**data):
    return lambda notebook: code_cells(notebook)[1].outputs.append(
        new_output("display_data", data=data)
    )


def change_code(old, new):
    def change(notebook):
        cell = next(cell for cell in code_cells(notebook) if old in cell.source)
        cell.source = cell.source.replace(old, new)

    return change


def tag(name):
    return lambda notebook: code_cells(notebook)[1].metadata.update(tags=[name])


def write(text):
    return lambda notebook: notebook.cells.append(new_markdown_cell(text))


def fail(notebook):
    error = new_output("error", ename="ValueError", evalue="", traceback=[])
    code_cells(notebook)[1].outputs = [error]


def unsave(notebook):
    for cell in code_cells(notebook):
        cell.update(execution_count=None, outputs=[])


def lengthen(notebook):
    code_cells(notebook)[1].source += "\n" * 30 + "pass"


def rename_kernel(notebook):
    notebook.metadata.kernelspec.name = "lenet"


def add_unrun_cell(notebook):
    notebook.cells.append(new_code_cell("1"))


DAMAGE = [
    ("out of order", swap, "In [2] was saved as In [3], out of order"),
    ("without outputs", unsave, "In [1] was saved as In [None], out of order"),
    ("a cell never run", add_unrun_cell, "was saved as In [None], out of order"),
    ("with an error", fail, "In [2] was saved with an error, ValueError"),
    ("another kernel", rename_kernel, "another kernel than python3"),
    ("code changed", change_code("lenet.", "lenet.x."), "its code was changed after it was run"),
    (
        "a path",
        add_output(**{"text/plain": "in /home/me/x"}),
        "path of one machine, /home/",
    ),
    ("a path in code", change_code("import torch", "x = '/tmp/x'"), "one machine, /tmp/"),
    ("a widget", add_output(**{WIDGET_VIEW: {}}), "In [2] was saved with a widget"),
    (
        "widgets' state",
        lambda notebook: notebook.metadata.update(widgets={}),
        "with the state of its widgets",
    ),
    ("other import", change_code("import lenet_helpers as lenet", ""), "has to begin with `import"),
    ("long cell", lengthen, "lines: split it, 25 are the most"),
    ("nbval comment", change_code("torch.", "# NBVAL_SKIP\ntorch."), "a comment for nbval"),
    ("skipped", tag("nbval-skip"), "a cell that is skipped tests nothing"),
    ("misspelt tag", tag("tolerence=0.02"), "tolerence=0.02: nothing knows it"),
    ("no alt", add_output(**{"image/png": "iVBO", "text/plain": "<Figure size 1x1>"}), "In [2] sh"),
    ("no alt at all", add_output(**{"image/png": "iVBO"}), "In [2] shows a picture without"),
    ("picture without words", write("![](../README.md)"), "the picture ../README.md has no"),
    ("img without words", write('<img src="../README.md">'), "the picture ../README.md has no"),
    ("broken link", write("[there](no_such_file.ipynb)"), "no_such_file.ipynb leads nowhere"),
    ("broken picture", write("![a b c d e](../Images/no.png)"), "../Images/no.png leads nowhere"),
    ("number", write("an accuracy of 0.98761"), "holds “an accuracy of 0.98761”"),
    ("count", write("it has 98761 parameters"), "98761 parameters”"),
    ("percent", write("that is 9.8761 % more"), "9.8761 % more”"),
    ("word", write("# New\nfourteen of them"), "holds “fourteen of them”"),
    ("formula", write("Then $a = b^3$ holds."), "holds “$a = b^3$”"),
    ("code", write("`Conv2d(98761)` does it"), "holds “`Conv2d(98761)`”"),
]


@pytest.mark.parametrize(
    ("damage", "sentence"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE]
)
def test_damage_is_found(damage, sentence):
    path = CHAPTERS[0]
    notebook = nbformat.read(path, as_version=4)

    def problems(notebook):
        return [
            *saved_wrongly(notebook),
            *written_wrongly(notebook),
            *linked_wrongly(notebook, path.parent),
            *claims.problems(notebook, claims.load(path.stem)),
        ]

    before = problems(copy.deepcopy(notebook))
    damage(notebook)
    new = [problem for problem in problems(notebook) if problem not in before]
    assert any(sentence in problem for problem in new), new


def test_numbers_and_sentences_that_nothing_holds_are_found():
    output = new_output("stream", name="stdout", text="61706 and 0.78\n")
    texts = ["61706 are", "0.78 is", "78 % are", "known: 5", "61700 no", "0.785 no", "79 % no"]
    cells = [new_code_cell("1", outputs=[output]), *map(new_markdown_cell, texts)]
    known = claims.Claims([("known: 5", "True"), ("is gone", "True")], {}, "")
    assert claims.problems(nbformat.v4.new_notebook(cells=cells), known) == [
        "“is gone” is no longer in the text",
        *(f"no claim, output or assert of its section holds “{text}”" for text in texts[4:]),
    ]


def test_too_loose_a_tolerance_is_found():
    notebook = nbformat.read(CHAPTERS[0], as_version=4)
    tag("tolerance=3")(notebook)
    add_output(**{"text/plain": "accuracy 0.79"})(notebook)
    assert any("this cell prints fractions" in problem for problem in written_wrongly(notebook))
