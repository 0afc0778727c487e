"""Does the comparison of notebooks find what it should find? Real notebooks, with mistakes in them.

All cells are in one notebook, since starting a kernel is what takes the time; each is stored with
an output that may differ from what it gives, and has a word to say which.
"""

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

COURSE = Path(__file__).resolve().parent.parent


def printed(text):
    return [new_output("stream", name="stdout", text=text)]


def shown(text, **data):
    return [new_output("display_data", data={"text/plain": text, **data})]


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return {"image/png": base64.b64encode(file.getvalue()).decode()}


SQUARE = np.full((40, 60), 255, np.uint8)
SQUARE[10:20, 10:20] = 0
MOVED = np.roll(SQUARE, 12, axis=1)
NOISY = SQUARE - (SQUARE > 0) * np.tile(np.uint8([0, 9]), (40, 30))
DRAW = """picture = np.full((40, 60), 255, np.uint8)
picture[10:20, 10:20] = 0
display(Drawn(picture))"""
DEFINE = """import io
import sys
import numpy as np
from PIL import Image
class Drawn:
    def __init__(self, pixels):
        self.pixels = pixels
    def __repr__(self):
        return "a black square"
    def _repr_png_(self):
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "png")
        return file.getvalue()"""
UPDATED = """handle = display("first", display_id=True)
handle.update("last")"""
CLEARED = """from IPython.display import clear_output
print("first")
clear_output(wait={wait})
print("last")"""
LAST = [new_output("display_data", data={"text/plain": "'last'"})]

# (what it is, code, stored outputs, tags, does it pass?)
CELLS = [
    ("definitions", DEFINE, [], [], True),
    ("equal", "print('loss 0.470')", printed("loss 0.470\n"), [], True),
    ("another number", "print('loss 0.470')", printed("loss 0.471\n"), [], False),
    ("another word", "print('loss 0.470')", printed("cost 0.470\n"), [], False),
    ("no output stored", "print('loss 0.470')", [], [], False),
    ("no output any more", "_ = 0.470", printed("loss 0.470\n"), [], False),
    ("value instead of print", "'0.470'", printed("'0.470'"), [], False),
    ("two outputs for one", "display(1); display(2)", shown("1"), [], False),
    ("on stderr", "print('loss', file=sys.stderr)", printed("loss\n"), [], False),
    ("speed", "print('31.5 examples/sec')", printed("9.0 examples/sec\n"), [], True),
    ("time", "print('in 3.21 s, 7 ms')", printed("in 4 s, 0.9 ms\n"), [], True),
    ("not a time", "print('3 stars')", printed("4 stars\n"), [], False),
    ("speed, and a word", "print('31.5 examples/sec')", printed("9 examples/sec!\n"), [], False),
    ("tolerated", "print('acc 0.81, 0.9')", printed("acc 0.79, 0.91\n"), ["tolerance=0.02"], True),
    ("not tolerated", "print('acc 0.82')", printed("acc 0.79\n"), ["tolerance=0.02"], False),
    ("second number", "print('0.79, 0.5')", printed("0.79, 0.6\n"), ["tolerance=0.02"], False),
    ("word", "print('acc 0.79')", printed("accuracy 0.79\n"), ["tolerance=0.02"], False),
    ("more numbers", "print('1.0 2.0 2.0')", printed("1.0 2.0\n"), ["tolerance=0.02"], False),
    ("fewer numbers", "print('1.0')", printed("1.0 1.0\n"), ["tolerance=0.02"], False),
    ("a sign", "print('-0.001')", printed(" 0.001\n"), ["tolerance=0.02"], True),
    ("a column", "print('|  9.99|')", printed("| 10.00|\n"), ["tolerance=0.02"], True),
    ("column moved", "print('|   9.99|')", printed("| 10.00|\n"), ["tolerance=0.02"], False),
    ("nan", "print(float('nan'))", printed("0.79\n"), ["tolerance=0.02"], False),
    ("not compared", "print(id(object()))", printed("7\n"), ["nbval-ignore-output"], True),
    ("skipped", "1 / 0", [], ["nbval-skip"], None),
    ("exception", "1 / 0", [], [], False),
    ("updated", UPDATED, LAST, [], True),
    ("updated, old stored", UPDATED, shown("'first'"), [], False),
    ("cleared", CLEARED.format(wait=False), printed("last\n"), [], True),
    ("cleared with wait", CLEARED.format(wait=True), printed("last\n"), [], True),
    ("not cleared", CLEARED.format(wait=True), printed("first\nlast\n"), [], False),
    ("picture", DRAW, shown("a black square", **png(SQUARE)), [], True),
    ("picture, noise", DRAW, shown("a black square", **png(NOISY)), [], True),
    ("picture, moved", DRAW, shown("a black square", **png(MOVED)), [], False),
    ("picture, size", DRAW, shown("a black square", **png(SQUARE[1:])), [], False),
    ("picture, none stored", DRAW, shown("a black square"), [], False),
    ("picture, moved a bit", DRAW, shown("a black square", **png(MOVED)), ["tolerance=0.1"], True),
]


