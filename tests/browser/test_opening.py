"""Chapter 3 as `make present` opens it: alone, readable in a hall, unspoiled, and unchanged."""


def test_make_present(presenting):
    notebook = presenting.open("03_training.ipynb", present=True, size=(1920, 1080))
    page, panel = notebook.page, "window.jupyterapp.shell.currentWidget"
    page.locator(".jp-Notebook h1").first.wait_for()
    page.wait_for_function(f"{panel}.context.model.getMetadata('language_info').version")
    assert page.evaluate(f"{panel}.context.path") == "my-notebooks/03_training.ipynb"
    assert not page.evaluate(f"{panel}.context.model.dirty")
    assert all(not cell.get("outputs") for cell in notebook.cells())
    assert page.evaluate("window.jupyterapp.shell.mode") == "single-document"
    for bar in ("#jp-left-stack", "#jp-right-stack", "#jp-main-statusbar"):
        assert not page.locator(bar).is_visible()
    for selector in (".jp-CodeCell .cm-line", ".jp-MarkdownCell .jp-RenderedHTMLCommon p"):
        text = page.locator(selector).first
        text.wait_for(state="attached")
        size = text.evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
        assert 19 <= size <= 23  # px, of 1080
    notebook.screenshot("present")
    assert not notebook.errors() and not notebook.console_errors
