"""`make notebooks` saves what a clean run gives, or nothing at all."""

import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from save_notebooks import METADATA, WIDGET_VIEW, fingerprint

COURSE = Path(__file__).resolve().parent.parent
SCRIPT = COURSE / "scripts" / "save_notebooks.py"


def notebook_of(*sources, **metadata):
    return new_notebook(cells=[new_code_cell(source) for source in sources], metadata=metadata)


def save(*paths):
    return subprocess.run([sys.executable, SCRIPT, *paths], capture_output=True, text=True)


def test_saves_what_a_reader_sees_at_rest(tmp_path):
    path = tmp_path / "01_small.ipynb"
    widget = "import ipywidgets\nipywidgets.IntSlider()"
    notebook = notebook_of("import os", "print(1)\nprint(os.environ['LENET_DEVICE'])", widget)
    notebook.cells.insert(0, new_markdown_cell("# Text"))
    notebook.cells[1].outputs = [new_output("stream", text="from an earlier run")]
    notebook.cells[2].metadata.update(tags=["tolerance=0.01"], collapsed=True)
    notebook.metadata.update(widgets={"old": {}}, kernelspec={"name": "other"})
    ids = [cell.id for cell in notebook.cells]
    nbformat.write(notebook, path)

    done = save(path)
    assert done.returncode == 0 and done.stdout.startswith("01_small.ipynb: 3 cells run in ")
    saved = nbformat.read(path, as_version=4)
    _, first, second, third = saved.cells
    assert [cell.id for cell in saved.cells] == ids
    assert [first.execution_count, second.execution_count, third.execution_count] == [1, 2, 3]
    assert first.outputs == []
    assert second.outputs == [new_output("stream", text="1\ncpu\n")]
    assert second.metadata == {"tags": ["tolerance=0.01"]}
    assert "text/plain" in third.outputs[0].data and WIDGET_VIEW not in third.outputs[0].data
    assert saved.metadata == {**METADATA, "lenet": {"code": fingerprint(notebook)}}


def test_saves_nothing_if_a_cell_fails(tmp_path):
    good, bad = tmp_path / "01_good.ipynb", tmp_path / "02_bad.ipynb"
    nbformat.write(notebook_of("1"), good)
    nbformat.write(notebook_of("1 / 0"), bad)
    before = good.read_bytes(), bad.read_bytes()
    done = save(good, bad)
    assert done.returncode == 1
    assert "02_bad.ipynb: it does not run, so no notebook was saved" in done.stderr
    assert (good.read_bytes(), bad.read_bytes()) == before
    assert sorted(tmp_path.iterdir()) == [good, bad]


def test_says_that_a_notebook_is_not_there(tmp_path):
    assert "there is no" in save(tmp_path / "no.ipynb").stderr


def test_fingerprint_is_of_what_the_code_does():
    one = fingerprint(notebook_of("x = f(1, 2)", "%matplotlib inline"))
    assert fingerprint(notebook_of("x = f(\n    1, 2\n)  # why", "%matplotlib inline")) == one
    assert fingerprint(notebook_of("x = f(1, 3)", "%matplotlib inline")) != one
    assert fingerprint(notebook_of("x = f(1, 2)", "%matplotlib agg")) != one
    assert fingerprint(notebook_of("x = f(1, 2)\n%matplotlib inline")) != one
