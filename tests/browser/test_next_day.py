"""A notebook that is opened again: every output shows its last picture, whatever was done to it."""

EXPLORER = "from lenet_course.explorers import shapes\nshapes.ShapeExplorer().show()"
TROUBLE = ("Error displaying widget", "Loading widget", "model not found")


def command(notebook, name):
    notebook.page.evaluate(f"window.jupyterapp.commands.execute('{name}')")


def assert_picture(notebook):
    notebook.page.locator(".lenet-card svg, img.lenet-picture").first.wait_for()
    assert not any(notebook.page.get_by_text(words).count() for words in TROUBLE)


def open_again(lab, notebook):
    """The kernel ends, the page is closed, and the notebook is opened the next day."""
    lab.opened.remove(notebook)
    notebook.close()
    return lab.open(notebook.path.name)


def test_days_on_which_nothing_is_run(lab):
    notebook = lab.new([EXPLORER])
    notebook.run_all()
    notebook.save()
    for _ in range(2):
        notebook = open_again(lab, notebook)
        assert_picture(notebook)
        command(notebook, "notebook:insert-cell-below")
        notebook.save()
    notebook = open_again(lab, notebook)
    assert_picture(notebook)


def test_a_restart_before_the_notebook_is_saved(lab):
    notebook = lab.new([EXPLORER])
    notebook.run_all()
    panel = "window.jupyterapp.shell.currentWidget"
    notebook.page.evaluate(f"{panel}.context.sessionContext.restartKernel()")
    notebook.save()
    notebook = open_again(lab, notebook)
    assert_picture(notebook)
