"""A chapter as `make lab` opens it: the reader's copy, unspoiled, and unchanged by being opened."""


def test_opening_a_chapter_does_not_mark_it_changed(presenting):
    notebook = presenting.open("03_training.ipynb", present=True)
    notebook.page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.context.model.getMetadata('language_info').version"
    )
    panel = "window.jupyterapp.shell.currentWidget"
    assert notebook.page.evaluate(f"{panel}.context.path") == "my-notebooks/03_training.ipynb"
    assert not notebook.page.evaluate(f"{panel}.context.model.dirty")
    assert all(not cell.get("outputs") for cell in notebook.cells())
    assert not notebook.errors()
    assert not notebook.console_errors


def test_type_for_a_hall(presenting):
    """Code and text are 20 px high on a projector 1920 px wide."""
    notebook = presenting.open("03_training.ipynb", present=True, size=(1920, 1080))
    for selector in (".jp-CodeCell .cm-line", ".jp-MarkdownCell .jp-RenderedHTMLCommon p"):
        text = notebook.page.locator(selector).first
        text.wait_for(state="attached")
        size = text.evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
        assert 19 <= size <= 23
    notebook.screenshot("present_type")
