"""A real JupyterLab in a real Chromium, for tests that click, type and look.

    def test_something(lab):
        notebook = lab.open("01_network.ipynb")           # a chapter, copied to a temporary folder
        notebook = lab.new(["1 + 1", "print('done')"])    # or a notebook of your own, cell by cell
        notebook.run_all()                                # waits until the last cell is done
        notebook.run(0)                                   # starts cell 0 and returns at once
        notebook.wait()                                   # waits until it is done
        notebook.outputs(0)                               # what it shows, as nbformat's dicts
        notebook.cell(0).get_by_role("button", name="Stop").click()      # Playwright's locators
        notebook.page                                     # Playwright's page, for all the rest
        notebook.screenshot("my_test")                    # build/screenshots/my_test.png
        assert not notebook.errors() and not notebook.console_errors

The server starts once for all tests, in a folder of its own: nothing is written to the repository,
and no test sees the settings of the person who runs it. The browser reaches nothing but the server.
"""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import my_notebooks
import nbformat
import open_lab
import psutil
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
MINUTE = 60_000  # milliseconds, as Playwright counts


class Server:
    """JupyterLab as `make lab` or `make present` starts it, but on a copy of the notebooks."""

    def __init__(self, folder, present=False):
        self.root = folder / "course"
        shutil.copytree(
            ROOT / "notebooks",
            self.root / "notebooks",
            ignore=shutil.ignore_patterns("runs", "__pycache__", ".ipynb_checkpoints"),
        )
        (self.root / "data").symlink_to(ROOT / "data")
        # Copied, too: the server hands out nothing that lies outside its folder.
        shutil.copytree(ROOT / "Images", self.root / "Images")
        shutil.copy(ROOT / "README.md", self.root)
        my_notebooks.copy_chapters(self.root)  # what `make lab` opens
        settings = folder / "settings"
        settings.mkdir()
        arguments = open_lab.lab_arguments("03_training", present, settings, self.root)
        env = os.environ | {
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "jupyter"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"),
            "LENET_RUNS": str(folder / "runs"),
            # As in `make lab`, where the server is started by a script beside this module.
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(ROOT / "scripts"), os.environ.get("PYTHONPATH")])
            ),
        }
        self.log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0"),
                *arguments,
                "--LabApp.expose_app_in_browser=True",  # for asking whether a cell is done
            ],
            env=env, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        info = self._wait_for_info(folder / "runtime")
        self.url, self.token = info["url"], info["token"]
        url = "--LabApp.default_url="
        self.default_url = next(a.removeprefix(url) for a in arguments if a.startswith(url))
        self.pages = itertools.count()

    def _wait_for_info(self, runtime):
        for _ in range(6000):
            assert self.process.poll() is None, f"JupyterLab ended: see {self.log.name}"
            for file in runtime.glob("jpserver-*.json"):
                try:
                    return json.loads(file.read_text())
                except ValueError:  # half written
                    pass
            time.sleep(0.1)
        raise TimeoutError(f"JupyterLab did not start in ten minutes: see {self.log.name}")

    def address(self, name, mode="doc"):
        """Where a notebook opens; each time in a new workspace, which knows of no other test."""
        view = f"/{mode}/workspaces/test-{next(self.pages)}/tree/notebooks/{name}"
        return self.with_token(view)

    def with_token(self, view):
        return f"{self.url.rstrip('/')}{view}?token={self.token}"

    def close(self):
        """End the server, and its kernels whatever they are doing."""
        processes = [*psutil.Process(self.process.pid).children(recursive=True), self.process]
        self.process.terminate()
        psutil.wait_procs(processes[:-1], timeout=5)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        self.log.close()


