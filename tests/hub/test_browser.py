"""A student on the hub, in a real browser: signs in, trains, stops, leaves, comes back."""

import json
import re

import classroom
from lab import MINUTE, Notebook, chromium

NAME = "anna"
APP = {"LabApp": {"expose_app_in_browser": True}}  # for asking whether a cell is done


def test_a_student_finds_everything_again(tmp_path):
    settings = tmp_path / "homes" / NAME / ".jupyter"
    with classroom.hub(tmp_path) as url, chromium() as browser:
        settings.mkdir(parents=True)
        (settings / "jupyter_server_config.json").write_text(json.dumps(APP))
        context = browser.new_context(viewport={"width": 1366, "height": 768})
        context.set_default_timeout(3 * MINUTE)
        page = context.new_page()
        page.goto(url)
        page.get_by_label("Username").fill(NAME)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**/user/{NAME}/lab/tree/my-notebooks/01_network.ipynb")
        page.get_by_role("heading", name="1. The network").wait_for()

        address = f"{url}/user/{NAME}/doc/tree/my-notebooks/03_training.ipynb"
        notebook = Notebook(page, None)
        notebook.goto(address)
        sources = ["".join(cell["source"]) for cell in notebook.cells()]
        training = next(i for i, s in enumerate(sources) if "callback=LiveCurves()" in s)
        notebook._start(
            f"panel.content.activeCellIndex = {training}; run('notebook:run-all-above')"
        )
        notebook.wait(10 * MINUTE)
        notebook.run(training)
        cell = notebook.cell(training)
        cell.scroll_into_view_if_needed()
        cell.get_by_role("button", name="Stop").click()
        notebook.wait()
        assert re.match(r"stopped in epoch 1 of 10: as you asked", notebook.text(training))
        assert not notebook.errors()
        notebook.screenshot("hub_stopped")
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        page.close()

        back = Notebook(context.new_page(), None)
        back.goto(address)
        assert back.text(training).startswith("stopped in epoch 1 of 10: as you asked")
        back.cell(training).scroll_into_view_if_needed()
        back.cell(training).locator("svg[role=img], img").first.wait_for()
        back.run(training + 1)  # the kernel has lived on, with the run in it
        back.wait()
        assert not back.errors()
        back.screenshot("hub_back")
