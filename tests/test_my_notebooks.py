"""A reader's copies of the chapters: begun without outputs, never overwritten, brought back."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import my_notebooks
import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel

ROOT = Path(__file__).resolve().parents[1]
STORED = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two chapters."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "README.md").write_text("[1](notebooks/01_one.ipynb) [L](LICENSE) [w](https://a.b)")
    (tmp_path / "GLOSSARY.md").write_text("[batch](notebooks/01_one.ipynb) [C](README.md)")
    for name in ("01_one", "02_two"):
        save_chapter(tmp_path, name, "first")
    monkeypatch.setattr(my_notebooks, "COURSE", tmp_path)
    return tmp_path


def save_chapter(course, name, text):
    """A new version of a chapter, with an output."""
    printed = nbformat.v4.new_output("stream", text="2\n")
    code = nbformat.v4.new_code_cell(
        "1 + 1", id="code", outputs=[printed], execution_count=1, metadata={"tags": ["tolerance"]}
    )
    cells = [nbformat.v4.new_markdown_cell(f"{text} [C](../README.md)", id="text"), code]
    metadata = {"widgets": {"state": {}}, "language_info": {"name": "python", "version": "3.11.1"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, course / "notebooks" / f"{name}.ipynb")


def copy(course):
    return my_notebooks.copy_chapters(course)


def text_of(path):
    return nbformat.read(path, as_version=4).cells[0].source.split()[0]


def change(path, text="mine"):
    path.write_text(path.read_text().replace("first", text).replace("second", text))


def test_copies_begin_without_outputs(course):
    assert copy(course) == []
    notebook = nbformat.read(course / "my-notebooks/01_one.ipynb", as_version=4)
    nbformat.validate(notebook)
    text, code = notebook.cells
    assert text.source == "first [C](README.md)"
    assert (code.source, code.outputs, code.execution_count) == ("1 + 1", [], None)
    assert code.metadata == {"tags": ["tolerance"]}
    assert "widgets" not in notebook.metadata
    contents = (course / "my-notebooks/README.md").read_text()
    assert contents == "[1](01_one.ipynb) [L](../LICENSE) [w](https://a.b)"
    glossary = (course / "my-notebooks/GLOSSARY.md").read_text()
    assert glossary == "[batch](01_one.ipynb) [C](README.md)"


def test_opening_a_chapter_changes_nothing_in_it():
    """It is written as the server writes it, with the kernel's own description of its language."""
    assert IPythonKernel.language_info == my_notebooks.LANGUAGE
    for path in STORED:
        text = my_notebooks.without_outputs(path)
        assert text == nbformat.writes(nbformat.reads(text, as_version=4)) + "\n"


def test_every_link_of_the_copies_leads_somewhere():
    texts = [my_notebooks.page(name) for name in my_notebooks.PAGES]
    for path in STORED:
        cells = json.loads(my_notebooks.without_outputs(path))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    links = re.findall(
        r'(?:\]\(|(?:src|srcset|href)=")((?!https?:|#)[^)"\s]+)[)"]', "\n".join(texts)
    )
    names = {*my_notebooks.PAGES, *(path.name for path in STORED)}
    assert names <= set(links)
    for link in set(links):
        if re.match(r"[\w./-]+$", link) and link not in names:
            target = ROOT / "my-notebooks" / link
            assert Path(os.path.normpath(target)).is_file(), link  # JupyterLab opens no folder


@pytest.mark.parametrize("touched", ["unchanged", "changed", "run"])
def test_a_new_version_costs_no_work(course, touched):
    mine = course / "my-notebooks/01_one.ipynb"
    copy(course)
    if touched == "changed":
        change(mine)
    if touched == "run":
        notebook = nbformat.read(mine, as_version=4)
        notebook.cells[1].execution_count = 1
        nbformat.write(notebook, mine)
    before = mine.read_text()
    assert copy(course) == []
    for count, text in enumerate(["second", "third"], start=1):
        save_chapter(course, "01_one", text)
        said = copy(course)
        if touched == "unchanged":
            assert (said, text_of(mine)) == ([], text)
            continue
        assert mine.read_text() == before
        new = "01_one (new).ipynb" if count == 1 else "01_one (new 2).ipynb"
        assert text_of(course / "my-notebooks" / new) == text
        assert said == [f"01_one.ipynb has a newer version; yours stays, and it is beside: {new}"]
        assert copy(course) == []  # it is said once
        change(course / "my-notebooks" / new)
        if count == 1:
            before_new = (course / "my-notebooks" / new).read_text()
    if touched != "unchanged":
        assert (course / "my-notebooks/01_one (new).ipynb").read_text() == before_new


