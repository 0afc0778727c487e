"""Every chapter, opened in JupyterLab and run from top to bottom by a browser."""

from pathlib import Path

import axe
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CHAPTERS = sorted(path.name for path in NOTEBOOKS.glob("0*.ipynb"))
TEN_MINUTES = 600_000  # milliseconds


def assert_shown_well(notebook):
    page = notebook.page
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-Notebook img')].every(image => image.naturalWidth)"
    )
    assert page.locator(".jp-Notebook .jp-OutputArea img").count() > 0
    for trouble in ("Error displaying widget", "Loading widget", "model not found"):
        assert not page.get_by_text(trouble).count()
    assert not notebook.console_errors


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_stored_chapter_can_be_read_before_it_is_run(lab, chapter):
    notebook = lab.open(chapter)
    with notebook.unrolled():
        assert_shown_well(notebook)
        notebook.screenshot(f"{notebook.path.stem}_stored")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter_runs_from_top_to_bottom(lab, axe_script, chapter):
    notebook = lab.open(chapter)
    notebook.run_all(timeout=TEN_MINUTES)
    assert not notebook.errors()
    code = [cell for cell in notebook.cells() if cell["cell_type"] == "code" and cell["source"]]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    with notebook.unrolled():
        assert_shown_well(notebook)
        for theme in ("light", "dark"):
            notebook.set_theme(theme)
            notebook.screenshot(f"{notebook.path.stem}_{theme}")
            assert axe.findings(notebook.page, axe_script) == []
    assert not notebook.console_errors