def write_notebook(path, cells, **metadata):
    notebook = new_notebook(
        cells=[
            new_code_cell(source, outputs=outputs, execution_count=count, metadata={"tags": tags})
            for count, (_, source, outputs, tags, _) in enumerate(cells, start=1)
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python"}, **metadata},
    )
    nbformat.write(notebook, path)
    return notebook


def run_pytest(*args):
    """Everything that a run of pytest with the course's own rules prints, and how it ends."""
    sanitize = COURSE / "tests" / "nbval_sanitize.cfg"
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-sanitize-with", sanitize]
    done = subprocess.run(
        [*command, "-v", "-p", "tests.nbval_plugin", "-p", "no:cacheprovider", *args],
        cwd=COURSE,
        env={**os.environ, "PYTHONPATH": str(COURSE), "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "07_small.ipynb"
    write_notebook(path, CELLS)
    return run_pytest(f"--rootdir={path.parent}", path)


@pytest.mark.parametrize("number", range(1, len(CELLS) + 1), ids=[cell[0] for cell in CELLS])
def test_outcome(report, number):
    outcome = re.search(rf"::cell {number} (\w+)", report)[1]
    expected = {True: "PASSED", False: "FAILED", None: "SKIPPED"}[CELLS[number - 1][4]]
    assert outcome == expected, report


def test_counts_at_the_end(report):
    compared = [cell for cell in CELLS if cell[0] not in ("not compared", "skipped") and cell[4]]
    silent = [cell for cell in compared if not cell[2]]
    tolerant = [cell for cell in compared if cell[3]]
    masked = [cell for cell in compared if cell[0] in ("speed", "time")]
    failed = [cell for cell in CELLS if cell[4] is False]
    assert (
        f"07_small.ipynb: {len(compared)} cells compared ({len(silent)} of them without output, "
        f"{len(tolerant)} within a tolerance, {len(masked)} masked by the sanitize file), "
        f"1 not compared, 1 skipped, 0 claims, {len(failed)} failed"
    ) in report.splitlines()


def test_failure_says_where_what_and_how_to_mend_it(report):
    number = 1 + [cell[0] for cell in CELLS].index("another number")
    where = f"07_small.ipynb, In [{number}], `print('loss 0.470')`: what it gives now is not"
    lines = report[report.index(where) :].splitlines()
    assert lines[1:5] == ["    --- stored", "    +++ now", "    -loss 0.471", "    +loss 0.470"]
    assert "make notebooks" in lines[5]


def test_exception_is_shown(report):
    number = 1 + [cell[0] for cell in CELLS].index("exception")
    where = f"07_small.ipynb, In [{number}], `1 / 0`: it fails"
    assert "ZeroDivisionError" in report[report.index(where) :]


def test_cell_that_was_never_run_fails(tmp_path):
    path = tmp_path / "08_unrun.ipynb"
    notebook = write_notebook(path, CELLS[:1])
    notebook.cells[0].execution_count = None
    nbformat.write(notebook, path)
    report = run_pytest(f"--rootdir={tmp_path}", path)
    assert "saved without having been run" in report
    assert "08_unrun.ipynb: 0 cells compared" in report


def test_a_sentence_that_is_not_so_fails(tmp_path):
    """The claims of chapter 3, in a notebook of its name where nothing is as they say."""
    path = tmp_path / "03_training.ipynb"
    write_notebook(path, [("nothing", "X = None", [], [], True)])
    report = run_pytest(f"--rootdir={tmp_path}", path)
    assert "03_training.ipynb says: 234 full batches and one of 96." in report
    assert "tests/claims/03_training.py" in report
    assert re.search(r"03_training.ipynb: 1 cells compared .*, \d+ claims, \d\d failed", report)