class Notebook:
    """A notebook open in a page of the browser."""

    def __init__(self, page, path):
        self.page, self.path = page, path
        self.console_errors = []
        note = self.console_errors.append
        page.on("console", lambda message: message.type == "error" and note(message.text))
        page.on("pageerror", lambda error: note(str(error)))

    def goto(self, url):
        self.page.goto(url)
        # The kernel is there when its name stands in the toolbar and its state is known.
        self.page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session"
            "?.kernel?.connectionStatus === 'connected'",
            timeout=2 * MINUTE,
        )
        self.page.wait_for_function(
            f"({KERNEL}).status === 'idle' || ({KERNEL}).status === 'busy'", timeout=2 * MINUTE
        )

    def set_theme(self, theme):
        """JupyterLab's own theme, light or dark. The server remembers it for the next page."""
        name = f"JupyterLab {theme.title()}"
        self.page.evaluate(
            f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{name}'}})"
        )
        self.page.wait_for_selector(f"body[data-jp-theme-name='{name}']", state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")  # it dims the page

    def show_files(self):
        """Open JupyterLab's file browser beside the notebook."""
        self.page.evaluate("window.jupyterapp.commands.execute('filebrowser:activate')")

    def cell(self, number):
        """Playwright's locator of a cell; 0 is the first, Markdown cells count."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def scroll_to(self, number):
        """Scroll until a cell stands at the top of what is visible."""
        self.page.evaluate(
            """number => {
                const cells = window.jupyterapp.shell.currentWidget.content;
                cells.activeCellIndex = number;
                return cells.scrollToItem(number, 'start');
            }""",
            number,
        )

    def run(self, number):
        """Start a cell; `wait` waits for it."""
        self._start(f"panel.content.activeCellIndex = {number}; run('notebook:run-cell')")

    def run_all(self, timeout=5 * MINUTE):
        """Run all cells and wait; a cell with an error ends it, as in JupyterLab."""
        self._start("run('notebook:run-all-cells')")
        self.wait(timeout)

    def _start(self, what):
        self.page.evaluate(
            """() => {
                const app = window.jupyterapp, panel = app.shell.currentWidget;
                window.cellsDone = false;
                const run = command => app.commands.execute(command).finally(
                    () => { window.cellsDone = true; });
                """
            + what
            + "}"
        )

    def wait(self, timeout=5 * MINUTE):
        """Wait until what was started is done."""
        try:
            self.page.wait_for_function("window.cellsDone", polling=200, timeout=timeout)
        except PlaywrightTimeout as error:
            status = self.page.evaluate(f"{KERNEL}.status")
            asked = self.page.locator(".jp-Dialog").all_inner_texts()
            cells = [cell for cell in self.cells() if cell["cell_type"] == "code"]
            raise TimeoutError(
                f"after {timeout / 1000:.0f} s the cells are not done: kernel {status}, questions "
                f"{asked}, counts {[cell['execution_count'] for cell in cells]}, outputs "
                f"{[len(cell['outputs']) for cell in cells]}, console {self.console_errors}"
            ) from error

    def execute(self, code):
        """Run code in the kernel without a cell, and wait."""
        self.page.evaluate(f"code => {KERNEL}.requestExecute({{code}}).done", code)

    def cells(self):
        """All cells as they are now, as nbformat's dicts."""
        return self.page.evaluate(
            "window.jupyterapp.shell.currentWidget.content.widgets.map(c => c.model.toJSON())"
        )

    def outputs(self, number):
        return self.cells()[number]["outputs"]

    def text(self, number):
        """What a cell has printed."""
        return "".join("".join(o.get("text", "")) for o in self.outputs(number))

    def errors(self):
        """Names and messages of all errors shown under cells."""
        outputs = (o for cell in self.cells() for o in cell.get("outputs", []))
        return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]

    def save(self):
        """Save the notebook, and wait until it is."""
        self.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        self.page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")

    def screenshot(self, name, locator=None):
        """A picture of what is on the screen, or of one element, in build/screenshots."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (locator or self.page).screenshot(path=SCREENSHOTS / f"{name}.png")

    @contextlib.contextmanager
    def unrolled(self):
        """Inside, the window is as high as the notebook: every cell is drawn."""
        size = self.page.viewport_size
        cells = self.page.locator(".jp-Notebook .jp-WindowedPanel-outer")
        height = cells.evaluate("cells => cells.scrollHeight")
        self.page.set_viewport_size({"width": size["width"], "height": min(height + 150, 16_000)})
        cells.evaluate("cells => cells.scrollTo(0, 0)")  # it can be scrolled past its end
        self.page.wait_for_timeout(1000)
        yield
        self.page.set_viewport_size(size)

    def close(self):
        """Shut the kernel down and close the page, without a question about saving."""
        self.page.evaluate(
            "window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()"
        )
        self.page.context.close()


KERNEL = "window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"


class Lab:
    """A server and a browser; opens notebooks."""

    def __init__(self, server, browser):
        self.server, self.browser, self.opened, self.count = server, browser, [], 0

    def open(self, name, theme="light", size=(1280, 900), present=False, touch=False):
        """Open a notebook of the notebooks folder; `theme` is JupyterLab's, light or dark."""
        viewport = {"width": size[0], "height": size[1]}
        context = self.browser.new_context(viewport=viewport, has_touch=touch)
        context.set_default_timeout(MINUTE / 2)
        notebook = Notebook(context.new_page(), self.server.root / "notebooks" / name)
        self.opened.append(notebook)
        server = self.server
        notebook.goto(server.with_token(server.default_url) if present else server.address(name))
        notebook.set_theme(theme)
        return notebook

    def new(self, cells, **options):
        """Write a notebook of code cells and open it."""
        self.count += 1
        name = f"test_{self.count}.ipynb"
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}},
        )
        nbformat.write(notebook, self.server.root / "notebooks" / name)
        return self.open(name, **options)

    def close_all(self):
        while self.opened:
            self.opened.pop().close()


@contextlib.contextmanager
def chromium():
    """A headless Chromium that reaches nothing but this machine."""
    path = shutil.which("chromium")
    assert path, "Chromium is missing: install it (on Debian: sudo apt install chromium)"
    offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    arguments = [offline, "--disable-background-networking", "--disable-component-update"]
    if os.getuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses root otherwise, as containers have it
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()