def test_notes_in_the_copy_of_the_readme_stay(course):
    copy(course)
    notes, news = course / "my-notebooks/README.md", "[1](notebooks/01_one.ipynb) more"
    (course / "README.md").write_text(news)
    assert copy(course) == [] and notes.read_text() == "[1](01_one.ipynb) more"
    notes.write_text("my notes")
    assert copy(course) == [] and notes.read_text() == "my notes"
    (course / "README.md").write_text(f"{news}, again")
    assert copy(course) == [
        "README.md has a newer version; yours stays, and it is beside: README (new).md"
    ]
    assert notes.read_text() == "my notes"


def test_a_new_version_that_was_not_touched_gives_way_to_a_newer(course):
    copy(course)
    change(course / "my-notebooks/01_one.ipynb")
    for text in ("second", "third"):
        save_chapter(course, "01_one", text)
        copy(course)
    assert sorted(path.name for path in (course / "my-notebooks").glob("01*")) == [
        "01_one (new).ipynb",
        "01_one.ipynb",
    ]
    assert text_of(course / "my-notebooks/01_one (new).ipynb") == "third"


def test_what_a_reader_has_thrown_away_does_not_come_back_until_there_is_news(course):
    copy(course)
    change(course / "my-notebooks/01_one.ipynb")
    save_chapter(course, "01_one", "second")
    copy(course)
    (course / "my-notebooks/01_one (new).ipynb").unlink()
    assert copy(course) == []
    (course / "my-notebooks/01_one.ipynb").unlink()
    assert copy(course) == []
    assert text_of(course / "my-notebooks/01_one.ipynb") == "second"


def test_another_python_is_no_new_version(course, monkeypatch):
    copy(course)
    change(course / "my-notebooks/01_one.ipynb")
    monkeypatch.setitem(my_notebooks.LANGUAGE, "version", "3.14.9")
    assert copy(course) == []


@pytest.mark.parametrize("record", ["{half", "null", "[1]"])
def test_a_damaged_record_costs_no_work(course, record):
    copy(course)
    mine = course / "my-notebooks" / "01_one.ipynb"
    change(mine)
    (course / "my-notebooks" / my_notebooks.RECORD).write_text(record)
    copy(course)
    assert text_of(mine) == "mine"


def test_a_chapter_with_marks_of_a_conflict_is_named(course):
    path = course / "notebooks" / "01_one.ipynb"
    path.write_text("<<<<<<< HEAD\n" + path.read_text())
    with pytest.raises(ValueError, match=r"01_one.ipynb is no notebook .*git checkout -- "):
        copy(course)


@pytest.mark.parametrize("chapter", ["1", "01", "01_one"])
def test_a_broken_notebook_is_brought_back(course, chapter):
    copy(course)
    mine = course / "my-notebooks/01_one.ipynb"
    for kept in ("01_one (old).ipynb", "01_one (old 2).ipynb"):
        mine.write_text("no notebook any more")
        said = my_notebooks.copy_chapters(course, fresh=chapter)
        assert said == [f"01_one.ipynb is made anew; what you had is kept in {kept}"]
        assert text_of(mine) == "first"
        assert (course / "my-notebooks" / kept).read_text() == "no notebook any more"


def test_a_chapter_that_is_not_there(course):
    with pytest.raises(ValueError, match="there is no chapter 9; name one of 01_one, 02_two"):
        my_notebooks.copy_chapters(course, fresh="9")
    script = [sys.executable, str(ROOT / "scripts/my_notebooks.py"), str(course), "--fresh", "99"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("my-notebooks: there is no chapter 99; name one of 01_network, ")


def test_a_folder_elsewhere_has_all_that_the_copies_show(tmp_path):
    for _ in ("first", "second start"):
        assert my_notebooks.copy_chapters(tmp_path / "home") == []
    assert (tmp_path / "home/my-notebooks/01_network.ipynb").exists()
    assert (tmp_path / "home/Images/LeNet.gif").exists()


def test_an_update_of_the_course_does_not_meet_a_reader_s_work(course):
    """git pull, after a chapter was run and changed: no conflict, nothing lost."""

    def git(folder, *command):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True)

    (course / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    git(course, "init", "-b", "main")
    git(course, "add", ".")
    git(course, "commit", "-m", "one")
    git(course.parent, "clone", str(course), "reader")
    reader = course.parent / "reader"
    my_notebooks.COURSE = reader
    copy(reader)
    change(reader / "my-notebooks/01_one.ipynb")
    save_chapter(course, "01_one", "second")
    git(course, "commit", "-am", "two")
    git(reader, "pull")
    assert copy(reader) != []
    assert text_of(reader / "my-notebooks/01_one.ipynb") == "mine"
    assert text_of(reader / "my-notebooks/01_one (new).ipynb") == "second"
